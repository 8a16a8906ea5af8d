/**
 * Goal: the Python runtime loads handlers, answers, logs and fails as AWS's does, on every CPython ≥ 3.9 at hand.
 * Method: the runtime as a plain child process, real handler files in a temporary folder, the fast link driven frame by
 * frame.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { FRAME } from "../../src/lambda/environment/link.ts";
import { runtimesAtHand, type RuntimeAtHand } from "./interpreters.ts";
import { folderWith, parse, RuntimeProcess } from "./runtime-process.ts";

const runtimes = await runtimesAtHand("python");

test("a CPython is at hand", { skip: runtimes.length === 0 && "no CPython ≥ 3.9 on this machine" }, () => {
  assert.ok(runtimes.length > 0);
});

for (const runtime of runtimes) {
  describe(runtime.id, { concurrency: 2 }, () => {
    loading(runtime);
    answering(runtime);
    failing(runtime);
    logging(runtime);
  });
}

function launch({ command, environment }: RuntimeAtHand): RuntimeProcess {
  return new RuntimeProcess(command, { ...environment });
}

async function withFunction(
  runtime: RuntimeAtHand,
  code: string,
  body: (started: RuntimeProcess, taskRoot: string) => Promise<void>,
  environment: Record<string, string> = {},
): Promise<void> {
  using folder = folderWith({ "app.py": code });
  await using started = launch(runtime);
  const ready = await started.start(folder.path, "app.handler", environment);
  assert.equal(ready.type, FRAME.READY, `${ready.body.toString()} ${started.stderr}`);
  await body(started, folder.path);
}

async function initError(runtime: RuntimeAtHand, code: string, handler = "app.handler") {
  using folder = folderWith({ "app.py": code });
  await using started = launch(runtime);
  const { type, body, logs } = await started.start(folder.path, handler);
  assert.equal(type, FRAME.INIT_ERROR, started.stderr);
  const { code: exitCode } = await started.exited;
  const error = JSON.parse(body.toString()) as {
    errorType: string;
    errorMessage: string;
    requestId: string;
    stackTrace: string[];
  };
  return { ...error, log: logs.at(-1)?.text ?? "", exitCode };
}

function loading(runtime: RuntimeAtHand): void {
  const code = "def handler(event, context):\n    return __name__\n";
  for (const [file, handler, name] of [
    ["app.py", "app.handler", "app"],
    ["pkg/sub/app.py", "pkg.sub.app.handler", "pkg.sub.app"],
    ["pkg/sub/app.py", "pkg/sub/app.handler", "pkg.sub.app"],
  ] as const) {
    test(`loads ${handler} from ${file}`, async () => {
      using folder = folderWith({ [file]: code });
      await using started = launch(runtime);
      assert.equal((await started.start(folder.path, handler)).type, FRAME.READY);
      assert.equal((await started.invoke({}))?.body.toString(), `"${name}"`);
    });
  }

  test("init errors have AWS's types and words", async () => {
    const missing = await initError(runtime, "", "nothere.handler");
    assert.equal(missing.errorType, "Runtime.ImportModuleError");
    assert.equal(missing.errorMessage, "Unable to import module 'nothere': No module named 'nothere'");
    assert.deepEqual(missing.stackTrace, []);
    assert.equal(
      missing.log,
      `[ERROR] ${missing.errorType}: ${missing.errorMessage}\nTraceback (most recent call last):`,
    );
    assert.equal(missing.exitCode, 1);

    const dependency = await initError(runtime, "import nope");
    assert.equal(dependency.errorMessage, "Unable to import module 'app': No module named 'nope'");

    const syntax = await initError(runtime, "def handler(:\n");
    assert.equal(syntax.errorType, "Runtime.UserCodeSyntaxError");
    assert.match(syntax.errorMessage, /^Syntax error in module 'app': .*\(app\.py, line 1\)$/);
    assert.match(syntax.stackTrace[0] ?? "", /^ {2}File ".*app\.py" Line 1\n/);

    const noHandler = await initError(runtime, "x = 1");
    assert.equal(noHandler.errorType, "Runtime.HandlerNotFound");
    assert.equal(noHandler.errorMessage, "Handler 'handler' missing on module 'app'");

    const malformed = await initError(runtime, "", "app");
    assert.equal(malformed.errorType, "Runtime.MalformedHandlerName");
    assert.equal(
      malformed.errorMessage,
      "Bad handler 'app': not enough values to unpack (expected 2, got 1)",
    );

    assert.equal((await initError(runtime, "", "sys.exit")).errorType, "Runtime.BuiltInModuleConflict");

    const thrown = await initError(runtime, "raise KeyError('at import')");
    assert.deepEqual([thrown.errorType, thrown.errorMessage], ["KeyError", "'at import'"]);
    assert.match(thrown.stackTrace.join(""), /app\.py", line 1, in <module>/);
  });

  test("sys.exit while loading ends the process with its status", async () => {
    using folder = folderWith({ "app.py": "import sys\nsys.exit(9)" });
    await using started = launch(runtime);
    assert.equal((await started.start(folder.path, "app.handler")).type, undefined);
    assert.equal((await started.exited).code, 9);
  });

  test("modules are searched in Lambda's order", async () => {
    const code = "import sys\ndef handler(event, context):\n    return sys.path\n";
    await withFunction(
      runtime,
      code,
      async (started, taskRoot) => {
        const path = JSON.parse(String((await started.invoke({}))?.body)) as string[];
        const version = `python3.${runtime.number}`;
        assert.deepEqual(path.slice(0, 4), [
          taskRoot,
          `/opt/python/lib/${version}/site-packages`,
          "/opt/python",
          "/var/task/vendored",
        ]);
        const standard = path.findIndex((folder) => folder.endsWith(`/lib/${version}`));
        const installed = path.findIndex((folder, at) => at > 3 && /(site|dist)-packages$/.test(folder));
        assert.ok(3 < standard && standard < installed, path.join());
      },
      { PYTHONPATH: "/var/task/vendored" },
    );
  });
}

function answering(runtime: RuntimeAtHand): void {
  test("event, context, variables, time zone and working directory", async () => {
    const code = `
import os, time
def handler(event, context):
    c = context.client_context
    return {
        "event": event, "id": context.aws_request_id, "name": context.function_name,
        "version": context.function_version, "memory": context.memory_limit_in_mb,
        "group": context.log_group_name, "stream": context.log_stream_name,
        "arn": context.invoked_function_arn, "tenant": context.tenant_id,
        "remaining": context.get_remaining_time_in_millis(),
        "title": c.client.app_title, "custom": c.custom, "env": c.env, "missing": c.client.app_version_code,
        "identity": context.identity.cognito_identity_id,
        "cwd": os.getcwd(), "mine": os.environ["MINE"], "trace": os.environ["_X_AMZN_TRACE_ID"],
        "zone": time.strftime("%z"), "text": repr(context)[:14],
    }
`;
    const environment = { MINE: "yes", TZ: "Asia/Kolkata" };
    await withFunction(
      runtime,
      code,
      async (started, taskRoot) => {
        const client = { client: { app_title: "t" }, custom: { k: "v" }, env: { e: 1 } };
        const answer = await started.invoke(
          { a: "é" },
          {
            clientContext: Buffer.from(JSON.stringify(client)).toString("base64"),
            cognitoIdentity: { cognitoIdentityId: "me", cognitoIdentityPoolId: "pool" },
            tenantId: "blue",
            traceHeader: "Root=1-2-3",
          },
        );
        const { remaining, stream, ...body } = parse(answer);
        assert.ok(Number(remaining) > 0 && Number(remaining) <= 30_000);
        assert.match(String(stream), /\[\$LATEST\]/);
        assert.deepEqual(body, {
          event: { a: "é" },
          id: answer?.requestId,
          name: "f",
          version: "$LATEST",
          memory: "128",
          group: "/aws/lambda/f",
          arn: "arn:aws:lambda:us-east-1:123456789012:function:f",
          tenant: "blue",
          title: "t",
          custom: { k: "v" },
          env: { e: 1 },
          missing: null,
          identity: "me",
          cwd: taskRoot,
          mine: "yes",
          trace: "Root=1-2-3",
          zone: "+0530",
          text: "LambdaContext(",
        });
      },
      environment,
    );
  });

  test("answers: nothing, decimals, bytes, unicode as the version writes it, large payloads", async () => {
    const code = `
from decimal import Decimal
def handler(event, context):
    kind = event["kind"]
    if kind == "decimal": return [Decimal("1.10"), Decimal("12345678901234567890.123"), "1.10", Decimal("NaN")]
    if kind == "bytes": return b"\\x00raw"
    if kind == "unicode": return "ü"
    if kind == "echo": return event["echo"]
`;
    await withFunction(runtime, code, async (started) => {
      const answer = async (event: unknown) => (await started.invoke(event))?.body.toString();
      assert.equal(await answer({ kind: "none" }), "null");
      assert.equal(await answer({ kind: "decimal" }), '[1.10, 12345678901234567890.123, "1.10", NaN]');
      assert.equal(await answer({ kind: "bytes" }), "\0raw");
      assert.equal(await answer({ kind: "unicode" }), runtime.number < 12 ? '"\\u00fc"' : '"ü"');
      const large = "x".repeat(5_000_000);
      assert.equal(await answer({ kind: "echo", echo: large }), JSON.stringify(large));
    });
  });
}

function failing(runtime: RuntimeAtHand): void {
  test("errors of the handler", async () => {
    const code = `
class Custom(Exception):
    pass
class Unprintable(Exception):
    def __str__(self): raise RuntimeError("no")
def inner():
    raise Custom("boom")
def handler(event, context):
    if event["kind"] == "set": return {1, 2}
    if event["kind"] == "unprintable": raise Unprintable()
    inner()
`;
    await withFunction(runtime, code, async (started) => {
      const answer = await started.invoke({ kind: "custom" });
      assert.equal(answer?.type, FRAME.ERROR);
      const { stackTrace, ...error } = parse(answer) as { stackTrace: string[] };
      assert.deepEqual(error, { errorMessage: "boom", errorType: "Custom", requestId: answer?.requestId });
      assert.equal(stackTrace.length, 2);
      assert.match(stackTrace[0] ?? "", /^ {2}File ".*app\.py", line 11, in handler\n {4}inner\(\)\n$/);
      const log = answer?.logs[0];
      assert.equal(log?.level, 5);
      assert.match(
        log?.text ?? "",
        /^\[ERROR\] Custom: boom\nTraceback \(most recent call last\):\n\u00a0\u00a0File ".*app\.py", line 11, in handler\n/,
      );

      const set = parse(await started.invoke({ kind: "set" }));
      assert.equal(set["errorType"], "Runtime.MarshalError");
      assert.equal(
        set["errorMessage"],
        "Unable to marshal response: Object of type set is not JSON serializable",
      );
      const unprintable = parse(await started.invoke({ kind: "unprintable" }));
      assert.equal(unprintable["errorMessage"], "<unprintable Unprintable object>");
      const malformed = parse(await started.invoke(Buffer.from("{not json")));
      assert.equal(malformed["errorType"], "Runtime.UnmarshalError");
      assert.match(String(malformed["errorMessage"]), /^Unable to unmarshal input: Expecting property name/);
    });
  });

  test("sys.exit and os._exit end the process without an answer; logs before it are kept", async () => {
    const code = `
import logging, os, sys
def handler(event, context):
    for i in range(300): logging.getLogger().error("line %d", i)
    print("printed")
    os._exit(5) if event["hard"] else sys.exit(4)
`;
    for (const hard of [true, false]) {
      await withFunction(runtime, code, async (started) => {
        started.send({ hard });
        for (let i = 0; i < 300; i += 1) assert.equal((await started.frame())?.type, FRAME.LOG);
        assert.equal(await started.frame(), undefined);
        assert.equal((await started.exited).code, hard ? 5 : 4);
        assert.equal(started.stdout, "printed\n");
      });
    }
  });

  test("the process ends when the platform closes the link", async () => {
    await withFunction(runtime, "def handler(e, c): pass", async (started) => {
      started.link.destroy();
      assert.equal((await started.exited).code, 74);
    });
  });
}

function logging(runtime: RuntimeAtHand): void {
  const code = `
import logging, threading
log = logging.getLogger("app")
def handler(event, context):
    log.debug("d"); log.info("i"); log.warning("w %s", 1, extra={"order": 7, "odd": {1}}); log.critical("c")
    try:
        1 / 0
    except ZeroDivisionError:
        log.exception("caught")
    context.log("from context")
    print("printed", end="")
`;

  test("text: the root handler's format, at WARNING by default", async () => {
    await withFunction(runtime, code, async (started) => {
      const answer = await started.invoke({});
      const logs = answer?.logs ?? [];
      assert.deepEqual(
        logs.map(({ level }) => level),
        [4, 6, 5, 0],
      );
      const [level, time, id, text] = logs[0]?.text.split("\t") ?? [];
      assert.deepEqual([level, id, text], ["[WARNING]", answer?.requestId, "w 1"]);
      assert.equal(new Date(time ?? "").getTime(), Math.floor(logs[0]?.timeMs ?? 0));
      assert.match(
        logs[2]?.text ?? "",
        /\tcaught\nTraceback \(most recent call last\):\n[^]*ZeroDivisionError/,
      );
      assert.equal(logs[3]?.text, "from context");
      started.link.destroy();
      await started.exited;
      assert.equal(started.stdout, "printed");
    });
  });

  test("JSON: structured, filtered by level, extras kept", async () => {
    const environment = { AWS_LAMBDA_LOG_FORMAT: "JSON", AWS_LAMBDA_LOG_LEVEL: "INFO" };
    await withFunction(
      runtime,
      code,
      async (started) => {
        const answer = await started.invoke({}, { tenantId: "blue" });
        const records = (answer?.logs ?? [])
          .slice(0, 4)
          .map(({ text }) => JSON.parse(text) as Record<string, unknown>);
        assert.deepEqual(
          records.map(({ level }) => level),
          ["INFO", "WARNING", "CRITICAL", "ERROR"],
        );
        const { timestamp, ...rest } = records[1] ?? {};
        assert.match(String(timestamp), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
        assert.deepEqual(rest, {
          level: "WARNING",
          message: "w 1",
          logger: "app",
          requestId: answer?.requestId,
          tenantId: "blue",
          order: 7,
          odd: "{1}",
        });
        const caught = records[3] ?? {};
        assert.equal(caught["errorType"], "ZeroDivisionError");
        assert.match(String(caught["location"]), /app\.py:handler:\d+$/);
        assert.ok(Array.isArray(caught["stackTrace"]));
      },
      environment,
    );
  });

  test("threads that log at once do not mix their lines", async () => {
    const code = `
import logging, threading
def work(n):
    for i in range(200): logging.getLogger().error("%d:%d:%s", n, i, "x" * 500)
def handler(event, context):
    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    [t.start() for t in threads]
    [t.join() for t in threads]
`;
    await withFunction(runtime, code, async (started) => {
      const logs = (await started.invoke({}))?.logs ?? [];
      assert.equal(logs.length, 800);
      for (const { text } of logs) assert.match(text, /\t\d:\d+:x{500}$/);
    });
  });
}
