/** Drives a runtime of runtimes/ as the platform does: a plain child process with the fast link on file descriptor 3. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { Duplex, Readable } from "node:stream";
import { FRAME, FrameReader, REQUEST_ID_BYTES, writeFrame } from "../../src/lambda/environment/link.ts";

export interface LogEvent {
  timeMs: number;
  level: number;
  text: string;
}

export interface Answer {
  type: number;
  requestId: string;
  /** The body after the request id. */
  body: Buffer;
  /** Chunks of a streamed answer that came before. */
  chunks: Buffer[];
  contentType: string | undefined;
  logs: LogEvent[];
}

interface Frame {
  type: number;
  body: Buffer;
}

/** How long a test waits for a frame before it fails: far beyond what a loaded machine needs. */
const PATIENCE_MS = 20_000;

export class RuntimeProcess {
  readonly child: ChildProcess;
  readonly link: Duplex;
  readonly exited: Promise<{ code: number | null; signal: string | null }>;
  stdout = "";
  stderr = "";
  #frames: Frame[] = [];
  #wake = () => {};
  #ended = false;
  #sequence = 0;

  constructor(command: readonly string[], environment: Record<string, string> = {}) {
    const [program, ...args] = command;
    if (program === undefined) throw new Error("an empty command");
    this.child = spawn(program, args, { env: environment, stdio: ["ignore", "pipe", "pipe", "pipe"] });
    this.link = this.child.stdio[3] as Duplex;
    const reader = new FrameReader((type, body) => {
      this.#frames.push({ type, body: Buffer.from(body) });
      this.#wake();
    });
    this.link.on("data", (chunk: Buffer) => reader.push(chunk));
    // A runtime that exits resets the link when it had bytes unread.
    this.link.on("error", () => {});
    this.child.stdout?.on("data", (chunk: Buffer) => (this.stdout += chunk.toString()));
    this.child.stderr?.on("data", (chunk: Buffer) => (this.stderr += chunk.toString()));
    this.exited = once(this.child, "close").then(([code, signal]) => {
      this.#ended = true;
      this.#wake();
      return { code: code as number | null, signal: signal as string | null };
    });
  }

  /** The next frame; undefined when the process ended without another one. */
  async frame(): Promise<Frame | undefined> {
    const deadline = new AbortController();
    const timer = setTimeout(() => deadline.abort(), PATIENCE_MS);
    try {
      for (;;) {
        const next = this.#frames.shift();
        if (next) return next;
        if (this.#ended) return undefined;
        if (deadline.signal.aborted) throw new Error(`no frame came; stderr: ${this.stderr}`);
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
          deadline.signal.addEventListener("abort", () => resolve(), { once: true });
        });
      }
    } finally {
      clearTimeout(timer);
    }
  }

  /** Waits for BOOTED, specialises; resolves with READY or INIT_ERROR (or undefined: it exited) and the logs before it. */
  async start(
    taskRoot: string,
    handler: string,
    environment: Record<string, string> = {},
    places: { readonly layersRoot?: string; readonly artefacts?: string } = {},
  ): Promise<{ type: number | undefined; body: Buffer; logs: LogEvent[] }> {
    const booted = await this.frame();
    if (booted?.type !== FRAME.BOOTED) throw new Error(`not booted: ${booted?.type} ${this.stderr}`);
    const message = { environment: { ...FUNCTION_VARIABLES, ...environment }, handler, taskRoot, ...places };
    writeFrame(this.link, FRAME.SPECIALISE, Buffer.from(JSON.stringify(message)));
    const logs: LogEvent[] = [];
    for (;;) {
      const frame = await this.frame();
      if (frame?.type === FRAME.LOG) logs.push(toLogEvent(frame.body));
      else return { type: frame?.type, body: frame?.body ?? Buffer.alloc(0), logs };
    }
  }

  send(event: unknown, head: Record<string, unknown> = {}): string {
    this.#sequence += 1;
    const requestId = `00000000-0000-4000-8000-${String(this.#sequence).padStart(12, "0")}`;
    const headBytes = Buffer.from(
      JSON.stringify({
        requestId,
        deadlineMs: Date.now() + 30_000,
        invokedFunctionArn: "arn:aws:lambda:us-east-1:123456789012:function:f",
        traceHeader: "Root=1-65500000-000000000000000000000001;Parent=0000000000000001;Sampled=0",
        ...head,
      }),
    );
    const size = Buffer.alloc(4);
    size.writeUInt32LE(headBytes.length);
    const payload = Buffer.isBuffer(event) ? event : Buffer.from(JSON.stringify(event));
    writeFrame(this.link, FRAME.INVOKE, size, headBytes, payload);
    return requestId;
  }

  /** One invocation; undefined when the process ended without an answer. */
  async invoke(event: unknown, head: Record<string, unknown> = {}): Promise<Answer | undefined> {
    this.send(event, head);
    return this.answer();
  }

  async answer(): Promise<Answer | undefined> {
    const logs: LogEvent[] = [];
    const chunks: Buffer[] = [];
    let contentType: string | undefined;
    for (;;) {
      const frame = await this.frame();
      if (frame === undefined) return undefined;
      const { type } = frame;
      if (type === FRAME.LOG) {
        logs.push(toLogEvent(frame.body));
        continue;
      }
      const requestId = frame.body.toString("latin1", 0, REQUEST_ID_BYTES);
      const body = frame.body.subarray(REQUEST_ID_BYTES);
      if (type === FRAME.STREAM) chunks.push(body);
      else if (type === FRAME.STREAM_TYPE) contentType = body.toString();
      else return { type, requestId, body, chunks, contentType, logs };
    }
  }

  /** Resolves when standard error has this in it; the test's own time limit is the limit. */
  async stderrShows(text: string): Promise<void> {
    while (!this.stderr.includes(text)) {
      if (this.#ended) throw new Error(`the process ended without it; stderr: ${this.stderr}`);
      await Promise.race([once(this.child.stderr as Readable, "data"), this.exited]);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.child.kill("SIGKILL");
    await this.exited;
  }
}

export const FUNCTION_VARIABLES = {
  AWS_LAMBDA_FUNCTION_NAME: "f",
  AWS_LAMBDA_FUNCTION_VERSION: "$LATEST",
  AWS_LAMBDA_FUNCTION_MEMORY_SIZE: "128",
  AWS_LAMBDA_LOG_GROUP_NAME: "/aws/lambda/f",
  AWS_LAMBDA_LOG_STREAM_NAME: "2026/11/23/[$LATEST]0123456789abcdef0123456789abcdef",
};

function toLogEvent(body: Buffer): LogEvent {
  return { timeMs: body.readDoubleLE(0), level: body[8] ?? -1, text: body.toString("utf8", 9) };
}

export const parse = (answer: { body: Buffer } | undefined): Record<string, unknown> => {
  if (answer === undefined) throw new Error("the runtime ended without an answer");
  return JSON.parse(answer.body.toString()) as Record<string, unknown>;
};

/** A temporary folder with these files; removed when disposed. */
export function folderWith(files: Record<string, string>): { path: string; [Symbol.dispose](): void } {
  const path = mkdtempSync(join(tmpdir(), "hornero-runtime-"));
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(path, name)), { recursive: true });
    writeFileSync(join(path, name), text);
  }
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}
