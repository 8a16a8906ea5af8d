/**
 * Goal: totals are what was recorded, exactly, whenever the process ends and whatever the Store answers; and bills are
 * what AWS's price list makes of them.
 * Method: random histories of records, folds and kills at every step of a fold, on real journal files with a store in
 * memory (a kill is a meter that is left lying and a new one on the same files); then a process that is really killed.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { appendFile, copyFile, mkdir, mkdtemp, open, readdir, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { setImmediate } from "node:timers/promises";
import * as fc from "fast-check";
import { ManualClock, systemClock } from "../../kernel/clock.ts";
import { MemoryStore } from "../../store/memory.ts";
import { openSqliteStore } from "../../store/sqlite/sqlite-store.ts";
import type { Change, Store } from "../../store/store.ts";
import { silentLogger } from "../../telemetry/logger.ts";
import { createMeter } from "./meter.ts";
import type { Usage } from "./usage.ts";

const MONTH = "2023-11";
const USAGE: Usage = {
  functionArn: "arn:aws:lambda:us-east-1:000000000000:function:f",
  version: "$LATEST",
  billedMs: 10,
  memoryMb: 1024,
  ephemeralStorageMb: 512,
};

async function temporaryFolder(t: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "hornero-meter-"));
  t.after(() => rm(directory, { recursive: true }));
  return directory;
}

/** A store whose next writes end as told: refused, or committed with the answer lost. */
function unreliable(store: Store, faults: ("refuse" | "lose")[]): Store {
  return {
    get: (kind, key) => store.get(kind, key),
    list: (kind, options) => store.list(kind, options),
    watch: (kind, listener) => store.watch(kind, listener),
    queue: (name) => store.queue(name),
    queueNames: (prefix) => store.queueNames(prefix),
    close: () => store.close(),
    async write(changes: readonly Change[]) {
      const fault = faults.shift();
      if (fault === "refuse") throw new Error("refused");
      const revision = await store.write(changes);
      if (fault === "lose") throw new Error("the answer got lost");
      return revision;
    },
  };
}

test("usage is summed by function, version and tenant", async (t) => {
  const clock = new ManualClock();
  const meter = await createMeter({
    directory: await temporaryFolder(t),
    store: new MemoryStore(clock),
    clock,
  });
  meter.record(USAGE);
  meter.record({ ...USAGE, billedMs: 15, memoryMb: 512 });
  meter.record({ ...USAGE, version: "1" });
  meter.record({ ...USAGE, tenantId: "blue", ephemeralStorageMb: 1536 });
  clock.advance(3_600_000);
  meter.record(USAGE);
  const { rows, requests } = await meter.bill({ month: MONTH });
  await meter.close();
  assert.deepEqual(
    rows.map((row) => [
      row.version,
      row.tenantId,
      row.requests,
      row.billedMs,
      row.gbSeconds,
      row.storageGbSeconds,
    ]),
    [
      ["$LATEST", undefined, 3, 35, 0.0275, 0],
      ["$LATEST", "blue", 1, 10, 0.01, 0.01],
      ["1", undefined, 1, 10, 0.01, 0],
    ],
  );
  assert.equal(requests, 5);
});

test("random kills and refusals lose nothing and count nothing twice", async (t) => {
  const root = await temporaryFolder(t);
  const step = fc.oneof(
    {
      weight: 5,
      arbitrary: fc.record({ do: fc.constant("record" as const), ms: fc.integer({ min: 0, max: 900 }) }),
    },
    { weight: 2, arbitrary: fc.record({ do: fc.constant("fold" as const) }) },
    {
      weight: 2,
      arbitrary: fc.record({
        do: fc.constant("fault" as const),
        as: fc.constantFrom("refuse" as const, "lose" as const),
      }),
    },
    { weight: 2, arbitrary: fc.record({ do: fc.constant("kill" as const) }) },
  );
  let run = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      run += 1;
      const directory = join(root, String(run));
      const clock = new ManualClock();
      const disk = new MemoryStore(clock);
      const faults: ("refuse" | "lose")[] = [];
      const options = { directory, store: unreliable(disk, faults), clock };
      let meter = await createMeter(options);
      const expected = { requests: 0, billedMs: 0 };
      for (const next of steps) {
        if (next.do === "record") {
          meter.record({ ...USAGE, billedMs: next.ms });
          expected.requests += 1;
          expected.billedMs += next.ms;
        } else if (next.do === "fault") faults.push(next.as);
        else if (next.do === "fold") await meter.bill({ month: MONTH }).catch(() => undefined);
        else {
          faults.length = 0;
          // The old meter is left as it is: nothing of its memory is used again.
          meter = await createMeter(options);
        }
      }
      faults.length = 0;
      const bill = await meter.bill({ month: MONTH });
      assert.equal(bill.requests, expected.requests);
      assert.equal(bill.rows[0]?.billedMs ?? 0, expected.billedMs);
      await meter.close();
      assert.deepEqual(await readdir(directory), [], "no journal is left");
      await rm(directory, { recursive: true });
    }),
    { numRuns: 100 },
  );
});

test("files of any moment, with any tail behind them, hold what was recorded until then", async (t) => {
  const directory = await temporaryFolder(t);
  const clock = new ManualClock();
  const live = join(directory, "live");
  const meter = await createMeter({ directory: live, store: new MemoryStore(clock), clock });
  for (let count = 1; count <= 5; count += 1) {
    meter.record({ ...USAGE, version: String(count % 2) });
    for (const tailBytes of [0, 1, 7, 22]) {
      const copy = join(directory, `${count}-${tailBytes}`);
      await mkdir(copy);
      for (const name of await readdir(live)) {
        await copyFile(join(live, name), join(copy, name));
        await appendFile(join(copy, name), Buffer.alloc(tailBytes, 0x11));
      }
      const restarted = await createMeter({ directory: copy, store: new MemoryStore(clock), clock });
      assert.equal((await restarted.bill({ month: MONTH })).requests, count);
      await restarted.close();
    }
  }
  await meter.close();
});

test("a process that is killed under load has metered everything that it said it had", async (t) => {
  const directory = await temporaryFolder(t);
  const saidPath = join(directory, "said");
  const script = join(import.meta.dirname, "meter-child.ts");
  let metered = 0;
  for (let kill = 1; kill <= 3; kill += 1) {
    const said = await open(saidPath, "w");
    const child = spawn(process.execPath, [script, directory], { stdio: ["ignore", said.fd, "inherit"] });
    const exited = new Promise<NodeJS.Signals | null>((resolve) =>
      child.once("exit", (_code, signal) => resolve(signal)),
    );
    while ((await said.stat()).size < 1777 * kill && child.exitCode === null) await setImmediate();
    child.kill("SIGKILL");
    assert.equal(await exited, "SIGKILL", "it did not end by itself");
    const saidCount = (await said.stat()).size;
    await said.close();
    const store = await openSqliteStore({ directory, clock: systemClock, port: 0 });
    const meter = await createMeter({ directory: join(directory, "meter"), store, clock: systemClock });
    const { requests } = await meter.bill({ month: new Date().toISOString().slice(0, 7) });
    await meter.close();
    await store.close();
    assert.ok(requests >= metered + saidCount, `${requests} metered, ${metered} + ${saidCount} said`);
    assert.ok(requests <= metered + saidCount + 1, "at most the record that it was killed over is more");
    metered = requests;
  }
});

test("usage is folded by itself, and old counters are deleted", async (t) => {
  const clock = new ManualClock();
  const store = new MemoryStore(clock);
  const directory = await temporaryFolder(t);
  const meter = await createMeter({ directory, store, clock });
  const written = new Promise<void>((resolve) => {
    void store.watch("meter.usage", (event) => {
      if (event.op === "put") resolve();
    });
  });
  meter.record(USAGE);
  clock.advance(5000);
  await written;
  await meter.close();
  clock.advance(400 * 86_400_000);
  const later = await createMeter({ directory, store, clock });
  await later.close();
  assert.deepEqual(await store.list("meter.usage"), []);
});

test("a full disk is told, and loses nothing while the process lives", async (t) => {
  const clock = new ManualClock();
  const directory = await temporaryFolder(t);
  const told: string[] = [];
  const logger = { ...silentLogger, error: (message: string) => told.push(message) };
  const meter = await createMeter({ directory, store: new MemoryStore(clock), clock, logger });
  await symlink("/dev/full", join(directory, "000000000002.journal"));
  meter.record(USAGE);
  await meter.bill({ month: MONTH });
  for (let count = 0; count < 3; count += 1) meter.record(USAGE);
  assert.equal((await meter.bill({ month: MONTH })).requests, 4);
  assert.equal(told.length, 1);
  await meter.close();
});

test("a month has the form YYYY-MM", async (t) => {
  const clock = new ManualClock();
  const meter = await createMeter({
    directory: await temporaryFolder(t),
    store: new MemoryStore(clock),
    clock,
  });
  await assert.rejects(meter.bill({ month: "2023-13" }), { code: "InvalidParameterValueException" });
  await meter.close();
});
