/**
 * What is made of a function's code when it is published, so that its environments start faster: V8's code cache, Python's
 * bytecode. Made by programs of ours that compile and never run the code, in a sandbox, with the interpreter and
 * the flags of the function's environments; kept by everything that they depend on, so that a function with the same
 * code, interpreter and memory has the same artefacts.
 *
 * Artefacts make a start faster and nothing else: a function without them works the same.
 */
import { createHash } from "node:crypto";
import type { Clock } from "../../kernel/clock.ts";
import { coerceError } from "../../kernel/deferred.ts";
import type { Logger } from "../../telemetry/logger.ts";
import type { FunctionVersion } from "../model.ts";
import type { RuntimeAvailable, RuntimeFound } from "../runtimes/catalogue.ts";
import type { CodeMounts, SandboxDriver } from "../sandbox/sandbox.ts";
import { ArtefactFolders } from "./artefact-folders.ts";
import { build } from "./build.ts";

/** Loading less code than that takes no time that could be saved. */
const ZIP_BYTES_MIN = 16 * 1024;
const COMPILE_TIMEOUT_MS = 30_000;
/** A function becomes active without waiting longer than this for what makes it start faster. Ours. */
const PATIENCE_MS = 3_000;
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
  readonly clock: Clock;
  readonly logger: Logger;
  readonly nextId: () => string;
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

  /** The folder to show to environments of `version`; undefined when there is none. Memory only. */
  find(version: FunctionVersion, runtime: RuntimeAvailable): string | undefined {
    return runtime.compile ? this.#folders.find(compiledName(version, runtime)) : undefined;
  }

  /** Makes what there is to make. Resolves when it is there, when it failed, or when it takes too long. Never rejects. */
  async prepare(version: FunctionVersion, zipBytes: number): Promise<void> {
    if (this.#closed || zipBytes < ZIP_BYTES_MIN) return;
    const runtime = await this.#options.runtimes.find(version.runtime);
    if (!runtime.available || !runtime.compile) return;
    const name = compiledName(version, runtime);
    if (this.#folders.find(name) !== undefined) return;
    let making = this.#making.get(name);
    if (!making) {
      if (this.#waiting.length >= WAITING_MAX) return;
      making = this.#inTurn(() => this.#compile(name, version, runtime))
        .catch((error: unknown) => this.#failed(version, coerceError(error)))
        .finally(() => this.#making.delete(name));
      this.#making.set(name, making);
    }
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const cancel = this.#options.clock.after(PATIENCE_MS, resolve);
    await Promise.race([making, late]);
    cancel();
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
    const { driver, clock, nextId } = this.#options;
    const outcome = await build({
      driver,
      clock,
      timeoutMs: COMPILE_TIMEOUT_MS,
      spec: {
        id: nextId(),
        root: runtime.root,
        command: runtime.compile?.(version.memoryMb) ?? [],
        environment: { ...runtime.environment, _HANDLER: version.handler },
        memoryMb: Math.max(version.memoryMb, COMPILE_MEMORY_MB_MIN),
        ephemeralStorageMb: 512,
        code: await this.#code(version),
        link: true,
      },
    });
    if (!outcome.made) throw new Error(`${outcome.reason} ${outcome.output}`.trim());
    await this.#folders.put(name, outcome.files);
  }

  async #code(version: FunctionVersion): Promise<CodeMounts> {
    const { codeFolder } = this.#options;
    const folders = [version.codeSha256Hex, ...version.layerSha256Hex].map(codeFolder);
    const [task = "", ...layers] = await Promise.all(folders);
    return { task, layers };
  }

  #failed(version: FunctionVersion, error: Error): void {
    if (this.#closed) return;
    this.#options.logger.warn("code could not be compiled ahead; its environments compile it themselves", {
      function: version.name,
      error,
    });
  }
}

function compiledName(version: FunctionVersion, runtime: RuntimeAvailable): string {
  const parts = [
    runtime.root.key,
    ...(runtime.compile?.(version.memoryMb) ?? []),
    version.handler,
    ...version.layerSha256Hex,
  ];
  return `${version.codeSha256Hex}-${digest(parts)}`;
}

function digest(parts: readonly string[]): string {
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex").slice(0, 16);
}
