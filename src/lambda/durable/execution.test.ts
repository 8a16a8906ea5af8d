/**
 * Goal: an execution takes the updates that AWS takes, in every state of an operation, and refuses the others in AWS's words
 * without having changed anything; what it shows and what it writes is what happened.
 * Method: one execution at a time, without store or server; a table of refusals.
 */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { OperationUpdate } from "@aws-sdk/client-lambda";
import { Execution } from "./execution.ts";
import type { ExecutionRecord, OperationRecord } from "./records.ts";
import { invocationPayload, showOperation, statePage } from "./state.ts";

const START_MS = 1_700_000_000_000;
const begin = (parent?: ExecutionRecord["parent"]) =>
  Execution.begin(
    {
      id: "018bcfe5-6800-7000-8000-000000000000",
      name: "one",
      functionName: "f",
      functionArn: "arn:aws:lambda:us-east-1:000000000000:function:f",
      version: "1",
      identity: "identity",
      invokedFunctionArn: "arn:aws:lambda:us-east-1:000000000000:function:f:1",
      startMs: START_MS,
      executionTimeoutMs: 3_600_000,
      retentionMs: 86_400_000,
      requestId: "request",
      traceHeader: "Root=1",
      ...(parent && { parent }),
    },
    '{"n":1}',
  );
const allowed = () => undefined;
const update = (
  Id: string,
  Type: OperationUpdate["Type"],
  Action: OperationUpdate["Action"],
  more: Partial<OperationUpdate> = {},
): OperationUpdate => ({ Id, Type, Action, ...more });
const apply = (execution: Execution, ...updates: OperationUpdate[]) =>
  execution.checkpoint(updates, START_MS + 1000, allowed);
const wait = { WaitOptions: { WaitSeconds: 5 } };
const retry = { StepOptions: { NextAttemptDelaySeconds: 5 } };
const chained = { ChainedInvokeOptions: { FunctionName: "g" } };

/** One of everything, in each state that matters. */
function full(): Execution {
  const execution = begin();
  apply(
    execution,
    update("started", "STEP", "START"),
    update("context", "CONTEXT", "START"),
    update("wait", "WAIT", "START", wait),
    update("callback", "CALLBACK", "START"),
    update("chained", "CHAINED_INVOKE", "START", chained),
    update("closed", "STEP", "START", { Name: "close", SubType: "Step", ParentId: "context" }),
    update("pending", "STEP", "RETRY", retry),
    update("over", "CONTEXT", "START"),
  );
  apply(execution, update("closed", "STEP", "SUCCEED"), update("over", "CONTEXT", "FAIL"));
  apply(execution, update("ready", "STEP", "RETRY", { StepOptions: { NextAttemptDelaySeconds: 0 } }));
  execution.fire(START_MS + 1000);
  return execution;
}

const invalid = "InvalidParameterValueException";
const large = "x".repeat(40_000);
const REFUSED: [string, OperationUpdate[]][] = [
  [
    "Cannot checkpoint multiple EXECUTION updates.",
    [update("e", "EXECUTION", "SUCCEED"), update("e", "EXECUTION", "FAIL")],
  ],
  [
    "EXECUTION checkpoint must be the last update.",
    [update("e", "EXECUTION", "FAIL"), update("n", "STEP", "START")],
  ],
  [
    "Cannot update the same operation twice in a single request.",
    [update("n", "WAIT", "START", wait), update("n", "WAIT", "CANCEL")],
  ],
  [
    "Cannot update the same operation twice in a single request.",
    [update("n", "STEP", "START"), update("n", "STEP", "START")],
  ],
  ["Invalid parent operation id.", [update("n", "STEP", "START", { ParentId: "nobody" })]],
  ["Invalid parent operation id.", [update("n", "STEP", "START", { ParentId: "started" })]],
  [
    "Invalid parent operation id.",
    [update("n", "STEP", "START", { ParentId: "m" }), update("m", "CONTEXT", "START")],
  ],
  ["Inconsistent operation type.", [update("wait", "STEP", "START")]],
  ["Inconsistent operation name.", [update("closed", "STEP", "START", { Name: "other" })]],
  ["Inconsistent operation subtype.", [update("closed", "STEP", "START", { SubType: "other" })]],
  ["Inconsistent parent operation id.", [update("closed", "STEP", "START", { ParentId: "over" })]],
  [
    "Error object size must be less than 32768 bytes.",
    [update("n", "STEP", "FAIL", { Error: { ErrorMessage: large } })],
  ],
  ["Invalid action for the given operation type.", [update("n", "WAIT", "SUCCEED")]],
  ["Invalid action for the given operation type.", [update("n", "STEP", "CANCEL")]],
  ["Invalid action for the given operation type.", [update("e", "EXECUTION", "START")]],
  ["Cannot provide a Payload for FAIL action.", [update("n", "STEP", "FAIL", { Payload: "1" })]],
  ["Cannot provide an Error for SUCCEED action.", [update("n", "CONTEXT", "SUCCEED", { Error: {} })]],
  ["Invalid current STEP state to start.", [update("started", "STEP", "START")]],
  ["Invalid current STEP state to start.", [update("pending", "STEP", "START")]],
  ["Invalid current STEP state to close.", [update("pending", "STEP", "SUCCEED")]],
  ["Invalid current STEP state to close.", [update("closed", "STEP", "FAIL")]],
  ["Invalid current STEP state to re-attempt.", [update("pending", "STEP", "RETRY", retry)]],
  ["Invalid StepOptions for the given action.", [update("started", "STEP", "RETRY")]],
  [
    "Cannot provide both error and payload to RETRY a STEP.",
    [update("started", "STEP", "RETRY", { ...retry, Error: {}, Payload: "1" })],
  ],
  ["Cannot start a CONTEXT that already exists.", [update("context", "CONTEXT", "START")]],
  ["Invalid current CONTEXT state to close.", [update("over", "CONTEXT", "SUCCEED")]],
  ["Cannot start a WAIT that already exists.", [update("wait", "WAIT", "START", wait)]],
  ["Invalid WaitOptions for the given action.", [update("n", "WAIT", "START")]],
  ["Cannot start a CALLBACK that already exists.", [update("callback", "CALLBACK", "START")]],
  [
    "Cannot cancel a CALLBACK that does not exist or has already completed.",
    [update("n", "CALLBACK", "CANCEL")],
  ],
  [
    "Cannot start a CHAINED_INVOKE that already exists.",
    [update("chained", "CHAINED_INVOKE", "START", chained)],
  ],
  [
    "Update for CHAINED_INVOKE operation requires ChainedInvokeOptions.",
    [update("n", "CHAINED_INVOKE", "START")],
  ],
  [
    "CHAINED_INVOKE input payload size must be less than or equal to 1048576 bytes.",
    [update("n", "CHAINED_INVOKE", "START", { ...chained, Payload: "x".repeat(1_048_577) })],
  ],
];

describe("a checkpoint", () => {
  for (const [message, updates] of REFUSED) {
    const asked = updates.map(({ Id, Type, Action }) => `${Action} ${Type} ${Id}`).join(", ");
    it(`refuses ${asked}: ${message}`, () => {
      const execution = full();
      execution.takeChanges(undefined);
      const before = [...execution.operations()];
      assert.throws(() => apply(execution, update("fine", "CONTEXT", "START"), ...updates), {
        code: invalid,
        message,
      });
      assert.deepEqual([...execution.operations()], before);
      assert.equal(execution.takeChanges(undefined).length, 1, "nothing but the execution's own record");
    });
  }

  it("moves each operation from state to state", () => {
    const execution = full();
    const states = Object.fromEntries([...execution.operations()].map(({ id, status }) => [id, status]));
    const { [execution.record.id]: root, ...others } = states;
    assert.equal(root, "STARTED");
    assert.deepEqual(others, {
      started: "STARTED",
      context: "STARTED",
      wait: "STARTED",
      callback: "STARTED",
      chained: "STARTED",
      closed: "SUCCEEDED",
      pending: "PENDING",
      over: "FAILED",
      ready: "READY",
    });
    apply(
      execution,
      update("ready", "STEP", "START"),
      update("wait", "WAIT", "CANCEL"),
      update("chained", "CHAINED_INVOKE", "CANCEL"),
    );
    assert.deepEqual(
      ["ready", "wait", "chained"].map((id) => execution.operation(id)?.status),
      ["STARTED", "CANCELLED", "CANCELLED"],
    );
  });

  it("keeps what a step gave last while its next attempt runs: a condition's state", () => {
    const execution = begin();
    apply(execution, update("s", "STEP", "RETRY", { ...retry, Payload: "7" }));
    execution.fire(START_MS + 6000);
    apply(execution, update("s", "STEP", "START"));
    const { Result, Attempt } = showOperation(execution.operation("s") as OperationRecord).StepDetails ?? {};
    assert.deepEqual([Result, Attempt], ["7", 1]);
  });

  it("takes no result from outside that does not fit into 100 MB: its operation has failed", () => {
    const execution = begin();
    const ids = Array.from({ length: 120 }, (_, at) => `c${at}`);
    apply(execution, ...ids.map((id) => update(id, "CHAINED_INVOKE", "START", chained)));
    const result = "x".repeat(2 ** 20);
    for (const id of ids) assert.ok(execution.complete(id, "SUCCEEDED", { result }, START_MS));
    const ends = ids.map((id) => execution.operation(id));
    const held = ends.reduce((sum, one) => sum + (one?.result?.length ?? 0), 0);
    assert.ok(held <= 100 * 2 ** 20, `${held} bytes`);
    assert.deepEqual([ends[0]?.status, ends.at(-1)?.status], ["SUCCEEDED", "FAILED"]);
    assert.match(ends.at(-1)?.error?.ErrorMessage ?? "", /bytes of data/);
  });

  it("stops at 30,000 events, whatever they are of, and may still end", () => {
    const execution = begin();
    const ids = Array.from({ length: 1000 }, (_, at) => `s${at}`);
    const again = { StepOptions: { NextAttemptDelaySeconds: 0 } };
    const round = () => {
      apply(execution, ...ids.map((id) => update(id, "STEP", "START")));
      apply(execution, ...ids.map((id) => update(id, "STEP", "RETRY", again)));
      execution.fire(START_MS + 1000);
    };
    for (let rounds = 0; rounds < 15; rounds += 1) round();
    assert.throws(round, { code: invalid, message: /30000 events/ });
    apply(execution);
    apply(execution, update("e", "EXECUTION", "SUCCEED"));
    assert.equal(execution.record.status, "SUCCEEDED");
  });

  it("stops at 3,000 operations and at 100 MB", () => {
    const execution = begin();
    const many = Array.from({ length: 2999 }, (_, n) => update(`s${n}`, "STEP", "SUCCEED"));
    apply(execution, ...many);
    assert.throws(() => apply(execution, update("last", "STEP", "START")), {
      code: invalid,
      message: /3000 operations/,
    });
    const heavy = begin();
    const Payload = "x".repeat(5 * 1024 * 1024);
    for (let n = 0; n < 19; n += 1) apply(heavy, update(`s${n}`, "STEP", "SUCCEED", { Payload }));
    assert.throws(
      () =>
        apply(
          heavy,
          update("a", "STEP", "SUCCEED", { Payload }),
          update("b", "STEP", "SUCCEED", { Payload }),
        ),
      {
        code: invalid,
        message: /bytes of data/,
      },
    );
  });

  it("holds an execution that somebody chained to what that takes", () => {
    const Payload = "x".repeat(1_048_577);
    const end = update("e", "EXECUTION", "SUCCEED", { Payload });
    assert.throws(() => apply(begin({ key: "g/1", operationId: "i" }), end), { message: /Execution output/ });
    const free = begin();
    apply(free, end);
    assert.equal(free.record.status, "SUCCEEDED");
  });
});

describe("what is written", () => {
  it("restores the same execution, whenever it is read", () => {
    const execution = full();
    const kept = new Map<string, unknown>();
    for (const change of execution.takeChanges(START_MS))
      if (change.op === "put") kept.set(`${change.kind} ${change.key}`, structuredClone(change.value));
    const of = (kind: string) => [...kept].filter(([key]) => key.startsWith(kind)).map(([, value]) => value);
    const [record] = of("lambda/durable-execution") as ExecutionRecord[];
    assert.ok(record);
    const again = Execution.restore(record, of("lambda/durable-operation") as OperationRecord[]);
    assert.deepEqual([...again.operations()], [...execution.operations()]);
    assert.deepEqual([again.record, again.nextDueMs()], [execution.record, execution.nextDueMs()]);
    assert.equal(of("lambda/durable-event").length, record.events);
  });
});

describe("the state that a replay gets", () => {
  it("leaves out what lies in contexts that have ended, but not where it was asked for", () => {
    const execution = begin();
    apply(
      execution,
      update("a", "CONTEXT", "START"),
      update("a1", "CONTEXT", "START", { ParentId: "a" }),
      update("a2", "STEP", "SUCCEED", { ParentId: "a1" }),
      update("b", "CONTEXT", "START"),
      update("b1", "STEP", "SUCCEED", { ParentId: "b" }),
      update("c", "CONTEXT", "START"),
      update("c1", "STEP", "SUCCEED", { ParentId: "c" }),
    );
    apply(
      execution,
      update("a", "CONTEXT", "SUCCEED"),
      update("b", "CONTEXT", "SUCCEED", { ContextOptions: { ReplayChildren: true } }),
    );
    const ids = statePage(execution, undefined, 100)
      .operations.map(({ Id }) => Id)
      .slice(1);
    assert.deepEqual(ids, ["a", "b", "b1", "c", "c1"]);
  });

  it("comes in pages by number and by weight, and the first may be empty", () => {
    const execution = begin();
    const Payload = "x".repeat(2 * 1024 * 1024);
    for (const id of ["a", "b", "c", "d"]) apply(execution, update(id, "STEP", "SUCCEED", { Payload }));
    const seen: string[] = [];
    let marker: string | undefined;
    do {
      const page = statePage(execution, marker, 100);
      seen.push(page.operations.map(({ Id = "" }) => Id.slice(0, 1)).join(""));
      marker = page.nextMarker;
    } while (marker !== undefined);
    assert.deepEqual(seen, ["0ab", "cd"]);
    assert.equal(statePage(execution, undefined, 2).operations.length, 2);
    assert.throws(() => statePage(execution, "x", 2), { code: invalid });
    const event = JSON.parse(invocationPayload(execution, "token").toString()) as {
      InitialExecutionState: { Operations: { StartTimestamp: number }[]; NextMarker: string };
    };
    assert.equal(event.InitialExecutionState.NextMarker, "3");
    assert.equal(event.InitialExecutionState.Operations[0]?.StartTimestamp, START_MS);
  });
});
