/** awsJson 1.0 and 1.1: every operation is `POST /`, named by `X-Amz-Target`. DynamoDB, Kinesis, EventBridge, CloudWatch Logs, SQS. */
import type { Member, Operation, Shape } from "../models/shapes.ts";
import {
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
import { jsonErrorBody } from "./json-error.ts";
import { parseJsonBody, shapeReader, structureWriter } from "./json.ts";

function encodeStructure(shape: Shape, include: (member: Member) => boolean): (value: Structure) => Buffer {
  const write = structureWriter(shape, include);
  return (value) => Buffer.from(JSON.stringify(write(value)));
}

/** The member of an output that is an event stream. */
export function eventStreamOf(shape: Shape | undefined): Member | undefined {
  return shape?.members.find((member) => member.shape.data.eventstream === true);
}

function compile(operation: Operation, contentType: string): OperationCodec {
  const { input, output } = operation;
  const read = input && shapeReader(input);
  const stream = eventStreamOf(output);
  const write = output && encodeStructure(output, (member) => member !== stream);
  const eventFormat: EventFormat = {
    contentType: "application/json",
    eventWriter: (shape, members) => encodeStructure(shape, (member) => members.has(member)),
  };
  const writeEvents = stream && eventStreamWriter(operation.model, stream.shape, eventFormat);
  return {
    decode: (request) => (read ? (read(parseJsonBody(request.body)) as Structure) : {}),
    encode(value, requestId) {
      const body = write ? write(value) : Buffer.from("{}");
      const headers = { "Content-Type": contentType, "x-amzn-RequestId": requestId };
      if (stream === undefined || writeEvents === undefined) return { status: 200, headers, body };
      headers["Content-Type"] = EVENT_STREAM_CONTENT_TYPE;
      const initial = initialResponse(eventFormat.contentType, body);
      return { status: 200, headers, body: writeEvents(value[stream.name], initial) };
    },
  };
}

export function awsJson(version: "1.0" | "1.1"): ProtocolCodec {
  const contentType = `application/x-amz-json-${version}`;
  return {
    compile: (operation) => compile(operation, contentType),
    encodeError(model, error, requestId) {
      const parts = errorParts(model, error);
      const type = version === "1.0" ? errorId(model, parts) : parts.name;
      const body = { __type: type, ...jsonErrorBody(parts, error.message) };
      return {
        status: parts.status,
        headers: {
          "Content-Type": contentType,
          "x-amzn-RequestId": requestId,
          ...queryErrorHeader(model, parts),
        },
        body: Buffer.from(JSON.stringify(body)),
      };
    },
  };
}
