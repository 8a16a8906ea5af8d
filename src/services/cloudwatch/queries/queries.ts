/** The queries of GetMetricData and of alarms: what they ask for, checked. */
import type { MetricDataQuery } from "@aws-sdk/client-cloudwatch";
import { validationError } from "../../../errors.ts";
import { QUERIES_PER_REQUEST_MAX } from "../limits.ts";
import { parseMath } from "../math/parse.ts";
import { MathError, type Expression } from "../math/syntax.ts";
import { sortedDimensions, type Metric } from "../metrics/series.ts";
import { parseStatistic, type StatisticOf } from "../metrics/statistic.ts";
import { checkPeriod } from "../metrics/time-grid.ts";

/** One statistic of one metric. */
export interface MetricQuery {
  readonly kind: "metric";
  readonly id: string;
  readonly metric: Metric;
  readonly periodS: number;
  readonly statistic: string;
  readonly statisticOf: StatisticOf;
  readonly unit: string | undefined;
  readonly label: string | undefined;
  readonly isReturned: boolean;
}

/** What is calculated from other queries. */
export interface ExpressionQuery {
  readonly kind: "expression";
  readonly id: string;
  readonly expression: Expression;
  /** Undefined: that of the request's metrics. */
  readonly periodS: number | undefined;
  readonly label: string | undefined;
  readonly isReturned: boolean;
}

export type DataQuery = MetricQuery | ExpressionQuery;

const ID = /^[a-z]\w*$/;

/** Throws ValidationError in CloudWatch's words. */
export function parseQueries(queries: readonly MetricDataQuery[], path = "MetricDataQueries"): DataQuery[] {
  if (queries.length > QUERIES_PER_REQUEST_MAX)
    throw validationError(
      `The collection ${path} must not have a size greater than ${QUERIES_PER_REQUEST_MAX}.`,
    );
  const ids = queries.map(({ Id = "" }) => Id);
  if (new Set(ids).size < ids.length)
    throw validationError(`The values for parameter id in ${path} are not unique.`);
  return queries.map((query, at) => parseQuery(query, `${path}.member.${at + 1}`));
}

function parseQuery(query: MetricDataQuery, path: string): DataQuery {
  const { Id: id = "", MetricStat: stat, Expression: expression, Label: label } = query;
  if (!ID.test(id))
    throw validationError(
      `The value ${id} for parameter ${path}.Id is not matching the expected pattern ^[a-z][a-zA-Z0-9_]*$.`,
    );
  if ((stat === undefined) === (expression === undefined))
    throw validationError(
      `The parameters ${path}.Expression and ${path}.MetricStat are mutually exclusive, and one of them is required.`,
    );
  const isReturned = query.ReturnData ?? true;
  if (expression !== undefined) {
    if (query.Period !== undefined) checkPeriod(query.Period, `${path}.Period`);
    const parsed = inExpression(id, () => parseMath(expression));
    return { kind: "expression", id, expression: parsed, periodS: query.Period, label, isReturned };
  }
  const { Metric: metric, Period: periodS = 0, Stat: statistic = "", Unit: unit } = stat ?? {};
  checkPeriod(periodS, `${path}.MetricStat.Period`);
  const statisticOf = parseStatistic(statistic);
  if (!statisticOf)
    throw validationError(`The value ${statistic} for parameter ${path}.MetricStat.Stat is not supported.`);
  const { Namespace: namespace, MetricName: name } = metric ?? {};
  if (namespace === undefined || name === undefined)
    throw validationError(`The parameter ${path}.MetricStat.Metric must have a Namespace and a MetricName.`);
  return {
    kind: "metric",
    id,
    metric: { namespace, name, dimensions: sortedDimensions(metric?.Dimensions) },
    periodS,
    statistic,
    statisticOf,
    unit,
    label,
    isReturned,
  };
}

/** Has what is wrong with an expression told as the caller's error, with the id of its query. */
export function inExpression<T>(id: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof MathError)) throw error;
    throw validationError(`Error in expression '${id}' [${error.message}]`);
  }
}
