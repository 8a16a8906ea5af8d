/**
 * `npm run build`: checks the types of src/ and bundles it to dist/, or to another folder: `npm run build -- DIR`, for the
 * published package (`npm pack`).
 */
import { spawnSync } from "node:child_process";
import { rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { bundle } from "./compile.mjs";
import { ensureNpmPackages, fail, node24, ROOT } from "./setup.mjs";

ensureNpmPackages();
const folder = resolve(process.argv[2] ?? join(ROOT, "dist"));
rmSync(folder, { recursive: true, force: true });
const tsc = join(ROOT, "node_modules", ".bin", "tsc");
const done = spawnSync(node24(), [tsc, "-p", "tsconfig.build.json"], { cwd: ROOT, stdio: "inherit" });
if (done.status !== 0) fail("the sources do not compile.", "npm run check says more.");
await bundle(folder);
