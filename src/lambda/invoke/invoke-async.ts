/** The operation InvokeAsync, which `Invoke` with the type Event has replaced: some old tools still use it. */
import type { InvokeAsyncRequest, InvokeAsyncResponse } from "@aws-sdk/client-lambda";
import { requestTooLarge } from "../../errors.ts";
import type { Clock } from "../../kernel/clock.ts";
import { INVOKE_ASYNC_BYTES_MAX } from "../../limits.ts";
import type { OperationHandler } from "../../wire/service.ts";
import type { AsynchronousQueue } from "./asynchronous/asynchronous.ts";
import type { FunctionDirectory } from "./directory.ts";
import { checkJson, invokedArn } from "./invoke.ts";
import { newTraceHeader } from "./trace.ts";

export interface InvokeAsyncOptions {
  readonly directory: Pick<FunctionDirectory, "resolve">;
  readonly asynchronous: Pick<AsynchronousQueue, "accept">;
  readonly clock: Clock;
}

/** The SDK's type is what a client may give; the wire gives the bytes. */
type Input = Omit<InvokeAsyncRequest, "InvokeArgs"> & { readonly InvokeArgs: Buffer };

export function createInvokeAsync(options: InvokeAsyncOptions): Record<"InvokeAsync", OperationHandler> {
  const { directory, asynchronous, clock } = options;
  return {
    async InvokeAsync(input: Input, context): Promise<InvokeAsyncResponse> {
      const { FunctionName = "", InvokeArgs: payload } = input;
      if (payload.length > INVOKE_ASYNC_BYTES_MAX)
        throw requestTooLarge(
          `${payload.length} byte payload is too large for InvokeAsync (limit ${INVOKE_ASYNC_BYTES_MAX} bytes)`,
        );
      const version = directory.resolve(FunctionName, undefined);
      checkJson(payload);
      await asynchronous.accept(version, {
        requestId: context.requestId,
        payload,
        invokedFunctionArn: invokedArn(version, { FunctionName }),
        // The caller's trace is not passed on [InvokeAsync API].
        traceHeader: newTraceHeader(clock.nowMs()),
      });
      return { Status: 202 };
    },
  };
}
