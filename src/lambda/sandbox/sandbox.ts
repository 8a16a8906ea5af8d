/**
 * The sandbox port: one sandbox is the four walls around one execution environment's processes.
 *
 * Life of a sandbox: create (walls up, generic runtime booting, no function code visible) → specialise (once: the
 * function's code, layers, /tmp size and limits arrive) → signal / freeze / thaw / measure as needed → destroy.
 * Every driver passes the suite in conformance.ts. A driver's process may stand on another host later: nothing here
 * hands out pids, paths or file descriptors of the host.
 */
import type { Duplex, Readable } from "node:stream";

export interface SandboxDriver {
  readonly name: "bubblewrap" | "process" | "oci";
  /** What this driver can promise on this machine. Filled in by `start`. */
  readonly walls: Walls;
  /** Makes ready (spawner, network); resolves with where environments reach the platform. Called once. */
  start(): Promise<EnvironmentNetwork>;
  /** Calls back when a network was built anew, with handles that replace those before; absent where that cannot happen. */
  onNetwork?(listener: (network: EnvironmentNetwork) => void): void;
  /**
   * Builds the walls and starts `command` behind them. Resolves when the process was started (not when it is ready).
   * Rejects with SandboxError; nothing is left behind then.
   */
  create(spec: SandboxSpec): Promise<Sandbox>;
  /** Destroys every sandbox and gives back everything the driver made on this machine. Idempotent. */
  close(): Promise<void>;
}

export interface SandboxSpec {
  /** Unique for the driver's life: lower-case letters, digits and `-`, at most 36 characters. */
  readonly id: string;
  /** The interpreter and boot files to show inside; see RuntimeRoot. */
  readonly root: RuntimeRoot;
  /** Absolute path inside the sandbox, then arguments; `/var/task/bootstrap` for provided runtimes: then `code` must be given here. */
  readonly command: readonly string[];
  /** The complete environment of the process: nothing is inherited. */
  readonly environment: Readonly<Record<string, string>>;
  readonly memoryMb: number;
  readonly ephemeralStorageMb: number;
  /** With it, the sandbox is created and specialised in one step (no pool for this runtime). */
  readonly code?: CodeMounts;
  /**
   * The command is a runtime that can be forked from one that has booted already with the same root, command and
   * environment. A hint: who cannot, starts the command.
   */
  readonly zygote?: boolean;
  /**
   * Nobody waits for it: until it is specialised its processes get a small share of the CPUs that others want, too. Where
   * the driver cannot do that it means nothing.
   */
  readonly background?: boolean;
  /** Whether the process gets the fast link as file descriptor 3 (a connected unix stream socket). */
  readonly link: boolean;
}

/** Host folders that a runtime needs, all shown read-only. Paths are the host's, absolute and existing. */
export interface RuntimeRoot {
  /** Names the root: same key, same mounts. */
  readonly key: string;
  /** Folder shown as /var/lang (interpreter); none for provided runtimes or an interpreter of the system's /usr. */
  readonly lang?: string;
  /** Folder shown as /var/runtime (the boot files of runtimes/NAME); none for provided runtimes. */
  readonly runtime?: string;
}

/** Unpacked, immutable folders on the host. */
export interface CodeMounts {
  /** Shown read-only as /var/task. */
  readonly task: string;
  /** Shown read-only as /opt, merged in this order: later ones win. At most five. */
  readonly layers: readonly string[];
  /** Shown read-only as /var/artefacts: what was made from the code when it was published. Absent: that folder is empty. */
  readonly artefacts?: string;
}

export interface Specialisation {
  readonly code: CodeMounts;
  readonly memoryMb: number;
  readonly ephemeralStorageMb: number;
}

export interface Sandbox {
  readonly id: string;
  /** Our end of the fast link; undefined when the spec asked for none. */
  readonly link: Duplex | undefined;
  /** What the sandbox's processes write to stdout and stderr, in order, as bytes. Paused until somebody reads: the pipe then holds 64 KiB. */
  readonly output: Readable;
  /** The address this sandbox's connections to the environment network come from; undefined without a network of its own. */
  readonly address: string | undefined;
  /** Resolves once when the main process has ended and been reaped, however it ended. Never rejects. */
  readonly exited: Promise<SandboxExit>;
  /** Shows code and sets limits for one function; at most once, and not when the spec had `code`. Resolves when all is visible inside. */
  specialise(specialisation: Specialisation): Promise<void>;
  /**
   * Where the paths `/var/task`, `/var/runtime`, `/var/lang`, `/var/artefacts` and `/opt` in `text` are for the processes inside; absent where
   * they are what they say. The driver does it to the spec's command and environment itself; whoever tells a process of
   * such a path later (SPECIALISE) asks here first.
   */
  rewritePaths?(text: string): string;
  /**
   * From now on the processes get the CPU share of their memory size; until then, all that the machine has. Called when the
   * function is initialised: AWS gives the init phase full CPU, and a small function would take half a second to start.
   */
  limitCpu(): Promise<void>;
  /** SIGTERM or SIGKILL to the main process. Harmless after the exit. */
  signal(signal: "SIGTERM" | "SIGKILL"): Promise<void>;
  /** Stops every process inside from running, without their noticing. Idempotent. */
  freeze(): Promise<void>;
  thaw(): Promise<void>;
  /** Peak memory since creation in bytes, now; undefined where the machine cannot say. Cheap enough to call after every invocation (≤ 30 µs). */
  peakMemoryBytes(): number | undefined;
  /** Kills everything inside and removes every trace: processes, mounts, namespaces, cgroups, files. Idempotent; later calls await the first. */
  destroy(reason: string): Promise<void>;
}

export interface SandboxExit {
  /** Exit status 0–255; undefined when a signal ended it. */
  readonly code: number | undefined;
  /** `SIGKILL`, `SIGSEGV`, …; undefined on a plain exit. */
  readonly signal: string | undefined;
  /** The kernel killed something inside because the memory limit was reached. */
  readonly outOfMemory: boolean;
}

/** Where code inside an environment reaches the platform. */
export interface EnvironmentNetwork {
  /**
   * "shared": every sandbox has an address of its own and reaches `runtimeApiHost:runtimeApiPort` and the public endpoint
   * at `endpointHost:endpointPort`; the listening handles are already bound inside the environments' network.
   * "loopback": no network of its own; the environment room opens a listener on 127.0.0.1 for each environment.
   */
  readonly kind: "shared" | "loopback";
  /** A bound, listening handle for the Runtime API (hand to http.Server#listen); only with "shared". */
  readonly runtimeApi?: {
    readonly host: string;
    readonly port: number;
    readonly handle: import("node:net").Server;
  };
  /** The same for the public endpoint as seen from inside. */
  readonly endpoint?: {
    readonly host: string;
    readonly port: number;
    readonly handle: import("node:net").Server;
  };
}

/** What the walls of this machine stop, for `doctor`, the banner and SECURITY.md. `detail` says why not and what would mend it. */
export interface Walls {
  readonly filesystem: Wall;
  readonly processes: Wall;
  readonly network: Wall;
  /** Whether functions reach the outside world through NAT. */
  readonly egress: Wall;
  readonly memoryLimit: Wall;
  readonly cpuLimit: Wall;
  readonly processLimit: Wall;
  readonly systemCalls: Wall;
  /** Exact /tmp size that does not count as memory. */
  readonly ephemeralStorage: Wall;
}

export interface Wall {
  readonly holds: boolean;
  readonly detail: string;
}

export class SandboxError extends Error {
  override readonly name = "SandboxError";
  /** The step that failed, e.g. `create-netns`, `mount-code`. */
  readonly step: string;
  /** What an operator can do about it. */
  readonly hint: string | undefined;
  constructor(step: string, message: string, options: { hint?: string; cause?: unknown } = {}) {
    super(message, { cause: options.cause });
    this.step = step;
    this.hint = options.hint;
  }
}
