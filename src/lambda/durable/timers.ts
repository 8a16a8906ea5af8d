/** When executions go on by themselves: one timer of the clock for all of them. */
import type { Clock } from "../../kernel/clock.ts";
import { DeadlineQueue } from "../../kernel/deadline-queue.ts";
import type { Entry } from "./entry.ts";

/** The wall clock may be set while a timer runs, and no timer of Node's waits for a month. */
const WAIT_MS_MAX = 60 * 60_000;
/** Times that were overtaken are swept when there are so many more of them than of others. */
const STALE_MAX = 1000;

export class Timers {
  readonly #clock: Clock;
  readonly #onDue: (entry: Entry) => void;
  readonly #queue = new DeadlineQueue<Entry>();
  #armed = 0;
  #cancel: () => void = () => undefined;
  #wakesAtMs = Infinity;
  #stopped = false;

  constructor(clock: Clock, onDue: (entry: Entry) => void) {
    this.#clock = clock;
    this.#onDue = onDue;
  }

  /** Instead of the time that there may be. Wall-clock milliseconds; Infinity: never. */
  arm(entry: Entry, dueMs: number): void {
    if (entry.dueMs === dueMs || this.#stopped) return;
    if (entry.dueMs === Infinity) this.#armed += 1;
    if (dueMs === Infinity) this.#armed -= 1;
    entry.dueMs = dueMs;
    if (dueMs !== Infinity) this.#queue.push(dueMs, entry);
    if (this.#queue.size > 2 * this.#armed + STALE_MAX) this.#queue.retain((one, ms) => one.dueMs === ms);
    if (this.#queue.firstDueMs < this.#wakesAtMs) this.#set();
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel();
  }

  #set(): void {
    this.#cancel();
    const nowMs = this.#clock.nowMs();
    const waitMs = Math.min(Math.max(this.#queue.firstDueMs - nowMs, 0), WAIT_MS_MAX);
    if (this.#queue.size === 0) {
      this.#wakesAtMs = Infinity;
      return;
    }
    this.#wakesAtMs = nowMs + waitMs;
    this.#cancel = this.#clock.after(waitMs, () => this.#wake());
  }

  #wake(): void {
    const nowMs = this.#clock.nowMs();
    for (let due = this.#queue.takeDue(nowMs); due; due = this.#queue.takeDue(nowMs)) {
      const { item: entry, dueMs } = due;
      if (entry.dueMs !== dueMs) continue;
      this.#armed -= 1;
      entry.dueMs = Infinity;
      this.#onDue(entry);
    }
    this.#set();
  }
}
