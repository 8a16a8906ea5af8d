/** What the control room needs from other rooms. */
import type { Readable } from "node:stream";
import type { LayerReference } from "./records.ts";

/** Content-addressed zips and their unpacked folders. */
export interface CodeBlobs {
  /** Stores the zip; the same bytes twice are one blob. Resolves when it is on disk. */
  put(zip: Uint8Array): Promise<{ sha256Hex: string; sha256Base64: string; sizeBytes: number }>;
  /** The zip's bytes. */
  open(sha256Hex: string): Promise<Buffer | Readable>;
  /** Unpacks once; resolves with the folder. Throws AwsError in Lambda's words for a zip that is broken, hostile or too large. */
  unpack(sha256Hex: string): Promise<string>;
  /** Removes zip and folder. Idempotent. */
  remove(sha256Hex: string): Promise<void>;
}

export interface RuntimeFinder {
  /** Whether this host can run `runtimeId`. `reason` says why not, `fix` what an operator can do. */
  find(
    runtimeId: string,
  ): Promise<
    | { readonly available: true }
    | { readonly available: false; readonly reason: string; readonly fix: string }
  >;
}

export interface RoleChecker {
  /** Throws AwsError (InvalidParameterValueException) when Lambda cannot assume the role. Called with well-formed ARNs. */
  check(roleArn: string): Promise<void>;
}

export interface LayerResolver {
  /** The layer version of that ARN; undefined when there is none. */
  resolve(layerVersionArn: string): Promise<LayerReference | undefined>;
}

export interface CodeFetcher {
  /** The object's bytes. Throws AwsError: `Error occurred while GetObject. S3 Error Code: …`. */
  fetch(object: { bucket: string; key: string; versionId?: string }): Promise<Uint8Array>;
}
