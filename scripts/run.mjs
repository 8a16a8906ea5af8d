/** Runs a TypeScript file of this checkout with Node 24 and stays in front of it: signals and exit status pass through. */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { ensureNpmPackages, node24, ROOT } from "./setup.mjs";

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"];

export function run(file, args, options = {}) {
  const child = spawn(node24(), [...(options.nodeOptions ?? []), join(ROOT, file), ...args], {
    stdio: "inherit",
    env: options.env ?? process.env,
    cwd: options.cwd ?? process.cwd(),
  });
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

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  ensureNpmPackages();
  const [file, ...args] = process.argv.slice(2);
  run(file, args);
}
