/**
 * Goal: a streamed body is produced no faster than its client reads, and not at all for a client that has gone.
 * Method: a response whose client reads exactly when the test says so; the event loop is turned by hand.
 */
import assert from "node:assert/strict";
import type { ServerResponse } from "node:http";
import { Writable } from "node:stream";
import { describe, it } from "node:test";
import { writeStream } from "./write-stream.ts";

/** A response with room for one chunk. */
function slowClient() {
  const taken: string[] = [];
  let read: () => void = () => undefined;
  const response = new Writable({
    highWaterMark: 1,
    write(chunk: Buffer, _encoding, callback) {
      taken.push(chunk.toString());
      read = callback;
    },
  });
  Object.assign(response, { flushHeaders: () => undefined });
  return { response: response as unknown as ServerResponse, taken, read: () => read() };
}

/** Everything that can happen without the outside world has happened after a few turns. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

describe("writeStream", () => {
  it("asks for a chunk only when the one before it was taken", async () => {
    const { response, taken, read } = slowClient();
    let produced = 0;
    async function* body() {
      while (produced < 3) yield Buffer.from(`${(produced += 1)}`);
    }
    const written = writeStream(body(), response);
    for (let expected = 1; expected <= 3; expected += 1) {
      await settle();
      assert.deepEqual([produced, taken.length], [expected, expected]);
      read();
    }
    await written;
    assert.deepEqual(taken, ["1", "2", "3"]);
    assert.equal(response.writableEnded, true);
  });

  it("lets go of the iterable when the client leaves, whatever is awaited then", async () => {
    for (const chunks of [0, 1]) {
      const { response } = slowClient();
      let returned = false;
      let asked = 0;
      const body: AsyncIterable<Buffer> = {
        [Symbol.asyncIterator]: () => ({
          next: () => {
            asked += 1;
            const value = { done: false as const, value: Buffer.from("x") };
            // The last one never comes: with 0 chunks the producer is awaited, with 1 the client.
            return asked <= chunks ? Promise.resolve(value) : new Promise(() => undefined);
          },
          return: async () => {
            returned = true;
            return { done: true, value: undefined };
          },
        }),
      };
      const written = writeStream(body, response);
      await settle();
      assert.equal(returned, false);
      response.destroy();
      await written;
      assert.equal(returned, true);
    }
  });

  it("cuts the response and tells what broke when the iterable throws", async () => {
    const { response } = slowClient();
    async function* body(): AsyncGenerator<Buffer> {
      yield* [];
      throw new Error("broken");
    }
    await assert.rejects(writeStream(body(), response), /broken/);
    assert.equal(response.destroyed, true);
    assert.equal(response.writableEnded, false);
  });
});
