/**
 * All metrics: durable, bounded, in four resolutions.
 *
 * append() writes one record of the journal, in one transaction with the series that are new, and resolves when it is on
 * disk. What the journal holds is in memory too (Pending), and is folded into pages every FOLD_INTERVAL_MS: one transaction
 * puts the pages of all tiers and deletes the journal's records, so that every value counts exactly once whatever ends the
 * process. Readers read pages and add what is pending; reading and folding take turns.
 */
import type { Clock } from "../../../kernel/clock.ts";
import type { Change, Store } from "../../../store/store.ts";
import type { Logger } from "../../../telemetry/logger.ts";
import { throttled } from "../errors.ts";
import {
  FOLD_INTERVAL_MS,
  PENDING_BUCKETS_MAX,
  PRUNE_INTERVAL_MS,
  SERIES_SPARED,
  STORED_BYTES_MAX,
  TIERS,
  type Tier,
} from "../limits.ts";
import { Bucket, type EncodedBucket } from "./bucket.ts";
import { alignDown, decodePage, encodePage, mergeInto, pageKey, pageKind, type PageRecord } from "./pages.ts";
import { Pending } from "./pending.ts";
import { pruneExpired, pruneOldest, STATE_KEY, STATE_KIND, type StoredTotals } from "./prune.ts";
import { SeriesIndex } from "./series-index.ts";
import type { Metric, Series, SeriesRecord } from "./series.ts";

/** Values of one series in one second (fine) or one minute. */
export interface Contribution {
  readonly series: Series;
  readonly atS: number;
  /** Storage resolution of one second. */
  readonly isFine: boolean;
  readonly bucket: Bucket;
}

export interface ReadRange {
  /** Only values with this unit; of any, series by series, when undefined. */
  readonly unit: string | undefined;
  /** First second of the first period, and the one after the last. */
  readonly startS: number;
  readonly endS: number;
  readonly periodS: number;
}

export interface ReadSeries {
  readonly unit: string;
  /** By the first second of a period; periods without values are absent. */
  readonly buckets: ReadonlyMap<number, Bucket>;
}

type JournalRecord = readonly (readonly [seriesId: string, atS: number, isFine: 0 | 1, EncodedBucket])[];

const JOURNAL_KIND = "cloudwatch.journal";
const SEQUENCE_DIGITS = 16;

export interface MetricStoreOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly storedBytesMax?: number;
}

export class MetricStore {
  readonly #options: MetricStoreOptions;
  readonly #index: SeriesIndex;
  #pending = new Pending();
  #nextSequence = 1;
  /** Readers and folds, one after the other. */
  #turn: Promise<unknown> = Promise.resolve();
  #isFoldAsked = false;
  #closed = false;
  #cancelFold = () => {};
  #cancelPrune = () => {};

  private constructor(options: MetricStoreOptions, index: SeriesIndex) {
    this.#options = options;
    this.#index = index;
  }

  /** Takes up what an earlier process left. */
  static async open(options: MetricStoreOptions): Promise<MetricStore> {
    const metrics = new MetricStore(options, await SeriesIndex.open(options.store));
    for (const { key, value } of await options.store.list<JournalRecord>(JOURNAL_KIND)) {
      metrics.#nextSequence = Number(key) + 1;
      metrics.#pending.journal.push(key);
      for (const [id, atS, isFine, bucket] of value)
        metrics.#pending.add(id, atS, isFine === 1, Bucket.decode(bucket));
    }
    await metrics.fold();
    metrics.#planFold();
    metrics.#planPrune();
    return metrics;
  }

  get index(): SeriesIndex {
    return this.#index;
  }

  /**
   * Resolves when all contributions are on disk. Series beyond SERIES_MAX: `refuse` rejects with ThrottlingException and
   * takes nothing, `drop` leaves them out, `spare` does so SERIES_SPARED before. Resolves with how many were left out.
   */
  async append(
    contributions: readonly Contribution[],
    whenFull: "refuse" | "drop" | "spare",
  ): Promise<number> {
    if (this.#pending.buckets >= 2 * PENDING_BUCKETS_MAX) throw throttled();
    const records = new Map<string, SeriesRecord>();
    const taken: [string, Contribution][] = [];
    let added = 0;
    const spared = whenFull === "spare" ? SERIES_SPARED : 0;
    for (const contribution of contributions) {
      const { series, atS, isFine } = contribution;
      const record = this.#index.touched(series, atS * 1000, isFine);
      const known = this.#index.byId(record.id);
      if (!known && !records.has(record.id)) {
        if (!this.#index.hasRoomFor(added + 1 + spared)) {
          if (whenFull === "refuse") throw throttled();
          continue;
        }
        added += 1;
      }
      if (known !== record) records.set(record.id, newer(records.get(record.id), record));
      taken.push([record.id, contribution]);
    }
    if (taken.length > 0) await this.#journal(taken, [...records.values()]);
    return contributions.length - taken.length;
  }

  async #journal(taken: readonly [string, Contribution][], records: readonly SeriesRecord[]): Promise<void> {
    const key = String(this.#nextSequence).padStart(SEQUENCE_DIGITS, "0");
    this.#nextSequence += 1;
    const value: JournalRecord = taken.map(([id, { atS, isFine, bucket }]) => [
      id,
      atS,
      isFine ? 1 : 0,
      bucket.encode(),
    ]);
    await this.#options.store.write([
      ...records.map((record) => this.#index.put(record)),
      { op: "put", kind: JOURNAL_KIND, key, value, expect: "absent" },
    ]);
    for (const record of records) this.#index.set(newer(this.#index.byId(record.id), record));
    this.#pending.journal.push(key);
    for (const [id, { atS, isFine, bucket }] of taken) this.#pending.add(id, atS, isFine, bucket);
    if (this.#pending.buckets >= PENDING_BUCKETS_MAX) this.#foldInBackground();
  }

  /** Buckets of a metric, one series for each unit that it has values of in the range. */
  async read(metric: Metric, range: ReadRange): Promise<ReadSeries[]> {
    const wanted = this.#index
      .ofMetric(metric)
      .filter(({ unit }) => range.unit === undefined || unit === range.unit);
    const read: ReadSeries[] = [];
    for (const series of wanted) {
      const buckets = await this.#inTurn(() => this.#readSeries(series, range));
      if (buckets.size > 0) read.push({ unit: series.unit, buckets });
    }
    return read;
  }

  async #readSeries(series: SeriesRecord, range: ReadRange): Promise<Map<number, Bucket>> {
    const { startS, endS, periodS } = range;
    const tier = this.#tierFor(series, range);
    const pages: Promise<Map<number, Bucket>>[] = [];
    const oldestS = Math.floor((this.#options.clock.nowMs() - tier.keepMs) / 1000);
    const lastS = Math.min(endS, Math.floor(series.lastMs / 1000) + 3600);
    for (let atS = alignDown(Math.max(startS, oldestS), tier.pageS); atS < lastS; atS += tier.pageS)
      pages.push(this.#readPage(tier, atS, series.id));
    const buckets = new Map<number, Bucket>();
    const take = (atS: number, bucket: Bucket) => {
      if (atS >= startS && atS < endS) mergeInto(buckets, startS + alignDown(atS - startS, periodS), bucket);
    };
    for (const page of await Promise.all(pages)) for (const [atS, bucket] of page) take(atS, bucket);
    for (const [atS, bucket] of this.#pending.of(series.id, tier)) take(atS, bucket);
    return buckets;
  }

  /** The coarsest tier that shows each period's beginning, of those that still have the first one. */
  #tierFor(series: SeriesRecord, { startS, periodS }: ReadRange): Tier {
    const nowMs = this.#options.clock.nowMs();
    const kept = TIERS.filter(
      ({ resolutionS, keepMs }) => nowMs - startS * 1000 <= keepMs && (resolutionS >= 60 || series.isFine),
    );
    const fitting = kept.filter(
      ({ resolutionS }) => periodS % resolutionS === 0 && startS % resolutionS === 0,
    );
    return fitting.at(-1) ?? kept[0] ?? LAST_TIER;
  }

  async #readPage(tier: Tier, startS: number, id: string): Promise<Map<number, Bucket>> {
    const record = await this.#options.store.get<PageRecord>(pageKind(tier), pageKey(startS, id));
    return decodePage(tier, startS, record?.value);
  }

  // Folding

  /** Resolves when everything that was appended before the call is in pages. */
  async fold(): Promise<void> {
    await this.#inTurn(async () => {
      if (this.#pending.isEmpty) return;
      const folding = this.#pending;
      // Whoever appends meanwhile does it for the next fold; nobody reads before this one has ended.
      this.#pending = new Pending();
      try {
        await this.#options.store.write(await this.#pagesOf(folding));
      } catch (error) {
        this.#pending.putBack(folding);
        throw error;
      }
    });
  }

  async #pagesOf(folding: Pending): Promise<Change[]> {
    const changes: Change[] = folding.journal.map((key) => ({ op: "delete", kind: JOURNAL_KIND, key }));
    const nowMs = this.#options.clock.nowMs();
    let addedBytes = 0;
    for (const tier of TIERS) {
      const oldestS = Math.floor((nowMs - tier.keepMs) / 1000);
      for (const id of folding.seriesIds()) {
        const pages = new Map<number, (readonly [number, Bucket])[]>();
        for (const entry of folding.of(id, tier)) {
          if (entry[0] < oldestS) continue;
          const startS = alignDown(entry[0], tier.pageS);
          const page = pages.get(startS);
          if (page) page.push(entry);
          else pages.set(startS, [entry]);
        }
        for (const [startS, entries] of pages) {
          const before = await this.#options.store.get<PageRecord>(pageKind(tier), pageKey(startS, id));
          const buckets = decodePage(tier, startS, before?.value);
          for (const [atS, bucket] of entries) mergeInto(buckets, atS, bucket);
          const value = encodePage(tier, startS, buckets);
          addedBytes += value.bytes - (before?.value.bytes ?? 0);
          changes.push({ op: "put", kind: pageKind(tier), key: pageKey(startS, id), value });
        }
      }
    }
    changes.push({ op: "add", kind: STATE_KIND, key: STATE_KEY, amounts: { bytes: addedBytes } });
    return changes;
  }

  #planFold(): void {
    this.#cancelFold = this.#options.clock.after(FOLD_INTERVAL_MS, () => {
      this.#foldInBackground();
      this.#planFold();
    });
  }

  #foldInBackground(): void {
    if (this.#isFoldAsked || this.#closed) return;
    this.#isFoldAsked = true;
    this.fold()
      .catch((error: unknown) => this.#report("metrics could not be folded, trying again", error))
      .finally(() => (this.#isFoldAsked = false));
  }

  // Retention

  #planPrune(): void {
    this.#cancelPrune = this.#options.clock.after(PRUNE_INTERVAL_MS, () => {
      this.prune().catch((error: unknown) => this.#report("old metrics could not be deleted", error));
      this.#planPrune();
    });
  }

  /** Deletes what is too old, and the oldest when there is too much. */
  async prune(): Promise<void> {
    const { store, clock, storedBytesMax = STORED_BYTES_MAX } = this.#options;
    await this.#inTurn(async () => {
      await pruneExpired(store, this.#index, clock.nowMs());
      await pruneOldest(store, storedBytesMax);
    });
  }

  /** On disk, as reckoned. */
  async storedBytes(): Promise<number> {
    return (await this.#options.store.get<StoredTotals>(STATE_KIND, STATE_KEY))?.value.bytes ?? 0;
  }

  /** Folds what is pending; the Store must still be open. Idempotent. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#cancelFold();
    this.#cancelPrune();
    await this.fold();
  }

  #inTurn<T>(task: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(task, task);
    // Whoever asked hears of a failure; the next one only waits for the end.
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  #report(message: string, error: unknown): void {
    if (!this.#closed) this.#options.logger.error(message, { error });
  }
}

const LAST_TIER: Tier = TIERS.at(-1) ?? { resolutionS: 3600, keepMs: 0, pageS: 3600 };

function newer(known: SeriesRecord | undefined, record: SeriesRecord): SeriesRecord {
  if (!known) return record;
  return {
    ...record,
    lastMs: Math.max(known.lastMs, record.lastMs),
    isFine: known.isFine || record.isFine,
  };
}
