// Goal: idle environments are frozen, end when their plan says so or at their age, come back just before a timer fires, and
// give way under memory pressure in the right order. Method: a KeepAlive over fleets of environments that only tell their
// times, on a clock that the test moves.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ManualClock } from "../../kernel/clock.ts";
import type { Environment } from "../environment/environment.ts";
import { availableMemoryBytes, KeepAlive, type KeepAliveOptions, type KeptFleet } from "./keep-alive.ts";
import { FunctionUsage } from "./usage.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

/** What keep-alive looks at. */
interface Waiting {
  readonly name: string;
  state: "IDLE" | "FROZEN";
  idleSinceMs: number;
  createdMs: number;
  freeze(): Promise<boolean>;
}

interface TestFleet extends KeptFleet {
  readonly waiting: Waiting[];
  starting: number;
}

function setUp(options: Partial<KeepAliveOptions> = {}) {
  const clock = new ManualClock();
  const done: string[] = [];
  const fleets: TestFleet[] = [];
  const memory = { availableBytes: 1000 as number | undefined };
  /** With it, nothing can be made ahead of time. */
  const machine = { isBusy: false };
  let made = 0;
  const keepAlive = new KeepAlive<TestFleet>({
    clock,
    keepAliveMs: 10_000,
    ageMsMax: 60_000,
    availableMemoryBytes: () => memory.availableBytes,
    reserveBytes: 500,
    ...options,
  });
  const newFleet = (memoryMb = 128): TestFleet => {
    const waiting: Waiting[] = [];
    const idle = waiting as unknown as Environment[];
    const fleet = { usage: new FunctionUsage(memoryMb), idle, waiting, starting: 0 };
    fleets.push(fleet);
    return fleet;
  };
  /** An environment becomes idle; a new one unless it is given. */
  const add = (fleet: TestFleet, name = `e${(made += 1)}`): Waiting => {
    const waiting: Waiting = {
      name,
      state: "IDLE",
      idleSinceMs: clock.monotonicMs(),
      createdMs: clock.monotonicMs(),
      async freeze() {
        done.push(`${name}: frozen`);
        waiting.state = "FROZEN";
        return true;
      },
    };
    fleet.waiting.push(waiting);
    keepAlive.becameIdle(fleet);
    return waiting;
  };
  keepAlive.start({
    fleets: () => fleets,
    evict: (environment, reason) => {
      const gone = environment as unknown as Waiting;
      done.push(`${gone.name}: ${reason}`);
      for (const { waiting } of fleets) if (waiting.includes(gone)) waiting.splice(waiting.indexOf(gone), 1);
    },
    shrinkPool: async (count) => {
      done.push(`shrink ${count}`);
      return count;
    },
    prewarm: (fleet) => {
      if (machine.isBusy) return false;
      done.push("prewarmed");
      add(fleet);
      return true;
    },
  });
  /** So many invocations at once, which take `runMs`. Answers how many of them had to start an environment. */
  const use = (fleet: TestFleet, count = 1, runMs = 0, name?: string): number => {
    const serving: Waiting[] = [];
    let cold = 0;
    for (let index = 0; index < count; index += 1) {
      keepAlive.begin(fleet);
      const found = fleet.waiting.pop();
      if (found) serving.push(found);
      else cold += 1;
    }
    clock.advance(runMs);
    for (let index = 0; index < count; index += 1) {
      keepAlive.end(fleet);
      const served = serving.shift();
      if (!served) add(fleet, name);
      else {
        Object.assign(served, { state: "IDLE", idleSinceMs: clock.monotonicMs() });
        fleet.waiting.push(served);
        keepAlive.becameIdle(fleet);
      }
    }
    return cold;
  };
  return { clock, done, memory, machine, keepAlive, newFleet, use };
}

describe("keep-alive for a fixed time", () => {
  it("freezes an environment after two seconds, once, and ends it after its keep-alive", () => {
    const { clock, done, newFleet, use } = setUp();
    use(newFleet(), 1, 0, "a");
    clock.advance(1999);
    assert.deepEqual(done, []);
    clock.advance(1);
    assert.deepEqual(done, ["a: frozen"]);
    clock.advance(7999);
    assert.deepEqual(done, ["a: frozen"]);
    clock.advance(1);
    assert.deepEqual(done, ["a: frozen", "a: keep-alive is over"]);
  });

  it("counts from the last use", () => {
    const { clock, done, newFleet, use } = setUp();
    const fleet = newFleet();
    use(fleet, 1, 0, "a");
    clock.advance(9000);
    assert.equal(use(fleet), 0);
    done.length = 0;
    clock.advance(9999);
    assert.deepEqual(done, ["a: frozen"]);
    clock.advance(1);
    assert.deepEqual(done.at(-1), "a: keep-alive is over");
  });

  it("lets those go that concurrency needed last, and keeps those in use", () => {
    const { clock, done, newFleet, use } = setUp();
    const fleet = newFleet();
    use(fleet, 3);
    for (let second = 0; second < 8; second += 1) {
      clock.advance(1000);
      assert.equal(use(fleet), 0);
    }
    clock.advance(2000);
    const ended = done.filter((line) => line.endsWith("keep-alive is over"));
    assert.equal(ended.length, 2);
    assert.equal(fleet.waiting.length, 1);
  });

  it("ends an environment at its greatest age although it is used", () => {
    const { clock, done, newFleet, use } = setUp();
    const fleet = newFleet();
    use(fleet, 1, 0, "a");
    for (let second = 0; second < 59; second += 1) {
      clock.advance(1000);
      assert.equal(use(fleet), 0);
    }
    assert.deepEqual(done, []);
    clock.advance(3000);
    assert.deepEqual(done, ["a: reached its greatest age"]);
  });

  it("stops", () => {
    const { clock, done, keepAlive, newFleet, use } = setUp();
    const fleet = newFleet();
    use(fleet);
    keepAlive.stop();
    use(fleet);
    clock.advance(100_000);
    assert.deepEqual(done, []);
  });

  it("stops also from within its own look", () => {
    const { clock, done, keepAlive, newFleet, use } = setUp();
    const fleet = newFleet();
    use(fleet, 1, 0, "a");
    const [waiting] = fleet.waiting;
    assert.ok(waiting);
    waiting.freeze = async () => {
      done.push("stopped");
      keepAlive.stop();
      return true;
    };
    clock.advance(100_000);
    assert.deepEqual([done, fleet.waiting.length], [["stopped"], 1]);
  });
});

describe("keep-alive that follows the arrivals", () => {
  const options = { adapts: true, keepAliveMs: 75_000, ageMsMax: 1000 * HOUR_MS };

  it("learns a timer: gone at once, and back just before it fires", () => {
    const { clock, done, newFleet, use } = setUp(options);
    const fleet = newFleet();
    const cold: number[] = [];
    for (let hour = 0; hour < 12; hour += 1) {
      cold.push(use(fleet, 1, 500));
      clock.advance(HOUR_MS - 500);
    }
    assert.deepEqual(cold.slice(5), [0, 0, 0, 0, 0, 0, 0]);
    done.length = 0;
    use(fleet, 1, 500);
    clock.advance(55 * MINUTE_MS);
    assert.deepEqual(
      done.map((line) => line.replace(/^e\d+/, "e")),
      ["e: keep-alive is over"],
    );
    clock.advance(4.9 * MINUTE_MS);
    assert.equal(done.at(-1)?.endsWith("frozen"), true);
    assert.equal(done.at(-2), "prewarmed");
  });

  it("makes one environment for a window, and none while memory is short", () => {
    const { clock, done, memory, newFleet, use } = setUp(options);
    const fleet = newFleet();
    const prewarmed = () => done.filter((line) => line === "prewarmed").length;
    for (let hour = 0; hour < 8; hour += 1) {
      use(fleet);
      clock.advance(HOUR_MS);
    }
    done.length = 0;
    // It does not fire this time.
    clock.advance(5 * HOUR_MS);
    assert.ok(prewarmed() <= 1, done.join());
    assert.equal(fleet.waiting.length, 0, "it is not waited for for ever");
    use(fleet);
    done.length = 0;
    memory.availableBytes = 0;
    clock.advance(HOUR_MS);
    assert.equal(prewarmed(), 0);
  });

  it("tries again to make one while there is too much to do, as long as the window is open", () => {
    const { clock, done, machine, newFleet, use } = setUp(options);
    const fleet = newFleet();
    for (let hour = 0; hour < 8; hour += 1) {
      use(fleet);
      clock.advance(HOUR_MS);
    }
    use(fleet);
    done.length = 0;
    machine.isBusy = true;
    clock.advance(HOUR_MS - 1);
    assert.equal(done.includes("prewarmed"), false);
    machine.isBusy = false;
    clock.advance(51);
    assert.equal(done.filter((line) => line === "prewarmed").length, 1);
  });

  it("waits longer for a small function than for a large one with the same arrivals", () => {
    const { clock, newFleet, use } = setUp(options);
    const [small, large] = [newFleet(128), newFleet(4096)];
    let [coldSmall, coldLarge] = [0, 0];
    let minutes = 1;
    for (let arrival = 0; arrival < 60; arrival += 1) {
      coldSmall += use(small);
      coldLarge += use(large);
      minutes = (minutes * 3) % 7;
      clock.advance(minutes * MINUTE_MS + 1);
    }
    assert.ok(coldSmall < 6 && coldLarge > 15, `${coldSmall} and ${coldLarge} cold`);
  });

  it("remembers a bounded number of functions, and forgets who was not used for longest", () => {
    const { clock, newFleet, use } = setUp({ ...options, historiesMax: 5 });
    const fleets = Array.from({ length: 8 }, () => newFleet());
    for (const fleet of fleets) {
      use(fleet);
      use(fleet);
      clock.advance(10);
    }
    clock.advance(3000);
    assert.deepEqual(
      fleets.map(({ usage }) => usage.historyCount),
      [0, 0, 0, 1, 1, 1, 1, 1],
    );
  });

  it("hands what was learned to the next revision, and nothing of it stays with the last", () => {
    const { clock, done, keepAlive, newFleet, use } = setUp(options);
    const before = newFleet();
    for (let hour = 0; hour < 8; hour += 1) {
      use(before);
      clock.advance(HOUR_MS);
    }
    const after: TestFleet = { ...newFleet(), usage: before.usage.succeed(128) };
    keepAlive.forget(before, after.usage);
    before.waiting.length = 0;
    use(after);
    done.length = 0;
    clock.advance(HOUR_MS - 1);
    assert.equal(done.filter((line) => line === "prewarmed").length, 1);
    assert.equal(after.waiting.length, 1);
    assert.equal(before.waiting.length, 0);
  });
});

describe("under memory pressure", () => {
  it("gives back waiting sandboxes first and then who waited longest, a few at each look", () => {
    const { clock, done, memory, newFleet, use } = setUp({ keepAliveMs: HOUR_MS, ageMsMax: HOUR_MS });
    const order = Array.from({ length: 20 }, (_, index) => (index * 7) % 20);
    for (const number of order) {
      use(newFleet(), 1, 0, `e${number}`);
      clock.advance(3000);
    }
    done.length = 0;
    memory.availableBytes = 499;
    clock.advance(1000);
    const expected = order.map((number) => `e${number}: memory pressure`);
    assert.deepEqual(done, ["shrink 16", ...expected.slice(0, 16)]);
    clock.advance(1000);
    assert.deepEqual(done.slice(17), ["shrink 16", ...expected.slice(16)]);
  });

  it("spares what is needed often, is dear to start, or small", () => {
    const { clock, done, memory, newFleet, use } = setUp({
      adapts: true,
      keepAliveMs: HOUR_MS,
      ageMsMax: HOUR_MS,
    });
    const [often, dear, large, plain] = [newFleet(), newFleet(), newFleet(1024), newFleet()];
    dear.usage.initMs = 2000;
    for (let second = 0; second < 30; second += 1) {
      use(often, 1, 0, "often");
      clock.advance(3000);
    }
    use(plain, 1, 0, "plain");
    use(dear, 1, 0, "dear");
    use(large, 1, 0, "large");
    use(often);
    clock.advance(1900);
    done.length = 0;
    memory.availableBytes = 0;
    clock.advance(1000);
    const names = done.filter((line) => line.endsWith("memory pressure")).map((line) => line.split(":")[0]);
    assert.deepEqual(names, ["large", "plain", "often", "dear"]);
  });

  it("lets everything be while there is memory, or nobody knows", () => {
    const { clock, done, memory, newFleet, use } = setUp();
    use(newFleet());
    memory.availableBytes = 500;
    clock.advance(1000);
    memory.availableBytes = undefined;
    clock.advance(500);
    assert.deepEqual(done, []);
  });

  it("reads what memory the machine can still give", () => {
    const bytes = availableMemoryBytes();
    assert.ok(bytes === undefined ? process.platform !== "linux" : bytes > 0 && bytes % 1024 === 0);
  });
});
