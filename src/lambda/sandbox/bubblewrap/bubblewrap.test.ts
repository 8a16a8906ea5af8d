// Goal: the bubblewrap driver keeps the sandbox contract on this machine, as root and as a plain user.
// Method: the conformance suite; as root, all tests of this folder once more in a process of a user without any rights.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { sandboxSuite } from "../conformance.ts";
import { testDriver, unavailable } from "./testing.ts";

const PLAIN_USER = "12345";
const SUITE_TIMEOUT_MS = 180_000;

sandboxSuite("bubblewrap", testDriver, { unavailable });

test("all of it as a plain user", { skip: process.getuid?.() === 0 ? false : "takes root" }, () => {
  const user = ["--reuid", PLAIN_USER, "--regid", PLAIN_USER, "--clear-groups", "--"];
  const files = ["bubblewrap", "walls", "death"].map((name) => join(import.meta.dirname, `${name}.test.ts`));
  const run = [process.execPath, "--test", "--test-concurrency=1", "--test-reporter=tap", ...files];
  const { status, stdout, stderr } = spawnSync("setpriv", [...user, ...run], {
    env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin" },
    encoding: "utf8",
    timeout: SUITE_TIMEOUT_MS,
  });
  assert.equal(status, 0, stdout + stderr);
  assert.match(stdout, /^# pass [1-9]/m);
});
