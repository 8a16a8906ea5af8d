/**
 * Goal: the embedded store keeps the port's contract, and what is its own: one owner, start after an unclean end,
 * bounds, clear errors. Method: the shared suite, then one data folder per test.
 */
import assert from "node:assert/strict";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { ManualClock, systemClock } from "../../kernel/clock.ts";
import { storeSuite } from "../conformance.ts";
import { StoreFailure, StoreLocked, StoreOverloaded, type Store } from "../store.ts";
import { openSqliteStore } from "./sqlite-store.ts";

async function temporaryFolder(): Promise<AsyncDisposable & { path: string }> {
  const path = await mkdtemp(join(tmpdir(), "hornero-store-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

storeSuite(
  "the SQLite store",
  async (clock: ManualClock) => {
    const folder = await temporaryFolder();
    let store = await openSqliteStore({ directory: folder.path, clock });
    return {
      store,
      async reopen(): Promise<Store> {
        await store.close();
        store = await openSqliteStore({ directory: folder.path, clock });
        return store;
      },
      async dispose() {
        await store.close();
        await folder[Symbol.asyncDispose]();
      },
    };
  },
  { durable: true },
);

test("a second opener is told who owns the folder and how to run beside it", async () => {
  await using folder = await temporaryFolder();
  const options = { directory: folder.path, clock: systemClock, port: 4599 };
  const store = await openSqliteStore(options);
  await assert.rejects(openSqliteStore(options), (error) => {
    assert(error instanceof StoreLocked);
    for (const part of [
      folder.path,
      `process ${process.pid}`,
      "port 4599",
      "npm start -- --port N --data DIR",
    ]) {
      assert(error.message.includes(part), `${part} in: ${error.message}`);
    }
    return true;
  });
  await store.write([{ op: "put", kind: "kind", key: "key", value: 1 }]);
  await store.close();
  const next = await openSqliteStore(options);
  assert.equal((await next.get("kind", "key"))?.value, 1);
  await next.close();
});

test("a database that reached its bound refuses writes with a hint, stays readable and takes writes again", async () => {
  await using folder = await temporaryFolder();
  const options = { directory: folder.path, clock: systemClock };
  const store = await openSqliteStore({ ...options, databaseBytesMax: 1024 * 1024 });
  await store.write([{ op: "put", kind: "kind", key: "small", value: "kept" }]);
  const big = "x".repeat(2 * 1024 * 1024);
  const results = await Promise.allSettled([
    store.write([{ op: "put", kind: "kind", key: "beside", value: 1 }]),
    store.write([
      { op: "put", kind: "kind", key: "half", value: 1 },
      { op: "put", kind: "kind", key: "big", value: big },
    ]),
    store.queue("queue").append([{ body: Buffer.from("beside") }]),
  ]);
  const [beside, tooBig, append] = results;
  assert.equal(beside.status, "fulfilled");
  assert.equal(append.status, "fulfilled");
  assert(tooBig.status === "rejected");
  assert(tooBig.reason instanceof StoreFailure);
  assert.match(tooBig.reason.hint ?? "", /free space/);
  const keys = (await store.list("kind")).map(({ key }) => key);
  assert.deepEqual(keys, ["beside", "small"]);
  await store.write([{ op: "put", kind: "kind", key: "after", value: 1 }]);
  await store.close();
});

test("after an unclean end the data is checked: whole data opens, damage is refused with a hint", async () => {
  await using folder = await temporaryFolder();
  await using copies = await temporaryFolder();
  const store = await openSqliteStore({ directory: folder.path, clock: systemClock });
  const value = "x".repeat(1000);
  for (let key = 0; key < 100; key++) {
    await store.write([{ op: "put", kind: "kind", key: String(key), value }]);
  }
  const records = await store.list("kind");
  // What a crash leaves: the files as they are while the store is open. The tables are made to lie in the database itself.
  const operator = new DatabaseSync(join(folder.path, "hornero.db"));
  operator.exec("PRAGMA wal_checkpoint(PASSIVE)");
  operator.close();
  await store.write([{ op: "delete", kind: "kind", key: "0" }]);
  const [whole, damaged] = [join(copies.path, "whole"), join(copies.path, "damaged")];
  for (const copy of [whole, damaged]) await cp(folder.path, copy, { recursive: true });
  await store.close();

  const again = await openSqliteStore({ directory: whole, clock: systemClock });
  assert.deepEqual(
    await again.list("kind"),
    records.filter(({ key }) => key !== "0"),
  );
  await again.close();

  const bytes = await readFile(join(damaged, "hornero.db"));
  bytes.fill(0xff, 4096 * 10, 4096 * 16);
  await writeFile(join(damaged, "hornero.db"), bytes);
  await assert.rejects(openSqliteStore({ directory: damaged, clock: systemClock }), (error) => {
    assert(error instanceof StoreFailure);
    assert.match(error.hint ?? "", /restore a backup/);
    return true;
  });
});

test("data of a newer version is refused, not touched", async () => {
  await using folder = await temporaryFolder();
  const options = { directory: folder.path, clock: systemClock };
  await (await openSqliteStore(options)).close();
  const database = new DatabaseSync(join(folder.path, "hornero.db"));
  database.exec("INSERT INTO migrations VALUES (9999, 0)");
  database.close();
  const before = await readFile(join(folder.path, "hornero.db"));
  await assert.rejects(openSqliteStore(options), (error) => {
    assert(error instanceof StoreFailure);
    assert.match(error.message, /schema 9999/);
    assert.match(error.hint ?? "", /newer version/);
    return true;
  });
  assert.deepEqual(await readFile(join(folder.path, "hornero.db")), before);
});

test("a file that is no database is refused with a hint", async () => {
  await using folder = await temporaryFolder();
  await writeFile(join(folder.path, "hornero.db"), "this is a text".repeat(1000));
  await assert.rejects(openSqliteStore({ directory: folder.path, clock: systemClock }), (error) => {
    assert(error instanceof StoreFailure);
    assert.match(error.hint ?? "", /restore a backup/);
    return true;
  });
});

test("more calls than the bound are refused at once, the others are served", async () => {
  await using folder = await temporaryFolder();
  const store = await openSqliteStore({ directory: folder.path, clock: systemClock });
  const calls = Array.from({ length: 20_000 }, () => store.get("kind", "key"));
  const results = await Promise.allSettled(calls);
  const refused = results.filter((result) => result.status === "rejected");
  assert(refused.length > 0 && refused.length < 5000, `${refused.length} of 20000 refused`);
  assert(refused.every(({ reason }) => reason instanceof StoreOverloaded));
  assert.equal(await store.get("kind", "key"), undefined);
  await store.close();
});

test("a key that has no UTF-8 is refused", async () => {
  await using folder = await temporaryFolder();
  const store = await openSqliteStore({ directory: folder.path, clock: systemClock });
  await assert.rejects(store.write([{ op: "put", kind: "kind", key: "\ud800", value: 1 }]), TypeError);
  await store.close();
});

test("the schema of a fresh database is that of all migrations, each recorded with its time", async () => {
  await using folder = await temporaryFolder();
  const clock = new ManualClock(1_800_000_000_000);
  await (await openSqliteStore({ directory: folder.path, clock })).close();
  const database = new DatabaseSync(join(folder.path, "hornero.db"), { readOnly: true });
  const rows = database.prepare("SELECT version, applied_at_ms AS atMs FROM migrations").all();
  database.close();
  assert.deepEqual(
    rows.map((row) => ({ ...row })),
    [{ version: 1, atMs: 1_800_000_000_000 }],
  );
});
