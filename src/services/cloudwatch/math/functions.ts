/** The functions of metric math [docs: using-metric-math], but METRICS, PERIOD and SEARCH, which need to know the request. */
import { aggregate, aggregateSeries, AGGREGATES } from "./aggregates.ts";
import { choose } from "./choose.ts";
import { mapSeries } from "./operators.ts";
import { MathError } from "./syntax.ts";
import { calendar, fill, isCalendar, isStep, runningSum, steps } from "./time.ts";
import { scalar, seriesLike, unsupported, type Budget, type Series, type Value } from "./values.ts";

/** Of a call: a value, or a word of the language as it stands. */
export type Argument = Value | { readonly kind: "word"; readonly word: string };

export interface CallContext {
  /** When there could be values of a period, oldest first. */
  readonly times: (periodS: number) => readonly number[];
  /** Of series that are made of nothing. */
  readonly periodS: number;
  readonly budget: Budget;
}

const MAPPINGS: Readonly<Record<string, (value: number) => number>> = {
  ABS: Math.abs,
  CEIL: Math.ceil,
  FLOOR: Math.floor,
  EXP: Math.exp,
  LOG: Math.log,
  LOG10: Math.log10,
};

/** What AWS has and this service does not. */
const ABSENT: readonly string[] = [
  "ANOMALY_DETECTION_BAND",
  "DB_PERF_INSIGHTS",
  "INSIGHT_RULE_METRIC",
  "LAMBDA",
  "SERVICE_QUOTA",
];

const SORTED_BY: readonly string[] = ["AVG", "MIN", "MAX", "SUM"];

/** Throws MathError. */
export function callFunction(name: string, args: readonly Argument[], context: CallContext): Value {
  const { budget, times } = context;
  const mapping = MAPPINGS[name];
  if (mapping) return eachSeries(name, args, (series) => mapSeries(series, mapping, budget));
  if (isStep(name)) return eachSeries(name, args, (series) => steps(name, series, budget));
  if (name === "RUNNING_SUM") return eachSeries(name, args, (series) => runningSum(series, budget));
  if (Object.hasOwn(AGGREGATES, name)) return aggregate(name, onlySeries(name, args), budget);
  if (isCalendar(name)) {
    const [series] = args;
    if (args.length !== 1 || series?.kind !== "series") throw misused(name, args);
    return calendar(name, series, times(series.periodS));
  }
  const special = SPECIAL[name];
  if (special) return special(args, context);
  if (ABSENT.includes(name)) throw new MathError(`The function ${name} is not supported`);
  throw new MathError(`Unknown function ${name}`);
}

const SPECIAL: Readonly<Record<string, (args: readonly Argument[], context: CallContext) => Value>> = {
  IF(args, { budget }) {
    const [condition, first, second] = values("IF", args);
    if (!condition || !first || args.length > 3) throw misused("IF", args);
    return choose(condition, first, second, budget);
  },
  FILL: fillAll,
  FIRST: (args) => arrayOf("FIRST", args)[0] ?? EMPTY,
  LAST: (args) => arrayOf("LAST", args).at(-1) ?? EMPTY,
  METRIC_COUNT: (args) => scalar(arrayOf("METRIC_COUNT", args).length),
  REMOVE_EMPTY: (args) => ({
    kind: "array",
    series: arrayOf("REMOVE_EMPTY", args).filter(({ points }) => points.size > 0),
  }),
  SLICE(args) {
    const [array, from, to] = args;
    if (array?.kind !== "array" || from?.kind !== "scalar" || args.length > 3) throw misused("SLICE", args);
    if (to && to.kind !== "scalar") throw misused("SLICE", args);
    return { kind: "array", series: array.series.slice(index(from.value), to && index(to.value)) };
  },
  SORT: sort,
  TIME_SERIES(args, { times, periodS }) {
    const [value] = args;
    if (value?.kind !== "scalar" || args.length !== 1) throw misused("TIME_SERIES", args);
    return seriesLike(
      { ...EMPTY, periodS },
      times(periodS).map((atS) => [atS, value.value] as const),
    );
  },
};

const EMPTY: Series = { kind: "series", label: "", periodS: 60, points: new Map() };

function index(value: number): number {
  if (!Number.isInteger(value) || value < 0)
    throw new MathError(`The arguments of SLICE must be whole numbers that are not negative, not ${value}`);
  return value;
}

function fillAll(args: readonly Argument[], { times }: CallContext): Value {
  const [target, filler] = args;
  if (!target || !filler || args.length !== 2) throw misused("FILL", args);
  const how = filler.kind === "word" ? filler.word : filler;
  if (how !== "REPEAT" && how !== "LINEAR" && (typeof how === "string" || how.kind === "array"))
    throw misused("FILL", args);
  return eachSeries("FILL", [target], (series) => fill(series, how, times(series.periodS)));
}

/** `SORT(array, FUNCTION, ASC | DESC, limit?)`: those that have no value come last. */
function sort(args: readonly Argument[], { budget }: CallContext): Value {
  const [array, by, order, limit] = args;
  if (array?.kind !== "array" || by?.kind !== "word" || order?.kind !== "word") throw misused("SORT", args);
  if (!SORTED_BY.includes(by.word)) throw new MathError(`SORT cannot sort by ${by.word}`);
  if (order.word !== "ASC" && order.word !== "DESC")
    throw new MathError(`The order of SORT must be ASC or DESC, not ${order.word}`);
  if ((limit && limit.kind !== "scalar") || args.length > 4) throw misused("SORT", args);
  const direction = order.word === "ASC" ? 1 : -1;
  const rated = array.series
    .map((series) => {
      budget.take(series.points.size);
      return { series, rate: aggregateSeries(by.word, series), isEmpty: series.points.size === 0 };
    })
    .sort((a, b) => Number(a.isEmpty) - Number(b.isEmpty) || direction * (a.rate - b.rate) || 0);
  return { kind: "array", series: rated.map(({ series }) => series).slice(0, limit?.value) };
}

function eachSeries(name: string, args: readonly Argument[], of: (series: Series) => Series): Value {
  const operand = onlySeries(name, args);
  return operand.kind === "series" ? of(operand) : { kind: "array", series: operand.series.map(of) };
}

function onlySeries(name: string, args: readonly Argument[]) {
  const [operand] = args;
  if (args.length !== 1 || (operand?.kind !== "series" && operand?.kind !== "array"))
    throw misused(name, args);
  return operand;
}

function arrayOf(name: string, args: readonly Argument[]): readonly Series[] {
  const [operand] = args;
  if (args.length !== 1 || operand?.kind !== "array") throw misused(name, args);
  return operand.series;
}

function values(name: string, args: readonly Argument[]): readonly Value[] {
  return args.map((arg) => {
    if (arg.kind === "word") throw misused(name, args);
    return arg;
  });
}

function misused(name: string, args: readonly Argument[]): MathError {
  return unsupported(
    name,
    args.map((arg) => (arg.kind === "word" ? arg.word : arg)),
  );
}
