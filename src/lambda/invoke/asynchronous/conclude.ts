/** The end of an event: its records to the destinations and the dead-letter queue, its counts, its line in the log. */
import type { Clock } from "../../../kernel/clock.ts";
import { coerceError } from "../../../kernel/deferred.ts";
import type { Logger } from "../../../telemetry/logger.ts";
import type { MetricsSink } from "../../../telemetry/metrics.ts";
import type { Delivery, Destinations } from "../destinations.ts";
import { dimensionsOf, type Verdict } from "./attempt.ts";
import type { AsynchronousEvent, Failure } from "./event.ts";
import { invocationRecord, qualifiedArn } from "./record.ts";
import type { EventSettings } from "./settings.ts";

export interface ConcludeOptions {
  readonly clock: Clock;
  readonly destinations: Destinations;
  readonly metrics: MetricsSink;
  readonly logger: Logger;
}

/** Delivers once to each target; what cannot be delivered is counted and logged. Never rejects. */
export async function conclude(
  options: ConcludeOptions,
  event: AsynchronousEvent,
  settings: EventSettings,
  verdict: Exclude<Verdict, { kind: "retry" }>,
): Promise<void> {
  const { clock, metrics, logger } = options;
  if (verdict.kind === "gone") {
    dropped(options, event, verdict.reason);
    return;
  }
  const { ending, lastFailure } = verdict;
  const failed = ending.condition !== "Success";
  if (failed) dropped(options, event, ending.condition, lastFailure);
  if (ending.condition === "RecursiveInvocationDetected")
    metrics.count("RecursiveInvocationsDropped", dimensionsOf(event), 1, "Count");

  const deliver = async (
    targetArn: string | undefined,
    metric: string,
    make: (common: Common) => { delivery: Delivery; smaller?: () => Buffer },
  ): Promise<void> => {
    if (targetArn === undefined) return;
    const { delivery, smaller } = make(commonOf(event, settings, targetArn, clock.nowMs()));
    try {
      await options.destinations.deliver(delivery, smaller);
    } catch (error) {
      metrics.count(metric, dimensionsOf(event), 1, "Count");
      logger.warn("the record of an asynchronous event could not be delivered", {
        function: event.functionName,
        requestId: event.requestId,
        target: targetArn,
        error: coerceError(error),
      });
    }
  };
  const recordFor = (reason: "OnSuccess" | "OnFailure") => (common: Common) => ({
    delivery: {
      ...common,
      reason,
      attributes: {},
      body: invocationRecord(event, ending, common.timestampMs),
    },
    ...(failed && { smaller: () => invocationRecord(event, ending, common.timestampMs, false) }),
  });
  await Promise.all([
    failed
      ? deliver(settings.onFailureArn, "DestinationDeliveryFailures", recordFor("OnFailure"))
      : deliver(settings.onSuccessArn, "DestinationDeliveryFailures", recordFor("OnSuccess")),
    failed &&
      deliver(settings.deadLetterTargetArn, "DeadLetterErrors", (common) => ({
        delivery: {
          ...common,
          reason: "DeadLetter",
          attributes: attributesOf(event, lastFailure),
          body: event.payload,
        },
      })),
  ]);
}

type Common = Omit<Delivery, "reason" | "body" | "attributes">;

function commonOf(
  event: AsynchronousEvent,
  { role }: EventSettings,
  targetArn: string,
  timestampMs: number,
): Common {
  const { functionName, traceHeader } = event;
  return { targetArn, functionArn: qualifiedArn(event), functionName, role, traceHeader, timestampMs };
}

function attributesOf(
  { requestId }: AsynchronousEvent,
  lastFailure: Failure | undefined,
): Delivery["attributes"] {
  return {
    RequestID: { type: "String", value: requestId },
    ErrorCode: { type: "Number", value: String(lastFailure?.status ?? 200) },
    ErrorMessage: { type: "String", value: lastFailure?.message ?? "The event grew too old." },
  };
}

/** As AWS counts: the event went without having succeeded. */
function dropped(
  { metrics, logger }: ConcludeOptions,
  event: AsynchronousEvent,
  reason: string,
  lastFailure?: Failure,
): void {
  metrics.count("AsyncEventsDropped", dimensionsOf(event), 1, "Count");
  logger.warn("an asynchronous event is given up", {
    function: event.functionName,
    requestId: event.requestId,
    reason,
    lastFailure,
  });
}
