/**
 * Time as a port: nothing in src/ asks the machine for the time itself, so that tests and simulations can decide it.
 */
export interface Clock {
  /** Wall-clock time in milliseconds since the Unix epoch; may jump. For time stamps and deadlines told to others. */
  nowMs(): number;
  /** Monotonic time in milliseconds with sub-millisecond resolution. For durations. */
  monotonicMs(): number;
  /** Calls back once after `delayMs`; does not keep the process alive. The answer cancels it, and may be called twice. */
  after(delayMs: number, callback: () => void): () => void;
}

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  after(delayMs, callback) {
    const timer = setTimeout(callback, delayMs);
    timer.unref();
    return () => clearTimeout(timer);
  },
};

/** A clock that moves only when told to; due callbacks run in order of their due time. */
export class ManualClock implements Clock {
  #nowMs: number;
  #monotonicMs = 0;
  #timers: { dueMs: number; callback: () => void }[] = [];

  constructor(startMs = 1_700_000_000_000) {
    this.#nowMs = startMs;
  }

  nowMs(): number {
    return this.#nowMs;
  }

  monotonicMs(): number {
    return this.#monotonicMs;
  }

  after(delayMs: number, callback: () => void): () => void {
    const timer = { dueMs: this.#monotonicMs + delayMs, callback };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }

  advance(byMs: number): void {
    const endMs = this.#monotonicMs + byMs;
    for (;;) {
      const due = this.#timers.filter((timer) => timer.dueMs <= endMs).sort((a, b) => a.dueMs - b.dueMs)[0];
      if (!due) break;
      this.#timers = this.#timers.filter((timer) => timer !== due);
      this.#moveTo(due.dueMs);
      due.callback();
    }
    this.#moveTo(endMs);
  }

  #moveTo(monotonicMs: number): void {
    this.#nowMs += monotonicMs - this.#monotonicMs;
    this.#monotonicMs = monotonicMs;
  }
}
