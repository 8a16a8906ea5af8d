/**
 * One invocation of an execution's function, from its turn to what follows from its answer. A function that fails, times out or
 * cannot be run is invoked again, later and later, until the execution's own timeout: as AWS's service does it.
 */
import type { ErrorObject } from "@aws-sdk/client-lambda";
import { AwsError } from "../../errors.ts";
import type { Clock } from "../../kernel/clock.ts";
import { coerceError } from "../../kernel/deferred.ts";
import { newHexId, newUuid } from "../../kernel/ids.ts";
import type { Logger } from "../../telemetry/logger.ts";
import { backoffMs } from "../invoke/asynchronous/attempt.ts";
import type { AsynchronousSettings } from "../invoke/asynchronous/settings.ts";
import type { FunctionDirectory } from "../invoke/directory.ts";
import { record as meterRecord, type Runner } from "../invoke/run.ts";
import type { Meter } from "../metering/meter.ts";
import type { FunctionVersion, Invocation, InvocationOutcome } from "../model.ts";
import { functionErrorOf, parseAnswer } from "./answer.ts";
import type { Entry } from "./entry.ts";
import type { Execution } from "./execution.ts";
import { checkpointToken } from "./ids.ts";
import { invocationPayload } from "./state.ts";

/** What the driver asks of the executions. */
export interface Engine {
  exclusively<T>(entry: Entry, work: (execution: Execution) => Promise<T> | T): Promise<T>;
  commit(entry: Entry, execution: Execution, dueMs: number | undefined): Promise<void>;
  conclude(entry: Entry, execution: Execution): void;
  enqueue(entry: Entry): void;
  arm(entry: Entry, dueMs: number): void;
}

export interface DriverOptions {
  readonly engine: Engine;
  readonly clock: Clock;
  readonly directory: Pick<FunctionDirectory, "resolve">;
  readonly settings: Pick<AsynchronousSettings, "identity">;
  readonly runner: Runner;
  readonly meter: Pick<Meter, "record">;
  readonly logger: Logger;
  readonly isStopped: () => boolean;
}

interface Begun {
  readonly version: FunctionVersion;
  readonly invocation: Invocation;
  readonly startMs: number;
}

/** How it ended: with an outcome, or why it could not run. */
type Came = { readonly outcome: InvocationOutcome } | { readonly error: Error };

/** Answers in a row that claim to wait for nothing: a race in a function's SDK may cause one [AWS's testing library]. */
const IDLE_PENDINGS_MAX = 3;
/** After a fault of the store. */
export const FAULT_PAUSE_MS = 1000;

export class Driver {
  readonly #options: DriverOptions;

  constructor(options: DriverOptions) {
    this.#options = options;
  }

  /** Never rejects. */
  async drive(entry: Entry): Promise<void> {
    const { engine, logger, clock, isStopped } = this.#options;
    try {
      const begun = await engine.exclusively(entry, (execution) => this.#begin(entry, execution));
      if (!begun) return;
      const came = await this.#run(begun);
      await engine.exclusively(entry, (execution) => this.#settle(entry, execution, begun, came));
    } catch (error) {
      entry.state = "waiting";
      entry.invocation = undefined;
      entry.forget();
      if (isStopped() || entry.isRemoved) return;
      logger.error("a durable execution could not go on", {
        execution: entry.key,
        error: coerceError(error),
      });
      // The disk says that it is due.
      engine.arm(entry, clock.nowMs() + FAULT_PAUSE_MS);
    }
  }

  async #run({ version, invocation }: Begun): Promise<Came> {
    const { runner, meter } = this.#options;
    try {
      const outcome = await runner.run(version, invocation, "queue");
      meterRecord(meter, version, outcome);
      return { outcome };
    } catch (error) {
      return { error: coerceError(error) };
    }
  }

  /** What to run; undefined when there is nothing to run (any more). */
  async #begin(entry: Entry, execution: Execution): Promise<Begun | undefined> {
    const { engine, clock, directory, settings } = this.#options;
    const nowMs = clock.nowMs();
    entry.state = "running";
    // While it stood in line it has ended, or its function was deleted: what a later one of that name does is not its.
    const isCurrent = settings.identity(execution.record.functionName) === execution.record.identity;
    if (!execution.isOpen || !isCurrent) {
      entry.state = "waiting";
      return undefined;
    }
    if (execution.fire(nowMs)) await engine.commit(entry, execution, nowMs);
    if (!execution.isOpen) {
      entry.state = "waiting";
      engine.conclude(entry, execution);
      return undefined;
    }
    const { functionArn, version: qualifier, invokedFunctionArn, traceHeader, tenantId } = execution.record;
    let version: FunctionVersion;
    try {
      version = directory.resolve(functionArn, qualifier);
    } catch (error) {
      await this.#settle(entry, execution, undefined, { error: coerceError(error) });
      return undefined;
    }
    const { invocations, failures, requestId } = execution.record;
    const running = { id: newHexId(8), turn: 0 };
    entry.invocation = running;
    engine.arm(entry, execution.nextDueMs());
    const invocation = {
      requestId: invocations + failures === 0 ? requestId : newUuid(),
      payload: invocationPayload(execution, checkpointToken(running.id, running.turn)),
      invokedFunctionArn,
      traceHeader,
      ...(tenantId !== undefined && { tenantId }),
    };
    return { version, invocation, startMs: nowMs };
  }

  /** Never leaves the execution running: it waits, is queued again or has ended. */
  async #settle(entry: Entry, execution: Execution, begun: Begun | undefined, came: Came): Promise<void> {
    const { engine, clock, isStopped } = this.#options;
    entry.invocation = undefined;
    entry.state = "waiting";
    const succeeded = "outcome" in came && came.outcome.functionError === undefined;
    // What fails while the server stops may fail because of it: as if it had not been tried.
    if ((isStopped() && !succeeded) || entry.isRemoved) return;
    const nowMs = clock.nowMs();
    const wasOpen = execution.isOpen;
    if (begun && "outcome" in came) {
      const { functionError, payload } = came.outcome;
      const error = functionError === undefined ? undefined : functionErrorOf(payload);
      execution.noteInvocation(begun.invocation.requestId, begun.startMs, nowMs, error);
    }
    if (wasOpen) this.#judge(execution, came, nowMs);
    const goesOn = execution.isOpen && execution.hasUnseen;
    await engine.commit(entry, execution, goesOn ? nowMs : execution.nextDueMs());
    if (wasOpen && !execution.isOpen) engine.conclude(entry, execution);
    if (!execution.isOpen) return;
    if (goesOn) engine.enqueue(entry);
    engine.arm(entry, execution.nextDueMs());
  }

  #judge(execution: Execution, came: Came, nowMs: number): void {
    const isChained = execution.record.parent !== undefined;
    if (!("outcome" in came)) return this.#refused(execution, came.error, nowMs);
    const { functionError, payload } = came.outcome;
    if (functionError !== undefined) return this.#failed(execution, functionErrorOf(payload), nowMs);
    const answer = parseAnswer(payload, isChained);
    switch (answer.status) {
      case "SUCCEEDED":
        return execution.end("SUCCEEDED", { result: answer.result }, nowMs);
      case "FAILED":
      case "invalid":
        return execution.end("FAILED", { error: answer.error }, nowMs);
      case "PENDING":
        execution.fire(nowMs);
        if (!execution.isOpen) return;
        if (execution.hasUnseen || execution.isAwaiting) return execution.noteProgress();
        return this.#waitsForNothing(execution, nowMs);
    }
  }

  /** The function could not run. */
  #refused(execution: Execution, error: Error, nowMs: number): void {
    if (error instanceof AwsError && error.code === "ResourceNotFoundException") {
      const { code: ErrorType, message: ErrorMessage } = error;
      return execution.end("FAILED", { error: { ErrorType, ErrorMessage } }, nowMs);
    }
    execution.noteFailure(nowMs + backoffMs(execution.record.failures), "failed");
  }

  #failed(execution: Execution, error: ErrorObject, nowMs: number): void {
    if (execution.isExhausted) return execution.end("FAILED", { error }, nowMs);
    execution.noteFailure(nowMs + backoffMs(execution.record.failures), "failed");
  }

  #waitsForNothing(execution: Execution, nowMs: number): void {
    const error = {
      ErrorType: "InvalidParameterValueException",
      ErrorMessage: "Cannot return PENDING status with no pending operations.",
    };
    if (execution.record.idlePendings + 1 >= IDLE_PENDINGS_MAX)
      return execution.end("FAILED", { error }, nowMs);
    execution.noteFailure(nowMs + backoffMs(execution.record.failures), "idle");
  }
}
