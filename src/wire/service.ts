/**
 * What a service is to the wire layer. The wire turns bytes into a validated input (members as the model names them;
 * blobs as Buffer, timestamps as Date, streams as AsyncIterable) and turns the handler's answer back into bytes.
 * No handler sees HTTP.
 */
import type { Principal } from "../iam/principal.ts";

export interface RequestContext {
  /** `x-amzn-RequestId`, a UUID made for this request. */
  readonly requestId: string;
  readonly principal: Principal;
  readonly region: string;
  readonly accountId: string;
  /** The client's address, for condition keys and access logs. */
  readonly sourceIp: string;
  /** `scheme://host:port` as the client addressed the server: for URLs in answers. */
  readonly endpoint: string;
  /** Aborted when the client goes away before it has its answer. */
  readonly signal: AbortSignal;
  /** Request headers that no model binds but a service needs (trace header, user agent), lower-case. */
  header(name: string): string | undefined;
}

/** Answers the operation's output structure, member names as in the model; undefined members are left out. */
// oxlint-disable-next-line typescript/no-explicit-any -- inputs are checked against the model at run time; services narrow them with SDK types
export type OperationHandler<Input = any, Output = any> = (
  input: Input,
  context: RequestContext,
) => Promise<Output> | Output;

export interface Service {
  /** The folder name of the service's model: `lambda`, `logs`, `sts`, `iam`. */
  readonly model: string;
  /** Handlers by operation name. An operation of the model without a handler answers UnsupportedOperation, status 501. */
  readonly operations: Readonly<Record<string, OperationHandler>>;
}
