/**
 * Filter patterns: which log events FilterLogEvents, live tail and the like let through.
 *
 *   ERROR "out of memory"       all of these terms, wherever they stand, case-sensitive
 *   ?ERROR ?WARN                any of them; ignored beside terms of another form, as AWS says
 *   ERROR -timeout              not this one
 *   %fail[a-z]*%                a regular expression (a small language: see regex.ts)
 *   { $.level = "ERROR" }       a condition on the members of a JSON event (json-pattern.ts)
 *   [ip, user, status=5*]       a condition on the words of an event (words-pattern.ts)
 *
 * Source: docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html. A pattern is compiled once and
 * then costs time linear in the message. Unlike AWS, a term without quotes may hold any character but a space.
 */
import { invalidParameter } from "../errors.ts";
import { compileJsonPattern } from "./json-pattern.ts";
import { compileRegex } from "./regex.ts";
import { PatternError, unescapeQuoted, type Matcher } from "./syntax.ts";
import { compileWordsPattern } from "./words-pattern.ts";

/** Undefined when every event passes. Throws InvalidParameterException. */
export function compilePattern(pattern: string | undefined): Matcher | undefined {
  const trimmed = pattern?.trim() ?? "";
  if (trimmed === "") return undefined;
  try {
    if (trimmed.startsWith("{")) return compileJsonPattern(trimmed);
    if (trimmed.startsWith("[")) return compileWordsPattern(trimmed);
    return compileTerms(trimmed);
  } catch (error) {
    if (error instanceof PatternError) throw invalidParameter(`Invalid filter pattern: ${error.message}`);
    throw error;
  }
}

/** A prefix, then a quoted phrase, a regular expression or a run of other characters. */
const TERM = /\s*([?-]?)(?:"((?:[^"\\]|\\.)*)"|%([^%]*)%|([^\s"]+))/y;

function compileTerms(pattern: string): Matcher {
  const required: Matcher[] = [];
  const optional: Matcher[] = [];
  const excluded: Matcher[] = [];
  TERM.lastIndex = 0;
  while (TERM.lastIndex < pattern.length) {
    const at = TERM.lastIndex;
    const match = TERM.exec(pattern);
    if (!match) throw new PatternError(`unreadable from "${pattern.slice(at)}"`);
    const [, prefix, quoted, regex, plain] = match;
    const text = quoted === undefined ? plain : unescapeQuoted(quoted);
    const matcher = regex === undefined ? containing(text ?? "") : compileRegex(regex);
    (prefix === "?" ? optional : prefix === "-" ? excluded : required).push(matcher);
  }
  const anyOf = required.length === 0 && excluded.length === 0 ? optional : [];
  return (message) =>
    required.every((matches) => matches(message)) &&
    !excluded.some((matches) => matches(message)) &&
    (anyOf.length === 0 || anyOf.some((matches) => matches(message)));
}

const containing =
  (text: string): Matcher =>
  (message) =>
    message.includes(text);
