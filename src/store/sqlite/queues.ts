/** Queues on SQLite; the schema's comment says how messages lie. Runs in the worker, inside a transaction. */
import type { DatabaseSync, StatementSync } from "node:sqlite";
import type { Results, WireLease, WireMessage, WriteRequest } from "./protocol.ts";
import { ABOVE_ALL_TEXT, upperBound } from "./records.ts";

type Request<Op extends WriteRequest["op"]> = Extract<WriteRequest, { op: Op }>;

interface MessageRow {
  readonly sequence: number;
  readonly receiveCount: number;
  readonly enqueuedAtMs: number;
  readonly body: Uint8Array<ArrayBuffer>;
}

export class Queues {
  readonly #queueId: StatementSync;
  readonly #addQueue: StatementSync;
  readonly #names: StatementSync;
  readonly #stats: StatementSync;
  readonly #addMessage: StatementSync;
  readonly #addBody: StatementSync;
  readonly #turnReady: StatementSync;
  readonly #head: StatementSync;
  readonly #lease: StatementSync;
  readonly #remove: StatementSync;
  readonly #removeBody: StatementSync;
  readonly #release: StatementSync;
  readonly #replaceBody: StatementSync;
  readonly #recall: StatementSync;
  readonly #some: StatementSync;
  readonly #removeMessage: StatementSync;

  constructor(database: DatabaseSync) {
    this.#queueId = database.prepare("SELECT id FROM queues WHERE name = ?");
    this.#addQueue = database.prepare("INSERT INTO queues (name) VALUES (?)");
    this.#names = database.prepare(`
      SELECT name FROM queues
      WHERE name >= ? AND name < ? AND (
        EXISTS (SELECT 1 FROM messages WHERE queue_id = queues.id AND ready = 1) OR
        EXISTS (SELECT 1 FROM messages WHERE queue_id = queues.id AND ready = 0))
      ORDER BY name
    `);
    this.#stats = database.prepare(`
      SELECT
        (SELECT count(*) FROM messages WHERE queue_id = ?1 AND ready = 1) AS ready,
        (SELECT count(*) FROM messages WHERE queue_id = ?1 AND ready = 0) AS waiting,
        (SELECT count(*) FROM messages WHERE queue_id = ?1 AND ready = 0 AND visible_at_ms <= ?2) AS due,
        (SELECT min(visible_at_ms) FROM messages WHERE queue_id = ?1 AND ready = 0 AND visible_at_ms > ?2) AS next
    `);
    this.#addMessage = database.prepare(
      "INSERT INTO messages (sequence, queue_id, ready, visible_at_ms, enqueued_at_ms) VALUES (?, ?, ?, ?, ?)",
    );
    this.#addBody = database.prepare("INSERT INTO message_bodies VALUES (?, ?)");
    this.#turnReady = database.prepare(
      "UPDATE messages SET ready = 1 WHERE queue_id = ? AND ready = 0 AND visible_at_ms <= ?",
    );
    this.#head = database.prepare(`
      SELECT sequence, receive_count AS receiveCount, enqueued_at_ms AS enqueuedAtMs, body
      FROM messages JOIN message_bodies USING (sequence)
      WHERE queue_id = ? AND ready = 1 ORDER BY sequence LIMIT ?
    `);
    this.#lease = database.prepare(
      "UPDATE messages SET ready = 0, visible_at_ms = ?1, receive_count = ?2, lease = ?2 WHERE sequence = ?3",
    );
    this.#remove = database.prepare("DELETE FROM messages WHERE sequence = ? AND queue_id = ? AND lease = ?");
    this.#removeBody = database.prepare("DELETE FROM message_bodies WHERE sequence = ?");
    this.#release = database.prepare(`
      UPDATE messages SET lease = 0, visible_at_ms = ?1, ready = ?2
      WHERE sequence = ?3 AND queue_id = ?4 AND lease = ?5
    `);
    this.#replaceBody = database.prepare("UPDATE message_bodies SET body = ? WHERE sequence = ?");
    this.#recall = database.prepare(`
      UPDATE messages SET lease = 0, visible_at_ms = ?1, ready = 1 WHERE queue_id = ?2 AND lease > 0
        AND (ready = 0 OR ready = 1)
    `);
    // Each half has its partial index; without the constants neither would be used.
    this.#some = database.prepare(`
      SELECT sequence FROM messages WHERE queue_id = ?1 AND ready = 1
      UNION ALL SELECT sequence FROM messages WHERE queue_id = ?1 AND ready = 0
      LIMIT ?2
    `);
    this.#removeMessage = database.prepare("DELETE FROM messages WHERE sequence = ?");
  }

  names(prefix: string): string[] {
    const rows = this.#names.all(prefix, upperBound(prefix) ?? ABOVE_ALL_TEXT);
    return rows.map((row) => String(row["name"]));
  }

  stats(queue: string, nowMs: number): Results["stats"] {
    const queueId = this.#find(queue);
    if (queueId === undefined) return { messages: 0, visible: 0, nextVisibleAtMs: undefined };
    const row = this.#stats.get(queueId, nowMs);
    const [ready, waiting, due] = [Number(row?.["ready"]), Number(row?.["waiting"]), Number(row?.["due"])];
    const next = row?.["next"];
    return {
      messages: ready + waiting,
      visible: ready + due,
      nextVisibleAtMs: typeof next === "number" ? next : undefined,
    };
  }

  append(queue: string, message: WireMessage, sequence: number, nowMs: number): void {
    const queueId = this.#find(queue) ?? Number(this.#addQueue.run(queue).lastInsertRowid);
    const ready = message.visibleAtMs <= nowMs ? 1 : 0;
    this.#addMessage.run(sequence, queueId, ready, message.visibleAtMs, nowMs);
    this.#addBody.run(sequence, message.body);
  }

  receive(request: Request<"receive">): WireLease[] {
    const queueId = this.#find(request.queue);
    if (queueId === undefined) return [];
    this.#turnReady.run(queueId, request.nowMs);
    const rows = this.#head.all(queueId, request.limit) as unknown as MessageRow[];
    return rows.map((row) => {
      const receiveCount = row.receiveCount + 1;
      this.#lease.run(request.nowMs + request.leaseMs, receiveCount, row.sequence);
      return { ...row, receiveCount, receipt: formatReceipt(row.sequence, receiveCount) };
    });
  }

  acknowledge(request: Request<"acknowledge">): number {
    const queueId = this.#find(request.queue);
    if (queueId === undefined) return 0;
    let removed = 0;
    for (const text of request.receipts) {
      const receipt = parseReceipt(text);
      if (receipt === undefined) continue;
      if (this.#remove.run(receipt.sequence, queueId, receipt.lease).changes === 0) continue;
      this.#removeBody.run(receipt.sequence);
      removed += 1;
    }
    return removed;
  }

  release(request: Request<"release">): boolean {
    const queueId = this.#find(request.queue);
    const receipt = parseReceipt(request.receipt);
    if (queueId === undefined || receipt === undefined) return false;
    const ready = request.visibleAtMs <= request.nowMs ? 1 : 0;
    const { changes } = this.#release.run(
      request.visibleAtMs,
      ready,
      receipt.sequence,
      queueId,
      receipt.lease,
    );
    if (changes === 0) return false;
    if (request.body !== undefined) this.#replaceBody.run(request.body, receipt.sequence);
    return true;
  }

  recall(request: Request<"recall">): number {
    const queueId = this.#find(request.queue);
    if (queueId === undefined) return 0;
    return Number(this.#recall.run(request.nowMs, queueId).changes);
  }

  clear(request: Request<"clear">): number {
    const queueId = this.#find(request.queue);
    if (queueId === undefined) return 0;
    const rows = this.#some.all(queueId, request.limit);
    for (const row of rows) {
      const sequence = Number(row["sequence"]);
      this.#removeMessage.run(sequence);
      this.#removeBody.run(sequence);
    }
    return rows.length;
  }

  /** Not cached: a rolled-back transaction takes the queue's row with it. */
  #find(queue: string): number | undefined {
    const row = this.#queueId.get(queue);
    return row === undefined ? undefined : Number(row["id"]);
  }
}

/** A sequence is never given twice and a receive count only grows: the pair names one lease of one message for all time. */
function formatReceipt(sequence: number, lease: number): string {
  return `${sequence}.${lease}`;
}

const RECEIPT = /^([1-9]\d{0,14})\.([1-9]\d{0,14})$/;

function parseReceipt(receipt: string): { sequence: number; lease: number } | undefined {
  const [, sequence, lease] = RECEIPT.exec(receipt) ?? [];
  if (sequence === undefined || lease === undefined) return undefined;
  return { sequence: Number(sequence), lease: Number(lease) };
}
