/**
 * How one function version is used, as far as keep-alive wants to know: how many invocations run, since when each level of
 * concurrency has been idle, and a history of idle times for each class of levels.
 *
 * Level k is in use while at least k invocations run. Environments are a stack (the one used last is used next), so level k is
 * the k-th environment of the stack in all but name: the deep ones wait longest and are needed least, and each level's own
 * idle times tell for how long it is worth waiting. Levels of about the same depth share a history: 1, 2, 3–4, 5–8, …
 *
 * Soft state: gone with the process. An arrival costs an increment in an array.
 */
import { HORIZON_MS, IdleHistory } from "./keep-alive-history.ts";
import type { WarmWindow } from "./keep-alive-plan.ts";

/** Deeper levels share the last one's. */
const LEVEL_CLASSES = 8;
/** A plan is made anew when its history has grown by this share. */
const PLAN_GROWTH = 0.04;

export class FunctionUsage {
  readonly memoryMb: number;
  /** Invocations that run. */
  #busy = 0;
  /** By level, from 0 for the first: monotonic time at which it became idle. Later levels never after earlier ones. */
  #idleSinceMs: number[] = [];
  /** By class of levels. */
  #histories: (IdleHistory | undefined)[] = [];
  /** By class; `records` have come since it was made. */
  readonly #plans: ({ readonly windows: readonly WarmWindow[]; records: number } | undefined)[] = [];
  /** When keep-alive looks at it next; monotonic. */
  nextCheckMs = Infinity;
  /** The beginning of the last window for which an environment was made ahead of time; monotonic. */
  prewarmedMs = -Infinity;
  /** Of the last environment that was started. */
  initMs: number | undefined;

  constructor(memoryMb: number) {
    this.memoryMb = memoryMb;
  }

  get busy(): number {
    return this.#busy;
  }

  /** How many levels have ever been in use, as far as anybody remembers. */
  get levels(): number {
    return this.#idleSinceMs.length;
  }

  /** Histories that it keeps in memory. */
  get historyCount(): number {
    return this.#histories.filter((history) => history !== undefined).length;
  }

  /** An invocation begins. `learn`: its level's idle time is recorded. */
  begin(nowMs: number, learn: boolean): void {
    const level = this.#busy;
    this.#busy += 1;
    const sinceMs = this.#idleSinceMs[level];
    this.#idleSinceMs[level] = nowMs;
    if (sinceMs === undefined || !learn) return;
    const levelClass = classOf(level);
    (this.#histories[levelClass] ??= new IdleHistory()).record(nowMs - sinceMs);
    const plan = this.#plans[levelClass];
    if (plan) plan.records += 1;
  }

  end(nowMs: number): void {
    this.#busy -= 1;
    this.#idleSinceMs[this.#busy] = nowMs;
  }

  /** Since when `level` (from 0) has been idle. */
  idleSinceMs(level: number): number {
    return this.#idleSinceMs[level] ?? -Infinity;
  }

  /** The windows in which `level` should wait. Made by `plan` when there are none, or its history has grown since. */
  windows(
    level: number,
    plan: (history: IdleHistory | undefined) => readonly WarmWindow[],
  ): readonly WarmWindow[] {
    const levelClass = classOf(level);
    const history = this.#histories[levelClass];
    const known = this.#plans[levelClass];
    if (known && known.records <= (history?.total ?? 0) * PLAN_GROWTH) return known.windows;
    const windows = plan(history);
    this.#plans[levelClass] = { windows, records: 0 };
    return windows;
  }

  /** Until when the first level should wait after it becomes idle, as far as it has been planned. */
  get firstWaitMs(): number {
    const first = this.#plans[0]?.windows[0];
    return first?.fromMs === 0 ? first.toMs : 0;
  }

  history(level: number): IdleHistory | undefined {
    return this.#histories[classOf(level)];
  }

  /** Lets go of levels that nobody has used for longer than anybody waits. */
  trim(nowMs: number): void {
    while (this.levels > Math.max(1, this.#busy) && nowMs - this.idleSinceMs(this.levels - 1) > HORIZON_MS)
      this.#idleSinceMs.pop();
  }

  forget(): void {
    this.#histories = [];
    this.#plans.length = 0;
  }

  /** The usage of the version's next revision: what was learned goes over to it. */
  succeed(memoryMb: number): FunctionUsage {
    const successor = new FunctionUsage(memoryMb);
    successor.#idleSinceMs = [...this.#idleSinceMs];
    successor.#histories = this.#histories;
    this.forget();
    return successor;
  }
}

function classOf(level: number): number {
  return Math.min(LEVEL_CLASSES - 1, level === 0 ? 0 : 1 + Math.floor(Math.log2(level)));
}
