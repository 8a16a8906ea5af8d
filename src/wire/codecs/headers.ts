/** Members that are bound to HTTP headers. */
import { assert } from "../../kernel/assert.ts";
import type { Member } from "../models/shapes.ts";
import { parseBase64, serializationError, textReader, textWriter, timestampFormatOf } from "./scalars.ts";

/** Reads a header's value; the values of a list are separated by commas, and quoted where they hold one. */
export function compileHeaderReader(member: Member): (text: string) => unknown {
  if (member.data.jsonvalue === true) return (text) => parseBase64(text).toString("utf8");
  if (member.shape.type !== "list") {
    const read = textReader(member, "rfc822");
    if (member.shape.type === "string") return read;
    return (text) => read(text.trim());
  }
  const { element } = member.shape;
  const read = textReader(element, "rfc822");
  const isHttpDate = element.shape.type === "timestamp" && timestampFormatOf(element, "rfc822") === "rfc822";
  return (text) => (isHttpDate ? splitHttpDates(text) : splitList(text)).map(read);
}

/** `Mon, 16 Dec 2019 23:48:18 GMT, Mon, …`: every date holds a comma of its own. */
function splitHttpDates(text: string): string[] {
  const parts = text.split(",").map((part) => part.trim());
  if (parts.length % 2 !== 0) throw serializationError("STRING_VALUE can not be converted to a Timestamp");
  const dates: string[] = [];
  for (let at = 0; at < parts.length; at += 2) dates.push(`${parts[at]}, ${parts[at + 1]}`);
  return dates;
}

function splitList(text: string): string[] {
  const items: string[] = [];
  let at = 0;
  while (at < text.length) {
    while (text[at] === " ") at += 1;
    let item = "";
    if (text[at] === '"') {
      at += 1;
      while (at < text.length && text[at] !== '"') {
        if (text[at] === "\\") at += 1;
        item += text[at] ?? "";
        at += 1;
      }
      const comma = text.indexOf(",", at);
      at = comma < 0 ? text.length : comma + 1;
    } else {
      const comma = text.indexOf(",", at);
      const end = comma < 0 ? text.length : comma;
      item = text.slice(at, end).trim();
      at = end + 1;
    }
    items.push(item);
  }
  return items;
}

/** The values of a list are joined; an empty list is an empty header. */
export function compileHeaderWriter(member: Member): (value: unknown) => string {
  if (member.data.jsonvalue === true) return (value) => Buffer.from(String(value)).toString("base64");
  if (member.shape.type !== "list") return textWriter(member, "rfc822");
  const { element } = member.shape;
  const write = textWriter(element, "rfc822");
  const quotes = element.shape.type === "string";
  return (value) => {
    assert(Array.isArray(value), `${member.name} is a list`);
    return value.map((item) => (quotes ? quoted(write(item)) : write(item))).join(", ");
  };
}

function quoted(text: string): string {
  return /[",]/.test(text) ? `"${text.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"` : text;
}
