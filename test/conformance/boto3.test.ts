/**
 * Goal: boto3 works against Hornero as against AWS: answers, exception classes, waiters, paginators, presigned URLs.
 * Method: boto3_client.py beside this file does the calls and the comparing in one process of the Python that has boto3
 * (HORNERO_TEST_AWS_TOOLS), against a real server, and prints what failed.
 */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { runtimesAtHand, sharedRuntimes } from "../support/functions.ts";
import { awsTools, startTestServer, type TestServer } from "../support/server.ts";

const run = promisify(execFile);
const CLIENT = join(import.meta.dirname, "boto3_client.py");
const tools = awsTools();
const [runtime] = await runtimesAtHand("python");
const skip =
  "reason" in tools ? tools.reason : runtime === undefined ? "there is no Python for functions" : false;

let server: TestServer;
before(async () => {
  if (skip === false) server = await startTestServer({ args: [...sharedRuntimes] });
});
after(() => server?.stop());

test("boto3", { skip }, async () => {
  const folder = "folder" in tools ? tools.folder : "";
  const python = ["python3", "python"].map((name) => join(folder, name)).find((path) => existsSync(path));
  assert(python, `there is a Python in ${folder}`);
  const env = { ...server.environment(), PATH: process.env["PATH"], PYTHONDONTWRITEBYTECODE: "1" };
  const { stdout } = await run(python, [CLIENT, runtime ?? ""], { env });
  assert.deepEqual(JSON.parse(stdout), {});
});
