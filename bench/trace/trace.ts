/**
 * A day of a serverless platform, made up from a seed and shaped as Azure Functions' trace of 2019 is described in "Serverless
 * in the Wild" (ATC'20): most functions are invoked rarely and a few almost always, over eight decades of rates; 29 % are
 * driven by timers; the others arrive at random, some in bursts, some by the hour of the day; execution times are log-normal
 * and memory sizes Burr-distributed.
 *
 * What is left out, because it would take long and change nothing: a function that is invoked more often than once a minute
 * has an environment waiting all day under every policy that is compared. So rates are drawn from those below.
 */
import { Random } from "./random.ts";

export const DAY_MS = 24 * 60 * 60_000;
const MINUTE_MS = 60_000;

export type Pattern = "timer" | "poisson" | "bursty" | "diurnal";

export interface TraceFunction {
  readonly name: string;
  readonly pattern: Pattern;
  readonly memoryMb: number;
  /** Median of its execution times. */
  readonly durationMs: number;
}

export interface Arrival {
  /** Since the trace's begin. */
  readonly atMs: number;
  readonly function: number;
  readonly durationMs: number;
}

export interface Trace {
  readonly functions: readonly TraceFunction[];
  /** In the order of their times. */
  readonly arrivals: readonly Arrival[];
  readonly durationMs: number;
}

export interface TraceOptions {
  readonly seed: number;
  readonly functions: number;
  readonly durationMs: number;
  /** Of functions that timers drive; 0.29 on Azure. */
  readonly timerShare?: number;
}

const TIMER_SHARE = 0.29;
/** Of the functions that no timer drives. */
const BURSTY_SHARE = 0.2;
const DIURNAL_SHARE = 0.3;
/** What people write into schedules, in minutes; most often a round part of an hour. */
const TIMER_MINUTES = [1, 5, 5, 10, 15, 15, 30, 30, 60, 60, 60, 120, 240, 360, 720, 1440] as const;
/** Share of functions with at most so many invocations a day: the paper's figure 5(a), read off. */
const RATE_QUANTILES: readonly (readonly [share: number, perDay: number])[] = [
  [0, 1],
  [0.25, 3],
  [0.45, 24],
  [0.6, 100],
  [0.81, 1440],
];
const RATE_QUANTILE_MAX = 0.81;
/** Of functions: median 0.6 s over all of them, heavy tail; of one function's executions much less. */
const DURATION = { medianMs: 600, sigma: 1.6, ownSigma: 0.4, maxMs: 5 * MINUTE_MS };
/** Allocated memory: median about 170 MB, 90 % below 400 MB. */
const MEMORY = { c: 4.5, k: 0.7, scaleMb: 150, minMb: 128, maxMb: 3008 };

export function makeTrace({
  seed,
  functions: count,
  durationMs,
  timerShare = TIMER_SHARE,
}: TraceOptions): Trace {
  const random = new Random(seed);
  const functions: TraceFunction[] = [];
  const arrivals: Arrival[] = [];
  for (let index = 0; index < count; index += 1) {
    const pattern = choosePattern(random, timerShare);
    const memoryMb = random.burr(MEMORY.c, MEMORY.k, MEMORY.scaleMb);
    const traceFunction = {
      name: `trace-${index}`,
      pattern,
      memoryMb: Math.round(Math.min(MEMORY.maxMb, Math.max(MEMORY.minMb, memoryMb))),
      durationMs: Math.min(DURATION.maxMs, random.logNormal(DURATION.medianMs, DURATION.sigma)),
    };
    functions.push(traceFunction);
    for (const atMs of arrivalTimes(random, pattern, durationMs)) {
      const ownMs = random.logNormal(traceFunction.durationMs, DURATION.ownSigma);
      arrivals.push({ atMs, function: index, durationMs: Math.min(DURATION.maxMs, ownMs) });
    }
  }
  arrivals.sort((a, b) => a.atMs - b.atMs);
  return { functions, arrivals, durationMs };
}

/** The same trace in less time: everything happens `factor` times as fast. */
export function compress({ functions, arrivals, durationMs }: Trace, factor: number): Trace {
  return {
    functions: functions.map((one) => ({ ...one, durationMs: one.durationMs / factor })),
    arrivals: arrivals.map((one) => ({
      ...one,
      atMs: one.atMs / factor,
      durationMs: one.durationMs / factor,
    })),
    durationMs: durationMs / factor,
  };
}

function choosePattern(random: Random, timerShare: number): Pattern {
  if (random.next() < timerShare) return "timer";
  const share = random.next();
  if (share < BURSTY_SHARE) return "bursty";
  return share < BURSTY_SHARE + DIURNAL_SHARE ? "diurnal" : "poisson";
}

function arrivalTimes(random: Random, pattern: Pattern, durationMs: number): number[] {
  if (pattern === "timer") return timerTimes(random, durationMs);
  const meanMs = DAY_MS / ratePerDay(random.between(0, RATE_QUANTILE_MAX));
  if (pattern === "bursty") return burstTimes(random, meanMs, durationMs);
  const times: number[] = [];
  const peakMs = random.next() * DAY_MS;
  for (let atMs = random.exponential(meanMs); atMs < durationMs; atMs += random.exponential(meanMs)) {
    // Thinned by the hour: as many at night as half of the mean, at the peak twice the mean's remainder.
    const hourly = (1 + Math.cos((2 * Math.PI * (atMs - peakMs)) / DAY_MS)) / 2;
    if (pattern === "poisson" || random.next() < 0.1 + 0.9 * hourly) times.push(atMs);
  }
  return times;
}

/** Schedulers are punctual to about a second, whatever the period. */
function timerTimes(random: Random, durationMs: number): number[] {
  const periodMs = random.pick(TIMER_MINUTES) * MINUTE_MS;
  const times: number[] = [];
  for (let dueMs = random.next() * periodMs; dueMs < durationMs; dueMs += periodMs)
    times.push(dueMs + random.exponential(1000));
  return times;
}

/** A few invocations close together, at random times: four on average, some of them at once. */
function burstTimes(random: Random, meanMs: number, durationMs: number): number[] {
  const times: number[] = [];
  for (let atMs = random.exponential(4 * meanMs); atMs < durationMs; atMs += random.exponential(4 * meanMs)) {
    let nextMs = atMs;
    do {
      times.push(nextMs);
      nextMs += random.next() < 0.3 ? random.between(0, 200) : random.exponential(20_000);
    } while (random.next() < 0.75 && nextMs < durationMs);
  }
  return times;
}

/** The rate below which the share `quantile` of functions lies, log-linear between what is known. */
function ratePerDay(quantile: number): number {
  const above = RATE_QUANTILES.findIndex(([share]) => share >= quantile);
  const [highShare, high] = RATE_QUANTILES[Math.max(1, above)] ?? [1, 1];
  const [lowShare, low] = RATE_QUANTILES[Math.max(1, above) - 1] ?? [0, 1];
  return low * (high / low) ** ((quantile - lowShare) / (highShare - lowShare));
}
