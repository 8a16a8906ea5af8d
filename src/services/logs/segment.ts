/**
 * One file of a log group's chain: appended to until it is long or old enough, then never written again and at last
 * deleted as a whole. What is known of it in memory is where its good bytes end, its span of time, and which streams
 * have events in it; when it is closed this is also written beside it (`.index`), so that opening reads few segments.
 */
import { open, readFile, rename, rm, writeFile, type FileHandle } from "node:fs/promises";
import { isMissing } from "../../kernel/files.ts";
import type { StreamRecord } from "./record.ts";
import { decodeEventsHead, decodeStream, readRecords, RECORD, type RecordBatch } from "./record.ts";

/** What a segment holds of one stream. */
export interface StreamSpan {
  firstMs: number;
  lastMs: number;
  lastIngestionMs: number;
}

/** The JSON of an index file. */
interface SegmentIndex {
  readonly bytes: number;
  readonly openedMs: number;
  readonly minMs: number | null;
  readonly maxMs: number | null;
  readonly nextSequence: number;
  readonly streams: readonly StreamRecord[];
  readonly spans: readonly (readonly [number, StreamSpan])[];
  readonly removed: readonly number[];
}

export class Segment {
  readonly path: string;
  /** Position in the chain, growing. */
  readonly ordinal: number;
  /** When its first record was written. */
  openedMs: number;
  /** Good bytes: what lies behind them is a failed write or a torn tail, and will be written over. */
  bytes = 0;
  /** Least and greatest timestamp of its events; Infinity and -Infinity without events. */
  minMs = Infinity;
  maxMs = -Infinity;
  /** One more than the greatest sequence in it. */
  nextSequence = 0;
  /** Streams that it declares, by number. */
  readonly streams = new Map<number, StreamRecord>();
  readonly spans = new Map<number, StreamSpan>();
  readonly removed = new Set<number>();
  dropped = false;
  #writer: FileHandle | undefined;

  constructor(directory: string, ordinal: number, openedMs: number) {
    this.path = `${directory}/${String(ordinal).padStart(10, "0")}.segment`;
    this.ordinal = ordinal;
    this.openedMs = openedMs;
  }

  get isOpenForWriting(): boolean {
    return this.#writer !== undefined;
  }

  /** Writes behind the good bytes; the caller accounts with note*() when it succeeded. */
  async append(records: readonly Buffer[], bytes: number): Promise<void> {
    this.#writer ??= await open(this.path, this.bytes === 0 ? "w" : "r+");
    const { bytesWritten } = await this.#writer.writev(records, this.bytes);
    if (bytesWritten !== bytes) throw new Error(`wrote ${bytesWritten} of ${bytes} bytes to ${this.path}`);
    this.bytes += bytes;
  }

  async releaseWriter(): Promise<void> {
    const writer = this.#writer;
    this.#writer = undefined;
    await writer?.close();
  }

  /** Makes the content durable and writes the index. The segment is not written to after it. */
  async seal(): Promise<void> {
    await this.#writer?.datasync();
    await this.releaseWriter();
    const index: SegmentIndex = {
      bytes: this.bytes,
      openedMs: this.openedMs,
      minMs: Number.isFinite(this.minMs) ? this.minMs : null,
      maxMs: Number.isFinite(this.maxMs) ? this.maxMs : null,
      nextSequence: this.nextSequence,
      streams: [...this.streams.values()].map(({ number, explicit, createdMs, name }) => ({
        number,
        explicit,
        createdMs,
        name,
      })),
      spans: [...this.spans],
      removed: [...this.removed],
    };
    await writeFile(`${this.#indexPath}.new`, JSON.stringify(index));
    await rename(`${this.#indexPath}.new`, this.#indexPath);
  }

  /** Deletes the files. A reader that has them open goes on; one that comes later finds nothing. */
  async drop(): Promise<void> {
    this.dropped = true;
    await this.releaseWriter();
    await rm(this.path, { force: true });
    await rm(this.#indexPath, { force: true });
  }

  /** The records from `offset` up to the bytes that are good now. Nothing when the segment was dropped. */
  async *read(offset = 0): AsyncGenerator<RecordBatch> {
    const file = await this.#openForReading();
    if (!file) return;
    try {
      yield* readRecords(file, offset, this.bytes);
    } finally {
      await file.close();
    }
  }

  /** Learns what the file holds: from the index when there is one, else by reading it. True when it was sealed. */
  async load(): Promise<boolean> {
    if (await this.#loadIndex()) return true;
    const file = await this.#openForReading();
    if (!file) return false;
    try {
      const { size } = await file.stat();
      for await (const batch of readRecords(file, 0, size)) {
        for (const body of batch.bodies) this.#learn(body);
        this.bytes = batch.endOffset;
      }
    } finally {
      await file.close();
    }
    return false;
  }

  noteStream(stream: StreamRecord): void {
    this.streams.set(stream.number, stream);
  }

  noteEvents(
    stream: number,
    events: { minMs: number; maxMs: number; ingestionMs: number; nextSequence: number },
  ): void {
    this.minMs = Math.min(this.minMs, events.minMs);
    this.maxMs = Math.max(this.maxMs, events.maxMs);
    this.nextSequence = Math.max(this.nextSequence, events.nextSequence);
    const span = this.spans.get(stream);
    if (!span) {
      this.spans.set(stream, {
        firstMs: events.minMs,
        lastMs: events.maxMs,
        lastIngestionMs: events.ingestionMs,
      });
      return;
    }
    span.firstMs = Math.min(span.firstMs, events.minMs);
    span.lastMs = Math.max(span.lastMs, events.maxMs);
    span.lastIngestionMs = Math.max(span.lastIngestionMs, events.ingestionMs);
  }

  noteRemoval(stream: number): void {
    this.removed.add(stream);
    this.streams.delete(stream);
    this.spans.delete(stream);
  }

  #learn(body: Buffer): void {
    if (body[0] === RECORD.STREAM) this.noteStream(decodeStream(body));
    else if (body[0] === RECORD.REMOVE) this.noteRemoval(body.readUInt32LE(1));
    else if (body[0] === RECORD.EVENTS) {
      const head = decodeEventsHead(body);
      if (this.spans.size === 0) this.openedMs = head.ingestionMs;
      this.noteEvents(head.stream, { ...head, nextSequence: head.firstSequence + head.count });
    }
  }

  get #indexPath(): string {
    return this.path.replace(/segment$/, "index");
  }

  async #openForReading(): Promise<FileHandle | undefined> {
    try {
      return await open(this.path, "r");
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
  }

  async #loadIndex(): Promise<boolean> {
    let text: string;
    try {
      text = await readFile(this.#indexPath, "utf8");
    } catch (error) {
      if (isMissing(error)) return false;
      throw error;
    }
    const index = parseIndex(text);
    if (!index) return false;
    this.bytes = index.bytes;
    this.openedMs = index.openedMs;
    this.minMs = index.minMs ?? Infinity;
    this.maxMs = index.maxMs ?? -Infinity;
    this.nextSequence = index.nextSequence;
    for (const stream of index.streams) this.streams.set(stream.number, stream);
    for (const [number, span] of index.spans) this.spans.set(number, span);
    for (const number of index.removed) this.removed.add(number);
    return true;
  }
}

/** Undefined when power went away while the index was written: it can be made again from the segment. */
function parseIndex(text: string): SegmentIndex | undefined {
  try {
    return JSON.parse(text) as SegmentIndex;
  } catch {
    return undefined;
  }
}
