/** Simple values as text: in labels, queries, headers, XML and forms. And the errors that every codec throws. */
import { AwsError } from "../../errors.ts";
import { AssertionError, unreachable } from "../../kernel/assert.ts";
import type { TimestampFormat } from "../models/data.ts";
import type { Member } from "../models/shapes.ts";

/** Bytes that are not what the model says: malformed JSON, a string where a number belongs. */
export function serializationError(message: string): AwsError {
  return new AwsError("SerializationException", message, { status: 400 });
}

const INTEGER = /^[+-]?\d+$/;
const NUMBER = /^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?$/;

/** Smallest and largest of the 32-bit and of the 64-bit integers (the latter as far as a double can tell). */
const INTEGER_RANGE = { integer: [-(2 ** 31), 2 ** 31 - 1], long: [-(2 ** 63), 2 ** 63] } as const;

export function checkInteger(value: number, type: "integer" | "long"): number {
  const [min, max] = INTEGER_RANGE[type];
  if (!Number.isInteger(value) || value < min || value > max) {
    throw serializationError(`${value} can not be converted to ${type === "long" ? "a Long" : "an Integer"}`);
  }
  return value;
}

export function parseInteger(text: string, type: "integer" | "long"): number {
  if (!INTEGER.test(text)) throw serializationError("STRING_VALUE can not be converted to an Integer");
  return checkInteger(Number(text), type);
}

/** Not-a-number and the infinities have names, in JSON as in text. */
export function parseFloatText(text: string): number {
  if (text === "NaN") return Number.NaN;
  if (text === "Infinity") return Number.POSITIVE_INFINITY;
  if (text === "-Infinity") return Number.NEGATIVE_INFINITY;
  if (!NUMBER.test(text)) throw serializationError("STRING_VALUE can not be converted to a Double");
  return Number(text);
}

export function parseBoolean(text: string): boolean {
  if (text === "true") return true;
  if (text === "false") return false;
  throw serializationError("STRING_VALUE can not be converted to a Boolean");
}

/** Strict: Node's decoder passes over what is no base64, which would change bytes in silence. */
export function parseBase64(text: string): Buffer {
  const bytes = Buffer.from(text, "base64");
  const padding = text.endsWith("==") ? 2 : text.endsWith("=") ? 1 : 0;
  const complete = text.length % 4 === 0 && bytes.length === (text.length / 4) * 3 - padding;
  // The decoder also takes the URL alphabet.
  if (!complete || text.includes("-") || text.includes("_")) {
    throw serializationError("Value is not valid base64");
  }
  return bytes;
}

const ISO_8601 = /^\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:[Zz]|[+-]\d{2}:\d{2})$/;
const RFC_822 = /^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2}(?:\.\d+)? GMT$/;
/** Seconds that a Date can hold. */
const EPOCH_S_MAX = 8.64e12;

export function dateOfEpoch(seconds: number): Date {
  if (!(Math.abs(seconds) <= EPOCH_S_MAX))
    throw serializationError("NUMBER_VALUE can not be converted to a Timestamp");
  return new Date(Math.round(seconds * 1000));
}

export function parseTimestamp(text: string, format: TimestampFormat): Date {
  if (format === "unixTimestamp") {
    if (!NUMBER.test(text)) throw serializationError("STRING_VALUE can not be converted to a Timestamp");
    return dateOfEpoch(Number(text));
  }
  const wellFormed = (format === "iso8601" ? ISO_8601 : RFC_822).test(text);
  const date = new Date(wellFormed ? text.toUpperCase() : Number.NaN);
  if (Number.isNaN(date.getTime()))
    throw serializationError("STRING_VALUE can not be converted to a Timestamp");
  return date;
}

/** Handlers answer a Date, or seconds since the epoch. */
export function dateOf(value: unknown): Date {
  if (value instanceof Date) return value;
  if (typeof value === "number") return new Date(value * 1000);
  throw new AssertionError(`a timestamp is a Date or seconds since the epoch, not ${typeof value}`);
}

export function formatTimestamp(value: unknown, format: TimestampFormat): string {
  const date = dateOf(value);
  if (format === "unixTimestamp") return String(date.getTime() / 1000);
  if (format === "rfc822") return date.toUTCString();
  const text = date.toISOString();
  return text.endsWith(".000Z") ? `${text.slice(0, -5)}Z` : text;
}

export function bytesOf(value: unknown): Buffer {
  if (Buffer.isBuffer(value)) return value;
  if (typeof value === "string") return Buffer.from(value);
  if (value instanceof Uint8Array) return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  throw new AssertionError(`a blob is a Buffer, a Uint8Array or a string, not ${typeof value}`);
}

export function isAbsent(value: unknown): value is undefined | null {
  return value === undefined || value === null;
}

export function timestampFormatOf(member: Member, otherwise: TimestampFormat): TimestampFormat {
  return member.data.timestampFormat ?? member.shape.data.timestampFormat ?? otherwise;
}

export type TextReader = (text: string) => unknown;

/** Reads a simple value from text. `otherwise` is the timestamp format of the place. */
export function textReader(member: Member, otherwise: TimestampFormat): TextReader {
  const { type } = member.shape;
  switch (type) {
    case "boolean":
      return parseBoolean;
    case "integer":
    case "long":
      return (text) => parseInteger(text, type);
    case "float":
    case "double":
      return parseFloatText;
    case "blob":
      return parseBase64;
    case "timestamp": {
      const format = timestampFormatOf(member, otherwise);
      return (text) => parseTimestamp(text, format);
    }
    case "structure":
    case "list":
    case "map":
    case "string":
    case "document":
      return (text) => text;
    default:
      return unreachable(type, "type of a shape");
  }
}

export type TextWriter = (value: unknown) => string;

/** Writes a simple value as text. */
export function textWriter(member: Member, otherwise: TimestampFormat): TextWriter {
  switch (member.shape.type) {
    case "blob":
      return (value) => bytesOf(value).toString("base64");
    case "timestamp": {
      const format = timestampFormatOf(member, otherwise);
      return (value) => formatTimestamp(value, format);
    }
    case "structure":
    case "list":
    case "map":
    case "string":
    case "boolean":
    case "integer":
    case "long":
    case "float":
    case "double":
    case "document":
      return String;
    default:
      return unreachable(member.shape.type, "type of a shape");
  }
}
