/**
 * Runs a program that makes artefacts of a function's code, in a sandbox of its own, and takes in what it sends. The
 * program is ours but what it reads is not: everything it sends is bounded and checked.
 */
import type { Readable } from "node:stream";
import type { Clock } from "../../kernel/clock.ts";
import { coerceError } from "../../kernel/deferred.ts";
import { FRAME, FrameReader, LinkError } from "../environment/link.ts";
import type { LogEvent } from "../../telemetry/log-sink.ts";
import type { SandboxDriver, SandboxSpec } from "../sandbox/sandbox.ts";
import { isArtefactPath, type ArtefactFiles } from "./artefact-folders.ts";

/** Ours: many times a snapshot, or the cache of the largest code that is compiled. */
const ARTEFACT_BYTES_MAX = 256 * 1024 * 1024;
const ARTEFACT_FILES_MAX = 8192;
const LOG_HEAD_BYTES = 9;
/** The end of what the program wrote, told when it fails. */
const OUTPUT_CHARS_MAX = 4096;

export interface BuildOptions {
  readonly driver: SandboxDriver;
  readonly clock: Clock;
  readonly spec: SandboxSpec;
  readonly timeoutMs: number;
}

export type BuildOutcome =
  | { readonly made: true; readonly files: ArtefactFiles; readonly log: readonly LogEvent[] }
  /** `output` is the end of what the program wrote to stdout and stderr. */
  | {
      readonly made: false;
      readonly reason: string;
      readonly output: string;
      readonly log: readonly LogEvent[];
    };

/** Rejects with SandboxError when the sandbox could not be made; whatever happens inside is an outcome. */
export async function build({ driver, clock, spec, timeoutMs }: BuildOptions): Promise<BuildOutcome> {
  const sandbox = await driver.create(spec);
  const { promise: timedOut, resolve: timeOut } = Promise.withResolvers<string>();
  const cancel = clock.after(timeoutMs, () => timeOut(`it took more than ${timeoutMs} ms`));
  const output = tailOf(sandbox.output);
  try {
    const files = new Map<string, Buffer[]>();
    const log: LogEvent[] = [];
    const { link } = sandbox;
    if (!link) throw new Error("the sandbox driver gave no fast link");
    const told = takeIn(link, files, log);
    const ended = sandbox.exited.then(async ({ code, signal, outOfMemory }) => {
      // What was sent before the end is still to be read.
      await told.ended;
      return outOfMemory ? "it ran out of memory" : `it ended with ${signal ?? `status ${code}`}`;
    });
    const reason = await Promise.race([told.verdict, ended, timedOut]);
    return reason === undefined ? { made: true, files, log } : { made: false, reason, output: output(), log };
  } finally {
    cancel();
    await sandbox.destroy("its artefacts are made");
  }
}

/** Fills `files`. `verdict` resolves with undefined when all of them have come, or with why not. */
function takeIn(
  link: NonNullable<Awaited<ReturnType<SandboxDriver["create"]>>["link"]>,
  files: Map<string, Buffer[]>,
  log: LogEvent[],
): { verdict: Promise<string | undefined>; ended: Promise<void> } {
  const verdict = Promise.withResolvers<string | undefined>();
  const ended = Promise.withResolvers<void>();
  let bytes = 0;
  const reader = new FrameReader((type, body) => {
    if (type === FRAME.PREPARED) return verdict.resolve(undefined);
    if (type === FRAME.NOT_PREPARED) return verdict.resolve(body.toString("utf8", 0, OUTPUT_CHARS_MAX));
    if (type === FRAME.LOG && body.length >= LOG_HEAD_BYTES) {
      const event = { timestampMs: body.readDoubleLE(0), message: body.toString("utf8", LOG_HEAD_BYTES) };
      bytes += body.length;
      if (bytes > ARTEFACT_BYTES_MAX) throw new LinkError("the log is too long");
      log.push(event);
      return;
    }
    if (type !== FRAME.FILE || body.length < 2) throw new LinkError(`a frame of unknown type ${type}`);
    bytes += body.length;
    const contentAt = 2 + body.readUInt16LE(0);
    const name = body.toString("utf8", 2, contentAt);
    if (!isArtefactPath(name)) throw new LinkError(`a file with the name ${JSON.stringify(name)}`);
    const pieces = files.get(name);
    if (bytes > ARTEFACT_BYTES_MAX || (!pieces && files.size >= ARTEFACT_FILES_MAX))
      throw new LinkError("the artefacts are too large");
    if (pieces) pieces.push(body.subarray(contentAt));
    else files.set(name, [body.subarray(contentAt)]);
  });
  link.on("data", (chunk: Buffer) => {
    try {
      reader.push(chunk);
    } catch (error) {
      verdict.resolve(coerceError(error).message);
      link.destroy();
    }
  });
  // The end of the link is the end of the process, which the sandbox reports with its reason.
  link.on("error", () => undefined);
  link.on("end", () => ended.resolve());
  link.on("close", () => ended.resolve());
  return { verdict: verdict.promise, ended: ended.promise };
}

function tailOf(output: Readable): () => string {
  let tail = "";
  output.on("data", (chunk: Buffer) => {
    tail = (tail + chunk.toString("utf8")).slice(-OUTPUT_CHARS_MAX);
  });
  output.on("error", () => undefined);
  return () => tail;
}
