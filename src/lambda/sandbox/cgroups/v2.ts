/**
 * cgroup v2: one hierarchy; a group offers a controller when its parent's cgroup.subtree_control names it, and (below
 * the real root) only a group without processes of its own may name any: "no internal processes".
 *
 * Where the tree stands: below the root for root; for a plain user, below the group that the server runs in, when
 * systemd has delegated that to the user. The processes that are in it, the server's own, then move into a leaf.
 */
import { existsSync, readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import type { Wall } from "../sandbox.ts";
import { CPU_PERIOD_US, cpuQuotaUs, TREE_FOLDER, type Cgroup, type CgroupTree } from "./cgroup.ts";
import { killAll, readKeyed, readPids, tolerate, writeControl, type GroupFolders } from "./files.ts";
import { Tree } from "./tree.ts";
import { findBase, vacate, type V2Options } from "./v2-base.ts";

const CONTROLLERS = ["memory", "cpu", "pids"] as const;
type Controller = (typeof CONTROLLERS)[number];

const DELEGATE =
  "start Hornero as root, or with `systemd-run --user --scope -p Delegate=yes hornero start` (a service unit: Delegate=yes)";
const DELEGATE_CONTROLLER = (controller: string) =>
  `let systemd delegate it: \`Delegate=cpu memory pids\` under [Service] in /etc/systemd/system/user@.service.d/delegate.conf, log in again (missing: ${controller})`;

export function openV2(options: V2Options, instance: string): CgroupTree {
  const base = findBase(options);
  if (base === undefined) {
    const wall = { holds: false, detail: `no writable control group: ${DELEGATE}` };
    return new Tree({
      available: { memory: wall, cpu: wall, pids: wall, freezer: wall },
      instance,
      roots: [],
      folders: options.folders,
      prepareInstance: () => undefined,
      open: () => new CgroupV2(undefined, options.folders),
    });
  }
  const tree = join(base, TREE_FOLDER);
  const vacated = vacate(base, options.folders);
  tolerate(["EEXIST"], () => options.folders.make(tree));
  const enabled = vacated ? offered(base) : [];
  const pass = (folder: string) => {
    if (enabled.length === 0) return;
    writeControl(join(folder, "cgroup.subtree_control"), enabled.map((name) => `+${name}`).join(" "));
  };
  pass(base);
  const wall = (controller: Controller): Wall => {
    if (enabled.includes(controller)) return { holds: true, detail: `cgroup v2 ${controller} in ${tree}` };
    const why = vacated ? DELEGATE_CONTROLLER(controller) : `${base} holds processes of others: ${DELEGATE}`;
    return { holds: false, detail: `no ${controller} controller in ${base}: ${why}` };
  };
  const freezer = existsSync(join(tree, "cgroup.freeze"))
    ? { holds: true, detail: "cgroup v2 cgroup.freeze" }
    : { holds: false, detail: "the kernel has no cgroup.freeze: Linux 5.2 or newer is needed" };
  return new Tree({
    available: { memory: wall("memory"), cpu: wall("cpu"), pids: wall("pids"), freezer },
    instance,
    roots: [tree],
    folders: options.folders,
    prepareInstance: (folder) => {
      pass(tree);
      pass(folder);
    },
    open: (instance, id) => new CgroupV2(join(tree, instance, id), options.folders),
  });
}

/** The controllers that `base` may pass on. */
function offered(base: string): readonly Controller[] {
  const offered = readFileSync(join(base, "cgroup.controllers"), "utf8").trim().split(" ");
  return CONTROLLERS.filter((controller) => offered.includes(controller));
}

/** The kernel's default and minimum. */
const CPU_WEIGHT = 100;
const CPU_WEIGHT_MIN = 1;

class CgroupV2 implements Cgroup {
  readonly #folders: GroupFolders;
  /** Undefined where there is no writable hierarchy: every operation then does nothing. */
  readonly #group: string | undefined;

  constructor(group: string | undefined, folders: GroupFolders) {
    this.#group = group;
    this.#folders = folders;
  }

  get peakMemoryPath(): string | undefined {
    return this.#file("memory.peak") ?? this.#file("memory.current");
  }

  get joinFiles(): readonly string[] {
    const file = this.#file("cgroup.procs");
    return file === undefined ? [] : [file];
  }

  attach(pid: number): void {
    this.#write("cgroup.procs", pid);
  }

  setMemory(bytes: number): void {
    this.#write("memory.swap.max", 0);
    // One process killed for want of memory leaves a half-dead function behind: the kernel takes all or none.
    this.#write("memory.oom.group", 1);
    this.#write("memory.max", bytes);
  }

  setCpu(vcpus: number): void {
    this.#write("cpu.max", `${cpuQuotaUs(vcpus, availableParallelism()) ?? "max"} ${CPU_PERIOD_US}`);
  }

  setBackground(background: boolean): void {
    this.#write("cpu.weight", background ? CPU_WEIGHT_MIN : CPU_WEIGHT);
  }

  setPids(max: number): void {
    this.#write("pids.max", max);
  }

  freeze(): void {
    this.#write("cgroup.freeze", 1);
  }

  thaw(): void {
    this.#write("cgroup.freeze", 0);
  }

  oomKills(): number {
    const events = this.#file("memory.events");
    return events === undefined ? 0 : readKeyed(events, "oom_kill");
  }

  kill(): void {
    if (this.#file("cgroup.kill") !== undefined) {
      this.#write("cgroup.kill", 1);
      return;
    }
    // Before Linux 5.14. Frozen processes die as they are, and cannot fork away.
    this.freeze();
    killAll(this.pids());
    this.thaw();
  }

  pids(): number[] {
    return this.#group === undefined ? [] : readPids(this.#group);
  }

  remove(): boolean {
    const group = this.#group;
    if (group === undefined) return true;
    return tolerate(["EBUSY"], () => tolerate(["ENOENT"], () => this.#folders.remove(group)));
  }

  /** A file of the group, when the kernel has it: controllers that are not passed on have none. */
  #file(name: string): string | undefined {
    if (this.#group === undefined) return undefined;
    const path = join(this.#group, name);
    return existsSync(path) ? path : undefined;
  }

  #write(name: string, value: string | number): void {
    const path = this.#file(name);
    if (path !== undefined) writeControl(path, value);
  }
}
