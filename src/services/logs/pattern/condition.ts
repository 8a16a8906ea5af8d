/** What JSON and space-delimited patterns share: comparing a value with what the pattern says. */
import { PatternError, unescapeQuoted } from "./syntax.ts";
import { compileRegex } from "./regex.ts";

export const OPERATOR = /\s*(!=|<=|>=|=|<|>)/y;
/** A quoted string, a regular expression, or a run of characters that the grammar has no use for. */
export const OPERAND = /\s*(?:"((?:[^"\\]|\\.)*)"|%([^%]*)%|([^\s"%&|(){},[\]=<>!]+))/y;

export type Comparison = (value: string | number | boolean) => boolean;

/** Reads with a sticky expression at `at`. */
export function read(expression: RegExp, source: string, at: number): RegExpExecArray | undefined {
  expression.lastIndex = at;
  return expression.exec(source) ?? undefined;
}

/**
 * Compiles `operator operand`; `operand` is a match of OPERAND. A number compares as a number, anything else as text, in
 * which `*` stands for any characters. `!=` is the opposite of `=`. Throws PatternError.
 */
export function compileComparison(operator: string, operand: RegExpExecArray): Comparison {
  const [, quoted, regex, plain] = operand;
  if (operator !== "=" && operator !== "!=") {
    const bound = Number(plain);
    if (plain === undefined || !Number.isFinite(bound))
      throw new PatternError(`${operator} compares with a number only`);
    return (value) =>
      typeof value !== "boolean" && value !== "" && compareNumbers(operator, Number(value), bound);
  }
  const equals = compileEquals(quoted, regex, plain);
  return operator === "=" ? equals : (value) => !equals(value);
}

function compareNumbers(operator: string, value: number, bound: number): boolean {
  switch (operator) {
    case "<":
      return value < bound;
    case "<=":
      return value <= bound;
    case ">":
      return value > bound;
    default:
      return value >= bound;
  }
}

function compileEquals(
  quoted: string | undefined,
  regex: string | undefined,
  plain: string | undefined,
): Comparison {
  if (regex !== undefined) {
    const matches = compileRegex(regex);
    return (value) => matches(String(value));
  }
  const text = quoted === undefined ? (plain ?? "") : unescapeQuoted(quoted);
  const number = quoted === undefined ? Number(text) : Number.NaN;
  const matchesText = compileWildcard(text);
  return (value) =>
    typeof value === "number" && !Number.isNaN(number) ? value === number : matchesText(String(value));
}

/** Text in which `*` stands for any characters. Linear: each piece is looked for once, from where the last one ended. */
function compileWildcard(text: string): (value: string) => boolean {
  const pieces = text.split("*");
  const first = pieces[0] ?? "";
  const last = pieces.at(-1) ?? "";
  if (pieces.length === 1) return (value) => value === text;
  return (value) => {
    if (value.length < first.length + last.length || !value.startsWith(first) || !value.endsWith(last))
      return false;
    let at = first.length;
    const end = value.length - last.length;
    for (const piece of pieces.slice(1, -1)) {
      const found = value.indexOf(piece, at);
      if (found < 0 || found + piece.length > end) return false;
      at = found + piece.length;
    }
    return true;
  };
}
