/**
 * The model's constraints, checked the way AWS's services check them and told in their words:
 *
 *     2 validation errors detected: Value null at 'role' failed to satisfy constraint: Member must not be null; Value …
 *
 * A path is in lower camel case, `tags.1.member.key`. What a list's elements and a map's keys and values break is told of the
 * whole collection, with every constraint that the elements have.
 */
import { AwsError, invalidParameterValue, validationError } from "../errors.ts";
import { compilePattern } from "./models/pattern.ts";
import type { Member, Operation, Shape } from "./models/shapes.ts";

/** As many as AWS lists; the count tells of all. */
const ISSUES_LISTED_MAX = 10;
/** A value in a message. Ours: AWS repeats the whole value. */
const VALUE_CHARS_MAX = 4096;
/** A string that is longer, and longer than its shape allows, is not matched against a pattern too. Ours: against slow patterns. */
const PATTERN_CHARS_MAX = 16_384;

interface Issues {
  count: number;
  readonly texts: string[];
}

interface Constraint {
  readonly text: string;
  holds(value: unknown): boolean;
}

/** Checks `value`, found at `path`. */
type Check = (value: unknown, path: string, issues: Issues) => void;

const MUST_NOT_BE_NULL = "Member must not be null";

/** Services that have a name of their own for what breaks a constraint of the model. */
const CONSTRAINT_ERRORS: Readonly<Record<string, string>> = { logs: "InvalidParameterException" };

/** Throws ValidationException, or its service's name for that, when the input breaks its model. */
export type Validate = (input: Record<string, unknown>) => void;

export function compileValidation(operation: Operation): Validate {
  const { input } = operation;
  if (input === undefined) return () => undefined;
  const check = structureCheck(input);
  const code = CONSTRAINT_ERRORS[operation.model.name];
  const also = operation.model.name === "lambda" ? lambdaRuntimeCheck(input) : undefined;
  return (value) => {
    const issues: Issues = { count: 0, texts: [] };
    check(value, "", issues);
    if (issues.count > 0) throw issuesError(issues, code);
    also?.(value);
  };
}

function issuesError({ count, texts }: Issues, code: string | undefined): AwsError {
  const noun = count === 1 ? "validation error" : "validation errors";
  const message = `${count} ${noun} detected: ${texts.join("; ")}`;
  return code === undefined ? validationError(message) : new AwsError(code, message);
}

function report(issues: Issues, path: string, value: string, text: string): void {
  issues.count += 1;
  if (issues.texts.length < ISSUES_LISTED_MAX) {
    issues.texts.push(`Value${value} at '${path}' failed to satisfy constraint: ${text}`);
  }
}

function pathName(name: string): string {
  return name.charAt(0).toLowerCase() + name.slice(1);
}

// Values in messages: as Java prints them.

function printValue(shape: Shape, value: unknown): string {
  if (shape.data.sensitive === true) return "";
  const text = print(shape, value);
  return ` '${text.length > VALUE_CHARS_MAX ? `${text.slice(0, VALUE_CHARS_MAX)}...` : text}'`;
}

function print(shape: Shape, value: unknown): string {
  if (value === undefined || value === null) return "null";
  if (shape.data.sensitive === true) return "***Sensitive Data Redacted***";
  if (value instanceof Uint8Array) {
    return `java.nio.HeapByteBuffer[pos=0 lim=${value.length} cap=${value.length}]`;
  }
  if (value instanceof Date) return value.toISOString();
  if (Array.isArray(value)) return `[${value.map((item) => print(shape.element.shape, item)).join(", ")}]`;
  if (shape.type === "map") {
    const entries = Object.entries(value).map(([key, item]) => `${key}=${print(shape.value.shape, item)}`);
    return `{${entries.join(", ")}}`;
  }
  if (shape.type === "structure") {
    const members = shape.members.map(
      ({ name, shape: inner }) =>
        `${pathName(name)}=${print(inner, (value as Record<string, unknown>)[name])}`,
    );
    return `${shape.name}(${members.join(", ")})`;
  }
  return typeof value === "string" ? value : JSON.stringify(value);
}

// Constraints of one value

const SURROGATE_PAIR = /[\ud800-\udbff][\udc00-\udfff]/g;

/** Of a number its value, of anything else its length: strings count in Unicode characters [Smithy: length trait]. */
function sizeOf(value: unknown): number {
  if (typeof value === "number") return value;
  if (typeof value === "string") return value.length - (value.match(SURROGATE_PAIR)?.length ?? 0);
  if (Array.isArray(value) || value instanceof Uint8Array) return value.length;
  return Object.keys(value as object).length;
}

/** In the order in which AWS lists them for a collection's elements. */
function constraintsOf(shape: Shape): Constraint[] {
  const { min, max, pattern, enum: values } = shape.data;
  const constraints: Constraint[] = [];
  const isNumber = ["integer", "long", "float", "double"].includes(shape.type);
  const quantity = isNumber ? "value" : "length";
  if (max !== undefined) {
    const text = `Member must have ${quantity} less than or equal to ${max}`;
    constraints.push({ text, holds: (value) => sizeOf(value) <= max });
  }
  if (min !== undefined) {
    const text = `Member must have ${quantity} greater than or equal to ${min}`;
    constraints.push({ text, holds: (value) => sizeOf(value) >= min });
  }
  if (pattern !== undefined) {
    const expression = compilePattern(pattern);
    const patternCharsMax = Math.max(PATTERN_CHARS_MAX, max ?? Number.POSITIVE_INFINITY);
    const text = `Member must satisfy regular expression pattern: ${pattern}`;
    constraints.push({
      text,
      holds: (value) => String(value).length > patternCharsMax || expression.test(String(value)),
    });
  }
  if (values !== undefined) {
    const allowed = new Set(values);
    constraints.push({
      text: `Member must satisfy enum value set: [${values.join(", ")}]`,
      holds: (value) => allowed.has(String(value)),
    });
  }
  return constraints;
}

function scalarCheck(shape: Shape): Check | undefined {
  // A single value's issues come in the other order: enum and pattern first, then the lengths.
  const constraints = constraintsOf(shape).toReversed();
  if (constraints.length === 0) return undefined;
  return (value, path, issues) => {
    for (const constraint of constraints) {
      if (!constraint.holds(value)) report(issues, path, printValue(shape, value), constraint.text);
    }
  };
}

// Collections and structures

const checks = new WeakMap<Shape, Check>();
const unchecked = new WeakSet<Shape>();

/** Undefined when nothing below the shape is constrained. */
function checkOf(shape: Shape): Check | undefined {
  const known = checks.get(shape);
  if (known !== undefined || unchecked.has(shape)) return known;
  if (shape.type === "structure") {
    const check = structureCheck(shape);
    checks.set(shape, check);
    return check;
  }
  const check =
    shape.type === "list" ? listCheck(shape) : shape.type === "map" ? mapCheck(shape) : scalarCheck(shape);
  if (check === undefined) unchecked.add(shape);
  else checks.set(shape, check);
  return check;
}

/** Compiled at its first use: structures may hold themselves. */
function structureCheck(shape: Shape): Check {
  let fields: { name: string; segment: string; required: boolean; check: Check | undefined }[] | undefined;
  return (value, path, issues) => {
    fields ??= shape.members
      .map((member) => ({
        name: member.name,
        segment: pathName(member.name),
        required: member.required,
        check: isLambdaRuntime(shape, member) ? undefined : checkOf(member.shape),
      }))
      .filter(({ required, check }) => required || check !== undefined);
    for (const { name, segment, required, check } of fields) {
      const item = (value as Record<string, unknown>)[name];
      if (item === undefined || item === null) {
        if (required) report(issues, path === "" ? segment : `${path}.${segment}`, " null", MUST_NOT_BE_NULL);
      } else if (check !== undefined) {
        check(item, path === "" ? segment : `${path}.${segment}`, issues);
      }
    }
  };
}

function isSimple(shape: Shape): boolean {
  return shape.type !== "structure" && shape.type !== "list" && shape.type !== "map";
}

/** The elements' constraints as the text that AWS gives for the whole collection. */
function elementsText(intro: string, constraints: readonly Constraint[], nullable: boolean): string {
  const texts = constraints.map((constraint) => constraint.text);
  if (!nullable) texts.push(MUST_NOT_BE_NULL);
  return `${intro} must satisfy constraint: [${texts.join(", ")}]`;
}

function listCheck(shape: Shape): Check {
  const own = scalarCheck(shape);
  const element = shape.element.shape;
  const constraints = isSimple(element) ? constraintsOf(element) : [];
  const text = elementsText("Member", constraints, false);
  return (value, path, issues) => {
    const items = value as readonly unknown[];
    own?.(value, path, issues);
    const broken = items.some(
      (item) =>
        item === null || item === undefined || constraints.some((constraint) => !constraint.holds(item)),
    );
    if (broken) report(issues, path, printValue(shape, value), text);
    const check = isSimple(element) ? undefined : checkOf(element);
    if (check === undefined) return;
    items.forEach((item, position) => {
      if (item !== null && item !== undefined) check(item, `${path}.${position + 1}.member`, issues);
    });
  };
}

function mapCheck(shape: Shape): Check {
  const own = scalarCheck(shape);
  const element = shape.value.shape;
  const keyConstraints = constraintsOf(shape.key.shape);
  const keyText = elementsText("Map keys", keyConstraints, true);
  const constraints = isSimple(element) ? constraintsOf(element) : [];
  const text = elementsText("Map value", constraints, false);
  return (value, path, issues) => {
    const entries = Object.entries(value as Record<string, unknown>);
    own?.(value, path, issues);
    if (entries.some(([key]) => keyConstraints.some((constraint) => !constraint.holds(key)))) {
      report(issues, path, printValue(shape, value), keyText);
    }
    const broken = entries.some(
      ([, item]) =>
        item === null || item === undefined || constraints.some((constraint) => !constraint.holds(item)),
    );
    if (broken) report(issues, path, printValue(shape, value), text);
    const check = isSimple(element) ? undefined : checkOf(element);
    if (check === undefined) return;
    for (const [key, item] of entries) {
      if (item !== null && item !== undefined) check(item, `${path}.${key}.member`, issues);
    }
  };
}

// Lambda's runtime: not one of the model's checks on AWS, but the service's own, with words and a code of its own

function isLambdaRuntime(shape: Shape, member: Member): boolean {
  return (
    member.name === "Runtime" && member.shape.name === "Runtime" && LAMBDA_RUNTIME_INPUTS.has(shape.name)
  );
}

const LAMBDA_RUNTIME_INPUTS = new Set(["CreateFunctionRequest", "UpdateFunctionConfigurationRequest"]);

function lambdaRuntimeCheck(input: Shape): Validate | undefined {
  const member = input.members.find((candidate) => isLambdaRuntime(input, candidate));
  const values = member?.shape.data.enum;
  if (member === undefined || values === undefined) return undefined;
  return (value) => {
    const runtime = value[member.name];
    if (typeof runtime !== "string" || values.includes(runtime)) return;
    throw invalidParameterValue(
      `Value ${runtime} at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: [${values.join(", ")}] or be a valid ARN`,
    );
  };
}
