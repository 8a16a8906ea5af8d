/** Log events: put, read in order, searched. */
import type {
  FilterLogEventsRequest,
  FilterLogEventsResponse,
  GetLogEventsRequest,
  GetLogEventsResponse,
  InputLogEvent,
  PutLogEventsRequest,
  PutLogEventsResponse,
  RejectedLogEventsInfo,
} from "@aws-sdk/client-cloudwatch-logs";
import { LOG_EVENT_BYTES_MAX } from "../../../limits.ts";
import type { LogEvent } from "../../../telemetry/log-sink.ts";
import type { OperationHandler } from "../../../wire/service.ts";
import * as errors from "../errors.ts";
import type { Group, Stream } from "../group.ts";
import {
  BATCH_BYTES_MAX,
  BATCH_EVENT_OVERHEAD_BYTES,
  BATCH_SPAN_MS_MAX,
  EVENT_AGE_MS_MAX,
  EVENT_AHEAD_MS_MAX,
  PAGE_EVENTS_MAX,
} from "../limits.ts";
import { readPage, type Page, type PageQuery, type Position } from "../page.ts";
import { compilePattern } from "../pattern/pattern.ts";
import { decodePosition, encodePosition } from "../tokens.ts";
import { groupNamed, groupOf, required, type LogsContext } from "./context.ts";

export function eventOperations(context: LogsContext): Record<string, OperationHandler> {
  return {
    PutLogEvents: (input: PutLogEventsRequest) => putLogEvents(context, input),
    GetLogEvents: (input: GetLogEventsRequest) => getLogEvents(context, input),
    FilterLogEvents: (input: FilterLogEventsRequest) => filterLogEvents(context, input),
  };
}

function streamNamed(group: Group, name: string | undefined): Stream {
  const stream = group.streams.get(required(name, "logStreamName"));
  if (!stream) throw errors.streamNotFound();
  return stream;
}

async function putLogEvents(context: LogsContext, input: PutLogEventsRequest): Promise<PutLogEventsResponse> {
  const group = groupNamed(context, input.logGroupName);
  const stream = streamNamed(group, input.logStreamName);
  const events = required(input.logEvents, "logEvents").map(toLogEvent);
  checkBatch(events);
  const { accepted, rejected } = sortOut(events, {
    nowMs: context.clock.nowMs(),
    oldestVisibleMs: context.logs.oldestVisibleMs(group),
  });
  if (accepted.length > 0) await context.logs.put(group, stream, accepted);
  return {
    // Nobody needs it any more, but SDKs of before 2023 send it back: any value is accepted.
    nextSequenceToken: encodePosition({ timestampMs: context.clock.nowMs(), sequence: stream.number }),
    ...(rejected && { rejectedLogEventsInfo: rejected }),
  };
}

function toLogEvent(event: InputLogEvent): LogEvent {
  return {
    timestampMs: required(event.timestamp, "timestamp"),
    message: required(event.message, "message"),
  };
}

/** Throws InvalidParameterException for what condemns the batch as a whole. */
function checkBatch(events: readonly LogEvent[]): void {
  let bytes = 0;
  let previousMs = -Infinity;
  for (const { timestampMs, message } of events) {
    const messageBytes = Buffer.byteLength(message);
    if (messageBytes > LOG_EVENT_BYTES_MAX)
      throw errors.invalidParameter(
        `Log event too large: ${messageBytes} bytes exceeds limit of ${LOG_EVENT_BYTES_MAX}`,
      );
    bytes += messageBytes + BATCH_EVENT_OVERHEAD_BYTES;
    if (timestampMs < previousMs)
      throw errors.invalidParameter(
        "Log events in a single PutLogEvents request must be in chronological order.",
      );
    previousMs = timestampMs;
  }
  if (bytes > BATCH_BYTES_MAX)
    throw errors.invalidParameter(`Upload too large: ${bytes} bytes exceeds limit of ${BATCH_BYTES_MAX}`);
  if (previousMs - (events[0]?.timestampMs ?? previousMs) > BATCH_SPAN_MS_MAX)
    throw errors.invalidParameter(
      "The batch of log events in a single PutLogEvents request cannot span more than 24 hours.",
    );
}

/** Events are in chronological order: those too old are in front, those too new behind. */
function sortOut(
  events: readonly LogEvent[],
  at: { nowMs: number; oldestVisibleMs: number },
): { accepted: readonly LogEvent[]; rejected: RejectedLogEventsInfo | undefined } {
  const countBefore = (ms: number) => {
    const index = events.findIndex((event) => event.timestampMs >= ms);
    return index < 0 ? events.length : index;
  };
  const tooOldEnd = countBefore(at.nowMs - EVENT_AGE_MS_MAX);
  const expiredEnd = countBefore(at.oldestVisibleMs);
  const tooNewStart = countBefore(at.nowMs + EVENT_AHEAD_MS_MAX + 1);
  const accepted = events.slice(Math.max(tooOldEnd, expiredEnd), tooNewStart);
  if (accepted.length === events.length) return { accepted, rejected: undefined };
  const rejected: RejectedLogEventsInfo = {};
  if (tooOldEnd > 0) rejected.tooOldLogEventEndIndex = tooOldEnd;
  if (expiredEnd > tooOldEnd) rejected.expiredLogEventEndIndex = expiredEnd;
  if (tooNewStart < events.length) rejected.tooNewLogEventStartIndex = tooNewStart;
  return { accepted, rejected };
}

/**
 * Tokens are `f/POSITION` (what comes behind it) and `b/POSITION` (what comes before it). At an end the answer is empty
 * and the token in that direction is the one that was sent: asked again later, it finds what has come since.
 */
async function getLogEvents(context: LogsContext, input: GetLogEventsRequest): Promise<GetLogEventsResponse> {
  const group = groupOf(context, input);
  const stream = streamNamed(group, input.logStreamName);
  const token = input.nextToken === undefined ? undefined : parseToken(input.nextToken);
  const direction = token?.direction ?? (input.startFromHead ? "forward" : "backward");
  const startMs = Math.max(input.startTime ?? 0, context.logs.oldestVisibleMs(group));
  await context.logs.settle(group);
  const page = await wholePage(group, {
    direction,
    from: token?.position,
    startMs,
    endMs: (input.endTime ?? Infinity) - 1,
    limit: input.limit ?? PAGE_EVENTS_MAX,
    streams: new Set([stream.number]),
    matches: undefined,
  });
  const events = page.events.map((event) => ({
    timestamp: event.timestampMs,
    message: event.message,
    ingestionTime: event.ingestionMs,
  }));
  const first = page.events[0];
  const last = page.events.at(-1);
  if (first && last)
    return { events, nextForwardToken: forwardToken(last), nextBackwardToken: backwardToken(first) };
  // The place between what was and what will be; behind the last event, or before the first one, when a token says so.
  const place = token?.position ?? { timestampMs: Math.trunc(Math.max(startMs, 0)), sequence: -1 };
  const isBackward = token?.direction === "backward";
  return {
    events,
    nextForwardToken: forwardToken(
      isBackward ? { ...place, sequence: Math.max(-1, place.sequence - 1) } : place,
    ),
    nextBackwardToken: backwardToken(isBackward ? place : { ...place, sequence: place.sequence + 1 }),
  };
}

const forwardToken = (position: Position) => `f/${encodePosition(position)}`;
const backwardToken = (position: Position) => `b/${encodePosition(position)}`;

function parseToken(token: string): { direction: PageQuery["direction"]; position: Position } {
  const kind = token.slice(0, 2);
  if (kind !== "f/" && kind !== "b/") throw errors.invalidNextToken();
  return { direction: kind === "f/" ? "forward" : "backward", position: decodePosition(token.slice(2)) };
}

/** Goes on while pages are empty but not the last: an empty answer would look like the end of the stream. */
async function wholePage(group: Group, query: PageQuery): Promise<Page> {
  let page = await readPage(group, query);
  while (page.events.length === 0 && page.next) page = await readPage(group, { ...query, from: page.next });
  return page;
}

async function filterLogEvents(
  context: LogsContext,
  input: FilterLogEventsRequest,
): Promise<FilterLogEventsResponse> {
  const group = groupOf(context, input);
  const matches = compilePattern(input.filterPattern);
  const streams = streamsOf(group, input);
  const from = input.nextToken === undefined ? undefined : decodePosition(input.nextToken);
  await context.logs.settle(group);
  const page = await readPage(group, {
    direction: "forward",
    from,
    startMs: Math.max(input.startTime ?? 0, context.logs.oldestVisibleMs(group)),
    endMs: input.endTime ?? Infinity,
    limit: input.limit ?? PAGE_EVENTS_MAX,
    streams,
    matches,
  });
  return {
    events: page.events.map((event) => ({
      logStreamName: event.stream,
      timestamp: event.timestampMs,
      message: event.message,
      ingestionTime: event.ingestionMs,
      eventId: encodePosition(event),
    })),
    // Always empty since June 2020 [api].
    searchedLogStreams: [],
    nextToken: page.next && encodePosition(page.next),
  };
}

function streamsOf(group: Group, input: FilterLogEventsRequest): Set<number> | undefined {
  const { logStreamNames, logStreamNamePrefix } = input;
  if (logStreamNames !== undefined && logStreamNamePrefix !== undefined)
    throw errors.invalidParameter(
      "LogStream names and LogStream name prefix are mutually exclusive parameters.",
    );
  if (logStreamNames) return new Set(logStreamNames.map((name) => streamNamed(group, name).number));
  if (logStreamNamePrefix === undefined) return undefined;
  const numbers = new Set<number>();
  for (const stream of group.streams.values())
    if (stream.name.startsWith(logStreamNamePrefix)) numbers.add(stream.number);
  return numbers;
}
