// Goal: polling helps whoever answers within microseconds, and costs nobody else: never when as much is under way as there
// are CPUs, never beyond its bound, not at all when it does not pay or is switched off.
// Method: a clock and an event loop that move by hand: each turn takes 10 µs.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { BusyPoll, PollWindow, type BusyPollOptions } from "./busy-poll.ts";
import { ManualClock } from "./clock.ts";

const MAX_MS = 0.2;
const TURN_MS = 0.01;

/** An event loop: `idle` lets it turn until `ms` have passed or it would sleep; answers how long it polled. */
function setUp(options: Partial<BusyPollOptions> = {}) {
  const clock = new ManualClock();
  let next: (() => void) | undefined;
  const nextTurn = (callback: () => void) => {
    assert.equal(next, undefined, "at most one turn is due");
    next = callback;
  };
  const poll = new BusyPoll({ clock, maxMs: MAX_MS, cpus: 2, nextTurn, ...options });
  const idle = (ms: number): number => {
    const fromMs = clock.monotonicMs();
    let polledMs = 0;
    while (next && clock.monotonicMs() - fromMs < ms) {
      const callback = next;
      next = undefined;
      callback();
      if (!next) break;
      clock.advance(TURN_MS);
      polledMs = clock.monotonicMs() - fromMs;
    }
    clock.advance(Math.max(0, ms - (clock.monotonicMs() - fromMs)));
    return polledMs;
  };
  /** One request after another, each answered after `answerMs`; answers how long the last one's answer was polled for. */
  const serve = (window: PollWindow, count: number, answerMs: number, pauseMs = 50): number => {
    let polledMs = 0;
    for (let number = 0; number < count; number += 1) {
      poll.requested();
      const wait = poll.begin(window);
      polledMs = idle(answerMs);
      poll.end(wait);
      idle(pauseMs);
    }
    return polledMs;
  };
  return { poll, clock, idle, serve };
}

const near = (actual: number, expected: number) =>
  assert.ok(Math.abs(actual - expected) < 1.5 * TURN_MS, `${actual} ms instead of ${expected}`);

describe("PollWindow", () => {
  it("doubles from a quarter of its bound until it covers the waits, never beyond", () => {
    const window = new PollWindow(MAX_MS);
    assert.equal(window.ms, 0);
    const grown = Array.from({ length: 4 }, () => {
      window.came(0.15);
      return window.ms;
    });
    assert.deepEqual(grown, [0.05, 0.1, 0.2, 0.2]);
  });

  it("stays as it is while waits end within it", () => {
    const window = new PollWindow(MAX_MS);
    for (let number = 0; number < 5; number += 1) window.came(0.04);
    assert.equal(window.ms, 0.05);
  });

  it("halves when a wait is longer than its bound, and three of them end it", () => {
    const window = new PollWindow(MAX_MS);
    for (let number = 0; number < 3; number += 1) window.came(0.2);
    const shrunk = [1, 2, 3].map(() => {
      window.came(0.201);
      return window.ms;
    });
    assert.deepEqual(shrunk, [0.1, 0.05, 0]);
  });
});

describe("BusyPoll", () => {
  it("polls until the answer is there once answers have come soon", () => {
    const { serve } = setUp();
    const window = new PollWindow(MAX_MS);
    assert.equal(serve(window, 1, 0.08), 0, "it does not know yet");
    near(serve(window, 3, 0.08), 0.08);
  });

  it("does not poll for a function that is slow, whatever the others are", () => {
    const { serve } = setUp();
    const [fast, slow] = [new PollWindow(MAX_MS), new PollWindow(MAX_MS)];
    serve(fast, 5, 0.08);
    assert.equal(serve(slow, 20, 10), 0);
    near(serve(fast, 1, 0.08), 0.08);
  });

  it("gives up after the window when an answer does not come", () => {
    const { serve } = setUp();
    const window = new PollWindow(MAX_MS);
    serve(window, 5, 0.15);
    near(serve(window, 1, 5), MAX_MS);
    near(serve(window, 1, 5), MAX_MS / 2);
    near(serve(window, 1, 5), MAX_MS / 4);
    assert.equal(serve(window, 1, 5), 0);
  });

  it("polls for the next request where requests come soon after answers, and not where they do not", () => {
    const { poll, idle, serve } = setUp();
    const window = new PollWindow(MAX_MS);
    serve(window, 5, 10, 0.06);
    poll.end(poll.begin(window));
    near(idle(0.06), 0.06);
    serve(window, 5, 10, 50);
    poll.end(poll.begin(window));
    assert.equal(idle(0.06), 0);
  });

  it("leaves the CPUs to what is under way, and for a while after", () => {
    const { poll, idle, serve } = setUp({ cpus: 3 });
    const window = new PollWindow(MAX_MS);
    serve(window, 5, 0.08);
    const waits = [poll.begin(window), poll.begin(window)];
    near(idle(0.08), 0.08);
    waits.push(poll.begin(window));
    assert.equal(idle(0.08), 0, "three are under way");
    for (const wait of waits) poll.end(wait);
    assert.equal(idle(0.08), 0);
    assert.equal(serve(window, 1, 0.08, 0), 0, "just now it was crowded");
    idle(50);
    near(serve(window, 1, 0.08), 0.08);
  });

  it("stops for what nobody waits for", () => {
    const { poll, idle, serve } = setUp();
    const window = new PollWindow(MAX_MS);
    serve(window, 5, 0.08);
    const wait = poll.begin(undefined);
    assert.equal(wait, undefined);
    assert.equal(idle(0.08), 0);
    poll.end(wait);
  });

  for (const [reason, options] of [
    ["with one CPU", { cpus: 1 }],
    ["switched off", { maxMs: 0 }],
  ] as const)
    it(`never polls ${reason}`, () => {
      const { poll, idle, serve } = setUp(options);
      const window = new PollWindow(poll.maxMs);
      assert.equal(serve(window, 10, 0.08, 0.05), 0);
      poll.end(poll.begin(window));
      assert.equal(idle(0.05), 0);
    });

  it("turns the real event loop until the answer is there, and lets it end", async () => {
    const poll = new BusyPoll({ clock: new ManualClock(), maxMs: MAX_MS, cpus: 2 });
    const window = new PollWindow(MAX_MS);
    for (let number = 0; number < 3; number += 1) window.came(MAX_MS);
    const wait = poll.begin(window);
    const turn = () => new Promise((resolve) => setImmediate(resolve));
    await turn();
    assert.notEqual(wait?.sinceMs, undefined);
    await turn();
    poll.end(wait);
  });
});
