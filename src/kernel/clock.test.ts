// Goal: both clocks keep the port's contract; the manual one runs what is due in order and at its own time.
// Method: timers on a clock that the test moves; the real clock only for what does not depend on how fast it runs.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ManualClock, systemClock } from "./clock.ts";

describe("the manual clock", () => {
  it("moves both times together, and only when told", () => {
    const clock = new ManualClock(5000);
    assert.deepEqual([clock.nowMs(), clock.monotonicMs()], [5000, 0]);
    clock.advance(1.5);
    assert.deepEqual([clock.nowMs(), clock.monotonicMs()], [5001.5, 1.5]);
  });

  it("calls back in order of the due times, at those times", () => {
    const clock = new ManualClock(0);
    const calls: string[] = [];
    for (const delayMs of [30, 10, 20, 10])
      clock.after(delayMs, () => calls.push(`${delayMs} at ${clock.monotonicMs()}`));
    clock.advance(25);
    assert.deepEqual(calls, ["10 at 10", "10 at 10", "20 at 20"]);
    assert.equal(clock.monotonicMs(), 25);
    clock.advance(5);
    assert.equal(calls.at(-1), "30 at 30");
  });

  it("calls back once, not when cancelled, and cancelling twice is harmless", () => {
    const clock = new ManualClock();
    let calls = 0;
    clock.after(10, () => (calls += 1));
    const cancel = clock.after(10, () => (calls += 100));
    cancel();
    cancel();
    clock.advance(100);
    assert.equal(calls, 1);
  });

  it("runs timers that callbacks start and stop while it moves", () => {
    const clock = new ManualClock();
    const calls: number[] = [];
    const tick = () => {
      calls.push(clock.monotonicMs());
      if (calls.length < 4) clock.after(10, tick);
    };
    clock.after(10, tick);
    const cancel = clock.after(25, () => calls.push(-1));
    clock.after(15, cancel);
    clock.advance(100);
    assert.deepEqual(calls, [10, 20, 30, 40]);
    assert.equal(clock.monotonicMs(), 100);
  });

  it("calls back what is due at once at the next move, of no length too", () => {
    const clock = new ManualClock();
    let calls = 0;
    clock.after(0, () => (calls += 1));
    assert.equal(calls, 0);
    clock.advance(0);
    assert.equal(calls, 1);
  });
});

describe("the system's clock", () => {
  it("tells the time of day, and a time that never goes back", () => {
    assert.ok(Math.abs(systemClock.nowMs() - Date.now()) < 60_000);
    const before = systemClock.monotonicMs();
    assert.ok(systemClock.monotonicMs() >= before);
  });

  it("calls back later, and not when cancelled", async () => {
    let cancelled = false;
    systemClock.after(0, () => (cancelled = true))();
    let isLater = false;
    // The timer itself does not keep the process alive.
    const alive = setTimeout(() => undefined, 60_000);
    await new Promise<void>((resolve) => {
      systemClock.after(1, () => {
        assert.ok(isLater);
        resolve();
      });
      isLater = true;
    });
    clearTimeout(alive);
    assert.equal(cancelled, false);
  });
});
