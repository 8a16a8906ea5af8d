/**
 * A token bucket as one number: the generic cell rate algorithm of ATM switches. What was taken is a debt that time pays
 * off; refilled continuously, never beyond full, exact at every moment, without a timer. The rate is told at each take, so
 * that it may change at any time.
 */
export interface Rate {
  /** One token comes back in so many milliseconds. */
  readonly intervalMs: number;
  /** Tokens of a full bucket, at least 1. */
  readonly burst: number;
}

/** Sums of intervals are rounded: without it, the last token of a full bucket could be missing. */
const ROUNDING = 1e-6;

export class RateLimit {
  /** Monotonic; from then on the bucket is full. */
  #fullAtMs = -Infinity;

  /** Takes one token; false when there is none. Constant time. */
  take(nowMs: number, { intervalMs, burst }: Rate): boolean {
    const fromMs = this.#fullAtMs > nowMs ? this.#fullAtMs : nowMs;
    if (fromMs - nowMs > (burst - 1 + ROUNDING) * intervalMs) return false;
    this.#fullAtMs = fromMs + intervalMs;
    return true;
  }
}
