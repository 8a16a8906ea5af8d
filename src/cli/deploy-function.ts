/** Creates or updates a function and waits until it can be invoked: what `deploy` and the first start do. */
import { setTimeout as pause } from "node:timers/promises";
import type { FunctionConfiguration } from "@aws-sdk/client-lambda";
import type { AwsClient } from "./aws-client.ts";
import { CliError, isNotFound } from "./errors.ts";
import type { FunctionShape } from "./package-function.ts";

/** What is absent stays as it is when the function exists. */
export interface Deployment extends Partial<FunctionShape> {
  readonly name: string;
  readonly zip: Buffer;
  readonly role?: string;
  /** For a new function, what `runtime` and `handler` do not say. */
  readonly detect: () => FunctionShape;
  /** The role of a new function that none was given for. */
  readonly roleDefault: string;
  readonly memoryMb?: number;
  readonly timeoutS?: number;
  readonly environment?: Readonly<Record<string, string>>;
}

const FUNCTIONS = "/2015-03-31/functions";
const WAIT_MS_MAX = 120_000;
const ASK_AGAIN_MS = 50;

export async function deployFunction(
  client: AwsClient,
  deployment: Deployment,
): Promise<{ created: boolean; configuration: FunctionConfiguration }> {
  const { name, zip } = deployment;
  const path = `${FUNCTIONS}/${encodeURIComponent(name)}`;
  const settings = {
    ...(deployment.runtime === undefined ? {} : { Runtime: deployment.runtime }),
    ...(deployment.handler === undefined ? {} : { Handler: deployment.handler }),
    ...(deployment.role === undefined ? {} : { Role: deployment.role }),
    ...(deployment.memoryMb === undefined ? {} : { MemorySize: deployment.memoryMb }),
    ...(deployment.timeoutS === undefined ? {} : { Timeout: deployment.timeoutS }),
    ...(deployment.environment === undefined ? {} : { Environment: { Variables: deployment.environment } }),
  };
  const ZipFile = zip.toString("base64");
  if (!(await exists(client, path))) {
    const { runtime: Runtime, handler: Handler } = completeShape(deployment);
    const Role = deployment.roleDefault;
    const body = { FunctionName: name, Role, Runtime, Handler, ...settings, Code: { ZipFile } };
    await client.lambda("POST", FUNCTIONS, body);
    return { created: true, configuration: assertRuns(await settled(client, path)) };
  }
  await client.lambda("PUT", `${path}/code`, { ZipFile });
  const updated = await settled(client, path);
  if (Object.keys(settings).length === 0) return { created: false, configuration: assertRuns(updated) };
  // Not judged in between: a function that could not run may be about to get the runtime with which it can.
  await client.lambda("PUT", `${path}/configuration`, settings);
  return { created: false, configuration: assertRuns(await settled(client, path)) };
}

async function exists(client: AwsClient, path: string): Promise<boolean> {
  try {
    await client.lambda("GET", `${path}/configuration`);
    return true;
  } catch (error) {
    if (isNotFound(error)) return false;
    throw error;
  }
}

/** The folder is looked at only for what nobody has said. */
function completeShape({ runtime, handler, detect }: Deployment): FunctionShape {
  if (runtime !== undefined && handler !== undefined) return { runtime, handler };
  const detected = detect();
  return { runtime: runtime ?? detected.runtime, handler: handler ?? detected.handler };
}

/** Waits until there is a verdict on the function's creation or last update. */
async function settled(client: AwsClient, path: string): Promise<FunctionConfiguration> {
  const deadlineMs = performance.now() + WAIT_MS_MAX;
  for (;;) {
    const configuration = await client.lambda<FunctionConfiguration>("GET", `${path}/configuration`);
    const { State, LastUpdateStatus } = configuration;
    if (State !== "Pending" && LastUpdateStatus !== "InProgress") return configuration;
    if (performance.now() > deadlineMs)
      throw new CliError(`the function is still not ready after ${WAIT_MS_MAX / 1000} s`);
    await pause(ASK_AGAIN_MS);
  }
}

/** Throws CliError with the server's reason when the verdict is that it cannot. */
function assertRuns(configuration: FunctionConfiguration): FunctionConfiguration {
  const { State, StateReason, LastUpdateStatus, LastUpdateStatusReason } = configuration;
  if (State === "Failed")
    throw new CliError(`the function cannot run here: ${StateReason ?? "no reason was given"}`);
  if (LastUpdateStatus === "Failed")
    throw new CliError(`the update failed: ${LastUpdateStatusReason ?? "no reason was given"}`);
  return configuration;
}
