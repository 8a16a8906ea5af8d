/** Single operations: what a START makes of one, what time does to it, how the history calls its end. */
import type { EventType, OperationUpdate } from "@aws-sdk/client-lambda";
import { newCallbackId } from "./ids.ts";
import type { OperationRecord } from "./records.ts";

/** How events name the types. */
export const TITLES = {
  STEP: "Step",
  CONTEXT: "Context",
  WAIT: "Wait",
  CALLBACK: "Callback",
  CHAINED_INVOKE: "ChainedInvoke",
} as const;

/** An operation as its START makes it. */
export function startedOperation(
  before: OperationRecord,
  update: OperationUpdate,
  executionArn: string,
  nowMs: number,
): OperationRecord {
  const { error: _error, nextAttemptMs: _next, ...rest } = before;
  const started: OperationRecord = { ...rest, status: "STARTED" };
  const { WaitOptions, CallbackOptions, ChainedInvokeOptions, ContextOptions, Payload } = update;
  if (before.type === "WAIT") {
    const waitS = WaitOptions?.WaitSeconds ?? 0;
    return { ...started, waitS, waitEndMs: nowMs + waitS * 1000 };
  }
  if (before.type === "CALLBACK") {
    const { TimeoutSeconds: timeoutS = 0, HeartbeatTimeoutSeconds: heartbeatS = 0 } = CallbackOptions ?? {};
    return {
      ...started,
      callbackId: newCallbackId(executionArn, before.id),
      timeoutS,
      heartbeatS,
      ...(timeoutS > 0 && { timeoutAtMs: nowMs + timeoutS * 1000 }),
      ...(heartbeatS > 0 && { heartbeatAtMs: nowMs + heartbeatS * 1000 }),
    };
  }
  if (before.type === "CHAINED_INVOKE") {
    const { FunctionName: target = "", TenantId } = ChainedInvokeOptions ?? {};
    return {
      ...started,
      target,
      ...(TenantId !== undefined && { targetTenantId: TenantId }),
      ...(Payload !== undefined && { input: Payload }),
    };
  }
  const replay = ContextOptions?.ReplayChildren;
  return replay === undefined ? started : { ...started, replayChildren: replay };
}

/** Something is to happen to it that the function does not do. */
export function isAwaited({ type, status }: OperationRecord): boolean {
  if (type === "STEP") return status === "PENDING";
  return (type === "WAIT" || type === "CALLBACK" || type === "CHAINED_INVOKE") && status === "STARTED";
}

/** When time does something to an operation; Infinity: never. */
export function dueOf(operation: OperationRecord): number {
  if (!isAwaited(operation)) return Infinity;
  const { nextAttemptMs, waitEndMs, timeoutAtMs, heartbeatAtMs } = operation;
  return Math.min(
    nextAttemptMs ?? Infinity,
    waitEndMs ?? Infinity,
    timeoutAtMs ?? Infinity,
    heartbeatAtMs ?? Infinity,
  );
}

/** Of a cancelled callback or chained invoke the history tells nothing: it has no word for it. */
export function endEvent(type: keyof typeof TITLES, status: string): EventType | undefined {
  if (status === "CANCELLED") return type === "WAIT" ? "WaitCancelled" : undefined;
  const ends = { SUCCEEDED: "Succeeded", FAILED: "Failed", TIMED_OUT: "TimedOut", STOPPED: "Stopped" };
  return `${TITLES[type]}${ends[status as keyof typeof ends]}` as EventType;
}
