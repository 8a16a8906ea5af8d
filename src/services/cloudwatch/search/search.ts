/**
 * SEARCH's language [docs: search-expression-syntax]: `{Namespace, Dimension, …} term MetricName="exact" NOT (a OR b)`.
 * Parsed into a test of metrics. NOT binds tighter than AND, which stands between terms unsaid, and AND tighter than OR.
 */
import { MathError } from "../math/syntax.ts";
import type { Metric } from "../metrics/series.ts";
import { Scanner } from "../scanner.ts";
import { CutName, PartialTerm } from "./names.ts";

export type MetricTest = (metric: Metric) => boolean;

/** A metric whose names are cut at most once, by the first term that looks at them. */
class Subject {
  readonly metric: Metric;
  #names: readonly CutName[] | undefined;

  constructor(metric: Metric) {
    this.metric = metric;
  }

  /** Namespace, name, then name and value of each dimension. */
  get names(): readonly CutName[] {
    const { namespace, name, dimensions } = this.metric;
    return (this.#names ??= [namespace, name, ...dimensions.flat()].map((text) => new CutName(text)));
  }
}

type Test = (subject: Subject) => boolean;
type NameTest = (name: CutName) => boolean;

/** [docs: search-expression-syntax] */
const SEARCH_CHARS_MAX = 1024;
const DEPTH_MAX = 32;

interface Token {
  readonly kind: "exact" | "term" | "symbol" | "end";
  readonly text: string;
}

const SPACE = /[\s,]*/y;
const EXACT = /"((?:[^"\\]|\\[^])*)"/y;
const SYMBOL = /[()=]/y;
const TERM = /[^\s(){}"=,]+/y;
const SCHEMA = /^\s*\{([^}]*)\}/;

/** Throws MathError. */
export function parseSearch(text: string): MetricTest {
  if (text.length > SEARCH_CHARS_MAX)
    throw new MathError(`The search is longer than ${SEARCH_CHARS_MAX} characters`);
  const schema = SCHEMA.exec(text);
  const inSchema = schema ? schemaTest(schema[1] ?? "") : undefined;
  const tokens = tokensOf(text.slice(schema?.[0].length ?? 0));
  if (tokens.length === 1) {
    if (!inSchema) throw new MathError("The search names neither a schema nor a term");
    return inSchema;
  }
  const isWanted = new Parser(tokens).whole();
  return (metric) => (inSchema?.(metric) ?? true) && isWanted(new Subject(metric));
}

/** Metrics of the namespace that have these dimensions and no other. */
function schemaTest(text: string): MetricTest {
  const names = tokensOf(text).filter(({ kind }) => kind !== "end");
  if (names.some(({ kind }) => kind === "symbol")) throw new MathError(`The schema is malformed: {${text}}`);
  const [namespace, ...dimensions] = names.map((name) => name.text);
  if (namespace === undefined) throw new MathError("The schema names no namespace");
  const wanted = new Set(dimensions);
  return (metric) =>
    metric.namespace === namespace &&
    metric.dimensions.length === wanted.size &&
    metric.dimensions.every(([name]) => wanted.has(name));
}

function tokensOf(text: string): Token[] {
  const tokens: Token[] = [];
  const scanner = new Scanner(text);
  for (;;) {
    scanner.take(SPACE);
    if (scanner.isAtEnd) return [...tokens, { kind: "end", text: "" }];
    const exact = scanner.take(EXACT);
    const symbol = exact ? null : scanner.take(SYMBOL);
    const term = exact || symbol ? null : scanner.take(TERM);
    if (exact) tokens.push({ kind: "exact", text: (exact[1] ?? "").replace(/\\([^])/g, "$1") });
    else if (symbol) tokens.push({ kind: "symbol", text: symbol[0] });
    else if (term) tokens.push({ kind: "term", text: term[0] });
    else throw new MathError(`Unexpected '${text[scanner.at]}' in the search`);
  }
}

class Parser {
  readonly #tokens: readonly Token[];
  #at = 0;
  #depth = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  whole(): Test {
    const test = this.#any();
    if (this.#next().kind !== "end") throw new MathError(`Unexpected '${this.#next().text}' in the search`);
    return test;
  }

  #any(): Test {
    const tests = [this.#all()];
    while (this.#skipWord("OR")) tests.push(this.#all());
    return (subject) => tests.some((test) => test(subject));
  }

  #all(): Test {
    const tests = [this.#one()];
    for (;;) {
      const isSaid = this.#skipWord("AND");
      if (!isSaid && this.#isOver()) return (subject) => tests.every((test) => test(subject));
      tests.push(this.#one());
    }
  }

  #isOver(): boolean {
    const { kind, text } = this.#next();
    return kind === "end" || (kind === "symbol" && text === ")") || (kind === "term" && text === "OR");
  }

  #one(): Test {
    this.#depth += 1;
    if (this.#depth > DEPTH_MAX) throw new MathError("The search is nested too deeply");
    const test = this.#unguarded();
    this.#depth -= 1;
    return test;
  }

  #unguarded(): Test {
    if (this.#skipWord("NOT")) {
      const test = this.#one();
      return (subject) => !test(subject);
    }
    if (this.#skipSymbol("(")) {
      const test = this.#any();
      if (!this.#skipSymbol(")")) throw new MathError("The search lacks a closing parenthesis");
      return test;
    }
    const token = this.#name();
    if (!this.#skipSymbol("=")) {
      const matches = matcher(token);
      return ({ names }) => names.some(matches);
    }
    return ofProperty(token.text, this.#value());
  }

  #value(): NameTest {
    if (!this.#skipSymbol("(")) return matcher(this.#name());
    // MetricName=(A OR B)
    const matchers = [matcher(this.#name())];
    while (this.#skipWord("OR")) matchers.push(matcher(this.#name()));
    if (!this.#skipSymbol(")")) throw new MathError("The search lacks a closing parenthesis");
    return (name) => matchers.some((matches) => matches(name));
  }

  #name(): Token {
    const token = this.#next();
    if (token.kind === "end") throw new MathError("Unexpected end of the search");
    if (token.kind === "symbol") throw new MathError(`Unexpected '${token.text}' in the search`);
    this.#at += 1;
    return token;
  }

  #next(): Token {
    return this.#tokens[this.#at] ?? { kind: "end", text: "" };
  }

  #skipWord(word: string): boolean {
    const { kind, text } = this.#next();
    if (kind !== "term" || text !== word) return false;
    this.#at += 1;
    return true;
  }

  #skipSymbol(symbol: string): boolean {
    const { kind, text } = this.#next();
    if (kind !== "symbol" || text !== symbol) return false;
    this.#at += 1;
    return true;
  }
}

function matcher({ kind, text }: Token): NameTest {
  if (kind === "exact") return (name) => name.text === text;
  const term = new PartialTerm(text);
  if (term.isEmpty) throw new MathError(`'${text}' has nothing to search for`);
  return (name) => term.matches(name);
}

/** `MetricName`, `Namespace`, or a dimension, whose value it is then. */
function ofProperty(property: string, matches: NameTest): Test {
  const named = (at: number, { names }: Subject) => {
    const name = names[at];
    return name !== undefined && matches(name);
  };
  if (property === "Namespace") return (subject) => named(0, subject);
  if (property === "MetricName") return (subject) => named(1, subject);
  return (subject) =>
    subject.metric.dimensions.some(([name], at) => name === property && named(3 + 2 * at, subject));
}
