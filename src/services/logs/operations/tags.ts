/** Tags of log groups: the forms by ARN, and the older ones by name. */
import type {
  ListTagsForResourceRequest,
  ListTagsForResourceResponse,
  ListTagsLogGroupRequest,
  TagLogGroupRequest,
  TagResourceRequest,
  UntagLogGroupRequest,
  UntagResourceRequest,
} from "@aws-sdk/client-cloudwatch-logs";
import { TAGS_MAX } from "../../../limits.ts";
import type { OperationHandler } from "../../../wire/service.ts";
import * as errors from "../errors.ts";
import type { Group } from "../group.ts";
import { groupArn, groupIdentified, groupNamed, required, type LogsContext } from "./context.ts";

export function tagOperations(context: LogsContext): Record<string, OperationHandler> {
  const byArn = (arn: string | undefined) => groupIdentified(context, required(arn, "resourceArn"));
  return {
    TagResource: (input: TagResourceRequest) => tag(context, byArn(input.resourceArn), input.tags),
    UntagResource: (input: UntagResourceRequest) => untag(context, byArn(input.resourceArn), input.tagKeys),
    ListTagsForResource: (input: ListTagsForResourceRequest) => listTags(byArn(input.resourceArn)),
    TagLogGroup: (input: TagLogGroupRequest) =>
      tag(context, groupNamed(context, input.logGroupName), input.tags),
    UntagLogGroup: (input: UntagLogGroupRequest) =>
      untag(context, groupNamed(context, input.logGroupName), input.tags),
    ListTagsLogGroup: (input: ListTagsLogGroupRequest) => listTags(groupNamed(context, input.logGroupName)),
  };
}

function listTags(group: Group): ListTagsForResourceResponse {
  return { tags: { ...group.record.tags } };
}

async function tag(
  context: LogsContext,
  group: Group,
  added: Record<string, string> | undefined,
): Promise<object> {
  await context.logs.updateGroup(group, (record) => {
    const tags = { ...record.tags, ...added };
    if (Object.keys(tags).length > TAGS_MAX) throw errors.tooManyTags(groupArn(context, group.name));
    return { ...record, tags };
  });
  return {};
}

async function untag(context: LogsContext, group: Group, keys: string[] | undefined): Promise<object> {
  const gone = new Set(keys);
  await context.logs.updateGroup(group, (record) => ({
    ...record,
    tags: Object.fromEntries(Object.entries(record.tags).filter(([key]) => !gone.has(key))),
  }));
  return {};
}
