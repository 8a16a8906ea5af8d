// Goal: placement answers every invocation, keeps to its limits and leaves nothing behind, whatever dies meanwhile.
// Method: placement with its real pool and occupier over a driver without walls, whose sandboxes run a script.
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { AwsError } from "../../errors.ts";
import { ManualClock, systemClock } from "../../kernel/clock.ts";
import { deferred } from "../../kernel/deferred.ts";
import { FRAME } from "../environment/link.ts";
import type { InvocationOutcome } from "../model.ts";
import { buildWorld, fakeInvocation, LINK_RUNTIME, revision, until, type World } from "./fakes.ts";

const V1 = revision(1);
const V2 = revision(2);
const text = (outcome: InvocationOutcome) => outcome.payload.toString();

async function end({ placement, pool, driver }: World): Promise<void> {
  await placement.close(0);
  await pool.close();
  assert.equal(driver.alive.size, 0, "every sandbox was destroyed");
  for (const sandbox of driver.created) assert.equal(sandbox.calls.filter((c) => c === "destroy").length, 1);
}

/** Idle again: its log lines are in. */
const idle = (world: World, count: number) =>
  until(() => world.placement.counts().idle === count, `${count} idle`);

describe("placement over a driver", () => {
  it("reuses the environment that was used last", async () => {
    const world = buildWorld(new ManualClock());
    world.driver.script.onInvoke = () => undefined;
    const runs = [1, 2, 3].map((number) => world.placement.run(V1, fakeInvocation(number)));
    await until(() => world.driver.created.filter(({ running }) => running).length === 3, "three run");
    const [a, b, c] = world.driver.created;
    for (const sandbox of [c, a, b]) {
      const before = world.placement.counts().idle;
      sandbox?.answer();
      await idle(world, before + 1);
    }
    await Promise.all(runs);
    for (const number of [4, 5]) {
      const run = world.placement.run(V1, fakeInvocation(number));
      await until(() => b?.running !== undefined, "the last one has it");
      b?.answer();
      await run;
      await idle(world, 3);
    }
    await end(world);
  });

  it("throttles beyond the account's concurrency, with AWS's reason, and lets in again", async () => {
    const world = buildWorld(new ManualClock(), { placement: { accountConcurrency: 2 } });
    world.driver.script.onInvoke = () => undefined;
    const runs = [1, 2].map((number) => world.placement.run(V1, fakeInvocation(number)));
    await assert.rejects(world.placement.run(V1, fakeInvocation(3)), (error) => {
      assert.ok(error instanceof AwsError);
      assert.deepEqual(
        [error.code, error.status, error.members],
        ["TooManyRequestsException", 429, { Reason: "ConcurrentInvocationLimitExceeded" }],
      );
      return true;
    });
    assert.equal(world.placement.concurrency, 2);
    await until(() => world.driver.created.filter(({ running }) => running).length === 2, "both run");
    world.driver.script.onInvoke = (sandbox) => sandbox.answer();
    for (const sandbox of world.driver.created) sandbox.answer();
    await Promise.all(runs);
    assert.equal(world.placement.concurrency, 0);
    assert.equal(text(await world.placement.run(V1, fakeInvocation(4))), '"done"');
    await end(world);
  });

  it("ends idle environments of an old revision at once, and busy ones after their answer", async () => {
    const world = buildWorld(new ManualClock());
    await world.placement.run(V1, fakeInvocation(1));
    await idle(world, 1);
    world.driver.script.onInvoke = () => undefined;
    const run = world.placement.run(V1, fakeInvocation(2));
    const other = world.placement.run(V1, fakeInvocation(3));
    await until(() => world.driver.created.filter(({ running }) => running).length === 2, "both run");
    world.driver.created[0]?.answer();
    await idle(world, 1);
    world.placement.retire(V1.functionArn, V1.version, V2.revisionId);
    assert.equal(world.placement.counts().idle, 0);
    await until(() => world.driver.alive.size === 1, "the idle one is gone");
    const next = world.placement.run(V2, fakeInvocation(4));
    await until(() => world.driver.created[2]?.running !== undefined, "the new revision runs in its own");
    assert.equal(world.driver.created[2]?.codeTask, "/code/code-2");
    for (const sandbox of world.driver.created) sandbox.answer();
    await Promise.all([run, other, next]);
    await until(() => world.driver.alive.size === 1, "the old one is gone");
    assert.deepEqual([...world.driver.alive], [world.driver.created[2]]);
    await end(world);
  });

  it("does not wait for the news of a new revision", async () => {
    const world = buildWorld(new ManualClock());
    await world.placement.run(V1, fakeInvocation(1));
    await idle(world, 1);
    await world.placement.run(V2, fakeInvocation(2));
    await until(() => world.driver.alive.size === 1, "the old one is gone");
    assert.equal(world.driver.created.length, 2);
    world.placement.retire(V2.functionArn, V2.version, V2.revisionId);
    await idle(world, 1);
    await end(world);
  });

  it("ends everything of a deleted function", async () => {
    const world = buildWorld(new ManualClock());
    await world.placement.run(V1, fakeInvocation(1));
    await idle(world, 1);
    world.placement.retire(V1.functionArn, V1.version, undefined);
    await until(() => world.driver.alive.size === 0, "gone");
    assert.deepEqual(world.placement.counts(), { environments: 0, idle: 0 });
    world.placement.retire("arn:unknown", "$LATEST", undefined);
    await end(world);
  });

  it("answers a ServiceException when a sandbox cannot be made, at the first start and at the second", async () => {
    const world = buildWorld(new ManualClock());
    world.driver.broken = true;
    await assert.rejects(world.placement.run(V1, fakeInvocation(1)), {
      code: "ServiceException",
      status: 500,
    });
    world.driver.broken = false;
    world.driver.script.onSpecialise = (sandbox) => {
      world.driver.broken = true;
      sandbox.send(FRAME.INIT_ERROR, Buffer.from("{}"));
    };
    await assert.rejects(world.placement.run(V1, fakeInvocation(2)), {
      code: "ServiceException",
      status: 500,
    });
    assert.equal(world.placement.concurrency, 0);
    await end(world);
  });

  it("answers a ServiceException when a runtime ends before it has booted, or never boots", async () => {
    const clock = new ManualClock();
    const world = buildWorld(clock);
    world.driver.script.onStart = (sandbox) => sandbox.exit({ code: 127 });
    await assert.rejects(world.placement.run(V1, fakeInvocation(1)), { code: "ServiceException" });
    world.driver.script.onStart = () => undefined;
    const run = world.placement.run(V1, fakeInvocation(2));
    await until(() => world.driver.created.length === 2, "it boots");
    // The init phase ends after ten seconds; the function's timeout ends the repeated init.
    clock.advance(10_000);
    await until(() => world.driver.created.length === 3, "it boots again");
    clock.advance(3000);
    assert.match(text(await run), /Task timed out after 3\.00 seconds/);
    clock.advance(30_000);
    await until(() => world.driver.alive.size === 0, "what never booted is gone");
    await end(world);
  });

  it("passes on what the control plane has to say", async () => {
    const missing = { available: false, reason: "No Ruby here.", fix: "Install it." } as const;
    const world = buildWorld(new ManualClock(), { occupier: { runtimes: { find: async () => missing } } });
    await assert.rejects(world.placement.run(V1, fakeInvocation(1)), {
      code: "InvalidRuntimeException",
      message: "No Ruby here. Install it.",
    });
    await end(world);
  });

  it("tells a custom runtime without a bootstrap as the function's error", async () => {
    const world = buildWorld(new ManualClock(), {
      occupier: {
        runtimes: { find: async () => ({ ...LINK_RUNTIME, link: false }) },
        codeFolder: async () => "/nonexistent",
      },
    });
    const outcome = await world.placement.run(V1, fakeInvocation(1));
    assert.equal(outcome.functionError, "Unhandled");
    assert.deepEqual(JSON.parse(text(outcome)), {
      errorType: "Runtime.InvalidEntrypoint",
      errorMessage: `RequestId: ${fakeInvocation(1).requestId} Error: Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]`,
    });
    assert.equal(world.driver.created.length, 0);
    await end(world);
  });

  it("runs a custom runtime over HTTP, and closes its listener with it", async () => {
    const folder = await mkdtemp(join(tmpdir(), "placement-"));
    try {
      await writeFile(join(folder, "bootstrap"), "#!/bin/sh\n", { mode: 0o755 });
      const world = buildWorld(new ManualClock(), {
        occupier: {
          runtimes: { find: async () => ({ ...LINK_RUNTIME, link: false }) },
          codeFolder: async () => folder,
        },
      });
      const calls = { port: 0 };
      const call = (method: string, path: string, body = "") =>
        new Promise<string>((resolve, reject) => {
          const sent = request(
            { host: "127.0.0.1", port: calls.port, method, path: `/2018-06-01/runtime/${path}` },
            (answer) => {
              answer.resume();
              answer.on("end", () => resolve(String(answer.headers["lambda-runtime-aws-request-id"])));
            },
          );
          sent.on("error", reject);
          sent.end(body);
        });
      world.driver.script.onStart = (sandbox) => {
        calls.port = Number(sandbox.spec.environment["AWS_LAMBDA_RUNTIME_API"]?.split(":")[1]);
        void call("GET", "invocation/next").then((id) => call("POST", `invocation/${id}/response`, "1"));
      };
      assert.equal(text(await world.placement.run(V1, fakeInvocation(1))), "1");
      assert.deepEqual(world.driver.created[0]?.spec.command, ["/var/task/bootstrap"]);
      await end(world);
      await assert.rejects(call("GET", "invocation/next"));
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it("freezes who is left alone and wakes it for the next invocation", async () => {
    const clock = new ManualClock();
    const world = buildWorld(clock);
    await world.placement.run(V1, fakeInvocation(1));
    await idle(world, 1);
    clock.advance(3000);
    await until(() => world.driver.created[0]?.frozen === true, "frozen");
    assert.equal(text(await world.placement.run(V1, fakeInvocation(2))), '"done"');
    assert.equal(world.driver.created.length, 1);
    await end(world);
  });

  it("starts cold when the frozen one cannot be woken", async () => {
    const clock = new ManualClock();
    const world = buildWorld(clock);
    await world.placement.run(V1, fakeInvocation(1));
    await idle(world, 1);
    clock.advance(3000);
    const [first] = world.driver.created;
    await until(() => first?.frozen === true, "frozen");
    if (first) first.thaw = () => Promise.reject(new Error("the spawner has ended"));
    assert.equal(text(await world.placement.run(V1, fakeInvocation(2))), '"done"');
    assert.equal(world.driver.created.length, 2);
    await end(world);
  });

  it("outlives a spawner that dies while environments are idle and being frozen", async () => {
    const clock = new ManualClock();
    const world = buildWorld(clock);
    world.driver.script.onInvoke = () => undefined;
    const runs = [1, 2, 3].map((number) => world.placement.run(V1, fakeInvocation(number)));
    await until(() => world.driver.created.filter(({ running }) => running).length === 3, "three run");
    for (const sandbox of world.driver.created) sandbox.answer();
    await Promise.all(runs);
    await idle(world, 3);
    clock.advance(2999);
    // The freeze is under way when the spawner dies.
    world.driver.die();
    await until(() => world.driver.alive.size === 0, "all are gone");
    world.driver.script.onInvoke = (sandbox) => sandbox.answer();
    assert.equal(text(await world.placement.run(V1, fakeInvocation(4))), '"done"');
    await end(world);
  });

  it("answers everybody when the spawner dies under load", async () => {
    const world = buildWorld(new ManualClock(), { placement: { accountConcurrency: 30 } });
    world.driver.script.onInvoke = () => undefined;
    const running = [1, 2, 3, 4].map((number) => world.placement.run(V1, fakeInvocation(number)));
    await until(() => world.driver.created.filter((s) => s.running).length === 4, "four run");
    const gate = deferred();
    world.driver.gate = gate.promise;
    const starting = [5, 6, 7].map((number) => world.placement.run(V1, fakeInvocation(number)));
    world.driver.broken = true;
    world.driver.die();
    gate.resolve();
    for (const outcome of await Promise.all(running))
      assert.match(text(outcome), /Runtime\.ExitError.*signal: killed/);
    for (const { status } of await Promise.allSettled(starting)) assert.equal(status, "rejected");
    world.driver.broken = false;
    assert.equal(world.placement.concurrency, 0);
    await end(world);
  });

  it("lets running invocations finish when it closes, and takes no new ones", async () => {
    const world = buildWorld(systemClock);
    world.driver.script.onInvoke = () => undefined;
    const run = world.placement.run(V1, fakeInvocation(1));
    await until(() => world.driver.created[0]?.running !== undefined, "it runs");
    const closed = world.placement.close(60_000);
    await assert.rejects(world.placement.run(V1, fakeInvocation(2)), { code: "ServiceException" });
    world.driver.created[0]?.answer();
    assert.equal(text(await run), '"done"');
    await closed;
    await end(world);
  });

  it("answers what is still running, starting or waiting when the drain is over, and starts nothing more", async () => {
    const world = buildWorld(new ManualClock());
    world.driver.script.onInvoke = () => undefined;
    const running = world.placement.run(V1, fakeInvocation(1));
    await until(() => world.driver.created[0]?.running !== undefined, "it runs");
    // Busy with an old revision: in no fleet any more.
    world.placement.retire(V1.functionArn, V1.version, undefined);
    const gate = deferred();
    world.driver.gate = gate.promise;
    const starting = world.placement.run(V2, fakeInvocation(2));
    starting.catch(() => undefined);
    const closed = world.placement.close(0);
    assert.equal((await running).report.status, "failure");
    await assert.rejects(starting, { code: "ServiceException" });
    gate.resolve();
    await closed;
    assert.equal(world.driver.created.length, 2);
    await end(world);
  });

  it("keeps no environment and no sandbox after many starts that fail in every way", async () => {
    const clock = new ManualClock();
    const world = buildWorld(clock, { pool: { sizePerKind: 2 } });
    const ends: ((sandbox: (typeof world.driver.created)[number]) => void)[] = [
      (sandbox) => sandbox.send(FRAME.INIT_ERROR, Buffer.from('{"errorType":"E"}')),
      (sandbox) => sandbox.exit({ code: 1 }),
      (sandbox) => sandbox.send(99),
      (sandbox) => {
        sandbox.send(FRAME.READY);
        sandbox.exit({ signal: "SIGSEGV" });
      },
    ];
    for (const [index, fail] of ends.entries()) {
      world.driver.script.onSpecialise = fail;
      const outcome = await world.placement.run(V1, fakeInvocation(index));
      assert.equal(outcome.functionError, "Unhandled");
      await until(() => world.placement.counts().environments === 0, "no environment is left");
      clock.advance(100);
    }
    await end(world);
  });
});
