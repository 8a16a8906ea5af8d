/** Records on SQLite: the statements, and what each change of a transaction does. Runs in the worker, inside a transaction. */
import type { DatabaseSync, StatementSync } from "node:sqlite";
import { unreachable } from "../../kernel/assert.ts";
import { RevisionConflict } from "../store.ts";
import type { ReadRequest, WireChange, WireRecord } from "./protocol.ts";

type RecordChange = Exclude<WireChange, { op: "enqueue" }>;

/** A change that can never be applied, whatever the state of the store: the caller's mistake, not the medium's. */
export class InvalidChange extends Error {
  override readonly name = "InvalidChange";
}

export class Records {
  readonly #get: StatementSync;
  readonly #list: StatementSync;
  readonly #put: StatementSync;
  readonly #putAbsent: StatementSync;
  readonly #putExpected: StatementSync;
  readonly #delete: StatementSync;
  readonly #deleteExpected: StatementSync;

  constructor(database: DatabaseSync) {
    this.#get = database.prepare(
      "SELECT key, revision, value AS json FROM records WHERE kind = ? AND key = ?",
    );
    // Text compares byte by byte in UTF-8; a blob is greater than any text.
    this.#list = database.prepare(`
      SELECT key, revision, value AS json FROM records
      WHERE kind = ? AND key >= max(?, ?) AND key < ? ORDER BY key LIMIT ?
    `);
    const insert = "INSERT INTO records (kind, key, revision, value) VALUES (?, ?, ?, ?)";
    this.#put = database.prepare(
      `${insert} ON CONFLICT DO UPDATE SET revision = excluded.revision, value = excluded.value`,
    );
    this.#putAbsent = database.prepare(`${insert} ON CONFLICT DO NOTHING`);
    this.#putExpected = database.prepare(
      "UPDATE records SET revision = ?, value = ? WHERE kind = ? AND key = ? AND revision = ?",
    );
    this.#delete = database.prepare("DELETE FROM records WHERE kind = ? AND key = ?");
    this.#deleteExpected = database.prepare(
      "DELETE FROM records WHERE kind = ? AND key = ? AND revision = ?",
    );
  }

  get(kind: string, key: string): WireRecord | undefined {
    return this.#get.get(kind, key) as WireRecord | undefined;
  }

  list(request: Extract<ReadRequest, { op: "list" }>): WireRecord[] {
    const { kind, prefix, after, limit } = request;
    // The first key after `after` is itself and a NUL.
    const start = after === undefined ? "" : `${after}\0`;
    const rows = this.#list.all(kind, prefix, start, upperBound(prefix) ?? ABOVE_ALL_TEXT, limit);
    return rows as unknown as WireRecord[];
  }

  /** The change's effect as in WriteResult. Throws RevisionConflict or InvalidChange. */
  apply(change: RecordChange, revision: number): string | boolean | undefined {
    const { kind, key } = change;
    switch (change.op) {
      case "put":
        this.#applyPut(change, revision);
        return undefined;
      case "delete": {
        const { changes } =
          change.expect === undefined
            ? this.#delete.run(kind, key)
            : this.#deleteExpected.run(kind, key, change.expect);
        if (change.expect !== undefined && changes === 0) throw new RevisionConflict(kind, key);
        return changes > 0;
      }
      case "add": {
        const json = addAmounts(this.get(kind, key)?.json, change);
        this.#put.run(kind, key, revision, json);
        return json;
      }
      default:
        return unreachable(change, "change");
    }
  }

  #applyPut(change: Extract<RecordChange, { op: "put" }>, revision: number): void {
    const { kind, key, json, expect } = change;
    if (expect === undefined) {
      this.#put.run(kind, key, revision, json);
      return;
    }
    const { changes } =
      expect === "absent"
        ? this.#putAbsent.run(kind, key, revision, json)
        : this.#putExpected.run(revision, json, kind, key, expect);
    if (changes === 0) throw new RevisionConflict(kind, key);
  }
}

/** As an upper bound: none. */
export const ABOVE_ALL_TEXT = new Uint8Array(0);
const CODE_POINT_MAX = 0x10ffff;

/** The least string above every string with this prefix, in the byte order of UTF-8; undefined when there is none. */
export function upperBound(prefix: string): string | undefined {
  const points = Array.from(prefix, (character) => character.codePointAt(0) ?? 0);
  while (points.at(-1) === CODE_POINT_MAX) points.pop();
  const last = points.pop();
  if (last === undefined) return undefined;
  // The surrogates U+D800–U+DFFF are no characters: the next one after U+D7FF is U+E000.
  const next = last === 0xd7ff ? 0xe000 : last + 1;
  return points.map((point) => String.fromCodePoint(point)).join("") + String.fromCodePoint(next);
}

function addAmounts(json: string | undefined, change: Extract<RecordChange, { op: "add" }>): string {
  const where = `${change.kind}/${change.key}`;
  const parsed: unknown = json === undefined ? {} : JSON.parse(json);
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) {
    throw new InvalidChange(`cannot add to the record ${where}: it is not a record of numbers`);
  }
  const sums = new Map<string, unknown>(Object.entries(parsed));
  for (const [member, amount] of Object.entries(change.amounts)) {
    const before = sums.get(member) ?? 0;
    const sum = typeof before === "number" ? before + amount : Number.NaN;
    if (!Number.isFinite(sum)) {
      throw new InvalidChange(
        `cannot add to the member ${member} of the record ${where}: the sum is not a finite number`,
      );
    }
    sums.set(member, sum);
  }
  return JSON.stringify(Object.fromEntries(sums));
}
