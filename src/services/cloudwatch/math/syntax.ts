/** What a metric math expression consists of, once it is parsed. */

export type BinaryOperator =
  | "+"
  | "-"
  | "*"
  | "/"
  | "^"
  | "=="
  | "!="
  | "<"
  | "<="
  | ">"
  | ">="
  | "AND"
  | "OR";

export type Expression =
  | { readonly kind: "number"; readonly value: number }
  | { readonly kind: "string"; readonly value: string }
  /** The id of another query: it begins with a small letter. */
  | { readonly kind: "reference"; readonly id: string }
  /** A word of the language that is an argument: `REPEAT`, `ASC`, `AVG`. */
  | { readonly kind: "word"; readonly word: string }
  | { readonly kind: "list"; readonly items: readonly Expression[] }
  | { readonly kind: "negation"; readonly operand: Expression }
  | {
      readonly kind: "binary";
      readonly operator: BinaryOperator;
      readonly left: Expression;
      readonly right: Expression;
    }
  | { readonly kind: "call"; readonly name: string; readonly args: readonly Expression[] };

/** The expression is not well formed, or asks for what there is not. The message is for the caller. */
export class MathError extends Error {
  override readonly name = "MathError";
}

/** The expression and everything in it, outermost first. */
export function* nodesOf(expression: Expression): Generator<Expression, void, undefined> {
  yield expression;
  for (const child of childrenOf(expression)) yield* nodesOf(child);
}

function childrenOf(expression: Expression): readonly Expression[] {
  switch (expression.kind) {
    case "list":
      return expression.items;
    case "negation":
      return [expression.operand];
    case "binary":
      return [expression.left, expression.right];
    case "call":
      return expression.args;
    case "number":
    case "string":
    case "reference":
    case "word":
    default:
      return [];
  }
}
