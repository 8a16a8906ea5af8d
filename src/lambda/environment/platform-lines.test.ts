// Goal: the platform's own log lines read as AWS Lambda's, in both formats and at every level.
// Method: each line against its literal text, or its JSON against a literal object.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { InvocationReport } from "../model.ts";
import { jsonLines, runtimeVersionArn, textLines } from "./platform-lines.ts";

const ID = "8476a536-e9f4-11e8-9739-2dfe598c3fcd";
const NOW_MS = Date.UTC(2026, 0, 2, 3, 4, 5, 6);
const TIME = "2026-01-02T03:04:05.006Z";
const UNTRACED = "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=0";
const TRACED = UNTRACED.replace("Sampled=0", "Sampled=1");
const SUBJECT = {
  functionName: "f",
  version: "$LATEST",
  region: "eu-west-1",
  runtimeVersion: "python:3.13.v1",
};
const REPORT: InvocationReport = {
  durationMs: 3.0149,
  billedMs: 4,
  memorySizeMb: 128,
  maxMemoryUsedMb: 36,
  status: "success",
};
const ARN = runtimeVersionArn("eu-west-1", "python:3.13.v1");

describe("platform lines as text", () => {
  const lines = textLines(SUBJECT);
  const base = `REPORT RequestId: ${ID}\tDuration: 3.01 ms\tBilled Duration: 4 ms\tMemory Size: 128 MB\tMax Memory Used: 36 MB`;

  it("tell the start of an environment and of an invocation, and its end", () => {
    assert.equal(
      lines.initStart(NOW_MS),
      `INIT_START Runtime Version: python:3.13.v1\tRuntime Version ARN: ${ARN}`,
    );
    assert.equal(lines.start(NOW_MS, ID), `START RequestId: ${ID} Version: $LATEST`);
    assert.equal(lines.end(NOW_MS, ID, REPORT), `END RequestId: ${ID}`);
  });

  const reports: [string, Partial<InvocationReport>, string, string][] = [
    ["a warm success", {}, UNTRACED, `${base}\t`],
    ["a cold start", { initDurationMs: 110.1 }, UNTRACED, `${base}\tInit Duration: 110.10 ms\t`],
    [
      "a timeout",
      { status: "timeout", errorType: "Sandbox.Timedout" },
      UNTRACED,
      `${base}\tStatus: timeout\t`,
    ],
    [
      "an error of the runtime",
      { status: "error", errorType: "Runtime.ExitError" },
      UNTRACED,
      `${base}\tStatus: error\tError Type: Runtime.ExitError\t`,
    ],
    ["what the handler threw", { status: "error", errorType: "TypeError" }, UNTRACED, `${base}\t`],
    [
      "a traced invocation",
      {},
      TRACED,
      `${base}\nXRAY TraceId: 1-5bef4de7-ad49b0e87f6ef6c87fc2e700\tSampled: true\t`,
    ],
    ["a trace header without a root", {}, "Sampled=1", `${base}\t`],
  ];
  for (const [name, overrides, trace, expected] of reports) {
    it(`report ${name}`, () =>
      assert.equal(lines.report(NOW_MS, ID, { ...REPORT, ...overrides }, trace), expected));
  }

  it("tell an init that failed", () => {
    assert.equal(
      lines.initReport(NOW_MS, { durationMs: 9998.664, phase: "init", status: "timeout" }),
      "INIT_REPORT Init Duration: 9998.66 ms\tPhase: init\tStatus: timeout",
    );
    assert.equal(
      lines.initReport(NOW_MS, {
        durationMs: 1,
        phase: "invoke",
        status: "error",
        errorType: "Runtime.Unknown",
      }),
      "INIT_REPORT Init Duration: 1.00 ms\tPhase: invoke\tStatus: error\tError Type: Runtime.Unknown",
    );
  });
});

describe("platform lines as JSON", () => {
  const parse = (line: string | undefined) =>
    line === undefined ? undefined : (JSON.parse(line) as unknown);

  it("are platform events with their time", () => {
    const lines = jsonLines(SUBJECT, "INFO");
    assert.deepEqual(parse(lines.initStart(NOW_MS)), {
      time: TIME,
      type: "platform.initStart",
      record: {
        initializationType: "on-demand",
        phase: "init",
        runtimeVersion: "python:3.13.v1",
        runtimeVersionArn: ARN,
        functionName: "f",
        functionVersion: "$LATEST",
      },
    });
    assert.deepEqual(parse(lines.start(NOW_MS, ID)), {
      time: TIME,
      type: "platform.start",
      record: { requestId: ID, version: "$LATEST" },
    });
    const failed: InvocationReport = {
      ...REPORT,
      status: "error",
      errorType: "Runtime.ExitError",
      initDurationMs: 110.12345,
    };
    assert.deepEqual(parse(lines.report(NOW_MS, ID, failed, UNTRACED)), {
      time: TIME,
      type: "platform.report",
      record: {
        requestId: ID,
        status: "error",
        errorType: "Runtime.ExitError",
        metrics: {
          durationMs: 3.015,
          billedDurationMs: 4,
          memorySizeMB: 128,
          maxMemoryUsedMB: 36,
          initDurationMs: 110.123,
        },
      },
    });
    assert.deepEqual(parse(lines.initReport(NOW_MS, { durationMs: 7, phase: "init", status: "timeout" })), {
      time: TIME,
      type: "platform.initReport",
      record: {
        initializationType: "on-demand",
        phase: "init",
        status: "timeout",
        metrics: { durationMs: 7 },
      },
    });
  });

  it("leave out at each level what AWS leaves out", () => {
    const said = (level: "DEBUG" | "INFO" | "WARN") => {
      const lines = jsonLines(SUBJECT, level);
      return {
        initStart: lines.initStart(NOW_MS) !== undefined,
        start: lines.start(NOW_MS, ID) !== undefined,
        end: lines.end(NOW_MS, ID, REPORT) !== undefined,
        success: lines.report(NOW_MS, ID, REPORT, UNTRACED) !== undefined,
        failedEnd: lines.end(NOW_MS, ID, { ...REPORT, status: "timeout" }) !== undefined,
        failure: lines.report(NOW_MS, ID, { ...REPORT, status: "timeout" }, UNTRACED) !== undefined,
        init: lines.initReport(NOW_MS, { durationMs: 1, phase: "init", status: "error" }) !== undefined,
      };
    };
    const all = {
      initStart: true,
      start: true,
      end: true,
      success: true,
      failedEnd: true,
      failure: true,
      init: true,
    };
    assert.deepEqual(said("DEBUG"), all);
    assert.deepEqual(said("INFO"), { ...all, end: false });
    assert.deepEqual(said("WARN"), { ...all, initStart: false, start: false, end: false, success: false });
  });

  it("tell the end of the runtime's work at level DEBUG", () => {
    assert.deepEqual(parse(jsonLines(SUBJECT, "DEBUG").end(NOW_MS, ID, REPORT)), {
      time: TIME,
      type: "platform.runtimeDone",
      record: { requestId: ID, status: "success", metrics: { durationMs: 3.0149 } },
    });
  });
});

describe("runtime version ARNs", () => {
  it("name a build: same build, same ARN", () => {
    assert.match(ARN, /^arn:aws:lambda:eu-west-1::runtime:[0-9a-f]{64}$/);
    assert.equal(runtimeVersionArn("eu-west-1", "python:3.13.v1"), ARN);
    assert.notEqual(runtimeVersionArn("eu-west-1", "python:3.13.v2"), ARN);
  });
});
