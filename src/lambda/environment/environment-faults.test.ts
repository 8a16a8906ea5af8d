// Goal: whatever the machine refuses or delays, an environment answers, ends and leaves no promise without a handler.
// Method: an Environment over a fake sandbox whose single steps fail, hang or come in an unlucky order. node:test fails
// a test during which a rejection went unhandled.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ManualClock } from "../../kernel/clock.ts";
import { deferred } from "../../kernel/deferred.ts";
import { SandboxError } from "../sandbox/sandbox.ts";
import type { Invocation } from "../model.ts";
import type { Occupied } from "./environment-options.ts";
import { Environment } from "./environment.ts";
import { EnvironmentLog } from "./environment-log.ts";
import { FakeSandbox, fakeVersion, MemoryLogSink } from "./fakes.ts";
import { FRAME } from "./link.ts";
import { LinkConnection } from "./link-connection.ts";
import { textLines } from "./platform-lines.ts";
import type { RuntimeConnection, RuntimeEvents } from "./runtime-connection.ts";

const INVOCATION: Invocation = {
  requestId: "8476a536-e9f4-11e8-9739-2dfe598c3fcd",
  payload: Buffer.from("{}"),
  invokedFunctionArn: "arn:aws:lambda:us-east-1:000000000000:function:f",
  traceHeader: "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=0",
};
const dead = () => Promise.reject(new SandboxError("spawner", "the spawner has ended"));

function build(occupy: (events: RuntimeEvents) => Promise<Occupied>) {
  const clock = new ManualClock();
  const sink = new MemoryLogSink();
  const told: string[] = [];
  const log = new EnvironmentLog({
    clock,
    sink,
    target: { group: "g", stream: "s" },
    onPressure: () => undefined,
  });
  const environment = new Environment({
    function: fakeVersion(),
    clock,
    log,
    lines: textLines({ functionName: "f", version: "$LATEST", region: "r", runtimeVersion: "v" }),
    occupy,
    onEnded: () => told.push("ended"),
    onIdle: () => told.push("idle"),
    onFault: (error) => told.push(error.message),
  });
  return { clock, sink, told, environment };
}

function overLink(sandbox: FakeSandbox) {
  return build(async (events) => {
    const connection = new LinkConnection(sandbox.link);
    connection.specialise({ environment: {}, handler: "h", taskRoot: "/var/task" }, events);
    return { sandbox, connection };
  });
}

async function idle() {
  const sandbox = new FakeSandbox();
  sandbox.onFrame = ({ type }) => {
    if (type === FRAME.SPECIALISE) sandbox.send(FRAME.READY);
  };
  const parts = overLink(sandbox);
  assert.equal((await parts.environment.start()).status, "ready");
  return { sandbox, ...parts };
}

const turn = () =>
  new Promise<void>((resolve) => void setImmediate(() => setImmediate(() => setImmediate(resolve))));

describe("an environment on a machine with faults", () => {
  it("ends when it cannot be frozen, and tells why", async () => {
    const { sandbox, environment, told } = await idle();
    sandbox.freeze = dead;
    assert.equal(await environment.freeze(), false);
    await environment.gone;
    assert.deepEqual(told, ["the spawner has ended", "ended"]);
  });

  it("ends when it cannot be woken: waking does not reject", async () => {
    const { sandbox, environment, told } = await idle();
    sandbox.thaw = dead;
    assert.equal(await environment.freeze(), true);
    await environment.wake();
    await environment.gone;
    assert.deepEqual(told, ["the spawner has ended", "ended"]);
  });

  it("takes no harm from a freeze that fails after the environment was shut down", async () => {
    const { sandbox, environment, told } = await idle();
    const freezing = deferred();
    sandbox.freeze = () => freezing.promise;
    const frozen = environment.freeze();
    const gone = environment.shutdown("test");
    freezing.reject(new SandboxError("freeze", "no such sandbox"));
    assert.equal(await frozen, false);
    await gone;
    assert.deepEqual(told, ["ended"]);
  });

  it("is gone also when its sandbox cannot be removed", async () => {
    const { sandbox, environment, told } = await idle();
    sandbox.destroy = dead;
    await environment.shutdown("test");
    assert.equal(environment.state, "GONE");
    assert.deepEqual(told, ["ended", "the spawner has ended"]);
  });

  it("takes no harm from CPU limits that cannot be set", async () => {
    const sandbox = new FakeSandbox();
    sandbox.limitCpu = dead;
    sandbox.onFrame = ({ type }) => {
      if (type === FRAME.SPECIALISE) sandbox.send(FRAME.READY);
    };
    const { environment } = overLink(sandbox);
    assert.equal((await environment.start()).status, "ready");
    await turn();
    assert.equal(environment.state, "IDLE");
    await environment.shutdown("test");
  });

  it("tells a failed init at its timeout, even while its sandbox is still being built", async () => {
    const built = deferred<Occupied>();
    const sandbox = new FakeSandbox();
    const { environment, clock, told } = build(() => built.promise);
    const init = environment.start();
    clock.advance(10_000);
    const outcome = await init;
    assert.equal(outcome.status === "failed" && outcome.failure.status, "timeout");
    assert.equal(environment.state, "SHUTTING_DOWN");
    built.resolve({ sandbox, connection: new LinkConnection(sandbox.link) });
    await environment.gone;
    assert.deepEqual(sandbox.calls.at(-1), "destroy");
    assert.deepEqual(told, ["ended"]);
  });

  it("is gone when the building fails after the init had timed out", async () => {
    const built = deferred<Occupied>();
    const { environment, clock } = build(() => built.promise);
    const init = environment.start();
    clock.advance(10_000);
    assert.equal((await init).status, "failed");
    built.reject(new SandboxError("create", "no memory"));
    await environment.gone;
  });

  it("rejects with the reason when it cannot be built, alone or with an invocation", async () => {
    const error = new SandboxError("create", "no memory");
    const alone = build(() => Promise.reject(error));
    await assert.rejects(alone.environment.start(), error);
    await alone.environment.gone;

    const together = build(() => Promise.reject(error));
    await assert.rejects(together.environment.startWith(INVOCATION), error);
    await together.environment.gone;
    await turn();
    assert.match(
      together.sink.messages.join("\n"),
      /^START RequestId[^]*\nEND RequestId[^]*\nREPORT RequestId/,
    );
    assert.deepEqual(together.told, ["ended"]);
  });

  it("fails when its sandbox ends between the hand-over and the first word", async () => {
    const sandbox = new FakeSandbox();
    const { environment } = overLink(sandbox);
    const init = environment.start();
    sandbox.exit({ code: 3 });
    const outcome = await init;
    assert.equal(
      outcome.status === "failed" && outcome.failure.cause,
      "Runtime exited with error: exit status 3",
    );
    await environment.gone;
  });

  it("serves a runtime that was ready before the hand-over had returned", async () => {
    const built = deferred<Occupied>();
    const sandbox = new FakeSandbox();
    let events: RuntimeEvents | undefined;
    const invoked: string[] = [];
    const connection: RuntimeConnection = {
      invoke: ({ requestId }) => void invoked.push(requestId),
      setReading: () => undefined,
      holdAnswer: () => undefined,
      ended: Promise.resolve(),
      close: () => undefined,
    };
    const { environment } = build((told) => {
      events = told;
      return built.promise;
    });
    const answer = environment.startWith(INVOCATION);
    events?.ready();
    await turn();
    assert.deepEqual(invoked, []);
    built.resolve({ sandbox, connection });
    await turn();
    assert.deepEqual(invoked, [INVOCATION.requestId]);
    events?.response(INVOCATION.requestId, Buffer.from("1"), "application/json");
    assert.equal((await answer).payload.toString(), "1");
    await environment.shutdown("test");
  });

  it("answers when a runtime was ready early and its process ended before the hand-over returned", async () => {
    const built = deferred<Occupied>();
    const sandbox = new FakeSandbox();
    const { environment } = build(async (events) => {
      events.ready();
      return built.promise;
    });
    const answer = environment.startWith(INVOCATION);
    sandbox.exit({ signal: "SIGKILL" });
    built.resolve({ sandbox, connection: new LinkConnection(sandbox.link) });
    assert.equal((await answer).report.errorType, "Runtime.ExitError");
    await environment.gone;
  });
});
