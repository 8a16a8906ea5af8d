/** A metric alarm as it is kept, and as the API shows it. */
import type { AlarmHistoryItem, MetricAlarm, PutMetricAlarmInput } from "@aws-sdk/client-cloudwatch";
import { validationError } from "../../../errors.ts";
import { nodesOf } from "../math/syntax.ts";
import { sortedDimensions } from "../metrics/series.ts";
import { parseStatistic } from "../metrics/statistic.ts";
import { checkPeriod } from "../metrics/time-grid.ts";
import { parseQueries, type DataQuery } from "../queries/queries.ts";
import { periodOf, shapeOf } from "../queries/run.ts";
import { COMPARISONS, type AlarmState, type MissingData } from "./verdict.ts";

/** What metric alarms and composite alarms have. */
export interface AlarmCommon {
  readonly name: string;
  readonly tags: Readonly<Record<string, string>>;
  readonly updatedMs: number;
  readonly state: AlarmState;
  readonly reason: string;
  readonly reasonData: string;
  readonly stateMs: number;
  /** When it was in ALARM last; absent as long as it was never. */
  readonly leftAlarmMs?: number;
  /** Actions of this change of state that may not have been performed yet. */
  readonly pending?: { readonly previous: PreviousState };
}

export interface AlarmRecord extends AlarmCommon {
  /** Absent: composite alarms came later. */
  readonly type?: undefined;
  /** As it was put, without tags. */
  readonly settings: Omit<PutMetricAlarmInput, "Tags">;
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
/** Metrics and expressions of one alarm [api: PutMetricAlarm]. */
const QUERIES_MAX = 20;
const MISSING: readonly string[] = ["missing", "ignore", "breaching", "notBreaching"] satisfies MissingData[];
const DAY_S = 86_400;
/** They belong to the one metric of an alarm without expressions. */
const OF_ONE_METRIC = [
  "MetricName",
  "Namespace",
  "Dimensions",
  "Period",
  "Unit",
  "Statistic",
  "ExtendedStatistic",
] as const;

/** Throws ValidationError in CloudWatch's words. */
export function checkAlarm(input: PutMetricAlarmInput): void {
  const { EvaluationPeriods: n = 0, DatapointsToAlarm: m = n } = input;
  if (input.ThresholdMetricId !== undefined)
    throw validationError("Alarms on anomaly detection are not supported: specify a Threshold.");
  if (input.Metrics) checkMetrics(input);
  else checkOneMetric(input);
  const { periodS } = watchOf(input);
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
  checkActions(input);
}

function checkOneMetric(input: PutMetricAlarmInput): void {
  if (input.MetricName === undefined || input.Namespace === undefined || input.Period === undefined)
    throw validationError("The parameters MetricName, Namespace and Period must be specified.");
  if ((input.Statistic === undefined) === (input.ExtendedStatistic === undefined))
    throw validationError("Exactly one of Statistic and ExtendedStatistic must be specified.");
  if (parseStatistic(input.Statistic ?? input.ExtendedStatistic ?? "") === undefined)
    throw validationError(
      `The value ${input.ExtendedStatistic} for parameter ExtendedStatistic is not supported.`,
    );
  checkPeriod(input.Period);
}

/** One time series comes out. */
function checkMetrics(input: PutMetricAlarmInput): void {
  const given = OF_ONE_METRIC.find((member) => input[member] !== undefined);
  if (given !== undefined)
    throw validationError(`The parameters Metrics and ${given} are mutually exclusive.`);
  const queries = parseQueries(input.Metrics ?? [], "Metrics");
  if (queries.length === 0 || queries.length > QUERIES_MAX)
    throw validationError(`The collection Metrics must have between 1 and ${QUERIES_MAX} members.`);
  const [watched, ...others] = queries.filter(({ isReturned }) => isReturned);
  if (!watched || others.length > 0)
    throw validationError("Exactly one element of the metrics list should return data.");
  for (const query of queries) {
    if (query.kind !== "expression") continue;
    const calls = [...nodesOf(query.expression)].filter(({ kind }) => kind === "call");
    if (calls.some((call) => call.kind === "call" && call.name === "SEARCH"))
      throw validationError("SEARCH is not supported in alarms.");
  }
  if (shapeOf(queries, watched.id) !== "series")
    throw validationError(`The expression ${watched.id} must return a single time series.`);
}

/** Throws ValidationError for more actions than a state may have. */
export function checkActions(
  input: Pick<PutMetricAlarmInput, "OKActions" | "AlarmActions" | "InsufficientDataActions">,
): void {
  for (const actions of [input.OKActions, input.AlarmActions, input.InsufficientDataActions])
    if ((actions?.length ?? 0) > ACTIONS_MAX)
      throw validationError(`An alarm can have at most ${ACTIONS_MAX} actions for a state.`);
}

/** What an alarm looks at. */
export interface Watch {
  readonly queries: readonly DataQuery[];
  readonly periodS: number;
  /** Undefined: that of an expression. */
  readonly statistic: string | undefined;
}

/** Of settings that are kept: they are looked at every few seconds, and never change. */
const watches = new WeakMap<AlarmRecord["settings"], Watch>();

export function watchOf(settings: AlarmRecord["settings"]): Watch {
  let watch = watches.get(settings);
  if (!watch) watches.set(settings, (watch = newWatch(settings)));
  return watch;
}

function newWatch(settings: AlarmRecord["settings"]): Watch {
  if (settings.Metrics) {
    const queries = parseQueries(settings.Metrics, "Metrics");
    const watched = queries.find(({ isReturned }) => isReturned);
    return { queries, periodS: watched?.periodS ?? periodOf(queries), statistic: undefined };
  }
  const { Period: periodS = 60 } = settings;
  const statistic = settings.Statistic ?? settings.ExtendedStatistic ?? "Average";
  const query = {
    kind: "metric",
    id: "m1",
    metric: {
      namespace: settings.Namespace ?? "",
      name: settings.MetricName ?? "",
      dimensions: sortedDimensions(settings.Dimensions),
    },
    periodS,
    statistic,
    statisticOf: parseStatistic(statistic) ?? (() => undefined),
    unit: settings.Unit,
    label: undefined,
    isReturned: true,
  } as const;
  return { queries: [query], periodS, statistic };
}

export function alarmShape(alarm: AlarmRecord, arn: string): MetricAlarm {
  const { settings } = alarm;
  return { ...settings, ...actionsShape(alarm, arn), Dimensions: settings.Dimensions ?? [] };
}

/** What both kinds of alarms are shown with. */
export function actionsShape(
  alarm: AlarmCommon & { readonly settings: Actions & { readonly ActionsEnabled?: boolean | undefined } },
  arn: string,
) {
  const { settings } = alarm;
  return {
    AlarmArn: arn,
    AlarmConfigurationUpdatedTimestamp: new Date(alarm.updatedMs),
    ActionsEnabled: settings.ActionsEnabled ?? true,
    OKActions: settings.OKActions ?? [],
    AlarmActions: settings.AlarmActions ?? [],
    InsufficientDataActions: settings.InsufficientDataActions ?? [],
    StateValue: alarm.state,
    StateReason: alarm.reason,
    StateReasonData: alarm.reasonData,
    StateUpdatedTimestamp: new Date(alarm.stateMs),
    StateTransitionedTimestamp: new Date(alarm.stateMs),
  };
}

type Actions = Pick<PutMetricAlarmInput, "OKActions" | "AlarmActions" | "InsufficientDataActions">;

/** Actions of the state that it is in. */
export function actionsOf({
  settings,
  state,
}: Pick<AlarmCommon, "state"> & {
  readonly settings: Actions & { readonly ActionsEnabled?: boolean | undefined };
}): readonly string[] {
  if (settings.ActionsEnabled === false) return [];
  const { OKActions = [], AlarmActions = [], InsufficientDataActions = [] } = settings;
  return { OK: OKActions, ALARM: AlarmActions, INSUFFICIENT_DATA: InsufficientDataActions }[state];
}
