/** The thread that unpacks: one zip at a time, off the event loop. */
import { parentPort } from "node:worker_threads";
import { assert } from "../../kernel/assert.ts";
import { ZipRefused, type ZipLimits } from "./plan.ts";
import { unzip } from "./unzip.ts";

export interface UnpackJob {
  readonly zipPath: string;
  /** Exists and is empty. */
  readonly folder: string;
  readonly limits: ZipLimits;
}

export type UnpackResult =
  | { readonly type: "done" }
  | { readonly type: "refused"; readonly reason: ZipRefused["reason"]; readonly message: string }
  | { readonly type: "failed"; readonly message: string };

assert(parentPort !== null, "unpacking runs in a worker thread");
const port = parentPort;
port.on("message", (job: UnpackJob) => {
  void run(job).then((result) => port.postMessage(result));
});

async function run({ zipPath, folder, limits }: UnpackJob): Promise<UnpackResult> {
  try {
    await unzip(zipPath, folder, limits);
    return { type: "done" };
  } catch (error) {
    if (error instanceof ZipRefused) return { type: "refused", reason: error.reason, message: error.message };
    return { type: "failed", message: error instanceof Error ? error.message : String(error) };
  }
}
