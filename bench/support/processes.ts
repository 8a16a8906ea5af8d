/** Processes from proc(5): who descends from whom, their memory and their CPU time. Linux only. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";

/** What measured processes get as environment: nothing that a shell happens to export. */
export const SCRUBBED: NodeJS.ProcessEnv = {
  PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
};

export interface Memory {
  readonly rssBytes: number;
  /** Shared pages are counted by share: depends on who else runs the same program. */
  readonly pssBytes: number;
}

interface Stat {
  readonly pid: number;
  readonly parentPid: number;
  readonly cpuTicks: number;
}

/** Undefined when the process has gone. */
function statOf(pid: number): Stat | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "latin1");
    // The name in parentheses may hold anything; fields count from behind it.
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    return { pid, parentPid: Number(fields[1]), cpuTicks: Number(fields[11]) + Number(fields[12]) };
  } catch {
    return undefined;
  }
}

/** `rootPid` and all that descend from it, now. */
function familyOf(rootPid: number): Stat[] {
  const all = readdirSync("/proc").flatMap((name) =>
    /^\d+$/.test(name) ? (statOf(Number(name)) ?? []) : [],
  );
  const children = Map.groupBy(all, ({ parentPid }) => parentPid);
  const family = all.filter(({ pid }) => pid === rootPid);
  for (const { pid } of family) family.push(...(children.get(pid) ?? []));
  return family;
}

/** Undefined when the process has gone or may not be looked at. */
export function memoryOf(pid: number): Memory | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/smaps_rollup`, "latin1");
    const bytes = (name: string) =>
      Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(text)?.[1] ?? 0) * 1024;
    return { rssBytes: bytes("Rss"), pssBytes: bytes("Pss") };
  } catch {
    return undefined;
  }
}

/** PSS of a process and its descendants together. */
export function familyPssBytes(rootPid: number): number {
  return familyOf(rootPid).reduce((sum, { pid }) => sum + (memoryOf(pid)?.pssBytes ?? 0), 0);
}

/** How many processes there are: it and all that descend from it. */
export function familySize(rootPid: number): number {
  return familyOf(rootPid).length;
}

/**
 * Watches the runtimes among a server's descendants. The answer tells how many of them worked since then, and how many of
 * those are younger: cold starts that the measurement met, and what was made ready in their place.
 */
export function watchEnvironments(serverPid: number): () => string {
  const before = new Map(familyOf(serverPid).map(({ pid, cpuTicks }) => [pid, cpuTicks]));
  return () => {
    const worked = familyOf(serverPid).filter(
      ({ pid, cpuTicks }) => cpuTicks > (before.get(pid) ?? 0) && isRuntime(pid),
    );
    const started = worked.filter(({ pid }) => !before.has(pid));
    return `${worked.length - started.length} runtimes worked, ${started.length} started meanwhile (waiting ones included)`;
  };
}

/** Our own runtimes' boot files lie in /var/runtime of their sandbox; the processes around them name it too. */
function isRuntime(pid: number): boolean {
  try {
    const [program = "", ...args] = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
    return !program.endsWith("bwrap") && args.some((arg) => /\/bootstrap\.(cjs|py)$/.test(arg));
  } catch {
    return false;
  }
}

/** The descendant with this name in /proc/PID/comm. */
export function findDescendant(rootPid: number, name: string): number | undefined {
  return familyOf(rootPid).find(({ pid }) => {
    try {
      return readFileSync(`/proc/${pid}/comm`, "latin1").trim() === name;
    } catch {
      return false;
    }
  })?.pid;
}

const SETTLE_POLL_MS = 50;
const SETTLE_POLLS = 4;
const TICKS_OF_IDLING = 1;

/** Waits until a process and its descendants stay the same and use no CPU time. False when that takes longer than `msMax`. */
export async function settled(rootPid: number, msMax = 30_000): Promise<boolean> {
  const deadlineMs = performance.now() + msMax;
  let quietPolls = 0;
  let before = { pids: "", cpuTicks: 0 };
  while (performance.now() < deadlineMs) {
    const family = familyOf(rootPid);
    const now = {
      pids: family.map(({ pid }) => pid).join(),
      cpuTicks: family.reduce((sum, { cpuTicks }) => sum + cpuTicks, 0),
    };
    const quiet = now.pids === before.pids && now.cpuTicks - before.cpuTicks <= TICKS_OF_IDLING;
    quietPolls = quiet ? quietPolls + 1 : 0;
    if (quietPolls >= SETTLE_POLLS) return true;
    before = now;
    await pause(SETTLE_POLL_MS);
  }
  return false;
}

/** Milliseconds from spawn to the end of a process that does nothing: the floor of every start. Rejects unless it exits with 0. */
export async function timeBareStart(command: string, args: readonly string[]): Promise<number> {
  const startMs = performance.now();
  const child = spawn(command, args, { env: SCRUBBED, stdio: "ignore" });
  const [code] = (await once(child, "exit")) as [number | null];
  if (code !== 0) throw new Error(`${command} ${args.join(" ")} ended with ${code}`);
  return performance.now() - startMs;
}

/** Milliseconds until the last of `count` of them has ended, `parallel` at a time. */
export async function timeBareStarts(
  command: string,
  args: readonly string[],
  count: number,
  parallel: number,
): Promise<number> {
  const startMs = performance.now();
  let left = count;
  const starter = async () => {
    for (left -= 1; left >= 0; left -= 1) await timeBareStart(command, args);
  };
  await Promise.all(Array.from({ length: parallel }, starter));
  return performance.now() - startMs;
}
