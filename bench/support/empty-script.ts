import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A script with nothing in it, in a folder of its own: what a bare `node` is started with. */
export async function emptyScript(): Promise<{ readonly path: string; remove(): Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), "hornero-bench-empty-"));
  const path = join(folder, "empty.js");
  await writeFile(path, "");
  return { path, remove: () => rm(folder, { recursive: true, force: true }) };
}
