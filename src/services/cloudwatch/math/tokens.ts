/** The words of a metric math expression. */
import { Scanner } from "../scanner.ts";
import { MathError } from "./syntax.ts";

export interface Token {
  readonly kind: "number" | "string" | "name" | "symbol" | "end";
  /** Of a string: without its quotes. */
  readonly text: string;
  /** Index of its first character. */
  readonly at: number;
}

const BLANK = /\s*/y;
const NUMBER = /\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?/y;
const NAME = /[A-Za-z]\w*/y;
const SYMBOL = /==|!=|<=|>=|&&|\|\||[-+*/^<>()[\],]/y;
/** A backslash takes its meaning from whatever follows it. */
const STRING = /'((?:[^'\\]|\\[^])*)'|"((?:[^"\\]|\\[^])*)"/y;

/** Throws MathError. The last token is the end. */
export function tokensOf(text: string): Token[] {
  const tokens: Token[] = [];
  const scanner = new Scanner(text);
  for (;;) {
    scanner.take(BLANK);
    const { at } = scanner;
    if (scanner.isAtEnd) return [...tokens, { kind: "end", text: "", at }];
    const string = scanner.take(STRING);
    if (string) {
      tokens.push({ kind: "string", text: string[1] ?? string[2] ?? "", at });
      continue;
    }
    const kind = scanner.take(NUMBER)
      ? "number"
      : scanner.take(NAME)
        ? "name"
        : scanner.take(SYMBOL)
          ? "symbol"
          : undefined;
    if (!kind) throw new MathError(`Unexpected character '${text[at]}' at position ${at + 1}`);
    tokens.push({ kind, text: text.slice(at, scanner.at), at });
  }
}
