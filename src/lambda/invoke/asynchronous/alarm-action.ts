/** A function as the action of an alarm: it is invoked asynchronously, if its policy lets CloudWatch do that. */
import type { AccessControl } from "../../../iam/access-control.ts";
import type { Clock } from "../../../kernel/clock.ts";
import { newUuid } from "../../../kernel/ids.ts";
import { DeliveryFailure } from "../destinations.ts";
import type { FunctionDirectory } from "../directory.ts";
import { newTraceHeader } from "../trace.ts";
import type { AsynchronousQueue } from "./asynchronous.ts";

export interface FunctionAlarmActionOptions {
  readonly directory: Pick<FunctionDirectory, "resolve">;
  readonly queue: Pick<AsynchronousQueue, "forward">;
  readonly access: Pick<AccessControl, "serviceMay">;
  readonly clock: Clock;
  readonly accountId: string;
}

const SERVICE = "lambda.alarms.cloudwatch.amazonaws.com";

/** The answer resolves when the event is on disk; rejects when the function does not take it. */
export function functionAlarmAction({
  directory,
  queue,
  access,
  clock,
  accountId,
}: FunctionAlarmActionOptions): (targetArn: string, message: string, alarmArn: string) => Promise<void> {
  return async (targetArn, message, alarmArn) => {
    const { allowed } = access.serviceMay(
      SERVICE,
      { action: "lambda:InvokeFunction", resource: targetArn },
      { sourceArn: alarmArn, sourceAccount: accountId },
    );
    if (!allowed)
      throw new DeliveryFailure(
        `CloudWatch Alarms is not authorized to perform: lambda:InvokeFunction on ${targetArn}`,
      );
    await queue.forward(directory.resolve(targetArn, undefined), {
      requestId: newUuid(),
      payload: Buffer.from(message),
      invokedFunctionArn: targetArn,
      traceHeader: newTraceHeader(clock.nowMs()),
    });
  };
}
