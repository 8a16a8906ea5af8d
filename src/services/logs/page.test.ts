/**
 * Goal: pages, put one behind the other, are all events of the query in order, once each, whatever the order in which they
 * came and wherever segments end; and a tail does not read the whole group.
 * Method: random events in dozens of small segments, read in both directions, against a sorted array.
 */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import * as fc from "fast-check";
import { ManualClock } from "../../kernel/clock.ts";
import { MemoryStore } from "../../store/memory.ts";
import { silentLogger } from "../../telemetry/logger.ts";
import type { Group } from "./group.ts";
import { LogStore } from "./log-store.ts";
import { readPage, type PageQuery, type StoredEvent } from "./page.ts";

const EVENTS = 150;
const PADDING = "p".repeat(20_000);

/** A group of some fifty segments; `timeOf` says when the event with that number happened. */
async function groupOf(t: TestContext, timeOf: (number: number) => number): Promise<Group> {
  const directory = await mkdtemp(join(tmpdir(), "hornero-logs-"));
  const clock = new ManualClock();
  const store = new MemoryStore(clock);
  const logs = await LogStore.open({ directory, store, clock, logger: silentLogger, bytesMax: 4 << 20 });
  t.after(async () => {
    await logs.close();
    await rm(directory, { recursive: true });
  });
  for (let number = 0; number < EVENTS; number += 1) {
    logs.append("g", `s${number % 3}`, [{ timestampMs: timeOf(number), message: `${number} ${PADDING}` }]);
    const group = logs.group("g");
    assert.ok(group);
    await logs.settle(group);
  }
  assert.equal(logs.stats.evictedSegments, 0);
  const group = logs.group("g");
  assert.ok(group && group.segments.length > 30);
  return group;
}

async function readAll(group: Group, query: Omit<PageQuery, "from">): Promise<StoredEvent[]> {
  const all: StoredEvent[] = [];
  let from: PageQuery["from"];
  for (let calls = 0; calls < 1000; calls += 1) {
    const page = await readPage(group, { ...query, from });
    assert.ok(page.events.length <= query.limit);
    if (query.direction === "forward") all.push(...page.events);
    else all.unshift(...page.events);
    if (!page.next) return all;
    from = page.next;
  }
  throw new Error("the pages have no end");
}

const numberOf = (message: string) => Number.parseInt(message, 10);

const ORDERS: Record<string, (number: number) => number> = {
  "in order of time": (number) => 1000 + number,
  "many at once": (number) => 1000 + Math.floor(number / 20),
  "against time": (number) => 2000 - number,
  "at random": (number) => 1000 + ((number * 7919) % 101),
};

for (const [order, timeOf] of Object.entries(ORDERS))
  test(`pages of events that came ${order}`, async (t) => {
    const group = await groupOf(t, timeOf);
    const numbers = Array.from({ length: EVENTS }, (_, number) => number);
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          direction: fc.constantFrom("forward" as const, "backward" as const),
          startMs: fc.integer({ min: 900, max: 2100 }),
          spanMs: fc.integer({ min: 0, max: 1200 }),
          limit: fc.integer({ min: 1, max: 60 }),
          oneOf: fc.constantFrom(1, 2, 40),
        }),
        async ({ direction, startMs, spanMs, limit, oneOf }) => {
          const endMs = startMs + spanMs;
          const matches = (message: string) => numberOf(message) % oneOf === 0;
          const read = await readAll(group, {
            direction,
            startMs,
            endMs,
            limit,
            streams: undefined,
            matches,
          });
          const expected = numbers
            .filter((number) => number % oneOf === 0 && timeOf(number) >= startMs && timeOf(number) <= endMs)
            .sort((a, b) => timeOf(a) - timeOf(b) || a - b);
          assert.deepEqual(
            read.map(({ message }) => numberOf(message)),
            expected,
          );
        },
      ),
      { numRuns: 15 },
    );
  });

test("a tail reads few segments", async (t) => {
  const group = await groupOf(t, ORDERS["in order of time"] ?? Number);
  let read = 0;
  for (const segment of group.segments) {
    const readSegment = segment.read.bind(segment);
    segment.read = (offset) => {
      read += 1;
      return readSegment(offset);
    };
  }
  const query = {
    startMs: -Infinity,
    endMs: Infinity,
    limit: 2,
    streams: undefined,
    matches: undefined,
    from: undefined,
  };
  const tail = await readPage(group, { ...query, direction: "backward" });
  assert.deepEqual(
    tail.events.map(({ message }) => numberOf(message)),
    [EVENTS - 2, EVENTS - 1],
  );
  const recent = await readPage(group, {
    ...query,
    direction: "forward",
    startMs: 1000 + EVENTS - 2,
    limit: 100,
  });
  assert.equal(recent.events.length, 2);
  assert.ok(read <= 4, `${read} of ${group.segments.length} segments`);
});
