/**
 * Puts a function version into a sandbox: finds its interpreter and its code, takes a waiting sandbox or has one built,
 * and connects the environment to its runtime by the fast link or the HTTP Runtime API.
 */
import { accessSync, constants } from "node:fs";
import { join } from "node:path";
import { AwsError } from "../../errors.ts";
import { Turns } from "../../kernel/turns.ts";
import type { Occupied } from "../environment/environment-options.ts";
import type { LinkSpecialisation } from "../environment/link-connection.ts";
import { ConcurrentSession } from "../environment/concurrent-session.ts";
import { RuntimeApi, RuntimeApiSession } from "../environment/runtime-api.ts";
import type { RuntimeEvents } from "../environment/runtime-connection.ts";
import type { FunctionVersion } from "../model.ts";
import type { RuntimeAvailable, RuntimeFound } from "../runtimes/catalogue.ts";
import {
  environmentVariables,
  type InitializationType,
  type SessionCredentials,
} from "../runtimes/environment-variables.ts";
import type { CodeMounts, EnvironmentNetwork, Sandbox, SandboxDriver } from "../sandbox/sandbox.ts";
import type { GenericKind, WarmPool } from "./warm-pool.ts";

export interface OccupierOptions {
  readonly driver: SandboxDriver;
  readonly pool: WarmPool;
  readonly network: EnvironmentNetwork;
  readonly runtimeApi: RuntimeApi;
  readonly runtimes: { find(runtimeId: string): Promise<RuntimeFound> };
  /** The unpacked folder of a zip. */
  readonly codeFolder: (sha256Hex: string) => Promise<string>;
  /** What was made of the code when it was published. */
  readonly artefacts?: {
    /** Folder with the compiled code. */
    find(version: FunctionVersion, runtime: RuntimeAvailable): string | undefined;
    /** Folder with the snapshot of this version. */
    findSnapshot(version: FunctionVersion, runtime: RuntimeAvailable): string | undefined;
    /** Forgets a snapshot from which nothing can start. */
    dropSnapshot(version: FunctionVersion, runtime: RuntimeAvailable): Promise<void>;
  };
  /** Short-lived credentials of the function's role. */
  readonly credentials: (version: FunctionVersion, sessionName: string) => SessionCredentials;
  readonly region: string;
  readonly nextId: () => string;
}

const TASK_ROOT = "/var/task";
const LAYERS_ROOT = "/opt";
const ARTEFACTS_ROOT = "/var/artefacts";

/** Variables that an interpreter reads when it starts: a function that sets one cannot take a booted runtime. */
const BOOT_VARIABLES = new Set([
  "NODE_OPTIONS",
  "NODE_PATH",
  "NODE_EXTRA_CA_CERTS",
  "NODE_PENDING_DEPRECATION",
  "NODE_TLS_REJECT_UNAUTHORIZED",
  "NODE_ICU_DATA",
  "NODE_COMPILE_CACHE",
  "UV_THREADPOOL_SIZE",
  "LD_LIBRARY_PATH",
  "LD_PRELOAD",
  "MALLOC_ARENA_MAX",
  "PYTHONHASHSEED",
  "PYTHONMALLOC",
  "PYTHONOPTIMIZE",
  "PYTHONUTF8",
  "PYTHONDEVMODE",
  "PYTHONUNBUFFERED",
  "LANG",
  "TZ",
]);

/** A custom runtime's program is missing, or may not be executed. */
export class InvalidEntrypoint extends Error {
  override readonly name = "InvalidEntrypoint";
}

/** Cold starts that begin in one turn of the event loop: about half a millisecond of work. */
const STARTS_PER_TURN = 2;

export class Occupier {
  readonly #options: OccupierOptions;
  readonly #turns = new Turns(STARTS_PER_TURN);

  constructor(options: OccupierOptions) {
    this.#options = options;
  }

  /** The runtime of a function. Throws InvalidRuntimeException when this machine does not have it. */
  async runtime(version: FunctionVersion): Promise<RuntimeAvailable> {
    const found = await this.#options.runtimes.find(version.runtime);
    if (found.available) return found;
    throw new AwsError("InvalidRuntimeException", `${found.reason} ${found.fix}`.trim(), { status: 502 });
  }

  /** Has the pool keep a waiting sandbox for functions like this one. */
  async expect(version: FunctionVersion): Promise<void> {
    const runtime = await this.runtime(version);
    // A sandbox of its own version waits from its first start on.
    if (this.#options.artefacts?.findSnapshot(version, runtime) !== undefined) return;
    if (runtime.link && !needsOwnBoot(version)) this.#options.pool.expect(kindOf(runtime, version));
  }

  /** `isProvisioned`: for provisioned concurrency, which the function can tell. */
  async occupy(
    version: FunctionVersion,
    logStream: string,
    events: RuntimeEvents,
    isProvisioned = false,
  ): Promise<Occupied> {
    await this.#turns.take();
    const [runtime, code] = await Promise.all([this.runtime(version), this.#code(version)]);
    const type = initializationTypeOf(version, isProvisioned);
    const makeVariables = (api: string) => this.#variables(version, runtime, logStream, api, type);
    if (!runtime.link) return this.#occupyHttp(version, runtime, code, makeVariables, events);
    const restored = await this.#occupySnapshot(version, runtime, code, logStream, events);
    return restored ?? this.#occupyLink(version, runtime, code, makeVariables, events);
  }

  /** The version is gone: so are its snapshot and the sandboxes that wait with it. */
  async forget(version: FunctionVersion): Promise<void> {
    const { artefacts, pool } = this.#options;
    const runtime = await this.runtime(version);
    const snapshot = artefacts?.findSnapshot(version, runtime);
    if (snapshot === undefined) return;
    pool.forget(snapshot);
    await artefacts?.dropSnapshot(version, runtime);
  }

  /** An environment that starts from the snapshot of its version; undefined where there is none, or none that starts. */
  async #occupySnapshot(
    version: FunctionVersion,
    runtime: RuntimeAvailable,
    code: CodeMounts,
    logStream: string,
    events: RuntimeEvents,
  ): Promise<Occupied | undefined> {
    const { pool, artefacts } = this.#options;
    const snapshot = artefacts?.findSnapshot(version, runtime);
    if (snapshot === undefined || !runtime.snapshot) return undefined;
    const mounts = { ...code, artefacts: snapshot };
    const kind: GenericKind = {
      key: snapshot,
      waitingMax: 1,
      spec: {
        root: runtime.root,
        command: runtime.snapshot.restore(version.memoryMb),
        environment: runtime.environment,
        memoryMb: version.memoryMb,
        ephemeralStorageMb: version.ephemeralStorageMb,
        code: mounts,
        link: true,
      },
    };
    const variables = this.#variables(version, runtime, logStream, this.#sharedApiAddress(), "snap-start");
    const generic = needsOwnBoot(version)
      ? await pool.create({ ...kind.spec, environment: variables })
      : await pool.take(kind);
    try {
      await pool.booted(generic);
    } catch {
      // Such as after a change of the machine's CPU: the code itself can still be loaded, and its errors be told.
      await generic.sandbox.destroy("could not start from its snapshot");
      await artefacts?.dropSnapshot(version, runtime);
      return undefined;
    }
    generic.connection.specialise(insideOf(generic.sandbox, version.handler, code, variables), events);
    return { ...generic, restored: true };
  }

  async #code(version: FunctionVersion): Promise<CodeMounts> {
    const [task, ...layers] = await Promise.all(
      [version.codeSha256Hex, ...version.layerSha256Hex].map((sha256Hex) =>
        this.#options.codeFolder(sha256Hex),
      ),
    );
    return { task: task ?? "", layers };
  }

  async #occupyLink(
    version: FunctionVersion,
    runtime: RuntimeAvailable,
    code: CodeMounts,
    variables: (api: string) => Record<string, string>,
    events: RuntimeEvents,
  ): Promise<Occupied> {
    const { pool } = this.#options;
    const makeVariables = () => variables(this.#sharedApiAddress());
    const kind = kindOf(runtime, version);
    const generic = needsOwnBoot(version)
      ? await pool.create({ ...kind.spec, zygote: false, environment: makeVariables() })
      : await pool.take(kind);
    const { sandbox, connection } = generic;
    try {
      const { memoryMb, ephemeralStorageMb } = version;
      const artefacts = this.#options.artefacts?.find(version, runtime);
      const mounts = artefacts === undefined ? code : { ...code, artefacts };
      const specialised = sandbox.specialise({ code: mounts, memoryMb, ephemeralStorageMb });
      const ready = Promise.all([pool.booted(generic), specialised]);
      // While the sandbox is being changed; what goes wrong there is told below, what goes wrong here comes first.
      ready.catch(() => undefined);
      const specialisation = insideOf(sandbox, version.handler, mounts, makeVariables());
      await ready;
      connection.specialise(specialisation, events);
      return generic;
    } catch (error) {
      await sandbox.destroy("could not be specialised");
      throw error;
    }
  }

  async #occupyHttp(
    version: FunctionVersion,
    runtime: RuntimeAvailable,
    code: CodeMounts,
    variables: (api: string) => Record<string, string>,
    events: RuntimeEvents,
  ): Promise<Occupied> {
    const { driver, network, runtimeApi, nextId } = this.#options;
    const entrypoint = findBootstrap(code);
    const { concurrencyMax = 1 } = version;
    const session =
      concurrencyMax > 1 ? new ConcurrentSession(events, concurrencyMax) : new RuntimeApiSession(events);
    const own =
      network.kind === "loopback"
        ? await RuntimeApi.openLoopback((request, response) => session.handle(request, response))
        : undefined;
    try {
      const sandbox = await driver.create({
        id: nextId(),
        root: runtime.root,
        command: [entrypoint],
        environment: variables(own?.address ?? this.#sharedApiAddress()),
        memoryMb: version.memoryMb,
        ephemeralStorageMb: version.ephemeralStorageMb,
        code,
        link: false,
      });
      const { address } = sandbox;
      if (own) void sandbox.exited.then(own.close);
      else if (address !== undefined) {
        runtimeApi.register(address, session);
        void sandbox.exited.then(() => runtimeApi.unregister(address, session));
      }
      return { sandbox, connection: session };
    } catch (error) {
      own?.close();
      throw error;
    }
  }

  #sharedApiAddress(): string {
    const { runtimeApi } = this.#options.network;
    return runtimeApi ? `${runtimeApi.host}:${runtimeApi.port}` : "127.0.0.1:9001";
  }

  #variables(
    version: FunctionVersion,
    runtime: RuntimeAvailable,
    logStream: string,
    api: string,
    initializationType: InitializationType,
  ): Record<string, string> {
    const { network, region, credentials } = this.#options;
    return environmentVariables(version, {
      runtime,
      region,
      logStream,
      runtimeApi: api,
      initializationType,
      credentials: credentials(version, version.name),
      ...(network.endpoint
        ? { endpointUrl: `http://${network.endpoint.host}:${network.endpoint.port}` }
        : {}),
    });
  }
}

function initializationTypeOf(version: FunctionVersion, isProvisioned: boolean): InitializationType {
  if (version.concurrencyMax !== undefined) return "lambda-managed-instances";
  return isProvisioned ? "provisioned-concurrency" : "on-demand";
}

/** What the runtime is told, with paths as its processes see them. */
function insideOf(
  sandbox: Sandbox,
  handler: string,
  mounts: CodeMounts,
  variables: Readonly<Record<string, string>>,
): LinkSpecialisation {
  const inside = (path: string) => sandbox.rewritePaths?.(path) ?? path;
  const places = {
    taskRoot: inside(TASK_ROOT),
    ...(sandbox.rewritePaths ? { layersRoot: inside(LAYERS_ROOT) } : {}),
    ...(mounts.artefacts === undefined ? {} : { artefacts: inside(ARTEFACTS_ROOT) }),
  };
  if (!sandbox.rewritePaths) return { environment: variables, handler, ...places };
  const environment: Record<string, string> = {};
  for (const [name, value] of Object.entries(variables)) environment[name] = sandbox.rewritePaths(value);
  return { environment, handler, ...places };
}

function needsOwnBoot(version: FunctionVersion): boolean {
  return Object.keys(version.environment).some((name) => BOOT_VARIABLES.has(name));
}

function kindOf(runtime: RuntimeAvailable, version: FunctionVersion): GenericKind {
  const { memoryMb } = version;
  const command = runtime.command(memoryMb);
  return {
    // Node is told its heap on the command line, so its sandboxes wait by memory size; Python's serve any.
    key: [runtime.root.key, ...command].join(" "),
    spec: {
      root: runtime.root,
      command,
      environment: runtime.environment,
      memoryMb,
      ephemeralStorageMb: 512,
      zygote: runtime.zygote === true,
      link: true,
    },
  };
}

/** `/var/task/bootstrap`, else the last layer's: the path inside the sandbox. */
function findBootstrap(code: CodeMounts): string {
  const candidates = [
    [code.task, "/var/task/bootstrap"],
    ...code.layers.map((layer) => [layer, "/opt/bootstrap"]),
  ] as const;
  for (const [folder, inside] of candidates) {
    if (folder === undefined || inside === undefined) continue;
    try {
      accessSync(join(folder, "bootstrap"), constants.X_OK);
      return inside;
    } catch {
      // Missing or not executable: the next place is looked at.
    }
  }
  throw new InvalidEntrypoint("Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]");
}
