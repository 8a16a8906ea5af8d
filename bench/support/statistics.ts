/** What turns samples into figures: quantiles, and summaries of rounds that were interleaved with their floor. */

/** Of figures from several rounds. */
export interface Summary {
  readonly median: number;
  readonly min: number;
  readonly max: number;
  readonly count: number;
}

/** The value below which the share `q` (0–1) of ascending values lies, interpolated between neighbours. NaN of nothing. */
export function quantile(ascending: ArrayLike<number>, q: number): number {
  const last = ascending.length - 1;
  if (last < 0) return Number.NaN;
  const position = Math.min(1, Math.max(0, q)) * last;
  const below = ascending[Math.floor(position)] ?? Number.NaN;
  const above = ascending[Math.ceil(position)] ?? Number.NaN;
  return below + (above - below) * (position - Math.floor(position));
}

export function ascending(values: Iterable<number>): Float64Array {
  return Float64Array.from(values).sort();
}

export function median(values: Iterable<number>): number {
  return quantile(ascending(values), 0.5);
}

/** Throws on no values: a row without a measurement is a fault, not a figure. */
export function summarise(values: readonly number[]): Summary {
  if (values.length === 0) throw new Error("nothing was measured");
  const sorted = ascending(values);
  return {
    median: quantile(sorted, 0.5),
    min: quantile(sorted, 0),
    max: quantile(sorted, 1),
    count: values.length,
  };
}

/** Summary of `values[i] / floors[i]`: both of one round, so that what the machine did to one it did to the other. */
export function summariseRatios(values: readonly number[], floors: readonly number[]): Summary {
  if (values.length !== floors.length) throw new Error("a round lacks its floor");
  return summarise(values.map((value, round) => value / (floors[round] ?? Number.NaN)));
}

/** The 101 percentiles 0–100 of values in any order: enough to draw a distribution, small enough to keep. */
export function percentiles(values: Iterable<number>): number[] {
  const sorted = ascending(values);
  return Array.from({ length: 101 }, (_, percent) => quantile(sorted, percent / 100));
}

/**
 * Runs every subject once a round, in turns forwards and backwards (A B C, C B A, …), so that drift hits all alike. Ends
 * after `rounds`, or with the first whole round after `deadlineMs` (performance.now()); at least one round is run. The
 * answer has one list for each subject, in their order, with one result a round.
 */
export async function interleave<T>(
  { rounds, deadlineMs }: { readonly rounds: number; readonly deadlineMs: number },
  subjects: readonly ((round: number) => Promise<T>)[],
): Promise<T[][]> {
  const results: T[][] = subjects.map(() => []);
  for (let round = 0; round < rounds; round += 1) {
    const order = subjects.map((_, index) => index);
    if (round % 2 === 1) order.reverse();
    for (const index of order) {
      const subject = subjects[index];
      if (subject) results[index]?.push(await subject(round));
    }
    if (performance.now() > deadlineMs) break;
  }
  return results;
}
