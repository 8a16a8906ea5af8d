/**
 * What every sandbox driver does, as a test suite: `sandboxSuite` in the driver's own test file. What the contract in
 * sandbox.ts promises is tested always; what depends on the machine is tested where `driver.walls` claims it, and is
 * shown as skipped, with the driver's reason, where it does not.
 *
 * A probe inside the sandboxes (conformance/agent.mjs, under Node) does and tells what the tests ask; shells do the rest.
 */
import { after, before, suite, test } from "node:test";
import { Fixture, type SandboxFactory } from "./conformance/fixture.ts";
import { defineCode } from "./conformance/code.ts";
import type { Define } from "./conformance/groups.ts";
import { defineDestroy, defineLink, defineOutput, defineSignals } from "./conformance/lifecycle.ts";
import { defineIsolation, defineLimits } from "./conformance/walls.ts";

export type { SandboxFactory, SuiteFolders } from "./conformance/fixture.ts";

/** A test that hangs fails: generous, since the machine may be busy with others. */
const TEST_TIMEOUT_MS = 60_000;

export interface SandboxSuiteOptions {
  /** Tests that this driver cannot pass: title → reason. A title that no test has is an error. */
  readonly skip?: Readonly<Record<string, string>>;
  /** Environment variables that the driver cannot but add. */
  readonly extraVariables?: readonly string[];
  /** Skips everything, for this reason: the machine lacks what the driver needs. */
  readonly unavailable?: string | undefined;
}

/** Registers the suite with node:test. `factory` is called with folders that it makes for the purpose, twice at most at a time. */
export function sandboxSuite(name: string, factory: SandboxFactory, options: SandboxSuiteOptions = {}): void {
  const skips = new Map(Object.entries(options.skip ?? {}));
  void suite(`sandbox driver ${name}`, { skip: options.unavailable ?? false }, () => {
    let fixture: Fixture | undefined;
    const current = () => {
      if (fixture === undefined) throw new Error("the driver was not started");
      return fixture;
    };
    before(async () => {
      fixture = new Fixture(factory, options.extraVariables ?? []);
      await fixture.start();
    });
    after(() => fixture?.close());

    const define: Define = (title, body) => {
      void test(title, { timeout: TEST_TIMEOUT_MS, skip: skips.get(title) ?? false }, body);
      skips.delete(title);
    };
    for (const group of [
      defineOutput,
      defineLink,
      defineSignals,
      defineCode,
      defineLimits,
      defineIsolation,
      defineDestroy,
    ]) {
      group(define, current);
    }
    if (skips.size > 0) throw new Error(`skipped, but no such test: ${[...skips.keys()].join(", ")}`);
  });
}
