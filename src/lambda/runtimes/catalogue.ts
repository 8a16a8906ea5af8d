/** The catalogue: from a runtime id to what a sandbox must show and start for it, on this host. */
import { existsSync } from "node:fs";
import { basename, delimiter, dirname, join } from "node:path";
import type { Clock } from "../../kernel/clock.ts";
import { PACKAGE_FOLDER } from "../../kernel/package-folder.ts";
import { MEMORY_MB_PER_VCPU } from "../../limits.ts";
import type { Logger } from "../../telemetry/logger.ts";
import type { RuntimeRoot } from "../sandbox/sandbox.ts";
import { onPath, type Interpreter, type InterpreterSearch } from "./interpreter.ts";
import { findNode } from "./node-interpreters.ts";
import { findPython, pythonInstallationFolders } from "./python-interpreters.ts";
import { runtimeVariables } from "./environment-variables.ts";
import type { Survey } from "./start-survey.ts";
import { RUNTIMES, type RuntimeDescription } from "./runtimes.ts";

export type RuntimeFound = RuntimeAvailable | RuntimeMissing;

export interface RuntimeAvailable {
  readonly available: true;
  readonly root: RuntimeRoot;
  /**
   * Program and arguments, paths as inside the sandbox. `memoryMb` sizes V8's heap, so that a function that
   * allocates too much collects garbage before the kernel kills it; absent: the interpreter's own defaults.
   */
  command(memoryMb?: number): string[];
  /** What compiles a function's code ahead; absent: this runtime has nothing like it. */
  readonly compile?: {
    /** Program and arguments, with the flags of the environments. What it makes depends on nothing else but the code. */
    command(memoryMb: number, handler: string): string[];
    /** Whether it compiles the code in layers, too. */
    readonly layers: boolean;
  };
  /** The commands that take a snapshot of an initialised function, and that start from one; absent: this runtime has none. */
  readonly snapshot?: {
    build(memoryMb: number): string[];
    restore(memoryMb: number): string[];
  };
  /** The interpreter's version, `22.23.3`; empty for OS-only runtimes. */
  readonly version: string;
  /** The variables that are this runtime's own; the rest is environmentVariables'. */
  readonly environment: Readonly<Record<string, string>>;
  /** Whether it can be forked from one that has booted already; see SandboxSpec. */
  readonly zygote?: boolean;
  /** Whether the runtime speaks the fast link; otherwise it polls the HTTP Runtime API. */
  readonly link: boolean;
}

export interface RuntimeMissing {
  readonly available: false;
  /** One sentence. */
  readonly reason: string;
  /** The exact command that mends it; empty when none does. */
  readonly fix: string;
}

export interface RuntimeCatalogue {
  /** Never rejects. Answers at once for what was found before; a failure is looked at again after a while. */
  find(runtimeId: string): Promise<RuntimeFound>;
  /** Existing folders below which everything lies that `find` may answer: what a spawner must be allowed to show. */
  folders(): string[];
}

export interface RuntimeCatalogueOptions {
  /** Where fetched interpreters are kept; made when needed. */
  readonly cacheDirectory: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** The server's environment: PATH, HOME, PYENV_ROOT, UV_PYTHON_INSTALL_DIR. Default: this process's. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** What was found while this process was root, when it is not any more; otherwise this process looks itself. */
  readonly survey?: Promise<Survey>;
  /** False forbids fetching interpreters from npm. Default: true. */
  readonly fetch?: boolean;
}

/** After a failed search nothing is probed again for this long: a burst of invocations must not become a burst of probes. */
const FAILURE_KEPT_MS = 10_000;
/** V8's young generation in MB never needs more; its size is a step of memory that does not come back. */
const SEMI_SPACE_MB_MAX = 64;

/** Node's major version that has a compile cache. */
const COMPILE_CACHE_SINCE = 22;

/** Every sandbox shows the system's own programs as they are. */
const SYSTEM_FOLDERS = new Set(["/bin", "/usr/bin", "/sbin", "/usr/sbin"]);

/** npm may put an installed package's dependencies beside it instead of into it. */
const NODE_MODULES_DIRECTORIES = [
  join(PACKAGE_FOLDER, "node_modules"),
  ...(basename(dirname(PACKAGE_FOLDER)) === "node_modules" ? [dirname(PACKAGE_FOLDER)] : []),
];

export function createRuntimeCatalogue(options: RuntimeCatalogueOptions): RuntimeCatalogue {
  const { clock, logger } = options;
  const known = new Map<string, Promise<RuntimeFound>>();

  return {
    find(runtimeId) {
      const before = known.get(runtimeId);
      if (before) return before;
      const search = searchRuntime(runtimeId, options).then((found) => {
        if (found.available) {
          logger.debug("found a runtime", {
            runtime: runtimeId,
            version: found.version,
            lang: found.root.lang,
          });
        } else {
          logger.warn(found.reason, { runtime: runtimeId, fix: found.fix });
          clock.after(FAILURE_KEPT_MS, () => known.delete(runtimeId));
        }
        return found;
      });
      known.set(runtimeId, search);
      return search;
    },
    folders: () => interpreterFolders(options.environment ?? process.env),
  };
}

function interpreterFolders(environment: Readonly<Record<string, string | undefined>>): string[] {
  const prefixes = (environment["PATH"] ?? "")
    .split(delimiter)
    .filter((folder) => folder.endsWith("/bin") && !SYSTEM_FOLDERS.has(folder))
    .map((folder) => dirname(folder));
  const packages = [join(PACKAGE_FOLDER, "runtimes"), ...NODE_MODULES_DIRECTORIES];
  const all = [...packages, ...pythonInstallationFolders(environment), ...prefixes];
  return [...new Set(all)].filter((folder) => folder !== "/" && existsSync(folder));
}

async function searchRuntime(runtimeId: string, options: RuntimeCatalogueOptions): Promise<RuntimeFound> {
  const description = RUNTIMES.get(runtimeId);
  if (!description) return missing(`Lambda has no runtime ${runtimeId}.`);
  if (!description.runs) return missing(`Hornero has no ${runtimeId} runtime.`);
  const environment = options.environment ?? process.env;
  if (description.family === "provided") return custom(description);
  const search =
    description.family === "nodejs"
      ? searchNode(description, options, environment)
      : searchPython(description, options, environment);
  return interpreted(description, await search);
}

async function searchPython(
  { version }: RuntimeDescription,
  { survey }: RuntimeCatalogueOptions,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<InterpreterSearch> {
  const surveyed = (await survey)?.[version];
  if (surveyed?.found) return surveyed;
  return await findPython(version, {
    path: environment["PATH"],
    installationFolders: pythonInstallationFolders(environment),
  });
}

function searchNode(
  { version }: RuntimeDescription,
  { cacheDirectory, fetch }: RuntimeCatalogueOptions,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<InterpreterSearch> {
  const path = environment["PATH"];
  return findNode(version, {
    cacheDirectory,
    path,
    packageDirectories: NODE_MODULES_DIRECTORIES,
    npm: fetch === false ? undefined : onPath("npm", path)[0],
  });
}

function interpreted(description: RuntimeDescription, search: InterpreterSearch): RuntimeFound {
  if (!search.found) return { available: false, reason: search.reason, fix: search.fix };
  const { found } = search;
  const { id, family } = description;
  return {
    available: true,
    root: {
      key: `${id}-${found.version}`,
      runtime: join(PACKAGE_FOLDER, "runtimes", family),
      ...(found.prefix === undefined ? {} : { lang: found.prefix }),
    },
    command: (memoryMb) =>
      family === "nodejs" ? nodeCommand(description, found, memoryMb) : pythonCommand(found),
    ...compiler(description, found),
    ...(family === "nodejs" ? { snapshot: nodeSnapshot(description, found) } : {}),
    version: found.version,
    environment: runtimeVariables(description),
    zygote: family === "python",
    link: true,
  };
}

function compiler(description: RuntimeDescription, found: Interpreter): Pick<RuntimeAvailable, "compile"> {
  if (description.family === "python") {
    const command = () => [found.program, "-S", "/var/runtime/compile_code.py", "/var/task", "/opt"];
    return { compile: { command, layers: true } };
  }
  if (Number(description.version) < COMPILE_CACHE_SINCE) return {};
  const command = (memoryMb: number, handler: string) => [
    ...nodeCommand(description, found, memoryMb, "compile.cjs"),
    handler,
  ];
  return { compile: { command, layers: false } };
}

/**
 * Features that AWS switches off in its builds, so that code that runs here runs there
 * [docs: lambda-nodejs, "experimental features"]. A function's NODE_OPTIONS cannot switch them on again here.
 */
const NODE_FLAGS: Readonly<Record<string, readonly string[]>> = {
  "20": ["--no-experimental-require-module"],
  "22": ["--no-experimental-require-module", "--no-experimental-detect-module"],
};

/** V8 writes the snapshot when its process ends; a process after it, so that both need not fit into memory, sends it off. */
const BUILD_AND_SEND = '"$@" && exec "$1" /var/runtime/send-artefact.cjs /tmp/snapshot.blob snapshot.blob';

function nodeSnapshot(
  description: RuntimeDescription,
  found: Interpreter,
): NonNullable<RuntimeAvailable["snapshot"]> {
  const command = (memoryMb: number, flags: string[], file: string) => {
    const [program = "", ...rest] = nodeCommand(description, found, memoryMb, file);
    return [program, ...flags, ...rest];
  };
  return {
    build: (memoryMb) => {
      const flags = ["--snapshot-blob", "/tmp/snapshot.blob", "--build-snapshot"];
      const [program = "", ...others] = command(memoryMb, [], "snapshot.cjs");
      const file = others.pop() ?? "";
      return ["/bin/sh", "-c", BUILD_AND_SEND, "sh", program, ...others, ...flags, file];
    },
    restore: (memoryMb) =>
      command(memoryMb, ["--snapshot-blob", "/var/artefacts/snapshot.blob"], "bootstrap.cjs"),
  };
}

function nodeCommand(
  { version }: RuntimeDescription,
  { program }: Interpreter,
  memoryMb?: number,
  file = "bootstrap.cjs",
): string[] {
  const heap =
    memoryMb === undefined
      ? []
      : [
          `--max-old-space-size=${Math.floor(memoryMb * 0.9)}`,
          `--max-semi-space-size=${Math.min(SEMI_SPACE_MB_MAX, Math.floor(memoryMb * 0.05))}`,
        ];
  return [program, ...heap, ...threads(memoryMb), ...(NODE_FLAGS[version] ?? []), `/var/runtime/${file}`];
}

/**
 * V8's helper threads, four by default: a function that has less than two CPUs gains nothing by more than one of them,
 * and each costs a boot half a millisecond.
 */
function threads(memoryMb: number | undefined): string[] {
  return memoryMb !== undefined && memoryMb < 2 * MEMORY_MB_PER_VCPU ? ["--v8-pool-size=1"] : [];
}

/** Without the site module, whose .pth files could run anything of the host's; the runtime adds what functions use of it. */
function pythonCommand({ program }: Interpreter): string[] {
  return [program, "-S", "/var/runtime/bootstrap.py"];
}

function custom(description: RuntimeDescription): RuntimeFound {
  return {
    available: true,
    root: { key: "provided" },
    command: () => ["/var/task/bootstrap"],
    version: "",
    environment: runtimeVariables(description),
    link: false,
  };
}

function missing(reason: string): RuntimeFound {
  return { available: false, reason, fix: "" };
}
