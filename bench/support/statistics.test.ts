// Goal: figures are what their names say. Method: small samples whose answers are known, and runs that are recorded.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { interleave, median, percentiles, quantile, summarise, summariseRatios } from "./statistics.ts";

describe("quantiles", () => {
  it("lie between neighbours", () => {
    assert.equal(quantile([10, 20], 0.5), 15);
    assert.equal(quantile([10, 20, 30], 0.5), 20);
    assert.equal(quantile([10, 20, 30], 0.75), 25);
    assert.equal(quantile([7], 0.99), 7);
  });

  it("are the ends at 0 and 1, and nothing of nothing", () => {
    assert.equal(quantile([1, 2, 9], 0), 1);
    assert.equal(quantile([1, 2, 9], 1), 9);
    assert.ok(Number.isNaN(quantile([], 0.5)));
  });

  it("sort by value and not by text", () => assert.equal(median([100, 9, 20]), 20));

  it("come as 101 percentiles", () => {
    const all = percentiles(Array.from({ length: 1001 }, (_, index) => 1000 - index));
    assert.equal(all.length, 101);
    assert.deepEqual([all[0], all[50], all[99], all[100]], [0, 500, 990, 1000]);
  });
});

describe("summaries", () => {
  it("have the middle and both ends", () =>
    assert.deepEqual(summarise([3, 1, 2]), { median: 2, min: 1, max: 3, count: 3 }));

  it("refuse to be of nothing", () => assert.throws(() => summarise([]), /nothing was measured/));

  it("compare each round with its own floor", () => {
    // The second round was twice as slow for both: the ratio does not see it.
    assert.deepEqual(summariseRatios([4, 8], [2, 4]), { median: 2, min: 2, max: 2, count: 2 });
    assert.throws(() => summariseRatios([1, 2], [1]), /lacks its floor/);
  });
});

describe("interleaving", () => {
  it("goes forwards and backwards, and keeps the rounds together", async () => {
    const order: string[] = [];
    const subject = (name: string) => async (round: number) => {
      order.push(name);
      return `${name}${round}`;
    };
    const results = await interleave({ rounds: 3, deadlineMs: Infinity }, [subject("a"), subject("b")]);
    assert.equal(order.join(""), "abbaab");
    assert.deepEqual(results, [
      ["a0", "a1", "a2"],
      ["b0", "b1", "b2"],
    ]);
  });

  it("runs one whole round when there is no time", async () => {
    const results = await interleave({ rounds: 5, deadlineMs: 0 }, [async () => 1, async () => 2]);
    assert.deepEqual(results, [[1], [2]]);
  });
});
