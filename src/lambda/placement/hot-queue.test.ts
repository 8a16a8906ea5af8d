// Goal: invocations of a function that answers at once are served by few environments, in their order; those of a function
// that waits for something itself are not held back, and nobody waits in vain.
// Method: placement over scripted runtimes that answer when the test says so, on half a CPU (two environments at
// work) and a clock that the test moves.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ManualClock } from "../../kernel/clock.ts";
import { deferred } from "../../kernel/deferred.ts";
import { Admission } from "./admission.ts";
import { buildWorld, fakeInvocation, revision, until, type ScriptedSandbox } from "./fakes.ts";
import { Fleet } from "./fleet.ts";
import { Heat } from "./hot-queue.ts";

const ENVIRONMENTS = 4;
const LOOK_MS = 5;
const KEEP_ALIVE_MS = 15_000;

/** Four idle environments of one function, which has answered after `answerMs` so far. */
async function setUp(answerMs: number) {
  const clock = new ManualClock();
  const { placement, driver, pool } = buildWorld(clock, {
    placement: { cpus: 0.5, accountConcurrency: 100 },
    keepAlive: { keepAliveMs: KEEP_ALIVE_MS },
  });
  const version = revision(1);
  /** At work, in the order in which they were handed their invocations. */
  const working: ScriptedSandbox[] = [];
  driver.script.onInvoke = (sandbox) => void working.push(sandbox);
  const answered: number[] = [];
  let last = 0;
  const run = (): void => {
    const number = (last += 1);
    placement.run(version, fakeInvocation(number)).then(
      () => answered.push(number),
      (error: unknown) => assert.fail(String(error)),
    );
  };
  const handedOut = (count: number) =>
    until(() => working.length >= count, `${count} are at work, not ${working.length}`);
  /** The one that has worked longest answers; what it does next has begun then. */
  const answer = async (): Promise<void> => {
    const count = answered.length + 1;
    working.shift()?.answer();
    await until(() => answered.length === count && settled(), "it was answered");
  };
  /** Whatever has been built is idle or at work. */
  const settled = () => {
    const { environments, idle } = placement.counts();
    return idle + working.length === environments - (placement.states().get("STARTING") ?? 0);
  };
  for (let number = 0; number < ENVIRONMENTS; number += 1) run();
  await handedOut(ENVIRONMENTS);
  clock.advance(answerMs);
  for (let number = 0; number < ENVIRONMENTS; number += 1) await answer();
  assert.deepEqual(placement.counts(), { environments: ENVIRONMENTS, idle: ENVIRONMENTS });
  answered.length = 0;
  last = 0;
  const turns = async () => {
    for (let left = 10; left > 0; left -= 1) await new Promise<void>((resolve) => void setImmediate(resolve));
  };
  const end = async () => {
    while (working.length > 0) await answer();
    await placement.close(0);
    await pool.close();
  };
  return { clock, driver, placement, version, working, answered, run, handedOut, answer, turns, end };
}

describe("Heat", () => {
  it("knows nothing at first, and then the least time of the last 256 to 512 answers", () => {
    const heat = new Heat();
    assert.equal(heat.isShort, false);
    heat.answered(3);
    assert.equal(heat.isShort, false);
    heat.answered(0.4);
    for (let number = 2; number < 2 * 256 - 1; number += 1) heat.answered(3);
    assert.equal(heat.isShort, true);
    heat.answered(3);
    assert.equal(heat.isShort, false);
  });
});

describe("Fleet", () => {
  const fleet = () => new Fleet(revision(1), new Admission({ accountConcurrency: 9 }).account("arn", "1"));

  it("misses no environment for those who wait for one that is at work, until they hurry", () => {
    const patient = fleet();
    for (let number = 1; number <= 3; number += 1)
      void patient.waitPatiently(fakeInvocation(number), () => undefined);
    assert.equal(patient.missing, 0);
    void patient.wait(fakeInvocation(4));
    assert.equal(patient.missing, 1);
    patient.take();
    assert.equal(patient.missing, 1);
    patient.hurry();
    assert.equal(patient.missing, 3);
  });

  it("refuses or fails those for whom an environment is missing, and nobody else", () => {
    const both = fleet();
    void both.wait(fakeInvocation(1));
    void both.waitPatiently(fakeInvocation(2), () => undefined);
    void both.wait(fakeInvocation(3));
    void both.waitPatiently(fakeInvocation(4), () => undefined);
    const { requestId } = fakeInvocation(3);
    assert.equal(both.takeNewest()?.invocation.requestId, requestId);
    both.starting = 1;
    assert.equal(both.takeMissing(), undefined, "one is under way for the only one");
    both.starting = 0;
    assert.equal(both.takeMissing()?.invocation.requestId, fakeInvocation(1).requestId);
    assert.deepEqual([both.takeMissing(), both.takeNewest()], [undefined, undefined]);
  });
});

describe("the queue for hot environments", () => {
  it("has a few environments serve all, first come, first served", async () => {
    const { run, handedOut, working, answer, answered, turns, placement, end } = await setUp(0.2);
    for (let number = 0; number < 6; number += 1) run();
    await handedOut(2);
    await turns();
    assert.equal(working.length, 2, "the others wait");
    assert.equal(placement.concurrency, 6);
    assert.equal(placement.counts().idle, ENVIRONMENTS - 2);
    const hot = new Set(working);
    for (let left = 6; left > 0; left -= 1) {
      for (const sandbox of working) assert.ok(hot.has(sandbox), "none was woken");
      await answer();
    }
    assert.deepEqual(answered, [1, 2, 3, 4, 5, 6]);
    await end();
  });

  it("holds nobody back whose function takes longer", async () => {
    const { run, handedOut, end } = await setUp(0.6);
    for (let number = 0; number < ENVIRONMENTS; number += 1) run();
    await handedOut(ENVIRONMENTS);
    await end();
  });

  it("lets go who has waited for two looks, and the function's next ones for a while", async () => {
    const { clock, run, handedOut, answer, turns, working, end } = await setUp(0.2);
    for (const backOffMs of [100, 200]) {
      for (let number = 0; number < ENVIRONMENTS; number += 1) run();
      await handedOut(2);
      clock.advance(LOOK_MS - 1);
      await turns();
      assert.equal(working.length, 2);
      clock.advance(1);
      await handedOut(ENVIRONMENTS);
      for (const advanceMs of [0, backOffMs - 1]) {
        clock.advance(advanceMs);
        for (let left = ENVIRONMENTS; left > 0; left -= 1) await answer();
        for (let number = 0; number < ENVIRONMENTS; number += 1) run();
        await handedOut(ENVIRONMENTS);
      }
      for (let left = ENVIRONMENTS; left > 0; left -= 1) await answer();
      clock.advance(1);
    }
    await end();
  });

  it("keeps the environments that are not needed meanwhile, as long as keep-alive does", async () => {
    const { clock, run, handedOut, answer, working, placement, end } = await setUp(0.2);
    for (let number = 0; number < 6; number += 1) run();
    await handedOut(2);
    const forMs = async (ms: number) => {
      for (let leftMs = ms; leftMs > 0; leftMs -= LOOK_MS) {
        // The third one is answered in the instant in which it was handed out.
        for (let count = 0; count < 3; count += 1) {
          await answer();
          run();
          await handedOut(2);
        }
        clock.advance(LOOK_MS);
      }
    };
    await forMs(KEEP_ALIVE_MS - LOOK_MS);
    assert.equal(placement.counts().environments, ENVIRONMENTS);
    await forMs(LOOK_MS);
    // An invocation that is served begins before the one that was answered has ended: one more than are at work is in use.
    assert.equal(placement.counts().environments, working.length + 1, "it was over");
    await end();
  });

  it("waits on while others are served", async () => {
    const { clock, run, handedOut, answer, working, turns, end } = await setUp(0.2);
    for (let number = 0; number < 8; number += 1) run();
    await handedOut(2);
    for (let left = 6; left > 0; left -= 1) {
      await answer();
      clock.advance(LOOK_MS);
      await turns();
      assert.equal(working.length, 2);
    }
    await end();
  });

  it("has environments started for those for whom none is left", async () => {
    const { clock, run, handedOut, placement, end } = await setUp(0.2);
    for (let number = 0; number < ENVIRONMENTS + 1; number += 1) run();
    await handedOut(2);
    clock.advance(LOOK_MS);
    await handedOut(ENVIRONMENTS + 1);
    assert.equal(placement.counts().environments, ENVIRONMENTS + 1);
    await end();
  });

  it("does not fail those who wait for one that is at work when another cannot be built", async () => {
    const { clock, driver, run, handedOut, answer, answered, turns, placement, end } = await setUp(0.2);
    const gate = deferred();
    driver.gate = gate.promise;
    for (let number = 0; number < ENVIRONMENTS; number += 1) run();
    clock.advance(LOOK_MS);
    await handedOut(ENVIRONMENTS);
    run();
    await until(() => placement.states().get("STARTING") === 1, "one more is started");
    clock.advance(100);
    // The first that answers has the one who waited for it; then two are idle and two at work.
    for (let left = 3; left > 0; left -= 1) await answer();
    for (let number = 0; number < 4; number += 1) run();
    driver.broken = true;
    gate.resolve();
    await until(() => placement.states().get("STARTING") === undefined, "it could not be built");
    await turns();
    assert.equal(placement.counts().idle, 2);
    for (let left = 6; left > 0; left -= 1) await answer();
    assert.equal(answered.length, ENVIRONMENTS + 5);
    await end();
  });

  it("is not for a version with provisioned concurrency", async () => {
    const { run, handedOut, placement, version, end } = await setUp(0.2);
    placement.configure({ functionArn: version.functionArn, provisioned: [{ version, count: 1 }] });
    await until(() => placement.counts().idle === ENVIRONMENTS + 1, "it is provisioned");
    for (let number = 0; number <= ENVIRONMENTS; number += 1) run();
    await handedOut(ENVIRONMENTS + 1);
    await end();
  });
});
