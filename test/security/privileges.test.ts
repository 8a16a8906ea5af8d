// Goal: of a server that was started as root, only its spawner keeps root; and the spawner does nothing for a server that
// was taken over but what its protocol lists, within the folders that were announced while the server was root.
// Method: read what the kernel knows of every process of a running server; then talk to a real spawner as a hostile server
// would, with malformed messages, folders elsewhere, links and climbing paths.
import assert from "node:assert/strict";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { test } from "node:test";
import { SpawnerProcesses } from "../../src/lambda/sandbox/bubblewrap/spawner-processes.ts";
import type { SpawnerMessage, StartMessage } from "../../src/lambda/sandbox/spawner/protocol.ts";
import { tolerate } from "../../src/lambda/sandbox/cgroups/files.ts";
import { useArena } from "./arena/arena.ts";
import { commandLine, familyOf, instanceOf } from "./arena/leaks.ts";

const isRoot = process.getuid?.() === 0;
const skip = isRoot ? false : "takes root";
const arena = useArena({ skip });
const ACCOUNT_BASE = 2_000_000;

/** Words of a line of /proc/PID/status; none when the process is gone. */
function field(pid: number, name: string): string[] {
  let status = "";
  tolerate(["ENOENT", "ESRCH"], () => (status = readFileSync(`/proc/${pid}/status`, "latin1")));
  return new RegExp(`^${name}:\\s*(.*)$`, "m").exec(status)?.[1]?.split(/\s+/) ?? [];
}

/** Root processes of the server's family that nobody expects. */
function strangers(server: number): string[] {
  const family = familyOf(server);
  // The search for interpreters below root's home, which is over in a second or two.
  const survey = family.filter(({ pid }) => commandLine(pid).includes("/runtimes/survey."));
  const known = new Set(survey.flatMap(({ pid }) => familyOf(pid)).map(({ pid }) => pid));
  return family
    .filter(({ pid }) => field(pid, "Uid")[0] === "0" && !known.has(pid))
    .map(({ pid }) => commandLine(pid))
    .filter((line) => !/^(hornero-spawner|unshare --mount|sh -c read)\b/.test(line) && line !== "");
}

test("the server is a user without rights; only its spawner is root", { skip }, async () => {
  const attacker = await arena().agent("node");
  await attacker.run("return 1");
  const { pid } = arena();
  const [uid = "", ...others] = field(pid, "Uid");
  assert.notEqual(uid, "0");
  assert.deepEqual(new Set([uid, ...others]), new Set([uid]));
  assert(!field(pid, "Groups").includes("0"));
  for (const set of ["CapInh", "CapPrm", "CapEff", "CapAmb"])
    assert.match(field(pid, set)[0] ?? "x", /^0+$/, set);
  assert.equal(statSync(arena().dataDirectory).mode & 0o777, 0o700);
  assert.deepEqual(strangers(pid), []);
  // The function's sandbox, and one that waits in the pool: it may still be on its way.
  const accounts = new Set<number>();
  while (accounts.size < 2) {
    for (const each of familyOf(pid)) {
      const owner = Number(field(each.pid, "Uid")[0]);
      if (each.pid === pid || !(owner > 0)) continue;
      assert(owner >= ACCOUNT_BASE, `${field(each.pid, "Name")[0]} runs as ${owner}`);
      const [capabilities] = field(each.pid, "CapEff");
      if (capabilities === undefined) continue;
      assert.match(capabilities, /^0+$/);
      accounts.add(owner);
    }
    await pause(ASK_AGAIN_MS);
  }
});

const ASK_AGAIN_MS = 50;

interface Conversation {
  readonly child: ChildProcess;
  /** The spawner's answer to a message with this request number. */
  ask(request: number, message: unknown): Promise<SpawnerMessage>;
}

async function startSpawner(start: StartMessage): Promise<Conversation> {
  const child = new SpawnerProcesses(process.execPath).take(start);
  const waiting = new Map<number, (answer: SpawnerMessage) => void>();
  const started = Promise.withResolvers<SpawnerMessage>();
  child.on("message", (message: SpawnerMessage, handle?: { close?(): void; destroy?(): void }) => {
    handle?.close?.();
    handle?.destroy?.();
    if (message.type === "started" || message.type === "failed") started.resolve(message);
    if (message.type === "reply" || message.type === "refusal") waiting.get(message.request)?.(message);
  });
  assert.equal((await started.promise).type, "started");
  return {
    child,
    ask: (request, message) =>
      new Promise((resolve) => {
        waiting.set(request, resolve);
        child.send(message as object);
      }),
  };
}

test("the spawner refuses what is malformed, unknown or elsewhere, and goes on", { skip }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "hornero-spawner-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const codeDirectory = join(folder, "code");
  const storageDirectory = join(folder, "storage");
  for (const path of [codeDirectory, storageDirectory, join(codeDirectory, "good")]) mkdirSync(path);
  symlinkSync("/etc", join(codeDirectory, "link"));
  symlinkSync("../../../..", join(codeDirectory, "up"));
  symlinkSync("good", join(codeDirectory, "near"));
  writeFileSync(join(codeDirectory, "file"), "");
  const spawner = await startSpawner({
    op: "start",
    instance: instanceOf(folder),
    codeDirectory,
    runtimesDirectories: [],
    storageDirectory,
    endpointPort: 4566,
    separateAccounts: true,
  });
  const exited = once(spawner.child, "exit");
  const create = {
    op: "create",
    id: "a",
    root: { key: "none" },
    command: ["/bin/true"],
    environment: {},
    memoryMb: 128,
    ephemeralStorageMb: 512,
    link: false,
  };
  const elsewhere = [
    ...[
      "/etc",
      "/",
      "/root",
      `${codeDirectory}-not`,
      `${codeDirectory}/../storage`,
      `${codeDirectory}/good/../../..`,
    ],
    ...["link", "link/ssl", "up/root", "near", "file", "missing", "good/../../code/good"].map((name) =>
      join(codeDirectory, "x").replace(/x$/, name),
    ),
  ];
  const commands: unknown[] = [
    ...[undefined, null, 1, "x", [], {}, { op: "start" }, { op: "exec", id: "a" }, { op: "destroy" }],
    ...elsewhere.map((task) => ({ ...create, code: { task, layers: [] } })),
    ...elsewhere.map((layer) => ({ ...create, code: { task: `${codeDirectory}/good`, layers: [layer] } })),
    ...["/etc", "/proc/1/root", "/root"].flatMap((path) => [
      { ...create, root: { key: "x", lang: path } },
      { ...create, root: { key: "y", runtime: path } },
    ]),
    { ...create, root: { key: "../../etc" } },
    { ...create, id: "../escape" },
    { ...create, command: ["true"] },
    { ...create, memoryMb: 1e9 },
    { op: "signal", id: "a", signal: "SIGTERM" },
    { op: "specialise", id: "a", code: { task: "/etc", layers: [] }, memoryMb: 128, ephemeralStorageMb: 512 },
  ];
  for (const [request, command] of commands.entries()) {
    const { type } = await spawner.ask(request, { request, command });
    assert.equal(type, "refusal", JSON.stringify(command));
  }
  const last = commands.length;
  assert.equal((await spawner.ask(last, { request: last, command: { op: "ping" } })).type, "reply");
  spawner.child.disconnect();
  assert.deepEqual(await exited, [0, null]);
});

test("a message that is no request at all ends the spawner, and nothing else", { skip }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "hornero-spawner-"));
  t.after(() => rmSync(folder, { recursive: true }));
  for (const name of ["code", "storage"]) mkdirSync(join(folder, name));
  const spawner = await startSpawner({
    op: "start",
    instance: instanceOf(folder),
    codeDirectory: join(folder, "code"),
    runtimesDirectories: [],
    storageDirectory: join(folder, "storage"),
    endpointPort: 4566,
    separateAccounts: true,
  });
  const exited = once(spawner.child, "exit");
  spawner.child.send({ nothing: true });
  const [code] = (await exited) as [number];
  assert.notEqual(code, 0);
});
