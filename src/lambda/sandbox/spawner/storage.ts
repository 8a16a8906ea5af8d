/**
 * /tmp of sandboxes. It has an exact size and, as on AWS, does not count as memory: each sandbox gets an ext4 file
 * system of its own (images.ts). Those of the usual size that nobody wrote to are used again (kept-file-systems.ts).
 *
 * (One file system with project quotas for all would be cheaper, but needs CONFIG_QFMT_V2, which not every kernel has.)
 *
 * Loop devices take root on the host. Otherwise /tmp is a tmpfs: exact too, but its pages count as the sandbox's memory.
 */
import { chownSync, closeSync, mkdirSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import type { Clock } from "../../../kernel/clock.ts";
import { EPHEMERAL_STORAGE_MB_MIN } from "../../../limits.ts";
import type { BwrapSpec } from "./bwrap.ts";
import { mountTmpfs, resizeTmpfs } from "./code-mounts.ts";
import { EmptyImages, type MountedImage } from "./images.ts";
import { KeptFileSystems, tellsEveryChange, type KeptFileSystem } from "./kept-file-systems.ts";
import { attachMount, detachMount } from "./libc.ts";
import { inMountNamespace } from "./mount-namespaces.ts";

const MIB = 1024 * 1024;
/** The size that most functions have. File systems of it are made ahead: 3 ms that no cold start waits for. */
const SPARE_BYTES = EPHEMERAL_STORAGE_MB_MIN * MIB;
const SPARES_MADE = 4;
/** With those that come back. Ours: each is an open file of this process, a loop device and some kernel memory. */
const SPARES_MAX = 64;
const SPARE_AFTER_MS = 50;

/** Where sandboxes get their /tmp from. */
export interface TemporaryStorage {
  /** What bwrap shall show as /tmp. */
  create(options: StorageOptions): Promise<BwrapSpec["storage"]>;
  /** A file system that will be /tmp of a sandbox whose mount namespace is not there yet. */
  prepare(options: StorageOptions): Promise<PreparedStorage>;
  /** Takes back what only the start of the sandbox needed. Idempotent. */
  release(index: number): void;
  /** For a running sandbox with nothing in /tmp yet; `pid` tells one of its processes, and throws when there is none any more. */
  resize(pid: () => number, options: StorageOptions & { previousBytes: number }): Promise<void>;
  /** Everything in the sandbox is gone: its file system may serve another. Idempotent. */
  reclaim(index: number): void;
}

export interface PreparedStorage {
  /** Attaches it as /tmp of the mount namespace of `pid`. */
  attach(pid: number): void;
  /** Gives it back if it is attached nowhere. */
  close(): void;
}

export interface StorageOptions {
  /** Number of the sandbox, which no other has at the same time. */
  readonly index: number;
  readonly bytes: number;
  /** Owner of /tmp; undefined: the spawner's own. */
  readonly account: number | undefined;
}

export const tmpfsStorage: TemporaryStorage = {
  create: ({ bytes }) => Promise.resolve({ tmpfsBytes: bytes }),
  prepare: ({ bytes, account }) =>
    Promise.resolve({
      attach: (pid) => inMountNamespace(pid, () => mountTmpfs(bytes, account)),
      close: () => undefined,
    }),
  release: () => undefined,
  reclaim: () => undefined,
  resize: (pid, { bytes }) => {
    inMountNamespace(pid(), () => resizeTmpfs(bytes));
    return Promise.resolve();
  },
};

export class ImageStorage implements TemporaryStorage {
  readonly #images: EmptyImages;
  readonly #stagingPath: string;
  /** Undefined where a kernel's timestamps do not tell whether a file system is as new. */
  readonly #kept: KeptFileSystems | undefined;
  /** Of SPARE_BYTES, they belong to nobody yet; without `kept` where none is kept. */
  readonly #spares: { readonly mount: number; readonly kept?: KeptFileSystem }[] = [];
  /** Those that sandboxes have, by the sandbox's number. */
  readonly #lent = new Map<number, KeptFileSystem>();
  #sparesTimer: NodeJS.Timeout | undefined;

  private constructor(parts: {
    images: EmptyImages;
    stagingPath: string;
    kept: KeptFileSystems | undefined;
  }) {
    this.#images = parts.images;
    this.#stagingPath = parts.stagingPath;
    this.#kept = parts.kept;
  }

  /**
   * `directory` is on the disk that holds the images, `stagingPath` in this process's own mount namespace.
   * Rejects with SandboxError or SystemCallError where the machine or our privileges do not allow it.
   */
  static async open(directory: string, stagingPath: string, clock: Clock): Promise<ImageStorage> {
    const images = new EmptyImages(directory);
    const first = await images.make(SPARE_BYTES);
    const keptPath = join(stagingPath, "kept");
    mkdirSync(keptPath);
    const kept = tellsEveryChange(first) ? new KeptFileSystems(keptPath, clock) : undefined;
    const storage = new ImageStorage({ images, stagingPath, kept });
    storage.#spares.push(storage.#keep(first));
    storage.#sparesLater();
    return storage;
  }

  async create(options: StorageOptions): Promise<BwrapSpec["storage"]> {
    const mount = await this.#take(options);
    const folder = this.#staged(options.index);
    try {
      // It is there when an attempt with this number failed here before.
      mkdirSync(folder, { recursive: true });
      attachMount(mount, folder);
    } finally {
      closeSync(mount);
    }
    return { folder };
  }

  async prepare(options: StorageOptions): Promise<PreparedStorage> {
    const mount = await this.#take(options);
    return {
      attach: (pid) => inMountNamespace(pid, () => attachMount(mount, "/tmp")),
      close: () => closeSync(mount),
    };
  }

  release(index: number): void {
    const folder = this.#staged(index);
    detachMount(folder);
    rmdirSync(folder);
  }

  async resize(pid: () => number, options: StorageOptions & { previousBytes: number }): Promise<void> {
    if (options.bytes === options.previousBytes) return;
    const mount = await this.#take(options);
    try {
      inMountNamespace(pid(), () => attachMount(mount, "/tmp"));
    } finally {
      closeSync(mount);
    }
  }

  reclaim(index: number): void {
    const lent = this.#lent.get(index);
    if (!lent) return;
    this.#lent.delete(index);
    const spare = this.#kept?.takeBack(lent, { wanted: this.#spares.length < SPARES_MAX });
    if (spare) this.#spares.push(spare);
  }

  /** An empty file system, mounted and attached nowhere: one that waits, or a new one. */
  async #take({ index, bytes, account }: StorageOptions): Promise<number> {
    const waiting = bytes === SPARE_BYTES ? this.#spares.pop() : undefined;
    const { mount, kept } = waiting ?? (await this.#make(bytes));
    this.#sparesLater();
    try {
      if (kept) {
        this.#lent.set(index, kept);
        this.#kept?.handOver({ mount, kept }, account);
      } else if (account !== undefined) chownSync(`/proc/self/fd/${mount}/.`, account, account);
      return mount;
    } catch (error) {
      closeSync(mount);
      throw error;
    }
  }

  async #make(bytes: number): Promise<{ mount: number; kept?: KeptFileSystem }> {
    const made = await this.#images.make(bytes);
    return bytes === SPARE_BYTES ? this.#keep(made) : made;
  }

  #keep(made: MountedImage): { mount: number; kept?: KeptFileSystem } {
    if (!this.#kept) return made;
    try {
      return this.#kept.add(made);
    } finally {
      closeSync(made.mount);
    }
  }

  /** Makes one spare after the other, each after a while in which nobody came: they must not compete with who waits. */
  #sparesLater(): void {
    clearTimeout(this.#sparesTimer);
    if (this.#spares.length >= SPARES_MADE) return;
    this.#sparesTimer = setTimeout(() => {
      this.#make(SPARE_BYTES).then(
        (spare) => {
          this.#spares.push(spare);
          this.#sparesLater();
        },
        // The disk is full, or the like: the next sandbox tries by itself, and its caller hears of it.
        () => undefined,
      );
    }, SPARE_AFTER_MS);
  }

  #staged(index: number): string {
    return join(this.#stagingPath, `tmp-${index}`);
  }
}
