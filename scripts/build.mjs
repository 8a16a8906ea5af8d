/**
 * `npm run build`: compiles src/ to dist/, or to another folder: `npm run build -- DIR`, for the published package
 * (`npm pack`). dist/ has the same depth as src/, so
 * that what looks for models/, runtimes/ and examples/ from its own place finds them in both.
 */
import { spawnSync } from "node:child_process";
import { rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { ensureNpmPackages, fail, node24, ROOT } from "./setup.mjs";

ensureNpmPackages();
const folder = resolve(process.argv[2] ?? join(ROOT, "dist"));
rmSync(folder, { recursive: true, force: true });
const tsc = join(ROOT, "node_modules", ".bin", "tsc");
const done = spawnSync(node24(), [tsc, "-p", "tsconfig.build.json", "--outDir", folder], {
  cwd: ROOT,
  stdio: "inherit",
});
if (done.status !== 0) fail("the sources do not compile.", "npm run check says more.");
