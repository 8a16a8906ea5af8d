/**
 * The format of a segment file: records one after the other, little-endian.
 *
 *   record   u32 length of body, u32 CRC-32 of body, body
 *   body     u8 kind, then
 *     1 STREAM  u32 number, u8 flags (1: made by CreateLogStream), f64 created ms, name in UTF-8
 *     2 EVENTS  u32 stream number, f64 ingestion ms, f64 sequence of the first event, f64 least and f64 greatest
 *               timestamp, u32 count, then each event: f64 timestamp ms, u32 bytes, message in UTF-8
 *     3 REMOVE  u32 stream number: the stream and its events in this and older segments are gone
 *
 * A segment says STREAM before the first EVENTS of a stream, so that each segment can be read without the others.
 * The first record whose length or checksum is wrong ends the file: that is how a torn tail is dropped.
 */
import { crc32 } from "node:zlib";
import type { FileHandle } from "node:fs/promises";
import type { LogEvent } from "../../telemetry/log-sink.ts";
import { RECORD_BYTES_MAX } from "./limits.ts";

export const RECORD = { STREAM: 1, EVENTS: 2, REMOVE: 3 } as const;

const HEADER_BYTES = 8;
const EVENTS_HEAD_BYTES = 1 + 4 + 8 * 4 + 4;
const EVENT_HEAD_BYTES = 12;
const READ_BYTES = 256 * 1024;

export interface StreamRecord {
  readonly number: number;
  readonly explicit: boolean;
  readonly createdMs: number;
  readonly name: string;
}

export interface EventsHead {
  readonly stream: number;
  readonly ingestionMs: number;
  readonly firstSequence: number;
  readonly minMs: number;
  readonly maxMs: number;
  readonly count: number;
}

export function encodeStream(stream: StreamRecord): Buffer {
  const name = Buffer.from(stream.name);
  const record = Buffer.allocUnsafe(HEADER_BYTES + 14 + name.length);
  record[HEADER_BYTES] = RECORD.STREAM;
  record.writeUInt32LE(stream.number, HEADER_BYTES + 1);
  record[HEADER_BYTES + 5] = stream.explicit ? 1 : 0;
  record.writeDoubleLE(stream.createdMs, HEADER_BYTES + 6);
  name.copy(record, HEADER_BYTES + 14);
  return sealed(record);
}

export function decodeStream(body: Buffer): StreamRecord {
  return {
    number: body.readUInt32LE(1),
    explicit: body[5] === 1,
    createdMs: body.readDoubleLE(6),
    name: body.toString("utf8", 14),
  };
}

export function encodeRemove(stream: number): Buffer {
  const record = Buffer.allocUnsafe(HEADER_BYTES + 5);
  record[HEADER_BYTES] = RECORD.REMOVE;
  record.writeUInt32LE(stream, HEADER_BYTES + 1);
  return sealed(record);
}

/** `head.minMs` and the like are of `events`; at least one event. `bytes` is the sum of the messages' lengths in UTF-8. */
export function encodeEvents(head: EventsHead, events: readonly LogEvent[], bytes: number): Buffer {
  const record = Buffer.allocUnsafe(
    HEADER_BYTES + EVENTS_HEAD_BYTES + EVENT_HEAD_BYTES * events.length + bytes,
  );
  let at = HEADER_BYTES;
  record[at] = RECORD.EVENTS;
  record.writeUInt32LE(head.stream, at + 1);
  record.writeDoubleLE(head.ingestionMs, at + 5);
  record.writeDoubleLE(head.firstSequence, at + 13);
  record.writeDoubleLE(head.minMs, at + 21);
  record.writeDoubleLE(head.maxMs, at + 29);
  record.writeUInt32LE(head.count, at + 37);
  at += EVENTS_HEAD_BYTES;
  for (const event of events) {
    const length = record.write(event.message, at + EVENT_HEAD_BYTES);
    record.writeDoubleLE(event.timestampMs, at);
    record.writeUInt32LE(length, at + 8);
    at += EVENT_HEAD_BYTES + length;
  }
  return sealed(record);
}

export function decodeEventsHead(body: Buffer): EventsHead {
  return {
    stream: body.readUInt32LE(1),
    ingestionMs: body.readDoubleLE(5),
    firstSequence: body.readDoubleLE(13),
    minMs: body.readDoubleLE(21),
    maxMs: body.readDoubleLE(29),
    count: body.readUInt32LE(37),
  };
}

/** Calls back for each event of an EVENTS body; the message is a view of it. `index` counts from 0. */
export function eachEvent(
  body: Buffer,
  visit: (timestampMs: number, message: Buffer, index: number) => void,
): void {
  let at = EVENTS_HEAD_BYTES;
  for (let index = 0; at < body.length; index += 1) {
    const length = body.readUInt32LE(at + 8);
    const start = at + EVENT_HEAD_BYTES;
    visit(body.readDoubleLE(at), body.subarray(start, start + length), index);
    at = start + length;
  }
}

function sealed(record: Buffer): Buffer {
  const body = record.subarray(HEADER_BYTES);
  record.writeUInt32LE(body.length, 0);
  record.writeUInt32LE(crc32(body), 4);
  return record;
}

/** Whole records of a file, some at a time, so that nobody holds a file or the event loop for long. */
export interface RecordBatch {
  readonly bodies: readonly Buffer[];
  /** Where the record after the last one of `bodies` starts. */
  readonly endOffset: number;
}

/**
 * The records between two offsets of a file; `from` is where a record starts. Ends early at the first record that is
 * not whole and sound. A body is a view that the caller may keep; keeping it keeps the whole batch's memory.
 */
export async function* readRecords(file: FileHandle, from: number, to: number): AsyncGenerator<RecordBatch> {
  let offset = from;
  let wantedBytes = READ_BYTES;
  while (offset < to) {
    const buffer = Buffer.allocUnsafeSlow(Math.min(wantedBytes, to - offset));
    const { bytesRead } = await file.read(buffer, 0, buffer.length, offset);
    const { bodies, usedBytes, neededBytes } = splitRecords(buffer.subarray(0, bytesRead));
    if (usedBytes === 0) {
      // A record longer than what was read: read again when there is more of it, else this is the end.
      if (neededBytes <= buffer.length || bytesRead < buffer.length || offset + neededBytes > to) return;
      wantedBytes = neededBytes;
      continue;
    }
    wantedBytes = READ_BYTES;
    offset += usedBytes;
    yield { bodies, endOffset: offset };
  }
}

/** `neededBytes`: how long the first record is when it does not fit, 0 when it is damaged. */
function splitRecords(data: Buffer): { bodies: Buffer[]; usedBytes: number; neededBytes: number } {
  const bodies: Buffer[] = [];
  let at = 0;
  let neededBytes = 0;
  while (data.length - at >= HEADER_BYTES) {
    const length = data.readUInt32LE(at);
    if (length < 5 || length > RECORD_BYTES_MAX) break;
    const end = at + HEADER_BYTES + length;
    if (end > data.length) {
      neededBytes = HEADER_BYTES + length;
      break;
    }
    const body = data.subarray(at + HEADER_BYTES, end);
    if (crc32(body) !== data.readUInt32LE(at + 4)) break;
    bodies.push(body);
    at = end;
  }
  return { bodies, usedBytes: at, neededBytes };
}
