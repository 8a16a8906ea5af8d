/**
 * How long environments wait: an idle one is frozen after a short while and ends after its keep-alive; under memory
 * pressure those that waited longest end first, and before them the waiting generic sandboxes.
 */
import { readFileSync } from "node:fs";
import type { Clock } from "../../kernel/clock.ts";
import type { Environment } from "../environment/environment.ts";

export interface KeepAliveOptions {
  readonly clock: Clock;
  /** An idle environment ends after this time. */
  readonly keepAliveMs: number;
  /** An environment ends at this age even when it is used: its credentials and its code grow old. */
  readonly ageMsMax: number;
  /** Bytes the machine can still give; undefined where it cannot tell. */
  readonly availableMemoryBytes: () => number | undefined;
  /** Below it, idle environments go. */
  readonly reserveBytes: number;
}

export interface KeepAliveActions {
  /** Environments that are IDLE or FROZEN, now. */
  readonly idle: () => Environment[];
  readonly evict: (environment: Environment, reason: string) => void;
  readonly shrinkPool: (count: number) => Promise<number>;
}

/** The sweep's own pace. */
const SWEEP_MS = 1000;
/** Freezing costs a request to the spawner and thawing another: only for environments that are left alone. */
const FREEZE_AFTER_MS = 2000;
/** Evicted in one sweep under memory pressure; the next sweep looks again. */
const EVICT_PER_SWEEP_MAX = 16;

export class KeepAlive {
  readonly #options: KeepAliveOptions;
  #actions: KeepAliveActions | undefined;
  #cancel: (() => void) | undefined;

  constructor(options: KeepAliveOptions) {
    this.#options = options;
  }

  start(actions: KeepAliveActions): void {
    this.#actions = actions;
    this.#schedule();
  }

  stop(): void {
    this.#cancel?.();
    this.#actions = undefined;
  }

  #schedule(): void {
    this.#cancel = this.#options.clock.after(SWEEP_MS, () => {
      this.#sweep();
      if (this.#actions) this.#schedule();
    });
  }

  #sweep(): void {
    const actions = this.#actions;
    if (!actions) return;
    const { clock, keepAliveMs, ageMsMax } = this.#options;
    const nowMs = clock.monotonicMs();
    const idle = actions.idle();
    for (const environment of idle) {
      const idleMs = nowMs - environment.idleSinceMs;
      if (idleMs >= keepAliveMs) actions.evict(environment, "keep-alive is over");
      else if (nowMs - environment.createdMs >= ageMsMax)
        actions.evict(environment, "reached its greatest age");
      else if (idleMs >= FREEZE_AFTER_MS && environment.state === "IDLE") void environment.freeze();
    }
    this.#relieve(actions, idle);
  }

  #relieve(actions: KeepAliveActions, idle: Environment[]): void {
    const available = this.#options.availableMemoryBytes();
    if (available === undefined || available >= this.#options.reserveBytes) return;
    void actions.shrinkPool(EVICT_PER_SWEEP_MAX);
    const oldest = idle.toSorted((a, b) => a.idleSinceMs - b.idleSinceMs).slice(0, EVICT_PER_SWEEP_MAX);
    for (const environment of oldest) actions.evict(environment, "memory pressure");
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
