// Goal: whatever dies, and however, the kernel and the next start leave nothing of a sandbox behind.
// Method: SIGKILL to the spawner; SIGKILL to a server process of its own; an orderly close; then a look at processes,
// interfaces, firewall tables and control groups of that server.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { suite, test } from "node:test";
import { Fixture, until } from "../conformance/fixture.ts";
import type { EnvironmentNetwork } from "../sandbox.ts";
import { instanceName, type BubblewrapDriver } from "./driver.ts";
import { machineTraces, spawnerPids, testDriver, unavailable } from "./testing.ts";

const FOREVER = "while :; do sleep 1; done";

async function start(): Promise<{ fixture: Fixture; driver: BubblewrapDriver }> {
  const fixture = new Fixture(testDriver, []);
  await fixture.start();
  return { fixture, driver: fixture.driver as BubblewrapDriver };
}

/** Names of this machine's that vanish a moment after their process. */
async function gone(read: () => readonly unknown[], what: string): Promise<void> {
  await until(() => read().length === 0, what);
}

suite("death", { skip: unavailable ?? false }, () => {
  test("close leaves no interface, no table, no control group, no process", async (t) => {
    const { fixture } = await start();
    const instance = instanceName(fixture.folders.data);
    await fixture.shell(t, FOREVER);
    if (fixture.driver.walls.egress.holds) assert.notDeepEqual(machineTraces(instance), []);
    await fixture.close();
    await gone(() => machineTraces(instance), "traces are gone");
    await gone(() => spawnerPids(), "the spawner is gone");
  });

  test("a killed spawner takes its sandboxes along, and another one takes its place", async (t) => {
    const { fixture, driver } = await start();
    t.after(() => fixture.close());
    const networks: EnvironmentNetwork[] = [];
    driver.onNetwork((network) => networks.push(network));
    const agent = await fixture.agent(t);
    await agent.call("echo", { text: "it runs" });
    const [spawner] = spawnerPids();
    assert(spawner, "there is a spawner");
    process.kill(spawner, "SIGKILL");
    assert.deepEqual(await agent.sandbox.exited, { code: undefined, signal: "SIGKILL", outOfMemory: false });
    assert.deepEqual(fixture.processes(fixture.marker), []);
    await agent.sandbox.destroy("after its death");
    await agent.sandbox.signal("SIGTERM");
    const another = await fixture.agent(t);
    assert.equal(await another.call("echo", { text: "again" }), "again");
    assert.equal(networks.length, 1);
    assert.equal(networks[0]?.kind, fixture.network.kind);
    assert.equal(spawnerPids().length, 1);
  });

  test("a killed server leaves nothing", async (t) => {
    const { fixture } = await start();
    t.after(() => fixture.close());
    const data = join(fixture.folders.data, "..", "code");
    const server = spawn(process.execPath, ["--input-type=module", "-e", serverSource(fixture, data)], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    t.after(() => server.kill("SIGKILL"));
    const [line] = (await once(server.stdout, "data")) as [Buffer];
    assert.equal(line.toString(), "it runs\n");
    const marker = `${fixture.marker}-server`;
    assert.equal(fixture.processes(marker).length > 0, true, "its function runs");
    const [spawner] = spawnerPids(server.pid);
    assert(spawner, "it has a spawner");
    server.kill("SIGKILL");
    await once(server, "exit");
    await gone(() => fixture.processes(marker), "its function is gone");
    await until(() => !isRunning(spawner), "its spawner is gone");
    await gone(() => machineTraces(instanceName(data)), "its traces are gone");
  });
});

/** A server of its own with one sandbox, which never ends by itself. */
function serverSource(fixture: Fixture, data: string): string {
  const command = ["/bin/sh", "-c", `echo it runs; ${FOREVER}`, `${fixture.marker}-server`];
  return `
    import { testDriver } from ${JSON.stringify(join(import.meta.dirname, "testing.ts"))};
    const driver = testDriver(${JSON.stringify({ ...fixture.folders, data })});
    await driver.start();
    const sandbox = await driver.create(${JSON.stringify(fixture.spec({ command }))});
    sandbox.output.pipe(process.stdout);`;
}

function isRunning(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== "ENOENT" && code !== "ESRCH") throw error;
    return false;
  }
}
