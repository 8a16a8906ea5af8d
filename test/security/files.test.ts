// Goal: a function sees and changes no file but its own: nothing of the host, of the server or of another function, and
// every place that it can write to has a bound.
// Method: functions look for files, folders and descriptors from inside, by every way that leads to them; a second
// function holds a secret in its code, its variables and its /tmp, and the test holds one in a file of the host.
import assert from "node:assert/strict";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { newHexId } from "../../src/kernel/ids.ts";
import { claims, useArena } from "./arena/arena.ts";

const arena = useArena();
const NOT_THERE = /^(ENOENT|EACCES|EPERM|ENOTDIR|ELOOP)$/;

test("files of the host, of the server and of other functions cannot be read", async (t) => {
  if (!claims(t, arena().walls.filesystem)) return;
  const secret = newHexId(16);
  const folder = mkdtempSync(join(tmpdir(), "hornero-secret-"));
  t.after(() => rmSync(folder, { recursive: true }));
  chmodSync(folder, 0o755);
  writeFileSync(join(folder, "secret"), secret, { mode: 0o644 });
  const owner = await arena().agent("node", {
    files: { "secret.txt": secret },
    environment: { SECRET: secret },
  });
  await owner.run(`require("fs").writeFileSync("/tmp/secret", event.secret)`, { secret });
  const attacker = await arena().agent("python");
  const data = arena().dataDirectory;
  const paths = [
    ...[
      "/etc/shadow",
      "/root",
      "/home",
      "/var/lib",
      "/run",
      "/sys",
      "/boot",
      "/proc/kcore",
      "/proc/1/root/root",
    ],
    ...[data, join(data, "server.json"), join(data, "hornero.db"), join(data, "code")],
    ...[folder, join(folder, "secret"), "/tmp/secret", "/var/task/secret.txt", "/var/task/../../root"],
    ...[`/proc/1/root${data}`, `/proc/self/cwd/../../..${data}`, `/proc/1/root${folder}/secret`],
    ...["/proc/sysrq-trigger", "/proc/1/cwd/root", "/dev/mem", "/dev/kmsg", "/dev/vda", "/dev/sda"],
  ];
  const answers = (await arena().during(() =>
    attacker.run(
      `
def look(path):
    return attempt(os.listdir, path) if os.path.isdir(path) else get(path)
result = {path: look(path) for path in event["paths"]}`,
      { paths },
    ),
  )) as Record<string, unknown>;
  for (const [path, answer] of Object.entries(answers)) assert.match(String(answer), NOT_THERE, path);
  // Everything that can be read at all, the secrets in other processes' variables included.
  const found = await arena().during(() =>
    attacker.run(
      `
found = []
def search(path):
    try:
        with open(path, "rb") as file: content = file.read(1 << 20)
    except OSError: return
    if event["secret"].encode() in content: found.append(path)
for top in ["/etc", "/var/task", "/opt", "/tmp", "/dev/shm"]:
    for folder, folders, files in os.walk(top):
        for name in files: search(os.path.join(folder, name))
for name in ["environ", "cmdline", "maps", "mountinfo"]:
    for path in glob.glob(f"/proc/[0-9]*/{name}"): search(path)
result = found`,
      { secret: secret.slice(1) },
    ),
  );
  assert.deepEqual(found, []);
});

test("the way in is clean: no descriptor, no link and no root leads out", async (t) => {
  if (!claims(t, arena().walls.filesystem)) return;
  const attacker = await arena().agent("python");
  const { descriptors, roots, mounts } = (await arena().during(() =>
    attacker.run(`
def links(folder):
    names = attempt(os.listdir, folder)
    return [attempt(os.readlink, f"{folder}/{name}") for name in names] if isinstance(names, list) else []
pids = [name for name in os.listdir("/proc") if name.isdigit()]
result = {
    "descriptors": sorted({link for pid in pids for link in links(f"/proc/{pid}/fd")}),
    "roots": sorted({str(attempt(os.readlink, f"/proc/{pid}/root")) for pid in pids}),
    "mounts": get("/proc/self/mountinfo").splitlines(),
}`),
  )) as { descriptors: string[]; roots: string[]; mounts: string[] };
  const known = /^(\/dev\/null|\/proc\/\d+\/fd|ENOENT|(pipe|socket):\[\d+\]|anon_inode:\S+|EACCES)$/;
  for (const descriptor of descriptors) assert.match(descriptor, known);
  // That of pid 1 may not even be asked for.
  for (const root of roots) assert.match(root, /^(\/|EACCES)$/);
  for (const mount of mounts) {
    const [, , , , point = "", options = ""] = mount.split(" ");
    assert.match(options, /\bnosuid\b/, mount);
    if (/^\/(proc|tmp|dev\/\w+)$/.test(point)) continue;
    assert.match(options, /^ro,/, mount);
    assert.match(options, /\bnodev\b/, mount);
  }
  assert(!mounts.some((mount) => / - (cgroup2?|sysfs|mqueue|bpf|tracefs|debugfs|securityfs) /.test(mount)));
});

test("/tmp is the one place to write to, and it is bounded in bytes and in files", async (t) => {
  if (!claims(t, arena().walls.filesystem)) return;
  const attacker = await arena().agent("python", { memoryMb: 2048 });
  const writable = await arena().during(() =>
    attacker.run(`
found = []
for folder, folders, files in os.walk("/"):
    if folder == "/":
        folders[:] = [f for f in folders if f not in ("proc", "usr")]
    path = os.path.join(folder, "written-by-the-test")
    try:
        open(path, "w").close()
        os.unlink(path)
        found.append(folder)
    except OSError:
        pass
result = found`),
  );
  assert.deepEqual(writable, ["/tmp"]);
  const filled = (await arena().during(() =>
    attacker.run(`
block, written = bytes(1 << 20), 0
with open("/tmp/filler", "wb", buffering=0) as file:
    try:
        while written <= 600: written += file.write(block) >> 20
    except OSError as error:
        reason = errno.errorcode[error.errno]
os.unlink("/tmp/filler")
result = [written, reason]`),
  )) as [number, string];
  assert.equal(filled[1], "ENOSPC");
  // The file system keeps a few percent for itself.
  assert(filled[0] >= 480 && filled[0] <= 512, `${filled[0]} MB`);
});

test("a million empty files end in /tmp's or the memory's bound, not in the host's", async (t) => {
  if (!claims(t, arena().walls.memoryLimit)) return;
  const attacker = await arena().agent("python", { memoryMb: 1024 });
  const answer = await arena().during(() =>
    attacker.invoke(`
# Most of the memory first: an empty file costs about a kilobyte of it.
ballast = b"x" * (900 << 20)
made = 0
try:
    while made < 1_000_000:
        os.close(os.open(f"/tmp/{made}", os.O_CREAT | os.O_WRONLY))
        made += 1
except OSError as error:
    result = errno.errorcode[error.errno]
else:
    result = "made them all"`),
  );
  // Where files count as memory the environment ends, else the file system is full.
  if (answer.functionError === undefined) assert.equal(answer.payload, "ENOSPC");
  else assert.match(JSON.stringify(answer.payload), /Runtime exited with error: signal: killed/);
});

test("kernel settings, control groups and devices are out of reach", async (t) => {
  if (!claims(t, arena().walls.filesystem)) return;
  const ofHost = () =>
    ["core_pattern", "pid_max", "shmmax", "msgmax"].map((name) =>
      readFileSync(`/proc/sys/kernel/${name}`, "latin1"),
    );
  const before = ofHost();
  const attacker = await arena().agent("python");
  const answers = (await arena().during(() =>
    attacker.run(`
import stat
written = []
for folder, folders, files in os.walk("/proc/sys"):
    for name in files:
        path = os.path.join(folder, name)
        try:
            os.close(os.open(path, os.O_WRONLY))
            written.append(path)
        except OSError: pass
put("/proc/sys/kernel/pid_max", "1000")
result = {
    "settings": written,
    "sysrq": put("/proc/sysrq-trigger", "c"),
    "release agent": put("/sys/fs/cgroup/memory/release_agent", "/bin/sh"),
    "control groups": glob.glob("/sys/fs/cgroup/*"),
    "device": attempt(os.mknod, "/tmp/disk", stat.S_IFBLK | 0o666, os.makedev(254, 0)),
    "terminal": attempt(os.mknod, "/tmp/tty", stat.S_IFCHR | 0o666, os.makedev(5, 0)),
    "set-user-ID": [attempt(os.open, "/tmp/program", os.O_CREAT), attempt(os.chmod, "/tmp/program", 0o6755), attempt(os.chown, "/tmp/program", 0, 0)][2],
}`),
  )) as Record<string, unknown>;
  const { settings, sysrq, ...others } = answers;
  // The few that belong to the sandbox's own namespaces: POSIX queues, System V IPC, its own pids.
  const own = /^\/proc\/sys\/(fs\/mqueue\/\w+|kernel\/(auto_msgmni|msgm\w+|sem|shm\w+|ns_last_pid|pid_max))$/;
  assert.deepEqual(
    (settings as string[]).filter((path) => !own.test(path)),
    [],
  );
  assert.match(String(sysrq), NOT_THERE);
  assert.deepEqual(others, {
    "release agent": "ENOENT",
    "control groups": [],
    device: "EPERM",
    terminal: "EPERM",
    "set-user-ID": "EINVAL",
  });
  assert.deepEqual(ofHost(), before);
});

test("set-user-ID programs of the host have no effect inside", async (t) => {
  if (!claims(t, arena().walls.processes)) return;
  const attacker = await arena().agent("python");
  const answers = (await arena().during(() =>
    attacker.run(`
import subprocess
def identity(*command):
    try: return subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL).stdout
    except OSError: return ""
status = get("/proc/self/status")
result = {
    "as root": identity("su", "-c", "id -u") + identity("sudo", "-n", "id", "-u"),
    "no new privileges": "NoNewPrivs:\\t1" in status,
    "capabilities": [line.split()[1].strip("0") for line in status.splitlines() if line.startswith("Cap")],
    "become": [attempt(os.setuid, 0), attempt(os.setgid, 0), attempt(os.setgroups, [0])],
}`),
  )) as Record<string, unknown>;
  assert.deepEqual(answers, {
    "as root": "",
    "no new privileges": true,
    capabilities: ["", "", "", "", ""],
    become: ["EINVAL", "EINVAL", "EPERM"],
  });
});

test("a crash leaves no core dump on the host", async (t) => {
  if (!claims(t, arena().walls.filesystem)) return;
  const pattern = readFileSync("/proc/sys/kernel/core_pattern", "latin1").trim();
  const attacker = await arena().agent("python");
  const answer = await arena().during(() =>
    attacker.invoke(`
import resource
attempt(lambda: resource.setrlimit(resource.RLIMIT_CORE, (0, 0)))
os.chdir("/tmp")
os.kill(os.getpid(), signal.SIGSEGV)`),
  );
  assert.match(JSON.stringify(answer.payload), /Runtime exited with error: signal: segmentation fault/);
  if (pattern.startsWith("|")) return t.skip("a program of the host takes core dumps: see SECURITY.md");
  for (const folder of [process.cwd(), "/", arena().dataDirectory]) {
    for (const name of ["core", "core.2"]) assert(!existsSync(join(folder, name)), join(folder, name));
  }
});
