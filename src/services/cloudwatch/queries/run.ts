/** Runs a request's queries: reads the metrics and searches that they need, evaluates their expressions, labels the results. */
import { validationError } from "../../../errors.ts";
import { HOUR_MS, LISTED_MS_MAX, MATH_POINTS_MAX } from "../limits.ts";
import { ARRAY_SERIES_MAX, Evaluation, searchCall, type SearchCall } from "../math/evaluate.ts";
import { nodesOf } from "../math/syntax.ts";
import { Budget, type Series, type SeriesArray } from "../math/values.ts";
import type { MetricStore } from "../metrics/metric-store.ts";
import { metricKey, type Metric } from "../metrics/series.ts";
import { parseStatistic } from "../metrics/statistic.ts";
import { checkPeriod, type Grid } from "../metrics/time-grid.ts";
import { parseSearch, type MetricTest } from "../search/search.ts";
import { distinguish, labelOf } from "./labels.ts";
import { inExpression, type DataQuery, type ExpressionQuery, type MetricQuery } from "./queries.ts";
import { emptySeries, readSeries } from "./read.ts";

export interface QueryContext {
  readonly metrics: MetricStore;
  readonly nowMs: number;
  readonly region: string;
  readonly accountId: string;
  /** What is asked for, in periods of that length. Throws AwsError. */
  grid(periodS: number): Grid;
}

export interface QueryResult {
  readonly id: string;
  readonly label: string;
  readonly points: ReadonlyMap<number, number>;
}

export interface QueryAnswer {
  /** In the order of the queries; several of one query that is an array. */
  readonly results: readonly QueryResult[];
  /** A search found more than is taken. */
  readonly isCut: boolean;
}

const PERIOD_S_DEFAULT = 60;

/** Different searches of one request [docs: search-expression-syntax]; what they find is ARRAY_SERIES_MAX in all. */
const SEARCHES_MAX = 100;
/** Metrics that a search looks at in one turn of the event loop. */
const METRICS_PER_TURN = 200;

/** Throws ValidationError for what is wrong with an expression. */
export async function runQueries(queries: readonly DataQuery[], context: QueryContext): Promise<QueryAnswer> {
  const expressions = queries.filter((query) => query.kind === "expression");
  const metrics = new Map<string, Series>();
  for (const query of queries) {
    if (query.kind !== "metric" || (!query.isReturned && expressions.length === 0)) continue;
    metrics.set(query.id, await readSeries(context.metrics, query, context.grid(query.periodS)));
  }
  const searches = await runSearches(expressions, periodOf(queries), context);
  const evaluation = evaluationOf(queries, metrics, searches.found, (periodS) => context.grid(periodS));
  const place = { AccountId: context.accountId, Region: context.region };
  const results = queries
    .filter(({ isReturned }) => isReturned)
    .flatMap((query): QueryResult[] => {
      const value = inExpression(query.id, () => evaluation.of(query.id));
      if (value.kind === "scalar") throw notSeries(query.id);
      return labelled(query, value, place);
    });
  return { results, isCut: searches.isCut };
}

/**
 * What the queries come to, tried without any data. Throws ValidationError for what is wrong with an expression, so that an
 * alarm is refused when it is put, and not found out when it is judged.
 */
export function shapeOf(queries: readonly DataQuery[], id: string): "series" | "array" {
  const metrics = new Map(
    queries
      .filter((query) => query.kind === "metric")
      .map((query) => [query.id, emptySeries(query, query.periodS)] as const),
  );
  const evaluation = evaluationOf(queries, metrics, new Map(), () => ({ startS: 0, endS: 0 }));
  const value = inExpression(id, () => evaluation.of(id));
  if (value.kind === "scalar") throw notSeries(id);
  return value.kind;
}

function notSeries(id: string) {
  return validationError(
    `Error in expression '${id}' [The result of an expression must be a time series or an array of time series]`,
  );
}

/** The greatest period of the metrics: series that are made of nothing have it. */
export function periodOf(queries: readonly DataQuery[]): number {
  const periods = queries.filter((query) => query.kind === "metric").map(({ periodS }) => periodS);
  return periods.length === 0 ? PERIOD_S_DEFAULT : Math.max(...periods);
}

function evaluationOf(
  queries: readonly DataQuery[],
  metrics: ReadonlyMap<string, Series>,
  found: ReadonlyMap<string, readonly Series[]>,
  grid: (periodS: number) => { startS: number; endS: number },
): Evaluation {
  const periodS = periodOf(queries);
  const expressions = queries.filter((query) => query.kind === "expression");
  return new Evaluation({
    grid,
    metrics,
    expressions: new Map(
      expressions.map((query) => [query.id, { ...query, periodS: query.periodS ?? periodS }] as const),
    ),
    search: (call) => found.get(searchKey(call)) ?? [],
    budget: new Budget(MATH_POINTS_MAX),
  });
}

const searchKey = (call: SearchCall) => JSON.stringify(call);

async function runSearches(
  expressions: readonly ExpressionQuery[],
  periodS: number,
  context: QueryContext,
): Promise<{ found: ReadonlyMap<string, readonly Series[]>; isCut: boolean }> {
  const found = new Map<string, readonly Series[]>();
  let left = ARRAY_SERIES_MAX;
  let isCut = false;
  for (const query of expressions) {
    for (const node of nodesOf(query.expression)) {
      if (node.kind !== "call" || node.name !== "SEARCH") continue;
      const call = inExpression(query.id, () => searchCall(node.args));
      const key = searchKey(call);
      if (found.has(key)) continue;
      if (found.size === SEARCHES_MAX)
        throw validationError(`A request can have at most ${SEARCHES_MAX} searches.`);
      const wanted = inExpression(query.id, () => parseCall(call, query.periodS ?? periodS));
      const queries = await searched(wanted, context);
      isCut ||= queries.length > left;
      const series: Series[] = [];
      for (const wanted of queries.slice(0, left))
        series.push(await readSeries(context.metrics, wanted, context.grid(wanted.periodS)));
      left -= series.length;
      found.set(key, distinguish(series));
    }
  }
  return { found, isCut };
}

interface Search extends Pick<MetricQuery, "statistic" | "statisticOf" | "unit" | "periodS"> {
  readonly isWanted: MetricTest;
}

/** Throws MathError, or ValidationError. */
function parseCall({ text, statistic, periodS: ownPeriodS }: SearchCall, defaultPeriodS: number): Search {
  const isWanted = parseSearch(text);
  const periodS = ownPeriodS ?? defaultPeriodS;
  checkPeriod(periodS, "SEARCH");
  const statisticOf = parseStatistic(statistic);
  if (!statisticOf) throw validationError(`The statistic ${statistic} of SEARCH is not supported.`);
  return { isWanted, statistic, statisticOf, unit: undefined, periodS };
}

/**
 * A query for each metric that the search finds; metrics without data for two weeks are not found. A few are looked at in a
 * turn of the event loop: many terms over many metrics take seconds.
 */
async function searched(
  { isWanted, ...query }: Search,
  { metrics, nowMs }: QueryContext,
): Promise<(Omit<Search, "isWanted"> & { metric: Metric })[]> {
  const oldestMs = nowMs - LISTED_MS_MAX - HOUR_MS;
  const found: { key: string; metric: Metric }[] = [];
  let seen = 0;
  for (const metric of metrics.index.metrics()) {
    if (metric.lastMs >= oldestMs && isWanted(metric)) found.push({ key: metricKey(metric), metric });
    seen += 1;
    if (seen % METRICS_PER_TURN === 0) await new Promise<void>((resolve) => void setImmediate(resolve));
  }
  return found.sort((a, b) => (a.key < b.key ? -1 : 1)).map(({ metric }) => ({ ...query, metric }));
}

/** Series of an array have the query's label in front of their own. */
function labelled(
  { id, label, kind }: DataQuery,
  value: Series | SeriesArray,
  place: Readonly<Record<string, string>>,
): QueryResult[] {
  if (value.kind === "series") {
    const own = { ...value, label: kind === "metric" ? value.label : id };
    return [{ id, label: labelOf(label ?? own.label, own, place), points: value.points }];
  }
  return value.series.map((series) => {
    const isDynamic = label?.includes("${") ?? false;
    const template = label === undefined || isDynamic ? (label ?? series.label) : `${label} ${series.label}`;
    return { id, label: labelOf(template, series, place), points: series.points };
  });
}
