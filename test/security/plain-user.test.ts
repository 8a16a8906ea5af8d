// Goal: a server that a plain user started holds the core walls too: files, processes, privileges, system calls and the
// host's network; and it says which limits it cannot keep.
// Method: a second server as a user without any rights, and the attacks of the other files in short.
import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { networkInterfaces, tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { newHexId } from "../../src/kernel/ids.ts";
import { SYSTEM_CALLS } from "../../src/lambda/sandbox/seccomp/syscalls.ts";
import { claims, useArena } from "./arena/arena.ts";

const isRoot = process.getuid?.() === 0;
/** Nobody's. */
const USER = { uid: 54_321, gid: 54_321 };
const skip = isRoot ? false : "the other files test a plain user's server then";
const arena = useArena({ user: USER, skip });
const numbers = SYSTEM_CALLS[process.arch === "arm64" ? "arm64" : "x64"];

test("the walls that a plain user's server claims hold", { skip }, async (t) => {
  const { walls } = arena();
  for (const wall of ["filesystem", "processes", "network", "systemCalls"] as const) {
    assert(walls[wall].holds, `${wall}: ${walls[wall].detail}`);
  }
  // What does not hold is said with a reason.
  for (const { holds, detail } of Object.values(walls)) assert(holds || detail.length > 10);
  const secret = newHexId(16);
  const folder = mkdtempSync(join(tmpdir(), "hornero-secret-"));
  t.after(() => rmSync(folder, { recursive: true }));
  chmodSync(folder, 0o755);
  writeFileSync(join(folder, "secret"), secret);
  const victim = await arena().agent("node", {
    environment: { SECRET: secret },
    files: { "secret.txt": secret },
  });
  await victim.run("globalThis.secret = event.secret", { secret });
  const attacker = await arena().agent("python");
  const paths = ["/etc/shadow", "/root", "/home", join(folder, "secret"), arena().dataDirectory];
  const call = (name: string, given: string) => `call(${numbers.get(name)}, ${given})`;
  const answers = (await arena().during(() =>
    attacker.run(
      `
status = get("/proc/self/status")
def write(path):
    return attempt(lambda: os.close(os.open(path, os.O_CREAT | os.O_WRONLY)))
result = {
    "read": [get(path) for path in event["paths"]],
    "write": [write(f"{folder}/x") for folder in ("/var/task", "/usr/lib", "/etc", "/dev", "/dev/shm", "/")],
    "pids": sorted(int(name) for name in os.listdir("/proc") if name.isdigit()),
    "host's": attempt(os.kill, event["pid"], 0),
    "capabilities": [line.split()[1].strip("0") for line in status.splitlines() if line.startswith("Cap")],
    "filter": "Seccomp:\\t2" in status and "NoNewPrivs:\\t1" in status,
    "calls": [${call("mount", 'b"x", b"/tmp", b"tmpfs", 0, None')}, ${call("unshare", "0x10000000")}, ${call("ptrace", "16, 1, 0, 0")}, ${call("bpf", "0, None, 0")}],
    "environment": [get(path) for path in glob.glob("/proc/[0-9]*/environ") if event["secret"] in get(path)],
}`,
      { paths, pid: arena().pid, secret: secret.slice(1) },
    ),
  )) as Record<string, unknown>;
  const { read, write, environment, ...others } = answers;
  for (const answer of read as string[]) assert.match(answer, /^(ENOENT|EACCES)$/);
  for (const answer of write as string[]) assert.match(answer, /^(EROFS|EACCES)$/);
  assert.deepEqual(environment, []);
  assert.deepEqual(others, {
    pids: [1, 2],
    "host's": "ESRCH",
    capabilities: ["", "", "", "", ""],
    filter: true,
    calls: ["EPERM", "EPERM", "EPERM", "EPERM"],
  });
});

test("the host's services are not reached from a plain user's server", { skip }, async (t) => {
  if (!claims(t, arena().walls.network)) return;
  const listener = createServer((socket) => socket.end("host"));
  listener.listen(0, "0.0.0.0");
  await once(listener, "listening");
  t.after(() => listener.close());
  const { port } = listener.address() as AddressInfo;
  const own = Object.values(networkInterfaces())
    .flatMap((list) => list ?? [])
    .filter(({ family }) => family === "IPv4")
    .map(({ address }) => address);
  const hosts = [...own, "10.0.2.2", "169.254.100.1", "169.254.169.254"];
  const attacker = await arena().agent("python");
  const answers = await arena().during(() =>
    attacker.run(
      `
def connect(host, port):
    def knock():
        with socket.create_connection((host, port), timeout=2): return "open"
    return attempt(knock)
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(16) as pool:
    result = dict(zip(event["hosts"], pool.map(lambda host: connect(host, event["port"]), event["hosts"])))`,
      { port, hosts },
    ),
  );
  assert(!Object.values(answers as object).includes("open"), JSON.stringify(answers));
});

test("a handler that never ends is ended by its timeout, with all its processes", { skip }, async () => {
  const attacker = await arena().agent("python", { timeoutS: 1 });
  const { payload } = await arena().during(() =>
    attacker.invoke(`
signal.signal(signal.SIGTERM, signal.SIG_IGN)
os.fork()
while True: pass`),
  );
  assert.match(JSON.stringify(payload), /Task timed out after 1.00 seconds/);
});
