/**
 * For how long environments waited until they were needed again: a histogram of idle times. Bins are log-spaced, three to an
 * octave from an eighth of a second to two days, so that both a compressed test and a nightly job have a shape; and each bin
 * knows the least and the greatest of what fell into it, so that a timer is told to the second although its bin is wide.
 * Counts are halved when they have become many: what was true last week fades. About 750 bytes.
 */

const BIN_BASE_MS = 125;
export const BINS_PER_OCTAVE = 3;
export const BIN_COUNT = 63;
/** The greatest total before counts are halved: enough for a 99th percentile. */
const TOTAL_MAX = 256;
/** A bin whose count has faded below it is empty. */
const COUNT_MIN = 0.2;

/** Where bin `index` begins, in milliseconds; that of BIN_COUNT is the horizon. */
export function binStartMs(index: number): number {
  return index === 0 ? 0 : BIN_BASE_MS * 2 ** ((index - 1) / BINS_PER_OCTAVE);
}

/** About two days: nobody waits for longer. */
export const HORIZON_MS = binStartMs(BIN_COUNT);

export class IdleHistory {
  /** Recorded times by bin; what is beyond the horizon is in the last. */
  readonly counts = new Float32Array(BIN_COUNT + 1);
  readonly #leastMs = new Float32Array(BIN_COUNT);
  readonly #greatestMs = new Float32Array(BIN_COUNT);
  #total = 0;
  #sumMs = 0;

  get total(): number {
    return this.#total;
  }

  /** Times beyond the horizon count as the horizon. NaN of nothing. */
  get meanMs(): number {
    return this.#sumMs / this.#total;
  }

  record(idleMs: number): void {
    if (this.#total >= TOTAL_MAX) this.#fade();
    this.#total += 1;
    this.#sumMs += Math.min(idleMs, HORIZON_MS);
    const bin = binOf(idleMs);
    const before = this.counts[bin] ?? 0;
    this.counts[bin] = before + 1;
    if (bin === BIN_COUNT) return;
    this.#leastMs[bin] = before > 0 ? Math.min(this.#leastMs[bin] ?? idleMs, idleMs) : idleMs;
    this.#greatestMs[bin] = before > 0 ? Math.max(this.#greatestMs[bin] ?? idleMs, idleMs) : idleMs;
  }

  /** The least and the greatest time of a bin that is not empty. */
  extent(bin: number): { readonly leastMs: number; readonly greatestMs: number } {
    return { leastMs: this.#leastMs[bin] ?? 0, greatestMs: this.#greatestMs[bin] ?? 0 };
  }

  #fade(): void {
    this.#total = 0;
    for (const [bin, count] of this.counts.entries()) {
      const faded = count / 2 < COUNT_MIN ? 0 : count / 2;
      this.counts[bin] = faded;
      this.#total += faded;
      if (faded === 0 || bin === BIN_COUNT) continue;
      // An outlier fades, too; should it have been none, the next one tells.
      const { leastMs, greatestMs } = this.extent(bin);
      const quarterMs = (greatestMs - leastMs) / 4;
      this.#leastMs[bin] = leastMs + quarterMs;
      this.#greatestMs[bin] = greatestMs - quarterMs;
    }
    this.#sumMs /= 2;
  }
}

/** The bin of an idle time; BIN_COUNT beyond the horizon. */
export function binOf(idleMs: number): number {
  if (idleMs < BIN_BASE_MS) return 0;
  return Math.min(BIN_COUNT, 1 + Math.floor(Math.log2(idleMs / BIN_BASE_MS) * BINS_PER_OCTAVE));
}
