// Goal: callers and logs get Lambda's own words for every way a runtime can fail. Method: tables of causes and texts.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  entrypointFailure,
  errorTypeOf,
  exitFailure,
  failurePayload,
  responseTooLargePayload,
  sandboxFailure,
  timeoutFailure,
} from "./failures.ts";

describe("failures", () => {
  it("name every end of a process as Lambda does", () => {
    const ends: [Parameters<typeof exitFailure>[0], string][] = [
      [{ code: 0, signal: undefined, outOfMemory: false }, "Runtime exited without providing a reason"],
      [
        { code: undefined, signal: undefined, outOfMemory: false },
        "Runtime exited without providing a reason",
      ],
      [{ code: 1, signal: undefined, outOfMemory: false }, "Runtime exited with error: exit status 1"],
      [{ code: 255, signal: undefined, outOfMemory: false }, "Runtime exited with error: exit status 255"],
      [
        { code: undefined, signal: "SIGKILL", outOfMemory: false },
        "Runtime exited with error: signal: killed",
      ],
      [{ code: 137, signal: undefined, outOfMemory: true }, "Runtime exited with error: signal: killed"],
      [
        { code: undefined, signal: "SIGSEGV", outOfMemory: false },
        "Runtime exited with error: signal: segmentation fault",
      ],
      [
        { code: undefined, signal: "SIGABRT", outOfMemory: false },
        "Runtime exited with error: signal: aborted",
      ],
      [
        { code: undefined, signal: "SIGRTMIN", outOfMemory: false },
        "Runtime exited with error: signal: sigrtmin",
      ],
    ];
    for (const [exit, cause] of ends)
      assert.deepEqual(exitFailure(exit), { errorType: "Runtime.ExitError", cause, status: "error" });
  });

  it("give timeouts in seconds with two digits", () => {
    for (const [timeoutMs, text] of [
      [1000, "1.00"],
      [3000, "3.00"],
      [900_000, "900.00"],
      [1999, "2.00"],
    ] as const) {
      const failure = timeoutFailure(timeoutMs);
      assert.equal(failure.cause, `Task timed out after ${text} seconds`);
      assert.deepEqual([failure.errorType, failure.status], ["Sandbox.Timedout", "timeout"]);
    }
  });

  it("say whose fault it is", () => {
    assert.equal(entrypointFailure("no bootstrap").status, "error");
    assert.equal(entrypointFailure("no bootstrap").errorType, "Runtime.InvalidEntrypoint");
    assert.equal(sandboxFailure("gone").status, "failure");
  });

  it("become JSON with the request id in front of the cause", () => {
    assert.equal(
      failurePayload(timeoutFailure(3000), "id-1").toString(),
      '{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: id-1 Error: Task timed out after 3.00 seconds"}',
    );
    assert.deepEqual(JSON.parse(responseTooLargePayload(6_291_556).toString()), {
      errorType: "Function.ResponseSizeTooLarge",
      errorMessage: "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
    });
  });

  it("find the errorType that a runtime reported, and take anything else as it is", () => {
    const typeOf = (text: string) => errorTypeOf(Buffer.from(text));
    assert.equal(typeOf('{"errorType":"TypeError","errorMessage":"no"}'), "TypeError");
    for (const text of [
      "",
      "null",
      "7",
      '"x"',
      "[]",
      "{",
      '{"errorType":""}',
      '{"errorType":7}',
      '{"errorMessage":"no"}',
    ]) {
      assert.equal(typeOf(text), undefined, text);
    }
  });

  it("do not parse a very large error body", () => {
    const body = (bytes: number) => Buffer.from(JSON.stringify({ errorType: "E", pad: "x".repeat(bytes) }));
    assert.equal(errorTypeOf(body(60_000)), "E");
    assert.equal(errorTypeOf(body(70_000)), undefined);
  });
});
