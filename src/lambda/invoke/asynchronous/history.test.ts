/**
 * Goal: whatever happens, and in whatever order, no accepted event is lost, none is run more often than the rules allow, and
 * nothing is left behind.
 * Method: fast-check makes histories of acceptances, failures, throttles, kills, orderly restarts, deletions and time; each
 * is run, then everything is let come to its end, and each event is accounted for.
 */
import assert from "node:assert/strict";
import { it } from "node:test";
import * as fc from "fast-check";
import { tooManyRequests } from "../../../errors.ts";
import { outcomeOf } from "../fakes.ts";
import { failing, World, type Server } from "./fixture.ts";

const RUNS = 100;
const NAMES = ["f", "g", "h"];

type Step =
  | { do: "accept"; name: string; acts: string[] }
  | { do: "advance"; byMs: number }
  | { do: "delete"; name: string }
  | { do: "kill" | "restart" | "turn" };

const name = fc.constantFrom(...NAMES);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant("accept" as const),
      name,
      acts: fc.array(fc.constantFrom("fail", "throttle", "hang"), { maxLength: 4 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("turn" as const) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant("advance" as const),
      byMs: fc.constantFrom(500, 1000, 60_000, 120_000),
    }),
  },
  fc.record({ do: fc.constant("delete" as const), name }),
  fc.record({ do: fc.constant("kill" as const) }),
  fc.record({ do: fc.constant("restart" as const) }),
);

interface Accepted {
  readonly name: string;
  readonly acts: string[];
  runs: number;
  errors: number;
  succeeded: boolean;
  /** Its function was deleted: what becomes of it is nobody's business. */
  doomed: boolean;
}

class History {
  readonly #world = new World();
  readonly #accepted = new Map<string, Accepted>();
  #server: Server | undefined;
  #kills = 0;
  #wake: (() => void)[] = [];

  async run(steps: readonly Step[]): Promise<void> {
    for (const each of ["g", "h"]) this.#world.functions.create(each);
    this.#world.inside.act = ({ requestId }) => this.#act(requestId);
    this.#server = await this.#world.start({ runningMax: 5 });
    for (const each of steps) await this.#step(each);
    await this.#end();
  }

  async #act(requestId: string): ReturnType<typeof failing> {
    const event = this.#accepted.get(requestId);
    assert(event);
    event.runs += 1;
    const act = event.acts.shift();
    if (act === "throttle") throw tooManyRequests("ConcurrentInvocationLimitExceeded");
    if (act === "hang") {
      await new Promise<void>((resolve) => this.#wake.push(resolve));
    }
    if (act === "fail") {
      event.errors += 1;
      return failing();
    }
    event.succeeded = true;
    return outcomeOf("1");
  }

  async #step(each: Step): Promise<void> {
    const world = this.#world;
    switch (each.do) {
      case "accept": {
        const requestId = `request ${this.#accepted.size}`;
        const fresh = { runs: 0, errors: 0, succeeded: false, doomed: false };
        this.#accepted.set(requestId, { name: each.name, acts: [...each.acts], ...fresh });
        await this.#server?.accept(each.name, { requestId });
        break;
      }
      case "turn":
        await world.turn();
        break;
      case "advance":
        await world.advance(each.byMs);
        break;
      case "delete":
        for (const event of this.#accepted.values()) if (event.name === each.name) event.doomed = true;
        world.functions.delete(each.name);
        world.functions.create(each.name);
        break;
      case "kill":
        this.#kills += 1;
        this.#server?.kill();
        this.#wake = [];
        this.#server = await world.start({ runningMax: 5 });
        break;
      case "restart":
        await this.#stop();
        this.#server = await world.start({ runningMax: 5 });
        break;
      default:
    }
  }

  async #stop(): Promise<void> {
    const end = { closed: false };
    this.#server?.queue.stop();
    void this.#server?.queue.close().then(() => (end.closed = true));
    for (let turns = 0; !end.closed; turns += 1) {
      assert(turns < 100, "an orderly end comes to its end");
      for (const wake of this.#wake.splice(0)) wake();
      await this.#world.turn(1);
    }
  }

  /** Lets everything end, then accounts for it. */
  async #end(): Promise<void> {
    const world = this.#world;
    for (let minutes = 0; minutes < 60; minutes += 1) {
      await world.advance(60_000);
      for (const wake of this.#wake.splice(0)) wake();
      await world.turn();
      if ((await world.stored()) === 0) break;
    }
    assert.equal(await world.stored(), 0, "nothing is left");
    for (const [requestId, event] of this.#accepted) {
      if (event.doomed) continue;
      assert(event.succeeded || event.errors >= 3, `${requestId} was lost: ${JSON.stringify(event)}`);
      // Each kill can repeat the attempt that was under way.
      assert(event.errors <= 3 + this.#kills, `${requestId} failed too often: ${JSON.stringify(event)}`);
    }
    const dropped = [...this.#accepted.values()].filter(({ doomed, succeeded }) => !doomed && !succeeded);
    assert(world.counts("AsyncEventsDropped") >= dropped.length, "what is given up is counted");
  }
}

it("accounts for every event, whatever the history", async () => {
  const property = fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) =>
    new History().run(steps),
  );
  await fc.assert(property, { numRuns: RUNS });
});
