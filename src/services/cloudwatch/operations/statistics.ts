/** GetMetricStatistics: one metric, several statistics, not paged. */
import type {
  Datapoint,
  GetMetricStatisticsInput,
  GetMetricStatisticsOutput,
  StandardUnit,
} from "@aws-sdk/client-cloudwatch";
import type { OperationHandler } from "../../../wire/service.ts";
import type { CloudWatchContext } from "../context.ts";
import { invalidCombination, invalidParameter, missingParameter } from "../errors.ts";
import { STATISTICS_DATAPOINTS_MAX } from "../limits.ts";
import type { Bucket } from "../metrics/bucket.ts";
import { sortedDimensions } from "../metrics/series.ts";
import { parseStatistic } from "../metrics/statistic.ts";
import { checkPeriod, gridOf } from "../metrics/time-grid.ts";

export function statisticsOperations(context: CloudWatchContext): Record<string, OperationHandler> {
  return { GetMetricStatistics: (input: GetMetricStatisticsInput) => getStatistics(context, input) };
}

async function getStatistics(
  { metrics, clock }: CloudWatchContext,
  input: GetMetricStatisticsInput,
): Promise<GetMetricStatisticsOutput> {
  const { Namespace: namespace = "", MetricName: name = "", Period: periodS = 0 } = input;
  if (!input.Statistics?.length && !input.ExtendedStatistics?.length)
    throw missingParameter("Must specify either Statistics or ExtendedStatistics");
  checkPeriod(periodS, "Period", invalidParameter);
  for (const statistic of input.ExtendedStatistics ?? [])
    if (parseStatistic(statistic) === undefined)
      throw invalidParameter(`The value ${statistic} for parameter ExtendedStatistics is not supported.`);
  const times = { StartTime: input.StartTime, EndTime: input.EndTime };
  const grid = gridOf(times, periodS, clock.nowMs(), invalidParameter);
  const points = Math.ceil((grid.endS - grid.startS) / periodS);
  if (points > STATISTICS_DATAPOINTS_MAX)
    throw invalidCombination(
      `You have requested up to ${points} datapoints, which exceeds the limit of ${STATISTICS_DATAPOINTS_MAX}. ` +
        "You may reduce the datapoints requested by increasing Period, or decreasing the time range.",
    );
  const metric = { namespace, name, dimensions: sortedDimensions(input.Dimensions) };
  const read = await metrics.read(metric, { ...grid, unit: input.Unit });
  return {
    Label: name,
    Datapoints: read.flatMap(({ unit, buckets }) =>
      [...buckets].map(([atS, bucket]) => datapoint(input, atS, bucket, unit as StandardUnit)),
    ),
  };
}

function datapoint(
  input: GetMetricStatisticsInput,
  atS: number,
  bucket: Bucket,
  unit: StandardUnit,
): Datapoint {
  const point: Datapoint = { Timestamp: new Date(atS * 1000), Unit: unit };
  for (const name of input.Statistics ?? []) {
    const value = parseStatistic(name)?.(bucket);
    if (value !== undefined) point[name] = value;
  }
  for (const name of input.ExtendedStatistics ?? []) {
    const value = parseStatistic(name)?.(bucket);
    if (value !== undefined) (point.ExtendedStatistics ??= {})[name] = value;
  }
  return point;
}
