/**
 * `application/vnd.amazon.eventstream`: a response that is a sequence of framed messages.
 *
 *     total length u32 | headers length u32 | CRC-32 of those 8 bytes | headers | payload | CRC-32 of everything before
 *
 * A header is: length of its name u8, name, type u8, value. Each event of the union becomes one message.
 */
import { crc32 } from "node:zlib";
import { AwsError } from "../../errors.ts";
import { assert, unreachable } from "../../kernel/assert.ts";
import type { Member, ServiceModel, Shape } from "../models/shapes.ts";
import { EMPTY, errorParts, type Structure } from "./codec.ts";
import { bytesOf, dateOf, isAbsent } from "./scalars.ts";

export const EVENT_STREAM_CONTENT_TYPE = "application/vnd.amazon.eventstream";

const PRELUDE_BYTES = 12;
const CRC_BYTES = 4;

/** Types of header values. */
const HEADER = { true: 0, false: 1, integer: 4, long: 5, bytes: 6, string: 7, timestamp: 8 } as const;

export type EventHeaders = Readonly<Record<string, Buffer>>;

function header(type: number, ...parts: readonly Buffer[]): Buffer {
  return Buffer.concat([Buffer.from([type]), ...parts]);
}

function stringHeader(text: string): Buffer {
  const bytes = Buffer.from(text);
  const length = Buffer.alloc(2);
  length.writeUInt16BE(bytes.length);
  return header(HEADER.string, length, bytes);
}

function headerOf(shape: Shape, value: unknown): Buffer {
  switch (shape.type) {
    case "boolean":
      return header(value === true ? HEADER.true : HEADER.false);
    case "integer": {
      const bytes = Buffer.alloc(4);
      bytes.writeInt32BE(Number(value));
      return header(HEADER.integer, bytes);
    }
    case "long":
    case "timestamp": {
      const number = shape.type === "timestamp" ? dateOf(value).getTime() : Number(value);
      const bytes = Buffer.alloc(8);
      bytes.writeBigInt64BE(BigInt(number));
      return header(shape.type === "timestamp" ? HEADER.timestamp : HEADER.long, bytes);
    }
    case "blob": {
      const bytes = bytesOf(value);
      const length = Buffer.alloc(2);
      length.writeUInt16BE(bytes.length);
      return header(HEADER.bytes, length, bytes);
    }
    case "structure":
    case "list":
    case "map":
    case "string":
    case "float":
    case "double":
    case "document":
      return stringHeader(String(value));
    default:
      return unreachable(shape.type, "type of a shape");
  }
}

/** One framed message. */
export function encodeMessage(headers: EventHeaders, payload: Buffer): Buffer {
  const entries = Object.entries(headers).map(([name, value]) => ({ name: Buffer.from(name), value }));
  const headersBytes = entries.reduce((sum, { name, value }) => sum + 1 + name.length + value.length, 0);
  const totalBytes = PRELUDE_BYTES + headersBytes + payload.length + CRC_BYTES;
  const message = Buffer.allocUnsafe(totalBytes);
  message.writeUInt32BE(totalBytes, 0);
  message.writeUInt32BE(headersBytes, 4);
  message.writeUInt32BE(crc32(message.subarray(0, 8)), 8);
  let at = PRELUDE_BYTES;
  for (const { name, value } of entries) {
    at = message.writeUInt8(name.length, at);
    at += name.copy(message, at);
    at += value.copy(message, at);
  }
  at += payload.copy(message, at);
  message.writeUInt32BE(crc32(message.subarray(0, at)), at);
  return message;
}

/** How a protocol writes what of an event is neither header nor payload. */
export interface EventFormat {
  readonly contentType: string;
  eventWriter(shape: Shape, members: ReadonlySet<Member>): (value: Structure) => Buffer;
}

type WriteEvent = (value: Structure) => Buffer;

function compileEvent(member: Member, format: EventFormat): WriteEvent {
  const { shape } = member;
  const exception = shape.data.exception === true;
  const type: EventHeaders = exception
    ? { ":message-type": stringHeader("exception"), ":exception-type": stringHeader(member.name) }
    : { ":message-type": stringHeader("event"), ":event-type": stringHeader(member.name) };
  const inHeaders = shape.members.filter((field) => field.data.eventheader === true);
  const payload = shape.members.find((field) => field.data.eventpayload === true);
  const body = new Set(shape.members.filter((field) => field !== payload && !inHeaders.includes(field)));
  const [contentType, write] = compileEventPayload(payload, body, shape, format);
  return (value) => {
    const headers: Record<string, Buffer> = { ...type };
    for (const field of inHeaders) {
      if (!isAbsent(value[field.name])) headers[field.name] = headerOf(field.shape, value[field.name]);
    }
    if (contentType !== undefined) headers[":content-type"] = stringHeader(contentType);
    return encodeMessage(headers, write(value));
  };
}

function compileEventPayload(
  payload: Member | undefined,
  body: ReadonlySet<Member>,
  shape: Shape,
  format: EventFormat,
): [contentType: string | undefined, write: WriteEvent] {
  if (payload === undefined) {
    return body.size === 0 ? [undefined, () => EMPTY] : [format.contentType, format.eventWriter(shape, body)];
  }
  if (payload.shape.type === "structure") {
    const write = format.eventWriter(payload.shape, new Set(payload.shape.members));
    return [format.contentType, (value) => write((value[payload.name] ?? {}) as Structure)];
  }
  const contentType = payload.shape.type === "blob" ? "application/octet-stream" : "text/plain";
  return [contentType, (value) => (isAbsent(value[payload.name]) ? EMPTY : bytesOf(value[payload.name]))];
}

/**
 * Writes an async iterable of union objects (`{ PayloadChunk: { Payload } }`) as messages. An AwsError that the iterable throws
 * ends the stream as the model says (an exception event, or an error message); any other error tears the stream down.
 * `initial` is sent first: RPC protocols have no headers to put an output's other members in.
 */
export function eventStreamWriter(
  model: ServiceModel,
  union: Shape,
  format: EventFormat,
): (events: unknown, initial?: Buffer) => AsyncIterable<Buffer> {
  const writers = new Map(union.members.map((member) => [member.name, compileEvent(member, format)]));
  const writeEvent = (event: Structure): Buffer => {
    const [name, value] = Object.entries(event).find(([, item]) => !isAbsent(item)) ?? [];
    const write = name === undefined ? undefined : writers.get(name);
    assert(write, `an event of ${union.name} is one of its members, not ${name}`);
    return write(value as Structure);
  };
  return async function* (events, initial) {
    if (initial !== undefined) yield initial;
    try {
      for await (const event of events as AsyncIterable<Structure>) yield writeEvent(event);
    } catch (error) {
      if (!(error instanceof AwsError)) throw error;
      const { name, members } = errorParts(model, error);
      const write = writers.get(name);
      yield write ? write(members) : errorMessage(error);
    }
  };
}

function errorMessage(error: AwsError): Buffer {
  return encodeMessage(
    {
      ":message-type": stringHeader("error"),
      ":error-code": stringHeader(error.code),
      ":error-message": stringHeader(error.message),
    },
    EMPTY,
  );
}

/** The first message of an RPC stream: the output's members that are not the stream. */
export function initialResponse(contentType: string, payload: Buffer): Buffer {
  return encodeMessage(
    {
      ":message-type": stringHeader("event"),
      ":event-type": stringHeader("initial-response"),
      ":content-type": stringHeader(contentType),
    },
    payload,
  );
}
