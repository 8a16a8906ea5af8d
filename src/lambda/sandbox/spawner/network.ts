/**
 * The environments' network. It lives in a network namespace of the spawner's, with one more namespace for each sandbox:
 *
 *   sandbox  eth0 169.254.101.1/32 ───veth─── h1 ┐
 *   sandbox  eth0 169.254.101.2/32 ───veth─── h2 ┤ spawner's namespace: 169.254.100.1 on lo ─── uplink (egress.ts)
 *
 * There is no bridge (the kernel's has 1,024 ports): the outer ends have no address, and each sandbox's address is a
 * route to its interface. What comes in from a sandbox is routed by a table of its own, which knows the uplink and not
 * the other sandboxes; with the kernel's strict reverse path filter no sandbox can speak with another one's address.
 */
import { closeSync, existsSync, openSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { SandboxError } from "../sandbox.ts";
import { CLONE_NEWNET, setns, unshare } from "./libc.ts";
import { Netlink, type LinkEnd } from "./netlink.ts";

/** AWS's address of the Runtime API. */
export const GATEWAY = "169.254.100.1";
export const RUNTIME_API_PORT = 9001;

/** 169.254.101.1 to 169.254.253.254, without 169.254.169.x where clouds have their metadata service. */
const THIRD_BYTE_FIRST = 101;
const THIRD_BYTE_LAST = 253;
const THIRD_BYTE_LEFT_OUT = 169;
const HOSTS_PER_BYTE = 254;
const SEATS = (THIRD_BYTE_LAST - THIRD_BYTE_FIRST) * HOSTS_PER_BYTE;

/** Connections that wait to be accepted: a burst of sandboxes that boot at once. */
const BACKLOG = 4096;

const LINK_LOCAL = "169.254.0.0";
const LINK_LOCAL_BITS = 16;

const LOOPBACK_INDEX = 1;
/** eth0's index in each sandbox's namespace: any but the loopback's. */
const INNER_INDEX = 2;
/** Outer ends have indexes from here up, and names `h` with the seat's number. */
const OUTER_INDEX_BASE = 1000;

/** Routing table for what comes in from sandboxes. */
const SANDBOX_TABLE = 100;
const RULE_OWN = 10;
const RULE_UPLINK = 20;
const RULE_SANDBOXES = 30;
const MAIN_TABLE = 254;
/** Of the route that refuses what no other route takes. */
const LAST_METRIC = 4096;

const DISABLE_IPV6 = "/proc/sys/net/ipv6/conf/default/disable_ipv6";

export class EnvironmentNetworks {
  readonly seatCount = SEATS;
  readonly #namespace: number;
  readonly #netlink: Netlink;
  /** Whether the kernel has it. */
  readonly #hasIpv6: boolean;

  /** Moves the calling thread into the new network namespace, for good. Throws SandboxError or SystemCallError. */
  constructor() {
    unshare(CLONE_NEWNET);
    this.#namespace = openSync("/proc/self/ns/net", "r");
    this.#netlink = new Netlink();
    // The largest of `all` and an interface's own setting counts: strict on every interface to come.
    writeFileSync("/proc/sys/net/ipv4/conf/all/rp_filter", "1");
    // Only IPv4 is routed: without this, the outer ends would have link-local addresses.
    this.#hasIpv6 = existsSync(DISABLE_IPV6);
    if (this.#hasIpv6) writeFileSync(DISABLE_IPV6, "1");
    this.#netlink
      .setUp(LOOPBACK_INDEX)
      .addAddress(LOOPBACK_INDEX, GATEWAY)
      .addRule({ priority: RULE_OWN, inputName: "lo", table: MAIN_TABLE })
      .addRule({ priority: RULE_SANDBOXES, table: SANDBOX_TABLE })
      .addRoute({ table: SANDBOX_TABLE, metric: LAST_METRIC })
      .commit("environment-network");
  }

  /** For who makes the uplink: the namespace, and requests to it. */
  get netlink(): Netlink {
    return this.#netlink;
  }

  get namespace(): number {
    return this.#namespace;
  }

  /** Routes what sandboxes send to the outside by the uplink, and what comes back to them. */
  useUplink(uplink: LinkEnd, gateway: string): void {
    this.#netlink
      .addRule({ priority: RULE_UPLINK, inputName: uplink.name, table: MAIN_TABLE })
      .addRoute({ link: uplink.index, gateway })
      .addRoute({ table: SANDBOX_TABLE, link: uplink.index, gateway })
      // Clouds answer at link-local addresses with the host's credentials.
      .addRoute({ table: SANDBOX_TABLE, destination: LINK_LOCAL, prefixBits: LINK_LOCAL_BITS })
      .commit("uplink");
  }

  address(seat: number): string {
    const block = Math.floor(seat / HOSTS_PER_BYTE);
    const third = THIRD_BYTE_FIRST + block;
    return `169.254.${third < THIRD_BYTE_LEFT_OUT ? third : third + 1}.${1 + (seat % HOSTS_PER_BYTE)}`;
  }

  enter<T>(seat: number, start: () => T): T {
    unshare(CLONE_NEWNET);
    try {
      const namespace = openSync("/proc/thread-self/ns/net", "r");
      try {
        this.#plugIn(seat, namespace);
      } finally {
        closeSync(namespace);
      }
      this.#furnish(seat);
      return start();
    } finally {
      setns(this.#namespace, CLONE_NEWNET);
    }
  }

  connect(seat: number, pid: number): void {
    const namespace = openSync(`/proc/${pid}/ns/net`, "r");
    try {
      this.#plugIn(seat, namespace);
      setns(namespace, CLONE_NEWNET);
      try {
        this.#furnish(seat);
      } finally {
        setns(this.#namespace, CLONE_NEWNET);
      }
    } finally {
      closeSync(namespace);
    }
  }

  /** A listener that sandboxes reach at GATEWAY, to be passed on to the server. */
  async listen(port: number): Promise<Server> {
    const server = createServer();
    return await new Promise((resolve, reject) => {
      server.on("error", (cause) => reject(new SandboxError("listen", cause.message, { cause })));
      server.listen({ host: GATEWAY, port, backlog: BACKLOG }, () => resolve(server));
    });
  }

  /** From the spawner's namespace to the sandbox's, wherever this thread is. */
  #plugIn(seat: number, namespace: number): void {
    const outer = { name: `h${seat}`, index: OUTER_INDEX_BASE + seat };
    this.#netlink
      .addVeth(outer, { name: "eth0", index: INNER_INDEX }, namespace)
      .addRoute({ destination: this.address(seat), link: outer.index, source: GATEWAY })
      .commit("sandbox-link");
  }

  /** Called in the sandbox's namespace. */
  #furnish(seat: number): void {
    const inner = new Netlink();
    try {
      if (this.#hasIpv6) inner.withoutLinkLocal(INNER_INDEX);
      inner
        .setUp(INNER_INDEX)
        .setUp(LOOPBACK_INDEX)
        .addAddress(INNER_INDEX, this.address(seat))
        .addRoute({ link: INNER_INDEX, gateway: GATEWAY })
        .commit("sandbox-network");
    } finally {
      inner.close();
    }
  }
}

/** Runs `act` in another network namespace: what it does, and the processes it starts, before it first waits. */
export function inNetworkNamespace<T>(namespace: number, act: () => T): T {
  const own = openSync("/proc/thread-self/ns/net", "r");
  try {
    setns(namespace, CLONE_NEWNET);
    try {
      return act();
    } finally {
      setns(own, CLONE_NEWNET);
    }
  } finally {
    closeSync(own);
  }
}
