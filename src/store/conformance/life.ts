/** Goal: what holds at the end of a store's life and, for durable ones, across it. Method: stores of their own, closed. */
import assert from "node:assert/strict";
import { it } from "node:test";
import { ManualClock } from "../../kernel/clock.ts";
import type { StoreFactory, StoreUnderTest } from "../conformance.ts";
import { RevisionConflict, StoreClosed, type Store } from "../store.ts";

const BODY = Buffer.from("body");

export function closeTests(factory: StoreFactory): void {
  it("finishes what was accepted before the close", async () => {
    await using scene = await open(factory);
    const { store } = scene.underTest;
    const accepted = Array.from({ length: 50 }, (_, index) =>
      store.write([{ op: "put", kind: "kind", key: String(index), value: index }]),
    );
    const sequences = store.queue("queue").append([{ body: BODY }]);
    const closing = store.close();
    assert.equal(new Set(await Promise.all(accepted)).size, 50);
    assert.equal((await sequences).length, 1);
    await closing;
  });

  it("rejects every call after the close with StoreClosed", async () => {
    await using scene = await open(factory);
    const { store } = scene.underTest;
    const early = store.queue("queue");
    await early.append([{ body: BODY }]);
    const [leased] = await early.receive({ limit: 1, leaseMs: 1000 });
    assert(leased);
    const end = await store.watch("kind", () => assert.fail("a closed store tells nothing"));
    await store.close();
    end();
    const calls: (() => Promise<unknown>)[] = [
      () => store.get("kind", "key"),
      () => store.list("kind"),
      () => store.write([{ op: "put", kind: "kind", key: "key", value: 1 }]),
      () => store.watch("kind", () => assert.fail("a closed store tells nothing")),
      () => store.queueNames(""),
      () => early.append([{ body: BODY }]),
      () => store.queue("late").append([{ body: BODY }]),
      () => early.receive({ limit: 1, leaseMs: 1000 }),
      () => early.acknowledge([leased.receipt]),
      () => early.release(leased.receipt, { visibleAtMs: 0 }),
      () => early.stats(),
    ];
    for (const call of calls) await assert.rejects(call, StoreClosed);
  });

  it("may be closed more than once, at the same time and later", async () => {
    await using scene = await open(factory);
    const { store } = scene.underTest;
    await Promise.all([store.close(), store.close()]);
    await store.close();
  });
}

export function durabilityTests(factory: StoreFactory): void {
  it("has every record and revision after an open", async () => {
    await using scene = await open(factory);
    const { store } = scene.underTest;
    await store.write([
      { op: "put", kind: "kind", key: "a", value: { text: "é𝄞" } },
      { op: "add", kind: "kind", key: "b", amounts: { n: 1 } },
    ]);
    const kept = await store.list("kind");
    const last = await store.write([{ op: "put", kind: "kind", key: "gone", value: 1 }]);
    await store.write([{ op: "delete", kind: "kind", key: "gone" }]);
    const again = await scene.reopen();
    assert.deepEqual(await again.list("kind"), kept);
    const [first] = kept;
    assert(first);
    const stale = { op: "put", kind: "kind", key: "a", value: 0, expect: last } as const;
    await assert.rejects(again.write([stale]), RevisionConflict);
    assert(
      (await again.write([{ ...stale, expect: first.revision }])) > last + 1,
      "no revision is given twice",
    );
  });

  it("has every message, its lease, its count and its delay after an open", async () => {
    await using scene = await open(factory);
    const { clock } = scene;
    const queue = scene.underTest.store.queue("queue");
    const delayed = { body: Buffer.from("delayed"), visibleAtMs: clock.nowMs() + 500 };
    const sequences = await queue.append([
      { body: Buffer.from("leased") },
      { body: Buffer.from("acknowledged") },
      delayed,
    ]);
    const [leased, acknowledged] = await queue.receive({ limit: 2, leaseMs: 1000 });
    assert(leased && acknowledged);
    await queue.acknowledge([acknowledged.receipt]);
    const stats = await queue.stats();

    const again = await scene.reopen();
    const same = again.queue("queue");
    assert.deepEqual(await again.queueNames(""), ["queue"]);
    assert.deepEqual(await same.stats(), stats);
    const [next] = await same.append([{ body: Buffer.from("new") }]);
    assert(next !== undefined && sequences.every((sequence) => sequence < next));
    clock.advance(1000);
    const received = await same.receive({ limit: 10, leaseMs: 1000 });
    assert.deepEqual(
      received.map(({ body, receiveCount }) => [Buffer.from(body).toString(), receiveCount]),
      [
        ["leased", 2],
        ["delayed", 1],
        ["new", 1],
      ],
    );
    assert.equal(await same.acknowledge([leased.receipt]), 0);
  });
}

interface Scene extends AsyncDisposable {
  readonly underTest: StoreUnderTest;
  readonly clock: ManualClock;
  reopen(): Promise<Store>;
}

async function open(factory: StoreFactory): Promise<Scene> {
  const clock = new ManualClock();
  const underTest = await factory(clock);
  return {
    underTest,
    clock,
    async reopen() {
      const store = await underTest.reopen?.();
      assert(store, "a durable store can be opened again");
      return store;
    },
    [Symbol.asyncDispose]: () => underTest.dispose(),
  };
}
