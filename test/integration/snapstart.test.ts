/**
 * Goal: a published version with SnapStart starts from a snapshot of its initialised code, as its caller and its log see it;
 * no two environments share what must be unique; what cannot be in a snapshot is loaded instead, and the log says so.
 * Method: functions deployed, published and invoked through the SDK, several environments of each at a time.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { constants } from "node:os";
import { after, before, describe, test } from "node:test";
import { FilterLogEventsCommand } from "@aws-sdk/client-cloudwatch-logs";
import {
  DeleteFunctionCommand,
  GetFunctionConfigurationCommand,
  PublishVersionCommand,
  waitUntilPublishedVersionActive,
  type FunctionConfiguration,
} from "@aws-sdk/client-lambda";
import { sdkBundle } from "../support/bundles.ts";
import { call, deploy, eventually, runtimesAtHand, sharedRuntimes } from "../support/functions.ts";
import { runtimesOf } from "../support/processes.ts";
import { createRole, startTestServer, type TestServer } from "../support/server.ts";

const SETTINGS = { MemorySize: 512, Timeout: 30, SnapStart: { ApplyOn: "PublishedVersions" } } as const;

let server: TestServer;
before(async () => {
  server = await startTestServer({ args: sharedRuntimes });
});
after(() => server.stop());

/** Publishes a version and waits until it is Active. */
async function publish(name: string): Promise<FunctionConfiguration> {
  const lambda = server.lambda();
  const { Version, State } = await lambda.send(new PublishVersionCommand({ FunctionName: name }));
  assert.equal(State, "Pending");
  const target = { FunctionName: name, Qualifier: Version };
  await waitUntilPublishedVersionActive(
    { client: lambda, maxWaitTime: 60, minDelay: 0.05, maxDelay: 0.2 },
    target,
  );
  return lambda.send(new GetFunctionConfigurationCommand(target));
}

/** Whether the process has a handler for the signal. */
function catches(pid: number, signal: number): boolean {
  try {
    const mask = /^SigCgt:\s*([0-9a-f]+)$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
    return ((BigInt(`0x${mask ?? "0"}`) >> BigInt(signal - 1)) & 1n) === 1n;
  } catch (error) {
    // It ended meanwhile.
    if (["ENOENT", "ESRCH"].includes((error as NodeJS.ErrnoException).code ?? "")) return false;
    throw error;
  }
}

async function logOf(name: string, pattern: RegExp): Promise<string> {
  return eventually(`${pattern} in the log of ${name}`, async () => {
    const logGroupName = `/aws/lambda/${name}`;
    const { events = [] } = await server.logs().send(new FilterLogEventsCommand({ logGroupName }));
    const log = events.map(({ message }) => message).join("\n");
    return pattern.test(log) && log;
  });
}

const UNIQUE = `
const crypto = require("crypto");
const https = require("node:https");
class Agent extends https.Agent { ours() { return this.options.keepAlive; } }
const agent = new Agent({ keepAlive: true });
const atInit = { uuid: crypto.randomUUID(), integer: crypto.randomInt(2 ** 40), key: process.env.AWS_ACCESS_KEY_ID ?? null };
console.log("initialised");
exports.handler = async (event) => {
  if (event.waits) {
    // Listening for a signal alone does not keep the event loop going.
    const busy = setInterval(() => {}, 1000);
    await new Promise((resolve) => process.once("SIGUSR2", resolve));
    clearInterval(busy);
  }
  const { join } = await import("node:path");
  return {
    atInit, agent: agent.ours() && agent instanceof https.Agent, joined: join("a", "b"),
    fresh: { uuid: crypto.randomUUID(), web: globalThis.crypto.randomUUID(), integer: crypto.randomInt(2 ** 40),
      random: Math.random(), bytes: crypto.randomBytes(8).toString("hex"),
      stream: process.env.AWS_LAMBDA_LOG_STREAM_NAME, key: process.env.AWS_SECRET_ACCESS_KEY },
    type: process.env.AWS_LAMBDA_INITIALIZATION_TYPE, nowMs: Date.now(), task: require("fs").readdirSync(__dirname),
  };
};`;

interface Seen {
  readonly atInit: { readonly key: string | null };
  readonly fresh: Readonly<Record<string, unknown>>;
  readonly agent: boolean;
  readonly joined: string;
  readonly type: string;
  readonly nowMs: number;
  readonly task: readonly string[];
}

describe("SnapStart", async () => {
  for (const runtime of await runtimesAtHand("nodejs")) {
    const version = Number.parseInt(runtime.slice("nodejs".length), 10);

    test(`${runtime}: environments share what init made, and nothing that must be unique`, async () => {
      const name = `unique-${version}`;
      await deploy(server.lambda(), name, { ...SETTINGS, Runtime: runtime, files: { "index.js": UNIQUE } });
      const published = await publish(name);
      assert.deepEqual(published.SnapStart, { ApplyOn: "PublishedVersions", OptimizationStatus: "On" });
      const calls = [1, 2, 3].map(() => call(server.lambda(), name, { waits: true }, { Qualifier: "1" }));
      // Each has its environment when all are in their handlers at once.
      const waiting = await eventually("three wait in their handlers", () => {
        const found = runtimesOf(server.pid).filter(({ pid }) => catches(pid, constants.signals.SIGUSR2));
        return found.length === calls.length && found;
      });
      for (const { pid } of waiting) process.kill(pid, "SIGUSR2");
      const answers = await Promise.all(calls);
      const seen = answers.map(({ body, text }) => {
        assert(!text.includes("errorType"), text);
        return body as Seen;
      });
      const [first] = seen;
      assert(first);
      for (const each of seen) {
        assert.deepEqual(each.atInit, first.atInit);
        assert.equal(each.atInit.key, null, "no credentials go into a snapshot");
        assert.deepEqual([each.agent, each.joined, each.type], [true, "a/b", "snap-start"]);
        assert.deepEqual(each.task, ["index.js"]);
        assert(Math.abs(each.nowMs - Date.now()) < 60_000, "the time is today's");
      }
      for (const member of Object.keys(first.fresh)) {
        const values = new Set(seen.map(({ fresh }) => fresh[member]));
        assert.equal(values.size, 3, `${member} is the same in two environments`);
      }
      const log = await logOf(name, /REPORT .*Restore Duration/);
      assert.match(
        log,
        /INIT_START[^\n]*\n.*INFO\tinitialised\nINIT_REPORT Init Duration: [\d.]+ ms\tPhase: snapshot/,
      );
      assert.match(log, /RESTORE_START Runtime Version: .*\n/);
      assert.match(log, /RESTORE_REPORT Restore Duration: [\d.]+ ms/);
      assert.match(log, /REPORT RequestId: .*\tRestore Duration: [\d.]+ ms\tBilled Restore Duration: 0 ms/);
      const { body } = await call(server.lambda(), name, {});
      assert.equal((body as Seen).type, "on-demand", "$LATEST has no snapshot");
    });
  }

  test("a bundle of AWS SDK clients calls AWS after the restore, with the environment's credentials", async () => {
    const body = `
      const { LambdaClient, GetFunctionConfigurationCommand } = lambdaModule;
      const answer = await clients[1].send(new GetFunctionConfigurationCommand({ FunctionName: event.name }));
      return answer.FunctionName;`;
    const source = `import * as lambdaModule from "@aws-sdk/client-lambda";\n`;
    const files = { "index.js": sdkBundle(body, "cjs", source) };
    const statement = {
      Effect: "Allow",
      Action: ["lambda:GetFunctionConfiguration", "logs:*"],
      Resource: "*",
    };
    const Role = await createRole(server, "sdk", { Version: "2012-10-17", Statement: [statement] });
    await deploy(server.lambda(), "sdk", { ...SETTINGS, files, Role });
    assert.equal((await publish("sdk")).SnapStart?.OptimizationStatus, "On");
    const { body: answer, text } = await call(server.lambda(), "sdk", { name: "sdk" }, { Qualifier: "1" });
    assert.equal(answer, "sdk", text);
  });

  for (const [what, files, pattern] of [
    ["an ES module", { "index.mjs": `export const handler = async () => "plain";` }, /is not CommonJS/],
    [
      "code that opens a connection while it is loaded",
      { "index.js": `require("http").get("http://127.0.0.1:1"); exports.handler = async () => "plain";` },
      /http\.get cannot be called before the snapshot is taken/,
    ],
    [
      "code that throws while it is loaded",
      {
        "index.js": `if (!process.env.AWS_ACCESS_KEY_ID) throw new Error("no key"); exports.handler = async () => "plain";`,
      },
      /no key/,
    ],
  ] as const) {
    test(`${what} is loaded as without SnapStart, and the log says why`, async () => {
      const name = `plain-${what.replaceAll(" ", "-").slice(0, 24)}`;
      await deploy(server.lambda(), name, { ...SETTINGS, files });
      const published = await publish(name);
      assert.deepEqual([published.State, published.SnapStart?.OptimizationStatus], ["Active", "Off"]);
      const { text, functionError } = await call(server.lambda(), name, {}, { Qualifier: "1" });
      const expected = what.includes("connection")
        ? [/ECONNREFUSED|exited/, "Unhandled"]
        : [/"plain"/, undefined];
      assert.match(text, expected[0] as RegExp);
      assert.equal(functionError, expected[1]);
      const log = await logOf(name, pattern);
      assert.match(log, /No snapshot could be taken, environments load the code instead/);
    });
  }
});

test("a deleted version takes its snapshot and what waits with it along", async () => {
  const name = "deleted";
  // No other function here has a heap of that size.
  await deploy(server.lambda(), name, { ...SETTINGS, MemorySize: 400, files: { "index.js": UNIQUE } });
  await publish(name);
  await call(server.lambda(), name, {}, { Qualifier: "1" });
  const waiting = () =>
    runtimesOf(server.pid).filter(
      ({ command }) => command.includes("--snapshot-blob") && command.includes("--max-old-space-size=360"),
    ).length;
  await eventually("another sandbox waits", () => waiting() >= 2);
  await server.lambda().send(new DeleteFunctionCommand({ FunctionName: name, Qualifier: "1" }));
  await eventually("none is left", () => waiting() === 0);
});
