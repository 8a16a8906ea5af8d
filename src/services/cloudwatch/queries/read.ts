/** Reads what a query for a metric asks for. */
import { Bucket } from "../metrics/bucket.ts";
import type { MetricStore } from "../metrics/metric-store.ts";
import type { Grid } from "../metrics/time-grid.ts";
import type { Series } from "../math/values.ts";
import type { MetricQuery } from "./queries.ts";

/** What reading needs to know of a query. */
export type Wanted = Pick<MetricQuery, "metric" | "statistic" | "statisticOf" | "unit">;

/** Values of different units are taken together when the query names none. */
export async function readSeries(metrics: MetricStore, query: Wanted, grid: Grid): Promise<Series> {
  const points = new Map<number, number>();
  for (const [atS, bucket] of await readBuckets(metrics, query, grid)) {
    const value = query.statisticOf(bucket);
    if (value !== undefined) points.set(atS, value);
  }
  return emptySeries(query, grid.periodS, points);
}

/** The series of a query without its values. */
export function emptySeries(
  { metric, statistic }: Wanted,
  periodS: number,
  points: ReadonlyMap<number, number> = new Map(),
): Series {
  const { namespace, name, dimensions } = metric;
  const ofDimensions = Object.fromEntries(dimensions.map(([key, value]) => [`Dim.${key}`, value]));
  return {
    kind: "series",
    label: name,
    periodS,
    points,
    properties: {
      ...ofDimensions,
      MetricName: name,
      Namespace: namespace,
      Period: `${periodS}`,
      Stat: statistic,
    },
  };
}

/** Buckets of a query's metric, by the first second of their periods. */
async function readBuckets(
  metrics: MetricStore,
  { metric, unit }: Pick<MetricQuery, "metric" | "unit">,
  grid: Grid,
): Promise<ReadonlyMap<number, Bucket>> {
  const read = await metrics.read(metric, { ...grid, unit });
  const [only] = read;
  if (only && read.length === 1) return only.buckets;
  const merged = new Map<number, Bucket>();
  for (const { buckets } of read)
    for (const [atS, bucket] of buckets) {
      let known = merged.get(atS);
      if (!known) merged.set(atS, (known = new Bucket()));
      known.merge(bucket);
    }
  return merged;
}
