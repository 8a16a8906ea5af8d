// Goal: no environment is started that is not needed, and whoever waits has the first one that is idle.
// Method: placement over environments whose insides are the test, on a clock that the test moves.
import assert from "node:assert/strict";
import { setImmediate as turn } from "node:timers/promises";
import { describe, it } from "node:test";
import { ManualClock } from "../../kernel/clock.ts";
import { silentLogger } from "../../telemetry/logger.ts";
import { FakeSandbox, fakeVersion, MemoryLogSink } from "../environment/fakes.ts";
import { FRAME } from "../environment/link.ts";
import { LinkConnection } from "../environment/link-connection.ts";
import type { RuntimeEvents } from "../environment/runtime-connection.ts";
import type { Invocation, InvocationOutcome } from "../model.ts";
import { SandboxError } from "../sandbox/sandbox.ts";
import { KeepAlive } from "./keep-alive.ts";
import type { Occupier } from "./occupier.ts";
import { Placement } from "./placement.ts";
import type { WarmPool } from "./warm-pool.ts";

function setUp() {
  const clock = new ManualClock();
  const sandboxes: FakeSandbox[] = [];
  /** With it, the next sandbox cannot be built. */
  const broken = { next: false };
  const occupier = {
    async occupy(_version: unknown, _stream: string, events: RuntimeEvents) {
      if (broken.next) throw new SandboxError("create", "no room");
      const sandbox = new FakeSandbox(`fake-${sandboxes.length}`);
      sandboxes.push(sandbox);
      const connection = new LinkConnection(sandbox.link);
      connection.specialise({ environment: {}, handler: "index.handler", taskRoot: "/var/task" }, events);
      return { sandbox, connection };
    },
  } as unknown as Occupier;
  const pool = { coldStartBegins: () => undefined, coldStartEnded: () => undefined, shrink: async () => 0 };
  const placement = new Placement({
    clock,
    logger: silentLogger,
    sink: new MemoryLogSink(),
    occupier,
    pool: pool as unknown as WarmPool,
    region: "us-east-1",
    accountConcurrency: 10,
    keepAlive: new KeepAlive({
      clock,
      keepAliveMs: 600_000,
      ageMsMax: 600_000,
      availableMemoryBytes: () => undefined,
      reserveBytes: 0,
    }),
  });
  let last = 0;
  const run = () => {
    const requestId = `8476a536-e9f4-11e8-9739-${String((last += 1)).padStart(12, "0")}`;
    const outcome = placement.run(fakeVersion(), invocation(requestId));
    outcome.catch(() => undefined);
    return { requestId, outcome };
  };
  return { clock, sandboxes, broken, placement, run };
}

type SetUp = ReturnType<typeof setUp>;

function invocation(requestId: string): Invocation {
  return {
    requestId,
    payload: Buffer.from("{}"),
    invokedFunctionArn: "arn:aws:lambda:us-east-1:000000000000:function:f",
    traceHeader: "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=0",
  };
}

async function turns(count = 10): Promise<void> {
  for (let left = count; left > 0; left -= 1) await turn();
}

async function ready(sandbox: FakeSandbox | undefined): Promise<void> {
  sandbox?.send(FRAME.READY);
  await turns();
}

/** The runtime answers what it was handed last. */
function respond(sandbox: FakeSandbox | undefined): void {
  sandbox?.send(FRAME.RESPONSE, Buffer.from(requestOf(sandbox)), Buffer.from('"done"'));
}

async function answer(sandbox: FakeSandbox | undefined): Promise<void> {
  respond(sandbox);
  await turns();
}

function requestOf(sandbox: FakeSandbox | undefined): string {
  const frame = sandbox?.frames.findLast(({ type }) => type === FRAME.INVOKE);
  assert.ok(frame, "an invocation was handed in");
  return (JSON.parse(frame.body.toString("utf8", 4, 4 + frame.body.readUInt32LE(0))) as { requestId: string })
    .requestId;
}

const payload = async (outcome: Promise<InvocationOutcome>) => (await outcome).payload.toString();

async function end({ placement, sandboxes }: SetUp): Promise<void> {
  for (const sandbox of sandboxes) await sandbox.destroy("the test ends");
  await placement.close(0);
}

describe("placement", () => {
  it("has one environment serve one invocation after another", async () => {
    const test = setUp();
    const first = test.run();
    await turns();
    await ready(test.sandboxes[0]);
    await answer(test.sandboxes[0]);
    assert.equal(await payload(first.outcome), '"done"');
    const second = test.run();
    await turns();
    await answer(test.sandboxes[0]);
    assert.equal(await payload(second.outcome), '"done"');
    assert.equal(test.sandboxes.length, 1);
    await end(test);
  });

  // The first invocation of an environment looks into its output once more, after it was answered.
  it("waits a moment for an environment that has answered", async () => {
    const test = setUp();
    const first = test.run();
    await turns();
    await ready(test.sandboxes[0]);
    respond(test.sandboxes[0]);
    await first.outcome;
    const second = test.run();
    await turns();
    assert.equal(requestOf(test.sandboxes[0]), second.requestId);
    await answer(test.sandboxes[0]);
    assert.equal(await payload(second.outcome), '"done"');
    test.clock.advance(5);
    await turns();
    assert.equal(test.sandboxes.length, 1);
    await end(test);
  });

  it("waits no longer than that moment", async () => {
    const test = setUp();
    const first = test.run();
    await turns();
    await ready(test.sandboxes[0]);
    respond(test.sandboxes[0]);
    await first.outcome;
    const second = test.run();
    await Promise.resolve();
    for (let look = 0; look < 4; look += 1) {
      assert.equal(test.sandboxes.length, 1);
      test.clock.advance(5);
    }
    await turns();
    assert.equal(test.sandboxes.length, 2);
    await answer(test.sandboxes[0]);
    assert.equal(await payload(second.outcome), '"done"');
    await end(test);
  });

  it("gives an invocation that waits for a new environment an old one that is idle before", async () => {
    const test = setUp();
    const first = test.run();
    await turns();
    await ready(test.sandboxes[0]);
    const second = test.run();
    await turns();
    assert.equal(test.sandboxes.length, 2, "the only one is busy");
    await answer(test.sandboxes[0]);
    assert.equal(requestOf(test.sandboxes[0]), second.requestId);
    const third = test.run();
    await turns();
    assert.equal(test.sandboxes.length, 2, "the one that is being started is enough for who waits now");
    await ready(test.sandboxes[1]);
    assert.equal(requestOf(test.sandboxes[1]), third.requestId);
    await answer(test.sandboxes[0]);
    await answer(test.sandboxes[1]);
    await Promise.all([first.outcome, second.outcome, third.outcome]);
    assert.deepEqual(test.placement.counts(), { environments: 2, idle: 2 });
    await end(test);
  });

  it("starts as many environments as invocations wait", async () => {
    const test = setUp();
    const all = [test.run(), test.run(), test.run()];
    await turns();
    assert.equal(test.sandboxes.length, 3);
    for (const sandbox of test.sandboxes) await ready(sandbox);
    for (const sandbox of test.sandboxes) await answer(sandbox);
    await Promise.all(all.map(({ outcome }) => outcome));
    await end(test);
  });

  it("repeats a failed init inside the invocation that waited", async () => {
    const test = setUp();
    const { outcome } = test.run();
    await turns();
    test.sandboxes[0]?.send(FRAME.INIT_ERROR, Buffer.from('{"errorType":"Error","errorMessage":"no"}'));
    await turns();
    assert.equal(test.sandboxes.length, 2);
    await ready(test.sandboxes[1]);
    await answer(test.sandboxes[1]);
    assert.equal(await payload(outcome), '"done"');
    await end(test);
  });

  it("tells who waits that an environment could not be built", async () => {
    const test = setUp();
    test.broken.next = true;
    await assert.rejects(test.run().outcome, { code: "ServiceException" });
    test.broken.next = false;
    const { outcome } = test.run();
    await turns();
    await ready(test.sandboxes[0]);
    await answer(test.sandboxes[0]);
    assert.equal(await payload(outcome), '"done"');
    await end(test);
  });

  it("serves who waits for a revision that is retired meanwhile, and ends its environment after", async () => {
    const test = setUp();
    const { outcome } = test.run();
    await turns();
    test.placement.retire(fakeVersion().functionArn, "$LATEST", "22222222-2222-4222-8222-222222222222");
    await ready(test.sandboxes[0]);
    await answer(test.sandboxes[0]);
    assert.equal(await payload(outcome), '"done"');
    assert.deepEqual(test.sandboxes[0]?.calls.at(-1), "destroy");
    await end(test);
  });
});
