/**
 * The Invoke operation: checks what only invocation can check, finds the function version, has placement run it, and
 * meters it before the answer leaves. The payload is passed through as it came.
 */
import type { InvocationRequest, InvocationResponse } from "@aws-sdk/client-lambda";
import { invalidRequestContent, requestTooLarge } from "../../errors.ts";
import type { Clock } from "../../kernel/clock.ts";
import { INVOKE_EVENT_BYTES_MAX, INVOKE_REQUEST_BYTES_MAX } from "../../limits.ts";
import type { RequestContext, OperationHandler } from "../../wire/service.ts";
import type { Meter } from "../metering/meter.ts";
import type { FunctionVersion, Invocation } from "../model.ts";
import type { AsynchronousQueue } from "./asynchronous/asynchronous.ts";
import type { FunctionDirectory } from "./directory.ts";
import { record, type Runner } from "./run.ts";
import { newTraceHeader } from "./trace.ts";

export interface InvokeOptions {
  readonly directory: FunctionDirectory;
  readonly runner: Runner;
  readonly meter: Pick<Meter, "record">;
  readonly asynchronous: Pick<AsynchronousQueue, "accept">;
  /** Without it, no function is durable. */
  readonly durable?: DurableStarter;
  readonly clock: Clock;
}

/** Starts durable executions. */
export interface DurableStarter {
  /** Resolves when the execution is on disk, or when one of that name and input has been there. Rejects with AwsError. */
  start(request: {
    readonly version: FunctionVersion;
    readonly invocation: Invocation;
  }): Promise<{ readonly arn: string }>;
}

const EMPTY_EVENT = Buffer.from("{}");
/**
 * Lambda refuses an event that is not JSON. Up to this size it is checked here, in a few microseconds per kilobyte; a
 * larger one would hold up the event loop for milliseconds and is left to the runtime, which parses it anyway.
 */
const CHECKED_JSON_BYTES_MAX = 128 * 1024;

export function createInvoke(options: InvokeOptions): Record<"Invoke", OperationHandler> {
  const invocation = new Invoke(options);
  return { Invoke: (input: InvocationRequest, context) => invocation.handle(input, context) };
}

class Invoke {
  readonly #options: InvokeOptions;

  constructor(options: InvokeOptions) {
    this.#options = options;
  }

  handle(
    input: InvocationRequest,
    context: RequestContext,
  ): InvocationResponse | Promise<InvocationResponse> {
    const type = input.InvocationType ?? "RequestResponse";
    const payload = eventOf(input.Payload as Buffer | undefined, type);
    const version = this.#options.directory.resolve(input.FunctionName ?? "", input.Qualifier);
    if (type === "DryRun") return { StatusCode: 204 };
    checkJson(payload);
    const invocation = newInvocation(version, input, context, payload, this.#options.clock);
    return type === "Event"
      ? this.#asynchronous(version, invocation)
      : this.#synchronous(version, invocation);
  }

  async #asynchronous(version: FunctionVersion, invocation: Invocation): Promise<InvocationResponse> {
    const { durable } = this.#options;
    if (version.durable && durable) {
      const { arn } = await durable.start({ version, invocation });
      return { StatusCode: 202, DurableExecutionArn: arn };
    }
    await this.#options.asynchronous.accept(version, invocation);
    return { StatusCode: 202 };
  }

  async #synchronous(version: FunctionVersion, invocation: Invocation): Promise<InvocationResponse> {
    const outcome = await this.#options.runner.run(version, invocation);
    record(this.#options.meter, version, outcome);
    const response: InvocationResponse = {
      StatusCode: 200,
      ExecutedVersion: version.version,
      Payload: outcome.payload,
    };
    if (outcome.functionError !== undefined) response.FunctionError = outcome.functionError;
    if (outcome.durableExecutionArn !== undefined) response.DurableExecutionArn = outcome.durableExecutionArn;
    if (outcome.logTail !== undefined) response.LogResult = outcome.logTail.toString("base64");
    return response;
  }
}

/** What an input asks for. Throws InvalidRequestContentException when its client context is no JSON. */
export function newInvocation(
  version: FunctionVersion,
  input: Omit<InvocationRequest, "Payload">,
  context: RequestContext,
  payload: Buffer,
  clock: Clock,
): Invocation {
  return {
    requestId: context.requestId,
    payload,
    invokedFunctionArn: invokedArn(version, input),
    traceHeader: context.header("x-amzn-trace-id") ?? newTraceHeader(clock.nowMs()),
    ...(input.ClientContext === undefined
      ? {}
      : { clientContext: checkedClientContext(input.ClientContext) }),
    ...(input.TenantId === undefined ? {} : { tenantId: input.TenantId }),
    ...(input.DurableExecutionName === undefined || version.durable === undefined
      ? {}
      : { durableExecutionName: input.DurableExecutionName }),
    ...(input.LogType === "Tail" && input.InvocationType !== "Event" ? { wantsTail: true } : {}),
  };
}

/** The event of an invocation, `{}` when there is none. Throws RequestTooLargeException beyond its type's limit. */
export function eventOf(payload: Buffer | undefined, type: string): Buffer {
  if (payload === undefined || payload.length === 0) return EMPTY_EVENT;
  const limitBytes = type === "Event" ? INVOKE_EVENT_BYTES_MAX : INVOKE_REQUEST_BYTES_MAX;
  if (payload.length > limitBytes)
    throw requestTooLarge(
      `${payload.length} byte payload is too large for the ${type} invocation type (limit ${limitBytes} bytes)`,
    );
  return payload;
}

/** Throws InvalidRequestContentException when a payload that is not large is no JSON. */
export function checkJson(payload: Buffer): void {
  if (payload.length > CHECKED_JSON_BYTES_MAX) return;
  try {
    JSON.parse(payload.toString("utf8"));
  } catch (error) {
    throw invalidRequestContent(
      `Could not parse request body into json: Could not parse payload into json: ${error instanceof Error ? error.message : ""}`,
    );
  }
}

function checkedClientContext(base64: string): string {
  try {
    JSON.parse(Buffer.from(base64, "base64").toString("utf8"));
  } catch {
    throw invalidRequestContent("Client context must be a valid Base64-encoded JSON object.");
  }
  return base64;
}

/** The ARN with the qualifier that the caller gave, in the name or beside it. */
export function invokedArn(
  version: FunctionVersion,
  input: Pick<InvocationRequest, "FunctionName" | "Qualifier">,
): string {
  const qualifier = input.Qualifier ?? qualifierOf(input.FunctionName ?? "");
  return qualifier === undefined ? version.functionArn : `${version.functionArn}:${qualifier}`;
}

function qualifierOf(nameOrArn: string): string | undefined {
  const at = nameOrArn.indexOf("function:");
  const name = at < 0 ? nameOrArn : nameOrArn.slice(at + "function:".length);
  const colon = name.indexOf(":");
  return colon < 0 ? undefined : name.slice(colon + 1);
}
