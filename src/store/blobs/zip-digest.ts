/**
 * What a signature over a zip's entries is made of: two digests of everything in the zip but one entry, which holds the
 * signature. The zip is judged by the same rules, and read by the same code, as when it is unpacked.
 */
import { createHash } from "node:crypto";
import { fromBufferPromise, type Entry } from "yauzl";
import { planEntries, unixMode, ZipRefused, type ZipLimits } from "./plan.ts";
import { contentOf, ours, readLinkTarget, type Source } from "./unzip.ts";

/** The entry that is set apart is held in memory, and read by the caller: a signature with ten certificates has a third of this. Ours. */
const APART_BYTES_MAX = 64 * 1024;

export interface ZipDigest {
  /** What the entry that was set apart holds. */
  readonly apart: Uint8Array;
  /** SHA-384 of the other entries' names and contents, one after the other in the order of the zip's directory. */
  readonly contentSha384: Uint8Array;
  /** SHA-384 of the other entries' names, Unix modes and sizes: where in `contentSha384` each begins, and what it is. */
  readonly directorySha384: Uint8Array;
}

/**
 * Undefined when no entry has exactly the name `apart`. Throws ZipRefused for a zip that cannot be code. Memory is bounded by the zip and an
 * entry that is inflated in one step; the bytes hashed by `limits`.
 */
export async function digestZip(
  zip: Uint8Array,
  apart: string,
  limits: ZipLimits,
): Promise<ZipDigest | undefined> {
  const bytes = Buffer.from(zip.buffer, zip.byteOffset, zip.byteLength);
  const open = async (): Promise<Source> => ({
    zip: await ours(fromBufferPromise(bytes, { strictFileNames: true })),
    bytes,
  });
  // An iteration over the entries ends a ZipFile: one for the judgement, one for the hashing.
  const judged = await open();
  await ours(planEntries(judged.zip, limits, (entry) => readLinkTarget(judged, entry)));
  return ours(digestEntries(await open(), apart, limits.unzippedBytesMax + APART_BYTES_MAX));
}

async function digestEntries(
  source: Source,
  apart: string,
  bytesMax: number,
): Promise<ZipDigest | undefined> {
  const [content, directory] = [createHash("sha384"), createHash("sha384")];
  let [leftBytes, held] = [bytesMax, undefined as Uint8Array | undefined];
  for await (const entry of source.zip.eachEntry()) {
    leftBytes -= entry.uncompressedSize;
    // Folders and links, whose content the plan does not count, are counted here.
    if (leftBytes < 0) throw new ZipRefused("too-large", "the content is larger than the limit");
    if (entry.fileName === apart) {
      held = await wholeContent(source, entry);
      continue;
    }
    content.update(entry.fileName, "utf8");
    directory.update(directoryRow(entry));
    for await (const chunk of contentOf(source, entry)) content.update(chunk);
  }
  if (held === undefined) return undefined;
  return { apart: held, contentSha384: content.digest(), directorySha384: directory.digest() };
}

async function wholeContent(source: Source, entry: Entry): Promise<Uint8Array> {
  if (entry.uncompressedSize > APART_BYTES_MAX) {
    throw new ZipRefused("malformed", `${entry.fileName} is larger than ${APART_BYTES_MAX} bytes`);
  }
  const chunks: Buffer[] = [];
  for await (const chunk of contentOf(source, entry)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** Length of the name (4 bytes), the name, Unix mode (4 bytes), size (8 bytes); numbers big-endian. */
function directoryRow(entry: Entry): Buffer {
  // Not the raw name, here or above: an extra field can overrule it, and what is unpacked must be what was signed.
  const name = Buffer.from(entry.fileName, "utf8");
  const row = Buffer.alloc(16 + name.length);
  row.writeUInt32BE(name.length, 0);
  name.copy(row, 4);
  row.writeUInt32BE(unixMode(entry) ?? 0, 4 + name.length);
  row.writeBigUInt64BE(BigInt(entry.uncompressedSize), 8 + name.length);
  return row;
}
