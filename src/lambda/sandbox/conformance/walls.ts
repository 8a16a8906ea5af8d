/** Limits and isolation: only what the driver claims for this machine. */
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { newHexId } from "../../../kernel/ids.ts";
import { ENVIRONMENT_PIDS_MAX, MEMORY_MB_PER_VCPU } from "../../../limits.ts";
import { claims, layered, text, type Fixture } from "./fixture.ts";
import type { Define } from "./groups.ts";

const MIB = 1024 * 1024;

export function defineLimits(define: Define, fixture: () => Fixture): void {
  define("the peak of memory grows with use", async (t) => {
    const agent = await fixture().agent(t, { memoryMb: 512 });
    await agent.call("echo", { text: "it runs" });
    const before = agent.sandbox.peakMemoryBytes();
    if (before === undefined) {
      const { memoryLimit } = fixture().driver.walls;
      assert.equal(memoryLimit.holds, false, "what limits memory also counts it");
      t.skip(`this machine cannot say: ${memoryLimit.detail}`);
      return;
    }
    await agent.call("allocate", { bytes: 100 * MIB });
    const after = agent.sandbox.peakMemoryBytes() ?? 0;
    assert(after - before >= 50 * MIB, `${before} → ${after} bytes`);
    assert(after >= 100 * MIB && after <= 512 * MIB, `${after} bytes`);
  });

  define("the memory limit is kept: the kernel ends what exceeds it", async (t) => {
    if (!claims(t, fixture().driver.walls.memoryLimit)) return;
    const agent = await fixture().agent(t, { memoryMb: 256 });
    await agent.call("allocate", { bytes: 100 * MIB });
    const lost = agent.call("allocate", { bytes: 300 * MIB });
    await assert.rejects(lost, /the link was closed/);
    const exit = await agent.sandbox.exited;
    assert.equal(exit.signal, "SIGKILL");
    assert.equal(exit.outOfMemory, true);
    const peak = agent.sandbox.peakMemoryBytes();
    assert(peak === undefined || peak <= 256 * MIB, `${peak} bytes`);
  });

  define("specialise sets the memory limit anew", async (t) => {
    if (!claims(t, fixture().driver.walls.memoryLimit)) return;
    const agent = await fixture().agent(t, { memoryMb: 128 });
    const code = layered(fixture().code({ "index.js": "" }));
    await agent.sandbox.specialise({ code, memoryMb: 512, ephemeralStorageMb: 512 });
    await agent.call("allocate", { bytes: 200 * MIB });
    await assert.rejects(agent.call("allocate", { bytes: 400 * MIB }), /the link was closed/);
    assert.equal((await agent.sandbox.exited).outOfMemory, true);
  });

  define("there are so many processes and no more", async (t) => {
    if (!claims(t, fixture().driver.walls.processLimit)) return;
    // Each child stands at a FIFO that nobody opens; the shell stops at the first that it cannot have.
    const script = `mkfifo /tmp/f; i=0; while [ $i -le ${ENVIRONMENT_PIDS_MAX} ]; do (read x < /tmp/f) & i=$((i+1)); done; echo all`;
    const sandbox = await fixture().shell(t, script, { memoryMb: 1024 });
    const output = await text(sandbox.output).catch(() => "");
    assert.doesNotMatch(output, /^all$/m);
    assert.match(output, /fork/);
  });

  define("CPU time is in proportion to memory, once it is limited", async (t) => {
    if (!claims(t, fixture().driver.walls.cpuLimit)) return;
    const agent = await fixture().agent(t, { memoryMb: Math.round(MEMORY_MB_PER_VCPU / 4) });
    await agent.sandbox.limitCpu();
    const share = Number(await agent.call("spin", { durationMs: 1000 }));
    assert(share <= 0.3, `a quarter was asked for, ${share} was had`);
  });
}

export function defineIsolation(define: Define, fixture: () => Fixture): void {
  define("no privileges, no way to new ones, a filter on system calls", async (t) => {
    if (!claims(t, fixture().driver.walls.systemCalls)) return;
    const agent = await fixture().agent(t);
    const status = String(await agent.call("read", { path: "/proc/self/status" }));
    assert.match(status, /^Seccomp:\s+2$/m);
    assert.match(status, /^NoNewPrivs:\s+1$/m);
    assert.match(status, /^CapEff:\s+0+$/m);
    assert.match(status, /^CapBnd:\s+0+$/m);
  });

  define("two sandboxes do not see each other's processes", async (t) => {
    if (!claims(t, fixture().driver.walls.processes)) return;
    const marker = newHexId(8);
    await fixture().shell(t, "while :; do sleep 1; done", {
      command: ["/bin/sh", "-c", "while :; do sleep 1; done", `${fixture().marker}-${marker}`],
    });
    const agent = await fixture().agent(t);
    const { stdout } = await agent.run("cat /proc/[0-9]*/cmdline");
    assert(stdout.includes(fixture().marker), "it sees its own");
    assert(!stdout.includes(marker), "and not the other's");
    const pids = ((await agent.call("list", { path: "/proc" })) as string[])
      .map(Number)
      .filter((pid) => pid > 0);
    assert(pids.length < 8, `${pids.length} processes`);
  });

  define("two sandboxes do not see each other's files", async (t) => {
    if (!claims(t, fixture().driver.walls.filesystem)) return;
    const [one, other] = await Promise.all([fixture().agent(t), fixture().agent(t)]);
    await one.call("write", { path: "/tmp/secret", text: "secret" });
    await assert.rejects(other.call("read", { path: "/tmp/secret" }), /ENOENT/);
    await assert.rejects(
      one.call("read", { path: `${fixture().folders.runtime}/agent.mjs` }),
      /ENOENT|EACCES/,
    );
    await assert.rejects(one.call("list", { path: "/root" }), /ENOENT|EACCES/);
  });

  define("two sandboxes do not reach each other's ports", async (t) => {
    if (!claims(t, fixture().driver.walls.network)) return;
    const [one, other] = await Promise.all([fixture().agent(t), fixture().agent(t)]);
    const port = await one.call("listen", { host: "0.0.0.0", port: 0 });
    assert.equal(await one.call("connect", { host: "127.0.0.1", port }), "hello");
    const refused = /ETIMEDOUT|ECONNREFUSED|EHOSTUNREACH|ENETUNREACH|EACCES/;
    await assert.rejects(other.call("connect", { host: one.sandbox.address, port }), refused);
    await assert.rejects(other.call("connect", { host: "127.0.0.1", port }), refused);
  });

  define("a sandbox reaches the Runtime API from its own address", async (t) => {
    const { kind, runtimeApi } = fixture().network;
    if (kind === "loopback" || runtimeApi === undefined) {
      t.skip("this driver has no network of its own");
      return;
    }
    const server = createServer((request, response) => response.end(String(request.socket.remoteAddress)));
    server.listen(runtimeApi.handle);
    t.after(() => new Promise((closed) => server.close(closed)));
    const agent = await fixture().agent(t);
    // Several connections: a listener that somebody else accepts on as well would lose some of them.
    const script = `
      const get = () => fetch("http://${runtimeApi.host}:${runtimeApi.port}/", {
        headers: { connection: "close" }, signal: AbortSignal.timeout(10_000) }).then((answer) => answer.text());
      Promise.all(Array.from({ length: 16 }, get)).then((all) => console.log([...new Set(all)].join()));`;
    const { stdout, stderr } = await agent.run(`node -e '${script}'`);
    assert.equal(stdout.trim().replaceAll("::ffff:", ""), agent.sandbox.address, stderr);
  });
}
