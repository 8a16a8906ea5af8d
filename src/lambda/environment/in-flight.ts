/** One invocation in an environment, and what its caller and the meter are told of it. */
import type { Invocation, InvocationOutcome, InvocationReport } from "../model.ts";
import { failurePayload, type Failure } from "./failures.ts";

export interface Running {
  readonly invocation: Invocation;
  /** Monotonic. */
  readonly startedMs: number;
  /** How often the runtime had been heard of when it began. */
  readonly heard: number;
  readonly resolve: (outcome: InvocationOutcome) => void;
  cancelTimeout: () => void;
}

/** How the runtime or the platform ended it. */
export interface Ending {
  readonly payload?: Buffer;
  readonly contentType?: string;
  /** The platform's doing. */
  readonly failure?: Failure;
  /** The runtime's word. */
  readonly errorType?: string;
}

export interface Usage {
  readonly durationMs: number;
  readonly memoryMb: number;
  readonly peakBytes: number;
  /** Of the init, or of the restore, that came before it. */
  readonly initDurationMs: number | undefined;
  readonly restoreDurationMs: number | undefined;
}

const MIB = 1024 * 1024;

export function reportOf(
  usage: Usage,
  status: InvocationReport["status"],
  errorType: string | undefined,
): InvocationReport {
  const { durationMs, memoryMb, peakBytes, initDurationMs, restoreDurationMs } = usage;
  return {
    durationMs,
    // Init time is billed with the invocation it was for, as AWS does since August 2025.
    billedMs: Math.max(1, Math.ceil(durationMs + (initDurationMs ?? 0))),
    memorySizeMb: memoryMb,
    maxMemoryUsedMb: Math.min(memoryMb, Math.ceil(peakBytes / MIB)),
    status,
    ...(initDurationMs === undefined ? {} : { initDurationMs }),
    ...(restoreDurationMs === undefined ? {} : { restoreDurationMs }),
    ...(errorType === undefined ? {} : { errorType }),
  };
}

export function outcomeOf(
  { payload, contentType, failure }: Ending,
  requestId: string,
  report: InvocationReport,
): InvocationOutcome {
  return {
    payload: payload ?? (failure ? failurePayload(failure, requestId) : Buffer.alloc(0)),
    contentType: contentType ?? "application/json",
    report,
    ...(report.errorType === undefined ? {} : { functionError: "Unhandled" as const }),
  };
}
