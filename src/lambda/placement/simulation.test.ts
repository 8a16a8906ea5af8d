// Goal: placement keeps its promises under any order of invocations, answers, deaths, revisions, freezes and time.
// Method: a seeded random walk over placement with its real pool and occupier, a scripted driver and a manual clock; what is
// reserved and provisioned changes all the time.
// Half of the seeds have environments kept for a fixed time, half as their arrivals advise. After each step: one invocation
// in an environment at a time, of its own revision; no more than the limit; every answer is the caller's own. In the end:
// everybody was answered, every sandbox was destroyed. A failure names its seed.
import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { describe, it } from "node:test";
import { AwsError } from "../../errors.ts";
import { ManualClock } from "../../kernel/clock.ts";
import { FRAME } from "../environment/link.ts";
import type { InvocationOutcome } from "../model.ts";
import { buildWorld, fakeInvocation, revision, until, type ScriptedSandbox, type World } from "./fakes.ts";

const STEPS = 400;
const LIMIT = 6;
const FUNCTIONS = ["a", "b"];
const SEEDS = [...Array.from({ length: 20 }, (_, index) => index + 1), randomInt(1 << 30)];
const REFUSALS = new Set(["TooManyRequestsException", "ServiceException"]);

/** mulberry32: numbers in [0, 1). */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

class Simulation {
  readonly clock = new ManualClock();
  readonly random: () => number;
  readonly revisions = new Map(FUNCTIONS.map((name) => [name, 1]));
  /** The code that each request must meet, by request id. */
  readonly expectedCode = new Map<string, string>();
  readonly seen = new Set<string>();
  readonly counts = { sent: 0, answered: 0, refused: 0, failed: 0, done: 0 };
  readonly problems: string[] = [];
  isShortOfMemory = false;
  readonly world: World;

  constructor(seed: number) {
    this.random = randomOf(seed);
    this.world = buildWorld(this.clock, {
      pool: { sizePerKind: 2 },
      placement: { accountConcurrency: LIMIT, cpus: 0.5 },
      keepAlive: {
        // A second's worth makes plans with many windows: environments come and go ahead of time.
        ...(seed % 2 === 0 ? { adapts: true, keepAliveMs: 1000 } : { keepAliveMs: 20_000 }),
        availableMemoryBytes: () => (this.isShortOfMemory ? 0 : 1),
        reserveBytes: 1,
      },
    });
    const { script } = this.world.driver;
    script.onStart = (sandbox) =>
      this.chance(0.03) ? sandbox.exit({ code: 1 }) : sandbox.send(FRAME.BOOTED, Buffer.from("{}"));
    script.onSpecialise = (sandbox) => this.initialise(sandbox);
    script.onInvoke = (sandbox) => this.invoked(sandbox);
  }

  chance(probability: number): boolean {
    return this.random() < probability;
  }

  pick<T>(items: readonly T[]): T | undefined {
    return items[Math.floor(this.random() * items.length)];
  }

  version(name: string) {
    const number = this.revisions.get(name) ?? 1;
    return revision(number, {
      name,
      functionArn: `arn:aws:lambda:us-east-1:000000000000:function:${name}`,
      codeSha256Hex: `${name}-${number}`,
    });
  }

  initialise(sandbox: ScriptedSandbox): void {
    const chance = this.random();
    if (chance < 0.8) sandbox.send(FRAME.READY);
    else if (chance < 0.87) sandbox.send(FRAME.INIT_ERROR, Buffer.from('{"errorType":"Runtime.Test"}'));
    else if (chance < 0.94) sandbox.exit({ code: 1 });
    // Otherwise it hangs.
  }

  invoked(sandbox: ScriptedSandbox): void {
    const id = sandbox.running ?? "";
    if (this.seen.has(id)) this.problems.push(`${id} was handed out twice`);
    this.seen.add(id);
    if (sandbox.codeTask !== this.expectedCode.get(id))
      this.problems.push(`${id} of ${this.expectedCode.get(id)} met ${sandbox.codeTask}`);
    if (this.chance(0.3)) this.finish(sandbox);
  }

  finish(sandbox: ScriptedSandbox): void {
    const { running } = sandbox;
    if (running === undefined || sandbox.dead || sandbox.frozen) return;
    const chance = this.random();
    if (chance < 0.75) sandbox.answer(running);
    else if (chance < 0.85) {
      sandbox.running = undefined;
      sandbox.output.write("some text\n");
      sandbox.send(FRAME.ERROR, Buffer.from(running), Buffer.from('{"errorType":"E"}'));
    } else if (chance < 0.92) sandbox.exit({ code: 1 });
    else {
      sandbox.send(FRAME.FATAL, Buffer.from(running), Buffer.from('{"errorType":"E"}'));
      sandbox.exit({ code: 128 });
    }
  }

  send(): void {
    const name = this.pick(FUNCTIONS) ?? "a";
    const version = this.version(name);
    const invocation = { ...fakeInvocation((this.counts.sent += 1)), wantsTail: this.chance(0.2) };
    this.expectedCode.set(invocation.requestId, `/code/${version.codeSha256Hex}`);
    this.world.placement.run(version, invocation).then(
      (outcome) => this.answered(invocation.requestId, outcome),
      (error: unknown) => {
        this.counts.refused += 1;
        if (!(error instanceof AwsError && REFUSALS.has(error.code))) this.problems.push(String(error));
      },
    );
  }

  answered(id: string, outcome: InvocationOutcome): void {
    this.counts.answered += 1;
    if (outcome.functionError !== undefined) this.counts.failed += 1;
    else if (outcome.payload.toString() === id) this.counts.done += 1;
    else this.problems.push(`${id} was answered with ${outcome.payload.toString()}`);
  }

  /** Within the limit together, as the control plane sees to it. */
  configure(): void {
    const name = this.pick(FUNCTIONS) ?? "a";
    const version = this.version(name);
    const provisioned = this.chance(0.6) ? [{ version, count: 1 + Math.floor(this.random() * 2) }] : [];
    const reserved = this.chance(0.3) ? { reserved: Math.floor(this.random() * 3) + 1 } : {};
    this.world.placement.configure({ functionArn: version.functionArn, provisioned, ...reserved });
  }

  async step(): Promise<void> {
    const { driver, placement } = this.world;
    const alive = [...driver.alive];
    const chance = this.random();
    if (chance < 0.4) this.send();
    else if (chance < 0.65) {
      const sandbox = this.pick(alive.filter(({ running }) => running !== undefined));
      if (sandbox) this.finish(sandbox);
    } else if (chance < 0.85) this.clock.advance(Math.floor(this.random() ** 3 * 8000));
    else if (chance < 0.9) this.pick(alive)?.exit({ signal: "SIGKILL" });
    else if (chance < 0.92) {
      const name = this.pick(FUNCTIONS) ?? "a";
      this.revisions.set(name, (this.revisions.get(name) ?? 1) + 1);
      const { functionArn, version, revisionId } = this.version(name);
      placement.retire(functionArn, version, this.chance(0.2) ? undefined : revisionId);
    } else if (chance < 0.93) this.configure();
    else if (chance < 0.94) {
      driver.broken = !driver.broken;
      if (driver.broken) driver.die();
    } else if (chance < 0.96) this.isShortOfMemory = !this.isShortOfMemory;
    else this.clock.advance(2500);
    if (driver.broken && this.chance(0.3)) driver.broken = false;
    const turns = Math.floor(this.random() * 6);
    for (let turn = 0; turn < turns; turn += 1)
      await new Promise<void>((resolve) => void setImmediate(resolve));
  }

  check(): void {
    const { placement } = this.world;
    assert.deepEqual(this.problems, []);
    assert.ok(placement.concurrency <= LIMIT, `${placement.concurrency} run`);
    const { sent, answered, refused } = this.counts;
    assert.ok(sent - answered - refused <= LIMIT, "who was admitted is counted");
    const { environments, idle } = placement.counts();
    assert.ok(idle <= environments, `${idle} of ${environments} wait`);
  }

  async end(): Promise<void> {
    const { placement, pool, driver } = this.world;
    driver.broken = false;
    const closed = placement.close(0);
    await until(() => {
      // Less than a function's timeout in all: it is the end of the server that answers them.
      this.clock.advance(0.1);
      return this.counts.answered + this.counts.refused === this.counts.sent;
    }, "everybody is answered");
    // What never boots is given up after its time.
    this.clock.advance(60_000);
    await closed;
    await pool.close();
    this.check();
    assert.equal(placement.concurrency, 0);
    assert.deepEqual(placement.counts(), { environments: 0, idle: 0 });
    assert.equal(driver.alive.size, 0, "every sandbox was destroyed");
    for (const { id, calls } of driver.created)
      assert.equal(calls.filter((call) => call === "destroy").length, 1, `${id} was destroyed once`);
  }
}

describe("placement under a random walk", () => {
  const totals = { done: 0, failed: 0, refused: 0 };
  for (const seed of SEEDS) {
    it(`keeps its promises, seed ${seed}`, async () => {
      const simulation = new Simulation(seed);
      for (let step = 0; step < STEPS; step += 1) {
        await simulation.step();
        simulation.check();
      }
      await simulation.end();
      for (const outcome of ["done", "failed", "refused"] as const)
        totals[outcome] += simulation.counts[outcome];
    });
  }

  it("met every outcome many times", () => {
    assert.ok(totals.done > 500 && totals.failed > 100 && totals.refused > 50, JSON.stringify(totals));
  });
});
