/** Values of a model's shapes as JSON: one reader and one writer a shape, compiled at first use. */
import { assert, unreachable } from "../../kernel/assert.ts";
import type { Member, Shape } from "../models/shapes.ts";
import {
  bytesOf,
  checkInteger,
  dateOf,
  dateOfEpoch,
  formatTimestamp,
  isAbsent,
  parseBase64,
  parseFloatText,
  parseTimestamp,
  serializationError,
  timestampFormatOf,
} from "./scalars.ts";

/** Between a parsed JSON value and a value of the model. */
export type Convert = (value: unknown) => unknown;

export type JsonObject = Record<string, unknown>;

/** What AWS calls the JSON value that was found, in its messages. */
function kindOf(value: unknown): string {
  if (typeof value === "string") return "STRING_VALUE";
  if (typeof value === "number") return "NUMBER_VALUE";
  if (typeof value === "boolean") return value ? "TRUE_VALUE" : "FALSE_VALUE";
  return Array.isArray(value) ? "START_ARRAY" : "START_OBJECT";
}

function mismatch(value: unknown, wanted: string): Error {
  if (Array.isArray(value)) return serializationError("Start of list found where not expected");
  if (typeof value === "object")
    return serializationError("Start of structure or map found where not expected.");
  return serializationError(`${kindOf(value)} can not be converted to ${wanted}`);
}

function objectOf(value: unknown): JsonObject {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw serializationError(
      Array.isArray(value) ? "Start of list found where not expected" : "Unexpected value type in payload",
    );
  }
  return value as JsonObject;
}

/** Sets an entry whose name a client chose: `__proto__` is a name like any other. */
export function setEntry(target: JsonObject, name: string, value: unknown): void {
  if (name === "__proto__") {
    Object.defineProperty(target, name, { value, enumerable: true, writable: true, configurable: true });
  } else {
    target[name] = value;
  }
}

const readers = new WeakMap<Shape, Convert>();
const writers = new WeakMap<Shape, Convert>();

export function jsonReader(member: Member): Convert {
  const { shape } = member;
  if (shape.type === "timestamp") return timestampReader(member);
  return shapeReader(shape);
}

export function shapeReader(shape: Shape): Convert {
  let reader = readers.get(shape);
  if (reader === undefined) {
    reader = compileReader(shape);
    readers.set(shape, reader);
  }
  return reader;
}

function timestampReader(member: Member): Convert {
  const format = timestampFormatOf(member, "unixTimestamp");
  return (value) => {
    if (format === "unixTimestamp") {
      if (typeof value !== "number") throw mismatch(value, "a Timestamp");
      return dateOfEpoch(value);
    }
    if (typeof value !== "string") throw mismatch(value, "a Timestamp");
    return parseTimestamp(value, format);
  };
}

function compileReader(shape: Shape): Convert {
  const { type } = shape;
  switch (type) {
    case "structure":
      return structureReader(shape, (member) => member.data.location === undefined);
    case "list":
      return listReader(shape);
    case "map":
      return mapReader(shape);
    case "boolean":
      return (value) => {
        if (typeof value !== "boolean") throw mismatch(value, "a Boolean");
        return value;
      };
    case "integer":
    case "long":
      return (value) => {
        if (typeof value !== "number") throw mismatch(value, type === "long" ? "a Long" : "an Integer");
        return checkInteger(value, type);
      };
    case "float":
    case "double":
      return (value) => {
        if (typeof value === "number") return value;
        // Only the three values without a JSON number come as strings.
        if (typeof value !== "string" || /\d/.test(value)) throw mismatch(value, "a Double");
        return parseFloatText(value);
      };
    case "blob":
      return (value) => {
        if (typeof value !== "string") throw mismatch(value, "a Blob");
        return parseBase64(value);
      };
    case "document":
      return (value) => value;
    case "string":
    case "timestamp":
      return (value) => {
        if (typeof value !== "string") throw mismatch(value, "a String");
        return value;
      };
    default:
      return unreachable(type, "type of a shape");
  }
}

/** Reads the members that `include` says are in this JSON object; what the model does not know is passed over. */
export function structureReader(shape: Shape, include: (member: Member) => boolean): Convert {
  let fields: Map<string, { name: string; read: Convert }> | undefined;
  const union = shape.data.union === true;
  return (value) => {
    if (fields === undefined) {
      fields = new Map();
      for (const member of shape.members) {
        if (include(member)) fields.set(member.wireName, { name: member.name, read: jsonReader(member) });
      }
    }
    const source = objectOf(value);
    const result: JsonObject = {};
    for (const key in source) {
      const field = fields.get(key);
      const item = source[key];
      if (field !== undefined && !isAbsent(item)) result[field.name] = field.read(item);
    }
    if (union) checkUnion(source, result);
    return result;
  };
}

/** A union has exactly one member; `__type`, which some clients add, is none. */
function checkUnion(source: JsonObject, result: JsonObject): void {
  const given = Object.keys(source).filter((key) => key !== "__type" && !isAbsent(source[key]));
  if (given.length !== 1 || Object.keys(result).length !== 1) {
    throw serializationError("A union must have exactly one member set");
  }
}

function listReader(shape: Shape): Convert {
  let read: Convert | undefined;
  return (value) => {
    read ??= jsonReader(shape.element);
    if (!Array.isArray(value)) throw serializationError("Expected list or null");
    const result: unknown[] = [];
    // A null stays in its place: the validation says that it must not be there.
    for (const item of value) result.push(item === null ? null : read(item));
    return result;
  };
}

function mapReader(shape: Shape): Convert {
  let read: Convert | undefined;
  return (value) => {
    read ??= jsonReader(shape.value);
    const source = objectOf(value);
    const result: JsonObject = {};
    for (const key in source) {
      const item = source[key];
      setEntry(result, key, item === null ? null : read(item));
    }
    return result;
  };
}

export function jsonWriter(member: Member): Convert {
  const { shape } = member;
  if (shape.type !== "timestamp") return shapeWriter(shape);
  const format = timestampFormatOf(member, "unixTimestamp");
  if (format === "unixTimestamp") return (value) => dateOf(value).getTime() / 1000;
  return (value) => formatTimestamp(value, format);
}

export function shapeWriter(shape: Shape): Convert {
  let writer = writers.get(shape);
  if (writer === undefined) {
    writer = compileWriter(shape);
    writers.set(shape, writer);
  }
  return writer;
}

function compileWriter(shape: Shape): Convert {
  switch (shape.type) {
    case "structure":
      return structureWriter(shape, (member) => member.data.location === undefined);
    case "list": {
      let write: Convert | undefined;
      return (value) => {
        const element = (write ??= jsonWriter(shape.element));
        assert(Array.isArray(value), `${shape.name} is a list`);
        return value.map((item) => (isAbsent(item) ? null : element(item)));
      };
    }
    case "map": {
      let write: Convert | undefined;
      return (value) => {
        write ??= jsonWriter(shape.value);
        const result: JsonObject = {};
        for (const [key, item] of Object.entries(value as JsonObject)) {
          setEntry(result, key, isAbsent(item) ? null : write(item));
        }
        return result;
      };
    }
    case "blob":
      return (value) => bytesOf(value).toString("base64");
    case "long":
      return (value) => (typeof value === "bigint" ? Number(value) : value);
    case "float":
    case "double":
      return (value) => (Number.isFinite(value) ? value : String(value));
    case "string":
    case "boolean":
    case "integer":
    case "timestamp":
    case "document":
      return (value) => value;
    default:
      return unreachable(shape.type, "type of a shape");
  }
}

/** Writes the members that `include` says belong in this JSON object; what the model does not know stays inside. */
export function structureWriter(shape: Shape, include: (member: Member) => boolean): Convert {
  let fields: { name: string; wireName: string; write: Convert }[] | undefined;
  return (value) => {
    fields ??= shape.members
      .filter(include)
      .map((member) => ({ name: member.name, wireName: member.wireName, write: jsonWriter(member) }));
    const source = value as JsonObject;
    const result: JsonObject = {};
    for (const { name, wireName, write } of fields) {
      const item = source[name];
      if (!isAbsent(item)) result[wireName] = write(item);
    }
    return result;
  };
}

/** The JSON value of a body; an empty body is an empty object. */
export function parseJsonBody(body: Buffer): unknown {
  if (body.length === 0) return {};
  try {
    return JSON.parse(body.toString("utf8")) as unknown;
  } catch (error) {
    throw serializationError(`Could not parse request body into json: ${(error as Error).message}`);
  }
}
