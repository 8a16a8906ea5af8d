"use strict";
/**
 * What runs first in a Node.js execution environment. Speaks the fast link: BOOTED, then the one SPECIALISE that says
 * which function this is, then INVOKE after INVOKE. Runs unmodified on Node 20 and later; needs nothing but Node.
 */
const { FRAME, listen, sendText } = require("./link.cjs");
const { RuntimeError, UnhandledPromiseRejection, toResponse } = require("./errors.cjs");
const { logError } = require("./logging.cjs");
const { isHandlerKept, loadHandler } = require("./handler.cjs");
const { assume, parseSpecialisation } = require("./specialisation.cjs");
const { Invoker } = require("./invocation.cjs");

/** Exit codes as AWS's runtimes have them; 13 is Node's own for a top-level await that nothing can settle. */
const EXIT_UNHANDLED_REJECTION = 128;
const EXIT_UNCAUGHT_EXCEPTION = 129;
const EXIT_UNSETTLED_AWAIT = 13;
/** Whose function has not come by then has time to warm up: one that was booted for a function gets it at once. */
const WARM_UP_DELAY_MS = 50;

let phase = "booted";
let invoker;
let warmedUp = Promise.resolve();

const socket = listen((type, body) => {
  if (type === FRAME.INVOKE && phase === "ready") {
    invoker.invoke(body);
  } else if ((type === FRAME.HOLD || type === FRAME.RELEASE) && phase === "ready") {
    const { holdStream } = require("./response-stream.cjs");
    holdStream(body.toString("latin1"), type === FRAME.HOLD);
  } else if (type === FRAME.SPECIALISE && phase === "booted") {
    phase = "initialising";
    clearTimeout(warmUpTimer);
    const message = parseSpecialisation(body);
    warmedUp
      .then(() => specialise(message))
      .catch((error) => {
        logError("Uncaught Exception", error);
        reportFatal(error, EXIT_UNCAUGHT_EXCEPTION);
      });
  } else throw new RuntimeError("ProtocolError", `a frame of type ${type} while ${phase}`);
});

/** Becomes the runtime of one function: its variables, its folder, its handler. */
async function specialise(message) {
  const { handler, taskRoot, artefacts } = message;
  assume(message);
  // The only flag of NODE_OPTIONS that can still be obeyed in a process that runs already.
  if (process.env.NODE_OPTIONS?.includes("--enable-source-maps")) process.setSourceMapsEnabled(true);
  if (artefacts !== undefined) useCompileCache(`${artefacts}/compiled`);
  process.chdir(taskRoot);
  socket.unref();
  const loaded = await loadHandler(taskRoot, handler);
  socket.ref();
  invoker = isConcurrent()
    ? new (require("./concurrent.cjs").ConcurrentInvoker)(loaded)
    : new Invoker(loaded, socket);
  phase = "ready";
  sendText(FRAME.READY, "", "");
}

/** On Managed Instances several invocations may run at a time. */
function isConcurrent() {
  return Number(process.env.AWS_LAMBDA_MAX_CONCURRENCY) > 1;
}

/** Node 22 and later read what V8 made of the code when it was published; the folder is read-only, so nothing is added. */
function useCompileCache(folder) {
  const { statSync } = require("node:fs");
  if (statSync(folder, { throwIfNoEntry: false })) require("node:module").enableCompileCache?.(folder);
}

/** Tells the platform what ended this process, and ends it. The error has been logged. */
function reportFatal(error, exitCode) {
  if (phase === "initialising") sendText(FRAME.INIT_ERROR, "", JSON.stringify(toResponse(error)));
  else invoker?.running?.die(error);
  process.exit(exitCode);
}

process.on("uncaughtException", (error) => {
  logError("Uncaught Exception", error);
  reportFatal(error, EXIT_UNCAUGHT_EXCEPTION);
});

process.on("unhandledRejection", (reason, promise) => {
  const error = new UnhandledPromiseRejection(reason, promise);
  logError("Unhandled Promise Rejection", error);
  reportFatal(error, EXIT_UNHANDLED_REJECTION);
});

process.on("beforeExit", () => {
  if (phase === "initialising") process.exit(EXIT_UNSETTLED_AWAIT);
  invoker?.onEmptyLoop();
});

/** With a handler from a snapshot there is nothing to get used to: the function has run already. */
const warmUpTimer = isHandlerKept()
  ? undefined
  : setTimeout(() => {
      warmedUp = require("./warm-up.cjs").warmUp();
    }, WARM_UP_DELAY_MS);

sendText(FRAME.BOOTED, "", JSON.stringify({ version: process.versions.node }));
