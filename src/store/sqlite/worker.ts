/**
 * The store's worker thread: the one place that touches the database, so that no fsync and no scan ever stops the event
 * loop. Group commit needs no timer: whatever arrived while one commit was running is the next one's batch.
 */
import { parentPort, receiveMessageOnPort, workerData } from "node:worker_threads";
import { assert } from "../../kernel/assert.ts";
import { StoreFailure, StoreLocked } from "../store.ts";
import { explain, openDatabase, type OpenDatabase } from "./database.ts";
import { Engine, type Outcome } from "./engine.ts";
import type {
  Envelope,
  Opening,
  ReadRequest,
  Reply,
  WireError,
  WorkerSettings,
  WriteRequest,
} from "./protocol.ts";

/** Keeps one commit, and with it everybody's wait, short. A message that makes a batch longer is still taken whole. */
const BATCH_REQUESTS_MAX = 512;

interface Numbered<R> {
  readonly id: number;
  readonly request: R;
}

assert(parentPort !== null, "the store's worker runs as a worker thread");
const port = parentPort;
const settings = workerData as WorkerSettings;

function start(): void {
  let opened: OpenDatabase;
  let engine: Engine;
  try {
    opened = openDatabase(settings);
    engine = new Engine(opened.database, wireFailure);
  } catch (error) {
    const failure = explain(error, settings.directory);
    const hint = failure instanceof StoreFailure ? failure.hint : undefined;
    const locked = failure instanceof StoreLocked;
    port.postMessage({ opened: false, locked, message: failure.message, hint } satisfies Opening);
    return;
  }
  port.on("message", (first: Envelope[]) => serve(engine, opened, collect(first)));
  port.postMessage({ opened: true } satisfies Opening);
}

function collect(first: Envelope[]): Envelope[] {
  const batch = first;
  while (batch.length < BATCH_REQUESTS_MAX) {
    const next = receiveMessageOnPort(port);
    if (next === undefined) break;
    batch.push(...(next.message as Envelope[]));
  }
  return batch;
}

/**
 * Reads go first and are answered at once: they need to see what was acknowledged before them, and nothing of this
 * batch was. A change feed's replay is such a read: it ends exactly where this batch's writes begin.
 */
function serve(engine: Engine, opened: OpenDatabase, batch: readonly Envelope[]): void {
  const reads: Numbered<ReadRequest>[] = [];
  const writes: Numbered<WriteRequest>[] = [];
  let closeId: number | undefined;
  for (const { id, request } of batch) {
    if (request.op === "close") closeId = id;
    else if (isRead(request)) reads.push({ id, request });
    else writes.push({ id, request });
  }
  if (reads.length > 0)
    reply(
      reads,
      reads.map(({ request }) => engine.read(request)),
    );
  if (writes.length > 0) reply(writes, engine.write(writes.map(({ request }) => request)));
  if (closeId !== undefined) {
    opened.close();
    port.postMessage([{ id: closeId, result: undefined }] satisfies Reply[]);
    port.close();
  }
}

function isRead(request: ReadRequest | WriteRequest): request is ReadRequest {
  return (
    request.op === "get" || request.op === "list" || request.op === "queueNames" || request.op === "stats"
  );
}

function reply(
  requests: readonly Numbered<ReadRequest | WriteRequest>[],
  outcomes: readonly Outcome[],
): void {
  assert(requests.length === outcomes.length, "every request has one outcome");
  const transfer: ArrayBuffer[] = [];
  const replies: Reply[] = [];
  for (const [index, outcome] of outcomes.entries()) {
    const numbered = requests[index];
    assert(numbered !== undefined, "outcomes are in the order of the requests");
    replies.push({ id: numbered.id, ...outcome });
    if (numbered.request.op === "receive" && "result" in outcome) {
      for (const lease of outcome.result as { body: Uint8Array<ArrayBuffer> }[])
        transfer.push(lease.body.buffer);
    }
  }
  port.postMessage(replies, transfer);
}

function wireFailure(error: unknown): WireError {
  const failure = explain(error, settings.directory);
  const hint = failure instanceof StoreFailure ? failure.hint : undefined;
  return { type: "failure", message: failure.message, hint };
}

start();
