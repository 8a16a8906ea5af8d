/**
 * src/ as a few files of JavaScript, in .compiled/: what a checkout runs, and dist/ in the published package. One file
 * instead of three hundred starts the server in half the time and saves it 15 MB; without types, no thread or process needs a type
 * stripper of its own. Source maps go with them: stack traces speak of src/.
 *
 * `node scripts/compile.mjs`, with Node 24, brings .compiled/ up to date; nobody needs to call it by hand.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { node24, ROOT } from "./setup.mjs";

const SOURCES = join(ROOT, "src");
const COMPILED = join(ROOT, ".compiled");
/** Says what .compiled/ was made of. */
const MADE_OF = join(COMPILED, "made-of.json");

/** What is started: the command, and the processes and threads of its server (src/kernel/package-folder.ts). */
const PROGRAMS = [
  "cli/main.ts",
  "lambda/runtimes/survey.ts",
  "lambda/sandbox/spawner/main.ts",
  "store/blobs/unpack-worker.ts",
  "store/sqlite/worker.ts",
];

/**
 * The file of .compiled/ that stands for a program of src/, up to date. The source itself where that cannot be made, in a
 * folder that cannot be written or without esbuild: Node strips its types each time.
 */
export function compiledFile(source) {
  if (!source.startsWith("src/")) return source;
  if (!isUpToDate()) {
    const args = ["--disable-warning=ExperimentalWarning", fileURLToPath(import.meta.url)];
    if (spawnSync(node24(), args, { stdio: "ignore" }).status !== 0) return source;
  }
  return join(".compiled", toJs(source.slice("src/".length)));
}

/**
 * An `import` of node:http reads each of its exports, and one of them, WebSocket, loads all of undici: 35 ms and 3 MB in a
 * server that uses none of it. The module itself does without.
 */
const plainHttp = {
  name: "plain-http",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^node:http$/ }, ({ path }) => ({ path, namespace: "builtin" }));
    onLoad({ filter: /.*/, namespace: "builtin" }, ({ path }) => ({
      contents: `module.exports = process.getBuiltinModule("${path}");`,
    }));
  },
};

/** Bundles the programs into `folder`. Dependencies that are JavaScript modules go in, others stay in node_modules. */
export async function bundle(folder, programs = PROGRAMS) {
  const { build } = await import("esbuild");
  const { outputFiles } = await build({
    absWorkingDir: ROOT,
    entryPoints: programs.map((name) => join(SOURCES, name)),
    outbase: SOURCES,
    outdir: folder,
    write: false,
    bundle: true,
    splitting: true,
    chunkNames: "chunks/[hash]",
    format: "esm",
    platform: "node",
    target: "node24",
    external: ["koffi", "yauzl"],
    sourcemap: "linked",
    sourcesContent: false,
    legalComments: "none",
    logLevel: "error",
    plugins: [plainHttp],
  });
  // The server's own user reads it, whoever has made it.
  process.umask(0o022);
  // Programs after what they import.
  const isChunk = ({ path }) => relative(folder, path).startsWith("chunks");
  for (const { path, contents } of outputFiles.toSorted((a, b) => isChunk(b) - isChunk(a)))
    replace(path, contents);
  const made = new Set(outputFiles.map(({ path }) => path));
  for (const name of readdirSync(folder, { recursive: true, encoding: "utf8" })) {
    const path = join(folder, name);
    if (/\.js(\.map)?$/.test(name) && !made.has(path)) rmSync(path, { force: true });
  }
}

/** Two may do this at the same time, and a server that starts may load the file just now: it is whole or not there. */
function replace(path, contents) {
  const temporary = `${path}.${process.pid}`;
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(temporary, contents);
  renameSync(temporary, path);
}

function isUpToDate() {
  try {
    return readFileSync(MADE_OF, "utf8") === ingredients();
  } catch {
    return false;
  }
}

/** Times and sizes of all that the result depends on. */
function ingredients() {
  const sources = readdirSync(SOURCES, { recursive: true, encoding: "utf8" }).filter((name) =>
    name.endsWith(".ts"),
  );
  const files = [
    ...sources.filter((name) => !name.endsWith(".test.ts")).map((name) => join("src", name)),
    join("scripts", "compile.mjs"),
    join("node_modules", ".package-lock.json"),
  ];
  return JSON.stringify(
    files.sort().map((name) => {
      const stat = statSync(join(ROOT, name), { throwIfNoEntry: false });
      return [name, stat?.mtimeMs, stat?.size];
    }),
  );
}

function toJs(name) {
  return name.replace(/\.ts$/, ".js");
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  // Before: what changes meanwhile is seen next time.
  const madeOf = ingredients();
  await bundle(COMPILED);
  replace(MADE_OF, madeOf);
}
