/**
 * Following a group: events in the order in which they are written, as they are written. The follower reads the files,
 * at its own pace, from where it has come to; so a slow one costs no memory, and nothing is missed or told twice.
 */
import { coerceError } from "../../kernel/deferred.ts";
import type { Group } from "./group.ts";
import type { StoredEvent } from "./page.ts";
import { decodeEventsHead, eachEvent, RECORD } from "./record.ts";

export interface FollowOptions {
  /** Older events are passed over; undefined: only what is written from now on. */
  readonly fromMs?: number;
  /** Some events at a time, in order. Must not throw. */
  readonly onEvents: (events: StoredEvent[]) => void;
  /** The files could not be read; the follower has ended. */
  readonly onError: (error: Error) => void;
}

/** The answer ends it; nothing is told after that. Events of a group that is deleted end without a word. */
export function followGroup(group: Group, options: FollowOptions): () => void {
  const last = group.segments.at(-1);
  // Everything before this place was read.
  const place =
    options.fromMs === undefined && last
      ? { ordinal: last.ordinal, offset: last.bytes }
      : { ordinal: 0, offset: 0 };
  const state = { ended: false, reading: false, written: false };

  const readOn = async (): Promise<void> => {
    // A copy: segments may be dropped meanwhile.
    for (const segment of group.segments.slice()) {
      if (segment.ordinal < place.ordinal) continue;
      if (segment.ordinal > place.ordinal) {
        place.ordinal = segment.ordinal;
        place.offset = 0;
      }
      for await (const batch of segment.read(place.offset)) {
        if (state.ended) return;
        place.offset = batch.endOffset;
        const events = batch.bodies.flatMap((body) => decodeEvents(group, body, options.fromMs ?? -Infinity));
        if (events.length > 0) options.onEvents(events);
      }
    }
  };
  const run = async (): Promise<void> => {
    while (state.written && !state.ended) {
      state.written = false;
      await readOn();
    }
    state.reading = false;
  };
  const wake = (): void => {
    state.written = true;
    if (state.reading || state.ended) return;
    state.reading = true;
    run().catch((error: unknown) => {
      stop();
      options.onError(coerceError(error));
    });
  };
  const forget = group.onWritten(wake);
  const stop = (): void => {
    state.ended = true;
    forget();
  };
  wake();
  return stop;
}

function decodeEvents(group: Group, body: Buffer, fromMs: number): StoredEvent[] {
  if (body[0] !== RECORD.EVENTS) return [];
  const head = decodeEventsHead(body);
  const stream = group.streamOf(head.stream)?.name;
  if (stream === undefined) return [];
  const events: StoredEvent[] = [];
  eachEvent(body, (timestampMs, message, index) => {
    if (timestampMs < fromMs) return;
    events.push({
      timestampMs,
      sequence: head.firstSequence + index,
      message: message.toString("utf8"),
      stream,
      ingestionMs: head.ingestionMs,
    });
  });
  return events;
}
