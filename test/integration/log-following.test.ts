// Goal: `hornero logs -f` shows each line exactly once, also of a function that has not written anything when it begins.
// Method: follow with the real command while a function writes numbered lines, in bursts and at different times; count.
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { LambdaClient } from "@aws-sdk/client-lambda";
import { hornero, startHornero, startProgram, ROOT, type Running } from "../support/cli.ts";
import { call, deploy, eventually } from "../support/functions.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

const SOURCE = `export const handler = async ({ from, count }) => {
  for (let i = from; i < from + count; i += 1) console.log("line <" + i + ">");
};`;

let server: TestServer;
let lambda: LambdaClient;
before(async () => {
  server = await startTestServer();
  lambda = server.lambda();
  await deploy(lambda, "writer", { files: { "index.mjs": SOURCE } });
});
after(() => server.stop());

/** The numbers of the lines that were printed, in their order. */
function numbers(text: string): number[] {
  return [...text.matchAll(/line <(\d+)>/g)].map(([, number]) => Number(number));
}

async function interrupted(following: Running): Promise<string> {
  following.child.kill("SIGINT");
  const { code, stdout, stderr } = await following.ended;
  assert.deepEqual([code, stderr], [0, ""]);
  return stdout;
}

describe("logs", () => {
  it("says that a function has no log before its first invocation", async () => {
    const ran = await hornero(["logs", "writer"], { data: server.dataDirectory });
    assert.equal(ran.code, 1);
    assert.match(ran.stderr, /there is no log \/aws\/lambda\/writer/);
  });

  it("follows from before the first line on, without a gap or a double", async () => {
    const data = server.dataDirectory;
    const following = startHornero(["logs", "-f", "writer"], { data });
    const bursts = [1, 40, 3, 200, 1];
    let from = 0;
    for (const count of bursts) {
      // Several at once: their lines have the same times and come from different streams.
      await Promise.all([
        call(lambda, "writer", { from, count }),
        call(lambda, "writer", { from: from + count, count }),
      ]);
      from += 2 * count;
      const last = from;
      await eventually(`line ${last - 1}`, () => numbers(following.stdout()).length >= last);
    }
    const seen = numbers(await interrupted(following));
    assert.deepEqual(
      seen.toSorted((a, b) => a - b),
      Array.from({ length: from }, (_, at) => at),
    );

    const whole = await hornero(["logs", "writer"], { data });
    assert.deepEqual(
      numbers(whole.stdout).toSorted((a, b) => a - b),
      Array.from({ length: from }, (_, at) => at),
    );
  });

  it("finds the log by the function's ARN, and only lines that fit the filter", async () => {
    const arn = `arn:aws:lambda:us-east-1:000000000000:function:writer`;
    const ran = await hornero(["logs", arn, "--filter", '"line <7>"', "--json"], {
      data: server.dataDirectory,
    });
    assert.equal(ran.code, 0, ran.stderr);
    const { message } = JSON.parse(ran.stdout) as { message: string };
    assert.match(message, /line <7>/);
  });

  it("ends without a complaint when its reader has seen enough", async () => {
    const env = { HORNERO_DATA: server.dataDirectory, NODE: process.execPath };
    const script = 'set -o pipefail; "$NODE" src/cli/main.ts logs writer | head -n 1';
    const ran = await startProgram("bash", ["-c", script], { env, cwd: ROOT }).ended;
    assert.deepEqual([ran.code, ran.stderr], [0, ""]);
    assert.equal(ran.stdout.trim().split("\n").length, 1);
  });
});
