/**
 * Shows a function's code inside a sandbox that already runs: the folder is cloned as a detached read-only mount here,
 * then attached in the sandbox's own mount namespace, which this thread enters for a moment.
 *
 * Nothing of it is ever in the spawner's mount namespace, so there is nothing to take away at the end, and the cost of
 * a new sandbox (which copies this namespace) does not grow with the number of those that run.
 */
import { closeSync } from "node:fs";
import type { CodeMounts } from "../sandbox.ts";
import type { AnnouncedFolders } from "./folders.ts";
import {
  attachMount,
  cloneMount,
  detachMount,
  mount,
  MS_NODEV,
  MS_NOSUID,
  MS_REMOUNT,
  overlayMount,
} from "./libc.ts";
import { READ_ONLY } from "./roots.ts";

/** Where code is attached, in some mount namespace. */
export interface CodePaths {
  readonly task: string;
  readonly opt: string;
  readonly artefacts: string;
}

/** Where a function sees them. */
export const INSIDE: CodePaths = { task: "/var/task", opt: "/opt", artefacts: "/var/artefacts" };

/** Mounts that are attached nowhere yet. `close` drops what was not attached. */
export class DetachedCode {
  /** Detached mounts by where they go. */
  readonly #mounts = new Map<keyof CodePaths, number>();

  /** Throws SandboxError when a folder is not an announced one, SystemCallError when the kernel refuses. */
  constructor(folders: AnnouncedFolders, code: CodeMounts) {
    try {
      this.#mounts.set("task", folderMount(folders, code.task));
      if (code.layers.length > 0) this.#mounts.set("opt", layersMount(folders, code.layers));
      if (code.artefacts !== undefined) this.#mounts.set("artefacts", folderMount(folders, code.artefacts));
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** What there is to attach. */
  get names(): (keyof CodePaths)[] {
    return [...this.#mounts.keys()];
  }

  /** Attaches at these paths of the mount namespace that the thread is in. */
  attach(paths: CodePaths): void {
    for (const [name, fd] of this.#mounts) attachMount(fd, paths[name]);
  }

  close(): void {
    for (const fd of this.#mounts.values()) closeSync(fd);
  }
}

function folderMount(folders: AnnouncedFolders, folder: string): number {
  return folders.with(folder, (fd) => cloneMount(fd, READ_ONLY));
}

function layersMount(folders: AnnouncedFolders, layers: readonly string[]): number {
  const [first, ...others] = layers;
  if (first !== undefined && others.length === 0) return folderMount(folders, first);
  const fds: number[] = [];
  try {
    for (const layer of layers) fds.push(folders.open(layer));
    // Later layers win, and overlayfs puts the one that wins first.
    return overlayMount(fds.toReversed(), READ_ONLY);
  } finally {
    for (const fd of fds) closeSync(fd);
  }
}

/** A tmpfs at /tmp of the mount namespace that the thread is in, for `account` alone. */
export function mountTmpfs(bytes: number, account: number | undefined): void {
  const owner = account === undefined ? "" : `,uid=${account},gid=${account}`;
  mount("tmpfs", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, `size=${bytes},mode=0700${owner}`);
}

/** Sets the size of the tmpfs at /tmp of the mount namespace that the thread is in. */
export function resizeTmpfs(bytes: number): void {
  mount("tmpfs", "/tmp", "tmpfs", MS_REMOUNT | MS_NOSUID | MS_NODEV, `size=${bytes}`);
}

export function detachCode(paths: CodePaths, names: readonly (keyof CodePaths)[]): void {
  for (const name of names) detachMount(paths[name]);
}
