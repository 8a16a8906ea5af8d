/** Functions of metric math that look at the time: between values, in gaps, of the calendar. */
import { MathError } from "./syntax.ts";
import { ascending, seriesLike, type Budget, type Scalar, type Series } from "./values.ts";

/** The times at which there could be values: from `startS` on, every period, before `endS`. */
export interface TimeRange {
  readonly startS: number;
  readonly endS: number;
}

export function timesOf({ startS, endS }: TimeRange, periodS: number, budget: Budget): number[] {
  const count = Math.max(0, Math.ceil((endS - startS) / periodS));
  budget.take(count);
  return Array.from({ length: count }, (_, at) => startS + at * periodS);
}

type Step = (value: number, before: number, elapsedS: number) => number;

const STEPS: Readonly<Record<string, Step>> = {
  DIFF: (value, before) => value - before,
  DIFF_TIME: (_value, _before, elapsedS) => elapsedS,
  RATE: (value, before, elapsedS) => (value - before) / elapsedS,
};

export const isStep = (name: string) => Object.hasOwn(STEPS, name);

/** From each value to the one before it, whenever that was. */
export function steps(name: string, series: Series, budget: Budget): Series {
  budget.take(series.points.size);
  const found: [number, number][] = [];
  let last: readonly [number, number] | undefined;
  for (const [atS, value] of ascending(series)) {
    if (last) found.push([atS, STEPS[name]?.(value, last[1], atS - last[0]) ?? Number.NaN]);
    last = [atS, value];
  }
  return seriesLike(series, found);
}

export function runningSum(series: Series, budget: Budget): Series {
  budget.take(series.points.size);
  let total = 0;
  return seriesLike(
    series,
    ascending(series).map(([atS, value]) => [atS, (total += value)] as const),
  );
}

/** `filler`: a number, the values of another series, the last value before the gap, or a line between its two sides. */
export function fill(
  series: Series,
  filler: Scalar | Series | "REPEAT" | "LINEAR",
  times: readonly number[],
): Series {
  if (filler === "LINEAR") return interpolate(series, times);
  const points = new Map(series.points);
  let last = Number.NaN;
  for (const atS of times) {
    const value = series.points.get(atS);
    if (value !== undefined) last = value;
    else if (filler === "REPEAT") points.set(atS, last);
    else points.set(atS, filler.kind === "scalar" ? filler.value : (filler.points.get(atS) ?? Number.NaN));
  }
  return seriesLike(series, points);
}

function interpolate(series: Series, times: readonly number[]): Series {
  const known = ascending(series);
  const points = new Map(series.points);
  let after = 0;
  for (const atS of times) {
    for (let next = known[after]; next && next[0] < atS; next = known[after]) after += 1;
    const right = known[after];
    const left = known[after - 1];
    if (!left || !right || right[0] === atS) continue;
    points.set(atS, left[1] + ((right[1] - left[1]) * (atS - left[0])) / (right[0] - left[0]));
  }
  return seriesLike(series, points);
}

const SUNDAY = 7;

/** In UTC; Monday is 1. */
const CALENDAR: Readonly<Record<string, (time: Date) => number>> = {
  MINUTE: (time) => time.getUTCMinutes(),
  HOUR: (time) => time.getUTCHours(),
  DAY: (time) => time.getUTCDay() || SUNDAY,
  DATE: (time) => time.getUTCDate(),
  MONTH: (time) => time.getUTCMonth() + 1,
  YEAR: (time) => time.getUTCFullYear(),
  EPOCH: (time) => time.getTime() / 1000,
};

export const isCalendar = (name: string) => Object.hasOwn(CALENDAR, name);

/** A value for every period of the range, whether or not the series has one. */
export function calendar(name: string, series: Series, times: readonly number[]): Series {
  const of = CALENDAR[name];
  if (!of) throw new MathError(`Unknown function ${name}`);
  return seriesLike(
    series,
    times.map((atS) => [atS, of(new Date(atS * 1000))] as const),
  );
}
