/** Operations as the API and the functions see them, in pages. */
import type { Operation } from "@aws-sdk/client-lambda";
import { invalidParameterValue } from "../../errors.ts";
import { unreachable } from "../../kernel/assert.ts";
import { DURABLE_PAGE_BYTES_MAX } from "../../limits.ts";
import type { Execution } from "./execution.ts";
import type { OperationRecord } from "./records.ts";

/** Times are Dates: the wire writes them as its protocol does. */
export function showOperation(operation: OperationRecord): Operation {
  const { id, parentId, name, type, subType, startMs, endMs, status } = operation;
  return {
    Id: id,
    ...(parentId !== undefined && { ParentId: parentId }),
    ...(name !== undefined && { Name: name }),
    Type: type,
    ...(subType !== undefined && { SubType: subType }),
    StartTimestamp: new Date(startMs),
    ...(endMs !== undefined && { EndTimestamp: new Date(endMs) }),
    Status: status,
    ...detailsOf(operation),
  };
}

function detailsOf(operation: OperationRecord): Partial<Operation> {
  const { type, input, result, error } = operation;
  const ending = { ...(result !== undefined && { Result: result }), ...(error && { Error: error }) };
  switch (type) {
    case "EXECUTION":
      return { ExecutionDetails: input === undefined ? {} : { InputPayload: input } };
    case "CONTEXT": {
      const { replayChildren } = operation;
      const replay = replayChildren === undefined ? {} : { ReplayChildren: replayChildren };
      return { ContextDetails: { ...replay, ...ending } };
    }
    case "STEP": {
      const { attempt = 0, nextAttemptMs } = operation;
      const next = nextAttemptMs === undefined ? {} : { NextAttemptTimestamp: new Date(nextAttemptMs) };
      return { StepDetails: { Attempt: attempt, ...next, ...ending } };
    }
    case "WAIT": {
      const { waitEndMs } = operation;
      return {
        WaitDetails: waitEndMs === undefined ? {} : { ScheduledEndTimestamp: new Date(waitEndMs) },
      };
    }
    case "CALLBACK": {
      const { callbackId } = operation;
      return { CallbackDetails: { ...(callbackId !== undefined && { CallbackId: callbackId }), ...ending } };
    }
    case "CHAINED_INVOKE":
      return { ChainedInvokeDetails: ending };
    default:
      return unreachable(type, "type of operation");
  }
}

export interface StatePage {
  readonly operations: Operation[];
  /** Where the next page begins; undefined: there is none. */
  readonly nextMarker: string | undefined;
}

/**
 * The operations that a replay needs, from `marker` on: what happened inside a context that has ended is told by its
 * result. A page has at most `itemsMax` operations, and as many bytes as an answer bears; but always one, unless
 * `mayBeEmpty`.
 */
export function statePage(
  execution: Execution,
  marker: string | undefined,
  itemsMax: number,
  mayBeEmpty = false,
): StatePage {
  const start = marker === undefined || marker === "" ? 0 : ordinalOf(marker);
  const operations: Operation[] = [];
  const folded = new Set<string>();
  let bytes = 0;
  for (const record of execution.operations()) {
    if (isFolded(execution, record, folded)) {
      folded.add(record.id);
      continue;
    }
    if (record.ordinal < start) continue;
    const operation = showOperation(record);
    bytes += Buffer.byteLength(JSON.stringify(operation));
    const isFull = operations.length >= itemsMax || bytes > DURABLE_PAGE_BYTES_MAX;
    if (isFull && (operations.length > 0 || mayBeEmpty))
      return { operations, nextMarker: String(record.ordinal) };
    operations.push(operation);
  }
  return { operations, nextMarker: undefined };
}

function ordinalOf(marker: string): number {
  if (!/^\d{1,4}$/.test(marker)) throw invalidParameterValue("The marker is not valid.");
  return Number(marker);
}

function isFolded(execution: Execution, { parentId }: OperationRecord, folded: ReadonlySet<string>): boolean {
  if (parentId === undefined) return false;
  if (folded.has(parentId)) return true;
  const parent = execution.operation(parentId);
  if (parent?.status !== "SUCCEEDED" && parent?.status !== "FAILED") return false;
  return parent.replayChildren !== true;
}

/** As functions get them in their event: times are milliseconds since the epoch there, which all of AWS's SDKs understand. */
function inMilliseconds(operation: Operation): object {
  const { StartTimestamp, EndTimestamp, StepDetails, WaitDetails } = operation;
  return {
    ...operation,
    StartTimestamp: StartTimestamp?.getTime(),
    EndTimestamp: EndTimestamp?.getTime(),
    ...(StepDetails && {
      StepDetails: { ...StepDetails, NextAttemptTimestamp: StepDetails.NextAttemptTimestamp?.getTime() },
    }),
    ...(WaitDetails && {
      WaitDetails: { ...WaitDetails, ScheduledEndTimestamp: WaitDetails.ScheduledEndTimestamp?.getTime() },
    }),
  };
}

/** What the function gets as its event. What changed since it ran last is known to it from then on. */
export function invocationPayload(execution: Execution, token: string): Buffer {
  const { operations, nextMarker } = statePage(execution, undefined, Infinity, true);
  const updated = execution.takeUnseen().map(({ id }) => id);
  return Buffer.from(
    JSON.stringify({
      DurableExecutionArn: execution.arn,
      CheckpointToken: token,
      ...(updated.length > 0 && { UpdatedOperationIds: updated }),
      InitialExecutionState: {
        Operations: operations.map(inMilliseconds),
        ...(nextMarker !== undefined && { NextMarker: nextMarker }),
      },
    }),
  );
}
