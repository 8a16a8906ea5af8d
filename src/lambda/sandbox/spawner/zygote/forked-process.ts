/**
 * One sandbox's processes, forked from a zygote. The same gate as bubblewrap's: the command reads one byte and closes
 * its end when the walls are up; what comes through the gate before is why they are not.
 */
import { closeSync, fchownSync, openSync } from "node:fs";
import { Socket } from "node:net";
import { deferred } from "../../../../kernel/deferred.ts";
import { SandboxError } from "../../sandbox.ts";
import { commandEnd, signalCommand, type BwrapEnd, type SandboxProcess } from "../bwrap.ts";
import { pipe, socketPair } from "../libc.ts";
import { signalIfAlive } from "../process-tree.ts";
import type { Zygote } from "./zygote.ts";

const MESSAGE_CHARS_MAX = 1000;

export interface ForkSpec {
  readonly hostname: string;
  /** Number of the sandbox's account among those of the zygote's children. */
  readonly accountIndex: number;
  /** The account as the host knows it; undefined: the spawner's own. */
  readonly account: number | undefined;
  /** The `cgroup.procs` files of its control groups. */
  readonly groupFiles: readonly string[];
}

export class ForkedProcess implements SandboxProcess {
  readonly outputFd: number;
  readonly linkFd: number;
  readonly initPid: Promise<number>;
  readonly ended: Promise<BwrapEnd>;
  readonly gone: Promise<void>;
  readonly #gate: Socket;
  readonly #init = deferred<number>();
  readonly #ended = deferred<BwrapEnd>();
  readonly #gone = deferred();
  #initPid: number | undefined;
  #isAlive = true;
  #killed = false;
  #refusal = "";

  /** Asks the zygote. Throws SystemCallError when it cannot be asked, or out of descriptors. */
  constructor(zygote: Zygote, spec: ForkSpec) {
    this.initPid = this.#init.promise;
    // Nobody may be waiting for the pid any more.
    this.initPid.catch(() => undefined);
    this.ended = this.#ended.promise;
    this.gone = this.#gone.promise;
    const theirs: number[] = [];
    const ours: number[] = [];
    const keep = (fd: number, other: number) => {
      ours.push(fd);
      theirs.push(other);
      return fd;
    };
    try {
      const output = pipe();
      this.outputFd = keep(output.read, output.write);
      // Its owner may open it again by name: `echo … > /dev/stderr`.
      if (spec.account !== undefined) fchownSync(output.write, spec.account, spec.account);
      const gate = socketPair();
      const gateFd = keep(gate.ours, gate.theirs);
      const link = socketPair();
      this.linkFd = keep(link.ours, link.theirs);
      for (const file of spec.groupFiles) theirs.push(openSync(file, "w"));
      zygote.fork(spec, theirs, {
        onBorn: (pid) => this.#onBorn(pid),
        onExit: (status) => this.#onEnd(waitStatus(status)),
        onFailed: (reason) => this.#onEnd({ code: undefined, signal: "SIGKILL" }, reason),
      });
      this.#gate = new Socket({ fd: gateFd, readable: true, writable: true });
    } catch (error) {
      for (const fd of ours) closeSync(fd);
      throw error;
    } finally {
      for (const fd of theirs) closeSync(fd);
    }
    // Its end is looked at by `release`, and by `gone`.
    this.#gate.on("error", () => undefined);
    this.#gate.setEncoding("utf8").on("data", (text: string) => {
      this.#refusal = (this.#refusal + text).slice(0, MESSAGE_CHARS_MAX);
    });
  }

  /** Why the walls could not be built, in the words of the process that tried; empty when it did not say. */
  get refusal(): string {
    return this.#refusal;
  }

  get isAlive(): boolean {
    return this.#isAlive;
  }

  async release(): Promise<void> {
    const walls = deferred();
    this.#gate.on("end", () => walls.resolve());
    this.#gate.on("error", (error) => walls.reject(error));
    this.#gate.on("close", () => walls.resolve());
    if (this.#gate.destroyed) walls.resolve();
    else this.#gate.write("\0");
    await walls.promise.catch((error: unknown) => {
      throw new SandboxError("build-walls", this.#refusal || "the command ended before", { cause: error });
    });
    if (this.#refusal !== "") throw new SandboxError("build-walls", this.#refusal);
    this.#gate.destroy();
  }

  async signal(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    await signalCommand(() => (this.#isAlive ? this.#initPid : undefined), signal);
  }

  kill(): void {
    this.#killed = true;
    // Without its gate it ends by itself, if it is not there yet.
    if (this.#initPid === undefined) this.#gate.destroy();
    else if (this.#isAlive) signalIfAlive(this.#initPid, "SIGKILL");
  }

  closeDescriptors(): void {
    closeSync(this.outputFd);
    closeSync(this.linkFd);
  }

  #onBorn(pid: number): void {
    this.#initPid = pid;
    this.#init.resolve(pid);
    if (this.#killed) this.kill();
  }

  /** When a pid 1 has ended and was reaped, nothing of its namespace is left. */
  #onEnd(end: BwrapEnd, reason?: string): void {
    this.#isAlive = false;
    this.#init.reject(new SandboxError("fork", reason ?? (this.#refusal || "the command ended before")));
    this.#ended.resolve(end);
    // What it wrote last may still be on the way: the end of the stream follows it.
    if (this.#killed && this.#initPid === undefined) this.#gate.destroy();
    this.#gate.once("end", () => {
      this.#gate.destroy();
      this.#gone.resolve();
    });
    this.#gate.once("close", () => this.#gone.resolve());
    if (this.#gate.destroyed) this.#gone.resolve();
  }
}

/** From a status of waitpid(2). */
function waitStatus(status: number): BwrapEnd {
  const signal = status & 0x7f;
  return signal === 0 ? commandEnd(status >> 8, null) : { code: undefined, signal: "SIGKILL" };
}
