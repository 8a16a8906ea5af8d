/** What is metered: usage of a function version in an hour, as whole numbers, so that sums are exact. */
import { EPHEMERAL_STORAGE_MB_MIN } from "../../limits.ts";

/** One invocation that ended, whatever its outcome. */
export interface Usage {
  /** Unqualified. */
  readonly functionArn: string;
  readonly version: string;
  readonly billedMs: number;
  readonly memoryMb: number;
  /** Of `/tmp`: what is over 512 MB costs. */
  readonly ephemeralStorageMb: number;
  /** Default x86_64. */
  readonly architecture?: Architecture;
  readonly tenantId?: string;
}

export type Architecture = "x86_64" | "arm64";

/** Sums. A type, not an interface: the Store's counters are records of numbers. */
export type UsageTotals = {
  requests: number;
  billedMs: number;
  /** Memory × billed duration: 1,024,000 of it are a GB-second. */
  memoryMbMs: number;
  /** The same of the ephemeral storage over 512 MB. */
  storageMbMs: number;
};

/** What totals are kept by. */
export interface UsageKey {
  /** UTC: `2026-11-30T13`. */
  readonly hour: string;
  readonly functionArn: string;
  readonly version: string;
  readonly architecture: Architecture;
  /** Empty without tenancy. */
  readonly tenantId: string;
}

/** The bar stands in no ARN, version or tenant id [model: patterns of the service]. The hour comes first: a month is a prefix. */
const SEPARATOR = "|";

export function usageKey(hour: string, usage: Usage): string {
  return (
    hour +
    SEPARATOR +
    usage.functionArn +
    SEPARATOR +
    usage.version +
    SEPARATOR +
    (usage.architecture ?? "x86_64") +
    SEPARATOR +
    (usage.tenantId ?? "")
  );
}

export function parseUsageKey(key: string): UsageKey {
  const [hour = "", functionArn = "", version = "", architecture = "", tenantId = ""] = key.split(SEPARATOR);
  return {
    hour,
    functionArn,
    version,
    architecture: architecture === "arm64" ? "arm64" : "x86_64",
    tenantId,
  };
}

/** What one invocation adds. */
export interface Amounts {
  readonly billedMs: number;
  readonly memoryMb: number;
  /** Over what is free. */
  readonly storageMb: number;
}

export function amountsOf(usage: Usage): Amounts {
  return {
    // AWS rounds each invocation up to a whole millisecond.
    billedMs: Math.ceil(usage.billedMs),
    memoryMb: usage.memoryMb,
    storageMb: Math.max(0, usage.ephemeralStorageMb - EPHEMERAL_STORAGE_MB_MIN),
  };
}

export function newTotals(): UsageTotals {
  return { requests: 0, billedMs: 0, memoryMbMs: 0, storageMbMs: 0 };
}

export function addInvocation(totals: UsageTotals, { billedMs, memoryMb, storageMb }: Amounts): void {
  totals.requests += 1;
  totals.billedMs += billedMs;
  totals.memoryMbMs += billedMs * memoryMb;
  totals.storageMbMs += billedMs * storageMb;
}

export function addTotals(totals: UsageTotals, other: UsageTotals): void {
  totals.requests += other.requests;
  totals.billedMs += other.billedMs;
  totals.memoryMbMs += other.memoryMbMs;
  totals.storageMbMs += other.storageMbMs;
}
