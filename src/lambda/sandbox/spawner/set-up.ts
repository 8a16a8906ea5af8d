/** What the spawner does once, at its start: its own surroundings, then the parts that make sandboxes. */
import { setTimeout as pause } from "node:timers/promises";
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { access } from "node:fs/promises";
import { ENVIRONMENT_FILE_DESCRIPTORS_MAX } from "../../../limits.ts";
import { systemClock } from "../../../kernel/clock.ts";
import { coerceError } from "../../../kernel/deferred.ts";
import { openCgroups, type CgroupTree } from "../cgroups.ts";
import { InstanceTaken } from "../cgroups/tree.ts";
import { SandboxError, type Wall, type Walls } from "../sandbox.ts";
import { seccompProgram } from "../seccomp.ts";
import { send, sendServer } from "./channel.ts";
import { openEgress, resolverConfiguration, type Egress } from "./egress.ts";
import { UserEgress } from "./egress-user.ts";
import { AnnouncedFolders } from "./folders.ts";
import {
  CLONE_FS,
  keepFromChildren,
  lowerResourceLimits,
  mount,
  MS_NODEV,
  MS_NOSUID,
  MS_REMOUNT,
  openFolder,
  unshare,
} from "./libc.ts";
import { EnvironmentNetworks, GATEWAY, RUNTIME_API_PORT } from "./network.ts";
import type { Started, StartMessage } from "./protocol.ts";
import { RuntimeRoots } from "./roots.ts";
import { ACCOUNT_BASE, Sandboxes, type NetworkSeats } from "./sandboxes.ts";
import { Zygotes } from "./zygote/zygotes.ts";
import { ImageStorage, tmpfsStorage, type TemporaryStorage } from "./storage.ts";

/** Every host has it, everybody may enter it, and nothing that the spawner needs is in it. */
const PRIVATE_FOLDER = "/tmp";
const PRIVATE_FOLDER_BYTES = 16 * 1024 * 1024;
const FIRST_DESCRIPTOR_OF_OURS = 3;

/** How long a spawner may take to end when its server was killed: it destroys its sandboxes first. Ours. */
const PREDECESSOR_MS_MAX = 3000;
const PREDECESSOR_POLL_MS = 20;

export interface Spawner {
  readonly sandboxes: Sandboxes;
  readonly started: Started;
  /** Destroys every sandbox and takes back what would outlive this process. */
  close(): Promise<void>;
}

/**
 * The tree of an instance, once it is free: after `kill -9` of a server the next one may be here before the spawner of the
 * one before has given back what it had. Throws InstanceTaken.
 */
async function openFreeCgroups(instance: string): Promise<CgroupTree> {
  const untilMs = systemClock.monotonicMs() + PREDECESSOR_MS_MAX;
  for (;;) {
    try {
      return openCgroups({ instance });
    } catch (error) {
      if (!(error instanceof InstanceTaken) || systemClock.monotonicMs() >= untilMs) throw error;
    }
    await pause(PREDECESSOR_POLL_MS);
  }
}

export async function setUp(message: StartMessage): Promise<Spawner> {
  await startThreads();
  const { folders, storageDirectory, resolver } = prepareProcess(message);
  const cgroups = await openFreeCgroups(message.instance);
  cgroups.sweep();
  const seccompPath = `${PRIVATE_FOLDER}/seccomp.bpf`;
  writeFileSync(seccompPath, seccompProgram(process.arch === "arm64" ? "arm64" : "x64"));
  const stagingPath = `${PRIVATE_FOLDER}/staging`;
  mkdirSync(stagingPath);
  const [network, storage] = await Promise.all([
    setUpNetwork(message),
    setUpStorage(storageDirectory, stagingPath),
  ]);
  const roots = new RuntimeRoots(`${PRIVATE_FOLDER}/roots`, folders, { "resolv.conf": resolver });
  const zygotes = new Zygotes({
    roots,
    seccompPath,
    accounts: message.separateAccounts
      ? { own: ACCOUNT_BASE - 1, first: ACCOUNT_BASE, count: network.seats.seatCount }
      : undefined,
    clock: systemClock,
    onGivenUp: (root, reason) =>
      send({ type: "notice", text: `sandboxes of ${root} boot on their own: ${reason}` }),
  });
  const sandboxes = new Sandboxes({
    folders,
    roots,
    zygotes,
    cgroups,
    network: network.seats,
    storage: storage.used,
    stagingPath,
    seccompPath,
    separateAccounts: message.separateAccounts,
    onExit: (id, exit) => send({ type: "exited", id, exit }),
  });
  return {
    sandboxes,
    started: { walls: describeWalls({ cgroups, network, storage: storage.wall }), ...network.started },
    close: async () => {
      await sandboxes.destroyAll();
      await zygotes.close();
      await network.egress?.close();
      cgroups.close();
    },
  };
}

interface Surroundings {
  readonly folders: AnnouncedFolders;
  readonly storageDirectory: string;
  readonly resolver: string;
}

/**
 * Starts libuv's thread, for what may take long. Threads share their working directory with the one that starts them, and
 * who shares it may not enter another mount namespace: so this is done before the main thread takes one of its own.
 */
async function startThreads(): Promise<void> {
  process.env["UV_THREADPOOL_SIZE"] = "1";
  await access("/");
}

function prepareProcess(message: StartMessage): Surroundings {
  lowerResourceLimits(ENVIRONMENT_FILE_DESCRIPTORS_MAX);
  keepFromChildren(FIRST_DESCRIPTOR_OF_OURS);
  // A working directory of this thread's own: entering another mount namespace takes that.
  unshare(CLONE_FS);
  process.chdir("/");
  // Before the private folder hides the host's, and before this thread leaves the host's network.
  const folders = new AnnouncedFolders([message.codeDirectory, ...message.runtimesDirectories]);
  const storageDirectory = `/proc/self/fd/${openFolder(message.storageDirectory)}`;
  const resolver = resolverConfiguration();
  mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV);
  mount("tmpfs", PRIVATE_FOLDER, "tmpfs", MS_NOSUID | MS_NODEV, `mode=755,size=${PRIVATE_FOLDER_BYTES}`);
  favourMigrations();
  return { folders, storageDirectory, resolver };
}

/**
 * Moving a process into a control group makes the kernel wait for a grace period of RCU: 10 to 20 ms, with this whole
 * process standing still, before each sandbox that is made alone. With `favordynmods` (Linux 6.0) it is 0.1 ms. The
 * option belongs to the kernel's one cgroup v2 file system, and is left on.
 */
function favourMigrations(): void {
  for (const line of readFileSync("/proc/self/mountinfo", "utf8").split("\n")) {
    const [, path, options] = /^\S+ \S+ \S+ \S+ (\S+) .* - cgroup2 \S+ (\S+)$/.exec(line) ?? [];
    if (path === undefined || options === undefined || options.includes("favordynmods")) continue;
    // Options that are left out would be switched off.
    const kept = options.split(",").filter((option) => option !== "rw" && option !== "ro");
    try {
      mount("cgroup2", path, null, MS_REMOUNT, [...kept, "favordynmods"].join(","));
    } catch {
      // An older kernel, or not root on the host: creating a sandbox takes that much longer.
    }
  }
}

interface Network {
  readonly seats: NetworkSeats;
  readonly own: Wall;
  readonly outside: Wall;
  readonly egress?: Egress;
  readonly started: Pick<Started, "network">;
}

async function setUpNetwork(message: StartMessage): Promise<Network> {
  // Both look at the host's network, which this thread is about to leave.
  const hostNamespace = openSync("/proc/self/ns/net", "r");
  const userEgress = message.separateAccounts ? undefined : new UserEgress();
  const network = new EnvironmentNetworks();
  const { endpointPort } = message;
  for (const [kind, port] of [
    ["runtime-api", RUNTIME_API_PORT],
    ["endpoint", endpointPort],
  ] as const) {
    sendServer(kind, await network.listen(port));
  }
  const common = {
    seats: network,
    own: { holds: true, detail: "a network namespace each, routed apart" },
    started: { network: { host: GATEWAY, runtimeApiPort: RUNTIME_API_PORT, endpointPort } },
  };
  try {
    if (userEgress) {
      closeSync(hostNamespace);
      await userEgress.open(network);
      return { ...common, outside: { holds: true, detail: "slirp4netns" } };
    }
    const egress = await openEgress(network, { hostNamespace, instance: message.instance });
    return { ...common, egress, outside: { holds: true, detail: "address translation by nftables" } };
  } catch (error) {
    return { ...common, outside: { holds: false, detail: describeRefusal(error) } };
  }
}

function describeRefusal(error: unknown): string {
  const hint = error instanceof SandboxError ? error.hint : undefined;
  return [coerceError(error).message, hint].filter((part) => part !== undefined).join("; ");
}

interface Storage {
  readonly used: TemporaryStorage;
  readonly wall: Wall;
}

async function setUpStorage(directory: string, stagingPath: string): Promise<Storage> {
  try {
    const used = await ImageStorage.open(directory, stagingPath, systemClock);
    return { used, wall: { holds: true, detail: "/tmp is a file system of its own, on the server's disk" } };
  } catch (error) {
    const detail = `/tmp has the exact size, but what is in it counts as memory (${coerceError(error).message})`;
    return { used: tmpfsStorage, wall: { holds: false, detail } };
  }
}

function describeWalls(parts: { cgroups: CgroupTree; network: Network; storage: Wall }): Walls {
  const { cgroups, network, storage } = parts;
  const { memory, cpu, pids } = cgroups.available;
  return {
    filesystem: { holds: true, detail: "a read-only root of what a function needs, in a mount namespace" },
    processes: {
      holds: true,
      detail: "pid, ipc, uts and user namespaces; no capabilities; no new privileges",
    },
    network: network.own,
    egress: network.outside,
    memoryLimit: memory,
    cpuLimit: cpu,
    processLimit: pids,
    systemCalls: { holds: true, detail: "seccomp allow-list" },
    ephemeralStorage: storage,
  };
}
