/**
 * A runner that knows durable functions: their invocation is an execution, which it starts and whose end it waits for.
 * All others run as they are.
 */
import { invalidParameterValue } from "../../errors.ts";
import { DURABLE_SYNCHRONOUS_MS_MAX } from "../../limits.ts";
import type { Runner } from "../invoke/run.ts";
import type { FunctionVersion, Invocation, InvocationOutcome } from "../model.ts";
import type { InvocationOrigin } from "../placement/placement.ts";
import { outcomeOf } from "./answer.ts";
import type { DurableExecutions } from "./executions.ts";

export class DurableRunner implements Runner {
  readonly #runner: Runner;
  readonly #executions: Pick<DurableExecutions, "run" | "start">;

  constructor(runner: Runner, executions: Pick<DurableExecutions, "run" | "start">) {
    this.#runner = runner;
    this.#executions = executions;
  }

  run(
    version: FunctionVersion,
    invocation: Invocation,
    origin: InvocationOrigin = "caller",
  ): Promise<InvocationOutcome> {
    if (!version.durable) return this.#runner.run(version, invocation, origin);
    return origin === "queue" ? this.#accept(version, invocation) : this.#wait(version, invocation);
  }

  async #wait(version: FunctionVersion, invocation: Invocation): Promise<InvocationOutcome> {
    if (version.durable && version.durable.executionTimeoutMs > DURABLE_SYNCHRONOUS_MS_MAX)
      throw invalidParameterValue(
        "You cannot synchronously invoke a durable function with an executionTimeout greater than 15 minutes.",
      );
    const { record, root, arn } = await this.#executions.run({ version, invocation });
    const outcome = outcomeOf(record, root, arn, version.memoryMb);
    if (!invocation.sink || outcome.functionError !== undefined) return outcome;
    invocation.sink.write(outcome.payload, outcome.contentType);
    return { ...outcome, payload: Buffer.alloc(0) };
  }

  /** An event of a queue has done its part when its execution has begun; tried again, it finds that one. */
  async #accept(version: FunctionVersion, invocation: Invocation): Promise<InvocationOutcome> {
    const durableExecutionName = invocation.durableExecutionName ?? invocation.requestId;
    const { arn } = await this.#executions.start({
      version,
      invocation: { ...invocation, durableExecutionName },
    });
    return {
      payload: Buffer.alloc(0),
      contentType: "application/json",
      report: {
        durationMs: 0,
        billedMs: 0,
        memorySizeMb: version.memoryMb,
        maxMemoryUsedMb: 0,
        status: "success",
      },
      durableExecutionArn: arn,
    };
  }
}
