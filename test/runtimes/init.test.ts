// Goal: the machine code that waits as pid 1 of a Python sandbox does what the interpreter does that it replaces: hands on
// how the command ended, reaps orphans, takes everything with it, and lets nobody look into it.
// Method: the step that becomes pid 1, started in a pid namespace of its own, once with the program and once without.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { suite, test } from "node:test";
import { isRoot, unavailable } from "../../src/lambda/sandbox/bubblewrap/testing.ts";

const RUNTIME_FOLDER = join(import.meta.dirname, "..", "..", "runtimes", "python");
const TIMEOUT_MS = 30_000;
/** Arguments: "program" or "interpreter", and what the command does. */
const PROGRAM = `
import os, sys
sys.path.insert(0, ${JSON.stringify(RUNTIME_FOLDER)})
from hornero_runtime import init, walls
program = init.make_program() if sys.argv[1] == "program" else None
gate, opener = os.pipe()
os.write(opener, b"0")
walls.start_as_command(os.dup(1), gate, os.open("/dev/null", os.O_RDWR), program)
while open("/proc/1/comm").read() != "init\\n":
    pass
exec(sys.argv[2])
`;
/** The interpreter itself: a script in its place would start other processes before the command. */
const asked = spawnSync("python3", ["-c", "import sys; print(sys.executable, end='')"], { encoding: "utf8" });
const python = asked.status === 0 ? asked.stdout : undefined;
const skip = unavailable ?? (python === undefined ? "no python3" : false);

function run(kind: string, command: string): { status: number | null; output: string } {
  const namespaces = [
    ...(isRoot ? [] : ["--user", "--map-root-user"]),
    "--pid",
    "--fork",
    "--kill-child",
    "--mount-proc",
  ];
  const { status, stdout } = spawnSync(
    "unshare",
    [...namespaces, python ?? "", "-ISEB", "-c", PROGRAM, kind, command],
    { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"], timeout: TIMEOUT_MS, killSignal: "SIGKILL" },
  );
  return { status, output: stdout };
}

for (const kind of ["program", "interpreter"]) {
  suite(`pid 1, the ${kind}`, { skip }, () => {
    for (const [command, status] of [
      ["os._exit(0)", 0],
      ["os._exit(7)", 7],
      ["os._exit(255)", 255],
      ["os.kill(os.getpid(), 9)", 128 + 9],
      ["os.abort()", 128 + 6],
      // It outlives its parent's first children, and what is left ends with it.
      ["os.fork() == 0 and os._exit(3)\nos.wait()\nos._exit(4)", 4],
      ["os.fork() == 0 and os.execv('/bin/sleep', ['sleep', '1000'])\nos._exit(5)", 5],
      ["[os.kill(1, number) for number in range(1, 65) if number not in (32, 33)]\nos._exit(6)", 6],
    ] as const) {
      test(`ends as its command: ${command.replaceAll("\n", "; ")}`, () => {
        assert.equal(run(kind, command).status, status);
      });
    }

    test("reaps orphans", () => {
      const { status, output } = run(
        kind,
        `
if os.fork() == 0:
    os.fork()
    os._exit(0)
os.wait()
while len([name for name in os.listdir("/proc") if name.isdigit()]) > 2:
    pass
print(os.getppid(), open("/proc/1/comm").read(), end="")
sys.stdout.flush()
os._exit(0)`,
      );
      assert.deepEqual([status, output], [0, "1 init\n"]);
    });
  });
}

test("the program is what runs, holds next to nothing, and nobody can open it", { skip }, () => {
  const { output } = run(
    "program",
    `
print(repr(open("/proc/1/cmdline").read()))
# Without capabilities, as a function is.
import ctypes
ctypes.CDLL(None).capset((ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)())
for name in ("mem", "maps", "exe", "fd/0"):
    try:
        open("/proc/1/" + name)
        print("open", name)
    except PermissionError:
        pass
[size] = [line for line in open("/proc/1/status") if line.startswith("VmSize")]
print(int(size.split()[1]) < 512)
sys.stdout.flush()
os._exit(0)`,
  );
  assert.equal(output, "'init\\x00'\nTrue\n");
});
