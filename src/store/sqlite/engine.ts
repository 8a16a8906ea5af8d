/**
 * Executes batches of requests on an open database: reads one by one, writes as a group in one transaction (one fsync
 * for all), each write in a savepoint of its own so that one that fails does not fail its neighbours.
 */
import type { DatabaseSync, StatementSync } from "node:sqlite";
import { assert, unreachable } from "../../kernel/assert.ts";
import { RevisionConflict } from "../store.ts";
import type { ReadRequest, Results, WireError, WriteRequest } from "./protocol.ts";
import { Queues } from "./queues.ts";
import { InvalidChange, Records } from "./records.ts";

/** What became of one request. */
export type Outcome = { readonly result: Results[keyof Results] } | { readonly error: WireError };

interface Counters {
  revision: number;
  sequence: number;
}

export class Engine {
  readonly #records: Records;
  readonly #queues: Queues;
  readonly #database: DatabaseSync;
  readonly #explain: (error: unknown) => WireError;
  readonly #begin: StatementSync;
  readonly #commit: StatementSync;
  readonly #savepoint: StatementSync;
  readonly #rollbackTo: StatementSync;
  readonly #releaseSavepoint: StatementSync;
  readonly #saveCounters: StatementSync;
  /** As on disk between transactions; ahead of it inside one. */
  #counters: Counters;

  /** `explain` turns an error of the medium into what the caller is told. */
  constructor(database: DatabaseSync, explain: (error: unknown) => WireError) {
    this.#database = database;
    this.#explain = explain;
    this.#records = new Records(database);
    this.#queues = new Queues(database);
    this.#begin = database.prepare("BEGIN IMMEDIATE");
    this.#commit = database.prepare("COMMIT");
    this.#savepoint = database.prepare("SAVEPOINT request");
    this.#rollbackTo = database.prepare("ROLLBACK TO request");
    this.#releaseSavepoint = database.prepare("RELEASE request");
    this.#saveCounters = database.prepare("UPDATE counters SET revision = ?, sequence = ?");
    const row = database.prepare("SELECT revision, sequence FROM counters").get();
    this.#counters = { revision: Number(row?.["revision"]), sequence: Number(row?.["sequence"]) };
    assert(Number.isSafeInteger(this.#counters.revision), "the stored revision is a whole number");
    assert(Number.isSafeInteger(this.#counters.sequence), "the stored sequence is a whole number");
  }

  read(request: ReadRequest): Outcome {
    try {
      switch (request.op) {
        case "get":
          return { result: this.#records.get(request.kind, request.key) };
        case "list":
          return { result: this.#records.list(request) };
        case "queueNames":
          return { result: this.#queues.names(request.prefix) };
        case "stats":
          return { result: this.#queues.stats(request.queue, request.nowMs) };
        default:
          return unreachable(request, "read request");
      }
    } catch (error) {
      return { error: this.#explain(error) };
    }
  }

  /**
   * One outcome a request, in their order; when it returns, what succeeded is on disk. When the medium fails, everything
   * is rolled back and each request is tried once more alone: a small one, or one that frees space, may still succeed.
   */
  write(requests: readonly WriteRequest[]): Outcome[] {
    try {
      return this.#transaction(requests);
    } catch (error) {
      if (requests.length === 1) return [{ error: this.#explain(error) }];
      return requests.flatMap((request) => this.write([request]));
    }
  }

  #transaction(requests: readonly WriteRequest[]): Outcome[] {
    const before = { ...this.#counters };
    this.#begin.run();
    try {
      const outcomes = requests.map((request) => this.#isolated(request));
      const { revision, sequence } = this.#counters;
      if (revision !== before.revision || sequence !== before.sequence)
        this.#saveCounters.run(revision, sequence);
      this.#commit.run();
      return outcomes;
    } catch (error) {
      this.#counters = before;
      // SQLite has rolled back by itself after some errors, a full disk among them.
      if (this.#database.isTransaction) this.#database.exec("ROLLBACK");
      throw error;
    }
  }

  /** Errors of the request become its outcome; errors of the medium are thrown. */
  #isolated(request: WriteRequest): Outcome {
    const before = { ...this.#counters };
    this.#savepoint.run();
    try {
      const result = this.#apply(request);
      this.#releaseSavepoint.run();
      return { result };
    } catch (error) {
      const refusal = refusalOf(error);
      if (refusal === undefined) throw error;
      this.#counters = before;
      this.#rollbackTo.run();
      this.#releaseSavepoint.run();
      return { error: refusal };
    }
  }

  #apply(request: WriteRequest): Results[WriteRequest["op"]] {
    switch (request.op) {
      case "write":
        return this.#applyChanges(request);
      case "append":
        return request.messages.map((message) => {
          this.#counters.sequence += 1;
          this.#queues.append(request.queue, message, this.#counters.sequence, request.nowMs);
          return this.#counters.sequence;
        });
      case "receive":
        return this.#queues.receive(request);
      case "acknowledge":
        return this.#queues.acknowledge(request);
      case "release":
        return this.#queues.release(request);
      case "recall":
        return this.#queues.recall(request);
      case "clear":
        return this.#queues.clear(request);
      default:
        return unreachable(request, "write request");
    }
  }

  #applyChanges(request: Extract<WriteRequest, { op: "write" }>): Results["write"] {
    this.#counters.revision += 1;
    const { revision } = this.#counters;
    const effects = request.changes.map((change) => {
      if (change.op !== "enqueue") return this.#records.apply(change, revision);
      this.#counters.sequence += 1;
      this.#queues.append(change.queue, change, this.#counters.sequence, request.nowMs);
      return undefined;
    });
    return { revision, effects };
  }
}

function refusalOf(error: unknown): WireError | undefined {
  if (error instanceof RevisionConflict) return { type: "conflict", kind: error.kind, key: error.key };
  if (error instanceof InvalidChange) return { type: "invalid", message: error.message };
  return undefined;
}
