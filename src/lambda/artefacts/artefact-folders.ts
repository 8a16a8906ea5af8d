/**
 * What was made of functions' code when it was published, as folders below the code directory, so that sandboxes can be
 * shown them. A folder's name begins with the hash of the code, and goes when that code goes; it is there whole or not
 * at all. Nothing here is precious: what is missing is made again, or done without.
 */
import { chmod, mkdir, readdir, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { newHexId } from "../../kernel/ids.ts";

/** `SHA256-DIGEST`: of the code's zip; of everything else that the artefacts depend on. */
const NAME = /^[0-9a-f]{64}-[0-9a-f]{16}$/;
/** Sets of artefacts of one zip: memory sizes, runtimes, versions. Ours; the one that was made first gives way. */
const PER_CODE_MAX = 16;
const FOLDER_MODE = 0o755;
const FILE_MODE = 0o444;

/** Content by path relative to the folder, as checked by `isArtefactPath`. */
export type ArtefactFiles = ReadonlyMap<string, readonly Buffer[]>;

/** A path of plain names: nothing that could lead out of a folder. */
export function isArtefactPath(path: string): boolean {
  return path.length <= 255 && /^[\w-][\w.-]*(\/[\w-][\w.-]*)*$/.test(path);
}

export class ArtefactFolders {
  readonly #directory: string;
  /** In the order in which they were made, as far as this process knows. */
  readonly #names: Set<string>;

  private constructor(directory: string, names: Iterable<string>) {
    this.#directory = directory;
    this.#names = new Set(names);
  }

  /** Makes the folder, and removes what a crash left half-done. */
  static async open(directory: string): Promise<ArtefactFolders> {
    await mkdir(directory, { recursive: true });
    const found = await readdir(directory);
    for (const name of found)
      if (!NAME.test(name)) await rm(join(directory, name), { recursive: true, force: true });
    return new ArtefactFolders(
      directory,
      found.filter((name) => NAME.test(name)),
    );
  }

  /** The absolute path of the folder; undefined when there is none. */
  find(name: string): string | undefined {
    return this.#names.has(name) ? join(this.#directory, name) : undefined;
  }

  async put(name: string, files: ArtefactFiles): Promise<void> {
    if (!NAME.test(name)) throw new Error(`not a name of artefacts: ${name}`);
    const temporary = join(this.#directory, `new-${newHexId(8)}`);
    try {
      await makeFolder(temporary);
      for (const [path, pieces] of files) {
        if (!isArtefactPath(path)) throw new Error(`not a path of an artefact: ${path}`);
        await makeFolder(dirname(join(temporary, path)));
        await writeFile(join(temporary, path), pieces, { mode: FILE_MODE });
      }
      await this.#remove(name);
      await rename(temporary, join(this.#directory, name));
    } catch (error) {
      await rm(temporary, { recursive: true, force: true });
      throw error;
    }
    this.#names.add(name);
    const ofCode = [...this.#names].filter((each) => each.startsWith(name.slice(0, 64)));
    for (const old of ofCode.slice(0, Math.max(0, ofCode.length - PER_CODE_MAX))) await this.#remove(old);
  }

  /** Removes all that was made of this code. */
  async removeOf(codeSha256Hex: string): Promise<void> {
    for (const name of [...this.#names]) if (name.startsWith(`${codeSha256Hex}-`)) await this.#remove(name);
  }

  async remove(name: string): Promise<void> {
    if (this.#names.has(name)) await this.#remove(name);
  }

  /** Sandboxes that show the folder keep showing it until they are gone: its files live as long as their mounts. */
  async #remove(name: string): Promise<void> {
    this.#names.delete(name);
    await rm(join(this.#directory, name), { recursive: true, force: true });
  }
}

async function makeFolder(path: string): Promise<void> {
  await mkdir(path, { recursive: true });
  // Whatever the umask: sandboxes have accounts of their own.
  await chmod(path, FOLDER_MODE);
}
