/** What the groups of the sandbox suite share: folders, the driver under test, and the agent inside a sandbox. */
import assert from "node:assert/strict";
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { Readable } from "node:stream";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { TestContext } from "node:test";
import { newHexId } from "../../../kernel/ids.ts";
import { tolerate } from "../cgroups/files.ts";
import type {
  CodeMounts,
  EnvironmentNetwork,
  Sandbox,
  SandboxDriver,
  SandboxSpec,
  Wall,
} from "../sandbox.ts";

/** Absolute host folders that the suite made; the driver may read all of them and write to `data` alone. */
export interface SuiteFolders {
  /** Holds the folders of code that sandboxes are shown. */
  readonly code: string;
  /** Shown as /var/runtime. */
  readonly runtime: string;
  /** Shown as /var/lang: the Node that runs the suite. */
  readonly lang: string;
  /** Empty; the driver's own. */
  readonly data: string;
}

export type SandboxFactory = (folders: SuiteFolders) => SandboxDriver;

export class Fixture {
  /** In the command line of every process that the suite starts in sandboxes, to find those that were left behind. */
  readonly marker: string;
  /** Variables that the driver adds to what a spec gives. */
  readonly extraVariables: readonly string[];
  readonly folders: SuiteFolders;
  readonly driver: SandboxDriver;
  readonly #factory: SandboxFactory;
  readonly #root: string;
  #network: EnvironmentNetwork | undefined;
  #sandboxes = 0;

  constructor(factory: SandboxFactory, extraVariables: readonly string[]) {
    this.extraVariables = extraVariables;
    this.#root = mkdtempSync(join(tmpdir(), "hornero-sandbox-"));
    this.marker = `conformance-${newHexId(6)}`;
    this.#factory = factory;
    this.folders = {
      code: join(this.#root, "code"),
      runtime: join(this.#root, "runtime"),
      lang: dirname(dirname(process.execPath)),
      data: join(this.#root, "data"),
    };
    for (const folder of [this.folders.code, this.folders.runtime, this.folders.data]) mkdirSync(folder);
    copyFileSync(join(import.meta.dirname, "agent.mjs"), join(this.folders.runtime, "agent.mjs"));
    this.driver = factory(this.folders);
  }

  async start(): Promise<void> {
    this.#network = await this.driver.start();
  }

  get network(): EnvironmentNetwork {
    assert(this.#network, "the driver was started");
    return this.#network;
  }

  /** Another driver beside the first, not started, with a data folder of its own. */
  secondDriver(): SandboxDriver {
    const data = join(this.#root, `data-${newHexId(4)}`);
    mkdirSync(data);
    return this.#factory({ ...this.folders, data });
  }

  /** Closes the driver; then nothing of it may be left on this machine. */
  async close(): Promise<void> {
    await this.driver.close();
    await this.driver.close();
    assert.deepEqual(this.processes(this.marker), [], "no process is left");
    const mounts = readFileSync("/proc/self/mountinfo", "utf8").split("\n");
    assert.deepEqual(
      mounts.filter((line) => line.includes(this.#root)),
      [],
      "no mount is left",
    );
    rmSync(this.#root, { recursive: true });
  }

  newId(): string {
    return `suite-${(this.#sandboxes += 1)}-${newHexId(4)}`;
  }

  /** A folder of code with these files; `bootstrap` can be executed. */
  code(files: Readonly<Record<string, string>>): string {
    const folder = mkdtempSync(join(this.folders.code, "code-"));
    chmodSync(folder, 0o755);
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(dirname(join(folder, name)), { recursive: true });
      writeFileSync(join(folder, name), text, { mode: name === "bootstrap" ? 0o755 : 0o644 });
    }
    return folder;
  }

  spec(overrides: Partial<SandboxSpec> & Pick<SandboxSpec, "command">): SandboxSpec {
    return {
      id: this.newId(),
      root: { key: "conformance", lang: this.folders.lang, runtime: this.folders.runtime },
      environment: { PATH: "/var/lang/bin:/usr/bin:/bin", PWD: "/var/task" },
      memoryMb: 256,
      ephemeralStorageMb: 512,
      link: false,
      ...overrides,
    };
  }

  /** A sandbox that is destroyed when the test ends. */
  async create(
    t: TestContext,
    overrides: Partial<SandboxSpec> & Pick<SandboxSpec, "command">,
  ): Promise<Sandbox> {
    const sandbox = await this.driver.create(this.spec(overrides));
    t.after(() => sandbox.destroy("the test has ended"));
    return sandbox;
  }

  /** A shell in a sandbox. The marker is its $0. */
  shell(t: TestContext, script: string, overrides: Partial<SandboxSpec> = {}): Promise<Sandbox> {
    return this.create(t, { command: ["/bin/sh", "-c", script, this.marker], ...overrides });
  }

  async agent(t: TestContext, overrides: Partial<SandboxSpec> = {}): Promise<Agent> {
    const agent = ["/var/lang/bin/node", "/var/runtime/agent.mjs", this.marker];
    const sandbox = await this.create(t, {
      command: agent,
      link: true,
      ...overrides,
      environment: {
        PATH: "/var/lang/bin:/usr/bin:/bin",
        PWD: "/var/task",
        TASK: "/var/task",
        OPT: "/opt",
        ARTEFACTS: "/var/artefacts",
        ...overrides.environment,
      },
    });
    return new Agent(sandbox);
  }

  /** Host pids of the processes with `marker` in their command line, in whatever namespace they live. */
  processes(marker: string): number[] {
    const found: number[] = [];
    for (const name of readdirSync("/proc")) {
      const pid = Number(name);
      if (!(pid > 0) || pid === process.pid) continue;
      // A process may end between the listing and the look at it.
      tolerate(["ENOENT", "ESRCH"], () => {
        const isZombie = /^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
        if (!isZombie && readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(marker)) found.push(pid);
      });
    }
    return found;
  }
}

/** Our end of the link to agent.mjs. */
export class Agent {
  readonly sandbox: Sandbox;
  readonly #calls = new Map<number, PromiseWithResolvers<unknown>>();
  #lastId = 0;
  #pending: string[] = [];

  constructor(sandbox: Sandbox) {
    assert(sandbox.link, "the sandbox has a link");
    this.sandbox = sandbox;
    sandbox.link.setEncoding("utf8");
    sandbox.link.on("data", (chunk: string) => this.#onData(chunk));
    const fail = () => {
      for (const call of this.#calls.values()) call.reject(new Error("the link was closed"));
      this.#calls.clear();
    };
    sandbox.link.on("error", fail).on("close", fail).on("end", fail);
    // What the agent says of its own failures belongs into the test's report.
    sandbox.output.on("data", (data: Buffer) => process.stderr.write(data));
  }

  /** Rejects with the error's code as message when the operation failed inside, or when the link closes. */
  call(op: string, args: Readonly<Record<string, unknown>> = {}): Promise<unknown> {
    const id = (this.#lastId += 1);
    const call = Promise.withResolvers<unknown>();
    this.#calls.set(id, call);
    this.sandbox.link?.write(`${JSON.stringify({ id, op, ...args })}\n`);
    return call.promise;
  }

  /** Runs a shell script inside to its end. */
  async run(script: string): Promise<{ status: number; stdout: string; stderr: string }> {
    const result = await this.call("run", { command: ["/bin/sh", "-c", script] });
    return result as { status: number; stdout: string; stderr: string };
  }

  #onData(chunk: string): void {
    // Joined only at a line's end: an answer of megabytes comes in many chunks.
    const [head = "", ...lines] = chunk.split("\n");
    this.#pending.push(head);
    for (const next of lines) {
      this.#onLine(this.#pending.join(""));
      this.#pending = [next];
    }
  }

  #onLine(line: string): void {
    const { id, result, error } = JSON.parse(line) as { id: number; result?: unknown; error?: string };
    const call = this.#calls.get(id);
    this.#calls.delete(id);
    if (error === undefined) call?.resolve(result);
    else call?.reject(new Error(error));
  }
}

export async function text(output: Readable): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of output) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

/** True when the driver claims the wall; else the test is skipped with the driver's own reason. */
export function claims(t: TestContext, wall: Wall): boolean {
  if (!wall.holds) t.skip(`not claimed: ${wall.detail}`);
  return wall.holds;
}

/** Waits for what will soon be, giving other processes the CPU in between. */
export async function until(holds: () => boolean, what: string): Promise<void> {
  for (let turn = 0; turn < 100_000; turn += 1) {
    if (holds()) return;
    await nextTurn();
  }
  assert.fail(`never: ${what}`);
}

/** Lets so much CPU time of this process pass that another one, when it may run, gets a good deal too. */
export async function burn(cpuMs: number): Promise<void> {
  const { user } = process.cpuUsage();
  await until(() => process.cpuUsage().user - user > cpuMs * 1000, "CPU time passes");
}

export function layered(task: string, ...layers: string[]): CodeMounts {
  return { task, layers };
}
