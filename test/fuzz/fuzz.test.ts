/**
 * Goal: no request, valid or not, makes the server fail, hang, forget or leak; its answers are what the models promise.
 * Method: calls of every operation, made from the models with a fixed seed, by AWS's own clients against a real server; then
 * a restart. And servers that do wrong, to see that the fuzzer notices.
 */
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync } from "node:fs";
import { rm } from "node:fs/promises";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { sharedRuntimes } from "../support/functions.ts";
import { ROLE, startTestServer, zipOf, type TestServer } from "../support/server.ts";
import { Caller } from "./caller.ts";
import { fuzz, printFinding } from "./fuzz.ts";
import { faultsLogged } from "./server-log.ts";

const SEED = 20_261_124;
const CALLS = 2000;
/** Descriptors that a server may have beyond those of its start: kept connections, blobs and logs that are open. */
const DESCRIPTORS_MORE_MAX = 64;
const LEAK_MS_MAX = 30_000;

const ARGS = [
  "--pool",
  "0",
  "--keep-alive",
  "1",
  "--log-format",
  "json",
  "--log-level",
  "warn",
  ...sharedRuntimes,
];

/** What is there, by name, of each kind that outlives the server. */
async function inventory(server: TestServer): Promise<Record<string, string[]>> {
  using caller = new Caller(server.file);
  const names = async (
    service: Parameters<Caller["call"]>[0],
    operation: string,
    list: string,
    name: string,
    input: object = {},
  ): Promise<string[]> => {
    const { output, code } = await caller.call(service, operation, input);
    assert.equal(code, "", `${operation} is answered`);
    const items = (output[list] ?? []) as Record<string, unknown>[];
    return items.map((item) => String(item[name])).sort();
  };
  return {
    functions: await names("lambda", "ListFunctions", "Functions", "FunctionArn"),
    layers: await names("lambda", "ListLayers", "Layers", "LayerArn"),
    mappings: await names("lambda", "ListEventSourceMappings", "EventSourceMappings", "UUID"),
    signing: await names("lambda", "ListCodeSigningConfigs", "CodeSigningConfigs", "CodeSigningConfigArn"),
    users: await names("iam", "ListUsers", "Users", "Arn"),
    groups: await names("iam", "ListGroups", "Groups", "Arn"),
    roles: await names("iam", "ListRoles", "Roles", "Arn"),
    policies: await names("iam", "ListPolicies", "Policies", "Arn", { Scope: "Local" }),
    alarms: await names("cloudwatch", "DescribeAlarms", "MetricAlarms", "AlarmName"),
    logGroups: await names("logs", "DescribeLogGroups", "logGroups", "logGroupName"),
  };
}

/** A function that certainly outlives the calls at random. */
async function keepOne(server: TestServer): Promise<void> {
  using caller = new Caller(server.file);
  const Code = { ZipFile: zipOf({ "index.mjs": "export const handler = () => 1;" }) };
  const input = { FunctionName: "kept", Role: ROLE, Runtime: "nodejs24.x", Handler: "index.handler", Code };
  const { code, message } = await caller.call("lambda", "CreateFunction", input);
  assert.equal(code, "", message);
}

async function deleteFunctions(server: TestServer): Promise<void> {
  using caller = new Caller(server.file);
  for (;;) {
    const { output } = await caller.call("lambda", "ListFunctions", {});
    const functions = (output["Functions"] ?? []) as { FunctionName: string }[];
    if (functions.length === 0) return;
    for (const { FunctionName } of functions) await caller.call("lambda", "DeleteFunction", { FunctionName });
  }
}

const descriptors = ({ pid }: TestServer): number => readdirSync(`/proc/${pid}/fd`).length;

describe("every operation, at random", () => {
  test("answers as its model says, stays whole, and remembers", async () => {
    const dataDirectory = mkdtempSync(join(tmpdir(), "hornero-fuzz-"));
    let server = await startTestServer({ args: ARGS, dataDirectory });
    try {
      const before = descriptors(server);
      const result = await fuzz({ ...server.file, seed: SEED, calls: CALLS });
      assert.deepEqual(result.findings.map(printFinding), []);
      assert.equal(result.calls, CALLS);
      assert.ok(result.succeeded.length > 75, `only ${result.succeeded.length} operations got through`);
      await keepOne(server);
      const there = await inventory(server);
      const empty = Object.keys(there).filter((kind) => there[kind]?.length === 0);
      assert.ok(empty.length < 5, `nothing is left to be remembered of ${empty.join(", ")}`);
      await server.stop();
      assert.deepEqual(faultsLogged(server.stderr()), []);

      server = await startTestServer({ args: ARGS, dataDirectory });
      assert.deepEqual(await inventory(server), there);
      await deleteFunctions(server);
      const deadlineMs = performance.now() + LEAK_MS_MAX;
      while (descriptors(server) > before + DESCRIPTORS_MORE_MAX && performance.now() < deadlineMs)
        await pause(50);
      const after = descriptors(server);
      assert.ok(after <= before + DESCRIPTORS_MORE_MAX, `${after} descriptors are open, ${before} were`);
      await server.stop();
      assert.deepEqual(faultsLogged(server.stderr()), []);
    } catch (error) {
      await server.kill("SIGKILL");
      throw error;
    } finally {
      await rm(dataDirectory, { recursive: true, force: true });
    }
  });
});

describe("the fuzzer notices", () => {
  const wrong: readonly (readonly [string, RequestListener, RegExp])[] = [
    [
      "an internal failure",
      (_, response) => response.writeHead(500, { "x-amzn-requestid": "1" }).end("{}"),
      /status 500/,
    ],
    ["a connection that breaks", (request) => request.socket.destroy(), /not answered/],
    [
      "an answer that breaks its model",
      (_, response) =>
        response.writeHead(200, { "x-amzn-requestid": "1" }).end('{"Functions":[{"Timeout":-1}]}'),
      /the answer breaks the model: Functions\.0\.Timeout/,
    ],
    [
      "an error of another operation",
      (_, response) =>
        response
          .writeHead(404, { "x-amzn-requestid": "1", "x-amzn-errortype": "SnapStartNotReadyException" })
          .end('{"message":"no"}'),
      /an error that the model does not list: SnapStartNotReadyException/,
    ],
    [
      "a valid input that is refused",
      (_, response) =>
        response
          .writeHead(400, { "x-amzn-requestid": "1", "x-amzn-errortype": "SerializationException" })
          .end('{"message":"no"}'),
      /a valid input was refused/,
    ],
    [
      "an error without a request's id",
      (_, response) =>
        response
          .writeHead(400, { "x-amzn-errortype": "InvalidParameterValueException" })
          .end('{"message":"no"}'),
      /no x-amzn-RequestId/,
    ],
    [
      "an invalid input that is taken",
      (_, response) => response.writeHead(200, { "x-amzn-requestid": "1" }).end("{}"),
      /an invalid input was taken/,
    ],
  ];
  for (const [name, listener, expected] of wrong)
    test(name, async () => {
      const server = createServer((request, response) => {
        request.resume();
        request.on("end", () => listener(request, response));
      });
      await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
      try {
        const { port } = server.address() as AddressInfo;
        const { findings } = await fuzz({
          endpoint: `http://127.0.0.1:${port}`,
          region: "us-east-1",
          accessKeyId: "AKIAIOSFODNN7EXAMPLE",
          secretAccessKey: "secret",
          seed: 1,
          calls: 60,
          services: ["lambda"],
          operations: ["ListFunctions"],
        });
        assert.ok(
          findings.some(({ what }) => expected.test(what)),
          `${expected} among ${findings.map(({ what }) => what).join("; ")}`,
        );
      } finally {
        server.closeAllConnections();
        await new Promise((resolve) => void server.close(resolve));
      }
    });
});
