/**
 * A model's pattern as a regular expression that the whole of a string must match.
 *
 * Most patterns need the Unicode dialect (`\p{L}`); some hold escapes that only the plain one takes.
 */
export function compilePattern(pattern: string): RegExp {
  try {
    return new RegExp(`^(?:${pattern})$`, "u");
  } catch {
    return new RegExp(`^(?:${pattern})$`);
  }
}
