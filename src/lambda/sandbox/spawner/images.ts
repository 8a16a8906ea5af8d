/**
 * Empty ext4 file systems, each in a sparse file without a name on the server's disk, on a loop device that the kernel
 * frees with the last mount. So there is nothing to remove, whoever dies.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, closeSync, ftruncateSync, openSync, readSync, rmdirSync, writeSync } from "node:fs";
import { SandboxError } from "../sandbox.ts";
import { createMount, dataExtents, MOUNT_ATTR_NODEV, MOUNT_ATTR_NOSUID } from "./libc.ts";
import { attachLoopDevice, O_TMPFILE } from "./loop.ts";

const MIB = 1024 * 1024;
/** Sizes whose empty file system is kept in memory. Ours: a few hundred KiB each. */
const TEMPLATES_MAX = 16;
/** An empty file system is a few extents; more than this is none of ours. */
const TEMPLATE_BYTES_MAX = 16 * MIB;
const BLOCK_BYTES = 4096;
const MKFS_TIMEOUT_MS = 10_000;
const MKFS = [
  ...["-q", "-F", "-m", "0", "-O", "^has_journal,^resize_inode"],
  ...["-E", "lazy_itable_init=1,nodiscard,packed_meta_blocks=1"],
];

/** The bytes of an empty file system that are not zero. */
type Template = readonly { readonly offset: number; readonly data: Buffer }[];

export interface MountedImage {
  /** The mount, attached nowhere. */
  readonly mount: number;
  /** Its loop device, `loop7`. */
  readonly device: string;
}

export class EmptyImages {
  readonly #directory: string;
  readonly #templates = new Map<number, Template>();

  /** `directory` is on the disk that holds the images. */
  constructor(directory: string) {
    this.#directory = directory;
  }

  /**
   * An empty file system with `bytes` free, which its owner alone may enter. Rejects with SandboxError or SystemCallError
   * where the machine or our privileges do not allow it.
   */
  async make(bytes: number): Promise<MountedImage> {
    const template = await this.#template(bytes);
    const image = this.#newImage(bytes);
    try {
      for (const { offset, data } of template) writeSync(image, data, 0, data.length, offset);
      return mountImage(image);
    } finally {
      closeSync(image);
    }
  }

  async #template(bytes: number): Promise<Template> {
    const known = this.#templates.get(bytes);
    if (known) return known;
    const image = this.#newImage(bytes);
    try {
      await makeFileSystem(image);
      emptyFileSystem(image);
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

function mountImage(image: number): MountedImage {
  const device = attachLoopDevice(image);
  try {
    const attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
    const mount = createMount("ext4", { source: device.path, noinit_itable: "" }, attributes);
    return { mount, device: device.path.slice("/dev/".length) };
  } finally {
    closeSync(device.fd);
  }
}

/** Takes from a new file system what mkfs puts there, once for all that are made from it. */
function emptyFileSystem(image: number): void {
  const { mount } = mountImage(image);
  try {
    const root = `/proc/self/fd/${mount}`;
    rmdirSync(`${root}/lost+found`);
    chmodSync(`${root}/.`, 0o700);
  } finally {
    // Its only mount: what was changed is in the image when this returns.
    closeSync(mount);
  }
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
