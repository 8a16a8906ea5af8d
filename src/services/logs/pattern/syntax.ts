/** What the parts of the filter pattern language share. */

export type Matcher = (message: string) => boolean;

/** A pattern that cannot be read. */
export class PatternError extends Error {
  override readonly name = "PatternError";
}

/** The text between two quotation marks: a backslash keeps the character after it as it is. */
export function unescapeQuoted(quoted: string): string {
  return quoted.replace(/\\(.)/gs, "$1");
}
