/**
 * The lines that the platform itself writes into a function's log: INIT_START, START, END, REPORT and INIT_REPORT, in
 * Lambda's text form (tab separated) or, with LoggingConfig LogFormat JSON, as platform events in the Telemetry API's shape.
 */
import { createHash } from "node:crypto";
import type { InvocationReport } from "../model.ts";

export interface PlatformLines {
  initStart(nowMs: number): string | undefined;
  restoreStart(nowMs: number): string | undefined;
  restoreReport(nowMs: number, durationMs: number): string | undefined;
  start(nowMs: number, requestId: string): string | undefined;
  end(nowMs: number, requestId: string, report: InvocationReport): string | undefined;
  report(nowMs: number, requestId: string, report: InvocationReport, traceHeader: string): string | undefined;
  initReport(nowMs: number, init: InitReport): string | undefined;
  timeout(nowMs: number, requestId: string, cause: string): string;
}

export interface InitReport {
  readonly durationMs: number;
  readonly phase: "init" | "invoke";
  readonly status: "error" | "timeout";
  readonly errorType?: string;
}

export interface LineSubject {
  readonly functionName: string;
  readonly version: string;
  readonly region: string;
  /** As in `nodejs:24.v21`. */
  readonly runtimeVersion: string;
  /** Default: on demand. */
  readonly initializationType?: "on-demand" | "provisioned-concurrency" | "lambda-managed-instances";
}

/** No code of the function's runs in a restore, and AWS bills no other part of it. */
const BILLED_RESTORE_MS = 0;

/** Errors that the platform or a runtime names; what a handler threw is its own affair and not in the REPORT line. */
const PLATFORM_ERROR = /^(Runtime|Function|Sandbox|Extension)\./;

/** Stands for the exact runtime build, as AWS's runtime version ARN does: same build, same ARN. */
export function runtimeVersionArn(region: string, runtimeVersion: string): string {
  return `arn:aws:lambda:${region}::runtime:${createHash("sha256").update(runtimeVersion).digest("hex")}`;
}

export function textLines(subject: LineSubject): PlatformLines {
  const startTail = ` Version: ${subject.version}`;
  const runtime = `Runtime Version: ${subject.runtimeVersion}\tRuntime Version ARN: ${runtimeVersionArn(subject.region, subject.runtimeVersion)}`;
  return {
    initStart: () => `INIT_START ${runtime}`,
    restoreStart: () => `RESTORE_START ${runtime}`,
    restoreReport: (_nowMs, durationMs) => `RESTORE_REPORT Restore Duration: ${durationMs.toFixed(2)} ms`,
    start: (_nowMs, requestId) => `START RequestId: ${requestId}${startTail}`,
    end: (_nowMs, requestId) => `END RequestId: ${requestId}`,
    report: (_nowMs, requestId, report, traceHeader) => reportLine(requestId, report, traceHeader),
    initReport: (_nowMs, init) =>
      `INIT_REPORT Init Duration: ${init.durationMs.toFixed(2)} ms\tPhase: ${init.phase}\tStatus: ${init.status}` +
      (init.errorType === undefined ? "" : `\tError Type: ${init.errorType}`),
    timeout: timeoutLine,
  };
}

function timeoutLine(nowMs: number, requestId: string, cause: string): string {
  return `${new Date(nowMs).toISOString()} ${requestId} ${cause}\n\n`;
}

function reportLine(requestId: string, report: InvocationReport, traceHeader: string): string {
  let line =
    `REPORT RequestId: ${requestId}\tDuration: ${report.durationMs.toFixed(2)} ms\tBilled Duration: ${report.billedMs} ms` +
    `\tMemory Size: ${report.memorySizeMb} MB\tMax Memory Used: ${report.maxMemoryUsedMb} MB`;
  if (report.initDurationMs !== undefined) line += `\tInit Duration: ${report.initDurationMs.toFixed(2)} ms`;
  if (report.restoreDurationMs !== undefined)
    line += `\tRestore Duration: ${report.restoreDurationMs.toFixed(2)} ms\tBilled Restore Duration: ${BILLED_RESTORE_MS} ms`;
  if (report.status === "timeout") line += "\tStatus: timeout";
  if (report.status === "error" && PLATFORM_ERROR.test(report.errorType ?? ""))
    line += `\tStatus: error\tError Type: ${report.errorType}`;
  const traced = traceHeader.includes("Sampled=1") ? traceHeader.match(/Root=([^;]+)/)?.[1] : undefined;
  if (traced !== undefined) line += `\nXRAY TraceId: ${traced}\tSampled: true`;
  return `${line}\t`;
}

/** `level` is the function's SystemLogLevel: WARN leaves out everything that is not a failure, DEBUG adds nothing here. */
export function jsonLines(subject: LineSubject, level: "DEBUG" | "INFO" | "WARN"): PlatformLines {
  const quiet = level === "WARN";
  const { initializationType = "on-demand" } = subject;
  const event = (nowMs: number, type: string, record: object) =>
    JSON.stringify({ time: new Date(nowMs).toISOString(), type, record });
  return {
    initStart: (nowMs) =>
      quiet
        ? undefined
        : event(nowMs, "platform.initStart", {
            initializationType,
            phase: "init",
            runtimeVersion: subject.runtimeVersion,
            runtimeVersionArn: runtimeVersionArn(subject.region, subject.runtimeVersion),
            functionName: subject.functionName,
            functionVersion: subject.version,
          }),
    restoreStart: (nowMs) =>
      quiet
        ? undefined
        : event(nowMs, "platform.restoreStart", {
            runtimeVersion: subject.runtimeVersion,
            runtimeVersionArn: runtimeVersionArn(subject.region, subject.runtimeVersion),
            functionName: subject.functionName,
            functionVersion: subject.version,
          }),
    restoreReport: (nowMs, durationMs) =>
      quiet
        ? undefined
        : event(nowMs, "platform.restoreReport", { status: "success", metrics: { durationMs } }),
    start: (nowMs, requestId) =>
      quiet ? undefined : event(nowMs, "platform.start", { requestId, version: subject.version }),
    // The JSON format has no END line: platform.runtimeDone stands in its place, of a success at level DEBUG only.
    end: (nowMs, requestId, report) =>
      level === "DEBUG" || report.status !== "success"
        ? event(nowMs, "platform.runtimeDone", {
            requestId,
            status: report.status,
            metrics: { durationMs: report.durationMs },
          })
        : undefined,
    report: (nowMs, requestId, report) =>
      quiet && report.status === "success"
        ? undefined
        : event(nowMs, "platform.report", jsonReport(requestId, report)),
    initReport: (nowMs, init) =>
      event(nowMs, "platform.initReport", {
        initializationType,
        phase: init.phase,
        status: init.status,
        ...(init.errorType === undefined ? {} : { errorType: init.errorType }),
        metrics: { durationMs: init.durationMs },
      }),
    timeout: timeoutLine,
  };
}

function jsonReport(requestId: string, report: InvocationReport): object {
  return {
    requestId,
    status: report.status,
    ...(report.errorType === undefined ? {} : { errorType: report.errorType }),
    metrics: {
      durationMs: Number(report.durationMs.toFixed(3)),
      billedDurationMs: report.billedMs,
      memorySizeMB: report.memorySizeMb,
      maxMemoryUsedMB: report.maxMemoryUsedMb,
      ...(report.initDurationMs === undefined
        ? {}
        : { initDurationMs: Number(report.initDurationMs.toFixed(3)) }),
      ...(report.restoreDurationMs === undefined
        ? {}
        : {
            restoreDurationMs: Number(report.restoreDurationMs.toFixed(3)),
            billedRestoreDurationMs: BILLED_RESTORE_MS,
          }),
    },
  };
}
