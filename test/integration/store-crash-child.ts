/**
 * The process that store-crash.test.ts kills: works on the data folder as fast as it can and reports on stdout.
 * Each line is written before the next step begins, so what the parent has not read was not acknowledged.
 */
import assert from "node:assert/strict";
import { writeSync } from "node:fs";
import { join } from "node:path";
import { zipSync } from "fflate";
import { systemClock } from "../../src/kernel/clock.ts";
import { openFileBlobStore } from "../../src/store/blobs/file-blobs.ts";
import { openSqliteStore } from "../../src/store/sqlite/sqlite-store.ts";
import type { Store } from "../../src/store/store.ts";

/** What the parent reads, one a line. */
export type Line =
  /** Transaction `n` of `writer` is acknowledged. */
  | { readonly did: "write"; readonly writer: number; readonly n: number; readonly revision: number }
  /** The message will be acknowledged next; or was. */
  | { readonly did: "take" | "taken"; readonly message: string }
  | { readonly did: "put" | "unpack"; readonly sha256Hex: string };

export const WRITERS = 6;
export const QUEUE = "messages";
export const FILES_PER_ZIP = 40;

/** The value of the second record: of several pages, so that a commit is long enough to be cut in the middle. */
export function bulkOf(n: number): string {
  return String(n).padStart(8, "0").repeat(4096);
}

function report(line: Line): void {
  writeSync(1, `${JSON.stringify(line)}\n`);
}

/** Each transaction moves two records, a counter and a queue together: any one alone would be a half-applied one. */
async function writeForever(store: Store, writer: number): Promise<never> {
  const record = await store.get<number>("left", String(writer));
  for (let n = (record?.value ?? 0) + 1; ; n++) {
    const revision = await store.write([
      { op: "put", kind: "left", key: String(writer), value: n },
      { op: "put", kind: "right", key: String(writer), value: bulkOf(n) },
      { op: "add", kind: "sum", key: "all", amounts: { transactions: 1 } },
      { op: "enqueue", queue: QUEUE, body: Buffer.from(`${writer}:${n}`) },
    ]);
    report({ did: "write", writer, n, revision });
  }
}

async function consumeForever(store: Store): Promise<never> {
  const queue = store.queue(QUEUE);
  for (;;) {
    for (const { body, receipt } of await queue.receive({ limit: 5, leaseMs: 1 })) {
      const message = Buffer.from(body).toString();
      report({ did: "take", message });
      const removed = await queue.acknowledge([receipt]);
      // The lease is short: the message may have been given out again, to nobody but ourselves.
      if (removed === 1) report({ did: "taken", message });
    }
  }
}

async function unpackForever(directory: string): Promise<never> {
  const blobs = await openFileBlobStore({ directory, clock: systemClock });
  for (let n = process.pid * 1000; ; n++) {
    const names = Array.from({ length: FILES_PER_ZIP }, (_, index) => `folder/${index}`);
    const zip = zipSync(Object.fromEntries(names.map((name) => [name, Buffer.from(`${n} ${name}`)])));
    const { sha256Hex } = await blobs.put(zip);
    report({ did: "put", sha256Hex });
    await blobs.unpack(sha256Hex);
    report({ did: "unpack", sha256Hex });
  }
}

if (import.meta.main) {
  const [, , mode, directory] = process.argv;
  assert(directory, "a data folder is given");
  if (mode === "blobs") await unpackForever(join(directory, "code"));
  const store = await openSqliteStore({ directory, clock: systemClock });
  const writers = Array.from({ length: WRITERS }, (_, writer) => writeForever(store, writer));
  await Promise.all([...writers, consumeForever(store)]);
}
