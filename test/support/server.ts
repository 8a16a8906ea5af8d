/**
 * A real server for tests: the real command line on a port of its own with a data folder of its own, and a stop that
 * fails the test when something is left behind.
 */
import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { chownSync, existsSync, globSync, mkdtempSync, readFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { CreateRoleCommand, IAMClient, PutRolePolicyCommand } from "@aws-sdk/client-iam";
import { LambdaClient } from "@aws-sdk/client-lambda";
import { CloudWatchLogsClient } from "@aws-sdk/client-cloudwatch-logs";
import { zipSync } from "fflate";
import { trustPolicy } from "../../src/iam/first-start.ts";
import { readServerFile, type ServerFile } from "../../src/cli/server-file.ts";

const ROOT = join(import.meta.dirname, "..", "..");
const READY_MS_MAX = 30_000;
const ASK_AGAIN_MS = 20;

/** The role that a new account has: functions may write their logs with it, and nothing else. */
export const ROLE = "arn:aws:iam::000000000000:role/lambda";

export interface TestServerOptions {
  /** Options of `hornero start` beside --port 0. */
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** A data folder that the caller keeps; otherwise one is made, and removed by `stop`. */
  readonly dataDirectory?: string;
  /** Runs the server as this user, a plain one. */
  readonly uid?: number;
}

export interface TestServer {
  readonly endpoint: string;
  readonly port: number;
  readonly dataDirectory: string;
  readonly file: ServerFile;
  readonly pid: number;
  stderr(): string;
  stdout(): string;
  lambda(): LambdaClient;
  logs(): CloudWatchLogsClient;
  /** Variables that point AWS's own tools at this server. */
  environment(): Record<string, string>;
  /** SIGTERM; asserts a clean end and that nothing is left. */
  stop(): Promise<void>;
  /** Sends a signal and waits for the end; the data folder stays. */
  kill(signal: NodeJS.Signals): Promise<void>;
}

export async function startTestServer(options: TestServerOptions = {}): Promise<TestServer> {
  const own = options.dataDirectory === undefined;
  const dataDirectory = options.dataDirectory ?? mkdtempSync(join(tmpdir(), "hornero-test-"));
  // A plain user must own its folder; a server that starts as root sees to it itself.
  if (own && options.uid !== undefined) chownSync(dataDirectory, options.uid, options.uid);
  const before = readServerFile(dataDirectory)?.pid;
  const child = launch(dataDirectory, options);
  let [stdout, stderr] = ["", ""];
  child.stdout?.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr?.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  const ended = once(child, "exit") as Promise<[number | null, NodeJS.Signals | null]>;
  const file = await ready(child, dataDirectory, before, () => stderr);
  const region = file.region;
  const credentials = { accessKeyId: file.accessKeyId, secretAccessKey: file.secretAccessKey };
  const { endpoint } = file;
  const clients: { destroy(): void }[] = [];
  const keep = <T extends { destroy(): void }>(client: T): T => {
    clients.push(client);
    return client;
  };
  const finish = async () => {
    for (const client of clients.splice(0)) client.destroy();
    if (own) await rm(dataDirectory, { recursive: true, force: true });
  };
  return {
    endpoint,
    port: Number(new URL(endpoint).port),
    dataDirectory,
    file,
    pid: file.pid,
    stderr: () => stderr,
    stdout: () => stdout,
    lambda: () => keep(new LambdaClient({ endpoint, region, credentials, maxAttempts: 1 })),
    logs: () => keep(new CloudWatchLogsClient({ endpoint, region, credentials, maxAttempts: 1 })),
    environment: () => ({
      AWS_ENDPOINT_URL: endpoint,
      AWS_ACCESS_KEY_ID: file.accessKeyId,
      AWS_SECRET_ACCESS_KEY: file.secretAccessKey,
      AWS_REGION: region,
      AWS_DEFAULT_REGION: region,
    }),
    async stop() {
      for (const client of clients.splice(0)) client.destroy();
      child.kill("SIGTERM");
      const [code, signal] = await ended;
      assert.deepEqual({ code, signal }, { code: 0, signal: null }, `the server ended badly: ${stderr}`);
      await nothingLeft(dataDirectory);
      await finish();
    },
    async kill(signal) {
      child.kill(signal);
      await ended;
      for (const client of clients.splice(0)) client.destroy();
    },
  };
}

function launch(dataDirectory: string, { args = [], env = {}, uid }: TestServerOptions): ChildProcess {
  const command = [
    join(ROOT, "src", "cli", "main.ts"),
    "--data",
    dataDirectory,
    "start",
    "--port",
    "0",
    ...args,
  ];
  const user = uid === undefined ? [] : ["--reuid", String(uid), "--regid", String(uid), "--clear-groups"];
  const program = uid === undefined ? process.execPath : "setpriv";
  const rest = uid === undefined ? command : [...user, process.execPath, ...command];
  return spawn(program, rest, {
    env: { PATH: process.env["PATH"], HOME: process.env["HOME"], ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
}

async function ready(
  child: ChildProcess,
  dataDirectory: string,
  before: number | undefined,
  stderr: () => string,
): Promise<ServerFile> {
  const deadlineMs = performance.now() + READY_MS_MAX;
  for (;;) {
    const file = readServerFile(dataDirectory);
    if (file && file.pid !== before && file.pid === child.pid) return file;
    if (child.exitCode !== null || child.signalCode !== null)
      throw new Error(`the server did not start: ${stderr()}`);
    if (performance.now() > deadlineMs) {
      child.kill("SIGKILL");
      throw new Error(`the server was not ready in ${READY_MS_MAX} ms: ${stderr()}`);
    }
    await pause(ASK_AGAIN_MS);
  }
}

/** Waits until no process names the data folder and no control group of it is left; fails when something stays. */
export async function nothingLeft(dataDirectory: string): Promise<void> {
  const deadlineMs = performance.now() + 10_000;
  for (;;) {
    const left = processesOf(dataDirectory);
    if (left.length === 0) return;
    if (performance.now() > deadlineMs) assert.deepEqual(left, [], "processes are left");
    await pause(ASK_AGAIN_MS);
  }
}

function processesOf(dataDirectory: string): string[] {
  const found: string[] = [];
  for (const path of globSync("/proc/[0-9]*/cmdline")) {
    try {
      const line = readFileSync(path, "latin1").replaceAll("\0", " ");
      if (line.includes(dataDirectory) && !path.includes(`/${process.pid}/`)) found.push(line);
    } catch {
      // It has ended meanwhile.
    }
  }
  return found;
}

/** Makes a role that Lambda may assume, with one inline policy where a document is given. Answers its ARN. */
export async function createRole(
  { endpoint, file }: Pick<TestServer, "endpoint" | "file">,
  name: string,
  document?: object,
): Promise<string> {
  const { accessKeyId, secretAccessKey, region } = file;
  const client = new IAMClient({
    endpoint,
    region,
    credentials: { accessKeyId, secretAccessKey },
    maxAttempts: 1,
  });
  try {
    const trust = trustPolicy("lambda.amazonaws.com");
    const { Role } = await client.send(
      new CreateRoleCommand({ RoleName: name, AssumeRolePolicyDocument: trust }),
    );
    if (document !== undefined) {
      const PolicyDocument = JSON.stringify(document);
      await client.send(new PutRolePolicyCommand({ RoleName: name, PolicyName: "inline", PolicyDocument }));
    }
    return Role?.Arn ?? "";
  } finally {
    client.destroy();
  }
}

/** A deployment package; a name that ends in `bootstrap` is executable. */
export function zipOf(files: Readonly<Record<string, string | Uint8Array>>): Uint8Array {
  const UNIX = 3;
  const entries = Object.entries(files).map(([name, content]) => {
    const mode = name.endsWith("bootstrap") ? 0o100_755 : 0o100_644;
    const data = typeof content === "string" ? Buffer.from(content) : content;
    return [name, [data, { os: UNIX, attrs: (mode << 16) >>> 0 }]] as const;
  });
  return zipSync(Object.fromEntries(entries) as Parameters<typeof zipSync>[0]);
}

/** Whether AWS's own tools were installed for the tests: their folder, or the reason to skip. */
export function awsTools(): { folder: string } | { reason: string } {
  const folder = process.env["HORNERO_TEST_AWS_TOOLS"];
  if (folder !== undefined && existsSync(join(folder, "aws"))) return { folder };
  return { reason: "HORNERO_TEST_AWS_TOOLS names no folder with the AWS CLI (npm test installs one)" };
}
