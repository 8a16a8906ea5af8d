/**
 * Function code between requests and the blob store: what may come in, and what may go.
 *
 * Crash-safe without records of its own: a blob comes before the function that refers to it, and one that a crash left
 * alone is found by comparing what is kept with what is referred to. A blob goes when no function has referred to it for
 * a grace time: environments of an older version may still run from its folder until then.
 */
import { AwsError, codeStorageExceeded, invalidParameterValue } from "../../errors.ts";
import type { Clock } from "../../kernel/clock.ts";
import { coerceError } from "../../kernel/deferred.ts";
import { CODE_STORAGE_BYTES_MAX, TIMEOUT_S_MAX, ZIP_UPLOAD_BYTES_MAX } from "../../limits.ts";
import type { BlobStore } from "../../store/blobs/blobs.ts";
import type { FunctionIndex } from "./function-index.ts";
import type { CodeSigning } from "./code-signing.ts";
import { checkUnzippedSize } from "./layers.ts";
import type { CodeFetcher, CodePreparer } from "./ports.ts";
import type { CodeReference, LayerReference, SignatureRecord } from "./records.ts";
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

/** Code that is stored and unpacked, and kept from the sweep until it is disposed of. */
export interface PinnedCode extends Disposable {
  readonly code: CodeReference;
}

export class FunctionCode {
  readonly #blobs: BlobStore;
  readonly #preparer: CodePreparer;
  readonly #fetcher: CodeFetcher;
  readonly #signing: Pick<CodeSigning, "inspect">;
  readonly #index: FunctionIndex;
  readonly #clock: Clock;
  readonly #otherCodeInUse: () => Iterable<string>;
  readonly #onFault: (fault: Error) => void;
  /** Requests that are bringing code in: until their function is written, nothing is removed. */
  #bringing = 0;
  /** The removal under way; never rejects. */
  #removal: Promise<unknown> = Promise.resolve();
  /** Since when (monotonic) a sweep has found each blob unused. Soft: a restart gives every blob its whole grace again. */
  #unusedSinceMs = new Map<string, number>();
  #cancelSweep: () => void = () => {};
  #sweeping: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(options: {
    blobs: BlobStore;
    preparer: CodePreparer;
    fetcher: CodeFetcher;
    signing: Pick<CodeSigning, "inspect">;
    index: FunctionIndex;
    clock: Clock;
    otherCodeInUse: () => Iterable<string>;
    onFault: (fault: Error) => void;
  }) {
    this.#blobs = options.blobs;
    this.#preparer = options.preparer;
    this.#fetcher = options.fetcher;
    this.#signing = options.signing;
    this.#index = options.index;
    this.#clock = options.clock;
    this.#otherCodeInUse = options.otherCodeInUse;
    this.#onFault = options.onFault;
  }

  start(): void {
    this.#cancelSweep = this.#clock.after(CODE_SWEEP_INTERVAL_MS, () => {
      this.#sweeping = this.sweep()
        .catch((error: unknown) => this.#onFault(coerceError(error)))
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
   * supported, too large, not a usable zip, or more than the account may store. It will count `copies` times (a version
   * is one of its own) and takes the place of `replacedBytes`. `admit` sees the zip's signature before anything is stored, and throws
   * when the function may not have it.
   */
  async bringIn(
    source: CodeSource,
    account: { copies: number; replacedBytes: number },
    admit: (signature: SignatureRecord | undefined) => Promise<void> = () => Promise.resolve(),
  ): Promise<PinnedCode> {
    const zip = await this.#read(source);
    checkCodeStorage(this.#index, account.copies * zip.length - account.replacedBytes);
    const signature = await this.#signing.inspect(zip);
    await admit(signature);
    this.#bringing += 1;
    const unpin = (): void => {
      this.#bringing -= 1;
    };
    try {
      await this.#removal;
      const code = await this.#blobs.put(zip);
      await this.#blobs.unpack(code.sha256Hex);
      return { code: { ...code, ...(signature && { signature }) }, [Symbol.dispose]: unpin };
    } catch (error) {
      unpin();
      throw error;
    }
  }

  /** Throws InvalidParameterValueException when a function's code and layers are too large together. */
  checkUnzippedSize(code: CodeReference, layers: readonly LayerReference[]): Promise<void> {
    return checkUnzippedSize(this.#blobs, code, layers);
  }

  async #read(source: CodeSource): Promise<Uint8Array> {
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
      return zip;
    }
    if (bucket === undefined || key === undefined) {
      throw invalidParameterValue("Please provide a source for function code.");
    }
    return this.#fetcher.fetch({ bucket, key, ...(versionId !== undefined && { versionId }) });
  }

  /** Removes the code that nothing has referred to for the grace time. */
  async sweep(): Promise<void> {
    const kept = await this.#blobs.list();
    const inUse = this.#inUse();
    const nowMs = this.#clock.monotonicMs();
    const unusedSinceMs = new Map<string, number>();
    for (const sha256Hex of kept) {
      if (!inUse.has(sha256Hex)) unusedSinceMs.set(sha256Hex, this.#unusedSinceMs.get(sha256Hex) ?? nowMs);
    }
    this.#unusedSinceMs = unusedSinceMs;
    for (const [sha256Hex, sinceMs] of unusedSinceMs) {
      if (nowMs - sinceMs < CODE_GRACE_MS) continue;
      // The same bytes may be on their way in, or have come back since the list was made.
      if (this.#bringing > 0) return;
      if (this.#inUse().has(sha256Hex)) continue;
      const removal = this.#remove(sha256Hex);
      this.#removal = removal.catch(
        () => "whoever waits wants it over; its failure is this sweep's to report",
      );
      await removal;
      unusedSinceMs.delete(sha256Hex);
    }
  }

  /** What was made of the code goes first: found alone after a crash, it would have nobody to remove it. */
  async #remove(sha256Hex: string): Promise<void> {
    await this.#preparer.forget(sha256Hex);
    await this.#blobs.remove(sha256Hex);
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

/** Throws CodeStorageExceededException when the account may not store so many bytes more. */
export function checkCodeStorage(index: FunctionIndex, moreBytes: number): void {
  if (index.codeBytes() + moreBytes > CODE_STORAGE_BYTES_MAX) throw codeStorageExceeded();
}
