import { mkdtempSync, mkdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../kernel/clock.ts";
import { createBubblewrapDriver } from "../../lambda/sandbox/bubblewrap/driver.ts";
import { hintFor } from "../../lambda/sandbox/bubblewrap/hints.ts";
import { probeWalls } from "../../lambda/sandbox/bubblewrap/probe.ts";
import { SandboxError, type Walls } from "../../lambda/sandbox/sandbox.ts";
import { createRuntimeCatalogue } from "../../lambda/runtimes/catalogue.ts";
import { RUNTIMES } from "../../lambda/runtimes/runtimes.ts";
import { PORT_DEFAULT } from "../../limits.ts";
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
  const driver = createBubblewrapDriver({
    node: process.execPath,
    dataDirectory: folder,
    codeDirectory,
    runtimesDirectories: [],
    // In a network of the probe's own, where every port is free.
    endpointPort: PORT_DEFAULT,
    clock: systemClock,
    logger: silentLogger,
  });
  try {
    return { walls: await probeWalls(driver), problem: undefined };
  } catch (error) {
    if (!(error instanceof SandboxError)) throw error;
    const fix = error.hint ?? hintFor(error.message) ?? "";
    return { walls: undefined, problem: { what: error.message, fix } };
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
