/**
 * Goal: invocations find environments as on AWS: warm ones are used again, the last one first; parallel ones each get
 * their own; updates reach the next invocation and leave the running ones alone; limits hold.
 * Method: functions that name their environment and take as long as they are told, through the SDK on real servers. That
 * an invocation has begun is seen in its log before the next step is taken.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { FilterLogEventsCommand, type CloudWatchLogsClient } from "@aws-sdk/client-cloudwatch-logs";
import {
  DeleteFunctionCommand,
  TooManyRequestsException,
  UpdateFunctionCodeCommand,
  UpdateFunctionConfigurationCommand,
  waitUntilFunctionUpdatedV2,
  type LambdaClient,
} from "@aws-sdk/client-lambda";
import { call, deploy, eventually } from "../support/functions.ts";
import { runtimesOf } from "../support/processes.ts";
import { startTestServer, zipOf, type TestServer } from "../support/server.ts";

const PARALLEL = 20;
/** Names its environment; with `ms` it takes that long. */
const sourceOf = (release: string) => `
const environment = require("node:crypto").randomUUID();
let calls = 0;
exports.handler = async ({ ms }) => {
  calls += 1;
  if (ms > 1000) console.log("begun");
  if (ms) await new Promise((resolve) => setTimeout(resolve, ms));
  return { environment, calls, release: "${release}" };
};`;
interface Told {
  readonly environment: string;
  readonly calls: number;
  readonly release: string;
}

let server: TestServer;
let lambda: LambdaClient;
let logs: CloudWatchLogsClient;
before(async () => {
  server = await startTestServer({ args: ["--keep-alive", "600"] });
  lambda = server.lambda();
  logs = server.logs();
});
after(() => server.stop());

async function told(client: LambdaClient, name: string, ms?: number): Promise<Told> {
  const called = await call(client, name, ms === undefined ? {} : { ms });
  assert.equal(called.functionError, undefined, called.text);
  return called.body as Told;
}
/** Resolves when so many invocations of more than a second have begun. */
const begun = (name: string, count = 1) =>
  eventually(`${count} of ${name} have begun`, async () => {
    const filter = { logGroupName: `/aws/lambda/${name}`, filterPattern: "begun" };
    const { events } = await logs.send(new FilterLogEventsCommand(filter)).catch(() => ({ events: [] }));
    return events?.length === count;
  });
const together = (client: LambdaClient, name: string, count: number, ms: number) =>
  Promise.all(Array.from({ length: count }, () => told(client, name, ms)));
const distinct = (answers: readonly Told[]) => new Set(answers.map(({ environment }) => environment)).size;

describe("reuse", () => {
  test("one caller after the other meets the same environment, with its state", async () => {
    await deploy(lambda, "warm", { files: { "index.js": sourceOf("1") } });
    const first = await told(lambda, "warm");
    for (let calls = 2; calls <= 5; calls += 1)
      assert.deepEqual(await told(lambda, "warm"), { ...first, calls });
  });

  test("the environment that was used last is used first", async () => {
    await deploy(lambda, "last-first", { files: { "index.js": sourceOf("1") }, Timeout: 10 });
    const slow = told(lambda, "last-first", 3000);
    await begun("last-first");
    const quick = await told(lambda, "last-first", 1);
    const slower = await slow;
    assert.notEqual(slower.environment, quick.environment);
    assert.equal((await told(lambda, "last-first")).environment, slower.environment);
  });

  test(`${PARALLEL} at once run in ${PARALLEL} environments, and again in the same`, async () => {
    await deploy(lambda, "parallel", { files: { "index.js": sourceOf("1") }, Timeout: 30 });
    // On a busy machine the first may be done before the last has begun: then they take longer.
    let answers: Told[] = [];
    for (let ms = 2000; ms <= 16_000 && distinct(answers) < PARALLEL; ms *= 2)
      answers = await together(lambda, "parallel", PARALLEL, ms);
    assert.equal(distinct(answers), PARALLEL);
    const known = new Set(answers.map(({ environment }) => environment));
    const again = await together(lambda, "parallel", PARALLEL, 500);
    assert(again.every(({ environment }) => known.has(environment)));
  });
});

describe("updates", () => {
  const changed = (client: LambdaClient, name: string) =>
    waitUntilFunctionUpdatedV2(
      { client, maxWaitTime: 30, minDelay: 0.05, maxDelay: 0.1 },
      { FunctionName: name },
    );

  test("new code reaches the next invocation while a running one finishes on the old", async () => {
    await deploy(lambda, "updated", { files: { "index.js": sourceOf("old") }, Timeout: 20 });
    assert.equal((await told(lambda, "updated")).release, "old");
    const running = told(lambda, "updated", 2500);
    await begun("updated");
    await lambda.send(
      new UpdateFunctionCodeCommand({
        FunctionName: "updated",
        ZipFile: zipOf({ "index.js": sourceOf("new") }),
      }),
    );
    await changed(lambda, "updated");
    const next = await told(lambda, "updated");
    assert.deepEqual([next.release, next.calls], ["new", 1]);
    const finished = await running;
    assert.deepEqual([finished.release, finished.calls], ["old", 2]);
    assert.equal(
      (await told(lambda, "updated")).environment,
      next.environment,
      "the old environment is used no more",
    );
  });

  test("new settings make new environments", async () => {
    await deploy(lambda, "resized", { files: { "index.js": sourceOf("1") } });
    const before = await told(lambda, "resized");
    await lambda.send(new UpdateFunctionConfigurationCommand({ FunctionName: "resized", MemorySize: 256 }));
    await changed(lambda, "resized");
    assert.notEqual((await told(lambda, "resized")).environment, before.environment);
  });

  test("a deleted function finishes what runs and takes nothing more", async () => {
    await deploy(lambda, "deleted", { files: { "index.js": sourceOf("1") }, Timeout: 10 });
    await told(lambda, "deleted");
    const running = told(lambda, "deleted", 1500);
    await begun("deleted");
    await lambda.send(new DeleteFunctionCommand({ FunctionName: "deleted" }));
    await assert.rejects(call(lambda, "deleted"), { name: "ResourceNotFoundException" });
    assert.equal((await running).calls, 2);
  });
});

test("beyond the account's concurrency callers are told so, with the reason", async () => {
  const small = await startTestServer({ args: ["--concurrency", "2", "--keep-alive", "1", "--pool", "0"] });
  const client = small.lambda();
  await deploy(client, "limited", { files: { "index.js": sourceOf("1") }, Timeout: 20 });
  await together(client, "limited", 2, 500);
  const running = together(client, "limited", 2, 3000);
  // Until both are counted in it succeeds, and soon.
  const refusal = await eventually("a refusal", async () => {
    try {
      await told(client, "limited", 1);
      return undefined;
    } catch (error) {
      return error;
    }
  });
  assert(refusal instanceof TooManyRequestsException, String(refusal));
  assert.deepEqual(
    [refusal.Reason, refusal.message, refusal.$metadata.httpStatusCode],
    ["ConcurrentInvocationLimitExceeded", "Rate Exceeded.", 429],
  );
  await running;
  assert.equal((await told(client, "limited")).release, "1");
  // The same server: idle environments end after a second.
  await eventually("no environment is left", () => runtimesOf(small.pid).length === 0);
  assert.equal((await told(client, "limited")).calls, 1);
  await small.stop();
});
