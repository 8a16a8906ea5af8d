/**
 * The code port: zips by the SHA-256 of their bytes, and each one's content as a folder that is unpacked once and never
 * seen half-written.
 */
import type { Readable } from "node:stream";
import type { ZipDigest } from "./zip-digest.ts";

export interface BlobStore {
  /** Keeps the zip; it is on disk when the promise resolves. The same bytes again are the same blob. The content is not looked at. */
  put(zip: Uint8Array): Promise<BlobInfo>;

  /** The zip's bytes, as they were put. Rejects with BlobNotFound. */
  open(sha256Hex: string): Promise<BlobContent>;

  /**
   * The absolute path of the folder with the zip's content; unpacks it on the first call, concurrent calls share the work.
   * Files have mode 0644, or 0755 when the zip says that they are executable; folders 0755. Nobody may change them.
   * Symbolic links are as in the zip: whoever reads the folder outside of a sandbox must not follow them.
   * Rejects with BlobNotFound, and with AwsError (InvalidParameterValueException, in AWS's words) for a zip that cannot
   * be code: not a zip, empty, encrypted, too large unzipped, or with names or links that leave the folder.
   */
  unpack(sha256Hex: string): Promise<string>;

  /** Bytes of the files in the unpacked folder. Unpacks it when it has not been. Rejects as `unpack` does. */
  unzippedBytes(sha256Hex: string): Promise<number>;

  /**
   * Digests of a zip that need not be here, and is not kept: of all its entries but the one of the name `apart`. Undefined when it has no entry
   * of exactly that name. Rejects as `unpack` does for a zip that cannot be code.
   */
  digest(zip: Uint8Array, apart: string): Promise<ZipDigest | undefined>;

  /** Forgets the zip and its folder. Harmless when there is none. Whoever uses the folder must have stopped. */
  remove(sha256Hex: string): Promise<void>;

  /** The zips that are kept, by hash: so that its owner finds those that nothing refers to. */
  list(): Promise<string[]>;

  /** Waits for work under way. Idempotent. Later calls reject with StoreClosed. */
  close(): Promise<void>;
}

export interface BlobInfo {
  /** Lower case; names the blob in every call. */
  readonly sha256Hex: string;
  /** As Lambda tells it: CodeSha256. */
  readonly sha256Base64: string;
  readonly sizeBytes: number;
}

export interface BlobContent {
  readonly sizeBytes: number;
  /** To be read to its end or destroyed: it holds a file open. */
  readonly stream: Readable;
}

export class BlobNotFound extends Error {
  override readonly name = "BlobNotFound";
  constructor(sha256Hex: string) {
    super(`there is no blob ${sha256Hex}`);
  }
}
