/** A function as a destination: it is invoked asynchronously with the record. */
import { newUuid } from "../../../kernel/ids.ts";
import { INVOKE_EVENT_BYTES_MAX } from "../../../limits.ts";
import { DeliveryFailure, type Delivery, type DestinationTarget } from "../destinations.ts";
import type { FunctionDirectory } from "../directory.ts";
import { withHop } from "../lineage.ts";
import type { AsynchronousQueue } from "./asynchronous.ts";
import { isRecursive } from "./attempt.ts";
import type { AsynchronousSettings } from "./settings.ts";

export class LambdaTarget implements DestinationTarget {
  readonly bodyBytesMax = INVOKE_EVENT_BYTES_MAX;
  readonly takesRecordsWithoutPayloads = false;
  readonly #directory: Pick<FunctionDirectory, "resolve">;
  readonly #settings: AsynchronousSettings;
  readonly #queue: Pick<AsynchronousQueue, "forward">;

  constructor(options: {
    directory: Pick<FunctionDirectory, "resolve">;
    settings: AsynchronousSettings;
    queue: Pick<AsynchronousQueue, "forward">;
  }) {
    this.#directory = options.directory;
    this.#settings = options.settings;
    this.#queue = options.queue;
  }

  async deliver({ targetArn, body, traceHeader }: Delivery): Promise<void> {
    const version = this.#directory.resolve(targetArn, undefined);
    const { functionArn, name } = version;
    const { recursiveLoop } = this.#settings.eventSettings(name, undefined);
    // Accepted, it would be dropped, and its record delivered on: two functions that are each other's destinations would
    // drop records in a circle for ever.
    if (
      recursiveLoop === "Terminate" &&
      isRecursive({ functionArn, traceHeader: withHop(traceHeader, functionArn) })
    )
      throw new DeliveryFailure(`${targetArn} is part of a recursive loop`);
    await this.#queue.forward(version, {
      requestId: newUuid(),
      payload: body,
      invokedFunctionArn: targetArn,
      traceHeader,
    });
  }
}
