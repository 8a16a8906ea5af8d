// Goal: a Python runtime that is forked from a zygote is what one is that boots on its own: the same walls, the same
// interpreter, the same ends; and nothing that must be unique is shared with another child.
// Method: real sandboxes of the bubblewrap driver with every CPython at hand, asked from inside by functions of the
// tests; the booted one is the measure. Zygotes are found from outside by their command line, and killed.
import assert from "node:assert/strict";
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, suite, test } from "node:test";
import { newHexId } from "../../src/kernel/ids.ts";
import { systemClock } from "../../src/kernel/clock.ts";
import { FRAME, FrameReader, REQUEST_ID_BYTES, writeFrame } from "../../src/lambda/environment/link.ts";
import { createRuntimeCatalogue, type RuntimeAvailable } from "../../src/lambda/runtimes/catalogue.ts";
import { RUNTIMES } from "../../src/lambda/runtimes/runtimes.ts";
import { createBubblewrapDriver, type BubblewrapDriver } from "../../src/lambda/sandbox/bubblewrap/driver.ts";
import { isRoot, unavailable } from "../../src/lambda/sandbox/bubblewrap/testing.ts";
import type { RuntimeRoot, Sandbox } from "../../src/lambda/sandbox/sandbox.ts";
import { silent } from "./interpreters.ts";
import { PORTRAIT } from "./portrait.ts";

const SIZES = { memoryMb: 256, ephemeralStorageMb: 512 };
const REQUEST_ID = "11111111-2222-3333-4444-555555555555";
const RUNTIME_FOLDER = join(import.meta.dirname, "..", "..", "runtimes", "python");

/** Functions of the tests: `event` is a program, and what it leaves in `result` is the answer. */
const FUNCTION = `
import json, os, signal, sys
def handler(event, context):
    scope = {**globals()}
    exec(event, scope)
    return scope.get("result")
`;

const catalogue = createRuntimeCatalogue({
  cacheDirectory: join(tmpdir(), "hornero-none"),
  clock: systemClock,
  logger: silent,
  fetch: false,
});
const pythons: [id: string, found: RuntimeAvailable][] = [];
for (const { id, family, runs } of RUNTIMES.values()) {
  if (family !== "python" || !runs) continue;
  const found = await catalogue.find(id);
  if (found.available) pythons.push([id, found]);
}
const [[, python] = []] = pythons;
const skip = unavailable ?? (python ? false : "no CPython ≥ 3.9 on this machine");

/** A sandbox with a function in it. */
class Child implements AsyncDisposable {
  readonly sandbox: Sandbox;
  readonly #frames: { type: number; body: Buffer }[] = [];
  #wake = () => {};
  #ended = false;

  constructor(sandbox: Sandbox) {
    this.sandbox = sandbox;
    sandbox.output.resume();
    const reader = new FrameReader((type, body) => {
      this.#frames.push({ type, body: Buffer.from(body) });
      this.#wake();
    });
    sandbox.link?.on("data", (chunk: Buffer) => reader.push(chunk));
    sandbox.link?.on("error", () => undefined);
    void sandbox.exited.then(() => {
      this.#ended = true;
      this.#wake();
    });
  }

  async frame(): Promise<{ type: number; body: Buffer }> {
    for (;;) {
      const frame = this.#frames.shift();
      if (frame && frame.type !== FRAME.LOG) return frame;
      if (frame) continue;
      if (this.#ended) throw new Error(`the runtime ended: ${JSON.stringify(await this.sandbox.exited)}`);
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  send(type: number, ...parts: Buffer[]): void {
    const { link } = this.sandbox;
    assert(link);
    writeFrame(link, type, ...parts);
  }

  invoke(program: string): void {
    const head = Buffer.from(JSON.stringify({ requestId: REQUEST_ID, deadlineMs: Date.now() + 60_000 }));
    const length = Buffer.alloc(4);
    length.writeUInt32LE(head.length);
    this.send(FRAME.INVOKE, length, head, Buffer.from(JSON.stringify(program)));
  }

  /** What `program` leaves in `result`. */
  async run(program: string): Promise<unknown> {
    this.invoke(program);
    const { type, body } = await this.frame();
    assert.equal(type, FRAME.RESPONSE, body.toString());
    return JSON.parse(body.subarray(REQUEST_ID_BYTES).toString()) as unknown;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.sandbox.destroy("the test is over");
  }
}

/** A driver with a function's code. */
class World {
  readonly base = mkdtempSync(join(tmpdir(), "hornero-zygote-"));
  readonly warnings: string[] = [];
  readonly driver: BubblewrapDriver;
  readonly #task = join(this.base, "code", "function");
  #created = 0;

  constructor() {
    // A plain user's functions read it under the user's own account, root's under others.
    chmodSync(this.base, 0o755);
    for (const folder of [this.#task, join(this.base, "data")]) mkdirSync(folder, { recursive: true });
    writeFileSync(join(this.#task, "app.py"), FUNCTION);
    this.driver = createBubblewrapDriver({
      node: process.execPath,
      codeDirectory: join(this.base, "code"),
      runtimesDirectories: [this.base, ...catalogue.folders()],
      dataDirectory: join(this.base, "data"),
      endpointPort: 4566,
      clock: systemClock,
      logger: { ...silent, warn: (text) => void this.warnings.push(text) },
    });
  }

  async child(
    found: RuntimeAvailable,
    { zygote = true, root = found.root }: { zygote?: boolean; root?: RuntimeRoot } = {},
  ): Promise<Child> {
    this.#created += 1;
    const sandbox = await this.driver.create({
      ...{ id: `child-${this.#created}`, root, command: found.command(), environment: found.environment },
      ...{ ...SIZES, link: true, zygote },
    });
    const child = new Child(sandbox);
    assert.equal((await child.frame()).type, FRAME.BOOTED);
    await sandbox.specialise({ code: { task: this.#task, layers: [] }, ...SIZES });
    const specialisation = { environment: { TOKEN: "x" }, handler: "app.handler", taskRoot: "/var/task" };
    child.send(FRAME.SPECIALISE, Buffer.from(JSON.stringify(specialisation)));
    const { type, body } = await child.frame();
    assert.equal(type, FRAME.READY, body.toString());
    return child;
  }

  async close(): Promise<void> {
    await this.driver.close();
    rmSync(this.base, { recursive: true });
  }
}

suite("Python from a zygote", { skip, concurrency: 1 }, () => {
  let world: World;
  before(async () => {
    world = new World();
    await world.driver.start();
  });
  after(() => world.close());

  for (const [id, found] of pythons) {
    test(`${id}: a forked runtime is what a booted one is`, async () => {
      await using booted = await world.child(found, { zygote: false });
      await using forked = await world.child(found);
      await using another = await world.child(found);
      const expected = (await booted.run(PORTRAIT)) as Record<string, unknown>;
      for (const child of [forked, another]) {
        const portrait = (await child.run(PORTRAIT)) as Record<string, unknown>;
        for (const [name, value] of Object.entries(expected)) assert.deepEqual(portrait[name], value, name);
        assert.equal(await child.run("result = open('/proc/1/comm').read()"), "init\n");
        const told = await child.run("result = open('/proc/1/cmdline').read()");
        if (["x64", "arm64"].includes(process.arch)) assert.equal(told, "init\0");
      }
      assert.deepEqual(world.warnings, []);
    });

    test(`${id}: what must be unique is, and nothing comes from before the fork`, async () => {
      await using first = await world.child(found);
      await using second = await world.child(found);
      const program = `
import hashlib, random, secrets, ssl, tempfile, uuid
result = {
    "random": random.getrandbits(64), "secrets": secrets.token_hex(8), "openssl": ssl.RAND_bytes(8).hex(),
    "uuid1": str(uuid.uuid1()), "uuid4": str(uuid.uuid4()), "temporary": next(tempfile._get_candidate_names()),
    "urandom": os.urandom(8).hex(), "system": random.SystemRandom().getrandbits(64),
}`;
      const [one, other] = (await Promise.all([first.run(program), second.run(program)])) as Record<
        string,
        unknown
      >[];
      assert(one && other);
      for (const [name, value] of Object.entries(one)) assert.notEqual(other[name], value, name);
      const seeded = ["_hashlib", "_ssl", "hashlib", "random", "secrets", "ssl", "tempfile", "uuid"];
      await using third = await world.child(found);
      assert.deepEqual(
        await third.run(`result = [name for name in ${JSON.stringify(seeded)} if name in sys.modules]`),
        [],
      );
    });
  }

  tests(() => world);
});

function tests(world: () => World): void {
  if (!python) return;

  test("children of one runtime are apart, and none finds the other's memory", async () => {
    await using victim = await world().child(python);
    await using attacker = await world().child(python);
    const secret = `K3PT${newHexId(16)}`;
    await victim.run(`
kept = open("/tmp/kept", "w").write("${secret}")
globals()["secret"] = os.environ["SECRET"] = "${secret}"`);
    const found = await attacker.run(`
import re
def secrets():
    with open("/proc/self/mem", "rb", 0) as memory:
        for line in open("/proc/self/maps"):
            start, end = (int(word, 16) for word in line.split()[0].split("-"))
            if " rw" in line:
                memory.seek(start)
                yield from re.findall(b"K3PT[0-9a-f]{32}", memory.read(end - start))
result = [os.listdir("/tmp"), [secret.decode() for secret in secrets()]]`);
    assert.deepEqual(found, [[], []]);
    const own = await victim.run(`result = "${secret}" in os.environ["SECRET"] and os.listdir("/tmp")`);
    assert.deepEqual(own, ["kept"]);
  });

  test("pid 1 is out of reach", async () => {
    await using child = await world().child(python);
    const answer = await child.run(`
def attempt(f, *arguments):
    try:
        f(*arguments)
    except OSError as error:
        return error.errno
result = [attempt(open, "/proc/1/" + name) for name in ("mem", "maps", "environ", "fd/0", "root", "syscall", "stack")]
for number in range(1, 65):
    if number not in (32, 33):
        attempt(os.kill, 1, number)
result.append(os.getppid())`);
    assert.deepEqual(answer, [13, 13, 13, 13, 13, 13, 13, 1]);
  });

  const ends = [
    ["os._exit(7)", { code: 7, signal: undefined }],
    ["sys.exit(3)", { code: 3, signal: undefined }],
    ["os.kill(os.getpid(), signal.SIGSEGV)", { code: undefined, signal: "SIGSEGV" }],
    ["os.abort()", { code: undefined, signal: "SIGABRT" }],
    ["os.fork() or os.setsid() or signal.pause(); os._exit(0)", { code: 0, signal: undefined }],
  ] as const;
  for (const [program, { code, signal }] of ends) {
    test(`the end of ${program} is told as it was`, async () => {
      await using child = await world().child(python);
      child.invoke(program);
      const exit = await child.sandbox.exited;
      assert.deepEqual([exit.code, exit.signal, exit.outOfMemory], [code, signal, false]);
    });
  }

  test("SIGTERM reaches the runtime, whose handler runs", async () => {
    await using child = await world().child(python);
    await child.run("signal.signal(signal.SIGTERM, lambda *_: os._exit(42))");
    await child.sandbox.signal("SIGTERM");
    assert.equal((await child.sandbox.exited).code, 42);
  });

  test("orphans are reaped, and die with the environment", async () => {
    await using child = await world().child(python);
    const left = await child.run(`
import subprocess, time
orphan = "import os,time; os.fork() and os._exit(0)"
subprocess.run([sys.executable, "-ISE", "-c", orphan], check=True)
while len([name for name in os.listdir("/proc") if name.isdigit()]) > 2:
    time.sleep(0.001)
result = True`);
    assert.equal(left, true);
  });

  test("memory beyond the limit ends the environment, and is told", async () => {
    if (!world().driver.walls.memoryLimit.holds) return;
    await using child = await world().child(python);
    child.invoke("data = bytearray(400 << 20)");
    const exit = await child.sandbox.exited;
    assert.deepEqual([exit.signal, exit.outOfMemory], ["SIGKILL", true]);
  });

  test("a zygote is renewed after so many forks: another hash seed, another layout", async () => {
    const look = `result = [hash("x"), open("/proc/self/maps").read().split("\\n")[0].split("-")[0], os.environ["TOKEN"]]`;
    const seen = new Set<string>();
    for (let count = 0; count < 600 && seen.size < 2; count += 4) {
      const portraits = await Promise.all(
        Array.from({ length: 4 }, async () => {
          await using child = await world().child(python);
          return JSON.stringify(await child.run(look));
        }),
      );
      for (const portrait of portraits) seen.add(portrait);
    }
    assert.equal(seen.size, 2);
  });

  test("when a zygote dies its children end, and another takes its place", async () => {
    await using child = await world().child(python);
    const [zygote] = zygotesOf(process.pid);
    assert(zygote !== undefined);
    for (const pid of zygotesOf(process.pid)) process.kill(pid, "SIGKILL");
    assert.equal((await child.sandbox.exited).signal, "SIGKILL");
    await using next = await world().child(python);
    assert.equal(await next.run("result = os.getpid()"), 2);
    assert(!zygotesOf(process.pid).includes(zygote));
  });

  test(
    "a runtime that others may write is not trusted with walls: it boots on its own, and that is said once",
    { skip: !isRoot && "a plain user's server is the same user" },
    async () => {
      const folder = join(world().base, "runtime");
      cpSync(RUNTIME_FOLDER, folder, { recursive: true });
      chmodSync(folder, 0o777);
      const root = { ...python.root, key: "writable", runtime: folder };
      for (let count = 0; count < 2; count += 1) {
        await using child = await world().child(python, { root });
        assert.equal(await child.run("result = open('/proc/1/comm').read()"), "bwrap\n");
      }
      const told = world().warnings.filter((text) => text.includes("writable"));
      assert.equal(told.length, 1, told.join("\n"));
      assert.match(told[0] ?? "", /boot on their own: others than root may write \/var\/runtime$/);
    },
  );
}

/** Pid 1 of each zygote's namespace, below a process of ours. */
function zygotesOf(ancestor: number): number[] {
  const found: number[] = [];
  for (const name of readdirSync("/proc").filter((each) => /^\d+$/.test(each))) {
    const pid = Number(name);
    const lineage = [...ancestors(pid)];
    if (!lineage.includes(ancestor)) continue;
    const [parent = 0] = lineage;
    const isFirst = /^NSpid:.*\t1$/m.test(read(`/proc/${pid}/status`));
    if (
      isFirst &&
      command(pid).endsWith("/var/runtime/bootstrap.py\0") &&
      command(parent).startsWith("bwrap\0")
    ) {
      found.push(pid);
    }
  }
  return found;
}

function* ancestors(pid: number): Generator<number> {
  for (let at = pid; at > 1;) {
    at = Number(/^PPid:\s+(\d+)$/m.exec(read(`/proc/${at}/status`))?.[1] ?? 0);
    yield at;
  }
}

function command(pid: number): string {
  return read(`/proc/${pid}/cmdline`);
}

/** Empty when the process is gone. */
function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
