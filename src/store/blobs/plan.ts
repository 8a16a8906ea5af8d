/** Judges a zip's directory before anything is written: names, kinds, duplicates, sizes, links. */
import type { Entry, ZipFile } from "yauzl";
import { resolvesInside } from "./links.ts";

export interface ZipLimits {
  readonly unzippedBytesMax: number;
  /** Files, links and folders together, those that only a path implies included. */
  readonly entriesMax: number;
}

/** The zip is at fault. `reason` picks the words for the caller, the message is for the log. */
export class ZipRefused extends Error {
  override readonly name = "ZipRefused";
  readonly reason: "malformed" | "empty" | "too-large" | "too-many";
  constructor(reason: ZipRefused["reason"], message: string) {
    super(message);
    this.reason = reason;
  }
}

/** What to make, by path relative to the folder; parents come before their children. */
export interface Plan {
  readonly folders: readonly string[];
  readonly files: ReadonlyMap<string, { readonly entry: Entry; readonly mode: 0o644 | 0o755 }>;
  readonly links: ReadonlyMap<string, string>;
}

/** "Version made by": the systems whose external attributes carry a Unix mode. */
const MADE_BY_UNIX = 3;
const MADE_BY_MACOS = 19;
const TYPE_MASK = 0o170000;
const TYPE_FOLDER = 0o040000;
const TYPE_FILE = 0o100000;
const TYPE_LINK = 0o120000;

/** Linux's NAME_MAX; and a bound for whole paths that leaves room for the folder's own within PATH_MAX (4,096). */
const NAME_BYTES_MAX = 255;
const PATH_BYTES_MAX = 3072;

export async function planEntries(
  zip: ZipFile,
  limits: ZipLimits,
  readLinkTarget: (entry: Entry) => Promise<string>,
): Promise<Plan> {
  const planner = new Planner(limits);
  planner.checkCount(zip.entryCount);
  for await (const entry of zip.eachEntry()) {
    const path = checkedPath(entry.fileName);
    if (path === "") continue;
    if (entry.isEncrypted()) throw new ZipRefused("malformed", `${path} is encrypted`);
    if (!entry.canDecodeFileData()) throw new ZipRefused("malformed", `${path} has an unknown compression`);
    const kind = kindOf(entry);
    if (kind === "folder") planner.addFolder(path);
    else if (kind === "link") planner.addLink(path, await readLinkTarget(entry));
    else planner.addFile(path, entry);
  }
  return planner.finish();
}

class Planner {
  readonly #limits: ZipLimits;
  readonly #folders = new Set<string>();
  readonly #files = new Map<string, { entry: Entry; mode: 0o644 | 0o755 }>();
  readonly #links = new Map<string, string>();
  #unzippedBytes = 0;

  constructor(limits: ZipLimits) {
    this.#limits = limits;
  }

  checkCount(count: number): void {
    if (count <= this.#limits.entriesMax) return;
    throw new ZipRefused("too-many", `more than ${this.#limits.entriesMax} files and folders`);
  }

  addFolder(path: string): void {
    if (this.#folders.has(path)) return;
    this.#claim(path);
    this.#folders.add(path);
  }

  addFile(path: string, entry: Entry): void {
    this.#claim(path);
    this.#unzippedBytes += entry.uncompressedSize;
    if (this.#unzippedBytes > this.#limits.unzippedBytesMax) {
      throw new ZipRefused("too-large", "the sizes in the directory exceed the limit");
    }
    const executable = ((unixMode(entry) ?? 0) & 0o111) !== 0;
    this.#files.set(path, { entry, mode: executable ? 0o755 : 0o644 });
  }

  addLink(path: string, target: string): void {
    this.#claim(path);
    if (target === "" || target.includes("\0"))
      throw new ZipRefused("malformed", `the link ${path} has no target`);
    this.#links.set(path, target);
  }

  finish(): Plan {
    if (this.#files.size + this.#links.size === 0) throw new ZipRefused("empty", "the zip has no file");
    for (const path of this.#links.keys()) {
      if (!resolvesInside(path, this.#links))
        throw new ZipRefused("malformed", `the link ${path} leaves the folder`);
    }
    return { folders: [...this.#folders], files: this.#files, links: this.#links };
  }

  /** The path is free, and everything above it is a folder: in whatever order the zip names them. */
  #claim(path: string): void {
    if (this.#folders.has(path) || this.#files.has(path) || this.#links.has(path)) {
      throw new ZipRefused("malformed", `${path} is there twice`);
    }
    const slash = path.lastIndexOf("/");
    if (slash > 0) this.addFolder(path.slice(0, slash));
    this.checkCount(this.#folders.size + this.#files.size + this.#links.size + 1);
  }
}

/** The path without `.` and empty parts. yauzl has refused absolute names, `..` and backslashes already; twice is safe. */
function checkedPath(fileName: string): string {
  if (fileName.includes("\0") || fileName.includes("\\") || fileName.startsWith("/")) {
    throw new ZipRefused("malformed", `the name ${JSON.stringify(fileName)} is not allowed`);
  }
  const parts = fileName.split("/").filter((part) => part !== "" && part !== ".");
  const path = parts.join("/");
  if (parts.includes("..")) throw new ZipRefused("malformed", `${path} leaves the folder`);
  const tooLong = parts.some((part) => Buffer.byteLength(part) > NAME_BYTES_MAX);
  if (tooLong || Buffer.byteLength(path) > PATH_BYTES_MAX) {
    throw new ZipRefused("malformed", "a name is longer than a file system takes");
  }
  return path;
}

function kindOf(entry: Entry): "file" | "folder" | "link" {
  if (entry.fileName.endsWith("/")) return "folder";
  const type = (unixMode(entry) ?? 0) & TYPE_MASK;
  // Some writers leave the type out.
  if (type === 0 || type === TYPE_FILE) return "file";
  if (type === TYPE_LINK) return "link";
  if (type === TYPE_FOLDER) return "folder";
  throw new ZipRefused("malformed", `${entry.fileName} is a device, a pipe or a socket`);
}

/** Undefined when the zip was made by a system without Unix modes. */
export function unixMode(entry: Entry): number | undefined {
  const system = entry.versionMadeBy >>> 8;
  const isUnix = system === MADE_BY_UNIX || system === MADE_BY_MACOS;
  return isUnix ? entry.externalFileAttributes >>> 16 : undefined;
}
