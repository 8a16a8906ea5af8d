/** What metric math works with: numbers, time series, arrays of time series. */
import { MathError } from "./syntax.ts";

export interface Series {
  readonly kind: "series";
  readonly label: string;
  readonly periodS: number;
  /** By the first second of a period; every value is finite. */
  readonly points: ReadonlyMap<number, number>;
  /** What a label may tell of it; undefined for what was calculated from several. */
  readonly properties?: Readonly<Record<string, string>>;
}

export interface Scalar {
  readonly kind: "scalar";
  /** NaN: there is none, as of the average of nothing. What is calculated with it has no data point. */
  readonly value: number;
}

export interface SeriesArray {
  readonly kind: "array";
  readonly series: readonly Series[];
}

export type Value = Scalar | Series | SeriesArray;

export const scalar = (value: number): Scalar => ({ kind: "scalar", value });

const TITLES = { scalar: "Scalar", series: "TimeSeries", array: "Array[TimeSeries]" } as const;

/** As AWS says that an operator or function does not take what it was given. */
export function unsupported(name: string, operands: readonly (Value | string)[]): MathError {
  const kinds = operands.map((operand) => (typeof operand === "string" ? "String" : TITLES[operand.kind]));
  return new MathError(`Unsupported operand type(s) for ${name}: '[${kinds.join(", ")}]'`);
}

/** Oldest first. */
export function ascending({ points }: Series): (readonly [atS: number, value: number])[] {
  return [...points].sort(([a], [b]) => a - b);
}

/** A series like `like`, of those of the points that are finite. */
export function seriesLike(like: Series, points: Iterable<readonly [atS: number, value: number]>): Series {
  const kept = new Map<number, number>();
  for (const [atS, value] of points) if (Number.isFinite(value)) kept.set(atS, value);
  return { ...like, points: kept };
}

export function valuesOf({ points }: Series): number[] {
  return [...points.values()];
}

/**
 * What one expression, and the others of its request, may cost: data points that are made or reckoned up. Without it, a short expression
 * could keep the server busy for minutes.
 */
export class Budget {
  #left: number;

  constructor(points: number) {
    this.#left = points;
  }

  /** Throws MathError when no more may be made. */
  take(points: number): void {
    this.#left -= points;
    if (this.#left < 0) throw new MathError("The request needs too many data points");
  }
}
