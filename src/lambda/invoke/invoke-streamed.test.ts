// Goal: InvokeWithResponseStream refuses what Invoke refuses before its stream begins, and tells everything else in the stream.
// Method: the operation's handler over a directory, a runner and a meter that are the test's own.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type {
  InvokeWithResponseStreamRequest,
  InvokeWithResponseStreamResponse,
  InvokeWithResponseStreamResponseEvent,
} from "@aws-sdk/client-lambda";
import { tooManyRequests } from "../../errors.ts";
import { ManualClock } from "../../kernel/clock.ts";
import { INVOKE_REQUEST_BYTES_MAX, STREAMED_RESPONSE_WAITING_BYTES_MAX } from "../../limits.ts";
import { deferred } from "../../kernel/deferred.ts";
import type { InvocationOutcome } from "../model.ts";
import { fakeContext, FakeInside, outcomeOf, REQUEST_ID } from "./fakes.ts";
import { createInvokeStreamed } from "./invoke-streamed.ts";

function setUp() {
  const inside = new FakeInside();
  const { InvokeWithResponseStream } = createInvokeStreamed({
    directory: inside.directory,
    runner: inside,
    meter: inside.meter,
    clock: new ManualClock(),
  });
  const gone = new AbortController();
  const invoke = async (input: Partial<InvokeWithResponseStreamRequest> = {}) =>
    (await InvokeWithResponseStream(
      { FunctionName: "f", ...input },
      { ...fakeContext(), signal: gone.signal },
    )) as InvokeWithResponseStreamResponse;
  return { inside, invoke, gone };
}

async function read(response: InvokeWithResponseStreamResponse) {
  const events: InvokeWithResponseStreamResponseEvent[] = [];
  for await (const event of response.EventStream ?? []) events.push(event);
  return events;
}

const chunk = (text: string) => ({ PayloadChunk: { Payload: Buffer.from(text) } });

describe("InvokeWithResponseStream", () => {
  it("begins with the first chunk, and ends with the invocation, metered", async () => {
    const { inside, invoke } = setUp();
    const outcome = deferred<InvocationOutcome>();
    inside.act = (invocation) => {
      invocation.sink?.write(Buffer.from("first"), "text/plain");
      return outcome.promise;
    };
    const { EventStream, ...head } = await invoke({ LogType: "Tail" });
    assert.deepEqual(head, { StatusCode: 200, ExecutedVersion: "$LATEST" });
    const events = EventStream?.[Symbol.asyncIterator]();
    assert.deepEqual((await events?.next())?.value, chunk("first"));
    assert.deepEqual(inside.usages, [], "it still runs");
    assert.equal(inside.runs[0]?.invocation.wantsTail, true);
    assert.equal(inside.runs[0]?.invocation.requestId, REQUEST_ID);
    outcome.resolve(outcomeOf("", { logTail: Buffer.from("tail") }));
    const LogResult = Buffer.from("tail").toString("base64");
    assert.deepEqual((await events?.next())?.value, { InvokeComplete: { LogResult } });
    assert.equal(inside.usages.length, 1);
    assert.equal((await events?.next())?.done, true);
  });

  it("answers what a function returns in one chunk", async () => {
    const { invoke } = setUp();
    assert.deepEqual(await read(await invoke()), [chunk('"done"'), { InvokeComplete: {} }]);
  });

  it("tells an error behind what has been streamed", async () => {
    const { inside, invoke } = setUp();
    inside.act = async (invocation) => {
      invocation.sink?.write(Buffer.from("half"), "text/plain");
      return outcomeOf('{"errorType":"E"}', { functionError: "Unhandled" });
    };
    const complete = { InvokeComplete: { ErrorCode: "Unhandled", ErrorDetails: '{"errorType":"E"}' } };
    assert.deepEqual(await read(await invoke()), [chunk("half"), complete]);
  });

  it("refuses before the stream: no function, throttled, no JSON, too large", async () => {
    const { inside, invoke } = setUp();
    inside.act = () => Promise.reject(tooManyRequests("ConcurrentInvocationLimitExceeded"));
    await assert.rejects(invoke(), { code: "TooManyRequestsException" });
    assert.deepEqual(inside.usages, []);
    await assert.rejects(invoke({ Payload: Buffer.from("{") }), { code: "InvalidRequestContentException" });
    const large = Buffer.alloc(INVOKE_REQUEST_BYTES_MAX + 1, "1");
    await assert.rejects(invoke({ Payload: large }), { code: "RequestTooLargeException" });
    inside.version = undefined;
    await assert.rejects(invoke(), { code: "ResourceNotFoundException" });
  });

  it("DryRun runs nothing", async () => {
    const { inside, invoke } = setUp();
    assert.deepEqual(await invoke({ InvocationType: "DryRun" }), { StatusCode: 204 });
    assert.deepEqual(inside.runs, []);
  });

  it("a client that goes away holds nothing up, and is metered", async () => {
    const { inside, invoke, gone } = setUp();
    const metered = deferred();
    inside.meter.record = (usage) => {
      inside.usages.push(usage);
      metered.resolve();
    };
    inside.act = async ({ sink }) => {
      sink?.write(Buffer.alloc(STREAMED_RESPONSE_WAITING_BYTES_MAX), "text/plain");
      await sink?.drained();
      return outcomeOf("");
    };
    await invoke();
    assert.deepEqual(inside.usages, [], "nobody reads, so the function waits");
    gone.abort();
    await metered.promise;
    assert.equal(inside.usages.length, 1);
  });

  it("a meter that fails breaks the stream", async () => {
    const { inside, invoke } = setUp();
    inside.act = async ({ sink }) => {
      sink?.write(Buffer.from("half"), "text/plain");
      return outcomeOf("");
    };
    inside.meter.record = () => {
      throw new Error("disk full");
    };
    await assert.rejects(invoke().then(read), /disk full/);
  });
});
