/**
 * The operation InvokeWithResponseStream: as Invoke, and the answer goes to the client while the function makes it. What
 * can be refused is refused before the stream begins; what goes wrong in the function ends the stream.
 */
import type {
  InvokeWithResponseStreamRequest,
  InvokeWithResponseStreamResponse,
  InvokeWithResponseStreamResponseEvent,
} from "@aws-sdk/client-lambda";
import type { Clock } from "../../kernel/clock.ts";
import { coerceError } from "../../kernel/deferred.ts";
import type { OperationHandler, RequestContext } from "../../wire/service.ts";
import type { Meter } from "../metering/meter.ts";
import type { FunctionVersion, Invocation, InvocationOutcome } from "../model.ts";
import type { FunctionDirectory } from "./directory.ts";
import { checkJson, eventOf, newInvocation } from "./invoke.ts";
import { record, type Runner } from "./run.ts";
import { StreamedAnswer } from "./streamed-answer.ts";

export interface InvokeStreamedOptions {
  readonly directory: Pick<FunctionDirectory, "resolve">;
  readonly runner: Runner;
  readonly meter: Pick<Meter, "record">;
  readonly clock: Clock;
}

export function createInvokeStreamed(
  options: InvokeStreamedOptions,
): Record<"InvokeWithResponseStream", OperationHandler> {
  const { directory, clock } = options;
  return {
    async InvokeWithResponseStream(
      input: InvokeWithResponseStreamRequest,
      context: RequestContext,
    ): Promise<InvokeWithResponseStreamResponse> {
      const payload = eventOf(input.Payload as Buffer | undefined, "RequestResponse");
      const version = directory.resolve(input.FunctionName ?? "", input.Qualifier);
      if (input.InvocationType === "DryRun") return { StatusCode: 204 };
      checkJson(payload);
      const answer = runStreamed(options, version, newInvocation(version, input, context, payload, clock));
      const { signal } = context;
      if (signal.aborted) answer.abandon();
      else signal.addEventListener("abort", () => answer.abandon(), { once: true });
      await answer.begun;
      // The content type of the answer itself is not told: its place is the header that names the event stream.
      return { StatusCode: 200, ExecutedVersion: version.version, EventStream: events(answer) };
    },
  };
}

/**
 * Runs an invocation whose answer is read as it is made, and meters it when it has ended, whether or not anybody still
 * reads. The reader calls `abandon` when it goes: until then the function waits for it.
 */
export function runStreamed(
  { runner, meter }: Pick<InvokeStreamedOptions, "runner" | "meter">,
  version: FunctionVersion,
  invocation: Invocation,
): StreamedAnswer {
  const answer = new StreamedAnswer();
  runner
    .run(version, { ...invocation, sink: answer })
    .then((outcome) => {
      record(meter, version, outcome);
      answer.end(outcome);
    })
    .catch((error: unknown) => answer.fail(coerceError(error)));
  return answer;
}

async function* events(
  answer: StreamedAnswer,
): AsyncGenerator<InvokeWithResponseStreamResponseEvent, void, undefined> {
  for await (const Payload of answer.chunks()) yield { PayloadChunk: { Payload } };
  yield { InvokeComplete: complete(await answer.outcome) };
}

/** How the stream ends: the error of a function is told here, whether or not a part of its answer has gone out. */
function complete(
  outcome: InvocationOutcome,
): NonNullable<InvokeWithResponseStreamResponseEvent["InvokeComplete"]> {
  const { functionError, payload, logTail } = outcome;
  return {
    ...(functionError === undefined
      ? {}
      : { ErrorCode: functionError, ErrorDetails: payload.toString("utf8") }),
    ...(logTail === undefined ? {} : { LogResult: logTail.toString("base64") }),
  };
}
