/** The environment that function code sees, variable by variable as on AWS. Pure. */
import type { FunctionVersion } from "../model.ts";
import type { RuntimeDescription } from "./runtimes.ts";

/** Short-lived credentials of the function's role. */
export interface SessionCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken: string;
}

export type InitializationType =
  | "on-demand"
  | "provisioned-concurrency"
  | "snap-start"
  | "lambda-managed-instances";

export interface EnvironmentVariablesOptions {
  /** What the catalogue found for the function's runtime. */
  readonly runtime: { readonly environment: Readonly<Record<string, string>> };
  readonly region: string;
  readonly logStream: string;
  readonly credentials: SessionCredentials;
  /** `host:port` as reached from inside. */
  readonly runtimeApi: string;
  /** Where AWS's SDKs send their requests; absent: to AWS. */
  readonly endpointUrl?: string;
  /** Default: on-demand. */
  readonly initializationType?: InitializationType;
}

/**
 * Names that a function's configuration may not set [docs: configuration-envvars, "reserved environment variables";
 * RIE: rapidcore/env]. The others that Lambda defines (PATH, LANG, TZ, LD_LIBRARY_PATH, NODE_PATH, PYTHONPATH,
 * AWS_XRAY_CONTEXT_MISSING, AWS_XRAY_DAEMON_ADDRESS, …) are the function's to override.
 */
export const RESERVED_VARIABLES: ReadonlySet<string> = new Set([
  "_HANDLER",
  "_X_AMZN_TRACE_ID",
  "AWS_DEFAULT_REGION",
  "AWS_REGION",
  "AWS_EXECUTION_ENV",
  "AWS_LAMBDA_FUNCTION_NAME",
  "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
  "AWS_LAMBDA_FUNCTION_VERSION",
  "AWS_LAMBDA_INITIALIZATION_TYPE",
  "AWS_LAMBDA_LOG_GROUP_NAME",
  "AWS_LAMBDA_LOG_STREAM_NAME",
  "AWS_ACCESS_KEY",
  "AWS_ACCESS_KEY_ID",
  "AWS_SECRET_ACCESS_KEY",
  "AWS_SESSION_TOKEN",
  "AWS_LAMBDA_MAX_CONCURRENCY",
  "AWS_LAMBDA_RUNTIME_API",
  "AWS_LAMBDA_METADATA_API",
  "AWS_LAMBDA_METADATA_TOKEN",
  "LAMBDA_TASK_ROOT",
  "LAMBDA_RUNTIME_DIR",
]);

const X_RAY_HOST = "169.254.100.1";
const X_RAY_PORT = "2000";

/** What every runtime has, whatever the function. */
const COMMON: Readonly<Record<string, string>> = {
  LANG: "en_US.UTF-8",
  TZ: ":UTC",
  PATH: "/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin",
  LD_LIBRARY_PATH:
    "/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib",
  LAMBDA_TASK_ROOT: "/var/task",
  LAMBDA_RUNTIME_DIR: "/var/runtime",
  AWS_XRAY_CONTEXT_MISSING: "LOG_ERROR",
  AWS_XRAY_DAEMON_ADDRESS: `${X_RAY_HOST}:${X_RAY_PORT}`,
  _AWS_XRAY_DAEMON_ADDRESS: X_RAY_HOST,
  _AWS_XRAY_DAEMON_PORT: X_RAY_PORT,
};

/** What a generic runtime of this id boots with, before it belongs to a function. */
export function runtimeVariables({ id, family, version }: RuntimeDescription): Record<string, string> {
  // A custom runtime does not say which it is.
  if (family === "provided") return { ...COMMON };
  const variables: Record<string, string> = { ...COMMON, AWS_EXECUTION_ENV: `AWS_Lambda_${id}` };
  if (family === "nodejs") {
    variables["NODE_PATH"] =
      `/opt/nodejs/node${version}/node_modules:/opt/nodejs/node_modules:/var/runtime/node_modules:/var/runtime:/var/task`;
  }
  if (family === "python") variables["PYTHONPATH"] = "/var/runtime";
  return variables;
}

/**
 * The complete environment of one function's processes. Reserved names win over the function's own variables; those
 * win over everything else.
 */
export function environmentVariables(
  version: FunctionVersion,
  options: EnvironmentVariablesOptions,
): Record<string, string> {
  const variables: Record<string, string> = {
    ...options.runtime.environment,
    PWD: "/var/task",
    SHLVL: "0",
    ...loggingVariables(version),
    ...(options.endpointUrl === undefined ? {} : { AWS_ENDPOINT_URL: options.endpointUrl }),
  };
  for (const [name, value] of Object.entries(version.environment)) {
    if (!RESERVED_VARIABLES.has(name)) variables[name] = value;
  }
  return Object.assign(variables, functionVariables(version, options));
}

function functionVariables(
  version: FunctionVersion,
  options: EnvironmentVariablesOptions,
): Record<string, string> {
  return {
    _HANDLER: version.handler,
    AWS_REGION: options.region,
    AWS_DEFAULT_REGION: options.region,
    AWS_LAMBDA_FUNCTION_NAME: version.name,
    AWS_LAMBDA_FUNCTION_VERSION: version.version,
    AWS_LAMBDA_FUNCTION_MEMORY_SIZE: String(version.memoryMb),
    AWS_LAMBDA_INITIALIZATION_TYPE: options.initializationType ?? "on-demand",
    ...(version.concurrencyMax !== undefined && {
      AWS_LAMBDA_MAX_CONCURRENCY: String(version.concurrencyMax),
    }),
    AWS_LAMBDA_LOG_GROUP_NAME: version.logging.group,
    AWS_LAMBDA_LOG_STREAM_NAME: options.logStream,
    AWS_LAMBDA_RUNTIME_API: options.runtimeApi,
    AWS_ACCESS_KEY_ID: options.credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: options.credentials.secretAccessKey,
    AWS_SESSION_TOKEN: options.credentials.sessionToken,
  };
}

/** Set only for JSON logs; then a function may override them. */
function loggingVariables({ logging }: FunctionVersion): Record<string, string> {
  if (logging.format !== "JSON") return {};
  return { AWS_LAMBDA_LOG_FORMAT: "JSON", AWS_LAMBDA_LOG_LEVEL: logging.applicationLevel };
}
