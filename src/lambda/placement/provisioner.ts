/**
 * Provisioned concurrency: environments that are there before an invocation needs them, as many as configured for a version.
 * One that ends is replaced. What the function itself makes impossible is tried a few times, ever more seldom, and told.
 *
 * They are started a few at a time, one function after the other: who waits for a cold start has most of the machine.
 */
import type { Clock } from "../../kernel/clock.ts";
import type { Environment } from "../environment/environment.ts";
import type { ProvisionedState } from "./concurrency.ts";
import type { Fleet } from "./fleet.ts";
import { RateLimit } from "./rate-limit.ts";

export interface ProvisionerOptions {
  readonly clock: Clock;
  /** Then none is started, and it is looked at again later. */
  readonly isShortOfMemory: () => boolean;
  /** Starts one and hands it to its fleet. Resolves when it is initialised, with why not when it is not; never rejects. */
  readonly start: (fleet: Fleet) => Promise<string | undefined>;
}

/** A version's provisioned concurrency. */
export interface Provisioned {
  wanted: number;
  /** Those that are being initialised included. */
  readonly all: Set<Environment>;
  /** Attempts that failed since the last that did not. */
  failures: number;
  failure: string | undefined;
  /** Replacements: one whose environments end right after their init would start them all the time. */
  readonly starts: RateLimit;
  cancelRetry: (() => void) | undefined;
}

/** Started at once, of all functions. */
const STARTS_MAX = 4;
/** After so many failures in a row it is left alone until it is configured again. */
const FAILURES_MAX = 8;
/** Waits after failures, doubled each time. */
const RETRY_MS_MIN = 1000;
const RETRY_MS_MAX = 60_000;
/** Beyond those that are wanted, one environment may be started in this time. */
const REPLACE_MS = 1000;

export class Provisioner {
  readonly #options: ProvisionerOptions;
  /** Fleets that have or had provisioned environments, by function. */
  readonly #fleets = new Map<string, Set<Fleet>>();
  /** Fleets that miss environments; the next one's turn first. */
  readonly #hungry = new Set<Fleet>();
  #starting = 0;
  #stopped = false;

  constructor(options: ProvisionerOptions) {
    this.#options = options;
  }

  /** How many environments each of a function's fleets is to have from now on; those that are not named, none. */
  configure(functionArn: string, wanted: ReadonlyMap<Fleet, number>): void {
    const known = this.#fleets.get(functionArn) ?? new Set<Fleet>();
    for (const fleet of new Set([...known, ...wanted.keys()])) this.#provide(fleet, wanted.get(fleet) ?? 0);
    if (wanted.size > 0) this.#fleets.set(functionArn, new Set(wanted.keys()));
    else this.#fleets.delete(functionArn);
  }

  state({ provisioned }: Fleet): ProvisionedState {
    const { all, failure } = provisioned ?? {};
    const environments = [...(all ?? [])];
    return {
      allocated: environments.length,
      available: environments.filter(({ state }) => state !== "STARTING" && state !== "INITIALISING").length,
      ...(failure !== undefined && { failure }),
    };
  }

  /** Fleets that have provisioned concurrency. */
  *provisioned(): Iterable<Fleet> {
    for (const fleets of this.#fleets.values()) yield* fleets;
  }

  /** Starts what is missing and ends what is too much: to be called when one has become idle or has ended. */
  tend(fleet: Fleet): void {
    const { provisioned } = fleet;
    if (!provisioned || this.#stopped) return;
    const wanted = fleet.isRetired ? 0 : provisioned.wanted;
    while (provisioned.all.size > wanted) {
      const surplus = fleet.provisionedIdle.shift();
      if (!surplus) break;
      provisioned.all.delete(surplus);
      void surplus.shutdown("provisioned concurrency was reduced");
    }
    if (provisioned.all.size < wanted && !provisioned.cancelRetry && provisioned.failures < FAILURES_MAX) {
      this.#hungry.add(fleet);
      this.#startNext();
    }
  }

  stop(): void {
    this.#stopped = true;
    this.#hungry.clear();
    for (const fleet of this.provisioned()) fleet.provisioned?.cancelRetry?.();
  }

  #provide(fleet: Fleet, wanted: number): void {
    if (!fleet.provisioned) {
      if (wanted === 0) return;
      fleet.provisioned = {
        wanted,
        all: new Set(),
        failures: 0,
        failure: undefined,
        starts: new RateLimit(),
        cancelRetry: undefined,
      };
    }
    const { provisioned } = fleet;
    provisioned.cancelRetry?.();
    provisioned.cancelRetry = undefined;
    provisioned.failures = 0;
    provisioned.failure = undefined;
    provisioned.wanted = wanted;
    this.tend(fleet);
  }

  #startNext(): void {
    const { clock, isShortOfMemory } = this.#options;
    for (const fleet of this.#hungry) {
      if (this.#starting >= STARTS_MAX) return;
      this.#hungry.delete(fleet);
      const { provisioned } = fleet;
      if (!provisioned || fleet.isRetired || provisioned.all.size >= provisioned.wanted) continue;
      const rate = { intervalMs: REPLACE_MS, burst: provisioned.wanted };
      if (isShortOfMemory() || !provisioned.starts.take(clock.monotonicMs(), rate)) {
        this.#retry(fleet, provisioned, REPLACE_MS);
        continue;
      }
      void this.#startOne(fleet, provisioned);
      // At the end: other functions have their turns before its next one.
      if (provisioned.all.size < provisioned.wanted) this.#hungry.add(fleet);
    }
  }

  async #startOne(fleet: Fleet, provisioned: Provisioned): Promise<void> {
    this.#starting += 1;
    const failure = await this.#options.start(fleet);
    this.#starting -= 1;
    if (failure === undefined) {
      provisioned.failures = 0;
      provisioned.failure = undefined;
    } else {
      provisioned.failures += 1;
      provisioned.failure = failure;
      this.#hungry.delete(fleet);
      this.#retry(fleet, provisioned, Math.min(RETRY_MS_MAX, RETRY_MS_MIN * 2 ** (provisioned.failures - 1)));
    }
    this.tend(fleet);
    this.#startNext();
  }

  #retry(fleet: Fleet, provisioned: Provisioned, delayMs: number): void {
    if (this.#stopped) return;
    provisioned.cancelRetry?.();
    provisioned.cancelRetry = this.#options.clock.after(delayMs, () => {
      provisioned.cancelRetry = undefined;
      this.tend(fleet);
    });
  }
}
