/** What functions, and those who hold callbacks, ask of executions: the operations that change one, and the reading of its state. */
import type {
  CheckpointDurableExecutionResponse,
  ErrorObject,
  OperationUpdate,
} from "@aws-sdk/client-lambda";
import { AwsError } from "../../errors.ts";
import type { Clock } from "../../kernel/clock.ts";
import type { AsynchronousSettings } from "../invoke/asynchronous/settings.ts";
import type { Entry, RunningInvocation } from "./entry.ts";
import type { Ending, Execution } from "./execution.ts";
import { notFound, type DurableExecutions } from "./executions.ts";
import { checkpointToken, executionArn, invalidCheckpointToken, keyOfArn, parseCallbackId } from "./ids.ts";
import { executionKey, type ExecutionRecord } from "./records.ts";
import { showOperation, statePage, type StatePage } from "./state.ts";

export interface DurableRequestsOptions {
  readonly executions: DurableExecutions;
  readonly settings: Pick<AsynchronousSettings, "identity">;
  readonly clock: Clock;
}

export class DurableRequests {
  readonly #executions: DurableExecutions;
  readonly #settings: Pick<AsynchronousSettings, "identity">;
  readonly #clock: Clock;

  constructor({ executions, settings, clock }: DurableRequestsOptions) {
    this.#executions = executions;
    this.#settings = settings;
    this.#clock = clock;
  }

  /** CheckpointDurableExecution. */
  async checkpoint(
    arn: string,
    token: string,
    updates: readonly OperationUpdate[],
    clientToken: string | undefined,
  ): Promise<CheckpointDurableExecutionResponse> {
    const executions = this.#executions;
    const entry = this.#openEntry(arn);
    return executions.exclusively(entry, async (execution) => {
      const last = entry.invocation?.last;
      if (last && last.token === token && last.clientToken === clientToken) return last.response;
      const running = usable(entry, execution, arn, token);
      const nowMs = this.#clock.nowMs();
      execution.checkpoint(updates, nowMs, executions.preflight(execution));
      execution.fire(nowMs);
      const delivered = execution.takeUnseen();
      const chaining = updates.filter(({ Type, Action }) => Type === "CHAINED_INVOKE" && Action === "START");
      await executions.commit(entry, execution, chaining.length > 0 ? nowMs : undefined);
      running.turn += 1;
      for (const { Id = "" } of chaining) executions.dispatch(execution, Id);
      if (execution.isOpen) executions.arm(entry, execution.nextDueMs());
      else executions.conclude(entry, execution);
      const response = {
        CheckpointToken: checkpointToken(running.id, running.turn),
        NewExecutionState: { Operations: delivered.map(showOperation) },
      };
      if (clientToken !== undefined) running.last = { token, clientToken, response };
      return response;
    });
  }

  /** GetDurableExecutionState. */
  async state(arn: string, token: string, marker: string | undefined, itemsMax: number): Promise<StatePage> {
    const entry = this.#openEntry(arn);
    return this.#executions.exclusively(entry, (execution) => {
      usable(entry, execution, arn, token);
      return statePage(execution, marker, itemsMax);
    });
  }

  /** StopDurableExecution: when it stopped, or had ended. */
  async stopExecution(arn: string, error: ErrorObject | undefined): Promise<number> {
    const record = await this.require(arn);
    const executions = this.#executions;
    const entry = executions.entry(executionKey(record.functionName, record.id));
    if (!entry) return record.endMs ?? this.#clock.nowMs();
    return executions.exclusively(entry, async (execution) => {
      const nowMs = this.#clock.nowMs();
      if (execution.isOpen) {
        execution.end("STOPPED", { error }, nowMs);
        await executions.commit(entry, execution, undefined);
        executions.conclude(entry, execution);
      }
      return execution.record.endMs ?? nowMs;
    });
  }

  /** Ends a callback from outside. Rejects with ResourceNotFoundException, CallbackTimeoutException. */
  async completeCallback(callbackId: string, status: "SUCCEEDED" | "FAILED", ending: Ending): Promise<void> {
    await this.#withCallback(callbackId, async (entry, execution, operationId, nowMs) => {
      if (!execution.complete(operationId, status, ending, nowMs)) throw callbackClosed();
      await this.#executions.changed(entry, execution);
    });
  }

  async heartbeat(callbackId: string): Promise<void> {
    await this.#withCallback(callbackId, async (entry, execution, operationId, nowMs) => {
      if (!execution.heartbeat(operationId, nowMs)) throw callbackClosed();
      const isWaiting = entry.state === "waiting";
      await this.#executions.commit(entry, execution, isWaiting ? execution.nextDueMs() : undefined);
      this.#executions.arm(entry, execution.nextDueMs());
    });
  }

  /** The record of the execution with that ARN. Rejects with ResourceNotFoundException. */
  async require(arn: string): Promise<ExecutionRecord> {
    const key = keyOfArn(arn);
    const record = key === undefined ? undefined : await this.#executions.disk.record(key);
    if (!record || executionArn(record) !== arn) throw notFound(arn);
    // Of a deleted function of that name: it is being removed.
    if (this.#settings.identity(record.functionName) !== record.identity) throw notFound(arn);
    return record;
  }

  #openEntry(arn: string): Entry {
    const entry = this.#executions.entry(keyOfArn(arn) ?? "");
    if (!entry) throw invalidCheckpointToken();
    return entry;
  }

  async #withCallback(
    callbackId: string,
    work: (entry: Entry, execution: Execution, operationId: string, nowMs: number) => Promise<void>,
  ): Promise<void> {
    const { key, arn, operationId } = parseCallbackId(callbackId);
    await this.require(arn);
    const entry = this.#executions.entry(key);
    if (!entry) throw callbackClosed();
    await this.#executions.exclusively(entry, async (execution) => {
      const operation = execution.operation(operationId);
      if (operation?.callbackId !== callbackId) throw notFound(arn);
      await work(entry, execution, operationId, this.#clock.nowMs());
    });
  }
}

/** The invocation that the token belongs to. Throws unless the token is the one that is good now. */
function usable(entry: Entry, execution: Execution, arn: string, token: string): RunningInvocation {
  const running = entry.invocation;
  if (!running || !execution.isOpen || execution.arn !== arn) throw invalidCheckpointToken();
  if (token !== checkpointToken(running.id, running.turn)) throw invalidCheckpointToken();
  return running;
}

function callbackClosed(): AwsError {
  return new AwsError(
    "CallbackTimeoutException",
    "The callback has timed out or has already been completed.",
  );
}
