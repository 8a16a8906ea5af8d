/**
 * Asynchronous invocation: an accepted event is on disk before its caller hears of it, and stays there until it has
 * succeeded, failed for good or grown too old. See docs/internals/asynchronous.md.
 *
 * Each function has a queue of its own. A bounded number of slots runs events; functions take turns, and none can have
 * all of the slots. Memory holds the events that run and nothing of those that wait.
 */
import { resourceNotFound, serviceException } from "../../../errors.ts";
import { coerceError } from "../../../kernel/deferred.ts";
import type { LeasedMessage, Store } from "../../../store/store.ts";
import type { Logger } from "../../../telemetry/logger.ts";
import type { FunctionVersion, Invocation } from "../../model.ts";
import type { Destinations } from "../destinations.ts";
import type { FunctionDirectory } from "../directory.ts";
import { withHop } from "../lineage.ts";
import { attempt, dimensionsOf, type AttemptOptions, type Verdict } from "./attempt.ts";
import { conclude } from "./conclude.ts";
import { decodeEvent, encodeEvent, type AsynchronousEvent } from "./event.ts";
import { FunctionQueue } from "./function-queue.ts";
import type { AsynchronousSettings } from "./settings.ts";

/** Events of one function that are fetched together. */
const FETCH_MAX = 16;
/**
 * A function may have up to so many times the slots that it leaves free: alone it gets four fifths of all, and whoever comes
 * later still finds some, however long the others' events run (dynamic thresholds, as switches share their buffers).
 */
const SHARE = 4;
/** After a fault of the store. */
const FAULT_PAUSE_MS = 1000;
/** `lambda/asynchronous/NAME/IDENTITY`; neither has a slash. */
const QUEUE_PREFIX = "lambda/asynchronous/";

export interface AsynchronousOptions extends AttemptOptions {
  readonly store: Store;
  readonly directory: FunctionDirectory;
  readonly settings: AsynchronousSettings;
  readonly destinations: Destinations;
  readonly logger: Logger;
  /** Events of one function that may wait; more are refused. */
  readonly eventsMax: number;
  /** Events that run at once. */
  readonly runningMax: number;
}

export class AsynchronousQueue {
  readonly #options: AsynchronousOptions;
  /**
   * By function name. Once there, it stays until the function is deleted: two objects for one durable queue would each have
   * half of its counts.
   */
  readonly #queues = new Map<string, FunctionQueue>();
  /** Those that may have something to fetch, in turn. */
  #turns = new Set<FunctionQueue>();
  #running = 0;
  #stopped = false;
  /** What has to end before the store may be closed. */
  readonly #work = new Set<Promise<unknown>>();
  #unsubscribe: () => void = () => undefined;

  constructor(options: AsynchronousOptions) {
    this.#options = options;
  }

  /** Events that run at this moment. */
  get running(): number {
    return this.#running;
  }

  /** Events that wait or run, by function name; functions without any are left out. */
  *depths(): Generator<readonly [functionName: string, events: number]> {
    for (const [name, queue] of this.#queues) if (queue.size > 0) yield [name, queue.size];
  }

  /** Takes up what an earlier process left, and begins to run events. */
  async open(): Promise<void> {
    const { store, directory, settings } = this.#options;
    this.#unsubscribe = directory.subscribe(({ kind, functionArn, version }) => {
      if (kind === "deleted" && version === "$LATEST") this.#drop(nameOf(functionArn));
    });
    for (const queueName of await store.queueNames(QUEUE_PREFIX)) {
      const [name = "", identity = ""] = queueName.slice(QUEUE_PREFIX.length).split("/");
      const queue = this.#newQueue(name, identity);
      if (settings.identity(name) !== identity) {
        this.#clear(queue);
        continue;
      }
      this.#queues.set(name, queue);
      await queue.recover();
      this.#wake(queue);
    }
  }

  /** Runs nothing more; what runs goes on. */
  stop(): void {
    this.#stopped = true;
    this.#unsubscribe();
    for (const queue of this.#queues.values()) queue.stop();
  }

  /** Resolves when everything that ran has been put down. Call it after `stop`, when the runner has ended. */
  async close(): Promise<void> {
    this.stop();
    while (this.#work.size > 0) await Promise.all(this.#work);
  }

  /**
   * Takes an event: resolves when it is on disk. Rejects with AwsError: TooManyRequestsException when too many wait,
   * ServiceException when it cannot be stored.
   */
  async accept(version: FunctionVersion, invocation: Invocation): Promise<void> {
    if (this.#stopped) throw serviceException("The server is shutting down.");
    await this.forward(version, invocation);
  }

  /**
   * Takes an event of the platform's own, which nobody would send again: a record for its destination, an alarm's action. As
   * `accept`, and also after `stop`, as long as the store is open; the next start runs it.
   */
  async forward(version: FunctionVersion, invocation: Invocation): Promise<void> {
    const { clock, metrics } = this.#options;
    const queue = this.#queueOf(version);
    const event = eventOf(version, invocation, clock.nowMs());
    await queue.append(encodeEvent(event));
    metrics.count("AsyncEventsReceived", dimensionsOf(event), 1, "Count");
    // The function was deleted meanwhile: nothing of it is to stay.
    if (queue.dropped) this.#clear(queue);
    else this.#wake(queue);
  }

  #queueOf({ name, functionArn }: FunctionVersion): FunctionQueue {
    const identity = this.#options.settings.identity(name);
    if (identity === undefined) throw resourceNotFound(`Function not found: ${functionArn}`);
    const known = this.#queues.get(name);
    if (known?.identity === identity) return known;
    if (known) this.#drop(name);
    const queue = this.#newQueue(name, identity);
    this.#queues.set(name, queue);
    return queue;
  }

  #newQueue(functionName: string, identity: string): FunctionQueue {
    const { store, clock, eventsMax } = this.#options;
    const queue = store.queue(`${QUEUE_PREFIX}${functionName}/${identity}`);
    return new FunctionQueue({ functionName, identity, queue, clock, eventsMax });
  }

  #drop(functionName: string): void {
    const queue = this.#queues.get(functionName);
    if (!queue) return;
    this.#queues.delete(functionName);
    this.#turns.delete(queue);
    this.#clear(queue);
  }

  #clear(queue: FunctionQueue): void {
    this.#track(
      queue.clear().catch((error: unknown) => {
        // The next start finds a queue of a function that is not there, and clears it.
        this.#fault("the events of a deleted function could not be removed", queue, error);
      }),
    );
  }

  #wake(queue: FunctionQueue): void {
    if (queue.dropped) return;
    queue.hasMore = true;
    this.#turns.add(queue);
    this.#pump();
  }

  /** Gives free slots to the functions in turn. */
  #pump(): void {
    if (this.#stopped) return;
    for (const queue of [...this.#turns]) {
      const free = this.#options.runningMax - this.#running;
      if (free <= 0) return;
      const limit = queue.allowance(Math.min(FETCH_MAX, share(free, queue.running)));
      if (limit <= 0) {
        if (!queue.hasMore && !queue.fetching) this.#turns.delete(queue);
        continue;
      }
      // To the end of the line.
      this.#turns.delete(queue);
      this.#turns.add(queue);
      this.#reserve(queue, limit);
      this.#track(this.#fetch(queue, limit));
    }
  }

  async #fetch(queue: FunctionQueue, limit: number): Promise<void> {
    let messages: LeasedMessage[] = [];
    try {
      messages = await queue.fetch(limit);
    } catch (error) {
      this.#fault("events could not be fetched", queue, error);
      this.#options.clock.after(FAULT_PAUSE_MS, () => this.#wake(queue));
    }
    this.#reserve(queue, messages.length - limit);
    for (const message of messages) this.#track(this.#run(queue, message));
    if (!queue.hasMore) this.#track(this.#await(queue));
    this.#pump();
  }

  /** Nothing is visible now: be called when something is. */
  async #await(queue: FunctionQueue): Promise<void> {
    try {
      await queue.whenNextIsVisible(() => this.#wake(queue));
    } catch (error) {
      this.#fault("a queue of events could not be looked at", queue, error);
      this.#options.clock.after(FAULT_PAUSE_MS, () => this.#wake(queue));
    }
  }

  /** Never rejects. */
  async #run(queue: FunctionQueue, message: LeasedMessage): Promise<void> {
    const { receipt } = message;
    try {
      const event = this.#decode(queue, message);
      if (event === undefined || queue.dropped) {
        queue.ran();
        return await queue.acknowledge(receipt);
      }
      const settings = this.#options.settings.eventSettings(event.functionName, event.qualifier);
      const verdict = await attempt(this.#options, event, settings);
      const succeeded = verdict.kind === "ended" && verdict.ending.condition === "Success";
      // What fails while the server stops may fail because of it: as if it had not been tried.
      if (this.#stopped && !succeeded)
        await queue.release(receipt, { visibleAtMs: this.#options.clock.nowMs() });
      else if (verdict.kind === "retry") await this.#retry(queue, receipt, verdict);
      else {
        queue.ran();
        await conclude(this.#options, event, settings, verdict);
        await queue.acknowledge(receipt);
      }
    } catch (error) {
      // It stays leased; the end of the lease or the next start brings it back.
      this.#fault("an event could not be put down", queue, error);
    } finally {
      this.#reserve(queue, -1);
      if (!this.#stopped) {
        this.#pump();
        if (!queue.hasMore && !queue.fetching) await this.#await(queue);
      }
    }
  }

  /** Undefined when it is none: damaged, or of a later format. */
  #decode(queue: FunctionQueue, { body }: LeasedMessage): AsynchronousEvent | undefined {
    try {
      return decodeEvent(body);
    } catch (error) {
      this.#fault("an event cannot be read and is given up", queue, error);
      return undefined;
    }
  }

  async #retry(
    queue: FunctionQueue,
    receipt: string,
    { waitMs, event, refused }: Extract<Verdict, { kind: "retry" }>,
  ): Promise<void> {
    const { clock } = this.#options;
    const visibleAtMs = clock.nowMs() + waitMs;
    const pauseMs = refused ? queue.refused() : undefined;
    if (!refused) queue.ran();
    if (pauseMs !== undefined) clock.after(pauseMs, () => this.#wake(queue));
    await queue.release(receipt, { visibleAtMs, body: encodeEvent(event) });
  }

  #reserve(queue: FunctionQueue, slots: number): void {
    queue.running += slots;
    this.#running += slots;
  }

  #track(work: Promise<void>): void {
    const done = work.finally(() => this.#work.delete(done));
    this.#work.add(done);
  }

  #fault(message: string, { functionName }: FunctionQueue, error: unknown): void {
    this.#options.logger.error(message, { function: functionName, error: coerceError(error) });
  }
}

/** How many of the free slots a function may have that has so many already; its first one it always may. */
function share(free: number, running: number): number {
  const slots = Math.floor((SHARE * free - running) / (SHARE + 1));
  return Math.max(slots, running === 0 ? 1 : 0);
}

function eventOf(version: FunctionVersion, invocation: Invocation, acceptedMs: number): AsynchronousEvent {
  const { functionArn, name } = version;
  const { requestId, payload, invokedFunctionArn, traceHeader, clientContext, tenantId } = invocation;
  const qualifier = invokedFunctionArn.slice(functionArn.length + 1);
  return {
    requestId,
    functionArn,
    functionName: name,
    ...(qualifier === "" ? {} : { qualifier }),
    acceptedMs,
    traceHeader: withHop(traceHeader, functionArn),
    ...(clientContext === undefined ? {} : { clientContext }),
    ...(tenantId === undefined ? {} : { tenantId }),
    errors: 0,
    refusals: 0,
    payload,
  };
}

function nameOf(functionArn: string): string {
  return functionArn.slice(functionArn.lastIndexOf(":") + 1);
}
