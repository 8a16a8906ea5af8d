/** Composite alarms: what their rules come to, in which order they are judged, and when their actions are held back. Pure. */
import type { CompositeAlarm, PutCompositeAlarmInput } from "@aws-sdk/client-cloudwatch";
import { validationError } from "../../../errors.ts";
import { actionsShape, checkActions, type AlarmCommon, type AlarmRecord } from "./alarm.ts";
import { alarmNameOf, parseRule, type AlarmRule } from "./rule.ts";
import type { AlarmState } from "./verdict.ts";

export interface CompositeRecord extends AlarmCommon {
  readonly type: "composite";
  /** As it was put, without tags. */
  readonly settings: Omit<PutCompositeAlarmInput, "Tags">;
}

type AlarmLookUp = (name: string) => AlarmRecord | CompositeRecord | undefined;

/** Throws ValidationError in CloudWatch's words. */
export function checkComposite(input: PutCompositeAlarmInput, find: AlarmLookUp): void {
  const { children } = parseRule(input.AlarmRule ?? "");
  checkActions(input);
  const { ActionsSuppressor: suppressor, ActionsSuppressorWaitPeriod: wait } = input;
  const extension = input.ActionsSuppressorExtensionPeriod;
  if (
    (suppressor === undefined) !== (wait === undefined) ||
    (wait === undefined) !== (extension === undefined)
  )
    throw validationError(
      "ActionsSuppressor, ActionsSuppressorWaitPeriod and ActionsSuppressorExtensionPeriod must be specified together.",
    );
  if ((wait ?? 0) < 0 || (extension ?? 0) < 0)
    throw validationError("The periods of ActionsSuppressor must not be negative.");
  const needed = [...children, ...(suppressor === undefined ? [] : [alarmNameOf(suppressor)])];
  const missing = needed.filter((name) => !find(name));
  if (missing.length > 0)
    throw validationError(
      `Could not save the composite alarm as alarms [${missing.join(", ")}] in the alarm rule do not exist`,
    );
}

/** Of settings that are kept: they are looked at every few seconds, and never change. */
const rules = new WeakMap<CompositeRecord["settings"], AlarmRule>();

function ruleOf({ settings }: CompositeRecord): AlarmRule {
  let rule = rules.get(settings);
  if (!rule) rules.set(settings, (rule = parseRule(settings.AlarmRule ?? "")));
  return rule;
}

/** Names of the alarms that it looks at, its suppressor too. */
export function dependenciesOf(composite: CompositeRecord): ReadonlySet<string> {
  const { children } = ruleOf(composite);
  const { ActionsSuppressor: suppressor } = composite.settings;
  return suppressor === undefined ? children : new Set([...children, alarmNameOf(suppressor)]);
}

/** Each after those that it looks at. What is part of a circle, or looks at one, is left out: it is not judged. */
export function judgingOrder(composites: readonly CompositeRecord[]): CompositeRecord[] {
  const names = new Set(composites.map(({ name }) => name));
  const parents = new Map<string, CompositeRecord[]>();
  /** How many of those that each looks at are still to come. */
  const missing = new Map<string, number>();
  for (const composite of composites) {
    const children = [...dependenciesOf(composite)].filter((name) => names.has(name));
    missing.set(composite.name, children.length);
    for (const child of children) {
      const known = parents.get(child);
      if (known) known.push(composite);
      else parents.set(child, [composite]);
    }
  }
  const order = composites.filter(({ name }) => missing.get(name) === 0);
  for (const { name } of order) {
    for (const parent of parents.get(name) ?? []) {
      const left = (missing.get(parent.name) ?? 0) - 1;
      missing.set(parent.name, left);
      if (left === 0) order.push(parent);
    }
  }
  return order;
}

/** The state that the rule leads to. */
export function stateOfRule(composite: CompositeRecord, find: AlarmLookUp): AlarmState {
  return ruleOf(composite).holds((name) => find(name)?.state) ? "ALARM" : "OK";
}

/** Why it changed: the child that changed last. */
export function reasonOf(
  composite: CompositeRecord,
  find: AlarmLookUp,
  arnOf: (name: string) => string,
): { reason: string; reasonData: string } {
  const children = [...ruleOf(composite).children].flatMap((name) => find(name) ?? []);
  const [last] = children.toSorted((a, b) => b.stateMs - a.stateMs);
  if (!last) return { reason: "The alarm rule does not look at any alarm", reasonData: "" };
  const timestamp = new Date(last.stateMs).toISOString();
  const triggering = { arn: arnOf(last.name), state: { value: last.state, timestamp } };
  return {
    reason: `${arnOf(last.name)} transitioned to ${last.state} at ${new Date(last.stateMs).toUTCString()}`,
    reasonData: JSON.stringify({ triggeringAlarms: [triggering] }),
  };
}

export type SuppressedBy = "Alarm" | "WaitPeriod" | "ExtensionPeriod";

/**
 * What holds back the actions of a composite alarm now: its suppressor is in ALARM, may still come to be (wait period), or
 * was a short while ago (extension period).
 */
export function suppressionOf(
  { settings, stateMs }: CompositeRecord,
  find: AlarmLookUp,
  nowMs: number,
): SuppressedBy | undefined {
  const { ActionsSuppressor, ActionsSuppressorWaitPeriod: waitS = 0 } = settings;
  if (ActionsSuppressor === undefined) return undefined;
  const suppressor = find(alarmNameOf(ActionsSuppressor));
  if (!suppressor) return undefined;
  if (suppressor.state === "ALARM") return "Alarm";
  const leftMs = suppressor.leftAlarmMs;
  const extensionMs = (settings.ActionsSuppressorExtensionPeriod ?? 0) * 1000;
  if (leftMs !== undefined && leftMs >= stateMs)
    return nowMs < leftMs + extensionMs ? "ExtensionPeriod" : undefined;
  if (leftMs !== undefined && nowMs < leftMs + extensionMs) return "ExtensionPeriod";
  return nowMs < stateMs + waitS * 1000 ? "WaitPeriod" : undefined;
}

export function compositeShape(
  composite: CompositeRecord,
  arn: string,
  suppressedBy: SuppressedBy | undefined,
): CompositeAlarm {
  return {
    ...composite.settings,
    ...actionsShape(composite, arn),
    ...(suppressedBy &&
      composite.pending && {
        ActionsSuppressedBy: suppressedBy,
        ActionsSuppressedReason: `Actions suppressed by ${suppressedBy}`,
      }),
  };
}
