// Goal: Invoke keeps Lambda's limits to the byte, says what Lambda says, and meters before it answers.
// Method: the operation's handler over a directory, a runner and a meter that are the test's own.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { InvocationRequest, InvocationResponse } from "@aws-sdk/client-lambda";
import { tooManyRequests } from "../../errors.ts";
import { ManualClock } from "../../kernel/clock.ts";
import { INVOKE_EVENT_BYTES_MAX, INVOKE_REQUEST_BYTES_MAX } from "../../limits.ts";
import type { FunctionVersion, Invocation } from "../model.ts";
import type { AsynchronousQueue } from "./asynchronous/asynchronous.ts";
import { fakeContext, FakeInside, outcomeOf, REQUEST_ID } from "./fakes.ts";
import { createInvoke } from "./invoke.ts";

const ARN = "arn:aws:lambda:us-east-1:000000000000:function:f";

function setUp() {
  const inside = new FakeInside();
  const accepted: { version: FunctionVersion; invocation: Invocation }[] = [];
  const asynchronous: Pick<AsynchronousQueue, "accept"> = {
    accept: async (version, invocation) => void accepted.push({ version, invocation }),
  };
  const { Invoke } = createInvoke({
    directory: inside.directory,
    runner: inside,
    meter: inside.meter,
    asynchronous,
    clock: new ManualClock(),
  });
  const invoke = async (
    input: Partial<InvocationRequest> = {},
    headers?: Record<string, string>,
  ): Promise<InvocationResponse> =>
    (await Invoke({ FunctionName: "f", ...input }, fakeContext(headers))) as InvocationResponse;
  return { inside, accepted, invoke };
}

/** A JSON string of exactly so many bytes. */
const jsonOf = (bytes: number) =>
  Buffer.concat([Buffer.from('"'), Buffer.alloc(bytes - 2, "a"), Buffer.from('"')]);

describe("Invoke", () => {
  it("answers what the function returned, and the version that ran", async () => {
    const { inside, invoke } = setUp();
    const payload = Buffer.from('{"a":1}');
    assert.deepEqual(await invoke({ Payload: payload }), {
      StatusCode: 200,
      ExecutedVersion: "$LATEST",
      Payload: Buffer.from('"done"'),
    });
    const [run] = inside.runs;
    assert.equal(run?.invocation.payload, payload, "the bytes themselves, no copy");
    assert.equal(run?.invocation.requestId, REQUEST_ID);
    assert.equal(run?.version, inside.version);
  });

  it("meters after the run and before the answer", async () => {
    const { inside, invoke } = setUp();
    await invoke();
    inside.log.push("answered");
    assert.deepEqual(inside.log, ["resolve f -", "run", "record", "answered"]);
    assert.deepEqual(inside.usages, [
      { functionArn: ARN, version: "$LATEST", billedMs: 2, memoryMb: 128, ephemeralStorageMb: 1024 },
    ]);
  });

  it("takes an event of exactly 6 MB and refuses one byte more", async () => {
    const { inside, invoke } = setUp();
    await invoke({ Payload: jsonOf(INVOKE_REQUEST_BYTES_MAX) });
    assert.equal(inside.runs[0]?.invocation.payload.length, 6_291_456);
    await assert.rejects(invoke({ Payload: jsonOf(INVOKE_REQUEST_BYTES_MAX + 1) }), {
      status: 413,
      message:
        "6291457 byte payload is too large for the RequestResponse invocation type (limit 6291456 bytes)",
    });
    assert.equal(inside.runs.length, 1);
  });

  it("takes an asynchronous event of exactly 1 MB and refuses one byte more", async () => {
    const { accepted, invoke } = setUp();
    const InvocationType = "Event";
    assert.deepEqual(await invoke({ InvocationType, Payload: jsonOf(INVOKE_EVENT_BYTES_MAX) }), {
      StatusCode: 202,
    });
    await assert.rejects(invoke({ InvocationType, Payload: jsonOf(INVOKE_EVENT_BYTES_MAX + 1) }), {
      status: 413,
      message: "1048577 byte payload is too large for the Event invocation type (limit 1048576 bytes)",
    });
    assert.equal(accepted.length, 1);
  });

  it("makes an empty event an empty object", async () => {
    const { inside, invoke } = setUp();
    await invoke();
    await invoke({ Payload: Buffer.alloc(0) });
    assert.deepEqual(
      inside.runs.map(({ invocation }) => invocation.payload.toString()),
      ["{}", "{}"],
    );
  });

  it("refuses what is not JSON, and leaves very large events to the runtime", async () => {
    const { inside, invoke } = setUp();
    for (const text of ["{", "hello", "'a'", '{"a":1}}', "\u0000", "[1,]"]) {
      await assert.rejects(invoke({ Payload: Buffer.from(text) }), (error: Error & { code?: string }) => {
        assert.equal(error.code, "InvalidRequestContentException");
        assert.match(
          error.message,
          /^Could not parse request body into json: Could not parse payload into json: ./,
        );
        return true;
      });
    }
    assert.equal(inside.runs.length, 0);
    for (const text of ["1", "null", '"a"', " [1] ", '{"ü":"🦜"}'])
      await invoke({ Payload: Buffer.from(text) });
    await assert.rejects(invoke({ Payload: Buffer.alloc(128 * 1024, "x") }));
    await invoke({ Payload: Buffer.alloc(128 * 1024 + 1, "x") });
    assert.equal(inside.runs.length, 6);
  });

  it("passes the client context on as it came, and refuses what is none", async () => {
    const { inside, invoke } = setUp();
    const ClientContext = Buffer.from('{"custom":{"k":"v"}}').toString("base64");
    await invoke({ ClientContext });
    assert.equal(inside.runs[0]?.invocation.clientContext, ClientContext);
    for (const bad of ["", "string", "%%%", Buffer.from("{").toString("base64")]) {
      await assert.rejects(invoke({ ClientContext: bad }), {
        code: "InvalidRequestContentException",
        message: "Client context must be a valid Base64-encoded JSON object.",
      });
    }
    assert.equal(inside.runs.length, 1);
  });

  it("checks without running: DryRun", async () => {
    const { inside, invoke } = setUp();
    assert.deepEqual(await invoke({ InvocationType: "DryRun" }), { StatusCode: 204 });
    assert.deepEqual(inside.log, ["resolve f -"]);
    inside.version = undefined;
    await assert.rejects(invoke({ InvocationType: "DryRun" }), { code: "ResourceNotFoundException" });
  });

  it("accepts an event without running it in the caller's time", async () => {
    const { inside, accepted, invoke } = setUp();
    assert.deepEqual(await invoke({ InvocationType: "Event", LogType: "Tail", Payload: Buffer.from("7") }), {
      StatusCode: 202,
    });
    assert.deepEqual(inside.log, ["resolve f -"]);
    assert.equal(accepted[0]?.invocation.payload.toString(), "7");
    assert.equal(accepted[0]?.invocation.wantsTail, undefined);
  });

  it("answers the log's tail in Base64 to who asks for it", async () => {
    const { inside, invoke } = setUp();
    inside.act = async ({ wantsTail }) =>
      outcomeOf("1", wantsTail === true ? { logTail: Buffer.from("START\nÜ\n") } : {});
    const { LogResult } = await invoke({ LogType: "Tail" });
    assert.equal(Buffer.from(LogResult ?? "", "base64").toString(), "START\nÜ\n");
    assert.equal((await invoke({ LogType: "None" })).LogResult, undefined);
    assert.equal((await invoke()).LogResult, undefined);
  });

  it("answers a function's error with status 200, metered", async () => {
    const { inside, invoke } = setUp();
    inside.act = async () => outcomeOf('{"errorType":"E"}', { functionError: "Unhandled" });
    const response = await invoke();
    assert.equal(response.StatusCode, 200);
    assert.equal(response.FunctionError, "Unhandled");
    assert.equal(String(response.Payload), '{"errorType":"E"}');
    assert.equal(inside.usages.length, 1);
  });

  it("passes on why it could not run, unmetered", async () => {
    const { inside, invoke } = setUp();
    inside.act = async () => {
      throw tooManyRequests("ConcurrentInvocationLimitExceeded");
    };
    await assert.rejects(invoke(), { code: "TooManyRequestsException", status: 429 });
    inside.version = undefined;
    await assert.rejects(invoke(), { code: "ResourceNotFoundException" });
    assert.deepEqual(inside.usages, []);
  });

  const names: [string, string | undefined, string][] = [
    ["f", undefined, ARN],
    ["f", "live", `${ARN}:live`],
    ["f:live", undefined, `${ARN}:live`],
    ["f:$LATEST", undefined, `${ARN}:$LATEST`],
    ["f:7", "7", `${ARN}:7`],
    ["000000000000:function:f", undefined, ARN],
    ["000000000000:function:f:7", undefined, `${ARN}:7`],
    ["function:f", undefined, ARN],
    [ARN, undefined, ARN],
    [`${ARN}:live`, undefined, `${ARN}:live`],
    [ARN, "$LATEST", `${ARN}:$LATEST`],
  ];
  for (const [FunctionName, Qualifier, invoked] of names) {
    it(`tells the function the ARN that was invoked: ${FunctionName} ${Qualifier ?? ""}`, async () => {
      const { inside, invoke } = setUp();
      await invoke({ FunctionName, ...(Qualifier === undefined ? {} : { Qualifier }) });
      assert.equal(inside.runs[0]?.invocation.invokedFunctionArn, invoked);
      assert.equal(inside.log[0], `resolve ${FunctionName} ${Qualifier ?? "-"}`);
    });
  }

  it("keeps the caller's trace and tenant, and begins a trace where there is none", async () => {
    const { inside, invoke } = setUp();
    const trace = "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=1";
    await invoke({ TenantId: "blue" }, { "x-amzn-trace-id": trace });
    await invoke();
    assert.equal(inside.runs[0]?.invocation.traceHeader, trace);
    assert.equal(inside.runs[0]?.invocation.tenantId, "blue");
    assert.match(inside.runs[1]?.invocation.traceHeader ?? "", /^Root=1-6553f100-[0-9a-f]{24};Parent=/);
    assert.equal("tenantId" in (inside.runs[1]?.invocation ?? {}), false);
  });
});
