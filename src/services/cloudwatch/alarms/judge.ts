/** Judges one metric alarm: reads what it looks at, and says what state that means, in CloudWatch's words. */
import type { MetricStore } from "../metrics/metric-store.ts";
import { runQueries } from "../queries/run.ts";
import type { AlarmRecord, Watch } from "./alarm.ts";
import { COMPARISONS, EXTRA_PERIODS, judge, type AlarmState, type MissingData } from "./verdict.ts";

export interface Judgement {
  readonly state: AlarmState;
  readonly reason: string;
  readonly reasonData: string;
}

/** Undefined: the state stays. `endS`: the end of the last period that counts. */
export async function judgeMetricAlarm(
  { settings }: AlarmRecord,
  { queries, periodS, statistic }: Watch,
  endS: number,
  context: { metrics: MetricStore; nowMs: number; region: string; accountId: string },
): Promise<Judgement | undefined> {
  const n = settings.EvaluationPeriods ?? 1;
  const startS = endS - (n + EXTRA_PERIODS) * periodS;
  const grid = (ownPeriodS: number) => ({ startS, endS, periodS: ownPeriodS });
  const { results } = await runQueries(queries, { ...context, grid });
  const recent: (number | undefined)[] = [];
  for (let atS = startS; atS < endS; atS += periodS) recent.push(results[0]?.points.get(atS));
  const threshold = settings.Threshold ?? 0;
  const compare = COMPARISONS[settings.ComparisonOperator ?? ""];
  const verdict = judge(recent, {
    n,
    m: settings.DatapointsToAlarm ?? n,
    breaches: (value) => compare?.(value, threshold) ?? false,
    missing: (settings.TreatMissingData ?? "missing") as MissingData,
  });
  if (verdict.state === undefined) return undefined;
  const reason =
    verdict.judged.length === 0
      ? `Insufficient Data: ${n} datapoints were unknown.`
      : `Threshold Crossed: ${verdict.breaching} out of the last ${verdict.judged.length} datapoints [${verdict.judged.join(", ")}] ` +
        `${verdict.breaching === 1 ? "was" : "were"} breaching the threshold (${threshold}, ${settings.ComparisonOperator}).`;
  const data = {
    version: "1.0",
    startDate: new Date(startS * 1000).toISOString(),
    ...(statistic !== undefined && { statistic }),
    period: periodS,
    recentDatapoints: verdict.judged,
    threshold,
  };
  return { state: verdict.state, reason, reasonData: JSON.stringify(data) };
}
