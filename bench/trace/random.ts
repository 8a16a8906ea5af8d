/** Seeded random numbers of the distributions that traces are made of. */

export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 0;
  }

  /** In [0, 1): mulberry32. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** Evenly from `min` to `max`. */
  between(min: number, max: number): number {
    return min + this.next() * (max - min);
  }

  exponential(mean: number): number {
    return -mean * Math.log(1 - this.next());
  }

  /** Mean 0, deviation 1: Box and Muller. */
  normal(): number {
    return Math.sqrt(-2 * Math.log(1 - this.next())) * Math.cos(2 * Math.PI * this.next());
  }

  logNormal(median: number, sigma: number): number {
    return median * Math.exp(sigma * this.normal());
  }

  /** Burr XII: the inverse of 1 − (1 + (x/scale)^c)^−k. */
  burr(c: number, k: number, scale: number): number {
    return scale * ((1 - this.next()) ** (-1 / k) - 1) ** (1 / c);
  }

  pick<T>(items: readonly [T, ...T[]]): T {
    return items[Math.floor(this.next() * items.length)] ?? items[0];
  }
}
