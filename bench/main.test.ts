// Goal: the benchmarks run from end to end and write what their readers expect. Method: the smallest run, without walls, as a process.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { it } from "node:test";
import { promisify } from "node:util";
import type { Report } from "./support/report.ts";

it("measures every part and reports it", async () => {
  const out = await mkdtemp(join(tmpdir(), "hornero-bench-test-"));
  try {
    const main = join(import.meta.dirname, "main.ts");
    const { stdout } = await promisify(execFile)(
      process.execPath,
      [main, "--smoke", "--driver", "process", "--out", out],
      { timeout: 120_000 },
    );
    const report = JSON.parse(await readFile(join(out, "latest.json"), "utf8")) as Report;
    assert.equal(report.format, 1);
    assert.equal(report.mode, "smoke");
    assert.deepEqual(report.failures, []);
    assert.ok(report.machine.cpuCount >= 1 && report.machine.kernel !== "");
    assert.equal(report.machine.versions["node"], process.versions.node);
    assert.equal(report.disturbance.loadAverage.length, 3);
    const ids = report.rows.map(({ id }) => id);
    for (const id of [
      ...["asynchronous-accepted", "asynchronous-running"],
      ...["warm-p50", "warm-throughput", "open-loop-spread", "cold-node.js-hit", "cold-node.js-miss"],
      ...[
        "burst-warm",
        "burst-loop-delay",
        "burst-empty",
        "rate-node.js",
        "memory-node.js",
        "bundle-plain-hit",
        "bundle-cache-miss",
        "ready",
        "idle-rss",
        "wire-p50",
        "authorise",
        "store-1",
        "trace-cold",
        "trace-slice-auto",
      ],
    ])
      assert.ok(ids.includes(id), `${id} is among ${ids.join(", ")}`);
    for (const { id, value, ratio } of report.rows) {
      assert.ok(value.median > 0, `${id} has a figure`);
      assert.ok(ratio === undefined || ratio.median > 0, `${id} has a ratio`);
      assert.match(stdout, /WARM INVOCATIONS/);
    }
    assert.equal(report.distributions.length, 6);
    assert.ok(report.distributions.every(({ percentilesMs }) => percentilesMs.length === 101));
    assert.ok(report.waterfalls.length >= 2);
    assert.equal(report.curves.length, 2);
    assert.match(await readFile(join(out, "latest.svg"), "utf8"), /^<svg /);
  } finally {
    await rm(out, { recursive: true, force: true });
  }
});
