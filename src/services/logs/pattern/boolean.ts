/** Conditions joined by && and ||, with parentheses; && binds closer. */
import { PatternError } from "./syntax.ts";

export type Condition<T> = (subject: T) => boolean;

const DEPTH_MAX = 50;
const SPACE = /\s*/y;

/** Reads one condition at `at`; answers where it ends. */
export type ReadCondition<T> = (source: string, at: number) => { condition: Condition<T>; end: number };

/** The whole of `source`. Throws PatternError. */
export function parseBoolean<T>(source: string, readCondition: ReadCondition<T>): Condition<T> {
  let at = 0;
  const skipSpace = () => {
    SPACE.lastIndex = at;
    SPACE.exec(source);
    at = SPACE.lastIndex;
  };
  const takes = (token: string): boolean => {
    skipSpace();
    if (!source.startsWith(token, at)) return false;
    at += token.length;
    return true;
  };
  const joined = (operator: string, readOne: () => Condition<T>): Condition<T>[] => {
    const parts = [readOne()];
    while (takes(operator)) parts.push(readOne());
    return parts;
  };
  const anyOf = (depth: number): Condition<T> => {
    if (depth > DEPTH_MAX) throw new PatternError("too many parentheses");
    const parts = joined("||", () => allOf(depth));
    return (subject) => parts.some((part) => part(subject));
  };
  const allOf = (depth: number): Condition<T> => {
    const parts = joined("&&", () => one(depth));
    return (subject) => parts.every((part) => part(subject));
  };
  const one = (depth: number): Condition<T> => {
    if (takes("(")) {
      const inner = anyOf(depth + 1);
      if (!takes(")")) throw new PatternError("a parenthesis is not closed");
      return inner;
    }
    const { condition, end } = readCondition(source, at);
    at = end;
    return condition;
  };
  const whole = anyOf(0);
  skipSpace();
  if (at < source.length) throw new PatternError(`unreadable from "${source.slice(at)}"`);
  return whole;
}
