/**
 * Goal: what publishing makes of code is used by its environments, changes nothing that a function sees of its code, and
 * is made without running the code.
 * Method: bundles of AWS SDK clients on every Node.js at hand; V8's own word, from the log, that it took the cache; packages
 * and layers on every Python at hand, whose word is the loader of their modules; code that would end the compiler's
 * process if it ran there.
 */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { FilterLogEventsCommand } from "@aws-sdk/client-cloudwatch-logs";
import { PublishLayerVersionCommand } from "@aws-sdk/client-lambda";
import { sdkBundle } from "../support/bundles.ts";
import { call, deploy, eventually, runtimesAtHand, sharedRuntimes } from "../support/functions.ts";
import { startTestServer, zipOf, type TestServer } from "../support/server.ts";

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

const PYTHON_ONLY_IN_FUNCTIONS = `import os
if "AWS_LAMBDA_FUNCTION_NAME" not in os.environ: os._exit(3)
`;
const PYTHON_TELL = `${PYTHON_ONLY_IN_FUNCTIONS}
import os, sys
import package.part0, layered
def handler(event, context):
    def taken(module):
        return module.__loader__.bytecode.find(module.__file__) is not None
    return {"taken": [taken(each) for each in (sys.modules[__name__], package.part0, layered)],
            "file": handler.__code__.co_filename, "layered": layered.where.__code__.co_filename,
            "task": sorted(os.listdir("/var/task")), "artefacts": sorted(os.listdir("/var/artefacts"))}
`;

/** Sources that do not become small in a zip. */
function pythonPackage(): Record<string, string> {
  const part = () =>
    Array.from({ length: 200 }, (_, at) => `def f${at}(x):\n    return "${randomUUID()}" + x\n`).join("");
  const parts = Array.from({ length: 10 }, (_, at) => [`package/part${at}.py`, part()]);
  return { "package/__init__.py": "", ...Object.fromEntries(parts) };
}

describe("bytecode is made when the code is published", async () => {
  for (const runtime of await runtimesAtHand("python")) {
    for (const [how, variables] of [
      ["forked", {}],
      ["booted", { PYTHONHASHSEED: "0" }],
    ] as const) {
      test(`${runtime}, ${how}: modules of the function and of its layers take it`, async () => {
        const lambda = server.lambda();
        const name = `bytecode-${runtime.replaceAll(".", "")}-${how}`;
        const { LayerVersionArn = "" } = await lambda.send(
          new PublishLayerVersionCommand({
            LayerName: name,
            Content: { ZipFile: zipOf({ "python/layered.py": "def where(): pass\n" }) },
          }),
        );
        await deploy(lambda, name, {
          Runtime: runtime,
          Handler: "index.handler",
          files: { "index.py": PYTHON_TELL, ...pythonPackage() },
          Environment: { Variables: variables },
          Layers: [LayerVersionArn],
          ...LIMITS,
        });
        const { body, text } = await call(lambda, name, {});
        const expected = {
          taken: [true, true, true],
          file: "/var/task/index.py",
          layered: "/opt/python/layered.py",
          task: ["index.py", "package"],
          artefacts: ["bytecode", "bytecode.index"],
        };
        assert.deepEqual(body, expected, text);
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
