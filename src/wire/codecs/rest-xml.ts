/** restXml: HTTP bindings with XML bodies. S3. */
import type { AwsError } from "../../errors.ts";
import type { Member, Operation, ServiceModel, Shape } from "../models/shapes.ts";
import type { WireResponse } from "../protocol.ts";
import { EMPTY, errorParts, type ProtocolCodec, type Structure } from "./codec.ts";
import { compileHeaders, compileRest, type RestFormat } from "./rest-bindings.ts";
import {
  escapeText,
  namespaceAttribute,
  parseXmlBody,
  xmlContentWriter,
  xmlReader,
  xmlStructureReader,
  xmlWriter,
} from "./xml.ts";

function document(name: string, attributes: string, content: string): Buffer {
  return Buffer.from(`<?xml version="1.0" encoding="UTF-8"?>\n<${name}${attributes}>${content}</${name}>`);
}

function payloadName(member: Member): string {
  return member.data.locationName ?? member.shape.data.locationName ?? member.shape.name;
}

const format: RestFormat = {
  contentType: "application/xml",
  blobContentType: () => "application/octet-stream",
  bodyReader(_operation, shape) {
    const read = xmlStructureReader(shape);
    return (body) => (body.length === 0 ? {} : read(parseXmlBody(body)));
  },
  bodyWriter(operation, shape, members) {
    if (members.size === 0) return () => EMPTY;
    const write = xmlContentWriter(shape);
    const name = shape.data.locationName ?? shape.name;
    const namespace = namespaceAttribute(shape.data.xmlNamespace ?? operation.model.metadata.xmlNamespace);
    if (operation.name === "GetBucketLocation") {
      // The one output of S3 without an element around it.
      return ({ [name]: region }) =>
        document(name, namespace, typeof region === "string" ? escapeText(region) : "");
    }
    return (output) => {
      const { attributes, content } = write(output);
      return document(name, namespace + attributes, content);
    };
  },
  payloadReader(member) {
    const read = xmlReader(member);
    return (body) => read(parseXmlBody(body));
  },
  payloadWriter(operation, member) {
    const { xmlNamespace } = operation.model.metadata;
    const namespace = member.data.xmlNamespace ?? member.shape.data.xmlNamespace ?? xmlNamespace;
    const write = xmlWriter(member, payloadName(member), namespace);
    return (value) => Buffer.from(`<?xml version="1.0" encoding="UTF-8"?>\n${write(value)}`);
  },
  eventWriter(shape) {
    const write = xmlContentWriter(shape);
    return (value) => document(shape.name, "", write(value).content);
  },
};

function errorMembers(shape: Shape | undefined, members: Structure): string {
  const known: Structure = { ...members };
  for (const name of Object.keys(known)) if (name.toLowerCase() === "message") delete known[name];
  if (shape !== undefined) return xmlContentWriter(shape)(known).content;
  // S3 tells of the bucket, the key or the header that an error is about, in members that its model does not have.
  return Object.entries(known)
    .map(([name, value]) => `<${name}>${escapeText(String(value))}</${name}>`)
    .join("");
}

function encodeError(model: ServiceModel | undefined, error: AwsError, requestId: string): WireResponse {
  const { code, status, shape, members } = errorParts(model, error);
  const headers: Record<string, string> = {
    "Content-Type": format.contentType,
    "x-amzn-RequestId": requestId,
  };
  compileHeaders(shape)(members, headers);
  const content =
    `<Code>${escapeText(code)}</Code><Message>${escapeText(error.message)}</Message>` +
    errorMembers(shape, members);
  // S3 is the one service that leaves the wrapper out.
  if (model?.metadata.serviceId === "S3") {
    headers["x-amz-request-id"] = requestId;
    return { status, headers, body: document("Error", "", `${content}<RequestId>${requestId}</RequestId>`) };
  }
  const type = status >= 500 ? "Receiver" : "Sender";
  const wrapped = `<Error><Type>${type}</Type>${content}</Error><RequestId>${requestId}</RequestId>`;
  const namespace = namespaceAttribute(model?.metadata.xmlNamespace);
  return { status, headers, body: document("ErrorResponse", namespace, wrapped) };
}

export const restXml: ProtocolCodec = {
  compile: (operation: Operation) => compileRest(operation, format),
  encodeError,
};
