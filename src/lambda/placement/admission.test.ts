// Goal: the account's concurrency is a hard ceiling. Method: enter and leave around it.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { AwsError } from "../../errors.ts";
import { Admission } from "./admission.ts";

describe("admission", () => {
  it("lets in as many as the account may run at once, and one more for each that leaves", () => {
    const admission = new Admission(2);
    admission.enter();
    admission.enter();
    assert.equal(admission.running, 2);
    assert.throws(() => admission.enter(), AwsError);
    assert.equal(admission.running, 2, "who is refused does not count");
    admission.leave();
    admission.enter();
    assert.equal(admission.running, 2);
  });

  it("refuses in Lambda's words", () => {
    assert.throws(() => new Admission(0).enter(), {
      code: "TooManyRequestsException",
      status: 429,
      message: "Rate Exceeded.",
      members: { Reason: "ConcurrentInvocationLimitExceeded" },
    });
  });
});
