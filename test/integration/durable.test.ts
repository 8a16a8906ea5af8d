/**
 * Goal: functions written with AWS's own SDK for durable functions run unmodified: steps and their retries, waits, callbacks,
 * parallel branches, conditions, large results, other functions; with the permissions of their role and no more. An
 * execution whose server is killed goes on from its last checkpoint, and no step that has succeeded runs again.
 * Method: bundles of the SDK in a real server; SIGKILL in mid-execution; functions that put down each run of a step in the log.
 */
import assert from "node:assert/strict";
import { mkdtempSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { FilterLogEventsCommand } from "@aws-sdk/client-cloudwatch-logs";
import * as L from "@aws-sdk/client-lambda";
import { deploy, eventually } from "../support/functions.ts";
import { durableBundle, durableRole } from "../support/durable.ts";
import { ROLE, startTestServer, zipOf, type TestServer } from "../support/server.ts";

const folder = mkdtempSync(join(tmpdir(), "hornero-durable-"));
let server: TestServer;
let lambda: L.LambdaClient;
let role = "";
const start = async () => {
  server = await startTestServer({ dataDirectory: folder });
  lambda = server.lambda();
};
before(async () => {
  await start();
  role = await durableRole(server, "durable", ["lambda:InvokeFunction"]);
});
after(async () => {
  await server.stop();
  await rm(folder, { recursive: true, force: true });
});

const deployDurable = (name: string, body: string, Role = role) =>
  deploy(lambda, name, {
    files: { "index.js": durableBundle(body) },
    Role,
    DurableConfig: { ExecutionTimeout: 600 },
    Timeout: 20,
    MemorySize: 512,
  });
const invoke = async (FunctionName: string, event: object = {}) => {
  const answer = await lambda.send(
    new L.InvokeCommand({ FunctionName, Qualifier: "$LATEST", Payload: Buffer.from(JSON.stringify(event)) }),
  );
  const text = Buffer.from(answer.Payload ?? []).toString();
  return {
    answer: JSON.parse(text) as unknown,
    functionError: answer.FunctionError,
    arn: answer.DurableExecutionArn ?? "",
  };
};
const startEvent = async (FunctionName: string, event: object = {}) => {
  const { DurableExecutionArn } = await lambda.send(
    new L.InvokeCommand({
      FunctionName,
      Qualifier: "$LATEST",
      InvocationType: "Event",
      Payload: Buffer.from(JSON.stringify(event)),
    }),
  );
  return DurableExecutionArn ?? "";
};
const history = async (DurableExecutionArn: string) => {
  const { Events = [] } = await lambda.send(new L.GetDurableExecutionHistoryCommand({ DurableExecutionArn }));
  return Events;
};
const has = async (arn: string, type: L.EventType) =>
  (await history(arn)).find(({ EventType }) => EventType === type);
const ended = (arn: string) =>
  eventually("the execution has ended", async () => {
    const found = await lambda.send(new L.GetDurableExecutionCommand({ DurableExecutionArn: arn }));
    return found.Status !== "RUNNING" && found;
  });

describe("a function with AWS's SDK", () => {
  test("repeats a step until it succeeds, and waits in between without an environment", async () => {
    await deployDurable(
      "retries",
      `const retryStrategy = (error, attempt) => ({ shouldRetry: attempt < 3, delay: { seconds: 1 } });
       globalThis.attempts ??= 0;
       return context.step("flaky", async () => {
         globalThis.attempts += 1;
         if (globalThis.attempts < 3) throw new Error("attempt " + globalThis.attempts);
         return globalThis.attempts;
       }, { retryStrategy });`,
    );
    const { answer, arn } = await invoke("retries");
    assert.equal(answer, 3);
    const told = (await history(arn)).map(({ EventType, StepFailedDetails: failed }) =>
      failed ? [EventType, failed.Error?.Payload?.ErrorMessage, failed.RetryDetails] : EventType,
    );
    const failure = (CurrentAttempt: number) => [
      "StepFailed",
      `attempt ${CurrentAttempt}`,
      { CurrentAttempt, NextAttemptDelaySeconds: 1 },
    ];
    assert.deepEqual(
      told.filter((event) => event !== "StepStarted"),
      [
        "ExecutionStarted",
        failure(1),
        "InvocationCompleted",
        failure(2),
        "InvocationCompleted",
        "StepSucceeded",
        "InvocationCompleted",
        "ExecutionSucceeded",
      ],
    );
  });

  test("runs branches, maps, child contexts and conditions", async () => {
    await deployDurable(
      "branches",
      `const squares = await context.map("squares", event.numbers, async (ctx, n) => ctx.step("square", async () => n * n));
       const both = await context.parallel("both", [
         async (ctx) => { await ctx.wait({ seconds: 1 }); return "waited"; },
         async (ctx) => ctx.step("work", async () => "worked"),
       ]);
       const inner = await context.runInChildContext("inner", async (ctx) => ctx.step("deep", async () => "deep"));
       const counted = await context.waitForCondition("count", async (n) => n + 1, {
         initialState: 0,
         waitStrategy: (n) => (n < 2 ? { shouldContinue: true, delay: { seconds: 1 } } : { shouldContinue: false }),
       });
       return { squares: squares.getResults(), both: both.getResults(), inner, counted };`,
    );
    const { answer, functionError } = await invoke("branches", { numbers: [1, 2, 3] });
    assert.equal(functionError, undefined, JSON.stringify(answer));
    assert.deepEqual(answer, { squares: [1, 4, 9], both: ["waited", "worked"], inner: "deep", counted: 2 });
  });

  test("has an input and a result of megabytes", async () => {
    await deployDurable("large", `return event.text ? event.text.length : "x".repeat(event.length);`);
    // More than a page of operations bears: the function fetches its own input.
    const text = '"'.repeat(2.9 * 1024 * 1024);
    assert.equal((await invoke("large", { text })).answer, text.length);
    const length = 6 * 1024 * 1024 - 100;
    const { answer } = await invoke("large", { length });
    assert.equal((answer as string).length, length);
  });

  test("invokes functions, durable ones and others, as far as its role may", async () => {
    await deploy(lambda, "doubler", { files: { "index.js": "exports.handler = async (n) => n * 2;" } });
    await deployDurable("child", `await context.wait({ seconds: 1 }); return { heard: event };`);
    const parent = `const doubled = await context.invoke("double", "doubler", event.n);
      const child = await context.invoke("child", "child:$LATEST", doubled);
      return { doubled, child };`;
    await deployDurable("parent", parent);
    const { answer, arn } = await invoke("parent", { n: 4 });
    assert.deepEqual(answer, { doubled: 8, child: { heard: 8 } });
    const chained = (await history(arn)).filter(({ EventType }) => EventType === "ChainedInvokeStarted");
    const { DurableExecutionArn } = chained[1]?.ChainedInvokeStartedDetails ?? {};
    assert.equal((await ended(DurableExecutionArn ?? "")).Result, '{"heard":8}');

    await deployDurable("meek", parent, await durableRole(server, "meek"));
    const refused = await invoke("meek", { n: 4 });
    assert.match(
      (refused.answer as { errorMessage: string }).errorMessage,
      /not authorized to perform: lambda:InvokeFunction/,
    );
  });

  test("fails when its role may not checkpoint", async () => {
    await deployDurable("powerless", `return context.step("one", async () => 1);`, ROLE);
    const { functionError, answer } = await invoke("powerless");
    assert.equal(functionError, "Unhandled");
    assert.match(
      (answer as { errorMessage: string }).errorMessage,
      /not authorized to perform: lambda:CheckpointDurableExecution/,
    );
  });
});

describe("an execution and its function", () => {
  const asking = (answer: string) =>
    `await context.waitForCallback("ask", async () => {}); return ${JSON.stringify(answer)};`;
  const startAsking = async (FunctionName: string, Qualifier: string) => {
    const { DurableExecutionArn: arn = "" } = await lambda.send(
      new L.InvokeCommand({ FunctionName, Qualifier, InvocationType: "Event" }),
    );
    const found = await eventually("the callback is there", () => has(arn, "CallbackStarted"));
    await eventually("it waits", () => has(arn, "InvocationCompleted"));
    return { arn, CallbackId: found.CallbackStartedDetails?.CallbackId };
  };
  const updated = (FunctionName: string) =>
    L.waitUntilFunctionUpdatedV2(
      { client: lambda, maxWaitTime: 60, minDelay: 0.05, maxDelay: 0.2 },
      { FunctionName },
    );

  test("stay with the version that it began with, whatever its alias says later; $LATEST is what it is now", async () => {
    await deployDurable("versioned", asking("one"));
    const FunctionName = "versioned";
    await lambda.send(new L.PublishVersionCommand({ FunctionName }));
    await L.waitUntilFunctionActiveV2(
      { client: lambda, maxWaitTime: 60, minDelay: 0.05, maxDelay: 0.2 },
      { FunctionName, Qualifier: "1" },
    );
    await lambda.send(new L.CreateAliasCommand({ FunctionName, Name: "live", FunctionVersion: "1" }));
    const started = [await startAsking(FunctionName, "live"), await startAsking(FunctionName, "$LATEST")];
    assert.match(started[0]?.arn ?? "", /:function:versioned:1\/durable-execution\//);
    const ZipFile = zipOf({ "index.js": durableBundle(asking("two")) });
    await lambda.send(new L.UpdateFunctionCodeCommand({ FunctionName, ZipFile }));
    await updated(FunctionName);
    await lambda.send(new L.UpdateAliasCommand({ FunctionName, Name: "live", FunctionVersion: "$LATEST" }));
    for (const { CallbackId } of started)
      await lambda.send(new L.SendDurableExecutionCallbackSuccessCommand({ CallbackId }));
    const results = await Promise.all(started.map(async ({ arn }) => (await ended(arn)).Result));
    assert.deepEqual(results, ['"one"', '"two"']);
  });

  test("end together when the function is deleted", async () => {
    await deployDurable("fleeting", asking("never"));
    const { arn, CallbackId } = await startAsking("fleeting", "$LATEST");
    const waiting = invoke("fleeting");
    await eventually("both are there", async () => {
      const { DurableExecutions = [] } = await lambda.send(
        new L.ListDurableExecutionsByFunctionCommand({ FunctionName: "fleeting" }),
      );
      return DurableExecutions.length === 2;
    });
    await lambda.send(new L.DeleteFunctionCommand({ FunctionName: "fleeting" }));
    const stopped = await waiting;
    assert.deepEqual(
      [stopped.functionError, (stopped.answer as { errorMessage: string }).errorMessage],
      ["Unhandled", "The function was deleted."],
    );
    const gone = { name: "ResourceNotFoundException" };
    await assert.rejects(lambda.send(new L.GetDurableExecutionCommand({ DurableExecutionArn: arn })), gone);
    await assert.rejects(lambda.send(new L.SendDurableExecutionCallbackSuccessCommand({ CallbackId })), gone);
  });
});

describe("a server that is killed", () => {
  const runsOf = async (name: string, step: string) => {
    const { events = [] } = await server
      .logs()
      .send(new FilterLogEventsCommand({ logGroupName: `/aws/lambda/${name}`, filterPattern: step }));
    return events.length;
  };

  test("in mid-step and while an execution waits: each goes on from its last checkpoint", async () => {
    await deployDurable(
      "survivor",
      `const first = await context.step("first", async () => { console.log("first-runs"); return "kept"; });
       if (event.waits) await context.wait({ seconds: 2 });
       // In the first life of the server this never ends.
       const second = await context.step("second", async () => {
         console.log("second-runs");
         if (!event.waits && Date.now() < event.until) await new Promise(() => setInterval(() => {}, 1000));
         return "done";
       });
       return { first, second };`,
    );
    const until = Date.now() + 3_600_000;
    const stuck = await startEvent("survivor", { until });
    const waiting = await startEvent("survivor", { until, waits: true });
    const asked = await startEvent("survivor", { until: 0 });
    await ended(asked);
    await eventually("the second step runs", async () =>
      (await history(stuck)).some(({ Name, EventType }) => Name === "second" && EventType === "StepStarted"),
    );
    await eventually("the other one waits", () => has(waiting, "InvocationCompleted"));
    const before = await history(stuck);
    await server.kill("SIGKILL");
    await start();
    assert.equal((await ended(waiting)).Result, '{"first":"kept","second":"done"}');
    assert.deepEqual((await history(stuck)).slice(0, before.length), before, "what was told stays");
    // It hangs again: what has ended is not done anew, what was under way is.
    await eventually(
      "the second step runs again",
      async () => (await runsOf("survivor", "second-runs")) >= 4,
    );
    assert.equal(await runsOf("survivor", "first-runs"), 3);
    await lambda.send(new L.StopDurableExecutionCommand({ DurableExecutionArn: stuck }));
    assert.equal((await ended(stuck)).Status, "STOPPED");
    assert.equal((await ended(asked)).Result, '{"first":"kept","second":"done"}');
  });

  test("while a callback is awaited: its id is good afterwards", async () => {
    await deployDurable("asks", `return context.waitForCallback("ask", async (id) => {});`);
    const arn = await startEvent("asks");
    const found = await eventually("the callback is there", () => has(arn, "CallbackStarted"));
    await eventually("it waits", () => has(arn, "InvocationCompleted"));
    await server.kill("SIGKILL");
    await start();
    const CallbackId = found.CallbackStartedDetails?.CallbackId;
    await lambda.send(
      new L.SendDurableExecutionCallbackSuccessCommand({ CallbackId, Result: Buffer.from('"at last"') }),
    );
    assert.deepEqual((await ended(arn)).Result, JSON.stringify('"at last"'));
  });
});
