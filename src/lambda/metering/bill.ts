/** A month's bill: what each function version used, and what AWS would charge for it. Plain data, ready for JSON. */
import { tieredCost, type Prices } from "./prices.ts";
import { addTotals, newTotals, parseUsageKey, type Architecture, type UsageTotals } from "./usage.ts";

export interface BillRow {
  readonly functionArn: string;
  readonly functionName: string;
  readonly version: string;
  readonly architecture: Architecture;
  readonly tenantId?: string;
  readonly requests: number;
  readonly billedMs: number;
  readonly gbSeconds: number;
  /** Of ephemeral storage over 512 MB. */
  readonly storageGbSeconds: number;
  /** US dollars, not rounded, as all costs. */
  readonly requestCost: number;
  /** The month's tiers are by all functions of an architecture together; each row bears its share of the sum. */
  readonly computeCost: number;
  readonly storageCost: number;
  readonly total: number;
}

export interface Bill {
  /** `2026-11`, UTC. */
  readonly month: string;
  readonly currency: "USD";
  /** By name, version, architecture, tenant. */
  readonly rows: readonly BillRow[];
  readonly requests: number;
  readonly gbSeconds: number;
  readonly total: number;
  /** What AWS's free tier would take off; not taken off in `total`. */
  readonly freeTier: { readonly requests: number; readonly gbSeconds: number; readonly credit: number };
}

const MB_MS_PER_GB_SECOND = 1024 * 1000;

/** `usage` are usage keys with their totals; one that comes again is added. */
export function makeBill(
  month: string,
  usage: Iterable<readonly [string, UsageTotals]>,
  prices: Prices,
): Bill {
  const sums = sumOverHours(usage);
  const computeRate = {
    x86_64: averageRate("x86_64", sums, prices),
    arm64: averageRate("arm64", sums, prices),
  };
  const rows = [...sums.values()].map(({ key, totals }): BillRow => {
    const gbSeconds = totals.memoryMbMs / MB_MS_PER_GB_SECOND;
    const storageGbSeconds = totals.storageMbMs / MB_MS_PER_GB_SECOND;
    const requestCost = (totals.requests / 1_000_000) * prices.perMillionRequests;
    const computeCost = gbSeconds * computeRate[key.architecture];
    const storageCost = storageGbSeconds * prices.storagePerGbSecond;
    return {
      functionArn: key.functionArn,
      functionName: key.functionArn.split(":").at(-1) ?? "",
      version: key.version,
      architecture: key.architecture,
      ...(key.tenantId !== "" && { tenantId: key.tenantId }),
      requests: totals.requests,
      billedMs: totals.billedMs,
      gbSeconds,
      storageGbSeconds,
      requestCost,
      computeCost,
      storageCost,
      total: requestCost + computeCost + storageCost,
    };
  });
  rows.sort(compareRows);
  const requests = sum(rows, (row) => row.requests);
  const gbSeconds = sum(rows, (row) => row.gbSeconds);
  return {
    month,
    currency: "USD",
    rows,
    requests,
    gbSeconds,
    total: sum(rows, (row) => row.total),
    freeTier: freeTier(rows, { requests, gbSeconds }, prices),
  };
}

type Sums = Map<string, { key: Omit<ReturnType<typeof parseUsageKey>, "hour">; totals: UsageTotals }>;

function sumOverHours(usage: Iterable<readonly [string, UsageTotals]>): Sums {
  const sums: Sums = new Map();
  for (const [text, totals] of usage) {
    const { hour, ...key } = parseUsageKey(text);
    const name = text.slice(hour.length);
    const known = sums.get(name);
    if (known) addTotals(known.totals, totals);
    else sums.set(name, { key, totals: { ...totals } });
  }
  return sums;
}

function averageRate(architecture: Architecture, sums: Sums, prices: Prices): number {
  const totals = newTotals();
  for (const entry of sums.values())
    if (entry.key.architecture === architecture) addTotals(totals, entry.totals);
  const gbSeconds = totals.memoryMbMs / MB_MS_PER_GB_SECOND;
  return gbSeconds === 0 ? 0 : tieredCost(prices.compute[architecture], gbSeconds) / gbSeconds;
}

/** Free GB-seconds are of both architectures, in proportion: AWS does not say how it divides them. */
function freeTier(
  rows: readonly BillRow[],
  used: { requests: number; gbSeconds: number },
  prices: Prices,
): Bill["freeTier"] {
  const requests = Math.min(used.requests, prices.freeRequests);
  const gbSeconds = Math.min(used.gbSeconds, prices.freeGbSeconds);
  const share = used.gbSeconds === 0 ? 0 : gbSeconds / used.gbSeconds;
  const credit =
    (requests / 1_000_000) * prices.perMillionRequests + share * sum(rows, (row) => row.computeCost);
  return { requests, gbSeconds, credit };
}

function sum<T>(items: readonly T[], amount: (item: T) => number): number {
  return items.reduce((total, item) => total + amount(item), 0);
}

function compareRows(a: BillRow, b: BillRow): number {
  return (
    compareText(a.functionName, b.functionName) ||
    compareText(a.functionArn, b.functionArn) ||
    compareText(a.version, b.version) ||
    compareText(a.architecture, b.architecture) ||
    compareText(a.tenantId ?? "", b.tenantId ?? "")
  );
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
