/** Values of a model's shapes as XML: bodies of restXml, answers of awsQuery. */
import { parseXml, XmlElement, XmlText } from "@rgrove/parse-xml";
import { assert, unreachable } from "../../kernel/assert.ts";
import type { XmlNamespace } from "../models/data.ts";
import type { Member, Shape } from "../models/shapes.ts";
import { setEntry } from "./json.ts";
import type { Structure } from "./codec.ts";
import { isAbsent, serializationError, textReader, textWriter } from "./scalars.ts";

// Reading

/** The root element of a body. */
export function parseXmlBody(body: Buffer): XmlElement {
  try {
    const { root } = parseXml(body.toString("utf8"));
    if (root !== null) return root;
  } catch (error) {
    throw serializationError(
      `Could not parse request body into xml: ${(error as Error).message.split("\n")[0]}`,
    );
  }
  throw serializationError("The request body has no root element");
}

/** Without the prefix: clients choose their own. */
function localName(name: string): string {
  return name.slice(name.indexOf(":") + 1);
}

function textOf(element: XmlElement): string {
  let text = "";
  for (const child of element.children) if (child instanceof XmlText) text += child.text;
  return text;
}

function childrenOf(element: XmlElement, name: string): XmlElement[] {
  const wanted = localName(name);
  return element.children.filter(
    (child): child is XmlElement => child instanceof XmlElement && localName(child.name) === wanted,
  );
}

export type XmlReader = (element: XmlElement) => unknown;

const structureReaders = new WeakMap<Shape, (element: XmlElement) => Structure>();

export function xmlReader(member: Member): XmlReader {
  const { shape } = member;
  switch (shape.type) {
    case "structure":
      return (element) => xmlStructureReader(shape)(element);
    case "list": {
      const { element: item } = shape;
      const name = item.data.locationName ?? "member";
      let read: XmlReader | undefined;
      return (element) => childrenOf(element, name).map((read ??= xmlReader(item)));
    }
    case "map": {
      const read = entryReader(shape);
      return (element) => {
        const map: Structure = {};
        for (const entry of childrenOf(element, "entry")) read(entry, map);
        return map;
      };
    }
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
      if (shape.type === "string") return textOf;
      return (element) => read(textOf(element).trim());
    }
    default:
      return unreachable(shape.type, "type of a shape");
  }
}

function entryReader(shape: Shape): (entry: XmlElement, map: Structure) => void {
  let readValue: XmlReader | undefined;
  return (entry, map) => {
    readValue ??= xmlReader(shape.value);
    const [key] = childrenOf(entry, shape.key.data.locationName ?? "key");
    const [value] = childrenOf(entry, shape.value.data.locationName ?? "value");
    if (key === undefined || value === undefined)
      throw serializationError("A map entry lacks its key or its value");
    setEntry(map, textOf(key), readValue(value));
  };
}

/** Reads a structure's members that have no other place, out of its element. */
export function xmlStructureReader(shape: Shape): (element: XmlElement) => Structure {
  let reader = structureReaders.get(shape);
  if (reader === undefined) {
    let fields: ((element: XmlElement, result: Structure) => void)[] | undefined;
    reader = (element) => {
      fields ??= shape.members.filter((member) => member.data.location === undefined).map(fieldReader);
      const result: Structure = {};
      for (const read of fields) read(element, result);
      return result;
    };
    structureReaders.set(shape, reader);
  }
  return reader;
}

function fieldReader(member: Member): (element: XmlElement, result: Structure) => void {
  const { name, wireName, shape } = member;
  if (member.data.xmlAttribute === true) {
    const read = textReader(member, "iso8601");
    return (element, result) => {
      const value = element.attributes[wireName];
      if (value !== undefined) result[name] = read(value);
    };
  }
  if (member.data.flattened === true && shape.type === "list") {
    const read = xmlReader(shape.element);
    return (element, result) => {
      const items = childrenOf(element, wireName);
      if (items.length > 0) result[name] = items.map(read);
    };
  }
  if (member.data.flattened === true && shape.type === "map") {
    const read = entryReader(shape);
    return (element, result) => {
      const entries = childrenOf(element, wireName);
      if (entries.length === 0) return;
      const map: Structure = {};
      for (const entry of entries) read(entry, map);
      result[name] = map;
    };
  }
  const read = xmlReader(member);
  return (element, result) => {
    const [child] = childrenOf(element, wireName);
    if (child !== undefined) result[name] = read(child);
  };
}

// Writing

export function escapeText(text: string): string {
  if (!/[&<>\r\n\u0085\u2028]/.test(text)) return text;
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll("\r", "&#xD;")
    .replaceAll("\n", "&#xA;")
    .replaceAll("\u0085", "&#x85;")
    .replaceAll("\u2028", "&#x2028;");
}

function escapeAttribute(text: string): string {
  return escapeText(text).replaceAll('"', "&quot;");
}

export function namespaceAttribute(namespace: XmlNamespace | undefined): string {
  if (namespace === undefined) return "";
  const name = namespace.prefix === undefined ? "xmlns" : `xmlns:${namespace.prefix}`;
  return ` ${name}="${escapeAttribute(namespace.uri)}"`;
}

/** Writes a value as one element, or as several where it is flattened. */
export type XmlWriter = (value: unknown) => string;

const contentWriters = new WeakMap<Shape, (value: Structure) => { attributes: string; content: string }>();

/** The writer of a member as an element called `name`; a root element has its shape's or its service's namespace. */
export function xmlWriter(member: Member, name: string, namespace = member.data.xmlNamespace): XmlWriter {
  const { shape } = member;
  const open = name + namespaceAttribute(namespace);
  switch (shape.type) {
    case "structure":
      return (value) => {
        const { attributes, content } = xmlContentWriter(shape)(value as Structure);
        return `<${open}${attributes}>${content}</${name}>`;
      };
    case "list":
      return listWriter(member, name, open);
    case "map":
      return mapWriter(member, name, open);
    case "string":
    case "blob":
    case "boolean":
    case "integer":
    case "long":
    case "float":
    case "double":
    case "timestamp":
    case "document": {
      const write = textWriter(member, "iso8601");
      return (value) => `<${open}>${escapeText(write(value))}</${name}>`;
    }
    default:
      return unreachable(shape.type, "type of a shape");
  }
}

function listWriter(member: Member, name: string, open: string): XmlWriter {
  const { shape } = member;
  const flattened = member.data.flattened === true;
  let write: XmlWriter | undefined;
  return (value) => {
    write ??= xmlWriter(shape.element, flattened ? name : (shape.element.data.locationName ?? "member"));
    assert(Array.isArray(value), `${shape.name} is a list`);
    const items = value
      .filter((item) => !isAbsent(item))
      .map(write)
      .join("");
    return flattened ? items : `<${open}>${items}</${name}>`;
  };
}

function mapWriter(member: Member, name: string, open: string): XmlWriter {
  const { shape } = member;
  const flattened = member.data.flattened === true;
  const [entryOpen, entryName] = flattened ? [open, name] : ["entry", "entry"];
  let writeKey: XmlWriter | undefined;
  let writeValue: XmlWriter | undefined;
  return (value) => {
    writeKey ??= xmlWriter(shape.key, shape.key.data.locationName ?? "key");
    writeValue ??= xmlWriter(shape.value, shape.value.data.locationName ?? "value");
    let entries = "";
    for (const [key, item] of Object.entries(value as Structure)) {
      if (!isAbsent(item)) entries += `<${entryOpen}>${writeKey(key)}${writeValue(item)}</${entryName}>`;
    }
    return flattened ? entries : `<${open}>${entries}</${name}>`;
  };
}

/** The attributes and the content of a structure's element. */
export function xmlContentWriter(
  shape: Shape,
): (value: Structure) => { attributes: string; content: string } {
  let writer = contentWriters.get(shape);
  if (writer === undefined) {
    writer = compileContentWriter(shape);
    contentWriters.set(shape, writer);
  }
  return writer;
}

function compileContentWriter(shape: Shape): (value: Structure) => { attributes: string; content: string } {
  let fields: { name: string; wireName: string; attribute: boolean; write: XmlWriter }[] | undefined;
  return (value) => {
    fields ??= shape.members
      .filter((member) => member.data.location === undefined)
      .map((member) => ({
        name: member.name,
        wireName: member.wireName,
        attribute: member.data.xmlAttribute === true,
        write: member.data.xmlAttribute ? textWriter(member, "iso8601") : xmlWriter(member, member.wireName),
      }));
    let attributes = "";
    let content = "";
    for (const { name, wireName, attribute, write } of fields) {
      const item = value[name];
      if (isAbsent(item)) continue;
      if (attribute) attributes += ` ${wireName}="${escapeAttribute(write(item))}"`;
      else content += write(item);
    }
    return { attributes, content };
  };
}
