// Goal: frames come out of the byte stream as they went in, however it is cut, and no length makes the reader grow.
// Method: frames through writeFrame and FrameReader, cut at every byte; properties over random frames and cuts.
import assert from "node:assert/strict";
import { duplexPair } from "node:stream";
import { describe, it } from "node:test";
import { array, assert as checkProperty, asyncProperty, integer, record, uint8Array } from "fast-check";
import { LINK_FRAME_BYTES_MAX } from "../../limits.ts";
import type { Frame } from "./fakes.ts";
import { FRAME, FrameReader, LinkError, writeFrame } from "./link.ts";

function reading() {
  const frames: Frame[] = [];
  return { frames, reader: new FrameReader((type, body) => void frames.push({ type, body })) };
}

/** What writeFrame puts on the wire. */
async function bytesOf(frames: readonly { type: number; parts: readonly Buffer[] }[]): Promise<Buffer> {
  const [ours, theirs] = duplexPair({ highWaterMark: 1 << 26 });
  for (const { type, parts } of frames) writeFrame(ours, type, ...parts);
  ours.end();
  const chunks: Buffer[] = [];
  for await (const chunk of theirs) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

const header = (length: number, ...rest: number[]) => {
  const bytes = Buffer.alloc(4 + rest.length);
  bytes.writeUInt32LE(length, 0);
  bytes.set(rest, 4);
  return bytes;
};

describe("the fast link", () => {
  it("puts frames together that are cut at any byte", async () => {
    const sent = [
      { type: FRAME.READY, parts: [] },
      { type: FRAME.LOG, parts: [Buffer.from("head"), Buffer.from("text")] },
      { type: FRAME.RESPONSE, parts: [Buffer.alloc(300, "x")] },
    ];
    const bytes = await bytesOf(sent);
    const whole = sent.map(({ type, parts }) => ({ type, body: Buffer.concat(parts) }));
    for (let first = 0; first <= bytes.length; first += 1) {
      for (const second of [first, first + 1, first + 4, bytes.length]) {
        const { frames, reader } = reading();
        for (const chunk of [bytes.subarray(0, first), bytes.subarray(first, second), bytes.subarray(second)])
          reader.push(chunk);
        assert.deepEqual(frames, whole, `cut at ${first} and ${second}`);
      }
    }
  });

  it("reads frames that come byte by byte", async () => {
    const bytes = await bytesOf([
      { type: 7, parts: [Buffer.from("abc")] },
      { type: 8, parts: [] },
    ]);
    const { frames, reader } = reading();
    for (const byte of bytes) reader.push(Buffer.from([byte]));
    assert.deepEqual(frames, [
      { type: 7, body: Buffer.from("abc") },
      { type: 8, body: Buffer.alloc(0) },
    ]);
  });

  it("carries any frames over any cuts", async () => {
    const frame = record({
      type: integer({ min: 0, max: 255 }),
      parts: array(
        uint8Array({ maxLength: 2000 }).map((bytes) => Buffer.from(bytes)),
        { maxLength: 4 },
      ),
    });
    const cuts = array(integer({ min: 1, max: 700 }), { minLength: 1, maxLength: 20 });
    await checkProperty(
      asyncProperty(array(frame, { maxLength: 8 }), cuts, async (sent, sizes) => {
        const bytes = await bytesOf(sent);
        const { frames, reader } = reading();
        for (let at = 0, i = 0; at < bytes.length; i += 1) {
          const size = sizes[i % sizes.length] ?? 1;
          reader.push(bytes.subarray(at, at + size));
          at += size;
        }
        assert.deepEqual(
          frames,
          sent.map(({ type, parts }) => ({ type, body: Buffer.concat(parts) })),
        );
      }),
      { numRuns: 60 },
    );
  });

  it("carries a frame of the greatest length, and bodies stay as they were", async () => {
    const body = Buffer.alloc(LINK_FRAME_BYTES_MAX - 1, "b");
    body.write("end", body.length - 3);
    const bytes = await bytesOf([
      { type: FRAME.RESPONSE, parts: [body.subarray(0, 36), body.subarray(36)] },
      { type: FRAME.READY, parts: [] },
    ]);
    const { frames, reader } = reading();
    for (let at = 0; at < bytes.length; at += 65_536) reader.push(bytes.subarray(at, at + 65_536));
    assert.deepEqual(
      frames.map(({ type }) => type),
      [FRAME.RESPONSE, FRAME.READY],
    );
    assert.ok(frames[0]?.body.equals(body));
  });

  it("refuses impossible lengths as soon as the header is there, wherever it is cut", () => {
    for (const length of [0, LINK_FRAME_BYTES_MAX + 1, 0xffff_ffff]) {
      const bytes = header(length, 19);
      for (let cut = 0; cut <= bytes.length; cut += 1) {
        const { frames, reader } = reading();
        assert.throws(() => {
          reader.push(bytes.subarray(0, cut));
          reader.push(bytes.subarray(cut));
        }, LinkError);
        assert.deepEqual(frames, []);
      }
    }
  });

  it("tells the frames before a bad one", () => {
    const { frames, reader } = reading();
    assert.throws(() => reader.push(Buffer.concat([header(1, 17), header(0, 17)])), LinkError);
    assert.deepEqual(
      frames.map(({ type }) => type),
      [17],
    );
  });

  it("writes a length that counts the type and all parts", async () => {
    const bytes = await bytesOf([{ type: 2, parts: [Buffer.from("ab"), Buffer.from("c")] }]);
    assert.deepEqual(bytes, Buffer.from([4, 0, 0, 0, 2, 0x61, 0x62, 0x63]));
  });
});
