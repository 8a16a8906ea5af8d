/** AVG, SUM, MIN, MAX, STDDEV, DATAPOINT_COUNT: of a series a number, of an array a series. */
import {
  scalar,
  seriesLike,
  valuesOf,
  type Budget,
  type Series,
  type SeriesArray,
  type Value,
} from "./values.ts";

/** `members`: how many series there are, whether or not they have a value at that time. */
type Aggregate = (values: readonly number[], members: number) => number;

const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);

export const AGGREGATES: Readonly<Record<string, Aggregate>> = {
  SUM: sum,
  // Of nothing there is no average; of series those without a value count as 0.
  AVG: (values, members) => sum(values) / members,
  MIN: (values) => values.reduce((least, value) => Math.min(least, value), values[0] ?? Number.NaN),
  MAX: (values) => values.reduce((greatest, value) => Math.max(greatest, value), values[0] ?? Number.NaN),
  STDDEV: (values) => {
    const mean = sum(values) / values.length;
    return Math.sqrt(sum(values.map((value) => (value - mean) ** 2)) / values.length);
  },
  DATAPOINT_COUNT: (values) => values.length,
};

export function aggregateSeries(name: string, series: Series): number {
  const values = valuesOf(series);
  return AGGREGATES[name]?.(values, values.length) ?? Number.NaN;
}

export function aggregate(name: string, operand: Series | SeriesArray, budget: Budget): Value {
  if (operand.kind === "series") {
    budget.take(operand.points.size);
    return scalar(aggregateSeries(name, operand));
  }
  const byTime = new Map<number, number[]>();
  for (const { points } of operand.series) {
    budget.take(points.size);
    for (const [atS, value] of points) {
      const values = byTime.get(atS);
      if (values) values.push(value);
      else byTime.set(atS, [value]);
    }
  }
  const members = operand.series.length;
  const periodS = Math.max(0, ...operand.series.map((series) => series.periodS));
  return seriesLike(
    { kind: "series", label: "", periodS, points: new Map() },
    [...byTime].map(([atS, values]) => [atS, AGGREGATES[name]?.(values, members) ?? Number.NaN] as const),
  );
}
