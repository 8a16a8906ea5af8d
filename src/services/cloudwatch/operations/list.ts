/** ListMetrics: which metrics had values in the last two weeks. */
import type { ListMetricsInput, ListMetricsOutput } from "@aws-sdk/client-cloudwatch";
import type { OperationHandler } from "../../../wire/service.ts";
import type { CloudWatchContext } from "../context.ts";
import { invalidParameter } from "../errors.ts";
import { HOUR_MS, LIST_PAGE_MAX, LISTED_MS_MAX, RECENTLY_ACTIVE_MS } from "../limits.ts";
import { metricKey, type Metric } from "../metrics/series.ts";
import { decodeToken, encodeToken } from "../tokens.ts";

export function listOperations(context: CloudWatchContext): Record<string, OperationHandler> {
  return { ListMetrics: (input: ListMetricsInput) => listMetrics(context, input) };
}

/** ListMetrics knows no InvalidNextToken [model]. */
const badToken = () => invalidParameter("Request parameter NextToken is invalid");

function listMetrics({ metrics, clock }: CloudWatchContext, input: ListMetricsInput): ListMetricsOutput {
  const after = input.NextToken === undefined ? undefined : decodeToken(input.NextToken, 1, badToken)[0];
  const keptMs = input.RecentlyActive === undefined ? LISTED_MS_MAX : RECENTLY_ACTIVE_MS;
  // A series' last value is known to the hour.
  const oldestMs = clock.nowMs() - keptMs - HOUR_MS;
  const found: { metric: Metric; key: string }[] = [];
  for (const metric of metrics.index.metrics()) {
    if (metric.lastMs < oldestMs || !matches(metric, input)) continue;
    const key = metricKey(metric);
    if (after === undefined || key > after) found.push({ metric, key });
  }
  found.sort((a, b) => (a.key < b.key ? -1 : 1));
  const page = found.slice(0, LIST_PAGE_MAX);
  const last = page.at(-1);
  return {
    Metrics: page.map(({ metric }) => metricShape(metric)),
    ...(last && found.length > LIST_PAGE_MAX ? { NextToken: encodeToken([last.key]) } : {}),
  };
}

/** A filter without a value asks that the dimension is there; a metric may have others besides. */
function matches(metric: Metric, { Namespace, MetricName, Dimensions }: ListMetricsInput): boolean {
  if (Namespace !== undefined && metric.namespace !== Namespace) return false;
  if (MetricName !== undefined && metric.name !== MetricName) return false;
  return (Dimensions ?? []).every(({ Name, Value }) =>
    metric.dimensions.some(([name, value]) => name === Name && (Value === undefined || value === Value)),
  );
}

export function metricShape({ namespace, name, dimensions }: Metric) {
  return {
    Namespace: namespace,
    MetricName: name,
    Dimensions: dimensions.map(([Name, Value]) => ({ Name, Value })),
  };
}
