/** Files of the cgroup file systems: a write is a command to the kernel, and its error is the kernel's answer. */
import { closeSync, constants, mkdirSync, openSync, readFileSync, rmdirSync, writeSync } from "node:fs";

/** Making and removing a group. A port, because on any other file system a new folder is empty and a full one stays. */
export interface GroupFolders {
  make(path: string): void;
  remove(path: string): void;
}

export const kernelFolders: GroupFolders = {
  make: (path) => mkdirSync(path, 0o755),
  remove: (path) => rmdirSync(path),
};

export function errorCode(error: unknown): string | undefined {
  return error instanceof Error && "code" in error ? String(error.code) : undefined;
}

/** Runs `action`; true when it worked, false when it failed with one of `codes`. Other errors are thrown on. */
export function tolerate(codes: readonly string[], action: () => void): boolean {
  try {
    action();
    return true;
  } catch (error) {
    if (codes.includes(errorCode(error) ?? "")) return false;
    throw error;
  }
}

/** One write(2). Without O_CREAT, so that a file the kernel does not have is ENOENT and not a refused creation. */
export function writeControl(path: string, value: string | number): void {
  const file = openSync(path, constants.O_WRONLY | constants.O_TRUNC);
  try {
    writeSync(file, String(value));
  } finally {
    closeSync(file);
  }
}

/** The number after `key` in a file of `key number` lines; 0 when there is no such line. */
export function readKeyed(path: string, key: string): number {
  const line = readFileSync(path, "utf8")
    .split("\n")
    .find((line) => line.startsWith(`${key} `));
  return line === undefined ? 0 : Number(line.slice(key.length + 1));
}

/** The processes of a group. Those that this process's pid namespace does not see are missing (v1) or 0 (v2): left out. */
export function readPids(group: string): number[] {
  let text = "";
  tolerate(["ENOENT", "ENODEV"], () => (text = readFileSync(`${group}/cgroup.procs`, "utf8")));
  return text
    .split("\n")
    .map(Number)
    .filter((pid) => pid > 0);
}

export function killAll(pids: readonly number[]): void {
  for (const pid of pids) tolerate(["ESRCH"], () => process.kill(pid, "SIGKILL"));
}
