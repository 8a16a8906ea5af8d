/** Collects request bodies, each within its own limit, all together within one. */
import type { IncomingMessage } from "node:http";
import { AwsError } from "../errors.ts";
import { ByteCollector } from "../kernel/byte-collector.ts";
import { REQUEST_BODIES_BYTES_MAX } from "../limits.ts";

const EMPTY = Buffer.alloc(0);
/** Bodies whose length is told and is not more have their memory at once; larger ones as they come. Ours: an event fits. */
const ALLOCATED_AT_ONCE_BYTES_MAX = 8 * 1024 * 1024;
/** HTTP/2 has no watch of its own over bodies that come slowly. */
const HTTP2_STALL_MS = 60_000;

/** How a body ended: all of it, or why not; one call, once, and none for a client that went away. */
export interface BodyReceiver {
  /** Before that: the body is wanted, and has to be waited for. */
  onAwait(): void;
  onBody(body: Buffer): void;
  onBodyTooLarge(): void;
  onBodyRefused(error: AwsError): void;
}

export class BodyReader {
  /** Bytes of bodies that are not complete yet, of all requests. */
  #pendingBytes = 0;
  readonly #pendingBytesMax: number;

  constructor(pendingBytesMax = REQUEST_BODIES_BYTES_MAX) {
    this.#pendingBytesMax = pendingBytesMax;
  }

  /** Calls the receiver; before this call returns when there is no body to wait for. */
  read(request: IncomingMessage, bytesMax: number, receiver: BodyReceiver): void {
    const { headers } = request;
    const declared = headers["content-length"];
    const length = declared === undefined ? undefined : Number(declared);
    const mayBeEmpty = length === 0 || (length === undefined && headers["transfer-encoding"] === undefined);
    if (mayBeEmpty && (request.httpVersionMajor < 2 || length === 0)) {
      receiver.onBody(EMPTY);
      return;
    }
    if (length !== undefined && length > bytesMax) {
      receiver.onBodyTooLarge();
      return;
    }
    receiver.onAwait();
    this.#collect(request, length, bytesMax, receiver);
  }

  #collect(
    request: IncomingMessage,
    length: number | undefined,
    bytesMax: number,
    receiver: BodyReceiver,
  ): void {
    const body = new ByteCollector();
    const expectedBytes = length !== undefined && length <= ALLOCATED_AT_ONCE_BYTES_MAX ? length : 0;
    let bytes = 0;
    let done = false;
    const settle = (): void => {
      done = true;
      this.#pendingBytes -= bytes;
      if (request.httpVersionMajor === 2) request.setTimeout(0);
    };
    const finish = (): void => {
      if (done) return;
      settle();
      receiver.onBody(body.take());
    };
    request.on("data", (chunk: Buffer) => {
      if (done) return;
      body.append(chunk, expectedBytes);
      bytes += chunk.length;
      this.#pendingBytes += chunk.length;
      if (bytes > bytesMax) {
        settle();
        receiver.onBodyTooLarge();
      } else if (this.#pendingBytes > this.#pendingBytesMax) {
        settle();
        receiver.onBodyRefused(overloaded());
      } else if (bytes === length) {
        // The last byte is the end: no need to wait for the event that says so.
        finish();
      }
    });
    request.on("end", finish);
    request.on("close", () => {
      if (!done) settle();
    });
    // Says that the client went away, which "close" says too.
    request.on("error", () => undefined);
    if (request.httpVersionMajor === 2) {
      request.setTimeout(HTTP2_STALL_MS, () => {
        if (done) return;
        settle();
        receiver.onBodyRefused(stalled());
      });
    }
  }
}

function stalled(): AwsError {
  return new AwsError(
    "RequestTimeout",
    "Your socket connection to the server was not read from or written to within the timeout period.",
  );
}

function overloaded(): AwsError {
  return new AwsError("ServiceUnavailableException", "Too many request bodies are being received.", {
    status: 503,
  });
}
