/**
 * Goal: whatever moment the process dies at, nothing that was acknowledged is lost and nothing is half there.
 * Method: a child works under load and reports every acknowledgement; it is killed with SIGKILL after a random number of
 * them and a random moment; the folder is opened again and compared with the reports. The next child goes on in the same folder.
 * What this cannot show is a power cut: the kernel outlives the child. For that the store relies on fsync.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { systemClock } from "../../src/kernel/clock.ts";
import { openFileBlobStore } from "../../src/store/blobs/file-blobs.ts";
import { openSqliteStore } from "../../src/store/sqlite/sqlite-store.ts";
import type { Store } from "../../src/store/store.ts";
import { bulkOf, FILES_PER_ZIP, QUEUE, WRITERS, type Line } from "./store-crash-child.ts";

const STORE_KILLS = 50;
const BLOB_KILLS = 10;
const KILL_DELAY_MS_MAX = 20;
const CHILD = fileURLToPath(new URL("./store-crash-child.ts", import.meta.url));

test(`the store survives ${STORE_KILLS} kills under load`, async () => {
  await using folder = await temporaryFolder();
  const told = new Told();
  for (let kill = 1; kill <= STORE_KILLS; kill++) {
    const lines = await runAndKill("store", folder.path, 1 + Math.floor(Math.random() * 200));
    for (const line of lines) told.add(line);
    const store = await openSqliteStore({ directory: folder.path, clock: systemClock });
    try {
      assert.equal(integrityOf(folder.path), "ok");
      await told.compare(store, `after kill ${kill}, ${lines.length} reports`);
    } finally {
      await store.close();
    }
  }
});

test(`no half-written code is visible after ${BLOB_KILLS} kills`, async () => {
  await using folder = await temporaryFolder();
  const directory = join(folder.path, "code");
  const unpacked = join(directory, "unpacked");
  const acknowledged = new Set<string>();
  for (let kill = 1; kill <= BLOB_KILLS; kill++) {
    for (const line of await runAndKill("blobs", folder.path, 1 + Math.floor(Math.random() * 5))) {
      if (line.did === "put") acknowledged.add(line.sha256Hex);
    }
    for (const name of await readdir(unpacked)) await assertWhole(join(unpacked, name));
    const blobs = await openFileBlobStore({ directory, clock: systemClock });
    try {
      assert.deepEqual(await readdir(join(directory, "temporary")), []);
      const kept = new Set(await blobs.list());
      for (const sha256Hex of acknowledged) assert(kept.has(sha256Hex));
      for (const sha256Hex of kept) await assertWhole(await blobs.unpack(sha256Hex));
      assert.equal((await readdir(unpacked)).length, kept.size);
    } finally {
      await blobs.close();
    }
  }
});

/** Everything that children told, and what it says about the data. */
class Told {
  /** Last acknowledged transaction, by writer. */
  readonly #written = Array.from({ length: WRITERS }, () => 0);
  readonly #takes = new Set<string>();
  readonly #taken = new Set<string>();
  #revision = 0;

  add(line: Line): void {
    if (line.did === "write") {
      this.#written[line.writer] = Math.max(line.n, this.#written[line.writer] ?? 0);
      this.#revision = Math.max(line.revision, this.#revision);
    } else if (line.did === "take") this.#takes.add(line.message);
    else if (line.did === "taken") this.#taken.add(line.message);
  }

  async compare(store: Store, moment: string): Promise<void> {
    const left = await store.list<number>("left");
    const right = await store.list<string>("right");
    assert.equal(right.length, left.length);
    for (const [index, { key, value, revision }] of left.entries()) {
      const same = right[index]?.revision === revision && right[index]?.value === bulkOf(value);
      assert(same, `${moment}: writer ${key} has one record of transaction ${value} without the other`);
    }
    let transactions = 0;
    const expected = new Set<string>();
    for (const [writer, acknowledged] of this.#written.entries()) {
      const n = left.find(({ key }) => key === String(writer))?.value ?? 0;
      assert(
        n >= acknowledged,
        `${moment}: transaction ${acknowledged} of writer ${writer} is lost, ${n} is the last`,
      );
      transactions += n;
      for (let each = 1; each <= n; each++) expected.add(`${writer}:${each}`);
      // What was applied without an acknowledgement counts from now on.
      this.#written[writer] = n;
    }
    const sum = await store.get<{ transactions: number }>("sum", "all");
    assert.equal(sum?.value.transactions ?? 0, transactions, `${moment}: the counter moved with the records`);
    await this.#compareMessages(store, expected, moment);
    const revision = await store.write([{ op: "put", kind: "probe", key: "key", value: 0 }]);
    assert(revision > this.#revision, `${moment}: revision ${this.#revision} was given before`);
    this.#revision = revision;
  }

  async #compareMessages(store: Store, expected: ReadonlySet<string>, moment: string): Promise<void> {
    const messages = await allMessages(store);
    const present = new Set(messages);
    assert.equal(present.size, messages.length, `${moment}: no message is there twice`);
    for (const message of present) {
      assert(expected.has(message), `${moment}: message ${message} came without its transaction`);
      assert(!this.#taken.has(message), `${moment}: message ${message} was acknowledged and came back`);
    }
    for (const message of expected) {
      assert(present.has(message) || this.#takes.has(message), `${moment}: message ${message} is lost`);
    }
  }
}

/** Every message, waited for where a dead child's lease of a millisecond has not ended yet. */
async function allMessages(store: Store): Promise<string[]> {
  const queue = store.queue(QUEUE);
  for (;;) {
    const { messages } = await queue.stats();
    const received = await queue.receive({ limit: messages, leaseMs: 0 });
    if (received.length === messages) return received.map(({ body }) => Buffer.from(body).toString());
  }
}

/** Starts a child, kills it when it has reported so many lines, and resolves with all that it had written by then. */
async function runAndKill(mode: "store" | "blobs", directory: string, lineCount: number): Promise<Line[]> {
  const child = spawn(process.execPath, [CHILD, mode, directory], { stdio: ["ignore", "pipe", "inherit"] });
  const exited = once(child, "exit");
  const kill = (): void => void child.kill("SIGKILL");
  const lines: Line[] = [];
  for await (const text of createInterface({ input: child.stdout })) {
    // The last line may have been cut by the kill: what was not told whole was not told.
    if (!text.endsWith("}")) break;
    lines.push(JSON.parse(text) as Line);
    // Not at once: a report is written between two steps, and the kill is to come in the middle of one.
    if (lines.length === lineCount) setTimeout(kill, Math.random() * KILL_DELAY_MS_MAX);
  }
  const [, signal] = (await exited) as [number | null, string | null];
  assert.equal(signal, "SIGKILL", "the child ended because it was killed");
  return lines;
}

function integrityOf(directory: string): string {
  const database = new DatabaseSync(join(directory, "hornero.db"), { readOnly: true });
  const rows = database.prepare("PRAGMA integrity_check").all();
  database.close();
  return rows.map((row) => String(row["integrity_check"])).join("; ");
}

async function assertWhole(folder: string): Promise<void> {
  const names = await readdir(join(folder, "folder"));
  assert.equal(names.length, FILES_PER_ZIP, folder);
  const contents = await Promise.all(names.map((name) => readFile(join(folder, "folder", name), "utf8")));
  const [origin] = contents[0]?.split(" ") ?? [];
  for (const [index, name] of names.entries()) assert.equal(contents[index], `${origin} folder/${name}`);
}

async function temporaryFolder(): Promise<AsyncDisposable & { path: string }> {
  const path = await mkdtemp(join(tmpdir(), "hornero-crash-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}
