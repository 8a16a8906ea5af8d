"use strict";
/**
 * The fast link to the platform: length-framed messages over the unix stream socket inherited as file descriptor 3.
 * A frame is: u32 little-endian length of what follows, u8 type, body.
 *
 * Frames are written synchronously and whole: what was written is in the kernel when the call returns, so that no log
 * line or answer is lost when the process dies right after, and no two frames interleave.
 */
// Taken before any function code runs: libraries that patch `fs` must not see or slow the link.
const { writeSync } = require("node:fs");

const LINK_FD = 3;
const HEADER_BYTES = 5;
const REQUEST_ID_BYTES = 36;
/** The platform's bound of a frame; a longer one means that the stream is out of step. */
const FRAME_BYTES_MAX = 16 * 1024 * 1024;
const READ_BYTES = 64 * 1024;
const SCRATCH_BYTES = 64 * 1024;
const FILE_PIECE_BYTES = 1024 * 1024;
/** How long to sleep when the platform is slow to read: doubled from the first to the last while nothing moves. */
const PAUSE_MS_FIRST = 0.1;
const PAUSE_MS_LAST = 5;
/** sysexits' EX_IOERR: the platform is gone, there is nobody left to answer. */
const EXIT_LINK_LOST = 74;

const FRAME = {
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
};

const scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES);
/** Made when it is needed: a snapshot can hold no shared memory. */
let pauseCell;

/** Writes bytes [at, end) of a buffer; returns how many went, 0 when the socket is full. */
function tryWrite(buffer, at, end) {
  try {
    return writeSync(LINK_FD, buffer, at, end - at);
  } catch (error) {
    if (error.code !== "EAGAIN") process.exit(EXIT_LINK_LOST);
    return 0;
  }
}

let isMuted = false;

/** Runs `act` with nothing of what it sends going out. Resolves when it has. */
async function muted(act) {
  isMuted = true;
  try {
    await act();
  } finally {
    isMuted = false;
  }
}

function writeWhole(buffer, from, end) {
  if (isMuted) return;
  let at = from;
  let pauseMs = PAUSE_MS_FIRST;
  while (at < end) {
    const written = tryWrite(buffer, at, end);
    at += written;
    if (written > 0) {
      pauseMs = PAUSE_MS_FIRST;
      continue;
    }
    pauseCell ??= new Int32Array(new SharedArrayBuffer(4));
    Atomics.wait(pauseCell, 0, 0, pauseMs);
    pauseMs = Math.min(2 * pauseMs, PAUSE_MS_LAST);
  }
}

/** A frame of `type` whose body is ASCII `prefix` (a request id or nothing), then `text` as UTF-8. */
function sendText(type, prefix, text) {
  const textAt = HEADER_BYTES + prefix.length;
  const bytesMax = textAt + 3 * text.length;
  const frame =
    bytesMax <= SCRATCH_BYTES ? scratch : Buffer.allocUnsafe(textAt + Buffer.byteLength(text, "utf8"));
  const end = textAt + frame.write(text, textAt);
  frame.writeUInt32LE(end - 4, 0);
  frame[4] = type;
  if (prefix.length > 0) frame.write(prefix, HEADER_BYTES, "latin1");
  writeWhole(frame, 0, end);
}

const LOG_TEXT_AT = HEADER_BYTES + 9;

/** One log event. `level`: 0 none, 1 TRACE, 2 DEBUG, 3 INFO, 4 WARN, 5 ERROR, 6 FATAL. */
function sendLog(timeMs, level, text) {
  const bytesMax = LOG_TEXT_AT + 3 * text.length;
  const frame =
    bytesMax <= SCRATCH_BYTES ? scratch : Buffer.allocUnsafe(LOG_TEXT_AT + Buffer.byteLength(text, "utf8"));
  const end = LOG_TEXT_AT + frame.write(text, LOG_TEXT_AT);
  frame.writeUInt32LE(end - 4, 0);
  frame[4] = FRAME.LOG;
  frame.writeDoubleLE(timeMs, HEADER_BYTES);
  frame[HEADER_BYTES + 8] = level;
  writeWhole(frame, 0, end);
}

/** Of a file that is made at publish: FILE frames, each with its name and the next piece of its content. */
function sendFile(name, content) {
  const nameBytes = Buffer.from(name, "utf8");
  const head = Buffer.allocUnsafe(HEADER_BYTES + 2 + nameBytes.length);
  for (let at = 0; at === 0 || at < content.length; at += FILE_PIECE_BYTES) {
    const end = Math.min(content.length, at + FILE_PIECE_BYTES);
    head.writeUInt32LE(head.length - 4 + end - at, 0);
    head[4] = FRAME.FILE;
    head.writeUInt16LE(nameBytes.length, HEADER_BYTES);
    nameBytes.copy(head, HEADER_BYTES + 2);
    writeWhole(head, 0, head.length);
    writeWhole(content, at, end);
  }
}

/**
 * A STREAM frame if the socket has room for it: false when it has none (nothing was written, try again later), so that
 * a slow reader of a streamed answer does not stop the event loop. `chunk` must fit the scratch buffer.
 */
function trySendChunk(requestId, chunk) {
  const end = HEADER_BYTES + REQUEST_ID_BYTES + chunk.length;
  scratch.writeUInt32LE(end - 4, 0);
  scratch[4] = FRAME.STREAM;
  scratch.write(requestId, HEADER_BYTES, "latin1");
  chunk.copy(scratch, HEADER_BYTES + REQUEST_ID_BYTES);
  const written = tryWrite(scratch, 0, end);
  if (written === 0) return false;
  writeWhole(scratch, written, end);
  return true;
}

/** Cuts the byte stream into frames. The body is a view that is valid only during the call. */
class FrameReader {
  #header = Buffer.allocUnsafeSlow(HEADER_BYTES);
  #headerBytes = 0;
  #body = undefined;
  #bodyBytes = 0;
  #onFrame;

  constructor(onFrame) {
    this.#onFrame = onFrame;
  }

  push(chunk, end) {
    let at = 0;
    while (at < end) {
      if (this.#body !== undefined) {
        at += this.#fill(chunk, at, end);
        continue;
      }
      if (this.#headerBytes === 0 && end - at >= HEADER_BYTES) {
        const bodyEnd = at + 4 + lengthOf(chunk, at);
        if (bodyEnd <= end) {
          this.#onFrame(chunk[at + 4], chunk.subarray(at + HEADER_BYTES, bodyEnd));
          at = bodyEnd;
          continue;
        }
      }
      const copied = chunk.copy(
        this.#header,
        this.#headerBytes,
        at,
        Math.min(end, at + HEADER_BYTES - this.#headerBytes),
      );
      at += copied;
      this.#headerBytes += copied;
      if (this.#headerBytes === HEADER_BYTES) {
        this.#body = Buffer.allocUnsafe(lengthOf(this.#header, 0) - 1);
        this.#bodyBytes = 0;
        if (this.#body.length === 0) this.#finish();
      }
    }
  }

  #fill(chunk, at, end) {
    const copied = chunk.copy(
      this.#body,
      this.#bodyBytes,
      at,
      Math.min(end, at + this.#body.length - this.#bodyBytes),
    );
    this.#bodyBytes += copied;
    if (this.#bodyBytes === this.#body.length) this.#finish();
    return copied;
  }

  #finish() {
    const body = this.#body;
    this.#body = undefined;
    this.#headerBytes = 0;
    this.#onFrame(this.#header[4], body);
  }
}

function lengthOf(buffer, at) {
  const length = buffer.readUInt32LE(at);
  if (length < 1 || length > FRAME_BYTES_MAX) process.exit(EXIT_LINK_LOST);
  return length;
}

/**
 * Starts reading. Calls back once per frame. The answer's ref/unref say whether waiting for frames keeps the process
 * alive; the process ends when the platform closes its end.
 */
function listen(onFrame) {
  const { Socket } = require("node:net");
  const reader = new FrameReader(onFrame);
  const socket = new Socket({
    fd: LINK_FD,
    onread: {
      buffer: Buffer.allocUnsafeSlow(READ_BYTES),
      callback(bytes, buffer) {
        reader.push(buffer, bytes);
        return true;
      },
    },
  });
  const lost = () => process.exit(EXIT_LINK_LOST);
  socket.on("end", lost);
  socket.on("error", lost);
  return socket;
}

module.exports = {
  FRAME,
  SCRATCH_BYTES,
  HEADER_BYTES,
  REQUEST_ID_BYTES,
  listen,
  muted,
  sendText,
  sendLog,
  sendFile,
  trySendChunk,
};
