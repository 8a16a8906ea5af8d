/**
 * The empty file systems of sandboxes that have ended, for those to come: a function that never wrote to /tmp leaves it
 * as new, and to mount it again is a twentieth of making another.
 *
 * Each stays mounted in a mount namespace of the spawner's that nobody else is in, so that it outlives its sandbox. It is
 * given to the next one only when nothing was ever changed in it: whatever is made, written or set in a file system with
 * an empty root changes that folder's ctime, which no system call can set. Files without a name (O_TMPFILE) do not: they
 * are gone with the sandbox, and what they wrote is counted.
 */
import {
  chmodSync,
  chownSync,
  close,
  existsSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmdirSync,
  statfsSync,
  utimesSync,
} from "node:fs";
import { join } from "node:path";
import { assert } from "../../../kernel/assert.ts";
import type { Clock } from "../../../kernel/clock.ts";
import type { MountedImage } from "./images.ts";
import { attachMount, cloneMountAt, detachMount } from "./libc.ts";
import { PrivateMountNamespace } from "./mount-namespaces.ts";

/** Written since it was mounted, its own metadata included: more is given back to the disk. Ours. */
const WRITTEN_KB_MAX = 4096;
/** Coarse timestamps differ by a tick of the kernel's, 1 to 10 ms, or not at all. */
const FINE_NS_MAX = 500_000n;
const FINE_ATTEMPTS_MAX = 16;

export interface KeptFileSystem {
  /** Its mount in the namespace that keeps it. */
  readonly path: string;
  readonly device: string;
  /** How it was when it was handed over. */
  state: State | undefined;
}

/** One that waits, with a second mount of it that is attached nowhere and goes to the sandbox. */
export interface Spare {
  readonly mount: number;
  readonly kept: KeptFileSystem;
}

interface State {
  readonly changedNs: bigint;
  readonly blocksFree: bigint;
  readonly filesFree: bigint;
}

export class KeptFileSystems {
  readonly #namespace = new PrivateMountNamespace();
  readonly #folder: string;
  readonly #clock: Clock;
  #last = 0;

  /** `folder` is empty, on a tmpfs of this process's own. Throws SystemCallError. */
  constructor(folder: string, clock: Clock) {
    this.#folder = folder;
    this.#clock = clock;
  }

  /** Takes over the one mount of a new file system. */
  add({ mount, device }: MountedImage): Spare {
    this.#last += 1;
    const path = join(this.#folder, String(this.#last));
    mkdirSync(path);
    this.#namespace.run(() => attachMount(mount, path));
    const kept = { path, device, state: undefined };
    return { mount: this.#orDrop(kept, () => cloneMountAt(path)), kept };
  }

  /** Gives it to `account`, with times of now. */
  handOver({ mount, kept }: Spare, account: number | undefined): void {
    const root = `/proc/self/fd/${mount}/.`;
    if (account !== undefined) chownSync(root, account, account);
    const nowSeconds = this.#clock.nowMs() / 1000;
    utimesSync(root, nowSeconds, nowSeconds);
    kept.state = readState(root);
  }

  /** To be called when its sandbox is gone: it is as new, or dropped and undefined is returned. */
  takeBack(kept: KeptFileSystem, options: { wanted: boolean }): Spare | undefined {
    const { path, device, state } = kept;
    const mount = this.#orDrop(kept, () => {
      if (!options.wanted || !state || !isSame(readState(`${path}/.`), state)) return undefined;
      if (writtenKb(device) > WRITTEN_KB_MAX) return undefined;
      return cloneMountAt(path);
    });
    return mount === undefined ? undefined : { mount, kept };
  }

  /** Runs `cloned` where the file system is mounted, and drops it when that makes no second mount of it. */
  #orDrop<T extends number | undefined>(kept: KeptFileSystem, cloned: () => T): T {
    let mount: T | undefined;
    try {
      mount = this.#namespace.run(cloned);
      return mount;
    } finally {
      if (mount === undefined) this.#drop(kept);
    }
  }

  #drop({ path }: KeptFileSystem): void {
    const last = this.#namespace.run(() => {
      try {
        return openSync(path, "r");
      } finally {
        detachMount(path);
      }
    });
    rmdirSync(path);
    // The last one out unmounts, which writes what is left and may take long: not on this thread.
    close(last, (error) => assert(!error, "an open folder can be closed"));
  }
}

/**
 * Whether this machine tells of everything that is done to an empty file system: how much was written, by sysfs, and each
 * change. Timestamps are fine enough for that from Linux 6.13 on; before, all changes of one tick had the same.
 */
export function tellsEveryChange({ mount, device }: MountedImage): boolean {
  if (!existsSync(writtenPath(device))) return false;
  const root = `/proc/self/fd/${mount}/.`;
  let before = readState(root).changedNs;
  for (let attempt = 0; attempt < FINE_ATTEMPTS_MAX; attempt += 1) {
    chmodSync(root, 0o700);
    const after = readState(root).changedNs;
    if (after > before && after - before < FINE_NS_MAX) return true;
    before = after;
  }
  return false;
}

function readState(root: string): State {
  const { ctimeNs } = lstatSync(root, { bigint: true });
  const { bfree, ffree } = statfsSync(root, { bigint: true });
  return { changedNs: ctimeNs, blocksFree: bfree, filesFree: ffree };
}

function isSame(one: State, other: State): boolean {
  return (
    one.changedNs === other.changedNs &&
    one.blocksFree === other.blocksFree &&
    one.filesFree === other.filesFree
  );
}

/** What its image on the disk may have grown by. */
function writtenKb(device: string): number {
  return Number(readFileSync(writtenPath(device), "latin1"));
}

function writtenPath(device: string): string {
  return `/sys/fs/ext4/${device}/session_write_kbytes`;
}
