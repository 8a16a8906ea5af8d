/**
 * One durable execution: what it is, and every way in which it changes. No clock, no store and nothing that waits in here:
 * each method changes memory, and `takeChanges` says what to write so that the disk knows it too. The caller writes
 * before anybody is told (executions.ts).
 *
 *     RUNNING ─┬─▶ SUCCEEDED, FAILED      the function said so, or cannot go on
 *              ├─▶ TIMED_OUT              its execution timeout
 *              └─▶ STOPPED                StopDurableExecution, or its function was deleted
 *
 *     STEP      STARTED ─▶ SUCCEEDED │ FAILED │ PENDING (to be repeated) ─timer─▶ READY ─▶ STARTED …
 *     CONTEXT   STARTED ─▶ SUCCEEDED │ FAILED
 *     WAIT      STARTED ─timer─▶ SUCCEEDED │ CANCELLED
 *     CALLBACK  STARTED ─from outside─▶ SUCCEEDED │ FAILED, ─timer─▶ TIMED_OUT │ CANCELLED
 *     CHAINED_INVOKE  STARTED ─from outside─▶ SUCCEEDED │ FAILED │ TIMED_OUT │ STOPPED │ CANCELLED
 */
import type { ErrorObject, EventType, ExecutionStatus, OperationUpdate } from "@aws-sdk/client-lambda";
import { assert } from "../../kernel/assert.ts";
import { DURABLE_EVENTS_MAX, DURABLE_EXECUTION_BYTES_MAX } from "../../limits.ts";
import type { Change } from "../../store/store.ts";
import { executionArn } from "./ids.ts";
import {
  EVENT_KIND,
  eventKey,
  EXECUTION_KIND,
  executionKey,
  EXPIRY_KIND,
  expiryKey,
  NEWEST_KIND,
  newestKey,
  OPEN_KIND,
  OPERATION_KIND,
  operationKey,
  type EventRecord,
  type ExecutionRecord,
  type ExpiryRecord,
  type NewestRecord,
  type OpenRecord,
  type OperationRecord,
  type OperationStatus,
} from "./records.ts";
import { dueOf, endEvent, isAwaited, startedOperation, TITLES } from "./transitions.ts";
import { checkUpdates, OUT_OF_BYTES, updateBytes } from "./updates.ts";

export type EndStatus = Exclude<ExecutionStatus, "RUNNING">;

/** What something ended with. */
export interface Ending {
  readonly result?: string | undefined;
  readonly error?: ErrorObject | undefined;
}

type Begin = Omit<
  ExecutionRecord,
  "status" | "operations" | "events" | "bytes" | "unseen" | "invocations" | "failures" | "idlePendings"
>;

/** Why a chained invoke cannot be begun; undefined when it can. */
export type Preflight = (target: string) => ErrorObject | undefined;

const SUCCEEDED_OR_FAILED = { SUCCEED: "SUCCEEDED", FAIL: "FAILED" } as const;
const END_EVENTS: Readonly<Record<EndStatus, EventType>> = {
  SUCCEEDED: "ExecutionSucceeded",
  FAILED: "ExecutionFailed",
  TIMED_OUT: "ExecutionTimedOut",
  STOPPED: "ExecutionStopped",
};

function endingBytes({ result, error }: Ending): number {
  return updateBytes({ Payload: result, Error: error });
}

export class Execution {
  readonly key: string;
  #record: ExecutionRecord;
  readonly #operations: Map<string, OperationRecord>;
  readonly #unseen: Set<string>;
  readonly #dirty = new Set<string>();
  #newEvents: EventRecord[] = [];

  private constructor(record: ExecutionRecord, operations: Iterable<OperationRecord>) {
    this.key = executionKey(record.functionName, record.id);
    this.#record = record;
    this.#operations = new Map([...operations].map((operation) => [operation.id, operation]));
    this.#unseen = new Set(record.unseen);
  }

  static begin(begin: Begin, input: string): Execution {
    const counts = { operations: 0, events: 0, invocations: 0, failures: 0, idlePendings: 0 };
    const bytes = Buffer.byteLength(input);
    const execution = new Execution({ ...begin, ...counts, status: "RUNNING", bytes, unseen: [] }, []);
    const { id, name, startMs } = begin;
    execution.#add({ id, name, type: "EXECUTION", status: "STARTED", startMs, input });
    execution.#tell("ExecutionStarted", startMs, { operation: 0 });
    return execution;
  }

  /** As it was written. `operations` in the order of their ordinals. */
  static restore(record: ExecutionRecord, operations: Iterable<OperationRecord>): Execution {
    return new Execution(record, operations);
  }

  get record(): ExecutionRecord {
    return this.#record;
  }

  get arn(): string {
    return executionArn(this.#record);
  }

  get isOpen(): boolean {
    return this.#record.status === "RUNNING";
  }

  /** The operation that is the execution itself. */
  get root(): OperationRecord {
    const root = this.#operations.get(this.#record.id);
    assert(root, "an execution is its own first operation");
    return root;
  }

  /** In the order in which they began. */
  operations(): Iterable<OperationRecord> {
    return this.#operations.values();
  }

  operation(id: string): OperationRecord | undefined {
    return this.#operations.get(id);
  }

  /** Whether something changed that the function was not told. */
  get hasUnseen(): boolean {
    return this.#unseen.size > 0;
  }

  /** Whether something will happen without the function: what it may wait for. */
  get isAwaiting(): boolean {
    return [...this.#operations.values()].some(isAwaited);
  }

  /** Chained invokes that have not ended. */
  chained(): OperationRecord[] {
    return [...this.#operations.values()].filter(
      ({ type, status }) => type === "CHAINED_INVOKE" && status === "STARTED",
    );
  }

  /** What changed since the function was told last; from now on it knows. */
  takeUnseen(): OperationRecord[] {
    const unseen = [...this.#unseen].flatMap((id) => this.#operations.get(id) ?? []);
    this.#unseen.clear();
    return unseen.sort((a, b) => a.ordinal - b.ordinal);
  }

  /** Applies a checkpoint. Throws InvalidParameterValueException, and has then changed nothing. */
  checkpoint(updates: readonly OperationUpdate[], nowMs: number, preflight: Preflight): void {
    const { bytes, events, parent } = this.#record;
    checkUpdates(updates, { operations: this.#operations, bytes, events, isChained: parent !== undefined });
    for (const update of updates) {
      this.#record = { ...this.#record, bytes: this.#record.bytes + updateBytes(update) };
      this.#apply(update, nowMs, preflight);
    }
  }

  /** Everything that is due happens; whether anything did. */
  fire(nowMs: number): boolean {
    if (!this.isOpen) return false;
    const { startMs, executionTimeoutMs, retryAtMs } = this.#record;
    if (startMs + executionTimeoutMs <= nowMs) {
      this.end("TIMED_OUT", {}, nowMs);
      return true;
    }
    let fired = false;
    for (const operation of [...this.#operations.values()]) fired = this.#fireOne(operation, nowMs) || fired;
    if (retryAtMs !== undefined && retryAtMs <= nowMs) {
      this.#forgetRetry();
      return true;
    }
    return fired;
  }

  /** When `fire` next has something to do. An execution always has a timeout. */
  nextDueMs(): number {
    const { startMs, executionTimeoutMs, retryAtMs = Infinity } = this.#record;
    let dueMs = Math.min(startMs + executionTimeoutMs, retryAtMs);
    for (const operation of this.#operations.values()) dueMs = Math.min(dueMs, dueOf(operation));
    return dueMs;
  }

  /**
   * From outside. False when the operation has ended already. An ending that the execution has no room for makes a failure:
   * all operations are read at once, and each of thousands may bring a megabyte.
   */
  complete(
    operationId: string,
    status: Extract<OperationStatus, "SUCCEEDED" | "FAILED" | "TIMED_OUT" | "STOPPED">,
    ending: Ending,
    nowMs: number,
  ): boolean {
    const operation = this.#operations.get(operationId);
    if (!this.isOpen || operation?.status !== "STARTED") return false;
    assert(operation.type === "CALLBACK" || operation.type === "CHAINED_INVOKE", "what others complete");
    const { bytes } = this.#record;
    const fits = bytes + endingBytes(ending) <= DURABLE_EXECUTION_BYTES_MAX;
    const kept = fits ? ending : { error: { ErrorMessage: OUT_OF_BYTES } };
    this.#record = { ...this.#record, bytes: bytes + endingBytes(kept) };
    this.#complete(operation, fits ? status : "FAILED", kept, nowMs);
    return true;
  }

  /** A callback is still being worked on. False when it has ended already. */
  heartbeat(operationId: string, nowMs: number): boolean {
    const operation = this.#operations.get(operationId);
    if (!this.isOpen || operation?.type !== "CALLBACK" || operation.status !== "STARTED") return false;
    const { heartbeatS = 0 } = operation;
    if (heartbeatS > 0) this.#put({ ...operation, heartbeatAtMs: nowMs + heartbeatS * 1000 });
    return true;
  }

  /** The execution that a chained invoke has started. */
  noteChild(operationId: string, childArn: string): void {
    const operation = this.#operations.get(operationId);
    if (operation && operation.childArn === undefined) this.#put({ ...operation, childArn });
  }

  /** An invocation has ended: `error` is why it failed, undefined when it gave an answer. */
  noteInvocation(requestId: string, startMs: number, nowMs: number, error: ErrorObject | undefined): void {
    this.#tell("InvocationCompleted", nowMs, { startMs, requestId, ...(error && { error }) });
    this.#record = { ...this.#record, invocations: this.#record.invocations + 1 };
  }

  /** The next attempt is due at `retryAtMs`. */
  noteFailure(retryAtMs: number, kind: "failed" | "idle"): void {
    const { failures, idlePendings } = this.#record;
    this.#record = {
      ...this.#record,
      failures: failures + 1,
      idlePendings: kind === "idle" ? idlePendings + 1 : 0,
      retryAtMs,
    };
  }

  /** An invocation gave an answer that it can go on from. */
  noteProgress(): void {
    this.#forgetRetry();
    this.#record = { ...this.#record, failures: 0, idlePendings: 0 };
  }

  /** No further event would fit: it cannot go on. */
  get isExhausted(): boolean {
    return this.#record.events >= DURABLE_EVENTS_MAX;
  }

  end(status: EndStatus, { result, error }: Ending, nowMs: number): void {
    if (!this.isOpen) return;
    this.#put({
      ...this.root,
      status,
      endMs: nowMs,
      ...(result !== undefined && { result }),
      ...(error && { error }),
    });
    this.#forgetRetry();
    this.#unseen.clear();
    this.#record = { ...this.#record, status, endMs: nowMs };
    this.#tell(END_EVENTS[status], nowMs, { operation: 0 });
  }

  /** Beside `takeChanges`, of a new execution: how it is found. */
  indexChanges(): Change[] {
    const { functionName, startMs, id } = this.#record;
    const value: NewestRecord = { key: this.key };
    return [{ op: "put", kind: NEWEST_KIND, key: newestKey(functionName, startMs, id), value }];
  }

  /**
   * What to write so that the disk knows what memory knows. `dueMs` is when it goes on by itself; undefined: that has not
   * changed.
   */
  takeChanges(dueMs: number | undefined): Change[] {
    const { key } = this;
    this.#record = { ...this.#record, operations: this.#operations.size, unseen: [...this.#unseen] };
    const changes: Change[] = [{ op: "put", kind: EXECUTION_KIND, key, value: this.#record }];
    for (const id of this.#dirty) {
      const operation = this.#operations.get(id);
      assert(operation, "operations are not removed");
      const value = operation;
      changes.push({
        op: "put",
        kind: OPERATION_KIND,
        key: operationKey(key, operation.ordinal),
        value,
      });
    }
    for (const event of this.#newEvents)
      changes.push({ op: "put", kind: EVENT_KIND, key: eventKey(key, event.id), value: event });
    this.#dirty.clear();
    this.#newEvents = [];
    return [...changes, ...this.#scheduleChanges(dueMs)];
  }

  #scheduleChanges(dueMs: number | undefined): Change[] {
    const { key } = this;
    const { endMs, retentionMs, identity } = this.#record;
    if (endMs !== undefined) {
      const value: ExpiryRecord = { key };
      return [
        { op: "delete", kind: OPEN_KIND, key },
        { op: "put", kind: EXPIRY_KIND, key: expiryKey(endMs + retentionMs, key), value },
      ];
    }
    if (dueMs === undefined) return [];
    const value: OpenRecord = { identity, dueMs, ...(this.chained().length > 0 && { hasChained: true }) };
    return [{ op: "put", kind: OPEN_KIND, key, value }];
  }

  #apply(update: OperationUpdate, nowMs: number, preflight: Preflight): void {
    const { Type: type, Action: action, Payload: result, Error: error, Id: id = "" } = update;
    if (type === "EXECUTION") {
      if (action === "SUCCEED" || action === "FAIL")
        this.end(SUCCEEDED_OR_FAILED[action], { result, error }, nowMs);
      return;
    }
    const before = this.#operations.get(id) ?? this.#begin(update, nowMs);
    if (action === "START") this.#start(before, update, nowMs, preflight);
    else if (action === "RETRY") this.#retry(before, update, nowMs);
    else if (action === "CANCEL") this.#complete(before, "CANCELLED", {}, nowMs);
    else if (action !== undefined) {
      const replay = update.ContextOptions?.ReplayChildren;
      const ended = replay === undefined ? before : { ...before, replayChildren: replay };
      this.#complete(ended, SUCCEEDED_OR_FAILED[action], { result, error }, nowMs);
    }
  }

  #begin(update: OperationUpdate, startMs: number): OperationRecord {
    const { Id: id = "", Type: type = "STEP", ParentId, Name, SubType } = update;
    return this.#add({
      id,
      type,
      status: "STARTED",
      startMs,
      ...(ParentId !== undefined && { parentId: ParentId }),
      ...(Name !== undefined && { name: Name }),
      ...(SubType !== undefined && { subType: SubType }),
    });
  }

  #start(before: OperationRecord, update: OperationUpdate, nowMs: number, preflight: Preflight): void {
    const { type, id } = before;
    assert(type !== "EXECUTION", "an execution starts itself");
    const started = startedOperation(before, update, this.arn, nowMs);
    this.#put(started);
    this.#unseen.add(id);
    this.#tell(`${TITLES[type]}Started`, nowMs, { operation: before.ordinal });
    const error = started.target === undefined ? undefined : preflight(started.target);
    if (!error) return;
    // What could not be invoked keeps no input, as on AWS.
    const { input: _input, ...withoutInput } = started;
    this.#complete(withoutInput, "FAILED", { error }, nowMs);
  }

  #retry(before: OperationRecord, update: OperationUpdate, nowMs: number): void {
    const delayS = update.StepOptions?.NextAttemptDelaySeconds ?? 0;
    const attempt = (before.attempt ?? 0) + 1;
    const { result: _result, error: _error, ...rest } = before;
    const outcome = {
      ...(update.Payload !== undefined && { result: update.Payload }),
      ...(update.Error && { error: update.Error }),
    };
    this.#put({ ...rest, ...outcome, status: "PENDING", attempt, nextAttemptMs: nowMs + delayS * 1000 });
    this.#unseen.add(before.id);
    const told = { operation: before.ordinal, attempt, delayS, ...outcome };
    this.#tell(update.Error ? "StepFailed" : "StepSucceeded", nowMs, told);
  }

  #complete(
    before: OperationRecord,
    status: Extract<OperationStatus, "SUCCEEDED" | "FAILED" | "CANCELLED" | "TIMED_OUT" | "STOPPED">,
    { result, error }: Ending,
    nowMs: number,
  ): void {
    const { type, id } = before;
    assert(type !== "EXECUTION", "an execution is ended, not completed");
    const { result: _result, error: _error, nextAttemptMs: _next, ...rest } = before;
    const attempt = type === "STEP" ? { attempt: (before.attempt ?? 0) + 1 } : {};
    const ending = { ...(result !== undefined && { result }), ...(error && { error }) };
    this.#put({ ...rest, ...attempt, ...ending, status, endMs: nowMs });
    this.#unseen.add(id);
    const event = endEvent(type, status);
    if (event) this.#tell(event, nowMs, { operation: before.ordinal, ...attempt });
  }

  #fireOne(operation: OperationRecord, nowMs: number): boolean {
    if (dueOf(operation) > nowMs) return false;
    const { type, id } = operation;
    if (type === "WAIT") this.#complete(operation, "SUCCEEDED", {}, nowMs);
    else if (type === "STEP") {
      const { nextAttemptMs: _next, ...ready } = operation;
      this.#put({ ...ready, status: "READY" });
      this.#unseen.add(id);
    } else {
      const isTimeout = (operation.timeoutAtMs ?? Infinity) <= nowMs;
      const error = isTimeout
        ? { ErrorType: "Callback.Timeout", ErrorMessage: "Callback timed out" }
        : { ErrorType: "Callback.Heartbeat", ErrorMessage: "Callback timed out on heartbeat" };
      this.#complete(operation, "TIMED_OUT", { error }, nowMs);
    }
    return true;
  }

  #add(operation: Omit<OperationRecord, "ordinal">): OperationRecord {
    const added = { ...operation, ordinal: this.#operations.size };
    this.#put(added);
    return added;
  }

  #put(operation: OperationRecord): void {
    this.#operations.set(operation.id, operation);
    this.#dirty.add(operation.id);
  }

  #tell(type: EventType, atMs: number, more: Omit<EventRecord, "id" | "type" | "atMs">): void {
    const id = this.#record.events + 1;
    this.#record = { ...this.#record, events: id };
    this.#newEvents.push({ id, type, atMs, ...more });
  }

  #forgetRetry(): void {
    const { retryAtMs: _retryAtMs, ...record } = this.#record;
    this.#record = record;
  }
}
