/** Runs a file of this checkout, or of the package, with Node 24 and stays in front of it: signals and exit status pass through. */
import { spawn } from "node:child_process";
import { statSync } from "node:fs";
import { basename, dirname, join, relative } from "node:path";
import { pathToFileURL } from "node:url";
import { compiledFile } from "./compile.mjs";
import { ensureNpmPackages, node24, ROOT } from "./setup.mjs";

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"];

/**
 * A server idles in half the memory with few malloc arenas, which under load does not show. The young generation is smaller
 * than V8's own, but not by much: a request leaves 30 KB of garbage, and with 2 MB a third of what the server can do went
 * into collecting it, for 4 MB less at rest. V8 and malloc take both at their start only.
 */
export const SERVER_FLAGS = ["--max-semi-space-size=8"];
export const SERVER_VARIABLES = {
  MALLOC_ARENA_MAX: "2",
  // From the first file on. src/cli/compile-cache.ts says why the folder is here.
  NODE_COMPILE_CACHE: join(ROOT, "node_modules", ".cache", "hornero"),
};

/** Where every user may enter, for a checkout that only root may: below /root, as a rule. */
const OPEN_PLACE = "/run/hornero/app";

export function run(file, args, options = {}) {
  const isServer = args.includes("start");
  const [command, ...commandArgs] = isServer ? everybodysPlace() : [node24(), ROOT];
  const place = commandArgs.pop();
  stayInFront(
    command,
    [...commandArgs, ...(isServer ? SERVER_FLAGS : []), join(place, compiledFile(file)), ...args],
    {
      env: { ...(isServer ? SERVER_VARIABLES : {}), ...(options.env ?? process.env) },
      cwd: options.cwd ?? process.cwd(),
    },
  );
}

function stayInFront(command, args, options) {
  const child = spawn(command, args, { stdio: "inherit", ...options });
  // A terminal sends Ctrl-C to the child as well; a supervisor signals only us.
  for (const signal of SIGNALS)
    process.on(signal, () => (process.stdin.isTTY && signal === "SIGINT" ? undefined : child.kill(signal)));
  child.on("error", (error) => {
    process.stderr.write(`hornero: ${error.message}\n`);
    process.exit(1);
  });
  child.on("exit", (code, signal) => {
    if (signal === null) process.exit(code ?? 1);
    for (const one of SIGNALS) process.removeAllListeners(one);
    process.kill(process.pid, signal);
  });
}

/**
 * The server gives up root for a user of its own, who must still read its program. When a folder above the checkout keeps
 * him out, the checkout is shown at another place, in a mount namespace of the server's own, which goes with it.
 */
function everybodysPlace() {
  const node = node24();
  if (process.getuid?.() !== 0 || isOpen(ROOT)) return [node, ROOT];
  // An installed package needs those beside it.
  const base = basename(dirname(ROOT)) === "node_modules" ? dirname(dirname(ROOT)) : ROOT;
  const inOpenPlace = (path) => join(OPEN_PLACE, relative(base, path));
  const seen = node.startsWith(`${base}/`) ? inOpenPlace(node) : node;
  return [...showAt(OPEN_PLACE, base), seen, inOpenPlace(ROOT)];
}

/** The beginning of a command that runs with `folder` shown at `place`, in a mount namespace of its own. */
function showAt(place, folder) {
  const show = 'mkdir -p "$1" && mount --bind "$2" "$1" && shift 2 && exec "$@"';
  return ["unshare", "--mount", "--propagation", "private", "sh", "-c", show, "sh", place, folder];
}

/**
 * For tests and benchmarks, whose servers give up root as well: the command that runs `file` where everybody may enter; undefined
 * when this checkout is such a place.
 */
export function whereEverybodyEnters(file, args) {
  if (process.getuid?.() !== 0 || ROOT === OPEN_PLACE || isOpen(ROOT)) return undefined;
  return [...showAt(OPEN_PLACE, ROOT), process.execPath, join(OPEN_PLACE, file), ...args];
}

/** Whether everybody may enter the folder and all that are above it. */
function isOpen(folder) {
  const ENTER = 0o001;
  for (let path = folder; ; path = dirname(path)) {
    if ((statSync(path).mode & ENTER) === 0) return false;
    if (path === dirname(path)) return true;
  }
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const args = process.argv.slice(2);
  const [command, ...commandArgs] = whereEverybodyEnters("scripts/run.mjs", args) ?? [];
  if (command) stayInFront(command, commandArgs);
  else {
    ensureNpmPackages();
    run(args[0], args.slice(1));
  }
}
