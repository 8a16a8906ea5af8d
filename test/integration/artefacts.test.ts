/**
 * Goal: what publishing makes of code is used by its environments, changes nothing that a function sees of its code, and
 * is made without running the code.
 * Method: bundles of AWS SDK clients on every Node.js at hand; V8's own word, from the log, that it took the cache; code
 * that would end the compiler's process if it ran there.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { FilterLogEventsCommand } from "@aws-sdk/client-cloudwatch-logs";
import { sdkBundle } from "../support/bundles.ts";
import { call, deploy, eventually, runtimesAtHand, sharedRuntimes } from "../support/functions.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

const TELL = `const { readdirSync } = process.getBuiltinModule("node:fs");
  return { clients: clients.length, task: readdirSync("/var/task"), artefacts: readdirSync("/var/artefacts") };`;
/** The sandbox in which code is compiled is no function's: it has no such variable. */
const ONLY_IN_FUNCTIONS = `if (!process.env.AWS_LAMBDA_FUNCTION_NAME) process.reallyExit(3);\n`;
/** Has its environments boot on their own, with Node's account of its compile cache. */
const TRACED = { NODE_PENDING_DEPRECATION: "0", NODE_DEBUG_NATIVE: "COMPILE_CACHE" };
const LIMITS = { MemorySize: 512, Timeout: 30 };

let server: TestServer;
before(async () => {
  server = await startTestServer({ args: sharedRuntimes });
});
after(() => server.stop());

async function logOf(name: string): Promise<string> {
  const logGroupName = `/aws/lambda/${name}`;
  const { events = [] } = await server.logs().send(new FilterLogEventsCommand({ logGroupName }));
  return events.map(({ message }) => message).join("\n");
}

describe("code is compiled when it is published", async () => {
  const runtimes = (await runtimesAtHand("nodejs")).filter((id) => id !== "nodejs20.x");
  for (const runtime of runtimes) {
    for (const [format, file] of [
      ["cjs", "index.js"],
      ["esm", "index.mjs"],
    ] as const) {
      test(`${runtime}, ${file}: V8 takes the cache`, async () => {
        const lambda = server.lambda();
        const name = `compiled-${parseInt(runtime.slice(6), 10)}-${format}`;
        const source = ONLY_IN_FUNCTIONS + sdkBundle(TELL, format);
        const Environment = { Variables: TRACED };
        await deploy(lambda, name, { Runtime: runtime, files: { [file]: source }, Environment, ...LIMITS });
        const { body, text } = await call(lambda, name, {});
        assert.deepEqual(body, { clients: 3, task: [file], artefacts: ["compiled"] }, text);
        const log = await eventually("the log", async () => {
          const found = await logOf(name);
          return found.includes("REPORT") && found;
        });
        assert.match(log, new RegExp(`${file} was accepted`), log);
        assert.doesNotMatch(log, /rejected|mismatch/);
      });
    }
  }
});

test("a function of little code, and one of code that cannot be compiled, work without", async () => {
  const lambda = server.lambda();
  await deploy(lambda, "small", {
    files: { "index.js": `exports.handler = async () => "small";` },
    ...LIMITS,
  });
  assert.equal((await call(lambda, "small", {})).body, "small");
  const broken = `${sdkBundle(TELL, "cjs")}\nthis is no JavaScript`;
  await deploy(lambda, "broken", { files: { "index.js": broken }, ...LIMITS });
  assert.match((await call(lambda, "broken", {})).text, /UserCodeSyntaxError/);
});
