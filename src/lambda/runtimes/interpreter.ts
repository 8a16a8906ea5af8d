/** What the two searches for interpreters share: the shape of a find, and running a program to ask it something. */
import { execFile } from "node:child_process";
import { accessSync, constants, realpathSync } from "node:fs";
import { delimiter, join, sep } from "node:path";

/** An interpreter of this host. */
export interface Interpreter {
  /** `22.23.3`, `3.12.1` */
  readonly version: string;
  /** The folder that becomes /var/lang; undefined when it is part of the system's /usr, which every sandbox shows. */
  readonly prefix: string | undefined;
  /** Absolute path inside the sandbox. */
  readonly program: string;
}

export type InterpreterSearch =
  | { readonly found: Interpreter }
  /** `reason` is one sentence; `fix` the exact command that mends it. */
  | { readonly found: undefined; readonly reason: string; readonly fix: string };

const PROBE_TIMEOUT_MS = 10_000;
const PROBE_OUTPUT_BYTES_MAX = 64 * 1024;

/**
 * Standard output of a short run, or undefined when it failed in any way: a candidate that cannot answer is no candidate.
 * The environment is scrubbed: what the server's own holds (NODE_OPTIONS, PYTHONHOME, a version manager's choice) must
 * not change the answer.
 */
export function probe(program: string, args: readonly string[]): Promise<string | undefined> {
  const env = { PATH: "/usr/bin:/bin", HOME: "/nonexistent", LC_ALL: "C" };
  const options = { env, cwd: "/", timeout: PROBE_TIMEOUT_MS, maxBuffer: PROBE_OUTPUT_BYTES_MAX } as const;
  return new Promise((resolve) => {
    execFile(program, args, options, (error, stdout) => resolve(error ? undefined : stdout));
  });
}

/** Programs of that name on a search path, in its order. */
export function onPath(name: string, path: string | undefined): string[] {
  return (path ?? "")
    .split(delimiter)
    .filter((folder) => folder.startsWith(sep))
    .map((folder) => join(folder, name))
    .filter(isExecutable);
}

export function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/**
 * An interpreter at `prefix/bin/name` as the sandbox sees it; undefined when the program is not a file inside `prefix`
 * (a link out of the folder would dangle behind the walls) or the prefix is the root folder.
 */
export function placeInterpreter(prefix: string, name: string, version: string): Interpreter | undefined {
  const program = join(prefix, "bin", name);
  if (prefix === sep || !isExecutable(program)) return undefined;
  const folder = realpathSync(prefix);
  if (!realpathSync(program).startsWith(folder + sep)) return undefined;
  if (folder === "/usr" || folder.startsWith("/usr/")) return { version, prefix: undefined, program };
  return { version, prefix: folder, program: `/var/lang/bin/${name}` };
}
