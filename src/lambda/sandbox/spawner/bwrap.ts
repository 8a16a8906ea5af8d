/**
 * One bubblewrap process, from spawn to the end of everything inside.
 *
 *   spawner ── bwrap (monitor) ── bwrap (pid 1 inside, reaps orphans) ── command (pid 2 inside)
 *
 * The monitor tells the pid of pid 1 at once; pid 1 builds its mounts, then waits at the gate until it is released.
 * The gate is a socket: pid 1 reads one byte and closes its end, which is how we learn that the walls are up. If it
 * dies before, the byte is unread and the kernel says ECONNRESET.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { closeSync, constants, fchownSync, openSync, readSync } from "node:fs";
import type { Socket } from "node:net";
import { constants as osConstants } from "node:os";
import { setTimeout as delay } from "node:timers/promises";
import { deferred, type Deferred } from "../../../kernel/deferred.ts";
import { SandboxError } from "../sandbox.ts";
import { pipe, reap, socketPair } from "./libc.ts";
import { childByInnerPid, signalIfAlive } from "./process-tree.ts";
import { SANDBOX_GID, SANDBOX_UID } from "./roots.ts";

const BWRAP = "/usr/bin/bwrap";
/** What bwrap says about itself is longer than this only by mistake. */
const INFO_CHARS_MAX = 4096;
const MESSAGE_BYTES_MAX = 4096;
/** pid 1 starts the command within a millisecond after the walls are up. */
const COMMAND_ATTEMPTS_MAX = 500;
const COMMAND_PAUSE_MS = 2;
/** The command is the first child of pid 1. */
const COMMAND_INNER_PID = 2;
/** Shells, and bwrap, tell an end by signal N as the exit status 128 + N. */
const SIGNAL_STATUS_BASE = 128;

export interface BwrapSpec {
  /** The root file system, in the spawner's mount namespace. */
  readonly rootPath: string;
  readonly command: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly hostname: string;
  /** /tmp: a tmpfs of so many bytes, or a folder. */
  readonly storage: { readonly tmpfsBytes: number } | { readonly folder: string };
  /** Folders to show as /var/task, /opt and /var/artefacts, in the spawner's mount namespace. */
  readonly code?: { readonly task: string; readonly opt?: string; readonly artefacts?: string };
  readonly link: boolean;
  /** File with the compiled seccomp filter. */
  readonly seccompPath: string | undefined;
  /** The user and group id to run under; undefined: the spawner's own. */
  readonly account: number | undefined;
}

export interface BwrapEnd {
  /** 0–255; undefined when a signal ended the command. */
  readonly code: number | undefined;
  readonly signal: string | undefined;
}

/** A process behind its walls, however it came there, from the first step to the end of everything inside. */
export interface SandboxProcess {
  /** Read end of the pipe that is stdout and stderr inside; for another to take over. */
  readonly outputFd: number;
  /** Our end of the link. */
  readonly linkFd: number | undefined;
  /** The command has ended, and what it left behind is being killed. Never rejects. */
  readonly ended: Promise<BwrapEnd>;
  /** Everything inside is gone and reaped. Never rejects. */
  readonly gone: Promise<void>;
  /** The pid of pid 1 inside, in the spawner's pid namespace. Rejects with SandboxError when there never will be one. */
  readonly initPid: Promise<number>;
  /** Whether there is anything inside; its pids mean something only then. */
  readonly isAlive: boolean;
  /** Lets it go on, and resolves when the walls are up and the command is next. Rejects with SandboxError. */
  release(): Promise<void>;
  /** To the command; harmless when it has ended. One that is about to be started gets it when it is. */
  signal(signal: "SIGTERM" | "SIGKILL"): Promise<void>;
  /** Kills everything inside: pid 1 takes its pid namespace along. */
  kill(): void;
  /** For a process whose descriptors nobody has taken. */
  closeDescriptors(): void;
}

/** Init processes whose monitor has ended: they fall to us, pid 1 of this pid namespace, and libuv does not know them. */
const orphans = new Map<number, Deferred<void>>();
process.on("SIGCHLD", reapOrphans);

/** Resolves when `pid` is gone: a process that bwrap had started, and that is ours since bwrap has ended. */
export function orphanGone(pid: number): Promise<void> {
  const gone = deferred();
  orphans.set(pid, gone);
  reapOrphans();
  return gone.promise;
}

function reapOrphans(): void {
  for (const [pid, gone] of orphans) {
    if (!reap(pid)) continue;
    orphans.delete(pid);
    gone.resolve();
  }
}

export class BwrapProcess implements SandboxProcess {
  /** Our end of the fast link; whoever takes it closes it. */
  readonly linkFd: number | undefined;
  /** Read end of the pipe for stdout and stderr; whoever takes it closes it. */
  readonly outputFd: number;
  /** How the command ended. Never rejects. */
  readonly ended: Promise<BwrapEnd>;
  /** Everything inside is gone and reaped. Never rejects. */
  readonly gone: Promise<void>;
  readonly #child: ChildProcess;
  readonly #gate: Socket;
  readonly #init = deferred<number>();
  #info = "";
  #initPid: number | undefined;
  #monitorEnded = false;
  #spawnError: Error | undefined;

  /** Starts bwrap in the namespaces that the calling thread is in. Throws SystemCallError when out of descriptors. */
  constructor(spec: BwrapSpec) {
    const output = pipe();
    // Its owner may open it again by name: `echo … > /dev/stderr`.
    if (spec.account !== undefined) fchownSync(output.write, spec.account, spec.account);
    const link = spec.link ? socketPair() : undefined;
    const inherited = link ? [link.theirs] : [];
    if (spec.seccompPath !== undefined) inherited.push(openSync(spec.seccompPath, "r"));
    const fds = descriptors(spec, 3 + inherited.length);
    this.#child = spawn(BWRAP, ["--args", String(fds.arguments), "--", ...spec.command], {
      argv0: "bwrap",
      cwd: "/",
      env: {},
      stdio: ["ignore", output.write, output.write, ...inherited, "pipe", "pipe", "pipe"],
      ...(spec.account === undefined ? {} : { uid: spec.account, gid: spec.account }),
    });
    for (const fd of [output.write, ...inherited]) closeSync(fd);
    this.outputFd = output.read;
    this.linkFd = link?.ours;

    // The options go through a socket: they hold the function's variables, and command lines are for all to see.
    const commandLine = this.#pipe(fds.arguments);
    commandLine.on("error", () => this.#child.kill("SIGKILL"));
    commandLine.end(`${bwrapArguments(spec, fds).join("\0")}\0`);
    this.#gate = this.#pipe(fds.gate);
    this.#pipe(fds.info)
      .setEncoding("utf8")
      .on("data", (text: string) => this.#onInfo(text));
    const ends = this.#watch();
    this.ended = ends.ended;
    this.gone = ends.gone;
  }

  /** The pid of pid 1 inside, in the spawner's pid namespace. Rejects with SandboxError when bwrap ends before. */
  get initPid(): Promise<number> {
    return this.#init.promise;
  }

  /** Lets pid 1 go on, and resolves when the walls are up and the command is next. Rejects with SandboxError. */
  async release(): Promise<void> {
    const walls = deferred();
    this.#gate.on("end", () => walls.resolve());
    this.#gate.on("error", (error) => walls.reject(error));
    this.#gate.resume();
    this.#gate.write("\0");
    try {
      await walls.promise;
    } catch (error) {
      await this.gone;
      throw new SandboxError("build-walls", this.#lastWords(), { cause: error });
    }
  }

  /** Whether there is anything inside; its pids mean something only then. */
  get isAlive(): boolean {
    return !this.#monitorEnded;
  }

  /** To the command; harmless when it has ended. One that is about to be started gets it when it is. */
  async signal(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    await signalCommand(() => (this.isAlive ? this.#initPid : undefined), signal);
  }

  /** For a process whose descriptors nobody has taken. */
  closeDescriptors(): void {
    closeSync(this.outputFd);
    if (this.linkFd !== undefined) closeSync(this.linkFd);
  }

  /** Kills everything inside: pid 1 takes its pid namespace along. */
  kill(): void {
    if (this.#monitorEnded) return;
    if (this.#initPid === undefined) this.#child.kill("SIGKILL");
    else signalIfAlive(this.#initPid, "SIGKILL");
  }

  #pipe(fd: number): Socket {
    return this.#child.stdio[fd] as Socket;
  }

  #onInfo(text: string): void {
    this.#info += text.slice(0, INFO_CHARS_MAX - this.#info.length);
    const pid = /"child-pid": (\d+)/.exec(this.#info)?.[1];
    if (pid === undefined || this.#initPid !== undefined) return;
    this.#initPid = Number(pid);
    this.#init.resolve(this.#initPid);
  }

  #watch(): { ended: Promise<BwrapEnd>; gone: Promise<void> } {
    const ended = deferred<BwrapEnd>();
    const gone = deferred();
    // Nobody may be waiting for the pid any more.
    this.#init.promise.catch(() => undefined);
    this.#child.on("error", (error) => {
      this.#spawnError = error;
    });
    this.#child.on("close", (status: number | null, signal: string | null) => {
      this.#monitorEnded = true;
      ended.resolve(commandEnd(status, signal));
      if (this.#initPid === undefined) {
        this.#init.reject(new SandboxError("start-bwrap", this.#lastWords(), { cause: this.#spawnError }));
        return gone.resolve();
      }
      void orphanGone(this.#initPid).then(() => gone.resolve());
    });
    return { ended: ended.promise, gone: gone.promise };
  }

  /** What bwrap wrote before it gave up. Opened anew, because reading must not wait if something still holds the pipe. */
  #lastWords(): string {
    if (this.#spawnError) return `${BWRAP}: ${this.#spawnError.message}`;
    const output = openSync(`/proc/self/fd/${this.outputFd}`, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const buffer = Buffer.alloc(MESSAGE_BYTES_MAX);
      const text = buffer.toString("utf8", 0, readSync(output, buffer)).trim();
      return text === "" ? "bwrap ended without a word" : text;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error;
      return "bwrap ended without a word";
    } finally {
      closeSync(output);
    }
  }
}

interface Descriptors {
  readonly seccomp: number | undefined;
  readonly arguments: number;
  readonly info: number;
  readonly gate: number;
}

function descriptors(spec: BwrapSpec, firstFree: number): Descriptors {
  return {
    seccomp: spec.seccompPath === undefined ? undefined : firstFree - 1,
    arguments: firstFree,
    info: firstFree + 1,
    gate: firstFree + 2,
  };
}

function bwrapArguments(spec: BwrapSpec, fds: Descriptors): string[] {
  const storage =
    "folder" in spec.storage
      ? ["--bind", spec.storage.folder, "/tmp"]
      : ["--perms", "0700", "--size", String(spec.storage.tmpfsBytes), "--tmpfs", "/tmp"];
  const variables = Object.entries(spec.environment).flatMap(([name, value]) => ["--setenv", name, value]);
  return [
    ["--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"],
    ["--uid", String(SANDBOX_UID), "--gid", String(SANDBOX_GID), "--hostname", spec.hostname],
    ["--die-with-parent", "--new-session", "--cap-drop", "ALL"],
    ["--ro-bind", spec.rootPath, "/", "--proc", "/proc"],
    // As on AWS there is no shared memory to be had in /dev/shm: it would be a /tmp without a limit.
    ["--dev", "/dev", "--remount-ro", "/dev"],
    storage,
    spec.code ? ["--ro-bind", spec.code.task, "/var/task"] : [],
    spec.code?.opt === undefined ? [] : ["--ro-bind", spec.code.opt, "/opt"],
    spec.code?.artefacts === undefined ? [] : ["--ro-bind", spec.code.artefacts, "/var/artefacts"],
    ["--chdir", "/var/task", "--clearenv"],
    variables,
    fds.seccomp === undefined ? [] : ["--seccomp", String(fds.seccomp)],
    ["--info-fd", String(fds.info), "--block-fd", String(fds.gate)],
  ].flat();
}

/** `init` tells the pid of pid 1; undefined ends the attempts. */
export async function signalCommand(init: () => number | undefined, signal: NodeJS.Signals): Promise<void> {
  for (let attempt = 0; attempt < COMMAND_ATTEMPTS_MAX; attempt += 1) {
    const initPid = init();
    if (initPid === undefined) return;
    const pid = childByInnerPid(initPid, COMMAND_INNER_PID);
    if (pid !== undefined) return signalIfAlive(pid, signal);
    await delay(COMMAND_PAUSE_MS);
  }
}

/** The end of the command, from that of its pid 1. One that cannot be executed ends with 1, and bwrap says why on the output. */
export function commandEnd(status: number | null, signal: string | null): BwrapEnd {
  if (signal !== null || status === null) return { code: undefined, signal: signal ?? "SIGKILL" };
  const name = signalName(status - SIGNAL_STATUS_BASE);
  return name === undefined ? { code: status, signal: undefined } : { code: undefined, signal: name };
}

function signalName(number: number): string | undefined {
  for (const [name, value] of Object.entries(osConstants.signals)) if (value === number) return name;
  return undefined;
}
