/**
 * Invocations of a function that answers at once rather wait for an environment that is at work than wake one that sleeps.
 * With more environments at work than CPUs the machine makes them take turns anyway, each with its own memory to bring
 * into the caches; when a few of them take all the work instead, an invocation costs its runtime half of the CPU time, and
 * a runtime that finds its next event when it has answered does not sleep at all.
 *
 * It must not hold back functions that wait for something themselves, which take no CPU meanwhile. So only those wait whose
 * function has answered within SHORT_MS lately, and nobody waits in vain: when the one who has waited longest is the same
 * at two looks in a row, all go where they would have gone, and the function's invocations do not wait for a while.
 */
import type { Clock } from "../../kernel/clock.ts";
import type { Invocation, InvocationOutcome } from "../model.ts";
import type { Fleet, Waiter } from "./fleet.ts";

/** An answer within this time is the work of a CPU, not a wait for somebody else. */
const SHORT_MS = 0.5;
/** Invocations after which what was short before counts no more. */
const PERIOD_INVOCATIONS = 256;
/** An invocation waits for less than two of these in vain. */
const LOOK_MS = 5;
const BACK_OFF_MS_MIN = 100;
const BACK_OFF_MS_MAX = 60_000;
/** Environments at work for each CPU before others wait. With less the server has fewer answers to read in a turn. Measured. */
const AT_WORK_PER_CPU = 4;

/** What is known of a fleet's answers. */
export class Heat {
  #leastMs = Infinity;
  /** Of the period before. */
  #leastBeforeMs = Infinity;
  #seen = 0;
  /** Monotonic; until then nobody waits. */
  blockedUntilMs = -Infinity;
  backOffMs = BACK_OFF_MS_MIN;
  /** Somebody looks after those who wait. */
  isWatched = false;

  /** The least time that an answer took lately: its own time, without that of others on the same CPU. */
  get isShort(): boolean {
    return Math.min(this.#leastMs, this.#leastBeforeMs) <= SHORT_MS;
  }

  answered(durationMs: number): void {
    if (durationMs < this.#leastMs) this.#leastMs = durationMs;
    this.#seen += 1;
    if (this.#seen < PERIOD_INVOCATIONS) return;
    this.#leastBeforeMs = this.#leastMs;
    this.#leastMs = Infinity;
    this.#seen = 0;
  }
}

export interface HotQueueOptions {
  readonly clock: Clock;
  readonly cpus: number;
  /** Serves those who wait as if they came now. */
  readonly release: (fleet: Fleet) => void;
}

export class HotQueue {
  readonly #options: HotQueueOptions;

  constructor(options: HotQueueOptions) {
    this.#options = options;
  }

  /** Whether an invocation should wait although an environment is idle. What is provisioned is paid for to be there at once. */
  isBetter(fleet: Fleet, nowMs: number): boolean {
    const { heat } = fleet;
    return (
      fleet.idle.length > 0 &&
      fleet.atWork >= this.#options.cpus * AT_WORK_PER_CPU &&
      fleet.provisioned === undefined &&
      heat.isShort &&
      nowMs >= heat.blockedUntilMs
    );
  }

  /** Has it wait. `onServed` is told when that is over, unless it is refused. */
  wait(fleet: Fleet, invocation: Invocation, onServed: () => void): Promise<InvocationOutcome> {
    const outcome = fleet.waitPatiently(invocation, onServed);
    if (!fleet.heat.isWatched) this.#watch(fleet);
    return outcome;
  }

  #watch(fleet: Fleet): void {
    fleet.heat.isWatched = true;
    const { oldest } = fleet;
    this.#options.clock.after(LOOK_MS, () => this.#look(fleet, oldest));
  }

  #look(fleet: Fleet, oldestBefore: Waiter | undefined): void {
    const { heat, oldest } = fleet;
    heat.isWatched = false;
    if (oldest && oldest === oldestBefore) {
      heat.blockedUntilMs = this.#options.clock.monotonicMs() + heat.backOffMs;
      heat.backOffMs = Math.min(BACK_OFF_MS_MAX, 2 * heat.backOffMs);
      this.#options.release(fleet);
      return;
    }
    heat.backOffMs = Math.max(BACK_OFF_MS_MIN, heat.backOffMs / 2);
    if (oldest) this.#watch(fleet);
  }
}
