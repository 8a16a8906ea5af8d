/** Buckets that are durable in the journal and in no page yet, by series. */
import type { Tier } from "../limits.ts";
import type { Bucket } from "./bucket.ts";
import { alignDown, mergeInto } from "./pages.ts";

interface Entry {
  /** By second: values with a storage resolution of one second. */
  readonly fine: Map<number, Bucket>;
  /** By the start of a minute. */
  readonly coarse: Map<number, Bucket>;
}

export class Pending {
  readonly #entries = new Map<string, Entry>();
  /** Keys of the journal's records that it holds. */
  readonly journal: string[] = [];
  #buckets = 0;

  get buckets(): number {
    return this.#buckets;
  }

  get isEmpty(): boolean {
    return this.journal.length === 0;
  }

  seriesIds(): Iterable<string> {
    return this.#entries.keys();
  }

  add(seriesId: string, atS: number, isFine: boolean, bucket: Bucket): void {
    let entry = this.#entries.get(seriesId);
    if (!entry) this.#entries.set(seriesId, (entry = { fine: new Map(), coarse: new Map() }));
    const buckets = isFine ? entry.fine : entry.coarse;
    const before = buckets.size;
    mergeInto(buckets, isFine ? atS : alignDown(atS, 60), bucket);
    this.#buckets += buckets.size - before;
  }

  /** What a tier has of a series: buckets by their start at the tier's resolution. */
  *of(seriesId: string, { resolutionS }: Tier): Generator<readonly [startS: number, bucket: Bucket]> {
    const entry = this.#entries.get(seriesId);
    if (!entry) return;
    for (const [atS, bucket] of entry.fine) yield [alignDown(atS, resolutionS), bucket];
    if (resolutionS < 60) return;
    for (const [atS, bucket] of entry.coarse) yield [alignDown(atS, resolutionS), bucket];
  }

  /** Takes all that `other` holds, and that came before. */
  putBack(other: Pending): void {
    this.journal.unshift(...other.journal);
    for (const [seriesId, { fine, coarse }] of other.#entries) {
      for (const [atS, bucket] of fine) this.add(seriesId, atS, true, bucket);
      for (const [atS, bucket] of coarse) this.add(seriesId, atS, false, bucket);
    }
  }
}
