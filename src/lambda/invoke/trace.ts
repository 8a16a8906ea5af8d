import { randomFillSync } from "node:crypto";

const POOL_BYTES = 4096;
const NEEDED_BYTES = 20;
const pool = Buffer.allocUnsafe(POOL_BYTES);
let used = POOL_BYTES;

/** A new X-Ray trace header, not sampled: `Root=1-<epoch seconds>-<96 random bits>;Parent=<64 random bits>;Sampled=0`. */
export function newTraceHeader(nowMs: number): string {
  if (used + NEEDED_BYTES > POOL_BYTES) {
    randomFillSync(pool);
    used = 0;
  }
  const root = pool.toString("hex", used, used + 12);
  const parent = pool.toString("hex", used + 12, used + NEEDED_BYTES);
  used += NEEDED_BYTES;
  return `Root=1-${Math.floor(nowMs / 1000).toString(16)}-${root};Parent=${parent};Sampled=0`;
}
