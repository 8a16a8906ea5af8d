/** Durable executions on disk: finding, loading, listing and removing them. Every read sees only what is durable. */
import type { Change, Store, StoredRecord } from "../../store/store.ts";
import { Execution } from "./execution.ts";
import {
  EVENT_KIND,
  eventKey,
  EXECUTION_KIND,
  NAME_KIND,
  nameKey,
  NEWEST_KIND,
  newestKey,
  OPEN_KIND,
  OPERATION_KIND,
  operationKey,
  type EventRecord,
  type ExecutionRecord,
  type NameRecord,
  type NewestRecord,
  type OperationRecord,
} from "./records.ts";

/** Records that are read, or removed, at a time. */
const PAGE = 500;

export class ExecutionStore {
  readonly #store: Store;

  constructor(store: Store) {
    this.#store = store;
  }

  async record(key: string): Promise<ExecutionRecord | undefined> {
    return (await this.#store.get<ExecutionRecord>(EXECUTION_KIND, key))?.value;
  }

  async load(key: string): Promise<Execution | undefined> {
    const record = await this.record(key);
    return record && Execution.restore(record, await this.operations(key));
  }

  /** In the order in which they began. */
  async operations(key: string): Promise<OperationRecord[]> {
    const found: OperationRecord[] = [];
    for await (const { value } of this.#all<OperationRecord>(OPERATION_KIND, `${key}/`)) found.push(value);
    return found;
  }

  async operation(key: string, ordinal: number): Promise<OperationRecord | undefined> {
    return (await this.#store.get<OperationRecord>(OPERATION_KIND, operationKey(key, ordinal)))?.value;
  }

  /** Up to `limit` events with ids from `first` on, ascending. */
  async events(key: string, first: number, limit: number): Promise<EventRecord[]> {
    const options = { prefix: `${key}/`, after: eventKey(key, first - 1), limit };
    return (await this.#store.list<EventRecord>(EVENT_KIND, options)).map(({ value }) => value);
  }

  async named(functionName: string, name: string): Promise<StoredRecord<NameRecord> | undefined> {
    return this.#store.get<NameRecord>(NAME_KIND, nameKey(functionName, name));
  }

  /** Up to `limit` executions of a function after `after`, which is a key of the list itself; oldest or newest first. */
  async page(
    functionName: string,
    order: "oldest" | "newest",
    after: string | undefined,
    limit: number,
  ): Promise<{ records: ExecutionRecord[]; last: string | undefined; isEnd: boolean }> {
    const options = { prefix: `${functionName}/`, limit, ...(after !== undefined && { after }) };
    if (order === "oldest") {
      const found = await this.#store.list<ExecutionRecord>(EXECUTION_KIND, options);
      const records = found.map(({ value }) => value);
      return { records, last: found.at(-1)?.key, isEnd: found.length < limit };
    }
    const index = await this.#store.list<NewestRecord>(NEWEST_KIND, options);
    const found = await Promise.all(index.map(({ value }) => this.record(value.key)));
    const records = found.flatMap((record) => record ?? []);
    return { records, last: index.at(-1)?.key, isEnd: index.length < limit };
  }

  /** Removes an execution with all that belongs to it: its own record last, so that a crash leaves it to be found. */
  async remove(key: string, record: ExecutionRecord): Promise<void> {
    for (const kind of [OPERATION_KIND, EVENT_KIND]) {
      for (;;) {
        const found = await this.#store.list(kind, { prefix: `${key}/`, limit: PAGE });
        if (found.length > 0)
          await this.#store.write(found.map(({ key: one }) => ({ op: "delete", kind, key: one })));
        if (found.length < PAGE) break;
      }
    }
    const { functionName, name, id, startMs } = record;
    const named = record.isNamed && (await this.named(functionName, name));
    const changes: Change[] = [
      { op: "delete", kind: OPEN_KIND, key },
      { op: "delete", kind: NEWEST_KIND, key: newestKey(functionName, startMs, id) },
      { op: "delete", kind: EXECUTION_KIND, key },
    ];
    // A later execution may have the name by now.
    if (named && named.value.id === id)
      changes.push({ op: "delete", kind: NAME_KIND, key: named.key, expect: named.revision });
    await this.#store.write(changes);
  }

  /** Everything of a kind below a prefix, page by page: what is added behind the current page is seen. */
  async *#all<T>(kind: string, prefix: string): AsyncGenerator<StoredRecord<T>, void, undefined> {
    let after: string | undefined;
    for (;;) {
      const options = { prefix, limit: PAGE, ...(after !== undefined && { after }) };
      const found = await this.#store.list<T>(kind, options);
      yield* found;
      if (found.length < PAGE) return;
      after = found.at(-1)?.key;
    }
  }

  all<T>(kind: string, prefix = ""): AsyncGenerator<StoredRecord<T>, void, undefined> {
    return this.#all<T>(kind, prefix);
  }

  write(changes: readonly Change[]): Promise<number> {
    return this.#store.write(changes);
  }
}
