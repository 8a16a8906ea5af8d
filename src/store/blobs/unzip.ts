/**
 * Unpacks a zip of a stranger into an empty folder. First the whole directory of the zip is read and judged, then
 * folders and files are written, symbolic links last: nothing is ever written through a link. Everything is on disk
 * at the end. Runs in a worker thread: writes are synchronous on purpose.
 */
import {
  chmodSync,
  closeSync,
  fchmodSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { crc32, inflateRawSync } from "node:zlib";
import { fromBufferPromise, type Entry, type ZipFile } from "yauzl";
import { planEntries, ZipRefused, type Plan, type ZipLimits } from "./plan.ts";

/** Linux's PATH_MAX: no link target is longer. */
const LINK_TARGET_BYTES_MAX = 4096;
/** An entry up to this size is inflated in one step; a stream costs a millisecond to set up, and code is many small files. */
const ONE_STEP_BYTES_MAX = 1024 * 1024;
const METHOD_STORED = 0;

export interface Source {
  readonly zip: ZipFile;
  readonly bytes: Buffer;
}

/**
 * `folder` must exist and be empty; what is in it after an error is rubbish. Throws ZipRefused when the zip is at fault and
 * the file system's error otherwise.
 */
export async function unzip(zipPath: string, folder: string, limits: ZipLimits): Promise<void> {
  // The whole zip: it came here through memory, and yauzl makes two reads for every entry of a file's directory.
  const bytes = readFileSync(zipPath);
  if (bytes.length === 0) throw new ZipRefused("empty", "the file has no bytes");
  // Backslashes are refused, not turned around.
  const zip = await ours(fromBufferPromise(bytes, { strictFileNames: true }));
  const source = { zip, bytes };
  const plan = await ours(planEntries(zip, limits, (entry) => readLinkTarget(source, entry)));
  makeFolders(folder, plan);
  let budgetBytes = limits.unzippedBytesMax;
  for (const [path, file] of plan.files) {
    budgetBytes -= await ours(writeFile(source, file.entry, join(folder, path), file.mode, budgetBytes));
  }
  for (const [path, target] of plan.links) symlinkSync(target, join(folder, path));
  for (const path of plan.folders) syncFolder(join(folder, path));
  syncFolder(folder);
}

/** Errors without a system call are the zip's: a malformed structure, a broken deflate stream, a lying size. */
export async function ours<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof ZipRefused || (error instanceof Error && "syscall" in error)) throw error;
    throw new ZipRefused("malformed", error instanceof Error ? error.message : String(error));
  }
}

function makeFolders(root: string, plan: Plan): void {
  chmodSync(root, 0o755);
  for (const path of plan.folders) {
    const folder = join(root, path);
    mkdirSync(folder);
    // Not by mkdir: the umask would have its say.
    chmodSync(folder, 0o755);
  }
}

/** The bytes written. The limit holds while they come, whatever sizes the zip claims. */
async function writeFile(
  source: Source,
  entry: Entry,
  path: string,
  mode: number,
  budgetBytes: number,
): Promise<number> {
  const descriptor = openSync(path, "wx", 0o600);
  try {
    let [writtenBytes, checksum] = [0, 0];
    for await (const chunk of contentOf(source, entry)) {
      writtenBytes += chunk.length;
      if (writtenBytes > budgetBytes)
        throw new ZipRefused("too-large", "the content is larger than the limit");
      checksum = crc32(chunk, checksum);
      writeFileSync(descriptor, chunk);
    }
    if (checksum !== entry.crc32)
      throw new ZipRefused("malformed", `the checksum of ${entry.fileName} is wrong`);
    fchmodSync(descriptor, mode);
    fsyncSync(descriptor);
    return writtenBytes;
  } finally {
    closeSync(descriptor);
  }
}

/** The inflated bytes; ends with an error when there are more or fewer than the directory says. */
export async function* contentOf({ zip, bytes }: Source, entry: Entry): AsyncGenerator<Buffer> {
  const { compressedSize, uncompressedSize } = entry;
  if (Math.max(compressedSize, uncompressedSize) > ONE_STEP_BYTES_MAX) {
    yield* (await zip.openReadStreamPromise(entry)) as AsyncIterable<Buffer>;
    return;
  }
  const { fileDataStart } = await zip.readLocalFileHeaderPromise(entry, { minimal: true });
  const raw = bytes.subarray(fileDataStart, fileDataStart + compressedSize);
  const stored = entry.compressionMethod === METHOD_STORED;
  // At least one byte: zero would mean no limit.
  const maxOutputLength = Math.max(1, uncompressedSize);
  const content = stored || compressedSize === 0 ? raw : inflateRawSync(raw, { maxOutputLength });
  if (raw.length !== compressedSize || content.length !== uncompressedSize) {
    throw new ZipRefused("malformed", `the size of ${entry.fileName} is wrong`);
  }
  yield content;
}

/** Throws ZipRefused for a target that no path can be. */
export async function readLinkTarget(source: Source, entry: Entry): Promise<string> {
  if (entry.uncompressedSize > LINK_TARGET_BYTES_MAX) {
    throw new ZipRefused("malformed", `the link ${entry.fileName} is longer than a path can be`);
  }
  const chunks: Buffer[] = [];
  for await (const chunk of contentOf(source, entry)) chunks.push(chunk);
  return new TextDecoder("utf-8", { fatal: true }).decode(Buffer.concat(chunks));
}

function syncFolder(path: string): void {
  const descriptor = openSync(path, "r");
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
