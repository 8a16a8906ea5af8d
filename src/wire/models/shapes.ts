/** A service's model with its references resolved, each shape once and only when something asks for it. */
import { assert } from "../../kernel/assert.ts";
import type { MemberData, ModelData, OperationData, ServiceMetadata, ShapeData, ShapeType } from "./data.ts";

/** A use of a shape under a name. `name` is the model's own; the codecs choose among the names on the wire. */
export class Member {
  readonly name: string;
  readonly data: MemberData;
  /** The name in JSON, XML, headers, the query and labels. */
  readonly wireName: string;
  /** The name in awsQuery's forms. */
  readonly queryName: string;
  readonly required: boolean;
  readonly #model: ServiceModel;
  #shape: Shape | undefined;

  constructor(model: ServiceModel, name: string, data: MemberData, required: boolean) {
    this.#model = model;
    this.name = name;
    this.data = data;
    this.wireName = data.locationName ?? name;
    this.queryName = data.queryName ?? this.wireName;
    this.required = required;
  }

  get shape(): Shape {
    this.#shape ??= this.#model.shape(this.data.shape);
    return this.#shape;
  }
}

export class Shape {
  readonly name: string;
  readonly type: ShapeType;
  readonly data: ShapeData;
  readonly #model: ServiceModel;
  #members: readonly Member[] | undefined;
  #parts: { key: Member | undefined; value: Member | undefined } | undefined;

  constructor(model: ServiceModel, name: string, data: ShapeData) {
    this.#model = model;
    this.name = name;
    this.type = data.type;
    this.data = data;
  }

  /** A structure's members in the model's order; empty for every other shape. */
  get members(): readonly Member[] {
    if (this.#members === undefined) {
      const required = new Set(this.data.required);
      this.#members = Object.entries(this.data.members ?? {}).map(
        ([name, data]) => new Member(this.#model, name, data, required.has(name)),
      );
    }
    return this.#members;
  }

  member(name: string): Member | undefined {
    return this.members.find((member) => member.name === name);
  }

  /** A list's element. */
  get element(): Member {
    const { value } = this.#containerParts();
    assert(value, `${this.name} has elements`);
    return value;
  }

  /** A map's key. */
  get key(): Member {
    const { key } = this.#containerParts();
    assert(key, `${this.name} has keys`);
    return key;
  }

  /** A map's value. */
  get value(): Member {
    return this.element;
  }

  #containerParts(): { key: Member | undefined; value: Member | undefined } {
    if (this.#parts === undefined) {
      const { member, key, value } = this.data;
      const element = member ? new Member(this.#model, "member", member, false) : undefined;
      this.#parts = {
        key: key && new Member(this.#model, "key", key, false),
        value: value ? new Member(this.#model, "value", value, false) : element,
      };
    }
    return this.#parts;
  }
}

export interface Operation {
  readonly name: string;
  readonly model: ServiceModel;
  readonly data: OperationData;
  readonly input: Shape | undefined;
  readonly output: Shape | undefined;
}

export class ServiceModel {
  /** Folder name of the model: `lambda`. */
  readonly name: string;
  readonly metadata: ServiceMetadata;
  readonly operationNames: readonly string[];
  readonly #data: ModelData;
  readonly #shapes = new Map<string, Shape>();
  readonly #operations = new Map<string, Operation>();
  #errorsByCode: Map<string, string> | undefined;

  constructor(name: string, data: ModelData) {
    this.name = name;
    this.metadata = data.metadata;
    this.operationNames = Object.keys(data.operations);
    this.#data = data;
  }

  shape(name: string): Shape {
    let shape = this.#shapes.get(name);
    if (shape === undefined) {
      const data = this.#data.shapes[name];
      assert(data, `the model of ${this.name} has the shape ${name}`);
      shape = new Shape(this, name, data);
      this.#shapes.set(name, shape);
    }
    return shape;
  }

  operationData(name: string): OperationData | undefined {
    return Object.hasOwn(this.#data.operations, name) ? this.#data.operations[name] : undefined;
  }

  operation(name: string): Operation | undefined {
    const known = this.#operations.get(name);
    if (known) return known;
    const data = this.operationData(name);
    if (data === undefined) return undefined;
    const operation: Operation = {
      name,
      model: this,
      data,
      input: data.input && this.shape(data.input.shape),
      output: data.output && this.shape(data.output.shape),
    };
    this.#operations.set(name, operation);
    return operation;
  }

  /** The error's structure, found by its name or by its code on the wire. */
  errorShape(code: string): Shape | undefined {
    if (this.#errorsByCode === undefined) {
      this.#errorsByCode = new Map();
      for (const [name, shape] of Object.entries(this.#data.shapes)) {
        if (shape.exception !== true) continue;
        if (shape.error?.code !== undefined && !this.#errorsByCode.has(shape.error.code)) {
          this.#errorsByCode.set(shape.error.code, name);
        }
      }
      for (const [name, shape] of Object.entries(this.#data.shapes)) {
        if (shape.exception === true) this.#errorsByCode.set(name, name);
      }
    }
    const name = this.#errorsByCode.get(code);
    return name === undefined ? undefined : this.shape(name);
  }
}
