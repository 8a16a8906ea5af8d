/**
 * The fast link: length-framed messages between the platform and our own runtimes (runtimes/), over a unix stream
 * socket that the runtime's process inherits as file descriptor 3. Same contract as the HTTP Runtime API, without HTTP.
 *
 * A frame is: u32 little-endian length of what follows, u8 type, body.
 *
 * platform → runtime
 *   1 SPECIALISE  JSON {environment, handler, taskRoot, layersRoot?, artefacts?}: set these variables, then load the handler.
 *                 Once, first.
 *                 `artefacts` is the folder with what was made of the code at publish.
 *   2 INVOKE      u32 LE length of head, head as JSON {requestId, deadlineMs, invokedFunctionArn, traceHeader,
 *                 clientContext?, cognitoIdentity?, tenantId?}, then the event's bytes.
 *   3 HOLD        36 bytes request id: no more of its streamed answer for now. Only where several invocations run at a time.
 *   4 RELEASE     36 bytes request id: on with it.
 * runtime → platform
 *   16 BOOTED     JSON {version}: the generic runtime waits for SPECIALISE.
 *   17 READY      no body: the handler is loaded; INVOKE may come.
 *   18 INIT_ERROR JSON {errorMessage, errorType, stackTrace}: the handler could not be loaded. The process exits after it.
 *   19 RESPONSE   36 bytes request id, then the answer's bytes (JSON).
 *   20 ERROR      36 bytes request id, then JSON {errorMessage, errorType, stackTrace, …}.
 *   21 LOG        f64 LE milliseconds since the epoch, u8 level (0 none, 1 TRACE … 6 FATAL), UTF-8 text without a final newline.
 *                 One frame is one log event, newlines and all. Frames are in the order in which the function logged.
 *   22 STREAM     36 bytes request id, then a chunk of a streamed answer. The first one may be empty.
 *   23 STREAM_END 36 bytes request id, then nothing, or JSON {errorMessage, errorType, stackTrace} when the stream broke.
 *   24 STREAM_TYPE 36 bytes request id, then the content type; before the first STREAM.
 *   25 FATAL      As ERROR, and the process exits after it: no INVOKE may follow.
 *
 * Programs that make artefacts at publish have the link to send them
 *   32 FILE       u16 LE length of the name, the name, then content: what has come of that file goes on with it.
 *   33 PREPARED   no body: that was all; the process exits.
 *   34 NOT_PREPARED UTF-8 reason: nothing of what was sent shall be used.
 *
 * A runtime writes each frame whole before another one starts. LOG before RESPONSE arrives before it: a log line written
 * before the answer belongs to that invocation. The next INVOKE comes only after RESPONSE, ERROR or STREAM_END; where the
 * variable AWS_LAMBDA_MAX_CONCURRENCY says so, that many run at a time, and their frames come in any order.
 */
import type { Duplex } from "node:stream";
import { ByteCollector } from "../../kernel/byte-collector.ts";
import { LINK_FRAME_BYTES_MAX } from "../../limits.ts";

export const FRAME = {
  SPECIALISE: 1,
  INVOKE: 2,
  HOLD: 3,
  RELEASE: 4,
  BOOTED: 16,
  READY: 17,
  INIT_ERROR: 18,
  RESPONSE: 19,
  ERROR: 20,
  LOG: 21,
  STREAM: 22,
  STREAM_END: 23,
  STREAM_TYPE: 24,
  FATAL: 25,
  FILE: 32,
  PREPARED: 33,
  NOT_PREPARED: 34,
} as const;

const HEADER_BYTES = 5;
export const REQUEST_ID_BYTES = 36;

/** A frame that cannot be: the runtime's process is broken or hostile; its environment must go. */
export class LinkError extends Error {
  override readonly name = "LinkError";
}

export function writeFrame(link: Duplex, type: number, ...parts: readonly Buffer[]): boolean {
  let length = 1;
  for (const part of parts) length += part.length;
  const header = Buffer.allocUnsafe(HEADER_BYTES);
  header.writeUInt32LE(length, 0);
  header[4] = type;
  if (length < 16_384) return link.write(Buffer.concat([header, ...parts], HEADER_BYTES - 1 + length));
  link.cork();
  link.write(header);
  let flowing = true;
  for (const part of parts) flowing = link.write(part);
  link.uncork();
  return flowing;
}

/** Calls back once per whole frame; the body is a view that the callee may keep. Throws LinkError on a bad length. */
export class FrameReader {
  /** The beginning of a frame whose end has not come. */
  readonly #pending = new ByteCollector();
  /** Bytes that the pending frame needs, as far as its header tells. */
  #wantedBytes = HEADER_BYTES;
  readonly #onFrame: (type: number, body: Buffer) => void;

  constructor(onFrame: (type: number, body: Buffer) => void) {
    this.#onFrame = onFrame;
  }

  push(chunk: Buffer): void {
    let data = chunk;
    if (this.#pending.length > 0) {
      this.#pending.append(chunk, this.#wantedBytes);
      if (this.#pending.length < this.#wantedBytes) return;
      data = this.#pending.take();
    }
    let at = 0;
    this.#wantedBytes = HEADER_BYTES;
    while (data.length - at >= HEADER_BYTES) {
      const length = data.readUInt32LE(at);
      if (length < 1 || length > LINK_FRAME_BYTES_MAX) throw new LinkError(`a frame of ${length} bytes`);
      if (data.length - at < 4 + length) {
        this.#wantedBytes = 4 + length;
        break;
      }
      this.#onFrame(data[at + 4] ?? 0, data.subarray(at + HEADER_BYTES, at + 4 + length));
      at += 4 + length;
    }
    if (at < data.length) this.#pending.append(data.subarray(at), this.#wantedBytes);
  }
}
