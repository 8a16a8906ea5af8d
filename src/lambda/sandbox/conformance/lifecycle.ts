/** Create, output, signals, freeze, destroy: what every driver does, walls or no walls. */
import assert from "node:assert/strict";
import { newHexId } from "../../../kernel/ids.ts";
import { SandboxError, type SandboxExit } from "../sandbox.ts";
import { burn, text, until, type Fixture } from "./fixture.ts";
import type { Define } from "./groups.ts";

/** By member: a driver that has the exit from another process may leave out what is undefined. */
function assertExit(exit: SandboxExit, expected: SandboxExit): void {
  assert.equal(exit.code, expected.code);
  assert.equal(exit.signal, expected.signal);
  assert.equal(exit.outOfMemory, expected.outOfMemory);
}

export function defineOutput(define: Define, fixture: () => Fixture): void {
  define("runs a command: its output in order, its exit code", async (t) => {
    const sandbox = await fixture().shell(t, "echo out; echo err >&2; echo again; exit 7");
    assert.equal(await text(sandbox.output), "out\nerr\nagain\n");
    assertExit(await sandbox.exited, { code: 7, signal: undefined, outOfMemory: false });
    assert.equal(sandbox.link, undefined);
  });

  define("stdout and stderr can be opened by name, stdin is empty", async (t) => {
    const sandbox = await fixture().shell(t, "cat; echo a > /dev/stdout; echo b > /dev/stderr");
    assert.equal(await text(sandbox.output), "a\nb\n");
  });

  define("output and exit can be asked for late", async (t) => {
    const sandbox = await fixture().shell(t, "echo early; exit 3");
    const exit = await sandbox.exited;
    assert.equal(exit.code, 3);
    assert.equal(await sandbox.exited, exit, "it resolves once");
    assert.equal(await text(sandbox.output), "early\n");
  });

  define("a writer waits while nobody reads", async (t) => {
    const bytes = 100 * 1024 * 1024;
    const sandbox = await fixture().shell(t, `head -c ${bytes} /dev/zero; echo end`);
    await burn(50);
    assert(
      sandbox.output.readableLength <= 1024 * 1024,
      `${sandbox.output.readableLength} bytes were taken in`,
    );
    let read = 0;
    let buffered = 0;
    for await (const chunk of sandbox.output) {
      read += (chunk as Buffer).length;
      buffered = Math.max(buffered, sandbox.output.readableLength);
    }
    assert.equal(read, bytes + "end\n".length);
    assert(buffered <= 1024 * 1024, `${buffered} bytes were buffered`);
  });

  define("the environment is what was given, and nothing else", async (t) => {
    const given = { PATH: "/var/lang/bin:/usr/bin:/bin", TEXT: "a b=c\n'\"ü", EMPTY: "", PWD: "/var/task" };
    const agent = await fixture().agent(t, { environment: given });
    const seen = (await agent.call("environment")) as Record<string, string>;
    assert.equal(seen["TEXT"], given.TEXT);
    assert.equal(seen["EMPTY"], "");
    const expected = [...Object.keys(given), "TASK", "OPT", "ARTEFACTS", ...fixture().extraVariables];
    assert.deepEqual(Object.keys(seen).toSorted(), expected.toSorted());
  });

  define("no file descriptor of ours is open inside", async (t) => {
    const check =
      "for n in 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do [ ! -e /proc/self/fd/$n ] || echo $n; done";
    const without = await fixture().shell(t, check);
    assert.equal(await text(without.output), "");
    const linked = await fixture().shell(t, check, { link: true });
    assert.equal(await text(linked.output), "3\n");
  });
}

export function defineLink(define: Define, fixture: () => Fixture): void {
  define("the link carries megabytes both ways", async (t) => {
    const agent = await fixture().agent(t);
    assert.equal(await agent.call("echo", { text: "small" }), "small");
    const large = newHexId(3 * 1024 * 1024);
    assert.equal((await agent.call("echo", { text: large })) === large, true);
  });

  define("the link ends when the process does", async (t) => {
    const agent = await fixture().agent(t);
    await agent.call("echo", { text: "it runs" });
    const call = agent.call("spin", { durationMs: 600_000 });
    await Promise.all([assert.rejects(call, /the link was closed/), agent.sandbox.signal("SIGKILL")]);
  });
}

export function defineSignals(define: Define, fixture: () => Fixture): void {
  define("SIGTERM reaches the main process, which may finish", async (t) => {
    const script = "trap 'echo caught; exit 4' TERM; echo ready; while :; do sleep 0.01; done";
    const sandbox = await fixture().shell(t, script);
    const output: string[] = [];
    sandbox.output.on("data", (data: Buffer) => output.push(data.toString()));
    await until(() => output.join("").includes("ready"), "the trap is set");
    await sandbox.signal("SIGTERM");
    assertExit(await sandbox.exited, { code: 4, signal: undefined, outOfMemory: false });
    await until(() => output.join("").includes("caught"), "its last words came");
    await sandbox.signal("SIGTERM");
    await sandbox.signal("SIGKILL");
  });

  define("SIGKILL ends it at once", async (t) => {
    const sandbox = await fixture().shell(t, "trap '' TERM; echo ready; while :; do sleep 0.01; done");
    await sandbox.signal("SIGKILL");
    assertExit(await sandbox.exited, { code: undefined, signal: "SIGKILL", outOfMemory: false });
  });

  define("a signal of the process's own is told by name", async (t) => {
    const sandbox = await fixture().shell(t, "kill -SEGV $$");
    assert.equal((await sandbox.exited).signal, "SIGSEGV");
  });

  define("freeze stops everything, thaw lets it go on", async (t) => {
    const agent = await fixture().agent(t);
    await agent.call("echo", { text: "it runs" });
    await agent.sandbox.freeze();
    await agent.sandbox.freeze();
    let answered = false;
    const call = agent.call("echo", { text: "later" }).then((result) => {
      answered = true;
      return result;
    });
    await burn(100);
    assert.equal(answered, false, "nothing runs while frozen");
    await agent.sandbox.thaw();
    await agent.sandbox.thaw();
    assert.equal(await call, "later");
  });
}

export function defineDestroy(define: Define, fixture: () => Fixture): void {
  define("destroy takes the whole process tree, daemons and frozen ones too", async (t) => {
    const agent = await fixture().agent(t);
    const marker = `${fixture().marker}-${newHexId(6)}`;
    const daemon = `exec sh -c 'while :; do sleep 1; done' ${marker}`;
    await agent.run(`(setsid sh -c "${daemon}" ${marker} >/dev/null 2>&1 </dev/null &) & exit 0`);
    await agent.call("start", { command: ["/bin/sh", "-c", daemon, marker] });
    await until(() => fixture().processes(marker).length === 2, "both run");
    await agent.sandbox.freeze();
    const destroyed = agent.sandbox.destroy("test");
    await Promise.all([destroyed, agent.sandbox.destroy("again")]);
    assert.deepEqual(fixture().processes(marker), []);
    assert.equal((await agent.sandbox.exited).signal, "SIGKILL");
    await agent.sandbox.destroy("once more");
    await agent.sandbox.signal("SIGKILL");
    await agent.sandbox.freeze();
    await agent.sandbox.thaw();
  });

  define("destroy after the exit is harmless", async (t) => {
    const sandbox = await fixture().shell(t, "exit 0");
    await sandbox.exited;
    await sandbox.destroy("test");
    assertExit(await sandbox.exited, { code: 0, signal: undefined, outOfMemory: false });
  });

  define("twenty at once keep apart", async (t) => {
    const sandboxes = await Promise.all(
      Array.from({ length: 20 }, (_, index) =>
        fixture().shell(t, `echo ${index}; sleep 0.01; exit ${index}`),
      ),
    );
    const outputs = await Promise.all(sandboxes.map((sandbox) => text(sandbox.output)));
    const exits = await Promise.all(sandboxes.map((sandbox) => sandbox.exited));
    assert.deepEqual(
      outputs,
      Array.from({ length: 20 }, (_, index) => `${index}\n`),
    );
    assert.deepEqual(
      exits.map((exit) => exit.code),
      Array.from({ length: 20 }, (_, index) => index),
    );
    const addresses = sandboxes.map((sandbox) => sandbox.address).filter((address) => address !== undefined);
    assert.equal(new Set(addresses).size, addresses.length, "no two have the same address");
    assert.equal(addresses.length, fixture().network.kind === "shared" ? 20 : 0);
    await Promise.all(sandboxes.map((sandbox) => sandbox.destroy("test")));
  });

  define("a create that cannot be leaves nothing and says which step failed", async (t) => {
    const base = fixture().spec({ command: ["/bin/sh", "-c", "exit 0", fixture().marker] });
    const impossible = [
      { ...base, id: fixture().newId(), root: { key: "none", lang: "/nonexistent/lang" } },
      { ...base, id: fixture().newId(), code: { task: "/nonexistent/task", layers: [] } },
      { ...base, id: "../escape" },
    ];
    for (const spec of impossible) {
      await assert.rejects(fixture().driver.create(spec), (error) => {
        assert(error instanceof SandboxError, String(error));
        assert.notEqual(error.step, "");
        return true;
      });
    }
    assert.deepEqual(fixture().processes(fixture().marker), []);
    const sandbox = await fixture().shell(t, "exit 0");
    assert.equal((await sandbox.exited).code, 0, "the driver goes on");
  });

  define("close while sandboxes are being created leaves none", async () => {
    const driver = fixture().secondDriver();
    await driver.start();
    const marker = `${fixture().marker}-${newHexId(6)}`;
    const command = ["/bin/sh", "-c", "while :; do sleep 1; done", marker];
    const running = await driver.create(fixture().spec({ command }));
    const creates = Array.from({ length: 4 }, () => driver.create(fixture().spec({ command })));
    const [outcomes] = await Promise.all([Promise.allSettled(creates), driver.close()]);
    for (const outcome of outcomes) {
      if (outcome.status === "rejected")
        assert(outcome.reason instanceof SandboxError, String(outcome.reason));
      else await outcome.value.exited;
    }
    await running.exited;
    assert.deepEqual(fixture().processes(marker), []);
    await assert.rejects(driver.create(fixture().spec({ command })), SandboxError);
  });
}
