/** awsQuery: a form that names `Action` and `Version`, answered in XML. IAM, STS, SNS; SQS and CloudWatch beside their newer ones. */
import { unreachable } from "../../kernel/assert.ts";
import type { AwsError } from "../../errors.ts";
import type { Member, Operation, ServiceModel, Shape } from "../models/shapes.ts";
import type { WireRequest, WireResponse } from "../protocol.ts";
import {
  errorParts,
  type OperationCodec,
  type ProtocolCodec,
  queryErrorHeader,
  type Structure,
} from "./codec.ts";
import { setEntry } from "./json.ts";
import { parseQuery } from "./rest-bindings.ts";
import { serializationError, textReader } from "./scalars.ts";
import { escapeText, namespaceAttribute, xmlContentWriter } from "./xml.ts";

/** `Tags.member.1.Key=a` as a tree of its dotted names. */
interface FormNode {
  value: string | undefined;
  readonly children: Map<string, FormNode>;
}

/** Deeper names than any model has: bounds the tree that one name can make. */
const NAME_DEPTH_MAX = 64;

function newNode(): FormNode {
  return { value: undefined, children: new Map() };
}

function parseForm(request: WireRequest): FormNode {
  const root = newNode();
  const form = request.body.length > 0 ? request.body.toString("utf8") : request.query;
  for (const [name, value] of parseQuery(form)) {
    const parts = name.split(".");
    if (parts.length > NAME_DEPTH_MAX) throw serializationError(`The parameter name is nested too deeply`);
    let node = root;
    for (const part of parts) {
      let next = node.children.get(part);
      if (next === undefined) node.children.set(part, (next = newNode()));
      node = next;
    }
    node.value ??= value;
  }
  return root;
}

type FormReader = (node: FormNode) => unknown;

function formReader(member: Member): FormReader {
  const { shape } = member;
  const flattened = member.data.flattened === true;
  switch (shape.type) {
    case "structure":
      return structureReader(shape);
    case "list": {
      const name = shape.element.data.queryName ?? shape.element.data.locationName ?? "member";
      let read: FormReader | undefined;
      return (node) => {
        // `Names=` is how an empty list is sent.
        const items = flattened ? node : node.children.get(name);
        return items === undefined ? [] : numbered(items).map((read ??= formReader(shape.element)));
      };
    }
    case "map":
      return mapReader(shape, flattened);
    case "string":
    case "blob":
    case "boolean":
    case "integer":
    case "long":
    case "float":
    case "double":
    case "timestamp":
    case "document": {
      const read = textReader(member, "iso8601");
      return (node) => {
        if (node.value === undefined) throw serializationError(`${member.name} is not a structure`);
        return read(node.value);
      };
    }
    default:
      return unreachable(shape.type, "type of a shape");
  }
}

/** The children `1`, `2`, … in the order of their numbers; gaps do not count. */
function numbered(node: FormNode): FormNode[] {
  return [...node.children]
    .filter(([name]) => /^\d+$/.test(name))
    .sort(([a], [b]) => Number(a) - Number(b))
    .map(([, child]) => child);
}

function structureReader(shape: Shape): FormReader {
  let fields: { name: string; queryName: string; read: FormReader }[] | undefined;
  return (node) => {
    fields ??= shape.members.map((member) => ({
      name: member.name,
      queryName: member.queryName,
      read: formReader(member),
    }));
    const result: Structure = {};
    for (const { name, queryName, read } of fields) {
      const child = node.children.get(queryName);
      if (child !== undefined) result[name] = read(child);
    }
    return result;
  };
}

function mapReader(shape: Shape, flattened: boolean): FormReader {
  const keyName = shape.key.data.queryName ?? shape.key.data.locationName ?? "key";
  const valueName = shape.value.data.queryName ?? shape.value.data.locationName ?? "value";
  let read: FormReader | undefined;
  return (node) => {
    read ??= formReader(shape.value);
    const map: Structure = {};
    const entries = flattened ? node : node.children.get("entry");
    for (const entry of entries === undefined ? [] : numbered(entries)) {
      const key = entry.children.get(keyName)?.value;
      const value = entry.children.get(valueName);
      if (key === undefined || value === undefined) {
        throw serializationError("A map entry lacks its key or its value");
      }
      setEntry(map, key, read(value));
    }
    return map;
  };
}

function respond(
  status: number,
  root: string,
  model: ServiceModel | undefined,
  content: string,
  requestId: string,
): WireResponse {
  const namespace = namespaceAttribute(model?.metadata.xmlNamespace);
  return {
    status,
    headers: { "Content-Type": "text/xml", "x-amzn-RequestId": requestId },
    body: Buffer.from(`<${root}${namespace}>${content}</${root}>`),
  };
}

function compile(operation: Operation): OperationCodec {
  const { name, model, input, output } = operation;
  const read = input && structureReader(input);
  const write = output && xmlContentWriter(output);
  const wrapper = operation.data.output?.resultWrapper ?? `${name}Result`;
  return {
    decode: (request) => (read ? (read(parseForm(request)) as Structure) : {}),
    encode(value, requestId) {
      const result = write ? `<${wrapper}>${write(value).content}</${wrapper}>` : "";
      const metadata = `<ResponseMetadata><RequestId>${requestId}</RequestId></ResponseMetadata>`;
      return respond(200, `${name}Response`, model, result + metadata, requestId);
    },
  };
}

function encodeError(model: ServiceModel | undefined, error: AwsError, requestId: string): WireResponse {
  const parts = errorParts(model, error);
  const { shape, status } = parts;
  // awsQuery's name for what the other protocols call ValidationException.
  const code = shape === undefined && error.code === "ValidationException" ? "ValidationError" : parts.code;
  const members: Structure = { ...parts.members };
  for (const name of Object.keys(members)) if (name.toLowerCase() === "message") delete members[name];
  const content =
    `<Error><Type>${status >= 500 ? "Receiver" : "Sender"}</Type><Code>${escapeText(code)}</Code>` +
    `<Message>${escapeText(error.message)}</Message>${shape ? xmlContentWriter(shape)(members).content : ""}</Error>` +
    `<RequestId>${requestId}</RequestId>`;
  const response = respond(status, "ErrorResponse", model, content, requestId);
  Object.assign(response.headers, queryErrorHeader(model, parts));
  return response;
}

export const awsQuery: ProtocolCodec = { compile, encodeError };
