"use strict";
/**
 * CommonJS for code that goes into a snapshot: Node's own loader cannot be in one. Finds files as Node does, runs each
 * once, and answers `require` for Node's own modules with a stand-in where the real one cannot be in a snapshot.
 *
 * Left out: ES modules, native add-ons, TypeScript, and `import()` while the snapshot is built. Code that needs them is not
 * snapshotted.
 */
const fs = require("node:fs");
const path = require("node:path");
const { compileFunction, constants } = require("node:vm");

const PARAMETERS = ["exports", "require", "module", "__filename", "__dirname"];
const CONDITIONS = new Set(["node", "require", "module-sync", "default"]);
/** Node's own modules that a snapshot can hold; every other has a stand-in. */
const IN_SNAPSHOTS = new Set(
  (
    "assert assert/strict async_hooks buffer child_process constants crypto diagnostics_channel dns dns/promises events " +
    "fs fs/promises net os path path/posix path/win32 perf_hooks process punycode querystring readline stream " +
    "stream/consumers stream/promises stream/web string_decoder timers timers/promises tty url util util/types v8 vm zlib"
  ).split(" "),
);

class SnapshotLoader {
  #builtin;
  #standIn;
  #standIns = new Map();
  #folders;
  /** By file, as `require.cache`. */
  #cache = Object.create(null);

  /** `builtin` gets Node's own modules; `standIn(what, obtain)` makes stand-ins; `folders` as in NODE_PATH. */
  constructor({ builtin, standIn, folders }) {
    this.#builtin = builtin;
    this.#standIn = standIn;
    this.#folders = folders;
  }

  /** A `require` for code in `folder`. */
  requireFrom(folder, parent) {
    const require = (request) => this.#require(request, folder, parent);
    require.resolve = (request) => this.#resolve(request, folder) ?? request;
    require.cache = this.#cache;
    require.main = undefined;
    require.extensions = Object.create(null);
    return require;
  }

  #require(request, folder, parent) {
    const file = this.#resolve(request, folder);
    if (file === undefined) return this.#own(request.replace(/^node:/, ""));
    const known = this.#cache[file];
    if (known) return known.exports;
    const module = this.#newModule(file, parent);
    this.#cache[file] = module;
    try {
      this.#run(module, file);
      module.loaded = true;
      return module.exports;
    } catch (error) {
      delete this.#cache[file];
      throw error;
    }
  }

  #newModule(file, parent) {
    const folder = path.dirname(file);
    const module = {
      id: file,
      filename: file,
      path: folder,
      exports: {},
      loaded: false,
      children: [],
      parent,
    };
    module.require = this.requireFrom(folder, module);
    parent?.children.push(module);
    return module;
  }

  #run(module, file) {
    const source = fs.readFileSync(file, "utf8").replace(/^\uFEFF/, "");
    if (file.endsWith(".json")) {
      module.exports = JSON.parse(source);
      return;
    }
    if (file.endsWith(".node")) throw new Error(`${file} is a native add-on`);
    const run = compileFunction(source.replace(/^#!.*/, ""), PARAMETERS, {
      filename: file,
      // `import()` is Node's own, which is there after the restore.
      importModuleDynamically: constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
    });
    run.call(module.exports, module.exports, module.require, module, file, module.path);
  }

  #own(name) {
    if (IN_SNAPSHOTS.has(name)) return this.#builtin(name);
    const made = this.#standIns.get(name) ?? this.#standIn(name, () => this.#builtin(name));
    this.#standIns.set(name, made);
    return made;
  }

  /** The file that `request` means; undefined for one of Node's own modules. Throws as Node does when there is none. */
  #resolve(request, folder) {
    if (request.startsWith("node:")) return undefined;
    if (/^\.{0,2}(\/|$)/.test(request)) {
      const found = findFile(path.resolve(folder, request));
      if (found !== undefined) return found;
      throw notFound(request);
    }
    if (IN_SNAPSHOTS.has(request) || BUILTINS.has(request)) return undefined;
    for (const each of [...modulesFolders(folder), ...this.#folders]) {
      const found = findInPackages(each, request);
      if (found !== undefined) return found;
    }
    throw notFound(request);
  }
}

/** Those that have no `node:` only form and no place in a snapshot. */
const BUILTINS = new Set(
  "cluster console dgram domain http http2 https inspector inspector/promises module readline/promises repl sys tls trace_events wasi worker_threads".split(
    " ",
  ),
);

function notFound(request) {
  return Object.assign(new Error(`Cannot find module '${request}'`), { code: "MODULE_NOT_FOUND" });
}

function* modulesFolders(folder) {
  for (let at = folder; ; at = path.dirname(at)) {
    if (path.basename(at) !== "node_modules") yield path.join(at, "node_modules");
    if (path.dirname(at) === at) return;
  }
}

function isFile(file) {
  return fs.statSync(file, { throwIfNoEntry: false })?.isFile() === true;
}

/** A file of that name, with an extension, or a folder's entry. */
function findFile(base) {
  for (const candidate of [base, `${base}.js`, `${base}.json`, `${base}.node`, `${base}.cjs`])
    if (isFile(candidate)) return fs.realpathSync(candidate);
  const main = readPackage(base)?.main;
  const entries = typeof main === "string" ? [path.join(base, main), path.join(base, main, "index")] : [];
  for (const entry of [...entries, path.join(base, "index")])
    for (const candidate of [entry, `${entry}.js`, `${entry}.json`, `${entry}.node`])
      if (isFile(candidate)) return fs.realpathSync(candidate);
  return undefined;
}

function readPackage(folder) {
  try {
    return JSON.parse(fs.readFileSync(path.join(folder, "package.json"), "utf8"));
  } catch (error) {
    if (error.code === "ENOENT" || error.code === "ENOTDIR") return undefined;
    throw error;
  }
}

/** `name/sub/path` in a node_modules folder, by the package's `exports` where it has them. */
function findInPackages(folder, request) {
  const [, name, rest = ""] = /^((?:@[^/]+\/)?[^/]+)(\/.*)?$/.exec(request) ?? [];
  if (name === undefined) return undefined;
  const home = path.join(folder, name);
  const exported = readPackage(home)?.exports;
  if (exported === undefined || exported === null) return findFile(path.join(folder, request));
  const target = exportOf(exported, `.${rest}`);
  if (target === undefined) throw notFound(request);
  return fs.realpathSync(path.join(home, target));
}

function exportOf(exported, subpath) {
  const bySubpath = typeof exported === "object" && Object.keys(exported).some((key) => key.startsWith("."));
  if (!bySubpath) return subpath === "." ? conditional(exported) : undefined;
  if (Object.hasOwn(exported, subpath)) return conditional(exported[subpath]);
  // The pattern with the longest beginning is the one that counts.
  const patterns = Object.keys(exported).filter((key) => key.includes("*"));
  for (const pattern of patterns.sort((a, b) => b.indexOf("*") - a.indexOf("*"))) {
    const [before = "", after = ""] = pattern.split("*");
    if (!subpath.startsWith(before) || !subpath.endsWith(after)) continue;
    const middle = subpath.slice(before.length, subpath.length - after.length);
    return conditional(exported[pattern])?.replaceAll("*", middle);
  }
  return undefined;
}

function conditional(target) {
  if (typeof target === "string") return target;
  if (Array.isArray(target)) return conditional(target[0]);
  if (target === null || typeof target !== "object") return undefined;
  for (const [condition, value] of Object.entries(target)) {
    if (!CONDITIONS.has(condition)) continue;
    const found = conditional(value);
    if (found !== undefined) return found;
  }
  return undefined;
}

module.exports = { SnapshotLoader };
