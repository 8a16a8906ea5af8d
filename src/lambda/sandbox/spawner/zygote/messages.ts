/** Datagrams with descriptors and credentials, unix(7): what Node's sockets do not offer. Synchronous, never waits. */
import { closeSync } from "node:fs";
import { constants as osConstants } from "node:os";
import koffi from "koffi";
import { SystemCallError } from "../libc.ts";

const AF_UNIX = 1;
const SOCK_SEQPACKET = 5;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SO_PASSCRED = 16;
const SCM_RIGHTS = 1;
const SCM_CREDENTIALS = 2;
const SHUT_WR = 1;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const MSG_CMSG_CLOEXEC = 0x40000000;

/** struct cmsghdr {size_t len; int level; int type}; its data follow, padded to 8 bytes. */
const CMSG_HEADER_BYTES = 16;
const INT_BYTES = 4;
/** struct ucred {pid, uid, gid}. */
const CREDENTIALS_BYTES = 12;
const CREDENTIALS_MESSAGE_BYTES = CMSG_HEADER_BYTES + 16;
const TEXT_BYTES_MAX = 64;

const iovec = koffi.struct("hornero_iovec", { base: "void *", length: "size_t" });
const msghdr = koffi.struct("hornero_msghdr", {
  name: "void *",
  nameLength: "uint",
  iov: koffi.pointer(iovec),
  iovLength: "size_t",
  control: "void *",
  controlLength: "size_t",
  flags: "int",
});

const libc = koffi.load(null);
const libcSocketpair = libc.func("socketpair", "int", ["int", "int", "int", "void *"]);
const libcSetsockopt = libc.func("setsockopt", "int", ["int", "int", "int", "void *", "uint"]);
const libcShutdown = libc.func("shutdown", "int", ["int", "int"]);
const libcSendmsg = libc.func("sendmsg", "long", ["int", koffi.pointer(msghdr), "int"]);
const libcRecvmsg = libc.func("recvmsg", "long", ["int", koffi.inout(koffi.pointer(msghdr)), "int"]);

/** A connected pair that keeps message boundaries; `ours` tells who sends. No child inherits it unless told to. */
export function messageSocketPair(): { ours: number; theirs: number } {
  const fds = new Int32Array(2);
  check("socketpair", libcSocketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds));
  const [ours = -1, theirs = -1] = fds;
  try {
    check("setsockopt", libcSetsockopt(ours, SOL_SOCKET, SO_PASSCRED, new Int32Array([1]), INT_BYTES));
  } catch (error) {
    for (const fd of [ours, theirs]) closeSync(fd);
    throw error;
  }
  return { ours, theirs };
}

/** Throws SystemCallError: EAGAIN when the other end has not read for long, EPIPE when it is gone. */
export function sendWithDescriptors(socket: number, text: string, fds: readonly number[]): void {
  const body = Buffer.from(text);
  const length = CMSG_HEADER_BYTES + fds.length * INT_BYTES;
  const control = Buffer.alloc(Math.ceil(length / 8) * 8);
  control.writeBigUInt64LE(BigInt(length), 0);
  control.writeInt32LE(SOL_SOCKET, 8);
  control.writeInt32LE(SCM_RIGHTS, 12);
  for (const [index, fd] of fds.entries()) control.writeInt32LE(fd, CMSG_HEADER_BYTES + index * INT_BYTES);
  check("sendmsg", libcSendmsg(socket, message(body, control), MSG_DONTWAIT | MSG_NOSIGNAL));
}

/** The next message and the sender's pid as seen in our pid namespace, by the kernel's word; undefined when there is none. */
export function receiveWithSender(socket: number): { text: string; pid: number } | undefined {
  const body = Buffer.alloc(TEXT_BYTES_MAX);
  const control = Buffer.alloc(CREDENTIALS_MESSAGE_BYTES);
  const received = libcRecvmsg(socket, message(body, control), MSG_DONTWAIT | MSG_CMSG_CLOEXEC) as number;
  if (received < 0 && koffi.errno() === osConstants.errno.EAGAIN) return undefined;
  check("recvmsg", received);
  if (received === 0) return undefined;
  const isCredentials =
    control.readBigUInt64LE(0) === BigInt(CMSG_HEADER_BYTES + CREDENTIALS_BYTES) &&
    control.readInt32LE(8) === SOL_SOCKET &&
    control.readInt32LE(12) === SCM_CREDENTIALS;
  if (!isCredentials) throw new Error("a message without its sender's credentials");
  return { text: body.toString("latin1", 0, received), pid: control.readInt32LE(CMSG_HEADER_BYTES) };
}

/** The other end reads what was sent, then the end of it. What it sends still comes. */
export function endSending(socket: number): void {
  check("shutdown", libcShutdown(socket, SHUT_WR));
}

function message(body: Buffer, control: Buffer) {
  return {
    name: null,
    nameLength: 0,
    iov: [{ base: body, length: body.length }],
    iovLength: 1,
    control,
    controlLength: control.length,
    flags: 0,
  };
}

function check(call: string, result: unknown): void {
  if (Number(result) < 0) throw new SystemCallError(call, koffi.errno(), "");
}
