/** What a server makes on this machine, and whether any of it is still there. */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, globSync, readdirSync, readFileSync, realpathSync } from "node:fs";
import { setImmediate as nextTurn } from "node:timers/promises";
import { tolerate } from "../../../src/lambda/sandbox/cgroups/files.ts";

interface ProcessFacts {
  readonly pid: number;
  readonly parent: number;
  /** In clock ticks since boot: tells a process from a later one with the same pid. */
  readonly startTicks: string;
}

/** The name that a server's groups, interfaces and tables carry. */
export function instanceOf(dataDirectory: string): string {
  return createHash("sha256").update(realpathSync(dataDirectory)).digest("hex").slice(0, 7);
}

/** `root` and all processes below it, in whatever namespace they live. */
export function familyOf(root: number): ProcessFacts[] {
  const all = processes();
  const family = new Map(all.filter(({ pid }) => pid === root).map((each) => [each.pid, each]));
  for (let size = 0; size < family.size;) {
    size = family.size;
    for (const each of all) if (family.has(each.parent)) family.set(each.pid, each);
  }
  return [...family.values()];
}

/** Looks until nothing is left or this often: the kernel takes a moment over the last processes. */
const LOOKS_MAX = 1000;

/** Everything of the instance that stays behind, in words; empty when there is nothing. */
export async function leftovers(options: Remains): Promise<string[]> {
  let found = remains(options);
  for (let look = 0; look < LOOKS_MAX && found.length > 0; look += 1) {
    await nextTurn();
    found = remains(options);
  }
  return found;
}

interface Remains {
  readonly instance: string;
  readonly dataDirectory: string;
  /** As they were when the server still ran. */
  readonly family: readonly ProcessFacts[];
}

function remains(options: Remains): string[] {
  const { instance, dataDirectory, family } = options;
  const now = new Map(processes().map(({ pid, startTicks }) => [pid, startTicks]));
  const living = family.filter(({ pid, startTicks }) => now.get(pid) === startTicks);
  const mounts = readFileSync("/proc/self/mountinfo", "utf8").split("\n");
  const groups = globSync(`/sys/fs/cgroup/**/hornero/${instance}`);
  return [
    ...living.map(({ pid }) => `process ${pid} ${commandLine(pid)}`),
    ...mounts.filter((line) => line.includes(dataDirectory)).map((line) => `mount ${line}`),
    ...groups.map((path) => `control group ${path}`),
    ...(existsSync(`/sys/class/net/hornero-${instance}`) ? [`interface hornero-${instance}`] : []),
    ...firewallTables().filter((name) => name.includes(instance)),
  ];
}

function firewallTables(): string[] {
  // Only root sees the tables, and only root's servers make any.
  if (process.getuid?.() !== 0) return [];
  return execFileSync("nft", ["list", "tables"], { encoding: "utf8" }).split("\n");
}

export function commandLine(pid: number): string {
  let line = "";
  tolerate(["ENOENT", "ESRCH"], () => (line = readFileSync(`/proc/${pid}/cmdline`, "latin1")));
  return line.replaceAll("\0", " ");
}

function processes(): ProcessFacts[] {
  const found: ProcessFacts[] = [];
  for (const name of readdirSync("/proc")) {
    const pid = Number(name);
    if (!(pid > 0)) continue;
    // A process may end between the listing and the look at it.
    tolerate(["ENOENT", "ESRCH"], () => {
      const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
      // The name in parentheses may hold anything.
      const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      const [state, parent] = fields;
      if (state !== "Z") found.push({ pid, parent: Number(parent), startTicks: fields[19] ?? "" });
    });
  }
  return found;
}
