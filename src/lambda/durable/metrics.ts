/** AWS's metrics of durable executions [docs: durable-monitoring]. */
import type { MetricsSink } from "../../telemetry/metrics.ts";
import type { EndStatus } from "./execution.ts";
import type { ExecutionRecord } from "./records.ts";

const ENDS: Readonly<Record<EndStatus, string>> = {
  SUCCEEDED: "DurableExecutionSucceeded",
  FAILED: "DurableExecutionFailed",
  TIMED_OUT: "DurableExecutionTimedOut",
  STOPPED: "DurableExecutionStopped",
};

/** An execution has ended. */
export function countEnd(metrics: MetricsSink, record: ExecutionRecord): void {
  const { status, functionName, startMs, endMs = startMs, operations, bytes } = record;
  if (status === "RUNNING") return;
  const dimensions = { functionName };
  metrics.count(ENDS[status], dimensions, 1, "Count");
  metrics.count("DurableExecutionDuration", dimensions, endMs - startMs, "Milliseconds");
  metrics.count("DurableExecutionOperations", dimensions, operations, "Count");
  metrics.count("DurableExecutionStorageWrittenBytes", dimensions, bytes, "Bytes");
}
