/** The history of an execution in AWS's words: each event record beside the operation that it is about. */
import type { ErrorObject, Event, EventType } from "@aws-sdk/client-lambda";
import type { EventRecord, ExecutionRecord, OperationRecord } from "./records.ts";

/**
 * One event. `withData`: with payloads and errors; otherwise their places say `Truncated`. `operation` is the one that the
 * record names, as it is now: what an operation ended with stays.
 */
export function showEvent(
  execution: ExecutionRecord,
  event: EventRecord,
  operation: OperationRecord | undefined,
  withData: boolean,
): Event {
  const { id, type, atMs } = event;
  const shown: Event = { EventType: type, EventId: id, EventTimestamp: new Date(atMs) };
  if (operation) {
    shown.Id = operation.id;
    if (operation.name !== undefined) shown.Name = operation.name;
    if (operation.subType !== undefined) shown.SubType = operation.subType;
    if (operation.parentId !== undefined) shown.ParentId = operation.parentId;
  }
  const details = DETAILS[type]({
    execution,
    event,
    operation,
    result: hide(withData, operation?.result),
    error: hide(withData, operation?.error),
    input: hide(withData, operation?.input),
    withData,
  });
  return { ...shown, ...details };
}

/** What the details of an event are made from. */
interface Facts {
  readonly execution: ExecutionRecord;
  readonly event: EventRecord;
  readonly operation: OperationRecord | undefined;
  readonly result: Shown<string>;
  readonly error: Shown<ErrorObject>;
  readonly input: Shown<string>;
  readonly withData: boolean;
}

interface Shown<T> {
  Payload?: T;
  Truncated?: boolean;
}

function hide<T>(withData: boolean, data: T | undefined): Shown<T> {
  if (data === undefined) return {};
  return withData ? { Payload: data } : { Truncated: true };
}

const DETAILS: Readonly<Record<EventType, (facts: Facts) => Partial<Event>>> = {
  ExecutionStarted: ({ execution, input }) => ({
    ExecutionStartedDetails: { Input: input, ExecutionTimeout: execution.executionTimeoutMs / 1000 },
  }),
  ExecutionSucceeded: ({ result }) => ({ ExecutionSucceededDetails: { Result: result } }),
  ExecutionFailed: ({ error }) => ({ ExecutionFailedDetails: { Error: error } }),
  ExecutionTimedOut: ({ error }) => ({ ExecutionTimedOutDetails: { Error: error } }),
  ExecutionStopped: ({ error }) => ({ ExecutionStoppedDetails: { Error: error } }),
  InvocationCompleted: ({ event, withData }) => ({
    InvocationCompletedDetails: invocationOf(event, withData),
  }),
  ContextStarted: () => ({ ContextStartedDetails: {} }),
  ContextSucceeded: ({ result }) => ({ ContextSucceededDetails: { Result: result } }),
  ContextFailed: ({ error }) => ({ ContextFailedDetails: { Error: error } }),
  StepStarted: () => ({ StepStartedDetails: {} }),
  StepSucceeded: (facts) => {
    const { result, RetryDetails } = stepOf(facts);
    return { StepSucceededDetails: { Result: result, RetryDetails } };
  },
  StepFailed: (facts) => {
    const { error, RetryDetails } = stepOf(facts);
    return { StepFailedDetails: { Error: error, RetryDetails } };
  },
  WaitStarted: ({ operation }) => ({
    WaitStartedDetails: {
      Duration: operation?.waitS,
      ScheduledEndTimestamp: new Date(operation?.waitEndMs ?? 0),
    },
  }),
  WaitSucceeded: ({ operation }) => ({ WaitSucceededDetails: { Duration: operation?.waitS } }),
  WaitCancelled: () => ({ WaitCancelledDetails: {} }),
  CallbackStarted: ({ operation }) => {
    const { callbackId: CallbackId, timeoutS = 0, heartbeatS = 0 } = operation ?? {};
    const limits = {
      ...(timeoutS > 0 && { Timeout: timeoutS }),
      ...(heartbeatS > 0 && { HeartbeatTimeout: heartbeatS }),
    };
    return { CallbackStartedDetails: { CallbackId, ...limits } };
  },
  CallbackSucceeded: ({ result }) => ({ CallbackSucceededDetails: { Result: result } }),
  CallbackFailed: ({ error }) => ({ CallbackFailedDetails: { Error: error } }),
  CallbackTimedOut: ({ error }) => ({ CallbackTimedOutDetails: { Error: error } }),
  ChainedInvokeStarted: ({ operation, input }) => {
    const { target: FunctionName, targetTenantId, childArn } = operation ?? {};
    const more = {
      ...(targetTenantId !== undefined && { TenantId: targetTenantId }),
      ...(operation?.input !== undefined && { Input: input }),
      ...(childArn !== undefined && { DurableExecutionArn: childArn }),
    };
    return { ChainedInvokeStartedDetails: { FunctionName, ...more } };
  },
  ChainedInvokeSucceeded: ({ result }) => ({ ChainedInvokeSucceededDetails: { Result: result } }),
  ChainedInvokeFailed: ({ error }) => ({ ChainedInvokeFailedDetails: { Error: error } }),
  ChainedInvokeTimedOut: ({ error }) => ({ ChainedInvokeTimedOutDetails: { Error: error } }),
  ChainedInvokeStopped: ({ error }) => ({ ChainedInvokeStoppedDetails: { Error: error } }),
};

function invocationOf(event: EventRecord, withData: boolean): Event["InvocationCompletedDetails"] {
  const { startMs = event.atMs, atMs, requestId, error } = event;
  return {
    StartTimestamp: new Date(startMs),
    EndTimestamp: new Date(atMs),
    RequestId: requestId,
    ...(error && { Error: hide(withData, error) }),
  };
}

/** A step that is repeated has other data in its operation by now: the event has its own. */
function stepOf({ event, operation, withData }: Facts) {
  const { attempt: CurrentAttempt, delayS } = event;
  const isRepeated = delayS !== undefined;
  const { result, error } = (isRepeated ? event : operation) ?? {};
  const RetryDetails = { CurrentAttempt, ...(isRepeated && { NextAttemptDelaySeconds: delayS }) };
  return { result: hide(withData, result), error: hide(withData, error), RetryDetails };
}
