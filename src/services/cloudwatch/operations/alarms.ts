/** Alarms on metrics, their history and tags. */
import type {
  DescribeAlarmHistoryInput,
  DescribeAlarmHistoryOutput,
  DescribeAlarmsInput,
  DescribeAlarmsOutput,
  ListTagsForResourceInput,
  PutMetricAlarmInput,
  SetAlarmStateInput,
  Tag,
  TagResourceInput,
  UntagResourceInput,
} from "@aws-sdk/client-cloudwatch";
import { invalidParameterValue } from "../../../errors.ts";
import { TAGS_MAX } from "../../../limits.ts";
import type { OperationHandler } from "../../../wire/service.ts";
import type { AlarmBook } from "../alarms/alarm-book.ts";
import { alarmShape, checkAlarm, type AlarmRecord } from "../alarms/alarm.ts";
import { alarmNotFound, invalidFormat, resourceNotFound } from "../errors.ts";
import { decodeToken, encodeToken } from "../tokens.ts";

const PAGE_DEFAULT = 50;
const HISTORY_PAGE_DEFAULT = 100;

export function alarmOperations(book: AlarmBook): Record<string, OperationHandler> {
  return {
    PutMetricAlarm: async ({ Tags, ...settings }: PutMetricAlarmInput) => {
      checkAlarm(settings);
      await book.put(settings, tagRecord(Tags));
      return {};
    },
    DescribeAlarms: (input: DescribeAlarmsInput) => describeAlarms(book, input),
    DescribeAlarmHistory: (input: DescribeAlarmHistoryInput) => describeHistory(book, input),
    DeleteAlarms: async ({ AlarmNames: names = [] }: { AlarmNames?: string[] }) => {
      const missing = names.filter((name) => !book.alarm(name));
      if (missing.length > 0) throw alarmNotFound(`Alarms not found: ${missing.join(", ")}`);
      await book.delete(names);
      return {};
    },
    SetAlarmState: (input: SetAlarmStateInput) => setState(book, input),
    EnableAlarmActions: ({ AlarmNames: names = [] }: { AlarmNames?: string[] }) => enable(book, names, true),
    DisableAlarmActions: ({ AlarmNames: names = [] }: { AlarmNames?: string[] }) =>
      enable(book, names, false),
    TagResource: async ({ ResourceARN, Tags }: TagResourceInput) => {
      const alarm = byArn(book, ResourceARN);
      const tags = { ...alarm.tags, ...tagRecord(Tags) };
      if (Object.keys(tags).length > TAGS_MAX)
        throw invalidParameterValue(`A resource can have at most ${TAGS_MAX} tags.`);
      await book.update([alarm.name], (current) => ({ ...current, tags }));
      return {};
    },
    UntagResource: async ({ ResourceARN, TagKeys: keys = [] }: UntagResourceInput) => {
      const alarm = byArn(book, ResourceARN);
      const left = Object.entries(alarm.tags).filter(([key]) => !keys.includes(key));
      await book.update([alarm.name], (current) => ({ ...current, tags: Object.fromEntries(left) }));
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

function byArn(book: AlarmBook, arn: string | undefined): AlarmRecord {
  const found = book.alarms().find(({ name }) => book.arn(name) === arn);
  if (!found) throw resourceNotFound(`Unknown resource: ${arn}`);
  return found;
}

function describeAlarms(book: AlarmBook, input: DescribeAlarmsInput): DescribeAlarmsOutput {
  const { AlarmNames: names, AlarmNamePrefix: prefix = "", StateValue: state, ActionPrefix: action } = input;
  // There are no composite alarms here: none of a type that is not asked for, no children and no parents.
  const hasMetricAlarms = input.AlarmTypes?.includes("MetricAlarm") ?? true;
  const isOfComposite = input.ChildrenOfAlarmName !== undefined || input.ParentsOfAlarmName !== undefined;
  const found = (hasMetricAlarms && !isOfComposite ? book.alarms() : []).filter(
    ({ name, settings, state: current }) =>
      (names === undefined || names.includes(name)) &&
      name.startsWith(prefix) &&
      (state === undefined || state === current) &&
      (action === undefined || (settings.AlarmActions ?? []).some((arn) => arn.startsWith(action))),
  );
  const { page, nextToken } = pageOf(found, input, PAGE_DEFAULT, ({ name }) => name);
  return {
    MetricAlarms: page.map((alarm) => alarmShape(alarm, book.arn(alarm.name))),
    CompositeAlarms: [],
    ...(nextToken !== undefined && { NextToken: nextToken }),
  };
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
  await book.update(names, (alarm) => ({
    ...alarm,
    settings: { ...alarm.settings, ActionsEnabled: isEnabled },
  }));
  return {};
}
