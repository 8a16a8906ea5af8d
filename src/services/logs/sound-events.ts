/** Functions choose their time stamps and how much they write at once: what they log is put right before it is taken. */
import { LOG_EVENT_BYTES_MAX } from "../../limits.ts";
import type { LogEvent } from "../../telemetry/log-sink.ts";
import { EVENT_AHEAD_MS_MAX } from "./limits.ts";

/** The events with whole time stamps and messages within the limit; the same array when there is nothing to do. */
export function soundEvents(events: readonly LogEvent[], nowMs: number): readonly LogEvent[] {
  const isSound = (event: LogEvent) => isWithinLimit(event) && isPlausible(event.timestampMs, nowMs);
  return events.every(isSound) ? events : events.flatMap((event) => cutEvent(event, nowMs));
}

function isWithinLimit(event: LogEvent): boolean {
  // A UTF-16 unit is at most three bytes of UTF-8.
  return (
    event.message.length * 3 <= LOG_EVENT_BYTES_MAX || Buffer.byteLength(event.message) <= LOG_EVENT_BYTES_MAX
  );
}

/** A time stamp from the far future would keep its segment for ever. */
function isPlausible(timestampMs: number, nowMs: number): boolean {
  return Number.isSafeInteger(timestampMs) && timestampMs >= 0 && timestampMs <= nowMs + EVENT_AHEAD_MS_MAX;
}

/** The event with a sound time stamp, and as several when its message is too long; no character is cut in two. */
function cutEvent(event: LogEvent, nowMs: number): LogEvent[] {
  const truncatedMs = Math.trunc(event.timestampMs);
  const timestampMs = isPlausible(truncatedMs, nowMs) ? truncatedMs : nowMs;
  if (isWithinLimit(event)) return [{ timestampMs, message: event.message }];
  const bytes = Buffer.from(event.message);
  const parts: LogEvent[] = [];
  for (let start = 0; start < bytes.length;) {
    let end = Math.min(start + LOG_EVENT_BYTES_MAX, bytes.length);
    while (end < bytes.length && ((bytes[end] ?? 0) & 0xc0) === 0x80) end -= 1;
    parts.push({ timestampMs, message: bytes.toString("utf8", start, end) });
    start = end;
  }
  return parts;
}
