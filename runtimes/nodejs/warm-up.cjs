"use strict";
/**
 * A runtime that waits for its function runs one of its own meanwhile: Node sets up its module loaders at their first
 * use, and code that has run once is compiled. Nothing of it is left for the function to see, and nothing is said on the
 * link. See docs/internals/performance.md for what it saves.
 */
const path = require("node:path");
const { muted } = require("./link.cjs");
const { loadHandler } = require("./handler.cjs");
const { Invoker } = require("./invocation.cjs");
const { current } = require("./logging.cjs");
const { rehearse } = require("./specialisation.cjs");

const HANDLERS = ["module.handler", "script.handler"];
const FOLDER = path.join(__dirname, "warm-up");
/** Node compiles a function at its first call, and its fast paths after some more. */
const EVENTS = 3;
const HEAD = Buffer.from(
  JSON.stringify({
    requestId: "00000000-0000-0000-0000-000000000000",
    deadlineMs: 0,
    invokedFunctionArn: "arn:aws:lambda:us-east-1:000000000000:function:warm-up",
  }),
);
const EVENT = Buffer.from('{"key":"value"}');
const socket = { ref() {}, unref() {} };

/** Resolves when it is done. Rejects when the runtime itself is broken. */
async function warmUp() {
  for (let count = 0; count < EVENTS; count += 1) rehearse();
  const headBytes = Buffer.alloc(4);
  headBytes.writeUInt32LE(HEAD.length, 0);
  const frame = Buffer.concat([headBytes, HEAD, EVENT]);
  for (const handler of HANDLERS) {
    const loaded = await loadHandler(FOLDER, handler);
    for (let count = 0; count < EVENTS; count += 1) {
      await muted(async () => {
        const invoker = new Invoker(loaded, socket);
        invoker.invoke(frame);
        while (invoker.running) await turnOfLoop();
      });
    }
  }
  current.requestId = undefined;
  current.tenantId = undefined;
  delete require.cache[path.join(FOLDER, "script.js")];
}

function turnOfLoop() {
  return new Promise((resolve) => setImmediate(resolve));
}

module.exports = { warmUp };
