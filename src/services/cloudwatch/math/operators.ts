/** Operators of metric math: values that only one of two series has are 0 in the other; what is no number is dropped. */
import type { BinaryOperator } from "./syntax.ts";
import { scalar, seriesLike, unsupported, type Budget, type Series, type Value } from "./values.ts";

type Calculate = (left: number, right: number) => number;

const truth = (isTrue: boolean) => (isTrue ? 1 : 0);

const ARITHMETIC: Readonly<Record<string, Calculate>> = {
  "+": (left, right) => left + right,
  "-": (left, right) => left - right,
  "*": (left, right) => left * right,
  "/": (left, right) => left / right,
  "^": (left, right) => left ** right,
};

/** Not for arrays. What cannot be told of nothing is nothing. */
const LOGIC: Readonly<Record<string, Calculate>> = {
  "==": (left, right) => truth(left === right),
  "!=": (left, right) => truth(left !== right),
  "<": (left, right) => truth(left < right),
  "<=": (left, right) => truth(left <= right),
  ">": (left, right) => truth(left > right),
  ">=": (left, right) => truth(left >= right),
  AND: (left, right) => truth(left !== 0 && right !== 0),
  OR: (left, right) => truth(left !== 0 || right !== 0),
};

/** Throws MathError for what cannot be combined. */
export function combine(operator: BinaryOperator, left: Value, right: Value, budget: Budget): Value {
  const arithmetic = ARITHMETIC[operator];
  const logic = LOGIC[operator];
  const calculate: Calculate =
    arithmetic ?? ((a, b) => (Number.isNaN(a) || Number.isNaN(b) || !logic ? Number.NaN : logic(a, b)));
  if (left.kind === "scalar" && right.kind === "scalar") return scalar(calculate(left.value, right.value));
  const isOfArrays = left.kind === "array" || right.kind === "array";
  if ((isOfArrays && !arithmetic) || (left.kind === "array" && right.kind === "array"))
    throw unsupported(operator, [left, right]);
  if (left.kind === "array")
    return { kind: "array", series: left.series.map((one) => pair(one, right, calculate, budget)) };
  if (right.kind === "array")
    return { kind: "array", series: right.series.map((one) => pair(left, one, calculate, budget)) };
  return pair(left, right, calculate, budget);
}

/** One of the two is a series. */
function pair(left: Value, right: Value, calculate: Calculate, budget: Budget): Series {
  if (left.kind === "series" && right.kind === "scalar")
    return mapSeries(left, (value) => calculate(value, right.value), budget);
  if (left.kind === "scalar" && right.kind === "series")
    return mapSeries(right, (value) => calculate(left.value, value), budget);
  if (left.kind !== "series" || right.kind !== "series") throw unsupported("pair", [left, right]);
  budget.take(left.points.size + right.points.size);
  const points: [number, number][] = [];
  for (const [atS, value] of left.points) points.push([atS, calculate(value, right.points.get(atS) ?? 0)]);
  for (const [atS, value] of right.points) if (!left.points.has(atS)) points.push([atS, calculate(0, value)]);
  const { properties: _, ...like } = left;
  return seriesLike({ ...like, periodS: Math.max(left.periodS, right.periodS) }, points);
}

/** The same series with other values; those that are no finite numbers are dropped. */
export function mapSeries(series: Series, of: (value: number) => number, budget: Budget): Series {
  budget.take(series.points.size);
  return seriesLike(
    series,
    [...series.points].map(([atS, value]) => [atS, of(value)] as const),
  );
}

export function negate(operand: Value, budget: Budget): Value {
  if (operand.kind === "scalar") return scalar(-operand.value);
  if (operand.kind === "series") return mapSeries(operand, (value) => -value, budget);
  return { kind: "array", series: operand.series.map((one) => mapSeries(one, (value) => -value, budget)) };
}
