"use strict";
/**
 * `node compile.cjs HANDLER` runs when a function's code is published: compiles its files without running any of them, and sends V8's code cache
 * over the link. Started with the flags that its environments have, because V8 takes no cache made under others.
 *
 * CommonJS files are compiled one by one. An ES module is compiled by linking its graph behind a module that throws
 * before any other is evaluated. What cannot be compiled is left out: its environment will tell what is wrong with it.
 */
const fs = require("node:fs");
const Module = require("node:module");
const os = require("node:os");
const path = require("node:path");
const { pathToFileURL } = require("node:url");
const { FRAME, sendFile, sendText } = require("./link.cjs");
const { findFile, isModulePackage, splitHandler } = require("./handler.cjs");

/** Ours: a bundle is one file; a folder of modules beyond it loads the rest as it would without a cache. */
const FILES_MAX = 1000;
const SOURCE_BYTES_MAX = 32 * 1024 * 1024;
const FOLDERS_MAX = 5000;
/** V8 compiles smaller files faster than it reads a cache of them. */
const SOURCE_BYTES_MIN = 4096;

class Stop extends Error {}

async function main() {
  const { LAMBDA_TASK_ROOT: taskRoot } = process.env;
  const [, , handler] = process.argv;
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "compile-"));
  try {
    Module.enableCompileCache(folder);
    const entry = findEntry(taskRoot, handler);
    if (entry?.esm) await linkModule(entry.path);
    for (const file of commonJsFiles(taskRoot)) compileCommonJs(file);
    Module.flushCompileCache();
    for (const name of fs.readdirSync(folder, { recursive: true })) {
      const file = path.join(folder, name);
      if (fs.statSync(file).isFile()) sendFile(`compiled/${name}`, fs.readFileSync(file));
    }
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
  sendText(FRAME.PREPARED, "", "");
}

/** undefined for a handler that no environment would find either. */
function findEntry(taskRoot, handler) {
  try {
    const { folder, module } = splitHandler(handler);
    return findFile(path.resolve(taskRoot, folder, module));
  } catch {
    return undefined;
  }
}

async function linkModule(file) {
  const stop = "data:text/javascript,throw null";
  const source = `import ${JSON.stringify(stop)};import ${JSON.stringify(pathToFileURL(file).href)};`;
  try {
    await import(`data:text/javascript,${encodeURIComponent(source)}`);
  } catch {
    // Always: by the module that throws, or because the function's own cannot be linked.
  }
}

/** The files next to the root first: a bundle before what it brings along. */
function* commonJsFiles(taskRoot) {
  const folders = [taskRoot];
  let [files, bytes] = [0, 0];
  for (let at = 0; at < folders.length && at < FOLDERS_MAX; at += 1) {
    const folder = folders[at];
    const modules = isModulePackage(folder);
    for (const entry of fs.readdirSync(folder, { withFileTypes: true })) {
      const file = path.join(folder, entry.name);
      if (entry.isDirectory()) folders.push(file);
      if (!(modules ? /\.cjs$/ : /\.c?js$/).test(entry.name)) continue;
      // With links followed: the process driver shows the code by links.
      const stat = fs.statSync(file, { throwIfNoEntry: false });
      if (!stat?.isFile() || stat.size < SOURCE_BYTES_MIN) continue;
      files += 1;
      bytes += stat.size;
      if (files > FILES_MAX || bytes > SOURCE_BYTES_MAX) return;
      yield fs.realpathSync(file);
    }
  }
}

/** Node compiles the file, then looks for the exports object that the file shall fill: there it is stopped. */
function compileCommonJs(file) {
  const module = new Module(file);
  module.filename = file;
  Object.defineProperty(module, "exports", {
    get() {
      throw new Stop();
    },
  });
  try {
    module._compile(fs.readFileSync(file, "utf8"), file, "commonjs");
  } catch {
    // Stopped, or not to be compiled.
  }
}

void main().catch((error) => {
  sendText(FRAME.NOT_PREPARED, "", String(error));
  process.exitCode = 1;
});
