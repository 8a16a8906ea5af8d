/** GetMetricData: many metrics, and what is calculated from them, page by page. */
import type { GetMetricDataInput, GetMetricDataOutput, MetricDataResult } from "@aws-sdk/client-cloudwatch";
import { validationError } from "../../../errors.ts";
import type { OperationHandler } from "../../../wire/service.ts";
import type { CloudWatchContext } from "../context.ts";
import { invalidNextToken } from "../errors.ts";
import { DATA_DATAPOINTS_MAX } from "../limits.ts";
import { ARRAY_SERIES_MAX } from "../math/evaluate.ts";
import { gridOf } from "../metrics/time-grid.ts";
import { parseQueries } from "../queries/queries.ts";
import { runQueries, type QueryResult } from "../queries/run.ts";
import { decodeToken, encodeToken } from "../tokens.ts";

export function dataOperations(context: CloudWatchContext): Record<string, OperationHandler> {
  return { GetMetricData: (input: GetMetricDataInput) => getMetricData(context, input) };
}

async function getMetricData(
  { metrics, clock, region, accountId }: CloudWatchContext,
  input: GetMetricDataInput,
): Promise<GetMetricDataOutput> {
  const limit = input.MaxDatapoints ?? DATA_DATAPOINTS_MAX;
  if (limit < 1 || limit > DATA_DATAPOINTS_MAX)
    throw validationError(`The parameter MaxDatapoints must be between 1 and ${DATA_DATAPOINTS_MAX}.`);
  const range = { StartTime: input.StartTime, EndTime: input.EndTime };
  const queries = parseQueries(input.MetricDataQueries ?? []);
  const nowMs = clock.nowMs();
  const { results, isCut } = await runQueries(queries, {
    metrics,
    nowMs,
    region,
    accountId,
    grid: (periodS) => gridOf(range, periodS, nowMs),
  });
  const page = pageOf(results, input.ScanBy === "TimestampAscending", limit, positionOf(input.NextToken));
  return isCut ? { ...page, Messages: [TOO_MANY] } : page;
}

const TOO_MANY = {
  Code: "MaxMetricsExceeded",
  Value: `The maximum number of allowed metrics, ${ARRAY_SERIES_MAX}, has been exceeded by a search.`,
};

interface Position {
  /** Index of the result, and of its first value that has not been told. */
  readonly result: number;
  readonly value: number;
}

function positionOf(token: string | undefined): Position {
  if (token === undefined) return { result: 0, value: 0 };
  const [result = NaN, value = NaN] = decodeToken(token, 2).map(Number);
  if (!Number.isSafeInteger(result) || !Number.isSafeInteger(value) || result < 0 || value < 0)
    throw invalidNextToken();
  return { result, value };
}

function pageOf(
  results: readonly QueryResult[],
  isAscending: boolean,
  limit: number,
  from: Position,
): GetMetricDataOutput {
  const page: MetricDataResult[] = [];
  let left = limit;
  for (let at = from.result; at < results.length; at += 1) {
    const result = results[at];
    if (!result) break;
    const skipped = at === from.result ? from.value : 0;
    const points = [...result.points].sort(([a], [b]) => (isAscending ? a - b : b - a));
    const taken = points.slice(skipped, skipped + left);
    const isWhole = skipped + taken.length === points.length;
    page.push({
      Id: result.id,
      Label: result.label,
      Timestamps: taken.map(([atS]) => new Date(atS * 1000)),
      Values: taken.map(([, value]) => value),
      StatusCode: isWhole ? "Complete" : "PartialData",
    });
    left -= taken.length;
    const next = isWhole ? { result: at + 1, value: 0 } : { result: at, value: skipped + taken.length };
    if (left === 0 && next.result < results.length)
      return {
        MetricDataResults: page,
        Messages: [],
        NextToken: encodeToken([`${next.result}`, `${next.value}`]),
      };
  }
  return { MetricDataResults: page, Messages: [] };
}
