/** What an alarm's state is, from its latest datapoints: M out of N, and what missing ones count as. Pure. */

export type AlarmState = "OK" | "ALARM" | "INSUFFICIENT_DATA";
export type MissingData = "missing" | "ignore" | "breaching" | "notBreaching";

export const COMPARISONS: Readonly<Record<string, (value: number, threshold: number) => boolean>> = {
  GreaterThanThreshold: (value, threshold) => value > threshold,
  GreaterThanOrEqualToThreshold: (value, threshold) => value >= threshold,
  LessThanThreshold: (value, threshold) => value < threshold,
  LessThanOrEqualToThreshold: (value, threshold) => value <= threshold,
};

/** Periods that are looked at beyond N, for datapoints in place of missing ones. */
export const EXTRA_PERIODS = 2;

export interface Verdict {
  /** Undefined: the state stays as it is. */
  readonly state: AlarmState | undefined;
  /** Those that were judged, oldest first. */
  readonly judged: readonly number[];
  readonly breaching: number;
}

/**
 * `recent` are the last N + EXTRA_PERIODS periods, oldest first, undefined where there is no datapoint. When N are there, the
 * latest N decide; otherwise what is there and, as `missing` says, what is not.
 */
export function judge(
  recent: readonly (number | undefined)[],
  rule: { n: number; m: number; breaches: (value: number) => boolean; missing: MissingData },
): Verdict {
  const { n, m, breaches, missing } = rule;
  const judged = recent.filter((value) => value !== undefined).slice(-n);
  const breaching = judged.filter((value) => breaches(value)).length;
  const absent = n - judged.length;
  const verdict = (state: AlarmState | undefined): Verdict => ({ state, judged, breaching });
  const alarmIf = (isAlarm: boolean) => verdict(isAlarm ? "ALARM" : "OK");
  if (absent === 0 || missing === "notBreaching") return alarmIf(breaching >= m);
  if (missing === "breaching") return alarmIf(breaching + absent >= m);
  if (missing === "ignore") {
    if (breaching >= m) return verdict("ALARM");
    return verdict(breaching + absent >= m ? undefined : "OK");
  }
  if (judged.length === 0) return verdict("INSUFFICIENT_DATA");
  return alarmIf(breaching >= Math.min(m, judged.length));
}
