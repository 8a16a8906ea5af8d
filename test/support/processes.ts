/** What runs below a server, from proc(5). */
import { readdirSync, readFileSync } from "node:fs";

export interface Process {
  readonly pid: number;
  readonly parent: number;
  /** Program and arguments, separated by spaces. */
  readonly command: string;
}

/** Every process of the machine that can be read. */
function processes(): Process[] {
  const found: Process[] = [];
  for (const entry of readdirSync("/proc")) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      // The name, in parentheses, may hold anything: what follows the last one counts.
      const [, parent] = /^.*\) \S (\d+) /s.exec(readFileSync(`/proc/${entry}/stat`, "latin1")) ?? [];
      const command = readFileSync(`/proc/${entry}/cmdline`, "latin1").replaceAll("\0", " ").trim();
      found.push({ pid: Number(entry), parent: Number(parent), command });
    } catch {
      // It has ended meanwhile.
    }
  }
  return found;
}

/** All processes below `pid`. */
export function descendants(pid: number): Process[] {
  const all = processes();
  const found: Process[] = [];
  const queue = [pid];
  for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
    for (const child of all.filter(({ parent }) => parent === next)) {
      found.push(child);
      queue.push(child.pid);
    }
  }
  return found;
}

/** The main processes of managed runtimes below a server, as the host sees them: one for each environment. */
export function runtimesOf(serverPid: number): Process[] {
  return descendants(serverPid).filter(
    ({ command }) => /\/var\/runtime\/bootstrap/.test(command) && !command.startsWith("bwrap"),
  );
}

export function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
