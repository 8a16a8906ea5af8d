/**
 * /tmp of sandboxes. It has an exact size and, as on AWS, does not count as memory: each sandbox gets an ext4 file
 * system of its own, in a sparse file without a name on the server's disk, on a loop device that the kernel frees with
 * the last mount. So there is nothing to remove, whoever dies.
 *
 * (One file system with project quotas for all would be cheaper, but needs CONFIG_QFMT_V2, which not every kernel has.)
 *
 * Loop devices take root on the host. Otherwise /tmp is a tmpfs: exact too, but its pages count as the sandbox's memory.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  chownSync,
  closeSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readSync,
  rmdirSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { EPHEMERAL_STORAGE_MB_MIN } from "../../../limits.ts";
import { SandboxError } from "../sandbox.ts";
import type { BwrapSpec } from "./bwrap.ts";
import { inMountNamespace, mountTmpfs, resizeTmpfs } from "./code-mounts.ts";
import {
  attachMount,
  createMount,
  dataExtents,
  detachMount,
  MOUNT_ATTR_NODEV,
  MOUNT_ATTR_NOSUID,
} from "./libc.ts";
import { attachLoopDevice, O_TMPFILE } from "./loop.ts";

const MIB = 1024 * 1024;
/** Sizes whose empty file system is kept in memory. Ours: a few hundred KiB each. */
const TEMPLATES_MAX = 16;
/** An empty file system is a few extents; more than this is none of ours. */
const TEMPLATE_BYTES_MAX = 16 * MIB;
const BLOCK_BYTES = 4096;
/** File systems of the size that most functions have, made ahead: 4 ms that no cold start waits for. */
const SPARE_BYTES = EPHEMERAL_STORAGE_MB_MIN * MIB;
const SPARES = 4;
const SPARE_AFTER_MS = 50;
const MKFS_TIMEOUT_MS = 10_000;
const MKFS = [
  ...["-q", "-F", "-m", "0", "-O", "^has_journal,^resize_inode"],
  ...["-E", "lazy_itable_init=1,nodiscard,packed_meta_blocks=1"],
];

/** Where sandboxes get their /tmp from. */
export interface TemporaryStorage {
  /** What bwrap shall show as /tmp. */
  create(index: number, options: StorageOptions): Promise<BwrapSpec["storage"]>;
  /** A file system that will be /tmp of a sandbox whose mount namespace is not there yet. */
  prepare(options: StorageOptions): Promise<PreparedStorage>;
  /** Takes back what only the start of the sandbox needed. Idempotent. */
  release(index: number): void;
  /** For a running sandbox with nothing in /tmp yet; `pid` is one of its processes. */
  resize(pid: number, options: StorageOptions & { previousBytes: number }): Promise<void>;
}

export interface PreparedStorage {
  /** Attaches it as /tmp of the mount namespace of `pid`. */
  attach(pid: number): void;
  /** Gives it back if it is attached nowhere. */
  close(): void;
}

export interface StorageOptions {
  readonly bytes: number;
  /** Owner of /tmp; undefined: the spawner's own. */
  readonly account: number | undefined;
}

export const tmpfsStorage: TemporaryStorage = {
  create: (_index, { bytes }) => Promise.resolve({ tmpfsBytes: bytes }),
  prepare: ({ bytes, account }) =>
    Promise.resolve({
      attach: (pid) => inMountNamespace(pid, () => mountTmpfs(bytes, account)),
      close: () => undefined,
    }),
  release: () => undefined,
  resize: (pid, { bytes }) => {
    inMountNamespace(pid, () => resizeTmpfs(bytes));
    return Promise.resolve();
  },
};

/** The bytes of an empty file system that are not zero. */
type Template = readonly { readonly offset: number; readonly data: Buffer }[];

export class ImageStorage implements TemporaryStorage {
  readonly #directory: string;
  readonly #stagingPath: string;
  readonly #templates = new Map<number, Template>();
  /** Mounts of SPARE_BYTES that belong to nobody yet. */
  readonly #spares: number[] = [];
  #sparesTimer: NodeJS.Timeout | undefined;

  private constructor(directory: string, stagingPath: string) {
    this.#directory = directory;
    this.#stagingPath = stagingPath;
  }

  /**
   * `directory` is on the disk that holds the images, `stagingPath` in this process's own mount namespace.
   * Rejects with SandboxError or SystemCallError where the machine or our privileges do not allow it.
   */
  static async open(directory: string, stagingPath: string): Promise<ImageStorage> {
    const storage = new ImageStorage(directory, stagingPath);
    storage.#spares.push(await storage.#make(SPARE_BYTES));
    storage.#sparesLater();
    return storage;
  }

  async create(index: number, options: StorageOptions): Promise<BwrapSpec["storage"]> {
    const mount = await this.#take(options);
    const folder = this.#staged(index);
    try {
      mkdirSync(folder);
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

  async resize(pid: number, options: StorageOptions & { previousBytes: number }): Promise<void> {
    if (options.bytes === options.previousBytes) return;
    const mount = await this.#take(options);
    try {
      inMountNamespace(pid, () => attachMount(mount, "/tmp"));
    } finally {
      closeSync(mount);
    }
  }

  /** An empty file system, mounted and attached nowhere: one that waits, or a new one. */
  async #take({ bytes, account }: StorageOptions): Promise<number> {
    const spare = bytes === SPARE_BYTES ? this.#spares.pop() : undefined;
    const mount = spare ?? (await this.#make(bytes));
    this.#sparesLater();
    try {
      if (account !== undefined) chownSync(`/proc/self/fd/${mount}/.`, account, account);
      return mount;
    } catch (error) {
      closeSync(mount);
      throw error;
    }
  }

  /** Makes one spare after the other, each after a while in which nobody came: they must not compete with who waits. */
  #sparesLater(): void {
    clearTimeout(this.#sparesTimer);
    if (this.#spares.length >= SPARES) return;
    this.#sparesTimer = setTimeout(() => {
      this.#make(SPARE_BYTES).then(
        (mount) => {
          this.#spares.push(mount);
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

  /** An empty file system, mounted and attached nowhere. */
  async #make(bytes: number): Promise<number> {
    const template = await this.#template(bytes);
    const image = this.#newImage(bytes);
    let device: { path: string; fd: number } | undefined;
    try {
      for (const { offset, data } of template) writeSync(image, data, 0, data.length, offset);
      device = attachLoopDevice(image);
      const attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
      const mount = createMount("ext4", { source: device.path, noinit_itable: "" }, attributes);
      const root = `/proc/self/fd/${mount}`;
      rmdirSync(`${root}/lost+found`);
      chmodSync(`${root}/.`, 0o700);
      return mount;
    } finally {
      if (device) closeSync(device.fd);
      closeSync(image);
    }
  }

  async #template(bytes: number): Promise<Template> {
    const known = this.#templates.get(bytes);
    if (known) return known;
    const image = this.#newImage(bytes);
    try {
      await makeFileSystem(image);
      const template = dataExtents(image, imageBytes(bytes), TEMPLATE_BYTES_MAX).map(({ offset, length }) => {
        const data = Buffer.alloc(length);
        readSync(image, data, 0, length, offset);
        return { offset, data };
      });
      const [oldest] = this.#templates.keys();
      if (this.#templates.size >= TEMPLATES_MAX && oldest !== undefined) this.#templates.delete(oldest);
      this.#templates.set(bytes, template);
      return template;
    } finally {
      closeSync(image);
    }
  }

  /** With `bytes` free, as on AWS: what ext4 takes for itself comes on top. */
  #newImage(bytes: number): number {
    const image = openSync(this.#directory, O_TMPFILE, 0o600);
    ftruncateSync(image, imageBytes(bytes));
    return image;
  }
}

/**
 * Size of an ext4 image in which `freeBytes` can be written: the kernel keeps 2 % back, at most 16 MiB (s_resv_clusters),
 * an inode of 256 bytes is made for every 16 KiB, and bitmaps and descriptors are 1/8192 and a little.
 */
function imageBytes(freeBytes: number): number {
  const kept = Math.min(freeBytes / 48, 16 * MIB);
  const bytes = ((freeBytes + kept) * 64) / 63 + freeBytes / 8192 + MIB / 4;
  return Math.ceil(bytes / BLOCK_BYTES) * BLOCK_BYTES;
}

async function makeFileSystem(image: number): Promise<void> {
  const child = spawn("mkfs.ext4", [...MKFS, "/proc/self/fd/3"], {
    stdio: ["ignore", "ignore", "pipe", image],
    timeout: MKFS_TIMEOUT_MS,
  });
  let message = "";
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    message = (message + text).slice(0, 1000);
  });
  const [code] = (await once(child, "close").catch((cause: unknown) => {
    throw new SandboxError("mkfs", "mkfs.ext4 could not be started", { hint: "install e2fsprogs", cause });
  })) as [number | null];
  if (code !== 0) throw new SandboxError("mkfs", `mkfs.ext4: ${message.trim()}`);
}
