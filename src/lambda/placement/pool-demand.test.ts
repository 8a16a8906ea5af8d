// Goal: what waits in the pool follows the arrivals: bursts, ramps, trickles and silence. Method: a PoolDemand is told the
// times of takes and asked for its target; a property test holds it to its bounds and to forgetting under any arrivals.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import { PoolDemand } from "./pool-demand.ts";

const MINUTE_MS = 60_000;
const BOUNDS = { sizeMin: 2, sizeMax: 32 };

function take(demand: PoolDemand, count: number, nowMs: number): void {
  for (let index = 0; index < count; index += 1) demand.taken(nowMs);
}

describe("the pool's demand", () => {
  it("wants its least while a kind is used, and nothing after a quarter of an hour of silence", () => {
    const demand = new PoolDemand(BOUNDS, 0);
    assert.equal(demand.target(0), 2);
    assert.equal(demand.target(15 * MINUTE_MS), 2);
    assert.equal(demand.target(15 * MINUTE_MS + 1), 0);
    demand.taken(20 * MINUTE_MS);
    assert.equal(demand.target(20 * MINUTE_MS), 2);
  });

  it("stocks a whole burst at once, and gives half of it back with each minute", () => {
    const demand = new PoolDemand(BOUNDS, 0);
    take(demand, 16, 5000);
    const after = [0, 1, 2, 3, 4].map((minutes) => demand.target(6000 + minutes * MINUTE_MS));
    assert.deepEqual(after, [16, 8, 4, 2, 2]);
  });

  it("adds up what comes too close together for a refill, and not what comes apart", () => {
    const together = new PoolDemand(BOUNDS, 0);
    const apart = new PoolDemand(BOUNDS, 0);
    for (let index = 0; index < 10; index += 1) {
      together.taken(5000 + index * 90);
      apart.taken(5000 + index * 2000);
    }
    assert.equal(together.target(6000), 10);
    assert.equal(apart.target(23_000), 2);
  });

  it("follows a ramp up to its bound", () => {
    const demand = new PoolDemand(BOUNDS, 0);
    const targets: number[] = [];
    for (let second = 1; second <= 40; second += 1) {
      take(demand, second, second * 1000);
      targets.push(demand.target(second * 1000));
    }
    assert.deepEqual(
      targets,
      Array.from({ length: 40 }, (_, index) => Math.min(32, Math.max(2, index + 1))),
    );
  });

  it("keeps the greater of two bursts", () => {
    const demand = new PoolDemand(BOUNDS, 0);
    take(demand, 20, 1000);
    take(demand, 3, 10_000);
    assert.ok(demand.target(11_000) >= 17, String(demand.target(11_000)));
  });

  it("is nothing when the pool is switched off", () => {
    const demand = new PoolDemand({ sizeMin: 0, sizeMax: 32 }, 0);
    take(demand, 50, 1000);
    assert.equal(demand.target(1000), 0);
  });

  it("stays in its bounds and forgets, whatever comes", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(100_000), fc.nat(60)), { maxLength: 60 }), (steps) => {
        const demand = new PoolDemand(BOUNDS, 0);
        let nowMs = 0;
        for (const [pauseMs, count] of steps) {
          nowMs += pauseMs;
          take(demand, count, nowMs);
          const target = demand.target(nowMs);
          assert.ok(target === 0 || (target >= 2 && target <= 32), String(target));
          if (count > 0) assert.ok(target >= Math.min(32, count), "a burst is in stock right after it");
        }
        let before = demand.target(nowMs);
        for (let second = 1; second <= 1200; second += 40) {
          const target = demand.target(nowMs + second * 1000);
          assert.ok(target <= before, "it only falls in silence");
          before = target;
        }
        assert.equal(demand.target(nowMs + 16 * MINUTE_MS), 0);
      }),
    );
  });
});
