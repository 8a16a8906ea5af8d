/**
 * The benchmarks: `npm run bench`. Every figure stands beside a floor that was measured in the same minutes, in turns.
 *
 *   --quick            under two minutes; fewer rounds
 *   --only PART        one part: warm, asynchronous, cold, burst, rate, snapstart, bytecode, memory, server, wire, store, trace
 *   --driver NAME      auto (the default), bubblewrap or process
 *   --against URL      another Lambda-compatible endpoint, with the credentials of AWS_*: warm, cold and burst
 *   --density N        idle environments whose memory is measured (20); 2000 takes minutes and gigabytes
 *   --gate             exit status 1 when a target is missed
 *   --smoke            seconds: whether the benchmarks themselves work; its figures mean nothing
 *   --out FOLDER       where latest.json and latest.svg go (bench/results)
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { parseArgs } from "node:util";
import { benchAsynchronous } from "./parts/asynchronous.ts";
import { benchBurst } from "./parts/burst.ts";
import { benchBytecode } from "./parts/bytecode.ts";
import { benchCold } from "./parts/cold.ts";
import { benchDensity } from "./parts/density.ts";
import { benchRate } from "./parts/rate.ts";
import { benchSnapStart } from "./parts/snapstart.ts";
import { benchStartup } from "./parts/startup.ts";
import { benchStore } from "./parts/store.ts";
import { benchTrace } from "./parts/trace.ts";
import { benchWarm } from "./parts/warm.ts";
import { benchWire } from "./parts/wire.ts";
import type { Endpoint } from "./support/client.ts";
import { SIZES, type Context, type Sizes } from "./support/context.ts";
import { LoadGenerator } from "./support/load.ts";
import { describeMachine, watchDisturbance } from "./support/machine.ts";
import { SCRUBBED } from "./support/processes.ts";
import {
  formatHeader,
  formatTable,
  isMet,
  type Curve,
  type Distribution,
  type Report,
  type Row,
  type Waterfall,
} from "./support/report.ts";
import { drawSvg } from "./support/svg.ts";

const CHECKOUT = join(import.meta.dirname, "..");

const PARTS: readonly { name: string; ofOthers: boolean; run: (context: Context) => Promise<void> }[] = [
  { name: "warm", ofOthers: true, run: benchWarm },
  { name: "asynchronous", ofOthers: false, run: benchAsynchronous },
  { name: "cold", ofOthers: true, run: benchCold },
  { name: "burst", ofOthers: true, run: benchBurst },
  { name: "rate", ofOthers: false, run: benchRate },
  { name: "snapstart", ofOthers: false, run: benchSnapStart },
  { name: "bytecode", ofOthers: false, run: benchBytecode },
  { name: "memory", ofOthers: false, run: benchDensity },
  { name: "server", ofOthers: false, run: benchStartup },
  { name: "wire", ofOthers: false, run: benchWire },
  { name: "store", ofOthers: false, run: benchStore },
  { name: "trace", ofOthers: false, run: benchTrace },
];
/** No round begins after it; what has begun may take a little longer. */
const BUDGET_MS = { full: 9 * 60_000, quick: 100_000, smoke: 60_000 };

const { values: options } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    smoke: { type: "boolean", default: false },
    density: { type: "string" },
    gate: { type: "boolean", default: false },
    only: { type: "string", multiple: true },
    driver: { type: "string", default: "auto" },
    against: { type: "string" },
    out: { type: "string", default: join(import.meta.dirname, "results") },
  },
});

async function main(): Promise<number> {
  const mode = options.smoke ? "smoke" : options.quick ? "quick" : "full";
  const against = options.against === undefined ? undefined : parseEndpoint(options.against, process.env);
  const python = findPython();
  const startMs = performance.now();
  const startedAt = new Date().toISOString();
  const disturbance = watchDisturbance();
  const load = new LoadGenerator();
  const rows: Row[] = [];
  const distributions: Distribution[] = [];
  const waterfalls: Waterfall[] = [];
  const curves: Curve[] = [];
  const failures: { part: string; error: string }[] = [];
  const context: Context = {
    sizes: sizesOf(mode, options.density),
    driver: options.driver,
    against,
    load,
    deadlineMs: startMs + BUDGET_MS[mode],
    python,
    row: (row) => rows.push(row),
    distribution: (distribution) => distributions.push(distribution),
    waterfall: (waterfall) => waterfalls.push(waterfall),
    curve: (curve) => curves.push(curve),
  };
  try {
    for (const { name, run } of chosenParts(against !== undefined)) {
      process.stderr.write(`${name} …\n`);
      try {
        await run(context);
      } catch (error) {
        failures.push({ part: name, error: error instanceof Error ? error.message : String(error) });
      }
    }
  } finally {
    await load.close();
  }
  const report: Report = {
    format: 1,
    startedAt,
    tookS: (performance.now() - startMs) / 1000,
    mode,
    endpoint: options.against ?? "Hornero",
    driver: against ? "its own" : options.driver,
    rounds: SIZES[mode].rounds,
    machine: describeMachine(python?.path),
    disturbance: disturbance(),
    rows,
    distributions,
    waterfalls,
    curves,
    failures,
  };
  publish(report);
  const missed = rows.some((row) => [row.target, row.also].some((target) => isMet(row, target) === false));
  return failures.length > 0 || (options.gate && missed) ? 1 : 0;
}

function sizesOf(mode: keyof typeof SIZES, density: string | undefined): Sizes {
  if (density === undefined) return SIZES[mode];
  const environments = Number(density);
  if (!Number.isSafeInteger(environments) || environments < 1)
    throw new Error(`--density takes a number of environments, not '${density}'`);
  return { ...SIZES[mode], environments };
}

function chosenParts(others: boolean): typeof PARTS {
  const names = PARTS.filter(({ ofOthers }) => ofOthers || !others).map(({ name }) => name);
  const wrong = options.only?.find((name) => !names.includes(name));
  if (wrong !== undefined) throw new Error(`--only takes ${names.join(", ")}, not '${wrong}'`);
  return PARTS.filter(({ name }) => names.includes(name) && (options.only?.includes(name) ?? true));
}

function publish(report: Report): void {
  const folder = resolve(options.out);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "latest.json"), `${JSON.stringify(report, undefined, 2)}\n`);
  writeFileSync(join(folder, "latest.svg"), drawSvg(report.distributions, report.waterfalls, report.curves));
  process.stdout.write(`\n${formatHeader(report)}\n\n${formatTable(report)}\n\n`);
  for (const { part, error } of report.failures) process.stdout.write(`NOT MEASURED: ${part}: ${error}\n`);
  // A checkout that only root may enter is shown to the run at another place: its own name for the folder is the one to tell.
  const told = relative(CHECKOUT, folder);
  const shown = told.startsWith("..") ? folder : told;
  process.stdout.write(`${join(shown, "latest.json")}\n${join(shown, "latest.svg")}\n`);
}

function parseEndpoint(url: string, variables: NodeJS.ProcessEnv): Endpoint {
  const { hostname, port, protocol } = new URL(url);
  if (protocol !== "http:") throw new Error(`--against takes an http:// address, not ${url}`);
  const sessionToken = variables["AWS_SESSION_TOKEN"];
  return {
    host: hostname,
    port: port === "" ? 80 : Number(port),
    region: variables["AWS_REGION"] ?? variables["AWS_DEFAULT_REGION"] ?? "us-east-1",
    accessKeyId: variables["AWS_ACCESS_KEY_ID"] ?? "test",
    secretAccessKey: variables["AWS_SECRET_ACCESS_KEY"] ?? "test",
    ...(sessionToken === undefined ? {} : { sessionToken }),
  };
}

/** The system's interpreter and the runtime that it is; undefined without one. */
function findPython(): Context["python"] {
  try {
    const told = execFileSync("python3", ["-c", "import sys; print(sys.executable, *sys.version_info[:2])"], {
      encoding: "utf8",
      env: SCRUBBED,
    });
    const [path = "", major, minor] = told.trim().split(" ");
    return { path, runtime: `python${major}.${minor}` };
  } catch {
    return undefined;
  }
}

process.exitCode = await main();
