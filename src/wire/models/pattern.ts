import { setFlagsFromString } from "node:v8";

// Some patterns of AWS's own models backtrack without end on strings made for it ([ \t]*[\x20-\x7E]+([ \t]+[\x20-\x7E]+)*[ \t]*
// of EventBridge's HeaderValue): with this, V8 gives such a match up after 50,000 steps and goes on in linear time.
setFlagsFromString("--enable-experimental-regexp-engine-on-excessive-backtracks");

/** Java's classes that JavaScript does not know; the models have them outside of brackets only. */
const JAVA_CLASSES: readonly (readonly [java: string, javaScript: string])[] = [
  ["\\p{Print}", "[\\x20-\\x7E]"],
];

/** What only the Unicode dialect understands: properties (`\p{L}`), and surrogates that stand for one character. */
const NEEDS_UNICODE = /\\[pP]\{|\\u[dD][89abAB]/;

/**
 * A model's pattern as a regular expression that the whole of a string must match. The Unicode dialect is taken only where it
 * is needed: V8's linear engine does not know it.
 */
export function compilePattern(pattern: string): RegExp {
  const translated = JAVA_CLASSES.reduce((text, [java, ours]) => text.replaceAll(java, ours), pattern);
  return new RegExp(`^(?:${translated})$`, NEEDS_UNICODE.test(translated) ? "u" : "");
}
