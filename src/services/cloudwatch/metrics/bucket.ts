/** What is kept of the values of one series in one interval: count, sum, least, greatest and, where known, distribution. */
import { Sketch, type EncodedSketch } from "./sketch.ts";

/** `[count, sum, min, max]`, then the sketch; null when the distribution is not known; absent when all values are equal. */
export type EncodedBucket = readonly [number, number, number, number, (EncodedSketch | null)?];

export interface StatisticSet {
  readonly count: number;
  readonly sum: number;
  readonly min: number;
  readonly max: number;
}

export class Bucket {
  count = 0;
  sum = 0;
  min = Infinity;
  max = -Infinity;
  /** Once two values differ. */
  #sketch: Sketch | undefined;
  /** A statistic set or a negative value came in: there are no percentiles, as on AWS. */
  #isOpaque = false;

  /** `value` finite, `weight` positive. */
  add(value: number, weight = 1): void {
    if (value < 0) this.#hide();
    else if (!this.#isOpaque) {
      if (!this.#sketch && this.count > 0 && value !== this.min) this.#begin();
      this.#sketch?.add(value, weight);
    }
    this.#take(weight, value * weight, value, value);
  }

  addSet({ count, sum, min, max }: StatisticSet): void {
    if (min === max) return this.add(min, count);
    this.#hide();
    this.#take(count, sum, min, max);
  }

  merge(other: Bucket): void {
    if (other.count === 0) return;
    if (this.#isOpaque || other.#isOpaque || other.min < 0) this.#hide();
    else if (other.min !== other.max || (this.count > 0 && (this.min !== this.max || this.min !== other.min)))
      this.#mergeSketch(other);
    this.#take(other.count, other.sum, other.min, other.max);
  }

  /**
   * Values and weights in ascending order, the first and last bin kept within min and max; undefined when the distribution
   * is not known.
   */
  distribution(): (readonly [value: number, weight: number])[] | undefined {
    if (this.#isOpaque) return undefined;
    if (!this.#sketch) return this.count > 0 ? [[this.min, this.count]] : [];
    return [...this.#sketch.entries()].map(([value, weight]) => [
      Math.min(this.max, Math.max(this.min, value)),
      weight,
    ]);
  }

  encode(): EncodedBucket {
    const { count, sum, min, max } = this;
    if (this.#isOpaque) return [count, sum, min, max, null];
    return this.#sketch ? [count, sum, min, max, this.#sketch.encode()] : [count, sum, min, max];
  }

  static decode([count, sum, min, max, sketch]: EncodedBucket): Bucket {
    const bucket = new Bucket();
    bucket.#take(count, sum, min, max);
    if (sketch === null) bucket.#isOpaque = true;
    else if (sketch !== undefined) bucket.#sketch = Sketch.decode(sketch);
    return bucket;
  }

  #take(count: number, sum: number, min: number, max: number): void {
    this.count += count;
    this.sum += sum;
    if (min < this.min) this.min = min;
    if (max > this.max) this.max = max;
  }

  #hide(): void {
    this.#isOpaque = true;
    this.#sketch = undefined;
  }

  #begin(): Sketch {
    this.#sketch ??= new Sketch();
    if (this.count > 0) this.#sketch.add(this.min, this.count);
    return this.#sketch;
  }

  #mergeSketch(other: Bucket): void {
    const sketch = this.#sketch ?? this.#begin();
    if (other.#sketch) sketch.merge(other.#sketch);
    else sketch.add(other.min, other.count);
  }
}
