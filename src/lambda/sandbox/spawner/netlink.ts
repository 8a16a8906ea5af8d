/**
 * As much of rtnetlink(7) as a sandbox's network takes: links, addresses, routes and rules. Requests are collected and
 * sent to the kernel in one system call, which carries them out in order before it returns.
 */
import { closeSync } from "node:fs";
import { SandboxError } from "../sandbox.ts";
import { errnoName, netlinkSocket, receive, send } from "./libc.ts";

const NETLINK_ROUTE = 0;
const NLMSG_ERROR = 2;
const NLM_F_REQUEST = 0x1;
const NLM_F_ACK = 0x4;
const NLM_F_EXCL = 0x200;
const NLM_F_CREATE = 0x400;
/** struct nlmsghdr: length, type, flags, number of the request, port. */
const HEADER_BYTES = 16;
const FLAGS_OFFSET = 6;
const NUMBER_OFFSET = 8;

const RTM_NEWLINK = 16;
const RTM_DELLINK = 17;
const RTM_NEWADDR = 20;
const RTM_NEWROUTE = 24;
const RTM_NEWRULE = 32;

const IFLA_IFNAME = 3;
const IFLA_LINKINFO = 18;
const IFLA_AF_SPEC = 26;
const IFLA_NET_NS_FD = 28;
const IFLA_NUM_TX_QUEUES = 31;
const IFLA_NUM_RX_QUEUES = 32;
const IFLA_INET6_ADDR_GEN_MODE = 8;
const IN6_ADDR_GEN_MODE_NONE = 1;
const IFLA_INFO_KIND = 1;
const IFLA_INFO_DATA = 2;
const VETH_INFO_PEER = 1;
const IFF_UP = 1;

const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const RTA_DST = 1;
const RTA_OIF = 4;
const RTA_GATEWAY = 5;
const RTA_PRIORITY = 6;
const RTA_PREFSRC = 7;
const RTNH_F_ONLINK = 4;
const FRA_IIFNAME = 3;
const FRA_PRIORITY = 6;
const FR_ACT_TO_TBL = 1;

const AF_INET = 2;
const AF_INET6 = 10;
const RT_TABLE_MAIN = 254;
const RTPROT_BOOT = 3;
const RT_SCOPE_UNIVERSE = 0;
const RT_SCOPE_LINK = 253;
const RTN_UNICAST = 1;
const RTN_UNREACHABLE = 7;

const HOST_PREFIX_BITS = 32;

/** One end of a pair of virtual interfaces. The index may be chosen: it must be free in its network namespace. */
export interface LinkEnd {
  readonly name: string;
  readonly index: number;
}

export interface Route {
  /** Absent: the default route. */
  readonly destination?: string;
  readonly prefixBits?: number;
  /** Absent: packets are refused as unreachable. */
  readonly link?: number;
  readonly gateway?: string;
  /** The address that packets of this host's own have. */
  readonly source?: string;
  readonly table?: number;
  /** Of several routes to a destination the one with the lowest metric is taken. */
  readonly metric?: number;
}

/** Requests to one network namespace: the one that the thread was in when it was made. */
export class Netlink {
  readonly #fd = netlinkSocket(NETLINK_ROUTE);
  readonly #answer = Buffer.alloc(32 * 1024);
  #requests: Buffer[] = [];
  #lastNumber = 0;

  close(): void {
    closeSync(this.#fd);
  }

  /** A pair of virtual interfaces: `near` here, and up; `far` in the namespace `farNamespaceFd`, and not yet. */
  addVeth(near: LinkEnd, far: LinkEnd, farNamespaceFd: number): this {
    const peer = Buffer.concat([
      linkHeader(far.index, false),
      attribute(IFLA_IFNAME, text(far.name)),
      attribute(IFLA_NET_NS_FD, u32(farNamespaceFd)),
      ONE_QUEUE,
    ]);
    const info = [
      attribute(IFLA_INFO_KIND, text("veth")),
      attribute(IFLA_INFO_DATA, attribute(VETH_INFO_PEER, peer)),
    ];
    return this.#add(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, [
      linkHeader(near.index, true),
      attribute(IFLA_IFNAME, text(near.name)),
      attribute(IFLA_LINKINFO, Buffer.concat(info)),
      ONE_QUEUE,
    ]);
  }

  /** Keeps an interface that is still down from IPv6 addresses of its own making, and from talking about them. */
  withoutLinkLocal(index: number): this {
    const mode = attribute(IFLA_INET6_ADDR_GEN_MODE, Buffer.from([IN6_ADDR_GEN_MODE_NONE]));
    return this.#add(RTM_NEWLINK, 0, [
      unchangedLinkHeader(index),
      attribute(IFLA_AF_SPEC, attribute(AF_INET6, mode)),
    ]);
  }

  setUp(index: number): this {
    return this.#add(RTM_NEWLINK, 0, [linkHeader(index, true)]);
  }

  deleteLink(name: string): this {
    return this.#add(RTM_DELLINK, 0, [linkHeader(0, false), attribute(IFLA_IFNAME, text(name))]);
  }

  addAddress(index: number, address: string, prefixBits = HOST_PREFIX_BITS): this {
    const header = Buffer.from([AF_INET, prefixBits, 0, RT_SCOPE_UNIVERSE, 0, 0, 0, 0]);
    header.writeUInt32LE(index, 4);
    return this.#add(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, [
      header,
      attribute(IFA_LOCAL, ipv4(address)),
      attribute(IFA_ADDRESS, ipv4(address)),
    ]);
  }

  addRoute(route: Route): this {
    const { destination, link, gateway, source } = route;
    const bits = destination === undefined ? 0 : (route.prefixBits ?? HOST_PREFIX_BITS);
    const scope = gateway === undefined && link !== undefined ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
    const type = link === undefined ? RTN_UNREACHABLE : RTN_UNICAST;
    const table = route.table ?? RT_TABLE_MAIN;
    const header = Buffer.from([AF_INET, bits, 0, 0, table, RTPROT_BOOT, scope, type, 0, 0, 0, 0]);
    // The gateway is no neighbour by any address of ours, but it is there.
    if (gateway !== undefined) header.writeUInt32LE(RTNH_F_ONLINK, 8);
    return this.#add(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, [
      header,
      ...(destination === undefined ? [] : [attribute(RTA_DST, ipv4(destination))]),
      ...(link === undefined ? [] : [attribute(RTA_OIF, u32(link))]),
      ...(gateway === undefined ? [] : [attribute(RTA_GATEWAY, ipv4(gateway))]),
      ...(source === undefined ? [] : [attribute(RTA_PREFSRC, ipv4(source))]),
      ...(route.metric === undefined ? [] : [attribute(RTA_PRIORITY, u32(route.metric))]),
    ]);
  }

  /** Packets that came in by `inputName` (absent: any way) are routed by `table`. */
  addRule(rule: { priority: number; inputName?: string; table: number }): this {
    const header = Buffer.from([AF_INET, 0, 0, 0, rule.table, 0, 0, FR_ACT_TO_TBL, 0, 0, 0, 0]);
    return this.#add(RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, [
      header,
      attribute(FRA_PRIORITY, u32(rule.priority)),
      ...(rule.inputName === undefined ? [] : [attribute(FRA_IIFNAME, text(rule.inputName))]),
    ]);
  }

  /** Carries out what was collected. Throws SandboxError at the first request that the kernel refused; the others were tried. */
  commit(step: string): void {
    const last = this.#requests.at(-1);
    if (!last) return;
    // A refusal is told in any case, and before what is told of a later request.
    last.writeUInt16LE(last.readUInt16LE(FLAGS_OFFSET) | NLM_F_ACK, FLAGS_OFFSET);
    const lastNumber = last.readUInt32LE(NUMBER_OFFSET);
    const batch = Buffer.concat(this.#requests);
    this.#requests = [];
    send(this.#fd, batch);
    let refused: number | undefined;
    for (let isDone = false; !isDone;) {
      const length = receive(this.#fd, this.#answer);
      for (let at = 0; at + HEADER_BYTES <= length; at += align(this.#answer.readUInt32LE(at))) {
        if (this.#answer.readUInt16LE(at + 4) !== NLMSG_ERROR) continue;
        isDone ||= this.#answer.readUInt32LE(at + NUMBER_OFFSET) === lastNumber;
        const errno = -this.#answer.readInt32LE(at + HEADER_BYTES);
        if (errno !== 0) refused ??= errno;
      }
    }
    if (refused !== undefined) throw new SandboxError(step, `the kernel says ${errnoName(refused)}`);
  }

  #add(type: number, flags: number, parts: readonly Buffer[]): this {
    const body = Buffer.concat(parts);
    const header = Buffer.alloc(HEADER_BYTES);
    this.#lastNumber = (this.#lastNumber + 1) >>> 0;
    header.writeUInt32LE(HEADER_BYTES + body.length, 0);
    header.writeUInt16LE(type, 4);
    header.writeUInt16LE(NLM_F_REQUEST | flags, FLAGS_OFFSET);
    header.writeUInt32LE(this.#lastNumber, NUMBER_OFFSET);
    this.#requests.push(padded(Buffer.concat([header, body])));
    return this;
  }
}

/** struct ifinfomsg */
function linkHeader(index: number, up: boolean): Buffer {
  const header = Buffer.alloc(16);
  header.writeInt32LE(index, 4);
  header.writeUInt32LE(up ? IFF_UP : 0, 8);
  header.writeUInt32LE(up ? IFF_UP : 0, 12);
  return header;
}

/** struct ifinfomsg that leaves the flags as they are. */
function unchangedLinkHeader(index: number): Buffer {
  const header = Buffer.alloc(16);
  header.writeInt32LE(index, 4);
  return header;
}

function attribute(type: number, value: Buffer): Buffer {
  const header = Buffer.alloc(4);
  header.writeUInt16LE(4 + value.length, 0);
  header.writeUInt16LE(type, 2);
  return padded(Buffer.concat([header, value]));
}

function text(value: string): Buffer {
  return Buffer.from(`${value}\0`);
}

function u32(value: number): Buffer {
  const buffer = Buffer.alloc(4);
  buffer.writeUInt32LE(value);
  return buffer;
}

function ipv4(address: string): Buffer {
  return Buffer.from(address.split(".").map(Number));
}

function padded(buffer: Buffer): Buffer {
  return buffer.length % 4 === 0 ? buffer : Buffer.concat([buffer, Buffer.alloc(4 - (buffer.length % 4))]);
}

function align(length: number): number {
  return (length + 3) & ~3;
}

/** The kernel would make a queue each way for every CPU that there could be, each with a folder in sysfs. */
const ONE_QUEUE = Buffer.concat([
  attribute(IFLA_NUM_TX_QUEUES, u32(1)),
  attribute(IFLA_NUM_RX_QUEUES, u32(1)),
]);
