/**
 * The spawner: the one process that makes namespaces, mounts, control groups and sandboxed processes, for one server.
 *
 * It is started by `unshare` as pid 1 of its own pid and mount namespaces, and enters its own network namespace. When
 * it ends, for whatever reason, the kernel ends every process, mount and interface in them. It ends when the server's
 * end of the IPC channel closes. It reads no configuration, listens to nobody else and does only what protocol.ts lists.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { ENVIRONMENT_FILE_DESCRIPTORS_MAX } from "../../../limits.ts";
import { openCgroups, type CgroupTree } from "../cgroups.ts";
import type { Walls } from "../sandbox.ts";
import { seccompProgram } from "../seccomp.ts";
import { failure, send, sendDescriptor } from "./channel.ts";
import { AnnouncedFolders } from "./folders.ts";
import {
  CLONE_FS,
  keepFromChildren,
  lowerResourceLimits,
  mount,
  MS_NODEV,
  MS_NOSUID,
  unshare,
} from "./libc.ts";
import {
  parseRequest,
  parseStart,
  requestNumber,
  type Created,
  type SpawnerRequest,
  type StartMessage,
} from "./protocol.ts";
import { RuntimeRoots } from "./roots.ts";
import { Sandboxes, tmpfsStorage } from "./sandboxes.ts";

/** Every host has it, everybody may enter it, and nothing that the spawner needs is in it. */
const PRIVATE_FOLDER = "/tmp";
const PRIVATE_FOLDER_BYTES = 16 * 1024 * 1024;

interface Spawner {
  readonly sandboxes: Sandboxes;
  readonly cgroups: CgroupTree;
  readonly walls: Walls;
}

function start(message: StartMessage): Spawner {
  lowerResourceLimits(ENVIRONMENT_FILE_DESCRIPTORS_MAX);
  keepFromChildren(3);
  // A working directory of this thread's own: entering another mount namespace takes that.
  unshare(CLONE_FS);
  process.chdir("/");
  // Opened before the private folder hides the host's.
  const folders = new AnnouncedFolders([message.codeDirectory, ...message.runtimesDirectories]);
  mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV);
  mount("tmpfs", PRIVATE_FOLDER, "tmpfs", MS_NOSUID | MS_NODEV, `mode=755,size=${PRIVATE_FOLDER_BYTES}`);
  const stagingPath = `${PRIVATE_FOLDER}/staging`;
  mkdirSync(stagingPath);
  const seccompPath = `${PRIVATE_FOLDER}/seccomp.bpf`;
  writeFileSync(seccompPath, seccompProgram(process.arch === "arm64" ? "arm64" : "x64"));
  const cgroups = openCgroups({ instance: message.instance });
  cgroups.sweep();
  const sandboxes = new Sandboxes({
    folders,
    roots: new RuntimeRoots(`${PRIVATE_FOLDER}/roots`, folders, {}),
    cgroups,
    network: { seatCount: 4096, address: () => undefined, enter: (_index, start) => start() },
    storage: tmpfsStorage,
    stagingPath,
    seccompPath,
    separateAccounts: message.separateAccounts,
    onExit: (id, exit) => send({ type: "exited", id, exit }),
    onHandles: (id, { output, link }) => {
      sendDescriptor("output", id, output);
      if (link !== undefined) sendDescriptor("link", id, link);
    },
  });
  return { sandboxes, cgroups, walls: walls(cgroups) };
}

function walls(cgroups: CgroupTree): Walls {
  const { memory, cpu, pids } = cgroups.available;
  return {
    filesystem: { holds: true, detail: "a read-only root of what a function needs, in a mount namespace" },
    processes: {
      holds: true,
      detail: "pid, ipc, uts and user namespaces; no capabilities; no new privileges",
    },
    network: { holds: false, detail: "functions share the spawner's network" },
    egress: { holds: true, detail: "functions share the spawner's network" },
    memoryLimit: memory,
    cpuLimit: cpu,
    processLimit: pids,
    systemCalls: { holds: true, detail: "seccomp allow-list" },
    ephemeralStorage: { holds: false, detail: "/tmp has the exact size, but what is in it counts as memory" },
  };
}

async function act({ sandboxes }: Spawner, command: SpawnerRequest): Promise<Created | undefined> {
  switch (command.op) {
    case "ping":
      return undefined;
    case "create":
      return await sandboxes.create(command);
    case "specialise":
      await sandboxes.specialise(command);
      return undefined;
    case "signal":
      sandboxes.signal(command.id, command.signal);
      return undefined;
    case "freeze":
      sandboxes.freeze(command.id);
      return undefined;
    case "thaw":
      sandboxes.thaw(command.id);
      return undefined;
    case "destroy":
      await sandboxes.destroy(command.id);
      return undefined;
  }
}

async function answer(spawner: Spawner, message: unknown): Promise<void> {
  let request = requestNumber(message);
  try {
    const parsed = parseRequest(message);
    request = parsed.request;
    const result = await act(spawner, parsed.command);
    send({ type: "reply", request, ...(result === undefined ? {} : { result }) });
  } catch (error) {
    if (request === undefined) throw error;
    send({ type: "refusal", request, failure: failure(error) });
  }
}

async function stop(spawner: Spawner | undefined): Promise<void> {
  await spawner?.sandboxes.destroyAll();
  spawner?.cgroups.close();
  process.exit(0);
}

let spawner: Spawner | undefined;

process.title = "hornero-spawner";
process.once("message", (message) => {
  try {
    spawner = start(parseStart(message));
  } catch (error) {
    send({ type: "failed", failure: failure(error) });
    process.disconnect();
    return;
  }
  const started = spawner;
  process.on("message", (later) => void answer(started, later));
  send({ type: "started", started: { walls: spawner.walls } });
});
process.once("disconnect", () => void stop(spawner));
