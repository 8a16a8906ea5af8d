/**
 * Goal: asynchronous invocation keeps its promises through a real server: what was accepted is run, through kill -9 and
 * restarts; retries, destinations and recursion detection work through the real wire; a deleted function leaves nothing.
 * Method: functions tell what they see in their logs, which are read through CloudWatch Logs, and in the crash test, where
 * the last lines of a log may be lost, in a file.
 * HORNERO_TEST_ASYNC_EVENTS sets how many events the crash test accepts (2,000 by default).
 */
import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, before, describe, it } from "node:test";
import { FilterLogEventsCommand } from "@aws-sdk/client-cloudwatch-logs";
import {
  DeleteFunctionCommand,
  InvokeCommand,
  InvokeAsyncCommand,
  PutFunctionConcurrencyCommand,
  PutFunctionEventInvokeConfigCommand,
  PutFunctionRecursionConfigCommand,
  type LambdaClient,
} from "@aws-sdk/client-lambda";
import { deploy, eventually } from "../support/functions.ts";
import { createRole, startTestServer, type TestServer } from "../support/server.ts";

const HANDLER_MS = 15;
const EVENTS = Number(process.env["HORNERO_TEST_ASYNC_EVENTS"] ?? 2000);
const CLIENTS = 16;
/** Half of the account's concurrency in the crash test. */
const RUNNING_MAX = 4;
const RETRY_DELAY = ["--async-retry-delay", "1"];
const ARN = "arn:aws:lambda:us-east-1:000000000000:function";

/** Prints a line that the log's filter finds: `seen JSON`. */
const SEES = `
exports.handler = async (event, context) => {
  console.log("seen " + JSON.stringify({ event, id: context.awsRequestId, arn: context.invokedFunctionArn }));
  if (event.fail) throw new TypeError("it broke");
  return { ok: event };
};`;

async function send(lambda: LambdaClient, name: string, event: unknown): Promise<string> {
  const { StatusCode, $metadata } = await lambda.send(
    new InvokeCommand({
      FunctionName: name,
      InvocationType: "Event",
      Payload: Buffer.from(JSON.stringify(event)),
    }),
  );
  assert.equal(StatusCode, 202);
  return $metadata.requestId ?? "";
}

interface Seen {
  readonly event: Record<string, unknown>;
  readonly id: string;
  readonly arn: string;
}

/** What the function printed so far. */
async function seen(server: TestServer, name: string): Promise<Seen[]> {
  const found: Seen[] = [];
  const logs = server.logs();
  let nextToken: string | undefined;
  do {
    const page = await logs.send(
      new FilterLogEventsCommand({
        logGroupName: `/aws/lambda/${name}`,
        filterPattern: '"seen "',
        nextToken,
      }),
    );
    for (const { message = "" } of page.events ?? [])
      found.push(JSON.parse(message.slice(message.indexOf("seen ") + 5)) as Seen);
    ({ nextToken } = page);
  } while (nextToken !== undefined);
  return found;
}

/** Waits until the function has printed so much. */
async function untilSeen(server: TestServer, name: string, count: number): Promise<Seen[]> {
  return eventually(`${name} is run ${count} times`, async () => {
    try {
      const found = await seen(server, name);
      return found.length >= count && found;
    } catch (error) {
      if ((error as Error).name === "ResourceNotFoundException") return undefined;
      throw error;
    }
  });
}

/** Looked up on disk, beside the running server. */
function storedEvents(dataDirectory: string): number {
  const database = new DatabaseSync(join(dataDirectory, "hornero.db"), { readOnly: true });
  try {
    const row = database
      .prepare(
        "SELECT count(*) AS n FROM messages JOIN queues ON queues.id = queue_id WHERE name LIKE 'lambda/asynchronous/%'",
      )
      .get();
    return Number(row?.["n"]);
  } finally {
    database.close();
  }
}

describe("asynchronous invocation", () => {
  let server: TestServer;
  let lambda: LambdaClient;
  before(async () => {
    server = await startTestServer({ args: RETRY_DELAY });
    lambda = server.lambda();
  });
  after(() => server.stop());

  it("retries a failing function and delivers the record to its destination", async () => {
    await deploy(lambda, "collector", { files: { "index.js": SEES } });
    const statement = { Effect: "Allow", Action: ["lambda:InvokeFunction", "logs:*"], Resource: "*" };
    const Role = await createRole(server, "sender", { Version: "2012-10-17", Statement: [statement] });
    await deploy(lambda, "failing", { files: { "index.js": SEES }, Role });
    await lambda.send(
      new PutFunctionEventInvokeConfigCommand({
        FunctionName: "failing",
        MaximumRetryAttempts: 2,
        DestinationConfig: {
          OnSuccess: { Destination: `${ARN}:collector` },
          OnFailure: { Destination: `${ARN}:collector` },
        },
      }),
    );
    const failed = await send(lambda, "failing", { fail: true, text: "é" });
    const attempts = await untilSeen(server, "failing", 3);
    assert.deepEqual(new Set(attempts.map(({ id }) => id)), new Set([failed]));
    const [failure] = await untilSeen(server, "collector", 1);
    assert(failure);
    assert.notEqual(failure.id, failed);
    const { timestamp, responsePayload, ...rest } = failure.event as {
      timestamp: string;
      responsePayload: Record<string, unknown>;
    };
    assert.match(timestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    assert.equal(responsePayload["errorType"], "TypeError");
    assert.equal(responsePayload["errorMessage"], "it broke");
    assert.deepEqual(rest, {
      version: "1.0",
      requestContext: {
        requestId: failed,
        functionArn: `${ARN}:failing:$LATEST`,
        condition: "RetriesExhausted",
        approximateInvokeCount: 3,
      },
      requestPayload: { fail: true, text: "é" },
      responseContext: { statusCode: 200, executedVersion: "$LATEST", functionError: "Unhandled" },
    });
    const succeeded = await send(lambda, "failing", { text: "fine" });
    const records = await untilSeen(server, "collector", 2);
    const success = records.find(
      ({ event }) => (event["requestContext"] as { requestId: string }).requestId === succeeded,
    );
    assert(success);
    assert.equal((success.event["requestContext"] as { condition: string }).condition, "Success");
    assert.deepEqual(success.event["responsePayload"], { ok: { text: "fine" } });
    assert.deepEqual(success.event["responseContext"], { statusCode: 200, executedVersion: "$LATEST" });
  });

  it("tells the destination of events that a function without concurrency cannot have", async () => {
    await lambda.send(
      new PutFunctionConcurrencyCommand({ FunctionName: "failing", ReservedConcurrentExecutions: 0 }),
    );
    const refused = await send(lambda, "failing", { text: "off" });
    const records = await untilSeen(server, "collector", 3);
    const contexts = records.map(({ event }) => event["requestContext"] as Record<string, unknown>);
    const context = contexts.find(({ requestId }) => requestId === refused);
    assert.deepEqual(
      [context?.["condition"], context?.["approximateInvokeCount"]],
      ["ZeroReservedConcurrency", 0],
    );
  });

  it("takes InvokeAsync, the old operation", async () => {
    await deploy(lambda, "old", { files: { "index.js": SEES } });
    const { Status } = await lambda.send(
      new InvokeAsyncCommand({ FunctionName: "old", InvokeArgs: '{"old":1}' }),
    );
    assert.equal(Status, 202);
    const [found] = await untilSeen(server, "old", 1);
    assert.deepEqual(found?.event, { old: 1 });
    await assert.rejects(lambda.send(new InvokeAsyncCommand({ FunctionName: "old", InvokeArgs: "{" })), {
      name: "InvalidRequestContentException",
    });
    await assert.rejects(
      lambda.send(new InvokeAsyncCommand({ FunctionName: "old", InvokeArgs: `"${"a".repeat(256 * 1024)}"` })),
      { name: "RequestTooLargeException" },
    );
    await assert.rejects(lambda.send(new InvokeAsyncCommand({ FunctionName: "nobody", InvokeArgs: "{}" })), {
      name: "ResourceNotFoundException",
    });
  });

  it("stops a function that invokes itself after sixteen times, unless it is allowed", async () => {
    // As the SDK does it: the invocation's trace header goes along with the call.
    const source = `
const http = require("node:http");
exports.handler = async (event) => {
  console.log("seen " + JSON.stringify({ event }));
  if (event.n >= 20) return;
  const url = new URL(process.env.AWS_ENDPOINT_URL + "/2015-03-31/functions/" + process.env.AWS_LAMBDA_FUNCTION_NAME + "/invocations");
  const body = JSON.stringify({ n: event.n + 1 });
  const headers = {
    "x-amz-invocation-type": "Event",
    "x-amzn-trace-id": process.env._X_AMZN_TRACE_ID,
    ...require("./sign.js").sign(url, body),
  };
  await new Promise((resolve, reject) => {
    const request = http.request(url, { method: "POST", headers }, (answer) => {
      answer.resume();
      answer.on("end", () => (answer.statusCode === 202 ? resolve() : reject(new Error("status " + answer.statusCode))));
    });
    request.on("error", reject);
    request.end(body);
  });
};`;
    const sign = `
const { createHash, createHmac } = require("node:crypto");
const hash = (text) => createHash("sha256").update(text).digest("hex");
const hmac = (key, text) => createHmac("sha256", key).update(text).digest();
exports.sign = (url, body) => {
  const { AWS_ACCESS_KEY_ID: id, AWS_SECRET_ACCESS_KEY: secret, AWS_SESSION_TOKEN: token, AWS_REGION: region } = process.env;
  const time = new Date().toISOString().replace(/[-:]|\\.\\d{3}/g, "");
  const scope = time.slice(0, 8) + "/" + region + "/lambda/aws4_request";
  const headers = { host: url.host, "x-amz-content-sha256": hash(body), "x-amz-date": time, "x-amz-invocation-type": "Event", "x-amz-security-token": token };
  const names = Object.keys(headers).join(";");
  const lines = Object.entries(headers).map(([name, value]) => name + ":" + value + "\\n").join("");
  const canonical = ["POST", url.pathname, "", lines, names, hash(body)].join("\\n");
  const key = ["lambda", "aws4_request"].reduce(hmac, hmac(hmac("AWS4" + secret, time.slice(0, 8)), region));
  const signature = hmac(key, ["AWS4-HMAC-SHA256", time, scope, hash(canonical)].join("\\n")).toString("hex");
  return { ...headers, authorization: "AWS4-HMAC-SHA256 Credential=" + id + "/" + scope + ", SignedHeaders=" + names + ", Signature=" + signature };
};`;
    const Action = ["lambda:InvokeFunction", "logs:*"];
    const statement = { Effect: "Allow", Action, Resource: "*" };
    const Role = await createRole(server, "loop", { Version: "2012-10-17", Statement: [statement] });
    await deploy(lambda, "loop", { files: { "index.js": source, "sign.js": sign }, Timeout: 10, Role });
    await send(lambda, "loop", { n: 1 });
    await eventually("the loop is stopped", () => server.stderr().includes("RecursiveInvocationDetected"));
    assert.equal((await untilSeen(server, "loop", 16)).length, 16);
    await lambda.send(
      new PutFunctionRecursionConfigCommand({ FunctionName: "loop", RecursiveLoop: "Allow" }),
    );
    await send(lambda, "loop", { n: 1 });
    await untilSeen(server, "loop", 36);
  });

  it("drops the events of a deleted function", async () => {
    await deploy(lambda, "doomed", { files: { "index.js": SEES } });
    for (let count = 0; count < 50; count += 1) await send(lambda, "doomed", { fail: true });
    await eventually("some are delayed", () => storedEvents(server.dataDirectory) > 0);
    await lambda.send(new DeleteFunctionCommand({ FunctionName: "doomed" }));
    await eventually("nothing is left", () => storedEvents(server.dataDirectory) === 0);
  });
});

describe("after kill -9", () => {
  it(`each of ${EVENTS} accepted events is run, and only those under way twice`, async () => {
    const dataDirectory = mkdtempSync(join(tmpdir(), "hornero-async-"));
    const witness = join(mkdtempSync(join(tmpdir(), "hornero-witness-")), "runs");
    writeFileSync(witness, "");
    for (const path of [dirname(witness), witness]) chmodSync(path, 0o777);
    // Without walls a function can write to the test's file: what it wrote before the kill is there after it.
    const args = ["--driver", "process", "--concurrency", String(2 * RUNNING_MAX), ...RETRY_DELAY];
    let server = await startTestServer({ dataDirectory, args });
    try {
      // Slower than events are accepted, so that some are left.
      const source = `const { appendFileSync } = require("node:fs");
exports.handler = async ({ n }) => {
  await new Promise((resolve) => setTimeout(resolve, ${HANDLER_MS}));
  appendFileSync(${JSON.stringify(witness)}, n + "\\n");
};`;
      await deploy(server.lambda(), "counted", { files: { "index.js": source } });
      await acceptAll(server, EVENTS);
      const left = storedEvents(dataDirectory);
      assert(left > 0, "the server is killed before it has run all of them");
      await server.kill("SIGKILL");
      server = await startTestServer({ dataDirectory, args });
      await untilDone(server);
      const runs = new Map<number, number>();
      for (const line of readFileSync(witness, "utf8").trimEnd().split("\n"))
        runs.set(Number(line), (runs.get(Number(line)) ?? 0) + 1);
      const numbers = Array.from({ length: EVENTS }, (_, number) => number);
      assert.deepEqual(
        numbers.filter((number) => !runs.has(number)),
        [],
        "none is lost",
      );
      const twice = [...runs.values()].filter((count) => count > 1);
      assert(twice.length <= RUNNING_MAX, `${twice.length} were run twice: at most as many as run at once`);
      assert(Math.max(0, ...twice) <= 2, "nothing is run three times");
      await server.stop();
    } finally {
      await server.kill("SIGKILL");
      for (const path of [dataDirectory, dirname(witness)]) await rm(path, { recursive: true, force: true });
    }
  });
});

/** Sends events 0 … count − 1 and has each accepted. */
async function acceptAll(server: TestServer, count: number): Promise<void> {
  let next = 0;
  const client = async () => {
    const lambda = server.lambda();
    for (let n = next++; n < count; n = next++) await send(lambda, "counted", { n });
  };
  await Promise.all(Array.from({ length: CLIENTS }, client));
}

/** Waits as long as the number of stored events falls. */
async function untilDone(server: TestServer): Promise<void> {
  const left = () => storedEvents(server.dataDirectory);
  for (let before = left(); before > 0; before = left())
    await eventually(`fewer than ${before} events are left`, () => left() < before);
}
