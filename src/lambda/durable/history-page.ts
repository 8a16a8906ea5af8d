/** The history of an execution in pages, in either direction, bounded by number and by weight. */
import type { Event } from "@aws-sdk/client-lambda";
import { invalidParameterValue } from "../../errors.ts";
import { DURABLE_PAGE_BYTES_MAX } from "../../limits.ts";
import type { ExecutionStore } from "./execution-store.ts";
import { showEvent } from "./history.ts";
import { executionKey, type EventRecord, type ExecutionRecord, type OperationRecord } from "./records.ts";

export interface HistoryPageOptions {
  /** The event that the page begins with; undefined: at the beginning, or at the end. */
  readonly marker: string | undefined;
  readonly itemsMax: number;
  readonly newestFirst: boolean;
  /** With payloads and errors. */
  readonly withData: boolean;
}

/** Events whose operations are read at once. */
const READ_AT_ONCE = 20;

/** Rejects with InvalidParameterValueException when the marker is none. A page has one event at least, if there is one. */
export async function historyPage(
  disk: ExecutionStore,
  record: ExecutionRecord,
  { marker, itemsMax, newestFirst, withData }: HistoryPageOptions,
): Promise<{ events: Event[]; nextMarker: string | undefined }> {
  const key = executionKey(record.functionName, record.id);
  const start = marker === undefined ? undefined : eventIdOf(marker);
  const found = await read(disk, key, record.events, start, itemsMax, newestFirst);
  const operations = new Map<number, Promise<OperationRecord | undefined>>();
  const operationOf = async ({ operation }: EventRecord) => {
    if (operation === undefined) return undefined;
    const reading = operations.get(operation) ?? disk.operation(key, operation);
    operations.set(operation, reading);
    return reading;
  };
  const events: Event[] = [];
  let bytes = 0;
  for (let at = 0; at < found.length; at += READ_AT_ONCE) {
    const batch = found.slice(at, at + READ_AT_ONCE);
    const theirs = await Promise.all(batch.map(operationOf));
    for (const [index, event] of batch.entries()) {
      const shown = showEvent(record, event, theirs[index], withData);
      bytes += Buffer.byteLength(JSON.stringify(shown));
      if (bytes > DURABLE_PAGE_BYTES_MAX && events.length > 0)
        return { events, nextMarker: String(event.id) };
      events.push(shown);
    }
  }
  const last = found.at(-1)?.id;
  const next = last === undefined ? undefined : last + (newestFirst ? -1 : 1);
  const isThere = next !== undefined && next >= 1 && next <= record.events;
  return { events, nextMarker: isThere ? String(next) : undefined };
}

async function read(
  disk: ExecutionStore,
  key: string,
  count: number,
  start: number | undefined,
  itemsMax: number,
  newestFirst: boolean,
): Promise<EventRecord[]> {
  if (!newestFirst) return disk.events(key, start ?? 1, itemsMax);
  const last = Math.min(start ?? count, count);
  const first = Math.max(1, last - itemsMax + 1);
  return (await disk.events(key, first, last - first + 1)).toReversed();
}

function eventIdOf(marker: string): number {
  if (!/^[1-9]\d{0,5}$/.test(marker)) throw invalidParameterValue("The marker is not valid.");
  return Number(marker);
}
