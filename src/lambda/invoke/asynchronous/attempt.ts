/** One attempt at an event, and what follows from how it ended: AWS's rules of retries. */
import { AwsError, serviceException } from "../../../errors.ts";
import type { Clock } from "../../../kernel/clock.ts";
import { coerceError } from "../../../kernel/deferred.ts";
import type { MetricsSink } from "../../../telemetry/metrics.ts";
import type { Meter } from "../../metering/meter.ts";
import type { FunctionVersion, InvocationOutcome } from "../../model.ts";
import type { FunctionDirectory } from "../directory.ts";
import { hopsOf, LINEAGE_HOPS_MAX } from "../lineage.ts";
import { record, type Runner } from "../run.ts";
import { failure, invocationOf, type AsynchronousEvent, type Failure } from "./event.ts";
import type { Ending } from "./record.ts";
import type { EventSettings } from "./settings.ts";

/** Waits after attempts that could not run, doubled each time [docs: invocation-async-error-handling]. */
const BACKOFF_MS_MIN = 1000;
const BACKOFF_MS_MAX = 5 * 60_000;

export type Verdict =
  | { readonly kind: "ended"; readonly ending: Ending; readonly lastFailure?: Failure }
  /** `event` as it is to be kept; `refused`: the function did not run. */
  | {
      readonly kind: "retry";
      readonly waitMs: number;
      readonly event: AsynchronousEvent;
      readonly refused: boolean;
    }
  /** The function, or what the qualifier named, is no more. */
  | { readonly kind: "gone"; readonly reason: string };

export interface AttemptOptions {
  readonly clock: Clock;
  readonly runner: Runner;
  readonly directory: Pick<FunctionDirectory, "resolve">;
  readonly meter: Pick<Meter, "record">;
  readonly metrics: MetricsSink;
  /** Wait before the second attempt after a function's error; twice that before the third. */
  readonly retryDelayMs: number;
}

export function backoffMs(refusals: number): number {
  return Math.min(BACKOFF_MS_MAX, BACKOFF_MS_MIN * 2 ** Math.min(refusals, 30));
}

/** Never rejects. The function is the one of now: aliases and `$LATEST` are followed at each attempt. */
export async function attempt(
  options: AttemptOptions,
  event: AsynchronousEvent,
  settings: EventSettings,
): Promise<Verdict> {
  const { clock, metrics, directory, runner } = options;
  const ageMs = clock.nowMs() - event.acceptedMs;
  metrics.count("AsyncEventAge", dimensionsOf(event), ageMs, "Milliseconds");
  if (ageMs > settings.eventAgeMsMax) return ended(event, "EventAgeExceeded", event.lastFailure);
  const isFirst = event.errors + event.refusals === 0;
  if (isFirst && settings.recursiveLoop === "Terminate" && isRecursive(event))
    return ended(event, "RecursiveInvocationDetected", failure(400, RECURSION));
  if (settings.isSuspended) return ended(event, "ZeroReservedConcurrency", failure(429, SUSPENDED));
  let version: FunctionVersion | undefined;
  try {
    version = directory.resolve(event.functionArn, event.qualifier);
    const outcome = await runner.run(version, invocationOf(event), "queue");
    record(options.meter, version, outcome);
    return judge(options, event, settings, version, outcome);
  } catch (error) {
    const known = error instanceof AwsError ? error : serviceException(coerceError(error).message);
    if (known.code === "ResourceNotFoundException") return { kind: "gone", reason: known.message };
    return refused(options, event, settings, failure(known.status, known.message));
  }
}

const SUSPENDED = "Function not invoked. Function is configured with zero reserved concurrent executions";
const RECURSION = "The function was invoked in a recursive loop.";

export function isRecursive({
  traceHeader,
  functionArn,
}: Pick<AsynchronousEvent, "traceHeader" | "functionArn">): boolean {
  return hopsOf(traceHeader, functionArn) >= LINEAGE_HOPS_MAX;
}

export function dimensionsOf({ functionName, qualifier }: AsynchronousEvent) {
  return qualifier === undefined
    ? { functionName }
    : { functionName, resource: `${functionName}:${qualifier}` };
}

/** The function ran. */
function judge(
  { clock, retryDelayMs }: AttemptOptions,
  event: AsynchronousEvent,
  { retryAttemptsMax, eventAgeMsMax }: EventSettings,
  version: FunctionVersion,
  { functionError, payload }: InvocationOutcome,
): Verdict {
  const errors = event.errors + 1;
  const response = {
    executedVersion: version.version,
    ...(functionError === undefined ? {} : { functionError }),
    payload,
  };
  const attempts = errors + event.refusals;
  if (functionError === undefined)
    return { kind: "ended", ending: { condition: "Success", attempts, response } };
  const lastFailure = failure(200, messageOf(payload));
  const waitMs = retryDelayMs * errors;
  if (errors > retryAttemptsMax)
    return { kind: "ended", ending: { condition: "RetriesExhausted", attempts, response }, lastFailure };
  if (clock.nowMs() + waitMs - event.acceptedMs > eventAgeMsMax)
    return { kind: "ended", ending: { condition: "EventAgeExceeded", attempts, response }, lastFailure };
  return { kind: "retry", waitMs, event: { ...event, errors, lastFailure }, refused: false };
}

/** The function could not run. */
function refused(
  { clock }: AttemptOptions,
  event: AsynchronousEvent,
  { eventAgeMsMax }: EventSettings,
  lastFailure: Failure,
): Verdict {
  const waitMs = backoffMs(event.refusals);
  const next = { ...event, refusals: event.refusals + 1, lastFailure };
  if (clock.nowMs() + waitMs - event.acceptedMs > eventAgeMsMax)
    return ended(next, "EventAgeExceeded", lastFailure);
  return { kind: "retry", waitMs, event: next, refused: true };
}

/** Without an answer of this attempt. */
function ended(
  { errors, refusals }: AsynchronousEvent,
  condition: Ending["condition"],
  lastFailure: Failure | undefined,
): Verdict {
  const ending = { condition, attempts: errors + refusals };
  return { kind: "ended", ending, ...(lastFailure && { lastFailure }) };
}

/** `errorMessage` of what a failed function answers; all of it when it has none. */
function messageOf(payload: Buffer): string {
  const text = payload.toString("utf8");
  try {
    const { errorMessage } = JSON.parse(text) as { errorMessage?: unknown };
    return typeof errorMessage === "string" ? errorMessage : text;
  } catch {
    // A custom runtime may answer anything.
    return text;
  }
}
