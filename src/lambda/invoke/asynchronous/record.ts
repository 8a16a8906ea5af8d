/** The invocation record that destinations get [docs: invocation-async-retain-records]. */
import type { AsynchronousEvent } from "./event.ts";

export type Condition =
  | "Success"
  | "RetriesExhausted"
  | "EventAgeExceeded"
  | "RecursiveInvocationDetected"
  | "ZeroReservedConcurrency";

/** How an event ended. */
export interface Ending {
  readonly condition: Condition;
  /** Attempts that were made, this last one included. */
  readonly attempts: number;
  /** What the last attempt answered; undefined when it could not run. */
  readonly response?: {
    readonly executedVersion: string;
    readonly functionError?: string;
    readonly payload: Buffer;
  };
}

/** UTF-8 JSON. Payloads go in as they came; a payload that is not JSON goes in as a string. */
export function invocationRecord(
  event: AsynchronousEvent,
  { condition, attempts, response }: Ending,
  nowMs: number,
  withPayloads = true,
): Buffer {
  const context = {
    version: "1.0",
    timestamp: new Date(nowMs).toISOString(),
    requestContext: {
      requestId: event.requestId,
      functionArn: qualifiedArn(event),
      condition,
      approximateInvokeCount: attempts,
    },
  };
  const parts: Buffer[] = [Buffer.from(JSON.stringify(context).slice(0, -1))];
  if (withPayloads) parts.push(Buffer.from(',"requestPayload":'), asJson(event.payload));
  if (response) {
    const { executedVersion, functionError, payload } = response;
    const answered = { statusCode: 200, executedVersion, functionError };
    parts.push(Buffer.from(`,"responseContext":${JSON.stringify(answered)}`));
    if (withPayloads) parts.push(Buffer.from(',"responsePayload":'), asJson(payload));
  }
  parts.push(Buffer.from("}"));
  return Buffer.concat(parts);
}

/** As the record and the targets name the function: `$LATEST` when the caller named no qualifier. */
export function qualifiedArn({ functionArn, qualifier }: AsynchronousEvent): string {
  return `${functionArn}:${qualifier ?? "$LATEST"}`;
}

function asJson(payload: Buffer): Buffer {
  if (payload.length === 0) return Buffer.from("null");
  const text = payload.toString("utf8");
  try {
    JSON.parse(text);
    return payload;
  } catch {
    // Large events are not parsed when they are accepted: this one is not JSON, and the record has to be.
    return Buffer.from(JSON.stringify(text));
  }
}
