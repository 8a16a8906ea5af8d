// Goal: `hornero deploy` finds out what a new function is, changes nothing of an old one that it was not told to change, and
//   mends a function that could not run.
// Method: folders written by the test, deployed by the real command to a real server, read back through the AWS SDK.
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, describe, it } from "node:test";
import { GetFunctionConfigurationCommand, type LambdaClient } from "@aws-sdk/client-lambda";
import { RUNTIMES } from "../../src/lambda/runtimes/runtimes.ts";
import { hornero, type Ran } from "../support/cli.ts";
import { call, runtimesAtHand, sharedRuntimes } from "../support/functions.ts";
import { createRole, startTestServer, type TestServer } from "../support/server.ts";

const NODE_SOURCE = 'export const handler = async () => "first";';
const PYTHON_SOURCE = 'def lambda_handler(event, context):\n    return "python"\n';

let server: TestServer;
let lambda: LambdaClient;
let root: string;
before(async () => {
  // Whoever runs the tests can fetch interpreters; the server's user may lack the settings of npm for that.
  await runtimesAtHand("nodejs");
  root = mkdtempSync(join(tmpdir(), "hornero-deploy-"));
  server = await startTestServer({ args: sharedRuntimes });
  lambda = server.lambda();
});
after(async () => {
  await server.stop();
  rmSync(root, { recursive: true });
});

function folder(name: string, files: Readonly<Record<string, string>>): string {
  const path = join(root, name);
  for (const [file, content] of Object.entries(files)) {
    mkdirSync(dirname(join(path, file)), { recursive: true });
    writeFileSync(join(path, file), content);
  }
  return path;
}

function deploy(path: string, ...options: string[]): Promise<Ran> {
  return hornero(["deploy", path, ...options], { data: server.dataDirectory });
}

async function deployed(path: string, ...options: string[]): Promise<void> {
  const ran = await deploy(path, ...options);
  assert.equal(ran.code, 0, ran.stderr);
}

async function settings(name: string): Promise<Readonly<Record<string, unknown>>> {
  const configuration = await lambda.send(new GetFunctionConfigurationCommand({ FunctionName: name }));
  const { Runtime, Handler, MemorySize, Timeout, Role, Environment } = configuration;
  return { Runtime, Handler, MemorySize, Timeout, Role, variables: Environment?.Variables };
}

describe("deploy", () => {
  it("takes the file that package.json names", async () => {
    const path = folder("with-main", {
      "package.json": '{"main": "./lib/entry.mjs"}',
      "index.mjs": 'throw new Error("not this one")',
      "lib/entry.mjs": 'export const handler = async () => "from lib";',
    });
    await deployed(path);
    assert.equal((await settings("with-main"))["Handler"], "lib/entry.handler");
    assert.equal((await call(lambda, "with-main")).body, "from lib");
  });

  it("goes by the file names where package.json names nothing that is there", async () => {
    for (const [name, main] of [
      ["main-outside", "../with-main/lib/entry.mjs"],
      ["main-missing", "dist/nothing.js"],
    ] as const) {
      const content = JSON.stringify({ main, type: "module" });
      await deployed(folder(name, { "package.json": content, "index.js": NODE_SOURCE }));
      assert.equal((await settings(name))["Handler"], "index.handler");
    }
  });

  it("updates the code, and of the settings what options say", async () => {
    const path = folder("kept", { "index.mjs": NODE_SOURCE });
    const role = await createRole(server, "first");
    const options = [
      "--memory",
      "256",
      "--timeout",
      "7",
      "--role",
      role,
      "--env",
      "FIRST=1=2",
      "--env",
      "SECOND=",
    ];
    await deployed(path, "--runtime", "nodejs22.x", "--handler", "index.handler", ...options);
    const first = {
      Runtime: "nodejs22.x",
      Handler: "index.handler",
      MemorySize: 256,
      Timeout: 7,
      Role: role,
      variables: { FIRST: "1=2", SECOND: "" },
    };
    assert.deepEqual(await settings("kept"), first);

    writeFileSync(join(path, "index.mjs"), NODE_SOURCE.replace("first", "second"));
    await deployed(path);
    assert.deepEqual(await settings("kept"), first);
    assert.equal((await call(lambda, "kept")).body, "second");

    const second = await createRole(server, "second");
    await deployed(path, "--timeout", "8", "--role", second);
    assert.deepEqual(await settings("kept"), { ...first, Timeout: 8, Role: second });
  });

  it("says why a function cannot run here, and mends it with a runtime that can", async (t) => {
    const atHand = await runtimesAtHand("python");
    const lacking = [...RUNTIMES.values()].find(
      ({ id, family, runs }) => family === "python" && runs && !atHand.some((one) => one === id),
    );
    if (!lacking) return t.skip("this machine has every Python");
    const path = folder("mended", { "lambda_function.py": PYTHON_SOURCE, "index.mjs": NODE_SOURCE });
    const handler = ["--handler", "lambda_function.lambda_handler"];
    const failed = await deploy(path, "--runtime", lacking.id, ...handler);
    assert.equal(failed.code, 1);
    assert.match(failed.stderr, /cannot run here: There is no CPython /);

    await deployed(path, "--runtime", "nodejs24.x", "--handler", "index.handler");
    assert.equal((await call(lambda, "mended")).body, "first");
  });

  it("refuses what cannot be a function, with exit status and a way out", async () => {
    const empty = join(root, "empty");
    mkdirSync(empty);
    const unknown = await deploy(empty);
    assert.equal(unknown.code, 1);
    assert.match(unknown.stderr, /is empty|cannot tell what kind/);

    const broken = await deploy(folder("broken", { "package.json": "{", "index.mjs": NODE_SOURCE }));
    assert.equal(broken.code, 1);
    assert.match(broken.stderr, /package\.json is not JSON/);

    const missing = await deploy(join(root, "nowhere"));
    assert.deepEqual(
      [missing.code, missing.stderr],
      [2, `hornero: ${join(root, "nowhere")} is not a folder\n`],
    );
  });
});
