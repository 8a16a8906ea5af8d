/** Looking at a sandbox's processes from outside, in the spawner's pid namespace. */
import { readdirSync, readFileSync } from "node:fs";

/** Passes of stopping: each one may miss children that were born while it looked. */
const STOP_PASSES_MAX = 8;

/** Direct children of a process, of all its threads; none when it is gone. */
export function children(pid: number): number[] {
  return threads(pid).flatMap((thread) =>
    readProc(`/proc/${pid}/task/${thread}/children`).split(" ").filter(Boolean).map(Number),
  );
}

/** The child of `init` that has this pid in the innermost pid namespace. */
export function childByInnerPid(init: number, innerPid: number): number | undefined {
  const own = new RegExp(String.raw`^NSpid:.*\t${innerPid}$`, "m");
  return children(init).find((pid) => own.test(readProc(`/proc/${pid}/status`)));
}

/**
 * Stops everything below `init`, where there is no freezer. Unlike a freezer's work, a parent inside may notice.
 * `init` itself goes on: it only waits for its children.
 */
export function stopTree(init: number): void {
  const stopped = new Set<number>();
  for (let pass = 0; pass < STOP_PASSES_MAX; pass += 1) {
    const running = descendants(init).filter((pid) => !stopped.has(pid));
    if (running.length === 0) return;
    for (const pid of running) {
      signalIfAlive(pid, "SIGSTOP");
      stopped.add(pid);
    }
  }
}

export function continueTree(init: number): void {
  for (const pid of descendants(init)) signalIfAlive(pid, "SIGCONT");
}

/** Sends a signal to a process that may have ended by itself a moment ago. */
export function signalIfAlive(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

function descendants(pid: number): number[] {
  const found = children(pid);
  return [...found, ...found.flatMap(descendants)];
}

function threads(pid: number): string[] {
  return ifAlive([], () => readdirSync(`/proc/${pid}/task`));
}

/** Empty when the process is gone. */
function readProc(path: string): string {
  return ifAlive("", () => readFileSync(path, "utf8"));
}

function ifAlive<T>(otherwise: T, read: () => T): T {
  try {
    return read();
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === "ENOENT" || code === "ESRCH") return otherwise;
    throw error;
  }
}
