/** What goes from the Store when it is too old, or too much. */
import type { Change, Store, StoredRecord } from "../../../store/store.ts";
import { TIERS, type Tier } from "../limits.ts";
import { pageKind, pageStartS, type PageRecord } from "./pages.ts";
import type { SeriesIndex } from "./series-index.ts";

export const STATE_KIND = "cloudwatch.state";
export const STATE_KEY = "totals";
/** A counter of the Store. */
export type StoredTotals = { bytes: number };

const BATCH_PAGES = 200;

/** Pages that no reader may see any more, and series that have none. */
export async function pruneExpired(store: Store, index: SeriesIndex, nowMs: number): Promise<void> {
  for (const tier of TIERS) {
    const oldestS = (nowMs - tier.keepMs) / 1000;
    for (;;) {
      const page = await store.list<PageRecord>(pageKind(tier), { limit: BATCH_PAGES });
      const old = page.filter(({ key }) => pageStartS(key) + tier.pageS <= oldestS);
      if (old.length > 0) await store.write(deletions(tier, old));
      if (old.length < BATCH_PAGES) break;
    }
  }
  const keepMs = Math.max(...TIERS.map((tier) => tier.keepMs));
  for (const series of [...index.records()]) {
    if (nowMs - series.lastMs <= keepMs) continue;
    await store.write([index.deletion(series)]);
    index.remove(series);
  }
}

/** Until at most `bytesMax` are left: the finest resolution first, in it the oldest. */
export async function pruneOldest(store: Store, bytesMax: number): Promise<void> {
  for (const tier of TIERS) {
    for (;;) {
      const totals = await store.get<StoredTotals>(STATE_KIND, STATE_KEY);
      if ((totals?.value.bytes ?? 0) <= bytesMax) return;
      const oldest = await store.list<PageRecord>(pageKind(tier), { limit: BATCH_PAGES });
      if (oldest.length === 0) break;
      await store.write(deletions(tier, oldest));
    }
  }
}

function deletions(tier: Tier, pages: readonly StoredRecord<PageRecord>[]): Change[] {
  let bytes = 0;
  const changes: Change[] = pages.map(({ key, value }) => {
    bytes += value.bytes;
    return { op: "delete", kind: pageKind(tier), key };
  });
  return [...changes, { op: "add", kind: STATE_KIND, key: STATE_KEY, amounts: { bytes: -bytes } }];
}
