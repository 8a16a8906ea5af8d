/** An alarm as it is kept, and as the API shows it. */
import type { AlarmHistoryItem, MetricAlarm, PutMetricAlarmInput } from "@aws-sdk/client-cloudwatch";
import { validationError } from "../../../errors.ts";
import { sortedDimensions } from "../metrics/series.ts";
import { parseStatistic } from "../metrics/statistic.ts";
import { checkPeriod } from "../metrics/time-grid.ts";
import type { MetricQuery } from "../queries/queries.ts";
import { COMPARISONS, type AlarmState, type MissingData } from "./verdict.ts";

export interface AlarmRecord {
  readonly name: string;
  /** As it was put, without tags. */
  readonly settings: Omit<PutMetricAlarmInput, "Tags">;
  readonly tags: Readonly<Record<string, string>>;
  readonly updatedMs: number;
  readonly state: AlarmState;
  readonly reason: string;
  readonly reasonData: string;
  readonly stateMs: number;
  /** Actions of this change of state that may not have been performed yet. */
  readonly pending?: { readonly previous: PreviousState };
}

export interface PreviousState {
  readonly state: AlarmState;
  readonly reason: string;
  readonly reasonData: string;
  readonly stateMs: number;
}

/** The last ones of an alarm, oldest first. */
export type HistoryRecord = readonly (Omit<AlarmHistoryItem, "Timestamp"> & { readonly atMs: number })[];

/** Actions for one state [api: PutMetricAlarm]. */
const ACTIONS_MAX = 5;
const MISSING: readonly string[] = ["missing", "ignore", "breaching", "notBreaching"] satisfies MissingData[];
const DAY_S = 86_400;

/** Throws ValidationError in CloudWatch's words. */
export function checkAlarm(input: PutMetricAlarmInput): void {
  const { EvaluationPeriods: n = 0, DatapointsToAlarm: m = n, Period: periodS = 0 } = input;
  if (input.Metrics || input.ThresholdMetricId !== undefined)
    throw validationError("Alarms on metric math expressions are not supported: name one metric.");
  if (input.MetricName === undefined || input.Namespace === undefined || input.Period === undefined)
    throw validationError("The parameters MetricName, Namespace and Period must be specified.");
  if ((input.Statistic === undefined) === (input.ExtendedStatistic === undefined))
    throw validationError("Exactly one of Statistic and ExtendedStatistic must be specified.");
  if (parseStatistic(input.Statistic ?? input.ExtendedStatistic ?? "") === undefined)
    throw validationError(
      `The value ${input.ExtendedStatistic} for parameter ExtendedStatistic is not supported.`,
    );
  checkPeriod(periodS);
  if (n < 1) throw validationError("The parameter EvaluationPeriods must be greater than 0.");
  if (m > n) throw validationError("DatapointsToAlarm must be less than or equal to EvaluationPeriods.");
  if (n * periodS > (periodS >= 3600 ? 7 : 1) * DAY_S)
    throw validationError(
      "Metrics cannot be checked across more than a day (EvaluationPeriods * Period must be <= 86400).",
    );
  if (input.Threshold === undefined) throw validationError("The parameter Threshold must be specified.");
  if (!Object.hasOwn(COMPARISONS, input.ComparisonOperator ?? ""))
    throw validationError(`The comparison ${input.ComparisonOperator} is not supported.`);
  if (!MISSING.includes(input.TreatMissingData ?? "missing"))
    throw validationError(
      `The value ${input.TreatMissingData} for parameter TreatMissingData is not supported.`,
    );
  for (const actions of [input.OKActions, input.AlarmActions, input.InsufficientDataActions])
    if ((actions?.length ?? 0) > ACTIONS_MAX)
      throw validationError(`An alarm can have at most ${ACTIONS_MAX} actions for a state.`);
}

export function queryOf({ settings }: AlarmRecord): MetricQuery {
  const statistic = settings.Statistic ?? settings.ExtendedStatistic ?? "Average";
  return {
    id: "m1",
    metric: {
      namespace: settings.Namespace ?? "",
      name: settings.MetricName ?? "",
      dimensions: sortedDimensions(settings.Dimensions),
    },
    periodS: settings.Period ?? 60,
    statistic,
    statisticOf: parseStatistic(statistic) ?? (() => undefined),
    unit: settings.Unit,
    label: undefined,
    isReturned: true,
  };
}

export function alarmShape(alarm: AlarmRecord, arn: string): MetricAlarm {
  const { settings } = alarm;
  return {
    ...settings,
    AlarmArn: arn,
    AlarmConfigurationUpdatedTimestamp: new Date(alarm.updatedMs),
    ActionsEnabled: settings.ActionsEnabled ?? true,
    OKActions: settings.OKActions ?? [],
    AlarmActions: settings.AlarmActions ?? [],
    InsufficientDataActions: settings.InsufficientDataActions ?? [],
    Dimensions: settings.Dimensions ?? [],
    StateValue: alarm.state,
    StateReason: alarm.reason,
    StateReasonData: alarm.reasonData,
    StateUpdatedTimestamp: new Date(alarm.stateMs),
    StateTransitionedTimestamp: new Date(alarm.stateMs),
  };
}

export function actionsOf({ settings, state }: AlarmRecord): readonly string[] {
  if (settings.ActionsEnabled === false) return [];
  const { OKActions = [], AlarmActions = [], InsufficientDataActions = [] } = settings;
  return { OK: OKActions, ALARM: AlarmActions, INSUFFICIENT_DATA: InsufficientDataActions }[state];
}
