// Goal: what `npm pack` makes of the built sources works where it is installed, also below a folder that only root may enter.
// Method: build into a temporary folder, pack, unpack as npm does (the dependencies beside it, linked to the checkout's instead of
//   fetched), then start a server with its command, invoke the example and stop it.
import assert from "node:assert/strict";
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { readServerFile } from "../../src/cli/server-file.ts";
import { ROOT, startProgram, type Ran } from "../support/cli.ts";
import { eventually } from "../support/functions.ts";
import { nothingLeft } from "../support/server.ts";

const isRoot = process.getuid?.() === 0;
/** What the package's own `files` may name, and package.json. */
const SOURCES = [
  "bin",
  "models",
  "runtimes",
  "examples",
  "docs",
  "scripts",
  "CHANGELOG.md",
  "LICENSE",
  "NOTICE",
];

let folder: string;
let data: string;
let command: string;
before(async () => {
  folder = mkdtempSync(join(tmpdir(), "hornero-package-"));
  data = mkdtempSync(join(tmpdir(), "hornero-package-data-"));
  const packed = join(folder, "packed");
  mkdirSync(packed);
  for (const name of [...SOURCES, "package.json"])
    cpSync(join(ROOT, name), join(packed, name), { recursive: true });
  await done("node", ["scripts/build.mjs", join(packed, "dist")], ROOT);
  await done("npm", ["pack", "--ignore-scripts", "--loglevel=error"], packed);

  const modules = join(folder, "project", "node_modules");
  const installed = join(modules, "hornero");
  mkdirSync(installed, { recursive: true });
  const [archive = ""] = readdirSync(packed).filter((name) => name.endsWith(".tgz"));
  await done("tar", ["-xzf", join(packed, archive), "--strip-components=1", "-C", installed], folder);
  for (const name of dependencies(installed)) install(name, modules);
  command = join(installed, "bin", "hornero.mjs");
  // mkdtemp made it for its owner alone; a plain user's server needs no other.
  chmodSync(folder, isRoot ? 0o700 : 0o755);
});
after(async () => {
  await nothingLeft(data);
  for (const one of [folder, data]) rmSync(one, { recursive: true });
});

/** Copied, since a link out of the project would not lead anywhere for the server's own user. */
function install(name: string, modules: string): void {
  const from = join(ROOT, "node_modules", name);
  // Builds for other platforms are optional, and not there.
  if (!existsSync(from)) return;
  cpSync(from, join(modules, name), { recursive: true, dereference: true });
  for (const one of dependencies(from)) install(one, modules);
}

function dependencies(path: string): string[] {
  const own = JSON.parse(readFileSync(join(path, "package.json"), "utf8")) as Record<string, object>;
  return Object.keys({ ...own["dependencies"], ...own["optionalDependencies"] });
}

async function done(program: string, args: readonly string[], cwd: string): Promise<Ran> {
  const ran = await startProgram(program, args, { cwd }).ended;
  assert.equal(ran.code, 0, `${program} ${args.join(" ")}: ${ran.stdout}${ran.stderr}`);
  return ran;
}

const hornero = (...args: string[]) => done(process.execPath, [command, "--data", data, ...args], folder);

describe("the package", () => {
  it("holds what runs, and nothing of the tests or the sources", async () => {
    const names = readdirSync(join(command, "..", ".."), { recursive: true, encoding: "utf8" });
    for (const wanted of [
      "dist/cli/main.js",
      "models/data/lambda.json",
      "runtimes/nodejs/bootstrap.cjs",
      "LICENSE",
    ])
      assert.ok(names.includes(wanted), wanted);
    const unwanted = /\.test\.|conformance|fakes|fixture|(^|\/)src\/|\.ts$|__pycache__|node_modules/;
    assert.deepEqual(
      names.filter((name) => unwanted.test(name) && !/^models\/[^/]*\.ts$/.test(name)),
      [],
    );
  });

  it("runs a server and a function from where it was installed", async () => {
    const args = [command, "--data", data, "start", "--port", "0", "--example"];
    const server = startProgram(process.execPath, args, { cwd: folder });
    await eventually("a server", () => {
      assert.equal(server.child.exitCode, null, server.stderr());
      return server.stdout().includes("Ctrl-C") && readServerFile(data);
    });
    const invoked = await hornero("invoke", "hello", "--payload", '{"name": "Ada"}');
    assert.equal((JSON.parse(invoked.stdout) as { greeting: string }).greeting, "Hello Ada!");
    await hornero("stop");
    assert.equal((await server.ended).code, 0, server.stderr());
  });

  it("tells its version, and what the machine can do", async () => {
    const { version } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as { version: string };
    assert.equal((await hornero("--version")).stdout, `${version}\n`);
    const { walls } = JSON.parse((await hornero("doctor", "--json")).stdout) as { walls?: object };
    assert.ok(walls);
  });
});
