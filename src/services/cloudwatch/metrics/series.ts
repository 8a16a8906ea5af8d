/** What a series is: a metric (namespace, name, dimensions) and the unit that its values came with. */
import { createHash } from "node:crypto";

export interface Metric {
  readonly namespace: string;
  readonly name: string;
  /** Sorted by name. */
  readonly dimensions: readonly (readonly [name: string, value: string])[];
}

export interface Series extends Metric {
  /** One of CloudWatch's names; `None` when a caller gives none. */
  readonly unit: string;
}

/** A series as the Store has it. */
export interface SeriesRecord extends Series {
  readonly id: string;
  /** Start of the hour of its youngest value. */
  readonly lastMs: number;
  /** It has had values with a storage resolution of one second. */
  readonly isFine: boolean;
}

export function sortedDimensions(
  dimensions: readonly { Name?: string | undefined; Value?: string | undefined }[] | undefined,
): (readonly [string, string])[] {
  return (dimensions ?? [])
    .map(({ Name = "", Value = "" }) => [Name, Value] as const)
    .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
}

/** Equal for equal metrics only. */
export function metricKey({ namespace, name, dimensions }: Metric): string {
  return JSON.stringify([namespace, name, dimensions]);
}

const ID_CHARS = 24;

/** Key of its records: the same for the same series, whenever it is made. */
export function seriesId(series: Series): string {
  return createHash("sha256")
    .update(`${metricKey(series)}${series.unit}`)
    .digest("hex")
    .slice(0, ID_CHARS);
}
