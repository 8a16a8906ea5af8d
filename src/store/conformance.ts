/**
 * The contract of the store port as tests: every implementation passes the same suite. Example by example first, then
 * random histories against a model that is obviously right (conformance/model.ts).
 */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { ManualClock } from "../kernel/clock.ts";
import { closeTests, durabilityTests } from "./conformance/life.ts";
import { modelTests } from "./conformance/model.ts";
import { queueTests } from "./conformance/queues.ts";
import { recordTests } from "./conformance/records.ts";
import { watchTests } from "./conformance/watch.ts";
import type { Store } from "./store.ts";

export interface StoreUnderTest {
  readonly store: Store;
  /** For stores that outlive their process: closes `store` and opens the same data again. */
  reopen?(): Promise<Store>;
  /** Closes whatever is open and removes every trace. */
  dispose(): Promise<void>;
}

/** Makes an empty store that takes its time from `clock`. */
export type StoreFactory = (clock: ManualClock) => Promise<StoreUnderTest>;

/** What the parts of the suite are given: one store for all of them, so each test works under names of its own. */
export interface Bench {
  readonly store: Store;
  readonly clock: ManualClock;
  /** A name that nobody used before. */
  unique(stem: string): string;
}

/** Registers the suite with node:test. `durable` adds what holds across a close and an open. */
export function storeSuite(name: string, factory: StoreFactory, options: { durable: boolean }): void {
  describe(`${name} keeps the contract of the store port`, () => {
    const clock = new ManualClock();
    let underTest: StoreUnderTest | undefined;
    let names = 0;
    const bench: Bench = {
      clock,
      get store() {
        assert(underTest, "the store is open");
        return underTest.store;
      },
      unique(stem) {
        names += 1;
        return `${stem}-${names}`;
      },
    };
    before(async () => {
      underTest = await factory(clock);
    });
    after(async () => {
      await underTest?.dispose();
    });
    describe("records", () => recordTests(bench));
    describe("watch", () => watchTests(bench));
    describe("queues", () => queueTests(bench));
    describe("random histories", () => modelTests(bench));
    describe("close", () => closeTests(factory));
    if (options.durable) describe("durability", () => durabilityTests(factory));
    it("resolves with no records for a kind that nobody used", async () => {
      assert.deepEqual(await bench.store.list(bench.unique("kind")), []);
    });
  });
}
