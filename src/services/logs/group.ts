/**
 * One log group: its streams and its chain of segments. Nothing here is locked: LogStore calls what writes, drops or
 * deletes segments one at a time; what reads may run beside it.
 *
 * A stream lives as long as a segment names it. When the last one that does is dropped, a stream that the platform made
 * goes with it; one that CreateLogStream made is declared again in the segment that is being written.
 */
import { mkdir, readdir, rm } from "node:fs/promises";
import { deferred, type Deferred } from "../../kernel/deferred.ts";
import { isMissing } from "../../kernel/files.ts";
import type { LogEvent } from "../../telemetry/log-sink.ts";
import { RECORD_BYTES_TARGET, SEGMENT_AGE_MS_MAX, WRITE_BYTES } from "./limits.ts";
import { bytesOf, Generation, type ControlItem, type StreamQueue } from "./pending.ts";
import { encodeEvents, encodeRemove, encodeStream, type EventsHead } from "./record.ts";
import { Segment } from "./segment.ts";

/** The group as the Store keeps it, under its name. */
export interface GroupRecord {
  /** Names its directory; another one when a group of that name is made again. */
  readonly id: string;
  readonly createdMs: number;
  readonly retentionInDays?: number;
  /** Kept and answered, not used: what is on disk is not encrypted by Hornero. */
  readonly kmsKeyId?: string;
  readonly logGroupClass: string;
  readonly deletionProtectionEnabled: boolean;
  readonly tags: Readonly<Record<string, string>>;
}

export interface Stream {
  readonly number: number;
  readonly name: string;
  readonly createdMs: number;
  /** Made by CreateLogStream, not by its first event. */
  readonly explicit: boolean;
  firstMs: number | undefined;
  lastMs: number | undefined;
  lastIngestionMs: number | undefined;
}

/** Records on their way to the segment, and what is true once they are there. */
interface Chunk {
  readonly records: Buffer[];
  readonly commits: (() => void)[];
  readonly undos: (() => void)[];
  bytes: number;
  releasedBytes: number;
  nextSequence: number;
}

export class Group {
  readonly name: string;
  record: GroupRecord;
  readonly directory: string;
  readonly #segmentBytes: number;
  readonly streams = new Map<string, Stream>();
  readonly #numbers = new Map<number, Stream>();
  /** Oldest first; only the last one can be open. */
  readonly segments: Segment[] = [];
  #sealedOrdinal = -1;
  #nextOrdinal = 0;
  #nextNumber = 1;
  #nextSequence = 0;
  #filling = new Generation(1);
  #writing: Generation | undefined;
  #waiters: { readonly generation: number; readonly done: Deferred<void> }[] = [];
  readonly #listeners = new Set<() => void>();
  /** Failed writes in a row. */
  attempts = 0;
  deleted = false;

  constructor(name: string, record: GroupRecord, files: { directory: string; segmentBytes: number }) {
    this.name = name;
    this.record = record;
    this.directory = files.directory;
    this.#segmentBytes = files.segmentBytes;
  }

  /** Learns the chain from the directory; an empty one when there is none. */
  async load(): Promise<void> {
    let files: string[];
    try {
      files = await readdir(this.directory);
    } catch (error) {
      if (isMissing(error)) return;
      throw error;
    }
    const ordinals = files
      .filter((file) => file.endsWith(".segment"))
      .map((file) => Number.parseInt(file, 10));
    for (const ordinal of ordinals.sort((a, b) => a - b)) {
      const segment = new Segment(this.directory, ordinal, this.record.createdMs);
      const sealed = await segment.load();
      if (sealed) this.#sealedOrdinal = ordinal;
      this.#adopt(segment);
    }
  }

  #adopt(segment: Segment): void {
    for (const declared of segment.streams.values()) {
      if (this.#numbers.has(declared.number)) continue;
      this.#addStream({ ...declared, firstMs: undefined, lastMs: undefined, lastIngestionMs: undefined });
    }
    for (const [number, span] of segment.spans) {
      const stream = this.#numbers.get(number);
      if (stream) noteSpan(stream, span.firstMs, span.lastMs, span.lastIngestionMs);
    }
    for (const number of segment.removed) this.#forgetNumber(number);
    this.segments.push(segment);
    this.#nextOrdinal = segment.ordinal + 1;
    this.#nextSequence = Math.max(this.#nextSequence, segment.nextSequence);
    for (const number of [...segment.streams.keys(), ...segment.removed])
      this.#nextNumber = Math.max(this.#nextNumber, number + 1);
  }

  /** Bytes on disk. */
  get bytes(): number {
    let bytes = 0;
    for (const segment of this.segments) bytes += segment.bytes;
    return bytes;
  }

  get hasPending(): boolean {
    return this.#writing !== undefined || !this.#filling.isEmpty;
  }

  /** Part of what was pending at the last write did not fit into it. */
  get isPartlyWritten(): boolean {
    return this.#writing !== undefined;
  }

  /** Somebody waits for what is pending. */
  get isAwaited(): boolean {
    return this.#waiters.length > 0;
  }

  get isOpenForWriting(): boolean {
    return this.segments.at(-1)?.isOpenForWriting ?? false;
  }

  /** Whether a record that names `number` belongs to a stream that exists. */
  streamOf(number: number): Stream | undefined {
    return this.#numbers.get(number);
  }

  /** A new stream; it is on disk with the next flush. The name must be free. */
  createStream(name: string, options: { createdMs: number; explicit: boolean }): Stream {
    const stream: Stream = {
      ...options,
      number: this.#nextNumber,
      name,
      firstMs: undefined,
      lastMs: undefined,
      lastIngestionMs: undefined,
    };
    this.#nextNumber += 1;
    this.#addStream(stream);
    if (options.explicit) this.#filling.controls.push({ kind: "declare", stream });
    return stream;
  }

  /** Answers the pending bytes that went with it. */
  removeStream(stream: Stream): number {
    const released = this.#filling.forget(stream) + (this.#writing?.forget(stream) ?? 0);
    this.#forgetNumber(stream.number);
    this.#filling.controls.push({ kind: "remove", number: stream.number });
    return released;
  }

  /** Takes events for the next flush; `stream` is one of this group's. */
  enqueue(stream: Stream, events: readonly LogEvent[]): void {
    this.#filling.push(stream, events);
  }

  /** Resolves when everything that is pending now is written; rejects when it was given up. */
  settled(): Promise<void> {
    if (!this.hasPending) return Promise.resolve();
    const generation = this.#filling.isEmpty ? (this.#writing?.number ?? 0) : this.#filling.number;
    const done = deferred();
    this.#waiters.push({ generation, done });
    return done.promise;
  }

  /** Calls back after each write. The answer ends it. */
  onWritten(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Writes some of what is pending. Answers the bytes that disk gained and that memory lost. Throws what the disk throws. */
  async writeChunk(nowMs: number): Promise<{ writtenBytes: number; releasedBytes: number }> {
    const generation = (this.#writing ??= this.#turnGeneration());
    const segment = await this.#writableSegment(nowMs);
    const chunk: Chunk = {
      records: [],
      commits: [],
      undos: [],
      bytes: 0,
      releasedBytes: 0,
      nextSequence: this.#nextSequence,
    };
    for (const item of generation.controls) addControl(chunk, segment, item);
    const declared = new Set<number>();
    for (const [stream, queue] of generation.streams) {
      if (chunk.bytes >= WRITE_BYTES) break;
      if (!segment.streams.has(stream.number) && !declared.has(stream.number)) {
        declared.add(stream.number);
        addRecord(chunk, encodeStream(stream), () => segment.noteStream(stream));
      }
      while (queue.next < queue.events.length && chunk.bytes < WRITE_BYTES)
        this.#addEvents(chunk, { segment, generation, stream, queue, nowMs });
    }
    try {
      await segment.append(chunk.records, chunk.bytes);
    } catch (error) {
      for (const undo of chunk.undos.toReversed()) undo();
      throw error;
    }
    for (const commit of chunk.commits) commit();
    generation.controls.length = 0;
    this.#nextSequence = chunk.nextSequence;
    if (generation.isEmpty) this.#finish(generation);
    for (const listener of this.#listeners) listener();
    return { writtenBytes: chunk.bytes, releasedBytes: chunk.releasedBytes };
  }

  #turnGeneration(): Generation {
    const generation = this.#filling;
    this.#filling = new Generation(generation.number + 1);
    return generation;
  }

  #finish(generation: Generation): void {
    this.#writing = undefined;
    for (const waiter of this.#waiters) if (waiter.generation <= generation.number) waiter.done.resolve();
    this.#waiters = this.#waiters.filter((waiter) => waiter.generation > generation.number);
  }

  /** One record's worth of a stream's events. */
  #addEvents(
    chunk: Chunk,
    from: { segment: Segment; generation: Generation; stream: Stream; queue: StreamQueue; nowMs: number },
  ): void {
    const { segment, generation, stream, queue, nowMs } = from;
    const first = queue.next;
    let messageBytes = 0;
    let minMs = Infinity;
    let maxMs = -Infinity;
    let end = first;
    while (end < queue.events.length && messageBytes < RECORD_BYTES_TARGET) {
      const event = queue.events[end];
      if (!event) break;
      messageBytes += Buffer.byteLength(event.message);
      minMs = Math.min(minMs, event.timestampMs);
      maxMs = Math.max(maxMs, event.timestampMs);
      end += 1;
    }
    const events = queue.events.slice(first, end);
    const head: EventsHead = {
      stream: stream.number,
      ingestionMs: nowMs,
      firstSequence: chunk.nextSequence,
      minMs,
      maxMs,
      count: events.length,
    };
    chunk.nextSequence += events.length;
    const nextSequence = chunk.nextSequence;
    queue.next = end;
    chunk.undos.push(() => (queue.next = first));
    chunk.releasedBytes += bytesOf(events);
    addRecord(chunk, encodeEvents(head, events, messageBytes), () => {
      segment.noteEvents(stream.number, { ...head, nextSequence });
      noteSpan(stream, minMs, maxMs, nowMs);
      if (queue.next === queue.events.length) generation.streams.delete(stream);
    });
  }
  async #writableSegment(nowMs: number): Promise<Segment> {
    const last = this.segments.at(-1);
    if (last && last.ordinal > this.#sealedOrdinal) {
      if (last.bytes < this.#segmentBytes && nowMs - last.openedMs < SEGMENT_AGE_MS_MAX) return last;
      await last.seal();
      this.#sealedOrdinal = last.ordinal;
    }
    await mkdir(this.directory, { recursive: true });
    const segment = new Segment(this.directory, this.#nextOrdinal, nowMs);
    this.#nextOrdinal += 1;
    this.segments.push(segment);
    return segment;
  }

  /** Deletes the oldest segment. Answers the bytes that disk lost and the streams that went with it. */
  async dropOldest(): Promise<{ bytes: number; streams: Stream[] }> {
    const segment = this.segments.shift();
    if (!segment) return { bytes: 0, streams: [] };
    await segment.drop();
    const gone: Stream[] = [];
    for (const number of segment.streams.keys()) {
      const stream = this.#numbers.get(number);
      if (!stream) continue;
      const home = this.segments.find((other) => other.streams.has(number));
      stream.firstMs = home?.spans.get(number)?.firstMs;
      if (home || this.#isPending(stream)) continue;
      if (stream.explicit) this.#filling.controls.push({ kind: "declare", stream });
      else {
        this.#forgetNumber(number);
        gone.push(stream);
      }
    }
    return { bytes: segment.bytes, streams: gone };
  }

  /** Gives up what is pending; who waits for it gets `error`. Answers what was lost. */
  discardPending(error: Error): { releasedBytes: number; events: number } {
    const releasedBytes = this.#filling.bytes + (this.#writing?.bytes ?? 0);
    const events = this.#filling.eventCount + (this.#writing?.eventCount ?? 0);
    const controls = [...(this.#writing?.controls ?? []), ...this.#filling.controls];
    this.#writing = undefined;
    this.#turnGeneration();
    // Streams that were made and removed are not log events: they are tried again with the next write.
    this.#filling.controls.push(...controls);
    for (const waiter of this.#waiters) waiter.done.reject(error);
    this.#waiters = [];
    return { releasedBytes, events };
  }

  releaseWriter(): Promise<void> {
    return this.segments.at(-1)?.releaseWriter() ?? Promise.resolve();
  }

  /** Deletes the group's files. It must not be written to afterwards. */
  async destroy(): Promise<void> {
    for (const segment of this.segments) {
      segment.dropped = true;
      await segment.releaseWriter();
    }
    this.segments.length = 0;
    await rm(this.directory, { recursive: true, force: true });
  }

  #isPending(stream: Stream): boolean {
    return this.#filling.streams.has(stream) || (this.#writing?.streams.has(stream) ?? false);
  }

  #addStream(stream: Stream): void {
    this.streams.set(stream.name, stream);
    this.#numbers.set(stream.number, stream);
  }

  #forgetNumber(number: number): void {
    const stream = this.#numbers.get(number);
    this.#numbers.delete(number);
    for (const segment of this.segments) segment.spans.delete(number);
    if (stream && this.streams.get(stream.name) === stream) this.streams.delete(stream.name);
  }
}

function addRecord(chunk: Chunk, record: Buffer, commit: () => void): void {
  chunk.records.push(record);
  chunk.bytes += record.length;
  chunk.commits.push(commit);
}

function addControl(chunk: Chunk, segment: Segment, item: ControlItem): void {
  if (item.kind === "declare")
    addRecord(chunk, encodeStream(item.stream), () => segment.noteStream(item.stream));
  else addRecord(chunk, encodeRemove(item.number), () => segment.noteRemoval(item.number));
}

function noteSpan(stream: Stream, firstMs: number, lastMs: number, ingestionMs: number): void {
  stream.firstMs = Math.min(stream.firstMs ?? Infinity, firstMs);
  stream.lastMs = Math.max(stream.lastMs ?? -Infinity, lastMs);
  stream.lastIngestionMs = Math.max(stream.lastIngestionMs ?? -Infinity, ingestionMs);
}
