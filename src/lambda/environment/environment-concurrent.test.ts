// Goal: an environment with room for several invocations keeps them apart: answers in any order, time-outs that leave the others
// alone, and an end when nothing in it moves any more.
// Method: a fake sandbox whose inside is the test, and a clock that the test moves.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ManualClock } from "../../kernel/clock.ts";
import { deferred } from "../../kernel/deferred.ts";
import type { Invocation, InvocationOutcome, ResponseSink } from "../model.ts";
import { EnvironmentLog } from "./environment-log.ts";
import type { EnvironmentOptions } from "./environment-options.ts";
import { Environment } from "./environment.ts";
import { FakeSandbox, fakeVersion, MemoryLogSink } from "./fakes.ts";
import { LinkConnection } from "./link-connection.ts";
import { FRAME } from "./link.ts";
import { jsonLines } from "./platform-lines.ts";
import type { RuntimeConnection, RuntimeEvents } from "./runtime-connection.ts";

const turn = () => new Promise<void>((resolve) => void setImmediate(resolve));
const turns = async () => {
  for (let left = 5; left > 0; left -= 1) await turn();
};
const idOf = (number: number) => `8476a536-e9f4-11e8-9739-${String(number).padStart(12, "0")}`;
const version = fakeVersion({ concurrencyMax: 3, version: "$LATEST.PUBLISHED" });

const invocationOf = (number: number, sink?: ResponseSink): Invocation => ({
  requestId: idOf(number),
  payload: Buffer.from(String(number)),
  invokedFunctionArn: version.functionArn,
  traceHeader: "Root=1",
  wantsTail: true,
  ...(sink && { sink }),
});

/** A runtime at the other end of nothing: it asks and tells when the test says so. */
class FakeSession implements RuntimeConnection {
  events: RuntimeEvents | undefined;
  readonly ended = Promise.resolve();
  invoke(): void {}
  setReading(): void {}
  holdAnswer(): void {}
  close(): void {}
}

function startOf(sandbox: FakeSandbox, occupy: EnvironmentOptions["occupy"]) {
  const clock = new ManualClock();
  const sink = new MemoryLogSink();
  const log = new EnvironmentLog({
    clock,
    sink,
    target: { group: "g", stream: "s" },
    onPressure: (pause) => environment.holdBack(pause),
  });
  let [places, ended] = [0, 0];
  const environment: Environment = new Environment({
    function: version,
    clock,
    log,
    lines: jsonLines({ functionName: "f", version: "1", region: "us-east-1", runtimeVersion: "v" }, "INFO"),
    isProvisioned: true,
    occupy,
    onEnded: () => (ended += 1),
    onIdle: () => (places += 1),
    onFault: (error) => assert.fail(error),
  });
  return { clock, sink, environment, told: () => ({ places, ended }) };
}

async function start() {
  const sandbox = new FakeSandbox();
  const { clock, sink, environment, told } = startOf(sandbox, async (events) => {
    const connection = new LinkConnection(sandbox.link);
    connection.specialise({ environment: {}, handler: "h", taskRoot: "/var/task" }, events);
    return { sandbox, connection };
  });
  sandbox.onFrame = ({ type }) => {
    if (type === FRAME.SPECIALISE) sandbox.send(FRAME.READY);
  };
  assert.equal((await environment.start()).status, "ready");
  const outcomes = new Map<number, InvocationOutcome>();
  const invoke = (number: number, sink?: ResponseSink) =>
    void environment.invoke(invocationOf(number, sink)).then((outcome) => outcomes.set(number, outcome));
  const answer = async (number: number) => {
    sandbox.send(FRAME.RESPONSE, Buffer.from(idOf(number)), Buffer.from(`"answer ${number}"`));
    await turns();
  };
  const textOf = (number: number) => outcomes.get(number)?.payload.toString();
  return {
    clock,
    sandbox,
    sink,
    environment,
    invoke,
    answer,
    textOf,
    outcomes,
    told,
  };
}

describe("an environment with room for several", () => {
  it("is handed as many as it has room for, and answers in any order", async () => {
    const { environment, invoke, answer, textOf, outcomes, told } = await start();
    for (const number of [1, 2, 3]) invoke(number);
    assert.equal(environment.canTake, false);
    assert.equal(environment.inFlight, 3);
    assert.throws(() => invoke(4), /handed what it can take/);
    await turns();
    await answer(2);
    assert.equal(environment.state, "BUSY");
    assert.equal(environment.canTake, true);
    assert.equal(told().places, 1);
    invoke(4);
    for (const number of [4, 1, 3]) await answer(number);
    for (const number of [1, 2, 3, 4]) assert.equal(textOf(number), `"answer ${number}"`);
    assert.equal(environment.state, "IDLE");
    assert.equal(outcomes.get(1)?.logTail, undefined);
    await environment.shutdown("the test ends");
  });

  it("goes on when one times out; its place is free when the runtime answers after all", async () => {
    const { clock, sandbox, environment, invoke, answer, textOf, outcomes, told } = await start();
    invoke(1);
    clock.advance(1000);
    invoke(2);
    await turns();
    sandbox.log("still here", clock.nowMs());
    await turns();
    clock.advance(2000);
    await turns();
    assert.equal(outcomes.get(1)?.report.status, "timeout");
    assert.match(textOf(1) ?? "", /Task timed out after 3\.00 seconds/);
    assert.equal(outcomes.has(2), false);
    invoke(3);
    assert.equal(environment.canTake, false, "one place is lost");
    await turns();
    await answer(1);
    assert.equal(environment.canTake, true);
    await answer(2);
    await answer(3);
    assert.deepEqual([textOf(2), textOf(3)], ['"answer 2"', '"answer 3"']);
    assert.equal(told().ended, 0);
    await environment.shutdown("the test ends");
  });

  it("takes nothing more from a time-out on until the runtime is heard of", async () => {
    const { clock, sandbox, environment, invoke, answer, told } = await start();
    invoke(1);
    clock.advance(1000);
    invoke(2);
    await turns();
    clock.advance(2000);
    await turns();
    assert.equal(environment.canTake, false);
    sandbox.log("alive", clock.nowMs());
    await turns();
    assert.equal(environment.canTake, true);
    assert.ok(told().places > 0, "whoever waits is told");
    await answer(2);
    await environment.shutdown("the test ends");
  });

  it("ends when the last one times out in silence, and when all places are lost", async () => {
    const silent = await start();
    silent.invoke(1);
    silent.clock.advance(1000);
    silent.invoke(2);
    silent.clock.advance(2000);
    await turns();
    assert.equal(silent.told().ended, 0, "somebody else waits for it");
    silent.clock.advance(1000);
    await silent.environment.gone;
    assert.equal(silent.outcomes.get(2)?.report.status, "timeout");

    const chatty = await start();
    for (const number of [1, 2, 3]) chatty.invoke(number);
    await turns();
    chatty.sandbox.log("busy", chatty.clock.nowMs());
    await turns();
    chatty.clock.advance(3000);
    await chatty.environment.gone;
    assert.equal(chatty.outcomes.size, 3);
  });

  it("holds back the answer that nobody reads, and lets it go even when it has timed out", async () => {
    const { clock, sandbox, environment, invoke, answer, textOf } = await start();
    const drained = deferred();
    invoke(1, { write: () => false, drained: () => drained.promise });
    clock.advance(1000);
    invoke(2);
    await turns();
    sandbox.send(FRAME.STREAM, Buffer.from(idOf(1)), Buffer.from("much"));
    await turns();
    const told = () => sandbox.frames.filter(({ type }) => type === FRAME.HOLD || type === FRAME.RELEASE);
    assert.deepEqual(
      told().map(({ type, body }) => [type, body.toString()]),
      [[FRAME.HOLD, idOf(1)]],
    );
    await answer(2);
    assert.equal(textOf(2), '"answer 2"', "others are read meanwhile");
    clock.advance(2000);
    await turns();
    drained.resolve();
    await turns();
    assert.equal(told().at(-1)?.type, FRAME.RELEASE);
    await environment.shutdown("the test ends");
  });

  it("fails all that run when its process ends", async () => {
    const { sandbox, environment, invoke, outcomes, sink } = await start();
    for (const number of [1, 2]) invoke(number);
    await turns();
    sandbox.exit({ code: 1 });
    await environment.gone;
    await turns();
    for (const number of [1, 2]) {
      assert.equal(outcomes.get(number)?.report.errorType, "Runtime.ExitError");
      assert.ok(sink.messages.some((line) => line.startsWith(`RequestId: ${idOf(number)} Error`)));
    }
  });

  it("ends when what is in flight is over, once it retires", async () => {
    const { environment, invoke, answer, textOf } = await start();
    invoke(1);
    await turns();
    environment.retire("its version is gone");
    assert.equal(environment.canTake, false);
    assert.equal(environment.state, "BUSY");
    await answer(1);
    await environment.gone;
    assert.equal(textOf(1), '"answer 1"');
  });

  it("ends when nothing is in flight and the runtime asks for nothing more, though it has been heard of", async () => {
    const sandbox = new FakeSandbox();
    const session = new FakeSession();
    const { clock, environment } = startOf(sandbox, async (events) => {
      session.events = events;
      events.ready();
      return { sandbox, connection: session };
    });
    await environment.start();
    const outcome = environment.invoke(invocationOf(1));
    session.events?.log(0, "I still run");
    clock.advance(3000);
    assert.equal((await outcome).functionError, "Unhandled");
    await environment.gone;
  });

  it("takes nothing before its sandbox is known, though its runtime asks", async () => {
    const sandbox = new FakeSandbox();
    const session = new FakeSession();
    const built = deferred();
    const { environment } = startOf(sandbox, async (events) => {
      events.ready();
      await built.promise;
      return { sandbox, connection: session };
    });
    const started = environment.start();
    await turns();
    assert.equal(environment.canTake, false);
    built.resolve();
    await started;
    assert.equal(environment.canTake, true);
    await environment.shutdown("the test ends");
  });
});
