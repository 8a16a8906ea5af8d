/**
 * Where spawner processes come from. A server that was started as root gives root up, and a spawner needs it: so some
 * more are started with the first one and wait as a shell that does nothing but `read`, until the one before has died.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { programFile } from "../../../kernel/package-folder.ts";
import { SandboxError } from "../sandbox.ts";
import type { StartMessage } from "../spawner/protocol.ts";

/** Spawners that can follow a dead one after root was given up. Ours: spawners do not die by themselves. */
const STANDBYS = 4;

/** A small heap: it holds a few maps, and a fork copies its page tables. */
const NODE_FLAGS = [
  "--max-semi-space-size=1",
  "--max-old-space-size=64",
  "--disable-warning=ExperimentalWarning",
];

export class SpawnerProcesses {
  readonly #node: string;
  readonly #standbys: ChildProcess[] = [];
  #hadRoot = false;

  /** `node` is the path of the Node that runs them. */
  constructor(node: string) {
    this.#node = node;
  }

  /**
   * A new spawner process with an IPC channel. Throws SandboxError when there is no privilege left to start one.
   * One that was kept in waiting has its START already: what it may touch was settled while the server was root.
   */
  take(start: StartMessage): ChildProcess {
    if (isRoot()) return this.#spawn([], start);
    const standby = this.#standbys.shift();
    if (standby) {
      standby.stdin?.end("start\n");
      standby.channel?.ref();
      standby.ref();
      return standby;
    }
    if (this.#hadRoot) {
      throw new SandboxError("spawner", `${STANDBYS} spawners have died since the server gave up root`, {
        hint: "restart the server; its log says why they died",
      });
    }
    return this.#spawn([], start);
  }

  /** As root: makes ready for the time after. Harmless otherwise. */
  prepareStandbys(start: StartMessage): void {
    if (!isRoot()) return;
    this.#hadRoot = true;
    while (this.#standbys.length < STANDBYS) {
      // The end of the server ends `read`, and with it the shell.
      const standby = this.#spawn(["sh", "-c", 'read -r _ && exec "$@"', "sh"], start);
      standby.on("error", () => undefined);
      standby.unref();
      standby.channel?.unref();
      this.#standbys.push(standby);
    }
  }

  close(): void {
    for (const standby of this.#standbys.splice(0)) {
      standby.stdin?.end();
      standby.disconnect();
    }
  }

  #spawn(wrapper: readonly string[], start: StartMessage): ChildProcess {
    const user = isRoot() ? [] : ["--user", "--map-root-user"];
    const [command = "", ...args] = [
      ...wrapper,
      ...["unshare", ...user, "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child"],
      ...["--", this.#node, ...NODE_FLAGS, programFile("lambda/sandbox/spawner/main"), JSON.stringify(start)],
    ];
    return spawn(command, args, {
      // Nothing of the server's environment: it may hold secrets, and variables that change how Node starts.
      env: { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" },
      // A session of its own: Ctrl-C in a terminal is for the server, which then ends its spawner in good order.
      detached: true,
      stdio: [wrapper.length === 0 ? "ignore" : "pipe", "ignore", "pipe", "ipc"],
    });
  }
}

function isRoot(): boolean {
  return process.getuid?.() === 0;
}
