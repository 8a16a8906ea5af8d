/**
 * Goal: a bill's costs are what AWS's published prices give.
 * Method: totals whose costs were worked out by hand from the price list.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { makeBill } from "./bill.ts";
import { AWS_PRICES, tieredCost } from "./prices.ts";
import { newTotals, usageKey, type Usage, type UsageTotals } from "./usage.ts";

const usage = (name: string, more: Partial<Usage> = {}): string =>
  usageKey("2026-11-30T13", {
    functionArn: `arn:aws:lambda:us-east-1:000000000000:function:${name}`,
    version: "1",
    billedMs: 0,
    memoryMb: 0,
    ephemeralStorageMb: 512,
    ...more,
  });
const totals = (requests: number, gbSeconds: number, storageGbSeconds = 0): UsageTotals => ({
  ...newTotals(),
  requests,
  memoryMbMs: gbSeconds * 1_024_000,
  storageMbMs: storageGbSeconds * 1_024_000,
});
const near = (actual: number | undefined, expected: number) =>
  assert.ok(
    Math.abs((actual ?? Number.NaN) - expected) <= 1e-9 * Math.abs(expected),
    `${actual} is ${expected}`,
  );

test("the pricing page's example: 3 million requests of 120 ms at 1,536 MB", () => {
  const gbSeconds = 3_000_000 * 0.12 * 1.5;
  const bill = makeBill("2026-11", [[usage("f"), totals(3_000_000, gbSeconds)]], AWS_PRICES);
  near(bill.rows[0]?.requestCost, 0.6);
  near(bill.rows[0]?.computeCost, 540_000 * 0.0000166667);
  near(bill.total, 0.6 + 540_000 * 0.0000166667);
  // The example subtracts the free tier: 2 million requests and 140,000 GB-seconds are paid.
  near(bill.total - bill.freeTier.credit, 0.4 + 140_000 * 0.0000166667);
});

test("tiers", () => {
  const { x86_64, arm64 } = AWS_PRICES.compute;
  near(tieredCost(x86_64, 6e9), 100_000.2);
  near(tieredCost(x86_64, 7e9), 100_000.2 + 15_000);
  near(tieredCost(x86_64, 16e9), 100_000.2 + 135_000 + 13_333.4);
  near(tieredCost(arm64, 20e9), 100_000.5 + 135_001.125 + 1.25e9 * 0.0000106667);
  assert.equal(tieredCost(x86_64, 0), 0);
});

test("a tier is reached by all functions together, and each bears its share", () => {
  const bill = makeBill(
    "2026-11",
    [
      [usage("a"), totals(0, 6e9)],
      [usage("b"), totals(0, 2e9)],
    ],
    AWS_PRICES,
  );
  near(bill.total, 100_000.2 + 30_000);
  near(bill.rows[0]?.total, (bill.total * 3) / 4);
});

test("architectures have prices of their own, and storage over 512 MB costs", () => {
  const bill = makeBill(
    "2026-11",
    [
      [usage("f"), totals(1, 100)],
      [usage("f", { architecture: "arm64" }), totals(1, 100, 1000)],
    ],
    AWS_PRICES,
  );
  assert.deepEqual(
    bill.rows.map((row) => row.architecture),
    ["arm64", "x86_64"],
  );
  near(bill.rows[0]?.computeCost, 100 * 0.0000133334);
  near(bill.rows[0]?.storageCost, 1000 * 0.0000000309);
  near(bill.rows[1]?.computeCost, 100 * 0.0000166667);
});

test("hours are summed, and an empty month costs nothing", () => {
  const hour = (text: string) => usage("f").replace("2026-11-30T13", text);
  const bill = makeBill(
    "2026-11",
    [
      [hour("2026-11-01T00"), totals(1, 1)],
      [hour("2026-11-02T00"), totals(2, 2)],
    ],
    AWS_PRICES,
  );
  assert.deepEqual(
    bill.rows.map((row) => [row.requests, row.gbSeconds]),
    [[3, 3]],
  );
  const empty = makeBill("2026-11", [], AWS_PRICES);
  assert.deepEqual([empty.rows, empty.total, empty.freeTier.credit], [[], 0, 0]);
});
