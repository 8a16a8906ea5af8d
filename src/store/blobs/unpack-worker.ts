/** The thread that unpacks and digests: one zip at a time, off the event loop. */
import { parentPort } from "node:worker_threads";
import { assert } from "../../kernel/assert.ts";
import { ZipRefused, type ZipLimits } from "./plan.ts";
import { unzip } from "./unzip.ts";
import { digestZip, type ZipDigest } from "./zip-digest.ts";

export interface UnpackJob {
  readonly type: "unpack";
  readonly zipPath: string;
  /** Exists and is empty. */
  readonly folder: string;
  readonly limits: ZipLimits;
}

export interface DigestJob {
  readonly type: "digest";
  readonly zip: Uint8Array;
  /** The entry that is left out of the digests, and answered as it is. */
  readonly apart: string;
  readonly limits: ZipLimits;
}

export type ZipJob = UnpackJob | DigestJob;

export type ZipResult =
  | { readonly type: "done" }
  | { readonly type: "digested"; readonly digest: ZipDigest | undefined }
  | { readonly type: "refused"; readonly reason: ZipRefused["reason"]; readonly message: string }
  | { readonly type: "failed"; readonly message: string };

assert(parentPort !== null, "unpacking runs in a worker thread");
const port = parentPort;
port.on("message", (job: ZipJob) => {
  void run(job).then((result) => port.postMessage(result));
});

async function run(job: ZipJob): Promise<ZipResult> {
  try {
    if (job.type === "digest") {
      return { type: "digested", digest: await digestZip(job.zip, job.apart, job.limits) };
    }
    await unzip(job.zipPath, job.folder, job.limits);
    return { type: "done" };
  } catch (error) {
    if (error instanceof ZipRefused) return { type: "refused", reason: error.reason, message: error.message };
    return { type: "failed", message: error instanceof Error ? error.message : String(error) };
  }
}
