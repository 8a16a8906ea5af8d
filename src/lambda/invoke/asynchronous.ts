/**
 * Asynchronous invocation, the part in memory: accepted events wait in a bounded queue, run as concurrency allows, and
 * are tried again as on AWS: a function's error twice more, after one and two minutes; a throttle or a fault of the
 * platform with back-off from one second to five minutes, for up to six hours. Events that wait here do not survive a
 * restart yet; docs/compat/functions.md says so.
 */
import { AwsError, serviceException } from "../../errors.ts";
import { BoundedQueue } from "../../kernel/bounded-queue.ts";
import type { Clock } from "../../kernel/clock.ts";
import { coerceError } from "../../kernel/deferred.ts";
import type { Logger } from "../../telemetry/logger.ts";
import type { Meter } from "../metering/meter.ts";
import type { FunctionVersion, Invocation } from "../model.ts";
import { record, type Runner } from "./invoke.ts";

/** Waits before the second and the third attempt after a function's error. */
const RETRY_WAITS_MS = [60_000, 120_000];
const BACKOFF_MS_MIN = 1000;
const BACKOFF_MS_MAX = 5 * 60_000;
const EVENT_AGE_MS_MAX = 6 * 60 * 60_000;
/** Events that may wait; more are refused. */
const EVENTS_MAX = 10_000;
/** Events that run at once: room is left for synchronous callers. */
const RUNNING_MAX = 100;

interface Accepted {
  readonly version: FunctionVersion;
  readonly invocation: Invocation;
  readonly acceptedMs: number;
  /** Attempts that ended in a function's error. */
  errors: number;
  /** Attempts that could not run. */
  refusals: number;
}

export class AsynchronousQueue {
  readonly #clock: Clock;
  readonly #runner: Runner;
  readonly #meter: Pick<Meter, "record">;
  readonly #logger: Logger;
  readonly #queue = new BoundedQueue<Accepted>(EVENTS_MAX);
  /** Events that wait for their next attempt. */
  #delayed = 0;
  #running = 0;

  constructor(options: { clock: Clock; runner: Runner; meter: Pick<Meter, "record">; logger: Logger }) {
    this.#clock = options.clock;
    this.#runner = options.runner;
    this.#meter = options.meter;
    this.#logger = options.logger;
  }

  /** Takes an event, or throws ServiceException when too many wait. */
  accept(version: FunctionVersion, invocation: Invocation): void {
    const event = { version, invocation, acceptedMs: this.#clock.nowMs(), errors: 0, refusals: 0 };
    if (this.#queue.size + this.#delayed >= EVENTS_MAX || !this.#queue.push(event))
      throw serviceException("Too many asynchronous events wait to be invoked.");
    // Not in this turn: the caller's 202 goes first.
    setImmediate(() => this.#pump());
  }

  #pump(): void {
    while (this.#running < RUNNING_MAX) {
      const event = this.#queue.shift();
      if (!event) return;
      this.#running += 1;
      void this.#attempt(event).finally(() => {
        this.#running -= 1;
        this.#pump();
      });
    }
  }

  async #attempt(event: Accepted): Promise<void> {
    try {
      const outcome = await this.#runner.run(event.version, event.invocation);
      record(this.#meter, event.version, outcome);
      if (outcome.functionError === undefined) return;
      const waitMs = RETRY_WAITS_MS[event.errors];
      event.errors += 1;
      if (waitMs !== undefined) this.#again(event, waitMs);
    } catch (error) {
      const code = error instanceof AwsError ? error.code : coerceError(error).message;
      const waitMs = Math.min(BACKOFF_MS_MAX, BACKOFF_MS_MIN * 2 ** event.refusals);
      event.refusals += 1;
      if (this.#clock.nowMs() + waitMs - event.acceptedMs < EVENT_AGE_MS_MAX) this.#again(event, waitMs);
      else this.#logger.warn("an asynchronous event grew too old", { function: event.version.name, code });
    }
  }

  #again(event: Accepted, waitMs: number): void {
    this.#delayed += 1;
    this.#clock.after(waitMs, () => {
      this.#delayed -= 1;
      if (!this.#queue.push(event)) this.#again(event, BACKOFF_MS_MAX);
      this.#pump();
    });
  }
}
