"use strict";
/** Invocations, from the INVOKE frame to its answer, in the two programming models of Lambda's Node.js. */
const { FRAME, sendText } = require("./link.cjs");
const { RuntimeError, toResponse } = require("./errors.cjs");
const { current, logError } = require("./logging.cjs");
const { NODE_MAJOR } = require("./handler.cjs");

/** Until Node 22 handlers may answer by callback, and a value that is returned without a promise is no answer. */
const CALLBACKS = NODE_MAJOR < 24;
const NEVER_SETTLED =
  "The handler's promise was never settled: the event loop is empty and nothing is left that could settle it.";

class Invocation {
  requestId;
  #socket;
  #answered = false;
  /** A streamed answer of this invocation, when the handler streams. */
  #stream = undefined;

  constructor(requestId, socket) {
    this.requestId = requestId;
    this.#socket = socket;
    // While a handler runs only its own work keeps the loop alive: an empty loop means that it waits for nothing.
    socket.unref();
  }

  get answered() {
    return this.#answered;
  }

  set stream(stream) {
    this.#stream = stream;
  }

  /** Answers with a result. Throws when it is no JSON; then the invocation is still open. */
  succeed(result) {
    if (this.#answered) return;
    const text = stringify(result);
    this.#close();
    sendText(FRAME.RESPONSE, this.requestId, text);
  }

  fail(thrown) {
    if (this.#answered) return;
    logError("Invoke Error", thrown);
    this.#close();
    const broken = this.#stream?.started === true;
    sendText(broken ? FRAME.STREAM_END : FRAME.ERROR, this.requestId, JSON.stringify(toResponse(thrown)));
    this.#stream?.destroy();
  }

  /** Answers with an error that has been logged and that ends this process. */
  die(error) {
    if (this.#answered) return;
    this.#close();
    sendText(FRAME.FATAL, this.requestId, JSON.stringify(toResponse(error)));
  }

  /** The streamed answer is complete. */
  finishStream() {
    if (this.#answered) return;
    this.#close();
    sendText(FRAME.STREAM_END, this.requestId, "");
  }

  #close() {
    this.#answered = true;
    this.#socket.ref();
  }
}

function stringify(result) {
  try {
    return JSON.stringify(result) ?? "null";
  } catch (error) {
    const message = "Unable to stringify response body";
    throw CALLBACKS
      ? new Error(message, { cause: error })
      : new RuntimeError("JSONStringifyError", message, { cause: error });
  }
}

/** The members of `context` that stay the same for the life of the environment. */
function functionContext() {
  const { env } = process;
  return {
    functionName: env.AWS_LAMBDA_FUNCTION_NAME,
    functionVersion: env.AWS_LAMBDA_FUNCTION_VERSION,
    memoryLimitInMB: env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    logGroupName: env.AWS_LAMBDA_LOG_GROUP_NAME,
    logStreamName: env.AWS_LAMBDA_LOG_STREAM_NAME,
  };
}

/** One literal, so that all contexts have one shape. */
function newContext(head, own) {
  return {
    clientContext: parseMember(head.clientContext, "ClientContext"),
    identity: parseMember(head.cognitoIdentity, "CognitoIdentity"),
    invokedFunctionArn: head.invokedFunctionArn,
    awsRequestId: head.requestId,
    tenantId: head.tenantId,
    getRemainingTimeInMillis: () => head.deadlineMs - Date.now(),
    functionName: own.functionName,
    functionVersion: own.functionVersion,
    memoryLimitInMB: own.memoryLimitInMB,
    logGroupName: own.logGroupName,
    logStreamName: own.logStreamName,
  };
}

/** An object, or its JSON, or its JSON in base64 as the caller of Invoke sent it. */
function parseMember(value, name) {
  if (typeof value !== "string" || value === "") return value === "" ? undefined : value;
  const text = value.startsWith("{") ? value : Buffer.from(value, "base64").toString("utf8");
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`Cannot parse ${name} as json: ${error.message}`, { cause: error });
  }
}

/** Serves the INVOKE frames of one function. */
class Invoker {
  #handler;
  #socket;
  #isConcurrent;
  #functionContext = functionContext();
  #traceHeader = undefined;
  #running = undefined;
  /** What to do when the event loop runs empty while an invocation is open. */
  #onEmptyLoop = undefined;

  /** `isConcurrent`: several run at a time, and the event loop is never empty. */
  constructor(handler, socket, { isConcurrent = false } = {}) {
    this.#handler = handler;
    this.#socket = socket;
    this.#isConcurrent = isConcurrent;
  }

  /** The invocation that waits for its answer. */
  get running() {
    return this.#running?.answered === false ? this.#running : undefined;
  }

  onEmptyLoop() {
    if (this.running) this.#onEmptyLoop?.();
  }

  /** `body` is valid only during the call: it is parsed before anything else happens. */
  invoke(body) {
    const eventAt = 4 + body.readUInt32LE(0);
    const head = JSON.parse(body.toString("utf8", 4, eventAt));
    const invocation = new Invocation(head.requestId, this.#socket);
    this.#running = invocation;
    current.requestId = head.requestId;
    current.tenantId = head.tenantId;
    this.#setTraceHeader(head.traceHeader);
    this.#onEmptyLoop = () => invocation.fail(new RuntimeError("NodeJsExit", NEVER_SETTLED));
    this.start(invocation, head, body.toString("utf8", eventAt));
  }

  /** Calls the handler. Whatever goes wrong is the invocation's answer. */
  start(invocation, head, text) {
    try {
      const event = JSON.parse(text);
      const context = newContext(head, this.#functionContext);
      if (this.#handler.streaming) void this.#stream(invocation, event, context);
      else if (CALLBACKS) this.#callWithCallback(invocation, event, context);
      else this.#call(invocation, event, context);
    } catch (error) {
      invocation.fail(error);
    }
  }

  /**
   * The answer goes out in the next phase of the event loop, so that what the handler left behind in this one (a rejected
   * promise nobody handles) shows before. Without async functions of our own: each would be three more promises.
   */
  #call(invocation, event, context) {
    let result;
    try {
      result = this.#handler.fn(event, context);
    } catch (error) {
      setImmediate(answerError, invocation, error);
      return;
    }
    Promise.resolve(result).then(
      (value) => setImmediate(answerValue, invocation, value),
      (error) => setImmediate(answerError, invocation, error),
    );
  }

  /** Node 20 and 22: by promise, by callback, by context.succeed/fail/done; the first answer counts. */
  #callWithCallback(invocation, event, context) {
    const answer = (error, result) => {
      try {
        if (error === undefined || error === null) invocation.succeed(result);
        else invocation.fail(error);
      } catch (unserialisable) {
        invocation.fail(unserialisable);
      }
    };
    const fail = (error) => invocation.fail(error ?? "handled");
    let called = false;
    const callback = (error, result) => {
      if (called) return;
      called = true;
      const failed = error !== undefined && error !== null;
      if (failed || this.#isConcurrent || !context.callbackWaitsForEmptyEventLoop) answer(error, result);
      else this.#onEmptyLoop = () => answer(null, result);
    };
    context.callbackWaitsForEmptyEventLoop = !this.#isConcurrent;
    context.done = answer;
    context.succeed = (result) => answer(null, result);
    context.fail = fail;
    // A handler that is not async and never calls back has answered null once nothing is left to do.
    if (!this.#handler.isAsync) this.#onEmptyLoop = () => answer(null, null);

    let result;
    try {
      result = this.#handler.fn(event, context, callback);
    } catch (error) {
      fail(error);
      return;
    }
    if (typeof result?.then === "function") {
      this.#onEmptyLoop = () => invocation.fail(new RuntimeError("NodeJsExit", NEVER_SETTLED));
      result.then(
        (value) => setImmediate(answer, null, value),
        (error) => setImmediate(fail, error),
      );
    }
  }

  async #stream(invocation, event, context) {
    const { ResponseStream } = require("./response-stream.cjs");
    const stream = new ResponseStream(invocation.requestId, this.#handler.highWaterMark);
    invocation.stream = stream;
    if (CALLBACKS) context.callbackWaitsForEmptyEventLoop = true;
    try {
      const pending = this.#handler.fn(event, stream, context);
      if (typeof pending?.then !== "function") {
        throw new Error("Streaming does not support non-async handlers.");
      }
      const result = await pending;
      if (result !== undefined) console.warn("Streaming handlers ignore return values.");
      this.#onEmptyLoop = () => invocation.fail(new Error("Response stream is not finished."));
      await stream.closedPromise;
      if (!stream.writableFinished) throw new Error("Response stream is not finished.");
      invocation.finishStream();
    } catch (error) {
      await turnOfLoop();
      invocation.fail(error);
    }
  }

  #setTraceHeader(traceHeader) {
    if (traceHeader === this.#traceHeader) return;
    this.#traceHeader = traceHeader;
    if (traceHeader) process.env._X_AMZN_TRACE_ID = traceHeader;
    else delete process.env._X_AMZN_TRACE_ID;
  }
}

function answerValue(invocation, value) {
  try {
    invocation.succeed(value);
  } catch (unserialisable) {
    invocation.fail(unserialisable);
  }
}

function answerError(invocation, error) {
  invocation.fail(error);
}

/** Lets what the handler left behind in this turn (a rejected promise nobody handles) show before the answer goes out. */
function turnOfLoop() {
  return new Promise((resolve) => setImmediate(resolve));
}

module.exports = { Invocation, Invoker };
