/**
 * Where this package and its programs are. Code runs from three places: src/ as it is, .compiled/ in a checkout, dist/ in
 * the published package. The last two are bundles, in which a file has no place of its own; so nothing looks for its
 * neighbours from `import.meta` but this.
 */
import { findPackageJSON } from "node:module";
import { dirname, extname, join, relative, sep } from "node:path";
import { assert } from "./assert.ts";

/** The folder of package.json, models/, runtimes/ and examples/. Absolute. */
export const PACKAGE_FOLDER = packageFolder();

/**
 * The file of a process or thread of ours: `lambda/sandbox/spawner/main` names src/lambda/sandbox/spawner/main.ts or what
 * it has been compiled to. Every such program is an entry point in scripts/compile.mjs.
 */
export function programFile(name: string): string {
  const [place = ""] = relative(PACKAGE_FOLDER, import.meta.filename).split(sep);
  return join(PACKAGE_FOLDER, place, name + extname(import.meta.filename));
}

function packageFolder(): string {
  const file = findPackageJSON(import.meta.url);
  assert(file !== undefined, "the server's code is below its package.json");
  return dirname(file);
}
