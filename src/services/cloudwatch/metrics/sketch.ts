/**
 * A distribution of values that are not negative, for percentiles: counts in logarithmic bins (as in DDSketch). Any
 * quantile comes out within RELATIVE_ERROR of a value that has that rank, and sketches merge without any further loss.
 *
 * Bounded: BINS_MAX bins cover five decades and more (each decade takes 115); when there are more, the lowest are made one,
 * so that low quantiles of a wilder distribution lose their accuracy first.
 */
export const RELATIVE_ERROR = 0.01;
export const BINS_MAX = 1024;
/** So many are made one at a time: sorting for each would cost a wild series milliseconds a value. */
const COLLAPSED_AT_ONCE = 256;
const GAMMA = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR);
const LOG_GAMMA = Math.log(GAMMA);

/** `[zeroes, index, count, step to the next index, count, …]` */
export type EncodedSketch = readonly number[];

export class Sketch {
  #zeroes = 0;
  /** Counts by index: bin i holds (γ^(i-1), γ^i]. */
  readonly #bins = new Map<number, number>();

  /** `value` is finite and not negative, `weight` positive. */
  add(value: number, weight = 1): void {
    if (value === 0) this.#zeroes += weight;
    else this.#addToBin(Math.ceil(Math.log(value) / LOG_GAMMA), weight);
  }

  merge(other: Sketch): void {
    this.#zeroes += other.#zeroes;
    for (const [index, weight] of other.#bins) this.#addToBin(index, weight);
  }

  /** Values and their weights in ascending order; a bin's value is within RELATIVE_ERROR of all that it holds. */
  *entries(): Generator<readonly [value: number, weight: number]> {
    if (this.#zeroes > 0) yield [0, this.#zeroes];
    for (const index of this.#sorted())
      yield [(2 * GAMMA ** index) / (GAMMA + 1), this.#bins.get(index) ?? 0];
  }

  encode(): EncodedSketch {
    const encoded = [this.#zeroes];
    let before = 0;
    for (const index of this.#sorted()) {
      encoded.push(index - before, this.#bins.get(index) ?? 0);
      before = index;
    }
    return encoded;
  }

  static decode(encoded: EncodedSketch): Sketch {
    const sketch = new Sketch();
    sketch.#zeroes = encoded[0] ?? 0;
    let index = 0;
    for (let at = 1; at < encoded.length; at += 2) {
      index += encoded[at] ?? 0;
      sketch.#bins.set(index, encoded[at + 1] ?? 0);
    }
    return sketch;
  }

  get bins(): number {
    return this.#bins.size;
  }

  #addToBin(index: number, weight: number): void {
    this.#bins.set(index, (this.#bins.get(index) ?? 0) + weight);
    if (this.#bins.size > BINS_MAX) this.#collapse();
  }

  /** The lowest bins become one. */
  #collapse(): void {
    const lowest = this.#sorted().slice(0, COLLAPSED_AT_ONCE);
    const kept = lowest.at(-1) ?? 0;
    let weight = 0;
    for (const index of lowest) {
      weight += this.#bins.get(index) ?? 0;
      this.#bins.delete(index);
    }
    this.#bins.set(kept, weight);
  }

  #sorted(): number[] {
    return [...this.#bins.keys()].sort((a, b) => a - b);
  }
}
