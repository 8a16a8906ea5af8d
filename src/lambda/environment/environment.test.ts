// Goal: every way an invocation can end is answered and logged as AWS Lambda does, and the state machine holds.
// Method: an Environment over a sandbox whose inside is the test, on a clock that the test moves.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ManualClock } from "../../kernel/clock.ts";
import type { FunctionVersion, Invocation, ResponseSink } from "../model.ts";
import { EnvironmentLog } from "./environment-log.ts";
import { Environment } from "./environment.ts";
import { FakeSandbox, fakeVersion, MemoryLogSink } from "./fakes.ts";
import { FRAME } from "./link.ts";
import { LinkConnection } from "./link-connection.ts";
import { textLines } from "./platform-lines.ts";

const ID = "8476a536-e9f4-11e8-9739-2dfe598c3fcd";

function invocation(overrides: Partial<Invocation> = {}): Invocation {
  return {
    requestId: ID,
    payload: Buffer.from('{"a":1}'),
    invokedFunctionArn: "arn:aws:lambda:us-east-1:000000000000:function:f",
    traceHeader: "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=0",
    ...overrides,
  };
}

function setUp(overrides: Partial<FunctionVersion> = {}) {
  const clock = new ManualClock();
  const sandbox = new FakeSandbox();
  const sink = new MemoryLogSink();
  const version = fakeVersion(overrides);
  const told: string[] = [];
  const log = new EnvironmentLog({
    clock,
    sink,
    target: { group: version.logging.group, stream: "s" },
    onPressure: (pause) => environment.holdBack(pause),
  });
  const environment: Environment = new Environment({
    function: version,
    clock,
    log,
    lines: textLines({
      functionName: "f",
      version: "$LATEST",
      region: "us-east-1",
      runtimeVersion: "nodejs:24.v1",
    }),
    occupy: async (events) => {
      const connection = new LinkConnection(sandbox.link);
      connection.specialise({ environment: {}, handler: "index.handler", taskRoot: "/var/task" }, events);
      return { sandbox, connection };
    },
    onEnded: () => told.push("ended"),
    onIdle: () => told.push("idle"),
    onFault: (error) => told.push(error.message),
  });
  return { clock, sandbox, sink, environment, told };
}

type SetUp = ReturnType<typeof setUp>;

async function started(overrides: Partial<FunctionVersion> = {}): Promise<SetUp> {
  const parts = setUp(overrides);
  parts.sandbox.onFrame = ({ type }) => {
    if (type !== FRAME.SPECIALISE) return;
    parts.clock.advance(110.1);
    parts.sandbox.send(FRAME.READY);
  };
  const init = await parts.environment.start();
  assert.equal(init.status, "ready");
  return parts;
}

/** Answers the next invocation by `act`, called with the sandbox when INVOKE has arrived. */
function onInvoke(parts: SetUp, act: (parts: SetUp) => void): void {
  parts.sandbox.onFrame = ({ type }) => {
    if (type === FRAME.INVOKE) act(parts);
  };
}

const turn = () =>
  new Promise<void>((resolve) => void setImmediate(() => setImmediate(() => setImmediate(resolve))));

describe("an execution environment", () => {
  it("answers, meters and logs a cold invocation, then a warm one", async () => {
    const parts = await started();
    onInvoke(parts, ({ sandbox, clock }) => {
      sandbox.log("hello", clock.nowMs());
      clock.advance(3.01);
      sandbox.send(FRAME.RESPONSE, Buffer.from(ID), Buffer.from('{"ok":true}'));
    });
    const cold = await parts.environment.invoke(invocation({ wantsTail: true }));
    assert.equal(cold.payload.toString(), '{"ok":true}');
    assert.equal(cold.functionError, undefined);
    assert.equal(cold.report.billedMs, 114);
    const expected = [
      `START RequestId: ${ID} Version: $LATEST`,
      "hello",
      `END RequestId: ${ID}`,
      `REPORT RequestId: ${ID}\tDuration: 3.01 ms\tBilled Duration: 114 ms\tMemory Size: 128 MB\tMax Memory Used: 36 MB\tInit Duration: 110.10 ms\t`,
    ];
    assert.equal(cold.logTail?.toString(), expected.map((line) => `${line}\n`).join(""));
    assert.equal(parts.environment.state, "IDLE");
    const warm = await parts.environment.invoke(invocation());
    assert.equal(warm.report.initDurationMs, undefined);
    assert.equal(warm.report.billedMs, 4);
    await turn();
    assert.match(
      parts.sink.messages[0] ?? "",
      /^INIT_START Runtime Version: nodejs:24.v1\tRuntime Version ARN: arn:aws:lambda:us-east-1::runtime:[0-9a-f]{64}$/,
    );
    assert.deepEqual(parts.sink.messages.slice(1, 5), expected);
    assert.deepEqual(parts.told, ["idle", "idle"]);
    await parts.environment.shutdown("test");
  });

  it("takes nothing more after an error that ends the runtime", async () => {
    const parts = await started();
    const error = Buffer.from('{"errorType":"Runtime.UnhandledPromiseRejection","errorMessage":"lost"}');
    onInvoke(parts, ({ sandbox }) => sandbox.send(FRAME.FATAL, Buffer.from(ID), error));
    const outcome = await parts.environment.invoke(invocation());
    assert.equal(outcome.payload.toString(), error.toString());
    await turn();
    assert.equal(parts.environment.state, "BUSY");
    assert.deepEqual(parts.told, []);
    parts.sandbox.exit({ code: 128, signal: undefined, outOfMemory: false });
    await parts.environment.gone;
    await turn();
    assert.deepEqual(parts.told, ["ended"]);
    assert.equal(
      parts.sink.messages.at(-1),
      `RequestId: ${ID} Error: Runtime exited with error: exit status 128\nRuntime.ExitError`,
    );
  });

  it("hands the runtime its head and the event's bytes untouched", async () => {
    const parts = await started();
    onInvoke(parts, ({ sandbox }) => sandbox.send(FRAME.RESPONSE, Buffer.from(ID), Buffer.from("null")));
    await parts.environment.invoke(invocation({ clientContext: "e30=", tenantId: "t" }));
    const frame = parts.sandbox.frames.find(({ type }) => type === FRAME.INVOKE);
    const length = frame?.body.readUInt32LE(0) ?? 0;
    const head = JSON.parse(frame?.body.toString("utf8", 4, 4 + length) ?? "") as Record<string, unknown>;
    assert.equal(head["requestId"], ID);
    assert.equal(head["clientContext"], "e30=");
    assert.equal(head["tenantId"], "t");
    assert.equal(head["deadlineMs"], Math.floor(parts.clock.nowMs() + 3000));
    assert.equal(frame?.body.toString("utf8", 4 + length), '{"a":1}');
    await parts.environment.shutdown("test");
  });

  it("passes a function's error through and stays warm", async () => {
    const parts = await started();
    const error = '{"errorType":"TypeError","errorMessage":"no","trace":[]}';
    onInvoke(parts, ({ sandbox }) => sandbox.send(FRAME.ERROR, Buffer.from(ID), Buffer.from(error)));
    const outcome = await parts.environment.invoke(invocation());
    assert.equal(outcome.functionError, "Unhandled");
    assert.equal(outcome.payload.toString(), error);
    assert.equal(outcome.report.errorType, "TypeError");
    await turn();
    assert.equal(parts.environment.state, "IDLE");
    await parts.environment.shutdown("test");
  });

  it("ends at the timeout's millisecond and is not used again", async () => {
    const parts = await started({ timeoutMs: 2500 });
    const answer = parts.environment.invoke(invocation());
    parts.clock.advance(2499);
    assert.equal(parts.environment.state, "BUSY");
    parts.clock.advance(1);
    const outcome = await answer;
    assert.equal(
      outcome.payload.toString(),
      `{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: ${ID} Error: Task timed out after 2.50 seconds"}`,
    );
    await parts.environment.gone;
    await turn();
    const log = parts.sink.messages.join("\n");
    assert.match(log, new RegExp(`Z ${ID} Task timed out after 2.50 seconds`));
    assert.match(log, /Duration: 2500.00 ms\t.*\tStatus: timeout/);
    assert.deepEqual(parts.told, ["ended"]);
    assert.ok(parts.sandbox.calls.includes("destroy"));
  });

  const exits = [
    { exit: { code: 1 }, cause: "Runtime exited with error: exit status 1" },
    { exit: { code: 0 }, cause: "Runtime exited without providing a reason" },
    { exit: { signal: "SIGKILL" }, cause: "Runtime exited with error: signal: killed" },
    { exit: { signal: "SIGSEGV" }, cause: "Runtime exited with error: signal: segmentation fault" },
    { exit: { code: 137, outOfMemory: true }, cause: "Runtime exited with error: signal: killed" },
  ];
  for (const { exit, cause } of exits) {
    it(`tells that the runtime ended: ${JSON.stringify(exit)}`, async () => {
      const parts = await started();
      onInvoke(parts, ({ sandbox }) => {
        sandbox.output.write("last words");
        sandbox.exit(exit);
      });
      const outcome = await parts.environment.invoke(invocation({ wantsTail: true }));
      assert.equal(
        outcome.payload.toString(),
        `{"errorType":"Runtime.ExitError","errorMessage":"RequestId: ${ID} Error: ${cause}"}`,
      );
      const tail = outcome.logTail?.toString() ?? "";
      assert.match(tail, /last words/);
      assert.match(tail, new RegExp(`RequestId: ${ID} Error: ${cause}\nRuntime.ExitError`));
      assert.match(tail, /\tStatus: error\tError Type: Runtime.ExitError/);
      await parts.environment.gone;
    });
  }

  it("prefers an answer that came before the exit", async () => {
    const parts = await started();
    onInvoke(parts, ({ sandbox }) => {
      sandbox.send(FRAME.RESPONSE, Buffer.from(ID), Buffer.from("1"));
      setImmediate(() => sandbox.exit({ code: 0 }));
    });
    const outcome = await parts.environment.invoke(invocation());
    assert.equal(outcome.payload.toString(), "1");
    await parts.environment.gone;
  });

  it("refuses an answer over the limit in AWS's words", async () => {
    const parts = await started();
    const big = Buffer.alloc(6 * 1024 * 1024 + 101, 0x61);
    onInvoke(parts, ({ sandbox }) => sandbox.send(FRAME.RESPONSE, Buffer.from(ID), big));
    const outcome = await parts.environment.invoke(invocation());
    assert.deepEqual(JSON.parse(outcome.payload.toString()), {
      errorMessage: "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
      errorType: "Function.ResponseSizeTooLarge",
    });
    await parts.environment.shutdown("test");
  });

  it("keeps raw output that came before the answer in the invocation's log", async () => {
    const parts = await started();
    onInvoke(parts, ({ sandbox }) => {
      sandbox.send(FRAME.RESPONSE, Buffer.from(ID), Buffer.from("1"));
      sandbox.output.write("one\ntwo");
    });
    await parts.environment.invoke(invocation());
    await turn();
    const at = parts.sink.messages.indexOf("two");
    assert.equal(parts.sink.messages[at - 1], "one");
    assert.equal(parts.sink.messages[at + 1], `END RequestId: ${ID}`);
    await parts.environment.shutdown("test");
  });

  it("tells a failed init, and repeats it inside an invocation under the function's timeout", async () => {
    const parts = setUp();
    const error = '{"errorType":"Runtime.ImportModuleError","errorMessage":"Error: Cannot find module"}';
    parts.sandbox.onFrame = ({ type }) => {
      if (type === FRAME.SPECIALISE) parts.sandbox.send(FRAME.INIT_ERROR, Buffer.from(error));
    };
    const init = await parts.environment.start();
    assert.equal(init.status, "failed");
    await parts.environment.gone;
    await turn();
    assert.match(
      parts.sink.messages.at(-1) ?? "",
      /^INIT_REPORT Init Duration: .* ms\tPhase: init\tStatus: error\tError Type: Runtime.ImportModuleError$/,
    );

    const again = setUp();
    again.sandbox.onFrame = parts.sandbox.onFrame;
    again.sandbox.onFrame = ({ type }) => {
      if (type === FRAME.SPECIALISE) again.sandbox.send(FRAME.INIT_ERROR, Buffer.from(error));
    };
    const outcome = await again.environment.startWith(invocation());
    assert.equal(outcome.payload.toString(), error);
    assert.equal(outcome.functionError, "Unhandled");
    await again.environment.gone;
  });

  it("gives the init phase ten seconds, and an init inside an invocation the function's timeout", async () => {
    const parts = setUp();
    const init = parts.environment.start();
    await turn();
    parts.clock.advance(10_000);
    const outcome = await init;
    assert.equal(outcome.status, "failed");
    await parts.environment.gone;
    await turn();
    assert.match(
      parts.sink.messages.at(-1) ?? "",
      /^INIT_REPORT Init Duration: 10000.00 ms\tPhase: init\tStatus: timeout$/,
    );

    const again = setUp();
    const answer = again.environment.startWith(invocation());
    await turn();
    again.clock.advance(3000);
    assert.match((await answer).payload.toString(), /Sandbox.Timedout.*Task timed out after 3.00 seconds/);
    await again.environment.gone;
  });

  it("survives its sandbox's death while idle, and ends once", async () => {
    const parts = await started();
    parts.sandbox.exit({ signal: "SIGKILL" });
    await parts.environment.gone;
    assert.deepEqual(parts.told, ["ended"]);
    await parts.environment.shutdown("again");
    assert.deepEqual(parts.told, ["ended"]);
  });

  it("freezes when idle, and wakes", async () => {
    const parts = await started();
    // The CPU limit comes a turn after the first event.
    await turn();
    assert.equal(await parts.environment.freeze(), true);
    assert.equal(parts.environment.state, "FROZEN");
    assert.throws(() => void parts.environment.invoke(invocation()), /handed what it can take/);
    await parts.environment.wake();
    assert.equal(parts.environment.state, "IDLE");
    assert.deepEqual(parts.sandbox.calls, ["limitCpu", "freeze", "thaw"]);
    await parts.environment.shutdown("test");
  });

  it("ends when the runtime breaks the protocol", async () => {
    const parts = await started();
    onInvoke(parts, ({ sandbox }) => sandbox.send(99));
    const outcome = await parts.environment.invoke(invocation());
    assert.match(outcome.payload.toString(), /Sandbox.Failure/);
    await parts.environment.gone;
  });

  it("answers what runs when it is shut down", async () => {
    const parts = await started();
    const answer = parts.environment.invoke(invocation());
    await parts.environment.shutdown("the server stops");
    assert.equal((await answer).report.status, "failure");
    assert.equal(parts.environment.state, "GONE");
  });

  it("reads a streamed answer no faster than its sink takes it, and nobody waits for the next one's", async () => {
    const parts = await started();
    const streamed: string[] = [];
    const room = Promise.withResolvers<void>();
    const sink: ResponseSink = {
      write: (chunk, contentType) => {
        streamed.push(`${chunk.toString()} ${contentType}`);
        return streamed.length !== 2;
      },
      drained: () => room.promise,
    };
    const id = Buffer.from(ID);
    const answer = parts.environment.invoke(invocation({ sink }));
    parts.sandbox.send(FRAME.STREAM, id, Buffer.from("a"));
    parts.sandbox.send(FRAME.STREAM, id, Buffer.from("b"));
    while (streamed.length < 2) await turn();
    assert.equal(parts.sandbox.link.isPaused(), true);
    parts.sandbox.send(FRAME.STREAM, id, Buffer.from("c"));
    parts.sandbox.send(FRAME.STREAM_END, id);
    await turn();
    assert.equal(streamed.length, 2);
    room.resolve();
    const outcome = await answer;
    assert.deepEqual(
      streamed,
      ["a", "b", "c"].map((text) => `${text} application/octet-stream`),
    );
    assert.deepEqual([outcome.payload.length, outcome.functionError], [0, undefined]);
    assert.equal(parts.sandbox.link.isPaused(), false);
    await parts.environment.shutdown("test");
  });

  it("reads on when a streamed answer has ended whose sink is still full", async () => {
    const parts = await started();
    const sink: ResponseSink = { write: () => false, drained: () => new Promise(() => undefined) };
    const frame = Buffer.concat([Buffer.from([41, 0, 0, 0, FRAME.STREAM]), Buffer.from(`${ID}half`)]);
    const end = Buffer.concat([Buffer.from([37, 0, 0, 0, FRAME.STREAM_END]), Buffer.from(ID)]);
    onInvoke(parts, ({ sandbox }) => sandbox.inside.write(Buffer.concat([frame, end])));
    assert.equal((await parts.environment.invoke(invocation({ sink }))).report.status, "success");
    assert.equal(parts.sandbox.link.isPaused(), false);
    while (parts.environment.state !== "IDLE") await turn();
    onInvoke(parts, ({ sandbox }) => sandbox.send(FRAME.RESPONSE, Buffer.from(ID), Buffer.from("1")));
    assert.equal((await parts.environment.invoke(invocation())).payload.toString(), "1");
    await parts.environment.shutdown("test");
  });

  it("tells how a runtime ended whose answer waits for its reader", async () => {
    const parts = await started();
    const streamed: string[] = [];
    const sink: ResponseSink = {
      write: (chunk) => streamed.push(chunk.toString()) === 0,
      drained: () => new Promise(() => undefined),
    };
    const answer = parts.environment.invoke(invocation({ sink }));
    parts.sandbox.send(FRAME.STREAM, Buffer.from(ID), Buffer.from("a"));
    while (streamed.length < 1) await turn();
    parts.sandbox.send(FRAME.STREAM, Buffer.from(ID), Buffer.from("b"));
    parts.sandbox.send(FRAME.FATAL, Buffer.from(ID), Buffer.from('{"errorType":"Runtime.Thrown"}'));
    parts.sandbox.exit({ code: 1 });
    const outcome = await answer;
    assert.deepEqual([streamed, outcome.report.errorType], [["a", "b"], "Runtime.Thrown"]);
    await parts.environment.gone;
  });

  it("stops reading while the log is full, and loses nothing", async () => {
    const parts = await started();
    await turn();
    parts.sink.full = true;
    parts.sandbox.output.write("a\nb\n");
    await turn();
    assert.equal(parts.sandbox.output.isPaused(), true);
    parts.sink.drain();
    await turn();
    assert.equal(parts.sandbox.output.isPaused(), false);
    assert.deepEqual(parts.sink.messages.slice(-2), ["a", "b"]);
    await parts.environment.shutdown("test");
  });
});
