/**
 * What a caller gets when the runtime could not answer by itself: the JSON bodies that AWS Lambda sends with
 * X-Amz-Function-Error: Unhandled, and the lines that appear in the log.
 */
import type { InvocationOutcome } from "../model.ts";
import type { SandboxExit } from "../sandbox/sandbox.ts";

export interface Failure {
  readonly errorType: string;
  /** What Lambda puts behind `RequestId: … Error: ` in the answer and in the log. */
  readonly cause: string;
  readonly status: "error" | "timeout" | "failure";
}

export function exitFailure(exit: SandboxExit): Failure {
  return { errorType: "Runtime.ExitError", cause: exitCause(exit), status: "error" };
}

function exitCause(exit: SandboxExit): string {
  if (exit.outOfMemory) return "Runtime exited with error: signal: killed";
  if (exit.signal !== undefined) return `Runtime exited with error: signal: ${signalWords(exit.signal)}`;
  if (exit.code === 0 || exit.code === undefined) return "Runtime exited without providing a reason";
  return `Runtime exited with error: exit status ${exit.code}`;
}

/** Go's words for signals: Lambda's own supervisor is written in Go and prints them. */
function signalWords(signal: string): string {
  const words: Record<string, string> = {
    SIGKILL: "killed",
    SIGTERM: "terminated",
    SIGSEGV: "segmentation fault",
    SIGABRT: "aborted",
    SIGBUS: "bus error",
    SIGILL: "illegal instruction",
    SIGFPE: "floating point exception",
    SIGINT: "interrupt",
    SIGHUP: "hangup",
    SIGPIPE: "broken pipe",
    SIGTRAP: "trace/breakpoint trap",
    SIGSYS: "bad system call",
    SIGALRM: "alarm clock",
    SIGQUIT: "quit",
  };
  return words[signal] ?? signal.toLowerCase();
}

/** `timeoutMs` is the function's configured timeout. */
export function timeoutFailure(timeoutMs: number): Failure {
  return {
    errorType: "Sandbox.Timedout",
    cause: `Task timed out after ${(timeoutMs / 1000).toFixed(2)} seconds`,
    status: "timeout",
  };
}

/** The bootstrap of a custom runtime is missing or cannot be executed. */
export function entrypointFailure(detail: string): Failure {
  return { errorType: "Runtime.InvalidEntrypoint", cause: detail, status: "error" };
}

/** The platform could not hold the environment together: a fault of ours, never of the function. */
export function sandboxFailure(detail: string): Failure {
  return { errorType: "Sandbox.Failure", cause: detail, status: "failure" };
}

export function failurePayload(failure: Failure, requestId: string): Buffer {
  const errorMessage = `RequestId: ${requestId} Error: ${failure.cause}`;
  return Buffer.from(JSON.stringify({ errorType: failure.errorType, errorMessage }));
}

export const RESPONSE_TOO_LARGE = "Function.ResponseSizeTooLarge";

export function responseTooLargePayload(limitBytes: number): Buffer {
  return Buffer.from(
    JSON.stringify({
      errorMessage: `Response payload size exceeded maximum allowed payload size (${limitBytes} bytes).`,
      errorType: RESPONSE_TOO_LARGE,
    }),
  );
}

const TYPE_SCAN_BYTES = 64 * 1024;

/** The errorType inside an error body that a runtime reported; only its head is looked at, and nothing is changed. */
export function errorTypeOf(payload: Buffer): string | undefined {
  try {
    if (payload.length <= TYPE_SCAN_BYTES) {
      const body: unknown = JSON.parse(payload.toString("utf8"));
      const type = (body as { errorType?: unknown } | null)?.errorType;
      return typeof type === "string" && type !== "" ? type : undefined;
    }
  } catch {
    // Not JSON: a custom runtime may report anything; it is passed through without a type.
  }
  return undefined;
}

/** What the caller of a function gets whose program cannot be started: nothing of it ran. */
export function entrypointOutcome(message: string, requestId: string, memoryMb: number): InvocationOutcome {
  const failure = entrypointFailure(message);
  return {
    functionError: "Unhandled",
    payload: failurePayload(failure, requestId),
    contentType: "application/json",
    report: {
      durationMs: 0,
      billedMs: 1,
      memorySizeMb: memoryMb,
      maxMemoryUsedMb: 0,
      status: "error",
      errorType: failure.errorType,
    },
  };
}
