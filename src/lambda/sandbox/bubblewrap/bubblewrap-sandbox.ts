/** One sandbox of the bubblewrap driver, as the server holds it. */
import { closeSync, openSync, readSync } from "node:fs";
import type { Socket } from "node:net";
import type { Duplex, Readable } from "node:stream";
import { deferred } from "../../../kernel/deferred.ts";
import { SandboxError, type Sandbox, type SandboxExit, type Specialisation } from "../sandbox.ts";
import type { Created, SpawnerRequest } from "../spawner/protocol.ts";
import type { SandboxHandles } from "./spawner-client.ts";

/** Digits of a byte count, with room. */
const PEAK_FILE_BYTES = 32;

export interface BubblewrapSandboxOptions {
  readonly id: string;
  readonly created: Created;
  readonly handles: SandboxHandles;
  readonly request: (command: SpawnerRequest) => Promise<unknown>;
  /** The folders as the spawner knows them. */
  readonly resolveCode: (code: Specialisation["code"]) => Specialisation["code"];
  readonly onDestroyed: () => void;
}

export class BubblewrapSandbox implements Sandbox {
  readonly id: string;
  readonly link: Duplex | undefined;
  readonly output: Readable;
  readonly address: string | undefined;
  readonly #options: BubblewrapSandboxOptions;
  readonly #exited = deferred<SandboxExit>();
  readonly #peak = Buffer.alloc(PEAK_FILE_BYTES);
  #peakFd: number | undefined;
  #peakBytes: number | undefined;
  #dead = false;
  #destroyed: Promise<void> | undefined;

  constructor(options: BubblewrapSandboxOptions) {
    const { output, link } = options.handles;
    if (!output) throw new SandboxError("create", "the spawner passed no output pipe");
    this.#options = options;
    this.id = options.id;
    this.address = options.created.address;
    this.link = link;
    this.output = readOnly(output);
    // A broken link ends with `close`, which is what its reader looks at.
    link?.on("error", () => undefined);
    const { peakMemoryPath } = options.created;
    if (peakMemoryPath !== undefined) this.#peakFd = openSync(peakMemoryPath, "r");
  }

  get exited(): Promise<SandboxExit> {
    return this.#exited.promise;
  }

  async specialise(specialisation: Specialisation): Promise<void> {
    const { memoryMb, ephemeralStorageMb } = specialisation;
    const code = this.#options.resolveCode(specialisation.code);
    await this.#options.request({ op: "specialise", id: this.id, code, memoryMb, ephemeralStorageMb });
  }

  async limitCpu(): Promise<void> {
    if (!this.#dead) await this.#options.request({ op: "limit-cpu", id: this.id });
  }

  async signal(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    if (!this.#dead) await this.#options.request({ op: "signal", id: this.id, signal });
  }

  async freeze(): Promise<void> {
    if (!this.#dead) await this.#options.request({ op: "freeze", id: this.id });
  }

  async thaw(): Promise<void> {
    if (!this.#dead) await this.#options.request({ op: "thaw", id: this.id });
  }

  peakMemoryBytes(): number | undefined {
    if (this.#peakFd === undefined) return this.#peakBytes;
    const length = readSync(this.#peakFd, this.#peak, 0, PEAK_FILE_BYTES, 0);
    const bytes = Number(this.#peak.toString("latin1", 0, length));
    // Older kernels tell the present use only: the highest of what was seen is the peak.
    this.#peakBytes = Math.max(bytes, this.#peakBytes ?? 0);
    return this.#peakBytes;
  }

  async destroy(_reason: string): Promise<void> {
    this.#destroyed ??= this.#destroy();
    await this.#destroyed;
  }

  /** The main process has ended. */
  onExit(exit: SandboxExit): void {
    this.#dead = true;
    this.#exited.resolve(exit);
  }

  /** The spawner has ended, and the kernel has killed all that was inside. */
  onSpawnerDeath(): void {
    this.onExit({ code: undefined, signal: "SIGKILL", outOfMemory: false });
    this.#destroyed ??= Promise.resolve();
    this.#release();
  }

  async #destroy(): Promise<void> {
    try {
      await this.#options.request({ op: "destroy", id: this.id });
    } catch (error) {
      // With the spawner everything inside has died, too.
      if (!(error instanceof SandboxError && error.step === "spawner")) throw error;
    } finally {
      this.onExit({ code: undefined, signal: "SIGKILL", outOfMemory: false });
      this.#release();
    }
  }

  #release(): void {
    if (this.#peakFd !== undefined) {
      // The last figure stays to be had. The group may be gone already, and with it the file's content.
      closeSync(this.#peakFd);
      this.#peakFd = undefined;
    }
    this.link?.destroy();
    // What was written last can still be read; if nobody ever did, nobody will.
    if (this.output.readableFlowing === null) this.output.destroy();
    this.#options.onDestroyed();
  }
}

/** A pipe comes as a socket that Node takes for a two-way one: it must not try to shut down the other way at the end. */
function readOnly(socket: Socket): Readable {
  socket.allowHalfOpen = true;
  socket.on("end", () => socket.destroy());
  socket.on("error", () => undefined);
  return socket;
}
