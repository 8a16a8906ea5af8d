/** AWS's metrics of function URLs: how many requests, how many of them failed and whose fault it was, how long they took. */
import type { Clock } from "../../kernel/clock.ts";
import type { MetricsSink } from "../../telemetry/metrics.ts";
import type { FunctionUrl } from "./function-url.ts";

const CLIENT_ERROR = 400;
const SERVER_ERROR = 500;

/** Begins with a request; the answer is called once with the status of its answer, when all of it was handed over. */
export function measureRequest(
  metrics: MetricsSink,
  clock: Clock,
  { functionName, qualifier }: FunctionUrl,
): (status: number) => void {
  const beganMs = clock.monotonicMs();
  const dimensions =
    qualifier === undefined ? { functionName } : { functionName, resource: `${functionName}:${qualifier}` };
  return (status) => {
    const isServers = status >= SERVER_ERROR;
    const isClients = status >= CLIENT_ERROR && !isServers;
    metrics.count("UrlRequestCount", dimensions, 1, "Count");
    // 0 as well, as of Errors: their average is a rate.
    metrics.count("Url4xxCount", dimensions, isClients ? 1 : 0, "Count");
    metrics.count("Url5xxCount", dimensions, isServers ? 1 : 0, "Count");
    metrics.count("UrlRequestLatency", dimensions, clock.monotonicMs() - beganMs, "Milliseconds");
  };
}
