// Goal: a streamed answer passes on every byte in order, holds the function back when its reader is behind, and never
// holds it when there is none. Method: the test is both the function and the reader.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { STREAMED_RESPONSE_WAITING_BYTES_MAX } from "../../limits.ts";
import { outcomeOf } from "./fakes.ts";
import { StreamedAnswer } from "./streamed-answer.ts";

const TYPE = "text/plain";
const streamedOutcome = outcomeOf("");
const next = async (chunks: AsyncGenerator<Buffer, void>) => {
  const { value } = await chunks.next();
  return value?.toString();
};

describe("a streamed answer", () => {
  it("gives what has come to a reader that waits, and to one that comes later", async () => {
    const answer = new StreamedAnswer();
    const chunks = answer.chunks();
    const first = next(chunks);
    assert.equal(answer.write(Buffer.from("a"), TYPE), true);
    assert.equal(await answer.begun, TYPE);
    assert.equal(await first, "a");
    answer.write(Buffer.from("b"), TYPE);
    answer.write(Buffer.from("c"), TYPE);
    answer.end(streamedOutcome);
    assert.equal(await next(chunks), "bc", "who is behind has fewer and larger chunks");
    assert.equal(await next(chunks), undefined);
    assert.equal(await answer.outcome, streamedOutcome);
  });

  it("makes one chunk of an answer that was not streamed, and none of an error", async () => {
    const whole = new StreamedAnswer();
    whole.end(outcomeOf('"done"'));
    assert.equal(await whole.begun, "application/json");
    const chunks = whole.chunks();
    assert.deepEqual([await next(chunks), await next(chunks)], ['"done"', undefined]);
    const failed = new StreamedAnswer();
    failed.end(outcomeOf('{"errorType":"E"}', { functionError: "Unhandled" }));
    assert.equal(await next(failed.chunks()), undefined);
  });

  it("holds the function back until its reader has read", async () => {
    const answer = new StreamedAnswer();
    await answer.drained();
    const half = Buffer.alloc(STREAMED_RESPONSE_WAITING_BYTES_MAX / 2);
    assert.equal(answer.write(half, TYPE), true);
    assert.equal(answer.write(half, TYPE), false);
    let isDrained = false;
    const drained = answer.drained().then(() => (isDrained = true));
    await new Promise(setImmediate);
    assert.equal(isDrained, false);
    const { value } = await answer.chunks().next();
    assert.equal(value?.length, STREAMED_RESPONSE_WAITING_BYTES_MAX);
    await drained;
    assert.equal(answer.write(half, TYPE), true);
  });

  it("keeps nothing and holds nobody once its reader has gone", async () => {
    const answer = new StreamedAnswer();
    const full = Buffer.alloc(STREAMED_RESPONSE_WAITING_BYTES_MAX);
    assert.equal(answer.write(full, TYPE), false);
    const drained = answer.drained();
    answer.abandon();
    await drained;
    assert.equal(answer.write(full, TYPE), true);
    await answer.drained();
    assert.equal(await next(answer.chunks()), undefined);
    answer.end(streamedOutcome);
    assert.equal(await answer.outcome, streamedOutcome);
  });

  it("wakes a reader that waits when it is abandoned", async () => {
    const answer = new StreamedAnswer();
    const waiting = next(answer.chunks());
    answer.abandon();
    assert.equal(await waiting, undefined);
  });

  it("tells a failure to whoever waits for its begin or its end", async () => {
    const answer = new StreamedAnswer();
    const waiting = next(answer.chunks());
    answer.fail(new Error("no room"));
    await assert.rejects(answer.begun, /no room/);
    await assert.rejects(answer.outcome, /no room/);
    assert.equal(await waiting, undefined);
  });
});
