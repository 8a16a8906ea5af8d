/**
 * The state port in memory: for tests, and for a server that is asked to forget everything. "Durable" means "in this
 * object" here; in everything else it keeps the port's contract, and passes the suite in conformance.ts.
 *
 * Values are kept as frozen copies, so that a caller who changes what it was given fails at once.
 */
import { assert } from "../kernel/assert.ts";
import type { Clock } from "../kernel/clock.ts";
import {
  RevisionConflict,
  StoreClosed,
  type Change,
  type ChangeEvent,
  type DurableQueue,
  type LeasedMessage,
  type ListOptions,
  type Store,
  type StoredRecord,
} from "./store.ts";

type Records = Map<string, StoredRecord<unknown>>;
type Listener = (event: ChangeEvent<unknown>) => void;

/** What a transaction has changed so far: undefined means deleted. */
type Staged = Map<string, { kind: string; key: string; value: unknown }>;

export class MemoryStore implements Store {
  readonly #clock: Clock;
  readonly #kinds = new Map<string, Records>();
  readonly #listeners = new Map<string, Set<Listener>>();
  readonly #queues = new Map<string, MemoryQueue>();
  /** Committed changes that listeners were not told yet: a listener may write, and order must hold all the same. */
  readonly #untold: { kind: string; event: ChangeEvent<unknown> }[] = [];
  #telling = false;
  #revision = 0;
  #closed = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  async get<T>(kind: string, key: string): Promise<StoredRecord<T> | undefined> {
    this.#assertOpen();
    return this.#kinds.get(kind)?.get(key) as StoredRecord<T> | undefined;
  }

  async list<T>(kind: string, options: ListOptions = {}): Promise<StoredRecord<T>[]> {
    this.#assertOpen();
    return this.#select<T>(kind, options);
  }

  #select<T>(kind: string, options: ListOptions): StoredRecord<T>[] {
    const { prefix = "", after, limit = Infinity } = options;
    const found: StoredRecord<unknown>[] = [];
    for (const record of this.#kinds.get(kind)?.values() ?? []) {
      if (!record.key.startsWith(prefix)) continue;
      if (after !== undefined && compareBytes(record.key, after) <= 0) continue;
      found.push(record);
    }
    found.sort((a, b) => compareBytes(a.key, b.key));
    return found.slice(0, limit) as StoredRecord<T>[];
  }

  async write(changes: readonly Change[]): Promise<number> {
    this.#assertOpen();
    const staged: Staged = new Map();
    for (const change of changes) this.#stage(change, staged);
    if (changes.length > 0) this.#revision += 1;
    const revision = this.#revision;
    for (const { kind, key, value } of staged.values()) this.#commit(kind, key, value, revision);
    for (const change of changes) if (change.op === "enqueue") this.#queue(change.queue).push(change);
    this.#tell();
    return revision;
  }

  async watch<T>(kind: string, listener: (event: ChangeEvent<T>) => void): Promise<() => void> {
    this.#assertOpen();
    for (const record of this.#select<T>(kind, {})) listener({ op: "put", record });
    const listeners = this.#listeners.get(kind) ?? new Set();
    this.#listeners.set(kind, listeners);
    // The records came from one state, told without a pause: nothing can have been committed since.
    const entry = listener as Listener;
    listeners.add(entry);
    return () => void listeners.delete(entry);
  }

  queue(name: string): DurableQueue {
    return this.#queue(name);
  }

  async queueNames(prefix: string): Promise<string[]> {
    this.#assertOpen();
    const names = [...this.#queues].filter(([name, queue]) => name.startsWith(prefix) && queue.size > 0);
    return names.map(([name]) => name).sort(compareBytes);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#listeners.clear();
  }

  #assertOpen(): void {
    if (this.#closed) throw new StoreClosed();
  }

  #queue(name: string): MemoryQueue {
    let queue = this.#queues.get(name);
    if (!queue) {
      queue = new MemoryQueue(this.#clock, () => this.#assertOpen());
      this.#queues.set(name, queue);
    }
    return queue;
  }

  /** Checks one change against the state that the changes before it make, and notes its result. */
  #stage(change: Change, staged: Staged): void {
    if (change.op === "enqueue") return;
    const { kind, key } = change;
    const id = `${kind}\0${key}`;
    const before = this.#kinds.get(kind)?.get(key);
    const current = staged.has(id) ? staged.get(id)?.value : before?.value;
    if (change.op === "add") {
      staged.set(id, { kind, key, value: addAmounts(current, change.amounts) });
      return;
    }
    const { expect } = change;
    if (expect === "absent" && current !== undefined) throw new RevisionConflict(kind, key);
    if (typeof expect === "number" && (staged.has(id) || before?.revision !== expect)) {
      throw new RevisionConflict(kind, key);
    }
    staged.set(id, { kind, key, value: change.op === "put" ? freezeCopy(change.value) : undefined });
  }

  #commit(kind: string, key: string, value: unknown, revision: number): void {
    const records: Records = this.#kinds.get(kind) ?? new Map();
    this.#kinds.set(kind, records);
    if (value === undefined) {
      if (records.delete(key)) this.#untold.push({ kind, event: { op: "delete", key, revision } });
      return;
    }
    const record = Object.freeze({ key, value, revision });
    records.set(key, record);
    this.#untold.push({ kind, event: { op: "put", record } });
  }

  #tell(): void {
    if (this.#telling) return;
    this.#telling = true;
    try {
      for (let next = this.#untold.shift(); next; next = this.#untold.shift()) {
        for (const listener of this.#listeners.get(next.kind) ?? []) listener(next.event);
      }
    } finally {
      this.#telling = false;
    }
  }
}

interface Message {
  readonly sequence: number;
  body: Uint8Array;
  readonly enqueuedAtMs: number;
  visibleAtMs: number;
  receiveCount: number;
  /** The lease that was given last, until it is acknowledged or released. */
  receipt: string | undefined;
}

class MemoryQueue implements DurableQueue {
  readonly #clock: Clock;
  readonly #assertOpen: () => void;
  /** In order of sequence. */
  #messages: Message[] = [];
  #lastSequence = 0;

  constructor(clock: Clock, assertOpen: () => void) {
    this.#clock = clock;
    this.#assertOpen = assertOpen;
  }

  get size(): number {
    return this.#messages.length;
  }

  push(message: { body: Uint8Array; visibleAtMs?: number }): number {
    const nowMs = this.#clock.nowMs();
    this.#lastSequence += 1;
    this.#messages.push({
      sequence: this.#lastSequence,
      body: copyOf(message.body),
      enqueuedAtMs: nowMs,
      visibleAtMs: message.visibleAtMs ?? nowMs,
      receiveCount: 0,
      receipt: undefined,
    });
    return this.#lastSequence;
  }

  async append(messages: readonly { body: Uint8Array; visibleAtMs?: number }[]): Promise<number[]> {
    this.#assertOpen();
    return messages.map((message) => this.push(message));
  }

  async receive(options: { limit: number; leaseMs: number }): Promise<LeasedMessage[]> {
    this.#assertOpen();
    const nowMs = this.#clock.nowMs();
    const leased: LeasedMessage[] = [];
    for (const message of this.#messages) {
      if (leased.length >= options.limit) break;
      if (message.visibleAtMs > nowMs) continue;
      message.visibleAtMs = nowMs + options.leaseMs;
      message.receiveCount += 1;
      message.receipt = `${message.sequence}.${message.receiveCount}`;
      const { sequence, body, receipt, receiveCount, enqueuedAtMs } = message;
      leased.push({ sequence, body: copyOf(body), receipt, receiveCount, enqueuedAtMs });
    }
    return leased;
  }

  async acknowledge(receipts: readonly string[]): Promise<number> {
    this.#assertOpen();
    const known = new Set(receipts);
    const before = this.#messages.length;
    this.#messages = this.#messages.filter(({ receipt }) => receipt === undefined || !known.has(receipt));
    return before - this.#messages.length;
  }

  async release(receipt: string, options: { visibleAtMs: number; body?: Uint8Array }): Promise<boolean> {
    this.#assertOpen();
    const message = this.#messages.find((candidate) => candidate.receipt === receipt);
    if (!message) return false;
    message.receipt = undefined;
    message.visibleAtMs = options.visibleAtMs;
    if (options.body) message.body = copyOf(options.body);
    return true;
  }

  async recall(): Promise<number> {
    this.#assertOpen();
    const nowMs = this.#clock.nowMs();
    const leased = this.#messages.filter(({ receipt }) => receipt !== undefined);
    for (const message of leased) {
      message.receipt = undefined;
      message.visibleAtMs = nowMs;
    }
    return leased.length;
  }

  async clear(limit: number): Promise<number> {
    this.#assertOpen();
    return this.#messages.splice(0, limit).length;
  }

  async stats(): Promise<{ messages: number; visible: number; nextVisibleAtMs: number | undefined }> {
    this.#assertOpen();
    const nowMs = this.#clock.nowMs();
    let visible = 0;
    let nextVisibleAtMs: number | undefined;
    for (const { visibleAtMs } of this.#messages) {
      if (visibleAtMs <= nowMs) visible += 1;
      else if (nextVisibleAtMs === undefined || visibleAtMs < nextVisibleAtMs) nextVisibleAtMs = visibleAtMs;
    }
    return { messages: this.#messages.length, visible, nextVisibleAtMs };
  }
}

/** Not `slice`, which of a Buffer is a view of the same bytes. */
function copyOf(body: Uint8Array): Uint8Array {
  return new Uint8Array(body);
}

function addAmounts(
  current: unknown,
  amounts: Readonly<Record<string, number>>,
): Readonly<Record<string, number>> {
  const sums: Record<string, number> = { ...(current as Record<string, number> | undefined) };
  for (const [member, amount] of Object.entries(amounts)) {
    const before = sums[member] ?? 0;
    assert(typeof before === "number", "counters are added to records of numbers");
    sums[member] = before + amount;
  }
  return Object.freeze(sums);
}

/** Ascending order of UTF-8 bytes, which is not the order of JavaScript's UTF-16 units. */
function compareBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

function freezeCopy(value: unknown): unknown {
  assert(value !== undefined, "a record's value is JSON");
  return freezeDeep(JSON.parse(JSON.stringify(value)));
}

function freezeDeep(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  for (const member of Object.values(value)) freezeDeep(member);
  return Object.freeze(value);
}
