/**
 * Shows a function's code inside a sandbox that already runs: the folder is cloned as a detached read-only mount here,
 * then attached in the sandbox's own mount namespace, which this thread enters for a moment.
 *
 * Nothing of it is ever in the spawner's mount namespace, so there is nothing to take away at the end, and the cost of
 * a new sandbox (which copies this namespace) does not grow with the number of those that run.
 */
import { closeSync, openSync } from "node:fs";
import type { CodeMounts } from "../sandbox.ts";
import type { AnnouncedFolders } from "./folders.ts";
import {
  attachMount,
  CLONE_NEWNS,
  cloneMount,
  detachMount,
  mount,
  MS_NODEV,
  MS_NOSUID,
  MS_REMOUNT,
  overlayMount,
  setns,
} from "./libc.ts";
import { READ_ONLY } from "./roots.ts";

/** Mounts that are attached nowhere yet. `close` drops what was not attached. */
export class DetachedCode {
  readonly #task: number;
  readonly #opt: number | undefined;

  /** Throws SandboxError when a folder is not an announced one, SystemCallError when the kernel refuses. */
  constructor(folders: AnnouncedFolders, code: CodeMounts) {
    this.#task = folders.with(code.task, (fd) => cloneMount(fd, READ_ONLY));
    try {
      this.#opt = layersMount(folders, code.layers);
    } catch (error) {
      closeSync(this.#task);
      throw error;
    }
  }

  get hasLayers(): boolean {
    return this.#opt !== undefined;
  }

  /** Attaches at these paths of the mount namespace that the thread is in. */
  attach(paths: { readonly task: string; readonly opt: string }): void {
    attachMount(this.#task, paths.task);
    if (this.#opt !== undefined) attachMount(this.#opt, paths.opt);
  }

  close(): void {
    closeSync(this.#task);
    if (this.#opt !== undefined) closeSync(this.#opt);
  }
}

function layersMount(folders: AnnouncedFolders, layers: readonly string[]): number | undefined {
  const [first, ...others] = layers;
  if (first === undefined) return undefined;
  if (others.length === 0) return folders.with(first, (fd) => cloneMount(fd, READ_ONLY));
  const fds: number[] = [];
  try {
    for (const layer of layers) fds.push(folders.open(layer));
    // Later layers win, and overlayfs puts the one that wins first.
    return overlayMount(fds.toReversed(), READ_ONLY);
  } finally {
    for (const fd of fds) closeSync(fd);
  }
}

/** Runs `act` in the mount namespace of `pid`, with that namespace's root and working directory; synchronous only. */
export function inMountNamespace(pid: number, act: () => void): void {
  const own = openSync("/proc/self/ns/mnt", "r");
  try {
    const theirs = openSync(`/proc/${pid}/ns/mnt`, "r");
    try {
      setns(theirs, CLONE_NEWNS);
    } finally {
      closeSync(theirs);
    }
    try {
      act();
    } finally {
      // Left behind in a sandbox's namespace this process would see its files as the host's: it must not live on.
      returnTo(own);
    }
  } finally {
    closeSync(own);
  }
}

function returnTo(namespace: number): void {
  try {
    setns(namespace, CLONE_NEWNS);
  } catch {
    process.abort();
  }
}

/** Sets the size of the tmpfs at /tmp of the mount namespace that the thread is in. */
export function resizeTmpfs(bytes: number): void {
  mount("tmpfs", "/tmp", "tmpfs", MS_REMOUNT | MS_NOSUID | MS_NODEV, `size=${bytes}`);
}

export function detachCode(paths: { readonly task: string; readonly opt: string }, hasLayers: boolean): void {
  detachMount(paths.task);
  if (hasLayers) detachMount(paths.opt);
}
