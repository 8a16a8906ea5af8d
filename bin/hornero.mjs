#!/usr/bin/env node
/** The `hornero` command, with Node 24 whatever Node started it: in a checkout the sources, installed what was compiled. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { run } from "../scripts/run.mjs";
import { ensureNpmPackages, ROOT } from "../scripts/setup.mjs";

const isCheckout = existsSync(join(ROOT, "src", "cli", "main.ts"));
if (isCheckout) ensureNpmPackages();
run(isCheckout ? "src/cli/main.ts" : "dist/cli/main.js", process.argv.slice(2));
