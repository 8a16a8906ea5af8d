/** What a protocol is to the rest of the protocol layer. */
import type { AwsError } from "../../errors.ts";
import type { Operation, ServiceModel, Shape } from "../models/shapes.ts";
import type { WireRequest, WireResponse } from "../protocol.ts";
import { isAbsent } from "./scalars.ts";

export type Structure = Record<string, unknown>;

/** One operation in one protocol, compiled once. */
export interface OperationCodec {
  /** Throws SerializationException for bytes that do not fit the model. Constraints are not looked at. */
  decode(request: WireRequest, labels: Readonly<Record<string, string>>): Structure;
  encode(output: Structure, requestId: string): WireResponse;
}

export interface ProtocolCodec {
  compile(operation: Operation): OperationCodec;
  encodeError(model: ServiceModel | undefined, error: AwsError, requestId: string): WireResponse;
}

/** An error as its shape says, before any protocol's form. */
export interface ErrorParts {
  /** The shape's name. */
  readonly name: string;
  /** The code of awsQuery and of XML, where the model gives one. */
  readonly code: string;
  readonly status: number;
  readonly shape: Shape | undefined;
  /** The shape's members as the model spells them, the message among them. */
  readonly members: Structure;
}

/** The model's status wins; `message` and `Type` are spelled as the shape spells them. */
export function errorParts(model: ServiceModel | undefined, error: AwsError): ErrorParts {
  const shape = model?.errorShape(error.code);
  const members: Structure = { ...error.members };
  const messageMember = shape?.members.find((member) => member.name.toLowerCase() === "message");
  members[messageMember?.name ?? "message"] = error.message;
  if (shape?.member("Type") && isAbsent(members["Type"])) {
    members["Type"] = error.fault === "caller" ? "User" : "Service";
  }
  return {
    name: shape?.name ?? error.code,
    code: shape?.data.error?.code ?? error.code,
    status: shape?.data.error?.httpStatusCode ?? (shape?.data.fault ? 500 : error.status),
    shape,
    members,
  };
}

/** The name of an error in awsJson 1.0 and rpc-v2-cbor: the id of its shape, where the model has it. */
export function errorId(model: ServiceModel | undefined, parts: ErrorParts): string {
  const namespace = model?.metadata.namespace;
  return namespace === undefined || parts.shape === undefined ? parts.name : `${namespace}#${parts.name}`;
}

/** The `x-amzn-query-error` header of services that once spoke awsQuery only. */
export function queryErrorHeader(model: ServiceModel | undefined, parts: ErrorParts): Record<string, string> {
  if (model?.metadata.awsQueryCompatible !== true) return {};
  return { "x-amzn-query-error": `${parts.code};${parts.status >= 500 ? "Receiver" : "Sender"}` };
}

export const EMPTY = Buffer.alloc(0);
