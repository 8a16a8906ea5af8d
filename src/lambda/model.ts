/** The vocabulary that the rooms of lambda/ share. Types only: no behaviour, so that every room may import it. */

/**
 * One function version as invocation needs it: immutable. A new configuration or new code of `$LATEST` is a new
 * FunctionVersion with another `revisionId`; environments of the old one take no further invocation.
 */
export interface FunctionVersion {
  /** Unqualified: `arn:aws:lambda:REGION:ACCOUNT:function:NAME`. */
  readonly functionArn: string;
  readonly name: string;
  /** `$LATEST`, a number, or `$LATEST.PUBLISHED`. */
  readonly version: string;
  readonly revisionId: string;
  readonly runtime: string;
  readonly handler: string;
  readonly role: string;
  /** Lower-case hex SHA-256 of the zip: names the unpacked folder. */
  readonly codeSha256Hex: string;
  readonly memoryMb: number;
  readonly timeoutMs: number;
  readonly ephemeralStorageMb: number;
  readonly environment: Readonly<Record<string, string>>;
  /** Hex SHA-256 of each layer's zip, in merge order. */
  readonly layerSha256Hex: readonly string[];
  readonly logging: LoggingSettings;
  readonly tracingMode: "Active" | "PassThrough";
  /** Its environments start from a snapshot that was made when it was published, where there is one. */
  readonly snapStart?: boolean;
  /** It runs on Managed Instances: so many invocations at a time in one environment, which is always on. */
  readonly concurrencyMax?: number;
  /** Its invocations are durable executions. */
  readonly durable?: DurableSettings;
}

export interface DurableSettings {
  /** From the execution's start to its end, waits included. */
  readonly executionTimeoutMs: number;
  /** How long what an ended execution did is kept. */
  readonly retentionMs: number;
}

export interface LoggingSettings {
  readonly format: "Text" | "JSON";
  readonly applicationLevel: LogLevel;
  readonly systemLevel: "DEBUG" | "INFO" | "WARN";
  readonly group: string;
}

export type LogLevel = "TRACE" | "DEBUG" | "INFO" | "WARN" | "ERROR" | "FATAL";

/** One invocation on its way to an environment. */
export interface Invocation {
  /** `x-amzn-RequestId` of the Invoke, a UUID. */
  readonly requestId: string;
  /** The event, as it came: never parsed by the platform. */
  readonly payload: Buffer;
  /** The ARN the caller used, with its qualifier when it gave one. */
  readonly invokedFunctionArn: string;
  /** Base64, as the caller sent it. */
  readonly clientContext?: string;
  /** `Root=…;Parent=…;Sampled=…`. */
  readonly traceHeader: string;
  readonly tenantId?: string;
  /** The caller asked for the last 4 KB of the log (LogType: Tail). */
  readonly wantsTail?: boolean;
  /** Names the durable execution that this invocation starts, or joins when there is one of that name. */
  readonly durableExecutionName?: string;
  /** Takes the answer as it is made, if the function streams it. Otherwise the answer comes whole, with the outcome. */
  readonly sink?: ResponseSink;
}

/** Where a streamed answer goes while it is being made. */
export interface ResponseSink {
  /** Takes the next bytes; they may be none. False: nothing more should come until it has drained; it is kept if it does. */
  write(chunk: Buffer, contentType: string): boolean;
  /** Resolves when more may come: there is room again, or nobody reads any longer. */
  drained(): Promise<void>;
}

/**
 * How an invocation ended, as the environment saw it. Payloads are passed through as they came. The payload of a success
 * is empty when the answer went into the invocation's sink; that of a failure is the error, whatever has gone there before.
 */
export interface InvocationOutcome {
  /** undefined: success. Otherwise the value of X-Amz-Function-Error: AWS says Unhandled for everything a managed runtime reports. */
  readonly functionError?: "Unhandled" | "Handled";
  readonly payload: Buffer;
  readonly contentType: string;
  readonly report: InvocationReport;
  /** The end of the invocation's log, when it was asked for. */
  readonly logTail?: Buffer;
  /** The durable execution that made this outcome, in invocations of its own: each of them is on the meter already. */
  readonly durableExecutionArn?: string;
}

/** What one invocation used: the REPORT line and the meter are made from it. */
export interface InvocationReport {
  readonly durationMs: number;
  readonly billedMs: number;
  readonly memorySizeMb: number;
  readonly maxMemoryUsedMb: number;
  /** Present on the first invocation of an environment (cold start). */
  readonly initDurationMs?: number;
  /** In its place on the first invocation of an environment that started from a snapshot. */
  readonly restoreDurationMs?: number;
  readonly status: "success" | "error" | "timeout" | "failure";
  readonly errorType?: string;
}
