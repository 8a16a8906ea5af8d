/**
 * The bubblewrap driver: asks a spawner process for sandboxes and keeps one running. When the spawner dies, the kernel
 * has killed every sandbox with it; their `exited` resolve, and a new spawner is started.
 */
import { createHash } from "node:crypto";
import { mkdirSync, realpathSync } from "node:fs";
import { join } from "node:path";
import type { Clock } from "../../../kernel/clock.ts";
import { coerceError, deferred } from "../../../kernel/deferred.ts";
import type { Logger } from "../../../telemetry/logger.ts";
import { prepareCgroups } from "../prepare-cgroups.ts";
import {
  SandboxError,
  type CodeMounts,
  type EnvironmentNetwork,
  type RuntimeRoot,
  type Sandbox,
  type SandboxDriver,
  type SandboxExit,
  type SandboxSpec,
  type Walls,
} from "../sandbox.ts";
import type { Started, StartMessage } from "../spawner/protocol.ts";
import { BubblewrapSandbox } from "./bubblewrap-sandbox.ts";
import { SpawnerClient, type NetworkHandles } from "./spawner-client.ts";
import { SpawnerProcesses } from "./spawner-processes.ts";

/** Starts in a row that may fail before the driver gives up for good. */
const RESTARTS_MAX = 8;
const RESTART_DELAY_MS_FIRST = 50;
const RESTART_DELAY_MS_MAX = 5000;
/** A spawner that lived this long was in order: its end counts as the first of a new row. */
const SOUND_LIFE_MS = 60_000;

export interface BubblewrapDriverOptions {
  /** The Node that runs the spawner. */
  readonly node: string;
  /** Every CodeMounts folder lies below it. */
  readonly codeDirectory: string;
  /** Every RuntimeRoot folder lies below one of them. */
  readonly runtimesDirectories: readonly string[];
  /** The server's own folder: names this server on the machine, and holds images of /tmp file systems. */
  readonly dataDirectory: string;
  /** Port of the public endpoint as environments see it. */
  readonly endpointPort: number;
  readonly clock: Clock;
  readonly logger?: Logger;
}

export function createBubblewrapDriver(options: BubblewrapDriverOptions): BubblewrapDriver {
  return new BubblewrapDriver(options);
}

export class BubblewrapDriver implements SandboxDriver {
  readonly name = "bubblewrap";
  readonly #options: BubblewrapDriverOptions;
  readonly #processes: SpawnerProcesses;
  readonly #sandboxes = new Map<string, BubblewrapSandbox>();
  /** Ends of sandboxes whose `create` has not returned yet. */
  readonly #earlyExits = new Map<string, SandboxExit>();
  readonly #networkListeners: ((network: EnvironmentNetwork) => void)[] = [];
  readonly #roots = new Map<string, RuntimeRoot>();
  #walls: Walls | undefined;
  #startMessage: StartMessage | undefined;
  #spawner: Promise<SpawnerClient> | undefined;
  #restarts = 0;
  #startedMs = 0;
  #closing = false;
  readonly #closingSoon = deferred();
  #closed: Promise<void> | undefined;

  constructor(options: BubblewrapDriverOptions) {
    this.#options = options;
    this.#processes = new SpawnerProcesses(options.node);
  }

  get walls(): Walls {
    if (!this.#walls) throw new SandboxError("walls", "the driver has not been started");
    return this.#walls;
  }

  async start(): Promise<EnvironmentNetwork> {
    if (this.#spawner) throw new SandboxError("start", "the driver has been started already");
    prepareCgroups();
    this.#startMessage = startMessage(this.#options);
    const network = deferred<EnvironmentNetwork>();
    this.#spawner = this.#launch((made) => network.resolve(made));
    this.#processes.prepareStandbys(this.#startMessage);
    await this.#spawner;
    return await network.promise;
  }

  /** Calls back when a new spawner has replaced a dead one: handles of the network before are of no use any more. */
  onNetwork(listener: (network: EnvironmentNetwork) => void): void {
    this.#networkListeners.push(listener);
  }

  async create(spec: SandboxSpec): Promise<Sandbox> {
    const spawner = await this.#ready();
    if (this.#sandboxes.has(spec.id)) throw new SandboxError("create", `sandbox ${spec.id} exists already`);
    const { id, command, environment, memoryMb, ephemeralStorageMb, link } = spec;
    const background = spec.background === true;
    const code = spec.code && this.#resolveCode(spec.code);
    const root = this.#resolveRoot(spec.root);
    const zygote = spec.zygote === true;
    const request = {
      id,
      root,
      command,
      environment,
      memoryMb,
      ephemeralStorageMb,
      background,
      link,
      zygote,
    };
    const created = await spawner.request({ op: "create", ...request, ...(code ? { code } : {}) });
    const sandbox = new BubblewrapSandbox({
      id,
      created: created ?? { address: undefined, peakMemoryPath: undefined },
      handles: spawner.takeHandles(id),
      request: (request) => spawner.request(request),
      resolveCode: (mounts) => this.#resolveCode(mounts),
      onDestroyed: () => this.#sandboxes.delete(id),
    });
    this.#sandboxes.set(id, sandbox);
    // What came with the reply in one piece was told before anybody could hear it.
    const exit = this.#earlyExits.get(id);
    this.#earlyExits.delete(id);
    if (exit) sandbox.onExit(exit);
    if (spawner.isDead) sandbox.onSpawnerDeath();
    return sandbox;
  }

  async close(): Promise<void> {
    this.#closed ??= this.#close();
    await this.#closed;
  }

  async #close(): Promise<void> {
    this.#closing = true;
    this.#closingSoon.resolve();
    const spawner = await this.#spawner?.catch(() => undefined);
    await spawner?.close();
    this.#processes.close();
  }

  async #ready(): Promise<SpawnerClient> {
    if (this.#closing || !this.#spawner) throw new SandboxError("create", "the driver is not running");
    return await this.#spawner;
  }

  async #launch(onNetwork: (network: EnvironmentNetwork) => void): Promise<SpawnerClient> {
    const message = this.#startMessage;
    if (!message) throw new SandboxError("start", "the driver has not been started");
    let alive = false;
    const client: SpawnerClient = new SpawnerClient({
      child: this.#processes.take(message),
      clock: this.#options.clock,
      listeners: {
        onExit: (id, exit) => {
          const sandbox = this.#sandboxes.get(id);
          if (sandbox) sandbox.onExit(exit);
          else this.#earlyExits.set(id, exit);
        },
        onNotice: (text) => this.#options.logger?.warn(text),
        onDeath: (reason) => {
          if (alive) this.#onDeath(reason);
          alive = false;
        },
      },
    });
    try {
      const { started, handles } = await client.start();
      this.#walls = started.walls;
      this.#startedMs = this.#options.clock.monotonicMs();
      alive = true;
      onNetwork(environmentNetwork(started, handles));
      return client;
    } catch (error) {
      client.kill();
      throw error;
    }
  }

  #onDeath(reason: string): void {
    this.#earlyExits.clear();
    for (const sandbox of this.#sandboxes.values()) sandbox.onSpawnerDeath();
    if (this.#closing) return;
    this.#options.logger?.warn(`${reason}; starting another`);
    if (this.#options.clock.monotonicMs() - this.#startedMs > SOUND_LIFE_MS) this.#restarts = 0;
    this.#spawner = this.#restart();
    // Those who create a sandbox hear of it.
    this.#spawner.catch((error: unknown) => this.#options.logger?.warn(coerceError(error).message));
  }

  async #restart(): Promise<SpawnerClient> {
    for (;;) {
      if (this.#closing) throw new SandboxError("spawner", "the driver is closing");
      if (this.#restarts >= RESTARTS_MAX) {
        throw new SandboxError("spawner", `the spawner ended ${RESTARTS_MAX} times in a row`, {
          hint: "the log says why; restart the server when that is mended",
        });
      }
      const delayMs = Math.min(RESTART_DELAY_MS_MAX, RESTART_DELAY_MS_FIRST * 2 ** this.#restarts);
      this.#restarts += 1;
      const pause = deferred();
      const cancel = this.#options.clock.after(delayMs, () => pause.resolve());
      await Promise.race([pause.promise, this.#closingSoon.promise]);
      cancel();
      if (this.#closing) continue;
      try {
        return await this.#launch((network) => {
          for (const listener of this.#networkListeners) listener(network);
        });
      } catch (error) {
        this.#options.logger?.warn(`the spawner could not be started: ${coerceError(error).message}`);
      }
    }
  }

  /** The spawner follows no symbolic links, so that nobody can lead it astray: they are resolved here. */
  #resolveRoot(root: RuntimeRoot): RuntimeRoot {
    const known = this.#roots.get(root.key);
    if (known) return known;
    const real: RuntimeRoot = {
      key: root.key,
      ...(root.lang === undefined ? {} : { lang: resolved(root.lang) }),
      ...(root.runtime === undefined ? {} : { runtime: resolved(root.runtime) }),
    };
    this.#roots.set(root.key, real);
    return real;
  }

  #resolveCode(code: CodeMounts): CodeMounts {
    const resolve = (path: string) => {
      const { codeDirectory } = this.#options;
      if (!path.startsWith(codeDirectory)) return path;
      return (this.#startMessage?.codeDirectory ?? codeDirectory) + path.slice(codeDirectory.length);
    };
    return {
      task: resolve(code.task),
      layers: code.layers.map(resolve),
      ...(code.artefacts === undefined ? {} : { artefacts: resolve(code.artefacts) }),
    };
  }
}

/** Without its links. A folder that the server may not enter any more, below root's home, was resolved when it was found. */
function resolved(path: string): string {
  try {
    return realpathSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EACCES") return path;
    throw new SandboxError("compose-root", coerceError(error).message, { cause: error });
  }
}

/** Seven digits: with a prefix, the longest name that an interface can have. */
export function instanceName(dataDirectory: string): string {
  return createHash("sha256").update(realpathSync(dataDirectory)).digest("hex").slice(0, 7);
}

function startMessage(options: BubblewrapDriverOptions): StartMessage {
  const dataDirectory = realpathSync(options.dataDirectory);
  const storageDirectory = join(dataDirectory, "storage");
  mkdirSync(storageDirectory, { recursive: true });
  return {
    op: "start",
    instance: instanceName(dataDirectory),
    codeDirectory: realpathSync(options.codeDirectory),
    runtimesDirectories: options.runtimesDirectories.map((directory) => realpathSync(directory)),
    storageDirectory,
    endpointPort: options.endpointPort,
    separateAccounts: process.getuid?.() === 0,
  };
}

function environmentNetwork({ network }: Started, handles: NetworkHandles): EnvironmentNetwork {
  const { runtimeApi, endpoint } = handles;
  if (!network || !runtimeApi || !endpoint) return { kind: "loopback" };
  return {
    kind: "shared",
    runtimeApi: { host: network.host, port: network.runtimeApiPort, handle: runtimeApi },
    endpoint: { host: network.host, port: network.endpointPort, handle: endpoint },
  };
}
