/** What was measured, as data: rows with their floors and targets; as a table for people; and as JSON. */
import type { Disturbance, Machine } from "./machine.ts";
import type { Summary } from "./statistics.ts";

/** "" counts things. */
export type Unit = "ms" | "/s" | "MB" | "×" | "%" | "GB·h" | "";

/** A bound on a row's value or on its ratio to the floor. */
export interface Target {
  readonly of: "value" | "ratio";
  readonly limit: number;
  /** The side of the limit that is wanted. */
  readonly want: "at most" | "at least";
}

export interface Row {
  readonly id: string;
  readonly group: string;
  readonly what: string;
  readonly unit: Unit;
  /** Of the rounds' figures. */
  readonly value: Summary;
  readonly floor?: { readonly what: string; readonly value: Summary };
  /** Of the rounds' value ÷ floor. */
  readonly ratio?: Summary;
  /** What the figure must keep; `also` is a second bound, on the other of value and ratio. The gate looks at both. */
  readonly target?: Target;
  readonly also?: Target;
  readonly note?: string;
}

/** Percentiles 0–100 of all latencies of a row's rounds, in milliseconds. */
export interface Distribution {
  readonly name: string;
  readonly isFloor: boolean;
  readonly percentilesMs: readonly number[];
}

/** One start as milliseconds from the client's request: where each part ended. Medians. */
export interface Waterfall {
  readonly name: string;
  readonly parts: readonly { readonly name: string; readonly endMs: number }[];
}

/** What a policy costs and gains, over its knob. */
export interface Curve {
  readonly name: string;
  readonly isFloor: boolean;
  readonly points: readonly { readonly cost: number; readonly coldPercent: number }[];
}

export interface Report {
  readonly format: 1;
  readonly startedAt: string;
  readonly tookS: number;
  readonly mode: "full" | "quick" | "smoke";
  readonly endpoint: string;
  readonly driver: string;
  readonly rounds: number;
  readonly machine: Machine;
  readonly disturbance: Disturbance;
  readonly rows: readonly Row[];
  readonly distributions: readonly Distribution[];
  readonly waterfalls: readonly Waterfall[];
  readonly curves: readonly Curve[];
  /** Parts that could not be measured, and why. */
  readonly failures: readonly { readonly part: string; readonly error: string }[];
}

/** Undefined when the row has no such target, or not the figure that it is about. */
export function isMet(row: Row, target: Target | undefined): boolean | undefined {
  const figure = target?.of === "ratio" ? row.ratio?.median : row.value.median;
  if (!target || figure === undefined) return undefined;
  return target.want === "at most" ? figure <= target.limit : figure >= target.limit;
}

export function formatFigure(value: number, unit: Unit): string {
  const digits = value >= 100 ? 0 : value >= 10 ? 1 : 2;
  const number = value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  return unit === "×" || unit === "/s" ? `${number}${unit}` : `${number} ${unit}`.trimEnd();
}

function formatTarget(target: Target, unit: Unit): string {
  const sign = target.want === "at most" ? "≤" : "≥";
  return `${sign} ${formatFigure(target.limit, target.of === "ratio" ? "×" : unit)}`;
}

function formatVerdict(row: Row, target: Target | undefined): string {
  if (!target) return "";
  return `${formatTarget(target, row.unit)} ${isMet(row, target) ? "met" : "MISSED"}`;
}

function formatRange({ min, max, count }: Summary, unit: Unit): string {
  return count > 1 ? ` (${formatFigure(min, unit)} – ${formatFigure(max, unit)})` : "";
}

const HEADINGS = ["", "median (min – max of rounds)", "floor", "against its floor", "target", "and"];

/** The table, one group after another; lines end without blanks. */
export function formatTable({ rows }: Pick<Report, "rows">): string {
  const cells = rows.map((row) => [
    row.what,
    formatFigure(row.value.median, row.unit) + formatRange(row.value, row.unit),
    row.floor ? `${formatFigure(row.floor.value.median, row.unit)} ${row.floor.what}` : "",
    row.ratio ? formatFigure(row.ratio.median, "×") + formatRange(row.ratio, "×") : "",
    formatVerdict(row, row.target),
    formatVerdict(row, row.also),
  ]);
  const widths = HEADINGS.map((heading, column) =>
    Math.max(heading.length, ...cells.map((line) => line[column]?.length ?? 0)),
  );
  const format = (line: readonly string[]) =>
    line
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd();
  const lines = [format(HEADINGS)];
  let group = "";
  for (const [index, row] of rows.entries()) {
    if (row.group !== group) lines.push("", row.group.toUpperCase());
    group = row.group;
    lines.push(format(cells[index] ?? []));
    if (row.note !== undefined) lines.push(`    ${row.note}`);
  }
  return lines.join("\n");
}

export function formatHeader(report: Report): string {
  const { machine, disturbance } = report;
  const percent = (share: number | undefined) =>
    share === undefined ? "?" : `${(share * 100).toFixed(1)} %`;
  const versions = Object.entries(machine.versions).map(([name, version]) => `${name} ${version}`);
  return [
    `${report.endpoint} (${report.driver}), ${report.mode}, ${report.rounds} rounds, ${report.tookS.toFixed(0)} s, ${report.startedAt}`,
    `${machine.cpuCount} × ${machine.cpuModel}, ${machine.memoryMb} MB, ${machine.kernel} ${machine.architecture}, ${versions.join(", ")}`,
    `load average ${disturbance.loadAverage.map((load) => load.toFixed(2)).join(" ")}, ` +
      `CPU idle ${percent(disturbance.idleShare)}, stolen ${percent(disturbance.stealShare)}; ` +
      "the load generator shares the CPUs; only ratios of one run can be compared",
  ].join("\n");
}
