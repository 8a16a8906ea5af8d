/**
 * Limits and accounting per sandbox through the kernel's control groups, v2 or v1 (hybrid), whichever this machine has.
 * Runs in the spawner. See docs/internals/limits.md.
 */
import { readFileSync } from "node:fs";
import type { CgroupTree } from "./cgroups/cgroup.ts";
import { kernelFolders } from "./cgroups/files.ts";
import { openV1 } from "./cgroups/v1.ts";
import { openV2 } from "./cgroups/v2.ts";
import { isUnified, ROOT, SELF } from "./prepare-cgroups.ts";

export type { Cgroup, CgroupTree, CgroupWalls } from "./cgroups/cgroup.ts";

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
