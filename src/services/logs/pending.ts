/**
 * What a log group has taken and not written yet, in generations: a new one is filled while the one before it is being
 * written, so that somebody who waits for what is there now does not wait for what comes later.
 */
import type { LogEvent } from "../../telemetry/log-sink.ts";
import { PENDING_EVENT_OVERHEAD_BYTES } from "./limits.ts";
import type { Stream } from "./group.ts";

export interface StreamQueue {
  readonly events: LogEvent[];
  /** Index of the first event that is not written. */
  next: number;
}

export type ControlItem =
  | { readonly kind: "declare"; readonly stream: Stream }
  | { readonly kind: "remove"; readonly number: number };

export class Generation {
  readonly number: number;
  readonly controls: ControlItem[] = [];
  readonly streams = new Map<Stream, StreamQueue>();

  constructor(number: number) {
    this.number = number;
  }

  get isEmpty(): boolean {
    return this.controls.length === 0 && this.streams.size === 0;
  }

  push(stream: Stream, events: readonly LogEvent[]): void {
    const queue = this.streams.get(stream);
    if (queue) for (const event of events) queue.events.push(event);
    else this.streams.set(stream, { events: [...events], next: 0 });
  }

  /** Forgets the events of a stream; answers the bytes that they were reckoned at. */
  forget(stream: Stream): number {
    const queue = this.streams.get(stream);
    if (!queue) return 0;
    this.streams.delete(stream);
    return bytesOf(queue.events.slice(queue.next));
  }

  get bytes(): number {
    let bytes = 0;
    for (const queue of this.streams.values()) bytes += bytesOf(queue.events.slice(queue.next));
    return bytes;
  }

  get eventCount(): number {
    let count = 0;
    for (const queue of this.streams.values()) count += queue.events.length - queue.next;
    return count;
  }
}

/** What events are reckoned to hold in memory while they wait. */
export function bytesOf(events: readonly LogEvent[]): number {
  let bytes = 0;
  for (const event of events) bytes += Buffer.byteLength(event.message) + PENDING_EVENT_OVERHEAD_BYTES;
  return bytes;
}
