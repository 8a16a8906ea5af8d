// Goal: artefacts are made once for everything they depend on, in a sandbox that has nothing of the function's but its
// code; what fails, lies or takes too long leaves the function without, and nothing else behind.
// Method: a sandbox driver whose sandboxes send what the test says; a manual clock; a folder of the test's own.
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { ManualClock } from "../../kernel/clock.ts";
import type { LogFields, Logger } from "../../telemetry/logger.ts";
import { FakeSandbox, fakeVersion, MemoryLogSink } from "../environment/fakes.ts";
import { FRAME } from "../environment/link.ts";
import type { RuntimeAvailable } from "../runtimes/catalogue.ts";
import type { SandboxDriver, SandboxSpec } from "../sandbox/sandbox.ts";
import { Artefacts } from "./artefacts.ts";

const ZIP_BYTES = 200_000;
const RUNTIME: RuntimeAvailable = {
  available: true,
  root: { key: "nodejs24.x-24.0.0" },
  command: () => ["/var/lang/bin/node"],
  compile: {
    command: (memoryMb, handler) => ["/var/lang/bin/node", `--heap=${memoryMb}`, "compile.cjs", handler],
    layers: false,
  },
  version: "24.0.0",
  snapshot: { build: () => ["/bin/sh", "build"], restore: () => ["/var/lang/bin/node", "restore"] },
  environment: { PATH: "/bin" },
  link: true,
};

function fileFrame(name: string, content: string): Buffer {
  const length = Buffer.alloc(2);
  length.writeUInt16LE(Buffer.byteLength(name));
  return Buffer.concat([length, Buffer.from(name), Buffer.from(content)]);
}

const compiles = (sandbox: FakeSandbox) => {
  sandbox.send(FRAME.FILE, fileFrame("compiled/a", "cache"));
  sandbox.send(FRAME.PREPARED);
};

async function open(
  t: TestContext,
  script: (sandbox: FakeSandbox) => void = compiles,
  runtime: RuntimeAvailable = RUNTIME,
) {
  const directory = mkdtempSync(join(tmpdir(), "hornero-artefacts-"));
  t.after(() => rmSync(directory, { recursive: true }));
  const specs: SandboxSpec[] = [];
  const sandboxes: FakeSandbox[] = [];
  const warnings: LogFields[] = [];
  const logger: Logger = {
    debug() {},
    info() {},
    warn: (_message, fields) => void warnings.push(fields ?? {}),
    error() {},
    with: () => logger,
  };
  const clock = new ManualClock();
  const sink = new MemoryLogSink();
  const artefacts = await Artefacts.open({
    directory,
    driver: {
      name: "bubblewrap",
      create: async (spec: SandboxSpec) => {
        const sandbox = new FakeSandbox(spec.id);
        specs.push(spec);
        sandboxes.push(sandbox);
        script(sandbox);
        return sandbox;
      },
    } as unknown as SandboxDriver,
    runtimes: { find: async () => runtime },
    codeFolder: async (sha256Hex) => `/code/${sha256Hex}`,
    region: "us-east-1",
    clock,
    logger,
    sink,
    nextId: () => `s-${specs.length}`,
  });
  return { artefacts, specs, sandboxes, warnings, clock, sink, directory };
}

test("are made once for the same code, interpreter and memory, without the function's role or variables", async (t) => {
  const { artefacts, specs, sandboxes, directory } = await open(t);
  const version = fakeVersion({ environment: { SECRET: "x" } });
  assert.equal(artefacts.find(version, RUNTIME), undefined);
  await Promise.all([artefacts.prepare(version, ZIP_BYTES), artefacts.prepare(version, ZIP_BYTES)]);
  await artefacts.prepare(fakeVersion({ name: "another" }), ZIP_BYTES);
  assert.equal(specs.length, 1);
  assert.deepEqual(specs[0]?.environment, { PATH: "/bin" });
  assert.deepEqual(specs[0]?.code, { task: `/code/${version.codeSha256Hex}`, layers: [] });
  assert.deepEqual(sandboxes[0]?.calls, ["destroy"]);
  const folder = artefacts.find(version, RUNTIME) ?? "";
  assert.deepEqual(readdirSync(join(folder, "compiled")), ["a"]);
  const larger = fakeVersion({ memoryMb: 256 });
  assert.equal(artefacts.find(larger, RUNTIME), undefined, "V8 takes no cache made under other flags");
  await artefacts.prepare(larger, ZIP_BYTES);
  assert.equal(readdirSync(directory).length, 2);
  await artefacts.forget(version.codeSha256Hex);
  assert.equal(artefacts.find(version, RUNTIME), undefined);
  assert.deepEqual(readdirSync(directory), []);
});

test("are not made of little code", async (t) => {
  const { artefacts, specs } = await open(t);
  await artefacts.prepare(fakeVersion(), 1000);
  assert.equal(specs.length, 0);
});

test("are made of little code that has layers, where layers are compiled", async (t) => {
  const version = fakeVersion({ layerSha256Hex: ["b".repeat(64)] });
  const without = await open(t);
  await without.artefacts.prepare(version, 1000);
  assert.equal(without.specs.length, 0);
  const compile = { command: () => ["/var/lang/bin/python3.13", "compile_code.py"], layers: true };
  const runtime = { ...RUNTIME, compile };
  const { artefacts, specs } = await open(t, compiles, runtime);
  await artefacts.prepare(version, 1000);
  assert.deepEqual(specs[0]?.code?.layers, [`/code/${"b".repeat(64)}`]);
  for (const same of [{ memoryMb: 256 }, { handler: "other.handler" }])
    assert.ok(artefacts.find({ ...version, ...same }, runtime), "it depends on neither");
  for (const other of [{ layerSha256Hex: [] }, { layerSha256Hex: ["c".repeat(64)] }])
    assert.equal(artefacts.find({ ...version, ...other }, runtime), undefined);
});

const FAILURES: readonly (readonly [what: string, script: (sandbox: FakeSandbox) => void])[] = [
  ["ends before it is done", (sandbox) => sandbox.exit({ code: 3 })],
  ["gives up", (sandbox) => sandbox.send(FRAME.NOT_PREPARED, Buffer.from("no"))],
  ["sends a frame that nobody knows", (sandbox) => sandbox.send(99)],
  ["names a file elsewhere", (sandbox) => sandbox.send(FRAME.FILE, fileFrame("../../evil", "x"))],
];
for (const [what, script] of FAILURES) {
  test(`a compiler that ${what} leaves the function without`, async (t) => {
    const { artefacts, sandboxes, warnings, directory } = await open(t, script);
    await artefacts.prepare(fakeVersion(), ZIP_BYTES);
    assert.equal(artefacts.find(fakeVersion(), RUNTIME), undefined);
    assert.equal(warnings.length, 1);
    assert.deepEqual(sandboxes[0]?.calls, ["destroy"]);
    assert.deepEqual(readdirSync(directory), []);
  });
}

test("a compiler that never ends is waited for a while, then ended", async (t) => {
  const { artefacts, sandboxes, warnings, clock } = await open(t, () => {});
  const prepared = artefacts.prepare(fakeVersion(), ZIP_BYTES);
  while (sandboxes.length === 0) await nextTurn();
  await nextTurn();
  clock.advance(3000);
  await prepared;
  assert.deepEqual(sandboxes[0]?.calls, []);
  clock.advance(30_000);
  await artefacts.close();
  assert.deepEqual(sandboxes[0]?.calls, ["destroy"]);
  assert.equal(warnings.length, 0, "closing is no fault");
});

const takesSnapshot = (sandbox: FakeSandbox) => {
  const line = Buffer.alloc(9);
  line.writeDoubleLE(1_700_000_000_000, 0);
  sandbox.send(FRAME.LOG, line, Buffer.from("the function's own line"));
  sandbox.send(FRAME.FILE, fileFrame("snapshot.blob", "heap"));
  sandbox.send(FRAME.PREPARED);
};

test("a snapshot is of one version, has its variables and limits, and no credentials", async (t) => {
  const { artefacts, specs, sink } = await open(t, takesSnapshot);
  const version = fakeVersion({ version: "1", snapStart: true, environment: { STAGE: "test" } });
  assert.deepEqual(await artefacts.prepare(version, 1000), { snapshot: true });
  const { environment = {}, memoryMb } = specs[0] ?? {};
  assert.equal(memoryMb, version.memoryMb);
  assert.equal(environment["STAGE"], "test");
  assert.equal(environment["AWS_LAMBDA_INITIALIZATION_TYPE"], "snap-start");
  const secret = Object.keys(environment).filter((name) => /ACCESS_KEY|TOKEN|LOG_STREAM/.test(name));
  assert.deepEqual(secret, []);
  const folder = artefacts.findSnapshot(version, RUNTIME) ?? "";
  assert.deepEqual(readdirSync(folder), ["snapshot.blob"]);
  for (const other of [
    { version: "2" },
    { functionArn: `${version.functionArn}-2` },
    { revisionId: "2" },
    { snapStart: false },
  ])
    assert.equal(artefacts.findSnapshot({ ...version, ...other }, RUNTIME), undefined);
  assert.match(sink.messages.join("\n"), /^INIT_START .*\nthe function's own line\nINIT_REPORT .*success$/);
  await artefacts.dropSnapshot(version, RUNTIME);
  assert.equal(artefacts.findSnapshot(version, RUNTIME), undefined);
});

test("where no snapshot can be taken, the function's log says why", async (t) => {
  const { artefacts, sink, warnings } = await open(t, (sandbox) => {
    sandbox.output.push("Error: it cannot be\n");
    sandbox.exit({ code: 1 });
  });
  const version = fakeVersion({ version: "1", snapStart: true });
  assert.deepEqual(await artefacts.prepare(version, 1000), { snapshot: false });
  assert.match(sink.messages.join("\n"), /environments load the code instead: it ended with status 1/);
  assert.deepEqual(warnings, [], "that is the function's affair");
});
