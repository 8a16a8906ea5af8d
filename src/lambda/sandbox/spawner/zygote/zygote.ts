/**
 * One fork server: an interpreter that has booted the generic runtime, and forks a child for each sandbox.
 *
 *   spawner ── bwrap ── zygote: pid 1 of a pid namespace ─┬─ pid 1 of a sandbox ── the runtime
 *                                                         └─ …
 *
 * It stands behind walls of its own: the read-only root that its sandboxes show, a network namespace with nothing in
 * it, a host account without rights, and capabilities of its own user namespace only. In that namespace the sandboxes'
 * accounts follow its own. It is told what to fork over a socket, with descriptors; runtimes/python says how it answers.
 *
 * Its pid is taken from nobody's word: births come with the kernel's credentials.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { closeSync, openSync, writeFileSync } from "node:fs";
import { Socket } from "node:net";
import { coerceError, deferred } from "../../../../kernel/deferred.ts";
import { SandboxError } from "../../sandbox.ts";
import { orphanGone } from "../bwrap.ts";
import { pipe } from "../libc.ts";
import { signalIfAlive } from "../process-tree.ts";
import { endSending, messageSocketPair, receiveWithSender, sendWithDescriptors } from "./messages.ts";

const BWRAP = "/usr/bin/bwrap";
/** What it needs for its children: their namespaces and mounts, their accounts, and to take everything from them. */
const CAPABILITIES = ["CAP_SYS_ADMIN", "CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP", "CAP_SETFCAP"];
/** Of bwrap: after those that runtimes/python/hornero_runtime/zygote.py knows, 3 to 5. */
const ARGUMENTS_FD = 6;
const INFO_FD = 7;
const USER_NAMESPACE_FD = 8;
const INFO_CHARS_MAX = 4096;
const LAST_WORDS_CHARS_MAX = 1000;
/** No event is longer. */
const EVENT_CHARS_MAX = 2000;

export interface ZygoteSpec {
  /** The root file system, in the spawner's mount namespace. */
  readonly rootPath: string;
  readonly command: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly seccompPath: string;
  /** Host accounts: the zygote's own, and those of its children, by index. Undefined: all are the spawner's own. */
  readonly accounts: { readonly own: number; readonly first: number; readonly count: number } | undefined;
}

/** Who waits to hear of one child. */
export interface ForkListener {
  onBorn(initPid: number): void;
  /** `status` as waitpid(2) tells it. Everything inside is gone. */
  onExit(status: number): void;
  /** There is no child, or not any more. */
  onFailed(reason: string): void;
}

export class Zygote {
  /** Resolves when it can fork. Rejects with SandboxError. */
  readonly ready: Promise<void>;
  /** It and all its children are gone. Never rejects. */
  readonly gone: Promise<void>;
  readonly #child: ChildProcess;
  readonly #control: number;
  readonly #events: Socket;
  readonly #ready = deferred();
  readonly #gone = deferred();
  readonly #forks = new Map<number, ForkListener>();
  #accounts: ZygoteSpec["accounts"];
  #pid: number | undefined;
  #retired = false;
  #ended = false;
  #lastToken = 0;
  #info = "";
  #text = "";
  #lastWords = "";

  /** Starts it. Throws SystemCallError when out of descriptors. */
  constructor(spec: ZygoteSpec) {
    this.ready = this.#ready.promise;
    this.ready.catch(() => undefined);
    this.gone = this.#gone.promise;
    this.#accounts = spec.accounts;
    const events = pipe();
    const control = messageSocketPair();
    const filter = openSync(spec.seccompPath, "r");
    this.#control = control.ours;
    this.#child = spawn(BWRAP, ["--args", String(ARGUMENTS_FD), "--", ...spec.command], {
      argv0: "bwrap",
      cwd: "/",
      env: {},
      stdio: ["ignore", "pipe", "pipe", events.write, control.theirs, filter, "pipe", "pipe", "pipe"],
      ...(spec.accounts ? { uid: spec.accounts.own, gid: spec.accounts.own } : {}),
    });
    for (const fd of [events.write, control.theirs, filter]) closeSync(fd);
    this.#events = new Socket({ fd: events.read, readable: true, writable: false });
    this.#events.setEncoding("latin1").on("data", (text: string) => this.#onEvents(text));
    this.#watch();
    const commandLine = this.#pipe(ARGUMENTS_FD);
    commandLine.on("error", () => this.kill());
    commandLine.end(`${bwrapArguments(spec).join("\0")}\0`);
  }

  get isAlive(): boolean {
    return !this.#ended && !this.#retired;
  }

  get childCount(): number {
    return this.#forks.size;
  }

  /**
   * Asks for a child. `fds` are its output, its gate, its link, and the `cgroup.procs` of its control groups; they stay the
   * caller's. Throws SystemCallError when the zygote cannot take more, or has ended.
   */
  fork(
    child: { hostname: string; accountIndex: number },
    fds: readonly number[],
    listener: ForkListener,
  ): void {
    this.#lastToken += 1;
    const token = this.#lastToken;
    const account = this.#accounts ? child.accountIndex + 1 : null;
    sendWithDescriptors(this.#control, JSON.stringify({ token, hostname: child.hostname, account }), fds);
    this.#forks.set(token, listener);
  }

  /** Forks no more, and ends with its last child. */
  retire(): void {
    if (this.#retired || this.#ended) return;
    this.#retired = true;
    endSending(this.#control);
  }

  /** Ends it and all its children. */
  kill(): void {
    if (this.#ended) return;
    if (this.#pid === undefined) this.#child.kill("SIGKILL");
    else signalIfAlive(this.#pid, "SIGKILL");
  }

  #pipe(fd: number): Socket {
    return this.#child.stdio[fd] as Socket;
  }

  #watch(): void {
    for (const fd of [1, 2]) {
      this.#pipe(fd)
        .setEncoding("utf8")
        .on("data", (text: string) => {
          this.#lastWords = (this.#lastWords + text).slice(-LAST_WORDS_CHARS_MAX);
        });
    }
    this.#pipe(INFO_FD)
      .setEncoding("utf8")
      .on("data", (text: string) => this.#onInfo(text));
    this.#pipe(USER_NAMESPACE_FD).on("error", () => this.kill());
    this.#child.on("error", (error) => (this.#lastWords = error.message));
    this.#child.on("close", () => void this.#onClose());
  }

  #onInfo(text: string): void {
    this.#info += text.slice(0, INFO_CHARS_MAX - this.#info.length);
    const pid = /"child-pid": (\d+)/.exec(this.#info)?.[1];
    if (pid === undefined || this.#pid !== undefined) return;
    this.#pid = Number(pid);
    if (!this.#accounts) return;
    const { own, first, count } = this.#accounts;
    try {
      for (const file of ["uid_map", "gid_map"]) {
        writeFileSync(`/proc/${pid}/${file}`, `0 ${own} 1\n1 ${first} ${count}\n`);
      }
      this.#pipe(USER_NAMESPACE_FD).end("\0");
    } catch (error) {
      this.#lastWords = coerceError(error).message;
      this.kill();
    }
  }

  #onEvents(text: string): void {
    const lines = (this.#text + text).split("\n");
    this.#text = lines.pop() ?? "";
    if (this.#text.length > EVENT_CHARS_MAX) return this.kill();
    for (const line of lines) this.#onEvent(line);
  }

  #onEvent(line: string): void {
    if (line === "ready") return this.#ready.resolve();
    const [, event, token = "", rest = ""] = /^(born|exit|failed) (\d+) ?(.*)$/.exec(line) ?? [];
    if (event === "born") return this.#receiveBirths();
    const listener = this.#forks.get(Number(token));
    // It says what it should not: there is no telling what it does.
    if (event === undefined || !listener) return this.kill();
    this.#forks.delete(Number(token));
    if (event === "exit") listener.onExit(Number(rest));
    else listener.onFailed(rest);
  }

  #receiveBirths(): void {
    if (this.#ended) return;
    for (let birth = receiveWithSender(this.#control); birth; birth = receiveWithSender(this.#control)) {
      this.#forks.get(Number(birth.text))?.onBorn(birth.pid);
    }
  }

  async #onClose(): Promise<void> {
    this.#ended = true;
    closeSync(this.#control);
    this.#events.destroy();
    // The kernel lets it end when everything in its pid namespace has.
    if (this.#pid !== undefined) await orphanGone(this.#pid);
    const reason = `the fork server ended: ${this.#lastWords.trim()}`;
    this.#ready.reject(new SandboxError("zygote", reason));
    const listeners = [...this.#forks.values()];
    this.#forks.clear();
    for (const listener of listeners) listener.onFailed(reason);
    this.#gone.resolve();
  }
}

function bwrapArguments(spec: ZygoteSpec): string[] {
  return [
    ["--unshare-user", "--unshare-pid", "--as-pid-1", "--unshare-ipc", "--unshare-uts", "--unshare-net"],
    ["--unshare-cgroup-try", "--uid", "0", "--gid", "0", "--die-with-parent", "--new-session"],
    CAPABILITIES.flatMap((name) => ["--cap-add", name]),
    // Of /tmp each sandbox gets its own, and here is none.
    ["--ro-bind", spec.rootPath, "/", "--proc", "/proc", "--dev", "/dev", "--remount-ro", "/dev"],
    ["--chdir", "/var/task", "--clearenv"],
    Object.entries(spec.environment).flatMap(([name, value]) => ["--setenv", name, value]),
    spec.accounts ? ["--userns-block-fd", String(USER_NAMESPACE_FD)] : [],
    ["--info-fd", String(INFO_FD)],
  ].flat();
}
