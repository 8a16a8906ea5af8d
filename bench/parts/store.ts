/**
 * How fast the embedded store is: `node bench/parts/store.ts`. Every row is durable work: the promise of each call was
 * awaited. The first row is the floor: what SQLite alone commits on this disk, one fsync each, in a loop.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { systemClock } from "../../src/kernel/clock.ts";
import { openSqliteStore } from "../../src/store/sqlite/sqlite-store.ts";
import type { Store } from "../../src/store/store.ts";
import type { Context } from "../support/context.ts";
import { summarise } from "../support/statistics.ts";

interface Rate {
  readonly what: string;
  /** Operations a second. */
  readonly perSecond: number;
}

const ROW_MS = 700;
const BODY = Buffer.alloc(1024, "x");
/** About the size of a function's configuration. */
const RECORD = { name: "function", environment: { text: "x".repeat(900) }, list: [1, 2, 3] };

/** Runs `step` in `workers` loops until the time is over; `step` answers how many operations it did. */
type Measure = (what: string, workers: number, step: (worker: number) => Promise<number>) => Promise<Rate>;

const measureFor =
  (rowMs: number): Measure =>
  async (what, workers, step) => {
    let operations = 0;
    const start = performance.now();
    const loop = async (worker: number): Promise<void> => {
      while (performance.now() - start < rowMs) {
        // Not `operations += await …`: that reads the sum before it waits, and the loops would undo one another.
        const done = await step(worker);
        operations += done;
      }
    };
    await Promise.all(Array.from({ length: workers }, (_, worker) => loop(worker)));
    const elapsedS = (performance.now() - start) / 1000;
    return { what, perSecond: Math.round(operations / elapsedS) };
  };

async function measureFloor(measure: Measure, directory: string): Promise<Rate> {
  const database = new DatabaseSync(join(directory, "floor.db"));
  database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE floor (body BLOB)");
  const insert = database.prepare("INSERT INTO floor VALUES (?)");
  const row = await measure("bare SQLite commits of 1 KiB in a loop", 1, async () =>
    Number(insert.run(BODY).changes),
  );
  database.close();
  return row;
}

async function measureQueues(measure: Measure, store: Store): Promise<Rate[]> {
  const queue = store.queue("bench");
  const append = (count: number) => async (): Promise<number> => {
    const messages = Array.from({ length: count }, () => ({ body: BODY }));
    return (await queue.append(messages)).length;
  };
  const consume = async (): Promise<number> => {
    const received = await queue.receive({ limit: 10, leaseMs: 60_000 });
    return queue.acknowledge(received.map(({ receipt }) => receipt));
  };
  return [
    await measure("messages of 1 KiB appended, 1 writer", 1, append(1)),
    await measure("messages of 1 KiB appended, 16 writers", 16, append(1)),
    await measure("messages of 1 KiB appended, 16 writers, 10 a call", 16, append(10)),
    await measure("messages received and acknowledged, 1 consumer, 10 a call", 1, consume),
    await measure("messages received and acknowledged, 16 consumers, 10 a call", 16, consume),
  ];
}

async function measureRecords(measure: Measure, store: Store): Promise<Rate[]> {
  let next = 0;
  const put = async (): Promise<number> => {
    next += 1;
    await store.write([{ op: "put", kind: "bench", key: `key-${next % 1000}`, value: RECORD }]);
    return 1;
  };
  const get = async (): Promise<number> => {
    next += 1;
    return (await store.get("bench", `key-${next % 1000}`)) === undefined ? 0 : 1;
  };
  const add = async (worker: number): Promise<number> => {
    await store.write([
      { op: "add", kind: "counters", key: String(worker % 4), amounts: { calls: 1, ms: 2 } },
    ]);
    return 1;
  };
  const list = async (): Promise<number> => (await store.list("bench")).length;
  return [
    await measure("records of 1 KiB put, 1 writer", 1, put),
    await measure("records of 1 KiB put, 16 writers", 16, put),
    await measure("additions to 4 counters, 16 writers", 16, add),
    await measure("records got, 1 reader", 1, get),
    await measure("records got, 16 readers", 16, get),
    await measure("records listed, 1000 a call", 1, list),
  ];
}

async function measureAll(rowMs: number): Promise<Rate[]> {
  const measure = measureFor(rowMs);
  const directory = await mkdtemp(join(tmpdir(), "hornero-bench-"));
  try {
    const floor = await measureFloor(measure, directory);
    const store = await openSqliteStore({ directory, clock: systemClock });
    try {
      return [floor, ...(await measureQueues(measure, store)), ...(await measureRecords(measure, store))];
    } finally {
      await store.close();
    }
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** The rows of the report: measured one after another, each beside the same floor. */
export async function benchStore({ row, sizes }: Context): Promise<void> {
  const [floor, ...rates] = await measureAll(Math.min(ROW_MS, sizes.closedMs));
  if (!floor) return;
  for (const [index, { what, perSecond }] of rates.entries())
    row({
      id: `store-${index + 1}`,
      group: "the store, everything durable",
      what,
      unit: "/s",
      value: summarise([perSecond]),
      floor: { what: "bare SQLite commits", value: summarise([floor.perSecond]) },
      ratio: summarise([perSecond / floor.perSecond]),
    });
}

if (import.meta.main) {
  for (const { what, perSecond } of await measureAll(ROW_MS)) {
    console.log(`${perSecond.toLocaleString("en").padStart(10)} /s  ${what}`);
  }
}
