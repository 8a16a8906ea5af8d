/**
 * src/ without its types, in .compiled/: what a checkout runs. It saves each thread and process of the server a type
 * stripper of its own (a WebAssembly program: 9 MB and tens of milliseconds). Lines and columns stay what they are in
 * src/, and so does the depth of the folders. `npm run build` is something else: it checks types and is for publishing.
 *
 * `node scripts/compile.mjs`, with Node 24, brings the folder up to date; nobody needs to call it by hand.
 */
import { spawnSync } from "node:child_process";
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import * as nodeModule from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { node24, ROOT } from "./setup.mjs";

const SOURCES = join(ROOT, "src");
const COMPILED = join(ROOT, ".compiled");
/** What a statement or call of `import` names, after the types are gone. */
const SPECIFIER = /(\b(?:from|import)\s*\(?\s*["']\.{1,2}\/[^"'\n]+)\.ts(["'])/g;

/**
 * The file of .compiled/ that stands for a file of src/, up to date. The source itself where the folder cannot be
 * written: Node strips its types each time.
 */
export function compiledFile(source) {
  if (!source.startsWith("src/")) return source;
  if (outdated().length > 0) {
    const args = ["--disable-warning=ExperimentalWarning", fileURLToPath(import.meta.url)];
    if (spawnSync(node24(), args, { stdio: "ignore" }).status !== 0) return source;
  }
  return join(".compiled", toJs(source.slice("src/".length)));
}

/** Files of src/ that are not in .compiled/ as they are now: a compiled file has its source's time, to the millisecond. */
function outdated() {
  return sources().filter((name) => {
    const compiled = statSync(join(COMPILED, toJs(name)), { throwIfNoEntry: false });
    return compiled === undefined || Math.round(compiled.mtimeMs) !== timeOf(name);
  });
}

function compile() {
  // The server's own user reads it, whoever has made it.
  process.umask(0o022);
  for (const name of outdated()) {
    const mtimeMs = timeOf(name);
    const text = nodeModule.stripTypeScriptTypes(readFileSync(join(SOURCES, name), "utf8"));
    const target = join(COMPILED, toJs(name));
    // Two may do this at the same time, and a running server may load the file just now: it is whole or not there.
    const temporary = `${target}.${process.pid}`;
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(temporary, text.replaceAll(SPECIFIER, "$1.js$2"));
    utimesSync(temporary, mtimeMs / 1000, mtimeMs / 1000);
    renameSync(temporary, target);
  }
  const wanted = new Set(sources().map(toJs));
  for (const name of files(COMPILED, ".js"))
    if (!wanted.has(name)) rmSync(join(COMPILED, name), { force: true });
}

function sources() {
  return files(SOURCES, ".ts").filter((name) => !name.endsWith(".test.ts"));
}

function files(folder, ending) {
  return readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(ending));
}

function timeOf(name) {
  return Math.trunc(statSync(join(SOURCES, name)).mtimeMs);
}

function toJs(name) {
  return name.replace(/\.ts$/, ".js");
}

if (process.argv[1] === fileURLToPath(import.meta.url)) compile();
