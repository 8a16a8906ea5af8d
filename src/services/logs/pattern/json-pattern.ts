/**
 * `{ $.level = "ERROR" && ($.took > 3 || $.user.id IS NULL) }`: conditions on a JSON object or array.
 *
 * A selector starts with `$` and goes down by `.name`, `["name"]`, `[0]`, and `.*` or `[*]` for any member. A
 * comparison holds when it holds for a value that the selector finds; without one it does not hold, `!=` included.
 */
import { parseBoolean, type Condition } from "./boolean.ts";
import { compileComparison, OPERAND, OPERATOR, read } from "./condition.ts";
import { PatternError, type Matcher } from "./syntax.ts";

const SELECTOR = /\s*\$((?:\.(?:[\w\-$@:/]+|\*)|\[\s*(?:\d+|\*|"[^"]*"|'[^']*')\s*\])*)/y;
const STEP = /\.([\w\-$@:/]+|\*)|\[\s*(?:(\d+|\*)|"([^"]*)"|'([^']*)')\s*\]/g;
const TEST = /\s+(?:IS\s+(NULL|TRUE|FALSE)|(NOT\s+)?EXISTS)(?![\w])/iy;
const ANY = Symbol("any member");

type Step = string | typeof ANY;

export function compileJsonPattern(pattern: string): Matcher {
  if (!pattern.endsWith("}")) throw new PatternError("a JSON pattern ends with }");
  const condition = parseBoolean<unknown>(pattern.slice(1, -1), readCondition);
  return (message) => {
    const document = parseDocument(message);
    return document !== undefined && condition(document);
  };
}

function parseDocument(message: string): object | undefined {
  const text = message.trimStart();
  if (!text.startsWith("{") && !text.startsWith("[")) return undefined;
  try {
    return JSON.parse(text) as object;
  } catch {
    return undefined; // Not JSON: no condition on its members holds.
  }
}

function readCondition(source: string, at: number): { condition: Condition<unknown>; end: number } {
  const selector = read(SELECTOR, source, at);
  if (!selector) throw new PatternError(`a selector ($.name) is missing at "${source.slice(at)}"`);
  const steps = parseSteps(selector[1] ?? "");
  const afterSelector = at + selector[0].length;
  const test = read(TEST, source, afterSelector);
  if (test) return { condition: compileTest(steps, test), end: afterSelector + test[0].length };
  const operator = read(OPERATOR, source, afterSelector);
  if (!operator?.[1]) throw new PatternError(`an operator is missing at "${source.slice(afterSelector)}"`);
  const afterOperator = afterSelector + operator[0].length;
  const operand = read(OPERAND, source, afterOperator);
  if (!operand) throw new PatternError(`a value is missing at "${source.slice(afterOperator)}"`);
  const holds = compileComparison(operator[1], operand);
  return {
    condition: (document) => find(document, steps, 0).some((value) => isScalar(value) && holds(value)),
    end: afterOperator + operand[0].length,
  };
}

function parseSteps(path: string): Step[] {
  return [...path.matchAll(STEP)].map(([, member, index, quoted, apostrophed]) => {
    const name = member ?? index ?? quoted ?? apostrophed ?? "";
    return name === "*" && quoted === undefined && apostrophed === undefined ? ANY : name;
  });
}

function compileTest(steps: readonly Step[], test: RegExpExecArray): Condition<unknown> {
  const [, literal, negation] = test;
  if (literal === undefined)
    return (document) => find(document, steps, 0).length > 0 === (negation === undefined);
  const wanted = literal.toUpperCase() === "NULL" ? null : literal.toUpperCase() === "TRUE";
  return (document) => find(document, steps, 0).some((value) => value === wanted);
}

/** All values that the steps from `depth` on lead to. */
function find(value: unknown, steps: readonly Step[], depth: number): unknown[] {
  const step = steps[depth];
  if (step === undefined) return [value];
  if (typeof value !== "object" || value === null) return [];
  if (step === ANY) return Object.values(value).flatMap((member) => find(member, steps, depth + 1));
  if (!Object.hasOwn(value, step)) return [];
  return find((value as Record<string, unknown>)[step], steps, depth + 1);
}

function isScalar(value: unknown): value is string | number | boolean {
  return typeof value === "string" || typeof value === "number" || typeof value === "boolean";
}
