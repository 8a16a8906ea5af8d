/**
 * Between those who log and the disk. Taking events is synchronous and cheap; one loop, #work(), does everything that
 * changes files: chunks of at most WRITE_BYTES, group after group in turn, and between two chunks the tasks that must
 * not meet a write (exclusively). So memory is bounded by `pendingBytesMax`, and the event loop is never held for
 * longer than one chunk takes to encode.
 *
 * A write that fails is tried again every WRITE_RETRY_MS; after WRITE_ATTEMPTS_MAX the group's pending events are given
 * up, with a line in the server's log: a full disk must not stop the functions.
 */
import type { Clock } from "../../kernel/clock.ts";
import { coerceError, deferred, type Deferred } from "../../kernel/deferred.ts";
import type { LogEvent } from "../../telemetry/log-sink.ts";
import type { Logger } from "../../telemetry/logger.ts";
import { groupNotFound, serviceUnavailable } from "./errors.ts";
import type { Group, Stream } from "./group.ts";
import {
  FLUSH_BYTES,
  FLUSH_DELAY_MS,
  OPEN_SEGMENTS_MAX,
  WRITE_ATTEMPTS_MAX,
  WRITE_RETRY_MS,
} from "./limits.ts";

export interface LogWriterOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly pendingBytesMax: number;
  /** Runs before a group's chunk; what it rejects with counts as a failed write. */
  readonly beforeWrite: (group: Group) => Promise<void>;
  /** Runs after a group's chunk, while nothing else is written. */
  readonly afterWrite: (group: Group, writtenBytes: number) => Promise<void>;
}

export class LogWriter {
  readonly #options: LogWriterOptions;
  /** Groups whose events wait for company until the next flush. */
  readonly #resting = new Set<Group>();
  /** Groups with something to write now; the one that was served last is last. */
  readonly #dirty = new Set<Group>();
  /** Groups whose segment is open for writing; the one that was written last is last. */
  readonly #open = new Set<Group>();
  readonly #tasks: (() => Promise<void>)[] = [];
  readonly #timers = new Set<() => void>();
  #drained: Deferred<void> | undefined;
  #working: Promise<void> | undefined;
  #flushPlanned = false;
  #closed = false;
  #pendingBytes = 0;
  /** The greatest that pendingBytes ever was. */
  pendingBytesPeak = 0;
  /** Events of writes that kept failing. */
  lostEvents = 0;

  constructor(options: LogWriterOptions) {
    this.#options = options;
  }

  get closed(): boolean {
    return this.#closed;
  }

  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  /** Whether a batch that is reckoned at `bytes` may be taken now. */
  hasRoom(bytes: number): boolean {
    return this.#pendingBytes === 0 || this.#pendingBytes + bytes <= this.#options.pendingBytesMax;
  }

  /** Takes events of a stream of the group; `bytes` is what they are reckoned at. */
  take(group: Group, stream: Stream, events: readonly LogEvent[], bytes: number): void {
    group.enqueue(stream, events);
    this.#pendingBytes += bytes;
    this.pendingBytesPeak = Math.max(this.pendingBytesPeak, this.#pendingBytes);
    this.#rest(group);
    if (this.#pendingBytes >= FLUSH_BYTES) this.#flush();
  }

  /** Resolves when half of the room is free; at once when the writer is closed. */
  drained(): Promise<void> {
    if (this.#closed || this.#pendingBytes <= this.#options.pendingBytesMax / 2) return Promise.resolve();
    this.#drained ??= deferred();
    this.#flush();
    return this.#drained.promise;
  }

  /** Gives back the room of events that were removed before they were written. */
  release(bytes: number): void {
    this.#pendingBytes -= bytes;
    if (this.#pendingBytes > this.#options.pendingBytesMax / 2) return;
    this.#drained?.resolve();
    this.#drained = undefined;
  }

  /** Resolves when everything that the group has taken so far is in its files, so that a reader finds it there. */
  async settle(group: Group): Promise<void> {
    if (!group.hasPending) return;
    const settled = group.settled();
    this.#dirty.add(group);
    this.#start();
    await settled;
  }

  /** Runs a task when no write is under way; tasks run one after the other. */
  async exclusively<T>(task: () => Promise<T>): Promise<T> {
    if (this.#closed) throw serviceUnavailable();
    const done = deferred<T>();
    this.#tasks.push(() =>
      task().then(
        (value) => done.resolve(value),
        (error: unknown) => done.reject(error),
      ),
    );
    this.#start();
    return await done.promise;
  }

  /** Drops everything that is pending of a group that is being deleted. Inside exclusively(). */
  forget(group: Group): void {
    this.#resting.delete(group);
    this.#dirty.delete(group);
    this.#open.delete(group);
    this.release(group.discardPending(groupNotFound()).releasedBytes);
  }

  /** Writes what is pending, once; takes nothing more. `groups` are all that there are. */
  async close(groups: Iterable<Group>): Promise<void> {
    this.#closed = true;
    for (const cancel of this.#timers) cancel();
    this.#timers.clear();
    this.#drained?.resolve();
    for (const group of groups) if (group.hasPending) this.#dirty.add(group);
    while (this.#working || this.#dirty.size > 0 || this.#tasks.length > 0) {
      this.#start();
      await this.#working;
    }
    for (const group of this.#open) await group.releaseWriter();
    this.#open.clear();
  }

  /** Has the group written with the next flush. Also what came while it was being written: else that would be a write of its own. */
  #rest(group: Group): void {
    this.#resting.add(group);
    if (this.#flushPlanned) return;
    this.#flushPlanned = true;
    this.#after(FLUSH_DELAY_MS, () => {
      this.#flushPlanned = false;
      this.#flush();
    });
  }

  #flush(): void {
    for (const group of this.#resting) this.#dirty.add(group);
    this.#resting.clear();
    this.#start();
  }

  #after(delayMs: number, callback: () => void): void {
    const cancel = this.#options.clock.after(delayMs, () => {
      this.#timers.delete(cancel);
      callback();
    });
    this.#timers.add(cancel);
  }

  #start(): void {
    this.#working ??= this.#work().finally(() => {
      this.#working = undefined;
      if (this.#tasks.length > 0 || this.#dirty.size > 0) this.#start();
    });
  }

  async #work(): Promise<void> {
    // What is taken in this turn of the event loop goes into one write.
    await Promise.resolve();
    for (;;) {
      const task = this.#tasks.shift();
      if (task) {
        await task();
        continue;
      }
      const [group] = this.#dirty;
      if (!group) return;
      this.#dirty.delete(group);
      if (group.hasPending) await this.#writeSome(group);
    }
  }

  async #writeSome(group: Group): Promise<void> {
    let writtenBytes: number;
    try {
      await this.#options.beforeWrite(group);
      const written = await group.writeChunk(this.#options.clock.nowMs());
      group.attempts = 0;
      this.release(written.releasedBytes);
      writtenBytes = written.writtenBytes;
    } catch (error) {
      this.#noteFailure(group, coerceError(error));
      return;
    }
    if (group.isPartlyWritten || group.isAwaited) this.#dirty.add(group);
    else if (group.hasPending) this.#rest(group);
    if (this.#pendingBytes >= FLUSH_BYTES || this.#drained) this.#flush();
    try {
      await this.#limitOpenSegments(group);
      await this.#options.afterWrite(group, writtenBytes);
    } catch (error) {
      this.#options.logger.error("log segments cannot be closed or deleted", { group: group.name, error });
    }
  }

  #noteFailure(group: Group, error: Error): void {
    group.attempts += 1;
    if (group.attempts < WRITE_ATTEMPTS_MAX && !this.#closed) {
      if (group.attempts === 1)
        this.#options.logger.error("log events cannot be written, trying again", {
          group: group.name,
          error,
        });
      this.#after(WRITE_RETRY_MS, () => {
        this.#dirty.add(group);
        this.#start();
      });
      return;
    }
    group.attempts = 0;
    const { releasedBytes, events } = group.discardPending(serviceUnavailable(error));
    this.lostEvents += events;
    this.#options.logger.error("log events were given up", { group: group.name, events, error });
    this.release(releasedBytes);
  }

  async #limitOpenSegments(written: Group): Promise<void> {
    this.#open.delete(written);
    if (written.isOpenForWriting) this.#open.add(written);
    if (this.#open.size <= OPEN_SEGMENTS_MAX) return;
    const [oldest] = this.#open;
    if (!oldest) return;
    this.#open.delete(oldest);
    await oldest.releaseWriter();
  }
}
