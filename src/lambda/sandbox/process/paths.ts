/**
 * AWS's paths without mounts. A process of this driver sees the host's file system, where `/var/task` is not its own; so
 * each sandbox has a folder with `task`, `opt`, `runtime`, `lang` and `artefacts` in it, and the paths in its command line and in its
 * environment are rewritten to that. Code that builds the path itself (`open("/opt/x")`) is not helped: that takes walls.
 */
import { mkdir, readdir, symlink } from "node:fs/promises";
import { join } from "node:path";

/** Path inside a sandbox → name in the sandbox's folder. */
const NAMES: Readonly<Record<string, string>> = {
  "/var/task": "task",
  "/var/runtime": "runtime",
  "/var/lang": "lang",
  "/var/artefacts": "artefacts",
  "/opt": "opt",
};

/** One of the paths, whole or as the beginning of a longer one, where a path can begin: alone, in a list, after `--option=`. */
const PATHS =
  /(?<=^|[:;,=\s"'])(?:\/var\/task|\/var\/runtime|\/var\/lang|\/var\/artefacts|\/opt)(?=$|[/:;,\s"'])/g;

/** Replaces AWS's paths in `text` by those below the sandbox's `folder` (absolute). */
export function rewritePaths(text: string, folder: string): string {
  return text.replace(PATHS, (path) => join(folder, NAMES[path] ?? ""));
}

/**
 * Shows `sources` merged in `target`, an existing empty folder: by symbolic links, with folders of its own only where
 * several sources have the same one. Later sources win; a folder and a file of the same name do not merge, as in overlayfs.
 */
export async function linkMerged(target: string, sources: readonly string[]): Promise<void> {
  const found = new Map<string, { path: string; isFolder: boolean }[]>();
  for (const source of sources) {
    for (const entry of await readdir(source, { withFileTypes: true })) {
      const item = { path: join(source, entry.name), isFolder: entry.isDirectory() };
      const below = item.isFolder ? (found.get(entry.name) ?? []).filter((other) => other.isFolder) : [];
      found.set(entry.name, [...below, item]);
    }
  }
  for (const [name, items] of found) {
    const path = join(target, name);
    const [first] = items;
    if (items.length === 1 && first) {
      await symlink(first.path, path);
    } else {
      await mkdir(path);
      await linkMerged(
        path,
        items.map((item) => item.path),
      );
    }
  }
}
