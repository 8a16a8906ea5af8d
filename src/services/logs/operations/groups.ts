/** Log groups: made, deleted, listed, kept for how long. */
import type {
  CreateLogGroupRequest,
  DeleteLogGroupRequest,
  DeleteRetentionPolicyRequest,
  DescribeLogGroupsRequest,
  DescribeLogGroupsResponse,
  ListLogGroupsRequest,
  ListLogGroupsResponse,
  LogGroup,
  LogGroupClass,
  PutLogGroupDeletionProtectionRequest,
  PutRetentionPolicyRequest,
} from "@aws-sdk/client-cloudwatch-logs";
import { validationError } from "../../../errors.ts";
import type { OperationHandler } from "../../../wire/service.ts";
import * as errors from "../errors.ts";
import type { Group } from "../group.ts";
import { DESCRIBE_PAGE_MAX, RETENTION_DAYS } from "../limits.ts";
import { decodeCursor, encodeCursor } from "../tokens.ts";
import { groupArn, groupIfIdentified, groupNamed, groupOf, required, type LogsContext } from "./context.ts";

export function groupOperations(context: LogsContext): Record<string, OperationHandler> {
  return {
    CreateLogGroup: (input: CreateLogGroupRequest) => createLogGroup(context, input),
    DeleteLogGroup: (input: DeleteLogGroupRequest) => deleteLogGroup(context, input),
    DescribeLogGroups: (input: DescribeLogGroupsRequest) => describeLogGroups(context, input),
    ListLogGroups: (input: ListLogGroupsRequest) => listLogGroups(context, input),
    PutRetentionPolicy: (input: PutRetentionPolicyRequest) => putRetentionPolicy(context, input),
    DeleteRetentionPolicy: (input: DeleteRetentionPolicyRequest) => deleteRetentionPolicy(context, input),
    PutLogGroupDeletionProtection: (input: PutLogGroupDeletionProtectionRequest) =>
      putDeletionProtection(context, input),
  };
}

async function createLogGroup(context: LogsContext, input: CreateLogGroupRequest): Promise<object> {
  const name = required(input.logGroupName, "logGroupName");
  await context.logs.createGroup(name, {
    logGroupClass: input.logGroupClass ?? "STANDARD",
    deletionProtectionEnabled: input.deletionProtectionEnabled ?? false,
    tags: input.tags ?? {},
    ...(input.kmsKeyId !== undefined && { kmsKeyId: input.kmsKeyId }),
  });
  return {};
}

async function deleteLogGroup(context: LogsContext, input: DeleteLogGroupRequest): Promise<object> {
  const group = groupNamed(context, input.logGroupName);
  if (group.record.deletionProtectionEnabled)
    throw validationError("The log group has deletion protection enabled and cannot be deleted.");
  await context.logs.deleteGroup(group);
  return {};
}

function describeLogGroups(context: LogsContext, input: DescribeLogGroupsRequest): DescribeLogGroupsResponse {
  const { logGroupNamePrefix, logGroupNamePattern, logGroupClass, logGroupIdentifiers } = input;
  if (logGroupNamePrefix !== undefined && logGroupNamePattern !== undefined)
    throw errors.invalidParameter(
      "LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.",
    );
  const candidates = logGroupIdentifiers
    ? logGroupIdentifiers.flatMap((identifier) => groupIfIdentified(context, identifier) ?? [])
    : context.logs.groups();
  const found = candidates.filter(
    ({ name, record }) =>
      name.startsWith(logGroupNamePrefix ?? "") &&
      name.includes(logGroupNamePattern ?? "") &&
      (logGroupClass === undefined || record.logGroupClass === logGroupClass),
  );
  const { page, nextToken } = pageByName(found, input);
  return { logGroups: page.map((group) => describe(context, group)), nextToken };
}

function describe(context: LogsContext, group: Group): LogGroup {
  const { record, name } = group;
  return {
    logGroupName: name,
    creationTime: record.createdMs,
    retentionInDays: record.retentionInDays,
    metricFilterCount: 0,
    arn: `${groupArn(context, name)}:*`,
    logGroupArn: groupArn(context, name),
    logGroupClass: record.logGroupClass as LogGroupClass,
    storedBytes: group.bytes,
    kmsKeyId: record.kmsKeyId,
    deletionProtectionEnabled: record.deletionProtectionEnabled,
  };
}

function listLogGroups(context: LogsContext, input: ListLogGroupsRequest): ListLogGroupsResponse {
  const { logGroupClass, dataSources, fieldIndexNames, logGroupTags } = input;
  // No group has a data source or a field index here, so that asking for one finds nothing.
  const candidates = dataSources || fieldIndexNames ? [] : context.logs.groups();
  const alternatives = input.logGroupNamePattern?.split("|");
  const found = candidates.filter(
    ({ name, record }) =>
      (logGroupClass === undefined || record.logGroupClass === logGroupClass) &&
      (!alternatives || alternatives.some((alternative) => matchesName(name, alternative))) &&
      (logGroupTags ?? []).every(({ key, values }) => hasTag(record.tags, key, values)),
  );
  const { page, nextToken } = pageByName(found, input);
  const logGroups = page.map(({ name, record }) => ({
    logGroupName: name,
    logGroupArn: groupArn(context, name),
    logGroupClass: record.logGroupClass as LogGroupClass,
  }));
  return { logGroups, nextToken };
}

/** Part of a name, or its beginning after `^`. */
function matchesName(name: string, alternative: string): boolean {
  return alternative.startsWith("^") ? name.startsWith(alternative.slice(1)) : name.includes(alternative);
}

function hasTag(
  tags: Readonly<Record<string, string>>,
  key: string | undefined,
  values: readonly string[] | undefined,
): boolean {
  const value = tags[key ?? ""];
  return value !== undefined && (values === undefined || values.length === 0 || values.includes(value));
}

function pageByName(
  groups: Group[],
  input: { limit?: number | undefined; nextToken?: string | undefined },
): { page: Group[]; nextToken: string | undefined } {
  const limit = input.limit ?? DESCRIBE_PAGE_MAX;
  const [after] = input.nextToken === undefined ? [undefined] : decodeCursor(input.nextToken);
  if (after !== undefined && typeof after !== "string") throw errors.invalidNextToken();
  const rest = groups
    .filter(({ name }) => after === undefined || name > after)
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  const page = rest.slice(0, limit);
  const last = page.at(-1);
  return { page, nextToken: last && rest.length > limit ? encodeCursor([last.name]) : undefined };
}

async function putRetentionPolicy(context: LogsContext, input: PutRetentionPolicyRequest): Promise<object> {
  const group = groupNamed(context, input.logGroupName);
  const retentionInDays = required(input.retentionInDays, "retentionInDays");
  if (!RETENTION_DAYS.includes(retentionInDays))
    throw errors.invalidParameter(
      `1 validation error detected: Value '${retentionInDays}' at 'retentionInDays' failed to satisfy constraint: ` +
        `Member must satisfy enum value set: [${RETENTION_DAYS.join(", ")}]`,
    );
  await context.logs.updateGroup(group, (record) => ({ ...record, retentionInDays }));
  return {};
}

async function deleteRetentionPolicy(
  context: LogsContext,
  input: DeleteRetentionPolicyRequest,
): Promise<object> {
  const group = groupNamed(context, input.logGroupName);
  await context.logs.updateGroup(group, ({ retentionInDays: _unset, ...record }) => record);
  return {};
}

async function putDeletionProtection(
  context: LogsContext,
  input: PutLogGroupDeletionProtectionRequest,
): Promise<object> {
  const group = groupOf(context, input);
  const deletionProtectionEnabled = input.deletionProtectionEnabled ?? false;
  await context.logs.updateGroup(group, (record) => ({ ...record, deletionProtectionEnabled }));
  return {};
}
