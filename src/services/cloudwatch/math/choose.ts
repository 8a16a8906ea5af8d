/** IF of metric math. */
import { seriesLike, unsupported, type Budget, type Scalar, type Series, type Value } from "./values.ts";

/**
 * Where the condition is not 0 the first, else the second; a series as condition is asked at each of its times. A missing
 * value of the first counts as 0, one of the second is missing, as documented.
 */
export function choose(condition: Value, first: Value, second: Value | undefined, budget: Budget): Value {
  const operands = second ? [condition, first, second] : [condition, first];
  if (operands.some(({ kind }) => kind === "array")) throw unsupported("IF", operands);
  if (condition.kind === "scalar") return chooseOnce(condition, first, second, operands);
  if (condition.kind !== "series") throw unsupported("IF", operands);
  budget.take(condition.points.size);
  const points: [number, number][] = [];
  for (const [atS, value] of condition.points) {
    if (value !== 0) points.push([atS, at(first, atS) ?? 0]);
    else points.push([atS, (second && at(second, atS)) ?? Number.NaN]);
  }
  return seriesLike(first.kind === "series" ? first : condition, points);
}

function chooseOnce(
  condition: Scalar,
  first: Value,
  second: Value | undefined,
  operands: readonly Value[],
): Value {
  if (condition.value !== 0 && !Number.isNaN(condition.value)) return first;
  if (second) return second;
  if (first.kind !== "series") throw unsupported("IF", operands);
  return seriesLike(first, []);
}

function at(value: Value, atS: number): number | undefined {
  if (value.kind === "scalar") return value.value;
  return (value as Series).points.get(atS);
}
