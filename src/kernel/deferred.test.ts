// Goal: a deferred settles once; whatever was thrown becomes an Error. Method: examples.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { assert as assertInvariant, AssertionError, unreachable } from "./assert.ts";
import { coerceError, deferred } from "./deferred.ts";

describe("a deferred", () => {
  it("resolves with the first value", async () => {
    const one = deferred<number>();
    one.resolve(1);
    one.resolve(2);
    one.reject(new Error("late"));
    assert.equal(await one.promise, 1);
  });

  it("rejects with the first error", async () => {
    const one = deferred();
    one.reject(new Error("first"));
    one.resolve();
    await assert.rejects(one.promise, { message: "first" });
  });
});

describe("anything thrown", () => {
  it("stays the error that it is, or becomes one", () => {
    const error = new TypeError("x");
    assert.equal(coerceError(error), error);
    for (const [thrown, message] of [
      ["text", "text"],
      [7, "7"],
      [undefined, "undefined"],
      [null, "null"],
    ] as const) {
      assert.ok(coerceError(thrown) instanceof Error);
      assert.equal(coerceError(thrown).message, message);
    }
  });
});

describe("assertions", () => {
  it("throw their message when an invariant is broken", () => {
    assertInvariant(1, "fine");
    for (const broken of [false, 0, "", undefined, null])
      assert.throws(() => assertInvariant(broken, "one has to hold"), AssertionError);
    assert.throws(() => unreachable("other" as never, "kind"), /unreachable kind: other/);
  });
});
