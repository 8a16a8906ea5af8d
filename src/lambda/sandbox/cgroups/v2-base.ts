/** cgroup v2: the group below which the tree stands, and how it is vacated. Apart, because the server needs it too. */
import { accessSync, constants, existsSync, readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { readPids, tolerate, writeControl, type GroupFolders } from "./files.ts";

/** The leaf into which the server's processes move. */
const SERVER_LEAF = "hornero-server";
/** Rounds of moving processes away: each may miss those born while it read the list. */
const VACATE_ROUNDS_MAX = 8;

export interface V2Options {
  readonly root: string;
  /** Text of /proc/self/cgroup. */
  readonly self: string;
  readonly folders: GroupFolders;
}

/**
 * Moves the processes of this process's own group into a leaf, so that the tree can stand beside them. For the server to
 * call before it starts the spawner, which cannot see the server's processes. Does nothing where it is not needed.
 */
export function vacateOwnGroup(options: V2Options): void {
  const base = findBase(options);
  if (base !== undefined) vacate(base, options.folders);
}

/** The group below which the tree stands; undefined when this user may not write any. */
export function findBase({ root, self }: V2Options): string | undefined {
  if (isWritable(root)) return root;
  const line = self.split("\n").find((line) => line.startsWith("0::"));
  if (line === undefined) return undefined;
  const own = join(root, line.slice("0::".length));
  const base = basename(own) === SERVER_LEAF ? dirname(own) : own;
  return isWritable(base) ? base : undefined;
}

function isWritable(group: string): boolean {
  return tolerate(["EACCES", "EPERM", "EROFS", "ENOENT"], () => {
    for (const file of ["", "cgroup.procs", "cgroup.subtree_control"]) {
      accessSync(join(group, file), constants.W_OK);
    }
  });
}

/** True when the group may pass controllers on. */
export function vacate(base: string, folders: GroupFolders): boolean {
  // The real root has no type and may hold processes; so may a group that passes controllers on already have been vacated.
  if (!existsSync(join(base, "cgroup.type"))) return true;
  for (let round = 0; round < VACATE_ROUNDS_MAX; round += 1) {
    const pids = readPids(base);
    if (pids.length === 0) break;
    const leaf = join(base, SERVER_LEAF);
    tolerate(["EEXIST"], () => folders.make(leaf));
    for (const pid of pids) tolerate(["ESRCH"], () => writeControl(join(leaf, "cgroup.procs"), pid));
  }
  return readFileSync(join(base, "cgroup.procs"), "utf8").trim() === "";
}
