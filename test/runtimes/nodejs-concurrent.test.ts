/**
 * Goal: with AWS_LAMBDA_MAX_CONCURRENCY the Node.js runtime runs several invocations at a time: handlers interleave, callbacks
 * answer at once, a streamed answer can be held back alone, and what ends the process ends all of them.
 * Method: the runtime as a plain child process, the fast link driven frame by frame, on every Node.js major from 22 on.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { FRAME, REQUEST_ID_BYTES, writeFrame } from "../../src/lambda/environment/link.ts";
import { runtimesAtHand, type RuntimeAtHand } from "./interpreters.ts";
import { folderWith, RuntimeProcess } from "./runtime-process.ts";

const idOf = (number: number) => `8476a536-e9f4-11e8-9739-${String(number).padStart(12, "0")}`;
const runtimes = (await runtimesAtHand("nodejs")).filter(({ number }) => number >= 22);

/** Sends an invocation without waiting for its answer. */
function send({ link }: RuntimeProcess, number: number, event: unknown): void {
  const head = Buffer.from(
    JSON.stringify({
      requestId: idOf(number),
      deadlineMs: 9e15,
      invokedFunctionArn: "arn",
      traceHeader: `Root=${number}`,
    }),
  );
  const length = Buffer.alloc(4);
  length.writeUInt32LE(head.length);
  writeFrame(link, FRAME.INVOKE, length, head, Buffer.from(JSON.stringify(event)));
}

/** The next frame that is no log line: `TYPE NUMBER BODY`. */
async function next(started: RuntimeProcess): Promise<string> {
  for (;;) {
    const frame = await started.frame();
    if (!frame) return "ended";
    if (frame.type === FRAME.LOG) continue;
    const number = Number(frame.body.toString("latin1", 24, REQUEST_ID_BYTES));
    return `${frame.type} ${number} ${frame.body.toString("utf8", REQUEST_ID_BYTES)}`;
  }
}

async function withFunction(
  { command, environment }: RuntimeAtHand,
  source: string,
  body: (started: RuntimeProcess) => Promise<void>,
): Promise<void> {
  using folder = folderWith({ "index.js": source });
  await using started = new RuntimeProcess(command, { ...environment });
  const ready = await started.start(folder.path, "index.handler", { AWS_LAMBDA_MAX_CONCURRENCY: "8" });
  assert.equal(ready.type, FRAME.READY, `${ready.body.toString()} ${started.stderr}`);
  await body(started);
}

for (const runtime of runtimes) {
  describe(runtime.id, () => {
    test("interleaves, each with its own context", () =>
      withFunction(
        runtime,
        `const open = new Map();
        exports.handler = async ({ hold, go }) => {
          const { InvokeStore } = globalThis.awslambda;
          if (hold) await new Promise((resolve) => open.set(hold, resolve));
          if (go) open.get(go)();
          return InvokeStore.getRequestId().slice(-1) + InvokeStore.getXRayTraceId() + process.env._X_AMZN_TRACE_ID;
        };`,
        async (started) => {
          send(started, 1, { hold: "a" });
          send(started, 2, { hold: "b" });
          send(started, 3, { go: "b" });
          const two = [await next(started), await next(started)].sort();
          assert.deepEqual(two, [
            `${FRAME.RESPONSE} 2 "2Root=2undefined"`,
            `${FRAME.RESPONSE} 3 "3Root=3undefined"`,
          ]);
          send(started, 4, { go: "a" });
          const rest = [await next(started), await next(started)].map((text) => text.slice(0, 4)).sort();
          assert.deepEqual(rest, [`${FRAME.RESPONSE} 1`, `${FRAME.RESPONSE} 4`]);
        },
      ));

    test("ends all that run when nobody catches an error", () =>
      withFunction(
        runtime,
        `exports.handler = ({ crash }) => new Promise(() => {
          if (crash) setImmediate(() => { throw new Error("on purpose"); });
        });`,
        async (started) => {
          send(started, 1, {});
          send(started, 2, { crash: true });
          for (const number of [1, 2]) {
            const frame = await next(started);
            assert.ok(frame.startsWith(`${FRAME.FATAL} ${number} `) && frame.includes("on purpose"), frame);
          }
          assert.equal((await started.exited).code, 129);
        },
      ));

    test("holds back one streamed answer and not the others", () =>
      withFunction(
        runtime,
        `exports.handler = awslambda.streamifyResponse(async ({ text }, stream) => {
          stream.write(text + 1);
          await new Promise((resolve) => setImmediate(resolve));
          stream.end(text + 2);
          await new Promise((resolve) => stream.once("close", resolve));
        });`,
        async (started) => {
          writeFrame(started.link, FRAME.HOLD, Buffer.from(idOf(1)));
          send(started, 1, { text: "a" });
          send(started, 2, { text: "b" });
          const seen: string[] = [];
          while (!seen.at(-1)?.startsWith(`${FRAME.STREAM_END}`)) seen.push(await next(started));
          assert.ok(
            seen.every((frame) => frame.split(" ")[1] === "2"),
            seen.join(),
          );
          writeFrame(started.link, FRAME.RELEASE, Buffer.from(idOf(1)));
          assert.equal(await next(started), `${FRAME.STREAM} 1 a1`);
          assert.equal(await next(started), `${FRAME.STREAM} 1 a2`);
          assert.equal(await next(started), `${FRAME.STREAM_END} 1 `);
        },
      ));

    if (runtime.number < 24) {
      test("takes a callback for an answer without waiting for an empty event loop", () =>
        withFunction(
          runtime,
          `setInterval(() => {}, 1000);
          exports.handler = (event, context, callback) => callback(null, context.callbackWaitsForEmptyEventLoop);`,
          async (started) => {
            send(started, 1, {});
            assert.equal(await next(started), `${FRAME.RESPONSE} 1 false`);
          },
        ));
    }
  });
}
