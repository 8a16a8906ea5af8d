// Goal: idle environments are frozen, end after their keep-alive or at their age, and give way under memory pressure in
// the right order. Method: a KeepAlive over environments that only tell their times, on a clock that the test moves.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ManualClock } from "../../kernel/clock.ts";
import type { Environment } from "../environment/environment.ts";
import { availableMemoryBytes, KeepAlive, type KeepAliveOptions } from "./keep-alive.ts";

/** What the sweep looks at. */
interface Waiting {
  readonly name: string;
  state: "IDLE" | "FROZEN";
  idleSinceMs: number;
  createdMs: number;
  freeze(): Promise<boolean>;
}

function setUp(options: Partial<KeepAliveOptions> = {}) {
  const clock = new ManualClock();
  const done: string[] = [];
  const all: Waiting[] = [];
  const memory = { availableBytes: 1000 as number | undefined };
  const keepAlive = new KeepAlive({
    clock,
    keepAliveMs: 10_000,
    ageMsMax: 60_000,
    availableMemoryBytes: () => memory.availableBytes,
    reserveBytes: 500,
    ...options,
  });
  keepAlive.start({
    idle: () => [...all] as unknown as Environment[],
    evict: (environment, reason) => {
      const waiting = environment as unknown as Waiting;
      done.push(`${waiting.name}: ${reason}`);
      if (all.includes(waiting)) all.splice(all.indexOf(waiting), 1);
    },
    shrinkPool: async (count) => {
      done.push(`shrink ${count}`);
      return count;
    },
  });
  const add = (name: string, overrides: Partial<Waiting> = {}) => {
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
      ...overrides,
    };
    all.push(waiting);
    return waiting;
  };
  return { clock, done, all, memory, keepAlive, add };
}

describe("keep-alive", () => {
  it("freezes an environment after two seconds, once, and ends it after its keep-alive", () => {
    const { clock, done, add } = setUp();
    add("a");
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
    const { clock, done, add } = setUp();
    const waiting = add("a");
    clock.advance(9000);
    waiting.idleSinceMs = clock.monotonicMs();
    waiting.state = "IDLE";
    done.length = 0;
    clock.advance(9000);
    assert.deepEqual(done, ["a: frozen"]);
    clock.advance(1000);
    assert.deepEqual(done.at(-1), "a: keep-alive is over");
  });

  it("ends an environment at its greatest age although it is used", () => {
    const { clock, done, add } = setUp();
    const waiting = add("a");
    for (let second = 0; second < 59; second += 1) {
      waiting.idleSinceMs = clock.monotonicMs();
      clock.advance(1000);
    }
    assert.deepEqual(done, []);
    waiting.idleSinceMs = clock.monotonicMs();
    clock.advance(1000);
    assert.deepEqual(done, ["a: reached its greatest age"]);
  });

  it("gives back waiting sandboxes first and then who waited longest, a few in each sweep", () => {
    const { clock, done, add, memory } = setUp();
    for (let index = 0; index < 20; index += 1)
      add(`e${index}`, { state: "FROZEN", idleSinceMs: -((index * 7) % 20) });
    memory.availableBytes = 499;
    clock.advance(1000);
    const expected = Array.from({ length: 20 }, (_, index) => ({ name: `e${index}`, age: (index * 7) % 20 }))
      .sort((a, b) => b.age - a.age)
      .map(({ name }) => `${name}: memory pressure`);
    assert.deepEqual(done, ["shrink 16", ...expected.slice(0, 16)]);
    clock.advance(1000);
    assert.deepEqual(done.slice(17), ["shrink 16", ...expected.slice(16)]);
  });

  it("lets everything be while there is memory, or nobody knows", () => {
    const { clock, done, add, memory } = setUp();
    add("a");
    memory.availableBytes = 500;
    clock.advance(1000);
    memory.availableBytes = undefined;
    clock.advance(500);
    assert.deepEqual(done, []);
  });

  it("stops", () => {
    const { clock, done, add, keepAlive } = setUp();
    add("a");
    keepAlive.stop();
    clock.advance(100_000);
    assert.deepEqual(done, []);
  });

  it("stops also from within its own sweep", () => {
    const { clock, done, all, add, keepAlive } = setUp();
    const waiting = add("a");
    waiting.freeze = async () => {
      done.push("stopped");
      keepAlive.stop();
      return true;
    };
    clock.advance(2000);
    assert.deepEqual([done, all.length], [["stopped"], 1]);
    clock.advance(100_000);
    assert.deepEqual(done, ["stopped"]);
  });

  it("reads what memory the machine can still give", () => {
    const bytes = availableMemoryBytes();
    assert.ok(bytes === undefined ? process.platform !== "linux" : bytes > 0 && bytes % 1024 === 0);
  });
});
