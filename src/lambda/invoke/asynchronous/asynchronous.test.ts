// Goal: an accepted event is tried as AWS tries it, whatever happens to its function or its server, and is bounded in every way.
// Method: queues over a store that outlives them and a runner that is the test's own, on a clock that the test moves.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { resourceConflict, serviceException, tooManyRequests } from "../../../errors.ts";
import { deferred } from "../../../kernel/deferred.ts";
import { outcomeOf } from "../fakes.ts";
import { arnOf, failing, TRACE, World } from "./fixture.ts";

const HOUR_MS = 60 * 60_000;

const throttled = async (): Promise<never> => {
  throw tooManyRequests("ConcurrentInvocationLimitExceeded");
};

/** A function whose invocations end when the test says so. */
function gated(world: World) {
  const gates: (() => void)[] = [];
  world.inside.act = async () => {
    const gate = deferred();
    gates.push(() => gate.resolve());
    await gate.promise;
    return outcomeOf("1");
  };
  return gates;
}

const runsOf = (world: World, name: string) =>
  world.inside.runs.filter(({ version }) => version.name === name).length;

describe("asynchronous invocation", () => {
  it("stores an event, runs it once, meters it, and keeps nothing of it", async () => {
    const world = new World();
    const server = await world.start();
    await server.accept();
    assert.equal(await world.stored(), 1);
    await world.turn();
    const [run] = world.inside.runs;
    assert.equal(run?.invocation.requestId, "request-of-f");
    assert.equal(run?.invocation.invokedFunctionArn, arnOf("f"));
    assert.match(run?.invocation.traceHeader ?? "", new RegExp(`^${TRACE};Lineage=[0-9a-f]{8}:0$`));
    assert.equal(world.inside.usages.length, 1);
    assert.deepEqual(await world.waits(400_000), []);
    assert.deepEqual(await world.store.queueNames(""), []);
    assert.deepEqual(
      world.counted.map(({ name, value, functionName }) => [name, value, functionName]),
      [
        ["AsyncEventsReceived", 1, "f"],
        ["AsyncEventAge", 0, "f"],
      ],
    );
  });

  it("keeps context, tenant and qualifier, and bytes that are no text", async () => {
    const world = new World();
    const server = await world.start();
    const payload = Buffer.from([0x22, 0xff, 0x00, 0x22]);
    const sent = { payload, clientContext: "e30=", tenantId: "t", invokedFunctionArn: `${arnOf("f")}:live` };
    await server.accept("f", sent);
    await world.turn();
    const found = world.inside.runs[0]?.invocation;
    assert.equal(found?.payload.toString("hex"), "22ff0022");
    assert.equal(found.clientContext, sent.clientContext);
    assert.equal(found.tenantId, sent.tenantId);
    assert.equal(found.invokedFunctionArn, sent.invokedFunctionArn);
    assert.equal(world.functions.resolved.at(-1), "f live");
  });

  it("tries a function's error twice more, after one and two minutes, as the same request", async () => {
    const world = new World();
    const server = await world.start();
    world.inside.act = failing;
    await server.accept();
    await world.turn();
    assert.deepEqual(await world.waits(600_000), [60_000, 120_000]);
    assert.equal(world.inside.usages.length, 3);
    assert.deepEqual(
      world.inside.runs.map(({ invocation }) => invocation.requestId),
      ["request-of-f", "request-of-f", "request-of-f"],
    );
    assert.equal(new Set(world.inside.runs.map(({ invocation }) => invocation.traceHeader)).size, 1);
    assert.equal(world.counts("AsyncEventsDropped"), 1);
    assert.match(world.lines.join(""), /given up.*request-of-f.*RetriesExhausted.*it broke/);
    assert.equal(await world.stored(), 0);
  });

  it("retries as often as the qualifier's configuration says", async () => {
    for (const [retryAttemptsMax, waits] of [
      [0, []],
      [1, [60_000]],
    ] as const) {
      const world = new World();
      const server = await world.start();
      world.functions.configured.set("f:live", { retryAttemptsMax });
      world.inside.act = failing;
      await server.accept("f", { invokedFunctionArn: `${arnOf("f")}:live` });
      await world.turn();
      assert.deepEqual(await world.waits(400_000), waits);
    }
  });

  it("stops trying when an attempt succeeds", async () => {
    const world = new World();
    const server = await world.start();
    world.inside.act = failing;
    await server.accept();
    await world.turn();
    world.inside.act = async () => outcomeOf("1");
    assert.deepEqual(await world.waits(600_000), [60_000]);
    assert.equal(world.counts("AsyncEventsDropped"), 0);
  });

  it("backs off from one second to five minutes while it cannot run, unmetered", async () => {
    const world = new World();
    const server = await world.start();
    world.inside.act = throttled;
    await server.accept();
    await world.turn();
    const expected = [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300].map((seconds) => seconds * 1000);
    assert.deepEqual(await world.waits(1_200_000), expected);
    assert.deepEqual(world.inside.usages, []);
  });

  it("does the same after faults of the platform", async () => {
    const world = new World();
    const server = await world.start();
    const faults = [serviceException(), resourceConflict("The function is pending."), new Error("broken")];
    world.inside.act = async () => {
      throw faults.shift() ?? serviceException();
    };
    await server.accept();
    await world.turn();
    assert.deepEqual(await world.waits(8000), [1000, 2000, 4000]);
  });

  it("counts errors of the function apart from refusals", async () => {
    const world = new World();
    const server = await world.start();
    const acts = [throttled, failing, throttled, throttled, failing, failing];
    world.inside.act = async () => (acts.shift() ?? throttled)();
    await server.accept();
    await world.turn();
    assert.deepEqual(await world.waits(600_000), [1000, 60_000, 2000, 4000, 120_000]);
    assert.equal(await world.stored(), 0);
  });

  it("gives up when the next attempt would come after six hours", async () => {
    const world = new World();
    const server = await world.start();
    world.inside.act = throttled;
    await server.accept();
    await world.turn();
    for (let passedMs = 0; passedMs < 6 * HOUR_MS; passedMs += 100_000) await world.advance(100_000);
    const attempts = world.inside.runs.length;
    assert.ok(attempts > 70, `${attempts} attempts`);
    assert.match(world.lines.join(""), /given up.*EventAgeExceeded.*Rate Exceeded/);
    assert.equal(await world.stored(), 0);
  });

  it("gives up at the configured age, also before a retry and after a long absence", async () => {
    const world = new World();
    const first = await world.start();
    world.functions.configured.set("f:$LATEST", { eventAgeMsMax: 90_000 });
    world.inside.act = failing;
    await first.accept();
    await world.turn();
    assert.deepEqual(await world.waits(300_000), [60_000], "the third attempt would come at 180 s");
    assert.match(world.lines.join(""), /EventAgeExceeded/);

    first.kill();
    const second = await world.start({ runningMax: 0 });
    await second.accept();
    second.kill();
    world.clock.advance(100_000);
    await world.start();
    await world.turn();
    assert.equal(world.inside.runs.length, 2);
    assert.equal(world.counts("AsyncEventsDropped"), 2);
    assert.equal(await world.stored(), 0);
  });

  it("runs the revision of the moment, not the one of when it was accepted", async () => {
    const world = new World();
    const server = await world.start();
    world.inside.act = failing;
    await server.accept();
    await world.turn();
    world.inside.act = async () => outcomeOf("1");
    // A new revision is not a new function.
    const identity = world.functions.identity("f");
    world.functions.create("f", { revisionId: "22222222-2222-4222-8222-222222222222" });
    world.functions.identity = () => identity;
    await world.advance(60_000);
    assert.deepEqual(
      world.inside.runs.map(({ version }) => version.revisionId[0]),
      ["1", "2"],
    );
  });

  it("refuses what it cannot store, in AWS's words", async () => {
    const world = new World();
    const server = await world.start();
    await world.store.close();
    await assert.rejects(server.accept(), { code: "ServiceException", status: 500 });
    server.queue.stop();
    await assert.rejects(server.accept(), {
      code: "ServiceException",
      message: "The server is shutting down.",
    });
  });
});

describe("events of a deleted function", () => {
  it("go with it, those that wait for another attempt too, and its successor gets none", async () => {
    const world = new World();
    const server = await world.start();
    world.inside.act = failing;
    await server.accept();
    await world.turn();
    world.functions.delete("f");
    world.functions.create("f");
    await world.turn();
    assert.equal(await world.stored(), 0);
    world.inside.act = async () => outcomeOf("1");
    assert.deepEqual(await world.waits(300_000), []);
    await server.accept();
    await world.turn();
    assert.equal(world.inside.runs.length, 2);
  });

  it("go when the deletion came while they were being accepted, or while they ran", async () => {
    const world = new World();
    const server = await world.start();
    const gates = gated(world);
    await server.accept();
    await world.turn();
    const accepting = server.accept();
    world.functions.delete("f");
    await accepting;
    for (const open of gates) open();
    await world.turn();
    assert.equal(world.inside.runs.length, 1);
    assert.equal(await world.stored(), 0);
  });

  it("go at the next start when it was deleted, or made anew, while no server ran", async () => {
    for (const madeAnew of [false, true]) {
      const world = new World();
      const first = await world.start({ runningMax: 0 });
      await first.accept();
      first.kill();
      world.functions.forget("f");
      if (madeAnew) world.functions.create("f");
      await world.start();
      await world.turn();
      assert.equal(await world.stored(), 0);
      assert.equal(world.inside.runs.length, 0);
    }
  });

  it("are given up when only what their qualifier named is gone", async () => {
    const world = new World();
    const server = await world.start();
    world.functions.gone.add("f:gone");
    await server.accept("f", { invokedFunctionArn: `${arnOf("f")}:gone` });
    await world.turn();
    assert.match(world.lines.join(""), /given up.*Function not found/);
    assert.equal(world.counts("AsyncEventsDropped"), 1);
    assert.equal(await world.stored(), 0);
  });
});

describe("bounds and fairness", () => {
  it("runs no more at once than it may, and the next when one is done", async () => {
    const world = new World();
    const server = await world.start({ runningMax: 10 });
    const gates = gated(world);
    for (let count = 0; count < 20; count += 1) await server.accept();
    await world.turn();
    // Four times the free slots: eight of ten.
    assert.equal(world.inside.runs.length, 8);
    gates[0]?.();
    await world.turn();
    assert.equal(world.inside.runs.length, 9);
    while (world.inside.usages.length < 20) {
      for (const open of gates) open();
      await world.turn();
    }
    assert.equal(world.inside.runs.length, 20);
    assert.equal(await world.stored(), 0);
  });

  it("keeps slots for others while one function has a long backlog of long events", async () => {
    const world = new World();
    const server = await world.start({ runningMax: 10 });
    gated(world);
    for (let count = 0; count < 1000; count += 1) await server.accept("f");
    await world.turn();
    for (const name of ["g", "h"]) {
      world.functions.create(name);
      await server.accept(name);
      await world.turn();
      assert.equal(runsOf(world, name), 1, name);
    }
  });

  it("gives functions turns", async () => {
    const world = new World();
    const server = await world.start({ runningMax: 1 });
    for (const name of ["g", "h"]) world.functions.create(name);
    const gates = gated(world);
    for (const name of ["f", "f", "f", "g", "g", "h"]) await server.accept(name);
    await world.turn();
    for (let ended = 0; ended < 6; ended += 1) {
      gates[ended]?.();
      await world.turn();
    }
    const order = world.inside.runs.map(({ version }) => version.name);
    assert.deepEqual(order.slice(0, 4).sort(), ["f", "f", "g", "h"], order.join());
    assert.equal(order.length, 6);
  });

  it("holds so many events of a function, running and delayed ones included, and takes more when some are done", async () => {
    const world = new World();
    const server = await world.start({ eventsMax: 50 });
    world.functions.create("g");
    world.inside.act = failing;
    await Promise.all(Array.from({ length: 50 }, () => server.accept()));
    const refusal = {
      code: "TooManyRequestsException",
      status: 429,
      members: { Reason: "CallerRateLimitExceeded" },
    };
    await assert.rejects(server.accept(), refusal);
    await world.turn(30);
    assert.equal(world.inside.runs.length, 50);
    await assert.rejects(server.accept(), refusal);
    await server.accept("g");
    world.inside.act = async () => outcomeOf("1");
    while (world.inside.usages.length < 101) await world.advance(1000);
    await server.accept();
    await world.turn();
    assert.equal(await world.stored(), 0);
  });

  it("asks the store rarely when a long backlog is delayed, and runs all of it all the same", async () => {
    const world = new World();
    let asked = 0;
    const open = world.store.queue.bind(world.store);
    world.store.queue = (name) => {
      const queue = open(name);
      const stats = queue.stats.bind(queue);
      queue.stats = () => {
        asked += 1;
        return stats();
      };
      return queue;
    };
    const server = await world.start();
    world.inside.act = failing;
    await Promise.all(Array.from({ length: 500 }, () => server.accept()));
    while (world.inside.runs.length < 500) await world.turn();
    world.inside.act = async () => outcomeOf("1");
    asked = 0;
    for (let second = 0; second < 50; second += 1) {
      await Promise.all(Array.from({ length: 10 }, () => server.accept()));
      await world.turn(10);
      await world.advance(1000);
    }
    assert.equal(world.inside.runs.length, 1000);
    assert.ok(asked <= 60, `asked ${asked} times in 50 s`);
    for (let second = 0; second < 70; second += 1) await world.advance(1000);
    await world.turn(100);
    assert.equal(world.inside.runs.length, 1500);
    assert.deepEqual(await world.store.queueNames(""), []);
  });

  it("counts what an earlier server left", async () => {
    const world = new World();
    const first = await world.start({ eventsMax: 3 });
    gated(world);
    for (let count = 0; count < 3; count += 1) await first.accept();
    first.kill();
    const second = await world.start({ eventsMax: 3 });
    await assert.rejects(second.accept(), { code: "TooManyRequestsException" });
  });

  it("probes a function that refuses with one event at a time, and leaves the others alone", async () => {
    const world = new World();
    const server = await world.start();
    world.functions.create("g");
    const full = new Set(["f"]);
    world.inside.act = async ({ invokedFunctionArn }) =>
      full.has(invokedFunctionArn.slice(arnOf("").length)) ? throttled() : outcomeOf("1");
    for (let count = 0; count < 500; count += 1) await server.accept("f");
    await world.turn();
    const burst = runsOf(world, "f");
    assert.ok(burst <= 100, `${burst} at first`);
    for (let second = 0; second < 60; second += 1) await world.advance(1000);
    assert.ok(runsOf(world, "f") - burst <= 10, `${runsOf(world, "f") - burst} in a minute`);
    await server.accept("g");
    await world.turn();
    assert.equal(runsOf(world, "g"), 1);
    full.clear();
    for (let second = 0; second < 600 && (await world.stored()) > 0; second += 1) await world.advance(1000);
    assert.equal(await world.stored(), 0);
    assert.equal(world.inside.usages.length, 501);
  });
});

describe("after a sudden death", () => {
  it("runs at once what was under way, and keeps attempts and waits of what was delayed", async () => {
    const world = new World();
    const first = await world.start();
    world.inside.act = failing;
    await first.accept("f", { requestId: "failed-once" });
    await world.turn();
    gated(world);
    await first.accept("f", { requestId: "under-way" });
    await world.turn();
    first.kill();
    world.inside.act = failing;
    world.clock.advance(10_000);
    const second = await world.start();
    await world.turn();
    const ids = () => world.inside.runs.map(({ invocation }) => invocation.requestId);
    assert.deepEqual(ids(), ["failed-once", "under-way", "under-way"]);
    await world.advance(50_000);
    assert.deepEqual(ids().slice(3), ["failed-once"], "a minute after its first attempt");
    for (let second60 = 0; second60 < 5; second60 += 1) await world.advance(60_000);
    assert.equal(ids().filter((id) => id === "failed-once").length, 3);
    assert.equal(ids().filter((id) => id === "under-way").length, 4);
    assert.equal(await world.stored(), 0);
    second.queue.stop();
    await second.queue.close();
  });
});

describe("an orderly end", () => {
  it("waits for what runs, starts nothing more, and counts no refusal", async () => {
    const world = new World();
    const first = await world.start();
    const gates: (() => void)[] = [];
    world.inside.act = async () => {
      const gate = deferred();
      gates.push(() => gate.resolve());
      await gate.promise;
      return gates.length === 1 ? outcomeOf("1") : throttled();
    };
    await first.accept();
    await world.turn();
    first.queue.stop();
    await assert.rejects(first.accept(), { code: "ServiceException" });
    let closed = false;
    const closing = first.queue.close().then(() => (closed = true));
    await world.turn();
    assert.equal(closed, false);
    gates[0]?.();
    await closing;
    assert.equal(await world.stored(), 0);
  });

  it("puts an event back that failed meanwhile, as if it had not been tried", async () => {
    const refusing = async () => {
      throw serviceException("The server is shutting down.");
    };
    for (const end of [refusing, failing]) {
      const world = new World();
      world.functions.configured.set("f:$LATEST", { retryAttemptsMax: 0 });
      const first = await world.start();
      const gate = deferred();
      world.inside.act = async () => {
        await gate.promise;
        return end();
      };
      await first.accept();
      await world.turn();
      first.queue.stop();
      gate.resolve();
      await first.queue.close();
      assert.equal(world.counts("AsyncEventsDropped"), 0);
      world.inside.act = async () => outcomeOf("1");
      await world.start();
      await world.turn();
      assert.equal(world.inside.runs.length, 2);
      assert.equal(await world.stored(), 0);
    }
  });

  it("keeps the record of an event that succeeds meanwhile for the function that is its destination", async () => {
    const world = new World();
    world.functions.create("g");
    world.functions.configured.set("f:$LATEST", { onSuccessArn: arnOf("g") });
    const first = await world.start();
    const gate = deferred();
    world.inside.act = async () => {
      await gate.promise;
      return outcomeOf("1");
    };
    await first.accept();
    await world.turn();
    first.queue.stop();
    gate.resolve();
    await first.queue.close();
    assert.equal(world.counts("DestinationDeliveryFailures"), 0);
    await world.start();
    await world.turn();
    assert.deepEqual(
      world.inside.runs.map(({ version }) => version.name),
      ["f", "g"],
    );
  });
});
