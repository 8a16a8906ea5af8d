/**
 * When it pays to have an environment wait: windows of idle time, computed from a history of idle times.
 *
 * An avoided cold start is worth `budgetMs` of waiting. At each idle time the chance that the next invocation comes just then,
 * given that it has not come yet, is weighed against what waiting costs: the windows with the greatest sum of both are found by
 * dynamic programming over pieces of time. This orders everybody's waiting by cold starts avoided for its memory-time, so
 * that one price for all functions spends the machine's memory best. It has the usual policies as its cases: a memoryless
 * function waits for ever or not at all; a timer's environment goes at once and comes back just before it is needed (the
 * pre-warming window of "Serverless in the Wild", ATC'20); a mixture of both waits for a while, goes, and comes back.
 */
import { BIN_COUNT, binStartMs, type IdleHistory } from "./keep-alive-history.ts";

/** An environment waits, or is made, from `fromMs` to `toMs` after the last one became idle. */
export interface WarmWindow {
  readonly fromMs: number;
  readonly toMs: number;
}

export interface PlanOptions {
  /** Waiting that is worth one avoided cold start. */
  readonly budgetMs: number;
  /** Whether an environment may be made ahead of time; otherwise there is one window at the most, from 0. */
  readonly prewarm: boolean;
}

/**
 * Pseudo-counts of the prior: the fewer times were seen, the more it says. A function with sharp times, which no chance would bring
 * about, is soon believed; the ups and downs of a few scattered times are noise.
 */
const PRIOR_COUNT = { sharp: 1.5, scattered: 12 };
/** Share of a prior that knows nothing but that the next invocation may come at any order of magnitude. */
const SCALE_FREE_COUNT = 1;
/** Times within this factor of each other are the finest the prior knows. */
const SCALE_FREE_FROM_BIN = 4;
/** Making an environment ahead of time costs this share of a cold start: the processor's time, and that it may be in vain. */
const PREWARM_COST = { sharp: 0.05, scattered: 0.5 };
/** Around what was seen: the next one is a little earlier or later. */
const MARGIN_SHARE = 0.004;
const MARGIN_MS = 200;
/** Times are sharp when they are so many in a bin and fill no more than this share of it. */
const SHARP = { countMin: 2.5, widthMax: 0.2 };

/** Time in which the next invocation comes with probability `mass`. */
interface Piece {
  readonly fromMs: number;
  readonly toMs: number;
  readonly mass: number;
  readonly isSharp: boolean;
}

/** Ascending windows that do not touch. */
export function planWarmth(
  history: IdleHistory | undefined,
  { budgetMs, prewarm }: PlanOptions,
): WarmWindow[] {
  const pieces = piecesOf(history);
  const isWarm = prewarm ? choose(pieces, budgetMs) : choosePrefix(pieces, budgetMs);
  const windows: { fromMs: number; toMs: number }[] = [];
  for (const [index, { fromMs, toMs }] of pieces.entries()) {
    if (isWarm[index] !== true) continue;
    const last = windows.at(-1);
    if (last?.toMs === fromMs) last.toMs = toMs;
    else windows.push({ fromMs, toMs });
  }
  return windows;
}

/** Contiguous pieces from 0 to the horizon. */
function piecesOf(history: IdleHistory | undefined): Piece[] {
  const priorCount = priorCountOf(history);
  const total = (history?.total ?? 0) + priorCount;
  const pieces: Piece[] = [];
  for (let bin = 0; bin < BIN_COUNT; bin += 1) {
    const [startMs, endMs] = [binStartMs(bin), binStartMs(bin + 1)];
    const prior = (priorMass(history, bin, startMs, endMs) * priorCount) / total;
    const count = history?.counts[bin] ?? 0;
    const density = prior / (endMs - startMs);
    const add = (fromMs: number, toMs: number, mass: number, isSharp = false) => {
      if (toMs > fromMs) pieces.push({ fromMs, toMs, mass: mass + density * (toMs - fromMs), isSharp });
    };
    if (!history || !isSharp(history, bin)) {
      add(startMs, endMs, count / total);
      continue;
    }
    const { leastMs, greatestMs } = history.extent(bin);
    const marginMs = MARGIN_MS + MARGIN_SHARE * greatestMs + (2 * (greatestMs - leastMs)) / count;
    const fromMs = Math.max(startMs, leastMs - marginMs);
    const toMs = Math.min(endMs, greatestMs + marginMs);
    add(startMs, fromMs, 0);
    add(fromMs, toMs, count / total, true);
    add(toMs, endMs, 0);
  }
  return pieces;
}

function isSharp(history: IdleHistory, bin: number): boolean {
  const { leastMs, greatestMs } = history.extent(bin);
  const widthMs = binStartMs(bin + 1) - binStartMs(bin);
  return (history.counts[bin] ?? 0) >= SHARP.countMin && greatestMs - leastMs <= SHARP.widthMax * widthMs;
}

function priorCountOf(history: IdleHistory | undefined): number {
  if (!history || history.total === 0) return PRIOR_COUNT.scattered;
  let sharp = 0;
  for (let bin = 0; bin < BIN_COUNT; bin += 1) if (isSharp(history, bin)) sharp += history.counts[bin] ?? 0;
  const share = sharp / history.total;
  return PRIOR_COUNT.sharp * share + PRIOR_COUNT.scattered * (1 - share);
}

/** What is believed of a bin without looking at its count: memoryless arrivals at the rate seen, and any order of magnitude. */
function priorMass(history: IdleHistory | undefined, bin: number, startMs: number, endMs: number): number {
  const scaleFree = bin < SCALE_FREE_FROM_BIN ? 0 : 1 / (BIN_COUNT + 1 - SCALE_FREE_FROM_BIN);
  if (!history || history.total === 0) return scaleFree;
  const share = SCALE_FREE_COUNT / (SCALE_FREE_COUNT + history.total);
  const { meanMs } = history;
  const memoryless = Math.exp(-startMs / meanMs) - Math.exp(-endMs / meanMs);
  return share * scaleFree + (1 - share) * memoryless;
}

/** Which pieces to wait through: the best path through the states "waits" and "is gone", which begins with one that waits. */
function choose(pieces: readonly Piece[], budgetMs: number): boolean[] {
  const cameFromWarm: { warm: boolean; gone: boolean }[] = [];
  let [warm, gone, left] = [0, -Infinity, 1];
  for (const { fromMs, toMs, mass, isSharp: sharp } of pieces) {
    const prewarmed = gone - (sharp ? PREWARM_COST.sharp : PREWARM_COST.scattered) * left;
    const gain = mass - ((left - mass / 2) * (toMs - fromMs)) / budgetMs;
    cameFromWarm.push({ warm: warm >= prewarmed, gone: warm >= gone });
    [warm, gone] = [Math.max(warm, prewarmed) + gain, Math.max(warm, gone)];
    left = Math.max(0, left - mass);
  }
  const isWarm: boolean[] = [];
  let state = warm > gone;
  for (let index = pieces.length - 1; index >= 0; index -= 1) {
    isWarm[index] = state;
    const from = cameFromWarm[index];
    state = (state ? from?.warm : from?.gone) ?? true;
  }
  return isWarm;
}

/** The same without coming back: how long to wait. */
function choosePrefix(pieces: readonly Piece[], budgetMs: number): boolean[] {
  let [value, best, bestLength, left] = [0, 0, 0, 1];
  for (const [index, { fromMs, toMs, mass }] of pieces.entries()) {
    value += mass - ((left - mass / 2) * (toMs - fromMs)) / budgetMs;
    left = Math.max(0, left - mass);
    if (value > best) [best, bestLength] = [value, index + 1];
  }
  return pieces.map((_, index) => index < bestLength);
}
