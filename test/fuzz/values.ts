/** Inputs of an operation, made from its model: valid ones, and ones that break exactly one of its constraints. */
import { sample, stringMatching, type Arbitrary } from "fast-check";
import type { Random } from "../../bench/trace/random.ts";
import { compilePattern } from "../../src/wire/models/pattern.ts";
import type { Member, Shape } from "../../src/wire/models/shapes.ts";
import type { Memory } from "./memory.ts";
import { chanceOf, madeFor } from "./sensible.ts";

/** Beyond this depth of structures in structures only what is required is made. */
const DEPTH_MAX = 5;
const TEXT_CHARS_MAX = 24;
/** The largest value that is made to meet or to pass a maximum: some allow 100 MB. */
const SIZE_MAX = 70_000;
const PATTERN_ATTEMPTS = 20;
const PLAIN = [
  "",
  "a",
  "alpha",
  "arn:aws:lambda:us-east-1:000000000000:function:alpha",
  "2026-01-01T00:00:00Z",
];
const NUMBERS = new Set(["integer", "long", "float", "double"]);

export type Input = Record<string, unknown>;

/** One place of an input whose shape has a constraint. */
interface Site {
  readonly shape: Shape;
  readonly path: string;
  readonly get: () => unknown;
  readonly set: (value: unknown) => void;
  readonly isRequired: boolean;
  /** The least size: an empty label is another path. */
  readonly sizeMin: number;
}

/** What was changed, for a person: `functionName: length 65`. */
export interface Change {
  readonly text: string;
  /** Whether the model forbids it. */
  readonly isInvalid: boolean;
}

export class Values {
  readonly #random: Random;
  readonly #memory: Memory;
  readonly #arbitraries = new Map<Shape, Arbitrary<string>>();
  /** Whether the last valid input holds all patterns: not every one can be turned round. */
  isSure = true;

  constructor(random: Random, memory: Memory) {
    this.#random = random;
    this.#memory = memory;
  }

  /** An input that holds every constraint of the model. */
  valid(service: string, operation: string, shape: Shape | undefined): Input {
    this.isSure = true;
    if (!shape) return {};
    return this.#structure(shape, { service, operation, depth: 0 }) as Input;
  }

  /** Puts one value of `input` at a limit of its constraint or one beyond it; undefined when nothing in it is constrained. */
  change(input: Input, shape: Shape): Change | undefined {
    const sites: Site[] = [];
    collect(shape, input, "", sites);
    for (let attempt = 0; attempt < 5 && sites.length > 0; attempt += 1) {
      const site = this.#pick(sites);
      const change = this.#changed(site);
      if (change) return change;
    }
    return undefined;
  }

  #structure(shape: Shape, at: Place): unknown {
    const made: Input = {};
    if (shape.data.union) {
      const member = this.#pick(shape.members);
      return { [member.name]: this.#member(member, at) };
    }
    // Sometimes a call has next to nothing, sometimes nearly everything.
    const share = this.#random.next() ** 2;
    for (const member of shape.members) {
      const chance = chanceOf(at.operation, member) ?? share * likelihood(member);
      const wanted = member.required || (at.depth < DEPTH_MAX && this.#random.next() < chance);
      if (!wanted) continue;
      const value = this.#member(member, at);
      if (value !== undefined) made[member.name] = value;
    }
    return made;
  }

  #member(member: Member, at: Place): unknown {
    const sensible = madeFor(at.service, at.operation, member, this.#random, this.#memory);
    if (sensible !== undefined) return sensible.value;
    if (this.#random.next() < 0.7) {
      const known = this.#recalled(member);
      if (known !== undefined) return known;
    }
    const value = this.#value(member.shape, { ...at, depth: at.depth + 1 });
    // HTTP takes the blanks around a header's value away.
    if (member.data.location === "header" && typeof value === "string" && value.trim() !== value)
      this.isSure = false;
    // An empty list is nothing in a query.
    if (member.data.location !== "querystring" || !Array.isArray(value) || value.length > 0) return value;
    return member.required ? [this.#value(member.shape.element.shape, at)] : undefined;
  }

  #recalled(member: Member): unknown {
    const { shape, name } = member;
    if (shape.type === "list" && shape.element.shape.type === "string" && !shape.element.shape.data.enum) {
      const item = this.#memory.recall(name, shape.element.shape);
      return item !== undefined && holds(shape.element.shape, item) ? [item] : undefined;
    }
    const isSimple = shape.type === "string" || NUMBERS.has(shape.type);
    if (!isSimple || shape.data.enum) return undefined;
    const known = this.#memory.recall(name, shape);
    return known !== undefined && holds(shape, known) ? known : undefined;
  }

  #value(shape: Shape, at: Place): unknown {
    const { min = 0, max = Infinity } = shape.data;
    switch (shape.type) {
      case "structure":
        return this.#structure(shape, at);
      case "list":
        return Array.from({ length: this.#size(min, max, 3) }, () => this.#value(shape.element.shape, at));
      case "map":
        return Object.fromEntries(
          Array.from({ length: this.#size(min, max, 3) }, () => [
            this.#value(shape.key.shape, at),
            this.#value(shape.value.shape, at),
          ]),
        );
      case "string":
        return this.#text(shape);
      case "blob":
        return Buffer.from(this.#characters(this.#size(min, max, TEXT_CHARS_MAX)));
      case "boolean":
        return this.#random.next() < 0.5;
      case "integer":
      case "long":
        return this.#integer(shape.data.min ?? -2, Math.min(max, (shape.data.min ?? 0) + 1000));
      case "float":
      case "double":
        return this.#random.between(shape.data.min ?? -10, Math.min(max, 1000));
      case "timestamp":
        return new Date(Math.floor((Date.now() + this.#random.between(-3_600_000, 3_600_000)) / 1000) * 1000);
      case "document":
        return { some: [1, "document", null] };
      default: {
        const never: never = shape.type;
        return never;
      }
    }
  }

  #text(shape: Shape): string {
    const { min = 0, max = Infinity, pattern, enum: values } = shape.data;
    if (values) return this.#pick(values);
    if (pattern === undefined) return this.#characters(this.#size(Math.max(min, 1), max, TEXT_CHARS_MAX));
    for (let attempt = 0; attempt < PATTERN_ATTEMPTS; attempt += 1) {
      const text = this.#matching(shape, pattern, max);
      if (text !== undefined && holds(shape, text)) return text;
    }
    // A pattern that cannot be turned round, with a look-ahead say.
    const plain = PLAIN.find((text) => holds(shape, text));
    if (plain === undefined) this.isSure = false;
    return plain ?? "a".repeat(Math.max(min, 3));
  }

  #matching(shape: Shape, pattern: string, max: number): string | undefined {
    try {
      let arbitrary = this.#arbitraries.get(shape);
      if (!arbitrary) {
        arbitrary = stringMatching(compilePattern(pattern), max > 256 ? { maxLength: 256 } : {});
        this.#arbitraries.set(shape, arbitrary);
      }
      return sample(arbitrary, { seed: this.#integer(0, 2 ** 31 - 1), numRuns: 1 })[0];
    } catch {
      return undefined;
    }
  }

  #changed(site: Site): Change | undefined {
    const { shape, path } = site;
    const { min, max, pattern, enum: values } = shape.data;
    const kinds: (() => Change | undefined)[] = [];
    const set = (value: unknown, text: string): Change => {
      site.set(value);
      // A pattern or an enumeration may forbid what the length allows.
      return { text: `${path}: ${text}`, isInvalid: value === undefined || !holds(shape, value) };
    };
    if (site.isRequired) kinds.push(() => set(undefined, "missing"));
    if (values) kinds.push(() => set("NoSuchValue", "not of the enumeration"));
    if (pattern !== undefined) kinds.push(() => set(`${String(site.get())}\u0001 é`, "near the pattern"));
    for (const [limit, beyond] of [
      [min, -1],
      [max, 1],
    ] as const) {
      if (limit === undefined || limit > SIZE_MAX || limit < site.sizeMin) continue;
      kinds.push(() => set(this.#sized(site, limit), `size ${limit}`));
      if (limit + beyond >= site.sizeMin || NUMBERS.has(shape.type))
        kinds.push(() => set(this.#sized(site, limit + beyond), `size ${limit + beyond}`));
    }
    return kinds.length === 0 ? undefined : this.#pick(kinds)();
  }

  /** A value like the one that is there, of another size. */
  #sized(site: Site, size: number): unknown {
    const { shape } = site;
    const old = site.get();
    if (NUMBERS.has(shape.type)) return size;
    if (Array.isArray(old))
      return Array.from(
        { length: size },
        (_, index) => old[index % old.length] ?? this.#value(shape.element.shape, FLAT),
      );
    if (old instanceof Uint8Array) return Buffer.alloc(size, 97);
    if (typeof old === "string") {
      if (size <= old.length) return old.slice(0, size);
      return old + "a".repeat(size - old.length);
    }
    const entries: [string, unknown][] = [];
    for (let index = 0; index < size; index += 1)
      entries.push([`key${index}`, this.#value(shape.value.shape, FLAT)]);
    return Object.fromEntries(entries);
  }

  #size(min: number, max: number, usualMax: number): number {
    return this.#integer(min, Math.min(max, Math.max(min, usualMax)));
  }

  #integer(min: number, max: number): number {
    return Math.floor(this.#random.between(min, max + 1));
  }

  #characters(length: number): string {
    const alphabet =
      this.#random.next() < 0.1 ? "aé漢😀 <&\"'%\\\n" : "abcdefghijklmnopqrstuvwxyz0123456789-_";
    const letters = Array.from(alphabet);
    return Array.from({ length }, () => this.#pick(letters)).join("");
  }

  #pick<T>(items: readonly T[]): T {
    return items[Math.floor(this.#random.next() * items.length)] as T;
  }
}

interface Place {
  readonly service: string;
  readonly operation: string;
  readonly depth: number;
}

const FLAT: Place = { service: "", operation: "", depth: DEPTH_MAX };

/** Members that end a call at once when they are made up are given less often. */
function likelihood(member: Member): number {
  return /Marker|Token|RevisionId|DryRun|KmsKey|KMSKey|VpcConfig|FileSystem|ImageUri|ImageConfig/.test(
    member.name,
  )
    ? 0.15
    : 1;
}

/** Whether a value holds the constraints of its own shape, not of what is in it. */
export function holds(shape: Shape, value: unknown): boolean {
  const { min, max, pattern, enum: values } = shape.data;
  const size = sizeOf(value);
  if (min !== undefined && size < min) return false;
  if (max !== undefined && size > max) return false;
  if (values && !values.includes(String(value))) return false;
  return pattern === undefined || compilePattern(pattern).test(String(value));
}

/** Strings count in characters of Unicode, numbers by their value. */
function sizeOf(value: unknown): number {
  if (typeof value === "number") return value;
  if (typeof value === "string") return Array.from(value).length;
  if (Array.isArray(value) || value instanceof Uint8Array) return value.length;
  return Object.keys(value as object).length;
}

function collect(shape: Shape, value: Input, path: string, sites: Site[]): void {
  for (const member of shape.members) {
    const inner = value[member.name];
    if (inner === undefined) continue;
    const at = path === "" ? member.name : `${path}.${member.name}`;
    const { min, max, pattern, enum: values } = member.shape.data;
    const isConstrained = (min ?? max ?? pattern ?? values) !== undefined;
    // What is a part of the path or a header cannot be left out by a client.
    const isRequired = member.required && member.data.location === undefined;
    if (isConstrained || isRequired) {
      sites.push({
        shape: member.shape,
        path: at,
        isRequired,
        sizeMin: member.data.location === "uri" ? 1 : 0,
        get: () => value[member.name],
        set: (changed) => (value[member.name] = changed),
      });
    }
    if (member.shape.type === "structure") collect(member.shape, inner as Input, at, sites);
    if (member.shape.type === "list" && member.shape.element.shape.type === "structure")
      for (const [index, item] of (inner as Input[]).entries())
        collect(member.shape.element.shape, item, `${at}.${index}`, sites);
  }
}
