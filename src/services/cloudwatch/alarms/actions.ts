/** What alarms do: a port by the service of the action's ARN, and the message that it is given. */
import { parseArn } from "../../../kernel/arn.ts";
import { watchOf, type AlarmRecord, type PreviousState } from "./alarm.ts";
import type { CompositeRecord } from "./composite.ts";

/** Resolves when the target has taken the message; rejects when it has not. `message` is JSON. */
export type AlarmAction = (targetArn: string, message: string, alarmArn: string) => Promise<void>;

export class AlarmActions {
  readonly #actions = new Map<string, AlarmAction>();

  /** `service` as in the third part of an ARN: `lambda`, `sns`. */
  register(service: string, action: AlarmAction): void {
    this.#actions.set(service, action);
  }

  async perform(targetArn: string, message: string, alarmArn: string): Promise<void> {
    const action = this.#actions.get(parseArn(targetArn)?.service ?? "");
    if (!action) throw new Error(`nothing here serves ${targetArn}`);
    await action(targetArn, message, alarmArn);
  }
}

/** As CloudWatch writes times for actions: `2026-11-23T22:00:00.000+0000`. */
const timeText = (atMs: number) => new Date(atMs).toISOString().replace("Z", "+0000");

export function alarmMessage(
  alarm: AlarmRecord | CompositeRecord,
  previous: PreviousState,
  place: { arn: string; region: string; accountId: string },
): string {
  const state = ({ state: value, reason, reasonData, stateMs }: PreviousState) => ({
    value,
    reason,
    ...(reasonData === "" ? {} : { reasonData }),
    timestamp: timeText(stateMs),
  });
  return JSON.stringify({
    source: "aws.cloudwatch",
    alarmArn: place.arn,
    accountId: place.accountId,
    time: timeText(alarm.stateMs),
    region: place.region,
    alarmData: {
      alarmName: alarm.name,
      state: state(alarm),
      previousState: state(previous),
      configuration: {
        ...(alarm.settings.AlarmDescription === undefined
          ? {}
          : { description: alarm.settings.AlarmDescription }),
        ...(alarm.type === "composite"
          ? {
              alarmRule: alarm.settings.AlarmRule,
              ...(alarm.settings.ActionsSuppressor !== undefined && {
                actionsSuppressor: alarm.settings.ActionsSuppressor,
              }),
            }
          : { metrics: metricsOf(alarm) }),
      },
    },
  });
}

/** As CloudWatch's events tell what an alarm looks at. */
function metricsOf({ settings }: AlarmRecord): object[] {
  const expressions = new Map(
    (settings.Metrics ?? []).map(({ Id, Expression }) => [Id, Expression] as const),
  );
  return watchOf(settings).queries.map((query) => {
    const { id, label, isReturned: returnData } = query;
    const common = { id, ...(label !== undefined && { label }), returnData };
    if (query.kind === "expression") return { ...common, expression: expressions.get(id) };
    const { metric, periodS, statistic, unit } = query;
    return {
      ...common,
      metricStat: {
        metric: {
          namespace: metric.namespace,
          name: metric.name,
          dimensions: Object.fromEntries(metric.dimensions),
        },
        period: periodS,
        stat: statistic,
        ...(unit === undefined ? {} : { unit }),
      },
    };
  });
}
