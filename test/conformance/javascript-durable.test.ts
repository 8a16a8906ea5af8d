/**
 * Goal: the nine operations of durable executions, as AWS's SDK for JavaScript calls them: what they answer, and the errors
 * that their documentation names.
 * Method: the SDK's client against a real server. One function is written with AWS's SDK for durable functions; another calls
 * CheckpointDurableExecution and GetDurableExecutionState itself, rightly and wrongly, and tells what it heard.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import * as L from "@aws-sdk/client-lambda";
import { deploy, eventually } from "../support/functions.ts";
import { bundle } from "../support/bundles.ts";
import { durableBundle, durableRole } from "../support/durable.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

const FUNCTION_ARN = "arn:aws:lambda:us-east-1:000000000000:function";
/** What `asks` says: a callback with or without limits, a wait, or an answer at once. */
const FLOW = durableBundle(`
  const result = await context.step("add", async () => event.n + 1);
  if (event.asks === "callback") return { result, answer: await context.waitForCallback("ask", async () => {}, event.limits) };
  if (event.asks === "error") throw new RangeError("out of range");
  if (event.asks === "wait") await context.wait("long", { hours: 1 });
  return { result };
`);
/** Speaks the protocol without the SDK for it; answers what each call came to. */
const PROBE = bundle(
  `import * as L from "@aws-sdk/client-lambda";
   const client = new L.LambdaClient({ maxAttempts: 1 });
   export const handler = async (event) => {
     const { DurableExecutionArn, CheckpointToken, InitialExecutionState: { Operations } } = event;
     const heard = [];
     const call = async (command) => {
       try {
         const { $metadata, ...answer } = await client.send(command);
         heard.push(answer);
         return answer;
       } catch (error) {
         heard.push([error.name, error.$metadata?.httpStatusCode, error.message]);
       }
     };
     const checkpoint = (token, Updates, more = {}) =>
       call(new L.CheckpointDurableExecutionCommand({ DurableExecutionArn, CheckpointToken: token, Updates, ...more }));
     const state = (token, more = {}) =>
       call(new L.GetDurableExecutionStateCommand({ DurableExecutionArn, CheckpointToken: token, ...more }));
     const step = (Action, more = {}) => ({ Id: "s", Type: "STEP", Action, ...more });
     const one = await checkpoint(CheckpointToken, [step("START", { Name: "work" })], { ClientToken: "same" });
     await checkpoint(CheckpointToken, [step("START", { Name: "work" })], { ClientToken: "same" });
     await checkpoint(CheckpointToken, []);
     const two = await checkpoint(one.CheckpointToken, [step("SUCCEED", { Payload: '"done"' }),
       { Id: "c", Type: "CONTEXT", Action: "START" }, { Id: "i", ParentId: "c", Type: "WAIT", Action: "START", WaitOptions: { WaitSeconds: 3600 } }]);
     await checkpoint(two.CheckpointToken, [step("FAIL", { Error: {} })]);
     await checkpoint(two.CheckpointToken, [{ Id: "x", Type: "WAIT", Action: "SUCCEED" }]);
     await checkpoint(two.CheckpointToken, [{ Id: "x", ParentId: "nobody", Type: "CONTEXT", Action: "START" }]);
     const page = await state(two.CheckpointToken, { MaxItems: 2 });
     await state(two.CheckpointToken, { Marker: page.NextMarker });
     await state(one.CheckpointToken);
     return { Status: "SUCCEEDED", Result: JSON.stringify({ heard, Operations }) };
   };`,
  "cjs",
);

let server: TestServer;
let lambda: L.LambdaClient;
before(async () => {
  server = await startTestServer();
  lambda = server.lambda();
  const Role = await durableRole(server, "durable");
  const DurableConfig = { ExecutionTimeout: 600, RetentionPeriodInDays: 7 };
  const common = { Role, DurableConfig, Timeout: 30, MemorySize: 512 };
  await deploy(lambda, "flow", { files: { "index.js": FLOW }, ...common });
  await deploy(lambda, "probe", { files: { "index.js": PROBE }, ...common });
});
after(() => server.stop());

const invoke = (event: object, options: Partial<L.InvokeCommandInput> = {}) =>
  lambda.send(
    new L.InvokeCommand({
      FunctionName: "flow",
      Qualifier: "$LATEST",
      Payload: Buffer.from(JSON.stringify(event)),
      ...options,
    }),
  );
const start = async (event: object, DurableExecutionName?: string) => {
  const answer = await invoke(event, {
    InvocationType: "Event",
    ...(DurableExecutionName !== undefined && { DurableExecutionName }),
  });
  assert.equal(answer.StatusCode, 202);
  assert.ok(answer.DurableExecutionArn);
  return answer.DurableExecutionArn;
};
const body = ({ Payload }: L.InvokeCommandOutput): unknown =>
  JSON.parse(Buffer.from(Payload ?? []).toString());
const get = (DurableExecutionArn: string) =>
  lambda.send(new L.GetDurableExecutionCommand({ DurableExecutionArn }));
const history = async (
  DurableExecutionArn: string,
  more: Partial<L.GetDurableExecutionHistoryCommandInput> = {},
) => lambda.send(new L.GetDurableExecutionHistoryCommand({ DurableExecutionArn, ...more }));
const callbackOf = (arn: string) =>
  eventually("the callback is there", async () => {
    const { Events = [] } = await history(arn);
    return Events.find(({ EventType }) => EventType === "CallbackStarted")?.CallbackStartedDetails
      ?.CallbackId;
  });
const ended = (arn: string) =>
  eventually("the execution has ended", async () => {
    const found = await get(arn);
    return found.Status !== "RUNNING" && found;
  });
const failsWith = (name: string, status: number, message?: RegExp) => (error: unknown) => {
  assert.ok(error instanceof L.LambdaServiceException);
  assert.deepEqual([error.name, error.$metadata.httpStatusCode], [name, status], error.message);
  if (message) assert.match(error.message, message);
  return true;
};
const unknownArn = `${FUNCTION_ARN}:flow:$LATEST/durable-execution/nobody/01a20b25-dcfe-780e-98b7-75e3aea3ba22`;

describe("configuration", () => {
  test("a function shows its DurableConfig, may change it, and cannot get one later", async () => {
    const shown = await lambda.send(new L.GetFunctionConfigurationCommand({ FunctionName: "flow" }));
    assert.deepEqual(shown.DurableConfig, { ExecutionTimeout: 600, RetentionPeriodInDays: 7 });
    const DurableConfig = { RetentionPeriodInDays: 8 };
    const changed = await lambda.send(
      new L.UpdateFunctionConfigurationCommand({ FunctionName: "probe", DurableConfig }),
    );
    assert.deepEqual(changed.DurableConfig, { ExecutionTimeout: 600, RetentionPeriodInDays: 8 });
    await deploy(lambda, "plain", { files: { "index.js": "exports.handler = async () => 1;" } });
    await assert.rejects(
      lambda.send(new L.UpdateFunctionConfigurationCommand({ FunctionName: "plain", DurableConfig })),
      failsWith("InvalidParameterValueException", 400),
    );
  });
});

describe("Invoke of a durable function", () => {
  test("answers the execution's result and ARN", async () => {
    const answer = await invoke({ n: 1 });
    assert.deepEqual(
      [answer.StatusCode, answer.FunctionError, body(answer)],
      [200, undefined, { result: 2 }],
    );
    assert.match(
      answer.DurableExecutionArn ?? "",
      /:function:flow:\$LATEST\/durable-execution\/[0-9a-f-]{36}\/[0-9a-f-]{36}$/,
    );
  });

  test("answers the error of an execution that failed", async () => {
    const answer = await invoke({ n: 1, asks: "error" });
    assert.equal(answer.FunctionError, "Unhandled");
    const error = body(answer) as { errorType: string; errorMessage: string };
    assert.deepEqual([error.errorType, error.errorMessage], ["RangeError", "out of range"]);
  });

  test("joins the execution of the same name and input, and refuses another input", async () => {
    const DurableExecutionName = "order-1";
    const first = await invoke({ n: 5 }, { DurableExecutionName });
    const second = await invoke({ n: 5 }, { DurableExecutionName });
    assert.deepEqual([body(second), second.DurableExecutionArn], [{ result: 6 }, first.DurableExecutionArn]);
    assert.equal(await start({ n: 5 }, DurableExecutionName), first.DurableExecutionArn);
    await assert.rejects(
      invoke({ n: 6 }, { DurableExecutionName }),
      failsWith("DurableExecutionAlreadyStartedException", 409),
    );
  });

  test("wants a qualified name, and a caller that waits wants 15 minutes at the most", async () => {
    await assert.rejects(
      lambda.send(new L.InvokeCommand({ FunctionName: "flow" })),
      failsWith("InvalidParameterValueException", 400, /unqualified ARN/),
    );
    const Role = await durableRole(server, "slow");
    await deploy(lambda, "slow", {
      files: { "index.js": FLOW },
      Role,
      DurableConfig: { ExecutionTimeout: 901 },
    });
    await assert.rejects(
      lambda.send(new L.InvokeCommand({ FunctionName: "slow", Qualifier: "$LATEST" })),
      failsWith("InvalidParameterValueException", 400, /greater than 15 minutes/),
    );
  });
});

type Heard = [string, number, string];

test("CheckpointDurableExecution and GetDurableExecutionState keep the protocol", async () => {
  const answer = body(await invoke({ n: 1 }, { FunctionName: "probe" })) as {
    heard: unknown[];
    Operations: L.Operation[];
  };
  const [execution] = answer.Operations;
  assert.deepEqual(
    [answer.Operations.length, execution?.Type, execution?.Status, execution?.ExecutionDetails],
    [1, "EXECUTION", "STARTED", { InputPayload: '{"n":1}' }],
  );
  const [started, again, stale, closed, afterEnd, badAction, badParent, page, rest, old] = answer.heard;
  const told = (heard: unknown) =>
    (heard as L.CheckpointDurableExecutionResponse).NewExecutionState?.Operations?.map(
      ({ Id, Status }) => `${Id} ${Status}`,
    );
  assert.deepEqual(told(started), ["s STARTED"]);
  assert.deepEqual(again, started, "a repeated request has the same answer");
  assert.deepEqual(told(closed), ["s SUCCEEDED", "c STARTED", "i STARTED"]);
  const invalid = "InvalidParameterValueException";
  const refusals = [stale, afterEnd, badAction, badParent, old] as Heard[];
  assert.deepEqual(refusals, [
    [invalid, 400, "Invalid Checkpoint Token"],
    [invalid, 400, "Invalid current STEP state to close."],
    [invalid, 400, "Invalid action for the given operation type."],
    [invalid, 400, "Invalid parent operation id."],
    [invalid, 400, "Invalid Checkpoint Token"],
  ]);
  const ids = (heard: unknown) =>
    (heard as L.GetDurableExecutionStateResponse).Operations?.map(({ Id }) => Id);
  assert.deepEqual([ids(page)?.slice(1), ids(rest)], [["s"], ["c", "i"]]);
});

test("a checkpoint of nobody's execution is refused", async () => {
  const request = { DurableExecutionArn: unknownArn, CheckpointToken: "bm9uZQ==" };
  for (const command of [
    new L.CheckpointDurableExecutionCommand(request),
    new L.GetDurableExecutionStateCommand(request),
  ])
    await assert.rejects(
      lambda.send(command as L.GetDurableExecutionStateCommand),
      failsWith("InvalidParameterValueException", 400),
    );
});

test("GetDurableExecution and GetDurableExecutionHistory tell all of it, in pages, in both directions", async () => {
  const arn = (await invoke({ n: 1 }, { DurableExecutionName: "told" })).DurableExecutionArn ?? "";
  const { $metadata: _metadata, StartTimestamp, EndTimestamp, TraceHeader, ...shown } = await get(arn);
  assert.ok(StartTimestamp && EndTimestamp && StartTimestamp <= EndTimestamp && TraceHeader?.XAmznTraceId);
  assert.deepEqual(shown, {
    DurableExecutionArn: arn,
    DurableExecutionName: "told",
    FunctionArn: `${FUNCTION_ARN}:flow:$LATEST`,
    Status: "SUCCEEDED",
    Version: "$LATEST",
    InputPayload: '{"n":1}',
    Result: '{"result":2}',
    DurableConfig: { ExecutionTimeout: 600, RetentionPeriodInDays: 7 },
    ExecutionDataIncluded: true,
  });
  const { Events = [], NextMarker } = await history(arn);
  const types = Events.map(({ EventType }) => EventType);
  assert.deepEqual(types, [
    "ExecutionStarted",
    "StepStarted",
    "StepSucceeded",
    "InvocationCompleted",
    "ExecutionSucceeded",
  ]);
  assert.equal(NextMarker, undefined);
  assert.deepEqual(Events[2]?.StepSucceededDetails, {
    Result: { Payload: "2" },
    RetryDetails: { CurrentAttempt: 1 },
  });
  for (const ReverseOrder of [false, true]) {
    const found: (L.EventType | undefined)[] = [];
    const paginator = L.paginateGetDurableExecutionHistory(
      { client: lambda, pageSize: 2 },
      { DurableExecutionArn: arn, ReverseOrder, IncludeExecutionData: false },
    );
    for await (const page of paginator) {
      assert.ok((page.Events?.length ?? 0) <= 2);
      found.push(...(page.Events ?? []).map(({ EventType }) => EventType));
    }
    assert.deepEqual(found, ReverseOrder ? types.toReversed() : types);
  }
  const bare = await history(arn, { IncludeExecutionData: false });
  assert.deepEqual(bare.Events?.[2]?.StepSucceededDetails?.Result, { Truncated: true });
  await assert.rejects(get(unknownArn), failsWith("ResourceNotFoundException", 404));
  await assert.rejects(history(unknownArn), failsWith("ResourceNotFoundException", 404));
  await assert.rejects(history(arn, { Marker: "?" }), failsWith("InvalidParameterValueException", 400));
});

test("ListDurableExecutionsByFunction filters, and pages in both directions", async () => {
  const Role = await durableRole(server, "listed");
  await deploy(lambda, "listed", {
    files: { "index.js": FLOW },
    Role,
    DurableConfig: { ExecutionTimeout: 60 },
    MemorySize: 512,
  });
  await lambda.send(new L.PublishVersionCommand({ FunctionName: "listed" }));
  await L.waitUntilFunctionActiveV2(
    { client: lambda, maxWaitTime: 60, minDelay: 0.05, maxDelay: 0.2 },
    { FunctionName: "listed", Qualifier: "1" },
  );
  const names = ["a", "b", "c", "d", "e"];
  for (const [n, DurableExecutionName] of names.entries())
    await invoke(
      { n, ...(n === 4 && { asks: "error" }) },
      { FunctionName: "listed", DurableExecutionName, Qualifier: n === 0 ? "1" : "$LATEST" },
    );
  const list = async (input: Partial<L.ListDurableExecutionsByFunctionCommandInput> = {}, pageSize = 2) => {
    const found: string[] = [];
    const paginator = L.paginateListDurableExecutionsByFunction(
      { client: lambda, pageSize },
      { FunctionName: "listed", ...input },
    );
    for await (const { DurableExecutions = [] } of paginator) {
      assert.ok(DurableExecutions.length <= pageSize);
      found.push(...DurableExecutions.map(({ DurableExecutionName = "" }) => DurableExecutionName));
    }
    return found.join("");
  };
  assert.equal(await list(), "abcde");
  assert.equal(await list({ ReverseOrder: true }), "edcba");
  assert.equal(await list({ Statuses: ["FAILED"] }), "e");
  assert.equal(await list({ Qualifier: "1" }), "a");
  assert.equal(await list({ DurableExecutionName: "c" }), "c");
  assert.equal(await list({ StartedAfter: new Date("2100-01-01") }), "");
  assert.equal(await list({ StartedBefore: new Date("2100-01-01") }, 10), "abcde");
  await assert.rejects(list({ FunctionName: "nobody" }), failsWith("ResourceNotFoundException", 404));
  await assert.rejects(list({ Marker: "bm9wZQ" }), failsWith("InvalidParameterValueException", 400));
});

test("SendDurableExecutionCallbackSuccess, Failure and Heartbeat", async () => {
  const one = await start({ n: 1, asks: "callback" });
  const CallbackId = await callbackOf(one);
  await lambda.send(new L.SendDurableExecutionCallbackHeartbeatCommand({ CallbackId }));
  await lambda.send(
    new L.SendDurableExecutionCallbackSuccessCommand({ CallbackId, Result: Buffer.from('"yes"') }),
  );
  assert.deepEqual((await ended(one)).Result, '{"result":2,"answer":"\\"yes\\""}');

  const other = await start({ n: 1, asks: "callback" });
  const refused = await callbackOf(other);
  const Error = { ErrorType: "Refused", ErrorMessage: "no" };
  await lambda.send(new L.SendDurableExecutionCallbackFailureCommand({ CallbackId: refused, Error }));
  const failed = await ended(other);
  assert.deepEqual([failed.Status, failed.Error?.ErrorMessage], ["FAILED", "no"]);

  const commands = (id: string) => [
    () => lambda.send(new L.SendDurableExecutionCallbackSuccessCommand({ CallbackId: id })),
    () => lambda.send(new L.SendDurableExecutionCallbackFailureCommand({ CallbackId: id, Error })),
    () => lambda.send(new L.SendDurableExecutionCallbackHeartbeatCommand({ CallbackId: id })),
  ];
  const nobodys = Buffer.from(`${unknownArn} step 00`).toString("base64");
  for (const send of commands(CallbackId))
    await assert.rejects(send, failsWith("CallbackTimeoutException", 400));
  for (const send of commands("bm9uZQ=="))
    await assert.rejects(send, failsWith("InvalidParameterValueException", 400));
  for (const send of commands(nobodys))
    await assert.rejects(send, failsWith("ResourceNotFoundException", 404));
});

test("a callback that nobody answers times out, by its limit or for want of heartbeats", async () => {
  const limits = [{ timeout: { seconds: 1 } }, { heartbeatTimeout: { seconds: 1 }, timeout: { hours: 1 } }];
  const arns = await Promise.all(limits.map((limit) => start({ n: 1, asks: "callback", limits: limit })));
  for (const arn of arns) {
    const { Status, Error: error } = await ended(arn);
    assert.deepEqual([Status, error?.ErrorMessage?.startsWith("Callback timed out")], ["FAILED", true]);
    const { Events = [] } = await history(arn);
    assert.ok(Events.some(({ EventType }) => EventType === "CallbackTimedOut"));
  }
});

test("StopDurableExecution ends an execution once, with the error that it was given", async () => {
  const arn = await start({ n: 1, asks: "wait" });
  await eventually("it waits", async () =>
    (await history(arn)).Events?.some(({ EventType }) => EventType === "InvocationCompleted"),
  );
  const Error = { ErrorType: "Cancelled", ErrorMessage: "no longer wanted" };
  const stopped = await lambda.send(new L.StopDurableExecutionCommand({ DurableExecutionArn: arn, Error }));
  const shown = await get(arn);
  assert.deepEqual(
    [shown.Status, shown.Error, shown.EndTimestamp],
    ["STOPPED", Error, stopped.StopTimestamp],
  );
  const again = await lambda.send(new L.StopDurableExecutionCommand({ DurableExecutionArn: arn }));
  assert.deepEqual(again.StopTimestamp, stopped.StopTimestamp);
  assert.equal((await history(arn)).Events?.at(-1)?.EventType, "ExecutionStopped");
  await assert.rejects(
    lambda.send(new L.StopDurableExecutionCommand({ DurableExecutionArn: unknownArn })),
    failsWith("ResourceNotFoundException", 404),
  );
});
