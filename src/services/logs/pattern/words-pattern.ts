/**
 * `[ip, user, ..., status=5* || status=429, bytes>1000]`: conditions on the words of an event, one field for each word.
 *
 * Words are parted by spaces; what stands between brackets or quotation marks is one word, without them. `...` stands
 * for any number of words, once in a pattern. Events with more or fewer words do not match.
 */
import { parseBoolean, type Condition } from "./boolean.ts";
import { compileComparison, OPERAND, OPERATOR, read } from "./condition.ts";
import { PatternError, type Matcher } from "./syntax.ts";

const FIELD_NAME = /\s*([A-Za-z_][\w-]*)/y;
const WORD = /"([^"]*)"|\[([^\]]*)\]|(\S+)/g;

type Field = Condition<string>;

export function compileWordsPattern(pattern: string): Matcher {
  if (!pattern.endsWith("]")) throw new PatternError("a space-delimited pattern ends with ]");
  const before: Field[] = [];
  const after: Field[] = [];
  let gaps = 0;
  for (const source of splitFields(pattern.slice(1, -1))) {
    if (source.trim() === "...") gaps += 1;
    else (gaps === 0 ? before : after).push(compileField(source));
  }
  if (gaps > 1) throw new PatternError("... stands once in a pattern");
  return (message) => {
    const words = splitWords(message, before.length + after.length, gaps > 0);
    if (!words) return false;
    const offset = words.length - after.length;
    return (
      before.every((holds, index) => holds(words[index] ?? "")) &&
      after.every((holds, index) => holds(words[offset + index] ?? ""))
    );
  };
}

/** At commas, but not those inside quotation marks or a regular expression. */
function splitFields(source: string): string[] {
  const fields: string[] = [];
  let start = 0;
  let inside = "";
  for (let at = 0; at < source.length; at += 1) {
    const character = source.charAt(at);
    if (inside !== "") {
      if (character === "\\") at += 1;
      else if (character === inside) inside = "";
    } else if (character === '"' || character === "%") inside = character;
    else if (character === ",") {
      fields.push(source.slice(start, at));
      start = at + 1;
    }
  }
  return [...fields, source.slice(start)];
}

/** A name alone holds for every word; the name itself means nothing. */
function compileField(source: string): Field {
  const name = read(FIELD_NAME, source, 0);
  if (!name) throw new PatternError(`a field has no name: "${source.trim()}"`);
  if (name[0].length === source.trimEnd().length) return () => true;
  return parseBoolean<string>(source, readCondition);
}

function readCondition(source: string, at: number): { condition: Field; end: number } {
  const name = read(FIELD_NAME, source, at);
  const afterName = at + (name?.[0].length ?? 0);
  const operator = read(OPERATOR, source, afterName);
  if (!name || !operator?.[1]) throw new PatternError(`a comparison is missing at "${source.slice(at)}"`);
  const afterOperator = afterName + operator[0].length;
  const operand = read(OPERAND, source, afterOperator);
  if (!operand) throw new PatternError(`a value is missing at "${source.slice(afterOperator)}"`);
  const holds = compileComparison(operator[1], operand);
  const isNumeric = operand[3] !== undefined && Number.isFinite(Number(operand[3]));
  return {
    condition: (word) =>
      holds(isNumeric && word !== "" && Number.isFinite(Number(word)) ? Number(word) : word),
    end: afterOperator + operand[0].length,
  };
}

/** Undefined when their number does not fit; stops early at a message with many more words than fields. */
function splitWords(message: string, count: number, more: boolean): string[] | undefined {
  const words: string[] = [];
  for (const match of message.matchAll(WORD)) {
    if (words.length === count && !more) return undefined;
    words.push(match[1] ?? match[2] ?? match[3] ?? "");
  }
  return words.length < count ? undefined : words;
}
