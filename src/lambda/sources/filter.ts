/**
 * Event filter patterns: which records of an event source a function wants. The language of Lambda's FilterCriteria, which
 * is that of EventBridge's event patterns.
 *
 * A pattern is a JSON object. Each leaf is an array of rules, of which one must match a value of the record at that path;
 * all paths must match, except inside `$or`, where one alternative is enough. Parsed once, matched many times.
 */

/** Not a pattern; the message says where and why. */
export class InvalidFilterPattern extends Error {
  override readonly name = "InvalidFilterPattern";
}

export type Filter = (record: unknown) => boolean;

type Rule = (value: unknown) => boolean;
type JsonObject = Readonly<Record<string, unknown>>;

/** Alternatives that one pattern may unfold to. EventBridge's quota of `$or` combinations. */
const ALTERNATIVES_MAX = 1000;
const NUMERIC_OPERATORS: Readonly<Record<string, (value: number, bound: number) => boolean>> = {
  "<": (value, bound) => value < bound,
  "<=": (value, bound) => value <= bound,
  ">": (value, bound) => value > bound,
  ">=": (value, bound) => value >= bound,
  "=": (value, bound) => value === bound,
};

/** Throws InvalidFilterPattern. */
export function parseFilter(pattern: string): Filter {
  let parsed: unknown;
  try {
    parsed = JSON.parse(pattern);
  } catch (error) {
    throw new InvalidFilterPattern(`it is not JSON: ${(error as SyntaxError).message}`);
  }
  if (!isObject(parsed)) throw new InvalidFilterPattern("it is not a JSON object");
  const budget = { alternatives: 1 };
  return objectFilter(parsed, "", budget);
}

/** Whether a record is wanted by any of the filters; no filters want all. */
export function anyOf(filters: readonly Filter[]): Filter {
  if (filters.length === 0) return () => true;
  return (record) => filters.some((filter) => filter(record));
}

function objectFilter(pattern: JsonObject, path: string, budget: { alternatives: number }): Filter {
  const members = Object.entries(pattern);
  if (members.length === 0) throw new InvalidFilterPattern(`${path || "the pattern"} is an empty object`);
  const parts = members.map(([name, value]): Filter => {
    const at = path === "" ? name : `${path}.${name}`;
    if (name === "$or" && Array.isArray(value)) return orFilter(value, path, budget);
    if (Array.isArray(value)) {
      const leaf = leafFilter(value, at);
      return (record) => leaf(memberOf(record, name));
    }
    if (isObject(value)) {
      const nested = objectFilter(value, at, budget);
      return (record) => throughArrays(memberOf(record, name), nested);
    }
    throw new InvalidFilterPattern(`the value of ${at} is neither an array nor an object`);
  });
  return (record) => parts.every((matches) => matches(record));
}

function orFilter(alternatives: readonly unknown[], path: string, budget: { alternatives: number }): Filter {
  budget.alternatives *= alternatives.length;
  if (alternatives.length < 2 || budget.alternatives > ALTERNATIVES_MAX) {
    throw new InvalidFilterPattern(`$or has ${alternatives.length} alternatives`);
  }
  const filters = alternatives.map((each) => {
    if (!isObject(each)) throw new InvalidFilterPattern("an alternative of $or is not an object");
    return objectFilter(each, path, budget);
  });
  return (record) => filters.some((matches) => matches(record));
}

/** `undefined` stands for a member that is not there. An array in the record matches when one of its elements does. */
function leafFilter(rules: readonly unknown[], path: string): Filter {
  if (rules.length === 0) throw new InvalidFilterPattern(`${path} has no rules`);
  const parsed = rules.map((rule) => parseRule(rule, path));
  const matches = (value: unknown) => parsed.some((rule) => rule(value));
  // An empty array has no values, but it is there.
  return (value) =>
    Array.isArray(value) && value.length > 0 ? value.some((element) => matches(element)) : matches(value);
}

function parseRule(rule: unknown, path: string): Rule {
  if (!isObject(rule)) return literal(rule, path);
  const entries = Object.entries(rule);
  const [entry] = entries;
  if (entries.length !== 1 || !entry) {
    throw new InvalidFilterPattern(`a rule of ${path} has ${entries.length} members instead of one`);
  }
  const [name, argument] = entry;
  switch (name) {
    case "exists":
      if (typeof argument !== "boolean")
        throw new InvalidFilterPattern(`exists of ${path} takes true or false`);
      return (value) => (value !== undefined) === argument;
    case "numeric":
      return numeric(argument, path);
    case "anything-but":
      return anythingBut(argument, path);
    default:
      return textRule(name, argument, path);
  }
}

function literal(rule: unknown, path: string): Rule {
  if (rule === null || ["string", "number", "boolean"].includes(typeof rule))
    return (value) => value === rule;
  throw new InvalidFilterPattern(`a rule of ${path} is an array`);
}

/** `prefix`, `suffix`, `equals-ignore-case`, `wildcard`; prefix and suffix also as `{"equals-ignore-case": …}`. */
function textRule(name: string, argument: unknown, path: string): Rule {
  const text = (given: unknown): string => {
    if (typeof given === "string") return given;
    throw new InvalidFilterPattern(`${name} of ${path} takes a string`);
  };
  const onText = (test: (value: string) => boolean): Rule => {
    return (value) => typeof value === "string" && test(value);
  };
  const folded = isObject(argument) ? argument["equals-ignore-case"] : undefined;
  switch (name) {
    case "prefix":
    case "suffix": {
      const test = (value: string, part: string) =>
        name === "prefix" ? value.startsWith(part) : value.endsWith(part);
      if (folded !== undefined) {
        const part = text(folded).toLowerCase();
        return onText((value) => test(value.toLowerCase(), part));
      }
      const part = text(argument);
      return onText((value) => test(value, part));
    }
    case "equals-ignore-case": {
      const wanted = text(argument).toLowerCase();
      return onText((value) => value.toLowerCase() === wanted);
    }
    case "wildcard":
      return onText(wildcard(text(argument), path));
    default:
      throw new InvalidFilterPattern(`${path} has the unknown rule ${name}`);
  }
}

/** `*` stands for any characters; a backslash makes it, and itself, ordinary. Linear: no regular expression backtracks. */
function wildcard(pattern: string, path: string): (value: string) => boolean {
  const parts = [""];
  for (let at = 0; at < pattern.length; at += 1) {
    const char = pattern.charAt(at);
    const escaped = char === "\\" && /[*\\]/.test(pattern.charAt(at + 1));
    if (char === "*") {
      if (parts.length > 1 && parts.at(-1) === "") {
        throw new InvalidFilterPattern(`the wildcard of ${path} has two * in a row`);
      }
      parts.push("");
      continue;
    }
    if (escaped) at += 1;
    parts[parts.length - 1] += escaped ? pattern.charAt(at) : char;
  }
  const [first = "", ...others] = parts;
  const last = others.pop();
  if (last === undefined) return (value) => value === first;
  return (value) => {
    if (value.length < first.length + last.length || !value.startsWith(first)) return false;
    let from = first.length;
    for (const part of others) {
      const found = value.indexOf(part, from);
      if (found < 0) return false;
      from = found + part.length;
    }
    return value.length - last.length >= from && value.endsWith(last);
  };
}

/** `[">", 0, "<=", 5]`: one comparison or two. */
function numeric(argument: unknown, path: string): Rule {
  const words: readonly unknown[] = Array.isArray(argument) ? argument : [];
  if (words.length !== 2 && words.length !== 4) {
    throw new InvalidFilterPattern(`numeric of ${path} takes one or two comparisons`);
  }
  const comparisons: ((value: number) => boolean)[] = [];
  for (let at = 0; at < words.length; at += 2) {
    const operator = words[at];
    const bound = words[at + 1];
    const compare = typeof operator === "string" ? NUMERIC_OPERATORS[operator] : undefined;
    if (!compare || typeof bound !== "number") {
      throw new InvalidFilterPattern(`numeric of ${path} has no comparison at ${at}`);
    }
    comparisons.push((value) => compare(value, bound));
  }
  return (value) => typeof value === "number" && comparisons.every((matches) => matches(value));
}

/** A value that is there and is none of these: literals, or one rule on text. */
function anythingBut(argument: unknown, path: string): Rule {
  const refused: Rule[] = isObject(argument)
    ? Object.entries(argument).flatMap(([name, given]) =>
        (Array.isArray(given) ? given : [given]).map((each) => textRule(name, each, path)),
      )
    : (Array.isArray(argument) ? argument : [argument]).map((each: unknown) => literal(each, path));
  if (refused.length === 0) throw new InvalidFilterPattern(`anything-but of ${path} names nothing`);
  return (value) => value !== undefined && !refused.some((matches) => matches(value));
}

/** As EventBridge: objects in an array match when one of them does. */
function throughArrays(value: unknown, matches: Filter): boolean {
  return Array.isArray(value) && value.length > 0
    ? value.some((element) => matches(element))
    : matches(value);
}

function memberOf(value: unknown, name: string): unknown {
  return isObject(value) && Object.hasOwn(value, name) ? value[name] : undefined;
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
