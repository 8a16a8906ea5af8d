// Goal: waiting sandboxes are there when they are needed, cost nothing when they are not, and none is lost.
// Method: a WarmPool over a driver without walls, on a clock that the test moves.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ManualClock } from "../../kernel/clock.ts";
import { deferred } from "../../kernel/deferred.ts";
import { createLogger } from "../../telemetry/logger.ts";
import { FRAME } from "../environment/link.ts";
import type { Sandbox } from "../sandbox/sandbox.ts";
import { FakeDriver, until } from "./fakes.ts";
import { WarmPool, type GenericKind, type WarmPoolOptions } from "./warm-pool.ts";

const QUIET_MS = 50;
const MINUTE_MS = 60_000;

function kind(key: string): GenericKind {
  return {
    key,
    spec: {
      root: { key },
      command: ["/var/lang/bin/node"],
      environment: {},
      memoryMb: 128,
      ephemeralStorageMb: 512,
      link: true,
    },
  };
}
const NODE = kind("node");
const PYTHON = kind("python");

function setUp(options: Partial<WarmPoolOptions> = {}) {
  const clock = new ManualClock();
  const driver = new FakeDriver();
  const lines: string[] = [];
  const logger = createLogger({ level: "debug", format: "json", clock, sink: (line) => lines.push(line) });
  let last = 0;
  const pool = new WarmPool({
    driver,
    clock,
    logger,
    nextId: () => `s-${(last += 1)}`,
    sizePerKind: 2,
    sizeTotalMax: 5,
    ...options,
  });
  return { clock, driver, lines, pool };
}

type SetUp = ReturnType<typeof setUp>;

/** A cold start from end to end: takes one, and destroys it. */
async function use({ pool }: SetUp, of: GenericKind): Promise<void> {
  pool.coldStartBegins();
  const { sandbox } = await pool.take(of);
  await sandbox.destroy("used");
  pool.coldStartEnded();
}

async function turns(): Promise<void> {
  for (let left = 30; left > 0; left -= 1) await new Promise<void>((resolve) => void setImmediate(resolve));
}

const holds = ({ pool }: SetUp, key: string, count: number) =>
  until(() => (pool.sizes()[key] ?? 0) === count, `${count} of ${key} wait`);

/** Filled to `count`, refill done. */
async function filled(test: SetUp, of: GenericKind, count: number): Promise<void> {
  test.pool.expect(of);
  test.clock.advance(QUIET_MS);
  await holds(test, of.key, count);
  await turns();
}

async function end({ pool, driver }: SetUp): Promise<void> {
  await pool.close();
  assert.equal(driver.alive.size, 0, "every sandbox was destroyed");
}

describe("the pool of waiting sandboxes", () => {
  it("keeps so many of an expected kind, booted", async () => {
    const test = setUp();
    test.pool.expect(NODE);
    assert.equal(test.driver.created.length, 0, "not before it is quiet");
    await filled(test, NODE, 2);
    assert.equal(test.driver.created.length, 2);
    assert.deepEqual(test.driver.created[0]?.spec.command, NODE.spec.command);
    await end(test);
  });

  it("gives a waiting one, and makes one when none waits", async () => {
    const test = setUp();
    await filled(test, NODE, 2);
    const made = new Set<Sandbox>(test.driver.created);
    const taken = await Promise.all([NODE, NODE, NODE, PYTHON].map((of) => test.pool.take(of)));
    assert.deepEqual(
      taken.map(({ sandbox }) => made.has(sandbox)),
      [true, true, false, false],
    );
    await Promise.all(taken.map(({ sandbox }) => sandbox.destroy("used")));
    await end(test);
  });

  it("refills only when nobody is starting, and after a quiet moment", async () => {
    const test = setUp();
    await filled(test, NODE, 2);
    test.pool.coldStartBegins();
    test.pool.coldStartBegins();
    const taken = await Promise.all([test.pool.take(NODE), test.pool.take(NODE)]);
    test.clock.advance(10 * QUIET_MS);
    test.pool.coldStartEnded();
    test.clock.advance(10 * QUIET_MS);
    await turns();
    assert.equal(test.driver.created.length, 2, "one is still starting");
    test.pool.coldStartEnded();
    test.clock.advance(QUIET_MS - 1);
    await turns();
    assert.equal(test.driver.created.length, 2, "not quiet for long enough");
    test.clock.advance(1);
    await holds(test, "node", 2);
    await Promise.all(taken.map(({ sandbox }) => sandbox.destroy("used")));
    await end(test);
  });

  it("stops refilling when a cold start comes, and goes on after it", async () => {
    const test = setUp();
    const gate = deferred();
    test.driver.gate = gate.promise;
    test.pool.expect(NODE);
    test.clock.advance(QUIET_MS);
    await turns();
    test.pool.coldStartBegins();
    gate.resolve();
    await holds(test, "node", 1);
    await turns();
    assert.equal(test.driver.created.length, 1, "the one that was being made, and no other");
    test.pool.coldStartEnded();
    test.clock.advance(QUIET_MS);
    await holds(test, "node", 2);
    await end(test);
  });

  it("stocks what a burst took, and gives back what is left over", async () => {
    const test = setUp({ sizeTotalMax: 20 });
    for (let index = 0; index < 12; index += 1) await use(test, NODE);
    test.clock.advance(QUIET_MS);
    await holds(test, "node", 12);
    test.clock.advance(4 * MINUTE_MS);
    await holds(test, "node", 2);
    await until(() => test.driver.alive.size === 2, "the others are gone");
    await end(test);
  });

  it("never lets more wait than its total", async () => {
    const test = setUp({ sizeTotalMax: 3 });
    test.pool.expect(NODE);
    await filled(test, PYTHON, 1);
    const { node = 0, python = 0 } = test.pool.sizes();
    assert.equal(node + python, 3);
    for (let index = 0; index < 20; index += 1) await use(test, NODE);
    test.clock.advance(QUIET_MS);
    await turns();
    const after = Object.values(test.pool.sizes()).reduce((sum, size) => sum + size, 0);
    assert.ok(after <= 3, `${after} wait`);
    await end(test);
  });

  it("forgets a kind that nobody used for a quarter of an hour, without anybody asking", async () => {
    const test = setUp();
    await filled(test, PYTHON, 2);
    test.clock.advance(10 * MINUTE_MS);
    await filled(test, NODE, 2);
    test.clock.advance(6 * MINUTE_MS);
    assert.deepEqual(test.pool.sizes(), { node: 2 });
    await until(() => test.driver.alive.size === 2, "the others are gone");
    await end(test);
  });

  it("does nothing when it is switched off", async () => {
    const test = setUp({ sizePerKind: 0 });
    for (let index = 0; index < 5; index += 1) await use(test, NODE);
    test.clock.advance(MINUTE_MS);
    await turns();
    assert.equal(test.driver.created.length, 5);
    await end(test);
  });

  it("loses sight of a sandbox that ends while it waits", async () => {
    const test = setUp();
    await filled(test, NODE, 2);
    test.driver.created[0]?.exit({ signal: "SIGKILL" });
    await holds(test, "node", 1);
    await until(() => test.driver.alive.size === 1, "destroyed");
    await use(test, NODE);
    test.clock.advance(QUIET_MS);
    await holds(test, "node", 2);
    await end(test);
  });

  it("destroys what does not boot, logs it, and tries again after the next cold start", async () => {
    const test = setUp();
    const { script } = test.driver;
    const boot = script.onStart;
    script.onStart = (sandbox) => sandbox.exit({ code: 1 });
    test.pool.expect(NODE);
    test.clock.advance(QUIET_MS);
    await until(() => test.lines.length === 1, "it is logged");
    assert.match(test.lines[0] ?? "", /cannot refill the pool.*the runtime did not boot/);
    assert.equal(test.driver.alive.size, 0);
    script.onStart = boot;
    await use(test, NODE);
    test.clock.advance(QUIET_MS);
    await holds(test, "node", 2);
    await end(test);
  });

  it("gives up a runtime that never says that it has booted", async () => {
    const test = setUp();
    test.driver.script.onStart = () => undefined;
    test.pool.expect(NODE);
    test.clock.advance(QUIET_MS);
    await until(() => test.driver.created.length === 1, "one boots");
    await turns();
    test.clock.advance(29_999);
    await turns();
    assert.equal(test.driver.alive.size, 1);
    test.clock.advance(1);
    await until(() => test.driver.alive.size === 0, "given up");
    await end(test);
  });

  it("rejects `booted` for a runtime that ends or speaks nonsense", async () => {
    const test = setUp();
    test.driver.script.onStart = (sandbox) => sandbox.send(FRAME.READY);
    const generic = await test.pool.take(NODE);
    await assert.rejects(test.pool.booted(generic), { name: "SandboxError", step: "boot" });
    await generic.sandbox.destroy("test");
    await end(test);
  });

  it("refuses a driver that gives no link", async () => {
    const test = setUp();
    const create = test.driver.create.bind(test.driver);
    test.driver.create = async (spec) => Object.assign(await create(spec), { link: undefined });
    await assert.rejects(test.pool.take(NODE), /no fast link/);
    assert.equal(test.driver.alive.size, 0);
    await end(test);
  });

  it("gives back as many as asked for under memory pressure", async () => {
    const test = setUp();
    test.pool.expect(PYTHON);
    await filled(test, NODE, 2);
    assert.equal(await test.pool.shrink(3), 3);
    assert.equal(test.driver.alive.size, 1);
    assert.equal(await test.pool.shrink(3), 1);
    assert.equal(await test.pool.shrink(3), 0);
    await end(test);
  });

  it("logs a sandbox that cannot be removed, and goes on", async () => {
    const test = setUp();
    await filled(test, NODE, 2);
    const [stuck] = test.driver.created;
    if (stuck) stuck.destroy = () => Promise.reject(new Error("device or resource busy"));
    assert.equal(await test.pool.shrink(2), 2);
    assert.match(test.lines[0] ?? "", /could not be removed.*device or resource busy/);
    await test.pool.close();
    assert.deepEqual([...test.driver.alive], [stuck]);
  });

  it("leaves nothing when it is closed while a sandbox is being made", async () => {
    const test = setUp();
    const gate = deferred();
    test.driver.gate = gate.promise;
    test.pool.expect(NODE);
    test.clock.advance(QUIET_MS);
    await turns();
    let isClosed = false;
    const closed = test.pool.close().then(() => (isClosed = true));
    await turns();
    assert.equal(isClosed, false, "it waits for the one that is being made");
    gate.resolve();
    await closed;
    assert.equal(test.driver.created.length, 1);
    await end(test);
    test.pool.expect(NODE);
    test.clock.advance(MINUTE_MS);
    await turns();
    assert.equal(test.driver.created.length, 1);
  });

  it("leaves nothing when it is closed while a runtime boots", async () => {
    const test = setUp();
    test.driver.script.onStart = () => undefined;
    test.pool.expect(NODE);
    test.clock.advance(QUIET_MS);
    await until(() => test.driver.created.length === 1, "one boots");
    await turns();
    await end(test);
    assert.deepEqual(test.lines, []);
  });
});
