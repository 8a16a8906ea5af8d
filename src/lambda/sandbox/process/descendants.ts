/**
 * Finding a sandbox's processes without a pid namespace: every process inherits the variable that its sandbox's first
 * one was started with, daemons too. Who clears its environment escapes: this driver has no walls.
 */
import { readdir, readFile } from "node:fs/promises";
import type { Clock } from "../../../kernel/clock.ts";
import { errorCode, killAll } from "../cgroups/files.ts";

/** Its value is the sandbox's folder: unique on this machine. */
export const MARK = "HORNERO_SANDBOX_ID";

const KILL_PASSES_MAX = 400;
const KILL_PAUSE_MS = 5;

/** SIGKILLs every process marked with a folder that begins with `folder`, and waits until none is left; false when some will not go. */
export async function killMarked(folder: string, clock: Clock): Promise<boolean> {
  for (let pass = 0; pass < KILL_PASSES_MAX; pass += 1) {
    const pids = await findMarked(folder);
    if (pids.length === 0) return true;
    killAll(pids);
    await new Promise<void>((resume) => clock.after(KILL_PAUSE_MS, resume));
  }
  return false;
}

async function findMarked(folder: string): Promise<number[]> {
  const mark = `${MARK}=${folder}`;
  const pids: number[] = [];
  for (const name of await readdir("/proc")) {
    const pid = Number(name);
    if (!(pid > 0) || pid === process.pid) continue;
    const environment = await readEnvironment(pid);
    if (environment.startsWith(mark) || environment.includes(`\0${mark}`)) pids.push(pid);
  }
  return pids;
}

/** Empty for a process that has gone, is dying, or belongs to another user. */
async function readEnvironment(pid: number): Promise<string> {
  try {
    return await readFile(`/proc/${pid}/environ`, "utf8");
  } catch (error) {
    if (["ENOENT", "ESRCH", "EACCES", "EPERM"].includes(errorCode(error) ?? "")) return "";
    throw error;
  }
}
