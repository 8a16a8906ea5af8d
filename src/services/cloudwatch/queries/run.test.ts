/**
 * Goal: what one request's searches and labels ask for holds up nobody, and tells nothing but what there is.
 * Method: queries over the real metric store and a memory store; turns of the event loop are counted meanwhile.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "../../../kernel/clock.ts";
import { MemoryStore } from "../../../store/memory.ts";
import { silentLogger } from "../../../telemetry/logger.ts";
import { Bucket } from "../metrics/bucket.ts";
import { MetricStore } from "../metrics/metric-store.ts";
import { labelOf } from "./labels.ts";
import { parseQueries } from "./queries.ts";
import { runQueries } from "./run.ts";

const NOW_MS = 1_700_000_000_000;

test("a search over many metrics lets others have their turn", async (t) => {
  const clock = new ManualClock(NOW_MS);
  const metrics = await MetricStore.open({ store: new MemoryStore(clock), clock, logger: silentLogger });
  t.after(() => metrics.close());
  const atS = NOW_MS / 1000;
  const contributions = Array.from({ length: 2000 }, (_, at) => {
    const series = { namespace: "app", name: `metric-${at}`, dimensions: [], unit: "None" };
    return { series, atS, isFine: false, bucket: new Bucket() };
  });
  await metrics.append(contributions, "refuse");
  let turns = 0;
  let isOver = false;
  const turn = () => {
    turns += 1;
    if (!isOver) setImmediate(turn);
  };
  turn();
  const Expression = `SEARCH('{app} 1999 OR nothing', 'Sum', 60)`;
  const { results } = await runQueries(parseQueries([{ Id: "e", Expression }]), {
    metrics,
    nowMs: NOW_MS,
    region: "r",
    accountId: "0",
    grid: (periodS) => ({ startS: atS - 600, endS: atS, periodS }),
  });
  isOver = true;
  assert.deepEqual(
    results.map(({ label }) => label),
    ["metric-1999"],
  );
  assert.ok(turns >= 10, `${turns} turns`);
});

test("a label knows the properties of its series, and no others", () => {
  const series = {
    kind: "series",
    label: "l",
    periodS: 60,
    points: new Map(),
    properties: { MetricName: "m" },
  } as const;
  const template = "${PROP('MetricName')} ${PROP('Region')} ${PROP('constructor')} ${PROP('__proto__')}";
  assert.equal(labelOf(template, series, { Region: "r" }), "m r -- --");
});
