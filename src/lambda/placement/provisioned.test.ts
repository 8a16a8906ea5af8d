// Goal: provisioned concurrency is there before it is needed, stays, is replaced when it ends, and is told truly.
// Method: placement with its real pool and occupier over a scripted driver and a manual clock.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ManualClock } from "../../kernel/clock.ts";
import { FRAME } from "../environment/link.ts";
import { fakeVersion } from "../environment/fakes.ts";
import type { FunctionVersion } from "../model.ts";
import { buildWorld, fakeInvocation, until, type ScriptedSandbox } from "./fakes.ts";
import type { KeepAliveOptions } from "./keep-alive.ts";

const ARN = "arn:aws:lambda:us-east-1:000000000000:function:";
const AGE_MS = 3_600_000;

function versionOf(name: string, version = "1"): FunctionVersion {
  return fakeVersion({ name, functionArn: `${ARN}${name}`, version, codeSha256Hex: `${name}-${version}` });
}

function setUp(keepAlive: Partial<KeepAliveOptions> = {}) {
  const clock = new ManualClock();
  const world = buildWorld(clock, { keepAlive: { ageMsMax: AGE_MS, ...keepAlive } });
  const { placement, driver } = world;
  const version = versionOf("f");
  const provide = (count: number, of = version) =>
    placement.configure({
      functionArn: of.functionArn,
      provisioned: count > 0 ? [{ version: of, count }] : [],
    });
  const state = (of = version) => placement.provisioned(of.functionArn, of.version);
  const ready = (count: number, of = version) =>
    until(() => state(of).available === count && state(of).allocated === count, `${count} are ready`);
  let sent = 0;
  const run = () => placement.run(version, fakeInvocation((sent += 1)));
  /** Runs for as long as `hold` is set. */
  const hold = () => (driver.script.onInvoke = () => undefined);
  const close = async () => {
    for (const sandbox of driver.alive) sandbox.answer();
    await placement.close(0);
    assert.equal(driver.alive.size, 0, "nothing is left");
  };
  return { ...world, clock, version, provide, state, ready, run, hold, close };
}

/** The variables that a function was given. */
function variablesOf(sandbox: ScriptedSandbox | undefined): Record<string, string> {
  const frame = sandbox?.frames.find(({ type }) => type === FRAME.SPECIALISE);
  return (JSON.parse(frame?.body.toString() ?? "{}") as { environment: Record<string, string> }).environment;
}
async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}
const INITIALIZATION = "AWS_LAMBDA_INITIALIZATION_TYPE";

describe("provisioned concurrency", () => {
  it("is initialised before any invocation, can be told, and its init is no invocation's", async () => {
    const { driver, provide, ready, run, close } = setUp();
    provide(3);
    await ready(3);
    const { report } = await run();
    assert.equal(report.initDurationMs, undefined);
    assert.equal(report.billedMs, 1);
    assert.equal(driver.created.length, 3, "no cold start");
    for (const sandbox of driver.created)
      assert.equal(variablesOf(sandbox)[INITIALIZATION], "provisioned-concurrency");
    await close();
  });

  it("overflows into environments on demand", async () => {
    const { driver, provide, ready, run, hold, close } = setUp();
    provide(2);
    await ready(2);
    hold();
    const runs = [run(), run(), run()];
    const running = () => driver.created.filter((sandbox) => sandbox.running !== undefined);
    await until(() => running().length === 3, "all three run");
    assert.equal(variablesOf(driver.created[2])[INITIALIZATION], "on-demand");
    for (const sandbox of running()) sandbox.answer();
    const reports = await Promise.all(runs);
    assert.deepEqual(
      reports.map(({ report }) => report.initDurationMs === undefined),
      [true, true, false],
    );
    await close();
  });

  it("is kept for as long as it is configured, and no environment on demand is", async () => {
    const { driver, placement, clock, provide, ready, run, close } = setUp({ keepAliveMs: 10_000 });
    provide(2);
    await ready(2);
    await run();
    await until(() => placement.counts().idle === 2, "both wait");
    for (let passed = 0; passed < 60; passed += 1) {
      clock.advance(10_000);
      await turns(5);
    }
    await ready(2);
    assert.equal(driver.created.length, 2, "the first ones");
    assert.deepEqual(placement.counts(), { environments: 2, idle: 2 });
    await close();
  });

  it("is renewed at its greatest age, one environment after the other", async () => {
    const { driver, clock, provide, ready, state, close } = setUp();
    provide(3);
    await ready(3);
    const first = [...driver.created];
    let least = 3;
    for (let passed = 0; driver.created.length < 6; passed += 1) {
      assert.ok(passed < 1000, "renewed in time");
      clock.advance(passed < 60 ? AGE_MS / 60 : 1000);
      least = Math.min(least, state().available);
      await ready(3);
    }
    assert.equal(least, 2);
    for (const sandbox of first) assert.ok(!driver.alive.has(sandbox));
    await close();
  });

  it("is replaced when it ends, but not all the time", async () => {
    const { driver, clock, provide, state, ready, close } = setUp();
    provide(2);
    await ready(2);
    driver.created[0]?.exit({ signal: "SIGKILL" });
    await until(() => state().allocated === 1, "it has ended");
    clock.advance(1000);
    await ready(2);
    assert.equal(driver.created.length, 3);
    // From now on every one ends right after its init.
    driver.script.onSpecialise = (sandbox) => {
      sandbox.send(FRAME.READY);
      setImmediate(() => sandbox.exit({ code: 1 }));
    };
    for (const sandbox of driver.alive) sandbox.exit({ code: 1 });
    const before = driver.created.length;
    for (let passed = 0; passed < 60; passed += 1) {
      clock.advance(1000);
      await turns(20);
    }
    const replaced = driver.created.length - before;
    assert.ok(replaced >= 10 && replaced <= 63, `${replaced} in a minute`);
    await close();
  });

  it("ends when it is reduced or removed, busy environments after their invocation", async () => {
    const { driver, placement, provide, ready, run, hold, close } = setUp();
    provide(3);
    await ready(3);
    provide(2);
    await until(() => driver.alive.size === 2, "one has ended");
    hold();
    const running = run();
    await until(() => driver.created.some((sandbox) => sandbox.running !== undefined), "it runs");
    provide(0);
    await until(() => driver.alive.size === 1, "the idle one has ended");
    for (const sandbox of driver.alive) sandbox.answer();
    assert.equal((await running).functionError, undefined);
    await until(() => driver.alive.size === 0, "the other one too");
    assert.deepEqual(placement.counts(), { environments: 0, idle: 0 });
    await close();
  });

  it("fails when the function cannot be initialised, tries again ever more seldom, and gives up", async () => {
    const { driver, clock, provide, state, ready, close } = setUp();
    const { onSpecialise } = driver.script;
    driver.script.onSpecialise = (sandbox) => {
      sandbox.send(FRAME.INIT_ERROR, Buffer.from('{"errorType":"E"}'));
      sandbox.exit({ code: 1 });
    };
    provide(1);
    await until(() => state().failure !== undefined, "it has failed");
    assert.deepEqual(state(), { allocated: 0, available: 0, failure: "FUNCTION_ERROR_INIT_FAILURE" });
    for (let passed = 0; passed < 600; passed += 1) {
      clock.advance(1000);
      await turns(10);
    }
    assert.equal(driver.created.length, 8);
    driver.script.onSpecialise = onSpecialise;
    provide(1);
    clock.advance(1000);
    await ready(1);
    assert.equal(state().failure, undefined);
    await close();
  });

  it("goes with its version", async () => {
    const { driver, placement, version, provide, ready, state, close } = setUp();
    provide(2);
    await ready(2);
    placement.retire(version.functionArn, version.version, undefined);
    await until(() => driver.alive.size === 0, "both have ended");
    assert.deepEqual(state(), { allocated: 0, available: 0 });
    assert.equal(driver.created.length, 2);
    await close();
  });

  it("waits while the machine is short of memory", async () => {
    let availableBytes = 0;
    const { driver, clock, provide, ready, state, close } = setUp({
      availableMemoryBytes: () => availableBytes,
      reserveBytes: 1,
    });
    clock.advance(1000);
    provide(1);
    clock.advance(5000);
    await turns(20);
    assert.equal(driver.created.length, 0);
    assert.deepEqual(state(), { allocated: 0, available: 0 });
    availableBytes = 1;
    clock.advance(2000);
    await ready(1);
    await close();
  });

  it("is made a few at a time, of each function in turn", async () => {
    const { driver, provide, ready, close } = setUp();
    let open: () => void = () => undefined;
    driver.gate = new Promise((resolve) => (open = resolve));
    provide(8);
    provide(8, versionOf("g"));
    await turns(50);
    assert.equal(driver.created.length, 0);
    driver.gate = undefined;
    open();
    await ready(8);
    await ready(8, versionOf("g"));
    const names = driver.created.map((sandbox) => variablesOf(sandbox)["AWS_LAMBDA_FUNCTION_NAME"]);
    // Four are begun before the second function comes, and one more was next.
    assert.deepEqual(names.slice(0, 8), ["f", "f", "f", "f", "f", "g", "f", "g"]);
    await close();
  });
});
