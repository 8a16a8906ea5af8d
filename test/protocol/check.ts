/** One vector of each kind, run against the protocol layer from the server's side. */
import assert from "node:assert/strict";
import { decodeCbor, encodeCbor } from "../../src/wire/codecs/cbor.ts";
import { AwsError } from "../../src/errors.ts";
import type { Match, WireResponse } from "../../src/wire/protocol.ts";
import { assertSameBody } from "./compare.ts";
import {
  type MalformedVector,
  matchOf,
  type RequestVector,
  type ResponseVector,
  type VectorProtocol,
  type VectorService,
  valueOf,
  wireRequest,
  withTarget,
} from "./vectors.ts";

/** Stands where a vector has no message: an AwsError always has one. */
const NO_MESSAGE = "no message in the vector";

/** The request must mean the operation, and decode to the params. */
export function checkRequest(service: VectorService, vector: RequestVector): void {
  const request = withTarget(service, vector.operation, wireRequest(vector));
  const match = matchOf(service, request);
  assert(match, "the request matches an operation");
  assert.equal(match.operation, vector.operation);
  const shape = service.model.operation(vector.operation)?.input;
  const expected = shape ? valueOf(shape, vector.params ?? {}) : {};
  assert.deepEqual(service.protocols.decode(match, request), expected);
}

/** The output or error must encode to the response. */
export function checkResponse(
  protocol: VectorProtocol,
  service: VectorService,
  vector: ResponseVector,
): void {
  const match: Match = {
    service: service.name,
    operation: vector.operation,
    protocol,
    labels: {},
    bodyBytesMax: 0,
  };
  const response = encodeVector(service, match, vector);
  assert.equal(response.status, vector.code);
  assertHeaders(response, vector);
  if (vector.body !== undefined)
    assertSameBody(withoutOurs(response.body, vector), vector.body, vector.bodyMediaType);
}

function encodeVector(service: VectorService, match: Match, vector: ResponseVector): WireResponse {
  const requestId =
    vector.headers?.["X-Amzn-Requestid"] ??
    /<RequestId>(.*?)<\/RequestId>/.exec(vector.body ?? "")?.[1] ??
    "request";
  if (vector.error === undefined) {
    const shape = service.model.operation(vector.operation)?.output;
    const output = (shape ? valueOf(shape, vector.params ?? {}) : {}) as Record<string, unknown>;
    return service.protocols.encode(match, output, requestId);
  }
  const { Message, message, ...members } = valueOf(
    service.model.shape(vector.error),
    vector.params ?? {},
  ) as Record<string, unknown>;
  const text = Message ?? message ?? NO_MESSAGE;
  return service.protocols.encodeError(
    match,
    new AwsError(vector.error, text as string, { members }),
    requestId,
  );
}

function assertHeaders(response: WireResponse, vector: ResponseVector): void {
  assert(Buffer.isBuffer(response.body));
  const actual: Record<string, string> = {
    // The listener's to say.
    "content-length": String(response.body.length),
  };
  for (const [name, value] of Object.entries(response.headers)) actual[name.toLowerCase()] = value;
  for (const [name, value] of Object.entries(vector.headers ?? {})) {
    assert.equal(actual[name.toLowerCase()], value, `header ${name}`);
  }
  for (const name of vector.forbidHeaders ?? []) assert(!(name.toLowerCase() in actual), `no header ${name}`);
  for (const name of vector.requireHeaders ?? []) assert(name.toLowerCase() in actual, `header ${name}`);
}

function withoutCborMessage(body: Buffer): Buffer {
  const decoded = body.length === 0 ? undefined : decodeCbor(body);
  if (!(decoded instanceof Map) || decoded.get("message") !== NO_MESSAGE) return body;
  decoded.delete("message");
  return encodeCbor(decoded);
}

/**
 * Takes out what every answer of AWS has and the vectors leave out: awsQuery's ResponseMetadata and the namespace of its errors,
 * and the message where the vector's error has none.
 */
function withoutOurs(body: WireResponse["body"], vector: ResponseVector): WireResponse["body"] {
  assert(Buffer.isBuffer(body));
  if (vector.bodyMediaType === "application/cbor") return withoutCborMessage(body);
  let text = body.toString("utf8");
  const expected = vector.body ?? "";
  if (!expected.includes("<ResponseMetadata>"))
    text = text.replace(/<ResponseMetadata>.*<\/ResponseMetadata>/, "");
  if (vector.error !== undefined) {
    if (!expected.includes("xmlns="))
      text = text.replace(/^<ErrorResponse xmlns="[^"]*">/, "<ErrorResponse>");
    text = text.replace(`<Message>${NO_MESSAGE}</Message>`, "");
    text = text.replace(`,"message":"${NO_MESSAGE}"`, "").replace(`"message":"${NO_MESSAGE}"`, "");
  }
  return Buffer.from(text);
}

/** The vector's requests: one for each value of its parameters. `$name:S` is the value in quotes, `$name:L` as it is. */
export function expandMalformed(vector: MalformedVector): MalformedVector[] {
  const parameters = Object.entries(vector.testParameters ?? {});
  const [first] = parameters;
  if (first === undefined) return [vector];
  return first[1].map((_, position) => {
    const text = JSON.stringify(vector.request, (_key, part: unknown) => {
      if (typeof part !== "string") return part;
      return parameters.reduce((result, [name, values]) => {
        const value = values[position] ?? "";
        return result.replaceAll(`$${name}:L`, value).replaceAll(`$${name}:S`, JSON.stringify(value));
      }, part);
    });
    const request = JSON.parse(text) as MalformedVector["request"];
    return { ...vector, id: `${vector.id} ${position}`, request };
  });
}

/** The request must be refused with the vector's status and error. Texts are not compared: AWS's are not Smithy's. */
export function checkMalformed(
  protocol: VectorProtocol,
  service: VectorService,
  vector: MalformedVector,
): void {
  const request = withTarget(service, vector.operation, wireRequest(vector.request));
  const match = matchOf(service, request);
  assert(match, "the request matches an operation");
  assert.equal(match.operation, vector.operation);
  assert.equal(match.protocol, protocol);
  let error: unknown;
  try {
    service.protocols.decode(match, request);
  } catch (thrown) {
    error = thrown;
  }
  assert(error instanceof AwsError, "the request is refused");
  const response = service.protocols.encodeError(match, error, "request");
  assert.equal(response.status, vector.response.code);
  const expected = vector.response.headers?.["x-amzn-errortype"];
  if (expected !== undefined) assert.equal(response.headers["x-amzn-errortype"], expected);
}
