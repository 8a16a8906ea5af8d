/** Smithy's RPC v2 in CBOR: `POST /service/NAME/operation/NAME`. CloudWatch. */
import type { AwsError } from "../../errors.ts";
import { assert, unreachable } from "../../kernel/assert.ts";
import type { Member, Operation, ServiceModel, Shape } from "../models/shapes.ts";
import type { WireResponse } from "../protocol.ts";
import { eventStreamOf } from "./aws-json.ts";
import {
  EMPTY,
  errorId,
  errorParts,
  type OperationCodec,
  type ProtocolCodec,
  queryErrorHeader,
  type Structure,
} from "./codec.ts";
import {
  EVENT_STREAM_CONTENT_TYPE,
  type EventFormat,
  eventStreamWriter,
  initialResponse,
} from "./event-stream.ts";
import { cborFloat, cborTimestamp, decodeCbor, encodeCbor } from "./cbor.ts";
import { setEntry } from "./json.ts";
import { bytesOf, checkInteger, isAbsent, serializationError } from "./scalars.ts";

const CONTENT_TYPE = "application/cbor";

type Convert = (value: unknown) => unknown;

const readers = new WeakMap<Shape, Convert>();
const writers = new WeakMap<Shape, Convert>();

function reader(shape: Shape): Convert {
  let read = readers.get(shape);
  if (read === undefined) readers.set(shape, (read = compileReader(shape)));
  return read;
}

function mapOf(value: unknown): Map<unknown, unknown> {
  if (value instanceof Map) return value;
  throw serializationError("Unexpected value type in payload");
}

/** Takes a value of the right type as it is. */
function expecting(what: string, isRight: (value: unknown) => boolean): Convert {
  return (value) => {
    if (!isRight(value)) throw serializationError(`Expected ${what}`);
    return value;
  };
}

function compileReader(shape: Shape): Convert {
  const { type } = shape;
  switch (type) {
    case "structure":
      return structureReader(shape);
    case "list":
      return (value) => {
        if (!Array.isArray(value)) throw serializationError("Expected list or null");
        const read = reader(shape.element.shape);
        return value.map((item: unknown) => (isAbsent(item) ? null : read(item)));
      };
    case "map":
      return (value) => {
        const read = reader(shape.value.shape);
        const result: Structure = {};
        for (const [key, item] of mapOf(value))
          setEntry(result, String(key), isAbsent(item) ? null : read(item));
        return result;
      };
    case "boolean":
      return expecting("a boolean", (value) => typeof value === "boolean");
    case "integer":
    case "long":
      return (value) => {
        if (typeof value !== "number" && typeof value !== "bigint")
          throw serializationError("Expected an integer");
        return checkInteger(Number(value), type);
      };
    case "float":
    case "double":
      return (value) => {
        if (typeof value !== "number" && typeof value !== "bigint")
          throw serializationError("Expected a number");
        return Number(value);
      };
    case "blob":
      return (value) => {
        if (!(value instanceof Uint8Array)) throw serializationError("Expected a byte string");
        return bytesOf(value);
      };
    case "timestamp":
      return expecting("a timestamp", (value) => value instanceof Date);
    case "document":
      return (value) => value;
    case "string":
      return expecting("a string", (value) => typeof value === "string");
    default:
      return unreachable(type, "type of a shape");
  }
}

function structureReader(shape: Shape): Convert {
  let fields: Map<unknown, { name: string; read: Convert }> | undefined;
  return (value) => {
    fields ??= new Map(
      shape.members.map((member) => [member.name, { name: member.name, read: reader(member.shape) }]),
    );
    const result: Structure = {};
    for (const [key, item] of mapOf(value)) {
      const field = fields.get(key);
      if (field !== undefined && !isAbsent(item)) result[field.name] = field.read(item);
    }
    return result;
  };
}

function writer(shape: Shape): Convert {
  let write = writers.get(shape);
  if (write === undefined) writers.set(shape, (write = compileWriter(shape)));
  return write;
}

function compileWriter(shape: Shape): Convert {
  switch (shape.type) {
    case "structure":
      return structureWriter(shape, () => true);
    case "list":
      return (value) => {
        assert(Array.isArray(value), `${shape.name} is a list`);
        const write = writer(shape.element.shape);
        return value.map((item) => (isAbsent(item) ? null : write(item)));
      };
    case "map":
      return (value) => {
        const write = writer(shape.value.shape);
        const entries = Object.entries(value as Structure);
        return new Map(entries.map(([key, item]) => [key, isAbsent(item) ? null : write(item)]));
      };
    case "blob":
      return bytesOf;
    case "timestamp":
      return cborTimestamp;
    case "string":
    case "boolean":
    case "integer":
    case "long":
    case "document":
      return (value) => value;
    case "float":
    case "double":
      return cborFloat;
    default:
      return unreachable(shape.type, "type of a shape");
  }
}

function structureWriter(shape: Shape, include: (member: Member) => boolean): Convert {
  let fields: { name: string; write: Convert }[] | undefined;
  return (value) => {
    fields ??= shape.members
      .filter(include)
      .map(({ name, shape: inner }) => ({ name, write: writer(inner) }));
    const result = new Map<string, unknown>();
    for (const { name, write } of fields) {
      const item = (value as Structure)[name];
      if (!isAbsent(item)) result.set(name, write(item));
    }
    return result;
  };
}

function encodeStructure(shape: Shape, include: (member: Member) => boolean): (value: Structure) => Buffer {
  const write = structureWriter(shape, include);
  return (value) => encodeCbor(write(value));
}

function compile(operation: Operation): OperationCodec {
  const { input, output } = operation;
  const read = input && reader(input);
  const stream = eventStreamOf(output);
  const write = output && encodeStructure(output, (member) => member !== stream);
  const eventFormat: EventFormat = {
    contentType: CONTENT_TYPE,
    eventWriter: (shape, members) => encodeStructure(shape, (member) => members.has(member)),
  };
  const writeEvents = stream && eventStreamWriter(operation.model, stream.shape, eventFormat);
  return {
    decode: (request) =>
      read && request.body.length > 0 ? (read(decodeCbor(request.body)) as Structure) : {},
    encode(value, requestId) {
      const headers: Record<string, string> = {
        "smithy-protocol": "rpc-v2-cbor",
        "x-amzn-RequestId": requestId,
      };
      // An operation without an output has an answer without a body.
      if (write === undefined) return { status: 200, headers, body: EMPTY };
      const body = write(value);
      headers["Content-Type"] = stream === undefined ? CONTENT_TYPE : EVENT_STREAM_CONTENT_TYPE;
      if (stream === undefined || writeEvents === undefined) return { status: 200, headers, body };
      return {
        status: 200,
        headers,
        body: writeEvents(value[stream.name], initialResponse(CONTENT_TYPE, body)),
      };
    },
  };
}

function encodeError(model: ServiceModel | undefined, error: AwsError, requestId: string): WireResponse {
  const parts = errorParts(model, error);
  const { shape } = parts;
  const body = new Map<string, unknown>([["__type", errorId(model, parts)]]);
  const members = shape
    ? structureWriter(shape, () => true)(parts.members)
    : new Map(Object.entries(parts.members));
  for (const [name, value] of members as Map<string, unknown>) body.set(name, value);
  if (!body.has("message") && !body.has("Message")) body.set("message", error.message);
  return {
    status: parts.status,
    headers: {
      "Content-Type": CONTENT_TYPE,
      "smithy-protocol": "rpc-v2-cbor",
      "x-amzn-RequestId": requestId,
      ...queryErrorHeader(model, parts),
    },
    body: encodeCbor(body),
  };
}

export const rpcV2Cbor: ProtocolCodec = { compile, encodeError };
