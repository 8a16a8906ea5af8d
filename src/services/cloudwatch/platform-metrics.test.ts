/**
 * Goal: what the platform reports comes out with AWS's dimensions, is not lost when a write fails, and is told to Prometheus.
 * Method: the real sink and metric store over the memory store and a manual clock.
 */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { ManualClock } from "../../kernel/clock.ts";
import { MemoryStore } from "../../store/memory.ts";
import { silentLogger } from "../../telemetry/logger.ts";
import type { Gauge } from "../../telemetry/metrics.ts";
import { MetricStore } from "./metrics/metric-store.ts";
import { PlatformMetrics } from "./platform-metrics.ts";
import { prometheusText } from "./prometheus.ts";

async function start(t: TestContext, gauges: Gauge[] = []) {
  const clock = new ManualClock();
  const store = new MemoryStore(clock);
  const metrics = await MetricStore.open({ store, clock, logger: silentLogger });
  const platform = new PlatformMetrics({ metrics, clock, logger: silentLogger, gauges: () => gauges });
  t.after(async () => {
    await platform.close();
    await metrics.close();
  });
  const read = async (name: string, ...dimensions: [string, string][]) => {
    const endS = Math.floor(clock.nowMs() / 1000) + 60;
    const range = { unit: undefined, startS: endS - 3600 - (endS % 60), endS, periodS: 3600 };
    const [series] = await metrics.read({ namespace: "AWS/Lambda", name, dimensions }, range);
    const [bucket] = series?.buckets.values() ?? [];
    return bucket && { count: bucket.count, sum: bucket.sum, max: bucket.max };
  };
  return { platform, store, read };
}

test("values count for the alias, the function and all functions", async (t) => {
  const { platform, read } = await start(t);
  platform.count("Errors", { functionName: "f", resource: "f:live", executedVersion: "3" }, 1, "Count");
  platform.count("Errors", { functionName: "f", resource: "f:live", executedVersion: "4" }, 0, "Count");
  platform.count("Errors", { functionName: "f" }, 1, "Count");
  platform.count("Errors", { functionName: "g" }, 0, "Count");
  await platform.flush();
  const f: [string, string] = ["FunctionName", "f"];
  const live: [string, string] = ["Resource", "f:live"];
  assert.deepEqual(await read("Errors", ["ExecutedVersion", "3"], f, live), { count: 1, sum: 1, max: 1 });
  assert.deepEqual(await read("Errors", f, live), { count: 2, sum: 1, max: 1 });
  assert.deepEqual(await read("Errors", f), { count: 3, sum: 2, max: 1 });
  assert.deepEqual(await read("Errors"), { count: 4, sum: 2, max: 1 });
});

test("gauges are looked at with each flush and count for what they name alone", async (t) => {
  const { platform, read } = await start(t, [
    { name: "ConcurrentExecutions", dimensions: { functionName: "f" }, value: 3, unit: "Count" },
    { name: "ConcurrentExecutions", value: 5, unit: "Count" },
  ]);
  await platform.flush();
  await platform.flush();
  assert.deepEqual(await read("ConcurrentExecutions", ["FunctionName", "f"]), { count: 2, sum: 6, max: 3 });
  assert.deepEqual(await read("ConcurrentExecutions"), { count: 2, sum: 10, max: 5 });
});

test("a write that fails is done again with the next", async (t) => {
  const { platform, store, read } = await start(t);
  platform.count("Invocations", { functionName: "f" }, 1, "Count");
  t.mock.method(store, "write", () => Promise.reject(new Error("disk full")), { times: 1 });
  await platform.flush();
  assert.equal(await read("Invocations"), undefined);
  platform.count("Invocations", { functionName: "f" }, 1, "Count");
  await platform.flush();
  assert.deepEqual(await read("Invocations"), { count: 2, sum: 2, max: 1 });
});

test("Prometheus is told totals since the start and a cumulative histogram", async (t) => {
  const { platform } = await start(t);
  platform.count("Invocations", { functionName: "f" }, 1, "Count");
  platform.count("Duration", { functionName: "f" }, 3, "Milliseconds");
  await platform.flush();
  platform.count("Invocations", { functionName: "f", resource: "f:1" }, 1, "Count");
  platform.count("Duration", { functionName: "f", resource: "f:1" }, 40, "Milliseconds");
  const family = {
    name: "x",
    help: "h",
    type: "gauge",
    samples: [{ labels: { a: 'q"\\\n' }, value: 1 }],
  } as const;
  const lines = prometheusText([family], platform.totals()).split("\n");
  for (const line of [
    'hornero_function_invocations_total{function="f"} 2',
    'x{a="q\\"\\\\\\n"} 1',
    'hornero_function_duration_seconds_bucket{function="f",le="0.0025"} 0',
    'hornero_function_duration_seconds_bucket{function="f",le="0.005"} 1',
    'hornero_function_duration_seconds_bucket{function="f",le="0.05"} 2',
    'hornero_function_duration_seconds_bucket{function="f",le="+Inf"} 2',
    'hornero_function_duration_seconds_sum{function="f"} 0.043',
  ])
    assert.ok(lines.includes(line), `${line}\nis not in\n${lines.join("\n")}`);
  assert.equal(lines.at(-1), "");
});
