/** What synchronous and asynchronous invocation share: who runs an invocation, and that it is metered. */
import type { Meter } from "../metering/meter.ts";
import type { FunctionVersion, Invocation, InvocationOutcome } from "../model.ts";
import type { InvocationOrigin } from "../placement/placement.ts";

/** Runs one invocation somewhere: placement. */
export interface Runner {
  run(
    version: FunctionVersion,
    invocation: Invocation,
    origin?: InvocationOrigin,
  ): Promise<InvocationOutcome>;
}

/**
 * One invocation into the meter: before its answer leaves, so that nothing that was answered goes unmetered. What a
 * durable execution answers was made by invocations that are there already.
 */
export function record(
  meter: Pick<Meter, "record">,
  version: FunctionVersion,
  outcome: InvocationOutcome,
): void {
  if (outcome.durableExecutionArn !== undefined) return;
  meter.record({
    functionArn: version.functionArn,
    version: version.version,
    billedMs: outcome.report.billedMs,
    memoryMb: version.memoryMb,
    ephemeralStorageMb: version.ephemeralStorageMb,
  });
}
