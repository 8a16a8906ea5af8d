/**
 * What AWS Lambda costs on demand in us-east-1, in US dollars. Source: aws.amazon.com/lambda/pricing and, for the tiers,
 * AWS's announcement of tiered pricing of August 2022; as of November 2026. Prices of other Regions differ: override.
 */
import type { Architecture } from "./usage.ts";

/** Usage over `fromGbSeconds` in a month costs this much. The first tier starts at 0; they ascend. */
export interface Tier {
  readonly fromGbSeconds: number;
  readonly perGbSecond: number;
}

export interface Prices {
  readonly perMillionRequests: number;
  readonly compute: Readonly<Record<Architecture, readonly Tier[]>>;
  /** Ephemeral storage over 512 MB. */
  readonly storagePerGbSecond: number;
  /** Of a month, over all functions. */
  readonly freeRequests: number;
  readonly freeGbSeconds: number;
}

const BILLION = 1_000_000_000;

export const AWS_PRICES: Prices = {
  perMillionRequests: 0.2,
  compute: {
    x86_64: [
      { fromGbSeconds: 0, perGbSecond: 0.0000166667 },
      { fromGbSeconds: 6 * BILLION, perGbSecond: 0.000015 },
      { fromGbSeconds: 15 * BILLION, perGbSecond: 0.0000133334 },
    ],
    arm64: [
      { fromGbSeconds: 0, perGbSecond: 0.0000133334 },
      { fromGbSeconds: 7.5 * BILLION, perGbSecond: 0.0000120001 },
      { fromGbSeconds: 18.75 * BILLION, perGbSecond: 0.0000106667 },
    ],
  },
  storagePerGbSecond: 0.0000000309,
  freeRequests: 1_000_000,
  freeGbSeconds: 400_000,
};

export function tieredCost(tiers: readonly Tier[], gbSeconds: number): number {
  let cost = 0;
  for (const [index, tier] of tiers.entries()) {
    const end = tiers[index + 1]?.fromGbSeconds ?? Infinity;
    cost += Math.max(0, Math.min(gbSeconds, end) - tier.fromGbSeconds) * tier.perGbSecond;
  }
  return cost;
}
