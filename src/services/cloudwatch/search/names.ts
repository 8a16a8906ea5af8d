/**
 * How names are cut into tokens for searches [docs: search-expression-syntax]: at changes of case, before digits and at
 * everything that is neither letter nor digit. `CustomCount1` is `custom`, `count`, `1`, and all of them together.
 */

/** The tokens of a name in their order, as they are written. */
const TOKEN = /[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W_]+/g;

export function tokensOf(name: string): readonly string[] {
  return name.match(TOKEN) ?? [];
}

/** A name, cut once for all terms of a search. */
export class CutName {
  readonly text: string;
  readonly tokens: readonly string[];
  readonly lowerTokens: readonly string[];
  /** All tokens together, which are a token of their own. */
  readonly joined: string;

  constructor(text: string) {
    this.text = text;
    this.tokens = tokensOf(text);
    this.lowerTokens = this.tokens.map((token) => token.toLowerCase());
    this.joined = this.lowerTokens.join("");
  }
}

/** A term that is to be found in names: one token in any case, or several that follow each other, as they are written. */
export class PartialTerm {
  readonly #tokens: readonly string[];
  readonly #lowerTokens: readonly string[];
  readonly #joined: string;
  /** Words that the term separates are found in any case; those that case separates are not. */
  readonly #isSeparated: boolean;

  constructor(term: string) {
    const { tokens, lowerTokens, joined } = new CutName(term);
    this.#tokens = tokens;
    this.#lowerTokens = lowerTokens;
    this.#joined = joined;
    this.#isSeparated = /[^A-Za-z0-9]/.test(term);
  }

  /** Without a letter or digit there is nothing to search for. */
  get isEmpty(): boolean {
    return this.#tokens.length === 0;
  }

  matches(name: CutName): boolean {
    if (name.joined === this.#joined) return true;
    if (this.#tokens.length === 1) return name.lowerTokens.includes(this.#joined);
    const [wanted, tokens] = this.#isSeparated
      ? [this.#lowerTokens, name.lowerTokens]
      : [this.#tokens, name.tokens];
    const [first = ""] = wanted;
    for (let at = tokens.indexOf(first); at >= 0; at = tokens.indexOf(first, at + 1))
      if (wanted.every((token, offset) => token === tokens[at + offset])) return true;
    return false;
  }
}
