/**
 * The system calls that Node does not offer, called directly in libc. All of them are synchronous and act on the
 * calling thread: namespaces belong to threads, and only the main thread of the spawner ever changes its own.
 * Each throws SystemCallError when the call fails.
 */
import { constants as osConstants } from "node:os";
import { closeSync } from "node:fs";
import koffi from "koffi";

export const CLONE_FS = 0x200;
export const CLONE_NEWNS = 0x20000;
export const CLONE_NEWNET = 0x40000000;

export const MS_RDONLY = 0x1;
export const MS_NOSUID = 0x2;
export const MS_NODEV = 0x4;
export const MS_REMOUNT = 0x20;
export const MS_BIND = 0x1000;
export const MNT_DETACH = 0x2;

const AT_FDCWD = -100;
const AT_EMPTY_PATH = 0x1000;
const AT_RECURSIVE = 0x8000;
const OPEN_TREE_CLONE = 0x1;
const O_CLOEXEC = 0o2000000;
const O_PATH = 0o10000000;
const O_DIRECTORY = process.arch === "arm64" ? 0o40000 : 0o200000;
const MOVE_MOUNT_F_EMPTY_PATH = 0x4;
const CLOSE_RANGE_CLOEXEC = 0x4;
const FSOPEN_CLOEXEC = 0x1;
const FSMOUNT_CLOEXEC = 0x1;
const FSCONFIG_SET_FLAG = 0;
const FSCONFIG_SET_STRING = 1;
const FSCONFIG_CMD_CREATE = 6;
const RESOLVE_NO_MAGICLINKS = 0x2;
const RESOLVE_NO_SYMLINKS = 0x4;
const RESOLVE_BENEATH = 0x8;

/** The same on every architecture: calls added since Linux 5.1 share their numbers. */
const SYS_OPEN_TREE = 428;
const SYS_MOVE_MOUNT = 429;
const SYS_FSOPEN = 430;
const SYS_FSCONFIG = 431;
const SYS_FSMOUNT = 432;
const SYS_CLOSE_RANGE = 436;
const SYS_OPENAT2 = 437;
const SYS_MOUNT_SETATTR = 442;

export const MOUNT_ATTR_RDONLY = 0x1;
export const MOUNT_ATTR_NOSUID = 0x2;
export const MOUNT_ATTR_NODEV = 0x4;

const AF_UNIX = 1;
const AF_NETLINK = 16;
const SOCK_STREAM = 1;
const SOCK_RAW = 3;

const RLIMIT_CORE = 4;
const RLIMIT_NOFILE = 7;

export class SystemCallError extends Error {
  override readonly name = "SystemCallError";
  readonly call: string;
  readonly errno: number;
  readonly code: string;

  constructor(call: string, errno: number, detail: string) {
    const code = errnoName(errno);
    super(`${call}${detail === "" ? "" : ` ${detail}`}: ${code}`);
    this.call = call;
    this.errno = errno;
    this.code = code;
  }
}

export function errnoName(errno: number): string {
  for (const [name, value] of Object.entries(osConstants.errno)) if (value === errno) return name;
  return `errno ${errno}`;
}

const libc = koffi.load(null);

type NumberCall = (...values: unknown[]) => number;
const bind = (name: string, result: string, parameters: string[]): NumberCall =>
  libc.func(name, result, parameters) as NumberCall;

const libcUnshare = bind("unshare", "int", ["int"]);
const libcSetns = bind("setns", "int", ["int", "int"]);
const libcMount = bind("mount", "int", ["str", "str", "str", "ulong", "str"]);
const libcUmount2 = bind("umount2", "int", ["str", "int"]);
const libcPipe2 = bind("pipe2", "int", ["void *", "int"]);
const libcWaitpid = bind("waitpid", "int", ["int", "void *", "int"]);
const libcSetrlimit = bind("setrlimit", "int", ["int", "void *"]);
const libcIoctl = bind("ioctl", "int", ["int", "ulong", "long"]);
const libcIoctlBuffer = bind("ioctl", "int", ["int", "ulong", "void *"]);
const libcLseek = bind("lseek", "long", ["int", "long", "int"]);
const libcIfNametoindex = bind("if_nametoindex", "uint", ["str"]);
const libcSocketpair = bind("socketpair", "int", ["int", "int", "int", "void *"]);
const libcSocket = bind("socket", "int", ["int", "int", "int"]);
const libcSend = bind("send", "long", ["int", "void *", "size_t", "int"]);
const libcRecv = bind("recv", "long", ["int", "void *", "size_t", "int"]);
// syscall(2) takes its arguments in the order and registers of any function, so a fixed prototype each will do.
const syscallOpenTree = bind("syscall", "long", ["long", "int", "str", "uint"]);
const syscallMoveMount = bind("syscall", "long", ["long", "int", "str", "int", "str", "uint"]);
const syscallFsopen = bind("syscall", "long", ["long", "str", "uint"]);
const syscallFsconfig = bind("syscall", "long", ["long", "int", "uint", "str", "str", "int"]);
const syscallFsmount = bind("syscall", "long", ["long", "int", "uint", "uint"]);
const syscallCloseRange = bind("syscall", "long", ["long", "uint", "uint", "uint"]);
const syscallOpenat2 = bind("syscall", "long", ["long", "int", "str", "void *", "size_t"]);
const syscallMountSetattr = bind("syscall", "long", ["long", "int", "str", "uint", "void *", "size_t"]);

function checked(call: string, result: number, detail = ""): number {
  if (result < 0) throw new SystemCallError(call, koffi.errno(), detail);
  return result;
}

export function unshare(flags: number): void {
  checked("unshare", libcUnshare(flags), `0x${flags.toString(16)}`);
}

/** Moves the calling thread into the namespace that `fd` stands for. */
export function setns(fd: number, type: number): void {
  checked("setns", libcSetns(fd, type));
}

export function mount(
  source: string,
  target: string,
  type: string | null,
  flags: number,
  data: string | null = null,
): void {
  checked("mount", libcMount(source, target, type, flags, data), target);
}

/** Takes the mount off now; the kernel frees it when its last user is gone. */
export function detachMount(target: string): void {
  checked("umount2", libcUmount2(target, MNT_DETACH), target);
}

/** A pipe that no child inherits unless told to. */
export function pipe(): { read: number; write: number } {
  const fds = new Int32Array(2);
  checked("pipe2", libcPipe2(fds, O_CLOEXEC));
  return { read: fds[0] ?? -1, write: fds[1] ?? -1 };
}

/** A connected pair of unix stream sockets that no child inherits unless told to. */
export function socketPair(): { ours: number; theirs: number } {
  const fds = new Int32Array(2);
  checked("socketpair", libcSocketpair(AF_UNIX, SOCK_STREAM | O_CLOEXEC, 0, fds));
  return { ours: fds[0] ?? -1, theirs: fds[1] ?? -1 };
}

const WNOHANG = 1;

/** Reaps `pid`, a child that libuv does not know of. True when it is gone. */
export function reap(pid: number): boolean {
  const result = libcWaitpid(pid, null, WNOHANG);
  if (result === pid) return true;
  if (result === 0) return false;
  const errno = koffi.errno();
  if (errno === osConstants.errno.ECHILD) return true;
  throw new SystemCallError("waitpid", errno, String(pid));
}

/** Lowers the limits of this process and of all its later children: open files, and no core dumps. */
export function lowerResourceLimits(openFilesMax: number): void {
  checked(
    "setrlimit",
    libcSetrlimit(RLIMIT_NOFILE, new BigUint64Array([BigInt(openFilesMax), BigInt(openFilesMax)])),
    "NOFILE",
  );
  checked("setrlimit", libcSetrlimit(RLIMIT_CORE, new BigUint64Array([0n, 0n])), "CORE");
}

/** Keeps every descriptor from `first` up, whoever left it open, from the children to come. */
export function keepFromChildren(first: number): void {
  checked("close_range", syscallCloseRange(SYS_CLOSE_RANGE, first, 0xffff_ffff, CLOSE_RANGE_CLOEXEC));
}

/** Opens a folder, without following any symbolic link on the way: for folders that this process trusts. */
export function openFolder(path: string): number {
  return openBeneath(AT_FDCWD, path, RESOLVE_NO_MAGICLINKS);
}

/**
 * Opens the folder `relativePath` below the open folder `parentFd`. The kernel refuses `..` out of it and every
 * symbolic link, so what another process changes meanwhile cannot lead elsewhere.
 */
export function openFolderBelow(parentFd: number, relativePath: string): number {
  return openBeneath(parentFd, relativePath, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
}

function openBeneath(parentFd: number, path: string, resolve: number): number {
  const how = new BigUint64Array([BigInt(O_PATH | O_DIRECTORY | O_CLOEXEC), 0n, BigInt(resolve)]);
  return checked("openat2", syscallOpenat2(SYS_OPENAT2, parentFd, path, how, how.byteLength), path);
}

/**
 * A private copy of the mount at an open file or folder, attached nowhere yet. Closing the descriptor drops it.
 * `attributes` (MOUNT_ATTR_*) are set on the copy.
 */
export function cloneMount(fd: number, attributes: number, options: { recursive?: boolean } = {}): number {
  const recursive = options.recursive === true ? AT_RECURSIVE : 0;
  const flags = OPEN_TREE_CLONE | O_CLOEXEC | AT_EMPTY_PATH | recursive;
  const tree = checked("open_tree", syscallOpenTree(SYS_OPEN_TREE, fd, "", flags));
  try {
    const attr = new BigUint64Array([BigInt(attributes), 0n, 0n, 0n]);
    checked(
      "mount_setattr",
      syscallMountSetattr(SYS_MOUNT_SETATTR, tree, "", AT_EMPTY_PATH | recursive, attr, attr.byteLength),
    );
  } catch (error) {
    closeSync(tree);
    throw error;
  }
  return tree;
}

/** A second mount of what is mounted at `path`, with the same attributes, attached nowhere yet. */
export function cloneMountAt(path: string): number {
  const flags = OPEN_TREE_CLONE | O_CLOEXEC;
  return checked("open_tree", syscallOpenTree(SYS_OPEN_TREE, AT_FDCWD, path, flags), path);
}

/** The open folders as one file system, attached nowhere yet; where several have a file, the first one's is seen. */
export function overlayMount(fds: readonly number[], attributes: number): number {
  return createMount("overlay", { lowerdir: fds.map((fd) => `/proc/self/fd/${fd}`).join(":") }, attributes);
}

/** A new mount of a file system, attached nowhere yet. Options without a value have the empty string. */
export function createMount(
  type: string,
  options: Readonly<Record<string, string>>,
  attributes: number,
): number {
  const context = checked("fsopen", syscallFsopen(SYS_FSOPEN, type, FSOPEN_CLOEXEC), type);
  const configure = (command: number, key: string | null, value: string | null) =>
    checked(
      "fsconfig",
      syscallFsconfig(SYS_FSCONFIG, context, command, key, value, 0),
      `${type} ${key ?? ""}`,
    );
  try {
    for (const [key, value] of Object.entries(options)) {
      if (value === "") configure(FSCONFIG_SET_FLAG, key, null);
      else configure(FSCONFIG_SET_STRING, key, value);
    }
    configure(FSCONFIG_CMD_CREATE, null, null);
    return checked("fsmount", syscallFsmount(SYS_FSMOUNT, context, FSMOUNT_CLOEXEC, attributes), type);
  } finally {
    closeSync(context);
  }
}

/** Attaches what cloneMount or createMount made at `target`, seen from the mount namespace that the thread is in now. */
export function attachMount(tree: number, target: string): void {
  checked(
    "move_mount",
    syscallMoveMount(SYS_MOVE_MOUNT, tree, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH),
    target,
  );
}

/** A netlink socket of `protocol` in the network namespace that the thread is in now. */
export function netlinkSocket(protocol: number): number {
  return checked("socket", libcSocket(AF_NETLINK, SOCK_RAW | O_CLOEXEC, protocol), "AF_NETLINK");
}

/** The index of an interface of the network namespace that the thread is in. */
export function interfaceIndex(name: string): number {
  const index = libcIfNametoindex(name);
  if (index === 0) throw new SystemCallError("if_nametoindex", koffi.errno(), name);
  return index;
}

export function send(fd: number, data: Buffer): void {
  checked("send", libcSend(fd, data, data.length, 0));
}

/** Bytes read into `into`. */
export function receive(fd: number, into: Buffer): number {
  return checked("recv", libcRecv(fd, into, into.length, 0));
}

const SEEK_DATA = 3;
const SEEK_HOLE = 4;

/** Where a sparse file of `size` bytes has data. Throws RangeError when that is more than `bytesMax` in all. */
export function dataExtents(
  fd: number,
  size: number,
  bytesMax: number,
): { offset: number; length: number }[] {
  const extents: { offset: number; length: number }[] = [];
  let bytes = 0;
  for (let end = 0; end < size;) {
    const offset = libcLseek(fd, end, SEEK_DATA);
    if (offset < 0 && koffi.errno() === osConstants.errno.ENXIO) break;
    checked("lseek", offset, "SEEK_DATA");
    end = checked("lseek", libcLseek(fd, offset, SEEK_HOLE), "SEEK_HOLE");
    extents.push({ offset, length: end - offset });
    bytes += end - offset;
    if (bytes > bytesMax) throw new RangeError(`a file with more than ${bytesMax} bytes of data`);
  }
  return extents;
}

export function ioctl(fd: number, request: number, argument: number): number {
  return checked("ioctl", libcIoctl(fd, request, argument), `0x${request.toString(16)}`);
}

export function ioctlBuffer(fd: number, request: number, argument: Buffer): number {
  return checked("ioctl", libcIoctlBuffer(fd, request, argument), `0x${request.toString(16)}`);
}
