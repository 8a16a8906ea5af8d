/** Goal: durable queues behave as the port says. Method: one example for each sentence; the clock moves only when told. */
import assert from "node:assert/strict";
import { it } from "node:test";
import type { Bench } from "../conformance.ts";
import type { DurableQueue, LeasedMessage } from "../store.ts";

const LEASE = { limit: 10, leaseMs: 1000 };

export function queueTests(bench: Bench): void {
  deliveryTests(bench);
  leaseTests(bench);
  releaseTests(bench);
  wholeQueueTests(bench);
  accountTests(bench);
}

function deliveryTests(bench: Bench): void {
  it("delivers in order of sequence, each message leased once", async () => {
    const queue = bench.store.queue(bench.unique("queue"));
    const enqueuedAtMs = bench.clock.nowMs();
    const sequences = await queue.append(["a", "b", "c"].map(message));
    assert.deepEqual(
      sequences,
      [...new Set(sequences)].sort((a, b) => a - b),
    );
    bench.clock.advance(10);
    const first = await queue.receive({ limit: 2, leaseMs: 1000 });
    const second = await queue.receive({ limit: 2, leaseMs: 1000 });
    assert.deepEqual(texts(first), ["a", "b"]);
    assert.deepEqual(texts(second), ["c"]);
    const leased = [...first, ...second];
    assert.deepEqual(
      leased.map(({ sequence }) => sequence),
      sequences,
    );
    assert(leased.every(({ receiveCount }) => receiveCount === 1));
    assert(leased.every((each) => each.enqueuedAtMs === enqueuedAtMs));
    assert.deepEqual(await queue.receive(LEASE), []);
  });

  it("keeps bodies byte by byte: empty, binary, views of a shared buffer, a megabyte", async () => {
    const queue = bench.store.queue(bench.unique("queue"));
    const all = Uint8Array.from({ length: 256 }, (_, byte) => byte);
    const bodies = [
      new Uint8Array(0),
      all,
      all.subarray(100, 110),
      Buffer.from("small"),
      new Uint8Array(1 << 20).fill(7),
    ];
    const before = bodies.map((body) => Buffer.from(body).toString("hex"));
    await queue.append(bodies.map((body) => ({ body })));
    assert.deepEqual(
      bodies.map((body) => Buffer.from(body).toString("hex")),
      before,
      "the caller's own bytes are untouched",
    );
    const leased = await queue.receive(LEASE);
    assert(leased.every(({ body }) => body instanceof Uint8Array));
    assert.deepEqual(
      leased.map(({ body }) => Buffer.from(body).toString("hex")),
      before,
    );
  });

  it("keeps a body as it was when append was called", async () => {
    const queue = bench.store.queue(bench.unique("queue"));
    const body = Buffer.from("before");
    const appending = queue.append([{ body }]);
    body.write("after!");
    await appending;
    assert.deepEqual(texts(await queue.receive(LEASE)), ["before"]);
  });

  it("is the same queue for everyone who names it, and another for another name", async () => {
    const name = bench.unique("queue");
    await bench.store.queue(name).append([message("a")]);
    assert.deepEqual(await bench.store.queue(`${name}x`).receive(LEASE), []);
    assert.deepEqual(texts(await bench.store.queue(name).receive(LEASE)), ["a"]);
  });

  it("takes an empty batch", async () => {
    const queue = bench.store.queue(bench.unique("queue"));
    assert.deepEqual(await queue.append([]), []);
    assert.equal(await queue.acknowledge([]), 0);
    assert.deepEqual(await queue.receive({ limit: 0, leaseMs: 1 }), []);
  });

  it("receives what a transaction enqueued, in the transaction's order", async () => {
    const [name, kind] = [bench.unique("queue"), bench.unique("kind")];
    const visibleAtMs = bench.clock.nowMs() + 5;
    await bench.store.write([
      { op: "enqueue", queue: name, body: Buffer.from("now") },
      { op: "put", kind, key: "key", value: 1 },
      { op: "enqueue", queue: name, body: Buffer.from("later"), visibleAtMs },
      { op: "enqueue", queue: name, body: Buffer.from("too") },
    ]);
    const queue = bench.store.queue(name);
    assert.deepEqual(texts(await queue.receive(LEASE)), ["now", "too"]);
    bench.clock.advance(5);
    assert.deepEqual(texts(await queue.receive(LEASE)), ["later"]);
  });

  it("never gives one message to two concurrent receivers", async () => {
    const queue = bench.store.queue(bench.unique("queue"));
    const appending = Array.from({ length: 40 }, (_, index) => queue.append([message(String(index))]));
    const receivers = Array.from({ length: 20 }, () => queue.receive({ limit: 3, leaseMs: 1000 }));
    await Promise.all(appending);
    const early = (await Promise.all(receivers)).flat();
    const rest = await queue.receive({ limit: 100, leaseMs: 1000 });
    const received = texts([...early, ...rest]);
    assert.equal(new Set(received).size, received.length);
    assert.equal(received.length, 40);
  });
}

function leaseTests(bench: Bench): void {
  it("shows a message again exactly when its lease ends, with a new receipt and a higher count", async () => {
    const queue = bench.store.queue(bench.unique("queue"));
    await queue.append([message("a")]);
    const [first] = await queue.receive({ limit: 1, leaseMs: 1000 });
    bench.clock.advance(999);
    assert.deepEqual(await queue.receive(LEASE), []);
    bench.clock.advance(1);
    const [second] = await queue.receive(LEASE);
    assert(first && second);
    assert.equal(second.sequence, first.sequence);
    assert.equal(second.receiveCount, 2);
    assert.equal(second.enqueuedAtMs, first.enqueuedAtMs);
    assert.notEqual(second.receipt, first.receipt);
    assert.equal(await queue.acknowledge([first.receipt]), 0, "a re-leased receipt is passed over");
    assert.equal(await queue.acknowledge([second.receipt]), 1);
  });

  it("shows a message whose lease ended before those that came after it", async () => {
    const queue = bench.store.queue(bench.unique("queue"));
    await queue.append(["a", "b"].map(message));
    await queue.receive({ limit: 1, leaseMs: 10 });
    bench.clock.advance(10);
    assert.deepEqual(texts(await queue.receive(LEASE)), ["a", "b"]);
  });

  it("still takes the receipt of a lease that ended when nobody received the message since", async () => {
    const queue = bench.store.queue(bench.unique("queue"));
    await queue.append(["a", "b"].map(message));
    const [a, b] = await queue.receive({ limit: 2, leaseMs: 10 });
    assert(a && b);
    bench.clock.advance(20);
    assert.deepEqual(texts(await queue.receive({ limit: 1, leaseMs: 10 })), ["a"]);
    assert.equal(await queue.acknowledge([a.receipt, b.receipt]), 1);
    assert.equal((await queue.stats()).messages, 1);
  });

  it("removes acknowledged messages for good and counts them", async () => {
    const queue = bench.store.queue(bench.unique("queue"));
    await queue.append(["a", "b", "c"].map(message));
    const [a, b] = await queue.receive({ limit: 2, leaseMs: 1000 });
    assert(a && b);
    const odd = ["", "nonsense", "0.0", "-1.1", "9e9.1", `${a.receipt}0`, ` ${b.receipt}`];
    assert.equal(await queue.acknowledge(odd), 0);
    assert.equal(await queue.acknowledge([a.receipt, a.receipt, ...odd]), 1);
    assert.equal(await queue.acknowledge([a.receipt]), 0);
    bench.clock.advance(1000);
    assert.deepEqual(texts(await queue.receive(LEASE)), ["b", "c"]);
  });

  it("never gives a sequence or a receipt twice, even after the queue ran empty", async () => {
    const queue = bench.store.queue(bench.unique("queue"));
    const sequences: number[] = [];
    const receipts: string[] = [];
    for (let round = 0; round < 3; round++) {
      sequences.push(...(await queue.append([message("a")])));
      for (const { receipt } of await queue.receive(LEASE)) receipts.push(receipt);
      await queue.acknowledge(receipts);
    }
    assert.deepEqual(
      sequences,
      [...new Set(sequences)].sort((a, b) => a - b),
    );
    assert.equal(new Set(receipts).size, 3);
  });
}

function releaseTests(bench: Bench): void {
  it("shows a released message at the time it was told", async () => {
    const queue = bench.store.queue(bench.unique("queue"));
    await queue.append([message("a")]);
    const receipt = await receiveOne(queue);
    assert.equal(await queue.release(receipt, { visibleAtMs: bench.clock.nowMs() + 50 }), true);
    bench.clock.advance(49);
    assert.deepEqual(await queue.receive(LEASE), []);
    bench.clock.advance(1);
    const [again] = await queue.receive(LEASE);
    assert.equal(again?.receiveCount, 2);
  });

  it("shows a message released into the past at once", async () => {
    const queue = bench.store.queue(bench.unique("queue"));
    await queue.append([message("a")]);
    await queue.release(await receiveOne(queue), { visibleAtMs: 0 });
    assert.deepEqual(texts(await queue.receive(LEASE)), ["a"]);
  });

  it("can make a lease longer than it was", async () => {
    const queue = bench.store.queue(bench.unique("queue"));
    await queue.append([message("a")]);
    await queue.release(await receiveOne(queue), { visibleAtMs: bench.clock.nowMs() + 5000 });
    bench.clock.advance(2000);
    assert.deepEqual(await queue.receive(LEASE), []);
  });

  it("replaces the body when it is given one, and only then", async () => {
    const queue = bench.store.queue(bench.unique("queue"));
    await queue.append([message("first")]);
    const visibleAtMs = bench.clock.nowMs();
    const body = Buffer.from("a longer second body");
    await queue.release(await receiveOne(queue), { visibleAtMs, body });
    await queue.release(await receiveOne(queue), { visibleAtMs });
    assert.deepEqual(texts(await queue.receive(LEASE)), ["a longer second body"]);
  });

  it("spends the receipt, and refuses one that is unknown, spent, acknowledged or re-leased", async () => {
    const queue = bench.store.queue(bench.unique("queue"));
    const visibleAtMs = bench.clock.nowMs();
    await queue.append([message("a")]);
    assert.equal(await queue.release("nonsense", { visibleAtMs }), false);
    const spent = await receiveOne(queue);
    await queue.release(spent, { visibleAtMs });
    assert.equal(await queue.release(spent, { visibleAtMs, body: Buffer.from("x") }), false);
    assert.equal(await queue.acknowledge([spent]), 0);
    const expired = await receiveOne(queue);
    bench.clock.advance(1000);
    const current = await receiveOne(queue);
    assert.equal(await queue.release(expired, { visibleAtMs }), false);
    assert.equal(await queue.acknowledge([current]), 1);
    assert.equal(await queue.release(current, { visibleAtMs }), false);
    assert.equal((await queue.stats()).messages, 0);
  });
}

function wholeQueueTests(bench: Bench): void {
  it("recalls what is leased, in its old place, and leaves what is delayed alone", async () => {
    const queue = bench.store.queue(bench.unique("queue"));
    const other = bench.store.queue(bench.unique("queue"));
    const visibleAtMs = bench.clock.nowMs() + 500;
    await queue.append([message("a"), { ...message("later"), visibleAtMs }, message("b"), message("c")]);
    await other.append([message("x")]);
    const kept = await receiveOne(other);
    const [first, second] = await queue.receive({ limit: 2, leaseMs: 60_000 });
    assert(first && second);
    assert.equal(await queue.recall(), 2);
    assert.equal(await queue.acknowledge([first.receipt]), 0);
    assert.equal(await queue.release(second.receipt, { visibleAtMs }), false);
    const again = await queue.receive(LEASE);
    assert.deepEqual(texts(again), ["a", "b", "c"]);
    assert.deepEqual(
      again.map(({ receiveCount }) => receiveCount),
      [2, 2, 1],
    );
    assert.equal(await other.acknowledge([kept]), 1);
    assert.equal(await bench.store.queue(bench.unique("never used")).recall(), 0);
  });

  it("clears messages of every state, so many at a time", async () => {
    const name = bench.unique("queue");
    const queue = bench.store.queue(name);
    const other = bench.store.queue(bench.unique("queue"));
    const visibleAtMs = bench.clock.nowMs() + 500;
    await other.append([message("x")]);
    await queue.append([message("leased"), { ...message("delayed"), visibleAtMs }, message("visible")]);
    const [leased] = await queue.receive({ limit: 1, leaseMs: 60_000 });
    assert.equal(await queue.clear(2), 2);
    assert.equal((await queue.stats()).messages, 1);
    assert.equal(await queue.clear(2), 1);
    assert.equal(await queue.clear(2), 0);
    assert.equal(await queue.acknowledge([leased?.receipt ?? ""]), 0);
    assert.deepEqual(await bench.store.queueNames(name), []);
    assert.equal((await other.stats()).messages, 1);
    await queue.append([message("new")]);
    assert.deepEqual(texts(await queue.receive(LEASE)), ["new"]);
  });
}

function accountTests(bench: Bench): void {
  it("counts messages, visible ones, and knows when the next one becomes visible", async () => {
    const queue = bench.store.queue(bench.unique("queue"));
    const now = bench.clock.nowMs();
    assert.deepEqual(await queue.stats(), { messages: 0, visible: 0, nextVisibleAtMs: undefined });
    await queue.append([message("a"), { ...message("b"), visibleAtMs: now + 300 }, message("c")]);
    assert.deepEqual(await queue.stats(), { messages: 3, visible: 2, nextVisibleAtMs: now + 300 });
    await queue.receive({ limit: 1, leaseMs: 200 });
    assert.deepEqual(await queue.stats(), { messages: 3, visible: 1, nextVisibleAtMs: now + 200 });
    bench.clock.advance(200);
    assert.deepEqual(await queue.stats(), { messages: 3, visible: 2, nextVisibleAtMs: now + 300 });
    bench.clock.advance(100);
    assert.deepEqual(await queue.stats(), { messages: 3, visible: 3, nextVisibleAtMs: undefined });
    const leased = await queue.receive(LEASE);
    await queue.acknowledge(leased.map(({ receipt }) => receipt));
    assert.deepEqual(await queue.stats(), { messages: 0, visible: 0, nextVisibleAtMs: undefined });
  });

  it("names the queues that hold messages, visible or not, by prefix", async () => {
    const prefix = bench.unique("named");
    const names = ["", "/b", "/a", "/é"].map((suffix) => prefix + suffix);
    for (const name of names) await bench.store.queue(name).append([message("x")]);
    bench.store.queue(`${prefix}/never-used`);
    await bench.store
      .queue(`${prefix}/delayed`)
      .append([{ ...message("x"), visibleAtMs: Number.MAX_SAFE_INTEGER }]);
    const emptied = bench.store.queue(`${prefix}/emptied`);
    await emptied.append([message("x")]);
    await emptied.acknowledge([await receiveOne(emptied)]);
    await receiveOne(bench.store.queue(`${prefix}/b`));
    const found = await bench.store.queueNames(`${prefix}/`);
    assert.deepEqual(
      new Set(found),
      new Set([`${prefix}/a`, `${prefix}/b`, `${prefix}/delayed`, `${prefix}/é`]),
    );
    assert.equal(found.length, 4);
    assert((await bench.store.queueNames("")).includes(prefix));
    assert.deepEqual(await bench.store.queueNames(`${prefix}%`), []);
  });
}

function message(text: string): { body: Uint8Array } {
  return { body: Buffer.from(text) };
}

function texts(leased: readonly LeasedMessage[]): string[] {
  return leased.map(({ body }) => Buffer.from(body).toString());
}

/** The receipt of the one message that is visible; leased for a second. */
async function receiveOne(queue: DurableQueue): Promise<string> {
  const [leased, ...more] = await queue.receive(LEASE);
  assert(leased);
  assert.equal(more.length, 0);
  return leased.receipt;
}
