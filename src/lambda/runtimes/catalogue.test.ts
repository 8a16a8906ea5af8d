/**
 * Goal: the catalogue finds the right interpreter for each runtime id, says why and what mends it when there is none,
 * verifies what it fetches, and asks the machine again after a failure but not before.
 * Method: small programs that answer like interpreters, in temporary folders on a search path of the test's own; the real
 * registry client once.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { ManualClock, systemClock } from "../../kernel/clock.ts";
import type { Logger } from "../../telemetry/logger.ts";
import { createRuntimeCatalogue, type RuntimeCatalogueOptions, type RuntimeMissing } from "./catalogue.ts";
import { RUNTIMES, retirementMessage } from "./runtimes.ts";

const silent: Logger = { debug() {}, info() {}, warn() {}, error() {}, with: () => silent };

function temporary(): { path: string; [Symbol.dispose](): void } {
  const path = mkdtempSync(join(tmpdir(), "hornero-catalogue-"));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

function program(file: string, script: string): string {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `#!/bin/sh\n${script}\n`);
  chmodSync(file, 0o755);
  return file;
}

/** Answers the catalogue's question as Node would; `execPath` is the program itself. */
const fakeNode = (version: string) => `echo "${version} $0"`;
const fakePython = (version: string, prefix: string) => `echo "cpython ${version} True ${prefix}"`;

function catalogue(folder: string, options: Partial<RuntimeCatalogueOptions> = {}) {
  return createRuntimeCatalogue({
    cacheDirectory: join(folder, "cache"),
    clock: systemClock,
    logger: silent,
    environment: { PATH: join(folder, "bin"), HOME: folder },
    fetch: false,
    ...options,
  });
}

async function missing(found: Promise<unknown>): Promise<RuntimeMissing> {
  const answer = (await found) as RuntimeMissing;
  assert.equal(answer.available, false);
  return answer;
}

test("every id has one family, and AWS's words where it is retired", () => {
  assert.equal(RUNTIMES.get("nodejs22.x")?.version, "22");
  assert.equal(RUNTIMES.get("python3.13")?.version, "3.13");
  assert.equal(RUNTIMES.get("provided.al2023")?.version, "");
  assert.equal(RUNTIMES.size, 51);
  assert.equal(retirementMessage("nodejs22.x"), undefined);
  assert.equal(
    retirementMessage("nodejs16.x"),
    "The runtime parameter of nodejs16.x is no longer supported for creating or updating AWS Lambda functions. We recommend you use a supported runtime while creating or updating functions.",
  );
  for (const { id, deprecationDate = "", blockCreateDate, blockUpdateDate } of RUNTIMES.values()) {
    if (blockCreateDate !== undefined) assert.ok(deprecationDate <= blockCreateDate, id);
    if (blockUpdateDate !== undefined) assert.ok((blockCreateDate ?? "") <= blockUpdateDate, id);
  }
});

test("a Node.js on the PATH: its own folder becomes /var/lang", async () => {
  using folder = temporary();
  const home = join(folder.path, "node-22");
  program(join(home, "bin", "node"), fakeNode("22.1.0"));
  const found = await catalogue(folder.path, {
    environment: { PATH: join(home, "bin"), HOME: folder.path },
  }).find("nodejs22.x");
  assert.ok(found.available);
  assert.equal(found.root.lang, home);
  assert.ok(existsSync(join(found.root.runtime ?? "", "bootstrap.cjs")));
  assert.equal(found.version, "22.1.0");
  assert.equal(found.link, true);
  assert.deepEqual(found.command(1000), [
    "/var/lang/bin/node",
    "--max-old-space-size=900",
    "--max-semi-space-size=50",
    "--v8-pool-size=1",
    "--no-experimental-require-module",
    "--no-experimental-detect-module",
    "/var/runtime/bootstrap.cjs",
  ]);
  assert.equal(found.environment["AWS_EXECUTION_ENV"], "AWS_Lambda_nodejs22.x");
  assert.match(found.environment["NODE_PATH"] ?? "", /^\/opt\/nodejs\/node22\/node_modules:/);
});

test("the project's own Node.js serves its major", async () => {
  using folder = temporary();
  const found = await catalogue(folder.path).find("nodejs24.x");
  assert.ok(found.available);
  assert.equal(found.version.split(".")[0], "24");
});

test("without a Node.js of that major: the reason, and the command that mends it", async () => {
  using folder = temporary();
  program(join(folder.path, "bin", "node"), fakeNode("22.1.0"));
  const { reason, fix } = await missing(catalogue(folder.path).find("nodejs20.x"));
  assert.match(reason, /Node\.js 20/);
  assert.match(
    fix,
    /^(npm pack node-linux-(x64|arm64)@20\.\d+\.\d+ --pack-destination \/.*cache|nvm install 20)$/,
  );
});

test("a pyenv shim is passed over for the interpreter behind it; the newest patch release wins", async () => {
  using folder = temporary();
  program(join(folder.path, "bin", "python3.12"), "exit 127");
  const versions = join(folder.path, ".pyenv", "versions");
  for (const version of ["3.12.1", "3.12.10", "3.12.9"]) {
    const prefix = join(versions, version);
    program(join(prefix, "bin", "python3.12"), fakePython(version, prefix));
  }
  const found = await catalogue(folder.path).find("python3.12");
  assert.ok(found.available);
  assert.equal(found.version, "3.12.10");
  assert.equal(found.root.lang, join(versions, "3.12.10"));
  assert.deepEqual(found.command(128), ["/var/lang/bin/python3.12", "-S", "/var/runtime/bootstrap.py"]);
});

test("uv's installations are found where uv keeps them", async () => {
  using folder = temporary();
  const prefix = join(folder.path, ".local", "share", "uv", "python", "cpython-3.14.2-linux-x86_64-gnu");
  program(join(prefix, "bin", "python3.14"), fakePython("3.14.2", prefix));
  const found = await catalogue(folder.path).find("python3.14");
  assert.ok(found.available);
  assert.equal(found.root.lang, prefix);
});

test("an interpreter outside its own folder, or of another version, is no interpreter", async () => {
  using folder = temporary();
  const elsewhere = program(
    join(folder.path, "elsewhere", "python"),
    fakePython("3.14.0", join(folder.path, "prefix")),
  );
  mkdirSync(join(folder.path, "prefix", "bin"), { recursive: true });
  symlinkSync(elsewhere, join(folder.path, "prefix", "bin", "python3.14"));
  mkdirSync(join(folder.path, "bin"));
  symlinkSync(elsewhere, join(folder.path, "bin", "python3.14"));
  program(join(folder.path, "bin", "python3.15"), fakePython("3.14.0", folder.path));
  assert.match((await missing(catalogue(folder.path).find("python3.14"))).reason, /no CPython 3\.14/);
  const { fix } = await missing(catalogue(folder.path).find("python3.15"));
  assert.equal(fix, "uv python install 3.15");
});

test(
  "a Python of the system's /usr needs no /var/lang",
  { skip: !existsSync("/usr/bin/python3") && "no /usr/bin/python3" },
  async () => {
    using folder = temporary();
    const version =
      /Python (3\.\d+)/.exec(execFileSync("/usr/bin/python3", ["--version"]).toString())?.[1] ?? "";
    const found = await catalogue(folder.path).find(`python${version}`);
    if (!existsSync(`/usr/bin/python${version}`)) return assert.equal(found.available, false);
    assert.ok(found.available);
    assert.equal(found.root.lang, undefined);
    assert.equal(found.command()[0], `/usr/bin/python${version}`);
  },
);

test("OS-only runtimes need nothing; others are told apart", async () => {
  using folder = temporary();
  const found = await catalogue(folder.path).find("provided.al2023");
  assert.ok(found.available);
  assert.deepEqual(found.root, { key: "provided" });
  assert.deepEqual([found.link, found.command()], [false, ["/var/task/bootstrap"]]);
  assert.equal(found.environment["AWS_EXECUTION_ENV"], undefined);
  assert.match((await missing(catalogue(folder.path).find("java21"))).reason, /java21/);
  assert.match((await missing(catalogue(folder.path).find("cobol85"))).reason, /no runtime cobol85/);
});

test("a failure is kept for ten seconds, a find for good", async () => {
  using folder = temporary();
  const clock = new ManualClock();
  const runtimes = catalogue(folder.path, { clock });
  await missing(runtimes.find("python3.14"));
  const prefix = join(folder.path, ".pyenv", "versions", "3.14.0");
  program(join(prefix, "bin", "python3.14"), fakePython("3.14.0", prefix));
  await missing(runtimes.find("python3.14"));
  clock.advance(10_000);
  const found = await runtimes.find("python3.14");
  assert.ok(found.available);
  rmSync(prefix, { recursive: true });
  assert.equal(await runtimes.find("python3.14"), found);
});

test("a package that is not the pinned one is refused, and leaves nothing behind", async () => {
  using folder = temporary();
  // Stands for npm: writes a tarball of the right name and the wrong content.
  program(join(folder.path, "bin", "npm"), 'name="$(echo "$2" | tr @ -)"; echo fake > "$6/$name.tgz"');
  const { reason } = await missing(catalogue(folder.path, { fetch: true }).find("nodejs20.x"));
  assert.match(reason, /SHA-512 differs/);
  assert.deepEqual(readdirSync(join(folder.path, "cache")), []);
});

test("a registry that does not answer is a reason, not an error", async () => {
  using folder = temporary();
  program(join(folder.path, "bin", "npm"), "echo 'npm error network offline' >&2; exit 1");
  const { reason } = await missing(catalogue(folder.path, { fetch: true }).find("nodejs20.x"));
  assert.match(reason, /could not be fetched/);
});

test("fetches a pinned Node.js with the real npm, once for concurrent calls", async (t) => {
  if (process.platform !== "linux") return t.skip("pinned builds are for Linux");
  using folder = temporary();
  // Only npm and its own Node.js are on the path: no Node.js 22 may be found there.
  mkdirSync(join(folder.path, "bin"));
  const npm = (process.env["PATH"] ?? "")
    .split(":")
    .map((entry) => join(entry, "npm"))
    .find(existsSync);
  if (npm === undefined) return t.skip("there is no npm on the PATH");
  program(join(folder.path, "bin", "npm"), `exec ${npm} "$@"`);
  const runtimes = catalogue(folder.path, { fetch: true });
  const [found, again] = await Promise.all([runtimes.find("nodejs22.x"), runtimes.find("nodejs22.x")]);
  assert.equal(found, again);
  if (!found.available) {
    assert.doesNotMatch(found.reason, /SHA-512/);
    return t.skip(`offline: ${found.reason}`);
  }
  assert.deepEqual(readdirSync(join(folder.path, "cache")).length, 1);
  const version = execFileSync(join(found.root.lang ?? "", "bin", "node"), ["--version"], { env: {} })
    .toString()
    .trim();
  assert.equal(version, `v${found.version}`);

  // The cache alone is enough the next time.
  const offline = join(folder.path, "offline");
  cpSync(join(folder.path, "cache"), join(offline, "cache"), { recursive: true });
  assert.ok((await catalogue(offline).find("nodejs22.x")).available);
});
