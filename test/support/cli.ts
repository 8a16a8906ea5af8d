/** The command line as a person or a script uses it: a process, its exit status and what it wrote. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";

export const ROOT = join(import.meta.dirname, "..", "..");
const CLI = join(ROOT, "src", "cli", "main.ts");
const LIMIT_MS = 60_000;

export interface Ran {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  /** The data folder: HORNERO_DATA. */
  readonly data?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Standard input; empty by default. */
  readonly input?: string;
  /** It is killed after this long, with all that it started in its process group. Default: a minute. */
  readonly limitMs?: number;
}

/** A command that goes on: what it wrote so far, and its end. */
export interface Running {
  readonly child: ChildProcess;
  stdout(): string;
  stderr(): string;
  readonly ended: Promise<Ran>;
}

/** Runs `hornero ARGS` to its end. */
export function hornero(args: readonly string[], options: RunOptions = {}): Promise<Ran> {
  return startHornero(args, options).ended;
}

export function startHornero(args: readonly string[], options: RunOptions = {}): Running {
  return startProgram(process.execPath, [CLI, ...args], options);
}

/** Runs a program with a bare environment, in a process group of its own. */
export function startProgram(program: string, args: readonly string[], options: RunOptions = {}): Running {
  const child = spawn(program, args, {
    cwd: options.cwd ?? ROOT,
    env: {
      PATH: process.env["PATH"],
      HOME: process.env["HOME"],
      ...(options.data === undefined ? {} : { HORNERO_DATA: options.data }),
      ...options.env,
    },
    stdio: ["pipe", "pipe", "pipe"],
    detached: true,
  });
  const killGroup = () => void (child.pid !== undefined && process.kill(-child.pid, "SIGKILL"));
  const limit = setTimeout(killGroup, options.limitMs ?? LIMIT_MS);
  let [stdout, stderr] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  // A command that reads nothing may have ended before its input was written.
  child.stdin.on("error", () => undefined);
  child.stdin.end(options.input ?? "");
  const ended = (async () => {
    const [code] = (await once(child, "close")) as [number | null];
    clearTimeout(limit);
    return { code, stdout, stderr };
  })();
  return { child, stdout: () => stdout, stderr: () => stderr, ended };
}
