// Goal: environments wait when waiting pays, for every shape of arrivals. Method: histories of known shapes and their plans;
// and over any history: it is bounded, windows are well-formed, and a greater budget never waits for less.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import { BIN_COUNT, binOf, binStartMs, HORIZON_MS, IdleHistory } from "./keep-alive-history.ts";
import { planWarmth, type WarmWindow } from "./keep-alive-plan.ts";

const MINUTE_MS = 60_000;
const BUDGET_MS = 20 * MINUTE_MS;

function historyOf(idleMs: readonly number[]): IdleHistory {
  const history = new IdleHistory();
  for (const ms of idleMs) history.record(ms);
  return history;
}

/** The quantiles of an exponential distribution: what a memoryless function shows. */
function memoryless(meanMs: number, count = 200): IdleHistory {
  return historyOf(
    Array.from({ length: count }, (_, index) => -meanMs * Math.log(1 - (index + 0.5) / count)),
  );
}

const plan = (history: IdleHistory | undefined, prewarm = true, budgetMs = BUDGET_MS) =>
  planWarmth(history, { budgetMs, prewarm });
/** Waiting until the next invocation, when that comes after `untilMs`. */
const warmMs = (windows: readonly WarmWindow[], untilMs = Infinity) =>
  windows.reduce((sum, { fromMs, toMs }) => sum + Math.max(0, Math.min(toMs, untilMs) - fromMs), 0);
const covers = (windows: readonly WarmWindow[], ms: number) =>
  windows.some(({ fromMs, toMs }) => fromMs <= ms && ms < toMs);

describe("a history of idle times", () => {
  it("has bins that follow each other and hold what belongs to them", () => {
    for (let bin = 0; bin < BIN_COUNT; bin += 1) {
      assert.ok(binStartMs(bin) < binStartMs(bin + 1));
      assert.equal(binOf((binStartMs(bin) + binStartMs(bin + 1)) / 2), bin);
    }
    assert.equal(binOf(HORIZON_MS * 1.01), BIN_COUNT);
    assert.ok(HORIZON_MS > 47 * 60 * MINUTE_MS);
  });

  it("stays bounded, keeps its shape and forgets what has not been seen for long", () => {
    const history = historyOf(Array.from({ length: 200 }, () => MINUTE_MS));
    for (let index = 0; index < 3000; index += 1) history.record(10 * MINUTE_MS);
    assert.ok(history.total <= 257, String(history.total));
    assert.equal(history.counts[binOf(MINUTE_MS)], 0);
    assert.ok(Math.abs(history.meanMs - 10 * MINUTE_MS) < MINUTE_MS, String(history.meanMs));
  });
});

describe("the plan", () => {
  it("waits a while for what nobody knows", () => {
    const windows = plan(undefined);
    assert.equal(windows.length, 1);
    assert.equal(windows[0]?.fromMs, 0);
    const toMs = windows[0]?.toMs ?? 0;
    assert.ok(toMs > MINUTE_MS && toMs <= BUDGET_MS, `${toMs} ms`);
  });

  it("waits for a memoryless function whose mean is less than the budget, and not for others", () => {
    const often = plan(memoryless(BUDGET_MS / 4));
    assert.ok(covers(often, 0) && covers(often, BUDGET_MS / 2), JSON.stringify(often));
    const seldom = plan(memoryless(BUDGET_MS * 8));
    assert.ok(warmMs(seldom) < BUDGET_MS / 2, JSON.stringify(seldom));
  });

  it("lets a timer's environment go at once and has it back for less than a minute", () => {
    for (const periodMs of [5, 15, 60, 24 * 60].map((minutes) => minutes * MINUTE_MS)) {
      const windows = plan(historyOf(Array.from({ length: 12 }, (_, index) => periodMs - 500 + index * 100)));
      assert.ok(covers(windows, periodMs), `${periodMs}: ${JSON.stringify(windows)}`);
      const waitedMs = warmMs(windows, periodMs);
      assert.ok(waitedMs < Math.max(MINUTE_MS, periodMs / 100), `${periodMs}: ${waitedMs}`);
    }
  });

  it("keeps an environment through a burst and has one back for the next", () => {
    const burst = Array.from({ length: 40 }, (_, index) => 500 + 100 * (index % 20));
    const pauses = Array.from({ length: 20 }, (_, index) => 120 * MINUTE_MS + index * 1000);
    const windows = plan(historyOf([...burst, ...pauses]));
    assert.ok(covers(windows, 0) && covers(windows, 2400) && covers(windows, 120 * MINUTE_MS + 10_000));
    assert.ok(!covers(windows, 60 * MINUTE_MS), JSON.stringify(windows));
  });

  it("makes nothing ahead of time where it may not", () => {
    const history = historyOf(Array.from({ length: 20 }, () => 60 * MINUTE_MS));
    assert.deepEqual(
      plan(history, false).filter(({ fromMs }) => fromMs > 0),
      [],
    );
    assert.ok(warmMs(plan(history, false)) < 10 * MINUTE_MS);
  });

  it("is well-formed, and waits for more when waiting is cheaper", () => {
    const times = fc.array(fc.double({ min: 0, max: 60 * 60 * MINUTE_MS, noNaN: true }), { maxLength: 300 });
    fc.assert(
      fc.property(times, fc.boolean(), fc.integer({ min: 1, max: 600 }), (idleMs, prewarm, budgetS) => {
        const history = historyOf(idleMs);
        const windows = plan(history, prewarm, budgetS * 1000);
        let beforeMs = -1;
        for (const { fromMs, toMs } of windows) {
          assert.ok(fromMs > beforeMs && toMs > fromMs && toMs <= HORIZON_MS, JSON.stringify(windows));
          beforeMs = toMs;
        }
        if (!prewarm) assert.ok(windows.length <= 1 && (windows[0]?.fromMs ?? 0) === 0);
        if (prewarm) return;
        const more = plan(history, prewarm, 2000 * budgetS);
        assert.ok(warmMs(more) >= warmMs(windows), "a greater budget never waits for less");
      }),
    );
  });
});
