/**
 * Metric math, parsed [docs: using-metric-math]. Binding, from the loosest: OR, AND, comparisons, sums, products, the minus
 * sign, powers (from right to left).
 */
import { tokensOf, type Token } from "./tokens.ts";
import { MathError, type BinaryOperator, type Expression } from "./syntax.ts";

/** [api: MetricDataQuery] */
const EXPRESSION_CHARS_MAX = 2048;
/** What may stand in one another: an expression is evaluated with the stack. */
const DEPTH_MAX = 64;

/** From the loosest to the tightest of those that group from left to right. */
const LEVELS: readonly Readonly<Record<string, BinaryOperator>>[] = [
  { OR: "OR", "||": "OR" },
  { AND: "AND", "&&": "AND" },
  { "==": "==", "!=": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">=" },
  { "+": "+", "-": "-" },
  { "*": "*", "/": "/" },
];

/** Throws MathError. */
export function parseMath(text: string): Expression {
  if (text.length > EXPRESSION_CHARS_MAX)
    throw new MathError(`The expression is longer than ${EXPRESSION_CHARS_MAX} characters`);
  return new Parser(tokensOf(text)).whole();
}

class Parser {
  readonly #tokens: readonly Token[];
  #at = 0;
  #depth = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  whole(): Expression {
    const expression = this.#level(0);
    if (this.#next().kind !== "end") throw this.#unexpected();
    return expression;
  }

  #level(level: number): Expression {
    const operators = LEVELS[level];
    if (!operators) return this.#signed();
    let left = this.#level(level + 1);
    // A long chain is a deep tree.
    for (let length = 1; ; length += 1) {
      const { kind, text } = this.#next();
      const isOperator = (kind === "symbol" || kind === "name") && Object.hasOwn(operators, text);
      const operator = isOperator ? operators[text] : undefined;
      if (!operator) return left;
      if (length > EXPRESSION_CHARS_MAX / 4) throw new MathError("The expression has too many terms");
      this.#at += 1;
      left = { kind: "binary", operator, left, right: this.#level(level + 1) };
    }
  }

  #signed(): Expression {
    return this.#deeper(() => {
      if (this.#skip("-")) return { kind: "negation", operand: this.#signed() };
      const base = this.#primary();
      if (!this.#skip("^")) return base;
      return { kind: "binary", operator: "^", left: base, right: this.#signed() };
    });
  }

  #primary(): Expression {
    const { kind, text } = this.#next();
    if (kind === "end") throw new MathError("Unexpected end of the expression");
    this.#at += 1;
    if (kind === "number") return { kind: "number", value: Number(text) };
    if (kind === "string") return { kind: "string", value: text };
    if (kind === "name") return this.#named(text);
    if (text === "(") {
      const inner = this.#level(0);
      this.#expect(")");
      return inner;
    }
    if (text === "[") return { kind: "list", items: this.#items("]") };
    this.#at -= 1;
    throw this.#unexpected();
  }

  #named(name: string): Expression {
    if (/^[a-z]/.test(name)) return { kind: "reference", id: name };
    if (this.#skip("(")) return { kind: "call", name, args: this.#items(")") };
    return { kind: "word", word: name };
  }

  #items(closing: string): Expression[] {
    const items: Expression[] = [];
    if (this.#skip(closing)) return items;
    do items.push(this.#level(0));
    while (this.#skip(","));
    this.#expect(closing);
    return items;
  }

  #deeper<T>(parse: () => T): T {
    this.#depth += 1;
    if (this.#depth > DEPTH_MAX) throw new MathError("The expression is nested too deeply");
    const parsed = parse();
    this.#depth -= 1;
    return parsed;
  }

  #next(): Token {
    // The end is never passed.
    return this.#tokens[this.#at] ?? { kind: "end", text: "", at: 0 };
  }

  #skip(symbol: string): boolean {
    const { kind, text } = this.#next();
    if (kind !== "symbol" || text !== symbol) return false;
    this.#at += 1;
    return true;
  }

  #expect(symbol: string): void {
    if (!this.#skip(symbol)) throw this.#unexpected();
  }

  #unexpected(): MathError {
    const { kind, text, at } = this.#next();
    return new MathError(
      kind === "end" ? "Unexpected end of the expression" : `Unexpected '${text}' at position ${at + 1}`,
    );
  }
}
