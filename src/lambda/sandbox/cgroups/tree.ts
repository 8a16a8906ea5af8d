/**
 * Instance folders, the same for v1 and v2. `hornero/<instance>` stands in one hierarchy (v2) or in one per controller
 * (v1); the first of them carries the lock that says whether its instance lives: flock(2) on the folder, which the
 * kernel frees when the process ends. (A pid in the name would not do: the spawner lives in a pid namespace of its own,
 * sees no process of other instances, and pids come again.) The locked folder is made first and removed last, so a
 * folder in another hierarchy without it belongs to nobody.
 */
import { closeSync, fstatSync, openSync, readdirSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { assert } from "../../../kernel/assert.ts";
import type { Cgroup, CgroupTree, CgroupWalls } from "./cgroup.ts";
import { tolerate, type GroupFolders } from "./files.ts";
import { tryLock } from "./lock.ts";

const CLAIM_ATTEMPTS_MAX = 16;

/** Another process has the instance's lock: one that runs, one that is ending, or one that looks whether it has ended. */
export class InstanceTaken extends Error {
  override readonly name = "InstanceTaken";
  constructor(instance: string) {
    super(`another process runs as instance ${instance}`);
  }
}

export interface TreeOptions {
  readonly available: CgroupWalls;
  readonly instance: string;
  /** The `hornero` folder of each hierarchy that is used, existing; none when nothing can be limited. */
  readonly roots: readonly string[];
  readonly folders: GroupFolders;
  /** Called for each of the instance's folders when it is locked, before groups are made in it. */
  prepareInstance(folder: string): void;
  /** The group `<instance>/<id>`; touches no file. */
  open(instance: string, id: string): Cgroup;
}

export class Tree implements CgroupTree {
  readonly available: CgroupWalls;
  readonly #options: TreeOptions;
  /** The open, locked folder of this instance; undefined when closed, and when there is nothing to lock. */
  #lock: number | undefined;

  constructor(options: TreeOptions) {
    assert(/^[a-z0-9][a-z0-9.-]{0,63}$/.test(options.instance), "an instance's name is fit for a folder");
    this.available = options.available;
    this.#options = options;
    const [locked, ...others] = options.roots;
    if (locked === undefined) return;
    this.#lock = this.#claim(join(locked, options.instance));
    for (const root of others) this.#make(join(root, options.instance));
    for (const root of options.roots) options.prepareInstance(join(root, options.instance));
    this.#removeGroups(options.instance);
  }

  create(id: string): Cgroup {
    const { roots, instance, folders } = this.#options;
    const made: string[] = [];
    try {
      for (const root of roots) {
        const folder = join(root, instance, id);
        folders.make(folder);
        made.push(folder);
      }
    } catch (error) {
      for (const folder of made) folders.remove(folder);
      throw error;
    }
    return this.#options.open(instance, id);
  }

  sweep(): void {
    const { roots, instance } = this.#options;
    const [locked] = roots;
    if (locked === undefined) return;
    for (const other of new Set(roots.flatMap(childFolders))) {
      if (other !== instance) this.#sweepInstance(join(locked, other));
    }
  }

  close(): void {
    if (this.#lock === undefined) return;
    const { roots, instance, folders } = this.#options;
    this.#removeInstance(instance);
    closeSync(this.#lock);
    this.#lock = undefined;
    // Refused while other instances are there.
    for (const root of roots) tolerate(["EBUSY", "ENOTEMPTY", "ENOENT"], () => folders.remove(root));
  }

  /** Makes the folder and locks it. A sweep of another instance may remove it in between: then again. */
  #claim(folder: string): number {
    for (let attempt = 0; attempt < CLAIM_ATTEMPTS_MAX; attempt += 1) {
      this.#make(folder);
      const file = tryOpen(folder);
      if (file === undefined) continue;
      if (!tryLock(file)) {
        closeSync(file);
        throw new InstanceTaken(basename(folder));
      }
      if (isSame(file, folder)) return file;
      closeSync(file);
    }
    throw new Error(`${folder} was removed ${CLAIM_ATTEMPTS_MAX} times while it was being made`);
  }

  #make(folder: string): void {
    const { folders } = this.#options;
    for (let attempt = 0; attempt < CLAIM_ATTEMPTS_MAX; attempt += 1) {
      let parentIsThere = true;
      tolerate(["EEXIST"], () => (parentIsThere = tolerate(["ENOENT"], () => folders.make(folder))));
      if (parentIsThere) return;
      // It has gone with the last other instance that closed.
      tolerate(["EEXIST"], () => folders.make(dirname(folder)));
    }
    throw new Error(`${dirname(folder)} was removed ${CLAIM_ATTEMPTS_MAX} times while it was being made`);
  }

  #sweepInstance(lockedFolder: string): void {
    const lock = tryOpen(lockedFolder);
    try {
      if (lock === undefined || tryLock(lock)) this.#removeInstance(basename(lockedFolder));
    } finally {
      if (lock !== undefined) closeSync(lock);
    }
  }

  #removeInstance(instance: string): void {
    this.#removeGroups(instance);
    // Busy while a process is dying in a group: the next sweep finds it again.
    for (const root of this.#options.roots.toReversed()) {
      tolerate(["EBUSY", "ENOTEMPTY", "ENOENT"], () => this.#options.folders.remove(join(root, instance)));
    }
  }

  #removeGroups(instance: string): void {
    for (const id of new Set(this.#options.roots.flatMap((root) => childFolders(join(root, instance))))) {
      const cgroup = this.#options.open(instance, id);
      if (cgroup.remove()) continue;
      cgroup.kill();
      cgroup.remove();
    }
  }
}

function childFolders(folder: string): string[] {
  let names: string[] = [];
  tolerate(["ENOENT"], () => {
    names = readdirSync(folder, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name);
  });
  return names;
}

function tryOpen(folder: string): number | undefined {
  let file: number | undefined;
  tolerate(["ENOENT"], () => (file = openSync(folder, "r")));
  return file;
}

function isSame(file: number, path: string): boolean {
  return fstatSync(file).ino === statSync(path, { throwIfNoEntry: false })?.ino;
}
