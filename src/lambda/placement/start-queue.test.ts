// Goal: cold starts are fair between functions, bounded, and nobody is forgotten, whatever the machine's memory does.
// Method: examples, then long random histories over fleets that are counters: whenever there is room and somebody waits, it
// is used; in the end everybody has been served or refused. A failure names its seed.
import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { describe, it } from "node:test";
import { ManualClock } from "../../kernel/clock.ts";
import { StartQueue, type Startable } from "./start-queue.ts";

class FakeFleet implements Startable {
  readonly name: string;
  readonly functionKey: object = this;
  waiting = 0;
  starting = 0;
  environments = 0;
  refused = 0;

  constructor(name: string) {
    this.name = name;
  }

  get missing(): number {
    return Math.max(0, this.waiting - this.starting);
  }

  get hasAny(): boolean {
    return this.environments > 0;
  }
}

class World {
  readonly clock = new ManualClock();
  readonly order: string[] = [];
  /** Builds that have begun. */
  readonly builds: { fleet: FakeFleet; finish: () => void }[] = [];
  isShort = false;
  readonly queue: StartQueue<FakeFleet>;

  constructor(startsMax: number) {
    this.queue = new StartQueue({
      clock: this.clock,
      startsMax,
      isShortOfMemory: () => this.isShort,
      start: (fleet, built) => {
        fleet.starting += 1;
        fleet.environments += 1;
        this.order.push(fleet.name);
        const finish = () => {
          fleet.starting -= 1;
          fleet.waiting = Math.max(0, fleet.waiting - 1);
          built();
        };
        this.builds.push({ fleet, finish });
      },
      refuse: (fleet) => {
        fleet.refused += fleet.missing;
        fleet.waiting -= fleet.missing;
      },
    });
  }

  arrive(fleet: FakeFleet, count: number): void {
    fleet.waiting += count;
    this.queue.want(fleet);
  }

  finish(index = 0): void {
    this.builds.splice(index, 1)[0]?.finish();
  }

  relieve(): void {
    this.isShort = false;
    this.queue.next();
  }
}

describe("the queue of cold starts", () => {
  it("builds so many at once and gives a newcomer the next turn, however long the burst before it", () => {
    const world = new World(3);
    const [burst, newcomer] = [new FakeFleet("burst"), new FakeFleet("new")];
    world.arrive(burst, 100);
    assert.equal(world.builds.length, 3);
    world.arrive(newcomer, 2);
    world.finish();
    assert.deepEqual(world.order.slice(3), ["new"]);
    world.finish();
    assert.deepEqual(world.order.slice(3), ["new", "burst"]);
    world.finish();
    assert.deepEqual(world.order.slice(3), ["new", "burst", "new"]);
    while (world.builds.length > 0) world.finish();
    assert.equal(world.order.length, 102);
    assert.equal(world.queue.waiting, 0);
  });

  it("starts nothing for who has been served meanwhile", () => {
    const world = new World(1);
    const [a, b] = [new FakeFleet("a"), new FakeFleet("b")];
    world.arrive(a, 1);
    world.arrive(b, 1);
    b.waiting = 0;
    world.finish();
    assert.deepEqual(world.order, ["a"]);
    assert.equal(world.queue.waiting, 0);
  });

  it("while memory is short gives every function its first environment, one after the other", () => {
    const world = new World(8);
    const [large, small, other] = ["large", "small", "other"].map((name) => new FakeFleet(name));
    assert.ok(large && small && other);
    world.arrive(large, 2);
    world.finish();
    world.finish();
    world.isShort = true;
    world.arrive(large, 5);
    world.arrive(small, 3);
    world.arrive(other, 1);
    assert.deepEqual(world.order.slice(2), ["small"]);
    world.finish();
    assert.deepEqual(world.order.slice(2), ["small", "other"]);
    world.finish();
    assert.equal(world.builds.length, 0, "the others share what they have");
    world.relieve();
    assert.equal(world.builds.length, 7);
  });

  it("refuses who has waited too long for memory, and nobody else", () => {
    const world = new World(8);
    const [a, b] = [new FakeFleet("a"), new FakeFleet("b")];
    a.environments = 1;
    world.isShort = true;
    world.arrive(a, 4);
    world.arrive(b, 1);
    world.clock.advance(9_999);
    assert.equal(a.refused, 0);
    world.clock.advance(1);
    assert.deepEqual([a.refused, b.refused], [4, 0]);
    assert.deepEqual(world.order, ["b"]);
    world.arrive(a, 1);
    world.clock.advance(5_000);
    world.relieve();
    world.clock.advance(60_000);
    assert.equal(a.refused, 4);
  });

  it("refuses everybody when it stops", () => {
    const world = new World(1);
    const [a, b] = [new FakeFleet("a"), new FakeFleet("b")];
    world.arrive(a, 3);
    world.arrive(b, 2);
    world.queue.stop();
    assert.deepEqual([a.refused, b.refused], [2, 2]);
    world.finish();
    assert.equal(world.builds.length, 0);
  });
});

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

describe("the queue of cold starts under random histories", () => {
  for (const seed of [...Array.from({ length: 20 }, (_, index) => index + 1), randomInt(1 << 30)]) {
    it(`forgets and starves nobody, seed ${seed}`, () => {
      const random = randomOf(seed);
      const below = (count: number) => Math.floor(random() * count);
      const startsMax = 1 + below(4);
      const world = new World(startsMax);
      const fleets = ["a", "b", "c", "d"].map((name) => new FakeFleet(name));
      const arrived = new Map(fleets.map((fleet) => [fleet, 0]));
      for (let step = 0; step < 1000; step += 1) {
        const fleet = fleets[below(fleets.length)] as FakeFleet;
        const chance = random();
        if (chance < 0.35) {
          const count = 1 + below(random() < 0.1 ? 30 : 3);
          arrived.set(fleet, (arrived.get(fleet) ?? 0) + count);
          world.arrive(fleet, count);
        } else if (chance < 0.75) world.finish(below(world.builds.length));
        else if (chance < 0.85) {
          fleet.environments = Math.max(0, fleet.environments - 1);
          world.queue.next();
        } else if (chance < 0.92) world.clock.advance(below(4000));
        else if (world.isShort) world.relieve();
        else world.isShort = true;
        assert.ok(world.builds.length <= startsMax);
        const hungry = fleets.filter(({ missing }) => missing > 0);
        if (!world.isShort && hungry.length > 0)
          assert.equal(world.builds.length, startsMax, "no lost wake-up");
        if (world.isShort && hungry.some(({ hasAny }) => !hasAny)) assert.ok(world.builds.length > 0);
      }
      world.relieve();
      while (world.builds.length > 0) world.finish();
      for (const fleet of fleets) {
        const starts = world.order.filter((name) => name === fleet.name).length;
        assert.ok(starts + fleet.refused >= (arrived.get(fleet) ?? 0), `${fleet.name} has been dealt with`);
        assert.equal(fleet.waiting, 0);
      }
      assert.equal(world.queue.waiting, 0);
    });
  }
});
