#!/usr/bin/env node
/** The `hornero` command: from a checkout it runs the sources with Node 24, installed it runs what was compiled. */
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const compiled = join(root, "dist", "src", "cli", "main.js");
if (existsSync(compiled)) await import(compiled);
else {
  const { ensureNpmPackages } = await import("../scripts/setup.mjs");
  const { run } = await import("../scripts/run.mjs");
  ensureNpmPackages();
  run("src/cli/main.ts", process.argv.slice(2));
}
