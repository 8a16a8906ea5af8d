import type { ChildProcess } from "node:child_process";
import { readFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { Duplex, Readable } from "node:stream";
import { assert } from "../../../kernel/assert.ts";
import type { Clock } from "../../../kernel/clock.ts";
import { tolerate } from "../cgroups/files.ts";
import {
  SandboxError,
  type CodeMounts,
  type Sandbox,
  type SandboxExit,
  type Specialisation,
} from "../sandbox.ts";
import { killMarked } from "./descendants.ts";
import { linkMerged, rewritePaths } from "./paths.ts";

export interface ProcessSandboxParts {
  readonly id: string;
  /** The sandbox's own folder, removed with it. */
  readonly folder: string;
  /** Started in a session and process group of its own. */
  readonly child: ChildProcess;
  readonly link: Duplex | undefined;
  readonly output: Readable;
  readonly specialised: boolean;
  readonly clock: Clock;
  readonly onDestroyed: () => void;
}

export class ProcessSandbox implements Sandbox {
  readonly id: string;
  readonly link: Duplex | undefined;
  readonly output: Readable;
  readonly address: undefined;
  readonly exited: Promise<SandboxExit>;
  readonly #parts: ProcessSandboxParts;
  /** False once the process was reaped: from then on its pid may be another's. */
  #alive = true;
  #specialised: boolean;
  #peakMemoryBytes: number | undefined;
  #destroyed: Promise<void> | undefined;

  constructor(parts: ProcessSandboxParts) {
    this.#parts = parts;
    this.id = parts.id;
    this.link = parts.link;
    this.output = parts.output;
    this.#specialised = parts.specialised;
    this.exited = new Promise((resolve) => {
      parts.child.once("exit", (code, signal) => {
        this.#alive = false;
        // Without a memory limit nothing can exceed it.
        resolve({ code: code ?? undefined, signal: signal ?? undefined, outOfMemory: false });
      });
    });
  }

  async specialise({ code }: Specialisation): Promise<void> {
    assert(!this.#specialised, "a sandbox is specialised once");
    this.#specialised = true;
    await showCode(this.#parts.folder, code);
  }

  rewritePaths(text: string): string {
    return rewritePaths(text, this.#parts.folder);
  }

  /** Nothing limits CPU time here; `walls` says so. */
  async limitCpu(): Promise<void> {}

  async signal(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    const { pid } = this.#parts.child;
    if (this.#alive && pid !== undefined) tolerate(["ESRCH"], () => process.kill(pid, signal));
  }

  async freeze(): Promise<void> {
    this.#signalGroup("SIGSTOP");
  }

  async thaw(): Promise<void> {
    this.#signalGroup("SIGCONT");
  }

  /** The main process's alone: nothing counts the others. */
  peakMemoryBytes(): number | undefined {
    if (!this.#alive) return this.#peakMemoryBytes;
    tolerate(["ENOENT", "ESRCH"], () => {
      const status = readFileSync(`/proc/${this.#parts.child.pid}/status`, "utf8");
      const peakKib = /^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1];
      if (peakKib !== undefined) this.#peakMemoryBytes = Number(peakKib) * 1024;
    });
    return this.#peakMemoryBytes;
  }

  destroy(_reason: string): Promise<void> {
    this.#destroyed ??= this.#destroy();
    return this.#destroyed;
  }

  async #destroy(): Promise<void> {
    const { folder, clock, onDestroyed } = this.#parts;
    this.#signalGroup("SIGKILL");
    const gone = await killMarked(`${folder}\0`, clock);
    await this.exited;
    this.link?.destroy();
    // A reader gets what is left in the pipe; without one nobody would ever close it.
    const readers = this.output.listenerCount("data") + this.output.listenerCount("readable");
    if (readers === 0) this.output.destroy();
    await rm(folder, { recursive: true, force: true });
    onDestroyed();
    if (!gone) throw new SandboxError("kill", `processes of sandbox ${this.id} survive SIGKILL`);
  }

  #signalGroup(signal: "SIGSTOP" | "SIGCONT" | "SIGKILL"): void {
    const { pid } = this.#parts.child;
    if (this.#alive && pid !== undefined) tolerate(["ESRCH"], () => process.kill(-pid, signal));
  }
}

/** Fills the folders `task`, `opt` and `artefacts`, which are empty till then. */
export async function showCode(folder: string, { task, layers, artefacts }: CodeMounts): Promise<void> {
  try {
    await linkMerged(join(folder, "task"), [task]);
    await linkMerged(join(folder, "opt"), layers);
    if (artefacts !== undefined) await linkMerged(join(folder, "artefacts"), [artefacts]);
  } catch (cause) {
    throw new SandboxError("show-code", `the code cannot be linked into ${folder}`, { cause });
  }
}
