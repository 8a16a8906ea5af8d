/** Goal: get, list and write behave as the port says. Method: one example for each sentence, odd keys and values included. */
import assert from "node:assert/strict";
import { it } from "node:test";
import type { Bench } from "../conformance.ts";
import { RevisionConflict } from "../store.ts";

/** Ascending in UTF-8 bytes, which UTF-16 order is not: U+FFFF is less than U+1D11E here and greater there. */
const ODD_KEYS = [
  "",
  "\0",
  "\0a",
  " ",
  "%",
  "'quoted\"",
  "-1",
  "/",
  "0",
  "A",
  "_",
  "a",
  "a\0",
  "a\0b",
  "a/b",
  "aa",
  "b",
  "k".repeat(2000),
  "é",
  "\ud7ff",
  "\ue000",
  "\uffff",
  "𝄞",
  "𝄞a",
  "\u{10ffff}",
  "\u{10ffff}a",
];

const VALUES: Record<string, unknown> = {
  null: null,
  booleans: [true, false],
  numbers: [0, -1, 0.1, 5e-324, Number.MAX_VALUE, Number.MAX_SAFE_INTEGER],
  strings: ["", "\0", "é", "𝄞", "\ud800 alone", "line\nbreak", '"\\'],
  nested: { a: { b: [{ c: [] }, {}] } },
  "odd members": JSON.parse('{"__proto__": 1, "": 2, "a.b": 3, "constructor": null}'),
  big: { text: "é".repeat(1_000_000), list: Array.from({ length: 10_000 }, (_, index) => index) },
};

export function recordTests(bench: Bench): void {
  valueTests(bench);
  preconditionTests(bench);
  transactionTests(bench);
  counterTests(bench);
  listTests(bench);
}

function valueTests(bench: Bench): void {
  it("has no record before it is written and none after it is deleted", async () => {
    const kind = bench.unique("kind");
    assert.equal(await bench.store.get(kind, "key"), undefined);
    await bench.store.write([{ op: "put", kind, key: "key", value: 1 }]);
    await bench.store.write([{ op: "delete", kind, key: "key" }]);
    assert.equal(await bench.store.get(kind, "key"), undefined);
    await bench.store.write([{ op: "delete", kind, key: "key" }]);
  });

  for (const [name, value] of Object.entries(VALUES)) {
    it(`gives back what it was given: ${name}`, async () => {
      const kind = bench.unique("kind");
      const revision = await bench.store.write([{ op: "put", kind, key: "key", value }]);
      assert.deepEqual(await bench.store.get(kind, "key"), { key: "key", value, revision });
      assert.deepEqual(await bench.store.list(kind), [{ key: "key", value, revision }]);
    });
  }

  it("keeps the value as it was when write was called", async () => {
    const kind = bench.unique("kind");
    const value = { list: [1] };
    const writing = bench.store.write([{ op: "put", kind, key: "key", value }]);
    value.list.push(2);
    await writing;
    assert.deepEqual((await bench.store.get(kind, "key"))?.value, { list: [1] });
  });

  it("keeps kinds and keys apart", async () => {
    const [kind, other] = [bench.unique("kind"), bench.unique("kind")];
    await bench.store.write([
      { op: "put", kind, key: "key", value: 1 },
      { op: "put", kind: other, key: "key", value: 2 },
      { op: "put", kind, key: "Key", value: 3 },
      { op: "put", kind, key: "key ", value: 4 },
    ]);
    assert.equal((await bench.store.get(kind, "key"))?.value, 1);
    assert.equal((await bench.store.get(other, "key"))?.value, 2);
    assert.equal((await bench.store.list(kind)).length, 3);
  });

  it("refuses a value that is not JSON", async () => {
    const kind = bench.unique("kind");
    await assert.rejects(bench.store.write([{ op: "put", kind, key: "key", value: undefined }]));
    assert.equal(await bench.store.get(kind, "key"), undefined);
  });

  it("grows the revision with every transaction, over all kinds", async () => {
    const revisions: number[] = [];
    for (let round = 0; round < 3; round++) {
      const kind = bench.unique("kind");
      revisions.push(await bench.store.write([{ op: "put", kind, key: "key", value: round }]));
      revisions.push(await bench.store.write([{ op: "delete", kind, key: "key" }]));
    }
    assert.deepEqual(
      revisions,
      [...new Set(revisions)].sort((a, b) => a - b),
    );
  });
}

function preconditionTests(bench: Bench): void {
  it("puts with expect absent only where there is none", async () => {
    const kind = bench.unique("kind");
    const put = { op: "put", kind, key: "key", value: 1, expect: "absent" } as const;
    await bench.store.write([put]);
    await assert.rejects(bench.store.write([{ ...put, value: 2 }]), (error) => {
      assert(error instanceof RevisionConflict);
      assert.deepEqual([error.kind, error.key], [kind, "key"]);
      return true;
    });
    assert.equal((await bench.store.get(kind, "key"))?.value, 1);
    await bench.store.write([{ op: "delete", kind, key: "key" }]);
    await bench.store.write([{ ...put, value: 3 }]);
    assert.equal((await bench.store.get(kind, "key"))?.value, 3);
  });

  it("puts and deletes with an expected revision only at that revision", async () => {
    const kind = bench.unique("kind");
    const first = await bench.store.write([{ op: "put", kind, key: "key", value: 1 }]);
    const second = await bench.store.write([{ op: "put", kind, key: "key", value: 2, expect: first }]);
    const stale = { kind, key: "key", expect: first };
    await assert.rejects(bench.store.write([{ op: "put", value: 3, ...stale }]), RevisionConflict);
    await assert.rejects(bench.store.write([{ op: "delete", ...stale }]), RevisionConflict);
    assert.deepEqual(await bench.store.get(kind, "key"), { key: "key", value: 2, revision: second });
    await bench.store.write([{ op: "delete", kind, key: "key", expect: second }]);
    assert.equal(await bench.store.get(kind, "key"), undefined);
    const gone = { kind, key: "key", expect: second };
    await assert.rejects(bench.store.write([{ op: "put", value: 3, ...gone }]), RevisionConflict);
    await assert.rejects(bench.store.write([{ op: "delete", ...gone }]), RevisionConflict);
  });

  it("lets exactly one of many concurrent writers with one expectation win", async () => {
    const kind = bench.unique("kind");
    const expect = await bench.store.write([{ op: "put", kind, key: "key", value: "start" }]);
    const attempts = Array.from({ length: 20 }, (_, value) =>
      bench.store.write([{ op: "put", kind, key: "key", value, expect }]),
    );
    const results = await Promise.allSettled(attempts);
    const winners = results.flatMap(({ status }, index) => (status === "fulfilled" ? [index] : []));
    assert.equal(winners.length, 1);
    assert.equal((await bench.store.get(kind, "key"))?.value, winners[0]);
  });

  it("does not fail a neighbour because of a conflict", async () => {
    const kind = bench.unique("kind");
    await bench.store.write([{ op: "put", kind, key: "taken", value: 0 }]);
    const attempts = Array.from({ length: 20 }, (_, index) => {
      const key = index % 2 === 0 ? `free-${index}` : "taken";
      return bench.store.write([{ op: "put", kind, key, value: 1, expect: "absent" }]);
    });
    const results = await Promise.allSettled(attempts);
    for (const [index, { status }] of results.entries()) {
      assert.equal(status, index % 2 === 0 ? "fulfilled" : "rejected");
    }
    assert.equal((await bench.store.list(kind, { prefix: "free-" })).length, 10);
    assert.equal((await bench.store.get(kind, "taken"))?.value, 0);
  });

  it("loses no update among read-modify-write loops", async () => {
    const kind = bench.unique("kind");
    await bench.store.write([{ op: "put", kind, key: "key", value: 0 }]);
    const increment = async (): Promise<void> => {
      for (;;) {
        const record = await bench.store.get<number>(kind, "key");
        assert(record);
        const { value, revision } = record;
        try {
          await bench.store.write([{ op: "put", kind, key: "key", value: value + 1, expect: revision }]);
          return;
        } catch (error) {
          if (!(error instanceof RevisionConflict)) throw error;
        }
      }
    };
    await Promise.all(Array.from({ length: 10 }, increment));
    assert.equal((await bench.store.get(kind, "key"))?.value, 10);
  });
}

function transactionTests(bench: Bench): void {
  it("applies nothing of a transaction whose last change conflicts", async () => {
    const [kind, queue] = [bench.unique("kind"), bench.unique("queue")];
    const body = Buffer.from("x");
    await bench.store.write([
      { op: "put", kind, key: "kept", value: "before" },
      { op: "put", kind, key: "counter", value: { n: 1 } },
    ]);
    const before = await bench.store.list(kind);
    const refused = bench.store.write([
      { op: "put", kind, key: "new", value: 1 },
      { op: "put", kind, key: "kept", value: "after" },
      { op: "add", kind, key: "counter", amounts: { n: 1 } },
      { op: "enqueue", queue, body },
      { op: "delete", kind, key: "kept" },
      { op: "put", kind, key: "counter", value: 0, expect: "absent" },
    ]);
    await assert.rejects(refused, RevisionConflict);
    assert.deepEqual(await bench.store.list(kind), before);
    assert.equal((await bench.store.queue(queue).stats()).messages, 0);
  });

  it("applies all changes of a transaction under one revision, in their order", async () => {
    const [kind, queue] = [bench.unique("kind"), bench.unique("queue")];
    const revision = await bench.store.write([
      { op: "put", kind, key: "twice", value: 1, expect: "absent" },
      { op: "put", kind, key: "twice", value: 2 },
      { op: "put", kind, key: "counter", value: { n: 1 } },
      { op: "add", kind, key: "counter", amounts: { n: 1 } },
      { op: "put", kind, key: "gone", value: 1 },
      { op: "delete", kind, key: "gone" },
      { op: "enqueue", queue, body: Buffer.from("x") },
    ]);
    assert.deepEqual(await bench.store.list(kind), [
      { key: "counter", value: { n: 2 }, revision },
      { key: "twice", value: 2, revision },
    ]);
    assert.equal((await bench.store.queue(queue).stats()).messages, 1);
  });

  it("checks a precondition against what the transaction did before it", async () => {
    const kind = bench.unique("kind");
    const put = { op: "put", kind, key: "key", value: 1, expect: "absent" } as const;
    await assert.rejects(bench.store.write([put, put]), RevisionConflict);
    assert.equal(await bench.store.get(kind, "key"), undefined);
    await bench.store.write([put]);
    await bench.store.write([{ op: "delete", kind, key: "key" }, put]);
    assert.equal((await bench.store.get(kind, "key"))?.value, 1);
  });
}

function counterTests(bench: Bench): void {
  it("adds to members that exist and to ones that do not", async () => {
    const kind = bench.unique("kind");
    await bench.store.write([{ op: "add", kind, key: "key", amounts: { a: 1, b: 0.5 } }]);
    const revision = await bench.store.write([{ op: "add", kind, key: "key", amounts: { b: -1, c: 3 } }]);
    const value = { a: 1, b: -0.5, c: 3 };
    assert.deepEqual(await bench.store.get(kind, "key"), { key: "key", value, revision });
  });

  it("loses no concurrent addition", async () => {
    const kind = bench.unique("kind");
    const adding = Array.from({ length: 50 }, (_, n) =>
      bench.store.write([{ op: "add", kind, key: "key", amounts: { n, calls: 1 } }]),
    );
    await Promise.all(adding);
    assert.deepEqual((await bench.store.get(kind, "key"))?.value, { n: 1225, calls: 50 });
  });

  it("refuses to add to something that is no number", async () => {
    const kind = bench.unique("kind");
    await bench.store.write([{ op: "put", kind, key: "key", value: { text: "1" } }]);
    const refused = bench.store.write([
      { op: "put", kind, key: "other", value: 1 },
      { op: "add", kind, key: "key", amounts: { text: 1 } },
    ]);
    await assert.rejects(refused);
    assert.deepEqual((await bench.store.get(kind, "key"))?.value, { text: "1" });
    assert.equal(await bench.store.get(kind, "other"), undefined);
  });
}

function listTests(bench: Bench): void {
  it("lists in ascending byte order of the keys, whatever the keys are", async () => {
    const kind = bench.unique("kind");
    const shuffled = ODD_KEYS.toReversed();
    await bench.store.write(shuffled.map((key) => ({ op: "put", kind, key, value: { is: key } })));
    const records = await bench.store.list<{ is: string }>(kind);
    assert.deepEqual(
      records.map(({ key }) => key),
      ODD_KEYS,
    );
    for (const { key, value } of records) assert.equal(value.is, key);
    for (const key of ODD_KEYS) assert.deepEqual((await bench.store.get(kind, key))?.value, { is: key });
  });

  it("cuts a listing by prefix, after and limit, in any combination", async () => {
    const kind = bench.unique("kind");
    await bench.store.write(ODD_KEYS.map((key) => ({ op: "put", kind, key, value: 0 })));
    const prefixes = [undefined, "", "a", "a\0", "\ud7ff", "\u{10ffff}", "𝄞", "none", "%", "_"];
    const afters = [undefined, "", "a", "a\0", "Z", "\uffff", "\u{10ffff}a"];
    for (const prefix of prefixes) {
      for (const after of afters) {
        const expected = ODD_KEYS.filter((key, index) => {
          const skipped =
            after !== undefined && index <= ODD_KEYS.findLastIndex((other) => atMost(other, after));
          return key.startsWith(prefix ?? "") && !skipped;
        });
        for (const limit of [undefined, 0, 1, 3]) {
          const options = {
            ...(prefix !== undefined && { prefix }),
            ...(after !== undefined && { after }),
            ...(limit !== undefined && { limit }),
          };
          const records = await bench.store.list(kind, options);
          const keys = records.map(({ key }) => key);
          assert.deepEqual(keys, expected.slice(0, limit), JSON.stringify(options));
        }
      }
    }
  });

  it("pages through a kind with after and limit, each record once", async () => {
    const kind = bench.unique("kind");
    const keys = Array.from({ length: 25 }, (_, index) => `key-${String(index).padStart(2, "0")}`);
    await bench.store.write(keys.map((key) => ({ op: "put", kind, key, value: 0 })));
    const seen: string[] = [];
    for (;;) {
      const after = seen.at(-1);
      const page = await bench.store.list(kind, { limit: 10, ...(after !== undefined && { after }) });
      if (page.length === 0) break;
      seen.push(...page.map(({ key }) => key));
    }
    assert.deepEqual(seen, keys);
  });
}

function atMost(key: string, bound: string): boolean {
  return Buffer.compare(Buffer.from(key), Buffer.from(bound)) <= 0;
}
