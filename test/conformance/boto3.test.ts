/**
 * Goal: boto3 works against Hornero as against AWS: answers, exception classes, waiters, paginators, presigned URLs.
 * Method: the scripts boto3_*.py beside this file do the calls and the comparing, each in a process of the Python that has
 * boto3 (HORNERO_TEST_AWS_TOOLS), against one real server, and print what failed. Names of one script meet no other's.
 */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { runtimesAtHand, sharedRuntimes } from "../support/functions.ts";
import { awsTools, startTestServer, type TestServer } from "../support/server.ts";

const SCRIPTS = ["iam", "sts", "cloudwatch", "logs", "client", "lambda", "durable"];
/** Those whose argument is a Python that runs functions. */
const RUN_FUNCTIONS = new Set(["client", "lambda", "durable"]);

const run = promisify(execFile);
const tools = awsTools();
const [runtime] = await runtimesAtHand("python");
const skip = "reason" in tools ? tools.reason : false;

describe("boto3", { skip }, () => {
  let server: TestServer;
  before(async () => {
    server = await startTestServer({ args: [...sharedRuntimes] });
  });
  after(() => server.stop());

  for (const name of SCRIPTS) {
    const noRuntime =
      runtime === undefined && RUN_FUNCTIONS.has(name) ? "there is no Python for functions" : false;
    test(name, { skip: noRuntime }, async () => {
      const folder = "folder" in tools ? tools.folder : "";
      const python = ["python3", "python"].map((each) => join(folder, each)).find((path) => existsSync(path));
      assert(python, `there is a Python in ${folder}`);
      const script = join(import.meta.dirname, `boto3_${name}.py`);
      const env = { ...server.environment(), PATH: process.env["PATH"], PYTHONDONTWRITEBYTECODE: "1" };
      const { stdout } = await run(python, [script, runtime ?? ""], { env });
      assert.deepEqual(JSON.parse(stdout), {});
    });
  }
});
