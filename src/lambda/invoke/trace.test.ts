// Goal: trace headers have X-Ray's form and are never the same. Method: many of them, more than one pool of random bytes.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { newTraceHeader } from "./trace.ts";

describe("trace headers", () => {
  it("carry the second in which they were made, and are not sampled", () => {
    const header = newTraceHeader(0x5bef4de7 * 1000 + 999);
    assert.match(header, /^Root=1-5bef4de7-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=0$/);
  });

  it("are never the same", () => {
    const headers = Array.from({ length: 2000 }, () => newTraceHeader(1_700_000_000_000));
    const roots = new Set(headers.map((header) => header.slice(0, 40)));
    const parents = new Set(headers.map((header) => /Parent=(\w+)/.exec(header)?.[1]));
    assert.deepEqual([roots.size, parents.size], [2000, 2000]);
    for (const header of headers)
      assert.match(header, /^Root=1-6553f100-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=0$/);
  });
});
