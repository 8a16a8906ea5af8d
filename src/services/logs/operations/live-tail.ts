/** StartLiveTail: events of up to ten groups as they are written, one update a second. */
import type {
  LiveTailSessionLogEvent,
  StartLiveTailRequest,
  StartLiveTailResponse,
  StartLiveTailResponseStream,
} from "@aws-sdk/client-cloudwatch-logs";
import { AwsError } from "../../../errors.ts";
import type { Clock } from "../../../kernel/clock.ts";
import { newUuid } from "../../../kernel/ids.ts";
import type { OperationHandler, RequestContext } from "../../../wire/service.ts";
import * as errors from "../errors.ts";
import { followGroup } from "../follow.ts";
import type { Group } from "../group.ts";
import { TAIL_EVENTS_MAX, TAIL_SESSION_MS_MAX, TAIL_UPDATE_MS } from "../limits.ts";
import type { StoredEvent } from "../page.ts";
import { compilePattern } from "../pattern/pattern.ts";
import { groupArn, groupIdentified, required, type LogsContext } from "./context.ts";

export function liveTailOperations(context: LogsContext): Record<string, OperationHandler> {
  return {
    StartLiveTail: (input: StartLiveTailRequest, request: RequestContext): StartLiveTailResponse => {
      const { logStreamNames, logStreamNamePrefixes } = input;
      if (logStreamNames && logStreamNamePrefixes)
        throw errors.invalidParameter(
          "LogStream names and LogStream name prefixes are mutually exclusive parameters.",
        );
      const groups = required(input.logGroupIdentifiers, "logGroupIdentifiers").map((identifier) =>
        groupIdentified(context, identifier),
      );
      const session = new TailSession(context, input);
      return { responseStream: session.run(groups, request) };
    },
  };
}

class TailSession {
  readonly #context: LogsContext;
  readonly #input: StartLiveTailRequest;
  readonly #matches: (event: StoredEvent) => boolean;
  /** Of the update that is being collected. */
  #events: LiveTailSessionLogEvent[] = [];
  #sampled = false;
  #failed = false;

  constructor(context: LogsContext, input: StartLiveTailRequest) {
    this.#context = context;
    this.#input = input;
    const { logStreamNames, logStreamNamePrefixes } = input;
    const matchesPattern = compilePattern(input.logEventFilterPattern);
    this.#matches = ({ stream, message }) =>
      (!logStreamNames || logStreamNames.includes(stream)) &&
      (!logStreamNamePrefixes || logStreamNamePrefixes.some((prefix) => stream.startsWith(prefix))) &&
      (!matchesPattern || matchesPattern(message));
  }

  async *run(groups: readonly Group[], request: RequestContext): AsyncGenerator<StartLiveTailResponseStream> {
    const { clock } = this.#context;
    const stops = groups.map((group) =>
      followGroup(group, {
        onEvents: (events) => this.#collect(group, events),
        onError: () => {
          this.#failed = true;
        },
      }),
    );
    const endMs = clock.monotonicMs() + TAIL_SESSION_MS_MAX;
    try {
      yield { sessionStart: { ...this.#input, requestId: request.requestId, sessionId: newUuid() } };
      while (!this.#failed && clock.monotonicMs() < endMs) {
        await wait(clock, TAIL_UPDATE_MS, request.signal);
        if (request.signal.aborted) return;
        yield { sessionUpdate: this.#takeUpdate() };
      }
      throw this.#failed
        ? new AwsError("SessionStreamingException", "The log events cannot be read.", { status: 500 })
        : new AwsError("SessionTimeoutException", "The session has timed out.");
    } finally {
      for (const stop of stops) stop();
    }
  }

  #collect(group: Group, events: readonly StoredEvent[]): void {
    for (const event of events) {
      if (!this.#matches(event)) continue;
      if (this.#events.length === TAIL_EVENTS_MAX) {
        this.#sampled = true;
        return;
      }
      this.#events.push({
        logStreamName: event.stream,
        logGroupIdentifier: groupArn(this.#context, group.name),
        message: event.message,
        timestamp: event.timestampMs,
        ingestionTime: event.ingestionMs,
      });
    }
  }

  #takeUpdate(): { sessionMetadata: { sampled: boolean }; sessionResults: LiveTailSessionLogEvent[] } {
    const update = { sessionMetadata: { sampled: this.#sampled }, sessionResults: this.#events };
    this.#events = [];
    this.#sampled = false;
    return update;
  }
}

/** Resolves after `delayMs`, or as soon as the signal is aborted. */
function wait(clock: Clock, delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const finish = () => {
      cancel();
      signal.removeEventListener("abort", finish);
      resolve();
    };
    const cancel = clock.after(delayMs, finish);
    if (signal.aborted) finish();
    else signal.addEventListener("abort", finish);
  });
}
