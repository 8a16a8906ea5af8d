/**
 * The records of one kind: durable in the store, and all of them in memory, because authorisation reads them on every
 * request. The store's feed keeps memory current on every node.
 */
import { RevisionConflict, type Change, type Store, type StoredRecord } from "../../store/store.ts";

export class Collection<T> {
  readonly kind: string;
  readonly #store: Store;
  readonly #nameOf: (record: T) => string;
  readonly #onChange: () => void;
  readonly #records = new Map<string, StoredRecord<T>>();
  /** Revisions of what was deleted here and may still be told of by the feed. */
  readonly #deleted = new Map<string, number>();
  #unwatch: () => void = () => undefined;

  constructor(store: Store, kind: string, nameOf: (record: T) => string, onChange: () => void) {
    this.#store = store;
    this.kind = kind;
    this.#nameOf = nameOf;
    this.#onChange = onChange;
  }

  async open(): Promise<void> {
    this.#unwatch = await this.#store.watch<T>(this.kind, (event) => {
      if (event.op === "put") this.#take(event.record);
      else this.#drop(event.key, event.revision);
    });
  }

  close(): void {
    this.#unwatch();
  }

  /** Names are unique without regard to case, as IAM's are. */
  get(name: string): T | undefined {
    return this.#records.get(name.toLowerCase())?.value;
  }

  /** In ascending order of their names. */
  values(): T[] {
    return [...this.#records].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, { value }]) => value);
  }

  get size(): number {
    return this.#records.size;
  }

  /** The change that adds the record: it must not be there. */
  adding(record: T): Change {
    return {
      op: "put",
      kind: this.kind,
      key: this.#nameOf(record).toLowerCase(),
      value: record,
      expect: "absent",
    };
  }

  /** The change that replaces the record of that name; nobody may have changed it meanwhile. */
  replacing(record: T): Change {
    const key = this.#nameOf(record).toLowerCase();
    return { op: "put", kind: this.kind, key, value: record, ...this.#expect(key) };
  }

  deleting(name: string): Change {
    const key = name.toLowerCase();
    return { op: "delete", kind: this.kind, key, ...this.#expect(key) };
  }

  /** Takes a change in that was written at `revision`; the feed may tell it again, earlier or later. */
  apply(change: Change, revision: number): void {
    if (change.op === "put") this.#take({ key: change.key, value: change.value as T, revision });
    else if (change.op === "delete") this.#drop(change.key, revision);
  }

  #expect(key: string): { expect: number } {
    const revision = this.#records.get(key)?.revision;
    if (revision === undefined) throw new RevisionConflict(this.kind, key);
    return { expect: revision };
  }

  #take(record: StoredRecord<T>): void {
    if ((this.#records.get(record.key)?.revision ?? 0) >= record.revision) return;
    if ((this.#deleted.get(record.key) ?? 0) > record.revision) return;
    this.#deleted.delete(record.key);
    this.#records.set(record.key, record);
    this.#onChange();
  }

  #drop(key: string, revision: number): void {
    const known = this.#records.get(key);
    if (known && known.revision > revision) return;
    this.#deleted.set(key, revision);
    this.#forgetOldest();
    if (known) {
      this.#records.delete(key);
      this.#onChange();
    }
  }

  #forgetOldest(): void {
    if (this.#deleted.size <= DELETED_MAX) return;
    const [oldest] = this.#deleted.keys();
    if (oldest !== undefined) this.#deleted.delete(oldest);
  }
}

/** The feed is at most a few commits behind. */
const DELETED_MAX = 1024;
