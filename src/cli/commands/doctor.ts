import { mkdtempSync, mkdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../kernel/clock.ts";
import { chooseDriver } from "../../lambda/sandbox/drivers.ts";
import { SandboxError, type Walls } from "../../lambda/sandbox/sandbox.ts";
import { createRuntimeCatalogue } from "../../lambda/runtimes/catalogue.ts";
import { RUNTIMES } from "../../lambda/runtimes/runtimes.ts";
import { silentLogger } from "../../telemetry/logger.ts";
import type { Options } from "../configuration.ts";

export interface Diagnosis {
  /** Undefined when no sandbox can be made here at all; `problem` then says why. */
  readonly walls: Walls | undefined;
  readonly problem: { readonly what: string; readonly fix: string } | undefined;
  readonly runtimes: readonly {
    readonly id: string;
    readonly found: boolean;
    readonly detail: string;
    readonly fix: string;
  }[];
}

const NAMES: Readonly<Record<keyof Walls, string>> = {
  filesystem: "files",
  processes: "processes",
  network: "network",
  egress: "way out",
  memoryLimit: "memory limit",
  cpuLimit: "CPU limit",
  processLimit: "process limit",
  systemCalls: "system calls",
  ephemeralStorage: "/tmp size",
};
/** Any free port will do: nothing is served. */
const PROBE_PORT = 4566;

/** Says what this machine can do, by trying it. Needs no running server. Answers whether functions can be isolated. */
export async function doctor(options: Options, write: (text: string) => void): Promise<boolean> {
  const diagnosis = await diagnose();
  write(options["json"] === true ? `${JSON.stringify(diagnosis, undefined, 2)}\n` : describe(diagnosis));
  return diagnosis.walls !== undefined;
}

async function diagnose(): Promise<Diagnosis> {
  const folder = mkdtempSync(join(tmpdir(), "hornero-doctor-"));
  try {
    const runtimes = await findRuntimes(folder);
    return { ...(await tryWalls(folder)), runtimes };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function tryWalls(folder: string): Promise<Pick<Diagnosis, "walls" | "problem">> {
  const codeDirectory = join(folder, "code");
  mkdirSync(codeDirectory);
  try {
    const { driver } = await chooseDriver({
      driver: "bubblewrap",
      host: "127.0.0.1",
      port: PROBE_PORT,
      dataDirectory: folder,
      codeDirectory,
      runtimesDirectories: [codeDirectory],
      clock: systemClock,
      logger: silentLogger,
    });
    const { walls } = driver;
    await driver.close();
    return { walls, problem: undefined };
  } catch (error) {
    if (!(error instanceof SandboxError)) throw error;
    return { walls: undefined, problem: { what: error.message, fix: error.hint ?? "" } };
  }
}

async function findRuntimes(folder: string): Promise<Diagnosis["runtimes"]> {
  const catalogue = createRuntimeCatalogue({
    cacheDirectory: folder,
    clock: systemClock,
    logger: silentLogger,
    fetch: false,
  });
  const runnable = [...RUNTIMES.values()].filter(({ runs }) => runs);
  return Promise.all(
    runnable.map(async ({ id, family }) => {
      const found = await catalogue.find(id);
      if (found.available)
        return {
          id,
          found: true,
          detail: found.version === "" ? "any executable named bootstrap" : found.version,
          fix: "",
        };
      if (family === "nodejs")
        return { id, found: true, detail: "fetched from npm when a function needs it", fix: "" };
      return { id, found: false, detail: found.reason, fix: found.fix };
    }),
  );
}

function describe({ walls, problem, runtimes }: Diagnosis): string {
  const lines = ["Walls around functions"];
  if (problem)
    lines.push(`  ✗ none: ${problem.what}`, ...(problem.fix === "" ? [] : [`      ${problem.fix}`]));
  for (const [key, name] of Object.entries(NAMES)) {
    const wall = walls?.[key as keyof Walls];
    if (wall) lines.push(`  ${wall.holds ? "✓" : "✗"} ${name.padEnd(14)} ${wall.detail}`);
  }
  lines.push("", "Runtimes");
  for (const { id, found, detail, fix } of runtimes) {
    lines.push(`  ${found ? "✓" : "✗"} ${id.padEnd(16)} ${detail}`);
    if (fix !== "") lines.push(`      ${fix}`);
  }
  return `${lines.join("\n")}\n`;
}
