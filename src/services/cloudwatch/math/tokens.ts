/** The words of a metric math expression. */
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
  let at = 0;
  const take = (pattern: RegExp): RegExpExecArray | null => {
    pattern.lastIndex = at;
    const found = pattern.exec(text);
    if (found) at = pattern.lastIndex;
    return found;
  };
  for (;;) {
    take(BLANK);
    const start = at;
    if (start === text.length) return [...tokens, { kind: "end", text: "", at: start }];
    const string = take(STRING);
    if (string) {
      tokens.push({ kind: "string", text: string[1] ?? string[2] ?? "", at: start });
      continue;
    }
    const kind = take(NUMBER) ? "number" : take(NAME) ? "name" : take(SYMBOL) ? "symbol" : undefined;
    if (!kind) throw new MathError(`Unexpected character '${text[start]}' at position ${start + 1}`);
    tokens.push({ kind, text: text.slice(start, at), at: start });
  }
}
