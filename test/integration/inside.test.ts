/**
 * Goal: code inside an execution environment sees what it sees on AWS: variables, context, folders, logs.
 * Method: functions that tell what they see, invoked through the SDK; their log streams read back through CloudWatch Logs.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { FilterLogEventsCommand, type CloudWatchLogsClient } from "@aws-sdk/client-cloudwatch-logs";
import type { LambdaClient } from "@aws-sdk/client-lambda";
import { call, deploy, eventually } from "../support/functions.ts";
import { ROLE, startTestServer, type TestServer } from "../support/server.ts";

const UUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}";
const STREAM = /^\d{4}\/\d\d\/\d\d\/\[\$LATEST\][0-9a-f]{32}$/;
const TRACE = /^Root=1-[0-9a-f]{8}-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=[01]$/;

let server: TestServer;
let lambda: LambdaClient;
let logs: CloudWatchLogsClient;
before(async () => {
  server = await startTestServer();
  lambda = server.lambda();
  logs = server.logs();
});
after(() => server.stop());

/** What every runtime has, with the values that tests can know. */
const VARIABLES = {
  AWS_DEFAULT_REGION: "us-east-1",
  AWS_REGION: "us-east-1",
  AWS_LAMBDA_FUNCTION_MEMORY_SIZE: "256",
  AWS_LAMBDA_FUNCTION_VERSION: "$LATEST",
  AWS_LAMBDA_INITIALIZATION_TYPE: "on-demand",
  AWS_LAMBDA_RUNTIME_API: "169.254.100.1:9001",
  AWS_XRAY_CONTEXT_MISSING: "LOG_ERROR",
  AWS_XRAY_DAEMON_ADDRESS: "169.254.100.1:2000",
  _AWS_XRAY_DAEMON_ADDRESS: "169.254.100.1",
  _AWS_XRAY_DAEMON_PORT: "2000",
  LAMBDA_RUNTIME_DIR: "/var/runtime",
  LAMBDA_TASK_ROOT: "/var/task",
  LANG: "en_US.UTF-8",
  LD_LIBRARY_PATH:
    "/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib",
  PATH: "/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin",
  PWD: "/var/task",
  SHLVL: "0",
  TZ: ":UTC",
  STAGE: "test",
};

/** Takes the variables whose values are different each time out, after a look at them. */
function settled(name: string, { ...seen }: Record<string, string>): Record<string, string> {
  const take = (variable: string, pattern: RegExp) => {
    assert.match(seen[variable] ?? "", pattern, variable);
    delete seen[variable];
  };
  take("AWS_ACCESS_KEY_ID", /^ASIA[A-Z2-7]{16}$/);
  take("AWS_SECRET_ACCESS_KEY", /^.{40}$/);
  take("AWS_SESSION_TOKEN", /^.{64,}$/);
  take("AWS_LAMBDA_LOG_STREAM_NAME", STREAM);
  // Hornero's own: the SDKs inside find the server that runs them.
  take("AWS_ENDPOINT_URL", /^http:\/\/169\.254\.100\.1:\d+$/);
  assert.equal(seen["AWS_LAMBDA_FUNCTION_NAME"], name);
  assert.equal(seen["AWS_LAMBDA_LOG_GROUP_NAME"], `/aws/lambda/${name}`);
  delete seen["AWS_LAMBDA_FUNCTION_NAME"];
  delete seen["AWS_LAMBDA_LOG_GROUP_NAME"];
  return seen;
}

const SETTINGS = { MemorySize: 256, Environment: { Variables: { STAGE: "test" } } };
const NODE_SOURCE = `
const fs = require("node:fs");
const attempt = (act) => { try { return act() } catch (error) { return error.code } };
exports.handler = async (event, context) => ({
  env: process.env,
  context: { ...context, remainingMs: context.getRemainingTimeInMillis() },
  cwd: process.cwd(),
  uid: process.getuid(),
  writes: Object.fromEntries(["/var/task", "/var/runtime", "/opt", "/usr", "/"].map((folder) =>
    [folder, attempt(() => fs.writeFileSync(folder + "/x", "x")) ?? "written"])),
  tmpMb: Math.floor(fs.statfsSync("/tmp").bavail * fs.statfsSync("/tmp").bsize / 2 ** 20),
});`;
const READ_ONLY = {
  "/var/task": "EROFS",
  "/var/runtime": "EROFS",
  "/opt": "EROFS",
  "/usr": "EROFS",
  "/": "EROFS",
};

describe("what code sees", () => {
  test("Node.js", async () => {
    await deploy(lambda, "node", { files: { "index.js": NODE_SOURCE }, Timeout: 10, ...SETTINGS });
    const called = await call(lambda, "node");
    type Seen = { env: Record<string, string>; context: Record<string, unknown>; [more: string]: unknown };
    const { env, context, ...rest } = called.body as Seen;
    const { _X_AMZN_TRACE_ID: trace, ...variables } = settled("node", env);
    assert.match(trace ?? "", TRACE);
    assert.deepEqual(variables, {
      ...VARIABLES,
      AWS_EXECUTION_ENV: "AWS_Lambda_nodejs24.x",
      _HANDLER: "index.handler",
      NODE_PATH:
        "/opt/nodejs/node24/node_modules:/opt/nodejs/node_modules:/var/runtime/node_modules:/var/runtime:/var/task",
    });
    const { remainingMs, logStreamName, ...told } = context;
    assert(typeof remainingMs === "number" && remainingMs > 0 && remainingMs <= 10_000, String(remainingMs));
    assert.equal(logStreamName, env["AWS_LAMBDA_LOG_STREAM_NAME"]);
    assert.deepEqual(told, {
      functionName: "node",
      functionVersion: "$LATEST",
      memoryLimitInMB: "256",
      logGroupName: "/aws/lambda/node",
      invokedFunctionArn: "arn:aws:lambda:us-east-1:000000000000:function:node",
      awsRequestId: called.requestId,
    });
    const { uid, ...places } = rest;
    assert.notEqual(uid, 0);
    assert.deepEqual(places, { cwd: "/var/task", writes: READ_ONLY, tmpMb: 512 });
  });

  test("Python", async () => {
    const source = `
import os
def handler(event, context):
    return {"env": dict(os.environ), "cwd": os.getcwd(), "context": {
        "aws_request_id": context.aws_request_id, "function_name": context.function_name,
        "function_version": context.function_version, "invoked_function_arn": context.invoked_function_arn,
        "memory_limit_in_mb": context.memory_limit_in_mb, "log_group_name": context.log_group_name,
        "log_stream_name": context.log_stream_name, "client_context": context.client_context,
        "cognito": context.identity.cognito_identity_id, "remaining": context.get_remaining_time_in_millis()}}`;
    await deploy(lambda, "python", {
      Runtime: "python3.11",
      files: { "index.py": source },
      Timeout: 10,
      ...SETTINGS,
    });
    const called = await call(lambda, "python");
    type Seen = { env: Record<string, string>; cwd: string; context: Record<string, unknown> };
    const { env, cwd, context } = called.body as Seen;
    const { _X_AMZN_TRACE_ID: trace, LC_CTYPE: locale, ...variables } = settled("python", env);
    assert.match(trace ?? "", TRACE);
    assert.equal(locale, "C.UTF-8");
    assert.deepEqual(variables, {
      ...VARIABLES,
      AWS_EXECUTION_ENV: "AWS_Lambda_python3.11",
      _HANDLER: "index.handler",
      PYTHONPATH: "/var/runtime",
    });
    assert.equal(cwd, "/var/task");
    const { remaining, log_stream_name, ...told } = context;
    assert(typeof remaining === "number" && remaining > 0 && remaining <= 10_000, String(remaining));
    assert.equal(log_stream_name, env["AWS_LAMBDA_LOG_STREAM_NAME"]);
    assert.deepEqual(told, {
      aws_request_id: called.requestId,
      function_name: "python",
      function_version: "$LATEST",
      invoked_function_arn: "arn:aws:lambda:us-east-1:000000000000:function:python",
      memory_limit_in_mb: "256",
      log_group_name: "/aws/lambda/python",
      client_context: null,
      cognito: null,
    });
  });

  test("its credentials work, and are its role's", async () => {
    const bootstrap = `#!/bin/bash
api="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation"
while true; do
  id=$(curl -sS -D - -o /dev/null "$api/next" | grep -i '^lambda-runtime-aws-request-id' | tr -d '[:space:]' | cut -d: -f2)
  who=$(curl -sS --aws-sigv4 aws:amz:us-east-1:sts -u "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" -H "X-Amz-Security-Token: $AWS_SESSION_TOKEN" -d 'Action=GetCallerIdentity&Version=2011-06-15' "$AWS_ENDPOINT_URL/" | grep -o '<Arn>.*</Arn>')
  curl -sS -o /dev/null -d "\\"$who\\"" "$api/$id/response"
done`;
    await deploy(lambda, "caller", { Runtime: "provided.al2023", files: { bootstrap } });
    const arn = `arn:aws:sts::000000000000:assumed-role/${ROLE.split("/")[1]}/caller`;
    assert.equal((await call(lambda, "caller")).body, `<Arn>${arn}</Arn>`);
  });
});

describe("limits", { concurrency: 2 }, () => {
  test("memory: beyond the limit the kernel ends the runtime", async () => {
    const source = `exports.handler = async ({ mb }) => {
      const kept = []; for (let i = 0; i < mb; i += 8) kept.push(Buffer.alloc(8 * 2 ** 20, 1)); return kept.length }`;
    await deploy(lambda, "memory", { files: { "index.js": source }, MemorySize: 128, Timeout: 20 });
    assert.equal((await call(lambda, "memory", { mb: 32 })).body, 4);
    const killed = await call(lambda, "memory", { mb: 512 });
    assert.deepEqual(killed.body, {
      errorType: "Runtime.ExitError",
      errorMessage: `RequestId: ${killed.requestId} Error: Runtime exited with error: signal: killed`,
    });
    assert.match(
      killed.log,
      /\tMemory Size: 128 MB\tMax Memory Used: 128 MB\t(Init Duration: [\d.]+ ms\t)?Status: error\tError Type: Runtime\.(ExitError|OutOfMemory)\t\n$/,
    );
    assert.equal((await call(lambda, "memory", { mb: 8 })).body, 1);
  });

  test("/tmp holds what it was given, and not a block more; it is kept between invocations", async () => {
    const source = `
const fs = require("node:fs");
exports.handler = async ({ mb }) => {
  if (mb === undefined) return fs.readdirSync("/tmp");
  const file = fs.openSync("/tmp/data", "w"), block = Buffer.alloc(2 ** 20, 1);
  let written = 0;
  try { for (; written < mb; written += 1) fs.writeSync(file, block) } catch (error) { return error.code } finally { fs.closeSync(file) }
  return written;
};`;
    await deploy(lambda, "storage", { files: { "index.js": source }, MemorySize: 1024, Timeout: 30 });
    assert.equal((await call(lambda, "storage", { mb: 510 })).body, 510);
    assert.deepEqual((await call(lambda, "storage")).body, ["data"]);
    assert.equal((await call(lambda, "storage", { mb: 520 })).body, "ENOSPC");
  });

  test("an init phase is given 10 seconds; then it is repeated inside the invocation, under its timeout", async () => {
    const source = `await new Promise((resolve) => setTimeout(resolve, 60_000)); export const handler = async () => 1;`;
    await deploy(lambda, "slow-init", { files: { "index.mjs": source }, Timeout: 1 });
    const failed = await call(lambda, "slow-init");
    assert.deepEqual(failed.body, {
      errorType: "Sandbox.Timedout",
      errorMessage: `RequestId: ${failed.requestId} Error: Task timed out after 1.00 seconds`,
    });
    const messages = await logOf("slow-init", /^REPORT/);
    // A timer may fire a fraction of a millisecond before the finer clock has reached its time.
    assert(
      messages.some((message) =>
        /^INIT_REPORT Init Duration: (9999|10\d{3})\.\d\d ms\tPhase: init\tStatus: timeout$/.test(message),
      ),
      messages.join("\n"),
    );
    assert(
      messages.some((message) =>
        /^INIT_REPORT Init Duration: \d+\.\d\d ms\tPhase: invoke\tStatus: timeout$/.test(message),
      ),
      messages.join("\n"),
    );
  });
});

/** All messages of the function's log, as soon as one of them matches. */
async function logOf(name: string, wanted: RegExp): Promise<string[]> {
  return await eventually(`the log of ${name}`, async () => {
    const command = new FilterLogEventsCommand({ logGroupName: `/aws/lambda/${name}` });
    const { events } = await logs.send(command).catch(() => ({ events: undefined }));
    const messages = (events ?? []).map(({ message }) => message ?? "");
    return messages.some((message) => wanted.test(message)) && messages;
  });
}

describe("logs", () => {
  const source = `exports.handler = async () => {
    console.debug("d"); console.log("one\\ntwo"); console.info({ a: 1 }); console.warn("w"); console.error(new Error("e"));
    process.stdout.write("raw\\n");
  };`;
  test("text", async () => {
    await deploy(lambda, "text", { files: { "index.js": source } });
    const { requestId: id } = await call(lambda, "text");
    const messages = await logOf("text", /^REPORT/);
    const time = "\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{3}Z";
    const line = (level: string, text: string) => new RegExp(`^${time}\\t${id}\\t${level}\\t${text}`);
    const expected = [
      /^INIT_START Runtime Version: nodejs:24\.v\d+\tRuntime Version ARN: arn:aws:lambda:us-east-1::runtime:[0-9a-f]{64}$/,
      new RegExp(`^START RequestId: ${id} Version: \\$LATEST$`),
      line("DEBUG", "d$"),
      line("INFO", "one\\ntwo$"),
      line("INFO", "\\{ a: 1 \\}$"),
      line("WARN", "w$"),
      line("ERROR", "Error: e\\n {4}at "),
      new RegExp(`^END RequestId: ${id}$`),
      new RegExp(
        `^REPORT RequestId: ${id}\\tDuration: \\d+\\.\\d\\d ms\\tBilled Duration: \\d+ ms\\tMemory Size: 128 MB\\tMax Memory Used: \\d+ MB\\tInit Duration: \\d+\\.\\d\\d ms\\t$`,
      ),
    ];
    // What bypasses the console has a way of its own; its place among the lines is not promised.
    const ordered = messages.filter((message) => message !== "raw");
    assert.equal(messages.length - ordered.length, 1);
    assert.equal(ordered.length, expected.length, ordered.join("\n"));
    for (const [index, pattern] of expected.entries()) assert.match(ordered[index] ?? "", pattern);
  });

  test("JSON, from WARN on", async () => {
    await deploy(lambda, "json", {
      files: { "index.js": source },
      LoggingConfig: {
        LogFormat: "JSON",
        ApplicationLogLevel: "WARN",
        SystemLogLevel: "INFO",
        LogGroup: "/custom/json",
      },
    });
    const { requestId } = await call(lambda, "json");
    const messages = await eventually("the report", async () => {
      const { events } = await logs.send(new FilterLogEventsCommand({ logGroupName: "/custom/json" }));
      const found = (events ?? []).map(({ message }) => message ?? "");
      return (
        found.some((message) => message.includes("platform.report")) &&
        found.filter((message) => message !== "raw")
      );
    });
    const parsed = messages.map((message) => JSON.parse(message) as Record<string, unknown>);
    assert.deepEqual(
      parsed.map(({ type, level }) => type ?? level),
      ["platform.initStart", "platform.start", "WARN", "ERROR", "platform.report"],
    );
    const { timestamp, ...warning } = parsed[2] ?? {};
    assert.match(String(timestamp), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    assert.deepEqual(warning, { level: "WARN", requestId, message: "w" });
    assert.equal((parsed[3] as { message: { errorMessage: string } }).message.errorMessage, "e");
    const { record } = parsed[4] as {
      record: { requestId: string; status: string; metrics: Record<string, number> };
    };
    assert.deepEqual(
      [record.requestId, record.status, record.metrics["memorySizeMB"]],
      [requestId, "success", 128],
    );
    assert.match(requestId, new RegExp(`^${UUID}$`));
  });
});
