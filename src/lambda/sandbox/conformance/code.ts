/** Code, layers and /tmp: what a sandbox sees of its function, at once or later. */
import assert from "node:assert/strict";
import { claims, layered, text, type Agent, type Fixture } from "./fixture.ts";
import type { Define } from "./groups.ts";

const MIB = 1024 * 1024;

export function defineCode(define: Define, fixture: () => Fixture): void {
  const limits = { memoryMb: 256, ephemeralStorageMb: 512 };

  define("code given at creation is the working directory and can be the command", async (t) => {
    const task = fixture().code({
      bootstrap: '#!/bin/sh\ncat data.txt; echo "$LAMBDA_TASK_ROOT $1" | tail -c 3\n',
      "data.txt": "data\n",
    });
    const sandbox = await fixture().create(t, {
      root: { key: "provided" },
      command: ["/var/task/bootstrap", "x"],
      environment: { PATH: "/usr/bin:/bin", LAMBDA_TASK_ROOT: "/var/task" },
      code: layered(task),
    });
    assert.equal(await text(sandbox.output), "data\n x\n");
    assert.equal((await sandbox.exited).code, 0);
  });

  const environmentOf = async (agent: Agent) =>
    (await agent.call("environment")) as { TASK: string; OPT: string };

  define("specialise shows code and layers to a running process, later layers win", async (t) => {
    const agent = await fixture().agent(t);
    const { TASK, OPT } = await environmentOf(agent);
    await assert.rejects(agent.call("read", { path: `${TASK}/index.js` }), /ENOENT/);
    const task = fixture().code({ "index.js": "the code", "deep/er.txt": "deeper" });
    const first = fixture().code({ "lib/a.txt": "a of first", "lib/b.txt": "b of first" });
    const second = fixture().code({ "lib/b.txt": "b of second", "bin/c.txt": "c of second" });
    const third = fixture().code({ "bin/c.txt": "c of third" });
    await agent.sandbox.specialise({ code: layered(task, first, second, third), ...limits });
    assert.equal(await agent.call("read", { path: `${TASK}/index.js` }), "the code");
    assert.equal(await agent.call("read", { path: `${TASK}/deep/er.txt` }), "deeper");
    assert.equal(await agent.call("read", { path: `${OPT}/lib/a.txt` }), "a of first");
    assert.equal(await agent.call("read", { path: `${OPT}/lib/b.txt` }), "b of second");
    assert.equal(await agent.call("read", { path: `${OPT}/bin/c.txt` }), "c of third");
    assert.deepEqual(((await agent.call("list", { path: `${OPT}/lib` })) as string[]).toSorted(), [
      "a.txt",
      "b.txt",
    ]);
  });

  define("one layer, and none", async (t) => {
    const task = fixture().code({ "index.js": "the code" });
    const layer = fixture().code({ "a.txt": "a" });
    const one = await fixture().agent(t, { code: layered(task, layer) });
    const { OPT } = await environmentOf(one);
    assert.equal(await one.call("read", { path: `${OPT}/a.txt` }), "a");
    const none = await fixture().agent(t);
    await none.sandbox.specialise({ code: layered(task), ...limits });
    const { TASK, OPT: empty } = await environmentOf(none);
    assert.equal(await none.call("read", { path: `${TASK}/index.js` }), "the code");
    await assert.rejects(none.call("read", { path: `${empty}/a.txt` }), /ENOENT/);
  });

  define("artefacts are shown beside the code, at once or later", async (t) => {
    const task = fixture().code({ "index.js": "the code" });
    const artefacts = fixture().code({ "compiled/a": "made of it" });
    const code = { ...layered(task), artefacts };
    const later = await fixture().agent(t);
    const { ARTEFACTS } = (await later.call("environment")) as { ARTEFACTS: string };
    assert.deepEqual(await later.call("list", { path: ARTEFACTS }), []);
    await later.sandbox.specialise({ code, ...limits });
    const atOnce = await fixture().agent(t, { code });
    const other = ((await atOnce.call("environment")) as { ARTEFACTS: string }).ARTEFACTS;
    assert.equal(await later.call("read", { path: `${ARTEFACTS}/compiled/a` }), "made of it");
    assert.equal(await atOnce.call("read", { path: `${other}/compiled/a` }), "made of it");
    if (!fixture().driver.walls.filesystem.holds) return;
    for (const agent of [later, atOnce])
      await assert.rejects(
        agent.call("write", { path: "/var/artefacts/compiled/a", text: "x" }),
        /EROFS|EACCES|EPERM/,
      );
  });

  define("code, layers and interpreter cannot be written", async (t) => {
    if (!claims(t, fixture().driver.walls.filesystem)) return;
    const task = fixture().code({ "index.js": "the code" });
    const layer = fixture().code({ "a.txt": "a" });
    const other = fixture().code({ "b.txt": "b" });
    const atOnce = await fixture().agent(t, { code: layered(task, layer) });
    const later = await fixture().agent(t);
    await later.sandbox.specialise({ code: layered(task, layer, other), ...limits });
    for (const agent of [atOnce, later]) {
      for (const path of [
        "/var/task/index.js",
        "/var/task/new",
        "/opt/a.txt",
        "/opt/new",
        "/var/runtime/new",
        "/usr/new",
        "/etc/new",
        "/new",
      ]) {
        await assert.rejects(agent.call("write", { path, text: "x" }), /EROFS|EACCES|EPERM/, path);
      }
    }
  });

  define("/tmp can be written", async (t) => {
    const agent = await fixture().agent(t);
    const path = `/tmp/${fixture().marker}`;
    await agent.call("write", { path, text: "kept" });
    assert.equal(await agent.call("read", { path }), "kept");
    await agent.call("unlink", { path });
  });

  define("/tmp has the size that was asked for, and is not memory", async (t) => {
    if (!claims(t, fixture().driver.walls.ephemeralStorage)) return;
    const agent = await fixture().agent(t, { memoryMb: 128, ephemeralStorageMb: 512 });
    const allocate = (megabytes: number, name: string) =>
      agent.call("run", { command: ["/usr/bin/fallocate", "-l", `${megabytes}M`, `/tmp/${name}`] });
    assert.notEqual(((await allocate(600, "a")) as { status: number }).status, 0, "600 MB in 512 MB");
    await agent.run("rm -f /tmp/a");
    const task = fixture().code({ "index.js": "the code" });
    await agent.sandbox.specialise({ code: layered(task), memoryMb: 128, ephemeralStorageMb: 1024 });
    const size = Number(await agent.call("fileSystemBytes", { path: "/tmp" }));
    assert(
      size > 1000 * MIB && size <= 1056 * MIB,
      `${size} bytes, with what the file system takes for itself`,
    );
    assert.equal(((await allocate(700, "b")) as { status: number }).status, 0, "700 MB in 1,024 MB");
    assert.notEqual(((await allocate(400, "c")) as { status: number }).status, 0, "1,100 MB in 1,024 MB");
  });
}
