/** The init phase of SnapStart: what the function sees while its snapshot is taken, and what its log says of it. */
import { newHexId } from "../../kernel/ids.ts";
import type { LogEvent } from "../../telemetry/log-sink.ts";
import { runtimeVersionArn } from "../environment/platform-lines.ts";
import type { FunctionVersion } from "../model.ts";
import type { RuntimeAvailable } from "../runtimes/catalogue.ts";
import { environmentVariables } from "../runtimes/environment-variables.ts";
import type { BuildOutcome } from "./build.ts";

/** What only an environment has. As on AWS: credentials in a snapshot would be those of every environment, and expire. */
const NOT_IN_SNAPSHOTS = [
  "AWS_ACCESS_KEY_ID",
  "AWS_SECRET_ACCESS_KEY",
  "AWS_SESSION_TOKEN",
  "AWS_LAMBDA_LOG_STREAM_NAME",
  "AWS_LAMBDA_RUNTIME_API",
];

export function buildVariables(
  version: FunctionVersion,
  runtime: RuntimeAvailable,
  region: string,
): Record<string, string> {
  const variables = environmentVariables(version, {
    runtime,
    region,
    logStream: "",
    runtimeApi: "",
    credentials: { accessKeyId: "", secretAccessKey: "", sessionToken: "" },
    initializationType: "snap-start",
  });
  for (const name of NOT_IN_SNAPSHOTS) delete variables[name];
  // Node warns of every module of its own that goes into a snapshot.
  return { ...variables, NODE_NO_WARNINGS: "1" };
}

/** The log stream of the init phase: INIT_START, the function's own lines, and how it ended. */
export function snapshotLog(
  version: FunctionVersion,
  outcome: BuildOutcome,
  { region, startedMs, endedMs }: { region: string; startedMs: number; endedMs: number },
): { stream: string; events: LogEvent[] } {
  const day = new Date(startedMs).toISOString().slice(0, 10).replaceAll("-", "/");
  const arn = runtimeVersionArn(region, version.runtime);
  const start = `INIT_START Runtime Version: ${version.runtime}\tRuntime Version ARN: ${arn}`;
  const status = outcome.made ? "success" : "error";
  const report = `INIT_REPORT Init Duration: ${(endedMs - startedMs).toFixed(2)} ms\tPhase: snapshot\tStatus: ${status}`;
  const events = [{ timestampMs: startedMs, message: start }, ...outcome.log];
  if (!outcome.made) {
    const why = `No snapshot could be taken, environments load the code instead: ${outcome.reason}\n${outcome.output}`;
    events.push({ timestampMs: endedMs, message: why.trim() });
  }
  events.push({ timestampMs: endedMs, message: report });
  return { stream: `${day}/[${version.version}]${newHexId(16)}`, events };
}
