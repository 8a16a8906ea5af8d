/**
 * How many waiting sandboxes of one kind are enough: the sizing side of the pool, without sandboxes and without a clock.
 *
 * A pool is refilled only while nobody starts, so what has to be in stock is a burst: as many as were taken close together,
 * before a refill could have helped. The greatest such burst is remembered and forgotten by half-life. Constant memory;
 * a take costs a comparison and an increment.
 */
export interface PoolDemandOptions {
  /** In stock while the kind is in use and no burst is remembered; 0: none ever. */
  readonly sizeMin: number;
  /** Never more of this kind. */
  readonly sizeMax: number;
}

/** Takes that are closer together than this are one burst: a refill waits for quiet and makes one sandbox at a time. */
const BURST_MS = 1000;
/** After it, half of a burst is kept in stock; after twice as long, a quarter. */
const HALF_LIFE_MS = 60_000;
/** A kind nobody asked for during this time needs nothing in stock. */
const KIND_IDLE_MS = 15 * 60_000;

export class PoolDemand {
  readonly #options: PoolDemandOptions;
  /** The burst that goes on or was the last. */
  #burst = 0;
  #burstStartMs: number;
  /** The greatest burst before it, as it was worth at #peakMs. */
  #peak = 0;
  #peakMs: number;
  #lastTakenMs: number;

  /** All times are monotonic milliseconds. */
  constructor(options: PoolDemandOptions, nowMs: number) {
    this.#options = options;
    this.#burstStartMs = nowMs;
    this.#peakMs = nowMs;
    this.#lastTakenMs = nowMs;
  }

  /** One was taken, out of stock or not. */
  taken(nowMs: number): void {
    if (nowMs - this.#burstStartMs >= BURST_MS) {
      this.#peak = this.#peakAt(nowMs);
      this.#peakMs = nowMs;
      this.#burst = 0;
      this.#burstStartMs = nowMs;
    }
    this.#burst += 1;
    this.#lastTakenMs = nowMs;
  }

  isUsed(nowMs: number): boolean {
    return nowMs - this.#lastTakenMs <= KIND_IDLE_MS;
  }

  /** How many should wait. */
  target(nowMs: number): number {
    const { sizeMin, sizeMax } = this.#options;
    if (sizeMin === 0 || !this.isUsed(nowMs)) return 0;
    return Math.min(sizeMax, Math.max(sizeMin, Math.round(this.#peakAt(nowMs))));
  }

  #peakAt(nowMs: number): number {
    const worth = (size: number, sinceMs: number) =>
      size * 2 ** (-Math.max(0, nowMs - sinceMs) / HALF_LIFE_MS);
    return Math.max(worth(this.#peak, this.#peakMs), worth(this.#burst, this.#burstStartMs + BURST_MS));
  }
}
