/**
 * Who goes first when memory is short: the environments that are the cheapest to lose. Losing one costs the cold start that
 * it would have spared, as likely as it is to be needed soon, and gives its memory: greedy-dual, with the chance taken from
 * the idle times seen. Of functions that nobody knows, those go first that have waited longest.
 */
import type { Environment } from "../environment/environment.ts";
import { binOf, BINS_PER_OCTAVE, type IdleHistory } from "./keep-alive-history.ts";
import type { KeptFleet } from "./keep-alive.ts";

/** Of a function that was never started to the end. */
const INIT_MS_DEFAULT = 100;
/** What has waited for less is as good as used just now. */
const IDLE_MS_MIN = 1000;
/** Chance that what nobody knows is needed within the time that it has waited already. */
const UNKNOWN = { needed: 0.3, all: 1 };

/** Idle environments, the cheapest to lose first. Depth counts: of a fleet, the one used last is the dearest. */
export function evictionOrder(fleets: Iterable<KeptFleet>, nowMs: number): Environment[] {
  const scored: { readonly environment: Environment; readonly worth: number }[] = [];
  for (const { usage, idle } of fleets) {
    let worthBelow = 0;
    for (const [index, environment] of idle.entries()) {
      const level = usage.busy + idle.length - 1 - index;
      const idleMs = Math.max(IDLE_MS_MIN, nowMs - environment.idleSinceMs);
      const cost = (usage.initMs ?? INIT_MS_DEFAULT) / usage.memoryMb;
      const worth = (chanceOfUse(usage.history(level), idleMs) / idleMs) * cost;
      // Whatever its history says: a level is in use whenever a deeper one is.
      worthBelow = Math.max(worthBelow, worth);
      scored.push({ environment, worth: worthBelow });
    }
  }
  return scored.sort((a, b) => a.worth - b.worth).map(({ environment }) => environment);
}

/** That it is needed before it has waited twice as long. */
function chanceOfUse(history: IdleHistory | undefined, idleMs: number): number {
  let { needed, all } = UNKNOWN;
  const bin = binOf(idleMs);
  const counts = history?.counts ?? [];
  for (let later = bin; later < counts.length; later += 1) {
    const count = counts[later] ?? 0;
    all += count;
    if (later <= bin + BINS_PER_OCTAVE) needed += count;
  }
  return needed / all;
}
