"use strict";
/** The stream that a handler made with awslambda.streamifyResponse writes its answer to. */
const { Writable } = require("node:stream");
const { FRAME, HEADER_BYTES, REQUEST_ID_BYTES, sendText, trySendChunk } = require("./link.cjs");
const { RuntimeError } = require("./errors.cjs");

/** A frame of at most 32 KiB goes into a unix socket whole or not at all. */
const CHUNK_BYTES_MAX = 32 * 1024 - HEADER_BYTES - REQUEST_ID_BYTES;
/** How long to wait for a reader that is slow: doubled from the first to the last. */
const RETRY_MS_FIRST = 1;
const RETRY_MS_LAST = 16;

/** Request ids whose reader is behind, where several answers are streamed at a time. */
const held = new Set();

function holdStream(requestId, hold) {
  if (hold) held.add(requestId);
  else held.delete(requestId);
}

class ResponseStream extends Writable {
  /** Called before the first byte with a function that writes ahead of it: HttpResponseStream's prelude. */
  _onBeforeFirstWrite = undefined;
  /** Whether a frame of the answer has gone out. */
  started = false;
  /** Settles when the stream is over, however that came. */
  closedPromise = new Promise((resolve) => this.once("close", resolve));
  #requestId;
  #contentType = undefined;
  #firstWrite = true;

  constructor(requestId, highWaterMark) {
    super(highWaterMark === undefined ? {} : { highWaterMark });
    this.#requestId = requestId;
    // What breaks the stream comes back to the handler from its own write or pipeline; the invocation sees the close.
    this.on("error", () => {});
  }

  setContentType(contentType) {
    if (!this.#firstWrite) {
      throw new RuntimeError("InvalidStreamingOperation", "Cannot set content-type, too late.");
    }
    this.#contentType = String(contentType);
  }

  write(chunk, encoding, callback) {
    this.#beforeFirstWrite();
    const data = typeof chunk === "string" || chunk instanceof Uint8Array ? chunk : JSON.stringify(chunk);
    return super.write(data, encoding, callback);
  }

  end(chunk, encoding, callback) {
    if (typeof chunk === "function") return super.end(chunk);
    if (chunk !== undefined && chunk !== null)
      this.write(chunk, typeof encoding === "string" ? encoding : undefined);
    else this.#beforeFirstWrite();
    return super.end(typeof encoding === "function" ? encoding : callback);
  }

  #beforeFirstWrite() {
    if (!this.#firstWrite) return;
    this.#firstWrite = false;
    this._onBeforeFirstWrite?.((data) => super.write(data));
  }

  _write(chunk, _encoding, callback) {
    if (!this.started) {
      if (this.#contentType !== undefined) sendText(FRAME.STREAM_TYPE, this.#requestId, this.#contentType);
      this.started = true;
    }
    this.#send(chunk, 0, RETRY_MS_FIRST, callback);
  }

  #send(chunk, from, retryMs, callback) {
    let at = from;
    while (at < chunk.length) {
      const end = Math.min(chunk.length, at + CHUNK_BYTES_MAX);
      if (this.destroyed) return;
      if (held.has(this.#requestId) || !trySendChunk(this.#requestId, chunk.subarray(at, end))) {
        setTimeout(() => this.#send(chunk, at, Math.min(2 * retryMs, RETRY_MS_LAST), callback), retryMs);
        return;
      }
      at = end;
    }
    callback();
  }
}

const METADATA_CONTENT_TYPE = "application/vnd.awslambda.http-integration-response";
const METADATA_DELIMITER_BYTES = 8;

/** `awslambda.HttpResponseStream`: status, headers and cookies ahead of the body. */
const HttpResponseStream = {
  from(stream, prelude) {
    stream.setContentType(METADATA_CONTENT_TYPE);
    const metadata = JSON.stringify(prelude);
    stream._onBeforeFirstWrite = (write) => {
      write(metadata);
      write(new Uint8Array(METADATA_DELIMITER_BYTES));
    };
    return stream;
  },
};

module.exports = { holdStream, ResponseStream, HttpResponseStream };
