/** Alarms on metrics and on other alarms, their history and tags. */
import type {
  DescribeAlarmHistoryInput,
  DescribeAlarmHistoryOutput,
  DescribeAlarmsInput,
  DescribeAlarmsOutput,
  ListTagsForResourceInput,
  PutCompositeAlarmInput,
  PutMetricAlarmInput,
  SetAlarmStateInput,
  Tag,
  TagResourceInput,
  UntagResourceInput,
} from "@aws-sdk/client-cloudwatch";
import { invalidParameterValue, validationError } from "../../../errors.ts";
import { TAGS_MAX } from "../../../limits.ts";
import type { OperationHandler } from "../../../wire/service.ts";
import type { Alarm, AlarmBook } from "../alarms/alarm-book.ts";
import { alarmShape, checkAlarm } from "../alarms/alarm.ts";
import { checkComposite, compositeShape, dependenciesOf } from "../alarms/composite.ts";
import { alarmNotFound, invalidFormat, invalidNextToken, resourceNotFound } from "../errors.ts";
import { decodeToken, encodeToken } from "../tokens.ts";

const PAGE_DEFAULT = 50;
const HISTORY_PAGE_DEFAULT = 100;

export function alarmOperations(book: AlarmBook): Record<string, OperationHandler> {
  return {
    PutMetricAlarm: async ({ Tags, ...settings }: PutMetricAlarmInput) => {
      checkAlarm(settings);
      refuseOtherType(book, settings.AlarmName, undefined);
      await book.put({ settings }, tagRecord(Tags));
      return {};
    },
    PutCompositeAlarm: async ({ Tags, ...settings }: PutCompositeAlarmInput) => {
      checkComposite(settings, book.alarm);
      refuseOtherType(book, settings.AlarmName, "composite");
      await book.put({ type: "composite", settings }, tagRecord(Tags));
      void book.look();
      return {};
    },
    DescribeAlarms: (input: DescribeAlarmsInput) => describeAlarms(book, input),
    DescribeAlarmHistory: (input: DescribeAlarmHistoryInput) => describeHistory(book, input),
    DeleteAlarms: async ({ AlarmNames: names = [] }: { AlarmNames?: string[] }) => {
      const missing = names.filter((name) => !book.alarm(name));
      if (missing.length > 0) throw alarmNotFound(`Alarms not found: ${missing.join(", ")}`);
      checkDeletion(book, names);
      await book.delete(names);
      return {};
    },
    SetAlarmState: (input: SetAlarmStateInput) => setState(book, input),
    EnableAlarmActions: ({ AlarmNames: names = [] }: { AlarmNames?: string[] }) => enable(book, names, true),
    DisableAlarmActions: ({ AlarmNames: names = [] }: { AlarmNames?: string[] }) =>
      enable(book, names, false),
    TagResource: async ({ ResourceARN, Tags }: TagResourceInput) => {
      await book.update([byArn(book, ResourceARN).name], (current) => {
        const tags = { ...current.tags, ...tagRecord(Tags) };
        if (Object.keys(tags).length > TAGS_MAX)
          throw invalidParameterValue(`A resource can have at most ${TAGS_MAX} tags.`);
        return { ...current, tags };
      });
      return {};
    },
    UntagResource: async ({ ResourceARN, TagKeys: keys = [] }: UntagResourceInput) => {
      await book.update([byArn(book, ResourceARN).name], (current) => {
        const left = Object.entries(current.tags).filter(([key]) => !keys.includes(key));
        return { ...current, tags: Object.fromEntries(left) };
      });
      return {};
    },
    ListTagsForResource: ({ ResourceARN }: ListTagsForResourceInput) => ({
      Tags: Object.entries(byArn(book, ResourceARN).tags).map(([Key, Value]) => ({ Key, Value })),
    }),
  };
}

function tagRecord(tags: readonly Tag[] | undefined): Record<string, string> {
  return Object.fromEntries((tags ?? []).map(({ Key = "", Value = "" }) => [Key, Value]));
}

/** Names are shared by both types. */
function refuseOtherType(book: AlarmBook, name = "", type: "composite" | undefined): void {
  const known = book.alarm(name);
  if (known && known.type !== type)
    throw validationError(`The alarm name ${name} is already used by an alarm of another type.`);
}

/** Throws ValidationError: a composite alarm keeps those that it looks at, and goes alone. */
function checkDeletion(book: AlarmBook, names: readonly string[]): void {
  if (names.filter((name) => book.alarm(name)?.type === "composite").length > 1)
    throw validationError("Only one composite alarm can be deleted in one operation.");
  for (const name of names) {
    if (book.parentsOf(name).some((parent) => !names.includes(parent.name)))
      throw validationError(`Alarm ${name} cannot be deleted as there are composite alarms depending on it.`);
  }
}

function byArn(book: AlarmBook, arn: string | undefined): Alarm {
  const found = book.alarms().find(({ name }) => book.arn(name) === arn);
  if (!found) throw resourceNotFound(`Unknown resource: ${arn}`);
  return found;
}

function describeAlarms(book: AlarmBook, input: DescribeAlarmsInput): DescribeAlarmsOutput {
  const { AlarmNames: names, AlarmNamePrefix: prefix = "", StateValue: state, ActionPrefix: action } = input;
  const found = kindred(book, input).filter(
    ({ name, settings, state: current }) =>
      (names === undefined || names.includes(name)) &&
      name.startsWith(prefix) &&
      (state === undefined || state === current) &&
      (action === undefined || (settings.AlarmActions ?? []).some((arn) => arn.startsWith(action))),
  );
  const { page, nextToken } = pageOf(found, input, PAGE_DEFAULT, ({ name }) => name);
  return {
    MetricAlarms: page.flatMap((alarm) =>
      alarm.type === "composite" ? [] : [alarmShape(alarm, book.arn(alarm.name))],
    ),
    CompositeAlarms: page.flatMap((alarm) =>
      alarm.type === "composite"
        ? [compositeShape(alarm, book.arn(alarm.name), book.suppressionOf(alarm))]
        : [],
    ),
    ...(nextToken !== undefined && { NextToken: nextToken }),
  };
}

/** Children or parents of the alarm that is named; otherwise those of the types that are asked for, metric alarms when none are. */
function kindred(book: AlarmBook, input: DescribeAlarmsInput): Alarm[] {
  const {
    ChildrenOfAlarmName: parent,
    ParentsOfAlarmName: child,
    AlarmTypes: types = ["MetricAlarm"],
  } = input;
  if (child !== undefined) return book.parentsOf(child);
  if (parent !== undefined) {
    const composite = book.alarm(parent);
    if (composite?.type !== "composite") return [];
    const wanted = dependenciesOf(composite);
    return book.alarms().filter(({ name }) => wanted.has(name));
  }
  return book
    .alarms()
    .filter(({ type }) => types.includes(type === "composite" ? "CompositeAlarm" : "MetricAlarm"));
}

async function describeHistory(
  book: AlarmBook,
  input: DescribeAlarmHistoryInput,
): Promise<DescribeAlarmHistoryOutput> {
  const names = input.AlarmName === undefined ? book.alarms().map(({ name }) => name) : [input.AlarmName];
  const lines = (await Promise.all(names.map((name) => book.history(name)))).flat();
  const fromMs = input.StartDate?.getTime() ?? -Infinity;
  const toMs = input.EndDate?.getTime() ?? Infinity;
  const direction = input.ScanBy === "TimestampAscending" ? 1 : -1;
  const found = lines
    .filter(
      ({ atMs, HistoryItemType }) =>
        atMs >= fromMs &&
        atMs <= toMs &&
        (input.HistoryItemType === undefined || HistoryItemType === input.HistoryItemType),
    )
    .sort((a, b) => direction * (a.atMs - b.atMs))
    .map(({ atMs, ...line }) => ({ ...line, Timestamp: new Date(atMs) }));
  const offset = input.NextToken === undefined ? 0 : Number(decodeToken(input.NextToken, 1)[0]);
  if (!Number.isSafeInteger(offset) || offset < 0) throw invalidNextToken();
  const end = offset + (input.MaxRecords ?? HISTORY_PAGE_DEFAULT);
  return {
    AlarmHistoryItems: found.slice(offset, end),
    ...(end < found.length && { NextToken: encodeToken([`${end}`]) }),
  };
}

function pageOf<T>(
  found: readonly T[],
  input: { MaxRecords?: number | undefined; NextToken?: string | undefined },
  defaultSize: number,
  keyOf: (item: T) => string,
): { page: readonly T[]; nextToken: string | undefined } {
  const after = input.NextToken === undefined ? undefined : decodeToken(input.NextToken, 1)[0];
  const rest = after === undefined ? found : found.filter((item) => keyOf(item) > after);
  const page = rest.slice(0, input.MaxRecords ?? defaultSize);
  const last = page.at(-1);
  return {
    page,
    nextToken: last !== undefined && rest.length > page.length ? encodeToken([keyOf(last)]) : undefined,
  };
}

async function setState(book: AlarmBook, input: SetAlarmStateInput): Promise<object> {
  const {
    AlarmName: name = "",
    StateValue: state = "OK",
    StateReason: reason = "",
    StateReasonData: data = "",
  } = input;
  if (!book.alarm(name)) throw alarmNotFound("Unknown alarm");
  if (data !== "") {
    try {
      JSON.parse(data);
    } catch {
      throw invalidFormat("StateReasonData is not valid JSON");
    }
  }
  await book.setState(name, state, reason, data);
  void book.look();
  return {};
}

async function enable(book: AlarmBook, names: readonly string[], isEnabled: boolean): Promise<object> {
  await book.update(names, (alarm) =>
    alarm.type === "composite"
      ? { ...alarm, settings: { ...alarm.settings, ActionsEnabled: isEnabled } }
      : { ...alarm, settings: { ...alarm.settings, ActionsEnabled: isEnabled } },
  );
  return {};
}
