// Goal: what docs/getting-started.md tells a newcomer to type works, in its order, and shows what the page says.
// Method: run the page's shell blocks with bash in the checkout, as the page has them, against a real server; the home folder and
//   the data folder are the test's.
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { ROOT, startProgram } from "../support/cli.ts";
import { runtimesAtHand } from "../support/functions.ts";
import { awsTools, startTestServer, type TestServer } from "../support/server.ts";

const page = readFileSync(join(ROOT, "docs", "getting-started.md"), "utf8");
const [startBlock, ...blocks] = [...page.matchAll(/^```sh\n([\s\S]*?)^```/gm)].map(([, block = ""]) => block);
const tools = awsTools();
const noPython =
  (await runtimesAtHand("python")).length === 0 && "this machine has no Python to run functions";

let server: TestServer;
let home: string;
let env: Record<string, string>;
before(async () => {
  home = mkdtempSync(join(tmpdir(), "hornero-newcomer-"));
  mkdirSync(join(home, "tmp"));
  server = await startTestServer();
  env = {
    PATH: [...("folder" in tools ? [tools.folder] : []), process.env["PATH"] ?? ""].join(":"),
    HOME: home,
    TMPDIR: join(home, "tmp"),
    HORNERO_DATA: server.dataDirectory,
    AWS_EC2_METADATA_DISABLED: "true",
    AWS_PAGER: "",
  };
});
after(async () => {
  await server.stop();
  rmSync(home, { recursive: true });
});

async function run(at: number): Promise<string> {
  const args = ["--norc", "-euo", "pipefail", "-c", blocks[at] ?? "exit 99"];
  const ran = await startProgram("bash", args, { env, cwd: ROOT }).ended;
  assert.equal(ran.code, 0, ran.stderr);
  return `${ran.stdout}${ran.stderr}`;
}

describe("docs/getting-started.md", { skip: noPython }, () => {
  it("starts the server as README.md does, and has five more blocks", () => {
    assert.equal(startBlock, "npm start\n");
    assert.equal(blocks.length, 5);
  });

  it("deploys a folder and shows the log of its first call", async () => {
    const text = await run(0);
    assert.match(text, /^created greet: python3/m);
    assert.match(text, /\{"greeting": "Hello Ada!"\}/);
    assert.match(text, /greeting Ada/);
    assert.match(text, /Memory Size: 256 MB.*Init Duration/);
  });

  it("changes it, and nothing of its settings", async () => {
    const text = await run(1);
    assert.match(text, /^updated greet: python3/m);
    assert.match(text, /\{"greeting": "Hello Grace, from a new version!"\}/);
  });

  it("shows a failure and finds it in the log", async () => {
    const text = await run(2);
    assert.match(text, /"errorType": "KeyError"/);
    assert.match(text, /^\S+Z {2}\[ERROR\] KeyError: 'name'/m);
  });

  it("goes on with AWS's own tools", { skip: "reason" in tools && tools.reason }, async () => {
    const text = await run(3);
    assert.match(text, /"greet"/);
    assert.match(text, /"arn:aws:lambda:us-east-1:000000000000:function:greet:live"/);
    assert.match(text, /Hello Ada, from a new version!/);
  });

  it("tells what it cost, and deletes it", async () => {
    const text = await run(4);
    assert.match(text, /^greet +\$LATEST +3 /m);
    assert.match(text, /^deleted greet$/m);
  });
});
