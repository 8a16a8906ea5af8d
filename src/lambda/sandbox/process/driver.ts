/**
 * Sandboxes without walls: one plain child process each, with the rights of the server. For a developer's own functions
 * on a machine that can do no better; never for code of others.
 *
 * What it keeps of the contract: the environment is complete, output and link are as elsewhere, code arrives by
 * `specialise`, destroy takes daemons along. What it cannot: everything in `walls`.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdir, rm, stat, symlink } from "node:fs/promises";
import { join, resolve } from "node:path";
import { Duplex } from "node:stream";
import type { Clock } from "../../../kernel/clock.ts";
import { SandboxError, type Sandbox, type SandboxDriver, type SandboxSpec, type Walls } from "../sandbox.ts";
import { killMarked, MARK } from "./descendants.ts";
import { rewritePaths } from "./paths.ts";
import { openPipe } from "./pipe.ts";
import { ProcessSandbox, showCode } from "./sandbox.ts";

export interface ProcessDriverOptions {
  readonly clock: Clock;
  /** The driver's own; one running server at a time. What an earlier one left in it is removed. */
  readonly dataDirectory: string;
}

export function createProcessDriver(options: ProcessDriverOptions): SandboxDriver {
  return new ProcessDriver(options);
}

const MEND = "use the bubblewrap driver: install bubblewrap, and allow user namespaces or run as root";
const noWall = (what: string) => ({
  holds: false,
  detail: `processes of the server's own user: ${what}; ${MEND}`,
});

const WALLS: Walls = {
  filesystem: noWall("they see and may change all files that the server may"),
  processes: noWall("they see and may signal each other and the server"),
  network: noWall("they share the host's network, its loopback and its services"),
  egress: { holds: true, detail: "the host's own network" },
  memoryLimit: noWall("memory is the host's, without a limit"),
  cpuLimit: noWall("CPU time is the host's, without a limit"),
  processLimit: noWall("they may start as many processes as the server's user"),
  systemCalls: noWall("no filter on system calls"),
  ephemeralStorage: noWall("/tmp is the host's"),
};

class ProcessDriver implements SandboxDriver {
  readonly name = "process";
  readonly walls = WALLS;
  readonly #clock: Clock;
  readonly #folder: string;
  readonly #sandboxes = new Map<string, ProcessSandbox>();
  readonly #creating = new Map<string, Promise<Sandbox>>();
  #closed: Promise<void> | undefined;

  constructor({ clock, dataDirectory }: ProcessDriverOptions) {
    this.#clock = clock;
    this.#folder = join(resolve(dataDirectory), "sandboxes");
  }

  async start(): Promise<{ kind: "loopback" }> {
    // Children outlive a server that was killed.
    await killMarked(`${this.#folder}/`, this.#clock);
    await rm(this.#folder, { recursive: true, force: true });
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    return { kind: "loopback" };
  }

  create(spec: SandboxSpec): Promise<Sandbox> {
    if (this.#closed) return Promise.reject(new SandboxError("create", "the driver is closed"));
    if (!/^[a-z0-9-]{1,36}$/.test(spec.id)) {
      return Promise.reject(new SandboxError("validate", `not a sandbox id: ${JSON.stringify(spec.id)}`));
    }
    if (this.#sandboxes.has(spec.id) || this.#creating.has(spec.id)) {
      return Promise.reject(new SandboxError("validate", `sandbox ${spec.id} exists`));
    }
    const sandbox = this.#create(spec).finally(() => this.#creating.delete(spec.id));
    this.#creating.set(spec.id, sandbox);
    return sandbox;
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #create(spec: SandboxSpec): Promise<Sandbox> {
    const folder = join(this.#folder, spec.id);
    try {
      await makeFolder(folder, spec);
      const sandbox = await this.#start(folder, spec);
      this.#sandboxes.set(spec.id, sandbox);
      return sandbox;
    } catch (error) {
      await rm(folder, { recursive: true, force: true });
      throw error;
    }
  }

  async #start(folder: string, spec: SandboxSpec): Promise<ProcessSandbox> {
    const [program = "", ...args] = spec.command.map((word) => rewritePaths(word, folder));
    const environment: Record<string, string> = { [MARK]: folder };
    for (const [name, value] of Object.entries(spec.environment))
      environment[name] = rewritePaths(value, folder);
    const output = openPipe();
    let child: ChildProcess;
    try {
      child = spawn(program, args, {
        cwd: join(folder, "task"),
        env: environment,
        // A session and process group of its own, so that one signal reaches the group.
        detached: true,
        stdio: ["ignore", output.writer, output.writer, ...(spec.link ? ["pipe" as const] : [])],
      });
      await once(child, "spawn");
    } catch (cause) {
      output.reader.destroy();
      throw new SandboxError("spawn", `${program} cannot be started`, { cause });
    } finally {
      output.closeWriter();
    }
    const link = child.stdio[3];
    return new ProcessSandbox({
      id: spec.id,
      folder,
      child,
      link: link instanceof Duplex ? link : undefined,
      output: output.reader,
      specialised: spec.code !== undefined,
      clock: this.#clock,
      onDestroyed: () => this.#sandboxes.delete(spec.id),
    });
  }

  async #close(): Promise<void> {
    await Promise.allSettled(this.#creating.values());
    const sandboxes = [...this.#sandboxes.values()];
    const destroyed = await Promise.allSettled(
      sandboxes.map((sandbox) => sandbox.destroy("the driver closes")),
    );
    await rm(this.#folder, { recursive: true, force: true });
    const failed = destroyed.filter((outcome) => outcome.status === "rejected");
    if (failed.length > 0)
      throw new AggregateError(
        failed.map((outcome) => outcome.reason),
        "sandboxes survive",
      );
  }
}

async function makeFolder(folder: string, { root, code }: SandboxSpec): Promise<void> {
  try {
    await mkdir(folder);
    for (const name of ["task", "opt", "artefacts"]) await mkdir(join(folder, name));
    for (const [name, source] of [
      ["lang", root.lang],
      ["runtime", root.runtime],
    ] as const) {
      if (source === undefined) continue;
      await stat(source);
      await symlink(source, join(folder, name));
    }
  } catch (cause) {
    throw new SandboxError("make-folder", `${folder} cannot be made`, { cause });
  }
  if (code) await showCode(folder, code);
}
