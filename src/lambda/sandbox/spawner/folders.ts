/**
 * The host folders that the spawner may show to sandboxes. Each was announced once at the start and is kept open, so
 * that what the server asks for later is looked up below it by the kernel, without symbolic links and without `..`.
 */
import { closeSync } from "node:fs";
import { SandboxError } from "../sandbox.ts";
import { openFolder, openFolderBelow, SystemCallError } from "./libc.ts";

export class AnnouncedFolders {
  readonly #folders: readonly { path: string; fd: number }[];

  /** Throws SystemCallError when a folder cannot be opened. */
  constructor(paths: readonly string[]) {
    this.#folders = paths.map((path) => ({ path: path.replace(/\/+$/, ""), fd: openFolder(path) }));
  }

  /** Runs `use` with the open folder at `path`. Throws SandboxError when it is not below an announced one. */
  with<T>(path: string, use: (fd: number) => T): T {
    const fd = this.open(path);
    try {
      return use(fd);
    } finally {
      closeSync(fd);
    }
  }

  /** The open folder at `path`, for the caller to close. Throws SandboxError as `with` does. */
  open(path: string): number {
    const folder = this.#folders.find((each) => path === each.path || path.startsWith(`${each.path}/`));
    if (!folder) throw new SandboxError("open-folder", `${path} is not below an announced folder`);
    try {
      return openFolderBelow(folder.fd, path.slice(folder.path.length + 1) || ".");
    } catch (error) {
      if (!(error instanceof SystemCallError)) throw error;
      throw new SandboxError("open-folder", `${path}: ${error.code}`, { cause: error });
    }
  }
}
