/**
 * Goal: percentiles are within 1 % of a value that has that rank, merged or not, encoded or not, and memory is bounded.
 * Method: random values against the exact answer from the sorted list; a bucket cut into parts and merged again.
 */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import { Bucket, type EncodedBucket } from "./bucket.ts";
import { BINS_MAX, RELATIVE_ERROR, Sketch } from "./sketch.ts";
import { parseStatistic } from "./statistic.ts";

const values = fc.array(
  fc.oneof(
    fc.constant(0),
    fc.double({ min: 1e-3, max: 1e7, noNaN: true }),
    fc.integer({ min: 1, max: 900_000 }),
  ),
  { minLength: 1, maxLength: 300 },
);

function bucketOf(list: readonly number[]): Bucket {
  const bucket = new Bucket();
  for (const value of list) bucket.add(value);
  return bucket;
}

/** The value of a percentile's rank, exactly. */
function exact(list: readonly number[], percentile: number): number {
  const sorted = [...list].sort((a, b) => a - b);
  return sorted[Math.floor((percentile / 100) * (sorted.length - 1))] ?? NaN;
}

function assertClose(found: number | undefined, wanted: number): void {
  assert.ok(found !== undefined);
  const tolerance = RELATIVE_ERROR * wanted * (1 + 1e-9);
  assert.ok(Math.abs(found - wanted) <= tolerance, `${found} is not within 1 % of ${wanted}`);
}

const PERCENTILES = [0, 1, 25, 50, 90, 99, 99.9, 100];

describe("a bucket's percentiles", () => {
  it("are within the relative error of the exact ones", () => {
    fc.assert(
      fc.property(values, (list) => {
        const bucket = bucketOf(list);
        for (const percentile of PERCENTILES)
          assertClose(parseStatistic(`p${percentile}`)?.(bucket), exact(list, percentile));
      }),
    );
  });

  it("are the same when the values come in parts that are stored and merged", () => {
    fc.assert(
      fc.property(values, fc.integer({ min: 1, max: 7 }), (list, parts) => {
        const whole = bucketOf(list);
        const merged = new Bucket();
        for (let part = 0; part < parts; part += 1) {
          const own = list.filter((_value, at) => at % parts === part);
          const stored = JSON.parse(JSON.stringify(bucketOf(own).encode())) as EncodedBucket;
          if (own.length > 0) merged.merge(Bucket.decode(stored));
        }
        assert.equal(merged.count, whole.count);
        assert.equal(merged.min, whole.min);
        assert.equal(merged.max, whole.max);
        assert.deepEqual(merged.distribution(), whole.distribution());
      }),
    );
  });

  it("are not told when the distribution is not known", () => {
    const p90 = parseStatistic("p90");
    const set = new Bucket();
    set.addSet({ count: 10, sum: 55, min: 1, max: 10 });
    const negative = bucketOf([-1, 5]);
    const mixed = bucketOf([1, 2, 3]);
    mixed.merge(set);
    for (const bucket of [set, negative, mixed]) assert.equal(p90?.(bucket), undefined);
    assert.deepEqual([mixed.count, mixed.sum, mixed.min, mixed.max], [13, 61, 1, 10]);
    const equal = new Bucket();
    equal.addSet({ count: 4, sum: 8, min: 2, max: 2 });
    assert.equal(p90?.(equal), 2);
  });
});

describe("a sketch", () => {
  it("has no more bins than it may, and keeps the high quantiles then", () => {
    const sketch = new Sketch();
    for (let exponent = -300; exponent <= 300; exponent += 0.01) sketch.add(10 ** exponent);
    assert.ok(sketch.bins <= BINS_MAX);
    const highest = [...sketch.entries()].at(-1)?.[0];
    assertClose(highest, 10 ** 300);
  });
});

describe("statistics", () => {
  const bucket = bucketOf(Array.from({ length: 100 }, (_, at) => at + 1));
  const close = (name: string, wanted: number) => {
    const found = parseStatistic(name)?.(bucket);
    assert.ok(found !== undefined && Math.abs(found - wanted) <= 0.02 * wanted, `${name}: ${found}`);
  };

  it("of a part of the distribution", () => {
    close("tm90", 45.5);
    close("TM(10%:90%)", 50.5);
    close("TM(:50)", 25.5);
    close("IQM", 50.5);
    close("ts90", 4095);
    close("PR(:50)", 50);
    close("PR(50:)", 50);
    assert.equal(parseStatistic("tc90")?.(bucket), 90);
    assert.equal(parseStatistic("TC(10%:90%)")?.(bucket), 80);
  });

  it("are refused when there is no such one", () => {
    for (const name of [
      "",
      "p101",
      "p",
      "median",
      "TM(90%:10%)",
      "TM(10%:5)",
      "PR(10%:90%)",
      "TM(:)",
      "toString",
    ])
      assert.equal(parseStatistic(name), undefined, name);
  });
});
