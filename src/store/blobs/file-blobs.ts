/**
 * Blobs as files: zips/HASH, unpacked/HASH/, and temporary/ for what is not whole yet. A name in the first two exists only
 * when its content is complete and on disk: both are made in temporary/ on the same file system and renamed.
 */
import { webcrypto } from "node:crypto";
import { mkdir, open, readdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { AwsError } from "../../errors.ts";
import { assert, unreachable } from "../../kernel/assert.ts";
import type { Clock } from "../../kernel/clock.ts";
import { isMissing, syncFolder } from "../../kernel/files.ts";
import { newUuid } from "../../kernel/ids.ts";
import { KeyedMutex } from "../../kernel/keyed-mutex.ts";
import { CODE_UNZIPPED_BYTES_MAX, ZIP_ENTRIES_MAX } from "../../limits.ts";
import { StoreClosed, StoreFailure } from "../store.ts";
import { BlobNotFound, type BlobContent, type BlobInfo, type BlobStore } from "./blobs.ts";
import type { ZipLimits, ZipRefused } from "./plan.ts";
import { UnpackPool } from "./unpack-pool.ts";
import type { ZipResult } from "./unpack-worker.ts";
import type { ZipDigest } from "./zip-digest.ts";

export interface FileBlobStoreOptions {
  /** Absolute; made when missing. The caller sees to it that no other process uses it: the store's lock does. */
  readonly directory: string;
  readonly clock: Clock;
  /** For tests; AWS's quotas otherwise. */
  readonly limits?: ZipLimits;
}

const SHA256_HEX = /^[0-9a-f]{64}$/;

/** Opens the folder and removes what a crash left half-done. */
export async function openFileBlobStore(options: FileBlobStoreOptions): Promise<BlobStore> {
  const store = new FileBlobStore(options);
  await store.start();
  return store;
}

class FileBlobStore implements BlobStore {
  readonly #zips: string;
  readonly #unpacked: string;
  readonly #temporary: string;
  readonly #limits: ZipLimits;
  readonly #pool: UnpackPool;
  /** Unpacking under way, by hash: who asks meanwhile shares it. */
  readonly #unpacking = new Map<string, Promise<string>>();
  /** By hash: unpack and remove of one blob take turns. */
  readonly #turns = new KeyedMutex();
  readonly #working = new Set<Promise<unknown>>();
  /** Hashes whose folder is known to be there. */
  readonly #whole = new Set<string>();
  #closing: Promise<void> | undefined;

  constructor({ directory, clock, limits }: FileBlobStoreOptions) {
    this.#zips = join(directory, "zips");
    this.#unpacked = join(directory, "unpacked");
    this.#temporary = join(directory, "temporary");
    this.#limits = limits ?? { unzippedBytesMax: CODE_UNZIPPED_BYTES_MAX, entriesMax: ZIP_ENTRIES_MAX };
    this.#pool = new UnpackPool(clock);
  }

  async start(): Promise<void> {
    await rm(this.#temporary, { recursive: true, force: true });
    for (const folder of [this.#zips, this.#unpacked, this.#temporary])
      await mkdir(folder, { recursive: true });
  }

  put(zip: Uint8Array): Promise<BlobInfo> {
    return this.#work(async () => {
      // On the thread pool: 50 MB would stop the event loop for a tenth of a second.
      const digest = Buffer.from(await webcrypto.subtle.digest("SHA-256", zip as Uint8Array<ArrayBuffer>));
      const sha256Hex = digest.toString("hex");
      const path = join(this.#zips, sha256Hex);
      await this.#turns.run(sha256Hex, async () => {
        if (!(await exists(path))) await this.#writeZip(path, zip);
      });
      return { sha256Hex, sha256Base64: digest.toString("base64"), sizeBytes: zip.byteLength };
    });
  }

  open(sha256Hex: string): Promise<BlobContent> {
    return this.#work(async () => {
      const file = await open(this.#zipPath(sha256Hex), "r").catch((error: unknown) => {
        throw isMissing(error) ? new BlobNotFound(sha256Hex) : error;
      });
      const { size } = await file.stat();
      return { sizeBytes: size, stream: file.createReadStream() };
    });
  }

  unpack(sha256Hex: string): Promise<string> {
    // Each cold start asks: nothing of it waits for the disk or for another thread.
    if (this.#whole.has(sha256Hex) && this.#closing === undefined)
      return Promise.resolve(join(this.#unpacked, sha256Hex));
    return this.#work(async () => {
      const underWay = this.#unpacking.get(sha256Hex);
      if (underWay !== undefined) return underWay;
      const unpacking = this.#turns.run(sha256Hex, () => this.#unpackNow(sha256Hex));
      this.#unpacking.set(sha256Hex, unpacking);
      try {
        return await unpacking;
      } finally {
        this.#unpacking.delete(sha256Hex);
      }
    });
  }

  async unzippedBytes(sha256Hex: string): Promise<number> {
    const folder = await this.unpack(sha256Hex);
    return this.#work(async () => {
      let bytes = 0;
      for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
        if (entry.isFile()) bytes += (await stat(join(entry.parentPath, entry.name))).size;
      }
      return bytes;
    });
  }

  digest(zip: Uint8Array, apart: string): Promise<ZipDigest | undefined> {
    // Whoever has the entry has its name in the directory, byte for byte: most zips are not signed and cost one search.
    if (Buffer.from(zip.buffer, zip.byteOffset, zip.byteLength).lastIndexOf(apart) < 0) {
      return Promise.resolve(undefined);
    }
    return this.#work(async () =>
      check(await this.#pool.run({ type: "digest", zip, apart, limits: this.#limits }), this.#limits),
    );
  }

  remove(sha256Hex: string): Promise<void> {
    this.#whole.delete(sha256Hex);
    return this.#work(() =>
      this.#turns.run(sha256Hex, async () => {
        // Again, for the unpacking that this turn has waited for.
        this.#whole.delete(sha256Hex);
        const zip = this.#zipPath(sha256Hex);
        const folder = join(this.#unpacked, sha256Hex);
        const rubbish = join(this.#temporary, newUuid());
        // The zip goes last: while it is there the blob is listed, and a removal that a crash cut short can be repeated.
        if (await exists(folder)) await rename(folder, rubbish);
        await syncFolder(this.#unpacked);
        await rm(zip, { force: true });
        await syncFolder(this.#zips);
        await rm(rubbish, { recursive: true, force: true });
      }),
    );
  }

  list(): Promise<string[]> {
    return this.#work(async () => (await readdir(this.#zips)).filter((name) => SHA256_HEX.test(name)).sort());
  }

  close(): Promise<void> {
    this.#closing ??= this.#finish();
    return this.#closing;
  }

  async #finish(): Promise<void> {
    await Promise.allSettled(this.#working);
    await this.#pool.close();
  }

  async #writeZip(path: string, zip: Uint8Array): Promise<void> {
    const temporary = join(this.#temporary, newUuid());
    try {
      const file = await open(temporary, "wx", 0o600);
      try {
        await file.writeFile(zip);
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(temporary, path);
      await syncFolder(this.#zips);
    } catch (error) {
      await rm(temporary, { force: true });
      throw explain(error);
    }
  }

  async #unpackNow(sha256Hex: string): Promise<string> {
    const zipPath = this.#zipPath(sha256Hex);
    const target = join(this.#unpacked, sha256Hex);
    if (await exists(target)) {
      this.#whole.add(sha256Hex);
      return target;
    }
    if (!(await exists(zipPath))) throw new BlobNotFound(sha256Hex);
    const folder = join(this.#temporary, newUuid());
    try {
      await mkdir(folder);
      check(await this.#pool.run({ type: "unpack", zipPath, folder, limits: this.#limits }), this.#limits);
      await rename(folder, target);
      await syncFolder(this.#unpacked);
      this.#whole.add(sha256Hex);
      return target;
    } catch (error) {
      await rm(folder, { recursive: true, force: true });
      throw explain(error);
    }
  }

  #zipPath(sha256Hex: string): string {
    assert(SHA256_HEX.test(sha256Hex), "a blob is named by its SHA-256 in lower-case hexadecimal");
    return join(this.#zips, sha256Hex);
  }

  /** Refuses after the close, and lets the close wait. */
  async #work<T>(work: () => Promise<T>): Promise<T> {
    if (this.#closing !== undefined) throw new StoreClosed();
    const working = work();
    this.#working.add(working);
    try {
      return await working;
    } finally {
      this.#working.delete(working);
    }
  }
}

/** The digest that was asked for. Throws what the caller of Lambda's API is told about a zip that was refused. */
function check(result: ZipResult, limits: ZipLimits): ZipDigest | undefined {
  switch (result.type) {
    case "done":
      return undefined;
    case "digested":
      return result.digest;
    case "failed":
      throw new StoreFailure(`reading a zip failed: ${result.message}`, { hint: DISK_HINT });
    case "refused":
      throw new AwsError("InvalidParameterValueException", wordsFor(result.reason, limits), {
        cause: new Error(result.message),
      });
    default:
      return unreachable(result, "result");
  }
}

function wordsFor(reason: ZipRefused["reason"], limits: ZipLimits): string {
  switch (reason) {
    case "empty":
      return "Uploaded file must be a non-empty zip";
    case "too-large":
      return `Unzipped size must be smaller than ${limits.unzippedBytesMax} bytes`;
    case "too-many":
      return `The uploaded zip has more than ${limits.entriesMax} files and folders.`;
    case "malformed":
      return "Could not unzip uploaded file. Please check your file, then try to upload again.";
    default:
      return unreachable(reason, "reason");
  }
}

const DISK_HINT = "look for free space and disk errors (dmesg) on the disk that holds the data folder";

function explain(error: unknown): unknown {
  if (!(error instanceof Error && "syscall" in error)) return error;
  return new StoreFailure(`the code store failed: ${error.message}`, { hint: DISK_HINT, cause: error });
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
}
