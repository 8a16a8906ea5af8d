// Goal: limits, freezing, killing and sweeping work through cgroup v1 and v2, and nothing stays behind.
// Method: v1 and the core of v2 (attach, freeze, kill, move away) run for real, as root, on whichever of them this machine
// mounts; the controllers of v2, which a hybrid machine does not offer, on a folder that behaves as the kernel's does.
// Children are small shells; the tests wait for what the kernel reports, never for time to pass.
import assert from "node:assert/strict";
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { suite, test, type TestContext } from "node:test";
import { openCgroups, type CgroupTree } from "./cgroups.ts";
import { cpuQuotaUs } from "./cgroups/cgroup.ts";
import { kernelFolders, tolerate, type GroupFolders } from "./cgroups/files.ts";
import { openV2 } from "./cgroups/v2.ts";
import { vacateOwnGroup } from "./cgroups/v2-base.ts";

const MIB = 1024 * 1024;
const V1_ROOT = "/sys/fs/cgroup";
const V2_ROOT = existsSync("/sys/fs/cgroup/cgroup.controllers") ? "/sys/fs/cgroup" : "/sys/fs/cgroup/unified";
const isRoot = process.getuid?.() === 0;
const hasV1 = isRoot && existsSync(join(V1_ROOT, "memory/cgroup.procs"));
const hasV2 = isRoot && existsSync(join(V2_ROOT, "cgroup.controllers"));

let instances = 0;
const newInstance = () => `test-${process.pid}-${(instances += 1)}`;

/** A shell that waits on its standard input; killed at the end of the test. */
function idle(
  t: TestContext,
  script = "read line; exit 0",
  stderr: "inherit" | "ignore" = "inherit",
): ChildProcess & { readonly pid: number } {
  const child = spawn("/bin/sh", ["-c", script], { stdio: ["pipe", "pipe", stderr] });
  t.after(() => child.kill("SIGKILL"));
  assert(child.pid !== undefined);
  return child as ChildProcess & { readonly pid: number };
}

/** Waits for what the kernel does soon, giving other processes the CPU in between. */
async function until(holds: () => boolean, what: string): Promise<void> {
  for (let turn = 0; turn < 200_000; turn += 1) {
    if (holds()) return;
    await nextTurn();
  }
  assert.fail(`never: ${what}`);
}

const cpuTicks = (pid: number) => {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
  return Number(fields[11]) + Number(fields[12]);
};

suite("cpuQuotaUs", () => {
  test("is the share of a period, at least the kernel's minimum, and none beyond the machine", () => {
    assert.equal(cpuQuotaUs(1, 4), 20_000);
    assert.equal(cpuQuotaUs(128 / 1769, 4), 1447);
    assert.equal(cpuQuotaUs(0.01, 4), 1000);
    assert.equal(cpuQuotaUs(4, 4), undefined);
    assert.equal(cpuQuotaUs(6, 4), undefined);
  });
});

suite("v1", { skip: hasV1 ? false : "needs root and cgroup v1 controllers" }, () => {
  const folder = (controller: string, instance: string, id = "") =>
    join(V1_ROOT, controller, "hornero", instance, id);
  const read = (controller: string, instance: string, id: string, file: string) =>
    readFileSync(join(folder(controller, instance, id), file), "utf8").trim();

  function open(t: TestContext): { tree: CgroupTree; instance: string } {
    const instance = newInstance();
    const tree = openCgroups({ instance });
    t.after(() => tree.close());
    return { tree, instance };
  }

  test("holds all limits", (t) => {
    const { tree } = open(t);
    for (const wall of Object.values(tree.available)) assert.equal(wall.holds, true, wall.detail);
  });

  test("writes each limit to its controller, up and down", (t) => {
    const { tree, instance } = open(t);
    const cgroup = tree.create("limits");
    for (const memory of [512 * MIB, 128 * MIB, 1024 * MIB]) {
      cgroup.setMemory(memory);
      assert.equal(read("memory", instance, "limits", "memory.limit_in_bytes"), String(memory));
      const swap = join(folder("memory", instance, "limits"), "memory.memsw.limit_in_bytes");
      if (existsSync(swap)) assert.equal(readFileSync(swap, "utf8").trim(), String(memory));
    }
    cgroup.setCpu(0.5);
    assert.equal(read("cpu", instance, "limits", "cpu.cfs_quota_us"), "10000");
    assert.equal(read("cpu", instance, "limits", "cpu.cfs_period_us"), "20000");
    cgroup.setCpu(availableParallelism() + 1);
    assert.equal(read("cpu", instance, "limits", "cpu.cfs_quota_us"), "-1");
    cgroup.setBackground(true);
    assert.equal(read("cpu", instance, "limits", "cpu.shares"), "2");
    cgroup.setBackground(false);
    assert.equal(read("cpu", instance, "limits", "cpu.shares"), "1024");
    cgroup.setPids(1024);
    assert.equal(read("pids", instance, "limits", "pids.max"), "1024");
    assert.equal(cgroup.remove(), true);
  });

  test("kills what exceeds its memory, counts it and knows the peak", async (t) => {
    const { tree } = open(t);
    const cgroup = tree.create("oom");
    cgroup.setMemory(32 * MIB);
    // The shell waits until it is in the group; then awk doubles a string until the kernel ends it.
    const child = idle(t, `read line; exec awk 'BEGIN { s = "x"; while (1) s = s s }'`);
    cgroup.attach(child.pid);
    assert.equal(cgroup.oomKills(), 0);
    child.stdin?.end("go\n");
    const [, signal] = await once(child, "exit");
    assert.equal(signal, "SIGKILL");
    assert(cgroup.oomKills() >= 1);
    const peak = Number(readFileSync(String(cgroup.peakMemoryPath), "utf8"));
    assert(peak > 16 * MIB && peak <= 32 * MIB, `${peak} bytes`);
    await until(() => cgroup.remove(), "the group is empty");
  });

  test("refuses a process too many", async (t) => {
    const { tree } = open(t);
    const cgroup = tree.create("pids");
    cgroup.setPids(1);
    const child = idle(t, "read line; (exit 0); exit 7", "ignore");
    cgroup.attach(child.pid);
    child.stdin?.end("go\n");
    const [code] = await once(child, "exit");
    assert.equal(code, 2, "the shell cannot fork");
  });

  test("freezes and thaws", async (t) => {
    const { tree, instance } = open(t);
    const cgroup = tree.create("freeze");
    const child = idle(t, "while :; do :; done");
    cgroup.attach(child.pid);
    assert.deepEqual(cgroup.pids(), [child.pid]);
    await until(() => cpuTicks(child.pid) > 0, "it runs");
    cgroup.freeze();
    cgroup.freeze();
    await until(() => read("freezer", instance, "freeze", "freezer.state") === "FROZEN", "it is frozen");
    const ticks = cpuTicks(child.pid);
    // Enough of our own CPU time that a running child would have had some too.
    const { user } = process.cpuUsage();
    await until(() => process.cpuUsage().user - user > 50_000, "time has passed");
    assert.equal(cpuTicks(child.pid), ticks);
    cgroup.thaw();
    await until(() => cpuTicks(child.pid) > ticks, "it runs again");
  });

  test("kills the whole group, frozen as it is", async (t) => {
    const { tree } = open(t);
    const cgroup = tree.create("kill");
    const child = idle(t, "read line; sleep 1000 & sleep 1000 & echo started; wait");
    cgroup.attach(child.pid);
    child.stdin?.end("go\n");
    await once(child.stdout ?? child, "data");
    assert.equal(cgroup.pids().length, 3);
    cgroup.freeze();
    assert.equal(cgroup.remove(), false, "busy");
    const exited = once(child, "exit");
    cgroup.kill();
    await exited;
    await until(() => cgroup.remove(), "the group is empty");
    assert.equal(cgroup.remove(), true, "removing twice is harmless");
  });

  test("an id cannot be taken twice, and a failed create leaves nothing", (t) => {
    const { tree, instance } = open(t);
    tree.create("one");
    assert.throws(() => tree.create("one"), { code: "EEXIST" });
    mkdirSync(folder("pids", instance, "two"));
    assert.throws(() => tree.create("two"), { code: "EEXIST" });
    assert.equal(existsSync(folder("memory", instance, "two")), false);
  });

  test("close removes everything of the instance, with what still runs in it", async (t) => {
    const { tree, instance } = open(t);
    const child = idle(t);
    tree.create("running").attach(child.pid);
    tree.create("empty");
    const exited = once(child, "exit");
    tree.close();
    await exited;
    tree.close();
    // A dying process may have kept its group busy: the next instance's sweep then takes it.
    const next = openCgroups({ instance: newInstance() });
    t.after(() => next.close());
    next.sweep();
    for (const controller of ["memory", "cpu", "pids", "freezer"]) {
      assert.equal(existsSync(folder(controller, instance)), false, controller);
    }
  });

  test("an instance's name is taken while it runs", (t) => {
    const { instance } = open(t);
    assert.throws(() => openCgroups({ instance }), /another process runs as instance/);
  });

  test("sweeps instances that were killed, and no others", async (t) => {
    const { tree, instance } = open(t);
    tree.create("mine");
    const dead = newInstance();
    // Another process opens an instance, makes two groups, stays in one of them, and is killed.
    const source = `
      import { openCgroups } from ${JSON.stringify(join(import.meta.dirname, "cgroups.ts"))};
      const tree = openCgroups({ instance: ${JSON.stringify(dead)} });
      tree.create("left");
      tree.create("over");
      console.log("ready");
      process.stdin.resume();`;
    const other = spawn(process.execPath, ["--input-type=module", "-e", source], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    t.after(() => other.kill("SIGKILL"));
    await once(other.stdout, "data");
    const left = idle(t);
    writeFileSync(join(folder("memory", dead, "left"), "cgroup.procs"), String(left.pid));
    tree.sweep();
    assert.equal(existsSync(folder("memory", dead, "over")), true, "it runs: not swept");
    other.kill("SIGKILL");
    await once(other, "exit");
    const exited = once(left, "exit");
    await until(() => {
      tree.sweep();
      return ["memory", "cpu", "pids", "freezer"].every(
        (controller) => !existsSync(folder(controller, dead)),
      );
    }, "the dead instance is gone");
    await exited;
    assert.equal(existsSync(folder("memory", instance, "mine")), true);
  });
});

suite("v2 for real", { skip: hasV2 ? false : "needs root and a cgroup2 mount" }, () => {
  /** A group of the test's own that plays the delegated one. */
  function delegated(t: TestContext): string {
    const base = join(V2_ROOT, newInstance());
    kernelFolders.make(base);
    t.after(() => {
      for (const name of ["hornero-server", ""]) tolerate(["ENOENT"], () => rmdirSync(join(base, name)));
    });
    return base;
  }

  test("moves the processes of the delegated group into a leaf", async (t) => {
    const base = delegated(t);
    const child = idle(t);
    writeFileSync(join(base, "cgroup.procs"), String(child.pid));
    const options = { root: base, self: "0::/\n", folders: kernelFolders };
    vacateOwnGroup(options);
    assert.equal(readFileSync(join(base, "cgroup.procs"), "utf8"), "");
    assert.equal(readFileSync(join(base, "hornero-server/cgroup.procs"), "utf8"), `${child.pid}\n`);
    child.kill("SIGKILL");
    await once(child, "exit");
  });

  test("attaches, freezes, kills and removes", async (t) => {
    const root = delegated(t);
    const instance = newInstance();
    const tree = openV2({ root, self: "0::/\n", folders: kernelFolders }, instance);
    t.after(() => tree.close());
    assert.equal(tree.available.freezer.holds, true);
    const cgroup = tree.create("one");
    const group = join(root, "hornero", instance, "one");
    const child = idle(t, "while :; do :; done");
    cgroup.attach(child.pid);
    assert.deepEqual(cgroup.pids(), [child.pid]);
    const frozen = () => readFileSync(join(group, "cgroup.events"), "utf8").includes("frozen 1");
    cgroup.freeze();
    await until(frozen, "it is frozen");
    cgroup.thaw();
    await until(() => !frozen(), "it is thawed");
    cgroup.freeze();
    assert.equal(cgroup.remove(), false);
    const exited = once(child, "exit");
    cgroup.kill();
    await exited;
    await until(() => cgroup.remove(), "the group is empty");
    tree.close();
    assert.deepEqual(
      readdirSync(root, { withFileTypes: true }).filter((entry) => entry.isDirectory()),
      [],
    );
  });
});

suite("v2 controllers", () => {
  /** Folders that get a group's files when they are made, those of a controller when the parent passes it on. */
  const kernel: GroupFolders = {
    make(path) {
      mkdirSync(path);
      const passed = readFileSync(join(dirname(path), "cgroup.subtree_control"), "utf8")
        .replaceAll("+", "")
        .trim();
      writeFileSync(join(path, "cgroup.controllers"), passed);
      for (const name of ["subtree_control", "procs", "freeze", "kill"])
        writeFileSync(join(path, `cgroup.${name}`), "");
      writeFileSync(join(path, "cgroup.type"), "domain");
      const files = {
        memory: ["max", "swap.max", "oom.group", "peak", "current", "events"],
        cpu: ["max", "weight"],
        pids: ["max"],
      };
      for (const [controller, names] of Object.entries(files)) {
        if (!passed.split(" ").includes(controller)) continue;
        for (const name of names) writeFileSync(join(path, `${controller}.${name}`), "");
      }
    },
    remove(path) {
      const isGroup = readdirSync(path, { withFileTypes: true }).some((entry) => entry.isDirectory());
      if (isGroup) throw Object.assign(new Error("busy"), { code: "EBUSY" });
      rmSync(path, { recursive: true });
    },
  };

  /** A root that offers `controllers`; its own files are missing when this user may not write there. */
  function fakeRoot(t: TestContext, controllers: string, writable = true): string {
    const root = mkdtempSync(join(tmpdir(), "hornero-cgroup-"));
    t.after(() => rmSync(root, { recursive: true }));
    writeFileSync(join(root, "cgroup.controllers"), controllers);
    writeFileSync(join(root, "cgroup.subtree_control"), controllers);
    if (writable) writeFileSync(join(root, "cgroup.procs"), "");
    return root;
  }

  test("are passed down to the instance, and the limits written", (t) => {
    const root = fakeRoot(t, "cpuset cpu io memory hugetlb pids");
    const tree = openV2({ root, self: "0::/\n", folders: kernel }, "one");
    t.after(() => tree.close());
    for (const wall of Object.values(tree.available)) assert.equal(wall.holds, true, wall.detail);
    const cgroup = tree.create("a");
    const file = (name: string) => join(root, "hornero/one/a", name);
    const read = (name: string) => readFileSync(file(name), "utf8");
    assert.equal(readFileSync(join(root, "hornero/cgroup.subtree_control"), "utf8"), "+memory +cpu +pids");
    cgroup.attach(4711);
    cgroup.setMemory(128 * MIB);
    cgroup.setCpu(0.25);
    cgroup.setPids(1024);
    assert.equal(read("cgroup.procs"), "4711");
    assert.equal(read("memory.max"), String(128 * MIB));
    assert.equal(read("memory.swap.max"), "0");
    assert.equal(read("memory.oom.group"), "1");
    assert.equal(read("cpu.max"), "5000 20000");
    assert.equal(read("pids.max"), "1024");
    cgroup.setCpu(availableParallelism());
    assert.equal(read("cpu.max"), "max 20000");
    cgroup.setBackground(true);
    assert.equal(read("cpu.weight"), "1");
    cgroup.setBackground(false);
    assert.equal(read("cpu.weight"), "100");
    cgroup.freeze();
    assert.equal(read("cgroup.freeze"), "1");
    cgroup.thaw();
    assert.equal(read("cgroup.freeze"), "0");
    assert.equal(cgroup.oomKills(), 0);
    writeFileSync(file("memory.events"), "low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 1\n");
    assert.equal(cgroup.oomKills(), 2);
    assert.equal(cgroup.peakMemoryPath, file("memory.peak"));
    rmSync(file("memory.peak"));
    assert.equal(cgroup.peakMemoryPath, file("memory.current"), "before Linux 5.19");
    cgroup.kill();
    assert.equal(read("cgroup.kill"), "1");
    assert.equal(cgroup.remove(), true);
  });

  test("a plain user's tree stands in the delegated group, beside the server's leaf", (t) => {
    const root = fakeRoot(t, "cpu memory pids", false);
    kernel.make(join(root, "user.slice"));
    rmSync(join(root, "user.slice/cgroup.procs"));
    writeFileSync(join(root, "user.slice/cgroup.subtree_control"), "memory pids");
    kernel.make(join(root, "user.slice/run.scope"));
    for (const [instance, self] of [
      ["one", "0::/user.slice/run.scope\n"],
      ["two", "12:pids:/x\n0::/user.slice/run.scope/hornero-server\n"],
    ] as const) {
      const tree = openV2({ root, self, folders: kernel }, instance);
      assert.equal(tree.available.memory.holds, true);
      assert.equal(tree.available.cpu.holds, false);
      assert.match(tree.available.cpu.detail, /missing: cpu/);
      const cgroup = tree.create("a");
      cgroup.setMemory(MIB);
      cgroup.setCpu(1);
      const group = join(root, "user.slice/run.scope/hornero", instance, "a");
      assert.equal(readFileSync(join(group, "memory.max"), "utf8"), String(MIB));
      assert.equal(existsSync(join(group, "cpu.max")), false);
      tree.close();
    }
  });

  test("without a writable group nothing holds, and the tree does nothing", (t) => {
    const root = fakeRoot(t, "cpu memory pids", false);
    const tree = openV2({ root, self: "0::/system.slice/x.service\n", folders: kernel }, "one");
    for (const wall of Object.values(tree.available)) {
      assert.equal(wall.holds, false);
      assert.match(wall.detail, /systemd-run --user --scope -p Delegate=yes/);
    }
    const cgroup = tree.create("a");
    cgroup.attach(process.pid);
    cgroup.setMemory(MIB);
    cgroup.kill();
    assert.deepEqual(cgroup.pids(), []);
    assert.equal(cgroup.peakMemoryPath, undefined);
    assert.equal(cgroup.remove(), true);
    tree.sweep();
    tree.close();
    assert.deepEqual(readdirSync(root).toSorted(), ["cgroup.controllers", "cgroup.subtree_control"]);
  });

  test("a group with processes that cannot be moved away passes nothing on", (t) => {
    const root = fakeRoot(t, "cpu memory pids");
    writeFileSync(join(root, "cgroup.type"), "domain");
    // A process of another pid namespace.
    writeFileSync(join(root, "cgroup.procs"), "0\n");
    const tree = openV2({ root, self: "0::/\n", folders: kernel }, "one");
    t.after(() => tree.close());
    assert.equal(tree.available.memory.holds, false);
    assert.match(tree.available.memory.detail, /holds processes of others/);
  });
});

test("the folders of this test's instances are gone", { skip: isRoot ? false : "nothing was made" }, () => {
  const left = spawnSync("find", ["/sys/fs/cgroup", "-name", `test-${process.pid}-*`], { encoding: "utf8" });
  assert.equal(left.stdout, "", basename(import.meta.filename));
});
