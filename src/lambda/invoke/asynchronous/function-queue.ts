/**
 * The events of one function: its durable queue, how many there are, and whether they can be run now. One function's
 * backlog, errors or throttles delay only its own.
 */
import { AwsError, serviceException, tooManyRequests } from "../../../errors.ts";
import type { Clock } from "../../../kernel/clock.ts";
import { StoreClosed, StoreOverloaded, type DurableQueue, type LeasedMessage } from "../../../store/store.ts";
import { backoffMs } from "./attempt.ts";

/**
 * Longer than an event can be under way: two inits and the longest timeout. A lease that ends while its holder lives
 * means a second delivery, never a loss. A restart does not wait for leases, it recalls them.
 */
const LEASE_MS = 30 * 60_000;
/** While a function refuses, one event probes it after at most so long, whatever the events' own waits are. */
const PAUSE_MS_MAX = 10_000;
/** Messages that a deleted function's queue is cleared of at a time. */
const CLEAR_MESSAGES = 500;
/**
 * With more delayed events than that, the store is asked once a second when the next one is due, not after each event: it
 * counts them, 26 ms for 300,000.
 */
const DELAYED_EXACT_MAX = 100;
const LOOK_MS_MIN = 1000;

export class FunctionQueue {
  readonly functionName: string;
  readonly identity: string;
  readonly #queue: DurableQueue;
  readonly #clock: Clock;
  readonly #eventsMax: number;
  /** Events on disk or on their way there, those that run included. */
  #events = 0;
  /** Slots that its events have, or that are reserved for a fetch. */
  running = 0;
  /** A fetch is under way. */
  fetching = false;
  /** There may be visible events that nobody has fetched. */
  hasMore = false;
  /** The function was deleted. */
  dropped = false;
  /** Refusals in a row, across events. */
  #refusals = 0;
  #pausedUntilMs = 0;
  #probing = false;
  #cancelTimer: () => void = () => undefined;
  /** Monotonic, as `#lookedMs`: when the timer calls back, when the store was asked last. */
  #timerDueMs = Infinity;
  #lookedMs = -Infinity;

  constructor(options: {
    functionName: string;
    identity: string;
    queue: DurableQueue;
    clock: Clock;
    eventsMax: number;
  }) {
    this.functionName = options.functionName;
    this.identity = options.identity;
    this.#queue = options.queue;
    this.#clock = options.clock;
    this.#eventsMax = options.eventsMax;
  }

  /** Events on disk or on their way there, those that run included. */
  get size(): number {
    return this.#events;
  }

  /** Takes over what an earlier process left; nobody holds its leases any more. */
  async recover(): Promise<void> {
    await this.#queue.recall();
    const { messages } = await this.#queue.stats();
    this.#events += messages;
    this.hasMore = messages > 0;
  }

  /** Resolves when the event is on disk. Rejects with AwsError: TooManyRequestsException, ServiceException. */
  async append(body: Buffer): Promise<void> {
    if (this.#events >= this.#eventsMax) throw tooManyRequests("CallerRateLimitExceeded");
    this.#events += 1;
    try {
      await this.#queue.append([{ body }]);
    } catch (error) {
      this.#events -= 1;
      throw refusalOf(error);
    }
    this.hasMore = true;
  }

  /** How many events may be fetched now, at most `slots`: one at a time while the function refuses. */
  allowance(slots: number): number {
    if (this.fetching || !this.hasMore) return 0;
    if (this.#refusals === 0) return slots;
    return this.#probing || this.#clock.nowMs() < this.#pausedUntilMs ? 0 : Math.min(slots, 1);
  }

  async fetch(limit: number): Promise<LeasedMessage[]> {
    this.fetching = true;
    this.hasMore = false;
    this.#probing = this.#refusals > 0;
    try {
      const messages = await this.#queue.receive({ limit, leaseMs: LEASE_MS });
      if (messages.length === limit) this.hasMore = true;
      if (messages.length === 0) this.#probing = false;
      return messages;
    } catch (error) {
      this.#probing = false;
      this.hasMore = true;
      throw error;
    } finally {
      this.fetching = false;
    }
  }

  async acknowledge(receipt: string): Promise<void> {
    // Not `-= await …`: that reads the count before it waits, and undoes what came meanwhile.
    const removed = await this.#queue.acknowledge([receipt]);
    this.#events -= removed;
  }

  async release(receipt: string, options: { visibleAtMs: number; body?: Buffer }): Promise<void> {
    await this.#queue.release(receipt, options);
  }

  /** An attempt ran, however it ended. */
  ran(): void {
    this.#refusals = 0;
    this.#probing = false;
  }

  /** An attempt could not run. Answers after how long the next one may try; undefined when that is known already. */
  refused(): number | undefined {
    this.#probing = false;
    const nowMs = this.#clock.nowMs();
    if (nowMs < this.#pausedUntilMs) return undefined;
    const pauseMs = Math.min(backoffMs(this.#refusals), PAUSE_MS_MAX);
    this.#refusals += 1;
    this.#pausedUntilMs = nowMs + pauseMs;
    return pauseMs;
  }

  /** Calls back when the next delayed event becomes visible; at once when there is a visible one. */
  async whenNextIsVisible(wake: () => void): Promise<void> {
    const delayed = this.#events - this.running;
    if (delayed <= 0 || this.hasMore) return;
    const sinceLookMs = this.#clock.monotonicMs() - this.#lookedMs;
    const isLong = delayed > DELAYED_EXACT_MAX;
    if (isLong && sinceLookMs < LOOK_MS_MIN) {
      const waitMs = LOOK_MS_MIN - sinceLookMs;
      if (this.#clock.monotonicMs() + waitMs < this.#timerDueMs) this.#arm(waitMs, wake);
      return;
    }
    this.#lookedMs = this.#clock.monotonicMs();
    const { visible, nextVisibleAtMs } = await this.#queue.stats();
    if (this.dropped) return;
    if (visible > 0) wake();
    else if (nextVisibleAtMs !== undefined) {
      const waitMs = nextVisibleAtMs - this.#clock.nowMs();
      this.#arm(Math.max(waitMs, isLong ? LOOK_MS_MIN : 0), wake);
    }
  }

  /** Instead of the timer that there may be. */
  #arm(waitMs: number, wake: () => void): void {
    this.#cancelTimer();
    this.#timerDueMs = this.#clock.monotonicMs() + waitMs;
    this.#cancelTimer = this.#clock.after(waitMs, () => {
      this.#timerDueMs = Infinity;
      wake();
    });
  }

  /** No timer calls back any more. */
  stop(): void {
    this.#cancelTimer();
  }

  /** Removes every event. Those that run find theirs gone. */
  async clear(): Promise<void> {
    this.stop();
    this.dropped = true;
    while ((await this.#queue.clear(CLEAR_MESSAGES)) === CLEAR_MESSAGES);
    this.#events = 0;
  }
}

function refusalOf(error: unknown): AwsError {
  if (error instanceof StoreOverloaded) return tooManyRequests("CallerRateLimitExceeded");
  if (error instanceof StoreClosed) return serviceException("The server is shutting down.");
  return new AwsError("ServiceException", "The event could not be stored.", { status: 500, cause: error });
}
