// Goal: asynchronous events are tried as AWS tries them, run the function as it is then, and are bounded in every way.
// Method: a queue over a runner that is the test's own, on a clock that the test moves.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { resourceConflict, serviceException, tooManyRequests } from "../../errors.ts";
import { ManualClock } from "../../kernel/clock.ts";
import { deferred } from "../../kernel/deferred.ts";
import { createLogger } from "../../telemetry/logger.ts";
import { fakeVersion } from "../environment/fakes.ts";
import type { Invocation } from "../model.ts";
import { AsynchronousQueue } from "./asynchronous.ts";
import { FakeInside, outcomeOf, REQUEST_ID } from "./fakes.ts";

const HOUR_MS = 60 * 60_000;
const VERSION = fakeVersion();

function setUp() {
  const clock = new ManualClock();
  const inside = new FakeInside();
  const lines: string[] = [];
  const logger = createLogger({ level: "debug", format: "json", clock, sink: (line) => lines.push(line) });
  const { directory, meter } = inside;
  const queue = new AsynchronousQueue({ clock, runner: inside, directory, meter, logger });
  const accept = (overrides: Partial<Invocation> = {}) => queue.accept(VERSION, invocation(overrides));
  return { clock, inside, lines, accept };
}

function invocation(overrides: Partial<Invocation>): Invocation {
  return {
    requestId: REQUEST_ID,
    payload: Buffer.from("{}"),
    invokedFunctionArn: VERSION.functionArn,
    traceHeader: "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700",
    ...overrides,
  };
}

const turn = async () => {
  for (let left = 3; left > 0; left -= 1) await new Promise<void>((resolve) => void setImmediate(resolve));
};

/** After how long each further attempt came, to the second, until `untilMs` have passed. */
async function waits(test: ReturnType<typeof setUp>, untilMs: number): Promise<number[]> {
  const found: number[] = [];
  let [seen, lastMs] = [test.inside.runs.length, 0];
  for (let nowMs = 0; nowMs < untilMs; nowMs += 1000) {
    test.clock.advance(1000);
    await turn();
    if (test.inside.runs.length === seen) continue;
    found.push(nowMs + 1000 - lastMs);
    [seen, lastMs] = [test.inside.runs.length, nowMs + 1000];
  }
  return found;
}

const failing = async () => outcomeOf("{}", { functionError: "Unhandled" });
const throttled = async (): Promise<never> => {
  throw tooManyRequests("ConcurrentInvocationLimitExceeded");
};

describe("asynchronous invocation", () => {
  it("runs an event once, after its caller's turn, and meters it", async () => {
    const test = setUp();
    test.accept();
    assert.equal(test.inside.runs.length, 0);
    await turn();
    assert.equal(test.inside.runs.length, 1);
    assert.equal(test.inside.runs[0]?.invocation.requestId, REQUEST_ID);
    assert.equal(test.inside.usages.length, 1);
    assert.deepEqual(await waits(test, 400_000), []);
  });

  it("tries a function's error twice more, after one and two minutes, and meters each", async () => {
    const test = setUp();
    test.inside.act = failing;
    test.accept();
    await turn();
    assert.deepEqual(await waits(test, 600_000), [60_000, 120_000]);
    assert.equal(test.inside.runs.length, 3);
    assert.equal(test.inside.usages.length, 3);
  });

  it("stops trying when an attempt succeeds", async () => {
    const test = setUp();
    test.inside.act = failing;
    test.accept();
    await turn();
    test.inside.act = async () => outcomeOf("1");
    assert.deepEqual(await waits(test, 600_000), [60_000]);
  });

  it("backs off from one second to five minutes while it cannot run, unmetered", async () => {
    const test = setUp();
    test.inside.act = throttled;
    test.accept();
    await turn();
    const expected = [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300].map((seconds) => seconds * 1000);
    assert.deepEqual(await waits(test, 1_200_000), expected);
    assert.deepEqual(test.inside.usages, []);
  });

  it("does the same after faults of the platform", async () => {
    const test = setUp();
    const faults = [serviceException(), resourceConflict("The function is pending."), new Error("broken")];
    test.inside.act = async () => {
      throw faults.shift() ?? serviceException();
    };
    test.accept();
    await turn();
    assert.deepEqual(await waits(test, 8000), [1000, 2000, 4000]);
  });

  it("counts errors of the function apart from refusals", async () => {
    const test = setUp();
    const acts = [throttled, failing, throttled, throttled, failing, failing];
    test.inside.act = async () => (acts.shift() ?? throttled)();
    test.accept();
    await turn();
    assert.deepEqual(await waits(test, 600_000), [1000, 60_000, 2000, 4000, 120_000]);
  });

  it("gives up after six hours, and logs it", async () => {
    const test = setUp();
    test.inside.act = throttled;
    test.accept();
    await turn();
    for (let passedMs = 0; passedMs < 6 * HOUR_MS; passedMs += 100_000) {
      test.clock.advance(100_000);
      await turn();
    }
    const attempts = test.inside.runs.length;
    assert.ok(attempts > 70, `${attempts} attempts`);
    assert.equal(test.lines.length, 1);
    assert.match(test.lines[0] ?? "", /given up.*it grew too old.*TooManyRequestsException/);
    assert.deepEqual(await waits(test, 600_000), []);
  });

  it("runs the revision of the moment, not the one of when it was accepted", async () => {
    const test = setUp();
    test.inside.act = failing;
    test.accept();
    await turn();
    test.inside.version = fakeVersion({ revisionId: "22222222-2222-4222-8222-222222222222" });
    test.clock.advance(60_000);
    await turn();
    assert.deepEqual(
      test.inside.runs.map(({ version }) => version.revisionId[0]),
      ["1", "2"],
    );
    assert.equal(test.inside.log[0], `resolve ${VERSION.functionArn} $LATEST`);
  });

  it("gives up the events of a deleted function", async () => {
    const test = setUp();
    test.inside.version = undefined;
    test.accept();
    await turn();
    assert.match(test.lines[0] ?? "", /given up.*its function was deleted/);
    assert.deepEqual(await waits(test, 600_000), []);
    assert.equal(test.inside.runs.length, 0);
  });

  it("runs a hundred at once, and the next when one is done", async () => {
    const test = setUp();
    const gates: (() => void)[] = [];
    test.inside.act = async () => {
      const gate = deferred();
      gates.push(() => gate.resolve());
      await gate.promise;
      return outcomeOf("1");
    };
    for (let count = 0; count < 105; count += 1) test.accept();
    await turn();
    assert.equal(test.inside.runs.length, 100);
    gates[0]?.();
    await turn();
    assert.equal(test.inside.runs.length, 101);
    while (test.inside.usages.length < 105) {
      for (const open of gates) open();
      await turn();
    }
    assert.equal(test.inside.runs.length, 105);
  });

  it("holds so many events, those that wait for another attempt included, and takes more when some are done", async () => {
    const test = setUp();
    test.inside.act = throttled;
    for (let count = 0; count < 10_000; count += 1) test.accept();
    const refusal = {
      code: "ServiceException",
      status: 500,
      message: "Too many asynchronous events wait to be invoked.",
    };
    assert.throws(() => test.accept(), refusal);
    while (test.inside.runs.length < 10_000) await turn();
    assert.throws(() => test.accept(), refusal);
    test.inside.act = async () => outcomeOf("1");
    test.clock.advance(1000);
    while (test.inside.usages.length < 10_000) await turn();
    test.accept();
    await turn();
    assert.equal(test.inside.usages.length, 10_001);
  });

  it("holds so many bytes", async () => {
    const test = setUp();
    test.inside.act = throttled;
    const payload = Buffer.alloc(1024 * 1024);
    for (let count = 0; count < 256; count += 1) test.accept({ payload });
    assert.throws(() => test.accept(), { code: "ServiceException" });
    while (test.inside.runs.length < 256) await turn();
    test.inside.act = async () => outcomeOf("1");
    test.clock.advance(1000);
    while (test.inside.usages.length < 256) await turn();
    test.accept({ payload });
    await turn();
    assert.equal(test.inside.usages.length, 257);
  });
});
