/**
 * V8's compiled code of the server's modules, kept between starts; from a checkout it also saves the removal of types.
 *
 * Root runs what is in this folder, so only root may write there: it is in the package and not in the data folder, which
 * belongs to the server's user, and what a start has compiled is written before root is given up.
 */
import { enableCompileCache, flushCompileCache } from "node:module";
import { join } from "node:path";
import { PACKAGE_FOLDER } from "../kernel/package-folder.ts";

const FOLDER = join(PACKAGE_FOLDER, "node_modules", ".cache", "hornero");

/** Modules that are loaded from now on come from the cache. Without effect where the folder cannot be written or read. */
export function useCompileCache(): void {
  enableCompileCache(FOLDER);
}

/** Writes what has been compiled so far; without it, that happens when the process ends. */
export const keepCompileCache = flushCompileCache;
