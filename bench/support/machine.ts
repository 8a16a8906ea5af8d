/** What the figures were measured on, and how disturbed the machine was meanwhile. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { arch, cpus, loadavg, release, totalmem, type } from "node:os";
import { join } from "node:path";

export interface Machine {
  readonly kernel: string;
  readonly architecture: string;
  readonly cpuModel: string;
  readonly cpuCount: number;
  readonly memoryMb: number;
  readonly versions: Readonly<Record<string, string>>;
}

/** Since a moment; shares are 0–1 of all CPU time, undefined where proc(5) is missing. */
export interface Disturbance {
  readonly loadAverage: readonly number[];
  readonly stealShare: number | undefined;
  readonly idleShare: number | undefined;
}

export function describeMachine(python: string | undefined): Machine {
  const { version } = JSON.parse(
    readFileSync(join(import.meta.dirname, "..", "..", "package.json"), "utf8"),
  ) as { version: string };
  return {
    kernel: `${type()} ${release()}`,
    architecture: arch(),
    cpuModel: cpus()[0]?.model ?? "unknown",
    cpuCount: cpus().length,
    memoryMb: Math.round(totalmem() / 1024 / 1024),
    versions: {
      hornero: version,
      node: process.versions.node,
      v8: process.versions.v8,
      ...(python === undefined ? {} : { python: versionOf(python) }),
    },
  };
}

function versionOf(python: string): string {
  return execFileSync(python, ["--version"], { encoding: "utf8" }).replace("Python", "").trim();
}

/** Begins to watch; the answer tells what happened since. */
export function watchDisturbance(): () => Disturbance {
  const before = cpuTimes();
  return () => {
    const after = cpuTimes();
    const spent = after.map((ticks, index) => ticks - (before[index] ?? 0));
    // guest and guest_nice, the last two, are part of user and nice.
    const total = spent.slice(0, 8).reduce((sum, ticks) => sum + ticks, 0);
    const share = (index: number) => (total > 0 ? (spent[index] ?? 0) / total : undefined);
    return { loadAverage: loadavg(), stealShare: share(7), idleShare: share(3) };
  };
}

/** Ticks of user, nice, system, idle, iowait, irq, softirq, steal, guest, guest_nice of all CPUs; empty without /proc. */
function cpuTimes(): number[] {
  try {
    const line = readFileSync("/proc/stat", "latin1").split("\n", 1)[0] ?? "";
    return line.split(/\s+/).slice(1).map(Number);
  } catch {
    return [];
  }
}

/** MemAvailable in bytes; undefined without /proc. */
export function availableBytes(): number | undefined {
  try {
    const match = /^MemAvailable:\s+(\d+) kB/m.exec(readFileSync("/proc/meminfo", "latin1"));
    return match ? Number(match[1]) * 1024 : undefined;
  } catch {
    return undefined;
  }
}
