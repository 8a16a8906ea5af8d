/**
 * What is made of a function's code when it is published, so that its environments start faster.
 *
 * - Compiled code, V8's code cache or Python's bytecode: made by a program of ours that compiles the code and never runs it,
 *   with the interpreter and the flags of the function's environments. Kept by everything that it depends on: functions
 *   with the same code, interpreter and flags share it.
 * - The snapshot of a version with SnapStart: the function's own init phase runs, in a sandbox with its variables and limits.
 *   What its code leaves in the snapshot is run by environments of that version and of nobody else.
 *
 * Artefacts make a start faster and nothing else: a function without them works the same.
 */
import { createHash } from "node:crypto";
import type { Clock } from "../../kernel/clock.ts";
import { coerceError } from "../../kernel/deferred.ts";
import type { LogSink } from "../../telemetry/log-sink.ts";
import type { Logger } from "../../telemetry/logger.ts";
import type { FunctionVersion } from "../model.ts";
import type { RuntimeAvailable, RuntimeFound } from "../runtimes/catalogue.ts";
import type { CodeMounts, SandboxDriver, SandboxSpec } from "../sandbox/sandbox.ts";
import { ArtefactFolders } from "./artefact-folders.ts";
import { build, type BuildOutcome } from "./build.ts";
import { buildVariables, snapshotLog } from "./snapshots.ts";

/** Loading less code than that takes no time that could be saved. */
const ZIP_BYTES_MIN = 16 * 1024;
const COMPILE_TIMEOUT_MS = 30_000;
/** A function becomes active without waiting longer than this for its compiled code. Ours. */
const PATIENCE_MS = 3_000;
/** The init phase of SnapStart: 130 s, or the function's timeout where that is longer [docs: snapstart]. */
const SNAPSHOT_TIMEOUT_MS = 130_000;
/** The compiler's own heap, whatever the function's memory. */
const COMPILE_MEMORY_MB_MIN = 512;
const PARALLEL_MAX = 2;
/** Functions that wait for their turn; beyond, they do without. */
const WAITING_MAX = 1000;

export interface ArtefactsOptions {
  /** Below the folder that sandboxes may be shown code from; made when missing. */
  readonly directory: string;
  readonly driver: SandboxDriver;
  readonly runtimes: { find(runtimeId: string): Promise<RuntimeFound> };
  /** The unpacked folder of a zip. */
  readonly codeFolder: (sha256Hex: string) => Promise<string>;
  readonly region: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Where the init phase of a snapshot is logged: the function's own log. */
  readonly sink: LogSink;
  readonly nextId: () => string;
}

export interface Prepared {
  /** Environments of the version start from a snapshot. */
  readonly snapshot: boolean;
}

export class Artefacts {
  readonly #options: ArtefactsOptions;
  readonly #folders: ArtefactFolders;
  /** What is waiting or being made, by name: who asks meanwhile shares it. */
  readonly #making = new Map<string, Promise<void>>();
  readonly #waiting: (() => void)[] = [];
  #running = 0;
  #closed = false;

  private constructor(options: ArtefactsOptions, folders: ArtefactFolders) {
    this.#options = options;
    this.#folders = folders;
  }

  static async open(options: ArtefactsOptions): Promise<Artefacts> {
    return new Artefacts(options, await ArtefactFolders.open(options.directory));
  }

  /** The folder with the compiled code to show to environments of `version`; undefined when there is none. Memory only. */
  find(version: FunctionVersion, runtime: RuntimeAvailable): string | undefined {
    return runtime.compile ? this.#folders.find(compiledName(version, runtime)) : undefined;
  }

  /** The folder with the snapshot of `version`; undefined when there is none. Memory only. */
  findSnapshot(version: FunctionVersion, runtime: RuntimeAvailable): string | undefined {
    if (version.snapStart !== true || !runtime.snapshot) return undefined;
    return this.#folders.find(snapshotName(version, runtime));
  }

  /**
   * Makes what there is to make. A snapshot is waited for; compiled code for a while only. What fails is done without, and
   * told in the function's log (snapshot) or the server's (compiled code). Never rejects.
   */
  async prepare(version: FunctionVersion, zipBytes: number): Promise<Prepared> {
    const runtime = await this.#options.runtimes.find(version.runtime);
    if (!runtime.available) return { snapshot: false };
    const compiled = this.#prepareCompiled(version, runtime, zipBytes);
    const snapshot = await this.#prepareSnapshot(version, runtime);
    // With a snapshot there is nothing left to compile.
    if (!snapshot) await compiled;
    return { snapshot };
  }

  async #prepareCompiled(
    version: FunctionVersion,
    runtime: RuntimeAvailable,
    zipBytes: number,
  ): Promise<void> {
    if (!runtime.compile) return;
    const layers = runtime.compile.layers && version.layerSha256Hex.length > 0;
    if (zipBytes < ZIP_BYTES_MIN && !layers) return;
    const making = this.#make(compiledName(version, runtime), (name) =>
      this.#compile(name, version, runtime).catch((error: unknown) => {
        if (this.#closed) return;
        const why = { function: version.name, error: coerceError(error) };
        this.#options.logger.warn("code could not be compiled ahead; its environments compile it", why);
      }),
    );
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const cancel = this.#options.clock.after(PATIENCE_MS, resolve);
    await Promise.race([making, late]);
    cancel();
  }

  async #prepareSnapshot(version: FunctionVersion, runtime: RuntimeAvailable): Promise<boolean> {
    // Without walls each sandbox has its code elsewhere, and a snapshot knows the paths of its files.
    if (version.snapStart !== true || this.#options.driver.name === "process") return false;
    if (!runtime.snapshot) return false;
    await this.#make(snapshotName(version, runtime), (name) =>
      this.#takeSnapshot(name, version, runtime).catch((error: unknown) => {
        if (this.#closed) return;
        const why = { function: version.name, error: coerceError(error) };
        this.#options.logger.warn("no snapshot could be taken; environments load the code", why);
      }),
    );
    return this.findSnapshot(version, runtime) !== undefined;
  }

  /** Removes a snapshot from which no environment could start. */
  async dropSnapshot(version: FunctionVersion, runtime: RuntimeAvailable): Promise<void> {
    await this.#folders.remove(snapshotName(version, runtime));
  }

  /** Removes what was made of code that is about to be removed. */
  async forget(codeSha256Hex: string): Promise<void> {
    await this.#folders.removeOf(codeSha256Hex);
  }

  /** Resolves when nothing is being made any more. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const next of this.#waiting.splice(0)) next();
    await Promise.all(this.#making.values());
  }

  /** Has `act` make what is called `name`, unless it is there or being made. `act` never rejects. */
  #make(name: string, act: (name: string) => Promise<void>): Promise<void> {
    if (this.#folders.find(name) !== undefined) return Promise.resolve();
    const underWay = this.#making.get(name);
    if (underWay) return underWay;
    if (this.#closed || this.#waiting.length >= WAITING_MAX) return Promise.resolve();
    const making = this.#inTurn(() => act(name)).finally(() => this.#making.delete(name));
    this.#making.set(name, making);
    return making;
  }

  async #inTurn(act: () => Promise<void>): Promise<void> {
    if (this.#running >= PARALLEL_MAX) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    if (this.#closed) return;
    this.#running += 1;
    try {
      await act();
    } finally {
      this.#running -= 1;
      this.#waiting.shift()?.();
    }
  }

  async #compile(name: string, version: FunctionVersion, runtime: RuntimeAvailable): Promise<void> {
    const outcome = await this.#build(version, COMPILE_TIMEOUT_MS, {
      root: runtime.root,
      command: runtime.compile?.command(version.memoryMb, version.handler) ?? [],
      environment: runtime.environment,
      memoryMb: Math.max(version.memoryMb, COMPILE_MEMORY_MB_MIN),
      ephemeralStorageMb: 512,
    });
    if (!outcome.made) throw new Error(`${outcome.reason} ${outcome.output}`.trim());
    await this.#folders.put(name, outcome.files);
  }

  async #takeSnapshot(name: string, version: FunctionVersion, runtime: RuntimeAvailable): Promise<void> {
    const { clock, region, sink } = this.#options;
    const startedMs = clock.nowMs();
    const outcome = await this.#build(version, Math.max(SNAPSHOT_TIMEOUT_MS, version.timeoutMs), {
      root: runtime.root,
      command: runtime.snapshot?.build(version.memoryMb) ?? [],
      environment: buildVariables(version, runtime, region),
      memoryMb: version.memoryMb,
      ephemeralStorageMb: version.ephemeralStorageMb,
    });
    const log = snapshotLog(version, outcome, { region, startedMs, endedMs: clock.nowMs() });
    // Not waited for when the sink is full: the version must not wait for its log.
    sink.append(version.logging.group, log.stream, log.events);
    if (outcome.made) await this.#folders.put(name, outcome.files);
  }

  async #build(
    version: FunctionVersion,
    timeoutMs: number,
    spec: Omit<SandboxSpec, "id" | "code" | "link">,
  ): Promise<BuildOutcome> {
    const { driver, clock, nextId } = this.#options;
    const code = await this.#code(version);
    return build({ driver, clock, timeoutMs, spec: { ...spec, id: nextId(), code, link: true } });
  }

  async #code(version: FunctionVersion): Promise<CodeMounts> {
    const { codeFolder } = this.#options;
    const folders = [version.codeSha256Hex, ...version.layerSha256Hex].map(codeFolder);
    const [task = "", ...layers] = await Promise.all(folders);
    return { task, layers };
  }
}

function compiledName(version: FunctionVersion, runtime: RuntimeAvailable): string {
  const command = runtime.compile?.command(version.memoryMb, version.handler) ?? [];
  return nameOf(version, [runtime.root.key, ...command]);
}

/** Of one version of one function: its code has run in it. */
function snapshotName(version: FunctionVersion, runtime: RuntimeAvailable): string {
  const command = runtime.snapshot?.restore(version.memoryMb) ?? [];
  const { functionArn, version: number, revisionId } = version;
  return nameOf(version, [runtime.root.key, ...command, functionArn, number, revisionId]);
}

function nameOf(version: FunctionVersion, parts: readonly string[]): string {
  const all = JSON.stringify([...parts, ...version.layerSha256Hex]);
  const digest = createHash("sha256").update(all).digest("hex").slice(0, 16);
  return `${version.codeSha256Hex}-${digest}`;
}
