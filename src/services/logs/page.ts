/**
 * Pages of a group's events in order of time: what GetLogEvents and FilterLogEvents read.
 *
 * Events are ordered by position: time stamp, then sequence (the order in which they were written). Segments overlap in
 * time only a little, so going through them in order of time (newest first when reading backward) and keeping the best
 * `limit` events, the page is final once the next segment starts behind the last event that is kept: a tail reads one
 * or two segments, however long the group is.
 */
import type { Group } from "./group.ts";
import { PAGE_BYTES_MAX, PAGE_SEGMENTS_MAX } from "./limits.ts";
import { decodeEventsHead, eachEvent, RECORD } from "./record.ts";
import type { Segment } from "./segment.ts";

export interface Position {
  readonly timestampMs: number;
  readonly sequence: number;
}

export interface StoredEvent extends Position {
  readonly stream: string;
  readonly message: string;
  readonly ingestionMs: number;
}

export interface PageQuery {
  readonly direction: "forward" | "backward";
  /** Only events behind it (before it, going backward); all when undefined. */
  readonly from: Position | undefined;
  /** Both inclusive. */
  readonly startMs: number;
  readonly endMs: number;
  readonly limit: number;
  /** Numbers of the streams to read; all when undefined. */
  readonly streams: ReadonlySet<number> | undefined;
  /** All events when undefined. */
  readonly matches: ((message: string) => boolean) | undefined;
}

export interface Page {
  /** In order of time, whatever the direction; at most `limit` and PAGE_BYTES_MAX, though never none because of bytes. */
  readonly events: StoredEvent[];
  /** Where the next page starts; undefined when there is nothing more. A page may be empty and not the last. */
  readonly next: Position | undefined;
}

const SEQUENCE_MAX = Number.MAX_SAFE_INTEGER;

export function comparePositions(a: Position, b: Position): number {
  return a.timestampMs - b.timestampMs || a.sequence - b.sequence;
}

/** Reads what is in the files now: settle the group first to see what was just taken. */
export async function readPage(group: Group, query: PageQuery): Promise<Page> {
  const kept = new Best(query);
  const segments = segmentsInOrder(group, query);
  for (const [index, segment] of segments.entries()) {
    const edge = edgeOf(segment, query.direction);
    if (kept.isFinalBefore(edge)) return kept.page(true);
    if (index >= PAGE_SEGMENTS_MAX && isBehind(edge, query)) return kept.partialPage(edge);
    await readSegment(segment, { group, query, kept });
  }
  return kept.page(false);
}

function segmentsInOrder(group: Group, query: PageQuery): Segment[] {
  const { streams, direction, from } = query;
  const startMs = direction === "forward" && from ? Math.max(query.startMs, from.timestampMs) : query.startMs;
  const endMs = direction === "backward" && from ? Math.min(query.endMs, from.timestampMs) : query.endMs;
  const hasStream = (segment: Segment) =>
    !streams ||
    (streams.size < segment.spans.size ? some(streams, segment.spans) : some(segment.spans.keys(), streams));
  return group.segments
    .filter((segment) => segment.maxMs >= startMs && segment.minMs <= endMs && hasStream(segment))
    .sort((a, b) => (direction === "forward" ? a.minMs - b.minMs : b.maxMs - a.maxMs));
}

function some(numbers: Iterable<number>, inside: { has(number: number): boolean }): boolean {
  for (const number of numbers) if (inside.has(number)) return true;
  return false;
}

/** The position that no event of the segment, or of those after it, is ahead of. */
function edgeOf(segment: Segment, direction: PageQuery["direction"]): Position {
  return direction === "forward"
    ? { timestampMs: segment.minMs, sequence: -1 }
    : { timestampMs: segment.maxMs, sequence: SEQUENCE_MAX };
}

/** Whether a page that ends at `edge` would be a step forward: else reading goes on, so that a token never stands still. */
function isBehind(edge: Position, query: PageQuery): boolean {
  if (!query.from) return true;
  return query.direction === "forward"
    ? comparePositions(edge, query.from) > 0
    : comparePositions(edge, query.from) < 0;
}

async function readSegment(
  segment: Segment,
  to: { group: Group; query: PageQuery; kept: Best },
): Promise<void> {
  const { group, query, kept } = to;
  for await (const batch of segment.read()) {
    for (const body of batch.bodies) {
      if (body[0] !== RECORD.EVENTS) continue;
      const head = decodeEventsHead(body);
      if (head.maxMs < query.startMs || head.minMs > query.endMs) continue;
      if (query.streams && !query.streams.has(head.stream)) continue;
      const stream = group.streamOf(head.stream);
      if (!stream) continue;
      eachEvent(body, (timestampMs, bytes, index) => {
        const sequence = head.firstSequence + index;
        if (!kept.wants({ timestampMs, sequence })) return;
        const message = bytes.toString("utf8");
        if (query.matches && !query.matches(message)) return;
        kept.add(
          { timestampMs, sequence, message, stream: stream.name, ingestionMs: head.ingestionMs },
          bytes.length,
        );
      });
    }
  }
}

/** The events of the page so far: never many more than it can hold. */
class Best {
  readonly #query: PageQuery;
  readonly #compare: (a: Position, b: Position) => number;
  #items: { readonly event: StoredEvent; readonly bytes: number }[] = [];
  #bytes = 0;
  /** The last event of a full page: nothing behind it is wanted. */
  #last: Position | undefined;
  /** Events were left out because the page is full. */
  #cut = false;

  constructor(query: PageQuery) {
    this.#query = query;
    this.#compare = query.direction === "forward" ? comparePositions : (a, b) => comparePositions(b, a);
  }

  wants(position: Position): boolean {
    const { startMs, endMs, from } = this.#query;
    if (position.timestampMs < startMs || position.timestampMs > endMs) return false;
    if (from && this.#compare(position, from) <= 0) return false;
    if (!this.#last || this.#compare(position, this.#last) < 0) return true;
    // It may be left out only because it does not match; a next page that turns out empty is allowed.
    this.#cut = true;
    return false;
  }

  add(event: StoredEvent, bytes: number): void {
    this.#items.push({ event, bytes });
    this.#bytes += bytes;
    if (this.#items.length >= 2 * this.#query.limit || this.#bytes >= 2 * PAGE_BYTES_MAX) this.#trim();
  }

  /** Sorts, and leaves out what does not fit the page. */
  #trim(): void {
    this.#items.sort((a, b) => this.#compare(a.event, b.event));
    let count = 0;
    let bytes = 0;
    for (const item of this.#items) {
      if (count === this.#query.limit || (count > 0 && bytes + item.bytes > PAGE_BYTES_MAX)) break;
      count += 1;
      bytes += item.bytes;
    }
    const full = count < this.#items.length || count === this.#query.limit;
    if (count < this.#items.length) this.#cut = true;
    this.#items.length = count;
    this.#bytes = bytes;
    this.#last = full ? this.#items.at(-1)?.event : undefined;
  }

  /** Whether the page is full, and everything from `edge` on is behind it. */
  isFinalBefore(edge: Position): boolean {
    if (!this.#last && this.#items.length < this.#query.limit && this.#bytes < PAGE_BYTES_MAX) return false;
    this.#trim();
    return this.#last !== undefined && this.#compare(this.#last, edge) < 0;
  }

  /** `more`: segments were left unread. */
  page(more: boolean): Page {
    this.#trim();
    const last = this.#items.at(-1)?.event;
    return {
      events: this.#inOrderOfTime(),
      next: last && (more || this.#cut) ? positionOf(last) : undefined,
    };
  }

  /** What is certain when nothing from `edge` on was read. */
  partialPage(edge: Position): Page {
    this.#trim();
    const certain = this.#items.filter((item) => this.#compare(item.event, edge) < 0);
    if (certain.length < this.#items.length || !this.#last) {
      this.#items = certain;
      return { events: this.#inOrderOfTime(), next: edge };
    }
    return this.page(true);
  }

  #inOrderOfTime(): StoredEvent[] {
    const events = this.#items.map((item) => item.event);
    return this.#query.direction === "forward" ? events : events.toReversed();
  }
}

function positionOf(event: Position): Position {
  return { timestampMs: event.timestampMs, sequence: event.sequence };
}
