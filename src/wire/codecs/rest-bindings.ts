/**
 * The HTTP bindings that restJson1 and restXml share: labels, query, headers, status and payload. What is left for the body is
 * read and written by the protocol's own format.
 */
import { assert } from "../../kernel/assert.ts";
import type { Member, Operation, Shape } from "../models/shapes.ts";
import type { WireRequest, WireResponse } from "../protocol.ts";
import { EMPTY, type OperationCodec, type Structure } from "./codec.ts";
import { eventStreamWriter, EVENT_STREAM_CONTENT_TYPE } from "./event-stream.ts";
import { compileHeaderReader, compileHeaderWriter } from "./headers.ts";
import { setEntry } from "./json.ts";
import { bytesOf, isAbsent, serializationError, textReader } from "./scalars.ts";

export interface RestFormat {
  readonly contentType: string;
  /** Of a payload that is bytes and has no `Content-Type` of its own. */
  blobContentType(operation: Operation): string;
  /** Reads the members that are bound to nothing else out of the body. */
  bodyReader(operation: Operation, shape: Shape, members: ReadonlySet<Member>): (body: Buffer) => Structure;
  bodyWriter(operation: Operation, shape: Shape, members: ReadonlySet<Member>): (output: Structure) => Buffer;
  /** Reads and writes a structure or document that is the whole body. */
  payloadReader(member: Member): (body: Buffer) => unknown;
  payloadWriter(operation: Operation, member: Member): (value: unknown) => Buffer;
  /** The payload of one event in an event stream. */
  eventWriter(shape: Shape, members: ReadonlySet<Member>): (value: Structure) => Buffer;
}

type Read = (request: WireRequest, labels: Readonly<Record<string, string>>, input: Structure) => void;

interface Bindings {
  readonly located: readonly Member[];
  readonly payload: Member | undefined;
  /** Members without a place of their own. */
  readonly body: ReadonlySet<Member>;
}

function bindingsOf(shape: Shape | undefined): Bindings {
  const members = shape?.members ?? [];
  const payload = shape?.data.payload === undefined ? undefined : shape.member(shape.data.payload);
  const located = members.filter((member) => member.data.location !== undefined);
  const rest = members.filter((member) => member.data.location === undefined && member !== payload);
  return { located, payload, body: new Set(payload === undefined ? rest : []) };
}

function decodeUriText(text: string): string {
  if (!text.includes("%")) return text;
  try {
    return decodeURIComponent(text);
  } catch {
    throw serializationError(`'${text}' is not valid percent-encoding`);
  }
}

/** The query's names and values, decoded; a name without a value has the value "". */
export function parseQuery(query: string): [name: string, value: string][] {
  if (query === "") return [];
  return query
    .split("&")
    .filter((part) => part !== "")
    .map((part) => {
      const at = part.indexOf("=");
      const [name, value] = at < 0 ? [part, ""] : [part.slice(0, at), part.slice(at + 1)];
      return [decodeUriText(name.replaceAll("+", " ")), decodeUriText(value.replaceAll("+", " "))];
    });
}

function compileLabels(members: readonly Member[]): Read[] {
  return members.map((member) => {
    const read = textReader(member, "iso8601");
    return (_request, labels, input) => {
      const label = labels[member.wireName];
      assert(label !== undefined, `the route captured {${member.wireName}}`);
      input[member.name] = read(decodeUriText(label));
    };
  });
}

function compileQuery(members: readonly Member[]): Read[] {
  if (members.length === 0) return [];
  const named = new Map<string, (value: string, input: Structure) => void>();
  const maps: Member[] = [];
  for (const member of members) {
    if (member.shape.type === "map") {
      maps.push(member);
    } else if (member.shape.type === "list") {
      const read = textReader(member.shape.element, "iso8601");
      named.set(member.wireName, (value, input) => {
        const list = (input[member.name] ??= []) as unknown[];
        list.push(read(value));
      });
    } else {
      const read = textReader(member, "iso8601");
      // A parameter that is given twice: the first counts.
      named.set(member.wireName, (value, input) => {
        if (input[member.name] === undefined) input[member.name] = read(value);
      });
    }
  }
  return [
    (request, _labels, input) => {
      if (request.query === "") return;
      for (const [name, value] of parseQuery(request.query)) {
        named.get(name)?.(value, input);
        for (const map of maps) addToQueryMap(map, name, value, input);
      }
    },
  ];
}

function addToQueryMap(member: Member, name: string, value: string, input: Structure): void {
  const map = (input[member.name] ??= {}) as Structure;
  if (member.shape.value.shape.type === "list") {
    const list = Object.hasOwn(map, name) ? (map[name] as unknown[]) : [];
    list.push(value);
    setEntry(map, name, list);
  } else if (!Object.hasOwn(map, name)) {
    setEntry(map, name, value);
  }
}

function compilePrefixHeaders(member: Member): Read {
  const prefix =
    member.wireName === member.name && member.data.locationName === undefined ? "" : member.wireName;
  const lowerPrefix = prefix.toLowerCase();
  return (request, _labels, input) => {
    for (const [name, value] of Object.entries(request.headers)) {
      if (!name.startsWith(lowerPrefix)) continue;
      const map = (input[member.name] ??= {}) as Structure;
      setEntry(map, name.slice(lowerPrefix.length), value);
    }
  };
}

function compilePayload(format: RestFormat, member: Member): Read {
  const { type } = member.shape;
  if (type === "blob") {
    return (request, _labels, input) => {
      if (request.body.length > 0) input[member.name] = request.body;
    };
  }
  const read = type === "string" ? (body: Buffer) => body.toString("utf8") : format.payloadReader(member);
  return (request, _labels, input) => {
    if (request.body.length > 0) input[member.name] = read(request.body);
  };
}

function compileDecode(operation: Operation, format: RestFormat): OperationCodec["decode"] {
  const { input: shape } = operation;
  if (shape === undefined) return () => ({});
  const bindings = bindingsOf(shape);
  const at = (location: string) => bindings.located.filter((member) => member.data.location === location);
  const reads: Read[] = [
    ...compileLabels(at("uri")),
    ...compileQuery(at("querystring")),
    ...at("headers").map(compilePrefixHeaders),
  ];
  for (const member of at("header")) {
    const name = member.wireName.toLowerCase();
    const read = compileHeaderReader(member);
    reads.push((request, _labels, input) => {
      const value = request.headers[name];
      if (value !== undefined) input[member.name] = read(value);
    });
  }
  if (bindings.payload !== undefined) {
    reads.push(compilePayload(format, bindings.payload));
  } else if (bindings.body.size > 0) {
    const readBody = format.bodyReader(operation, shape, bindings.body);
    reads.push((request, _labels, input) => {
      Object.assign(input, readBody(request.body));
    });
  }
  return (request, labels) => {
    const input: Structure = {};
    for (const read of reads) read(request, labels, input);
    return input;
  };
}

type WriteHeaders = (output: Structure, headers: Record<string, string>) => void;

/** Response headers of the members that are bound to them; for errors too. */
export function compileHeaders(shape: Shape | undefined): WriteHeaders {
  const writes: WriteHeaders[] = [];
  for (const member of shape?.members ?? []) {
    if (member.data.location === "header") {
      const write = compileHeaderWriter(member);
      writes.push((output, headers) => {
        const value = output[member.name];
        if (!isAbsent(value)) headers[member.wireName] = write(value);
      });
    } else if (member.data.location === "headers") {
      const prefix = member.data.locationName ?? "";
      writes.push((output, headers) => {
        for (const [name, value] of Object.entries((output[member.name] ?? {}) as Structure)) {
          headers[prefix + name] = String(value);
        }
      });
    }
  }
  return (output, headers) => {
    for (const write of writes) write(output, headers);
  };
}

type WriteBody = (output: Structure, headers: Record<string, string>) => WireResponse["body"];

function setContentType(headers: Record<string, string>, contentType: string): void {
  for (const name in headers) if (name.toLowerCase() === "content-type") return;
  headers["Content-Type"] = contentType;
}

function isAsyncIterable(value: unknown): value is AsyncIterable<Buffer> {
  return typeof value === "object" && value !== null && Symbol.asyncIterator in value;
}

function compilePayloadBody(operation: Operation, format: RestFormat, member: Member): WriteBody {
  const { shape } = member;
  if (shape.data.eventstream === true) {
    const write = eventStreamWriter(operation.model, shape, format);
    return (output, headers) => {
      setContentType(headers, EVENT_STREAM_CONTENT_TYPE);
      return write(output[member.name]);
    };
  }
  if (shape.type === "blob" || shape.type === "string") {
    const contentType = shape.type === "blob" ? format.blobContentType(operation) : "text/plain";
    return (output, headers) => {
      const value = output[member.name];
      if (isAbsent(value)) return EMPTY;
      setContentType(headers, contentType);
      return isAsyncIterable(value) ? value : bytesOf(value);
    };
  }
  const write = format.payloadWriter(operation, member);
  return (output, headers) => {
    const value = output[member.name];
    if (isAbsent(value)) return EMPTY;
    setContentType(headers, format.contentType);
    return write(value);
  };
}

function compileBody(operation: Operation, format: RestFormat, bindings: Bindings): WriteBody {
  if (bindings.payload !== undefined) return compilePayloadBody(operation, format, bindings.payload);
  const { output: shape } = operation;
  if (shape === undefined) return () => EMPTY;
  const write = format.bodyWriter(operation, shape, bindings.body);
  return (output, headers) => {
    const body = write(output);
    if (body.length > 0) setContentType(headers, format.contentType);
    return body;
  };
}

function compileEncode(operation: Operation, format: RestFormat): OperationCodec["encode"] {
  const bindings = bindingsOf(operation.output);
  const writeHeaders = compileHeaders(operation.output);
  const writeBody = compileBody(operation, format, bindings);
  const statusMember = bindings.located.find((member) => member.data.location === "statusCode");
  const statusDefault = operation.data.http.responseCode ?? 200;
  return (output, requestId) => {
    const headers: Record<string, string> = { "x-amzn-RequestId": requestId };
    writeHeaders(output, headers);
    const given = statusMember && output[statusMember.name];
    const status = typeof given === "number" ? given : statusDefault;
    // These have no body by HTTP's own rules.
    if (status === 204 || status === 304) return { status, headers, body: EMPTY };
    return { status, headers, body: writeBody(output, headers) };
  };
}

export function compileRest(operation: Operation, format: RestFormat): OperationCodec {
  return { decode: compileDecode(operation, format), encode: compileEncode(operation, format) };
}
