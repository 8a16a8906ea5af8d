/**
 * Goal: a function's answer reaches a client of AWS's SDK while it is being made, and its end is told as on AWS.
 * Method: InvokeWithResponseStream against a real server; functions in Node.js, and a custom runtime that streams over the
 * HTTP Runtime API. That chunks come early is seen on a function that never ends by itself.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import * as L from "@aws-sdk/client-lambda";
import { FilterLogEventsCommand, type CloudWatchLogsClient } from "@aws-sdk/client-cloudwatch-logs";
import { call, deploy, eventually } from "../support/functions.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

const MIB = 1024 * 1024;
const STREAMING = `
exports.handler = awslambda.streamifyResponse(async (event, stream, context) => {
  const { way } = event;
  if (way === "early") throw new TypeError("before the first byte");
  if (way === "empty") return void stream.end();
  if (way === "http") {
    const http = awslambda.HttpResponseStream.from(stream, { statusCode: 201 });
    http.write("body");
    return void http.end();
  }
  stream.setContentType("text/plain");
  stream.write("first ");
  if (way === "late") { await new Promise((done) => setTimeout(done, 50)); throw new RangeError("in mid-stream"); }
  if (way === "exit") { setTimeout(() => process.exit(7), 50); return new Promise(() => undefined); }
  if (way === "slow") await new Promise((done) => setTimeout(done, 60_000));
  if (way === "large" || way === "too-large") {
    const block = Buffer.alloc(1024 * 1024, "b");
    for (let count = 0; count < event.mib; count++)
      if (!stream.write(block)) await new Promise((done) => stream.once("drain", done));
    console.log("wrote it all");
  }
  if (way === "wait") {
    await new Promise((done) => setTimeout(done, 300));
    console.log("went on to the end");
  }
  stream.end("last " + context.invokedFunctionArn.split(":").slice(6).join(":"));
});`;
const BUFFERED = `
exports.handler = async ({ bytes }) => bytes === undefined ? { plain: true } : "x".repeat(bytes);`;
const BOOTSTRAP = `#!/bin/bash
api="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime"
while true; do
  event=$(curl -sS -D /tmp/headers "$api/invocation/next")
  id=$(grep -i '^lambda-runtime-aws-request-id' /tmp/headers | tr -d '[:space:]' | cut -d: -f2)
  host="\${AWS_LAMBDA_RUNTIME_API%:*}"; port="\${AWS_LAMBDA_RUNTIME_API#*:}"
  case "$event" in
    *broken*) error=$(printf '{"errorMessage":"broke","errorType":"Shell.Broke"}' | base64 -w0)
      exec 5<>"/dev/tcp/$host/$port"
      printf 'POST /2018-06-01/runtime/invocation/%s/response HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\nLambda-Runtime-Function-Response-Mode: streaming\\r\\nTransfer-Encoding: chunked\\r\\nTrailer: Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body\\r\\n\\r\\n4\\r\\nhalf\\r\\n0\\r\\nLambda-Runtime-Function-Error-Type: Shell.Broke\\r\\nLambda-Runtime-Function-Error-Body: %s\\r\\n\\r\\n' "$id" "$error" >&5
      cat <&5 >/dev/null; exec 5>&- ;;
    *stream*) { printf 'one '; sleep 0.3; printf 'two'; } | curl -sS -o /dev/null -X POST -H 'Expect:' -H 'Transfer-Encoding: chunked' -H 'Lambda-Runtime-Function-Response-Mode: streaming' -T - "$api/invocation/$id/response" ;;
    *exit*) exit 4 ;;
    *) curl -sS -o /dev/null -X POST -d '"plain"' "$api/invocation/$id/response" ;;
  esac
done
`;

interface Streamed {
  readonly output: L.InvokeWithResponseStreamCommandOutput;
  readonly chunks: string[];
  readonly bytes: number;
  readonly complete: L.InvokeWithResponseStreamCompleteEvent;
}

describe("InvokeWithResponseStream", () => {
  let server: TestServer;
  let lambda: L.LambdaClient;
  let logs: CloudWatchLogsClient;
  before(async () => {
    server = await startTestServer();
    lambda = server.lambda();
    logs = server.logs();
    await Promise.all([
      deploy(lambda, "streaming", { files: { "index.js": STREAMING }, Publish: true, Timeout: 2 }),
      deploy(lambda, "endless", { files: { "index.js": STREAMING }, Timeout: 60, MemorySize: 512 }),
      deploy(lambda, "buffered", { files: { "index.js": BUFFERED }, MemorySize: 512, Timeout: 20 }),
      deploy(lambda, "custom", { Runtime: "provided.al2023", files: { bootstrap: BOOTSTRAP }, Timeout: 5 }),
    ]);
  });
  after(() => server.stop());

  const send = (
    FunctionName: string,
    event: object = {},
    input: Partial<L.InvokeWithResponseStreamCommandInput> = {},
  ) =>
    lambda.send(
      new L.InvokeWithResponseStreamCommand({
        FunctionName,
        Payload: Buffer.from(JSON.stringify(event)),
        ...input,
      }),
    );
  /** Reads a stream to its end; exactly one InvokeComplete, and nothing behind it. */
  async function stream(...parameters: Parameters<typeof send>): Promise<Streamed> {
    const output = await send(...parameters);
    const chunks: string[] = [];
    let complete: L.InvokeWithResponseStreamCompleteEvent | undefined;
    let bytes = 0;
    assert(output.EventStream);
    for await (const { PayloadChunk, InvokeComplete } of output.EventStream) {
      assert.equal(complete, undefined, "nothing comes after InvokeComplete");
      if (PayloadChunk?.Payload) {
        bytes += PayloadChunk.Payload.length;
        if (bytes < MIB) chunks.push(Buffer.from(PayloadChunk.Payload).toString());
      }
      complete = InvokeComplete;
    }
    assert(complete);
    return { output, chunks, bytes, complete };
  }
  const told = ({ complete }: Streamed) => [
    complete.ErrorCode,
    JSON.parse(complete.ErrorDetails ?? "null") as { errorType: string; errorMessage: string } | null,
  ];
  const failed = (streamed: Streamed, errorType: string, errorMessage: string) => {
    const [code, details] = told(streamed);
    const id = streamed.output.$metadata.requestId ?? "";
    assert.equal(code, "Unhandled");
    assert.partialDeepStrictEqual(details, { errorType, errorMessage: errorMessage.replace("{id}", id) });
  };

  test("answers with the version, the chunks and the log's tail", async () => {
    const answer = await stream("streaming", {}, { LogType: "Tail" });
    const { StatusCode, ExecutedVersion, ResponseStreamContentType, $metadata } = answer.output;
    assert.deepEqual(
      [StatusCode, ExecutedVersion, ResponseStreamContentType],
      [200, "$LATEST", "application/vnd.amazon.eventstream"],
    );
    assert.equal(answer.chunks.join(""), "first last streaming");
    assert.deepEqual(told(answer), [undefined, null]);
    const tail = Buffer.from(answer.complete.LogResult ?? "", "base64").toString();
    const id = $metadata.requestId;
    assert.match(
      tail,
      new RegExp(`^START RequestId: ${id} [^]*END RequestId: ${id}\\nREPORT RequestId: ${id}\\t`),
    );
    assert.equal((await stream("streaming")).complete.LogResult, undefined);
  });

  test("the first chunk comes while the function still runs", async () => {
    const { EventStream } = await send("streaming", { way: "slow" });
    assert(EventStream);
    const events = EventStream[Symbol.asyncIterator]();
    const first = (await events.next()).value as L.InvokeWithResponseStreamResponseEvent;
    assert.equal(Buffer.from(first.PayloadChunk?.Payload ?? []).toString(), "first ");
    // It never ends by itself: whatever comes next was made after the first chunk was here.
    const last = (await events.next()).value as L.InvokeWithResponseStreamResponseEvent;
    assert.equal(last.InvokeComplete?.ErrorCode, "Unhandled");
    assert.match(
      last.InvokeComplete.ErrorDetails ?? "",
      /Sandbox\.Timedout.*Task timed out after 2\.00 seconds/,
    );
  });

  test("qualifiers, DryRun, refusals", async () => {
    const version = await stream("streaming", {}, { Qualifier: "1" });
    assert.deepEqual(
      [version.output.ExecutedVersion, version.chunks.join("")],
      ["1", "first last streaming:1"],
    );
    const dry = await send("streaming", {}, { InvocationType: "DryRun" });
    assert.equal(dry.StatusCode, 204);
    await assert.rejects(send("streaming", {}, { InvocationType: "Event" as "DryRun" }), {
      name: "ValidationException",
    });
    await assert.rejects(send("missing"), L.ResourceNotFoundException);
    await assert.rejects(
      send("streaming", {}, { Payload: Buffer.from("no json") }),
      L.InvalidRequestContentException,
    );
  });

  test("errors before the first byte and in mid-stream, exits, and an empty stream", async () => {
    const early = await stream("streaming", { way: "early" });
    assert.deepEqual(early.chunks, []);
    failed(early, "TypeError", "before the first byte");
    const late = await stream("streaming", { way: "late" });
    assert.deepEqual(late.chunks, ["first "]);
    failed(late, "RangeError", "in mid-stream");
    const exited = await stream("streaming", { way: "exit" });
    assert.deepEqual(exited.chunks, ["first "]);
    failed(exited, "Runtime.ExitError", "RequestId: {id} Error: Runtime exited with error: exit status 7");
    const empty = await stream("streaming", { way: "empty" });
    assert.deepEqual([empty.bytes, ...told(empty)], [0, undefined, null]);
  });

  test("status and headers of an HTTP answer come ahead of the body", async () => {
    const { chunks } = await stream("streaming", { way: "http" });
    assert.equal(chunks.join(""), `{"statusCode":201}${"\0".repeat(8)}body`);
  });

  test("a function that does not stream answers in one chunk, of up to 6 MB", async () => {
    assert.deepEqual((await stream("buffered")).chunks, ['{"plain":true}']);
    const large = await stream("buffered", { bytes: 6 * MIB - 2 });
    assert.equal(large.bytes, 6 * MIB);
    const over = await stream("buffered", { bytes: 6 * MIB + 99 });
    assert.equal(over.bytes, 0);
    failed(
      over,
      "Function.ResponseSizeTooLarge",
      "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
    );
  });

  test("more than Invoke may answer, and no more than 200 MB", async () => {
    assert.equal((await stream("endless", { way: "large", mib: 20 })).bytes, 20 * MIB + 6 + 12);
    const over = await stream("endless", { way: "too-large", mib: 201 });
    assert(over.bytes <= 200 * MIB && over.bytes > 199 * MIB, String(over.bytes));
    failed(
      over,
      "Function.ResponseSizeTooLarge",
      "Response payload size exceeded maximum allowed payload size (209715200 bytes).",
    );
    assert.equal((await call(lambda, "endless", {})).text, "first last endless", "Invoke answers as before");
  });

  test("a custom runtime streams, breaks off, answers whole, exits", async () => {
    const streamed = await stream("custom", { way: "stream" });
    assert.equal(streamed.chunks.join(""), "one two");
    assert(streamed.chunks.length >= 2, "the first part came ahead");
    const broken = await stream("custom", { way: "broken" });
    assert.deepEqual(broken.chunks, ["half"]);
    failed(broken, "Shell.Broke", "broke");
    assert.deepEqual((await stream("custom")).chunks, ['"plain"']);
    const exited = await stream("custom", { way: "exit" });
    failed(exited, "Runtime.ExitError", "RequestId: {id} Error: Runtime exited with error: exit status 4");
  });

  test("an invocation whose client goes away goes on to its end", async () => {
    const abort = new AbortController();
    const { EventStream, $metadata } = await lambda.send(
      new L.InvokeWithResponseStreamCommand({
        FunctionName: "streaming",
        Payload: Buffer.from(JSON.stringify({ way: "wait" })),
      }),
      { abortSignal: abort.signal },
    );
    assert(EventStream);
    const events = EventStream[Symbol.asyncIterator]();
    await events.next();
    await events.return?.();
    abort.abort();
    await eventually("the REPORT of the invocation", async () => {
      const { events: found } = await logs.send(
        new FilterLogEventsCommand({ logGroupName: "/aws/lambda/streaming" }),
      );
      const messages = found?.map(({ message }) => message ?? "") ?? [];
      return (
        messages.some((message) => message.includes(`${$metadata.requestId}\tINFO\twent on to the end`)) &&
        messages.some((message) => message.startsWith(`REPORT RequestId: ${$metadata.requestId}\t`))
      );
    });
  });
});
