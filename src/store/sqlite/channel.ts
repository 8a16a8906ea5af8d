/**
 * The main side's line to the worker: numbers requests, sends those of one tick together, keeps a bounded number
 * under way so that the worker's queue stays short, and holds a bounded number back. Beyond that it refuses.
 */
import type { Worker } from "node:worker_threads";
import { assert, unreachable } from "../../kernel/assert.ts";
import { BoundedQueue } from "../../kernel/bounded-queue.ts";
import { RevisionConflict, StoreClosed, StoreFailure, StoreOverloaded } from "../store.ts";
import type { Envelope, Reply, Request, Results, WireError } from "./protocol.ts";

/** Sent and not answered: enough for two full batches of the worker, so that it never waits for us. */
const UNDER_WAY_REQUESTS_MAX = 1024;
const UNDER_WAY_BYTES_MAX = 32 * 1024 * 1024;
/** Held back until the worker has caught up. */
const WAITING_REQUESTS_MAX = 16_384;
const WAITING_BYTES_MAX = 128 * 1024 * 1024;

interface Call {
  readonly request: Request;
  /** Bytes of payload, for the bounds. */
  readonly bytes: number;
  settle(result: Results[Request["op"]]): void;
  reject(error: Error): void;
}

export class Channel {
  readonly #worker: Worker;
  readonly #underWay = new Map<number, Call>();
  readonly #waiting = new BoundedQueue<Call>(WAITING_REQUESTS_MAX);
  #underWayBytes = 0;
  #waitingBytes = 0;
  #lastId = 0;
  #flushing = false;
  #closing = false;
  /** Set once: why no further call is taken. */
  #ended: Error | undefined;

  constructor(worker: Worker) {
    this.#worker = worker;
    worker.on("message", (replies: Reply[]) => this.#receive(replies));
    worker.on("error", (error) => this.#fail(error));
    worker.on("exit", (code) => this.#fail(new Error(`its thread ended with code ${code}`)));
    worker.unref();
  }

  /**
   * `onResult` runs as the reply is read, before any later reply: what it does happens in the worker's order.
   * The promise resolves after it. Rejects with RevisionConflict, StoreClosed, StoreOverloaded, StoreFailure or TypeError.
   */
  send<R extends Request>(
    request: R,
    options: { bytes?: number; onResult?: (result: Results[R["op"]]) => void } = {},
  ): Promise<Results[R["op"]]> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    const bytes = options.bytes ?? 0;
    return new Promise((resolve, reject) => {
      const call: Call = {
        request,
        bytes,
        settle(result) {
          options.onResult?.(result as Results[R["op"]]);
          resolve(result as Results[R["op"]]);
        },
        reject,
      };
      if (this.#waitingBytes + bytes > WAITING_BYTES_MAX || !this.#waiting.push(call)) {
        reject(new StoreOverloaded(`${this.#waiting.size} calls wait for the store already`));
        return;
      }
      this.#waitingBytes += bytes;
      this.#flushSoon();
    });
  }

  /** Sends `close` behind everything that was accepted; later calls reject with StoreClosed. Call once. */
  close(): Promise<undefined> {
    const closing = this.send({ op: "close" });
    this.#ended ??= new StoreClosed();
    // From here to its end the thread keeps the process alive.
    this.#closing = true;
    this.#worker.ref();
    return closing;
  }

  #flushSoon(): void {
    if (this.#flushing) return;
    this.#flushing = true;
    queueMicrotask(() => {
      this.#flushing = false;
      this.#flush();
    });
  }

  #flush(): void {
    const envelopes: Envelope[] = [];
    const transfer: ArrayBuffer[] = [];
    while (this.#underWay.size < UNDER_WAY_REQUESTS_MAX && this.#underWayBytes < UNDER_WAY_BYTES_MAX) {
      const call = this.#waiting.shift();
      if (call === undefined) break;
      this.#waitingBytes -= call.bytes;
      this.#underWayBytes += call.bytes;
      this.#lastId += 1;
      this.#underWay.set(this.#lastId, call);
      envelopes.push({ id: this.#lastId, request: call.request });
      collectBuffers(call.request, transfer);
    }
    if (envelopes.length === 0) return;
    // An idle store does not keep the process alive, one that owes an answer does.
    this.#worker.ref();
    this.#worker.postMessage(envelopes, transfer);
  }

  #receive(replies: readonly Reply[]): void {
    for (const reply of replies) {
      const call = this.#underWay.get(reply.id);
      assert(call !== undefined, "the worker answers each request once");
      this.#underWay.delete(reply.id);
      this.#underWayBytes -= call.bytes;
      if ("error" in reply) call.reject(errorOf(reply.error));
      else call.settle(reply.result);
    }
    if (this.#waiting.size > 0) this.#flush();
    if (this.#underWay.size === 0 && !this.#closing) this.#worker.unref();
  }

  /** The worker is gone. What was under way may or may not have happened; nothing more is taken. */
  #fail(cause: Error): void {
    const failure = new StoreFailure(`the store stopped: ${cause.message}`, {
      hint: "restart Hornero; what was acknowledged is on disk",
      cause,
    });
    this.#ended ??= failure;
    for (const call of this.#underWay.values()) call.reject(failure);
    this.#underWay.clear();
    for (let call = this.#waiting.shift(); call !== undefined; call = this.#waiting.shift())
      call.reject(failure);
    this.#underWayBytes = 0;
    this.#waitingBytes = 0;
  }
}

function collectBuffers(request: Request, transfer: ArrayBuffer[]): void {
  if (request.op === "append") for (const message of request.messages) transfer.push(message.body.buffer);
  if (request.op === "release" && request.body !== undefined) transfer.push(request.body.buffer);
  if (request.op !== "write") return;
  for (const change of request.changes) if (change.op === "enqueue") transfer.push(change.body.buffer);
}

function errorOf(error: WireError): Error {
  switch (error.type) {
    case "conflict":
      return new RevisionConflict(error.kind, error.key);
    case "invalid":
      return new TypeError(error.message);
    case "failure":
      return new StoreFailure(error.message, { hint: error.hint });
    default:
      return unreachable(error, "error");
  }
}
