// Goal: a checkout runs what is in src/ now, without types and with its lines where they were. Method: the script in a small checkout of its own.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { chmod, cp, mkdir, mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, it } from "node:test";
import { promisify } from "node:util";

const SCRIPTS = join(import.meta.dirname, "..", "..", "scripts");
const MAIN = `import { double } from "./room/double.ts";
const four: number =
  double(2);
const { double: again } = await import("./room/double.ts");
console.log(four, again(4), new Error().stack?.split("\\n")[1]?.match(/:\\d+:\\d+/)?.[0]);
`;

let checkout = "";

beforeEach(async () => {
  checkout = await mkdtemp(join(tmpdir(), "hornero-compile-test-"));
  await cp(SCRIPTS, join(checkout, "scripts"), { recursive: true });
  await mkdir(join(checkout, "src", "room"), { recursive: true });
  await writeFile(join(checkout, "package.json"), '{ "type": "module" }');
  await writeFile(join(checkout, "src", "main.ts"), MAIN);
  await writeFile(join(checkout, "src", "main.test.ts"), "");
  await source("room/double.ts", "export const double = (n: number): number => n * 2;\n");
});

afterEach(() => rm(checkout, { recursive: true, force: true }));

async function source(name: string, text: string): Promise<void> {
  await writeFile(join(checkout, "src", name), text);
}

/** What the checkout would run for src/main.ts. */
async function compiledFile(): Promise<string> {
  const ask = `import { compiledFile } from "./scripts/compile.mjs"; console.log(compiledFile("src/main.ts"));`;
  return node("--input-type=module", "--eval", ask);
}

async function node(...args: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: checkout });
  return stdout.trim();
}

it("runs the sources without types, every place as in the source", async () => {
  assert.equal(await compiledFile(), ".compiled/main.js");
  assert.equal(await node(".compiled/main.js"), await node("src/main.ts"));
  assert.deepEqual((await readdir(join(checkout, ".compiled"))).sort(), ["main.js", "room"]);
});

it("sees what has changed and what is gone, and leaves the rest", async () => {
  await source("gone.ts", "export {};\n");
  await compiledFile();
  const untouched = join(checkout, ".compiled", "main.js");
  const before = await readFile(untouched, "utf8");
  await writeFile(untouched, `${before}// kept`);
  await utimes(untouched, ...(await timesOf("main.ts")));
  await source("room/double.ts", "export const double = (n: number): number => n * 3;\n");
  await rm(join(checkout, "src", "gone.ts"));
  await compiledFile();
  assert.equal(await readFile(untouched, "utf8"), `${before}// kept`);
  assert.match(await node(".compiled/main.js"), /^6 12 /);
  assert.ok(!(await readdir(join(checkout, ".compiled"))).includes("gone.js"));
});

it("runs the sources themselves where nothing can be written", async (t) => {
  if (process.getuid?.() === 0) {
    // Nothing keeps root from writing into a folder, but a file in the folder's place does.
    await writeFile(join(checkout, ".compiled"), "");
  } else {
    await chmod(checkout, 0o555);
    t.after(() => chmod(checkout, 0o755));
  }
  assert.equal(await compiledFile(), "src/main.ts");
});

/** As the script writes them: whole milliseconds. */
async function timesOf(name: string): Promise<[number, number]> {
  const seconds = Math.trunc((await stat(join(checkout, "src", name))).mtimeMs) / 1000;
  return [seconds, seconds];
}
