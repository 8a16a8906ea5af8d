/**
 * Goal: lines in the embedded metric format become metrics as the specification says; what is malformed is counted as AWS
 * counts it; what others log costs nothing, and no function can take more than its share.
 * Method: the specification's example and each of its rules as documents; random JSON; the extractor over the real metric
 * store, a memory store and a manual clock.
 */
import assert from "node:assert/strict";
import { describe, it, test, type TestContext } from "node:test";
import * as fc from "fast-check";
import { ManualClock } from "../../../kernel/clock.ts";
import { MemoryStore } from "../../../store/memory.ts";
import { silentLogger } from "../../../telemetry/logger.ts";
import { SERIES_MAX, SERIES_SPARED } from "../limits.ts";
import { MetricStore } from "../metrics/metric-store.ts";
import { extract, mayBeEmbedded } from "./document.ts";
import { EmbeddedMetrics } from "./extractor.ts";

const NOW_MS = 1_700_000_000_000;

function document(directive: object = {}, root: object = {}, metadata: object = {}): string {
  const CloudWatchMetrics = [
    {
      Namespace: "app",
      Dimensions: [["version"]],
      Metrics: [{ Name: "time", Unit: "Milliseconds" }],
      ...directive,
    },
  ];
  const _aws = { Timestamp: NOW_MS, CloudWatchMetrics, ...metadata };
  return JSON.stringify({ _aws, version: "$LATEST", region: "r", time: 100, times: [1, 2, 2], ...root });
}

/** `name{dimension=value} values unit`, and whether all was valid. */
function found(message: string): { isValid: boolean; lines: string[] } | string {
  const extraction = extract(message, NOW_MS);
  if (extraction.kind !== "values") return extraction.kind;
  const lines = extraction.values.map(({ series, values, isFine }) => {
    const dimensions = series.dimensions.map((pair) => pair.join("=")).join();
    return `${series.name}{${dimensions}} ${values.join(" ")} ${series.unit}${isFine ? " fine" : ""}`;
  });
  return { isValid: extraction.isValid, lines };
}

const valid = (...lines: string[]) => ({ isValid: true, lines });
const invalid = (...lines: string[]) => ({ isValid: false, lines });
const TIME = "time{version=$LATEST} 100 Milliseconds";
const metrics = (...Metrics: object[]) => document({ Metrics });

describe("a line", () => {
  for (const [what, message, expected] of [
    ["the specification's example", document(), valid(TIME)],
    ["with a runtime's words in front", `2023-11-14T22:13:20Z\tid\tINFO\t${document()}`, valid(TIME)],
    [
      "several sets of dimensions",
      document({ Dimensions: [["version"], ["version", "region"], []] }),
      valid(TIME, "time{region=r,version=$LATEST} 100 Milliseconds", "time{} 100 Milliseconds"),
    ],
    ["a set twice", document({ Dimensions: [["version"], ["version"]] }), valid(TIME)],
    ["an array of values", metrics({ Name: "times" }), valid("times{version=$LATEST} 1 2 2 None")],
    [
      "of seconds",
      metrics({ Name: "time", StorageResolution: 1 }),
      valid("time{version=$LATEST} 100 None fine"),
    ],
    ["of minutes", metrics({ Name: "time", StorageResolution: 60 }), valid("time{version=$LATEST} 100 None")],
    ["another resolution", metrics({ Name: "time", StorageResolution: 10 }), invalid()],
    ["a unit that is none", metrics({ Name: "time", Unit: "Parsec" }), invalid()],
    [
      "a metric that is not there",
      metrics({ Name: "gone" }, { Name: "time" }),
      invalid("time{version=$LATEST} 100 None"),
    ],
    ["a metric of everybody's", metrics({ Name: "toString" }), invalid()],
    ["a metric that is no number", metrics({ Name: "version" }), invalid()],
    ["a dimension that is not there", document({ Dimensions: [["gone"], ["version"]] }), invalid(TIME)],
    ["a dimension that is no text", document({ Dimensions: [["time"]] }), invalid()],
    ["no dimension sets", document({ Dimensions: [] }), invalid()],
    ["dimensions that are no sets", document({ Dimensions: ["version"] }), invalid()],
    ["no namespace", document({ Namespace: undefined }), invalid()],
    ["AWS's namespace", document({ Namespace: "AWS/Lambda" }), invalid()],
    ["no time", document({}, {}, { Timestamp: undefined }), invalid()],
    ["two weeks ago", document({}, {}, { Timestamp: NOW_MS - 15 * 86_400_000 }), invalid()],
    ["metrics that are no list", document({}, {}, { CloudWatchMetrics: {} }), invalid()],
    [
      "31 dimensions",
      document(
        { Dimensions: [Array.from({ length: 31 }, (_, at) => `d${at}`)] },
        Object.fromEntries(Array.from({ length: 31 }, (_, at) => [`d${at}`, "v"])),
      ),
      invalid(),
    ],
    ["101 metrics", document({ Metrics: Array.from({ length: 101 }, () => ({ Name: "time" })) }), invalid()],
    ["101 values", document({}, { time: Array.from({ length: 101 }, () => 1) }), invalid()],
    ["something else that is AWS's", '{"_aws":{"Other":1}}', "none"],
    ["JSON with a text that looks so", '{"a":"\\"_aws\\" CloudWatchMetrics"}', "none"],
    ["a document that is cut", document().slice(0, 80) + "}", "unparsable"],
  ] as const)
    it(what, () => assert.deepEqual(found(message), expected));

  it("that cannot be one is told by a look", () => {
    assert.equal(mayBeEmbedded(document()), true);
    for (const line of ["", "START RequestId: 1", '{"level":"info"}', '"_aws" is a member'])
      assert.equal(mayBeEmbedded(line), false);
  });

  it("makes no more than 10,000 values", () => {
    const names = Array.from({ length: 200 }, (_, at) => `d${at}`);
    const root = {
      ...Object.fromEntries(names.map((name) => [name, "v"])),
      many: Array.from({ length: 100 }, () => 1),
    };
    const Metrics = Array.from({ length: 100 }, () => ({ Name: "many" }));
    const extraction = extract(document({ Dimensions: names.map((name) => [name]), Metrics }, root), NOW_MS);
    assert(extraction.kind === "values" && !extraction.isValid);
    assert.equal(
      extraction.values.reduce((sum, { values }) => sum + values.length, 0),
      10_000,
    );
  });

  it("names 100 sets of dimensions at the most", () => {
    const Dimensions = Array.from({ length: 101 }, () => ["version"]);
    assert.deepEqual(found(document({ Dimensions: Dimensions.slice(1) })), valid(TIME));
    assert.deepEqual(found(document({ Dimensions })), invalid(TIME));
  });

  it("of any JSON is taken or left, without an error", () => {
    const member = fc.oneof(
      fc.json(),
      fc.constantFrom('["version"]', '[["version"]]', '"app"', '[{"Name":"time"}]', `${NOW_MS}`),
    );
    fc.assert(
      fc.property(member, member, member, member, (namespace, dimensions, list, time) => {
        const directive = `{"Namespace":${namespace},"Dimensions":${dimensions},"Metrics":${list}}`;
        extract(
          `{"_aws":{"Timestamp":${time},"CloudWatchMetrics":[${directive}]},"version":"1","time":1}`,
          NOW_MS,
        );
      }),
    );
  });
});

async function start(t: TestContext) {
  const clock = new ManualClock(NOW_MS);
  const store = new MemoryStore(clock);
  const kept = await MetricStore.open({ store, clock, logger: silentLogger });
  const embedded = new EmbeddedMetrics({ metrics: kept, clock, logger: silentLogger });
  t.after(async () => {
    await embedded.close();
    await kept.close();
  });
  const see = (...messages: string[]) =>
    embedded.see(
      "/aws/lambda/f",
      messages.map((message) => ({ timestampMs: NOW_MS, message })),
    );
  const read = async (namespace: string, name: string, dimensions: Record<string, string> = {}) => {
    const endS = Math.floor(NOW_MS / 1000) + 60;
    const range = { unit: undefined, startS: endS - 3600 - (endS % 60), endS, periodS: 3600 };
    const [series] = await kept.read({ namespace, name, dimensions: Object.entries(dimensions) }, range);
    const [bucket] = series?.buckets.values() ?? [];
    return bucket && { count: bucket.count, sum: bucket.sum };
  };
  return { embedded, clock, store, kept, see, read };
}

test("lines become metrics, and malformed ones are counted by their group", async (t) => {
  const { embedded, see, read } = await start(t);
  const lines = Array.from({ length: 100 }, (_, at) => document({}, { time: at }));
  see("an ordinary line", ...lines, document().slice(0, 80) + "}", document({ Namespace: "" }));
  await embedded.flush();
  assert.deepEqual(await read("app", "time", { version: "$LATEST" }), { count: 100, sum: 4950 });
  const group = { LogGroupName: "/aws/lambda/f" };
  assert.deepEqual(await read("AWS/Logs", "EMFParsingErrors", group), { count: 1, sum: 1 });
  assert.deepEqual(await read("AWS/Logs", "EMFValidationErrors", group), { count: 1, sum: 1 });
});

test("long lines are read a few in a turn, and what comes meanwhile does not keep others from being written", async (t) => {
  const { embedded, clock, see, read } = await start(t);
  const long = document({}, { text: "x".repeat(200_000) });
  // Each line that is read asks the time.
  const now = t.mock.method(clock, "nowMs");
  see(...Array.from({ length: 8 }, () => long));
  await new Promise((resolve) => setImmediate(resolve));
  assert.ok(now.mock.callCount() < 8, `${now.mock.callCount()} lines in one turn`);
  let isOver = false;
  const chatter = () => {
    if (isOver) return;
    see(long, long);
    setImmediate(chatter);
  };
  chatter();
  await embedded.flush();
  isOver = true;
  const written = await read("app", "time", { version: "$LATEST" });
  assert.ok(written && written.count >= 8);
});

test("a write that fails is done again with the next", async (t) => {
  const { embedded, store, see, read } = await start(t);
  see(document());
  t.mock.method(store, "write", () => Promise.reject(new Error("disk full")), { times: 1 });
  await embedded.flush();
  assert.equal(await read("app", "time", { version: "$LATEST" }), undefined);
  see(document());
  await embedded.flush();
  assert.deepEqual(await read("app", "time", { version: "$LATEST" }), { count: 2, sum: 200 });
});

test("an id as dimension leaves series for others", async (t) => {
  const { embedded, kept, see } = await start(t);
  for (let at = 0; at < SERIES_MAX; at += 1) see(document({}, { version: `id-${at}` }));
  await embedded.flush();
  assert.equal(kept.index.size, SERIES_MAX - SERIES_SPARED);
});
