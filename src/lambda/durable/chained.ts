/**
 * Chained invokes: an execution invokes another function and waits for it. A durable one gets an execution of its own, whose
 * name follows from the operation, so that after a crash it is found again instead of begun anew; any other function is
 * invoked once, and once more after a crash.
 */
import type { ErrorObject } from "@aws-sdk/client-lambda";
import { AwsError, invalidParameterValue } from "../../errors.ts";
import type { Clock } from "../../kernel/clock.ts";
import { coerceError } from "../../kernel/deferred.ts";
import { newUuid } from "../../kernel/ids.ts";
import { DURABLE_CHAINED_PAYLOAD_BYTES_MAX } from "../../limits.ts";
import type { Logger } from "../../telemetry/logger.ts";
import { backoffMs } from "../invoke/asynchronous/attempt.ts";
import type { AsynchronousSettings } from "../invoke/asynchronous/settings.ts";
import type { FunctionDirectory } from "../invoke/directory.ts";
import { invokedArn } from "../invoke/invoke.ts";
import { hopsOf, LINEAGE_HOPS_MAX, withHop } from "../invoke/lineage.ts";
import { record as meterRecord, type Runner } from "../invoke/run.ts";
import type { Meter } from "../metering/meter.ts";
import type { FunctionVersion, Invocation } from "../model.ts";
import { endError, functionErrorOf } from "./answer.ts";
import type { Ended } from "./entry.ts";
import type { Ending, Preflight } from "./execution.ts";
import type { ExecutionStore } from "./execution-store.ts";
import type { ExecutionRecord, OperationRecord, OperationStatus } from "./records.ts";
import type { Slots } from "./slots.ts";
import type { StartRequest } from "./start.ts";
import { tooLarge } from "./updates.ts";

export type CompletionStatus = Extract<OperationStatus, "SUCCEEDED" | "FAILED" | "TIMED_OUT" | "STOPPED">;

export interface ChainedInvokesOptions {
  readonly clock: Clock;
  readonly directory: Pick<FunctionDirectory, "resolve">;
  readonly settings: AsynchronousSettings;
  readonly runner: Runner;
  readonly meter: Pick<Meter, "record">;
  readonly logger: Logger;
  readonly slots: Slots;
  readonly disk: Pick<ExecutionStore, "record" | "operation">;
  /** Whether a role may do lambda:InvokeFunction on a function's ARN, qualified when it was named so. */
  readonly mayInvoke: (roleArn: string, functionArn: string) => boolean;
  /** Starts an execution, or finds the one of that name; `ended` when it has ended already. */
  readonly start: (request: StartRequest) => Promise<{ arn: string; ended: Ended | undefined }>;
  readonly complete: (
    key: string,
    operationId: string,
    status: CompletionStatus,
    ending: Ending,
  ) => Promise<void>;
  readonly noteChild: (key: string, operationId: string, childArn: string) => Promise<void>;
  /** Whether the execution still waits for it. */
  readonly isAwaited: (key: string) => boolean;
  readonly track: (work: Promise<void>) => void;
}

/** Where a chained invoke is found on disk: while it stands in line, its input is nowhere else. */
interface Place {
  readonly key: string;
  readonly functionName: string;
  readonly ordinal: number;
}

/** The execution that invokes. */
interface Chaining {
  readonly key: string;
  readonly record: ExecutionRecord;
  readonly operation: OperationRecord;
}

interface Target {
  readonly version: FunctionVersion;
  /** With the qualifier that it was named with. */
  readonly arn: string;
}

export class ChainedInvokes {
  readonly #options: ChainedInvokesOptions;

  constructor(options: ChainedInvokesOptions) {
    this.#options = options;
  }

  /** What is wrong with a target, found out before anything is invoked. */
  preflight(record: ExecutionRecord): Preflight {
    return (target) => {
      try {
        this.#resolve(record, target);
        return undefined;
      } catch (error) {
        return errorObjectOf(error);
      }
    };
  }

  /** Never rejects: how it ends is told to the execution. */
  dispatch(key: string, functionName: string, { ordinal }: OperationRecord): void {
    this.#submit({ key, functionName, ordinal }, 0);
  }

  #submit(place: Place, refusals: number): void {
    const { slots, track } = this.#options;
    slots.submit(place.functionName, () => {
      const work = this.#run(place, refusals);
      track(work);
      return work;
    });
  }

  /** Undefined: it has ended meanwhile, cancelled or with its execution. */
  async #read({ key, ordinal }: Place): Promise<Chaining | undefined> {
    const { disk } = this.#options;
    const record = await disk.record(key);
    const operation = await disk.operation(key, ordinal);
    return record?.status === "RUNNING" && operation?.status === "STARTED"
      ? { key, record, operation }
      : undefined;
  }

  async #run(place: Place, refusals: number): Promise<void> {
    const { key } = place;
    const { clock, logger, complete, isAwaited } = this.#options;
    if (!isAwaited(key)) return;
    let operationId: string | undefined;
    try {
      const chaining = await this.#read(place);
      if (!chaining) return;
      const { operation } = chaining;
      operationId = operation.id;
      const target = this.#resolve(chaining.record, operation.target ?? "");
      await (target.version.durable ? this.#start(chaining, target) : this.#invoke(chaining, target));
    } catch (error) {
      if (operationId === undefined || isTransient(error)) {
        clock.after(backoffMs(refusals), () => this.#submit(place, refusals + 1));
        return;
      }
      try {
        await complete(key, operationId, "FAILED", { error: errorObjectOf(error) });
      } catch (fault) {
        logger.error("the end of a chained invoke could not be put down", {
          execution: key,
          error: coerceError(fault),
        });
        clock.after(backoffMs(refusals), () => this.#submit(place, refusals + 1));
      }
    }
  }

  /** Throws AwsError when it may not, or cannot, be invoked. */
  #resolve({ functionArn, version, traceHeader }: ExecutionRecord, name: string): Target {
    const { directory, mayInvoke, settings } = this.#options;
    const target = directory.resolve(name, undefined);
    const arn = invokedArn(target, { FunctionName: name });
    const { role } = directory.resolve(functionArn, version);
    if (!mayInvoke(role, arn))
      throw new AwsError(
        "AccessDeniedException",
        `The execution role ${role} is not authorized to perform: lambda:InvokeFunction on resource: ${arn}`,
        { status: 403 },
      );
    checkInvocable(target, arn);
    const { recursiveLoop } = settings.eventSettings(target.name, undefined);
    const hops = hopsOf(withHop(traceHeader, target.functionArn), target.functionArn);
    if (recursiveLoop === "Terminate" && hops >= LINEAGE_HOPS_MAX)
      throw new AwsError("RecursiveInvocationException", "The function was invoked in a recursive loop.");
    return { version: target, arn };
  }

  #invocation({ record, operation }: Chaining, { version, arn }: Target): Invocation {
    const { targetTenantId: tenantId, input = "{}" } = operation;
    return {
      requestId: newUuid(),
      payload: Buffer.from(input),
      invokedFunctionArn: arn,
      traceHeader: withHop(record.traceHeader, version.functionArn),
      ...(tenantId !== undefined && { tenantId }),
    };
  }

  async #start(chaining: Chaining, target: Target): Promise<void> {
    const { key, record, operation } = chaining;
    const { start, noteChild } = this.#options;
    const { arn, ended } = await start({
      version: target.version,
      invocation: {
        ...this.#invocation(chaining, target),
        durableExecutionName: `${record.id}-${operation.ordinal}`,
      },
      parent: { key, operationId: operation.id },
    });
    if (operation.childArn === undefined) await noteChild(key, operation.id, arn);
    // It ended while nobody could tell its parent: before a crash.
    if (ended) await this.childEnded(ended);
  }

  /** Tells the parent of an execution that has ended, if it has one. */
  async childEnded({ record, root }: Ended): Promise<void> {
    const { parent, status, executionTimeoutMs } = record;
    if (!parent || status === "RUNNING") return;
    const error =
      status === "TIMED_OUT"
        ? {
            ErrorType: "ChainedInvoke.Timeout",
            ErrorMessage: `CHAINED_INVOKE timed out after ${executionTimeoutMs / 1000} seconds.`,
          }
        : (root.error ?? endError(status, executionTimeoutMs));
    const ending = status === "SUCCEEDED" ? { result: root.result } : { error };
    await this.#options.complete(parent.key, parent.operationId, status, ending);
  }

  async #invoke(chaining: Chaining, target: Target): Promise<void> {
    const { key, operation } = chaining;
    const { runner, meter, complete, isAwaited } = this.#options;
    const { version } = target;
    const outcome = await runner.run(version, this.#invocation(chaining, target), "queue");
    meterRecord(meter, version, outcome);
    if (outcome.functionError !== undefined) {
      // What fails while the server stops may fail because of it: the next start of the server invokes it again.
      if (!isAwaited(key)) return;
      const error = functionErrorOf(outcome.payload);
      const status = outcome.report.status === "timeout" ? "TIMED_OUT" : "FAILED";
      return complete(key, operation.id, status, { error });
    }
    if (outcome.payload.length > DURABLE_CHAINED_PAYLOAD_BYTES_MAX)
      return complete(key, operation.id, "FAILED", {
        error: { ErrorMessage: tooLarge("CHAINED_INVOKE output") },
      });
    await complete(key, operation.id, "SUCCEEDED", { result: outcome.payload.toString("utf8") });
  }
}

/** Throws InvalidParameterValueException: a durable function is invoked by a qualified ARN only. */
export function checkInvocable({ durable, functionArn }: FunctionVersion, invokedFunctionArn: string): void {
  if (durable && invokedFunctionArn === functionArn)
    throw invalidParameterValue("You cannot invoke a durable function using an unqualified ARN.");
}

/** Worth another attempt: the function could not run now. */
function isTransient(error: unknown): boolean {
  return !(error instanceof AwsError) || error.status === 429 || error.status >= 500;
}

function errorObjectOf(error: unknown): ErrorObject {
  const { message } = coerceError(error);
  return error instanceof AwsError
    ? { ErrorType: error.code, ErrorMessage: message }
    : { ErrorMessage: message };
}
