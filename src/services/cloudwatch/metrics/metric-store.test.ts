/**
 * Goal: what was appended is read exactly once, before and after folding, restarts and failed writes; old and superfluous
 * data go.
 * Method: the real store over the memory implementation of the state port and a clock that only the test moves.
 */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { ManualClock } from "../../../kernel/clock.ts";
import { MemoryStore } from "../../../store/memory.ts";
import type { Store } from "../../../store/store.ts";
import { silentLogger } from "../../../telemetry/logger.ts";
import { DAY_MS, HOUR_MS, SERIES_MAX } from "../limits.ts";
import { Bucket } from "./bucket.ts";
import { MetricStore, type Contribution } from "./metric-store.ts";

const METRIC = { namespace: "app", name: "latency", dimensions: [["page", "home"]] as const };

function contribution(atS: number, value: number, isFine = false): Contribution {
  const bucket = new Bucket();
  bucket.add(value);
  return { series: { ...METRIC, unit: "Seconds" }, atS, isFine, bucket };
}

async function open(t: TestContext, store: Store, clock: ManualClock, storedBytesMax?: number) {
  const metrics = await MetricStore.open({
    store,
    clock,
    logger: silentLogger,
    ...(storedBytesMax !== undefined && { storedBytesMax }),
  });
  t.after(() => metrics.close());
  return metrics;
}

const startMs = 1_700_000_400_000;
const startS = startMs / 1000;
assert.equal(startS % 3600, 1200, "a known place in the hour");

async function sums(metrics: MetricStore, periodS: number, spanS: number, fromS = startS) {
  const range = { unit: undefined, startS: fromS, endS: fromS + spanS, periodS };
  const [series] = await metrics.read(METRIC, range);
  return [...(series?.buckets ?? [])].sort(([a], [b]) => a - b).map(([atS, { sum }]) => [atS - fromS, sum]);
}

test("values are read once, pending, folded and after a restart", async (t) => {
  const clock = new ManualClock(startMs + 120_000);
  const store = new MemoryStore(clock);
  const metrics = await open(t, store, clock);
  await metrics.append([contribution(startS + 5, 1), contribution(startS + 65, 2)], "refuse");
  const wanted = [
    [0, 1],
    [60, 2],
  ];
  assert.deepEqual(await sums(metrics, 60, 300), wanted);
  await metrics.fold();
  assert.deepEqual(await sums(metrics, 60, 300), wanted);
  await metrics.append([contribution(startS + 66, 4)], "refuse");
  assert.deepEqual(await sums(metrics, 300, 300), [[0, 7]]);
  // As after kill -9: nobody closed the first one, and its journal is not folded.
  const second = await open(t, store, clock);
  assert.deepEqual(await sums(second, 300, 300), [[0, 7]]);
  assert.deepEqual(await store.list("cloudwatch.journal"), []);
});

test("seconds are kept for those who ask for them", async (t) => {
  const clock = new ManualClock(startMs + 120_000);
  const metrics = await open(t, new MemoryStore(clock), clock);
  await metrics.append([contribution(startS + 5, 1, true), contribution(startS + 6, 2, true)], "refuse");
  const fine = [
    [5, 1],
    [6, 2],
  ];
  assert.deepEqual(await sums(metrics, 1, 60), fine);
  await metrics.fold();
  assert.deepEqual(await sums(metrics, 1, 60), fine);
  assert.deepEqual(await sums(metrics, 10, 60), [[0, 3]]);
  assert.deepEqual(await sums(metrics, 60, 60), [[0, 3]]);
});

test("a fold that fails loses nothing", async (t) => {
  const clock = new ManualClock(startMs + 120_000);
  const store = new MemoryStore(clock);
  const metrics = await open(t, store, clock);
  await metrics.append([contribution(startS, 1)], "refuse");
  t.mock.method(store, "write", () => Promise.reject(new Error("disk full")), { times: 1 });
  await assert.rejects(metrics.fold(), /disk full/);
  await metrics.append([contribution(startS, 2)], "refuse");
  assert.deepEqual(await sums(metrics, 60, 60), [[0, 3]]);
  await metrics.fold();
  assert.deepEqual(await sums(metrics, 60, 60), [[0, 3]]);
});

test("an append that fails counts nothing", async (t) => {
  const clock = new ManualClock(startMs);
  const store = new MemoryStore(clock);
  const metrics = await open(t, store, clock);
  t.mock.method(store, "write", () => Promise.reject(new Error("disk full")), { times: 1 });
  await assert.rejects(metrics.append([contribution(startS, 1)], "refuse"), /disk full/);
  assert.deepEqual(await sums(metrics, 60, 60), []);
  assert.equal(metrics.index.size, 0);
});

test("old data are there in coarser resolutions, then not at all", async (t) => {
  const clock = new ManualClock(startMs);
  const metrics = await open(t, new MemoryStore(clock), clock);
  await metrics.append([contribution(startS, 1), contribution(startS + 60, 2)], "refuse");
  await metrics.fold();
  const after = async (ageMs: number, periodS: number) => {
    clock.advance(startMs + ageMs - clock.nowMs());
    await metrics.prune();
    const fromS = startS - (startS % 3600);
    return await sums(metrics, periodS, 3600, fromS);
  };
  assert.equal((await after(14 * DAY_MS, 60)).length, 2);
  assert.deepEqual(await after(20 * DAY_MS, 300), [[1200, 3]]);
  assert.deepEqual(await after(70 * DAY_MS, 3600), [[0, 3]]);
  assert.equal(metrics.index.size, 1);
  assert.deepEqual(await after(470 * DAY_MS, 3600), []);
  assert.equal(metrics.index.size, 0);
  assert.equal(await metrics.storedBytes(), 0);
});

test("there are no more bytes on disk than allowed", async (t) => {
  const clock = new ManualClock(startMs);
  const metrics = await open(t, new MemoryStore(clock), clock, 2000);
  const minutes = Array.from({ length: 300 }, (_, minute) => contribution(startS - minute * 60, 1));
  await metrics.append(minutes, "refuse");
  await metrics.fold();
  assert.ok((await metrics.storedBytes()) > 2000);
  await metrics.prune();
  assert.ok((await metrics.storedBytes()) <= 2000);
  assert.equal((await sums(metrics, 3600, 6 * 3600, startS - 1200 - 5 * 3600)).length > 0, true);
});

test("more series than allowed are refused, or left out", async (t) => {
  const clock = new ManualClock(startMs);
  const metrics = await open(t, new MemoryStore(clock), clock);
  const many = Array.from({ length: SERIES_MAX }, (_, at) => {
    const one = contribution(startS, at);
    return { ...one, series: { ...one.series, name: `m${at}` } };
  });
  await metrics.append(many, "refuse");
  await assert.rejects(metrics.append([contribution(startS, 1)], "refuse"), { code: "ThrottlingException" });
  assert.equal(await metrics.append([contribution(startS, 1), ...many.slice(0, 1)], "drop"), 1);
  assert.equal(metrics.index.size, SERIES_MAX);
});

test("appends during a fold wait for the next one", async (t) => {
  const clock = new ManualClock(startMs + HOUR_MS);
  const metrics = await open(t, new MemoryStore(clock), clock);
  for (let round = 0; round < 20; round += 1) {
    const appended = metrics.append([contribution(startS, 1)], "refuse");
    const folded = metrics.fold();
    await Promise.all([
      appended,
      folded,
      metrics.read(METRIC, { unit: "Seconds", startS, endS: startS + 60, periodS: 60 }),
    ]);
  }
  assert.deepEqual(await sums(metrics, 60, 60), [[0, 20]]);
});
