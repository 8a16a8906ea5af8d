/** Control groups as the sandbox drivers see them: the same for cgroup v1 and v2. All operations are synchronous file writes. */
import type { Wall } from "../sandbox.ts";

/** The control groups of one running Hornero: `hornero/<instance>/<id>` below the controllers' root. */
export interface CgroupTree {
  /** What can be limited on this machine; a limit that is not available is left out silently by `Cgroup`. */
  readonly available: CgroupWalls;
  /** Makes the group of one sandbox, without limits. Throws when `id` exists already. */
  create(id: string): Cgroup;
  /** Removes what instances that ended without `close` (kill -9, power) have left behind. Instances that still run are untouched. */
  sweep(): void;
  /** Kills what is left in this instance's groups and removes them. Idempotent. */
  close(): void;
}

export interface CgroupWalls {
  readonly memory: Wall;
  readonly cpu: Wall;
  readonly pids: Wall;
  readonly freezer: Wall;
}

export interface Cgroup {
  /** Moves a process, with all its threads, into the group; its children are born there. `pid` as seen by the caller. */
  attach(pid: number): void;
  /** The files into which a process writes 0 to move itself into the group; who opened them needs the rights. */
  readonly joinFiles: readonly string[];
  /** All memory of the group, page cache and tmpfs pages included; no swap. Throws EBUSY when more is in use and cannot be reclaimed. */
  setMemory(bytes: number): void;
  /** CPU time per wall time; more than the machine has means no limit. */
  setCpu(vcpus: number): void;
  /** The share of CPUs that others want, too: an equal one, or next to none. A new group has an equal one. */
  setBackground(background: boolean): void;
  /** Processes and threads together. */
  setPids(max: number): void;
  /** Asks the kernel to stop every process. They stop within microseconds, each at its next return to user mode. */
  freeze(): void;
  thaw(): void;
  /**
   * File with one decimal number in bytes: the highest memory use so far. Before Linux 5.19, v2 has only the present
   * use: the number may fall, and who reads it keeps the highest.
   */
  readonly peakMemoryPath: string | undefined;
  /** How many processes the kernel killed because the memory limit was reached. */
  oomKills(): number;
  /** SIGKILL to every process that this process can see in the group, frozen ones too. */
  kill(): void;
  /** Processes in the group, as seen by the caller: none of other pid namespaces. */
  pids(): number[];
  /** Removes the group; false while processes (dying ones too) are in it: kill, then try again. */
  remove(): boolean;
}

/** The folder below a controller's root that holds all instances. */
export const TREE_FOLDER = "hornero";

/**
 * Length of the accounting period of CPU quotas. Short, so that a small function is slowed evenly: with 128 MB it waits
 * 18 ms at a stretch, where the kernel's default of 100 ms would make it wait 93. The quota of 128 MB is 1.4 ms, just
 * above the kernel's minimum of 1 ms.
 */
export const CPU_PERIOD_US = 20_000;
export const CPU_QUOTA_US_MIN = 1000;

/** CPU time per period in microseconds; undefined when the machine has no more than that. */
export function cpuQuotaUs(vcpus: number, machineCpus: number): number | undefined {
  if (vcpus >= machineCpus) return undefined;
  return Math.max(CPU_QUOTA_US_MIN, Math.round(vcpus * CPU_PERIOD_US));
}
