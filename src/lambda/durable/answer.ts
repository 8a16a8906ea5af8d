/** What an invocation of a durable function came back with, and what the execution's caller gets in the end. */
import type { ErrorObject } from "@aws-sdk/client-lambda";
import { DURABLE_CHAINED_PAYLOAD_BYTES_MAX, DURABLE_ERROR_BYTES_MAX } from "../../limits.ts";
import type { InvocationOutcome, InvocationReport } from "../model.ts";
import type { ExecutionRecord, OperationRecord } from "./records.ts";
import { tooLarge } from "./updates.ts";

/** What the function says: it has ended, or it waits. "invalid": nothing that a durable function may answer. */
export type Answer =
  | { readonly status: "SUCCEEDED"; readonly result: string | undefined }
  | { readonly status: "FAILED"; readonly error: ErrorObject | undefined }
  | { readonly status: "PENDING" }
  | { readonly status: "invalid"; readonly error: ErrorObject };

/** `isChained`: what it returns goes into another execution, and may not be larger than that takes. */
export function parseAnswer(payload: Buffer, isChained: boolean): Answer {
  const parsed = parseObject(payload);
  if (!parsed) return invalid("The function's answer is not a durable execution's: it has no Status.");
  const { Status: status, Result: result, Error: error } = parsed;
  switch (status) {
    case "PENDING":
      return { status };
    case "FAILED":
      if (result !== undefined && result !== null)
        return invalid("Cannot provide a Result for FAILED status.");
      return { status, error: toErrorObject(error) };
    case "SUCCEEDED":
      if (error !== undefined && error !== null)
        return invalid("Cannot provide an Error for SUCCEEDED status.");
      if (result !== undefined && result !== null && typeof result !== "string")
        return invalid("The Result is not a string.");
      if (isChained && Buffer.byteLength(result ?? "") > DURABLE_CHAINED_PAYLOAD_BYTES_MAX)
        return { status: "FAILED", error: { ErrorMessage: tooLarge("Execution output") } };
      return { status, result: result ?? undefined };
    default:
      return invalid("The function's answer is not a durable execution's: its Status is none of them.");
  }
}

function invalid(message: string): Answer {
  return {
    status: "invalid",
    error: { ErrorType: "InvalidParameterValueException", ErrorMessage: message },
  };
}

/** What a function that failed answers: `{errorType, errorMessage, stackTrace}`. A custom runtime may answer anything. */
export function functionErrorOf(payload: Buffer): ErrorObject {
  const parsed = parseObject(payload);
  if (!parsed) return { ErrorMessage: cut(payload.toString("utf8")) };
  const { errorType, errorMessage, stackTrace } = parsed;
  return {
    ...(typeof errorType === "string" && { ErrorType: cut(errorType) }),
    ...(typeof errorMessage === "string" && { ErrorMessage: cut(errorMessage) }),
    ...(isTexts(stackTrace) &&
      Buffer.byteLength(JSON.stringify(stackTrace)) <= DURABLE_ERROR_BYTES_MAX && { StackTrace: stackTrace }),
  };
}

/** Of what a function gave as its error, what is one. */
function toErrorObject(value: unknown): ErrorObject | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { ErrorType, ErrorMessage, ErrorData, StackTrace } = value as Record<string, unknown>;
  return {
    ...(typeof ErrorType === "string" && { ErrorType }),
    ...(typeof ErrorMessage === "string" && { ErrorMessage }),
    ...(typeof ErrorData === "string" && { ErrorData }),
    ...(isTexts(StackTrace) && { StackTrace }),
  };
}

function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((one) => typeof one === "string");
}

/** Half of the limit is left to the other members. */
function cut(text: string): string {
  return text.length <= DURABLE_ERROR_BYTES_MAX / 4 ? text : text.slice(0, DURABLE_ERROR_BYTES_MAX / 4);
}

function parseObject(payload: Buffer): Record<string, unknown> | undefined {
  try {
    const parsed: unknown = JSON.parse(payload.toString("utf8"));
    return typeof parsed === "object" && parsed !== null && !Array.isArray(parsed)
      ? (parsed as Record<string, unknown>)
      : undefined;
  } catch {
    // A function may answer anything; what is not JSON is no answer of a durable one.
    return undefined;
  }
}

/** The end of an execution as its synchronous caller sees it: as one invocation that took as long. */
export function outcomeOf(
  record: ExecutionRecord,
  root: OperationRecord,
  durableExecutionArn: string,
  memoryMb: number,
): InvocationOutcome {
  const { status, startMs, endMs = startMs, executionTimeoutMs } = record;
  const report: InvocationReport = {
    durationMs: endMs - startMs,
    billedMs: 0,
    memorySizeMb: memoryMb,
    maxMemoryUsedMb: 0,
    status: status === "SUCCEEDED" ? "success" : status === "TIMED_OUT" ? "timeout" : "error",
  };
  const common = { contentType: "application/json", report, durableExecutionArn };
  if (status === "SUCCEEDED") return { ...common, payload: Buffer.from(root.result ?? "null") };
  const error = root.error ?? endError(status, executionTimeoutMs);
  const payload = {
    errorType: error.ErrorType,
    errorMessage: error.ErrorMessage,
    errorData: error.ErrorData,
    stackTrace: error.StackTrace,
  };
  return { ...common, functionError: "Unhandled", payload: Buffer.from(JSON.stringify(payload)) };
}

/** What the error is where nobody gave one. */
export function endError(status: string, executionTimeoutMs: number): ErrorObject {
  if (status !== "TIMED_OUT") return { ErrorMessage: `The durable execution has ended: ${status}.` };
  return {
    ErrorType: "Execution.Timeout",
    ErrorMessage: `The durable execution timed out after ${executionTimeoutMs / 1000} seconds.`,
  };
}
