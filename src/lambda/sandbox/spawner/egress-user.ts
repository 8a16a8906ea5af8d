/**
 * The way out for functions without root: slirp4netns, a TCP/IP stack in a process of the user's own. It stays in the
 * host's network and has the other end of a tap device in the environments' network.
 *
 *   spawner's namespace: tap0 10.0.2.100/24 ─── slirp4netns 10.0.2.2, as an ordinary process on the host ─── outside
 *
 * Its connections are the user's: the host's own addresses, as they are at the start, are forbidden on our side.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { networkInterfaces } from "node:os";
import type { Readable, Writable } from "node:stream";
import { deferred } from "../../../kernel/deferred.ts";
import { SandboxError } from "../sandbox.ts";
import { enableForwarding } from "./egress.ts";
import { interfaceIndex } from "./libc.ts";
import type { EnvironmentNetworks } from "./network.ts";
import { innerTable, nft } from "./nft.ts";

const TAP = "tap0";
const ADDRESS = "10.0.2.100";
const GATEWAY = "10.0.2.2";
const PREFIX_BITS = 24;
/** 10.0.2.0/24 is slirp4netns's own: what answers there stands for the host. */
const OWN_NETWORK = "10.0.2.0/24";
/** The largest that slirp4netns takes: its cost is by the packet. */
const MTU = 65_520;
const MESSAGE_CHARS_MAX = 1000;
const READY_FD = 3;
/** This process's network namespace, in its own pid namespace. */
const NAMESPACE = "/proc/1/ns/net";

const COMMAND = [
  ...["slirp4netns", "--netns-type=path", "--disable-host-loopback", "--enable-sandbox", "--enable-seccomp"],
  ...[`--mtu=${MTU}`, `--ready-fd=${READY_FD}`, NAMESPACE, TAP],
];

/** Two steps, because slirp4netns must be born in the host's network and needs the other one to be there. */
export class UserEgress {
  readonly #helper: ChildProcess;
  #message = "";
  readonly #forbidden: readonly string[];

  /** To be called while the thread is in the host's network: a shell that waits. */
  constructor() {
    this.#forbidden = Object.values(networkInterfaces())
      .flatMap((list) => list ?? [])
      .filter(({ family, internal }) => family === "IPv4" && !internal)
      .map(({ address }) => address);
    this.#helper = spawn("sh", ["-c", 'read -r _ && exec "$@"', "sh", ...COMMAND], {
      stdio: ["pipe", "ignore", "pipe", "pipe"],
    });
    this.#helper.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.#message = (this.#message + text).slice(0, MESSAGE_CHARS_MAX);
    });
  }

  /** To be called when the thread is in the environments' network. Rejects with SandboxError; nothing is left then. */
  async open(network: EnvironmentNetworks): Promise<void> {
    try {
      await this.#attach();
      const index = interfaceIndex(TAP);
      network.netlink.setUp(index).addAddress(index, ADDRESS, PREFIX_BITS).commit("uplink");
      network.useUplink({ name: TAP, index }, GATEWAY);
      enableForwarding();
      await nft(innerTable(TAP, [OWN_NETWORK, ...this.#forbidden]));
    } catch (error) {
      this.#helper.kill("SIGKILL");
      throw error;
    }
  }

  #refusal(): SandboxError {
    const message = this.#message.trim();
    const hint = /not found/.test(message)
      ? "install slirp4netns, or run as root"
      : /dev.net.tun/.test(message)
        ? "allow users to open /dev/net/tun (chmod 666), or run as root"
        : "run as root";
    return new SandboxError("slirp4netns", `slirp4netns did not start: ${message}`, { hint });
  }

  async #attach(): Promise<void> {
    const ready = this.#helper.stdio[READY_FD] as Readable;
    const ended = deferred<never>();
    this.#helper.once("error", (cause) => ended.reject(cause));
    this.#helper.once("close", () => ended.reject(this.#refusal()));
    (this.#helper.stdin as Writable).end("start\n");
    // Afterwards it may end as it likes: then functions have no way out.
    ended.promise.catch(() => undefined);
    await Promise.race([once(ready, "data"), ended.promise]);
  }
}
