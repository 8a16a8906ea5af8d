/**
 * Asynchronous invocation, the part in memory: accepted events wait in a bounded queue, run as concurrency allows, and
 * are tried again as on AWS: a function's error twice more, after one and two minutes; a throttle or a fault of the
 * platform with back-off from one second to five minutes, for up to six hours. Events that wait here do not survive a
 * restart yet; docs/compat/invocation.md says so.
 */
import { AwsError, serviceException } from "../../errors.ts";
import { assert } from "../../kernel/assert.ts";
import { BoundedQueue } from "../../kernel/bounded-queue.ts";
import type { Clock } from "../../kernel/clock.ts";
import { coerceError } from "../../kernel/deferred.ts";
import type { Logger } from "../../telemetry/logger.ts";
import type { Meter } from "../metering/meter.ts";
import type { FunctionVersion, Invocation } from "../model.ts";
import type { FunctionDirectory } from "./directory.ts";
import { record, type Runner } from "./run.ts";

/** Waits before the second and the third attempt after a function's error. */
const RETRY_WAITS_MS = [60_000, 120_000];
const BACKOFF_MS_MIN = 1000;
const BACKOFF_MS_MAX = 5 * 60_000;
const EVENT_AGE_MS_MAX = 6 * 60 * 60_000;
/** Events that are held, waiting or running, and the bytes of their payloads; more are refused. */
const EVENTS_MAX = 10_000;
const EVENTS_BYTES_MAX = 256 * 1024 * 1024;
/** Events that run at once: room is left for synchronous callers. */
const RUNNING_MAX = 100;

interface Accepted {
  /** The version that the caller meant, at the revision of then. */
  readonly version: FunctionVersion;
  readonly invocation: Invocation;
  readonly acceptedMs: number;
  /** Attempts that ended in a function's error. */
  errors: number;
  /** Attempts that could not run. */
  refusals: number;
}

export interface AsynchronousOptions {
  readonly clock: Clock;
  readonly runner: Runner;
  /** An attempt runs the function as it is then, not as it was when the event was accepted. */
  readonly directory: Pick<FunctionDirectory, "resolve">;
  readonly meter: Pick<Meter, "record">;
  readonly logger: Logger;
}

export class AsynchronousQueue {
  readonly #options: AsynchronousOptions;
  readonly #queue = new BoundedQueue<Accepted>(EVENTS_MAX);
  #held = 0;
  #heldBytes = 0;
  #running = 0;

  constructor(options: AsynchronousOptions) {
    this.#options = options;
  }

  /** Takes an event, or throws ServiceException when too many are held. */
  accept(version: FunctionVersion, invocation: Invocation): void {
    const bytes = invocation.payload.length;
    if (this.#held >= EVENTS_MAX || this.#heldBytes + bytes > EVENTS_BYTES_MAX)
      throw serviceException("Too many asynchronous events wait to be invoked.");
    this.#held += 1;
    this.#heldBytes += bytes;
    const acceptedMs = this.#options.clock.nowMs();
    this.#enqueue({ version, invocation, acceptedMs, errors: 0, refusals: 0 });
    // Not in this turn: the caller's 202 goes first.
    setImmediate(() => this.#pump());
  }

  #enqueue(event: Accepted): void {
    assert(this.#queue.push(event), "the queue has room for every event that is held");
  }

  #pump(): void {
    while (this.#running < RUNNING_MAX) {
      const event = this.#queue.shift();
      if (!event) return;
      this.#running += 1;
      void this.#attempt(event).then((waitMs) => {
        this.#running -= 1;
        if (waitMs === undefined) this.#release(event);
        else
          this.#options.clock.after(waitMs, () => {
            this.#enqueue(event);
            this.#pump();
          });
        this.#pump();
      });
    }
  }

  #release(event: Accepted): void {
    this.#held -= 1;
    this.#heldBytes -= event.invocation.payload.length;
  }

  /** Runs it once. Answers after how long it is to be tried again; undefined when it is done or given up. Never rejects. */
  async #attempt(event: Accepted): Promise<number | undefined> {
    const { directory, runner, meter } = this.#options;
    try {
      const version = directory.resolve(event.version.functionArn, event.version.version);
      const outcome = await runner.run(version, event.invocation);
      record(meter, version, outcome);
      if (outcome.functionError === undefined) return undefined;
      const waitMs = RETRY_WAITS_MS[event.errors];
      event.errors += 1;
      return waitMs === undefined ? undefined : this.#unlessTooOld(event, waitMs, outcome.functionError);
    } catch (error) {
      const code = error instanceof AwsError ? error.code : coerceError(error).message;
      if (code === "ResourceNotFoundException") return this.#giveUp(event, "its function was deleted", code);
      const waitMs = Math.min(BACKOFF_MS_MAX, BACKOFF_MS_MIN * 2 ** event.refusals);
      event.refusals += 1;
      return this.#unlessTooOld(event, waitMs, code);
    }
  }

  #unlessTooOld(event: Accepted, waitMs: number, code: string): number | undefined {
    const ageMs = this.#options.clock.nowMs() + waitMs - event.acceptedMs;
    return ageMs <= EVENT_AGE_MS_MAX ? waitMs : this.#giveUp(event, "it grew too old", code);
  }

  #giveUp({ version, invocation }: Accepted, reason: string, code: string): undefined {
    const { requestId } = invocation;
    this.#options.logger.warn("an asynchronous event is given up", {
      function: version.name,
      requestId,
      reason,
      code,
    });
  }
}
