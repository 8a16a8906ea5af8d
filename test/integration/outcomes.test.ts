/**
 * Goal: whatever a function does, its caller and its log are told what AWS tells them.
 * Method: for each runtime of this machine, one function that fails on demand in every way there is, invoked through the
 * SDK on a real server; one more function for each way to fail before the first invocation. Answers are compared whole.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { LambdaClient, Runtime } from "@aws-sdk/client-lambda";
import { INVOKE_RESPONSE_BYTES_MAX } from "../../src/limits.ts";
import { assertFailed, call, deploy, runtimesAtHand, sharedRuntimes } from "../support/functions.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

/** At once: enough to use both cores, few enough to stay polite. */
const CONCURRENCY = 3;
/** One vCPU: with a part of one a second may be too short for what is no test of time. */
const FULL_CPU_MB = 1769;
const [NODE, PYTHON] = await Promise.all([runtimesAtHand("nodejs"), runtimesAtHand("python")]);
const TOO_LARGE = {
  errorType: "Function.ResponseSizeTooLarge",
  errorMessage: `Response payload size exceeded maximum allowed payload size (${INVOKE_RESPONSE_BYTES_MAX} bytes).`,
};
const exited = (how: string) => ({
  errorType: "Runtime.ExitError",
  errorMessage: `RequestId: {id} Error: Runtime exited ${how}`,
});
const TIMED_OUT = {
  errorType: "Sandbox.Timedout",
  errorMessage: "RequestId: {id} Error: Task timed out after 1.00 seconds",
};

let server: TestServer;
let lambda: LambdaClient;
before(async () => {
  server = await startTestServer({ args: [...sharedRuntimes] });
  lambda = server.lambda();
});
after(() => server.stop());

/** A function that cannot be initialised: what the caller is told. */
async function initFailure(runtime: Runtime, name: string, file: string, source: string, handler: string) {
  const full = `${name}-${runtime.replace(".", "-")}`;
  await deploy(lambda, full, { Runtime: runtime, Handler: handler, files: { [file]: source } });
  return await call(lambda, full);
}

const NODE_SOURCE = `
let calls = 0;
class TeapotError extends Error { constructor(m) { super(m); this.name = "TeapotError"; this.status = 418; } }
const ways = {
  ok: () => ({ calls }),
  nothing: () => undefined,
  throws: () => { throw new TeapotError("short and stout"); },
  throwsText: () => { throw "just text"; },
  exits: ({ code }) => process.exit(code),
  killed: ({ signal }) => { process.kill(process.pid, signal); return new Promise((resolve) => setTimeout(resolve, 60_000)); },
  rejects: () => { Promise.reject(new TeapotError("left behind")); return new Promise((resolve) => setTimeout(resolve, 60_000)); },
  later: () => { setTimeout(() => { throw new TeapotError("from a timer"); }, 1); return new Promise((resolve) => setTimeout(resolve, 60_000)); },
  circular: () => { const circle = {}; circle.circle = circle; return circle; },
  large: ({ bytes }) => "x".repeat(bytes),
  sleeps: () => new Promise((resolve) => setTimeout(resolve, 60_000)),
  spins: () => { for (;;); },
};
exports.handler = async (event) => { calls += 1; return await ways[event.way](event); };`;

describe("Node.js", { concurrency: CONCURRENCY }, () => {
  for (const runtime of NODE) {
    const name = `fails-${runtime.replace(".", "-")}`;
    const fails = (way: string, more: object = {}) => call(lambda, name, { way, ...more });

    test(`${runtime}: errors, exits and time`, async () => {
      await deploy(lambda, name, {
        Runtime: runtime,
        Timeout: 1,
        MemorySize: FULL_CPU_MB,
        files: { "index.js": NODE_SOURCE },
      });
      assert.deepEqual((await fails("ok")).body, { calls: 1 });
      assert.equal((await fails("nothing")).text, "null");

      const thrown = await fails("throws");
      assert.equal(thrown.functionError, "Unhandled");
      const { trace, ...told } = thrown.body as { trace: string[] };
      assert.deepEqual(told, { errorType: "TeapotError", errorMessage: "short and stout" });
      assert.equal(trace[0], "TeapotError: short and stout");
      assert.match(trace[1] ?? "", /^ {4}at .*\(\/var\/task\/index\.js:\d+:\d+\)$/);
      assert.match(
        thrown.log,
        /\tERROR\tInvoke Error \t\{"errorType":"TeapotError","errorMessage":"short and stout"/,
      );
      assertFailed(await fails("throwsText"), { errorType: "string", errorMessage: "just text", trace: [] });

      const circular = await fails("circular");
      assert.equal(circular.functionError, "Unhandled");
      const body = circular.body as { errorType: string; errorMessage: string };
      assert.equal(body.errorMessage, "Unable to stringify response body");
      // An error is no reason for a new environment.
      assert.deepEqual((await fails("ok")).body, { calls: 6 });

      assertFailed(await fails("exits", { code: 0 }), exited("without providing a reason"));
      assertFailed(await fails("exits", { code: 3 }), exited("with error: exit status 3"));
      assert.deepEqual((await fails("ok")).body, { calls: 1 }, "a new environment after a crash");
      assertFailed(await fails("killed", { signal: "SIGKILL" }), exited("with error: signal: killed"));

      const rejected = await fails("rejects");
      const { errorType, errorMessage } = rejected.body as { errorType: string; errorMessage: string };
      assert.deepEqual(
        [errorType, errorMessage],
        ["Runtime.UnhandledPromiseRejection", "TeapotError: left behind"],
      );
      const late = (await fails("later")).body as { errorType: string; errorMessage: string };
      assert.deepEqual([late.errorType, late.errorMessage], ["TeapotError", "from a timer"]);

      assertFailed(await fails("sleeps"), TIMED_OUT);
      assertFailed(await fails("spins"), TIMED_OUT);
      assert.deepEqual((await fails("ok")).body, { calls: 1 }, "a new environment after a timeout");
    });

    test(`${runtime}: failures of the init phase`, async () => {
      const missing = await initFailure(runtime, "missing", "other.js", "", "index.handler");
      const told = missing.body as { errorType: string; errorMessage: string; trace: string[] };
      assert.equal(missing.functionError, "Unhandled");
      assert.equal(told.errorType, "Runtime.ImportModuleError");
      assert.match(told.errorMessage, /^Error: Cannot find module 'index'/);

      const noExport = await initFailure(
        runtime,
        "no-export",
        "index.js",
        "exports.other = 1",
        "index.handler",
      );
      const { errorType, errorMessage } = noExport.body as { errorType: string; errorMessage: string };
      assert.deepEqual(
        [errorType, errorMessage],
        ["Runtime.HandlerNotFound", "index.handler is undefined or not exported"],
      );

      const syntax = await initFailure(
        runtime,
        "syntax",
        "index.js",
        "exports.handler = async () => {",
        "index.handler",
      );
      const unreadable = syntax.body as { errorType: string; errorMessage: string };
      assert.deepEqual(
        [unreadable.errorType, unreadable.errorMessage],
        ["Runtime.UserCodeSyntaxError", "SyntaxError: Unexpected end of input"],
      );

      const bad = await initFailure(runtime, "bad-name", "index.js", "", "index");
      assert.deepEqual(
        [(bad.body as { errorType: string }).errorType, (bad.body as { errorMessage: string }).errorMessage],
        ["Runtime.MalformedHandlerName", "Bad handler"],
      );

      const thrown = await initFailure(
        runtime,
        "init-throws",
        "index.js",
        "throw new RangeError('too early')",
        "index.handler",
      );
      const early = thrown.body as { errorType: string; errorMessage: string };
      assert.deepEqual([early.errorType, early.errorMessage], ["RangeError", "too early"]);
      assert.match(thrown.log, /\tERROR\tUncaught Exception \t\{"errorType":"RangeError"/);
      assert.match(
        thrown.log,
        /INIT_REPORT Init Duration: \d+\.\d\d ms\tPhase: invoke\tStatus: error\tError Type: RangeError/,
      );

      const crash = await initFailure(runtime, "init-exits", "index.js", "process.exit(7)", "index.handler");
      assertFailed(crash, exited("with error: exit status 7"));
      assert.match(crash.log, /INIT_REPORT .*Phase: invoke\tStatus: error\tError Type: Runtime\.ExitError/);
    });
  }

  test("an answer of the largest size, and one byte more", async () => {
    await deploy(lambda, "large", { Timeout: 20, MemorySize: 512, files: { "index.js": NODE_SOURCE } });
    const quotes = 2;
    const largest = await call(lambda, "large", { way: "large", bytes: INVOKE_RESPONSE_BYTES_MAX - quotes });
    assert.equal(largest.functionError, undefined);
    assert.equal(largest.text.length, INVOKE_RESPONSE_BYTES_MAX);
    assertFailed(
      await call(lambda, "large", { way: "large", bytes: INVOKE_RESPONSE_BYTES_MAX - 1 }),
      TOO_LARGE,
    );
    assert.deepEqual((await call(lambda, "large", { way: "ok" })).body, { calls: 3 });
  });
});

const PYTHON_SOURCE = `
import json, os, signal, sys, time
calls = 0
class TeapotError(Exception): pass
def handler(event, context):
    global calls
    calls += 1
    way = event["way"]
    if way == "ok": return {"calls": calls}
    if way == "nothing": return None
    if way == "throws": raise TeapotError("short and stout")
    if way == "exits": sys.exit(event["code"])
    if way == "exits at once": os._exit(event["code"])
    if way == "killed": os.kill(os.getpid(), getattr(signal, event["signal"])); time.sleep(60)
    if way == "set": return {1, 2}
    if way == "large": return "x" * event["bytes"]
    if way == "sleeps": time.sleep(60)
`;

describe("Python", { concurrency: CONCURRENCY }, () => {
  test("an answer that is too large", { skip: PYTHON.length === 0 }, async () => {
    const [runtime] = PYTHON;
    const settings = {
      ...(runtime === undefined ? {} : { Runtime: runtime }),
      Timeout: 20,
      MemorySize: FULL_CPU_MB,
    };
    await deploy(lambda, "large-python", { ...settings, files: { "index.py": PYTHON_SOURCE } });
    const over = { way: "large", bytes: INVOKE_RESPONSE_BYTES_MAX - 1 };
    assertFailed(await call(lambda, "large-python", over), TOO_LARGE);
    assert.deepEqual((await call(lambda, "large-python", { way: "ok" })).body, { calls: 2 });
  });

  for (const runtime of PYTHON) {
    const name = `fails-${runtime.replace(".", "-")}`;
    const fails = (way: string, more: object = {}) => call(lambda, name, { way, ...more });

    test(`${runtime}: errors, exits and time`, async () => {
      await deploy(lambda, name, {
        Runtime: runtime,
        Timeout: 1,
        MemorySize: FULL_CPU_MB,
        files: { "index.py": PYTHON_SOURCE },
      });
      assert.deepEqual((await fails("ok")).body, { calls: 1 });
      assert.equal((await fails("nothing")).text, "null");

      const thrown = await fails("throws");
      const { stackTrace, ...told } = thrown.body as { stackTrace: string[] };
      assert.equal(thrown.functionError, "Unhandled");
      assert.deepEqual(told, {
        errorMessage: "short and stout",
        errorType: "TeapotError",
        requestId: thrown.requestId,
      });
      assert.match(stackTrace.join(""), /^ {2}File "\/var\/task\/index\.py", line \d+, in handler\n/);
      assert.match(
        thrown.log,
        /\[ERROR\] TeapotError: short and stout\r?\n?Traceback \(most recent call last\):/,
      );

      const set = await fails("set");
      const marshal = set.body as { errorMessage: string; errorType: string };
      assert.equal(marshal.errorType, "Runtime.MarshalError");
      assert.equal(
        marshal.errorMessage,
        "Unable to marshal response: Object of type set is not JSON serializable",
      );
      assert.deepEqual((await fails("ok")).body, { calls: 5 });

      assertFailed(await fails("exits", { code: 0 }), exited("without providing a reason"));
      assertFailed(await fails("exits", { code: 3 }), exited("with error: exit status 3"));
      assertFailed(await fails("exits at once", { code: 4 }), exited("with error: exit status 4"));
      assertFailed(
        await fails("killed", { signal: "SIGSEGV" }),
        exited("with error: signal: segmentation fault"),
      );
      assertFailed(await fails("sleeps"), TIMED_OUT);
      assert.deepEqual((await fails("ok")).body, { calls: 1 }, "a new environment after a timeout");
    });

    test(`${runtime}: failures of the init phase`, async () => {
      const expect = async (
        name: string,
        source: string,
        handler: string,
        errorType: string,
        errorMessage: RegExp,
      ) => {
        const failed = await initFailure(runtime, name, "index.py", source, handler);
        const body = failed.body as { errorType: string; errorMessage: string };
        assert.deepEqual([failed.functionError, body.errorType], ["Unhandled", errorType], failed.text);
        assert.match(body.errorMessage, errorMessage);
        return failed;
      };
      await expect(
        "missing",
        "",
        "other.handler",
        "Runtime.ImportModuleError",
        /^Unable to import module 'other': No module named 'other'$/,
      );
      await expect(
        "import",
        "import nowhere",
        "index.handler",
        "Runtime.ImportModuleError",
        /^Unable to import module 'index': No module named 'nowhere'$/,
      );
      await expect(
        "no-export",
        "other = 1",
        "index.handler",
        "Runtime.HandlerNotFound",
        /^Handler 'handler' missing on module 'index'$/,
      );
      await expect(
        "syntax",
        "def handler(:",
        "index.handler",
        "Runtime.UserCodeSyntaxError",
        /^Syntax error in module 'index': invalid syntax/,
      );
      await expect(
        "bad-name",
        "",
        "index",
        "Runtime.MalformedHandlerName",
        /^Bad handler 'index': not enough values to unpack \(expected 2, got 1\)$/,
      );
      const early = await expect(
        "init-throws",
        "raise ValueError('too early')",
        "index.handler",
        "ValueError",
        /^too early$/,
      );
      assert.match(early.log, /INIT_REPORT .*Phase: invoke\tStatus: error\tError Type: ValueError/);
      assertFailed(
        await initFailure(runtime, "init-exits", "index.py", "import os; os._exit(7)", "index.handler"),
        exited("with error: exit status 7"),
      );
    });
  }
});
