// Goal: the probe says what holds here, leaves nothing, and an operator hears what helps where nothing works.
// Method: the probe with the real driver; with a Node that does not exist; messages of real refusals.
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite, test, type TestContext } from "node:test";
import { systemClock } from "../../../kernel/clock.ts";
import { SandboxError } from "../sandbox.ts";
import { createBubblewrapDriver, instanceName } from "./driver.ts";
import { hintFor } from "./hints.ts";
import { probeWalls } from "./probe.ts";
import { machineTraces, unavailable } from "./testing.ts";

function options(t: TestContext) {
  const root = mkdtempSync(join(tmpdir(), "hornero-probe-"));
  t.after(() => rmSync(root, { recursive: true }));
  const folders = { codeDirectory: join(root, "code"), dataDirectory: join(root, "data") };
  for (const folder of Object.values(folders)) mkdirSync(folder);
  return {
    ...folders,
    runtimesDirectories: [],
    endpointPort: 4566,
    clock: systemClock,
    node: process.execPath,
  };
}

suite("probe", { skip: unavailable ?? false }, () => {
  test("says what holds, and leaves nothing", async (t) => {
    const probed = options(t);
    const walls = await probeWalls(createBubblewrapDriver(probed));
    for (const name of ["filesystem", "processes", "network", "systemCalls"] as const) {
      assert(walls[name].holds, `${name}: ${walls[name].detail}`);
    }
    for (const [name, { detail }] of Object.entries(walls)) assert.notEqual(detail, "", name);
    assert.deepEqual(machineTraces(instanceName(probed.dataDirectory)), []);
  });

  test("rejects where a spawner cannot be started, with its last words", async (t) => {
    const driver = createBubblewrapDriver({ ...options(t), node: "/nonexistent/node" });
    await assert.rejects(probeWalls(driver), (error) => {
      assert(error instanceof SandboxError);
      assert.match(error.message, /nonexistent/);
      return true;
    });
  });
});

test("knows what helps against the common refusals", () => {
  const cases = [
    ["unshare: unshare failed: Operation not permitted", /user namespaces/],
    [
      "bwrap: No permissions to create new namespace, likely because the kernel does not allow",
      /user namespaces/,
    ],
    ["bwrap: setting up uid map: Permission denied", /apparmor/],
    ["/usr/bin/bwrap: spawn /usr/bin/bwrap ENOENT", /install bubblewrap/],
    ["the spawner could not be started: spawn unshare ENOENT", /util-linux/],
  ] as const;
  for (const [message, hint] of cases) assert.match(hintFor(message) ?? "", hint, message);
  assert.equal(hintFor("the disk is full"), undefined);
});
