/**
 * Goal: a change feed tells every committed change once, in order, with no gap between replay and live.
 * Method: examples, then watchers that begin at many moments of a storm of concurrent writers and are compared with
 * one that was there from the start.
 */
import assert from "node:assert/strict";
import { it } from "node:test";
import { isDeepStrictEqual } from "node:util";
import type { Bench } from "../conformance.ts";
import { RevisionConflict, type Change, type ChangeEvent, type StoredRecord } from "../store.ts";

export function watchTests(bench: Bench): void {
  exampleTests(bench);
  endTests(bench);
  concurrencyTests(bench);
}

function exampleTests(bench: Bench): void {
  it("tells what exists before the promise resolves, then what happens", async () => {
    const kind = bench.unique("kind");
    const first = await bench.store.write([
      { op: "put", kind, key: "b", value: { n: 1 } },
      { op: "put", kind, key: "a", value: "é" },
    ]);
    const events: ChangeEvent<unknown>[] = [];
    await bench.store.watch(kind, (event) => events.push(event));
    assert.deepEqual(new Set(events), new Set([put("a", "é", first), put("b", { n: 1 }, first)]));
    events.length = 0;
    const second = await bench.store.write([{ op: "put", kind, key: "a", value: 2 }]);
    const third = await bench.store.write([{ op: "delete", kind, key: "b" }]);
    const fourth = await bench.store.write([{ op: "add", kind, key: "c", amounts: { n: 4 } }]);
    const fifth = await bench.store.write([{ op: "add", kind, key: "c", amounts: { n: 1 } }]);
    assert.deepEqual(events, [
      put("a", 2, second),
      { op: "delete", key: "b", revision: third },
      put("c", { n: 4 }, fourth),
      put("c", { n: 5 }, fifth),
    ]);
  });

  it("tells the changes of one transaction in their order", async () => {
    const kind = bench.unique("kind");
    await bench.store.write([{ op: "put", kind, key: "old", value: 0 }]);
    const events: ChangeEvent<unknown>[] = [];
    await bench.store.watch(kind, (event) => events.push(event));
    events.length = 0;
    const revision = await bench.store.write([
      { op: "put", kind, key: "z", value: 1 },
      { op: "delete", kind, key: "old" },
      { op: "put", kind, key: "a", value: 2 },
    ]);
    const gone: ChangeEvent<unknown> = { op: "delete", key: "old", revision };
    assert.deepEqual(events, [put("z", 1, revision), gone, put("a", 2, revision)]);
  });

  it("tells nothing of other kinds and nothing of what was refused", async () => {
    const [kind, other] = [bench.unique("kind"), bench.unique("kind")];
    await bench.store.write([{ op: "put", kind, key: "key", value: 1 }]);
    const events: ChangeEvent<unknown>[] = [];
    await bench.store.watch(kind, (event) => events.push(event));
    events.length = 0;
    await bench.store.write([{ op: "put", kind: other, key: "key", value: 1 }]);
    const refused = bench.store.write([
      { op: "put", kind, key: "new", value: 2 },
      { op: "put", kind, key: "key", value: 2, expect: "absent" },
    ]);
    await assert.rejects(refused, RevisionConflict);
    assert.deepEqual(events, []);
  });

  it("has told a change when its write resolves", async () => {
    const kind = bench.unique("kind");
    let seen: unknown;
    await bench.store.watch(kind, (event) => {
      if (event.op === "put") seen = event.record.value;
    });
    for (const value of [1, 2, 3]) {
      await bench.store.write([{ op: "put", kind, key: "key", value }]);
      assert.equal(seen, value);
    }
  });
}

function endTests(bench: Bench): void {
  it("tells nothing after the watch was ended, and may be ended twice", async () => {
    const kind = bench.unique("kind");
    const [ended, other]: [unknown[], unknown[]] = [[], []];
    const end = await bench.store.watch(kind, (event) => ended.push(event));
    await bench.store.watch(kind, (event) => other.push(event));
    await bench.store.write([{ op: "put", kind, key: "key", value: 1 }]);
    end();
    end();
    await bench.store.write([{ op: "put", kind, key: "key", value: 2 }]);
    assert.equal(ended.length, 1);
    assert.equal(other.length, 2);
  });

  it("lets a listener end its own watch", async () => {
    const kind = bench.unique("kind");
    let told = 0;
    const end = await bench.store.watch(kind, () => {
      told += 1;
      end();
    });
    const change: Change = { op: "put", kind, key: "key", value: 1 };
    await bench.store.write([change, { ...change, key: "other" }]);
    await bench.store.write([change]);
    assert.equal(told, 1);
  });
}

function concurrencyTests(bench: Bench): void {
  it("misses nothing when a write starts in the same turn as the watch", async () => {
    const kind = bench.unique("kind");
    await bench.store.write([{ op: "put", kind, key: "before", value: 0 }]);
    for (const order of ["watch first", "write first"]) {
      const keys = new Set<string>();
      const write = (): Promise<number> => bench.store.write([{ op: "put", kind, key: order, value: 0 }]);
      const watch = (): Promise<() => void> =>
        bench.store.watch(kind, (event) => event.op === "put" && keys.add(event.record.key));
      await Promise.all(order === "watch first" ? [watch(), write()] : [write(), watch()]);
      assert(keys.has("before"), order);
      assert(keys.has(order), order);
    }
  });

  it("tells watchers that begin amid concurrent writers everything once, in commit order", async () => {
    const kind = bench.unique("kind");
    const log: ChangeEvent<number>[] = [];
    await bench.store.watch<number>(kind, (event) => log.push(event));
    const late: ChangeEvent<number>[][] = [];
    const writer = async (id: number): Promise<void> => {
      for (let round = 0; round < 25; round++) {
        const key = `key-${(id + round) % 7}`;
        if (round % 6 === 5) await bench.store.write([{ op: "delete", kind, key }]);
        else await bench.store.write([{ op: "put", kind, key, value: id * 1000 + round }]);
      }
    };
    const watching = async (): Promise<void> => {
      for (let round = 0; round < 10; round++) {
        const events: ChangeEvent<number>[] = [];
        late.push(events);
        await bench.store.watch<number>(kind, (event) => events.push(event));
      }
    };
    await Promise.all([...Array.from({ length: 8 }, (_, id) => writer(id)), watching()]);

    const revisions = log.map(revisionOf);
    assert.deepEqual(
      revisions,
      [...new Set(revisions)].sort((a, b) => a - b),
      "once each, in commit order",
    );
    const records = await bench.store.list<number>(kind);
    assert.deepEqual(fold(log), records);
    for (const events of late) {
      assert.deepEqual(fold(events), records);
      assert(isReplayAndTail(log, events), "a state that the log went through, then what followed it");
    }
  });
}

function put<T>(key: string, value: T, revision: number): ChangeEvent<T> {
  return { op: "put", record: { key, value, revision } };
}

function revisionOf(event: ChangeEvent<unknown>): number {
  return event.op === "put" ? event.record.revision : event.revision;
}

/** The state after these events, as a listing. */
function fold<T>(events: readonly ChangeEvent<T>[]): StoredRecord<T>[] {
  const state = new Map<string, StoredRecord<T>>();
  for (const event of events) {
    if (event.op === "put") state.set(event.record.key, event.record);
    else state.delete(event.key);
  }
  return [...state.values()].sort((a, b) => (a.key < b.key ? -1 : 1));
}

/** Whether `events` is the replay of some state of the log, each record once, and then the rest of the log. */
function isReplayAndTail<T>(log: readonly ChangeEvent<T>[], events: readonly ChangeEvent<T>[]): boolean {
  for (let tail = 0; tail <= Math.min(log.length, events.length); tail++) {
    const replay = events.slice(0, events.length - tail);
    const state = fold(log.slice(0, log.length - tail));
    if (replay.length === state.length && isDeepStrictEqual(fold(replay), state)) return true;
    if (!isDeepStrictEqual(log.at(-1 - tail), events.at(-1 - tail))) return false;
  }
  return false;
}
