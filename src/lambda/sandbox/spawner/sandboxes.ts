/**
 * The sandboxes of one spawner: what each request of the server does, step by step, and what a step that fails takes
 * back. Everything that a sandbox holds on this machine hangs on its `Box`; destroy gives it all back.
 */
import { mkdirSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { ENVIRONMENT_PIDS_MAX, MEMORY_MB_PER_VCPU } from "../../../limits.ts";
import type { Cgroup, CgroupTree } from "../cgroups.ts";
import { deferred, type Deferred } from "../../../kernel/deferred.ts";
import { SandboxError, type CodeMounts, type SandboxExit } from "../sandbox.ts";
import { BwrapProcess, type BwrapSpec, type SandboxProcess } from "./bwrap.ts";
import { detachCode, DetachedCode, INSIDE } from "./code-mounts.ts";
import type { SandboxDescriptors } from "./channel.ts";
import type { AnnouncedFolders } from "./folders.ts";
import { inMountNamespace } from "./mount-namespaces.ts";
import { continueTree, stopTree } from "./process-tree.ts";
import type { Created, CreateRequest, SpecialiseRequest } from "./protocol.ts";
import type { RuntimeRoots } from "./roots.ts";
import type { TemporaryStorage } from "./storage.ts";
import { forkSandbox } from "./zygote/fork-sandbox.ts";
import type { Zygote } from "./zygote/zygote.ts";
import type { Zygotes } from "./zygote/zygotes.ts";

const MIB = 1024 * 1024;
/** Sandboxes at one time. Ours: 24 GB hold some 8,000 of the smallest kind, and memory ends earlier on most machines. */
const SANDBOXES_MAX = 10_000;
/** Sandboxes in the making at one time: each takes about ten descriptors, and this process has 1,024. */
const CREATING_MAX = 32;
/** Host accounts of sandboxes: above those of people and containers' usual ranges, one for each sandbox. */
export const ACCOUNT_BASE = 2_000_000;
/** When the machine runs out of memory, functions go before the platform does; see oom(5) in proc(5). */
const OOM_SCORE_ADJUSTMENT = 500;
const CGROUP_REMOVAL_ATTEMPTS_MAX = 50;
const CGROUP_REMOVAL_PAUSE_MS = 20;

/** Where sandboxes get their network from. */
export interface NetworkSeats {
  readonly seatCount: number;
  /** The address of seat `index`, as the sandbox's connections show it; undefined: it has no network of its own. */
  address(index: number): string | undefined;
  /** Runs `start` in a new network namespace; what it starts stays there. Throws SandboxError. Synchronous. */
  enter<T>(index: number, start: () => T): T;
  /** Gives the network namespace of a process, which has nothing yet, the same. Throws as `enter` does. */
  connect(index: number, pid: number): void;
}

export interface SandboxesOptions {
  readonly folders: AnnouncedFolders;
  readonly roots: RuntimeRoots;
  readonly cgroups: CgroupTree;
  readonly network: NetworkSeats;
  readonly storage: TemporaryStorage;
  readonly zygotes: Zygotes;
  /** Folder of this process's own mount namespace, for mounts that live as long as a sandbox is being made. */
  readonly stagingPath: string;
  readonly seccompPath: string | undefined;
  /** Whether each sandbox runs under a host account of its own: takes root. */
  readonly separateAccounts: boolean;
  readonly onExit: (id: string, exit: SandboxExit) => void;
}

export interface CreatedSandbox {
  readonly created: Created;
  /** The caller's from now on. */
  readonly descriptors: SandboxDescriptors;
}

interface Box {
  readonly id: string;
  readonly index: number;
  readonly cgroup: Cgroup;
  readonly bwrap: SandboxProcess;
  initPid: number;
  specialised: boolean;
  readonly background: boolean;
  memoryMb: number;
  readonly ephemeralStorageMb: number;
  frozen: boolean;
  destroyed: Promise<void> | undefined;
}

export class Sandboxes {
  readonly #options: SandboxesOptions;
  readonly #boxes = new Map<string, Box>();
  readonly #reserved = new Set<string>();
  readonly #indexes = new Set<number>();
  #lastIndex = -1;
  #creating = 0;
  #closing = false;
  readonly #waiting: (() => void)[] = [];
  /** Settles when nothing is being made any more; present while the last ones are. */
  #creationsEnd: Deferred<void> | undefined;

  constructor(options: SandboxesOptions) {
    this.#options = options;
  }

  async create(request: CreateRequest): Promise<CreatedSandbox> {
    if (this.#closing) throw new SandboxError("create", "the spawner is closing");
    if (this.#boxes.has(request.id) || this.#reserved.has(request.id)) {
      throw new SandboxError("create", `sandbox ${request.id} exists already`);
    }
    if (this.#boxes.size + this.#reserved.size >= SANDBOXES_MAX) {
      throw new SandboxError("create", `${SANDBOXES_MAX} sandboxes exist already`);
    }
    this.#reserved.add(request.id);
    try {
      if (this.#creating >= CREATING_MAX) await new Promise<void>((resolve) => this.#waiting.push(resolve));
      this.#creating += 1;
      try {
        return await this.#create(request);
      } finally {
        this.#creating -= 1;
        this.#waiting.shift()?.();
      }
    } finally {
      this.#reserved.delete(request.id);
      if (this.#reserved.size === 0) this.#creationsEnd?.resolve();
    }
  }

  async specialise(request: SpecialiseRequest): Promise<void> {
    const box = this.#find(request.id);
    if (box.specialised) throw new SandboxError("specialise", `sandbox ${box.id} has its code already`);
    const pid = livePid(box);
    box.specialised = true;
    if (box.background) box.cgroup.setBackground(false);
    if (box.memoryMb !== request.memoryMb) box.cgroup.setMemory(request.memoryMb * MIB);
    box.memoryMb = request.memoryMb;
    const code = new DetachedCode(this.#options.folders, request.code);
    try {
      inMountNamespace(pid, () => code.attach(INSIDE));
    } finally {
      code.close();
    }
    const bytes = request.ephemeralStorageMb * MIB;
    const previousBytes = box.ephemeralStorageMb * MIB;
    const { index } = box;
    const account = this.#account(index);
    await this.#options.storage.resize(() => livePid(box), { index, bytes, previousBytes, account });
  }

  async signal(id: string, signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    await this.#find(id).bwrap.signal(signal);
  }

  limitCpu(id: string): void {
    const box = this.#find(id);
    box.cgroup.setCpu(box.memoryMb / MEMORY_MB_PER_VCPU);
  }

  freeze(id: string): void {
    const box = this.#find(id);
    box.frozen = true;
    if (this.#options.cgroups.available.freezer.holds) box.cgroup.freeze();
    else if (box.bwrap.isAlive) stopTree(box.initPid);
  }

  thaw(id: string): void {
    const box = this.#find(id);
    if (this.#options.cgroups.available.freezer.holds) box.cgroup.thaw();
    else if (box.bwrap.isAlive) continueTree(box.initPid);
    box.frozen = false;
  }

  async destroy(id: string): Promise<void> {
    const box = this.#boxes.get(id);
    if (!box) return;
    box.destroyed ??= this.#destroy(box);
    await box.destroyed;
  }

  /** Takes no further requests to create; what is being made must be there before it can go. */
  async destroyAll(): Promise<void> {
    this.#closing = true;
    this.#creationsEnd = deferred();
    if (this.#reserved.size > 0) await this.#creationsEnd.promise;
    await Promise.all([...this.#boxes.keys()].map((id) => this.destroy(id)));
  }

  async #create(request: CreateRequest): Promise<CreatedSandbox> {
    const { cgroups, network } = this.#options;
    const index = this.#takeIndex();
    let cgroup: Cgroup | undefined;
    try {
      cgroup = cgroups.create(request.id);
      setLimits(cgroup, request.memoryMb);
      if (request.background) cgroup.setBackground(true);
      const zygote = await this.#options.zygotes.take(request);
      const bwrap =
        (zygote && (await this.#fork(zygote, request, { index, cgroup }))) ??
        (await this.#startWithStorage(request, { index, cgroup }));
      const box: Box = {
        id: request.id,
        index,
        cgroup,
        bwrap,
        initPid: await bwrap.initPid,
        specialised: request.code !== undefined,
        background: request.background,
        memoryMb: request.memoryMb,
        ephemeralStorageMb: request.ephemeralStorageMb,
        frozen: false,
        destroyed: undefined,
      };
      this.#boxes.set(box.id, box);
      // After the reply to this request, which is a microtask or two away.
      setImmediate(() => void this.#announceExit(box));
      return {
        created: { address: network.address(index), peakMemoryPath: cgroup.peakMemoryPath },
        descriptors: { output: bwrap.outputFd, link: bwrap.linkFd },
      };
    } catch (error) {
      if (cgroup) await removeCgroup(cgroup);
      this.#takeBack(index);
      throw error;
    }
  }

  /** Undefined when its walls could not be built that way. */
  async #fork(
    zygote: Zygote,
    request: CreateRequest,
    { index, cgroup }: { index: number; cgroup: Cgroup },
  ): Promise<SandboxProcess | undefined> {
    try {
      return await forkSandbox(this.#options, zygote, request, {
        index,
        cgroup,
        account: this.#account(index),
        hostname: this.#hostname(index),
      });
    } catch (error) {
      if (!(error instanceof SandboxError) || error.step !== "build-walls") throw error;
      this.#options.zygotes.distrust(request, error);
      return undefined;
    }
  }

  async #startWithStorage(
    request: CreateRequest,
    box: { index: number; cgroup: Cgroup },
  ): Promise<BwrapProcess> {
    const bytes = request.ephemeralStorageMb * MIB;
    const { index } = box;
    const storage = await this.#options.storage.create({ index, bytes, account: this.#account(index) });
    try {
      return await this.#start(request, { ...box, storage });
    } finally {
      // A millisecond that nobody has to wait for.
      setImmediate(() => this.#options.storage.release(box.index));
    }
  }

  /** A process behind its walls with the command about to start. Leaves nothing when it throws. */
  async #start(
    request: CreateRequest,
    box: { index: number; storage: BwrapSpec["storage"]; cgroup: Cgroup },
  ): Promise<BwrapProcess> {
    const { network, roots, stagingPath, seccompPath } = this.#options;
    const staged =
      request.code === undefined
        ? undefined
        : this.#stage(request.code, join(stagingPath, String(box.index)));
    try {
      const spec: BwrapSpec = {
        rootPath: roots.path(request.root),
        command: request.command,
        environment: request.environment,
        hostname: this.#hostname(box.index),
        storage: box.storage,
        ...(staged ? { code: staged.paths } : {}),
        link: request.link,
        seccompPath,
        account: this.#account(box.index),
      };
      const bwrap = network.enter(box.index, () => new BwrapProcess(spec));
      try {
        const initPid = await bwrap.initPid;
        box.cgroup.attach(initPid);
        writeFileSync(`/proc/${initPid}/oom_score_adj`, String(OOM_SCORE_ADJUSTMENT));
        await bwrap.release();
        return bwrap;
      } catch (error) {
        bwrap.kill();
        await bwrap.gone;
        bwrap.closeDescriptors();
        throw error;
      }
    } finally {
      staged?.remove();
    }
  }

  /** Code that bwrap itself shall mount, put where it can see it. */
  #stage(code: CodeMounts, folder: string): { paths: NonNullable<BwrapSpec["code"]>; remove: () => void } {
    const paths = {
      task: join(folder, "task"),
      opt: join(folder, "opt"),
      artefacts: join(folder, "artefacts"),
    };
    for (const path of Object.values(paths)) mkdirSync(path, { recursive: true });
    const detached = new DetachedCode(this.#options.folders, code);
    try {
      detached.attach(paths);
    } finally {
      detached.close();
    }
    const { names } = detached;
    return {
      paths: {
        task: paths.task,
        ...(names.includes("opt") ? { opt: paths.opt } : {}),
        ...(names.includes("artefacts") ? { artefacts: paths.artefacts } : {}),
      },
      remove: () => {
        detachCode(paths, names);
        for (const path of [...Object.values(paths), folder]) rmdirSync(path);
      },
    };
  }

  async #announceExit(box: Box): Promise<void> {
    const { code, signal } = await box.bwrap.ended;
    // It had ended before it was announced, and has been destroyed: its control group is gone, and who asked for that knows.
    if (this.#boxes.get(box.id) !== box) return;
    this.#options.onExit(box.id, { code, signal, outOfMemory: box.cgroup.oomKills() > 0 });
  }

  async #destroy(box: Box): Promise<void> {
    box.bwrap.kill();
    // What is frozen does not die.
    if (box.frozen) box.cgroup.thaw();
    await box.bwrap.gone;
    await removeCgroup(box.cgroup);
    this.#boxes.delete(box.id);
    this.#takeBack(box.index);
  }

  /** To be called when its control group is gone, and so everything that could use what else it had. */
  #takeBack(index: number): void {
    this.#indexes.delete(index);
    this.#options.storage.reclaim(index);
  }

  #find(id: string): Box {
    const box = this.#boxes.get(id);
    if (!box) throw new SandboxError("find", `there is no sandbox ${id}`);
    return box;
  }

  #account(index: number): number | undefined {
    return this.#options.separateAccounts ? ACCOUNT_BASE + index : undefined;
  }

  /** Instances of AWS's are named by an address of this kind, too. */
  #hostname(index: number): string {
    return (this.#options.network.address(index) ?? "169.254.100.2").replaceAll(".", "-");
  }

  /** The free index that was given back longest ago, so that addresses and accounts do not come again soon. */
  #takeIndex(): number {
    const { seatCount } = this.#options.network;
    do this.#lastIndex = (this.#lastIndex + 1) % seatCount;
    while (this.#indexes.has(this.#lastIndex));
    this.#indexes.add(this.#lastIndex);
    return this.#lastIndex;
  }
}

/** Throws SandboxError when it has ended: the pid may be another sandbox's by now. */
function livePid({ id, initPid, bwrap }: Box): number {
  if (bwrap.isAlive) return initPid;
  throw new SandboxError("find", `sandbox ${id} has ended`);
}

function setLimits(cgroup: Cgroup, memoryMb: number): void {
  cgroup.setMemory(memoryMb * MIB);
  cgroup.setPids(ENVIRONMENT_PIDS_MAX);
}

async function removeCgroup(cgroup: Cgroup): Promise<void> {
  for (let attempt = 0; attempt < CGROUP_REMOVAL_ATTEMPTS_MAX; attempt += 1) {
    if (cgroup.remove()) return;
    // Tasks leave their group a moment after they have been reaped.
    await delay(CGROUP_REMOVAL_PAUSE_MS);
  }
  throw new SandboxError("remove-cgroup", "processes stay in the control group");
}
