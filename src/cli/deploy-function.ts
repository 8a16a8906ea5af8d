/** Creates or updates a function and waits until it can be invoked: what `deploy` and the first start do. */
import { setTimeout as pause } from "node:timers/promises";
import type { FunctionConfiguration } from "@aws-sdk/client-lambda";
import type { AwsClient } from "./aws-client.ts";
import { CliError } from "./errors.ts";
import type { FunctionShape } from "./package-function.ts";

export interface Deployment extends FunctionShape {
  readonly name: string;
  readonly zip: Buffer;
  readonly role: string;
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
    Runtime: deployment.runtime,
    Handler: deployment.handler,
    ...(deployment.memoryMb === undefined ? {} : { MemorySize: deployment.memoryMb }),
    ...(deployment.timeoutS === undefined ? {} : { Timeout: deployment.timeoutS }),
    ...(deployment.environment === undefined ? {} : { Environment: { Variables: deployment.environment } }),
  };
  const ZipFile = zip.toString("base64");
  const existing = await find(client, path);
  if (!existing) {
    await client.lambda("POST", FUNCTIONS, {
      FunctionName: name,
      Role: deployment.role,
      Code: { ZipFile },
      ...settings,
    });
    return { created: true, configuration: await settled(client, path) };
  }
  await client.lambda("PUT", `${path}/code`, { ZipFile });
  await settled(client, path);
  await client.lambda("PUT", `${path}/configuration`, settings);
  return { created: false, configuration: await settled(client, path) };
}

async function find(client: AwsClient, path: string): Promise<FunctionConfiguration | undefined> {
  try {
    return await client.lambda<FunctionConfiguration>("GET", `${path}/configuration`);
  } catch (error) {
    if (error instanceof CliError && error.message.startsWith("ResourceNotFoundException")) return undefined;
    throw error;
  }
}

/** Waits until the function is Active and its last update is done. Rejects with CliError when it has failed. */
async function settled(client: AwsClient, path: string): Promise<FunctionConfiguration> {
  const deadlineMs = performance.now() + WAIT_MS_MAX;
  for (;;) {
    const configuration = await client.lambda<FunctionConfiguration>("GET", `${path}/configuration`);
    const { State, StateReason, LastUpdateStatus, LastUpdateStatusReason } = configuration;
    if (State === "Failed")
      throw new CliError(`the function cannot run here: ${StateReason ?? "no reason was given"}`);
    if (LastUpdateStatus === "Failed")
      throw new CliError(`the update failed: ${LastUpdateStatusReason ?? "no reason was given"}`);
    if (State === "Active" && LastUpdateStatus !== "InProgress") return configuration;
    if (performance.now() > deadlineMs)
      throw new CliError(`the function is still ${State} after ${WAIT_MS_MAX / 1000} s`);
    await pause(ASK_AGAIN_MS);
  }
}
