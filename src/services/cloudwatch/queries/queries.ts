/** The queries of GetMetricData and of alarms: what they ask for, checked, and what comes out. */
import type { MetricDataQuery } from "@aws-sdk/client-cloudwatch";
import { validationError } from "../../../errors.ts";
import { QUERIES_PER_REQUEST_MAX } from "../limits.ts";
import { Bucket } from "../metrics/bucket.ts";
import type { MetricStore } from "../metrics/metric-store.ts";
import { sortedDimensions, type Metric } from "../metrics/series.ts";
import { parseStatistic, type StatisticOf } from "../metrics/statistic.ts";
import { checkPeriod, gridOf } from "../metrics/time-grid.ts";

export interface TimeSeries {
  readonly label: string;
  readonly periodS: number;
  /** By the first second of a period; in no order. */
  readonly points: ReadonlyMap<number, number>;
}

/** A query for one statistic of one metric. */
export interface MetricQuery {
  readonly id: string;
  readonly metric: Metric;
  readonly periodS: number;
  readonly statistic: string;
  readonly statisticOf: StatisticOf;
  readonly unit: string | undefined;
  readonly label: string | undefined;
  readonly isReturned: boolean;
}

const ID = /^[a-z]\w*$/;

/** Throws ValidationError in CloudWatch's words. */
export function parseQueries(queries: readonly MetricDataQuery[]): MetricQuery[] {
  if (queries.length > QUERIES_PER_REQUEST_MAX)
    throw validationError(
      `The collection MetricDataQueries must not have a size greater than ${QUERIES_PER_REQUEST_MAX}.`,
    );
  const ids = queries.map(({ Id = "" }) => Id);
  if (new Set(ids).size < ids.length)
    throw validationError("The values for parameter id in MetricDataQueries are not unique.");
  return queries.map((query, at) => parseQuery(query, `MetricDataQueries.member.${at + 1}`));
}

function parseQuery(query: MetricDataQuery, path: string): MetricQuery {
  const { Id: id = "", MetricStat: stat, Expression: expression } = query;
  if (!ID.test(id))
    throw validationError(
      `The value ${id} for parameter ${path}.Id is not matching the expected pattern ^[a-z][a-zA-Z0-9_]*$.`,
    );
  if ((stat === undefined) === (expression === undefined))
    throw validationError(
      `The parameters ${path}.Expression and ${path}.MetricStat are mutually exclusive, and one of them is required.`,
    );
  if (!stat) throw validationError(`The parameter ${path}.Expression is not supported.`);
  const { Metric: metric, Period: periodS = 0, Stat: statistic = "", Unit: unit } = stat;
  checkPeriod(periodS, `${path}.MetricStat.Period`);
  const statisticOf = parseStatistic(statistic);
  if (!statisticOf)
    throw validationError(`The value ${statistic} for parameter ${path}.MetricStat.Stat is not supported.`);
  const { Namespace: namespace, MetricName: name } = metric ?? {};
  if (namespace === undefined || name === undefined)
    throw validationError(`The parameter ${path}.MetricStat.Metric must have a Namespace and a MetricName.`);
  return {
    id,
    metric: { namespace, name, dimensions: sortedDimensions(metric?.Dimensions) },
    periodS,
    statistic,
    statisticOf,
    unit,
    label: query.Label,
    isReturned: query.ReturnData ?? true,
  };
}

export interface TimeRange {
  readonly StartTime: Date | undefined;
  readonly EndTime: Date | undefined;
}

/** Reads a query's metric; values of different units are taken together when the query names none. */
export async function readMetric(
  metrics: MetricStore,
  query: MetricQuery,
  range: TimeRange,
  nowMs: number,
): Promise<TimeSeries> {
  const grid = gridOf(range, query.periodS, nowMs);
  const points = new Map<number, number>();
  for (const [atS, bucket] of await readBuckets(metrics, query, grid)) {
    const value = query.statisticOf(bucket);
    if (value !== undefined) points.set(atS, value);
  }
  return { label: query.label ?? query.metric.name, periodS: query.periodS, points };
}

/** Buckets of a query's metric, by the first second of their periods. */
export async function readBuckets(
  metrics: MetricStore,
  { metric, unit }: Pick<MetricQuery, "metric" | "unit">,
  grid: { startS: number; endS: number; periodS: number },
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
