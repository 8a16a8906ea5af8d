/**
 * Goal: what the store of log events has taken is found again, in order, whatever ends the process; and it is bounded in
 * memory and on disk.
 * Method: the real store on a temporary folder, with a clock that only the test moves; damage is done to the files as a
 * crash would do it.
 */
import assert from "node:assert/strict";
import { mkdtemp, readdir, rm, stat, truncate, writeFile, appendFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import { test, type TestContext } from "node:test";
import { ManualClock } from "../../kernel/clock.ts";
import { MemoryStore } from "../../store/memory.ts";
import { silentLogger } from "../../telemetry/logger.ts";
import { LogStore, type LogStoreOptions } from "./log-store.ts";
import { readPage, type PageQuery, type StoredEvent } from "./page.ts";
import { DAY_MS, SWEEP_INTERVAL_MS } from "./limits.ts";

interface Bench {
  readonly directory: string;
  readonly clock: ManualClock;
  readonly store: MemoryStore;
  readonly open: (options?: Partial<LogStoreOptions>) => Promise<LogStore>;
}

async function bench(t: TestContext): Promise<Bench> {
  const directory = await mkdtemp(join(tmpdir(), "hornero-logs-"));
  const clock = new ManualClock();
  const store = new MemoryStore(clock);
  const opened: LogStore[] = [];
  t.after(async () => {
    for (const logs of opened) await logs.close();
    await rm(directory, { recursive: true });
  });
  return {
    directory,
    clock,
    store,
    async open(options) {
      const logs = await LogStore.open({ directory, store, clock, logger: silentLogger, ...options });
      opened.push(logs);
      return logs;
    },
  };
}

async function read(logs: LogStore, name: string, query: Partial<PageQuery> = {}): Promise<StoredEvent[]> {
  const group = logs.group(name);
  assert.ok(group, `the group ${name} exists`);
  await logs.settle(group);
  const events: StoredEvent[] = [];
  let from: PageQuery["from"];
  for (;;) {
    const page = await readPage(group, {
      direction: "forward",
      startMs: -Infinity,
      endMs: Infinity,
      limit: 1000,
      streams: undefined,
      matches: undefined,
      ...query,
      from,
    });
    events.push(...page.events);
    if (!page.next) return events;
    from = page.next;
  }
}

const messages = (events: StoredEvent[]) => events.map((event) => event.message);

/** The files of the only group. */
async function files(directory: string, suffix: string): Promise<string[]> {
  const [group = ""] = await readdir(directory);
  const names = await readdir(join(directory, group));
  return names.filter((name) => name.endsWith(suffix)).map((name) => join(directory, group, name));
}

test("events come back in order of time, of all streams together", async (t) => {
  const { open } = await bench(t);
  const logs = await open();
  logs.append("g", "a", [
    { timestampMs: 1, message: "one" },
    { timestampMs: 3, message: "three" },
  ]);
  logs.append("g", "b", [
    { timestampMs: 2, message: "zwei – ✓" },
    { timestampMs: 3, message: "also three, later" },
  ]);
  const events = await read(logs, "g");
  assert.deepEqual(messages(events), ["one", "zwei – ✓", "three", "also three, later"]);
  assert.deepEqual(
    events.map((event) => event.stream),
    ["a", "b", "a", "b"],
  );
});

test("what was written is there after the process was killed", async (t) => {
  const { open } = await bench(t);
  const logs = await open();
  logs.append("g", "a", [{ timestampMs: 1, message: "one" }]);
  await read(logs, "g");
  // A second store on the same files is what a restart sees: close() was never called.
  const again = await open();
  assert.deepEqual(messages(await read(again, "g")), ["one"]);
  again.append("g", "a", [{ timestampMs: 2, message: "two" }]);
  const events = await read(again, "g");
  assert.deepEqual(messages(events), ["one", "two"]);
  assert.equal(new Set(events.map((event) => event.sequence)).size, 2, "sequences go on where they were");
});

test("groups that come into being together are one write of the store, and all of them are there after it", async (t) => {
  const { open, store } = await bench(t);
  const logs = await open();
  const writes = t.mock.method(store, "write");
  const names = Array.from({ length: 10 }, (_, index) => `/aws/lambda/new-${index}`);
  for (const name of names) logs.append(name, "stream", [{ timestampMs: 1, message: "first" }]);
  for (const name of names) assert.equal((await read(logs, name)).length, 1);
  assert.equal(writes.mock.callCount(), 1);
  await logs.close();
  const again = await open();
  assert.deepEqual(
    again
      .groups()
      .map(({ name }) => name)
      .sort(),
    names,
  );
});

test("events are written by themselves, 50 ms after they came", async (t) => {
  const { open, clock, directory } = await bench(t);
  const logs = await open();
  logs.append("g", "a", [{ timestampMs: 1, message: "one" }]);
  assert.equal((await readdir(directory)).length, 0);
  clock.advance(50);
  const group = logs.group("g");
  assert.ok(group);
  // A task waits for the write before it, and starts none itself.
  await new Promise<void>((resolve) => {
    const done = group.onWritten(() => {
      done();
      resolve();
    });
  });
  const [segment = ""] = await files(directory, ".segment");
  assert.ok((await stat(segment)).size > 0);
});

test("events that come while others are written wait for the next flush", async (t) => {
  const { open, clock } = await bench(t);
  const logs = await open();
  logs.append("g", "a", [{ timestampMs: 1, message: "one" }]);
  const group = logs.group("g");
  assert.ok(group);
  const first = Promise.withResolvers<void>();
  let writes = 0;
  group.onWritten(() => {
    writes += 1;
    if (writes === 1) logs.append("g", "a", [{ timestampMs: 2, message: "two" }]);
    first.resolve();
  });
  clock.advance(50);
  await first.promise;
  // Each task runs behind the writes that are due when it is asked for.
  for (let task = 0; task < 3; task += 1) await logs.updateGroup(group, (record) => record);
  assert.equal(writes, 1);
  const second = Promise.withResolvers<void>();
  group.onWritten(() => second.resolve());
  clock.advance(50);
  await second.promise;
  assert.deepEqual(messages(await read(logs, "g")), ["one", "two"]);
});

test("a torn tail is dropped at every length, and writing goes on behind the last whole record", async (t) => {
  const { open, directory } = await bench(t);
  const logs = await open();
  logs.append("g", "a", [{ timestampMs: 1, message: "first" }]);
  await read(logs, "g");
  const [segment = ""] = await files(directory, ".segment");
  const wholeBytes = (await stat(segment)).size;
  logs.append("g", "a", [{ timestampMs: 2, message: "torn" }]);
  await read(logs, "g");
  const fullBytes = (await stat(segment)).size;
  for (let bytes = fullBytes - 1; bytes >= wholeBytes; bytes -= 1) {
    await truncate(segment, bytes);
    const torn = await open();
    assert.deepEqual(messages(await read(torn, "g")), ["first"], `${bytes} bytes`);
  }
  await appendFile(segment, Buffer.alloc(300, 0xff));
  const mended = await open();
  mended.append("g", "a", [{ timestampMs: 3, message: "after" }]);
  assert.deepEqual(messages(await read(mended, "g")), ["first", "after"]);
  const again = await open();
  assert.deepEqual(messages(await read(again, "g")), ["first", "after"]);
});

test("an index that was torn is made again from the segment", async (t) => {
  const { open, directory } = await bench(t);
  const logs = await open({ bytesMax: 1 << 20 });
  for (let i = 0; i < 3; i += 1) {
    logs.append("g", "a", [{ timestampMs: i, message: "x".repeat(70_000) }]);
    await read(logs, "g");
  }
  const indexes = await files(directory, ".index");
  assert.ok(indexes.length > 0, "a segment was closed");
  for (const index of indexes) await writeFile(index, "{");
  const again = await open();
  assert.equal((await read(again, "g")).length, 3);
});

test("a burst does not grow: append refuses, and everything that was taken is written", async (t) => {
  const { open } = await bench(t);
  const pendingBytesMax = 1 << 20;
  const logs = await open({ pendingBytesMax });
  const line = "y".repeat(1000);
  const batch = Array.from({ length: 100 }, (_, i) => ({ timestampMs: i, message: line }));
  const total = 20_000_000;
  let refused = 0;
  let sent = 0;
  while (sent < total) {
    if (logs.append("g", "a", batch)) sent += 100_000;
    else {
      refused += 1;
      await logs.drained();
    }
  }
  const group = logs.group("g");
  assert.ok(group);
  await logs.settle(group);
  assert.ok(refused > 0, "the bound was reached");
  assert.ok(logs.stats.pendingBytesPeak <= pendingBytesMax);
  assert.equal(logs.stats.pendingBytes, 0);
  assert.ok(logs.stats.storedBytes >= total);
  assert.equal(logs.stats.lostEvents, 0);
});

test("on disk the oldest segments go first, over all groups", async (t) => {
  const { open, clock } = await bench(t);
  const bytesMax = 1 << 20;
  const logs = await open({ bytesMax });
  for (let i = 0; i < 40; i += 1) {
    clock.advance(1000);
    logs.append(i % 2 ? "odd" : "even", "s", [
      { timestampMs: clock.nowMs(), message: `${i} `.padEnd(60_000, "z") },
    ]);
    await read(logs, i % 2 ? "odd" : "even", { limit: 1 });
  }
  // The write that exceeds the bound is told of before its eviction is done.
  while (logs.stats.storedBytes > bytesMax) await turn();
  assert.ok(logs.stats.evictedSegments > 0);
  const left = [...(await read(logs, "even")), ...(await read(logs, "odd"))].map((event) =>
    Number.parseInt(event.message, 10),
  );
  left.sort((a, b) => a - b);
  assert.equal(left.at(-1), 39);
  assert.deepEqual(
    left,
    Array.from({ length: left.length }, (_, i) => 40 - left.length + i),
    "without a gap",
  );
});

test("retention drops old segments with the streams that lived in them, except those made by hand", async (t) => {
  const { open, clock } = await bench(t);
  const logs = await open();
  await logs.createGroup("g", {
    logGroupClass: "STANDARD",
    deletionProtectionEnabled: false,
    tags: {},
    retentionInDays: 1,
  });
  const group = logs.group("g");
  assert.ok(group);
  await logs.createStream(group, "by-hand");
  logs.append("g", "old", [{ timestampMs: clock.nowMs(), message: "old" }]);
  await logs.settle(group);
  clock.advance(DAY_MS + SWEEP_INTERVAL_MS);
  logs.append("g", "new", [{ timestampMs: clock.nowMs(), message: "new" }]);
  await logs.settle(group);
  clock.advance(SWEEP_INTERVAL_MS);
  await logs.updateGroup(group, (record) => record);
  await logs.settle(group);
  assert.equal(logs.stats.expiredSegments, 1);
  assert.deepEqual([...group.streams.keys()].sort(), ["by-hand", "new"]);
  const again = await open();
  assert.deepEqual([...(again.group("g")?.streams.keys() ?? [])].sort(), ["by-hand", "new"]);
  assert.deepEqual(messages(await read(again, "g")), ["new"]);
});

test("a removed stream stays away, also when one of its name comes after it", async (t) => {
  const { open } = await bench(t);
  const logs = await open();
  logs.append("g", "s", [{ timestampMs: 1, message: "before" }]);
  const group = logs.group("g");
  assert.ok(group);
  await logs.settle(group);
  await logs.deleteStream(group, "s");
  assert.deepEqual(messages(await read(await open(), "g")), []);
  logs.append("g", "s", [{ timestampMs: 2, message: "after" }]);
  assert.deepEqual(messages(await read(logs, "g")), ["after"]);
  assert.deepEqual(messages(await read(await open(), "g")), ["after"]);
});

test("a group takes its files with it, also those that a crash left", async (t) => {
  const { open, directory, store } = await bench(t);
  const logs = await open();
  logs.append("gone", "s", [{ timestampMs: 1, message: "x" }]);
  const group = logs.group("gone");
  assert.ok(group);
  await logs.settle(group);
  await logs.deleteGroup(group);
  assert.deepEqual(await readdir(directory), []);
  assert.equal(logs.stats.storedBytes, 0);
  logs.append("crashed", "s", [{ timestampMs: 1, message: "x" }]);
  await read(logs, "crashed");
  await store.write([{ op: "delete", kind: "logs.group", key: "crashed" }]);
  await open();
  assert.deepEqual(await readdir(directory), []);
});

test("of too many streams the one that was silent for the longest goes", async (t) => {
  const { open } = await bench(t);
  const logs = await open({ streamsMax: 2 });
  for (const [i, stream] of ["a", "b", "a", "c"].entries())
    logs.append("g", stream, [{ timestampMs: i, message: stream }]);
  const group = logs.group("g");
  assert.ok(group);
  await logs.updateGroup(group, (record) => record);
  assert.deepEqual([...group.streams.keys()].sort(), ["a", "c"]);
  assert.deepEqual(messages(await read(logs, "g")), ["a", "a", "c"]);
});

test("a disk that refuses is tried again, then the events are given up and told", async (t) => {
  const { open, directory, clock } = await bench(t);
  const logs = await open();
  await logs.createGroup("g", { logGroupClass: "STANDARD", deletionProtectionEnabled: false, tags: {} });
  const group = logs.group("g");
  assert.ok(group);
  // A file where the group's directory should be.
  await writeFile(join(directory, group.record.id), "");
  logs.append("g", "s", [{ timestampMs: 1, message: "lost" }]);
  const settled = logs.settle(group);
  const outcome = { over: false };
  const noteEnd = () => {
    outcome.over = true;
  };
  settled.then(noteEnd, noteEnd);
  while (!outcome.over) {
    clock.advance(1000);
    await new Promise((resolve) => setImmediate(resolve));
  }
  await assert.rejects(settled, { code: "ServiceUnavailableException" });
  assert.equal(logs.stats.lostEvents, 1);
  assert.equal(logs.stats.pendingBytes, 0);
  await rm(join(directory, group.record.id));
  logs.append("g", "s", [{ timestampMs: 2, message: "kept" }]);
  assert.deepEqual(messages(await read(logs, "g")), ["kept"]);
});

test("a message over the limit is cut between characters", async (t) => {
  const { open } = await bench(t);
  const logs = await open();
  const message = `a${"é".repeat(600_000)}`;
  logs.append("g", "s", [{ timestampMs: 1, message }]);
  const events = await read(logs, "g");
  assert.equal(events.length, 2);
  assert.equal(messages(events).join(""), message);
});
