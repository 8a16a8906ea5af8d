/**
 * Goal: reserved and provisioned concurrency through AWS's SDK for JavaScript and the AWS CLI: what is configured holds for
 * real functions, provisioned environments are there before the first call, and all of it survives a restart.
 * Method: the SDK's client and the real `aws` against real servers; functions that tell how their environment was made.
 */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { FilterLogEventsCommand } from "@aws-sdk/client-cloudwatch-logs";
import * as L from "@aws-sdk/client-lambda";
import { call, deploy, eventually } from "../support/functions.ts";
import { awsTools, startTestServer, type TestServer } from "../support/server.ts";

const ARN = "arn:aws:lambda:us-east-1:000000000000:function";
/** Tells how it was initialised and which environment it is; takes `ms`. */
const SOURCE = `
const environment = require("node:crypto").randomUUID();
exports.handler = async ({ ms }) => {
  if (ms) { console.log("begun"); await new Promise((resolve) => setTimeout(resolve, ms)); }
  return { environment, type: process.env.AWS_LAMBDA_INITIALIZATION_TYPE };
};`;
interface Told {
  readonly environment: string;
  readonly type: string;
}

const folder = mkdtempSync(join(tmpdir(), "hornero-concurrency-"));
const home = mkdtempSync(join(tmpdir(), "hornero-home-"));
let server: TestServer;
let lambda: L.LambdaClient;
const start = async () => {
  server = await startTestServer({ dataDirectory: folder });
  lambda = server.lambda();
};
before(start);
after(async () => {
  await server.stop();
  for (const made of [folder, home]) await rm(made, { recursive: true, force: true });
});

const told = async (name: string, event: object = {}, options: Partial<L.InvokeCommandInput> = {}) =>
  (await call(lambda, name, event, options)).body as Told;
const begun = (name: string, count: number) =>
  eventually(`${count} of ${name} have begun`, async () => {
    const filter = { logGroupName: `/aws/lambda/${name}`, filterPattern: "begun" };
    const { events } = await server
      .logs()
      .send(new FilterLogEventsCommand(filter))
      .catch(() => ({ events: [] }));
    return events?.length === count;
  });
const throttled = (Reason: string) => (error: unknown) => {
  assert.ok(error instanceof L.TooManyRequestsException);
  assert.deepEqual([error.Reason, error.message], [Reason, "Rate Exceeded."]);
  assert.equal(error.$metadata.httpStatusCode, 429);
  return true;
};
async function publish(name: string): Promise<string> {
  const { Version = "" } = await lambda.send(new L.PublishVersionCommand({ FunctionName: name }));
  await L.waitUntilPublishedVersionActive(
    { client: lambda, maxWaitTime: 60, minDelay: 0.05, maxDelay: 0.2 },
    { FunctionName: name, Qualifier: Version },
  );
  return Version;
}
const config = (FunctionName: string, Qualifier: string) =>
  lambda.send(new L.GetProvisionedConcurrencyConfigCommand({ FunctionName, Qualifier }));
const ready = (name: string, qualifier: string) =>
  eventually(`${name}:${qualifier} is ready`, async () => {
    const found = await config(name, qualifier);
    return found.Status === "READY" && found;
  });

describe("reserved concurrency", () => {
  test("is a ceiling of all versions together, and 0 stops everything", async () => {
    await deploy(lambda, "held", { files: { "index.js": SOURCE }, Timeout: 20 });
    const put = await lambda.send(
      new L.PutFunctionConcurrencyCommand({ FunctionName: "held", ReservedConcurrentExecutions: 2 }),
    );
    assert.deepEqual([put.$metadata.httpStatusCode, put.ReservedConcurrentExecutions], [200, 2]);
    const version = await publish("held");
    const running = [told("held", { ms: 4000 }), told("held", { ms: 4000 }, { Qualifier: version })];
    await begun("held", 2);
    const reason = "ReservedFunctionConcurrentInvocationLimitExceeded";
    await assert.rejects(told("held"), throttled(reason));
    await Promise.all(running);
    assert.equal((await told("held")).type, "on-demand");
    await lambda.send(
      new L.PutFunctionConcurrencyCommand({ FunctionName: "held", ReservedConcurrentExecutions: 0 }),
    );
    await assert.rejects(told("held"), throttled(reason));
    const deleted = await lambda.send(new L.DeleteFunctionConcurrencyCommand({ FunctionName: "held" }));
    assert.equal(deleted.$metadata.httpStatusCode, 204);
    await told("held");
    const got = await lambda.send(new L.GetFunctionConcurrencyCommand({ FunctionName: "held" }));
    assert.equal(got.ReservedConcurrentExecutions, undefined);
  });

  test("leaves a hundred unreserved", async () => {
    await assert.rejects(
      lambda.send(
        new L.PutFunctionConcurrencyCommand({ FunctionName: "held", ReservedConcurrentExecutions: 901 }),
      ),
      (error) =>
        error instanceof L.InvalidParameterValueException &&
        error.message ===
          "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its minimum value of [100].",
    );
    await lambda.send(
      new L.PutFunctionConcurrencyCommand({ FunctionName: "held", ReservedConcurrentExecutions: 900 }),
    );
    const { AccountLimit } = await lambda.send(new L.GetAccountSettingsCommand({}));
    assert.deepEqual(
      [AccountLimit?.ConcurrentExecutions, AccountLimit?.UnreservedConcurrentExecutions],
      [1000, 100],
    );
    await lambda.send(new L.DeleteFunctionConcurrencyCommand({ FunctionName: "held" }));
  });
});

describe("provisioned concurrency", () => {
  test("is there before the first call, overflows, and is not in its REPORT", async () => {
    await deploy(lambda, "warm", { files: { "index.js": SOURCE }, Timeout: 20 });
    const version = await publish("warm");
    const put = await lambda.send(
      new L.PutProvisionedConcurrencyConfigCommand({
        FunctionName: "warm",
        Qualifier: version,
        ProvisionedConcurrentExecutions: 2,
      }),
    );
    assert.equal(put.$metadata.httpStatusCode, 202);
    assert.equal(put.Status, "IN_PROGRESS");
    const found = await ready("warm", version);
    assert.deepEqual(
      [
        found.RequestedProvisionedConcurrentExecutions,
        found.AllocatedProvisionedConcurrentExecutions,
        found.AvailableProvisionedConcurrentExecutions,
        found.StatusReason,
      ],
      [2, 2, 2, undefined],
    );
    const first = await call(lambda, "warm", {}, { Qualifier: version });
    assert.equal((first.body as Told).type, "provisioned-concurrency");
    assert.match(first.log, /REPORT RequestId/);
    assert.doesNotMatch(first.log, /Init Duration/);
    const three = await Promise.all([1, 2, 3].map(() => told("warm", { ms: 1500 }, { Qualifier: version })));
    assert.deepEqual(three.map(({ type }) => type).sort(), [
      "on-demand",
      "provisioned-concurrency",
      "provisioned-concurrency",
    ]);
    assert.equal((await told("warm")).type, "on-demand", "$LATEST has none");
  });

  test("survives a restart of the server, and a death of its processes", async () => {
    await server.kill("SIGKILL");
    await start();
    await ready("warm", "1");
    const { type, environment } = await told("warm", {}, { Qualifier: "1" });
    assert.equal(type, "provisioned-concurrency");
    await deploy(lambda, "dies", {
      files: { "index.js": "exports.handler = async () => process.exit(1);" },
    });
    await publish("dies");
    await lambda.send(
      new L.PutProvisionedConcurrencyConfigCommand({
        FunctionName: "dies",
        Qualifier: "1",
        ProvisionedConcurrentExecutions: 1,
      }),
    );
    await ready("dies", "1");
    const died = await call(lambda, "dies", {}, { Qualifier: "1" });
    assert.equal(died.functionError, "Unhandled");
    await ready("dies", "1");
    assert.equal(
      (await told("warm", {}, { Qualifier: "1" })).environment,
      environment,
      "others are untouched",
    );
  });

  test("of an alias follows its versions", async () => {
    await lambda.send(
      new L.UpdateFunctionConfigurationCommand({ FunctionName: "warm", Description: "second" }),
    );
    await L.waitUntilFunctionUpdatedV2(
      { client: lambda, maxWaitTime: 60, minDelay: 0.05, maxDelay: 0.2 },
      { FunctionName: "warm" },
    );
    const second = await publish("warm");
    assert.equal(second, "2");
    await lambda.send(
      new L.DeleteProvisionedConcurrencyConfigCommand({ FunctionName: "warm", Qualifier: "1" }),
    );
    await lambda.send(
      new L.CreateAliasCommand({
        FunctionName: "warm",
        Name: "live",
        FunctionVersion: "1",
        RoutingConfig: { AdditionalVersionWeights: { 2: 0.5 } },
      }),
    );
    await lambda.send(
      new L.PutProvisionedConcurrencyConfigCommand({
        FunctionName: "warm",
        Qualifier: "live",
        ProvisionedConcurrentExecutions: 2,
      }),
    );
    await ready("warm", "live");
    for (const Qualifier of ["1", "2"])
      assert.equal((await told("warm", {}, { Qualifier })).type, "provisioned-concurrency");
    const { ProvisionedConcurrencyConfigs: configs } = await lambda.send(
      new L.ListProvisionedConcurrencyConfigsCommand({ FunctionName: "warm" }),
    );
    assert.deepEqual(
      configs?.map(({ FunctionArn, Status }) => [FunctionArn, Status]),
      [[`${ARN}:warm:live`, "READY"]],
    );
  });

  test("fails when the function cannot be initialised", async () => {
    await deploy(lambda, "broken", { files: { "index.js": "throw new Error('no');" } });
    await publish("broken");
    await lambda.send(
      new L.PutProvisionedConcurrencyConfigCommand({
        FunctionName: "broken",
        Qualifier: "1",
        ProvisionedConcurrentExecutions: 1,
      }),
    );
    const failed = await eventually("it has failed", async () => {
      const found = await config("broken", "1");
      return found.Status === "FAILED" && found;
    });
    assert.equal(failed.StatusReason, "FUNCTION_ERROR_INIT_FAILURE");
    await lambda.send(
      new L.DeleteProvisionedConcurrencyConfigCommand({ FunctionName: "broken", Qualifier: "1" }),
    );
    await assert.rejects(config("broken", "1"), L.ProvisionedConcurrencyConfigNotFoundException);
  });
});

const tools = awsTools();
test("the AWS CLI", { skip: "reason" in tools ? tools.reason : false }, async () => {
  const program = join("folder" in tools ? tools.folder : "", "aws");
  const env = { ...server.environment(), PATH: process.env["PATH"], HOME: home, AWS_PAGER: "" };
  const aws = async (...args: string[]) => {
    const { stdout } = await promisify(execFile)(program, ["--output", "json", "lambda", ...args], { env });
    return stdout === "" ? undefined : (JSON.parse(stdout) as Record<string, unknown>);
  };
  const named = ["--function-name", "warm"];
  assert.deepEqual(await aws("put-function-concurrency", ...named, "--reserved-concurrent-executions", "5"), {
    ReservedConcurrentExecutions: 5,
  });
  assert.deepEqual(await aws("get-function-concurrency", ...named), { ReservedConcurrentExecutions: 5 });
  const got = await aws("get-provisioned-concurrency-config", ...named, "--qualifier", "live");
  assert.equal(got?.["Status"], "READY");
  await assert.rejects(
    aws(
      "put-provisioned-concurrency-config",
      ...named,
      "--qualifier",
      "live",
      "--provisioned-concurrent-executions",
      "6",
    ),
    /InvalidParameterValueException.*Requested Provisioned Concurrency should not be greater than the reservedConcurrentExecution for function/,
  );
  await aws("delete-provisioned-concurrency-config", ...named, "--qualifier", "live");
  assert.deepEqual(await aws("list-provisioned-concurrency-configs", ...named), {
    ProvisionedConcurrencyConfigs: [],
  });
  await aws("delete-function-concurrency", ...named);
});
