/**
 * Function code between requests and the blob store: what may come in, and what may go.
 *
 * Crash-safe by order: a CodeRecord is durable before its blob is stored, and goes after its blob has gone; a crash in
 * between leaves a record that the next sweep finds unused. A blob goes when no function has referred to it for a grace
 * time: environments of an older version may still run from its folder until then.
 */
import { AwsError, codeStorageExceeded, invalidParameterValue } from "../../errors.ts";
import type { Clock } from "../../kernel/clock.ts";
import { coerceError } from "../../kernel/deferred.ts";
import { CODE_STORAGE_BYTES_MAX, TIMEOUT_S_MAX, ZIP_UPLOAD_BYTES_MAX } from "../../limits.ts";
import { RevisionConflict, StoreClosed, type Store } from "../../store/store.ts";
import type { FunctionIndex } from "./function-index.ts";
import type { CodeBlobs, CodeFetcher } from "./ports.ts";
import { CODE_KIND, type CodeRecord, type CodeReference } from "./records.ts";
import { imagesUnsupported, unsupported } from "./settings.ts";

/** How long unused code stays: longer than the longest invocation. Ours. */
export const CODE_GRACE_MS = 4 * TIMEOUT_S_MAX * 1000;
/** Between two looks for unused code. Ours. */
export const CODE_SWEEP_INTERVAL_MS = 10 * 60_000;

/** The members by which CreateFunction (inside Code) and UpdateFunctionCode name code. */
export interface CodeSource {
  readonly ZipFile?: Uint8Array | undefined;
  readonly S3Bucket?: string | undefined;
  readonly S3Key?: string | undefined;
  readonly S3ObjectVersion?: string | undefined;
  readonly S3ObjectStorageMode?: string | undefined;
  readonly ImageUri?: string | undefined;
}

/** Code that is stored and unpacked, and kept from the sweep until `release`. */
export interface PinnedCode extends Disposable {
  readonly code: CodeReference;
}

export class FunctionCode {
  readonly #store: Store;
  readonly #blobs: CodeBlobs;
  readonly #fetcher: CodeFetcher;
  readonly #index: FunctionIndex;
  readonly #clock: Clock;
  readonly #otherCodeInUse: () => Iterable<string>;
  readonly #onFault: (fault: Error) => void;
  /** Requests that are bringing a blob in, by its hash. */
  readonly #pins = new Map<string, number>();
  readonly #removing = new Map<string, Promise<void>>();
  /** Since when (monotonic) a sweep has found each blob unused. Soft: a restart gives every blob its whole grace again. */
  readonly #unusedSinceMs = new Map<string, number>();
  #cancelSweep: () => void = () => {};
  #sweeping: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(options: {
    store: Store;
    blobs: CodeBlobs;
    fetcher: CodeFetcher;
    index: FunctionIndex;
    clock: Clock;
    otherCodeInUse: () => Iterable<string>;
    onFault: (fault: Error) => void;
  }) {
    this.#store = options.store;
    this.#blobs = options.blobs;
    this.#fetcher = options.fetcher;
    this.#index = options.index;
    this.#clock = options.clock;
    this.#otherCodeInUse = options.otherCodeInUse;
    this.#onFault = options.onFault;
  }

  start(): void {
    this.#cancelSweep = this.#clock.after(CODE_SWEEP_INTERVAL_MS, () => {
      this.#sweeping = this.sweep()
        .catch((error: unknown) => {
          if (!(error instanceof StoreClosed)) this.#onFault(coerceError(error));
        })
        .finally(() => {
          if (!this.#closed) this.start();
        });
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#cancelSweep();
    await this.#sweeping;
  }

  /**
   * Stores and unpacks the code that a request brings. Throws AwsError for a source that is missing, ambiguous, not
   * supported, too large, not a usable zip, or more than the account may store. `replacedBytes` is what it takes the place of.
   */
  async bringIn(source: CodeSource, replacedBytes: number): Promise<PinnedCode> {
    const zip = await this.#read(source);
    if (this.#index.codeBytes() - replacedBytes + zip.length > CODE_STORAGE_BYTES_MAX) {
      throw codeStorageExceeded();
    }
    const digest = Buffer.from(await crypto.subtle.digest("SHA-256", zip));
    const sha256Hex = digest.toString("hex");
    const unpin = await this.#pin(sha256Hex);
    try {
      const record: CodeRecord = { sizeBytes: zip.length };
      await this.#store.write([{ op: "put", kind: CODE_KIND, key: sha256Hex, value: record }]);
      const stored = await this.#blobs.put(zip);
      await this.#blobs.unpack(sha256Hex);
      return {
        code: { sha256Hex, sha256Base64: stored.sha256Base64, sizeBytes: stored.sizeBytes },
        [Symbol.dispose]: unpin,
      };
    } catch (error) {
      unpin();
      throw error;
    }
  }

  async #read(source: CodeSource): Promise<Uint8Array<ArrayBuffer>> {
    const { ZipFile: zip, S3Bucket: bucket, S3Key: key, S3ObjectVersion: versionId } = source;
    if (source.ImageUri !== undefined) throw imagesUnsupported();
    if (source.S3ObjectStorageMode === "REFERENCE") throw unsupported("S3ObjectStorageMode REFERENCE");
    if (zip !== undefined) {
      if (bucket !== undefined || key !== undefined || versionId !== undefined) {
        throw invalidParameterValue(
          "Please do not provide other FunctionCode parameters when providing a ZipFile.",
        );
      }
      if (zip.length === 0) throw invalidParameterValue("Uploaded file must be a non-empty zip");
      if (zip.length > ZIP_UPLOAD_BYTES_MAX) {
        throw new AwsError(
          "RequestEntityTooLargeException",
          `Zipped size must be smaller than ${ZIP_UPLOAD_BYTES_MAX} bytes`,
          { status: 413 },
        );
      }
      return zip as Uint8Array<ArrayBuffer>;
    }
    if (bucket === undefined || key === undefined) {
      throw invalidParameterValue("Please provide a source for function code.");
    }
    const fetched = await this.#fetcher.fetch({ bucket, key, ...(versionId !== undefined && { versionId }) });
    return fetched as Uint8Array<ArrayBuffer>;
  }

  /** Keeps the sweep away from a blob; waits for a removal that is under way. */
  async #pin(sha256Hex: string): Promise<() => void> {
    this.#pins.set(sha256Hex, (this.#pins.get(sha256Hex) ?? 0) + 1);
    let pinned = true;
    await this.#removing.get(sha256Hex);
    return () => {
      if (!pinned) return;
      pinned = false;
      const left = (this.#pins.get(sha256Hex) ?? 0) - 1;
      if (left > 0) this.#pins.set(sha256Hex, left);
      else this.#pins.delete(sha256Hex);
    };
  }

  /** Removes the code that nothing has referred to for the grace time. */
  async sweep(): Promise<void> {
    const records = await this.#store.list<CodeRecord>(CODE_KIND);
    const inUse = this.#inUse();
    const nowMs = this.#clock.monotonicMs();
    const due: { sha256Hex: string; revision: number }[] = [];
    for (const { key: sha256Hex, revision } of records) {
      if (inUse.has(sha256Hex) || this.#pins.has(sha256Hex)) {
        this.#unusedSinceMs.delete(sha256Hex);
        continue;
      }
      const sinceMs = this.#unusedSinceMs.get(sha256Hex) ?? nowMs;
      this.#unusedSinceMs.set(sha256Hex, sinceMs);
      if (nowMs - sinceMs >= CODE_GRACE_MS) due.push({ sha256Hex, revision });
    }
    for (const { sha256Hex, revision } of due) await this.#remove(sha256Hex, revision);
  }

  async #remove(sha256Hex: string, revision: number): Promise<void> {
    // Earlier removals were awaited: a request may have brought the same bytes in again since the list was made.
    if (this.#pins.has(sha256Hex) || this.#inUse().has(sha256Hex)) return;
    const removal = this.#blobs.remove(sha256Hex).then(async () => {
      await this.#store.write([{ op: "delete", kind: CODE_KIND, key: sha256Hex, expect: revision }]);
    });
    // Whoever waits for the removal wants it over, not successful: its failure is the sweep's to report.
    this.#removing.set(
      sha256Hex,
      removal.catch(() => {}),
    );
    try {
      await removal;
      this.#unusedSinceMs.delete(sha256Hex);
    } catch (error) {
      if (!(error instanceof RevisionConflict)) throw error;
    } finally {
      this.#removing.delete(sha256Hex);
    }
  }

  /** Hashes of all code that functions, and whoever else was named, refer to. */
  #inUse(): Set<string> {
    const inUse = new Set(this.#otherCodeInUse());
    for (const build of this.#index.builds()) {
      inUse.add(build.code.sha256Hex);
      for (const layer of build.settings.layers) inUse.add(layer.sha256Hex);
    }
    return inUse;
  }
}
