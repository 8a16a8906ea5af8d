/**
 * What is kept of a durable execution, and under which keys. An execution is one small record that each commit rewrites,
 * and one record for each operation and each event of its history: a checkpoint writes what it changes and nothing else.
 * Types only, and the keys.
 */
import type { ErrorObject, EventType, ExecutionStatus, OperationType } from "@aws-sdk/client-lambda";

/** ExecutionRecord by `executionKey`. Ids begin with their time: a function's executions lie in the order of their starts. */
export const EXECUTION_KIND = "lambda/durable-execution";
/** OperationRecord by `executionKey`, a slash and its ordinal. */
export const OPERATION_KIND = "lambda/durable-operation";
/** EventRecord by `executionKey`, a slash and its id. */
export const EVENT_KIND = "lambda/durable-event";
/** OpenRecord of each execution that has not ended, by `executionKey`: what a start of the server has to read. */
export const OPEN_KIND = "lambda/durable-open";
/** NewestRecord of each execution, by `newestKey`: a function's executions from the last one on. */
export const NEWEST_KIND = "lambda/durable-newest";
/** NameRecord of each execution that was given a name, by `nameKey`. */
export const NAME_KIND = "lambda/durable-name";
/** ExpiryRecord of each execution that has ended, by `expiryKey`. */
export const EXPIRY_KIND = "lambda/durable-expiry";

export interface ExecutionRecord {
  readonly id: string;
  readonly name: string;
  readonly functionName: string;
  /** Unqualified. */
  readonly functionArn: string;
  /** `$LATEST` or a number: it stays with the version that it began with. */
  readonly version: string;
  /** Of the function: a later one of the same name has another. */
  readonly identity: string;
  /** The ARN that the caller used. */
  readonly invokedFunctionArn: string;
  readonly status: ExecutionStatus;
  readonly startMs: number;
  readonly endMs?: number;
  readonly executionTimeoutMs: number;
  readonly retentionMs: number;
  /** Of its first invocation: the caller's. */
  readonly requestId: string;
  readonly traceHeader: string;
  readonly tenantId?: string;
  /** It was given its name, by which it can be found. */
  readonly isNamed?: true;
  /** The operation that started it, of another execution. */
  readonly parent?: { readonly key: string; readonly operationId: string };
  readonly operations: number;
  readonly events: number;
  /** Of all payloads and errors that came. */
  readonly bytes: number;
  /** Operations that changed while the function did not look: timers, callbacks, chained invokes. */
  readonly unseen: readonly string[];
  readonly invocations: number;
  /** Invocations in a row that failed, and of these, those that claimed to wait for nothing. */
  readonly failures: number;
  readonly idlePendings: number;
  /** When the next attempt after a failed invocation is due. */
  readonly retryAtMs?: number;
}

export type OperationStatus =
  | "STARTED"
  | "PENDING"
  | "READY"
  | "SUCCEEDED"
  | "FAILED"
  | "CANCELLED"
  | "TIMED_OUT"
  | "STOPPED";

export interface OperationRecord {
  /** In the order in which they began; the execution itself is 0. */
  readonly ordinal: number;
  readonly id: string;
  readonly type: OperationType;
  readonly status: OperationStatus;
  readonly startMs: number;
  readonly endMs?: number;
  readonly parentId?: string;
  readonly name?: string;
  readonly subType?: string;
  /** Of the execution and of chained invokes. */
  readonly input?: string;
  readonly result?: string;
  readonly error?: ErrorObject;
  /** CONTEXT: its children are needed to replay it although it has ended. */
  readonly replayChildren?: boolean;
  /** STEP: attempts that have ended, and when the next one may begin. */
  readonly attempt?: number;
  readonly nextAttemptMs?: number;
  /** WAIT */
  readonly waitS?: number;
  readonly waitEndMs?: number;
  /** CALLBACK. 0 seconds: no limit. */
  readonly callbackId?: string;
  readonly timeoutS?: number;
  readonly heartbeatS?: number;
  readonly timeoutAtMs?: number;
  readonly heartbeatAtMs?: number;
  /** CHAINED_INVOKE: whom it invokes, as it was named; the execution that this started, if the function is durable. */
  readonly target?: string;
  readonly targetTenantId?: string;
  readonly childArn?: string;
}

/** What cannot be told from the operation later, because it changes again. */
export interface EventRecord {
  readonly id: number;
  readonly type: EventType;
  readonly atMs: number;
  /** The operation that it is about, by its ordinal. */
  readonly operation?: number;
  /** STEP: the attempt that has ended, what it gave when it is repeated, and the delay. */
  readonly attempt?: number;
  readonly delayS?: number;
  readonly result?: string;
  readonly error?: ErrorObject;
  /** InvocationCompleted; its time is the end's. */
  readonly startMs?: number;
  readonly requestId?: string;
}

export interface OpenRecord {
  readonly identity: string;
  /** When it goes on by itself: in the past while its function runs. */
  readonly dueMs: number;
  /** A function that it has invoked may have to be invoked again after a crash. */
  readonly hasChained?: true;
}

export interface NameRecord {
  readonly id: string;
  readonly identity: string;
  /** Of the input: the same name with another one is refused. */
  readonly inputSha256Hex: string;
}

export interface NewestRecord {
  readonly key: string;
}

export interface ExpiryRecord {
  readonly key: string;
}

const ORDINAL_DIGITS = 4;
const EVENT_DIGITS = 6;
const TIME_DIGITS = 15;

/** No function name has a slash. */
export function executionKey(functionName: string, id: string): string {
  return `${functionName}/${id}`;
}

export function operationKey(key: string, ordinal: number): string {
  return `${key}/${String(ordinal).padStart(ORDINAL_DIGITS, "0")}`;
}

export function eventKey(key: string, id: number): string {
  return `${key}/${String(id).padStart(EVENT_DIGITS, "0")}`;
}

export function nameKey(functionName: string, name: string): string {
  return `${functionName}/${name}`;
}

/** In the order in which they expire. */
export function expiryKey(expiresMs: number, key: string): string {
  return `${timeDigits(expiresMs)}/${key}`;
}

const LATEST_MS = 10 ** TIME_DIGITS - 1;

/** In the opposite order of the starts. */
export function newestKey(functionName: string, startMs: number, id: string): string {
  return `${functionName}/${timeDigits(LATEST_MS - startMs)}/${id}`;
}

/** Below all expiry keys of later times. */
export function timeDigits(ms: number): string {
  return String(Math.floor(ms)).padStart(TIME_DIGITS, "0");
}
