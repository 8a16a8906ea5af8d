/**
 * Whether the updates of a checkpoint may be applied: all of them are checked against what the execution is before any of
 * them is. The words are AWS's; the functions' SDKs show them, and fail the execution with them.
 */
import type { OperationUpdate } from "@aws-sdk/client-lambda";
import { invalidParameterValue } from "../../errors.ts";
import {
  DURABLE_CHAINED_PAYLOAD_BYTES_MAX,
  DURABLE_ERROR_BYTES_MAX,
  DURABLE_EVENTS_MAX,
  DURABLE_EXECUTION_BYTES_MAX,
  DURABLE_OPERATIONS_MAX,
} from "../../limits.ts";
import type { OperationRecord, OperationStatus } from "./records.ts";

/** What the checks need to know of an execution. */
export interface UpdateSubject {
  readonly operations: ReadonlyMap<string, OperationRecord>;
  readonly bytes: number;
  /** Of its history so far. */
  readonly events: number;
  /** Somebody's chained invoke: what it returns goes into another execution. */
  readonly isChained: boolean;
}

type Action = NonNullable<OperationUpdate["Action"]>;
type Type = NonNullable<OperationUpdate["Type"]>;

const ACTIONS: Readonly<Record<Type, readonly Action[]>> = {
  STEP: ["START", "FAIL", "RETRY", "SUCCEED"],
  CONTEXT: ["START", "FAIL", "SUCCEED"],
  WAIT: ["START", "CANCEL"],
  CALLBACK: ["START", "CANCEL"],
  CHAINED_INVOKE: ["START", "CANCEL"],
  EXECUTION: ["SUCCEED", "FAIL"],
};
/** Types whose START and end may come in one checkpoint. */
const MAY_END_AT_ONCE = new Set<Type>(["STEP", "CONTEXT"]);

/** Throws InvalidParameterValueException. */
export function checkUpdates(updates: readonly OperationUpdate[], subject: UpdateSubject): void {
  checkExecutionUpdates(updates);
  checkParentsAndDuplicates(updates, subject);
  let bytes = subject.bytes;
  let operations = subject.operations.size;
  const began = new Set<string>();
  for (const update of updates) {
    checkOne(update, subject);
    bytes += updateBytes(update);
    const id = update.Id ?? "";
    if (update.Type !== "EXECUTION" && !subject.operations.has(id) && !began.has(id)) operations += 1;
    began.add(id);
  }
  if (operations > DURABLE_OPERATIONS_MAX)
    throw invalidParameterValue(
      `The durable execution exceeds the limit of ${DURABLE_OPERATIONS_MAX} operations.`,
    );
  if (bytes > DURABLE_EXECUTION_BYTES_MAX) throw invalidParameterValue(OUT_OF_BYTES);
  // Steps may be repeated without end; the execution's own end always has room.
  if (subject.events >= DURABLE_EVENTS_MAX && updates.some(({ Type }) => Type !== "EXECUTION"))
    throw invalidParameterValue(`The durable execution exceeds the limit of ${DURABLE_EVENTS_MAX} events.`);
}

export const OUT_OF_BYTES = `The durable execution exceeds the limit of ${DURABLE_EXECUTION_BYTES_MAX} bytes of data.`;

/** What an update adds to the data of its execution. */
export function updateBytes({ Payload, Error: error }: Pick<OperationUpdate, "Payload" | "Error">): number {
  const payloadBytes = Payload === undefined ? 0 : Buffer.byteLength(Payload);
  return payloadBytes + (error === undefined ? 0 : Buffer.byteLength(JSON.stringify(error)));
}

function checkExecutionUpdates(updates: readonly OperationUpdate[]): void {
  const ends = updates.filter(({ Type }) => Type === "EXECUTION");
  if (ends.length > 1) throw invalidParameterValue("Cannot checkpoint multiple EXECUTION updates.");
  if (ends.length === 1 && updates.at(-1)?.Type !== "EXECUTION")
    throw invalidParameterValue("EXECUTION checkpoint must be the last update.");
}

function checkParentsAndDuplicates(updates: readonly OperationUpdate[], { operations }: UpdateSubject): void {
  const started = new Map<string, OperationUpdate>();
  const seen = new Map<string, OperationUpdate>();
  for (const update of updates) {
    const id = update.Id ?? "";
    const before = seen.get(id);
    if (before) {
      const endsAtOnce =
        before.Type !== undefined &&
        MAY_END_AT_ONCE.has(before.Type) &&
        before.Action === "START" &&
        update.Action !== "START";
      if (!endsAtOnce)
        throw invalidParameterValue("Cannot update the same operation twice in a single request.");
    }
    if (update.ParentId !== undefined) {
      const parentType = started.get(update.ParentId)?.Type ?? operations.get(update.ParentId)?.type;
      if (parentType !== "CONTEXT") throw invalidParameterValue("Invalid parent operation id.");
    }
    if (update.Action === "START") started.set(id, update);
    seen.set(id, update);
  }
}

function checkOne(update: OperationUpdate, subject: UpdateSubject): void {
  const { Type: type, Action: action, Id: id = "" } = update;
  // The model demands both, and one of these values.
  if (type === undefined || action === undefined) throw invalidParameterValue("Invalid operation type.");
  const operation = type === "EXECUTION" ? undefined : subject.operations.get(id);
  if (operation) checkMetadata(update, operation);
  checkSizes(update, subject.isChained);
  if (!ACTIONS[type].includes(action))
    throw invalidParameterValue("Invalid action for the given operation type.");
  if (action === "FAIL" && update.Payload !== undefined)
    throw invalidParameterValue("Cannot provide a Payload for FAIL action.");
  if (action === "SUCCEED" && update.Error !== undefined)
    throw invalidParameterValue("Cannot provide an Error for SUCCEED action.");
  if (type === "STEP") checkStep(update, operation?.status);
  else if (type === "CONTEXT") checkContext(action, operation?.status);
  else if (type !== "EXECUTION") checkAwaited(update, type, operation?.status);
}

function checkMetadata(update: OperationUpdate, operation: OperationRecord): void {
  if (update.Type !== operation.type) throw invalidParameterValue("Inconsistent operation type.");
  if (update.SubType !== undefined && update.SubType !== operation.subType)
    throw invalidParameterValue("Inconsistent operation subtype.");
  if (update.Name !== undefined && update.Name !== operation.name)
    throw invalidParameterValue("Inconsistent operation name.");
  if (update.ParentId !== undefined && update.ParentId !== operation.parentId)
    throw invalidParameterValue("Inconsistent parent operation id.");
}

function checkSizes({ Error: error, Payload, Type: type }: OperationUpdate, isChained: boolean): void {
  if (error !== undefined && Buffer.byteLength(JSON.stringify(error)) > DURABLE_ERROR_BYTES_MAX)
    throw invalidParameterValue(`Error object size must be less than ${DURABLE_ERROR_BYTES_MAX} bytes.`);
  if (Payload === undefined) return;
  const isTooLarge = Buffer.byteLength(Payload) > DURABLE_CHAINED_PAYLOAD_BYTES_MAX;
  if (type === "CHAINED_INVOKE" && isTooLarge) throw invalidParameterValue(tooLarge("CHAINED_INVOKE input"));
  if (type === "EXECUTION" && isChained && isTooLarge)
    throw invalidParameterValue(tooLarge("Execution output"));
}

export function tooLarge(what: string): string {
  return `${what} payload size must be less than or equal to ${DURABLE_CHAINED_PAYLOAD_BYTES_MAX} bytes.`;
}

function checkStep(update: OperationUpdate, status: OperationStatus | undefined): void {
  const { Action: action } = update;
  if (action === "START") {
    if (status !== undefined && status !== "READY")
      throw invalidParameterValue("Invalid current STEP state to start.");
    return;
  }
  const isOpen = status === undefined || status === "STARTED" || status === "READY";
  if (action !== "RETRY") {
    if (!isOpen) throw invalidParameterValue("Invalid current STEP state to close.");
    return;
  }
  if (!isOpen) throw invalidParameterValue("Invalid current STEP state to re-attempt.");
  if (update.StepOptions === undefined)
    throw invalidParameterValue("Invalid StepOptions for the given action.");
  if (update.Error !== undefined && update.Payload !== undefined)
    throw invalidParameterValue("Cannot provide both error and payload to RETRY a STEP.");
}

function checkContext(action: Action, status: OperationStatus | undefined): void {
  if (action === "START") {
    if (status !== undefined) throw invalidParameterValue("Cannot start a CONTEXT that already exists.");
  } else if (status !== undefined && status !== "STARTED") {
    throw invalidParameterValue("Invalid current CONTEXT state to close.");
  }
}

/** What ends by itself: a timer, a callback, another function. */
function checkAwaited(
  update: OperationUpdate,
  type: "WAIT" | "CALLBACK" | "CHAINED_INVOKE",
  status: OperationStatus | undefined,
): void {
  if (update.Action === "CANCEL") {
    if (status !== "STARTED")
      throw invalidParameterValue(`Cannot cancel a ${type} that does not exist or has already completed.`);
    return;
  }
  if (status !== undefined) throw invalidParameterValue(`Cannot start a ${type} that already exists.`);
  if (type === "WAIT" && update.WaitOptions?.WaitSeconds === undefined)
    throw invalidParameterValue("Invalid WaitOptions for the given action.");
  if (type === "CHAINED_INVOKE" && update.ChainedInvokeOptions === undefined)
    throw invalidParameterValue("Update for CHAINED_INVOKE operation requires ChainedInvokeOptions.");
}
