/**
 * Every runtime id of the service model: its family, its schedule at AWS and whether Hornero has a runtime for it.
 * Dates: docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html and the languages' own pages there. AWS moves block
 * dates often, always to later ones; they inform (warnings, docs) and refuse nothing that this host can run.
 */

export type RuntimeFamily = "nodejs" | "python" | "java" | "dotnet" | "ruby" | "go" | "provided";

export interface RuntimeDescription {
  readonly id: string;
  readonly family: RuntimeFamily;
  /** The language's version as the id says it: `22`, `3.13`; empty for OS-only runtimes. */
  readonly version: string;
  /** current: AWS maintains it; preview: before its release; deprecated: unpatched, functions can still be created; retired: AWS refuses it. */
  readonly status: "current" | "preview" | "deprecated" | "retired";
  /** Whether Hornero has what runs inside the environment; whether this host has the interpreter is the catalogue's to say. */
  readonly runs: boolean;
  /** ISO dates. Absent: not scheduled, or not published. */
  readonly deprecationDate?: string;
  readonly blockCreateDate?: string;
  readonly blockUpdateDate?: string;
}

type Schedule = readonly [deprecation: string, blockCreate?: string, blockUpdate?: string];

function describe(
  family: RuntimeFamily,
  status: RuntimeDescription["status"],
  ids: Readonly<Record<string, Schedule | null>>,
): RuntimeDescription[] {
  return Object.entries(ids).map(([id, schedule]) => ({
    id,
    family,
    version: family === "provided" ? "" : id.slice(family.length).replace(/\.x$/, ""),
    status,
    runs: status !== "retired" && (family === "nodejs" || family === "python" || family === "provided"),
    ...(schedule?.[0] === undefined ? {} : { deprecationDate: schedule[0] }),
    ...(schedule?.[1] === undefined ? {} : { blockCreateDate: schedule[1] }),
    ...(schedule?.[2] === undefined ? {} : { blockUpdateDate: schedule[2] }),
  }));
}

const ALL: readonly RuntimeDescription[] = [
  ...describe("nodejs", "preview", { "nodejs26.x": null }),
  ...describe("nodejs", "current", {
    "nodejs24.x": ["2028-04-30", "2028-06-01", "2028-07-01"],
    "nodejs22.x": ["2027-04-30", "2027-06-01", "2027-07-01"],
  }),
  ...describe("nodejs", "deprecated", { "nodejs20.x": ["2026-04-30", "2027-02-01", "2027-03-03"] }),
  ...describe("nodejs", "retired", {
    "nodejs18.x": ["2025-09-01"],
    "nodejs16.x": ["2024-06-12"],
    "nodejs14.x": ["2023-12-04", "2024-01-09", "2024-02-08"],
    "nodejs12.x": ["2023-03-31", "2023-03-31", "2023-04-30"],
    "nodejs10.x": ["2021-07-30", "2021-07-30", "2022-02-14"],
    "nodejs8.10": ["2020-03-06"],
    "nodejs6.10": ["2019-08-12"],
    "nodejs4.3-edge": ["2019-04-30"],
    "nodejs4.3": ["2020-03-05"],
    nodejs: ["2016-10-31"],
  }),
  ...describe("python", "preview", { "python3.15": null }),
  ...describe("python", "current", {
    "python3.14": ["2029-06-30", "2029-07-31", "2029-08-31"],
    "python3.13": ["2029-06-30", "2029-07-31", "2029-08-31"],
    "python3.12": ["2028-10-31", "2028-11-30", "2029-01-10"],
    "python3.11": null,
    "python3.10": null,
  }),
  ...describe("python", "deprecated", { "python3.9": ["2025-12-15", "2027-02-01", "2027-03-03"] }),
  ...describe("python", "retired", {
    "python3.8": ["2024-10-14"],
    "python3.7": ["2023-12-04", "2024-01-09", "2024-02-08"],
    "python3.6": ["2022-07-18", "2022-07-18", "2022-08-29"],
    "python2.7": ["2021-07-15", "2021-07-15", "2022-05-30"],
  }),
  ...describe("provided", "current", { "provided.al2023": ["2029-06-30"], "provided.al2": null }),
  // AWS retired it with Amazon Linux 1; a custom runtime brings its own user space, so nothing here stands against it.
  ...describe("provided", "deprecated", { provided: ["2024-01-08"] }),
  ...describe("java", "current", {
    java25: ["2029-06-30"],
    java21: ["2029-06-30"],
    java17: null,
    "java17.al2023": null,
    java11: null,
    "java11.al2023": null,
    "java8.al2": null,
    "java8.al2023": null,
  }),
  ...describe("java", "retired", { java8: ["2024-01-08"] }),
  ...describe("dotnet", "current", { dotnet10: ["2028-11-14"], dotnet8: ["2026-11-10"] }),
  ...describe("dotnet", "deprecated", { dotnet6: ["2024-12-20"] }),
  ...describe("dotnet", "retired", {
    "dotnetcore3.1": ["2023-04-03"],
    "dotnetcore2.1": ["2022-01-05"],
    "dotnetcore2.0": ["2019-05-30"],
    "dotnetcore1.0": ["2019-07-30"],
  }),
  ...describe("ruby", "current", { "ruby4.0": null, "ruby3.4": ["2028-03-31"], "ruby3.3": ["2027-03-31"] }),
  ...describe("ruby", "deprecated", { "ruby3.2": ["2026-03-31"] }),
  ...describe("ruby", "retired", { "ruby2.7": ["2023-12-07"], "ruby2.5": ["2021-07-30"] }),
  ...describe("go", "retired", { "go1.x": ["2024-01-08"] }),
];

/** By id. */
export const RUNTIMES: ReadonlyMap<string, RuntimeDescription> = new Map(
  ALL.map((description) => [description.id, description]),
);

/**
 * AWS's words for a runtime that takes no new function; undefined for one that does, and for an id that nobody knows
 * (then the value is refused by its enumeration).
 */
export function retirementMessage(runtimeId: string): string | undefined {
  if (RUNTIMES.get(runtimeId)?.status !== "retired") return undefined;
  return `The runtime parameter of ${runtimeId} is no longer supported for creating or updating AWS Lambda functions. We recommend you use a supported runtime while creating or updating functions.`;
}
