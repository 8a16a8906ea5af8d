/**
 * Durable executions: starts them, lets them wait without anything but a timer, and wakes them when there is reason to. See
 * docs/internals/durable-executions.md.
 *
 * Every change goes the same way: exclusively for its execution, first in memory (execution.ts), then on disk, then to
 * whoever is to know. While a function runs (driver.ts) the disk says that its execution is due: after a crash it is
 * invoked again.
 */
import type { ErrorObject } from "@aws-sdk/client-lambda";
import { AwsError, resourceNotFound, serviceException, tooManyRequests } from "../../errors.ts";
import type { Clock } from "../../kernel/clock.ts";
import { coerceError, deferred } from "../../kernel/deferred.ts";
import { DURABLE_EXECUTIONS_OPEN_MAX } from "../../limits.ts";
import { StoreClosed, StoreOverloaded, type Change, type Store } from "../../store/store.ts";
import type { Gauge, MetricsSink } from "../../telemetry/metrics.ts";
import type { Logger } from "../../telemetry/logger.ts";
import type { AsynchronousSettings } from "../invoke/asynchronous/settings.ts";
import type { FunctionDirectory } from "../invoke/directory.ts";
import type { Runner } from "../invoke/run.ts";
import type { Meter } from "../metering/meter.ts";
import { ChainedInvokes, checkInvocable, type CompletionStatus } from "./chained.ts";
import { Driver, FAULT_PAUSE_MS } from "./driver.ts";
import { Entry, type Ended } from "./entry.ts";
import type { Ending, Execution, Preflight } from "./execution.ts";
import { ExecutionStore } from "./execution-store.ts";
import { countEnd } from "./metrics.ts";
import { OPEN_KIND, type OpenRecord } from "./records.ts";
import { Retention } from "./retention.ts";
import { Slots } from "./slots.ts";
import { begin, type Started, type StartRequest } from "./start.ts";
import { Timers } from "./timers.ts";

export interface DurableExecutionsOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly directory: FunctionDirectory;
  readonly settings: AsynchronousSettings;
  /** Runs one invocation of a function, durable or not, as it is. */
  readonly runner: Runner;
  readonly meter: Pick<Meter, "record">;
  readonly metrics: MetricsSink;
  readonly logger: Logger;
  /** Whether a role may do lambda:InvokeFunction on a function's ARN. */
  readonly mayInvoke: (roleArn: string, functionArn: string) => boolean;
  /** Functions that run at once for executions without a caller that waits. */
  readonly runningMax: number;
  /** Executions that have not ended. */
  readonly openMax?: number;
}

/** Executions whose timers are handled at once: each has its record read. */
const FIRING_MAX = 32;

export class DurableExecutions {
  readonly disk: ExecutionStore;
  readonly #options: DurableExecutionsOptions;
  /** By key: all that have not ended. */
  readonly #entries = new Map<string, Entry>();
  readonly #slots: Slots;
  readonly #firing = new Slots(FIRING_MAX);
  readonly #timers: Timers;
  readonly #driver: Driver;
  readonly #chained: ChainedInvokes;
  readonly #retention: Retention;
  /** What has to end before the store may be closed. */
  readonly #work = new Set<Promise<unknown>>();
  #unsubscribe: () => void = () => undefined;
  #stopped = false;

  constructor(options: DurableExecutionsOptions) {
    this.#options = options;
    const { clock, store, runningMax, logger, settings } = options;
    this.disk = new ExecutionStore(store);
    this.#slots = new Slots(runningMax);
    this.#timers = new Timers(clock, (entry) => this.#due(entry));
    this.#driver = new Driver({ ...options, engine: this, isStopped: () => this.#stopped });
    this.#chained = new ChainedInvokes({
      ...options,
      slots: this.#slots,
      disk: this.disk,
      start: async (request) => {
        const { key, arn, execution } = await this.#begin(request);
        if (execution || this.#entries.has(key)) return { arn, ended: undefined };
        return { arn, ended: await this.ended(key) };
      },
      complete: (...completion) => this.#completeChained(...completion),
      noteChild: (key, operationId, arn) => this.#noteChild(key, operationId, arn),
      isAwaited: (key) => !this.#stopped && this.#entries.has(key),
      track: (work) => this.#track(work),
    });
    this.#retention = new Retention({
      clock,
      disk: this.disk,
      logger,
      identity: (functionName) => settings.identity(functionName),
      track: (work) => this.#track(work),
    });
  }

  /** Takes up what an earlier process left. */
  async open(): Promise<void> {
    const { directory, settings, clock } = this.#options;
    for await (const { key, value } of this.disk.all<OpenRecord>(OPEN_KIND)) {
      const { identity, dueMs, hasChained } = value;
      const entry = new Entry(key);
      this.#entries.set(key, entry);
      if (settings.identity(entry.functionName) !== identity) this.#orphaned(entry);
      else {
        if (hasChained) this.#resumeChained(entry);
        this.#timers.arm(entry, Math.max(dueMs, clock.nowMs()));
      }
    }
    this.#unsubscribe = directory.subscribe(({ kind, functionArn, version }) => {
      if (kind === "deleted" && version === "$LATEST") this.#functionDeleted(functionArn);
    });
    this.#retention.open();
  }

  /** Wakes nobody any more; callers that wait are refused. What runs goes on. */
  stop(): void {
    this.#stopped = true;
    this.#unsubscribe();
    this.#timers.stop();
    this.#slots.stop();
    this.#firing.stop();
    this.#retention.stop();
    for (const entry of this.#entries.values())
      for (const waiter of entry.takeWaiters()) waiter.reject(stopping());
  }

  /** Resolves when everything is put down. Call it after `stop`, when the runner has ended. */
  async close(): Promise<void> {
    this.stop();
    while (this.#work.size > 0) await Promise.all(this.#work);
  }

  /** AWS's metric of executions that have not ended, across all functions. */
  gauge(): Gauge {
    return { name: "ApproximateRunningDurableExecutions", value: this.#entries.size, unit: "Count" };
  }

  /**
   * Resolves when the execution is on disk, with its ARN. Rejects with AwsError: InvalidParameterValueException (an
   * unqualified ARN), DurableExecutionAlreadyStartedException, TooManyRequestsException, ServiceException.
   */
  async start(request: StartRequest): Promise<Pick<Started, "key" | "arn">> {
    checkInvocable(request.version, request.invocation.invokedFunctionArn);
    return this.#begin(request);
  }

  /** Starts an execution and resolves with its end. As `start`; and a caller does not wait in line. */
  async run(request: StartRequest): Promise<Ended & { readonly arn: string }> {
    checkInvocable(request.version, request.invocation.invokedFunctionArn);
    const waiter = deferred<Ended>();
    const { key, arn, execution } = await this.#begin(request, (entry) => entry.await(waiter));
    // Of those who came to wait after the stop, nobody would tell the end.
    if (this.#stopped) throw stopping();
    if (!execution) {
      const entry = this.#entries.get(key);
      if (!entry) return { ...(await this.ended(key)), arn };
      entry.await(waiter);
    }
    return { ...(await waiter.promise), arn };
  }

  /** How an execution has ended that has. */
  async ended(key: string): Promise<Ended> {
    const record = await this.disk.record(key);
    const root = await this.disk.operation(key, 0);
    if (!record || !root) throw notFound(key);
    return { record, root };
  }

  // What driver.ts and requests.ts need.

  /** Undefined: it has ended, or never was. */
  entry(key: string): Entry | undefined {
    return this.#entries.get(key);
  }

  exclusively<T>(entry: Entry, work: (execution: Execution) => Promise<T> | T): Promise<T> {
    return entry.exclusively(async () => {
      const execution = await this.disk.load(entry.key);
      if (!execution) throw notFound(entry.key);
      return execution;
    }, work);
  }

  /**
   * Writes what changed. `dueMs`: when the execution goes on by itself, as a later start of the server is to know it;
   * undefined when that is still true. Rejects with AwsError; memory is then read again.
   */
  async commit(entry: Entry, execution: Execution, dueMs: number | undefined): Promise<void> {
    const changes: readonly Change[] = execution.takeChanges(dueMs);
    try {
      await this.disk.write(changes);
    } catch (error) {
      entry.forget();
      throw refusalOf(error);
    }
  }

  arm(entry: Entry, dueMs: number): void {
    this.#timers.arm(entry, dueMs);
  }

  /** The execution has ended, and the disk knows it. */
  conclude(entry: Entry, execution: Execution): void {
    const { record, root } = execution;
    this.#timers.arm(entry, Infinity);
    this.#entries.delete(entry.key);
    for (const waiter of entry.takeWaiters()) waiter.resolve({ record, root });
    countEnd(this.#options.metrics, record);
    this.#retention.expect(record);
    if (record.parent) this.#track(this.#tellParent({ record, root }));
  }

  /** What is wrong with a function that the execution is to invoke. */
  preflight(execution: Execution): Preflight {
    return this.#chained.preflight(execution.record);
  }

  /** The function is to be invoked, when it is its turn. */
  enqueue(entry: Entry): void {
    if (this.#stopped || entry.state !== "waiting") return;
    entry.state = "queued";
    const drive = () => {
      const work = this.#driver.drive(entry);
      this.#track(work);
      return work;
    };
    if (entry.isAwaited) void drive();
    else this.#slots.submit(entry.functionName, drive);
  }

  async #begin(request: StartRequest, onEntry: (entry: Entry) => void = () => undefined): Promise<Started> {
    const { clock, settings, openMax = DURABLE_EXECUTIONS_OPEN_MAX } = this.#options;
    if (this.#stopped) throw stopping();
    if (this.#entries.size >= openMax) throw tooManyRequests("CallerRateLimitExceeded");
    const { name, functionArn } = request.version;
    const identity = settings.identity(name);
    if (identity === undefined) throw resourceNotFound(`Function not found: ${functionArn}`);
    const started = await begin(this.disk, request, identity, clock.nowMs()).catch((error: unknown) => {
      throw refusalOf(error);
    });
    if (!started.execution) return started;
    this.#options.metrics.count("DurableExecutionStarted", { functionName: name }, 1, "Count");
    const entry = new Entry(started.key);
    entry.hold(started.execution);
    this.#entries.set(entry.key, entry);
    onEntry(entry);
    if (settings.identity(name) === identity) this.enqueue(entry);
    else this.#orphaned(entry);
    // Who stands in line is on disk: its input needs no memory meanwhile.
    entry.release();
    return started;
  }

  /** Its time has come. */
  #due(entry: Entry): void {
    this.#firing.submit(entry.functionName, () => {
      const work = this.#fire(entry);
      this.#track(work);
      return work;
    });
  }

  async #fire(entry: Entry): Promise<void> {
    const { clock, logger } = this.#options;
    try {
      await this.exclusively(entry, async (execution) => {
        if (!execution.isOpen) return;
        const nowMs = clock.nowMs();
        if (execution.fire(nowMs)) await this.commit(entry, execution, nowMs);
        if (!execution.isOpen) this.conclude(entry, execution);
        else if (entry.state === "waiting") this.enqueue(entry);
        if (execution.isOpen) this.arm(entry, execution.nextDueMs());
      });
    } catch (error) {
      if (entry.isRemoved) return;
      logger.error("a durable execution could not be woken", {
        execution: entry.key,
        error: coerceError(error),
      });
      if (this.#entries.has(entry.key)) this.arm(entry, clock.nowMs() + FAULT_PAUSE_MS);
    }
  }

  /** Something happened to it from outside. */
  async changed(entry: Entry, execution: Execution): Promise<void> {
    const nowMs = this.#options.clock.nowMs();
    await this.commit(entry, execution, nowMs);
    this.enqueue(entry);
    this.arm(entry, execution.nextDueMs());
  }

  async #completeChained(
    key: string,
    operationId: string,
    status: CompletionStatus,
    ending: Ending,
  ): Promise<void> {
    const entry = this.#entries.get(key);
    if (!entry) return;
    await this.exclusively(entry, async (execution) => {
      if (execution.complete(operationId, status, ending, this.#options.clock.nowMs()))
        await this.changed(entry, execution);
    });
  }

  async #noteChild(key: string, operationId: string, childArn: string): Promise<void> {
    const entry = this.#entries.get(key);
    if (!entry) return;
    await this.exclusively(entry, async (execution) => {
      if (!execution.isOpen) return;
      execution.noteChild(operationId, childArn);
      await this.commit(entry, execution, undefined);
    });
  }

  async #tellParent(ended: Ended): Promise<void> {
    try {
      await this.#chained.childEnded(ended);
    } catch (error) {
      this.#options.logger.error("the end of a chained execution could not be told", {
        error: coerceError(error),
      });
      // Until it succeeds, its parent has ended, or the next start of the server finds both.
      this.#later(() => this.#track(this.#tellParent(ended)));
    }
  }

  /** Again, after a fault of the store. */
  #later(work: () => void): void {
    this.#options.clock.after(FAULT_PAUSE_MS, () => {
      if (!this.#stopped) work();
    });
  }

  /** Invokes the other function that an operation names. */
  dispatch(execution: Execution, operationId: string): void {
    const operation = execution.operation(operationId);
    if (operation?.status === "STARTED")
      this.#chained.dispatch(execution.key, execution.record.functionName, operation);
  }

  /** After a start of the server: whom it had invoked may not have been, or not have been heard. */
  #resumeChained(entry: Entry): void {
    this.#firing.submit(entry.functionName, () => {
      const work = this.exclusively(entry, (execution) => {
        for (const { id } of execution.chained()) this.dispatch(execution, id);
      }).catch((error: unknown) => {
        if (entry.isRemoved) return;
        const { logger } = this.#options;
        logger.error("chained invokes could not be taken up", {
          execution: entry.key,
          error: coerceError(error),
        });
        this.#later(() => {
          if (this.#entries.has(entry.key)) this.#resumeChained(entry);
        });
      });
      this.#track(work);
      return work;
    });
  }

  #functionDeleted(functionArn: string): void {
    const name = functionArn.slice(functionArn.lastIndexOf(":") + 1);
    for (const entry of this.#entries.values()) if (entry.functionName === name) this.#orphaned(entry);
    this.#retention.functionDeleted(name);
  }

  /** Its function is gone: it ends, and nothing of it stays. */
  #orphaned(entry: Entry): void {
    this.#firing.submit(entry.functionName, () => {
      const work = this.exclusively(entry, (execution) => this.#remove(entry, execution)).catch(
        (error: unknown) => {
          // Its retention has removed it meanwhile.
          if (error instanceof AwsError && error.code === "ResourceNotFoundException") return;
          this.#options.logger.error("an execution of a deleted function could not be removed", {
            execution: entry.key,
            error: coerceError(error),
          });
          // Nobody can see it until then, and it runs no more.
          this.#later(() => this.#orphaned(entry));
        },
      );
      this.#track(work);
      return work;
    });
  }

  async #remove(entry: Entry, execution: Execution): Promise<void> {
    if (execution.isOpen) {
      execution.end("STOPPED", { error: FUNCTION_DELETED }, this.#options.clock.nowMs());
      await this.commit(entry, execution, undefined);
      this.conclude(entry, execution);
    }
    entry.isRemoved = true;
    await this.disk.remove(entry.key, execution.record);
  }

  #track(work: Promise<void>): void {
    const done = work.finally(() => this.#work.delete(done));
    this.#work.add(done);
  }
}

const FUNCTION_DELETED: ErrorObject = {
  ErrorType: "ResourceNotFoundException",
  ErrorMessage: "The function was deleted.",
};

export function notFound(what: string): AwsError {
  return resourceNotFound(`Durable execution not found: ${what}`);
}

function stopping(): AwsError {
  return serviceException("The server is shutting down.");
}

function refusalOf(error: unknown): Error {
  if (error instanceof AwsError) return error;
  if (error instanceof StoreOverloaded) return tooManyRequests("CallerRateLimitExceeded");
  if (error instanceof StoreClosed) return stopping();
  return new AwsError("ServiceException", "The execution could not be stored.", {
    status: 500,
    cause: error,
  });
}
