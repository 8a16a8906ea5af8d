/**
 * Goal: no set of clients makes the server hold more bytes of unfinished bodies than it allows, and what was held is
 * given back however a body ends.
 * Method: requests that are plain streams, fed by hand.
 */
import assert from "node:assert/strict";
import type { IncomingMessage } from "node:http";
import { PassThrough } from "node:stream";
import { describe, it } from "node:test";
import { BodyReader } from "./read-body.ts";

/** A request under way, and what its receiver heard. */
function begin(reader: BodyReader, headers: Record<string, string>, bytesMax = 100) {
  const stream = Object.assign(new PassThrough(), { headers, httpVersionMajor: 1 });
  const heard: string[] = [];
  reader.read(stream as unknown as IncomingMessage, bytesMax, {
    onAwait: () => void heard.push("await"),
    onBody: (body) => void heard.push(`body ${body.toString()}`),
    onBodyTooLarge: () => void heard.push("too large"),
    onBodyRefused: ({ code, status }) => void heard.push(`${code} ${status}`),
  });
  return { stream, heard };
}

async function settle(): Promise<void> {
  for (let turn = 0; turn < 3; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

const CHUNKED = { "transfer-encoding": "chunked" };

describe("BodyReader", () => {
  it("does not wait for a body that is empty, nor for one that is too large by its own word", () => {
    const reader = new BodyReader();
    assert.deepEqual(begin(reader, {}).heard, ["body "]);
    assert.deepEqual(begin(reader, { "content-length": "0" }).heard, ["body "]);
    assert.deepEqual(begin(reader, { "content-length": "101" }).heard, ["too large"]);
  });

  it("has a body when its declared length has come, or its end, and tells so once", async () => {
    const reader = new BodyReader();
    const declared = begin(reader, { "content-length": "6" });
    declared.stream.write("abc");
    declared.stream.write("def");
    await settle();
    assert.deepEqual(declared.heard, ["await", "body abcdef"]);
    declared.stream.end();
    await settle();
    assert.equal(declared.heard.length, 2);
    const chunked = begin(reader, CHUNKED);
    chunked.stream.write("abc");
    await settle();
    assert.deepEqual(chunked.heard, ["await"]);
    chunked.stream.end();
    await settle();
    assert.deepEqual(chunked.heard, ["await", "body abc"]);
  });

  it("takes a body of exactly the limit, and stops at the first byte more", async () => {
    for (const [bytes, outcome] of [
      [100, `body ${"x".repeat(100)}`],
      [101, "too large"],
    ] as const) {
      const { stream, heard } = begin(new BodyReader(), CHUNKED);
      stream.end("x".repeat(bytes));
      await settle();
      assert.deepEqual(heard, ["await", outcome]);
    }
  });

  it("refuses bytes beyond what all bodies together may hold, until some are complete or gone", async () => {
    const reader = new BodyReader(100);
    const [complete, gone] = [begin(reader, CHUNKED), begin(reader, CHUNKED)];
    complete.stream.write("x".repeat(50));
    gone.stream.write("x".repeat(50));
    await settle();
    const refused = begin(reader, CHUNKED);
    refused.stream.write("x");
    await settle();
    assert.deepEqual(refused.heard, ["await", "ServiceUnavailableException 503"]);
    complete.stream.end();
    gone.stream.destroy();
    await settle();
    assert.equal(complete.heard.length, 2);
    assert.deepEqual(gone.heard, ["await"]);
    const next = begin(reader, CHUNKED);
    next.stream.end("x".repeat(100));
    await settle();
    assert.equal(next.heard[1], `body ${"x".repeat(100)}`);
  });
});
