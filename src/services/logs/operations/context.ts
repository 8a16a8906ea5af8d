/** What every operation needs, and the names and ARNs that requests bring. */
import { assert } from "../../../kernel/assert.ts";
import type { Clock } from "../../../kernel/clock.ts";
import { validationError } from "../../../errors.ts";
import * as errors from "../errors.ts";
import type { Group } from "../group.ts";
import type { LogStore } from "../log-store.ts";

export interface LogsContext {
  readonly logs: LogStore;
  readonly clock: Clock;
  readonly region: string;
  readonly accountId: string;
}

/** A member that the model requires: the wire has refused requests without it. */
export function required<T>(value: T | undefined, member: string): T {
  assert(value !== undefined, `${member} was validated`);
  return value;
}

/** Without the `:*` that older forms end with. */
export function groupArn(context: LogsContext, name: string): string {
  return `arn:aws:logs:${context.region}:${context.accountId}:log-group:${name}`;
}

export function streamArn(context: LogsContext, group: string, stream: string): string {
  return `${groupArn(context, group)}:log-stream:${stream}`;
}

/** Throws ResourceNotFoundException. */
export function groupNamed(context: LogsContext, name: string | undefined): Group {
  const group = context.logs.group(required(name, "logGroupName"));
  if (!group) throw errors.groupNotFound();
  return group;
}

const GROUP_ARN = /^arn:[\w-]+:logs:([\w-]*):(\d*):log-group:([^:]+?)(?::\*|:log-stream:.*)?$/;

/** The name in a log group's ARN, with or without `:*`. Undefined when it is none, or of another account or Region. */
function nameFromArn(context: LogsContext, arn: string): string | undefined {
  const [, region, accountId, name] = GROUP_ARN.exec(arn) ?? [];
  return region === context.region && accountId === context.accountId ? name : undefined;
}

/** By its name or its ARN. Undefined when it is not there. */
export function groupIfIdentified(context: LogsContext, identifier: string): Group | undefined {
  const name = identifier.startsWith("arn:") ? nameFromArn(context, identifier) : identifier;
  return name === undefined ? undefined : context.logs.group(name);
}

/** A name or an ARN. Throws ResourceNotFoundException. */
export function groupIdentified(context: LogsContext, identifier: string): Group {
  const group = groupIfIdentified(context, identifier);
  if (!group) throw errors.groupNotFound();
  return group;
}

/** For operations that take either. Throws ValidationException, InvalidParameterException, ResourceNotFoundException. */
export function groupOf(
  context: LogsContext,
  input: { logGroupName?: string | undefined; logGroupIdentifier?: string | undefined },
): Group {
  const { logGroupName, logGroupIdentifier } = input;
  if (logGroupName !== undefined && logGroupIdentifier !== undefined)
    throw validationError("LogGroup name and LogGroup ARN are mutually exclusive parameters.");
  if (logGroupIdentifier !== undefined) return groupIdentified(context, logGroupIdentifier);
  if (logGroupName === undefined)
    throw errors.invalidParameter("Either logGroupName or logGroupIdentifier must be specified.");
  return groupNamed(context, logGroupName);
}
