/** The periods of a request: where they begin, how long they are. */
import { validationError, type AwsError } from "../../../errors.ts";
import { DAY_MS } from "../limits.ts";

export interface Grid {
  readonly startS: number;
  /** The second after the last one. */
  readonly endS: number;
  readonly periodS: number;
}

const FINE_PERIODS_S: readonly number[] = [1, 5, 10, 20, 30];

/** What an operation calls a wrong parameter: GetMetricStatistics InvalidParameterValue, those that came later ValidationError. */
type Refusal = (message: string) => AwsError;

/** Throws the refusal: a period is 1, 5, 10, 20, 30 or a multiple of 60 seconds. */
export function checkPeriod(periodS: number, path = "Period", refusal: Refusal = validationError): void {
  if (!FINE_PERIODS_S.includes(periodS) && (periodS <= 0 || periodS % 60 !== 0))
    throw refusal(`The parameter ${path} must be a value of 1, 5, 10, 20, 30 or a multiple of 60.`);
}

/**
 * The start is rounded down as AWS does it: to the minute, for older data to five minutes or an hour, for short periods to
 * the period. Throws the refusal when the end is not after the start.
 */
export function gridOf(
  times: { StartTime: Date | undefined; EndTime: Date | undefined },
  periodS: number,
  nowMs: number,
  refusal: Refusal = validationError,
): Grid {
  const startMs = times.StartTime?.getTime() ?? NaN;
  const endMs = times.EndTime?.getTime() ?? NaN;
  if (endMs === startMs) throw refusal("The parameter StartTime must not equal parameter EndTime.");
  if (!(endMs > startMs)) throw refusal("The parameter StartTime must be less than the parameter EndTime.");
  const ageMs = nowMs - startMs;
  const stepS = periodS < 60 ? periodS : ageMs > 63 * DAY_MS ? 3600 : ageMs > 15 * DAY_MS ? 300 : 60;
  const startS = Math.floor(startMs / 1000 / stepS) * stepS;
  return { startS: Math.max(0, startS), endS: Math.ceil(endMs / 1000), periodS };
}
