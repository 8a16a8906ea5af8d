/** Which series there are: in memory, a copy of the Store's records. */
import type { Change, Store } from "../../../store/store.ts";
import { HOUR_MS, SERIES_MAX } from "../limits.ts";
import { metricKey, seriesId, type Metric, type Series, type SeriesRecord } from "./series.ts";

const KIND = "cloudwatch.series";

export class SeriesIndex {
  /** By metric, then by unit. */
  readonly #metrics = new Map<string, Map<string, SeriesRecord>>();
  readonly #byId = new Map<string, SeriesRecord>();

  static async open(store: Store): Promise<SeriesIndex> {
    const index = new SeriesIndex();
    for (const { value } of await store.list<SeriesRecord>(KIND)) index.set(value);
    return index;
  }

  get size(): number {
    return this.#byId.size;
  }

  hasRoomFor(count: number): boolean {
    return this.#byId.size + count <= SERIES_MAX;
  }

  byId(id: string): SeriesRecord | undefined {
    return this.#byId.get(id);
  }

  /** One for each unit. */
  ofMetric(metric: Metric): SeriesRecord[] {
    return [...(this.#metrics.get(metricKey(metric))?.values() ?? [])];
  }

  find(series: Series): SeriesRecord | undefined {
    return this.#metrics.get(metricKey(series))?.get(series.unit);
  }

  /** Metrics in the order in which they came into being, with the youngest value of all units. */
  *metrics(): Generator<Metric & { readonly lastMs: number }> {
    for (const units of this.#metrics.values()) {
      const [first] = units.values();
      if (!first) continue;
      const lastMs = Math.max(...[...units.values()].map((record) => record.lastMs));
      yield { namespace: first.namespace, name: first.name, dimensions: first.dimensions, lastMs };
    }
  }

  records(): Iterable<SeriesRecord> {
    return this.#byId.values();
  }

  /** The record that a series has when it gets a value at `atMs`; the one that it has when nothing changes. */
  touched(series: Series, atMs: number, isFine: boolean): SeriesRecord {
    const known = this.find(series);
    const lastMs = Math.max(known?.lastMs ?? 0, atMs - (atMs % HOUR_MS));
    if (known && known.lastMs === lastMs && (known.isFine || !isFine)) return known;
    const { namespace, name, dimensions, unit } = series;
    const id = known?.id ?? seriesId(series);
    return { id, namespace, name, dimensions, unit, lastMs, isFine: isFine || (known?.isFine ?? false) };
  }

  set(record: SeriesRecord): void {
    const key = metricKey(record);
    let units = this.#metrics.get(key);
    if (!units) this.#metrics.set(key, (units = new Map()));
    units.set(record.unit, record);
    this.#byId.set(record.id, record);
  }

  remove(record: SeriesRecord): void {
    const key = metricKey(record);
    const units = this.#metrics.get(key);
    units?.delete(record.unit);
    if (units?.size === 0) this.#metrics.delete(key);
    this.#byId.delete(record.id);
  }

  put(record: SeriesRecord): Change {
    return { op: "put", kind: KIND, key: record.id, value: record };
  }

  deletion(record: SeriesRecord): Change {
    return { op: "delete", kind: KIND, key: record.id };
  }
}
