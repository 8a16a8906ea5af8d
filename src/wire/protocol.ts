/**
 * The contract between the listener (bytes, sockets, signatures) and the model-driven protocol layer (shapes, bindings,
 * constraints). Pure: no sockets and no clock on either side of it.
 */

export interface WireRequest {
  readonly method: string;
  /** As received: percent-encoded, without the query. */
  readonly path: string;
  /** As received, without `?`. */
  readonly query: string;
  /** Names in lower case; values of a repeated header joined by `, `. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

export interface WireResponse {
  readonly status: number;
  readonly headers: Record<string, string>;
  /** An iterable body is sent as it comes (event streams, streaming blobs). */
  readonly body: Buffer | AsyncIterable<Buffer>;
}

export type ProtocolName =
  | "restJson1"
  | "restXml"
  | "awsJson1_0"
  | "awsJson1_1"
  | "awsQuery"
  | "ec2Query"
  | "rpcv2Cbor";

/** An operation that a request was found to mean. */
export interface Match {
  /** Folder name of the model: `lambda`, `logs`. Empty until `resolve` for an unsigned awsQuery POST. */
  readonly service: string;
  /** Empty until `resolve` for an awsQuery POST, whose body names it. */
  readonly operation: string;
  /** The protocol that this request speaks; the answer speaks the same. */
  readonly protocol: ProtocolName;
  /** Path labels as captured, still percent-encoded. */
  readonly labels: Readonly<Record<string, string>>;
  /** Most bytes that the request's body may have; the listener stops reading beyond it. */
  readonly bodyBytesMax: number;
  /**
   * What the model says about signatures when it is not the usual: "none" (STS AssumeRoleWithWebIdentity) needs none,
   * "unsigned-body" may be signed without its body.
   */
  readonly auth?: "none" | "unsigned-body";
}

/** Everything that the generated models know, for the services that are switched on. */
export interface Protocols {
  /**
   * Finds the operation. `signingName` is the service of the SigV4 credential scope when the request is signed: it decides
   * between services that share paths. Undefined when nothing matches: the listener answers UnknownOperationException.
   */
  match(head: Omit<WireRequest, "body">, signingName: string | undefined): Match | undefined;
  /**
   * Completes a match once the body is there: awsQuery names its operation (and, unsigned, its service) in the form, so
   * `match` answers such a POST with an empty `operation`. Every other match comes back as it is. Undefined when the form
   * names nothing that is known. Call it before anything reads `operation`, `service` or `auth`.
   */
  resolve(match: Match, request: WireRequest): Match | undefined;
  /** The validated input. Throws AwsError: SerializationException for malformed bytes, ValidationException (in AWS's words) for constraints. */
  decode(match: Match, request: WireRequest): Record<string, unknown>;
  /** The answer for an output structure, `x-amzn-RequestId` included. */
  encode(match: Match, output: Record<string, unknown>, requestId: string): WireResponse;
  /** An error in the protocol's own form (x-amzn-errortype, __type, XML ErrorResponse, x-amzn-query-error …). `match` is undefined before routing: restJson form. */
  encodeError(
    match: Match | undefined,
    error: import("../errors.ts").AwsError,
    requestId: string,
  ): WireResponse;
}
