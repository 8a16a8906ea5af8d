/**
 * Polls for what is about to come instead of sleeping until it is there. A thread that sleeps is woken in some 50 µs where its
 * CPU has gone idle meanwhile; an event loop whose next turn is always due finds the same event in a few. So an
 * event loop that expects an answer within microseconds turns until it comes, for a bounded time, and only
 *
 * - while a CPU is left for whoever makes the answer: what is under way is less than the machine has CPUs, and was so for a
 *   while. Between two answers of a busy server little may be under way for a moment, but runtimes and clients have work left;
 * - when it pays: each window adapts to the waits that it has seen, as Linux's haltpoll governor does. It doubles, up to
 *   its bound, while waits end within the bound but beyond the window; it halves when they do not end within the bound, and is
 *   soon zero. Waits are measured whether they are polled for or not, so a window that is zero costs nothing.
 */
import type { Clock } from "./clock.ts";

/** The first window that is not zero, as a part of the bound. */
const WINDOW_START_RATIO = 1 / 4;

/** For so long after more was under way than there are CPUs, nothing is polled for. */
const CALM_MS = 50;

/** How long to poll for one kind of event. */
export class PollWindow {
  readonly #maxMs: number;
  #ms = 0;

  constructor(maxMs: number) {
    this.#maxMs = maxMs;
  }

  /** Milliseconds, with fractions; 0: sleeping is better. */
  get ms(): number {
    return this.#ms;
  }

  /** What was awaited came after `waitMs`. */
  came(waitMs: number): void {
    const startMs = this.#maxMs * WINDOW_START_RATIO;
    if (waitMs > this.#maxMs) this.#ms = this.#ms > startMs ? this.#ms / 2 : 0;
    else if (waitMs > this.#ms) this.#ms = Math.min(this.#maxMs, Math.max(startMs, 2 * this.#ms));
  }
}

/** Something that is awaited. */
export interface Wait {
  readonly window: PollWindow;
  /** Monotonic; undefined until the turn of the event loop in which the wait began has ended. */
  sinceMs: number | undefined;
}

export interface BusyPollOptions {
  readonly clock: Clock;
  /** The longest poll; 0 switches it off. */
  readonly maxMs: number;
  /** CPUs that this process and those that it works with may use. */
  readonly cpus: number;
  /** Calls back in the next turn of the event loop. Default: setImmediate. */
  readonly nextTurn?: (callback: () => void) => void;
}

/**
 * The event loop's poll: for the answer to the work that was handed out last, and, with no work under way, for the next request.
 * One for each event loop.
 */
export class BusyPoll {
  readonly maxMs: number;
  readonly #clock: Clock;
  readonly #cpus: number;
  readonly #nextTurn: (callback: () => void) => void;
  readonly #requests: PollWindow;
  /** Work that was handed out and is not answered. */
  #underWay = 0;
  /** Monotonic; when as much was under way as there are CPUs, or more. */
  #crowdedMs = -Infinity;
  /** What is polled for: the youngest. */
  #wait: Wait | undefined;
  #isTurning = false;

  constructor({ clock, maxMs, cpus, nextTurn = setImmediate }: BusyPollOptions) {
    this.maxMs = maxMs;
    this.#clock = clock;
    // With one CPU a poll only keeps whoever makes the answer from it.
    this.#cpus = maxMs > 0 && cpus > 1 ? cpus : 0;
    this.#nextTurn = nextTurn;
    this.#requests = new PollWindow(maxMs);
  }

  /** Work is handed out in this turn; its answer is awaited as `window` advises, or nobody is in a hurry for it. Goes to `end`. */
  begin(window: PollWindow | undefined): Wait | undefined {
    this.#underWay += 1;
    this.#wait = undefined;
    if (this.#cpus === 0) return undefined;
    if (this.#underWay >= this.#cpus) this.#crowdedMs = this.#clock.monotonicMs();
    else if (window) return this.#await(window);
    return undefined;
  }

  /** The answer has come, or there will be none. */
  end(wait: Wait | undefined): void {
    this.#underWay -= 1;
    if (wait?.sinceMs !== undefined) wait.window.came(this.#clock.monotonicMs() - wait.sinceMs);
    if (this.#wait === wait) this.#wait = undefined;
    if (this.#underWay === 0 && this.#cpus > 0) this.#await(this.#requests);
  }

  /** A request has come. */
  requested(): void {
    const wait = this.#wait;
    if (wait?.window !== this.#requests) return;
    this.#wait = undefined;
    if (wait.sinceMs !== undefined) wait.window.came(this.#clock.monotonicMs() - wait.sinceMs);
  }

  #await(window: PollWindow): Wait | undefined {
    if (this.#clock.monotonicMs() - this.#crowdedMs < CALM_MS) return undefined;
    const wait: Wait = { window, sinceMs: undefined };
    this.#wait = wait;
    if (!this.#isTurning) {
      this.#isTurning = true;
      this.#nextTurn(this.#turn);
    }
    return wait;
  }

  /** Once in a turn of the event loop, after its sockets were read. */
  readonly #turn = (): void => {
    const wait = this.#wait;
    if (wait) {
      const nowMs = this.#clock.monotonicMs();
      wait.sinceMs ??= nowMs;
      if (nowMs - wait.sinceMs < wait.window.ms) return this.#nextTurn(this.#turn);
    }
    this.#isTurning = false;
  };
}
