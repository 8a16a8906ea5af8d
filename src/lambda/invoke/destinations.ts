/**
 * Where records of asynchronous invocations go: one port, implemented by each service that can be a destination or a
 * dead-letter queue and registered by the service of its ARNs (`lambda`, `sqs`, `sns`, `events`, `s3`).
 */
import { parseArn } from "../../kernel/arn.ts";
import { coerceError } from "../../kernel/deferred.ts";
import { missingPermission, type RolePermissions } from "./destination-permissions.ts";

export interface Delivery {
  /** As it was configured. */
  readonly targetArn: string;
  readonly reason: "OnSuccess" | "OnFailure" | "DeadLetter";
  /** The invocation record, JSON; for a dead-letter queue the event as it came. */
  readonly body: Buffer;
  /** Message attributes: RequestID, ErrorCode and ErrorMessage of a dead-letter queue's messages; none for destinations. */
  readonly attributes: Readonly<
    Record<string, { readonly type: "String" | "Number"; readonly value: string }>
  >;
  /** Whose event it was: qualified. */
  readonly functionArn: string;
  readonly functionName: string;
  /** The execution role of that function, which may deliver to the target: that was asked before. */
  readonly role: string;
  /** X-Ray header to pass on, lineage included. */
  readonly traceHeader: string;
  readonly timestampMs: number;
}

export interface DestinationTarget {
  /** Most bytes that `body` may have. */
  readonly bodyBytesMax: number;
  /** Whether a failure's record that is too large comes without its payloads instead of failing, as with SNS. */
  readonly takesRecordsWithoutPayloads: boolean;
  /** Resolves when the target keeps the message durably. Rejects when it cannot: there is no further attempt. */
  deliver(delivery: Delivery): Promise<void>;
}

/** The target cannot be delivered to; the message says why. */
export class DeliveryFailure extends Error {
  override readonly name = "DeliveryFailure";
}

export class Destinations {
  readonly #targets = new Map<string, DestinationTarget>();
  readonly #permissions: RolePermissions;

  constructor(permissions: RolePermissions) {
    this.#permissions = permissions;
  }

  /** `service` as in the third part of an ARN. */
  register(service: string, target: DestinationTarget): void {
    this.#targets.set(service, target);
  }

  /**
   * Delivers once, if the function's role may; `bodyWithoutPayloads` is taken when the body is too large and the target allows it. Rejects with
   * DeliveryFailure, whatever went wrong.
   */
  async deliver(delivery: Delivery, bodyWithoutPayloads?: () => Buffer): Promise<void> {
    const service = parseArn(delivery.targetArn)?.service;
    const target = service === undefined ? undefined : this.#targets.get(service);
    if (!target) throw new DeliveryFailure(`nothing here serves ${delivery.targetArn}`);
    const missing = missingPermission(this.#permissions, delivery.role, delivery.targetArn);
    if (missing) throw new DeliveryFailure(notPermitted(missing.operation, delivery.targetArn));
    let { body } = delivery;
    if (body.length > target.bodyBytesMax && target.takesRecordsWithoutPayloads && bodyWithoutPayloads)
      body = bodyWithoutPayloads();
    if (body.length > target.bodyBytesMax)
      throw new DeliveryFailure(`${body.length} bytes are more than ${target.bodyBytesMax}`);
    try {
      await target.deliver({ ...delivery, body });
    } catch (error) {
      throw new DeliveryFailure(coerceError(error).message, { cause: error });
    }
  }
}

/** AWS's words for a destination that the execution role may not deliver to. */
export function notPermitted(operation: string, targetArn: string): string {
  return `The function's execution role does not have permissions to call ${operation} on ${targetArn}`;
}
