// Goal: the seccomp filter lets ordinary programs run and answers everything else as the policy says.
// Method: an interpreter of classic BPF runs the assembled program over every call number of both architectures and over
// the arguments that matter; then bubblewrap applies it to real programs, which hold every capability of their own user
// namespace, so that what is refused to them is refused by the filter and not for want of privilege.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { suite, test } from "node:test";
import { seccompProgram } from "./seccomp.ts";
import { ALLOWED, CONDITIONAL, NOT_IMPLEMENTED } from "./seccomp/policy.ts";
import { SYSTEM_CALLS, type Architecture } from "./seccomp/syscalls.ts";

const ALLOW = 0x7fff_0000;
const KILL = 0x8000_0000;
const EPERM = 0x0005_0000 + 1;
const ENOSYS = 0x0005_0000 + 38;
const EPROTONOSUPPORT = 0x0005_0000 + 93;
const EAFNOSUPPORT = 0x0005_0000 + 97;

const AUDIT_ARCH = { x64: 0xc000_003e, arm64: 0xc000_00b7 };
const I386 = 0x4000_0003;
const ARCHITECTURES: readonly Architecture[] = ["x64", "arm64"];

interface Call {
  readonly nr: number;
  readonly arch: number;
  readonly args?: readonly (number | bigint)[];
}

/** A classic BPF machine with the instructions that seccomp filters of ours use; an unknown one throws. */
function interpret(program: Buffer, call: Call): number {
  const data = Buffer.alloc(64);
  data.writeUInt32LE(call.nr >>> 0, 0);
  data.writeUInt32LE(call.arch, 4);
  for (const [index, value] of (call.args ?? []).entries()) {
    data.writeBigUInt64LE(BigInt.asUintN(64, BigInt(value)), 16 + 8 * index);
  }
  let accumulator = 0;
  for (let at = 0; at < program.length; at += 8) {
    const operand = program.readUInt32LE(at + 4);
    const jump = (holds: boolean) => (at += 8 * program.readUInt8(at + (holds ? 2 : 3)));
    switch (program.readUInt16LE(at)) {
      case 0x20:
        accumulator = data.readUInt32LE(operand);
        break;
      case 0x54:
        accumulator = (accumulator & operand) >>> 0;
        break;
      case 0x15:
        jump(accumulator === operand);
        break;
      case 0x35:
        jump(accumulator >= operand);
        break;
      case 0x06:
        return operand;
      default:
        throw new Error(`unknown instruction at ${at / 8}`);
    }
  }
  throw new Error("the program ran past its end");
}

function answer(architecture: Architecture, name: string, ...args: (number | bigint)[]): number {
  const nr = SYSTEM_CALLS[architecture].get(name);
  assert(nr !== undefined, `${name} exists on ${architecture}`);
  return interpret(seccompProgram(architecture), { nr, arch: AUDIT_ARCH[architecture], args });
}

suite("the call table", () => {
  test("has the numbers that every architecture manual prints", () => {
    assert.equal(SYSTEM_CALLS.x64.get("read"), 0);
    assert.equal(SYSTEM_CALLS.x64.get("execve"), 59);
    assert.equal(SYSTEM_CALLS.x64.get("openat"), 257);
    assert.equal(SYSTEM_CALLS.x64.get("statx"), 332);
    assert.equal(SYSTEM_CALLS.arm64.get("read"), 63);
    assert.equal(SYSTEM_CALLS.arm64.get("execve"), 221);
    assert.equal(SYSTEM_CALLS.arm64.get("openat"), 56);
    assert.equal(SYSTEM_CALLS.arm64.get("statx"), 291);
    assert.equal(SYSTEM_CALLS.arm64.get("open"), undefined);
    for (const architecture of ARCHITECTURES) {
      assert.equal(SYSTEM_CALLS[architecture].get("clone3"), 435);
      assert.equal(SYSTEM_CALLS[architecture].get("mseal"), 462);
      const numbers = [...SYSTEM_CALLS[architecture].values()];
      assert.equal(new Set(numbers).size, numbers.length, "no number has two names");
    }
  });
});

suite("the policy", () => {
  const lists = [...ALLOWED, ...NOT_IMPLEMENTED, ...Object.keys(CONDITIONAL)];

  test("names each call once, and only calls that exist", () => {
    assert.equal(new Set(lists).size, lists.length);
    const unknown = lists.filter((name) => !SYSTEM_CALLS.x64.has(name) && !SYSTEM_CALLS.arm64.has(name));
    assert.deepEqual(unknown, []);
  });

  for (const architecture of ARCHITECTURES) {
    test(`is what the program for ${architecture} answers, for every number`, () => {
      const program = seccompProgram(architecture);
      const arch = AUDIT_ARCH[architecture];
      const byNumber = new Map([...SYSTEM_CALLS[architecture]].map(([name, nr]) => [nr, name]));
      for (let nr = 0; nr < 1024; nr += 1) {
        const name = byNumber.get(nr);
        if (name !== undefined && Object.hasOwn(CONDITIONAL, name)) continue;
        let expected = EPERM;
        if (name === undefined || NOT_IMPLEMENTED.includes(name)) expected = ENOSYS;
        else if (ALLOWED.includes(name)) expected = ALLOW;
        assert.equal(interpret(program, { nr, arch }), expected, `${nr} ${name ?? "unknown"}`);
      }
    });

    test(`refuses what breaks walls on ${architecture}`, () => {
      const refused = `mount umount2 pivot_root chroot move_mount open_tree fsopen fsmount mount_setattr unshare setns
        ptrace process_vm_readv process_vm_writev pidfd_getfd kexec_load bpf perf_event_open userfaultfd add_key
        request_key keyctl open_by_handle_at reboot swapon init_module finit_module delete_module acct quotactl
        settimeofday clock_settime vhangup syslog sethostname`;
      for (const name of refused.split(/\s+/)) assert.equal(answer(architecture, name), EPERM, name);
      for (const name of ["clone3", "io_uring_setup", "io_uring_enter"]) {
        assert.equal(answer(architecture, name), ENOSYS, name);
      }
    });
  }

  test("kills a process that uses another architecture's table", () => {
    const program = seccompProgram("x64");
    assert.equal(interpret(program, { nr: 0, arch: I386 }), KILL);
    assert.equal(interpret(program, { nr: 0, arch: AUDIT_ARCH.arm64 }), KILL);
    assert.equal(interpret(seccompProgram("arm64"), { nr: 0, arch: AUDIT_ARCH.x64 }), KILL);
  });

  test("knows no x32 calls, and no negative number", () => {
    const program = seccompProgram("x64");
    for (const nr of [0x4000_0000, 0x4000_0001, 0x4000_0000 + 520, -1]) {
      assert.equal(interpret(program, { nr, arch: AUDIT_ARCH.x64 }), ENOSYS, String(nr));
    }
  });
});

suite("argument checks", () => {
  const SIGCHLD = 17;
  const THREAD = 0x3d0f00; // what glibc's pthread_create passes
  const O_CLOEXEC = 0x80000;

  test("clone makes threads and processes but no namespaces", () => {
    for (const architecture of ARCHITECTURES) {
      assert.equal(answer(architecture, "clone", SIGCHLD), ALLOW);
      assert.equal(answer(architecture, "clone", THREAD), ALLOW);
      for (const bit of [17, 25, 26, 27, 28, 29, 30]) {
        assert.equal(answer(architecture, "clone", 2 ** bit + SIGCHLD), EPERM, `bit ${bit}`);
      }
    }
  });

  test("the high half of an argument changes nothing", () => {
    const high = 0xffff_ffff_0000_0000n;
    assert.equal(answer("x64", "clone", high | 0x1000_0000n), EPERM);
    assert.equal(answer("x64", "ioctl", 0, high | 0x5412n), EPERM);
    assert.equal(answer("x64", "socket", high | 17n, 3, 0), EPERM);
  });

  test("sockets: TCP, UDP, unix and the routing netlink", () => {
    const socket = (...args: number[]) => answer("arm64", "socket", ...args);
    for (const family of [2, 10]) {
      assert.equal(socket(family, 1 | O_CLOEXEC, 0), ALLOW);
      assert.equal(socket(family, 1, 6), ALLOW);
      assert.equal(socket(family, 2 | O_CLOEXEC, 17), ALLOW);
      assert.equal(socket(family, 3, 1), EPERM, "raw");
      assert.equal(socket(family, 3 | O_CLOEXEC, 255), EPERM, "raw with flags");
      assert.equal(socket(family, 2, 1), EPROTONOSUPPORT, "ping");
      assert.equal(socket(family, 1, 262), EPROTONOSUPPORT, "MPTCP");
      assert.equal(socket(family, 1, 132), EPROTONOSUPPORT, "SCTP");
    }
    assert.equal(socket(1, 5, 0), ALLOW);
    assert.equal(socket(16, 3 | O_CLOEXEC, 0), ALLOW);
    assert.equal(socket(16, 3, 12), EPROTONOSUPPORT, "netfilter");
    assert.equal(socket(17, 3, 3), EPERM, "packet");
    for (const family of [9, 29, 38, 40, 44]) assert.equal(socket(family, 1, 0), EAFNOSUPPORT);
    assert.equal(answer("x64", "socketpair", 1, 1, 0), ALLOW);
    assert.equal(answer("x64", "socketpair", 30, 1, 0), EAFNOSUPPORT);
  });

  test("personality and ioctl", () => {
    for (const persona of [0, 0x40000, 0xffff_ffff])
      assert.equal(answer("x64", "personality", persona), ALLOW);
    for (const persona of [8, 0x400000, 0x40008]) assert.equal(answer("x64", "personality", persona), EPERM);
    for (const request of [0x5401, 0x5413, 0x541b]) assert.equal(answer("x64", "ioctl", 0, request), ALLOW);
    for (const request of [0x5412, 0x541c, 0x5423, 0x401c5820]) {
      assert.equal(answer("x64", "ioctl", 0, request), EPERM);
    }
  });
});

const [bwrap] = ["/usr/bin/bwrap", "/usr/local/bin/bwrap"].filter(
  (path) => spawnSync(path, ["--unshare-user", "--ro-bind", "/", "/", "true"]).status === 0,
);
const CHECKOUT = join(import.meta.dirname, "..", "..", "..");
const architecture = process.arch === "arm64" ? "arm64" : "x64";

/** Runs a command under the filter (or without, to show that the walls alone would allow it) with all capabilities of a user namespace. */
function run(command: readonly string[], filtered = true): { status: number | null; out: string } {
  assert(bwrap);
  const folder = mkdtempSync(join(tmpdir(), "hornero-seccomp-"));
  const file = join(folder, "filter");
  writeFileSync(file, seccompProgram(architecture));
  const filter = openSync(file, "r");
  try {
    const walls = [
      "--unshare-user",
      "--unshare-pid",
      "--unshare-net",
      "--unshare-uts",
      "--uid",
      "0",
      "--cap-add",
      "ALL",
    ];
    const mounts = ["--dev-bind", "/", "/", "--proc", "/proc", "--tmpfs", "/tmp"];
    // The checkout may lie below the /tmp that was just hidden, and Node and the probes are in it.
    for (const folder of [CHECKOUT, dirname(process.execPath)]) mounts.push("--ro-bind", folder, folder);
    const flags = [...walls, ...mounts, "--die-with-parent", ...(filtered ? ["--seccomp", "3"] : []), "--"];
    const result = spawnSync(bwrap, [...flags, ...command], {
      stdio: ["ignore", "pipe", "pipe", filter],
      encoding: "utf8",
      env: { PATH: process.env["PATH"] ?? "/usr/bin:/bin", HOME: "/tmp" },
    });
    return { status: result.status, out: result.stdout + result.stderr };
  } finally {
    closeSync(filter);
    rmSync(folder, { recursive: true });
  }
}

suite("under bubblewrap", { skip: bwrap ? false : "bwrap cannot make a user namespace here" }, () => {
  const installed = (program: string) => spawnSync("sh", ["-c", `command -v ${program}`]).status === 0;

  const PROGRAMS: readonly (readonly [program: string, ...args: string[]])[] = [
    ["bash", "-c", "x=$(echo ok | cat); (exit 3) || wait; mkfifo /tmp/f; sleep 0 & wait $!; echo $x"],
    [
      process.execPath,
      "-e",
      `const { Worker } = require("node:worker_threads");
       const { execFileSync } = require("node:child_process");
       const server = require("node:http").createServer((_, response) => response.end("ok"));
       const fs = require("node:fs");
       fs.writeFileSync("/tmp/a", "x"); fs.cpSync("/tmp/a", "/tmp/b"); fs.watch("/tmp").close();
       execFileSync("true"); require("node:os").networkInterfaces();
       new Worker("0", { eval: true }).on("exit", () => server.listen("/tmp/socket", () =>
         require("node:http").get({ socketPath: "/tmp/socket" }, (response) =>
           response.on("data", (data) => { console.log(String(data)); server.close(); }))));`,
    ],
    [
      "python3",
      "-c",
      `import asyncio, concurrent.futures, multiprocessing, socket, subprocess, sqlite3, tempfile, threading
threading.Thread(target=lambda: None).start()
subprocess.run(["true"], check=True)
a, b = socket.socketpair(); a.send(b"x"); b.recv(1)
socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).close()
sqlite3.connect(tempfile.mktemp()).execute("create table t (x)")
p = multiprocessing.Process(target=int); p.start(); p.join()
with concurrent.futures.ThreadPoolExecutor() as pool: list(pool.map(int, "123"))
asyncio.run(asyncio.create_subprocess_exec("true"))
print("ok")`,
    ],
    ["perl", "-e", 'fork or exit; wait; open(my $f, "-|", "echo ok"); print <$f>'],
  ];
  for (const command of PROGRAMS) {
    const [program] = command;
    const name = program === process.execPath ? "node" : program;
    test(`${name} works`, { skip: installed(program) ? false : `${name} is not installed` }, () => {
      const { status, out } = run(command);
      assert.equal(status, 0, out);
      assert.match(out, /^ok$/m);
    });
  }

  // Each probe prints the errno of one call, made through libc's syscall(2); the capability for it is there.
  const PROBE = (call: string) => `
    const koffi = require(${JSON.stringify(join(import.meta.dirname, "../../../node_modules/koffi"))});
    const libc = koffi.load("libc.so.6");
    const syscall = libc.func("long syscall(long, long, long, long, long, long)");
    const numbers = JSON.parse(process.argv[1]);
    const result = ${call};
    console.log("errno " + (result < 0 ? koffi.errno() : 0));`;
  const PROBES = {
    mount: "libc.func('int mount(str, str, str, ulong, str)')('x', '/tmp', 'tmpfs', 0, null)",
    unshare: "libc.func('int unshare(int)')(0x04000000)",
    sethostname: "libc.func('int sethostname(str, size_t)')('x', 1)",
    "raw socket": "syscall(numbers.socket, 2, 3, 1, 0, 0)",
    "packet socket": "syscall(numbers.socket, 17, 3, 0, 0, 0)",
    // PTRACE_TRACEME
    ptrace: "syscall(numbers.ptrace, 0, 0, 0, 0, 0)",
  };
  for (const [name, call] of Object.entries(PROBES)) {
    test(`${name} is refused by the filter, not for want of privilege`, () => {
      const numbers = JSON.stringify(Object.fromEntries(SYSTEM_CALLS[architecture]));
      // The shell is there as a parent with the same capabilities: ptrace asks for that.
      const command = ["sh", "-c", '"$@"; true', "sh", process.execPath, "-e", PROBE(call), numbers];
      assert.match(run(command, false).out, /^errno 0$/m);
      assert.match(run(command).out, /^errno 1$/m);
    });
  }

  test("clone makes no namespaces: no sandbox within the sandbox", () => {
    const command = [String(bwrap), "--unshare-user", "--unshare-uts", "--dev-bind", "/", "/", "true"];
    const refused = /no permissions to create new namespace|operation not permitted/i;
    assert.doesNotMatch(run(command, false).out, refused);
    assert.match(run(command).out, refused);
  });
});
