/** Labels of what is returned, with the dynamic values that they ask for [docs: graph-dynamic-labels]. */
import { ascending, type Series } from "../math/values.ts";

type Point = readonly [atS: number, value: number];

interface Facts {
  readonly points: readonly Point[];
  readonly sum: number;
  readonly min: Point;
  readonly max: Point;
  readonly first: Point;
  readonly last: Point;
}

const timeText = ([atS]: Point) => new Date(atS * 1000).toISOString();
const number = (value: number) => String(Number(value.toPrecision(12)));

const VALUES: Readonly<Record<string, (facts: Facts) => string>> = {
  AVG: ({ sum, points }) => number(sum / points.length),
  DATAPOINT_COUNT: ({ points }) => `${points.length}`,
  FIRST: ({ first }) => number(first[1]),
  FIRST_LAST_RANGE: ({ first, last }) => number(last[1] - first[1]),
  FIRST_TIME: ({ first }) => timeText(first),
  LAST: ({ last }) => number(last[1]),
  LAST_TIME: ({ last }) => timeText(last),
  MAX: ({ max }) => number(max[1]),
  MAX_TIME: ({ max }) => timeText(max),
  MIN: ({ min }) => number(min[1]),
  MIN_MAX_RANGE: ({ min, max }) => number(max[1] - min[1]),
  MIN_TIME: ({ min }) => timeText(min),
  SUM: ({ sum }) => number(sum),
};

const PLACEHOLDER = /\$\{(?:PROP\('([^']*)'\)|([A-Z_]+))\}/g;
/** For a value that there is none of. */
const NONE = "--";

/** What is in `${…}` and is not known stays as it is. */
export function labelOf(template: string, series: Series, place: Readonly<Record<string, string>>): string {
  if (!template.includes("${")) return template;
  let facts: Facts | undefined;
  return template.replace(PLACEHOLDER, (whole, property: string | undefined, name = "") => {
    if (property !== undefined) return own(series.properties, property) ?? own(place, property) ?? NONE;
    if (name === "LABEL") return series.label;
    const of = Object.hasOwn(VALUES, name) ? VALUES[name] : undefined;
    if (!of) return whole;
    if (series.points.size === 0) return name === "DATAPOINT_COUNT" ? "0" : NONE;
    facts ??= factsOf(series);
    return facts ? of(facts) : NONE;
  });
}

function own(properties: Readonly<Record<string, string>> = {}, name: string): string | undefined {
  return Object.hasOwn(properties, name) ? properties[name] : undefined;
}

function factsOf(series: Series): Facts | undefined {
  const points = ascending(series);
  const [first] = points;
  const last = points.at(-1);
  if (!first || !last) return undefined;
  let [sum, min, max]: [number, Point, Point] = [0, first, first];
  for (const point of points) {
    sum += point[1];
    if (point[1] < min[1]) min = point;
    if (point[1] > max[1]) max = point;
  }
  return { points, sum, min, max, first, last };
}

/** The shortest names that tell series of one search from each other: what all have in common is left out. */
export function distinguish(series: readonly Series[]): Series[] {
  if (series.length < 2) return [...series];
  const parts = series.map(({ properties = {} }) =>
    Object.entries(properties).filter(([key]) => key === "MetricName" || key.startsWith("Dim.")),
  );
  const values = new Map<string, Set<string>>();
  for (const [key, value] of parts.flat()) {
    const known = values.get(key);
    if (known) known.add(value);
    else values.set(key, new Set([value]));
  }
  const isShared = (key: string) =>
    values.get(key)?.size === 1 && parts.every((some) => some.some(([name]) => name === key));
  return series.map((one, at) => {
    const own = (parts[at] ?? []).filter(([key]) => !isShared(key)).map(([, value]) => value);
    return { ...one, label: own.length > 0 ? own.join(" ") : one.label };
  });
}
