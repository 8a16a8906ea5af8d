/** Holds an answer, as AWS's client has read it, against the output of its model. */
import type { Shape } from "../../src/wire/models/shapes.ts";
import { holds } from "./values.ts";

const TYPES: Readonly<Record<string, (value: unknown) => boolean>> = {
  // The SDK has a class of its own for JSON in a string.
  string: (value) => typeof value === "string" || Object.prototype.toString.call(value) === "[object String]",
  integer: (value) => Number.isInteger(value),
  long: (value) => Number.isInteger(value),
  float: (value) => typeof value === "number",
  double: (value) => typeof value === "number",
  boolean: (value) => typeof value === "boolean",
  timestamp: (value) => value instanceof Date && !Number.isNaN(value.getTime()),
  blob: (value) => value instanceof Uint8Array,
  list: Array.isArray,
  map: isObject,
  structure: isObject,
};

/** What of `value` breaks `shape`, one line each. */
export function faultsOf(shape: Shape, value: unknown, path = ""): string[] {
  const { type, data } = shape;
  if (data.eventstream || type === "document") return [];
  if (TYPES[type]?.(value) !== true) return [`${path}: ${typeof value} is not a ${type}`];
  const faults: string[] = [];
  if (!holds(shape, value))
    faults.push(`${path}: ${JSON.stringify(value)?.slice(0, 200)} breaks ${constraints(shape)}`);
  if (type === "structure") {
    for (const member of shape.members) {
      const inner = (value as Record<string, unknown>)[member.name];
      const at = path === "" ? member.name : `${path}.${member.name}`;
      if (inner !== undefined && inner !== null) faults.push(...faultsOf(member.shape, inner, at));
      else if (member.required) faults.push(`${at}: missing`);
    }
  } else if (type === "list")
    for (const [index, item] of (value as unknown[]).entries())
      faults.push(...faultsOf(shape.element.shape, item, `${path}.${index}`));
  else if (type === "map")
    for (const [key, item] of Object.entries(value as object))
      faults.push(...faultsOf(shape.value.shape, item, `${path}.${key}`));
  return faults;
}

function isObject(value: unknown): boolean {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function constraints({ data: { min, max, pattern, enum: values } }: Shape): string {
  return JSON.stringify({ min, max, pattern, enum: values?.length });
}
