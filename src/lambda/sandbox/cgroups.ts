/**
 * Limits and accounting per sandbox through the kernel's control groups, v2 or v1 (hybrid), whichever this machine has.
 * Runs in the spawner. See docs/internals/limits.md.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { CgroupTree } from "./cgroups/cgroup.ts";
import { kernelFolders } from "./cgroups/files.ts";
import { openV1 } from "./cgroups/v1.ts";
import { openV2, vacateOwnGroup } from "./cgroups/v2.ts";

export type { Cgroup, CgroupTree, CgroupWalls } from "./cgroups/cgroup.ts";

const ROOT = "/sys/fs/cgroup";
const SELF = "/proc/self/cgroup";

/**
 * Opens the tree of one running instance. `instance` names it among those on this machine: lower-case letters, digits,
 * `-` and `.`; not two at a time with the same name (throws). Where limits cannot be set, `available` says why and how
 * to mend it, and the tree does nothing.
 */
export function openCgroups(options: { instance: string; root?: string }): CgroupTree {
  const root = options.root ?? ROOT;
  if (!isUnified(root)) return openV1(root, options.instance, kernelFolders);
  return openV2({ root, self: readFileSync(SELF, "utf8"), folders: kernelFolders }, options.instance);
}

/**
 * Makes room for the tree where that takes moving the server's own processes (cgroup v2, not as root, or in a
 * container). The server calls it once, before it starts the spawner; harmless everywhere.
 */
export function prepareCgroups(options: { root?: string } = {}): void {
  const root = options.root ?? ROOT;
  if (isUnified(root)) vacateOwnGroup({ root, self: readFileSync(SELF, "utf8"), folders: kernelFolders });
}

function isUnified(root: string): boolean {
  return existsSync(join(root, "cgroup.controllers"));
}
