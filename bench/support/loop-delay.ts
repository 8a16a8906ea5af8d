/**
 * Preloaded into a server that is measured: tells how late its event loop was. At SIGUSR2 the longest delay since the one
 * before is appended to a file in the server's home, in milliseconds, one number a line.
 */
import { openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { isMainThread } from "node:worker_threads";
import { LOOP_DELAY_FILE } from "./loop-delay-reader.ts";

/** The histogram's timer fires so often: a loop that is never late shows this much. */
const RESOLUTION_MS = 1;

if (isMainThread && process.argv.includes("start")) {
  const file = openSync(join(process.env["HOME"] ?? ".", LOOP_DELAY_FILE), "a");
  const delays = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  delays.enable();
  process.on("SIGUSR2", () => {
    writeSync(file, `${Math.max(0, delays.max / 1e6 - RESOLUTION_MS)}\n`);
    delays.reset();
  });
}
