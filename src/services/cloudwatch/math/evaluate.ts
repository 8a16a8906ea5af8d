/**
 * The expressions of one request, evaluated: pure. What they refer to is read before: metrics by their queries' ids, searches
 * by their text. An expression that several others refer to is evaluated once.
 */
import { callFunction, type Argument, type CallContext } from "./functions.ts";
import { combine, negate } from "./operators.ts";
import { MathError, type Expression } from "./syntax.ts";
import { timesOf, type TimeRange } from "./time.ts";
import { scalar, unsupported, type Budget, type Series, type SeriesArray, type Value } from "./values.ts";

/** Series of one array [docs: GetMetricData, search expressions]. */
export const ARRAY_SERIES_MAX = 500;
/** Expressions in one another, through references too: they are evaluated with the stack. One alone has some 600 at the most. */
const DEPTH_MAX = 1000;

export interface Inputs {
  /** What is asked for, in periods of that length. */
  grid(periodS: number): TimeRange;
  /** By the ids of the queries for metrics, in the order of the request. */
  readonly metrics: ReadonlyMap<string, Series>;
  /** By the ids of their queries. */
  readonly expressions: ReadonlyMap<string, { readonly expression: Expression; readonly periodS: number }>;
  /** What a search found. */
  search(call: SearchCall): readonly Series[];
  readonly budget: Budget;
}

/** `SEARCH(text, statistic, periodS)`. */
export interface SearchCall {
  readonly text: string;
  readonly statistic: string;
  /** Undefined: that of the expression. */
  readonly periodS: number | undefined;
}

export class Evaluation {
  readonly #inputs: Inputs;
  readonly #known = new Map<string, Value>();
  /** Expressions that are being evaluated, outermost first. */
  readonly #open = new Set<string>();
  #depth = 0;

  constructor(inputs: Inputs) {
    this.#inputs = inputs;
  }

  /** Throws MathError. */
  of(id: string): Value {
    const metric = this.#inputs.metrics.get(id);
    if (metric) return metric;
    const known = this.#known.get(id);
    if (known) return known;
    const query = this.#inputs.expressions.get(id);
    if (!query) throw new MathError(`Unknown identifier ${id}`);
    if (this.#open.has(id))
      throw new MathError(`The expressions ${[...this.#open].join(", ")} need each other`);
    this.#open.add(id);
    const { budget } = this.#inputs;
    const times = (periodS: number) => timesOf(this.#inputs.grid(periodS), periodS, budget);
    const value = this.#evaluate(query.expression, { times, budget, periodS: query.periodS });
    this.#open.delete(id);
    this.#known.set(id, value);
    return value;
  }

  #evaluate(expression: Expression, context: CallContext): Value {
    this.#depth += 1;
    if (this.#depth > DEPTH_MAX) throw new MathError("The expressions are nested too deeply");
    const value = this.#valueOf(expression, context);
    this.#depth -= 1;
    return value;
  }

  #valueOf(expression: Expression, context: CallContext): Value {
    switch (expression.kind) {
      case "number":
        return scalar(expression.value);
      case "reference":
        return this.of(expression.id);
      case "list":
        return this.#list(expression.items, context);
      case "negation":
        return negate(this.#evaluate(expression.operand, context), context.budget);
      case "binary":
        return combine(
          expression.operator,
          this.#evaluate(expression.left, context),
          this.#evaluate(expression.right, context),
          context.budget,
        );
      case "call":
        return this.#call(expression.name, expression.args, context);
      case "string":
        throw new MathError(`A text has no place here: '${expression.value}'`);
      case "word":
        throw new MathError(`Unknown word ${expression.word}`);
      default:
        throw new MathError("Unknown part of an expression");
    }
  }

  #list(items: readonly Expression[], context: CallContext): SeriesArray {
    const series = items.flatMap((item) => {
      const value = this.#evaluate(item, context);
      if (value.kind === "scalar") throw unsupported("[]", [value]);
      return value.kind === "array" ? value.series : [value];
    });
    if (series.length > ARRAY_SERIES_MAX)
      throw new MathError(`An array has more than ${ARRAY_SERIES_MAX} time series`);
    return { kind: "array", series };
  }

  #call(name: string, args: readonly Expression[], context: CallContext): Value {
    if (name === "METRICS") return this.#metrics(args);
    if (name === "PERIOD") return this.#period(args, context);
    if (name === "SEARCH") return { kind: "array", series: this.#inputs.search(searchCall(args)) };
    const values = args.map((arg): Argument => (arg.kind === "word" ? arg : this.#evaluate(arg, context)));
    return callFunction(name, values, context);
  }

  #metrics(args: readonly Expression[]): SeriesArray {
    const [part] = args;
    if (args.length > 1 || (part && part.kind !== "string"))
      throw new MathError("METRICS takes a text or nothing");
    const found = [...this.#inputs.metrics].filter(([id]) => !part || id.includes(part.value));
    return { kind: "array", series: found.map(([, series]) => series) };
  }

  #period(args: readonly Expression[], context: CallContext): Value {
    const [operand] = args;
    const value = operand && this.#evaluate(operand, context);
    if (args.length !== 1 || operand?.kind !== "reference" || value?.kind !== "series")
      throw unsupported("PERIOD", value ? [value] : []);
    return scalar(value.periodS);
  }
}

/** Throws MathError: a search is told in plain texts and numbers, because it is done before anything is calculated. */
export function searchCall(args: readonly Expression[]): SearchCall {
  const [text, statistic, period] = args;
  if (text?.kind !== "string" || statistic?.kind !== "string" || args.length > 3)
    throw new MathError("SEARCH takes a search, a statistic and a period: SEARCH('…', 'Average', 300)");
  if (period && period.kind !== "number") throw new MathError("The period of SEARCH must be a number");
  return { text: text.value, statistic: statistic.value, periodS: period?.value };
}
