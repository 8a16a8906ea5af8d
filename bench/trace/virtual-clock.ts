/** A clock that is moved by a replay: as ManualClock, for very many timers. */
import type { Clock } from "../../src/kernel/clock.ts";
import { DeadlineQueue } from "../../src/kernel/deadline-queue.ts";

export class VirtualClock implements Clock {
  #nowMs = 0;
  readonly #timers = new DeadlineQueue<{ callback: (() => void) | undefined }>();

  nowMs(): number {
    return 1_700_000_000_000 + this.#nowMs;
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  after(delayMs: number, callback: () => void): () => void {
    const timer: { callback: (() => void) | undefined } = { callback };
    this.#timers.push(this.#nowMs + Math.max(0, delayMs), timer);
    return () => {
      timer.callback = undefined;
    };
  }

  /** When the next timer is due; Infinity when there is none. */
  get nextDueMs(): number {
    return this.#timers.firstDueMs;
  }

  /** Moves to the next timer that is due by `untilMs` and calls it, else to `untilMs`. Answers whether one was called. */
  step(untilMs: number): boolean {
    for (let due = this.#timers.takeDue(untilMs); due; due = this.#timers.takeDue(untilMs)) {
      const { callback } = due.item;
      if (!callback) continue;
      this.#nowMs = Math.max(this.#nowMs, due.dueMs);
      callback();
      return true;
    }
    this.#nowMs = Math.max(this.#nowMs, untilMs);
    return false;
  }
}
