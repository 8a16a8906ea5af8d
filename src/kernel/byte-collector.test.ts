// Goal: a collector gives back exactly what was put in, and holds little more than that in memory.
// Method: random pieces against Buffer.concat; then the shapes that cost most: one byte at a time, small views into large
// buffers, nothing at all.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import { ByteCollector } from "./byte-collector.ts";

const MIB = 1024 * 1024;

describe("a byte collector", () => {
  it("gives back what was put in, again and again", () => {
    const pieces = fc.array(fc.uint8Array({ maxLength: 600 }).map((bytes) => Buffer.from(bytes)));
    fc.assert(
      fc.property(fc.array(fc.tuple(pieces, fc.nat(2000)), { maxLength: 4 }), (rounds) => {
        const collector = new ByteCollector();
        for (const [round, expectedBytes] of rounds) {
          for (const piece of round) collector.append(piece, expectedBytes);
          const whole = Buffer.concat(round);
          assert.equal(collector.length, whole.length);
          assert.deepEqual(collector.take(), whole);
          assert.equal(collector.length, 0);
        }
      }),
    );
  });

  it("does not write into a buffer that it was given", () => {
    const first = Buffer.from("first of a large buffer").subarray(0, 5);
    const collector = new ByteCollector();
    collector.append(first);
    collector.append(Buffer.from("!"));
    assert.equal(collector.take().toString(), "first!");
    assert.equal(Buffer.from(first.buffer, first.byteOffset, 8).toString(), "first of");
  });

  it("holds at most four times what it collected", () => {
    const collector = new ByteCollector();
    const large = Buffer.alloc(MIB, "x");
    for (let at = 0; at < 3000; at += 1) collector.append(large.subarray(at, at + 1));
    const bytes = collector.take();
    assert.equal(bytes.length, 3000);
    assert(bytes.buffer.byteLength <= 4 * 3000, `${bytes.buffer.byteLength} bytes`);
    collector.append(large.subarray(0, 10));
    assert(collector.take().buffer.byteLength < MIB, "a small view does not hold a large buffer");
  });

  it("passes a whole on without a copy", () => {
    const whole = Buffer.alloc(MIB);
    const collector = new ByteCollector();
    collector.append(whole);
    assert.equal(collector.take().buffer, whole.buffer);
  });
});
