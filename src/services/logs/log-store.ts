/**
 * All log groups: which there are, what they keep, and what goes when there is too much of it. What is bounded: bytes
 * that wait in memory (append() refuses), bytes on disk (the oldest segments go), streams (the one that was silent for
 * the longest goes), groups (more cannot be made).
 */
import { mkdir, readdir, rm } from "node:fs/promises";
import type { Clock } from "../../kernel/clock.ts";
import { newHexId } from "../../kernel/ids.ts";
import type { Store } from "../../store/store.ts";
import type { LogEvent, LogObserver, LogSink } from "../../telemetry/log-sink.ts";
import type { Logger } from "../../telemetry/logger.ts";
import * as errors from "./errors.ts";
import { Group, type GroupRecord, type Stream } from "./group.ts";
import { DAY_MS, LOG_GROUPS_MAX, PENDING_BYTES_MAX, SEGMENT_BYTES_MIN, STREAMS_MAX } from "./limits.ts";
import {
  SAVED_TOGETHER_MAX,
  SEGMENT_BYTES_TARGET,
  STORED_BYTES_DEFAULT,
  SWEEP_INTERVAL_MS,
} from "./limits.ts";
import { bytesOf } from "./pending.ts";
import type { Segment } from "./segment.ts";
import { soundEvents } from "./sound-events.ts";
import { LogWriter } from "./writer.ts";

const KIND = "logs.group";

export interface LogStoreOptions {
  /** A folder of its own: what is in it and belongs to no group is deleted. */
  readonly directory: string;
  readonly store: Store;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Most bytes on disk, over all groups; a segment is at most 1/64 of it, so that eviction is fine-grained. */
  readonly bytesMax?: number;
  readonly pendingBytesMax?: number;
  readonly streamsMax?: number;
}

/** For metrics: sizes now, counters since the start. */
export interface LogStoreStats {
  readonly storedBytes: number;
  readonly pendingBytes: number;
  readonly pendingBytesPeak: number;
  readonly groups: number;
  readonly streams: number;
  /** Segments dropped because of retention, and because of the bound on disk. */
  readonly expiredSegments: number;
  readonly evictedSegments: number;
  /** Events lost to writes that kept failing, to the bound on groups, or because they came after close(). */
  readonly lostEvents: number;
}

type GroupSettings = Omit<GroupRecord, "id" | "createdMs">;

export class LogStore implements LogSink {
  readonly #directory: string;
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #bytesMax: number;
  readonly #segmentBytes: number;
  readonly #streamsMax: number;
  readonly #writer: LogWriter;
  readonly #groups = new Map<string, Group>();
  /** Groups whose record is not in the Store yet. */
  readonly #unsaved = new Set<Group>();
  /** Every stream; the one that was silent for the longest first. */
  readonly #streams = new Map<Stream, Group>();
  #observer: LogObserver | undefined;
  #cancelSweep: () => void = () => undefined;
  #storedBytes = 0;
  #expiredSegments = 0;
  #evictedSegments = 0;
  #refusedEvents = 0;

  private constructor(options: LogStoreOptions) {
    this.#directory = options.directory;
    this.#store = options.store;
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#bytesMax = options.bytesMax ?? STORED_BYTES_DEFAULT;
    this.#segmentBytes = Math.max(SEGMENT_BYTES_MIN, Math.min(SEGMENT_BYTES_TARGET, this.#bytesMax / 64));
    this.#streamsMax = options.streamsMax ?? STREAMS_MAX;
    this.#writer = new LogWriter({
      clock: options.clock,
      logger: options.logger,
      pendingBytesMax: options.pendingBytesMax ?? PENDING_BYTES_MAX,
      beforeWrite: (group) => this.#save(group),
      afterWrite: (_group, writtenBytes) => this.#noteWritten(writtenBytes),
    });
  }

  static async open(options: LogStoreOptions): Promise<LogStore> {
    const logs = new LogStore(options);
    await mkdir(options.directory, { recursive: true });
    const known = new Set<string>();
    for (const { key, value } of await options.store.list<GroupRecord>(KIND)) {
      known.add(value.id);
      const group = logs.#newGroup(key, value);
      await group.load();
      logs.#storedBytes += group.bytes;
    }
    // A group's directory outlives its record when the process died between the two deletions.
    for (const name of await readdir(options.directory))
      if (!known.has(name)) await rm(`${options.directory}/${name}`, { recursive: true, force: true });
    logs.#rankStreams();
    logs.#planSweep();
    return logs;
  }

  async close(): Promise<void> {
    this.#cancelSweep();
    await this.#writer.close(this.#groups.values());
  }

  /** One; it is told of what is taken from now on. */
  observe(observer: LogObserver): void {
    this.#observer = observer;
  }

  get stats(): LogStoreStats {
    return {
      storedBytes: this.#storedBytes,
      pendingBytes: this.#writer.pendingBytes,
      pendingBytesPeak: this.#writer.pendingBytesPeak,
      groups: this.#groups.size,
      streams: this.#streams.size,
      expiredSegments: this.#expiredSegments,
      evictedSegments: this.#evictedSegments,
      lostEvents: this.#writer.lostEvents + this.#refusedEvents,
    };
  }

  // Events

  append(groupName: string, streamName: string, events: readonly LogEvent[]): boolean {
    if (events.length === 0) return true;
    const bytes = bytesOf(events);
    const known = this.#groups.get(groupName);
    if (this.#writer.closed || (!known && this.#groups.size >= LOG_GROUPS_MAX)) {
      this.#refusedEvents += events.length;
      return true;
    }
    if (!this.#writer.hasRoom(bytes)) return false;
    const group = known ?? this.#addGroup(groupName, IMPLICIT_GROUP);
    const stream = group.streams.get(streamName) ?? this.#addStream(group, streamName, false);
    const sound = soundEvents(events, this.#clock.nowMs());
    this.#take(group, stream, sound, sound === events ? bytes : bytesOf(sound));
    return true;
  }

  drained(): Promise<void> {
    return this.#writer.drained();
  }

  /** Like append() for a stream that exists; waits for room, and resolves when the events are in the file. */
  async put(group: Group, stream: Stream, events: readonly LogEvent[]): Promise<void> {
    const bytes = bytesOf(events);
    while (!this.#writer.hasRoom(bytes)) {
      if (this.#writer.closed) throw errors.serviceUnavailable();
      await this.#writer.drained();
    }
    if (group.deleted) throw errors.groupNotFound();
    if (group.streams.get(stream.name) !== stream) throw errors.streamNotFound();
    this.#take(group, stream, events, bytes);
    await this.#writer.settle(group);
  }

  #take(group: Group, stream: Stream, events: readonly LogEvent[], bytes: number): void {
    this.#streams.delete(stream);
    this.#streams.set(stream, group);
    this.#writer.take(group, stream, events, bytes);
    this.#observer?.(group.name, events);
  }

  /** Resolves when everything that the group has taken so far is in its files, so that a reader finds it there. */
  settle(group: Group): Promise<void> {
    return this.#writer.settle(group);
  }

  /** The oldest time stamp that a reader may see: -Infinity without a retention policy. */
  oldestVisibleMs(group: Group): number {
    const days = group.record.retentionInDays;
    return days === undefined ? -Infinity : this.#clock.nowMs() - days * DAY_MS;
  }

  // Groups

  group(name: string): Group | undefined {
    return this.#groups.get(name);
  }

  groups(): Group[] {
    return [...this.#groups.values()];
  }

  /** Resolves when the group is in the Store. Rejects with ResourceAlreadyExistsException or LimitExceededException. */
  async createGroup(name: string, settings: GroupSettings): Promise<void> {
    if (this.#groups.has(name)) throw errors.groupExists();
    if (this.#groups.size >= LOG_GROUPS_MAX) throw errors.limitExceeded();
    const group = this.#addGroup(name, settings);
    try {
      await this.#writer.exclusively(() => this.#save(group));
    } catch (error) {
      // Unless events came in between: then it stays, and is saved before they are written.
      if (group.streams.size === 0 && this.#unsaved.delete(group)) this.#groups.delete(name);
      throw error;
    }
  }

  /** Replaces the group's record; resolves when the Store has it. */
  async updateGroup(group: Group, change: (record: GroupRecord) => GroupRecord): Promise<void> {
    await this.#writer.exclusively(async () => {
      if (group.deleted) throw errors.groupNotFound();
      const record = change(group.record);
      await this.#store.write([{ op: "put", kind: KIND, key: group.name, value: record }]);
      group.record = record;
      this.#unsaved.delete(group);
    });
  }

  async deleteGroup(group: Group): Promise<void> {
    await this.#writer.exclusively(async () => {
      if (group.deleted) throw errors.groupNotFound();
      await this.#store.write([{ op: "delete", kind: KIND, key: group.name }]);
      group.deleted = true;
      this.#groups.delete(group.name);
      this.#unsaved.delete(group);
      for (const stream of group.streams.values()) this.#streams.delete(stream);
      this.#writer.forget(group);
      this.#storedBytes -= group.bytes;
      await group.destroy();
    });
  }

  #addGroup(name: string, settings: GroupSettings): Group {
    const group = this.#newGroup(name, { ...settings, id: newHexId(8), createdMs: this.#clock.nowMs() });
    this.#unsaved.add(group);
    return group;
  }

  #newGroup(name: string, record: GroupRecord): Group {
    const group = new Group(name, record, {
      directory: `${this.#directory}/${record.id}`,
      segmentBytes: this.#segmentBytes,
    });
    this.#groups.set(name, group);
    return group;
  }

  /**
   * Before its first segment: a directory without a record would be deleted at the next start. Other groups that are new
   * and have something to write go with it: those of a burst of new functions are one commit, not one each.
   */
  async #save(group: Group): Promise<void> {
    if (!this.#unsaved.has(group)) return;
    const saved = [group];
    for (const other of this.#unsaved) {
      if (saved.length === SAVED_TOGETHER_MAX) break;
      if (other !== group && other.streams.size > 0) saved.push(other);
    }
    const put = ({ name, record }: Group) => ({ op: "put", kind: KIND, key: name, value: record }) as const;
    await this.#store.write(saved.map(put));
    for (const each of saved) this.#unsaved.delete(each);
  }

  // Streams

  /** Resolves when the stream is on disk. Rejects with ResourceAlreadyExistsException. */
  async createStream(group: Group, name: string): Promise<void> {
    if (group.streams.has(name)) throw errors.streamExists();
    this.#addStream(group, name, true);
    await this.#writer.settle(group);
  }

  async deleteStream(group: Group, name: string): Promise<void> {
    await this.#writer.exclusively(async () => {
      const stream = group.streams.get(name);
      if (!stream) throw errors.streamNotFound();
      this.#dropStream(group, stream);
    });
    await this.#writer.settle(group);
  }

  #addStream(group: Group, name: string, explicit: boolean): Stream {
    const stream = group.createStream(name, { createdMs: this.#clock.nowMs(), explicit });
    this.#streams.set(stream, group);
    if (this.#streams.size > this.#streamsMax) this.#evictStream();
    return stream;
  }

  #dropStream(group: Group, stream: Stream): void {
    this.#streams.delete(stream);
    this.#writer.release(group.removeStream(stream));
  }

  #evictStream(): void {
    const [silent] = this.#streams;
    if (!silent) return;
    const [stream, group] = silent;
    this.#streams.delete(stream);
    this.#background(async () => {
      if (!group.deleted && group.streams.get(stream.name) === stream) this.#dropStream(group, stream);
    });
  }

  #rankStreams(): void {
    const all: [Stream, Group][] = [];
    for (const group of this.#groups.values())
      for (const stream of group.streams.values()) all.push([stream, group]);
    all.sort(([a], [b]) => (a.lastIngestionMs ?? a.createdMs) - (b.lastIngestionMs ?? b.createdMs));
    for (const [stream, group] of all) this.#streams.set(stream, group);
  }

  // Retention and bounds

  #planSweep(): void {
    this.#cancelSweep = this.#clock.after(SWEEP_INTERVAL_MS, () => {
      this.#planSweep();
      this.#background(() => this.#sweep());
    });
  }

  async #sweep(): Promise<void> {
    for (const group of this.#groups.values()) {
      const oldestMs = this.oldestVisibleMs(group);
      for (;;) {
        const segment = group.segments[0];
        if (!segment || newestMs(segment) >= oldestMs) break;
        await this.#dropOldest(group);
        this.#expiredSegments += 1;
      }
    }
  }

  async #noteWritten(writtenBytes: number): Promise<void> {
    this.#storedBytes += writtenBytes;
    while (this.#storedBytes > this.#bytesMax) {
      const group = this.#groupWithOldestSegment();
      if (!group) return;
      const bytes = await this.#dropOldest(group);
      this.#evictedSegments += 1;
      this.#logger.warn("a log segment was dropped: the bound on stored log events is reached", {
        group: group.name,
        bytes,
        bytesMax: this.#bytesMax,
      });
    }
  }

  #groupWithOldestSegment(): Group | undefined {
    let oldest: Group | undefined;
    let oldestMs = Infinity;
    for (const group of this.#groups.values()) {
      const segment = group.segments[0];
      if (!segment || newestMs(segment) >= oldestMs) continue;
      oldest = group;
      oldestMs = newestMs(segment);
    }
    return oldest;
  }

  async #dropOldest(group: Group): Promise<number> {
    const { bytes, streams } = await group.dropOldest();
    this.#storedBytes -= bytes;
    for (const stream of streams) this.#streams.delete(stream);
    return bytes;
  }

  #background(task: () => Promise<void>): void {
    this.#writer.exclusively(task).catch((error: unknown) => {
      if (!this.#writer.closed) this.#logger.error("log upkeep failed", { error });
    });
  }
}

/** A group that came into being with its first event. */
const IMPLICIT_GROUP: GroupSettings = {
  logGroupClass: "STANDARD",
  deletionProtectionEnabled: false,
  tags: {},
};

/** When its youngest event happened; a segment without events is as old as its file. */
function newestMs(segment: Segment): number {
  return segment.maxMs === -Infinity ? segment.openedMs : segment.maxMs;
}
