/**
 * The way out for functions, as root: one more veth pair, from the environments' network to the host's, with address
 * translation on both sides.
 *
 *   spawner's namespace: uplink 10.x.y.2/30 ───veth─── hornero-<instance> 10.x.y.1/30 :host's namespace ─── outside
 *
 * On the host, what comes in by that interface is forwarded or dropped, never delivered: functions reach no service of
 * the host's own, on no address. Connections from outside to functions are dropped on both sides. As container engines
 * do, this switches IPv4 forwarding on and leaves it on.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { networkInterfaces } from "node:os";
import { coerceError } from "../../../kernel/deferred.ts";
import { SandboxError } from "../sandbox.ts";
import { interfaceIndex, SystemCallError } from "./libc.ts";
import { Netlink } from "./netlink.ts";
import { innerTable, nft, removeTable, replaceTable, tableNames } from "./nft.ts";
import { inNetworkNamespace, type EnvironmentNetworks } from "./network.ts";

const LINK_PREFIX = "hornero-";
const TABLE_PREFIX = "hornero_";
const UPLINK = { name: "uplink", index: 500 };
const SUBNET_BITS = 30;
/** Networks of four addresses in 10.0.0.0/8. */
const SUBNETS = 2 ** (SUBNET_BITS - 8);
const SUBNET_ATTEMPTS_MAX = 64;
const FORWARDING = "/proc/sys/net/ipv4/ip_forward";

export interface Egress {
  /** Takes the rules off the host; the interfaces go with the spawner's namespace. */
  close(): Promise<void>;
}

/**
 * Opens the way out. `hostNamespace` is the open network namespace of the host. Throws SandboxError or
 * SystemCallError when this machine or our privileges do not allow it; nothing is left then.
 */
export async function openEgress(
  network: EnvironmentNetworks,
  options: { hostNamespace: number; instance: string },
): Promise<Egress> {
  const { hostNamespace, instance } = options;
  const outer = LINK_PREFIX + instance;
  const table = TABLE_PREFIX + instance;
  const subnet = inNetworkNamespace(hostNamespace, () => freeSubnet(parseInt(instance, 16)));
  const [near, far] = [dotted(subnet + 2), dotted(subnet + 1)];
  try {
    inNetworkNamespace(hostNamespace, () => removeLink(outer));
    network.netlink
      .addVeth(UPLINK, { name: outer, index: 0 }, hostNamespace)
      .addAddress(UPLINK.index, near, SUBNET_BITS)
      .commit("uplink");
    const hostRules = inNetworkNamespace(hostNamespace, () => {
      const netlink = new Netlink();
      const index = interfaceIndex(outer);
      netlink.setUp(index).addAddress(index, far, SUBNET_BITS).commit("uplink");
      netlink.close();
      enableForwarding();
      return nft(replaceTable(table, hostTable(outer, near)));
    });
    network.useUplink(UPLINK, far);
    enableForwarding();
    await Promise.all([hostRules, nft(innerTable(UPLINK.name)), sweepTables(hostNamespace)]);
  } catch (error) {
    inNetworkNamespace(hostNamespace, () => removeLink(outer));
    if (error instanceof SandboxError) throw error;
    throw new SandboxError("egress", coerceError(error).message, { cause: error });
  }
  return {
    close: async () => {
      await inNetworkNamespace(hostNamespace, () => nft(removeTable(table)));
      inNetworkNamespace(hostNamespace, () => removeLink(outer));
    },
  };
}

/**
 * Removes tables of servers whose spawner was killed and never followed by another. An interface is made before its
 * table and goes with its spawner, so a table without one is nobody's.
 */
async function sweepTables(hostNamespace: number): Promise<void> {
  const names = await inNetworkNamespace(hostNamespace, () => tableNames(TABLE_PREFIX));
  await inNetworkNamespace(hostNamespace, async () => {
    const dead = names.filter((name) => !linkExists(LINK_PREFIX + name.slice(TABLE_PREFIX.length)));
    if (dead.length > 0) await nft(dead.map(removeTable).join(""));
  });
}

/**
 * Nameservers that functions can reach: the host's, without those that are the host itself, which functions do not
 * reach. Where that leaves none, public ones.
 */
export function resolverConfiguration(): string {
  const own = new Set(
    Object.values(networkInterfaces()).flatMap((list) => (list ?? []).map((each) => each.address)),
  );
  // With systemd-resolved the first names only its stub on the loopback; the second, what is behind it.
  for (const path of ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"]) {
    const lines = readLines(path);
    const servers = lines
      .map((line) => /^nameserver\s+(\d+\.\d+\.\d+\.\d+)\s*$/.exec(line)?.[1])
      .filter((server) => server !== undefined && !server.startsWith("127.") && !own.has(server));
    if (servers.length === 0) continue;
    const others = lines.filter((line) => /^(search|domain|options)\s/.test(line));
    return [...servers.map((server) => `nameserver ${server}`), ...others, ""].join("\n");
  }
  return PUBLIC_RESOLVERS.map((server) => `nameserver ${server}\n`).join("");
}

/** Of Cloudflare and Quad9. */
const PUBLIC_RESOLVERS = ["1.1.1.1", "9.9.9.9"];

function hostTable(outer: string, near: string): string {
  return `
  chain input {
    type filter hook input priority -10; policy accept;
    iifname "${outer}" drop
  }
  chain forward {
    type filter hook forward priority -10; policy accept;
    iifname "${outer}" ip saddr != ${near} drop
    iifname "${outer}" ip daddr 169.254.0.0/16 drop
    oifname "${outer}" ct state established,related accept
    oifname "${outer}" drop
  }
  chain postrouting {
    type nat hook postrouting priority 100; policy accept;
    ip saddr ${near} masquerade
  }`;
}

export function enableForwarding(): void {
  if (readFileSync(FORWARDING, "latin1").trim() !== "1") writeFileSync(FORWARDING, "1");
}

function removeLink(name: string): void {
  const netlink = new Netlink();
  try {
    if (linkExists(name)) netlink.deleteLink(name).commit("uplink");
  } finally {
    netlink.close();
  }
}

function linkExists(name: string): boolean {
  try {
    return interfaceIndex(name) > 0;
  } catch (error) {
    if (error instanceof SystemCallError && error.code === "ENODEV") return false;
    throw error;
  }
}

/** The first address of a network that no route of the host's overlaps, the same one each time as far as possible. */
function freeSubnet(seed: number): number {
  const taken = hostRoutes();
  for (let attempt = 0; attempt < SUBNET_ATTEMPTS_MAX; attempt += 1) {
    const subnet = 10 * 2 ** 24 + ((seed + attempt * 7919) % SUBNETS) * 4;
    const overlaps = taken.some(({ first, last }) => first <= subnet + 3 && subnet <= last);
    if (!overlaps) return subnet;
  }
  throw new SandboxError("uplink", "every network of 10.0.0.0/8 that was tried is routed already");
}

/** Ranges of the host's IPv4 routes other than the default, from /proc/net/route: hexadecimal, in network order. */
function hostRoutes(): { first: number; last: number }[] {
  return readLines("/proc/thread-self/net/route")
    .slice(1)
    .map((line) => line.split("\t"))
    .flatMap(([, destination, , , , , , mask]) => {
      if (destination === undefined || mask === undefined) return [];
      const first = littleEndian(destination);
      const bits = littleEndian(mask);
      return bits === 0 ? [] : [{ first, last: first + (2 ** 32 - 1 - bits) }];
    });
}

function littleEndian(hex: string): number {
  return Buffer.from(hex, "hex").readUInt32LE(0);
}

function dotted(address: number): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(address);
  return bytes.join(".");
}

function readLines(path: string): string[] {
  try {
    return readFileSync(path, "latin1").split("\n");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}
