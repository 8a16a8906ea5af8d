/** Functions for tests: deploy one, call it, look at what came back. Everything goes through AWS's own SDK. */
import assert from "node:assert/strict";
import { chmodSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import {
  CreateFunctionCommand,
  InvokeCommand,
  waitUntilFunctionActiveV2,
  type CreateFunctionCommandInput,
  type InvokeCommandInput,
  type LambdaClient,
  type Runtime,
} from "@aws-sdk/client-lambda";
import { systemClock } from "../../src/kernel/clock.ts";
import { createRuntimeCatalogue } from "../../src/lambda/runtimes/catalogue.ts";
import { RUNTIMES } from "../../src/lambda/runtimes/runtimes.ts";
import type { Logger } from "../../src/telemetry/logger.ts";
import { ROLE, zipOf } from "./server.ts";

const CACHE_DIRECTORY = join(import.meta.dirname, "..", "..", ".cache");
const CONDITION_MS_MAX = 20_000;
const ASK_AGAIN_MS = 20;

/** Fetched once for a machine: every server of every test that is started with `sharedRuntimes` uses this folder. */
export const RUNTIMES_DIRECTORY = join(CACHE_DIRECTORY, "runtimes");
export const sharedRuntimes = ["--runtimes", RUNTIMES_DIRECTORY] as const;

const silent: Logger = { debug() {}, info() {}, warn() {}, error() {}, with: () => silent };

/** The runtimes that this machine can run. Those of Node.js that it lacks are fetched, by this process. */
export async function runtimesAtHand(family: "nodejs" | "python"): Promise<Runtime[]> {
  mkdirSync(RUNTIMES_DIRECTORY, { recursive: true });
  chmodSync(CACHE_DIRECTORY, 0o755);
  const catalogue = createRuntimeCatalogue({
    cacheDirectory: RUNTIMES_DIRECTORY,
    clock: systemClock,
    logger: silent,
  });
  const ids = [...RUNTIMES.values()]
    .filter(({ id, runs }) => runs && id.startsWith(family))
    .map(({ id }) => id as Runtime);
  const found = await Promise.all(ids.map(async (id) => ({ id, found: await catalogue.find(id) })));
  return found.filter(({ found: { available } }) => available).map(({ id }) => id);
}

export interface Deployment extends Omit<CreateFunctionCommandInput, "FunctionName" | "Role" | "Code"> {
  /** The role that a new account has when left out. */
  readonly Role?: string;
  readonly files: Readonly<Record<string, string | Uint8Array>>;
}

/** Creates the function and waits until it is Active. `Handler` is index.handler unless told otherwise. */
export async function deploy(lambda: LambdaClient, name: string, deployment: Deployment): Promise<void> {
  const { files, ...settings } = deployment;
  await lambda.send(
    new CreateFunctionCommand({
      FunctionName: name,
      Role: ROLE,
      Runtime: "nodejs24.x",
      Handler: "index.handler",
      Code: { ZipFile: zipOf(files) },
      ...settings,
    }),
  );
  await waitUntilFunctionActiveV2(
    { client: lambda, maxWaitTime: 60, minDelay: 0.05, maxDelay: 0.2 },
    { FunctionName: name },
  );
}

/** One synchronous invocation as its caller sees it. */
export interface Called {
  readonly requestId: string;
  readonly functionError: string | undefined;
  readonly text: string;
  /** The answer, parsed; undefined when it is not JSON. */
  readonly body: unknown;
  /** The last 4 KB of the log. */
  readonly log: string;
}

export async function call(
  lambda: LambdaClient,
  name: string,
  event: unknown = {},
  options: Partial<InvokeCommandInput> = {},
): Promise<Called> {
  const answer = await lambda.send(
    new InvokeCommand({
      FunctionName: name,
      Payload: Buffer.from(JSON.stringify(event)),
      LogType: "Tail",
      ...options,
    }),
  );
  const text = Buffer.from(answer.Payload ?? []).toString("utf8");
  return {
    requestId: answer.$metadata.requestId ?? "",
    functionError: answer.FunctionError,
    text,
    body: parsed(text),
    log: Buffer.from(answer.LogResult ?? "", "base64").toString("utf8"),
  };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Asserts that the function failed with this answer; `{id}` in its texts stands for the request's id. */
export function assertFailed(called: Called, expected: Readonly<Record<string, unknown>>): void {
  const filled = JSON.parse(JSON.stringify(expected).replaceAll("{id}", called.requestId)) as object;
  assert.equal(called.functionError, "Unhandled", called.text);
  assert.deepEqual(called.body, filled);
}

/** Waits until the check answers something else than undefined or false. The test fails when it does not in 20 s. */
export async function eventually<T>(
  what: string,
  check: () => T | undefined | false | Promise<T | undefined | false>,
): Promise<T> {
  const deadlineMs = performance.now() + CONDITION_MS_MAX;
  for (;;) {
    const answer = await check();
    if (answer !== undefined && answer !== false) return answer;
    assert(performance.now() < deadlineMs, `${what}: not within ${CONDITION_MS_MAX} ms`);
    await pause(ASK_AGAIN_MS);
  }
}
