/**
 * Goal: the Node.js runtime loads handlers, answers, logs and fails as AWS's does, on every Node.js major at hand.
 * Method: the runtime as a plain child process, real handler files in a temporary folder, the fast link driven frame by
 * frame. What differs between majors on AWS (callbacks until 22) is told apart here too.
 */
import assert from "node:assert/strict";
import { dirname } from "node:path";
import { describe, test } from "node:test";
import { FRAME } from "../../src/lambda/environment/link.ts";
import { runtimesAtHand, type RuntimeAtHand } from "./interpreters.ts";
import { folderWith, parse, RuntimeProcess } from "./runtime-process.ts";

const ARN = "arn:aws:lambda:us-east-1:123456789012:function:f";
const runtimes = await runtimesAtHand("nodejs");

test("the project's own Node.js is at hand", () => {
  assert.ok(runtimes.some(({ id }) => id === "nodejs24.x"));
});

for (const runtime of runtimes) {
  describe(runtime.id, { concurrency: 2 }, () => {
    loading(runtime);
    warmingUp(runtime);
    answering(runtime);
    failing(runtime);
    logging(runtime);
    streaming(runtime);
    if (runtime.number < 24) callbacks(runtime);
    else withoutCallbacks(runtime);
  });
}

function launch({ command, environment }: RuntimeAtHand): RuntimeProcess {
  return new RuntimeProcess(command, { ...environment });
}

/** Loads `files`, runs `body` with the ready process. */
async function withFunction(
  runtime: RuntimeAtHand,
  files: Record<string, string> | string,
  body: (started: RuntimeProcess) => Promise<void>,
  options: { handler?: string; environment?: Record<string, string> } = {},
): Promise<void> {
  using folder = folderWith(typeof files === "string" ? { "index.js": files } : files);
  await using started = launch(runtime);
  const ready = await started.start(folder.path, options.handler ?? "index.handler", options.environment);
  assert.equal(ready.type, FRAME.READY, `${ready.body.toString()} ${started.stderr}`);
  await body(started);
}

async function initError(
  runtime: RuntimeAtHand,
  files: Record<string, string>,
  handler = "index.handler",
): Promise<{
  errorType: string;
  errorMessage: string;
  trace: string[];
  log: string;
  exitCode: number | null;
}> {
  using folder = folderWith(files);
  await using started = launch(runtime);
  const { type, body, logs } = await started.start(folder.path, handler);
  assert.equal(type, FRAME.INIT_ERROR, started.stderr);
  const { code } = await started.exited;
  const error = JSON.parse(body.toString()) as { errorType: string; errorMessage: string; trace: string[] };
  return { ...error, log: logs.at(-1)?.text ?? "", exitCode: code };
}

/** A process that has run the warm-up when `then` runs, which sees the folder of the runtime's files as `folder`. */
function launchWarm({ command, environment }: RuntimeAtHand, then: string): RuntimeProcess {
  const folder = dirname(command.at(-1) ?? "");
  const script = `
    const folder = ${JSON.stringify(folder)};
    const { warmUp } = require(folder + "/warm-up.cjs");
    const methods = { ...console };
    const look = () => JSON.stringify({
      variables: process.env, folder: process.cwd(), loaded: Object.keys(require.cache).sort(),
      console: Object.entries(console).filter(([name, method]) => method === methods[name]).map(([name]) => name),
      methods: Object.keys(console),
      context: require(folder + "/logging.cjs").current, globals: Object.getOwnPropertyNames(globalThis).sort(),
      listeners: process.eventNames().map(String), waitsFor: process.getActiveResourcesInfo(),
    });
    const before = look();
    warmUp().then(() => { ${then} });`;
  return new RuntimeProcess([...command.slice(0, -1), "-e", script], { ...environment });
}

function warmingUp(runtime: RuntimeAtHand): void {
  test("the warm-up says nothing on the link and leaves nothing behind", async () => {
    await using warmed = launchWarm(runtime, "console.log(before + '\\n' + look())");
    assert.equal(await warmed.frame(), undefined, warmed.stderr);
    assert.deepEqual(await warmed.exited, { code: 0, signal: null }, warmed.stderr);
    assert.equal(warmed.stderr, "");
    const [before = "", after = ""] = warmed.stdout.split("\n");
    assert.ok(before.includes("warm-up.cjs"), before);
    assert.deepEqual(JSON.parse(after), JSON.parse(before));
  });

  test("a runtime that is warm becomes its function's", async () => {
    using folder = folderWith({
      "index.js": "console.log('init'); exports.handler = async (event) => [event]",
    });
    await using warmed = launchWarm(runtime, "require(folder + '/bootstrap.cjs')");
    const { type, logs } = await warmed.start(folder.path, "index.handler");
    assert.equal(type, FRAME.READY, warmed.stderr);
    assert.deepEqual(
      logs.map(({ text }) => text.split("\t").slice(1)),
      [["undefined", "INFO", "init"]],
    );
    assert.deepEqual(parse(await warmed.invoke({ a: 1 })), [{ a: 1 }]);
  });
}

function loading(runtime: RuntimeAtHand): void {
  const answer = "async () => ({ from: import.meta.filename ?? 'esm' })";
  const cases: [what: string, files: Record<string, string>, handler: string][] = [
    ["CommonJS .js", { "index.js": "exports.handler = async () => 1" }, "index.handler"],
    ["a folder", { "src/app.js": "exports.handler = async () => 1" }, "src/app.handler"],
    ["a nested export", { "index.js": "exports.a = { b: { c: async () => 1 } }" }, "index.a.b.c"],
    ["ES module .mjs", { "index.mjs": `export const handler = ${answer}` }, "index.handler"],
    ["CommonJS .cjs", { "index.cjs": "exports.handler = async () => 1" }, "index.handler"],
    [
      "a module package",
      { "package.json": '{"type":"module"}', "index.js": "export const handler = async () => 1" },
      "index.handler",
    ],
    [
      "top-level await",
      { "index.mjs": "const one = await Promise.resolve(1); export const handler = async () => one" },
      "index.handler",
    ],
    ["a default export", { "index.mjs": "export default { handler: async () => 1 }" }, "index.handler"],
    ["a file without extension", { index: "exports.handler = async () => 1" }, "index.handler"],
    [
      "an installed package",
      { "node_modules/app/index.js": "exports.handler = async () => 1" },
      "app.handler",
    ],
  ];
  if (runtime.number >= 24) {
    cases.push([
      "TypeScript",
      { "index.ts": "exports.handler = async (): Promise<number> => 1" },
      "index.handler",
    ]);
  }
  for (const [what, files, handler] of cases) {
    test(`loads ${what}`, async () => {
      await withFunction(
        runtime,
        files,
        async (started) => {
          assert.equal((await started.invoke({}))?.type, FRAME.RESPONSE);
        },
        { handler },
      );
    });
  }

  test("prefers .js to .mjs", async () => {
    const files = {
      "index.js": "exports.handler = async () => 'js'",
      "index.mjs": "export const handler = async () => 'mjs'",
    };
    await withFunction(runtime, files, async (started) => {
      assert.equal((await started.invoke({}))?.body.toString(), '"js"');
    });
  });

  test("init errors have AWS's types and words", async () => {
    const missing = await initError(runtime, {}, "nothere.handler");
    assert.equal(missing.errorType, "Runtime.ImportModuleError");
    assert.match(
      missing.errorMessage,
      /^Error: Cannot find module 'nothere'\nRequire stack:\n- .*index\.mjs$/,
    );
    assert.match(
      missing.log,
      /^[\d-]+T[\d:.]+Z\tundefined\tERROR\tUncaught Exception \t\{"errorType":"Runtime\.Import/,
    );
    assert.equal(missing.exitCode, 129);

    const dependency = await initError(runtime, { "index.js": "require('nope')" });
    assert.equal(dependency.errorType, "Runtime.ImportModuleError");
    assert.match(
      dependency.errorMessage,
      /^Error: Cannot find module 'nope'\nRequire stack:\n- .*\/index\.js\n/,
    );

    const syntax = await initError(runtime, { "index.cjs": "exports.handler = async () => {" });
    assert.equal(syntax.errorType, "Runtime.UserCodeSyntaxError");
    assert.match(syntax.errorMessage, /^SyntaxError: /);
    assert.match(syntax.trace[0] ?? "", /index\.cjs:1$/);

    const undefinedExport = await initError(runtime, { "index.js": "exports.other = 1" });
    assert.equal(undefinedExport.errorType, "Runtime.HandlerNotFound");
    assert.equal(undefinedExport.errorMessage, "index.handler is undefined or not exported");

    const noFunction = await initError(runtime, { "index.js": "exports.handler = 1" });
    assert.equal(noFunction.errorType, "Runtime.HandlerNotFound");
    assert.equal(noFunction.errorMessage, "index.handler is not a function");

    const dots = await initError(runtime, {}, "../index.handler");
    assert.equal(dots.errorType, "Runtime.MalformedHandlerName");
    assert.equal((await initError(runtime, {}, "index")).errorMessage, "Bad handler");
  });

  test("an error of the function's own code while loading is told as it is", async () => {
    const thrown = await initError(runtime, { "index.js": "throw new TypeError('at load')" });
    assert.equal(thrown.errorType, "TypeError");
    assert.equal(thrown.errorMessage, "at load");
    assert.match(thrown.trace.join("\n"), /index\.js:1/);
  });

  test("a top-level await that nothing settles ends the process", async () => {
    using folder = folderWith({ "index.mjs": "await new Promise(() => {}); export const handler = 1" });
    await using started = launch(runtime);
    assert.equal((await started.start(folder.path, "index.handler")).type, undefined);
    assert.equal((await started.exited).code, 13);
  });
}

function answering(runtime: RuntimeAtHand): void {
  test("event, context, variables and working directory", async () => {
    const code = `exports.handler = async (event, context) => ({
      event, context, remaining: context.getRemainingTimeInMillis(), cwd: process.cwd(),
      mine: process.env.MINE, trace: process.env._X_AMZN_TRACE_ID })`;
    await withFunction(
      runtime,
      code,
      async (started) => {
        const clientContext = Buffer.from(JSON.stringify({ custom: { k: "v" } })).toString("base64");
        const answer = await started.invoke(
          { a: "é" },
          { clientContext, tenantId: "blue", traceHeader: "Root=1-2-3" },
        );
        const body = parse(answer) as { event: unknown; context: Record<string, unknown>; remaining: number };
        assert.deepEqual(body.event, { a: "é" });
        assert.equal(body.context["awsRequestId"], answer?.requestId);
        assert.equal(body.context["functionName"], "f");
        assert.equal(body.context["functionVersion"], "$LATEST");
        assert.equal(body.context["memoryLimitInMB"], "128");
        assert.equal(body.context["logGroupName"], "/aws/lambda/f");
        assert.match(String(body.context["logStreamName"]), /\[\$LATEST\]/);
        assert.equal(body.context["invokedFunctionArn"], ARN);
        assert.deepEqual(body.context["clientContext"], { custom: { k: "v" } });
        assert.equal(body.context["tenantId"], "blue");
        assert.ok(body.remaining > 0 && body.remaining <= 30_000);
        assert.equal(parse(answer)["mine"], "yes");
        assert.equal(parse(answer)["trace"], "Root=1-2-3");
        assert.match(String(parse(answer)["cwd"]), /hornero-runtime-/);
      },
      { environment: { MINE: "yes" } },
    );
  });

  test("undefined is null; large payloads go both ways whole", async () => {
    await withFunction(runtime, "exports.handler = async (e) => e.echo", async (started) => {
      assert.equal((await started.invoke({}))?.body.toString(), "null");
      const large = "ü".repeat(2_500_000);
      assert.equal(parse(await started.invoke({ echo: { large } }))["large"], large);
    });
  });

  test("what the event loop does between two invocations does not end the process", async () => {
    const code = "let n = 0; exports.handler = async () => { setTimeout(() => n++, 1); return n }";
    await withFunction(runtime, code, async (started) => {
      for (let i = 0; i < 5; i += 1) assert.equal((await started.invoke({}))?.type, FRAME.RESPONSE);
    });
  });
}

function failing(runtime: RuntimeAtHand): void {
  test("errors thrown and rejected", async () => {
    const code = `exports.handler = async (event) => {
      class Custom extends Error { constructor(m) { super(m); this.name = "Custom"; this.extra = 7 } }
      if (event.kind === "custom") throw new Custom("boom");
      if (event.kind === "string") throw "just text";
      if (event.kind === "big") return 10n;
      if (event.kind === "circular") { const o = {}; o.o = o; return o }
      return Promise.reject(event.kind === "undefined" ? undefined : { code: 5 });
    }`;
    await withFunction(runtime, code, async (started) => {
      const custom = await started.invoke({ kind: "custom" });
      assert.equal(custom?.type, FRAME.ERROR);
      const { errorType, errorMessage, trace } = parse(custom) as {
        errorType: string;
        errorMessage: string;
        trace: string[];
      };
      assert.deepEqual([errorType, errorMessage], ["Custom", "boom"]);
      assert.match(trace[1] ?? "", /index\.js:\d+/);
      assert.equal(custom.logs.length, 1);
      const line = custom.logs[0]?.text ?? "";
      assert.match(line, new RegExp(`^[\\d-]+T[\\d:.]+Z\t${custom.requestId}\tERROR\tInvoke Error \t\\{`));
      assert.equal((JSON.parse(line.slice(line.indexOf("{"))) as { extra: number }).extra, 7);

      assert.deepEqual(parse(await started.invoke({ kind: "string" })), {
        errorType: "string",
        errorMessage: "just text",
        trace: [],
      });
      const expected = runtime.number < 24 ? ["string", "handled"] : ["undefined", "undefined"];
      const nothing = parse(await started.invoke({ kind: "undefined" }));
      assert.deepEqual([nothing["errorType"], nothing["errorMessage"]], expected);
      for (const kind of ["big", "circular"]) {
        const unserialisable = parse(await started.invoke({ kind }));
        assert.equal(unserialisable["errorMessage"], "Unable to stringify response body");
        assert.equal(
          unserialisable["errorType"],
          runtime.number < 24 ? "Error" : "Runtime.JSONStringifyError",
        );
      }
    });
  });

  test("an event that is no JSON is an error of the invocation", async () => {
    await withFunction(runtime, "exports.handler = async () => 1", async (started) => {
      assert.equal(parse(await started.invoke(Buffer.from("{not json")))["errorType"], "SyntaxError");
      assert.equal((await started.invoke({}))?.type, FRAME.RESPONSE);
    });
  });

  test("an unhandled rejection fails the invocation and ends the process", async () => {
    const code = "exports.handler = async () => { Promise.reject(new Error('lost')); return 1 }";
    await withFunction(runtime, code, async (started) => {
      const answer = await started.invoke({});
      assert.equal(answer?.type, FRAME.FATAL);
      const error = parse(answer);
      assert.equal(error["errorType"], "Runtime.UnhandledPromiseRejection");
      assert.equal(error["errorMessage"], "Error: lost");
      assert.match(
        answer?.logs[0]?.text ?? "",
        /ERROR\tUnhandled Promise Rejection \t\{.*"reason":\{"errorType":"Error"/,
      );
      assert.equal((await started.exited).code, 128);
    });
  });

  test("an uncaught exception fails the invocation and ends the process", async () => {
    const code =
      "exports.handler = () => new Promise(() => setTimeout(() => { throw new RangeError('far') }, 1))";
    await withFunction(runtime, code, async (started) => {
      const error = parse(await started.invoke({}));
      assert.deepEqual([error["errorType"], error["errorMessage"]], ["RangeError", "far"]);
      assert.equal((await started.exited).code, 129);
    });
  });

  test("process.exit ends without an answer, and the log before it is kept", async () => {
    const code =
      "exports.handler = async () => { for (let i = 0; i < 300; i++) console.log('line', i); process.exit(7) }";
    await withFunction(runtime, code, async (started) => {
      started.send({});
      for (let i = 0; i < 300; i += 1) assert.equal((await started.frame())?.type, FRAME.LOG);
      assert.equal(await started.frame(), undefined);
      assert.equal((await started.exited).code, 7);
    });
  });

  test("a promise that nothing can settle is an error at once", async () => {
    await withFunction(
      runtime,
      "exports.handler = async () => { await new Promise(() => {}) }",
      async (started) => {
        assert.equal(parse(await started.invoke({}))["errorType"], "Runtime.NodeJsExit");
        assert.equal(parse(await started.invoke({}))["errorType"], "Runtime.NodeJsExit");
      },
    );
  });

  test("the process ends when the platform closes the link", async () => {
    await withFunction(runtime, "exports.handler = async () => 1", async (started) => {
      started.link.destroy();
      assert.equal((await started.exited).code, 74);
    });
  });
}

function logging(runtime: RuntimeAtHand): void {
  const code = `exports.handler = async () => {
    console.log("a %s", "b", { c: 1 }); console.trace("t"); console.debug("d"); console.info("i");
    console.warn("w\\nsecond line"); console.error(new Error("e")); process.stdout.write("raw\\n") }`;

  test("text: one event a call, with time, request id and level", async () => {
    await withFunction(runtime, code, async (started) => {
      const answer = await started.invoke({});
      const logs = answer?.logs ?? [];
      assert.deepEqual(
        logs.map(({ level }) => level),
        [3, 1, 2, 3, 4, 5],
      );
      const [time, id, level, text] = logs[0]?.text.split("\t") ?? [];
      assert.deepEqual([id, level, text], [answer?.requestId, "INFO", "a b { c: 1 }"]);
      assert.equal(new Date(time ?? "").getTime(), logs[0]?.timeMs);
      assert.ok(logs[4]?.text.endsWith("\tWARN\tw\nsecond line"));
      assert.match(logs[5]?.text ?? "", /\tERROR\tError: e\n {4}at .*index\.js/);
      started.link.destroy();
      await started.exited;
      assert.equal(started.stdout, "raw\n");
    });
  });

  test("JSON: structured, filtered by level", async () => {
    const environment = { AWS_LAMBDA_LOG_FORMAT: "JSON", AWS_LAMBDA_LOG_LEVEL: "INFO" };
    await withFunction(
      runtime,
      code,
      async (started) => {
        const answer = await started.invoke({}, { tenantId: "blue" });
        const records = (answer?.logs ?? []).map(({ text }) => JSON.parse(text) as Record<string, unknown>);
        assert.deepEqual(
          records.map(({ level }) => level),
          ["INFO", "INFO", "WARN", "ERROR"],
        );
        const { timestamp, ...rest } = records[0] ?? {};
        assert.match(String(timestamp), /^[\d-]+T[\d:.]+Z$/);
        assert.deepEqual(rest, {
          level: "INFO",
          requestId: answer?.requestId,
          tenantId: "blue",
          message: "a b { c: 1 }",
        });
        const error = records[3]?.["message"] as Record<string, unknown>;
        assert.deepEqual([error["errorType"], error["errorMessage"]], ["Error", "e"]);
        assert.ok(Array.isArray(error["stackTrace"]));
      },
      { environment },
    );
  });
}

function streaming(runtime: RuntimeAtHand): void {
  test("a streamed answer arrives in chunks, with its type and prelude", async () => {
    const code = `exports.handler = awslambda.streamifyResponse(async (event, stream) => {
      const out = awslambda.HttpResponseStream.from(stream, { statusCode: 201 });
      out.write("one"); out.write(Buffer.from("two")); out.end("three"); })`;
    await withFunction(runtime, code, async (started) => {
      for (let i = 0; i < 2; i += 1) {
        const answer = await started.invoke({});
        assert.equal(answer?.type, FRAME.STREAM_END);
        assert.equal(answer?.body.length, 0);
        assert.equal(answer?.contentType, "application/vnd.awslambda.http-integration-response");
        assert.equal(
          Buffer.concat(answer?.chunks ?? []).toString(),
          '{"statusCode":201}\0\0\0\0\0\0\0\0onetwothree',
        );
      }
    });
  });

  test("a reader that is slow gets all of a large stream, and does not stop the event loop", async () => {
    const code = `const { pipeline } = require("node:stream/promises"); const { Readable } = require("node:stream");
      exports.handler = awslambda.streamifyResponse(async (event, stream) => {
        setTimeout(() => process.stderr.write("alive"), 20);
        await pipeline(Readable.from((function* () { for (let i = 0; i < 64; i++) yield Buffer.alloc(65536, i) })()), stream) })`;
    await withFunction(runtime, code, async (started) => {
      started.link.pause();
      started.send({});
      // 4 MiB do not fit the socket: the runtime waits for its reader when the timer fires.
      await started.stderrShows("alive");
      started.link.resume();
      const bytes = Buffer.concat((await started.answer())?.chunks ?? []);
      assert.equal(bytes.length, 64 * 65_536);
      for (let i = 0; i < 64; i += 1) assert.equal(bytes[i * 65_536 + 65_535], i);
    });
  });

  test("errors before and in the middle of a stream", async () => {
    const code = `exports.handler = awslambda.streamifyResponse(async (event, stream) => {
      if (event.write) { stream.write("part"); await new Promise((r) => setTimeout(r, 1)) }
      if (event.hang) return; throw new Error("broke") })`;
    await withFunction(runtime, code, async (started) => {
      const before = await started.invoke({});
      assert.equal(before?.type, FRAME.ERROR);
      assert.equal(parse(before)["errorMessage"], "broke");
      const middle = await started.invoke({ write: true });
      assert.equal(middle?.type, FRAME.STREAM_END);
      assert.equal(Buffer.concat(middle?.chunks ?? []).toString(), "part");
      assert.equal(parse(middle)["errorMessage"], "broke");
      const never = await started.invoke({ write: true, hang: true });
      assert.equal(never?.type, FRAME.STREAM_END);
      assert.equal(parse(never)["errorMessage"], "Response stream is not finished.");
    });
  });
}

function callbacks(runtime: RuntimeAtHand): void {
  test("callbacks, context.succeed, fail and done", async () => {
    const code = `exports.handler = (event, context, callback) => {
      if (event.how === "callback") callback(null, "c");
      if (event.how === "error") callback(new Error("e"));
      if (event.how === "succeed") context.succeed("s");
      if (event.how === "fail") context.fail("f");
      if (event.how === "done") context.done(null, "d");
      if (event.how === "twice") { callback(null, 1); callback(null, 2) }
      if (event.how === "throw") throw new Error("t");
      return "ignored" }`;
    await withFunction(runtime, code, async (started) => {
      const bodies: Record<string, string> = {
        callback: '"c"',
        succeed: '"s"',
        done: '"d"',
        twice: "1",
        none: "null",
      };
      for (const [how, body] of Object.entries(bodies)) {
        assert.equal((await started.invoke({ how }))?.body.toString(), body, how);
      }
      for (const [how, message] of Object.entries({ error: "e", fail: "f", throw: "t" })) {
        const answer = await started.invoke({ how });
        assert.equal(answer?.type, FRAME.ERROR, how);
        assert.equal(parse(answer)["errorMessage"], message);
      }
    });
  });

  test("a callback waits for the empty event loop, unless told not to", async () => {
    const code = `let later = 0; exports.handler = (event, context, callback) => {
      context.callbackWaitsForEmptyEventLoop = event.wait;
      const was = later; later = 0;
      setTimeout(() => { later = 1; console.log("later") }, 5); callback(null, was) }`;
    await withFunction(runtime, code, async (started) => {
      assert.equal((await started.invoke({ wait: true }))?.logs.length, 1);
      assert.equal((await started.invoke({ wait: false }))?.logs.length, 0);
    });
  });
}

function withoutCallbacks(runtime: RuntimeAtHand): void {
  test("a handler with a callback parameter is refused in AWS's words", async () => {
    const error = await initError(runtime, {
      "index.js": "exports.handler = (event, context, callback) => callback()",
    });
    assert.equal(error.errorType, "Runtime.CallbackHandlerDeprecated");
    assert.match(
      error.errorMessage,
      /^ERROR: AWS Lambda has removed support for callback-based function handlers/,
    );
  });

  test("a value returned without a promise is the answer", async () => {
    await withFunction(runtime, "exports.handler = (event) => 'plain'", async (started) => {
      assert.equal((await started.invoke({}))?.body.toString(), '"plain"');
    });
  });

  test("ES module syntax in a .js file with top-level await", async () => {
    const code = "const v = await Promise.resolve(3); export const handler = async () => v;";
    await withFunction(runtime, code, async (started) => {
      assert.equal((await started.invoke({}))?.body.toString(), "3");
    });
  });
}
