/**
 * Asynchronous events that are accepted a second, each on disk before its 202, beside what SQLite alone commits on the same
 * disk, one fsync an event. Once with a function that is busy, so that acceptance has the machine for itself, and once with
 * one that runs the events meanwhile.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { withFunctions, type Context } from "../support/context.ts";
import type { Kind } from "../support/functions.ts";
import type { LoadResult } from "../support/load-jobs.ts";
import { startServer } from "../support/server.ts";
import { interleave, summarise, summariseRatios } from "../support/statistics.ts";

/** About what an event takes in the store. */
const BODY = Buffer.alloc(400, "x");
/** Two concurrent executions leave one slot for events. */
const ONE_SLOT = ["--concurrency", "2"];

export async function benchAsynchronous(context: Context): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), "hornero-bench-"));
  const floor = openFloor(directory);
  try {
    const all = { id: "asynchronous-accepted", kind: "node-slow", args: ONE_SLOT } as const;
    await accepted(context, floor, { ...all, what: "events accepted while their function is busy" });
    const running = { id: "asynchronous-running", kind: "node-echo", args: [] } as const;
    await accepted(context, floor, { ...running, what: "events accepted while others are run" });
  } finally {
    floor.close();
    await rm(directory, { recursive: true, force: true });
  }
}

/** SQLite alone, on the same disk. */
interface Floor {
  /** Commits a second. */
  run(durationMs: number): number;
  close(): void;
}

interface Measured {
  readonly id: string;
  readonly what: string;
  readonly kind: Kind;
  readonly args: readonly string[];
}

async function accepted(
  { sizes, load, driver, deadlineMs, row }: Context,
  floor: Floor,
  { id, what, kind, args }: Measured,
): Promise<void> {
  const server = await startServer({ driver, pool: 1, args });
  try {
    await withFunctions(server.endpoint, { kind, count: 1 }, async ([functionName = ""]) => {
      const job = (durationMs: number) =>
        load.run({
          kind: "closed",
          asynchronous: true,
          endpoint: server.endpoint,
          functionName,
          connections: sizes.clients,
          durationMs,
        });
      await job(sizes.warmUpMs);
      const [values = [], floors = []] = await interleave<number>({ rounds: sizes.rounds, deadlineMs }, [
        async () => perSecond(await job(sizes.closedMs)),
        async () => floor.run(sizes.closedMs),
      ]);
      row({
        id,
        group: "asynchronous events, everything durable",
        what: `${sizes.clients} clients, ${what}`,
        unit: "/s",
        value: summarise(values),
        floor: { what: "bare SQLite commits", value: summarise(floors) },
        ratio: summariseRatios(values, floors),
        ...(id === "asynchronous-accepted"
          ? { target: { of: "value", limit: 5000, want: "at least" } as const }
          : {}),
      });
    });
  } finally {
    await server.close();
  }
}

function perSecond({ latenciesMs, elapsedMs }: LoadResult): number {
  return (latenciesMs.length * 1000) / elapsedMs;
}

function openFloor(directory: string): Floor {
  const database = new DatabaseSync(join(directory, "floor.db"));
  database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE floor (body BLOB)");
  const insert = database.prepare("INSERT INTO floor VALUES (?)");
  return {
    run(durationMs) {
      const startMs = performance.now();
      let commits = 0;
      for (; performance.now() - startMs < durationMs; commits += 1) insert.run(BODY);
      return (commits * 1000) / (performance.now() - startMs);
    },
    close: () => database.close(),
  };
}
