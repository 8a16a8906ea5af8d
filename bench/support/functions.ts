/** The functions that are measured: their source, their zip, and how they come and go. */
import { setTimeout as pause } from "node:timers/promises";
import { strToU8, zipSync } from "fflate";
import { call, type Endpoint } from "./client.ts";

export type Kind = "node-echo" | "node-slow" | "node-cold" | "python-cold";

/**
 * The memory size that has one whole CPU: with less, CPU limits would be measured.
 * Cold functions tell when their process began, when their module ran and when the handler was called, in milliseconds
 * since the epoch: the waterfall. They do not share code, so that no cache knows them.
 */
const MEMORY_MB = 1769;
const SOURCES: Record<Kind, { runtime: string; handler: string; file: string; source: string }> = {
  "node-echo": {
    runtime: "nodejs24.x",
    handler: "index.handler",
    file: "index.mjs",
    source: "export const handler = async (event) => event;\n",
  },
  "node-slow": {
    runtime: "nodejs24.x",
    handler: "index.handler",
    file: "index.mjs",
    source: "export const handler = () => new Promise((resolve) => setTimeout(resolve, 25_000));\n",
  },
  "node-cold": {
    runtime: "nodejs24.x",
    handler: "index.handler",
    file: "index.mjs",
    source: `const nowMs = () => performance.timeOrigin + performance.now();
const loadedMs = nowMs();
export const handler = async (event) =>
  ({ ...event, processMs: performance.timeOrigin, loadedMs, calledMs: nowMs() });
`,
  },
  "python-cold": {
    runtime: "python3.11",
    handler: "index.handler",
    file: "index.py",
    source: `import time
loaded_ms = time.time() * 1000
def handler(event, context):
    return {**event, "loadedMs": loaded_ms, "calledMs": time.time() * 1000}
`,
  },
};
const ACTIVE_MS_MAX = 30_000;
const ASK_AGAIN_MS = 10;
const FUNCTIONS = "/2015-03-31/functions";

/** Creates a function and waits until it can be invoked. Rejects with the server's words. */
export async function createFunction(
  endpoint: Endpoint,
  kind: Kind,
  name: string,
  runtimeId?: string,
  memoryMb = MEMORY_MB,
): Promise<void> {
  const { runtime, handler, file, source } = SOURCES[kind];
  const comment = `${kind.startsWith("python") ? "#" : "//"} ${name}\n`;
  const zip = zipSync({ [file]: strToU8(source + comment) });
  await call(endpoint, "POST", FUNCTIONS, {
    FunctionName: name,
    Role: "arn:aws:iam::000000000000:role/lambda",
    Runtime: runtimeId ?? runtime,
    Handler: handler,
    MemorySize: memoryMb,
    Timeout: 30,
    Code: { ZipFile: Buffer.from(zip).toString("base64") },
  });
  const deadlineMs = performance.now() + ACTIVE_MS_MAX;
  for (;;) {
    const { State, StateReason } = await call(endpoint, "GET", `${FUNCTIONS}/${name}/configuration`);
    if (State === "Active" || State === undefined) return;
    if (State === "Failed" || performance.now() > deadlineMs)
      throw new Error(`function ${name}: ${JSON.stringify({ State, StateReason })}`);
    await pause(ASK_AGAIN_MS);
  }
}

export async function deleteFunction(endpoint: Endpoint, name: string): Promise<void> {
  await call(endpoint, "DELETE", `${FUNCTIONS}/${name}`);
}

let lastName = 0;
/** Function names that nobody has used. */
export function newNames(count: number): string[] {
  return Array.from({ length: count }, () => `bench-${process.pid}-${(lastName += 1)}`);
}
