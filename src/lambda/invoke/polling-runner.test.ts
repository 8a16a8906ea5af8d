// Goal: answers of fast functions are polled for, each function by what it takes itself, events of the queue never; what has
// begun ends, also when it fails.
// Method: a scripted runner and a poll whose clock and event loop are turned by hand.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { BusyPoll } from "../../kernel/busy-poll.ts";
import { ManualClock } from "../../kernel/clock.ts";
import { fakeVersion } from "../environment/fakes.ts";
import type { Invocation } from "../model.ts";
import { FakeInside, outcomeOf, REQUEST_ID } from "./fakes.ts";
import { PollingRunner } from "./polling-runner.ts";

const MAX_MS = 0.2;
const INVOCATION: Invocation = {
  requestId: REQUEST_ID,
  payload: Buffer.from("{}"),
  invokedFunctionArn: fakeVersion().functionArn,
  traceHeader: "",
};

function setUp() {
  const clock = new ManualClock();
  const turns: (() => void)[] = [];
  const poll = new BusyPoll({ clock, maxMs: MAX_MS, cpus: 2, nextTurn: (turn) => turns.push(turn) });
  const inside = new FakeInside();
  let tookMs = 0.05;
  let polled = false;
  inside.act = async () => {
    // The turn in which the invocation was handed out ends; is another one due before its answer?
    for (const turn of turns.splice(0)) turn();
    polled = turns.length > 0;
    clock.advance(tookMs);
    return outcomeOf("1");
  };
  const runner = new PollingRunner(inside, poll);
  /** Runs one invocation that takes `ms`; resolves with whether its answer was polled for. */
  const run = async (version: typeof inside.version, ms: number, origin?: "caller" | "queue") => {
    tookMs = ms;
    clock.advance(50);
    for (const turn of turns.splice(0)) turn();
    assert.ok(version);
    await runner.run(version, INVOCATION, origin);
    return polled;
  };
  return { inside, runner, run };
}

describe("PollingRunner", () => {
  it("polls for the answers of a version that is fast, and of no other", async () => {
    const { run } = setUp();
    const [fast, slow] = [fakeVersion(), fakeVersion()];
    assert.equal(await run(fast, 0.05), false, "not known yet");
    assert.equal(await run(fast, 0.05), true);
    assert.equal(await run(slow, 5), false);
    assert.equal(await run(slow, 5), false);
    assert.equal(await run(fast, 0.05), true);
  });

  it("does not poll for events of the queue", async () => {
    const { run } = setUp();
    const version = fakeVersion();
    for (let number = 0; number < 3; number += 1) await run(version, 0.05);
    assert.equal(await run(version, 0.05, "queue"), false);
    assert.equal(await run(version, 0.05), true);
  });

  it("passes errors on, and counts what failed as ended", async () => {
    const { inside, runner, run } = setUp();
    const version = fakeVersion();
    await run(version, 0.05);
    const { act } = inside;
    inside.act = () => Promise.reject(new Error("broken"));
    for (let number = 0; number < 2; number += 1)
      await assert.rejects(runner.run(version, INVOCATION), { message: "broken" });
    inside.act = act;
    assert.equal(await run(version, 0.05), true, "nothing else is under way");
  });
});
