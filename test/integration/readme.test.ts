// Goal: what README.md tells a newcomer to type works, as it stands there.
// Method: take its shell blocks and run them in their order with bash, in the checkout as the page says, against the server that
//   its own first block starts; only its port and folders are of the test (by environment variables that users have, too).
import assert from "node:assert/strict";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { readServerFile } from "../../src/cli/server-file.ts";
import { ROOT, startProgram, type Ran, type Running } from "../support/cli.ts";
import { eventually, RUNTIMES_DIRECTORY } from "../support/functions.ts";
import { awsTools, nothingLeft } from "../support/server.ts";

const page = readFileSync(join(ROOT, "README.md"), "utf8");
const blocks = [...page.matchAll(/^```sh\n([\s\S]*?)^```/gm)].map(([, block = ""]) => block.trim());
const [startBlock = "", ...others] = blocks;
const tools = awsTools();

let folder: string;
let data: string;
let env: Record<string, string>;
let server: Running;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), "hornero-readme-"));
  data = join(folder, "data");
  // The server's own user must be able to enter.
  chmodSync(folder, 0o755);
  mkdirSync(join(folder, "tmp"));
  env = {
    PATH: [...("folder" in tools ? [tools.folder] : []), process.env["PATH"] ?? ""].join(":"),
    HORNERO_PORT: String(await freePort()),
    HORNERO_DATA: data,
    HORNERO_RUNTIMES: RUNTIMES_DIRECTORY,
    TMPDIR: join(folder, "tmp"),
    // What somebody's own AWS configuration says must not reach the blocks, nor may the blocks leave anything there.
    HOME: folder,
    AWS_EC2_METADATA_DISABLED: "true",
  };
  server = startProgram("bash", ["-c", `exec ${startBlock}`], { env, limitMs: 240_000 });
});
after(async () => {
  server.child.kill("SIGTERM");
  assert.equal((await server.ended).code, 0, server.stderr());
  await nothingLeft(data);
  rmSync(folder, { recursive: true });
});

function shell(block: string): Promise<Ran> {
  return startProgram("bash", ["--norc", "-euo", "pipefail", "-c", block], { env }).ended;
}

function block(word: string): string {
  const found = others.filter((one) => one.includes(word));
  assert.equal(found.length, 1, `one block has ${word}`);
  return found[0] ?? "";
}

async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((resolve) => void probe.listen(0, "127.0.0.1", resolve));
  const { port } = probe.address() as AddressInfo;
  await new Promise((resolve) => probe.close(resolve));
  return port;
}

describe("README.md", () => {
  it("starts the server with the first of two commands, and shows where it listens", async () => {
    assert.equal(startBlock, "npm start");
    await eventually("the banner", () => server.stdout().includes("Ctrl-C"));
    assert.equal(readServerFile(data)?.endpoint, `http://127.0.0.1:${env["HORNERO_PORT"]}`);
    assert.match(server.stdout(), new RegExp(`http://127.0.0.1:${env["HORNERO_PORT"]}`));
  });

  it("tests with the second", () => {
    assert.equal(block("npm test"), "npm test");
    const { scripts } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as {
      scripts: Record<string, string>;
    };
    assert.ok(existsSync(join(ROOT, (scripts["test"] ?? "").replace(/^node /, ""))));
  });

  it("calls the function that is already there", async () => {
    const ran = await shell(block("invoke hello"));
    assert.equal(ran.code, 0, ran.stderr);
    assert.equal((JSON.parse(ran.stdout) as { greeting: string }).greeting, "Hello Ada!");
  });

  it("makes a first function with AWS's own CLI", { skip: "reason" in tools && tools.reason }, async () => {
    const ran = await shell(block("aws lambda create-function"));
    assert.equal(ran.code, 0, ran.stderr);
    assert.match(ran.stdout, /\{"greeting":"Hello Ada!"\}/);
    assert.match(ran.stdout, /"StatusCode": 200/);
    assert.match(ran.stdout, /greeting Ada/, "the log");
    assert.match(ran.stdout, /REPORT RequestId: \S+\tDuration: /);
  });

  it("deploys a folder, invokes it, and shows its log and its price", async () => {
    const ran = await shell(block("hornero deploy"));
    assert.equal(ran.code, 0, ran.stderr);
    assert.match(ran.stdout, /^created summarise: python3\.\d+, /m);
    assert.match(ran.stdout, /"days": 1461/);
    assert.match(ran.stdout, /precipitation of 1461 days by year/);
    assert.match(ran.stdout, /^summarise +\$LATEST +1 /m);
  });

  it("has no block that this test leaves out", () => {
    const run = ["npm test", "invoke hello", "aws lambda create-function", "hornero deploy"].map(block);
    assert.deepEqual(new Set(run), new Set(others));
  });
});
