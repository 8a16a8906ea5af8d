/** The server's part in control groups, without what the spawner needs for its own. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { kernelFolders } from "./cgroups/files.ts";
import { vacateOwnGroup } from "./cgroups/v2-base.ts";

export const ROOT = "/sys/fs/cgroup";
export const SELF = "/proc/self/cgroup";

/**
 * Makes room for the tree where that takes moving the server's own processes (cgroup v2, not as root, or in a
 * container). The server calls it once, before it starts the spawner; harmless everywhere.
 */
export function prepareCgroups(options: { root?: string } = {}): void {
  const root = options.root ?? ROOT;
  if (isUnified(root)) vacateOwnGroup({ root, self: readFileSync(SELF, "utf8"), folders: kernelFolders });
}

/** Whether `root` is cgroup v2. */
export function isUnified(root: string): boolean {
  return existsSync(join(root, "cgroup.controllers"));
}
