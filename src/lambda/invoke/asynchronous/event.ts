/** An accepted event, and how it lies in the queue: one byte of format, the header's length, the header as JSON, the payload. */
import { assert } from "../../../kernel/assert.ts";
import type { Invocation } from "../../model.ts";

export interface AsynchronousEvent {
  /** The same for all attempts. */
  readonly requestId: string;
  /** Unqualified. */
  readonly functionArn: string;
  readonly functionName: string;
  /** As the caller gave it: an alias is followed at each attempt. */
  readonly qualifier?: string;
  readonly acceptedMs: number;
  readonly traceHeader: string;
  readonly clientContext?: string;
  readonly tenantId?: string;
  /** Attempts that ended in a function's error. */
  readonly errors: number;
  /** Attempts that could not run: throttles, faults of the platform. */
  readonly refusals: number;
  /** Why the last attempt failed; for the dead-letter queue's attributes. */
  readonly lastFailure?: Failure;
  readonly payload: Buffer;
}

export interface Failure {
  /** As a synchronous caller would have seen it: 200 for a function's error. */
  readonly status: number;
  /** At most FAILURE_MESSAGE_BYTES_MAX bytes of UTF-8. */
  readonly message: string;
}

/** The first 1 KB of the error message goes into a dead-letter queue's attributes [docs: invocation-async-retain-records]. */
const FAILURE_MESSAGE_BYTES_MAX = 1024;
const FORMAT = 1;
const PREFIX_BYTES = 5;

export function failure(status: number, message: string): Failure {
  if (Buffer.byteLength(message) <= FAILURE_MESSAGE_BYTES_MAX) return { status, message };
  // A character that the cut went through is left out.
  const cut = Buffer.from(message).toString("utf8", 0, FAILURE_MESSAGE_BYTES_MAX);
  return { status, message: cut.replace(/\ufffd$/, "") };
}

export function encodeEvent({ payload, ...header }: AsynchronousEvent): Buffer {
  const text = JSON.stringify(header);
  const headerBytes = Buffer.byteLength(text);
  const bytes = Buffer.allocUnsafe(PREFIX_BYTES + headerBytes + payload.length);
  bytes.writeUInt8(FORMAT, 0);
  bytes.writeUInt32BE(headerBytes, 1);
  bytes.write(text, PREFIX_BYTES, "utf8");
  payload.copy(bytes, PREFIX_BYTES + headerBytes);
  return bytes;
}

/** Throws when the bytes are not an event of a format that is known. */
export function decodeEvent(body: Uint8Array): AsynchronousEvent {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  assert(bytes.length >= PREFIX_BYTES && bytes[0] === FORMAT, "an event of a known format");
  const payloadAt = PREFIX_BYTES + bytes.readUInt32BE(1);
  assert(payloadAt <= bytes.length, "an event's header ends before its payload");
  const header = JSON.parse(bytes.toString("utf8", PREFIX_BYTES, payloadAt)) as Omit<
    AsynchronousEvent,
    "payload"
  >;
  return { ...header, payload: bytes.subarray(payloadAt) };
}

export function invocationOf(event: AsynchronousEvent): Invocation {
  const { requestId, payload, functionArn, qualifier, traceHeader, clientContext, tenantId } = event;
  return {
    requestId,
    payload,
    invokedFunctionArn: qualifier === undefined ? functionArn : `${functionArn}:${qualifier}`,
    traceHeader,
    ...(clientContext === undefined ? {} : { clientContext }),
    ...(tenantId === undefined ? {} : { tenantId }),
  };
}
