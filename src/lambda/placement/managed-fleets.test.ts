// Goal: versions on Managed Instances have their minimum of environments, fill them before more are started, stay below their
// ceilings, and shrink when nobody needs them.
// Method: placement over fake sandboxes that keep every invocation until the test answers it; time is the test's.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ManualClock } from "../../kernel/clock.ts";
import type { InvocationOutcome } from "../model.ts";
import { FRAME } from "../environment/link.ts";
import type { ManagedScaling } from "./concurrency.ts";
import { buildWorld, fakeInvocation, revision, until, type ScriptedSandbox } from "./fakes.ts";

const throttled = { code: "TooManyRequestsException", message: "Rate Exceeded.", status: 429 };

function setUp() {
  const clock = new ManualClock();
  const world = buildWorld(clock, { placement: { accountConcurrency: 100 } });
  const { placement, driver } = world;
  const kept: { sandbox: ScriptedSandbox; requestId: string }[] = [];
  driver.script.onInvoke = (sandbox) => {
    if (sandbox.running !== undefined) kept.push({ sandbox, requestId: sandbox.running });
    sandbox.running = undefined;
  };
  const version = revision(1, { concurrencyMax: 2 });
  const configure = (scaling: Partial<ManagedScaling>, of = version) =>
    placement.configure({
      functionArn: of.functionArn,
      provisioned: [],
      managed: [
        { version: of, min: 1, max: 3, vcpus: 1, provider: { name: "p", vcpusMax: 400 }, ...scaling },
      ],
    });
  const run = (number: number, of = version): Promise<InvocationOutcome> =>
    placement.run(of, fakeInvocation(number));
  const answer = (): void => {
    const one = kept.shift();
    one?.sandbox.send(FRAME.RESPONSE, Buffer.from(one.requestId), Buffer.from("1"));
  };
  const end = async () => {
    await placement.close(0);
    await world.pool.close();
  };
  return { ...world, clock, kept, version, configure, run, answer, end };
}

describe("a version on Managed Instances", () => {
  it("has its minimum before anybody calls, and again when one ends", async () => {
    const { configure, driver, placement, clock, end } = setUp();
    configure({ min: 2 });
    await until(() => placement.counts().idle === 2, "two are there");
    const [first] = driver.alive;
    first?.exit({ code: 1 });
    await until(() => placement.counts().environments === 1, "it has ended");
    clock.advance(1000);
    await until(() => driver.created.length === 3 && placement.counts().idle === 2, "it was replaced");
    await end();
  });

  it("spreads over what is there, then starts one more, and refuses beyond its ceiling", async () => {
    const { configure, driver, placement, run, kept, answer, end } = setUp();
    configure({ min: 2, max: 3 });
    await until(() => placement.counts().idle === 2, "two are there");
    const outcomes = [1, 2].map((number) => run(number));
    await until(() => kept.length === 2, "two run");
    assert.notEqual(kept[0]?.sandbox, kept[1]?.sandbox);
    outcomes.push(run(3), run(4));
    await until(() => kept.length === 4, "four run");
    assert.equal(driver.created.length, 2);
    outcomes.push(run(5), run(6));
    await until(() => kept.length === 6, "six run");
    assert.equal(driver.created.length, 3, "one for both");
    await assert.rejects(run(7), throttled);
    for (let left = 6; left > 0; left -= 1) answer();
    await Promise.all(outcomes);
    await until(() => placement.counts().idle === 3, "all are idle");
    await end();
  });

  it("waits for the environment that is being started rather than be refused", async () => {
    const { configure, driver, run, kept, answer, end } = setUp();
    configure({ min: 1, max: 1 });
    const outcomes = [run(1), run(2)];
    await until(() => kept.length === 2, "both run");
    assert.equal(driver.created.length, 1);
    answer();
    answer();
    await Promise.all(outcomes);
    await end();
  });

  it("shares the vCPUs of its capacity provider with the others", async () => {
    const { configure, placement, run, driver, end } = setUp();
    const provider = { name: "p", vcpusMax: 3 };
    configure({ min: 1, vcpus: 2, provider });
    const other = revision(2, { concurrencyMax: 2, functionArn: `${revision(1).functionArn}2`, name: "f2" });
    await until(() => placement.counts().idle === 1, "one is there");
    configure({ min: 0, vcpus: 2, provider }, other);
    await assert.rejects(run(1, other), throttled);
    configure({ min: 0, vcpus: 1, provider }, other);
    driver.script.onInvoke = (sandbox) => sandbox.answer();
    await run(2, other);
    await end();
  });

  it("shrinks to its minimum when idle, and to its maximum at once", async () => {
    const { configure, placement, clock, run, kept, answer, end } = setUp();
    configure({ min: 1, max: 3 });
    await until(() => placement.counts().idle === 1, "one is there");
    const outcomes = [1, 2, 3, 4, 5, 6].map((number) => run(number));
    await until(() => kept.length === 6, "three are at work");
    for (let left = 6; left > 0; left -= 1) answer();
    await Promise.all(outcomes);
    await until(() => placement.counts().idle === 3, "three are idle");
    configure({ min: 1, max: 2 });
    await until(() => placement.counts().environments === 2, "one is too many");
    clock.advance(50_000);
    assert.equal(placement.counts().environments, 2);
    clock.advance(20_000);
    await until(() => placement.counts().environments === 1, "one was not needed");
    clock.advance(200_000);
    assert.equal(placement.counts().environments, 1);
    await end();
  });

  it("is never frozen, and renewed at its greatest age", async () => {
    const { configure, placement, clock, driver, end } = setUp();
    configure({ min: 1 });
    await until(() => placement.counts().idle === 1, "one is there");
    clock.advance(3_590_000);
    assert.deepEqual([...placement.states()], [["IDLE", 1]]);
    clock.advance(20_000);
    await until(() => driver.created.length === 2 && placement.counts().idle === 1, "another one is there");
    await end();
  });

  it("ends what is in flight when it is deactivated, and nothing is left", async () => {
    const { configure, placement, version, run, kept, answer, driver, end } = setUp();
    configure({ min: 2 });
    await until(() => placement.counts().idle === 2, "two are there");
    const outcome = run(1);
    await until(() => kept.length === 1, "it runs");
    placement.configure({ functionArn: version.functionArn, provisioned: [], managed: [] });
    await until(() => driver.alive.size === 1, "the idle one is gone");
    answer();
    assert.equal((await outcome).payload.toString(), "1");
    await until(() => driver.alive.size === 0, "the other one too");
    await end();
  });

  it("changes over to a newer revision without failing anybody", async () => {
    const { configure, placement, version, run, kept, answer, driver, end } = setUp();
    configure({ min: 1 });
    await until(() => placement.counts().idle === 1, "one is there");
    const before = run(1);
    await until(() => kept.length === 1, "it runs");
    const next = revision(2, { concurrencyMax: 2 });
    placement.retire(next.functionArn, next.version, next.revisionId);
    configure({ min: 1 }, next);
    const after = run(2, next);
    await until(() => kept.length === 2, "both run");
    assert.deepEqual(
      kept.map(({ sandbox }) => sandbox.codeTask),
      [`/code/${version.codeSha256Hex}`, `/code/${next.codeSha256Hex}`],
    );
    answer();
    answer();
    await Promise.all([before, after]);
    await until(() => driver.alive.size === 1, "the old one is gone");
    await end();
  });

  it("answers everybody who waited for an environment whose init fails", async () => {
    const { configure, driver, run, end } = setUp();
    configure({ min: 0, max: 3 });
    driver.script.onSpecialise = (sandbox) =>
      sandbox.send(FRAME.INIT_ERROR, Buffer.from(`{"errorType":"E"}`));
    let answered = 0;
    const outcomes = [1, 2, 3].map(async (number) => {
      const outcome = await run(number);
      answered += 1;
      return outcome.functionError;
    });
    await until(() => answered === 3, "all are told");
    assert.deepEqual(await Promise.all(outcomes), ["Unhandled", "Unhandled", "Unhandled"]);
    await end();
  });

  it("answers everybody who waited for an environment that cannot be built", async () => {
    const { configure, driver, run, end } = setUp();
    configure({ min: 0, max: 3 });
    driver.broken = true;
    let answered = 0;
    const outcomes = [1, 2].map((number) =>
      assert.rejects(run(number), { code: "ServiceException", status: 500 }).then(() => (answered += 1)),
    );
    await until(() => answered === 2, "both are told");
    await Promise.all(outcomes);
    await end();
  });

  it("fills the other places of an environment that was started for a repeated init", async () => {
    const { configure, driver, run, kept, answer, end } = setUp();
    configure({ min: 0, max: 1 });
    let inits = 0;
    driver.script.onSpecialise = (sandbox) => {
      inits += 1;
      if (inits === 1) sandbox.send(FRAME.INIT_ERROR, Buffer.from(`{"errorType":"E"}`));
      else sandbox.send(FRAME.READY);
    };
    const outcomes = [run(1), run(2)];
    await until(() => kept.length === 2, "both run");
    answer();
    answer();
    await Promise.all(outcomes);
    await end();
  });
});
