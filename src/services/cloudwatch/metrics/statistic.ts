/**
 * Statistics of a bucket: the five simple ones, and those of its distribution: percentiles (`p99.9`), trimmed means and
 * their kin (`tm90`, `TM(10%:90%)`, `tc`, `ts`, `wm`), `IQM`, and percentile ranks (`PR(0:300)`).
 */
import type { Bucket } from "./bucket.ts";

/** Undefined: the bucket cannot tell, because its distribution is not known. */
export type StatisticOf = (bucket: Bucket) => number | undefined;

const SIMPLE: Readonly<Record<string, StatisticOf>> = {
  SampleCount: ({ count }) => count,
  Sum: ({ sum }) => sum,
  Average: ({ sum, count }) => sum / count,
  Minimum: ({ min }) => min,
  Maximum: ({ max }) => max,
};

export const isSimpleStatistic = (name: string) => Object.hasOwn(SIMPLE, name);

type Weighted = readonly (readonly [value: number, weight: number])[];

/** A part of a distribution: between two ranks, or between two values. */
interface Bounds {
  readonly unit: "percent" | "value";
  readonly low: number;
  readonly high: number;
}

const PERCENTILE = /^p(\d{1,3}(?:\.\d{1,10})?)$/;
const SHORT_TRIM = /^(tm|tc|ts|wm)(\d{1,3}(?:\.\d{1,10})?)$/;
const LONG_TRIM = /^(TM|TC|TS|WM|PR)\((-?[\d.]*)(%?):(-?[\d.]*)(%?)\)$/;

/** Undefined when `name` is no statistic. */
export function parseStatistic(name: string): StatisticOf | undefined {
  if (isSimpleStatistic(name)) return SIMPLE[name];
  if (name === "IQM") return overPart("TM", { unit: "percent", low: 25, high: 75 });
  const percentile = Number(PERCENTILE.exec(name)?.[1] ?? NaN);
  if (percentile <= 100)
    return (bucket) =>
      ofDistribution(bucket, (all) => {
        if (percentile === 0) return bucket.min;
        return percentile === 100 ? bucket.max : quantile(all, percentile / 100);
      });
  const [, shortKind = "", shortHigh = ""] = SHORT_TRIM.exec(name) ?? [];
  if (shortKind !== "" && Number(shortHigh) <= 100)
    return overPart(shortKind.toUpperCase(), { unit: "percent", low: 0, high: Number(shortHigh) });
  return parseLongTrim(name);
}

function parseLongTrim(name: string): StatisticOf | undefined {
  const [, kind = "", low = "", lowPercent, high = "", highPercent] = LONG_TRIM.exec(name) ?? [];
  if (kind === "" || (low === "" && high === "")) return undefined;
  const isPercent = lowPercent === "%" || highPercent === "%";
  // Both ends are of one kind; an end that is left open has none.
  if (isPercent && ((low !== "" && lowPercent !== "%") || (high !== "" && highPercent !== "%")))
    return undefined;
  if (isPercent && kind === "PR") return undefined;
  const bounds: Bounds = {
    unit: isPercent ? "percent" : "value",
    low: low === "" ? (isPercent ? 0 : -Infinity) : Number(low),
    high: high === "" ? (isPercent ? 100 : Infinity) : Number(high),
  };
  if (!(bounds.low <= bounds.high) || (isPercent && (bounds.low < 0 || bounds.high > 100))) return undefined;
  return overPart(kind, bounds);
}

function ofDistribution(bucket: Bucket, of: (all: Weighted) => number | undefined): number | undefined {
  const all = bucket.distribution();
  return all && all.length > 0 ? of(all) : undefined;
}

function overPart(kind: string, bounds: Bounds): StatisticOf {
  return (bucket) =>
    ofDistribution(bucket, (all) => {
      const part = clip(all, bounds);
      const count = weightOf(part);
      if (kind === "TC") return count;
      if (kind === "PR") return (100 * count) / weightOf(all);
      if (kind === "WM") return winsorizedMean(all, bounds);
      const sum = sumOf(part);
      if (kind === "TS") return sum;
      return count === 0 ? undefined : sum / count;
    });
}

/** The value of rank `q` (from 0 to 1), of those that are there: none is made up between two. */
function quantile(all: Weighted, q: number): number | undefined {
  const rank = q * (weightOf(all) - 1);
  let seen = 0;
  for (const [value, weight] of all) {
    seen += weight;
    if (seen > rank) return value;
  }
  return all.at(-1)?.[0];
}

function clip(all: Weighted, { unit, low, high }: Bounds): Weighted {
  // A value range has its upper end and not its lower one, as CloudWatch's.
  if (unit === "value") return all.filter(([value]) => (value > low || low === -Infinity) && value <= high);
  const total = weightOf(all);
  const [from, to] = [(total * low) / 100, (total * high) / 100];
  const part: (readonly [number, number])[] = [];
  let seen = 0;
  for (const [value, weight] of all) {
    const within = Math.min(seen + weight, to) - Math.max(seen, from);
    if (within > 0) part.push([value, within]);
    seen += weight;
  }
  return part;
}

/** What lies outside counts as the bound that it is beyond. */
function winsorizedMean(all: Weighted, bounds: Bounds): number | undefined {
  const part = clip(all, bounds);
  const [least, greatest] = [part[0]?.[0], part.at(-1)?.[0]];
  if (least === undefined || greatest === undefined) return undefined;
  const kept = all.map(([value, weight]) => [Math.min(greatest, Math.max(least, value)), weight] as const);
  return sumOf(kept) / weightOf(kept);
}

const weightOf = (part: Weighted) => part.reduce((total, [, weight]) => total + weight, 0);
const sumOf = (part: Weighted) => part.reduce((total, [value, weight]) => total + value * weight, 0);
