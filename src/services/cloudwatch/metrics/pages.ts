/** How buckets lie in the Store: a page holds the buckets of one series and tier for a stretch of time. */
import type { Tier } from "../limits.ts";
import { Bucket, type EncodedBucket } from "./bucket.ts";

/** Buckets by their offset from the page's start, in units of the tier's resolution. */
export interface PageRecord {
  readonly buckets: readonly (readonly [offset: number, bucket: EncodedBucket])[];
  /** As it is reckoned against the bound on disk. */
  readonly bytes: number;
}

export const pageKind = ({ resolutionS }: Tier) => `cloudwatch.page.${resolutionS}`;

const TIME_DIGITS = 12;

/** Time first: the oldest pages of a tier are the first in the Store. */
export function pageKey(startS: number, seriesId: string): string {
  return `${String(startS).padStart(TIME_DIGITS, "0")}/${seriesId}`;
}

export function pageStartS(key: string): number {
  return Number(key.slice(0, TIME_DIGITS));
}

export const alignDown = (atS: number, stepS: number) => atS - (atS % stepS);

/** Buckets by the second that they start at. */
export function decodePage(tier: Tier, startS: number, page: PageRecord | undefined): Map<number, Bucket> {
  const buckets = new Map<number, Bucket>();
  for (const [offset, encoded] of page?.buckets ?? [])
    buckets.set(startS + offset * tier.resolutionS, Bucket.decode(encoded));
  return buckets;
}

const BUCKET_BYTES = 40;
const SKETCH_NUMBER_BYTES = 4;

export function encodePage(tier: Tier, startS: number, buckets: ReadonlyMap<number, Bucket>): PageRecord {
  let bytes = 0;
  const encoded = [...buckets]
    .sort(([a], [b]) => a - b)
    .map(([atS, bucket]) => {
      const entry = bucket.encode();
      bytes += BUCKET_BYTES + SKETCH_NUMBER_BYTES * (entry[4]?.length ?? 0);
      return [(atS - startS) / tier.resolutionS, entry] as const;
    });
  return { buckets: encoded, bytes };
}

/** Adds `bucket` to what `buckets` has at `atS`; the map gets a bucket of its own. */
export function mergeInto(buckets: Map<number, Bucket>, atS: number, bucket: Bucket): void {
  let known = buckets.get(atS);
  if (!known) buckets.set(atS, (known = new Bucket()));
  known.merge(bucket);
}
