/** A sandbox forked from a zygote: what the child does for itself, and what is done to it from here meanwhile. */
import { SandboxError } from "../../sandbox.ts";
import type { Cgroup } from "../../cgroups.ts";
import { DetachedCode, INSIDE } from "../code-mounts.ts";
import type { AnnouncedFolders } from "../folders.ts";
import { SystemCallError } from "../libc.ts";
import { inMountNamespace } from "../mount-namespaces.ts";
import type { CreateRequest } from "../protocol.ts";
import type { NetworkSeats } from "../sandboxes.ts";
import type { TemporaryStorage } from "../storage.ts";
import { ForkedProcess } from "./forked-process.ts";
import type { Zygote } from "./zygote.ts";

const MIB = 1024 * 1024;

export interface ForkParts {
  readonly folders: AnnouncedFolders;
  readonly network: NetworkSeats;
  readonly storage: TemporaryStorage;
}

export interface ForkSeat {
  readonly index: number;
  readonly cgroup: Cgroup;
  readonly account: number | undefined;
  readonly hostname: string;
}

/**
 * Resolves when the walls are up and the command is next. Leaves nothing when it rejects: with SandboxError of the step
 * `build-walls` when this machine does not let a zygote's child have its walls, or as the parts do.
 */
export async function forkSandbox(
  { folders, network, storage }: ForkParts,
  zygote: Zygote,
  request: CreateRequest,
  { index, cgroup, account, hostname }: ForkSeat,
): Promise<ForkedProcess> {
  const spec = { hostname, accountIndex: index, account, groupFiles: cgroup.joinFiles };
  const forked = startFork(zygote, spec);
  try {
    // The child takes its namespaces while /tmp is being made.
    const prepared = await storage.prepare({ index, bytes: request.ephemeralStorageMb * MIB, account });
    try {
      const initPid = await forked.initPid;
      network.connect(index, initPid);
      prepared.attach(initPid);
      if (request.code) attachCode(folders, request.code, initPid);
    } finally {
      prepared.close();
    }
    await forked.release();
    return forked;
  } catch (error) {
    forked.kill();
    await forked.gone;
    forked.closeDescriptors();
    throw forked.refusal === "" ? error : new SandboxError("build-walls", forked.refusal, { cause: error });
  }
}

function startFork(zygote: Zygote, spec: ConstructorParameters<typeof ForkedProcess>[1]): ForkedProcess {
  try {
    return new ForkedProcess(zygote, spec);
  } catch (error) {
    if (!(error instanceof SystemCallError) || error.call !== "sendmsg") throw error;
    // It has ended this moment, or hangs.
    throw new SandboxError("build-walls", error.message, { cause: error });
  }
}

function attachCode(
  folders: AnnouncedFolders,
  mounts: NonNullable<CreateRequest["code"]>,
  pid: number,
): void {
  const code = new DetachedCode(folders, mounts);
  try {
    inMountNamespace(pid, () => code.attach(INSIDE));
  } finally {
    code.close();
  }
}
