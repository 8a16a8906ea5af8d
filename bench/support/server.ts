/** The servers that are measured: Hornero, and the floor of every request, a bare node:http echo. */
import { fork, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import type { ServerFile } from "../../src/cli/server-file.ts";
import { Connection, type Endpoint } from "./client.ts";
import { LOOP_DELAY_FLAGS, takeLoopDelayMs } from "./loop-delay-reader.ts";
import { SCRUBBED } from "./processes.ts";

const ROOT = join(import.meta.dirname, "..", "..");
const READY_MS_MAX = 30_000;
const STOP_MS_MAX = 20_000;
const ASK_AGAIN_MS = 2;
const HEALTH = "GET /_hornero/health HTTP/1.1\r\nhost: bench\r\n\r\n";

/** How `npm start` runs a server: V8 and malloc take these at their start only. */
interface Launcher {
  readonly SERVER_FLAGS: readonly string[];
  readonly SERVER_VARIABLES: Readonly<Record<string, string>>;
}

/** Makes what `npm start` runs from what is in src/. */
interface Compiler {
  readonly compiledFile: (source: string) => string;
}

export interface ServerOptions {
  readonly driver: string;
  /** Sandboxes that wait per kind; 0 switches the pool off. */
  readonly pool: number;
  /** As the command line takes it. */
  readonly keepAlive?: string;
  /** Further options of `hornero start`. */
  readonly args?: readonly string[];
  /** Flags for the server's own node, such as --cpu-prof. */
  readonly nodeOptions?: readonly string[];
}

export interface BenchServer {
  readonly endpoint: Endpoint;
  readonly pid: number;
  /** From spawn to the first answer of the health route. */
  readonly readyMs: number;
  /** The longest delay of its event loop since this was last asked; only with LOOP_DELAY_FLAGS. */
  takeLoopDelayMs?(): Promise<number>;
  /** Ends the server and removes its data. */
  close(): Promise<void>;
}

/** Starts a server with a new data folder. Rejects with what it said when it ends or is not ready in 30 s. */
export async function startServer({
  driver,
  pool,
  keepAlive = "auto",
  args = [],
  nodeOptions = [],
}: ServerOptions): Promise<BenchServer> {
  const dataDirectory = await mkdtemp(join(tmpdir(), "hornero-bench-"));
  const port = await freePort();
  const launcher = (await import(join(ROOT, "scripts/run.mjs"))) as Launcher;
  const { compiledFile } = (await import(join(ROOT, "scripts/compile.mjs"))) as Compiler;
  const program = join(ROOT, compiledFile("src/cli/main.ts"));
  const startMs = performance.now();
  const child = spawn(
    process.execPath,
    [
      ...launcher.SERVER_FLAGS,
      ...nodeOptions,
      program,
      "--data",
      dataDirectory,
      "start",
      ...[
        "--port",
        String(port),
        "--driver",
        driver,
        "--keep-alive",
        keepAlive,
        "--pool",
        String(pool),
        "--drain",
        "1",
        // Ten a second for each of a thousand, as on AWS, are about what this machine can do.
        "--request-rate",
        "1000",
        "--log-level",
        "error",
        ...args,
      ],
    ],
    {
      env: { ...SCRUBBED, ...launcher.SERVER_VARIABLES, HOME: dataDirectory },
      stdio: ["ignore", "ignore", "pipe"],
    },
  );
  let said = "";
  child.stderr.on("data", (chunk: Buffer) => {
    said = (said + chunk.toString("utf8")).slice(-4096);
  });
  const close = async () => {
    await end(child);
    await rm(dataDirectory, { recursive: true, force: true });
  };
  try {
    await untilHealthy(port, child, () => said);
    const readyMs = performance.now() - startMs;
    const { region, accessKeyId, secretAccessKey, pid } = await readServerFile(dataDirectory);
    const endpoint = { host: "127.0.0.1", port, region, accessKeyId, secretAccessKey };
    const takeDelay = () => takeLoopDelayMs({ pid, home: dataDirectory });
    const isWatched = LOOP_DELAY_FLAGS.every((flag) => nodeOptions.includes(flag));
    return { endpoint, pid, readyMs, close, ...(isWatched ? { takeLoopDelayMs: takeDelay } : {}) };
  } catch (error) {
    await close();
    throw error;
  }
}

async function untilHealthy(port: number, child: ChildProcess, said: () => string): Promise<void> {
  const deadlineMs = performance.now() + READY_MS_MAX;
  for (;;) {
    if (child.exitCode !== null) throw new Error(`the server ended with ${child.exitCode}: ${said()}`);
    if (performance.now() > deadlineMs) throw new Error(`the server is not ready: ${said()}`);
    if (await isHealthy(port)) return;
    await pause(ASK_AGAIN_MS);
  }
}

async function isHealthy(port: number): Promise<boolean> {
  let connection: Connection | undefined;
  try {
    connection = await Connection.open({ host: "127.0.0.1", port });
    return (await connection.exchange(HEALTH)).status === 200;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ECONNREFUSED") return false;
    throw error;
  } finally {
    connection?.close();
  }
}

/** Written right after the server began to listen. */
async function readServerFile(dataDirectory: string): Promise<ServerFile> {
  const deadlineMs = performance.now() + READY_MS_MAX;
  for (;;) {
    try {
      return JSON.parse(await readFile(join(dataDirectory, "server.json"), "utf8")) as ServerFile;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT" || performance.now() > deadlineMs) throw error;
    }
    await pause(ASK_AGAIN_MS);
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), STOP_MS_MAX);
  await exited;
  clearTimeout(timer);
}

/** The sandboxes' network needs to know the port ahead, so the server itself cannot be asked to choose one. */
async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as net.AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

/** A bare node:http echo in its own process; it gets the same bytes as Hornero, signature and all. */
export async function startEcho(): Promise<{ readonly endpoint: Endpoint; close(): Promise<void> }> {
  const child = fork(join(import.meta.dirname, "echo-process.ts"), {
    env: SCRUBBED,
    execArgv: [],
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  });
  const [port] = (await once(child, "message")) as [number];
  return {
    endpoint: { host: "127.0.0.1", port, region: "us-east-1", accessKeyId: "echo", secretAccessKey: "echo" },
    close: () => end(child),
  };
}
