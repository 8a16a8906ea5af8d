/**
 * How long environments wait. Each function version has a plan (keep-alive-plan.ts), made from how it was used (usage.ts): the
 * windows of idle time in which an environment should be there. One that is outside of them ends; one that will be wanted
 * again is made just before. An idle environment is frozen after a short while and ends at its greatest age whatever the
 * plan says; under memory pressure those go that are the cheapest to lose, and before them the waiting generic sandboxes.
 *
 * Nothing is swept: a version is looked at when its plan, a freeze or an age is due, so that idle ones cost nothing.
 */
import { readFileSync } from "node:fs";
import type { Clock } from "../../kernel/clock.ts";
import { DeadlineQueue } from "../../kernel/deadline-queue.ts";
import type { Environment } from "../environment/environment.ts";
import type { Fleet as PlacementFleet } from "./fleet.ts";
import { evictionOrder } from "./keep-alive-eviction.ts";
import { planWarmth, type WarmWindow } from "./keep-alive-plan.ts";
import { FunctionUsage } from "./usage.ts";

export interface KeepAliveOptions {
  readonly clock: Clock;
  /** An idle environment's time; with `adapts`, about what is spent on the average. */
  readonly keepAliveMs: number;
  /** Whether the time follows each function's arrivals. Default: no. */
  readonly adapts?: boolean;
  /** An environment ends at this age even when it is used: its credentials and its code grow old. */
  readonly ageMsMax: number;
  /** Bytes the machine can still give; undefined where it cannot tell: then nobody asks again. */
  readonly availableMemoryBytes: () => number | undefined;
  /** Below it, idle environments go. */
  readonly reserveBytes: number;
  /** Histories of idle times in memory, of all functions together. Default: HISTORIES_MAX. */
  readonly historiesMax?: number;
}

/** A version's environments, as keep-alive sees them. */
export interface KeptFleet {
  readonly usage: FunctionUsage;
  /** IDLE or FROZEN, the one used last at the end. */
  readonly idle: readonly Environment[];
  /** As `idle`, of provisioned concurrency: always kept, frozen and renewed like the others. */
  readonly provisionedIdle?: readonly Environment[];
  /** Environments that are being started. */
  readonly starting: number;
}

export interface KeepAliveActions<Fleet extends KeptFleet> {
  /** All that there are. */
  readonly fleets: () => Iterable<Fleet>;
  /** Takes it out of its fleet's idle ones at once. */
  readonly evict: (environment: Environment, reason: string) => void;
  readonly shrinkPool: (count: number) => Promise<number>;
  /** Starts an environment that nobody waits for; false when there is too much to do already. */
  readonly prewarm: (fleet: Fleet) => boolean;
  /** The machine is not short of memory any more. */
  readonly relieved?: () => void;
}

/** How often the machine's memory is looked at. */
const PRESSURE_MS = 1000;
/** Freezing costs a request to the spawner and thawing another: only for environments that are left alone. */
const FREEZE_AFTER_MS = 2000;
/** Until what could not be made ahead of time is tried again. */
const PREWARM_AGAIN_MS = 50;
/** A version is not looked at more often. */
const CHECK_MS_MIN = 10;
/** Provisioned environments of a version were made together and grow old together: one is replaced in this time. */
const RENEW_MS = 1000;
/** Evicted at one look under memory pressure; the next look sees whether it was enough. */
const EVICT_MAX = 16;
/** About 15 MB of them. */
const HISTORIES_MAX = 20_000;
/** Times at which something is due are not tidied up as long as they are fewer. */
const DUE_MIN = 1024;
/** A function of this size is worth waiting for as long as configured; twice the size, half as long. */
const REFERENCE_MEMORY_MB = 128;
/** A spared cold start is worth so many keep-alives: all together then wait for about as long as with a fixed one. Measured. */
const WORTH = 8;

export class KeepAlive<Fleet extends KeptFleet = PlacementFleet> {
  readonly #options: KeepAliveOptions;
  #actions: KeepAliveActions<Fleet> | undefined;
  readonly #due = new DeadlineQueue<Fleet>();
  #dueMax = DUE_MIN;
  /** Who has a history, the one looked at last at the end; and how many histories that is. */
  readonly #remembered = new Map<FunctionUsage, number>();
  #historyCount = 0;
  #timer: { readonly dueMs: number; readonly cancel: () => void } | undefined;
  #cancelPressure: (() => void) | undefined;
  #isShortOfMemory = false;

  constructor(options: KeepAliveOptions) {
    this.#options = options;
  }

  /** The age at which environments end. */
  get ageMsMax(): number {
    return this.#options.ageMsMax;
  }

  start(actions: KeepAliveActions<Fleet>): void {
    this.#actions = actions;
    if (this.#options.availableMemoryBytes() !== undefined) this.#watchMemory();
  }

  stop(): void {
    this.#actions = undefined;
    this.#cancelPressure?.();
    this.#timer?.cancel();
  }

  /** The machine has less left than its reserve, as of the last look. */
  get isShortOfMemory(): boolean {
    return this.#isShortOfMemory;
  }

  /** An invocation of `fleet` begins. On the hot path: constant time. */
  begin({ usage }: Fleet, nowMs = this.#options.clock.monotonicMs()): void {
    usage.begin(nowMs, this.#adapts);
  }

  /** It has ended. */
  end({ usage }: Fleet): void {
    usage.end(this.#options.clock.monotonicMs());
  }

  /** An environment of `fleet` waits from now on. On the hot path: constant time, and mostly nothing. */
  becameIdle(fleet: Fleet): void {
    const waitMs = Math.min(FREEZE_AFTER_MS, fleet.usage.firstWaitMs);
    this.#schedule(fleet, this.#options.clock.monotonicMs() + waitMs);
  }

  /** It takes nothing more, and `successor` may have come in its place with what was learned. */
  forget({ usage }: Fleet, successor?: FunctionUsage): void {
    usage.forget();
    usage.nextCheckMs = Infinity;
    this.#historyCount -= this.#remembered.get(usage) ?? 0;
    this.#remembered.delete(usage);
    if (successor) this.#remember(successor);
  }

  get #adapts(): boolean {
    return this.#options.adapts === true;
  }

  /** Of one level of concurrency. Environments are made ahead of time for the first one only. */
  #windows(usage: FunctionUsage, level: number): readonly WarmWindow[] {
    return usage.windows(level, (history) => {
      const { keepAliveMs } = this.#options;
      if (!this.#adapts) return [{ fromMs: 0, toMs: keepAliveMs }];
      const budgetMs = (WORTH * keepAliveMs * REFERENCE_MEMORY_MB) / usage.memoryMb;
      return planWarmth(history, { budgetMs, prewarm: level === 0 });
    });
  }

  #schedule(fleet: Fleet, dueMs: number): void {
    const { usage } = fleet;
    const nowMs = this.#options.clock.monotonicMs();
    const atMs = Math.max(dueMs, nowMs + CHECK_MS_MIN);
    if (usage.nextCheckMs <= atMs || atMs === Infinity || !this.#actions) return;
    usage.nextCheckMs = atMs;
    if (this.#due.size >= this.#dueMax) this.#compact();
    this.#due.push(atMs, fleet);
    this.#arm();
  }

  /** Drops times that are not true any more, when there may be as many of them as of others. */
  #compact(): void {
    this.#due.retain(({ usage }, dueMs) => usage.nextCheckMs === dueMs);
    this.#dueMax = Math.max(DUE_MIN, 2 * this.#due.size);
  }

  /** One timer, for the first one that is due. */
  #arm(): void {
    const dueMs = this.#due.firstDueMs;
    if (!this.#actions || dueMs === Infinity || (this.#timer && this.#timer.dueMs <= dueMs)) return;
    const { clock } = this.#options;
    this.#timer?.cancel();
    const cancel = clock.after(Math.max(0, dueMs - clock.monotonicMs()), () => {
      this.#timer = undefined;
      this.#checkDue();
      this.#arm();
    });
    this.#timer = { dueMs, cancel };
  }

  #checkDue(): void {
    const nowMs = this.#options.clock.monotonicMs();
    for (let due = this.#due.takeDue(nowMs); due && this.#actions; due = this.#due.takeDue(nowMs)) {
      const { item: fleet, dueMs } = due;
      // Otherwise it was to be looked at earlier, and has been.
      if (fleet.usage.nextCheckMs === dueMs) this.#check(fleet, this.#actions, nowMs);
    }
  }

  #check(fleet: Fleet, actions: KeepAliveActions<Fleet>, nowMs: number): void {
    const { usage } = fleet;
    usage.nextCheckMs = Infinity;
    usage.trim(nowMs);
    this.#remember(usage);
    const { wanted, dueMs, windowMs } = this.#wanted(usage, nowMs);
    // The ones that wait longest.
    for (const environment of fleet.idle.slice(0, Math.max(0, fleet.idle.length - wanted)))
      actions.evict(environment, "keep-alive is over");
    const isMissed = usage.busy === 0 && fleet.idle.length + fleet.starting === 0 && wanted > 0;
    let againMs = Infinity;
    if (isMissed && windowMs > usage.prewarmedMs && !this.#isShortOfMemory) {
      if (actions.prewarm(fleet)) usage.prewarmedMs = windowMs;
      else againMs = nowMs + PREWARM_AGAIN_MS;
    }
    this.#schedule(fleet, Math.min(dueMs, againMs, this.#tend(fleet, actions, nowMs)));
  }

  /**
   * How many idle environments there should be now, and when that changes. `windowMs`: when the window began in which the
   * first level is; -Infinity for one that began when it became idle.
   */
  #wanted(usage: FunctionUsage, nowMs: number): { wanted: number; dueMs: number; windowMs: number } {
    let [wanted, dueMs, windowMs] = [0, Infinity, -Infinity];
    for (let level = usage.busy; level < usage.levels; level += 1) {
      const sinceMs = usage.idleSinceMs(level);
      const window = this.#windows(usage, level).find(({ toMs }) => sinceMs + toMs > nowMs);
      if (!window) continue;
      const isOpen = sinceMs + window.fromMs <= nowMs;
      if (isOpen) wanted += 1;
      dueMs = Math.min(dueMs, sinceMs + (isOpen ? window.toMs : window.fromMs));
      if (level === 0 && isOpen && window.fromMs > 0) windowMs = sinceMs + window.fromMs;
    }
    return { wanted, dueMs, windowMs };
  }

  /** Freezes and ends what it is time for. Answers when it is time again. */
  #tend({ idle, provisionedIdle = [] }: Fleet, actions: KeepAliveActions<Fleet>, nowMs: number): number {
    let dueMs = Infinity;
    let isRenewing = false;
    for (const environment of [...idle, ...provisionedIdle]) {
      const oldMs = environment.createdMs + this.#options.ageMsMax;
      const coldMs = environment.idleSinceMs + FREEZE_AFTER_MS;
      if (nowMs >= oldMs && environment.isProvisioned && isRenewing)
        dueMs = Math.min(dueMs, nowMs + RENEW_MS);
      else if (nowMs >= oldMs) {
        isRenewing ||= environment.isProvisioned;
        actions.evict(environment, "reached its greatest age");
      } else if (environment.state === "FROZEN") dueMs = Math.min(dueMs, oldMs);
      else if (nowMs < coldMs) dueMs = Math.min(dueMs, oldMs, coldMs);
      else {
        void environment.freeze();
        dueMs = Math.min(dueMs, oldMs);
      }
    }
    return dueMs;
  }

  /** Histories are bounded: the version that was not looked at for longest loses its. */
  #remember(usage: FunctionUsage): void {
    const count = usage.historyCount;
    if (count === 0) return;
    this.#historyCount += count - (this.#remembered.get(usage) ?? 0);
    this.#remembered.delete(usage);
    this.#remembered.set(usage, count);
    for (const [oldest, oldestCount] of this.#remembered) {
      if (this.#historyCount <= (this.#options.historiesMax ?? HISTORIES_MAX)) break;
      oldest.forget();
      this.#remembered.delete(oldest);
      this.#historyCount -= oldestCount;
    }
  }

  #watchMemory(): void {
    this.#cancelPressure = this.#options.clock.after(PRESSURE_MS, () => {
      if (this.#actions) this.#relieve(this.#actions);
      if (this.#actions) this.#watchMemory();
    });
  }

  #relieve(actions: KeepAliveActions<Fleet>): void {
    const available = this.#options.availableMemoryBytes();
    const wasShort = this.#isShortOfMemory;
    this.#isShortOfMemory = available !== undefined && available < this.#options.reserveBytes;
    if (!this.#isShortOfMemory) {
      if (wasShort) actions.relieved?.();
      return;
    }
    void actions.shrinkPool(EVICT_MAX);
    const nowMs = this.#options.clock.monotonicMs();
    for (const environment of evictionOrder(actions.fleets(), nowMs).slice(0, EVICT_MAX))
      actions.evict(environment, "memory pressure");
  }
}

/** MemAvailable of the machine, from proc(5). */
export function availableMemoryBytes(): number | undefined {
  try {
    const match = readFileSync("/proc/meminfo", "latin1").match(/^MemAvailable:\s+(\d+) kB/m);
    return match ? Number(match[1]) * 1024 : undefined;
  } catch {
    return undefined;
  }
}
