/**
 * Goal: a function sees the variables it would see on AWS, may override those that AWS lets it override, and no other.
 * Method: the pure function with one example of each kind; the expected sets are those recorded on AWS.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { FunctionVersion } from "../model.ts";
import { environmentVariables, RESERVED_VARIABLES, runtimeVariables } from "./environment-variables.ts";
import { RUNTIMES } from "./runtimes.ts";

const version: FunctionVersion = {
  functionArn: "arn:aws:lambda:eu-west-1:123456789012:function:f",
  name: "f",
  version: "7",
  revisionId: "r",
  runtime: "nodejs22.x",
  handler: "index.handler",
  role: "arn:aws:iam::123456789012:role/r",
  codeSha256Hex: "",
  memoryMb: 512,
  timeoutMs: 3000,
  ephemeralStorageMb: 512,
  environment: {},
  layerSha256Hex: [],
  logging: { format: "Text", applicationLevel: "INFO", systemLevel: "INFO", group: "/aws/lambda/f" },
  tracingMode: "PassThrough",
};
const options = {
  region: "eu-west-1",
  logStream: "2026/11/23/[7]00",
  credentials: { accessKeyId: "ASIA", secretAccessKey: "s", sessionToken: "t" },
  runtimeApi: "169.254.100.1:9001",
};

function variables(runtimeId: string, overrides: Partial<FunctionVersion> = {}, endpointUrl?: string) {
  const description = RUNTIMES.get(runtimeId);
  assert.ok(description);
  return environmentVariables(
    { ...version, ...overrides },
    {
      ...options,
      runtime: { environment: runtimeVariables(description) },
      ...(endpointUrl === undefined ? {} : { endpointUrl }),
    },
  );
}

const ON_EVERY_RUNTIME = [
  "AWS_ACCESS_KEY_ID",
  "AWS_DEFAULT_REGION",
  "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
  "AWS_LAMBDA_FUNCTION_NAME",
  "AWS_LAMBDA_FUNCTION_VERSION",
  "AWS_LAMBDA_INITIALIZATION_TYPE",
  "AWS_LAMBDA_LOG_GROUP_NAME",
  "AWS_LAMBDA_LOG_STREAM_NAME",
  "AWS_LAMBDA_RUNTIME_API",
  "AWS_REGION",
  "AWS_SECRET_ACCESS_KEY",
  "AWS_SESSION_TOKEN",
  "AWS_XRAY_CONTEXT_MISSING",
  "AWS_XRAY_DAEMON_ADDRESS",
  "LAMBDA_RUNTIME_DIR",
  "LAMBDA_TASK_ROOT",
  "LANG",
  "LD_LIBRARY_PATH",
  "PATH",
  "PWD",
  "SHLVL",
  "TZ",
  "_AWS_XRAY_DAEMON_ADDRESS",
  "_AWS_XRAY_DAEMON_PORT",
  "_HANDLER",
];

test("the set of names is AWS's, runtime by runtime", () => {
  const names = (runtimeId: string) => Object.keys(variables(runtimeId)).sort();
  assert.deepEqual(names("provided.al2023"), ON_EVERY_RUNTIME);
  assert.deepEqual(names("nodejs22.x"), [...ON_EVERY_RUNTIME, "AWS_EXECUTION_ENV", "NODE_PATH"].sort());
  assert.deepEqual(names("python3.13"), [...ON_EVERY_RUNTIME, "AWS_EXECUTION_ENV", "PYTHONPATH"].sort());
});

test("values come from the function and its place", () => {
  const {
    AWS_LAMBDA_FUNCTION_VERSION,
    AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    AWS_REGION,
    _HANDLER,
    AWS_ENDPOINT_URL,
  } = variables("nodejs22.x", {}, "http://169.254.100.1:4566");
  assert.deepEqual(
    [AWS_LAMBDA_FUNCTION_VERSION, AWS_LAMBDA_FUNCTION_MEMORY_SIZE, AWS_REGION, _HANDLER, AWS_ENDPOINT_URL],
    ["7", "512", "eu-west-1", "index.handler", "http://169.254.100.1:4566"],
  );
});

test("JSON logging adds format and level", () => {
  const logging = { ...version.logging, format: "JSON", applicationLevel: "WARN" } as const;
  const { AWS_LAMBDA_LOG_FORMAT, AWS_LAMBDA_LOG_LEVEL } = variables("python3.13", { logging });
  assert.deepEqual([AWS_LAMBDA_LOG_FORMAT, AWS_LAMBDA_LOG_LEVEL], ["JSON", "WARN"]);
});

test("a function overrides what AWS lets it override, and no reserved name", () => {
  const environment = Object.fromEntries(
    [...RESERVED_VARIABLES, "MINE", "PATH", "TZ", "NODE_PATH", "AWS_XRAY_DAEMON_ADDRESS"].map((name) => [
      name,
      "mine",
    ]),
  );
  const set = Object.entries(variables("nodejs22.x", { environment })).filter(
    ([, value]) => value === "mine",
  );
  assert.deepEqual(set.map(([name]) => name).sort(), [
    "AWS_XRAY_DAEMON_ADDRESS",
    "MINE",
    "NODE_PATH",
    "PATH",
    "TZ",
  ]);
});
