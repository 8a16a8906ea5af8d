/** The embedded store: SQLite in a worker thread. See docs/internals/store.md. */
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { assert, unreachable } from "../../kernel/assert.ts";
import type { Clock } from "../../kernel/clock.ts";
import { programFile } from "../../kernel/package-folder.ts";
import {
  StoreFailure,
  StoreLocked,
  type Change,
  type ChangeEvent,
  type DurableQueue,
  type LeasedMessage,
  type ListOptions,
  type Store,
  type StoredRecord,
} from "../store.ts";
import { Channel } from "./channel.ts";
import type {
  Opening,
  WireChange,
  WireMessage,
  WireRecord,
  WorkerSettings,
  WriteResult,
} from "./protocol.ts";

export interface SqliteStoreOptions {
  /** Absolute path of the data folder; made when it is missing. One process owns it at a time. */
  readonly directory: string;
  readonly clock: Clock;
  /** The port that this process serves: told to whoever finds the folder taken. */
  readonly port?: number;
  /** Upper bound of the database file; writes beyond it are rejected as on a full disk. Default: 1 TiB. */
  readonly databaseBytesMax?: number;
}

const DATABASE_BYTES_MAX_DEFAULT = 2 ** 40;
/** The worker's heap holds one batch and the longest listing; its idle share is set by the small young generation. */
const WORKER_LIMITS = { maxYoungGenerationSizeMb: 4, maxOldGenerationSizeMb: 1024 };

/**
 * Opens the store in `directory`. Rejects with StoreLocked when another process owns the folder and with StoreFailure when the
 * folder cannot be used (damage, no permission, data of a newer version).
 */
export async function openSqliteStore(options: SqliteStoreOptions): Promise<Store> {
  const settings: WorkerSettings = {
    directory: options.directory,
    nowMs: options.clock.nowMs(),
    port: options.port,
    databaseBytesMax: options.databaseBytesMax ?? DATABASE_BYTES_MAX_DEFAULT,
  };
  const worker = new Worker(programFile("store/sqlite/worker"), {
    name: "store",
    workerData: settings,
    resourceLimits: WORKER_LIMITS,
  });
  const [opening] = (await once(worker, "message")) as [Opening];
  if (opening.opened) return new SqliteStore(worker, options.clock);
  await worker.terminate();
  if (opening.locked) throw new StoreLocked(opening.message);
  throw new StoreFailure(opening.message, { hint: opening.hint });
}

class SqliteStore implements Store {
  readonly #channel: Channel;
  readonly #clock: Clock;
  readonly #exited: Promise<unknown>;
  readonly #watchers = new Map<string, Set<Watcher>>();
  #closing: Promise<void> | undefined;

  constructor(worker: Worker, clock: Clock) {
    this.#channel = new Channel(worker);
    this.#clock = clock;
    this.#exited = new Promise((resolve) => worker.once("exit", resolve));
  }

  async get<T>(kind: string, key: string): Promise<StoredRecord<T> | undefined> {
    const record = await this.#channel.send({ op: "get", kind, key });
    return record && parseRecord<T>(record);
  }

  async list<T>(kind: string, options: ListOptions = {}): Promise<StoredRecord<T>[]> {
    const { prefix = "", after, limit = -1 } = options;
    const records = await this.#channel.send({ op: "list", kind, prefix, after, limit });
    return records.map((record) => parseRecord<T>(record));
  }

  async write(changes: readonly Change[]): Promise<number> {
    const wireChanges = changes.map((change) => wireChange(change, this.#clock.nowMs()));
    const { revision } = await this.#channel.send(
      { op: "write", nowMs: this.#clock.nowMs(), changes: wireChanges },
      {
        bytes: wireChanges.reduce((sum, change) => sum + bytesOf(change), 0),
        onResult: (result) => this.#publish(wireChanges, result),
      },
    );
    return revision;
  }

  async watch<T>(kind: string, listener: (event: ChangeEvent<T>) => void): Promise<() => void> {
    const watcher: Watcher = { listener: listener as Watcher["listener"] };
    await this.#channel.send(
      { op: "list", kind, prefix: "", after: undefined, limit: -1 },
      {
        // Replies are read in commit order: the listing has what came before, #publish brings what comes after.
        onResult: (records) => {
          const watchers = this.#watchers.get(kind) ?? new Set();
          this.#watchers.set(kind, watchers.add(watcher));
          for (const record of records) tell(watcher, { op: "put", record: parseRecord(record) });
        },
      },
    );
    return () => {
      const watchers = this.#watchers.get(kind);
      watchers?.delete(watcher);
      if (watchers?.size === 0) this.#watchers.delete(kind);
    };
  }

  queue(name: string): DurableQueue {
    return new SqliteQueue(name, this.#channel, this.#clock);
  }

  async queueNames(prefix: string): Promise<string[]> {
    return this.#channel.send({ op: "queueNames", prefix });
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await this.#channel.close();
    await this.#exited;
  }

  /** Tells the watchers what a committed transaction changed; a deletion that found nothing changed nothing. */
  #publish(changes: readonly WireChange[], { revision, effects }: WriteResult): void {
    for (const [index, change] of changes.entries()) {
      if (change.op === "enqueue") continue;
      const watchers = this.#watchers.get(change.kind);
      if (watchers === undefined) continue;
      const event = eventOf(change, revision, effects[index]);
      // A listener may end a watch, its own or another's: a Set's iteration passes over what was removed.
      if (event !== undefined) for (const watcher of watchers) tell(watcher, event);
    }
  }
}

class SqliteQueue implements DurableQueue {
  readonly #name: string;
  readonly #channel: Channel;
  readonly #clock: Clock;

  constructor(name: string, channel: Channel, clock: Clock) {
    this.#name = name;
    this.#channel = channel;
    this.#clock = clock;
  }

  async append(messages: readonly { body: Uint8Array; visibleAtMs?: number }[]): Promise<number[]> {
    const nowMs = this.#clock.nowMs();
    return this.#channel.send(
      {
        op: "append",
        queue: this.#name,
        nowMs,
        messages: messages.map((message) => wireMessage(message, nowMs)),
      },
      { bytes: messages.reduce((sum, message) => sum + message.body.byteLength, 0) },
    );
  }

  async receive({ limit, leaseMs }: { limit: number; leaseMs: number }): Promise<LeasedMessage[]> {
    assert(Number.isInteger(limit) && limit >= 0, "a limit is a whole number that is not negative");
    const nowMs = this.#clock.nowMs();
    return this.#channel.send({
      op: "receive",
      queue: this.#name,
      nowMs,
      limit,
      leaseMs: wholeMs(leaseMs),
    });
  }

  async acknowledge(receipts: readonly string[]): Promise<number> {
    return this.#channel.send({ op: "acknowledge", queue: this.#name, receipts });
  }

  async release(receipt: string, options: { visibleAtMs: number; body?: Uint8Array }): Promise<boolean> {
    const body = options.body && copyOf(options.body);
    return this.#channel.send(
      {
        op: "release",
        queue: this.#name,
        nowMs: this.#clock.nowMs(),
        receipt,
        visibleAtMs: wholeMs(options.visibleAtMs),
        body,
      },
      { bytes: body?.byteLength ?? 0 },
    );
  }

  async recall(): Promise<number> {
    return this.#channel.send({ op: "recall", queue: this.#name, nowMs: this.#clock.nowMs() });
  }

  async clear(limit: number): Promise<number> {
    assert(Number.isInteger(limit) && limit >= 0, "a limit is a whole number that is not negative");
    return this.#channel.send({ op: "clear", queue: this.#name, limit });
  }

  async stats(): Promise<{ messages: number; visible: number; nextVisibleAtMs: number | undefined }> {
    return this.#channel.send({ op: "stats", queue: this.#name, nowMs: this.#clock.nowMs() });
  }
}

interface Watcher {
  readonly listener: (event: ChangeEvent<unknown>) => void;
}

/** A listener that throws breaks its contract: that ends the process, as any uncaught error does, but not this reply's other work. */
function tell(watcher: Watcher, event: ChangeEvent<unknown>): void {
  try {
    watcher.listener(event);
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}

function eventOf(
  change: Exclude<WireChange, { op: "enqueue" }>,
  revision: number,
  effect: WriteResult["effects"][number],
): ChangeEvent<unknown> | undefined {
  const { key } = change;
  if (change.op === "delete") return effect === true ? { op: "delete", key, revision } : undefined;
  const json = change.op === "put" ? change.json : effect;
  assert(typeof json === "string", "the effect of an add is its new value");
  return { op: "put", record: parseRecord({ key, revision, json }) };
}

function parseRecord<T>({ key, revision, json }: WireRecord): StoredRecord<T> {
  return { key, value: JSON.parse(json) as T, revision };
}

function wireChange(change: Change, nowMs: number): WireChange {
  switch (change.op) {
    case "put": {
      const json = JSON.stringify(change.value) as string | undefined;
      if (json === undefined) throw new TypeError(`the value of ${change.kind}/${change.key} is not JSON`);
      return { op: "put", kind: change.kind, key: wellFormed(change.key), json, expect: change.expect };
    }
    case "delete":
      return { op: "delete", kind: change.kind, key: change.key, expect: change.expect };
    case "add":
      return { op: "add", kind: change.kind, key: wellFormed(change.key), amounts: change.amounts };
    case "enqueue":
      return { op: "enqueue", queue: wellFormed(change.queue), ...wireMessage(change, nowMs) };
    default:
      return unreachable(change, "change");
  }
}

function wireMessage(message: { body: Uint8Array; visibleAtMs?: number }, nowMs: number): WireMessage {
  return { body: copyOf(message.body), visibleAtMs: wholeMs(message.visibleAtMs ?? nowMs) };
}

/** A copy with a buffer of its own: small Buffers share one, and what is transferred is gone for its owner. */
function copyOf(body: Uint8Array): Uint8Array<ArrayBuffer> {
  return new Uint8Array(body);
}

/** Half a surrogate pair has no UTF-8: stored, it would come back as another key. */
function wellFormed(key: string): string {
  if (!key.isWellFormed()) throw new TypeError("a key is well-formed Unicode");
  return key;
}

function wholeMs(ms: number): number {
  const whole = Math.ceil(ms);
  if (!Number.isSafeInteger(whole)) throw new TypeError(`${ms} is not a time in milliseconds`);
  return whole;
}

function bytesOf(change: WireChange): number {
  if (change.op === "put") return change.json.length;
  return change.op === "enqueue" ? change.body.byteLength : 0;
}
