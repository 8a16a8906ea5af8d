/** restJson1: HTTP bindings with JSON bodies. Lambda, API Gateway, EventBridge Scheduler, IoT. */
import type { AwsError } from "../../errors.ts";
import type { Member, Operation, ServiceModel, Shape } from "../models/shapes.ts";
import type { WireResponse } from "../protocol.ts";
import { errorParts, type ProtocolCodec, type Structure } from "./codec.ts";
import { jsonReader, jsonWriter, parseJsonBody, structureReader, structureWriter } from "./json.ts";
import { jsonErrorBody } from "./json-error.ts";
import { compileHeaders, compileRest, type RestFormat } from "./rest-bindings.ts";

function encodeStructure(shape: Shape, members: ReadonlySet<Member>): (value: Structure) => Buffer {
  const write = structureWriter(shape, (member) => members.has(member));
  return (value) => Buffer.from(JSON.stringify(write(value)));
}

const format: RestFormat = {
  contentType: "application/json",
  // Lambda says of every function's result that it is JSON.
  blobContentType: (operation) =>
    operation.model.metadata.serviceId === "Lambda" ? "application/json" : "application/octet-stream",
  bodyReader(_operation, shape, members) {
    const read = structureReader(shape, (member) => members.has(member));
    return (body) => read(parseJsonBody(body)) as Structure;
  },
  bodyWriter: (_operation, shape, members) => encodeStructure(shape, members),
  payloadReader(member) {
    const read = jsonReader(member);
    return (body) => read(parseJsonBody(body));
  },
  payloadWriter(_operation, member) {
    const write = jsonWriter(member);
    return (value) => Buffer.from(JSON.stringify(write(value)));
  },
  eventWriter: encodeStructure,
};

function encodeError(model: ServiceModel | undefined, error: AwsError, requestId: string): WireResponse {
  const parts = errorParts(model, error);
  const headers: Record<string, string> = {
    "Content-Type": format.contentType,
    "x-amzn-RequestId": requestId,
    "x-amzn-errortype": parts.name,
  };
  compileHeaders(parts.shape)(parts.members, headers);
  const body = Buffer.from(JSON.stringify(jsonErrorBody(parts, error.message)));
  return { status: parts.status, headers, body };
}

export const restJson: ProtocolCodec = {
  compile: (operation: Operation) => compileRest(operation, format),
  encodeError,
};
