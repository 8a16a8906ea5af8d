// Goal: a checkout runs what is in src/ now, as a few files of JavaScript whose source maps lead back to it.
// Method: the script in a small checkout of its own, with programs of the names that the real one has.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import {
  chmod,
  cp,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  utimes,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, it } from "node:test";
import { promisify } from "node:util";

const ROOT = join(import.meta.dirname, "..", "..");
const SOURCE = "src/cli/main.ts";
const COMPILED = ".compiled/cli/main.js";
const MAIN = `import { double } from "../room/double.ts";
import { PACKAGE_FOLDER, programFile } from "../kernel/package-folder.ts";
const four: number =
  double(2);
const { double: again } = await import("../room/double.ts");
const place = new Error().stack?.split("\\n")[1]?.match(/main\\.[jt]s:\\d+:\\d+/)?.[0];
console.log(four, again(4), PACKAGE_FOLDER, programFile("store/sqlite/worker"), place);
`;
const OTHERS = [
  "lambda/runtimes/survey.ts",
  "lambda/sandbox/spawner/main.ts",
  "store/blobs/unpack-worker.ts",
  "store/sqlite/worker.ts",
];

let checkout = "";

beforeEach(async () => {
  checkout = await mkdtemp(join(tmpdir(), "hornero-compile-test-"));
  await cp(join(ROOT, "scripts"), join(checkout, "scripts"), { recursive: true });
  await symlink(join(ROOT, "node_modules"), join(checkout, "node_modules"));
  await writeFile(join(checkout, "package.json"), '{ "type": "module" }');
  for (const name of ["kernel/assert.ts", "kernel/package-folder.ts"])
    await source(name, await readFile(join(ROOT, "src", name), "utf8"));
  await source("cli/main.ts", MAIN);
  await source("room/double.ts", "export const double = (n: number): number => n * 2;\n");
  for (const name of OTHERS) await source(name, `console.log("${name}");\n`);
});

afterEach(() => rm(checkout, { recursive: true, force: true }));

async function source(name: string, text: string): Promise<void> {
  const path = join(checkout, "src", name);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, text);
}

/** What the checkout would run for src/cli/main.ts. */
async function compiledFile(): Promise<string> {
  const ask = `import { compiledFile } from "./scripts/compile.mjs"; console.log(compiledFile("${SOURCE}"));`;
  return node("--input-type=module", "--eval", ask);
}

async function node(...args: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: checkout });
  return stdout.trim();
}

it("runs the programs without types; each finds the package and the others, and its places in the source", async () => {
  assert.equal(await compiledFile(), COMPILED);
  const worker = (place: string) => join(checkout, place, "store", "sqlite", "worker");
  const fromSource = await node(SOURCE);
  assert.equal(fromSource, `4 8 ${checkout} ${worker("src")}.ts main.ts:6:15`);
  assert.equal(
    await node("--enable-source-maps", COMPILED),
    fromSource.replace(`${worker("src")}.ts`, `${worker(".compiled")}.js`),
  );
  assert.equal(await node(".compiled/store/sqlite/worker.js"), "store/sqlite/worker.ts");
});

it("makes them anew when a source has changed, and only then", async () => {
  await compiledFile();
  const first = await readdir(join(checkout, ".compiled"), { recursive: true });
  await writeFile(join(checkout, COMPILED), `console.log("kept");`);
  await compiledFile();
  assert.equal(await node(COMPILED), "kept");

  await source("room/double.ts", "export const double = (n: number): number => n * 3;\n");
  await compiledFile();
  assert.match(await node(COMPILED), /^6 12 /);
  const second = await readdir(join(checkout, ".compiled"), { recursive: true });
  assert.equal(second.length, first.length, "what is not used any more is removed");
});

it("sees a source that looks older than it was", async () => {
  await compiledFile();
  const { mtimeMs } = await stat(join(checkout, "src", "room", "double.ts"));
  await source("room/double.ts", "export const double = (n: number): number => n * 3;\n");
  await utimes(join(checkout, "src", "room", "double.ts"), 1, mtimeMs / 1000 - 60);
  await compiledFile();
  assert.match(await node(COMPILED), /^6 12 /);
});

it("runs the sources themselves where nothing can be written", async (t) => {
  if (process.getuid?.() === 0) {
    // Nothing keeps root from writing into a folder, but a file in the folder's place does.
    await writeFile(join(checkout, ".compiled"), "");
  } else {
    await chmod(checkout, 0o555);
    t.after(() => chmod(checkout, 0o755));
  }
  assert.equal(await compiledFile(), SOURCE);
});

it("runs the sources themselves without the bundler", async () => {
  await rm(join(checkout, "node_modules"));
  assert.equal(await compiledFile(), SOURCE);
});
