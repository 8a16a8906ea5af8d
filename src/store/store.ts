/**
 * The state port: typed records by kind and key with compare-and-set, a change feed, and append-only queues with leases.
 *
 * What is acknowledged is on disk: every promise of a write resolves only after its transaction is durable.
 * Implementations live in folders named after what they stand on (sqlite/, later nats/) and pass the suite in conformance.ts.
 * Values are JSON: what comes back is structurally equal to what went in; nobody may change a value they were given.
 */
export interface Store {
  /** The record, or undefined. Reads see every write acknowledged before the call. */
  get<T>(kind: string, key: string): Promise<StoredRecord<T> | undefined>;

  /** Records of a kind in ascending byte order of their keys. `after` is exclusive. */
  list<T>(kind: string, options?: ListOptions): Promise<StoredRecord<T>[]>;

  /** Applies all changes or none; resolves with the store-wide revision they were given. Rejects with RevisionConflict. */
  write(changes: readonly Change[]): Promise<number>;

  /**
   * Calls back for every committed change of `kind`, in commit order, once each. The records that exist already are
   * delivered first, as puts, before the promise resolves; nothing between the two is missed or told twice.
   * A listener must not throw.
   */
  watch<T>(kind: string, listener: (event: ChangeEvent<T>) => void): Promise<() => void>;

  /** The durable queue of that name; made by its first message. Cheap, may be called repeatedly. */
  queue(name: string): DurableQueue;

  /** Names of the queues that hold messages. */
  queueNames(prefix: string): Promise<string[]>;

  /** Waits for what was accepted, then closes. Idempotent. Later calls reject with StoreClosed. */
  close(): Promise<void>;
}

export interface StoredRecord<T> {
  readonly key: string;
  readonly value: T;
  /** The store-wide revision of the write that made this value; grows with every transaction. */
  readonly revision: number;
}

export interface ListOptions {
  readonly prefix?: string;
  readonly after?: string;
  readonly limit?: number;
}

/**
 * One change of a transaction. `expect` is the precondition: a revision that the record must have, or "absent".
 * `add` adds numbers, member by member, to a record of numbers (made when absent): counters without a read.
 */
export type Change =
  | {
      readonly op: "put";
      readonly kind: string;
      readonly key: string;
      readonly value: unknown;
      readonly expect?: number | "absent";
    }
  | { readonly op: "delete"; readonly kind: string; readonly key: string; readonly expect?: number }
  | {
      readonly op: "add";
      readonly kind: string;
      readonly key: string;
      readonly amounts: Readonly<Record<string, number>>;
    }
  | {
      readonly op: "enqueue";
      readonly queue: string;
      readonly body: Uint8Array;
      readonly visibleAtMs?: number;
    };

export type ChangeEvent<T> =
  | { readonly op: "put"; readonly record: StoredRecord<T> }
  | { readonly op: "delete"; readonly key: string; readonly revision: number };

/** Append-only, first in first out by sequence among visible messages; a received message is leased, not gone. */
export interface DurableQueue {
  /** Resolves with the messages' sequence numbers when they are on disk; concurrent calls share one commit. */
  append(messages: readonly { body: Uint8Array; visibleAtMs?: number }[]): Promise<number[]>;
  /** Up to `limit` visible messages, each leased for `leaseMs`. Another call does not see them until the lease ends. */
  receive(options: { limit: number; leaseMs: number }): Promise<LeasedMessage[]>;
  /** Removes messages for good. An unknown or re-leased receipt is passed over. Resolves with how many went. */
  acknowledge(receipts: readonly string[]): Promise<number>;
  /** Makes a leased message visible again at `visibleAtMs`; `body`, when given, replaces its body. */
  release(receipt: string, options: { visibleAtMs: number; body?: Uint8Array }): Promise<boolean>;
  /**
   * Ends all leases: their messages are visible again at once, their receipts void. Resolves with how many. For the sole
   * consumer of a queue that has begun anew and knows that whoever held the leases is gone.
   */
  recall(): Promise<number>;
  /**
   * Removes up to `limit` messages for good, whatever their state. Resolves with how many went: fewer than `limit` means
   * that the queue was empty then.
   */
  clear(limit: number): Promise<number>;
  /** How many messages there are, and when the next one that is not visible now becomes so. */
  stats(): Promise<{ messages: number; visible: number; nextVisibleAtMs: number | undefined }>;
}

export interface LeasedMessage {
  readonly sequence: number;
  readonly body: Uint8Array;
  readonly receipt: string;
  /** How often it was received, this time included: 1 for the first. */
  readonly receiveCount: number;
  readonly enqueuedAtMs: number;
}

/** A precondition did not hold; nothing of the transaction was applied. */
export class RevisionConflict extends Error {
  override readonly name = "RevisionConflict";
  readonly kind: string;
  readonly key: string;
  constructor(kind: string, key: string) {
    super(`the record ${kind}/${key} was changed by somebody else`);
    this.kind = kind;
    this.key = key;
  }
}

export class StoreClosed extends Error {
  override readonly name = "StoreClosed";
  constructor() {
    super("the store is closed");
  }
}

/** Another process owns the data directory. */
export class StoreLocked extends Error {
  override readonly name = "StoreLocked";
}

/** More calls wait than the store holds: the caller is told at once instead of being queued without bound. Retry later. */
export class StoreOverloaded extends Error {
  override readonly name = "StoreOverloaded";
}

/** The medium failed (disk full, input/output error, damage); nothing of the rejected call was applied. */
export class StoreFailure extends Error {
  override readonly name = "StoreFailure";
  /** What an operator can do about it. */
  readonly hint: string | undefined;
  constructor(message: string, options: { hint?: string | undefined; cause?: unknown } = {}) {
    super(message, { cause: options.cause });
    this.hint = options.hint;
  }
}
