// Goal: the made-up day has the shape that it claims, and a replay of it tells what happened. Method: figures of a large trace
// against what is published; replays of traces so small that the right answer is known; the same seed twice.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ascending, quantile } from "../support/statistics.ts";
import { replay } from "./replay.ts";
import { compress, DAY_MS, makeTrace, type Trace } from "./trace.ts";
import { VirtualClock } from "./virtual-clock.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const FIXED = { adapts: false, keepAliveMs: 10 * MINUTE_MS };

/** One function of 1,024 MB that is invoked at these times, for a second each. */
function traceOf(timesMs: readonly number[], durationMs: number): Trace {
  return {
    functions: [{ name: "f", pattern: "poisson", memoryMb: 1024, durationMs: 1000 }],
    arrivals: timesMs.map((atMs) => ({ atMs, function: 0, durationMs: 1000 })),
    durationMs,
  };
}

describe("a made-up day", () => {
  const trace = makeTrace({ seed: 7, functions: 3000, durationMs: DAY_MS });

  it("is the same for the same seed, and another for another", () => {
    const small = (seed: number) => makeTrace({ seed, functions: 20, durationMs: DAY_MS });
    assert.deepEqual(small(1), small(1));
    assert.notDeepEqual(small(1), small(2));
  });

  it("has its arrivals in order, all of them within the day", () => {
    let beforeMs = 0;
    for (const { atMs, durationMs, function: index } of trace.arrivals) {
      assert.ok(atMs >= beforeMs && atMs < DAY_MS + MINUTE_MS && durationMs > 0 && index < 3000);
      beforeMs = atMs;
    }
  });

  it("is driven by timers for 29 %, and has the published times and sizes", () => {
    const share = trace.functions.filter(({ pattern }) => pattern === "timer").length / 3000;
    assert.ok(Math.abs(share - 0.29) < 0.03, String(share));
    const durationsMs = ascending(trace.functions.map(({ durationMs }) => durationMs));
    assert.ok(Math.abs(quantile(durationsMs, 0.5) - 600) < 60);
    const sizesMb = ascending(trace.functions.map(({ memoryMb }) => memoryMb));
    assert.ok(Math.abs(quantile(sizesMb, 0.5) - 170) < 15, String(quantile(sizesMb, 0.5)));
    assert.ok(quantile(sizesMb, 0.9) < 400 && quantile(sizesMb, 0.99) > 400);
  });

  it("has most functions invoked rarely and most invocations of a few", () => {
    const counts = new Float64Array(3000);
    for (const { function: index } of trace.arrivals) counts[index] = (counts[index] ?? 0) + 1;
    const sorted = ascending(counts);
    assert.ok(quantile(sorted, 0.5) < 60, String(quantile(sorted, 0.5)));
    const top = sorted.subarray(2400).reduce((sum, count) => sum + count, 0);
    assert.ok(top > 0.7 * trace.arrivals.length);
  });

  it("is the same day when it is compressed", () => {
    const fast = compress(trace, 10);
    assert.equal(fast.durationMs, DAY_MS / 10);
    assert.equal(fast.arrivals.length, trace.arrivals.length);
    assert.equal(fast.arrivals[99]?.atMs, (trace.arrivals[99]?.atMs ?? 0) / 10);
  });
});

describe("a replay", () => {
  it("counts cold starts and the memory-time of waiting, for a fixed time", async () => {
    // Cold, warm after five minutes, cold after an hour.
    const result = await replay(traceOf([0, 5 * MINUTE_MS, 65 * MINUTE_MS], 3 * HOUR_MS), FIXED);
    assert.deepEqual([result.invocations, result.cold, result.started], [3, 2, 2]);
    const waitedS = (5 + 10 + 10) * 60;
    assert.ok(Math.abs(result.idleGbS - waitedS) < 3, String(result.idleGbS));
  });

  it("starts one environment for each of those that come at once", async () => {
    const result = await replay(traceOf([0, 10, 20, 5000, 5000, 5000, 5000], HOUR_MS), FIXED);
    assert.deepEqual([result.cold, result.started], [4, 4]);
  });

  it("has a timer's environment ready with next to no waiting", async () => {
    const times = Array.from({ length: 24 }, (_, hour) => hour * HOUR_MS + 1000);
    const trace = traceOf(times, DAY_MS);
    const fixed = await replay(trace, FIXED);
    const auto = await replay(trace, { ...FIXED, adapts: true });
    assert.equal(fixed.cold, 24);
    assert.ok(auto.cold <= 5, String(auto.cold));
    assert.ok(auto.idleGbS < fixed.idleGbS / 3, `${auto.idleGbS} and ${fixed.idleGbS}`);
  });

  it("has far fewer cold starts for about the same memory-time", async () => {
    const trace = makeTrace({ seed: 3, functions: 25, durationMs: DAY_MS });
    const fixed = await replay(trace, FIXED);
    const auto = await replay(trace, { ...FIXED, adapts: true });
    assert.ok(auto.cold < 0.5 * fixed.cold, `${auto.cold} and ${fixed.cold}`);
    assert.ok(auto.idleGbS < 1.3 * fixed.idleGbS, `${auto.idleGbS} and ${fixed.idleGbS}`);
  });

  it("tells the same of the same day", async () => {
    const trace = makeTrace({ seed: 5, functions: 10, durationMs: DAY_MS / 4 });
    const policy = { ...FIXED, adapts: true };
    assert.deepEqual(await replay(trace, policy), await replay(trace, policy));
  });
});

describe("the virtual clock", () => {
  it("calls what is due in order, at its time, and nothing that was cancelled", () => {
    const clock = new VirtualClock();
    const called: [string, number][] = [];
    const later = (name: string, delayMs: number) =>
      clock.after(delayMs, () => void called.push([name, clock.monotonicMs()]));
    later("b", 20);
    later("a", 10);
    later("cancelled", 15)();
    clock.after(5, () => void later("c", 30));
    while (clock.step(40)) assert.ok(clock.monotonicMs() <= 40);
    assert.deepEqual(called, [
      ["a", 10],
      ["b", 20],
      ["c", 35],
    ]);
    assert.equal(clock.monotonicMs(), 40);
  });
});
