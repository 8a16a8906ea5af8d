/**
 * What earlier calls named: functions, ARNs, tokens. Inputs are made of it, so that calls get past "not found" to what an
 * operation really does.
 */
import type { Random } from "../../bench/trace/random.ts";
import type { Shape } from "../../src/wire/models/shapes.ts";

/** Of one name the youngest are remembered. */
const VALUES_MAX = 24;

/** Members of one meaning under several names. */
const ALIASES: Readonly<Record<string, string>> = {
  FunctionArn: "FunctionName",
  Resource: "FunctionArn",
  ResourceArn: "FunctionArn",
  TargetArn: "FunctionArn",
  Alias: "Qualifier",
  Version: "Qualifier",
  FunctionVersion: "Qualifier",
  LayerVersionArn: "Layers",
  NextMarker: "Marker",
  NextToken: "nextToken",
  logGroupIdentifier: "logGroupName",
  Sid: "StatementId",
  VersionId: "VersionId",
};

export class Memory {
  readonly #random: Random;
  readonly #protected: ReadonlySet<string>;
  readonly #values = new Map<string, unknown[]>();

  /** `protectedValues` are never used again: what the fuzzer itself stands on. */
  constructor(random: Random, protectedValues: Iterable<string> = []) {
    this.#random = random;
    this.#protected = new Set(protectedValues);
  }

  /** Remembers the simple members of a structure that was sent or answered. */
  remember(shape: Shape, value: unknown, name = shape.name): void {
    if (value === undefined || value === null) return;
    if (shape.type === "structure") {
      for (const member of shape.members) {
        const label =
          member.name === "Arn" ? `${shape.name.replace(/Data$|Description$/, "")}Arn` : member.name;
        this.remember(member.shape, (value as Record<string, unknown>)[member.name], label);
      }
    } else if (shape.type === "list" && Array.isArray(value)) {
      for (const item of value) this.remember(shape.element.shape, item, name);
    } else if (shape.type === "map" && typeof value === "object") {
      for (const [key, item] of Object.entries(value)) {
        this.#keep(shape.key.shape.name, key);
        this.remember(shape.value.shape, item, name);
      }
    } else if (shape.type === "string" && typeof value === "string" && value !== "") {
      if (this.#protected.has(value)) return;
      this.#keep(name, value);
      this.#keep(shape.name, value);
      const alias = ALIASES[name];
      if (alias !== undefined) this.#keep(alias, value);
    } else if (shape.type === "integer" || shape.type === "long") this.#keep(name, value);
  }

  /** A value of this name and type that was seen, if there is one. */
  recall(name: string, shape: Pick<Shape, "type"> & { readonly name?: string }): unknown {
    const type = shape.type === "string" ? "string" : "number";
    const known = [...(this.#values.get(name) ?? []), ...(this.#values.get(shape.name ?? "") ?? [])].filter(
      (value) => typeof value === type,
    );
    return known.length === 0 ? undefined : known[Math.floor(this.#random.next() * known.length)];
  }

  #keep(name: string, value: unknown): void {
    let values = this.#values.get(name);
    if (!values) this.#values.set(name, (values = []));
    if (values.includes(value)) return;
    values.push(value);
    if (values.length > VALUES_MAX) values.shift();
  }
}
