/**
 * Goal: no sequence of calls, however odd, makes a store differ from the plain meaning of its contract.
 * Method: fast-check makes histories; each runs on the store and on a model of maps and arrays, and every answer, event
 * and final state is compared. A failing history is shrunk to the shortest one that still fails.
 */
import assert from "node:assert/strict";
import { it } from "node:test";
import * as fc from "fast-check";
import type { ManualClock } from "../../kernel/clock.ts";
import type { Bench } from "../conformance.ts";
import { RevisionConflict, type Change, type ChangeEvent, type StoredRecord } from "../store.ts";

const RUNS = 200;
/** More than a history makes. */
const MESSAGES_MAX = 1000;

type Expectation = "none" | "absent" | "current" | "stale";

type Step =
  | { do: "write"; changes: StepChange[] }
  | { do: "list"; prefix: string; after: string | undefined; limit: number }
  | { do: "append"; count: number; delayMs: number }
  | { do: "receive"; limit: number; leaseMs: number }
  | { do: "acknowledge"; which: number[] }
  | { do: "release"; which: number; delayMs: number; replace: boolean }
  | { do: "recall" }
  | { do: "clear" }
  | { do: "advance"; byMs: number };

interface StepChange {
  op: "put" | "delete" | "add" | "enqueue";
  key: string;
  value: unknown;
  expect: Expectation;
}

const key = fc.constantFrom("", "a", "a\0", "ab", "b", "é", "\uffff", "𝄞");
const counterKey = fc.constantFrom("#1", "#2");
// JSON has no negative zero.
const value = fc.jsonValue({ maxDepth: 2 }).map((json) => JSON.parse(JSON.stringify(json)) as unknown);
const expectation = fc.constantFrom<Expectation>("none", "none", "absent", "current", "stale");
const change: fc.Arbitrary<StepChange> = fc.oneof(
  fc.record({ op: fc.constant("put" as const), key, value, expect: expectation }),
  fc.record({
    op: fc.constant("delete" as const),
    key,
    value: fc.constant(null),
    expect: fc.constantFrom<Expectation>("none", "current", "stale"),
  }),
  fc.record({
    op: fc.constant("add" as const),
    key: counterKey,
    value: fc.integer(),
    expect: fc.constant("none" as const),
  }),
  fc.record({
    op: fc.constant("enqueue" as const),
    key,
    value: fc.integer(),
    expect: fc.constant("none" as const),
  }),
);
const delayMs = fc.constantFrom(0, 0, 5, 20);

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("write" as const),
      changes: fc.uniqueArray(change, {
        minLength: 1,
        maxLength: 4,
        selector: (each) => `${each.op === "enqueue"}${each.key}`,
      }),
    }),
  },
  fc.record({
    do: fc.constant("list" as const),
    prefix: fc.constantFrom("", "a", "#", "é", "\uffff"),
    after: fc.option(key, { nil: undefined }),
    limit: fc.nat(4),
  }),
  fc.record({ do: fc.constant("append" as const), count: fc.nat(3), delayMs }),
  fc.record({ do: fc.constant("receive" as const), limit: fc.nat(3), leaseMs: fc.constantFrom(0, 5, 20) }),
  fc.record({ do: fc.constant("acknowledge" as const), which: fc.array(fc.nat(20), { maxLength: 3 }) }),
  fc.record({ do: fc.constant("release" as const), which: fc.nat(20), delayMs, replace: fc.boolean() }),
  fc.record({ do: fc.constant("recall" as const) }),
  fc.record({ do: fc.constant("clear" as const) }),
  fc.record({ do: fc.constant("advance" as const), byMs: fc.constantFrom(1, 5, 20) }),
);

export function modelTests(bench: Bench): void {
  it("answers as the model does, whatever the history", async () => {
    const histories = fc.array(step, { maxLength: 40 });
    const property = fc.asyncProperty(histories, async (steps) => {
      const history = new History(bench);
      await history.begin();
      for (const each of steps) await history.run(each);
      await history.end();
    });
    await fc.assert(property, { numRuns: RUNS });
  });
}

/** One run: the store under names of its own, and the model beside it. */
class History {
  readonly #bench: Bench;
  readonly #kind: string;
  readonly #queueName: string;
  readonly #records = new Map<string, StoredRecord<unknown>>();
  readonly #queue: ModelQueue;
  /** Receipts ever seen; the model's and the store's stand at the same index. */
  readonly #receipts: { model: string; store: string }[] = [];
  readonly #expectedEvents: ChangeEvent<unknown>[] = [];
  readonly #events: ChangeEvent<unknown>[] = [];
  #bodies = 0;

  constructor(bench: Bench) {
    this.#bench = bench;
    this.#kind = bench.unique("model");
    this.#queueName = bench.unique("model");
    this.#queue = new ModelQueue(bench.clock);
  }

  async begin(): Promise<void> {
    await this.#bench.store.watch(this.#kind, (event) => this.#events.push(event));
  }

  async run(step: Step): Promise<void> {
    const { store, clock } = this.#bench;
    const queue = store.queue(this.#queueName);
    switch (step.do) {
      case "write":
        await this.#write(step.changes);
        break;
      case "list": {
        const { prefix, after, limit } = step;
        const options = { prefix, limit, ...(after !== undefined && { after }) };
        assert.deepEqual(await store.list(this.#kind, options), this.#list(prefix, after).slice(0, limit));
        break;
      }
      case "append": {
        const messages = Array.from({ length: step.count }, () => ({
          body: this.#body(),
          visibleAtMs: clock.nowMs() + step.delayMs,
        }));
        await queue.append(messages);
        for (const { body, visibleAtMs } of messages) this.#queue.append(body, visibleAtMs);
        break;
      }
      case "receive":
        await this.#receive(step);
        break;
      case "acknowledge": {
        const receipts = step.which.flatMap((index) => this.#receipts[index] ?? []);
        const removed = await queue.acknowledge(receipts.map((receipt) => receipt.store));
        assert.equal(removed, this.#queue.acknowledge(receipts.map((receipt) => receipt.model)));
        break;
      }
      case "release": {
        const receipt = this.#receipts[step.which] ?? { model: "none", store: "none" };
        const visibleAtMs = clock.nowMs() + step.delayMs;
        const options = { visibleAtMs, ...(step.replace && { body: this.#body() }) };
        const released = await queue.release(receipt.store, options);
        assert.equal(released, this.#queue.release(receipt.model, options));
        break;
      }
      case "recall":
        assert.equal(await queue.recall(), this.#queue.recall());
        break;
      case "clear":
        assert.equal(await queue.clear(MESSAGES_MAX), this.#queue.clear());
        break;
      case "advance":
        clock.advance(step.byMs);
        break;
    }
    assert.deepEqual(await queue.stats(), this.#queue.stats());
  }

  async end(): Promise<void> {
    const { store } = this.#bench;
    assert.deepEqual(await store.list(this.#kind), this.#list("", undefined));
    for (const [key, record] of this.#records) assert.deepEqual(await store.get(this.#kind, key), record);
    assert.deepEqual(this.#events, this.#expectedEvents);
    const names = this.#queue.stats().messages > 0 ? [this.#queueName] : [];
    assert.deepEqual(await store.queueNames(this.#queueName), names);
  }

  async #write(stepChanges: readonly StepChange[]): Promise<void> {
    const changes = stepChanges.map((each) => this.#change(each));
    const conflict = changes.some((each) => !this.#holds(each));
    const writing = this.#bench.store.write(changes);
    if (conflict) {
      await assert.rejects(writing, RevisionConflict);
      return;
    }
    const revision = await writing;
    for (const each of changes) this.#apply(each, revision);
  }

  #change({ op, key, value, expect }: StepChange): Change {
    const kind = this.#kind;
    if (op === "enqueue") return { op, queue: this.#queueName, body: this.#body() };
    if (op === "add") return { op, kind, key, amounts: { n: Number(value), calls: 1 } };
    const current = this.#records.get(key)?.revision ?? 0;
    if (op === "put" && expect === "absent") return { op, kind, key, value, expect };
    const revision = expect === "current" ? current : current - 1;
    const precondition = expect === "none" ? {} : { expect: revision };
    return op === "put" ? { op, kind, key, value, ...precondition } : { op, kind, key, ...precondition };
  }

  #holds(change: Change): boolean {
    if (change.op === "enqueue" || change.op === "add" || change.expect === undefined) return true;
    const record = this.#records.get(change.key);
    return change.expect === "absent" ? record === undefined : record?.revision === change.expect;
  }

  #apply(change: Change, revision: number): void {
    if (change.op === "enqueue") {
      this.#queue.append(change.body, this.#bench.clock.nowMs());
      return;
    }
    const { key } = change;
    if (change.op === "delete") {
      if (this.#records.delete(key)) this.#expectedEvents.push({ op: "delete", key, revision });
      return;
    }
    const before = (this.#records.get(key)?.value ?? { n: 0, calls: 0 }) as { n: number; calls: number };
    const amounts = change.op === "add" ? change.amounts : {};
    const sums = { n: before?.n + (amounts["n"] ?? 0), calls: before?.calls + 1 };
    const record = { key, value: change.op === "add" ? sums : change.value, revision };
    this.#records.set(key, record);
    this.#expectedEvents.push({ op: "put", record });
  }

  async #receive({ limit, leaseMs }: { limit: number; leaseMs: number }): Promise<void> {
    const received = await this.#bench.store.queue(this.#queueName).receive({ limit, leaseMs });
    const expected = this.#queue.receive(limit, leaseMs);
    assert.deepEqual(
      received.map(({ body, receiveCount, enqueuedAtMs }) => [
        Buffer.from(body).toString(),
        receiveCount,
        enqueuedAtMs,
      ]),
      expected.map(({ body, receiveCount, enqueuedAtMs }) => [
        Buffer.from(body).toString(),
        receiveCount,
        enqueuedAtMs,
      ]),
    );
    for (const [index, { receipt }] of received.entries()) {
      this.#receipts.push({ store: receipt, model: expected[index]?.receipt ?? "none" });
    }
  }

  #list(prefix: string, after: string | undefined): StoredRecord<unknown>[] {
    return [...this.#records.values()]
      .filter(({ key }) => key.startsWith(prefix) && (after === undefined || compareBytes(key, after) > 0))
      .sort((a, b) => compareBytes(a.key, b.key));
  }

  #body(): Buffer {
    this.#bodies += 1;
    return Buffer.from(`body ${this.#bodies}`);
  }
}

interface ModelMessage {
  body: Uint8Array;
  visibleAtMs: number;
  receipt: string;
  receiveCount: number;
  readonly enqueuedAtMs: number;
}

class ModelQueue {
  readonly #clock: ManualClock;
  #messages: ModelMessage[] = [];
  #leases = 0;

  constructor(clock: ManualClock) {
    this.#clock = clock;
  }

  append(body: Uint8Array, visibleAtMs: number): void {
    this.#messages.push({
      body,
      visibleAtMs,
      receipt: "",
      receiveCount: 0,
      enqueuedAtMs: this.#clock.nowMs(),
    });
  }

  receive(limit: number, leaseMs: number): ModelMessage[] {
    const nowMs = this.#clock.nowMs();
    const leased = this.#messages.filter(({ visibleAtMs }) => visibleAtMs <= nowMs).slice(0, limit);
    for (const message of leased) {
      this.#leases += 1;
      message.receipt = `lease ${this.#leases}`;
      message.receiveCount += 1;
      message.visibleAtMs = nowMs + leaseMs;
    }
    return leased.map((message) => ({ ...message }));
  }

  acknowledge(receipts: readonly string[]): number {
    const before = this.#messages.length;
    this.#messages = this.#messages.filter(({ receipt }) => receipt === "" || !receipts.includes(receipt));
    return before - this.#messages.length;
  }

  release(receipt: string, options: { visibleAtMs: number; body?: Uint8Array }): boolean {
    const message = this.#messages.find((each) => each.receipt === receipt);
    if (message === undefined) return false;
    message.receipt = "";
    message.visibleAtMs = options.visibleAtMs;
    message.body = options.body ?? message.body;
    return true;
  }

  recall(): number {
    const leased = this.#messages.filter(({ receipt }) => receipt !== "");
    for (const message of leased) {
      message.receipt = "";
      message.visibleAtMs = this.#clock.nowMs();
    }
    return leased.length;
  }

  clear(): number {
    return this.#messages.splice(0).length;
  }

  stats(): { messages: number; visible: number; nextVisibleAtMs: number | undefined } {
    const nowMs = this.#clock.nowMs();
    const later = this.#messages.map(({ visibleAtMs }) => visibleAtMs).filter((atMs) => atMs > nowMs);
    return {
      messages: this.#messages.length,
      visible: this.#messages.length - later.length,
      nextVisibleAtMs: later.length > 0 ? Math.min(...later) : undefined,
    };
  }
}

function compareBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
