/** cgroup v1 (and hybrid): one hierarchy per controller, each mounted at <root>/<controller>. */
import { accessSync, constants, existsSync, realpathSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import type { Wall } from "../sandbox.ts";
import { CPU_PERIOD_US, cpuQuotaUs, TREE_FOLDER, type Cgroup, type CgroupTree } from "./cgroup.ts";
import {
  errorCode,
  killAll,
  readKeyed,
  readPids,
  tolerate,
  writeControl,
  type GroupFolders,
} from "./files.ts";
import { Tree } from "./tree.ts";

const CONTROLLERS = ["memory", "cpu", "pids", "freezer"] as const;
type Controller = (typeof CONTROLLERS)[number];

/** Of the memory limit: what TCP's buffers may hold on top of it. Ours: 32 MB for the smallest function. */
const SOCKET_MEMORY_SHARE = 0.25;

/** The kernel's default and minimum. */
const CPU_SHARES = 1024;
const CPU_SHARES_MIN = 2;

/** Passes of kill: each one may miss children that were born while it read the list. */
const KILL_PASSES_MAX = 8;

export function openV1(root: string, instance: string, folders: GroupFolders): CgroupTree {
  const walls = new Map<Controller, Wall>();
  const roots = new Map<Controller, string>();
  for (const controller of CONTROLLERS) {
    const { wall, folder } = openController(root, controller, folders);
    walls.set(controller, wall);
    if (folder !== undefined) roots.set(controller, folder);
  }
  const wall = (controller: Controller) => walls.get(controller) ?? { holds: false, detail: "" };
  return new Tree({
    available: { memory: wall("memory"), cpu: wall("cpu"), pids: wall("pids"), freezer: wall("freezer") },
    instance,
    // Controllers that are mounted together (cpu,cpuacct) share a folder.
    roots: [...new Set(roots.values())],
    folders,
    prepareInstance: () => undefined,
    open: (instance, id) =>
      new CgroupV1(new Map([...roots].map(([name, folder]) => [name, join(folder, instance, id)])), folders),
  });
}

function openController(
  root: string,
  controller: Controller,
  folders: GroupFolders,
): { wall: Wall; folder?: string } {
  const mount = join(root, controller);
  if (!existsSync(mount)) {
    const detail = `the kernel's ${controller} controller is not mounted at ${mount}: boot with cgroup v2, or mount it`;
    return { wall: { holds: false, detail } };
  }
  const folder = join(realpathSync(mount), TREE_FOLDER);
  try {
    tolerate(["EEXIST"], () => folders.make(folder));
    accessSync(folder, constants.W_OK);
  } catch (error) {
    const detail = `${folder} cannot be made or written (${errorCode(error)}): with cgroup v1 only root can set limits; run as root, or boot with cgroup v2`;
    return { wall: { holds: false, detail } };
  }
  return { wall: { holds: true, detail: `cgroup v1 ${controller} controller` }, folder };
}

class CgroupV1 implements Cgroup {
  readonly #folders: GroupFolders;
  readonly #groups: readonly string[];
  readonly #memory: string | undefined;
  readonly #cpu: string | undefined;
  readonly #pids: string | undefined;
  readonly #freezer: string | undefined;
  /** The limit that was set last; a new group has none. */
  #memoryBytes = Infinity;

  constructor(groups: ReadonlyMap<Controller, string>, folders: GroupFolders) {
    this.#folders = folders;
    this.#groups = [...new Set(groups.values())];
    this.#memory = groups.get("memory");
    this.#cpu = groups.get("cpu");
    this.#pids = groups.get("pids");
    this.#freezer = groups.get("freezer");
  }

  get peakMemoryPath(): string | undefined {
    return this.#memory === undefined ? undefined : join(this.#memory, "memory.max_usage_in_bytes");
  }

  get joinFiles(): readonly string[] {
    return this.#groups.map((group) => join(group, "cgroup.procs"));
  }

  attach(pid: number): void {
    for (const group of this.#groups) writeControl(join(group, "cgroup.procs"), pid);
  }

  setMemory(bytes: number): void {
    if (this.#memory === undefined) return;
    // Socket buffers are not counted as memory here unless they have a limit of their own, and then separately: without
    // one, a single function can hold all that the machine's TCP may have (net.ipv4.tcp_mem).
    const sockets = join(this.#memory, "memory.kmem.tcp.limit_in_bytes");
    if (existsSync(sockets)) writeControl(sockets, Math.floor(bytes * SOCKET_MEMORY_SHARE));
    const memory = join(this.#memory, "memory.limit_in_bytes");
    const memoryAndSwap = join(this.#memory, "memory.memsw.limit_in_bytes");
    if (!existsSync(memoryAndSwap)) {
      // A kernel without swap accounting: at least it is not to swap on its own account.
      writeControl(join(this.#memory, "memory.swappiness"), 0);
      writeControl(memory, bytes);
      return;
    }
    // The kernel insists on memory ≤ memory + swap at every moment.
    const raise = bytes > this.#memoryBytes;
    for (const file of raise ? [memoryAndSwap, memory] : [memory, memoryAndSwap]) writeControl(file, bytes);
    this.#memoryBytes = bytes;
  }

  setCpu(vcpus: number): void {
    if (this.#cpu === undefined) return;
    const quotaUs = cpuQuotaUs(vcpus, availableParallelism());
    writeControl(join(this.#cpu, "cpu.cfs_period_us"), CPU_PERIOD_US);
    writeControl(join(this.#cpu, "cpu.cfs_quota_us"), quotaUs ?? -1);
  }

  setBackground(background: boolean): void {
    if (this.#cpu === undefined) return;
    writeControl(join(this.#cpu, "cpu.shares"), background ? CPU_SHARES_MIN : CPU_SHARES);
  }

  setPids(max: number): void {
    if (this.#pids !== undefined) writeControl(join(this.#pids, "pids.max"), max);
  }

  freeze(): void {
    this.#setFreezer("FROZEN");
  }

  thaw(): void {
    this.#setFreezer("THAWED");
  }

  oomKills(): number {
    return this.#memory === undefined ? 0 : readKeyed(join(this.#memory, "memory.oom_control"), "oom_kill");
  }

  kill(): void {
    // Stopped first, so that nothing forks away; a frozen process dies only when it is thawed.
    for (let pass = 0; pass < KILL_PASSES_MAX && this.pids().length > 0; pass += 1) {
      this.freeze();
      killAll(this.pids());
      this.thaw();
    }
  }

  pids(): number[] {
    const [group] = this.#groups;
    return group === undefined ? [] : readPids(group);
  }

  remove(): boolean {
    let removed = true;
    for (const group of this.#groups.toReversed()) {
      const gone = tolerate(["EBUSY"], () => tolerate(["ENOENT"], () => this.#folders.remove(group)));
      removed &&= gone;
    }
    return removed;
  }

  #setFreezer(state: "FROZEN" | "THAWED"): void {
    if (this.#freezer === undefined) return;
    const file = join(this.#freezer, "freezer.state");
    // The freezer's part may be removed while another controller's was still busy.
    tolerate(["ENOENT"], () => writeControl(file, state));
  }
}
