/**
 * How names are cut into tokens for searches [docs: search-expression-syntax]: at changes of case, before digits and at
 * everything that is neither letter nor digit. `CustomCount1` is `custom`, `count`, `1`, and all of them together.
 */

/** The tokens of a name in their order, as they are written. */
const TOKEN = /[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W_]+/g;

export function tokensOf(name: string): readonly string[] {
  return name.match(TOKEN) ?? [];
}

/** A term that is to be found in names: one token in any case, or several that follow each other, as they are written. */
export class PartialTerm {
  readonly #tokens: readonly string[];
  readonly #single: string;
  readonly #joined: string;
  /** Words that the term separates are found in any case; those that case separates are not. */
  readonly #isSeparated: boolean;

  constructor(term: string) {
    this.#tokens = tokensOf(term);
    this.#single = (this.#tokens[0] ?? "").toLowerCase();
    this.#joined = this.#tokens.join("").toLowerCase();
    this.#isSeparated = /[^A-Za-z0-9]/.test(term);
  }

  /** Without a letter or digit there is nothing to search for. */
  get isEmpty(): boolean {
    return this.#tokens.length === 0;
  }

  matches(name: string): boolean {
    const tokens = tokensOf(name);
    if (this.#tokens.length === 1) {
      // A whole name is a token of its own.
      return tokens.some((token) => token.toLowerCase() === this.#single) || this.#isWhole(tokens);
    }
    return this.#isWhole(tokens) || tokens.some((_, at) => this.#beginsAt(tokens, at));
  }

  #isWhole(tokens: readonly string[]): boolean {
    return tokens.join("").toLowerCase() === this.#joined;
  }

  #beginsAt(tokens: readonly string[], at: number): boolean {
    return this.#tokens.every((token, offset) => {
      const other = tokens[at + offset];
      return this.#isSeparated ? token.toLowerCase() === other?.toLowerCase() : token === other;
    });
  }
}
