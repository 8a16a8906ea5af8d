// Goal: no system call leads a function past its walls: not to mounts, namespaces, other processes, kernel facilities of
// the whole machine, raw packets, the clock or the machine's name.
// Method: a Python function makes each call by its number, through libc's syscall(), and answers what the kernel said.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { SYSTEM_CALLS } from "../../src/lambda/sandbox/seccomp/syscalls.ts";
import { claims, useArena } from "./arena/arena.ts";

const arena = useArena();
const numbers = SYSTEM_CALLS[process.arch === "arm64" ? "arm64" : "x64"];

interface Attack {
  readonly name: string;
  /** Python expressions. */
  readonly arguments: string;
}

/** What must be refused with EPERM, each with arguments that would mean something. */
const REFUSED: readonly Attack[] = [
  { name: "mount", arguments: 'b"tmpfs", b"/tmp", b"tmpfs", 0, None' },
  { name: "umount2", arguments: 'b"/var/task", 2' },
  { name: "pivot_root", arguments: 'b"/tmp", b"/tmp"' },
  { name: "chroot", arguments: 'b"/proc/1/root"' },
  { name: "open_tree", arguments: '-100, b"/", 1' },
  { name: "move_mount", arguments: '-100, b"/tmp", -100, b"/var/task", 0' },
  { name: "fsopen", arguments: 'b"tmpfs", 0' },
  { name: "mount_setattr", arguments: '-100, b"/", 0, None, 0' },
  { name: "unshare", arguments: "0x10000000" },
  { name: "unshare", arguments: "0x00020000" },
  { name: "setns", arguments: "3, 0" },
  { name: "clone", arguments: "0x10000011, 0, 0, 0, 0" },
  { name: "ptrace", arguments: "16, 1, 0, 0" },
  { name: "process_vm_readv", arguments: "1, None, 0, None, 0, 0" },
  { name: "process_vm_writev", arguments: "1, None, 0, None, 0, 0" },
  { name: "pidfd_getfd", arguments: "3, 0, 0" },
  { name: "kcmp", arguments: "1, 2, 0, 0, 0" },
  { name: "bpf", arguments: "0, None, 0" },
  { name: "perf_event_open", arguments: "None, 0, -1, -1, 0" },
  { name: "userfaultfd", arguments: "0" },
  { name: "fanotify_init", arguments: "0, 0" },
  { name: "keyctl", arguments: "0, -3, 0" },
  { name: "add_key", arguments: 'b"user", b"k", b"v", 1, -3' },
  { name: "request_key", arguments: 'b"user", b"k", None, 0' },
  { name: "open_by_handle_at", arguments: "3, None, 0" },
  { name: "kexec_load", arguments: "0, 0, None, 0" },
  { name: "init_module", arguments: 'None, 0, b""' },
  { name: "finit_module", arguments: '0, b"", 0' },
  { name: "delete_module", arguments: 'b"loop", 0' },
  { name: "swapon", arguments: 'b"/tmp/swap", 0' },
  { name: "reboot", arguments: "0xfee1dead, 672274793, 0x1234567, None" },
  { name: "acct", arguments: 'b"/tmp/acct"' },
  { name: "quotactl", arguments: '0, b"/dev/root", 0, None' },
  { name: "syslog", arguments: "3, None, 0" },
  { name: "sethostname", arguments: 'b"owned", 5' },
  { name: "setdomainname", arguments: 'b"owned", 5' },
  { name: "settimeofday", arguments: "(ctypes.c_long * 2)(1, 0), None" },
  { name: "clock_settime", arguments: "0, (ctypes.c_long * 2)(1, 0)" },
  { name: "adjtimex", arguments: "(ctypes.c_long * 32)()" },
  { name: "vhangup", arguments: "" },
];

/** What the kernel seems not to have: programs then do without. */
const ABSENT: readonly Attack[] = [
  { name: "io_uring_setup", arguments: "8, (ctypes.c_long * 32)()" },
  { name: "io_setup", arguments: "60000, (ctypes.c_ulong * 1)()" },
  { name: "clone3", arguments: "(ctypes.c_long * 11)(0x10000000), 88" },
  { name: "memfd_secret", arguments: "0" },
];

test("system calls that lead past the walls are refused", async (t) => {
  if (!claims(t, arena().walls.systemCalls)) return;
  const attacker = await arena().agent("python");
  const attempt = (attacks: readonly Attack[]) => {
    const calls = attacks.map(({ name, arguments: given }) => `call(${numbers.get(name)}, ${given})`);
    return arena().during(() => attacker.run(`result = [${calls.join(", ")}]`));
  };
  const label = (attacks: readonly Attack[], answers: unknown) =>
    attacks.map(({ name }, at) => `${name}: ${String((answers as unknown[])[at])}`);
  assert.deepEqual(
    label(REFUSED, await attempt(REFUSED)),
    REFUSED.map(({ name }) => `${name}: EPERM`),
  );
  assert.deepEqual(
    label(ABSENT, await attempt(ABSENT)),
    ABSENT.map(({ name }) => `${name}: ENOSYS`),
  );
});

test("another architecture's table of calls ends the process", async (t) => {
  if (process.arch !== "x64") return t.skip("x86-64 alone has a second table");
  if (!claims(t, arena().walls.systemCalls)) return;
  const attacker = await arena().agent("python");
  // mov eax, 20 (getpid of i386); int 0x80; ret
  const answer = await arena().during(() =>
    attacker.invoke(`
import mmap
page = mmap.mmap(-1, 4096, prot=7)
page.write(bytes.fromhex("b814000000cd80c3"))
ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()
result = "survived"`),
  );
  assert.equal(answer.functionError, "Unhandled");
  assert.match(JSON.stringify(answer.payload), /Runtime exited with error: signal: bad system call/);
});

test("raw and packet sockets, other families and changes by netlink are refused", async (t) => {
  if (!claims(t, arena().walls.systemCalls)) return;
  const attacker = await arena().agent("python");
  const answers = await arena().during(() =>
    attacker.run(`
def open_socket(*arguments):
    return attempt(lambda: str(socket.socket(*arguments)))

def netlink(kind, body):
    s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
    message = struct.pack("=IHHII", 16 + len(body), kind, 1 | 4 | 0x400, 1, 0) + body
    s.send(message)
    return -struct.unpack_from("=i", s.recv(4096), 16)[0]

RTM_NEWLINK, RTM_NEWADDR, RTM_NEWROUTE = 16, 20, 24
result = {
    "raw": open_socket(socket.AF_INET, socket.SOCK_RAW, 1),
    "packet": open_socket(socket.AF_PACKET, socket.SOCK_RAW, 0x300),
    "ping": open_socket(socket.AF_INET, socket.SOCK_DGRAM, 1),
    "vsock": open_socket(40, socket.SOCK_STREAM, 0),
    "algorithms": open_socket(38, socket.SOCK_SEQPACKET, 0),
    "netfilter": open_socket(socket.AF_NETLINK, socket.SOCK_RAW, 12),
    "address": netlink(RTM_NEWADDR, struct.pack("=BBBBI", 2, 16, 0, 0, 2) + struct.pack("=HH4B", 8, 2, 169, 254, 101, 250)),
    "route": netlink(RTM_NEWROUTE, struct.pack("=BBBBBBBBI", 2, 32, 0, 0, 254, 4, 0, 1, 0) + struct.pack("=HH4B", 8, 1, 127, 0, 0, 9)),
    "link down": netlink(RTM_NEWLINK, struct.pack("=BBHiII", 0, 0, 0, 2, 0, 1)),
}`),
  );
  const EPERM = 1;
  assert.deepEqual(answers, {
    raw: "EPERM",
    packet: "EPERM",
    ping: "EPROTONOSUPPORT",
    vsock: "EAFNOSUPPORT",
    algorithms: "EAFNOSUPPORT",
    netfilter: "EPROTONOSUPPORT",
    address: EPERM,
    route: EPERM,
    "link down": EPERM,
  });
});

test("the machine's shared budgets stay untouched", async () => {
  const attacker = await arena().agent("python");
  const budget = () => Number(readFileSync("/proc/sys/fs/aio-nr", "latin1"));
  const before = budget();
  const answers = (await arena().during(() =>
    attacker.run(`
def io_setup():
    context = (ctypes.c_ulong * 1)()
    return call(${numbers.get("io_setup")}, 60000, context)

result = {
    "asynchronous I/O": io_setup(),
    "real-time priority": attempt(os.sched_setscheduler, 0, os.SCHED_FIFO, os.sched_param(1)),
    "higher priority": attempt(os.nice, -1),
    "oom score": put("/proc/self/oom_score_adj", "-1"),
}
import resource
try:
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
    result["open files"] = "raised"
except ValueError:
    result["open files"] = "refused"`),
  )) as Record<string, unknown>;
  assert.deepEqual(answers, {
    "asynchronous I/O": "ENOSYS",
    "real-time priority": "EPERM",
    "higher priority": "EPERM",
    "oom score": "EACCES",
    "open files": "refused",
  });
  assert.equal(budget(), before);
});
