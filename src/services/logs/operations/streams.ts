/** Log streams: made, deleted, listed. */
import type {
  CreateLogStreamRequest,
  DeleteLogStreamRequest,
  DescribeLogStreamsRequest,
  DescribeLogStreamsResponse,
  LogStream,
} from "@aws-sdk/client-cloudwatch-logs";
import type { OperationHandler } from "../../../wire/service.ts";
import * as errors from "../errors.ts";
import type { Group, Stream } from "../group.ts";
import { DESCRIBE_PAGE_MAX } from "../limits.ts";
import { decodeCursor, encodeCursor } from "../tokens.ts";
import { groupNamed, groupOf, required, streamArn, type LogsContext } from "./context.ts";

export function streamOperations(context: LogsContext): Record<string, OperationHandler> {
  return {
    CreateLogStream: async (input: CreateLogStreamRequest) => {
      const group = groupNamed(context, input.logGroupName);
      await context.logs.createStream(group, required(input.logStreamName, "logStreamName"));
      return {};
    },
    DeleteLogStream: async (input: DeleteLogStreamRequest) => {
      const group = groupNamed(context, input.logGroupName);
      await context.logs.deleteStream(group, required(input.logStreamName, "logStreamName"));
      return {};
    },
    DescribeLogStreams: (input: DescribeLogStreamsRequest) => describeLogStreams(context, input),
  };
}

/** What streams are sorted by: the time (always 0 when by name), then the name. */
type SortKey = readonly [number, string];

function describeLogStreams(
  context: LogsContext,
  input: DescribeLogStreamsRequest,
): DescribeLogStreamsResponse {
  const group = groupOf(context, input);
  const byTime = input.orderBy === "LastEventTime";
  if (byTime && input.logStreamNamePrefix !== undefined)
    throw errors.invalidParameter("Cannot order by LastEventTime with a logStreamNamePrefix.");
  const sign = input.descending ? -1 : 1;
  const keyOf = (stream: Stream): SortKey => [byTime ? (stream.lastMs ?? 0) : 0, stream.name];
  const after = input.nextToken === undefined ? undefined : decodeKey(input.nextToken);
  const limit = input.limit ?? DESCRIBE_PAGE_MAX;
  const rest = [...group.streams.values()]
    .filter((stream) => stream.name.startsWith(input.logStreamNamePrefix ?? ""))
    .map((stream) => ({ stream, key: keyOf(stream) }))
    .filter(({ key }) => !after || sign * compareKeys(key, after) > 0)
    .sort((a, b) => sign * compareKeys(a.key, b.key));
  const page = rest.slice(0, limit);
  const last = page.at(-1);
  return {
    logStreams: page.map(({ stream }) => describe(context, group, stream)),
    nextToken: last && rest.length > limit ? encodeCursor(last.key) : undefined,
  };
}

function compareKeys(a: SortKey, b: SortKey): number {
  return a[0] - b[0] || (a[1] < b[1] ? -1 : a[1] > b[1] ? 1 : 0);
}

function decodeKey(token: string): SortKey {
  const [time, name] = decodeCursor(token);
  if (typeof time !== "number" || typeof name !== "string") throw errors.invalidNextToken();
  return [time, name];
}

function describe(context: LogsContext, group: Group, stream: Stream): LogStream {
  return {
    logStreamName: stream.name,
    creationTime: stream.createdMs,
    firstEventTimestamp: stream.firstMs,
    lastEventTimestamp: stream.lastMs,
    lastIngestionTime: stream.lastIngestionMs,
    arn: streamArn(context, group.name, stream.name),
    // AWS has answered 0 for every stream since June 2019 [api: LogStream].
    storedBytes: 0,
  };
}
