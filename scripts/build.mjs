/**
 * `npm run build`: compiles src/ to dist/ for the published package (`npm pack`). dist/ has the same depth as src/, so
 * that what looks for models/, runtimes/ and examples/ from its own place finds them in both.
 */
import { spawnSync } from "node:child_process";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { ensureNpmPackages, fail, node24, ROOT } from "./setup.mjs";

ensureNpmPackages();
rmSync(join(ROOT, "dist"), { recursive: true, force: true });
const tsc = join(ROOT, "node_modules", ".bin", "tsc");
const done = spawnSync(node24(), [tsc, "-p", "tsconfig.build.json"], { cwd: ROOT, stdio: "inherit" });
if (done.status !== 0) fail("the sources do not compile.", "npm run check says more.");
