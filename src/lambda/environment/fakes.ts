/** Test doubles for the rooms above the sandbox: a sandbox whose inside is the test itself. Used by tests only. */
import { duplexPair, PassThrough, type Duplex } from "node:stream";
import { deferred } from "../../kernel/deferred.ts";
import type { LogSink } from "../../telemetry/log-sink.ts";
import type { FunctionVersion } from "../model.ts";
import type { Sandbox, SandboxExit, Specialisation } from "../sandbox/sandbox.ts";
import { FRAME, FrameReader, writeFrame } from "./link.ts";

export interface Frame {
  readonly type: number;
  readonly body: Buffer;
}

/** A sandbox without walls or processes: `inside` is the runtime's end of the link, `exit` ends the main process. */
export class FakeSandbox implements Sandbox {
  readonly id: string;
  readonly link: Duplex;
  readonly inside: Duplex;
  readonly output = new PassThrough();
  readonly address = undefined;
  readonly frames: Frame[] = [];
  readonly calls: string[] = [];
  readonly #exited = deferred<SandboxExit>();
  /** Told each frame that the platform sends. */
  onFrame: (frame: Frame) => void = () => undefined;
  peakBytes = 36 * 1024 * 1024 - 5;

  constructor(id = "fake-1") {
    this.id = id;
    [this.link, this.inside] = duplexPair();
    const reader = new FrameReader((type, body) => {
      this.frames.push({ type, body });
      this.onFrame({ type, body });
    });
    this.inside.on("data", (chunk: Buffer) => reader.push(chunk));
    this.inside.on("error", () => undefined);
  }

  get exited(): Promise<SandboxExit> {
    return this.#exited.promise;
  }

  send(type: number, ...parts: Buffer[]): void {
    writeFrame(this.inside, type, ...parts);
  }

  log(text: string, timestampMs: number): void {
    const head = Buffer.alloc(9);
    head.writeDoubleLE(timestampMs, 0);
    this.send(FRAME.LOG, head, Buffer.from(text));
  }

  /** The main process ends: its link and its output end with it. */
  exit(exit: Partial<SandboxExit>): void {
    this.inside.end();
    this.output.end();
    this.#exited.resolve({ code: undefined, signal: undefined, outOfMemory: false, ...exit });
  }

  async specialise(_specialisation: Specialisation): Promise<void> {
    this.calls.push("specialise");
  }

  async limitCpu(): Promise<void> {
    this.calls.push("limitCpu");
  }

  async signal(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    this.calls.push(signal);
  }

  async freeze(): Promise<void> {
    this.calls.push("freeze");
  }

  async thaw(): Promise<void> {
    this.calls.push("thaw");
  }

  peakMemoryBytes(): number {
    return this.peakBytes;
  }

  async destroy(_reason: string): Promise<void> {
    if (this.calls.includes("destroy")) return;
    this.calls.push("destroy");
    this.exit({ signal: "SIGKILL" });
  }
}

/** Keeps what was logged, by stream, and can be full. */
export class MemoryLogSink implements LogSink {
  readonly messages: string[] = [];
  full = false;
  #drained = deferred();

  append(
    _group: string,
    _stream: string,
    events: readonly { timestampMs: number; message: string }[],
  ): boolean {
    if (this.full) return false;
    for (const event of events) this.messages.push(event.message);
    return true;
  }

  drained(): Promise<void> {
    return this.#drained.promise;
  }

  drain(): void {
    this.full = false;
    this.#drained.resolve();
    this.#drained = deferred();
  }
}

export function fakeVersion(overrides: Partial<FunctionVersion> = {}): FunctionVersion {
  return {
    functionArn: "arn:aws:lambda:us-east-1:000000000000:function:f",
    name: "f",
    version: "$LATEST",
    revisionId: "11111111-1111-4111-8111-111111111111",
    runtime: "nodejs24.x",
    handler: "index.handler",
    role: "arn:aws:iam::000000000000:role/lambda",
    codeSha256Hex: "ab".repeat(32),
    memoryMb: 128,
    timeoutMs: 3000,
    ephemeralStorageMb: 512,
    environment: {},
    layerSha256Hex: [],
    logging: { format: "Text", applicationLevel: "INFO", systemLevel: "INFO", group: "/aws/lambda/f" },
    tracingMode: "PassThrough",
    ...overrides,
  };
}
