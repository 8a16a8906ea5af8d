/**
 * Goal: events are put, read, searched and followed as with CloudWatch Logs: pages, tokens, limits, what is rejected.
 * Method: the handlers, called as the wire calls them, with a clock that only the test moves.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type {
  FilteredLogEvent,
  FilterLogEventsRequest,
  FilterLogEventsResponse,
  GetLogEventsRequest,
  GetLogEventsResponse,
  LiveTailSessionLogEvent,
  StartLiveTailResponse,
  StartLiveTailResponseStream,
} from "@aws-sdk/client-cloudwatch-logs";
import { DAY_MS, EVENT_AHEAD_MS_MAX } from "../limits.ts";
import type { StoredEvent } from "../page.ts";
import { ARN, bench, GROUP, numbers, withEvents } from "./fakes.ts";

test("PutLogEvents rejects events one by one, and batches as a whole", async (t) => {
  const { call, clock } = await bench(t);
  const now = clock.nowMs();
  await call("CreateLogGroup", { logGroupName: GROUP });
  await call("CreateLogStream", { logGroupName: GROUP, logStreamName: "s" });
  const put = (logEvents: object[], logStreamName = "s") =>
    call<{ rejectedLogEventsInfo?: object }>("PutLogEvents", {
      logGroupName: GROUP,
      logStreamName,
      logEvents,
    });
  const event = (timestamp: number, message = String(timestamp)) => ({ timestamp, message });

  const sound = await put([event(now), event(now, "b")]);
  assert.equal(sound.rejectedLogEventsInfo, undefined);
  const old = await put([event(now - 15 * DAY_MS), event(now - 14.5 * DAY_MS)]);
  assert.deepEqual(old.rejectedLogEventsInfo, { tooOldLogEventEndIndex: 2 });
  const ahead = await put([event(now + 1), event(now + EVENT_AHEAD_MS_MAX + 1)]);
  assert.deepEqual(ahead.rejectedLogEventsInfo, { tooNewLogEventStartIndex: 1 });
  await call("PutRetentionPolicy", { logGroupName: GROUP, retentionInDays: 1 });
  const expired = await put([event(now - 1.5 * DAY_MS), event(now - 0.9 * DAY_MS)]);
  assert.deepEqual(expired.rejectedLogEventsInfo, { expiredLogEventEndIndex: 1 });

  await assert.rejects(put([event(now), event(now - 1)]), {
    code: "InvalidParameterException",
    message: "Log events in a single PutLogEvents request must be in chronological order.",
  });
  await assert.rejects(put([event(now - 2 * DAY_MS), event(now)]), { code: "InvalidParameterException" });
  await assert.rejects(put([event(now, "x".repeat(1_048_560))]), {
    message: "Upload too large: 1048586 bytes exceeds limit of 1048576",
  });
  await assert.rejects(put([event(now)], "missing"), { message: "The specified log stream does not exist." });
  const { events } = await call<FilterLogEventsResponse>("FilterLogEvents", { logGroupName: GROUP });
  assert.deepEqual(
    events?.map(({ message }) => message),
    [String(now - 0.9 * DAY_MS), String(now), "b", String(now + 1)],
  );
});

test("GetLogEvents: the tail first, backward to the head, and tokens that stand still at both ends", async (t) => {
  const bed = await bench(t);
  await withEvents(bed, 25);
  const get = (input: Partial<GetLogEventsRequest>) =>
    bed.call<GetLogEventsResponse>("GetLogEvents", {
      logGroupName: GROUP,
      logStreamName: "s",
      limit: 10,
      ...input,
    });
  let page = await get({});
  const tail = page;
  const pages: number[][] = [];
  while (page.events?.length) {
    pages.unshift(numbers(page.events));
    page = await get({ nextToken: page.nextBackwardToken });
  }
  assert.deepEqual(
    pages.map((events) => events.length),
    [5, 10, 10],
  );
  assert.deepEqual(
    pages.flat(),
    Array.from({ length: 25 }, (_, i) => i),
  );
  const head = await get({ nextToken: page.nextBackwardToken });
  assert.deepEqual([head.events, head.nextBackwardToken], [[], page.nextBackwardToken]);
  assert.deepEqual(
    numbers((await get({ nextToken: head.nextForwardToken })).events),
    pages.flat().slice(0, 10),
  );

  const end = await get({ nextToken: tail.nextForwardToken });
  assert.deepEqual([end.events, end.nextForwardToken], [[], tail.nextForwardToken]);
  assert.deepEqual(numbers((await get({ nextToken: end.nextBackwardToken })).events), pages[2]);
  bed.logs.sink.append(GROUP, "s", [{ timestampMs: bed.clock.nowMs(), message: "25" }]);
  assert.deepEqual(numbers((await get({ nextToken: end.nextForwardToken })).events), [25]);
});

test("GetLogEvents: from the head, in a span of time, of an empty stream, with bad tokens", async (t) => {
  const bed = await bench(t);
  const startMs = await withEvents(bed, 10);
  const get = (input: Partial<GetLogEventsRequest>) =>
    bed.call<GetLogEventsResponse>("GetLogEvents", { logGroupName: GROUP, logStreamName: "s", ...input });
  const forward = await get({ startFromHead: true, limit: 4 });
  assert.deepEqual(numbers(forward.events), [0, 1, 2, 3]);
  const rest = await get({ startFromHead: true, nextToken: forward.nextForwardToken });
  assert.deepEqual(numbers(rest.events), [4, 5, 6, 7, 8, 9]);
  const span = await get({ startTime: startMs + 2000, endTime: startMs + 5000 });
  assert.deepEqual(numbers(span.events), [2, 3, 4], "the end is exclusive");

  await bed.call("CreateLogStream", { logGroupName: GROUP, logStreamName: "empty" });
  const none = await get({ logStreamName: "empty" });
  assert.deepEqual(none.events, []);
  assert.deepEqual((await get({ logStreamName: "empty", nextToken: none.nextForwardToken })).events, []);
  bed.logs.sink.append(GROUP, "empty", [{ timestampMs: bed.clock.nowMs(), message: "7" }]);
  assert.deepEqual(
    numbers((await get({ logStreamName: "empty", nextToken: none.nextForwardToken })).events),
    [7],
  );

  for (const nextToken of ["invalid-token", "f/12", `x/${"0".repeat(56)}`, `f/${"9".repeat(56)}`])
    await assert.rejects(get({ nextToken }), { message: "The specified nextToken is invalid." });
});

test("FilterLogEvents: pages of all streams in order, each event once", async (t) => {
  const { call, logs, clock } = await bench(t);
  const startMs = clock.nowMs() - 100_000;
  for (let i = 0; i < 60; i += 1)
    logs.sink.append(GROUP, `s${i % 3}`, [{ timestampMs: startMs + (i % 20) * 10, message: String(i) }]);
  const filter = (input: Partial<FilterLogEventsRequest>) =>
    call<FilterLogEventsResponse>("FilterLogEvents", { logGroupName: GROUP, ...input });
  const seen: FilteredLogEvent[] = [];
  let nextToken: string | undefined;
  do {
    const page = await filter({ limit: 7, nextToken });
    assert.ok((page.events?.length ?? 0) <= 7);
    seen.push(...(page.events ?? []));
    nextToken = page.nextToken;
  } while (nextToken !== undefined);
  assert.equal(new Set(seen.map((event) => event.eventId)).size, 60);
  assert.deepEqual(
    numbers(seen).sort((a, b) => a - b),
    Array.from({ length: 60 }, (_, i) => i),
  );
  const times = seen.map((event) => event.timestamp ?? 0);
  assert.deepEqual(
    times,
    [...times].sort((a, b) => a - b),
  );

  const two = await filter({ logStreamNames: ["s0", "s2"] });
  assert.deepEqual(new Set(two.events?.map((event) => event.logStreamName)), new Set(["s0", "s2"]));
  assert.equal((await filter({ logStreamNamePrefix: "s1" })).events?.length, 20);
  const span = await filter({ startTime: startMs + 50, endTime: startMs + 60 });
  assert.equal(span.events?.length, 6, "the end is inclusive");
  assert.deepEqual(numbers((await filter({ filterPattern: '"57"' })).events), [57]);
  await assert.rejects(filter({ logStreamNames: ["s0"], logStreamNamePrefix: "s" }), {
    code: "InvalidParameterException",
  });
  await assert.rejects(filter({ logStreamNames: ["no"] }), {
    message: "The specified log stream does not exist.",
  });
  await assert.rejects(filter({ nextToken: "invalid-token" }), {
    message: "The specified nextToken is invalid.",
  });
  await assert.rejects(filter({ filterPattern: "{ $.x }" }), { code: "InvalidParameterException" });
});

test("FilterLogEvents reads on behind what does not match, and answers at most 1 MB", async (t) => {
  const { call, logs, clock } = await bench(t);
  const message = "m".repeat(100_000);
  for (let i = 0; i < 300; i += 1) {
    const event = {
      timestampMs: clock.nowMs() - 300 + i,
      message: i % 150 === 149 ? `needle ${i}` : message,
    };
    while (!logs.sink.append(GROUP, "s", [event])) await logs.sink.drained();
  }
  const found: FilteredLogEvent[] = [];
  let nextToken: string | undefined;
  do {
    const page = await call<FilterLogEventsResponse>("FilterLogEvents", {
      logGroupName: GROUP,
      filterPattern: "needle",
      nextToken,
    });
    found.push(...(page.events ?? []));
    nextToken = page.nextToken;
  } while (nextToken !== undefined);
  assert.deepEqual(
    found.map((event) => event.message),
    ["needle 149", "needle 299"],
  );
  const page = await call<FilterLogEventsResponse>("FilterLogEvents", { logGroupName: GROUP });
  assert.equal(page.events?.length, 10);
  assert.ok(page.nextToken);
});

test("retention hides old events at once, and takes the values of the API", async (t) => {
  const bed = await bench(t);
  await withEvents(bed, 3);
  await bed.call("PutRetentionPolicy", { logGroupName: GROUP, retentionInDays: 1 });
  bed.clock.advance(DAY_MS - 1500);
  const { events } = await bed.call<FilterLogEventsResponse>("FilterLogEvents", { logGroupName: GROUP });
  assert.deepEqual(numbers(events), [2]);
  await bed.call("DeleteRetentionPolicy", { logGroupName: GROUP });
  const all = await bed.call<FilterLogEventsResponse>("FilterLogEvents", { logGroupName: GROUP });
  assert.equal(all.events?.length, 3);
  await assert.rejects(bed.call("PutRetentionPolicy", { logGroupName: GROUP, retentionInDays: 2 }), {
    code: "InvalidParameterException",
  });
});

test("time stamps that cannot be become the time of arrival", async (t) => {
  const { call, logs, clock } = await bench(t);
  const now = clock.nowMs();
  const odd = [Number.NaN, Infinity, -1, now + DAY_MS, 12.5];
  logs.sink.append(
    GROUP,
    "s",
    odd.map((timestampMs) => ({ timestampMs, message: String(timestampMs) })),
  );
  const { events } = await call<FilterLogEventsResponse>("FilterLogEvents", { logGroupName: GROUP });
  assert.deepEqual(
    events?.map((event) => event.timestamp),
    [12, now, now, now, now],
  );
});

test("following tells what was and what comes, each event once", async (t) => {
  const bed = await bench(t);
  const startMs = await withEvents(bed, 5);
  const told: number[] = [];
  const reached = Promise.withResolvers<void>();
  const stop = bed.logs.follow(GROUP, {
    fromMs: startMs + 2000,
    onEvents: (events: StoredEvent[]) => {
      told.push(...numbers(events));
      if (told.includes(9)) reached.resolve();
    },
    onError: (error) => reached.reject(error),
  });
  for (let i = 5; i < 10; i += 1) {
    bed.logs.sink.append(GROUP, `s${i}`, [{ timestampMs: bed.clock.nowMs(), message: String(i) }]);
    await bed.call("FilterLogEvents", { logGroupName: GROUP, limit: 1 });
  }
  await reached.promise;
  stop();
  assert.deepEqual(told, [2, 3, 4, 5, 6, 7, 8, 9]);
  assert.throws(() => bed.logs.follow("none", { onEvents: () => undefined, onError: () => undefined }), {
    code: "ResourceNotFoundException",
  });
});

test("a live tail starts, tells matching events, and ends with its client", async (t) => {
  const bed = await bench(t);
  await withEvents(bed, 5);
  const client = new AbortController();
  const { responseStream } = await bed.call<StartLiveTailResponse>(
    "StartLiveTail",
    { logGroupIdentifiers: [ARN], logEventFilterPattern: "7" },
    client.signal,
  );
  assert.ok(responseStream);
  const stream: AsyncIterator<StartLiveTailResponseStream> = responseStream[Symbol.asyncIterator]();
  const start = await stream.next();
  assert.deepEqual(start.value.sessionStart.logGroupIdentifiers, [ARN]);
  for (let i = 5; i < 9; i += 1)
    bed.logs.sink.append(GROUP, "s", [{ timestampMs: bed.clock.nowMs(), message: String(i) }]);
  await bed.call("FilterLogEvents", { logGroupName: GROUP, limit: 1 });
  const found: LiveTailSessionLogEvent[] = [];
  while (found.length === 0) {
    // Events are read from files: the clock must not run to the session's end before that.
    await new Promise<void>((resolve) => void setImmediate(resolve));
    const update = stream.next();
    bed.clock.advance(1000);
    found.push(...(await update).value.sessionUpdate.sessionResults);
  }
  assert.deepEqual(
    found.map((event) => [event.logStreamName, event.logGroupIdentifier, event.message]),
    [["s", ARN, "7"]],
  );
  const last = stream.next();
  client.abort();
  assert.equal((await last).done, true);
});
