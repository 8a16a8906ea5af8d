/**
 * Embedded metrics: a line of a log that is a JSON object with `_aws.CloudWatchMetrics` says which of its members are values
 * of metrics, and which are their dimensions [docs: CloudWatch_Embedded_Metric_Format_Specification]. Pure.
 */
import {
  DATUM_AGE_MS_MAX,
  DATUM_AHEAD_MS_MAX,
  DIMENSIONS_MAX,
  EMBEDDED_DIMENSION_SETS_MAX,
  EMBEDDED_METRICS_MAX,
  EMBEDDED_VALUES_MAX,
  EMBEDDED_VALUES_PER_DOCUMENT_MAX,
  VALUE_MAX,
} from "../limits.ts";
import type { Series } from "../metrics/series.ts";

/** Values of one series at one time. */
export interface EmbeddedValues {
  readonly series: Series;
  readonly atMs: number;
  /** Storage resolution of one second. */
  readonly isFine: boolean;
  readonly values: readonly number[];
}

export type Extraction =
  /** An ordinary line. */
  | { readonly kind: "none" }
  /** It was meant to be one, and is no JSON. */
  | { readonly kind: "unparsable" }
  /** `isValid`: false when something in it was left out, because it is not as the format wants it. */
  | { readonly kind: "values"; readonly isValid: boolean; readonly values: readonly EmbeddedValues[] };

const CLOSING_BRACE = 125;
/** Without the quote in front: a search for a rare first character is seven times as fast. */
const MARK = '_aws"';
const NAME_CHARS_MAX = 255;
const DIMENSION_VALUE_CHARS_MAX = 1024;
const UNITS: ReadonlySet<string> = new Set(
  [
    ["Seconds", "Microseconds", "Milliseconds", "Percent", "Count", "Count/Second", "None"],
    ...["Bytes", "Bits"].map((unit) =>
      ["", "Kilo", "Mega", "Giga", "Tera"].flatMap((prefix) => {
        const name = prefix === "" ? unit : `${prefix}${unit.toLowerCase()}`;
        return [name, `${name}/Second`];
      }),
    ),
  ].flat(),
);

/** Whether a line is worth a closer look: on the path of every line that is logged. */
export function mayBeEmbedded(message: string): boolean {
  return message.charCodeAt(message.length - 1) === CLOSING_BRACE && message.includes(MARK);
}

type Json = Readonly<Record<string, unknown>>;

/** What a line holds; runtimes may have put a time stamp and a request id in front of the document. */
export function extract(message: string, nowMs: number): Extraction {
  const start = message.indexOf("{");
  const text = start < 0 ? "" : message.slice(start);
  let root: unknown;
  try {
    root = JSON.parse(text);
  } catch {
    return message.includes('"CloudWatchMetrics"') ? { kind: "unparsable" } : { kind: "none" };
  }
  const metadata = isObject(root) ? root["_aws"] : undefined;
  if (!isObject(root) || !isObject(metadata) || metadata["CloudWatchMetrics"] === undefined)
    return { kind: "none" };
  const document = new Document(root, nowMs);
  document.read(metadata);
  return { kind: "values", isValid: document.isValid, values: document.found };
}

class Document {
  readonly found: EmbeddedValues[] = [];
  isValid = true;
  readonly #root: Json;
  readonly #nowMs: number;
  #left = EMBEDDED_VALUES_PER_DOCUMENT_MAX;

  constructor(root: Json, nowMs: number) {
    this.#root = root;
    this.#nowMs = nowMs;
  }

  read({ Timestamp: atMs, CloudWatchMetrics: directives }: Json): void {
    if (!isTime(atMs, this.#nowMs) || !Array.isArray(directives)) return this.#invalid();
    for (const directive of directives as unknown[]) this.#directive(directive, atMs);
  }

  #directive(directive: unknown, atMs: number): void {
    const { Namespace: namespace, Dimensions: sets, Metrics: metrics } = isObject(directive) ? directive : {};
    if (!isName(namespace) || isReserved(namespace) || !Array.isArray(sets) || !Array.isArray(metrics))
      return this.#invalid();
    if (sets.length === 0 || metrics.length > EMBEDDED_METRICS_MAX) return this.#invalid();
    const dimensions = this.#dimensionSets(sets as unknown[]);
    for (const metric of metrics as unknown[]) this.#metric(metric, namespace, dimensions, atMs);
  }

  /** Those that are valid, each once. */
  #dimensionSets(sets: readonly unknown[]): Series["dimensions"][] {
    const found = new Map<string, Series["dimensions"]>();
    for (const set of sets.slice(0, EMBEDDED_DIMENSION_SETS_MAX)) {
      const dimensions = this.#dimensionSet(set);
      if (dimensions) found.set(JSON.stringify(dimensions), dimensions);
      else this.#invalid();
    }
    if (sets.length > EMBEDDED_DIMENSION_SETS_MAX) this.#invalid();
    return [...found.values()];
  }

  #dimensionSet(set: unknown): Series["dimensions"] | undefined {
    if (!Array.isArray(set) || set.length > DIMENSIONS_MAX) return undefined;
    const dimensions: (readonly [string, string])[] = [];
    for (const name of new Set(set as unknown[])) {
      const value = isName(name) && Object.hasOwn(this.#root, name) ? this.#root[name] : undefined;
      if (!isName(name) || typeof value !== "string") return undefined;
      if (value === "" || value.length > DIMENSION_VALUE_CHARS_MAX) return undefined;
      dimensions.push([name, value]);
    }
    return dimensions.sort(([a], [b]) => (a < b ? -1 : 1));
  }

  #metric(
    metric: unknown,
    namespace: string,
    dimensionSets: readonly Series["dimensions"][],
    atMs: number,
  ): void {
    const {
      Name: name,
      Unit: unit = "None",
      StorageResolution: resolutionS = 60,
    } = isObject(metric) ? metric : {};
    if (!isName(name) || typeof unit !== "string" || !UNITS.has(unit)) return this.#invalid();
    if (resolutionS !== 1 && resolutionS !== 60) return this.#invalid();
    const values = valuesOf(Object.hasOwn(this.#root, name) ? this.#root[name] : undefined);
    if (!values) return this.#invalid();
    for (const dimensions of dimensionSets) {
      this.#left -= values.length;
      if (this.#left < 0) return this.#invalid();
      const series = { namespace, name, dimensions, unit };
      if (values.length > 0) this.found.push({ series, atMs, isFine: resolutionS === 1, values });
    }
  }

  #invalid(): void {
    this.isValid = false;
  }
}

function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isName(value: unknown): value is string {
  return typeof value === "string" && value !== "" && value.length <= NAME_CHARS_MAX;
}

/** AWS's own, as in PutMetricData: a function may not tell the platform's metrics. */
function isReserved(namespace: string): boolean {
  return namespace.startsWith("AWS/") || namespace.startsWith(":");
}

function isTime(atMs: unknown, nowMs: number): atMs is number {
  return typeof atMs === "number" && atMs >= nowMs - DATUM_AGE_MS_MAX && atMs <= nowMs + DATUM_AHEAD_MS_MAX;
}

/** A number, or some; undefined when it is something else. */
function valuesOf(target: unknown): readonly number[] | undefined {
  const values: readonly unknown[] = Array.isArray(target) ? (target as unknown[]) : [target];
  const isValue = (value: unknown) => typeof value === "number" && Math.abs(value) <= VALUE_MAX;
  return values.length <= EMBEDDED_VALUES_MAX && values.every(isValue) ? (values as number[]) : undefined;
}
