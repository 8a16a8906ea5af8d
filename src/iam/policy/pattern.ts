/**
 * What policies compare texts with: `*` for any run of characters, `?` for one, `${key}` for a value of the request,
 * `${*}`, `${?}` and `${$}` for the characters themselves. Matching takes time proportional to pattern times text at worst:
 * no regular expressions, so no policy can hold the server up.
 */

/** The condition keys of one request. */
export interface ConditionContext {
  /** Values of a key by its name in lower case; undefined when the request's context does not have the key. */
  get(key: string): readonly string[] | undefined;
}

interface Variable {
  /** In lower case. */
  readonly key: string;
  readonly fallback: string | undefined;
}

type Part = string | Variable;

/** Stand for the wildcards inside of patterns, so that a literal `*` is another character. Policies cannot have them. */
const ANY = "\uE000";
const ONE = "\uE001";
export const RESERVED_CHARACTERS = /[\uE000\uE001]/;

export interface PatternSyntax {
  /** Version 2012-10-17 has variables; in 2008-10-17 they are plain text. */
  readonly variables: boolean;
  /** StringEquals compares whole texts: `*` is a character there. */
  readonly wildcards: boolean;
  readonly ignoreCase?: boolean;
}

/** One pattern, compiled: matches a text in the light of a request. */
export class Pattern {
  readonly #parts: readonly Part[];
  /** The whole pattern when no variable is in it, sentinels included. */
  readonly #fixed: string | undefined;
  readonly #literal: boolean;
  readonly #ignoreCase: boolean;

  private constructor(parts: readonly Part[], ignoreCase: boolean) {
    this.#parts = parts;
    this.#ignoreCase = ignoreCase;
    const joined = parts.every((part) => typeof part === "string") ? parts.join("") : undefined;
    this.#fixed = ignoreCase ? joined?.toLowerCase() : joined;
    this.#literal = this.#fixed !== undefined && !RESERVED_CHARACTERS.test(this.#fixed);
  }

  static compile(text: string, syntax: PatternSyntax): Pattern {
    return new Pattern(tokenize(text, syntax), syntax.ignoreCase === true);
  }

  /** Cuts at the first `colonsMax` colons outside of variables: an ARN's segments. */
  static compileSegments(text: string, syntax: PatternSyntax, colonsMax: number): Pattern[] {
    const segments: Part[][] = [[]];
    for (const part of tokenize(text, syntax)) {
      if (typeof part !== "string") {
        segments.at(-1)?.push(part);
        continue;
      }
      let rest = part;
      for (let colon = rest.indexOf(":"); colon >= 0 && segments.length <= colonsMax;) {
        segments.at(-1)?.push(rest.slice(0, colon));
        segments.push([]);
        rest = rest.slice(colon + 1);
        colon = rest.indexOf(":");
      }
      segments.at(-1)?.push(rest);
    }
    return segments.map((parts) => new Pattern(parts, syntax.ignoreCase === true));
  }

  /** Whether it is `*` and nothing else. */
  get isAny(): boolean {
    return this.#fixed === ANY;
  }

  get endsOpen(): boolean {
    const last = this.#parts.at(-1);
    return typeof last === "string" && last.endsWith(ANY);
  }

  /** A variable that the request has no single value for, and that has no default, matches nothing. */
  matches(text: string, context: ConditionContext): boolean {
    const subject = this.#ignoreCase ? text.toLowerCase() : text;
    if (this.#literal) return subject === this.#fixed;
    if (this.#fixed === ANY) return true;
    const pattern = this.#fixed ?? this.#resolve(context);
    return pattern !== undefined && globMatches(pattern, subject);
  }

  #resolve(context: ConditionContext): string | undefined {
    let resolved = "";
    for (const part of this.#parts) {
      if (typeof part === "string") {
        resolved += part;
        continue;
      }
      const values = context.get(part.key);
      const value = values?.length === 1 ? values[0] : part.fallback;
      // A value is text: what would read as a wildcard of ours must not become one.
      if (value === undefined || RESERVED_CHARACTERS.test(value)) return undefined;
      resolved += value;
    }
    return this.#ignoreCase ? resolved.toLowerCase() : resolved;
  }
}

const VARIABLE = /\$\{([^}]*)\}/g;
const DEFAULTED = /^\s*([^,\s]+)\s*,\s*'([^']*)'\s*$/;

function tokenize(text: string, { variables, wildcards }: PatternSyntax): Part[] {
  const plain = (piece: string) => (wildcards ? piece.replaceAll("*", ANY).replaceAll("?", ONE) : piece);
  if (!variables) return [plain(text)];
  const parts: Part[] = [];
  let at = 0;
  for (const match of text.matchAll(VARIABLE)) {
    parts.push(plain(text.slice(at, match.index)));
    parts.push(variableOf(match[1] ?? ""));
    at = match.index + match[0].length;
  }
  parts.push(plain(text.slice(at)));
  return parts;
}

function variableOf(inner: string): Part {
  if (inner === "*" || inner === "?" || inner === "$") return inner;
  const defaulted = DEFAULTED.exec(inner);
  if (defaulted) return { key: (defaulted[1] ?? "").toLowerCase(), fallback: defaulted[2] };
  return { key: inner.trim().toLowerCase(), fallback: undefined };
}

/** The greedy two-pointer match: on a mismatch the last `*` takes one more character. */
function globMatches(pattern: string, text: string): boolean {
  let [p, t] = [0, 0];
  let [star, resume] = [-1, 0];
  while (t < text.length) {
    const wanted = pattern[p];
    if (wanted === ANY) {
      star = p;
      resume = t;
      p += 1;
    } else if (p < pattern.length && (wanted === ONE || wanted === text[t])) {
      p += 1;
      t += 1;
    } else if (star >= 0) {
      p = star + 1;
      resume += 1;
      t = resume;
    } else {
      return false;
    }
  }
  while (pattern[p] === ANY) p += 1;
  return p === pattern.length;
}

const ARN_COLONS = 5;

/**
 * A pattern for ARNs: a wildcard stays inside of its segment, but for the last segment, which is all the rest. A pattern
 * with fewer segments that ends with `*` covers the rest of the ARN with it (`arn:aws:s3*`, `arn:aws:lambda:*`).
 */
export class ArnPattern {
  readonly #whole: Pattern;
  readonly #segments: readonly Pattern[] | undefined;

  constructor(text: string, variables: boolean) {
    const syntax = { variables, wildcards: true };
    this.#whole = Pattern.compile(text, syntax);
    this.#segments = this.#whole.isAny ? undefined : Pattern.compileSegments(text, syntax, ARN_COLONS);
  }

  matches(arn: SplitArn, context: ConditionContext): boolean {
    if (!this.#segments) return true;
    if (arn.segments.length <= ARN_COLONS) return this.#whole.matches(arn.text, context);
    const { length } = this.#segments;
    if (length <= ARN_COLONS && this.#segments.at(-1)?.endsOpen !== true) return false;
    return this.#segments.every((segment, at) => {
      const last = at === length - 1;
      return segment.matches(last ? arn.rest(at) : (arn.segments[at] ?? ""), context);
    });
  }
}

/** An ARN cut into its six segments once, to be compared with many patterns. Any other text has fewer. */
export class SplitArn {
  readonly text: string;
  readonly segments: readonly string[];

  constructor(text: string) {
    this.text = text;
    const segments: string[] = [];
    let at = 0;
    while (segments.length < ARN_COLONS) {
      const colon = text.indexOf(":", at);
      if (colon < 0) break;
      segments.push(text.slice(at, colon));
      at = colon + 1;
    }
    segments.push(text.slice(at));
    this.segments = segments;
  }

  /** From segment `at` to the end, colons included. */
  rest(at: number): string {
    return at === this.segments.length - 1 ? (this.segments[at] ?? "") : this.segments.slice(at).join(":");
  }
}
