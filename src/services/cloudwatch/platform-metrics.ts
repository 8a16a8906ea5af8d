/**
 * The platform's own metrics: gathered in memory, written to the metric store once a second, so that whoever reports one
 * pays for two look-ups and a few additions. When the process dies, the last second's values are lost.
 *
 * The totals since the start (never reset, as Prometheus wants them) are kept beside.
 */
import { coerceError } from "../../kernel/deferred.ts";
import type { Clock } from "../../kernel/clock.ts";
import type { Logger } from "../../telemetry/logger.ts";
import type { Gauge, MetricDimensions, MetricsSink, MetricUnit } from "../../telemetry/metrics.ts";
import { FLUSH_INTERVAL_MS, SERIES_MAX } from "./limits.ts";
import { Bucket } from "./metrics/bucket.ts";
import type { Contribution, MetricStore } from "./metrics/metric-store.ts";

const NAMESPACE = "AWS/Lambda";

/** Cumulative duration buckets: upper bounds in milliseconds. */
export const DURATION_BOUNDS_MS: readonly number[] = [
  1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000, 300_000, 900_000,
];

/** One metric of one function, or of all when `dimensions` is undefined. */
interface Accumulator {
  readonly name: string;
  readonly unit: MetricUnit;
  readonly dimensions: MetricDimensions | undefined;
  /** Since the last flush. */
  bucket: Bucket;
  /** Since the start. */
  total: number;
  count: number;
  /** Of durations: how many values are within each bound of DURATION_BOUNDS_MS and beyond the one before. */
  readonly histogram: number[] | undefined;
}

export interface FunctionTotals {
  readonly functionName: string;
  readonly name: string;
  readonly total: number;
  readonly count: number;
  readonly histogram: readonly number[] | undefined;
}

export class PlatformMetrics implements MetricsSink {
  readonly #metrics: MetricStore;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #gauges: () => Iterable<Gauge>;
  /** By what a value belongs to, then by the metric's name. */
  readonly #subjects = new Map<string, Map<string, Accumulator>>();
  #accumulators = 0;
  #changed = new Set<Accumulator>();
  #lost = 0;
  /** What a write failed to take; tried again with the next. */
  #unwritten: readonly Contribution[] = [];
  #flushing: Promise<void> | undefined;
  #cancel = () => {};

  constructor(options: {
    metrics: MetricStore;
    clock: Clock;
    logger: Logger;
    gauges: () => Iterable<Gauge>;
  }) {
    this.#metrics = options.metrics;
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#gauges = options.gauges;
    this.#plan();
  }

  count(name: string, dimensions: MetricDimensions, value: number, unit: MetricUnit): void {
    const { functionName, resource, executedVersion } = dimensions;
    const subject =
      resource === undefined ? functionName : `${functionName} ${resource} ${executedVersion ?? ""}`;
    let byName = this.#subjects.get(subject);
    if (!byName) this.#subjects.set(subject, (byName = new Map<string, Accumulator>()));
    let accumulator = byName.get(name);
    if (!accumulator) {
      // Until the next flush, which begins all anew: functions that are gone leave theirs behind.
      if (this.#accumulators >= SERIES_MAX) {
        this.#lost += 1;
        return;
      }
      byName.set(name, (accumulator = newAccumulator(name, dimensions, unit)));
      this.#accumulators += 1;
    }
    accumulator.bucket.add(value);
    accumulator.total += value;
    accumulator.count += 1;
    if (accumulator.histogram) addToHistogram(accumulator.histogram, value);
    this.#changed.add(accumulator);
  }

  /** Since the start; versions and aliases of a function in its totals. */
  totals(): FunctionTotals[] {
    const totals = new Map<
      string,
      { functionName: string; name: string; total: number; count: number; histogram: number[] | undefined }
    >();
    for (const byName of this.#subjects.values()) {
      for (const { name, dimensions, total, count, histogram } of byName.values()) {
        const functionName = dimensions?.functionName ?? "";
        const key = `${functionName} ${name}`;
        const known = totals.get(key);
        if (!known)
          totals.set(key, { functionName, name, total, count, histogram: histogram && [...histogram] });
        else {
          known.total += total;
          known.count += count;
          histogram?.forEach(
            (within, at) => known.histogram && (known.histogram[at] = (known.histogram[at] ?? 0) + within),
          );
        }
      }
    }
    return [...totals.values()];
  }

  /** Writes what has been gathered. Never rejects; one at a time. */
  async flush(): Promise<void> {
    while (this.#flushing) await this.#flushing;
    this.#flushing = this.#flushNow().finally(() => (this.#flushing = undefined));
    await this.#flushing;
  }

  /** Writes the rest. */
  async close(): Promise<void> {
    this.#cancel();
    await this.flush();
  }

  async #flushNow(): Promise<void> {
    const gathered = this.#gather();
    if (gathered.length === 0) return;
    try {
      this.#lost += await this.#metrics.append(gathered, "drop");
      this.#unwritten = [];
    } catch (error) {
      // Bounded: the values of one metric and minute become one.
      this.#unwritten = gathered.length > SERIES_MAX ? [] : gathered;
      if (this.#unwritten.length === 0) this.#lost += gathered.length;
      this.#logger.warn("the platform's metrics cannot be written, trying again", {
        error: coerceError(error),
      });
    }
    if (this.#lost > 0) {
      this.#logger.warn("values of metrics were dropped: there are too many metrics", { values: this.#lost });
      this.#lost = 0;
    }
  }

  /** What is to be written: one contribution for each series and minute. */
  #gather(): Contribution[] {
    const nowS = Math.floor(this.#clock.nowMs() / 1000);
    const atS = nowS - (nowS % 60);
    const merged = new Map<string, Contribution>();
    const add = ({ series, atS: minuteS, bucket }: Contribution) => {
      const key = `${minuteS} ${series.name} ${series.dimensions.join(" ")}`;
      const known = merged.get(key);
      if (known) return known.bucket.merge(bucket);
      const own = new Bucket();
      own.merge(bucket);
      merged.set(key, { series, atS: minuteS, isFine: false, bucket: own });
    };
    for (const contribution of this.#unwritten) add(contribution);
    const changed = this.#changed;
    this.#changed = new Set();
    for (const accumulator of changed) {
      const { name, unit, bucket, dimensions } = accumulator;
      accumulator.bucket = new Bucket();
      for (const set of dimensionSets(dimensions))
        add({ series: { namespace: NAMESPACE, name, dimensions: set, unit }, atS, isFine: false, bucket });
    }
    if (this.#accumulators >= SERIES_MAX) {
      this.#subjects.clear();
      this.#accumulators = 0;
    }
    for (const { name, dimensions, value, unit, weight } of this.#gauges()) {
      const bucket = new Bucket();
      bucket.add(value, weight);
      const set = dimensionSets(dimensions)[0] ?? [];
      add({ series: { namespace: NAMESPACE, name, dimensions: set, unit }, atS, isFine: false, bucket });
    }
    return [...merged.values()];
  }

  #plan(): void {
    this.#cancel = this.#clock.after(FLUSH_INTERVAL_MS, () => {
      this.#plan();
      if (!this.#flushing) void this.flush();
    });
  }
}

function newAccumulator(name: string, dimensions: MetricDimensions, unit: MetricUnit): Accumulator {
  const histogram = name === "Duration" ? [...DURATION_BOUNDS_MS, Infinity].map(() => 0) : undefined;
  return { name, unit, dimensions, bucket: new Bucket(), total: 0, count: 0, histogram };
}

function addToHistogram(histogram: number[], value: number): void {
  let at = 0;
  while (value > (DURATION_BOUNDS_MS[at] ?? Infinity)) at += 1;
  histogram[at] = (histogram[at] ?? 0) + 1;
}

type Dimensions = readonly (readonly [string, string])[];

/** AWS's combinations, the narrowest first: a version or an alias counts in its function, which counts in all. */
function dimensionSets(dimensions: MetricDimensions | undefined): Dimensions[] {
  if (!dimensions) return [[]];
  const { functionName, resource, executedVersion } = dimensions;
  const ofFunction = ["FunctionName", functionName] as const;
  const sets: Dimensions[] = [[ofFunction], []];
  if (resource === undefined) return sets;
  const ofResource = ["Resource", resource] as const;
  sets.unshift([ofFunction, ofResource]);
  if (executedVersion !== undefined)
    sets.unshift([["ExecutedVersion", executedVersion], ofFunction, ofResource]);
  return sets;
}
