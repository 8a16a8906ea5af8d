/**
 * Goal: an execution begins once for each name, waits without anything running, goes on for every reason there is, is repeated
 * when its function fails, ends in each of its ways, and leaves nothing when its time is over.
 * Method: real executions over a memory store, functions that the test writes, a clock that it moves.
 */
import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import type { OperationUpdate } from "@aws-sdk/client-lambda";
import { tooManyRequests } from "../../errors.ts";
import {
  arnOf,
  DAY_MS,
  PENDING,
  SUCCEEDED,
  World,
  type Handler,
  type Inside,
  type Server,
} from "./fixture.ts";

const wait = (Id: string, WaitSeconds: number): OperationUpdate => ({
  Id,
  Type: "WAIT",
  Action: "START",
  WaitOptions: { WaitSeconds },
});
const callback = (CallbackOptions = {}): OperationUpdate => ({
  Id: "c",
  Type: "CALLBACK",
  Action: "START",
  CallbackOptions,
});
const chain = (FunctionName: string, Payload = '"for you"'): OperationUpdate => ({
  Id: "i",
  Type: "CHAINED_INVOKE",
  Action: "START",
  Payload,
  ChainedInvokeOptions: { FunctionName },
});
const operationIn = ({ event }: Inside, id: string) =>
  event.InitialExecutionState.Operations.find(({ Id }) => Id === id);

/** Does the update, waits for the operation, and has its details as its result. */
const awaiting =
  (update: OperationUpdate): Handler =>
  async (inside) => {
    const found = operationIn(inside, update.Id ?? "") ?? (await inside.checkpoint(update))[0];
    if (!found || found.Status === "STARTED") return PENDING;
    return SUCCEEDED([found.Status, found.CallbackDetails ?? found.ChainedInvokeDetails ?? null]);
  };
const done: Handler = ({ input }) => SUCCEEDED(input);

let world: World;
let server: Server;
beforeEach(async () => {
  world = new World();
  server = await world.start();
});
const result = async (key: string): Promise<unknown> => {
  const { record, root } = await server.executions.ended(key);
  return record.status === "SUCCEEDED" ? JSON.parse(root.result ?? "null") : [record.status, root.error];
};
const types = async (key: string) => (await server.events(key)).map(({ type }) => type);

describe("a start", () => {
  it("gives the function its input and the caller its result", async () => {
    world.durable("f", done);
    const { root, record, arn } = await server.call("f", { n: 1 });
    assert.equal(root.result, JSON.stringify('{"n":1}'));
    assert.equal(arn, `${arnOf("f")}:$LATEST/durable-execution/${record.name}/${record.id}`);
    assert.equal(world.runs[0]?.invocation.requestId, "request-of-f");
    assert.equal(world.usages.length, 1);
    assert.deepEqual(await types(`f/${record.id}`), [
      "ExecutionStarted",
      "InvocationCompleted",
      "ExecutionSucceeded",
    ]);
  });

  it("of a name is one start, however many come at once, and whether it has ended or not", async () => {
    world.durable("f", done);
    const named = { durableExecutionName: "one" };
    const started = await Promise.all([1, 2, 3].map(() => server.start("f", 5, named)));
    await world.turn();
    const later = [await server.start("f", 5, named), await server.call("f", 5, named)];
    assert.equal(new Set([...started, ...later].map(({ arn }) => arn)).size, 1);
    assert.equal(world.runs.length, 1);
    const conflict = { code: "DurableExecutionAlreadyStartedException", status: 409 };
    await assert.rejects(server.start("f", 6, named), conflict);
  });

  it("lets all who ask for a name have its one end", async () => {
    world.durable("f", awaiting(wait("w", 10)));
    const named = { durableExecutionName: "one" };
    const calls = [server.call("f", 1, named), server.call("f", 1, named)];
    await world.turn();
    await world.advance(10_000);
    const ends = await Promise.all(calls);
    assert.deepEqual(
      ends.map(({ record }) => record.status),
      ["SUCCEEDED", "SUCCEEDED"],
    );
  });

  it("wants a qualified ARN, a function that is there, and room", async () => {
    world.durable("f", () => PENDING);
    const unqualified = { invokedFunctionArn: arnOf("f") };
    await assert.rejects(server.start("f", 1, unqualified), { code: "InvalidParameterValueException" });
    server = await world.start({ openMax: 1 });
    await server.start("f");
    await assert.rejects(server.start("f"), { code: "TooManyRequestsException" });
  });
});

describe("waiting", () => {
  it("holds nothing, and ends when its time has come", async () => {
    world.durable("f", awaiting(wait("w", 3600)));
    const { key } = await server.start("f");
    await world.turn();
    await world.advance(3_599_000);
    assert.equal(world.runs.length, 1);
    await world.advance(1000);
    assert.equal(world.runs.length, 2);
    assert.deepEqual(await result(key), ["SUCCEEDED", null]);
    const second = JSON.parse(world.runs[1]?.invocation.payload.toString() ?? "") as Inside["event"];
    assert.deepEqual(second.UpdatedOperationIds, ["w"]);
  });

  it("for longer than a timer can run ends all the same", async () => {
    world.durable("f", awaiting(wait("w", 60 * 24 * 3600)), { executionTimeoutMs: 90 * DAY_MS });
    const { key } = await server.start("f");
    await world.turn();
    for (let day = 0; day < 60; day += 1) await world.advance(DAY_MS);
    assert.deepEqual(await result(key), ["SUCCEEDED", null]);
  });

  it("is told to a function that still runs, at its next checkpoint", async () => {
    const told: unknown[] = [];
    world.durable("f", async (inside) => {
      await inside.checkpoint(wait("w", 5));
      world.clock.advance(5000);
      told.push(...(await inside.checkpoint()).map(({ Id, Status }) => `${Id} ${Status}`));
      return SUCCEEDED(1);
    });
    await server.call("f");
    assert.deepEqual(told, ["w SUCCEEDED"]);
    assert.equal(world.runs.length, 1);
  });

  it("between two attempts of a step makes it READY", async () => {
    const step = { Id: "s", Type: "STEP", Name: "work" } as const;
    world.durable("f", async (inside) => {
      const found = operationIn(inside, "s");
      if (found?.Status === "READY") {
        await inside.checkpoint({ ...step, Action: "START" }, { ...step, Action: "SUCCEED", Payload: "2" });
        return SUCCEEDED(found.StepDetails?.Attempt);
      }
      const Error = { ErrorMessage: "no" };
      await inside.checkpoint(
        { ...step, Action: "START" },
        { ...step, Action: "RETRY", Error, StepOptions: { NextAttemptDelaySeconds: 30 } },
      );
      return PENDING;
    });
    const { key } = await server.start("f");
    await world.turn();
    await world.advance(30_000);
    assert.equal(await result(key), 1);
    const steps = (await server.events(key)).filter(({ type }) => type.startsWith("Step"));
    assert.deepEqual(
      steps.map(({ type, attempt, delayS }) => [type, attempt, delayS]),
      [
        ["StepStarted", undefined, undefined],
        ["StepFailed", 1, 30],
        ["StepStarted", undefined, undefined],
        ["StepSucceeded", 2, undefined],
      ],
    );
  });
});

describe("a callback", () => {
  const idOf = async (key: string) => {
    const [, operation] = await server.executions.disk.operations(key);
    return operation?.callbackId ?? "";
  };
  const begin = async (options = {}) => {
    world.durable("f", awaiting(callback(options)));
    const { key } = await server.start("f");
    await world.turn();
    return { key, id: await idOf(key) };
  };

  it("brings its result, and no second one", async () => {
    const { key, id } = await begin();
    await server.requests.completeCallback(id, "SUCCEEDED", { result: '"yes"' });
    await world.turn();
    assert.deepEqual(await result(key), ["SUCCEEDED", { CallbackId: id, Result: '"yes"' }]);
    await assert.rejects(server.requests.heartbeat(id), { code: "CallbackTimeoutException" });
  });

  it("times out", async () => {
    const { key, id } = await begin({ TimeoutSeconds: 60 });
    await world.advance(60_000);
    const Error = { ErrorType: "Callback.Timeout", ErrorMessage: "Callback timed out" };
    assert.deepEqual(await result(key), ["TIMED_OUT", { CallbackId: id, Error }]);
  });

  it("lives on with each heartbeat, and not without", async () => {
    const { key, id } = await begin({ TimeoutSeconds: 3600, HeartbeatTimeoutSeconds: 10 });
    for (let beats = 0; beats < 5; beats += 1) {
      await world.advance(9000);
      await server.requests.heartbeat(id);
    }
    assert.equal(world.runs.length, 1);
    await world.advance(10_000);
    const [status] = (await result(key)) as [string];
    assert.equal(status, "TIMED_OUT");
  });

  it("is somebody's own: an id with another's ARN, or a guessed one, finds nothing", async () => {
    const { id } = await begin();
    const [arn = "", operationId = ""] = Buffer.from(id, "base64").toString().split(" ");
    const forged = (text: string) => Buffer.from(text).toString("base64");
    const elsewhere = arn.replace("durable-execution/", "durable-execution/x");
    for (const made of [forged(`${arn} ${operationId} 00`), forged(`${elsewhere} ${operationId} 00`)])
      await assert.rejects(server.requests.heartbeat(made), { code: "ResourceNotFoundException" });
    await assert.rejects(server.requests.heartbeat("AAAA"), { code: "InvalidParameterValueException" });
  });

  it("that is cancelled takes nothing more", async () => {
    world.durable("f", async (inside) => {
      await inside.checkpoint(callback());
      await inside.checkpoint({ Id: "c", Type: "CALLBACK", Action: "CANCEL" });
      await inside.checkpoint(wait("w", 1000));
      return PENDING;
    });
    const { key } = await server.start("f");
    await world.turn();
    await assert.rejects(server.requests.completeCallback(await idOf(key), "SUCCEEDED", {}), {
      code: "CallbackTimeoutException",
    });
  });
});

describe("a chained invoke", () => {
  beforeEach(() => world.functions.create("plain"));

  it("of a plain function has its answer, and of a durable one its result", async () => {
    world.durable("child", ({ input }) => SUCCEEDED(`heard ${input}`));
    for (const [name, target, expected] of [
      ["f", "plain", '"for you"'],
      ["g", "child:$LATEST", JSON.stringify('heard "for you"')],
    ] as const) {
      world.durable(name, awaiting(chain(target)));
      const { key } = await server.start(name);
      await world.turn(20);
      assert.deepEqual(await result(key), ["SUCCEEDED", { Result: expected }]);
    }
  });

  it("tells how a durable one failed, was stopped or timed out", async () => {
    world.durable("f", awaiting(chain("child:$LATEST")));
    const ends: [Handler, string, unknown][] = [
      [() => ({ Status: "FAILED", Error: { ErrorMessage: "broken" } }), "FAILED", { ErrorMessage: "broken" }],
      [
        awaiting(wait("w", 1000)),
        "TIMED_OUT",
        { ErrorType: "ChainedInvoke.Timeout", ErrorMessage: "CHAINED_INVOKE timed out after 60 seconds." },
      ],
    ];
    for (const [handler, status, Error] of ends) {
      world.durable("child", handler, { executionTimeoutMs: 60_000 });
      const { key } = await server.start("f");
      await world.turn(20);
      if (status === "TIMED_OUT") await world.advance(60_000);
      await world.turn(20);
      assert.deepEqual(await result(key), [status, { Error }]);
    }
  });

  it("that cannot begin has failed in the answer of the checkpoint", async () => {
    world.denied.add(arnOf("plain"));
    world.durable("child", done);
    const told: unknown[] = [];
    for (const target of ["plain", "nobody", "child"]) {
      world.durable("f", async (inside) => {
        const [operation] = await inside.checkpoint(chain(target));
        told.push([operation?.Status, operation?.ChainedInvokeDetails?.Error?.ErrorType]);
        return SUCCEEDED(1);
      });
      await server.call("f");
    }
    assert.deepEqual(told, [
      ["FAILED", "AccessDeniedException"],
      ["FAILED", "ResourceNotFoundException"],
      ["FAILED", "InvalidParameterValueException"],
    ]);
  });

  it("that is throttled is repeated", async () => {
    let refusals = 2;
    world.refuse = ({ name }) => {
      if (name === "plain" && (refusals -= 1) >= 0)
        throw tooManyRequests("ConcurrentInvocationLimitExceeded");
    };
    world.durable("f", awaiting(chain("plain")));
    const { key } = await server.start("f");
    await world.turn();
    await world.advance(1000);
    await world.advance(2000);
    await world.turn(20);
    assert.deepEqual(await result(key), ["SUCCEEDED", { Result: '"for you"' }]);
  });

  it("of itself, again and again, is stopped", async () => {
    world.durable("f", awaiting(chain("f:$LATEST")));
    const { key } = await server.start("f");
    await world.turn(400);
    const { record } = await server.executions.ended(key);
    assert.equal(record.status, "SUCCEEDED");
    assert.ok(world.runs.length < 60, `${world.runs.length} invocations`);
  });
});

describe("an invocation that fails", () => {
  it("is repeated later and later, until it succeeds", async () => {
    let failures = 4;
    world.durable("f", () => {
      if ((failures -= 1) >= 0) throw new RangeError("not yet");
      return SUCCEEDED(1);
    });
    const { key } = await server.start("f");
    await world.turn();
    for (const [waited, runs] of [
      [999, 1],
      [1, 2],
      [2000, 3],
      [4000, 4],
      [8000, 5],
    ] as const) {
      await world.advance(waited);
      assert.equal(world.runs.length, runs);
    }
    assert.equal(await result(key), 1);
    const failed = (await server.events(key)).filter(({ error }) => error);
    assert.deepEqual(failed[0]?.error, { ErrorType: "RangeError", ErrorMessage: "not yet" });
  });

  it("for want of concurrency is no invocation, and is repeated", async () => {
    let refusals = 1;
    world.refuse = () => {
      if ((refusals -= 1) >= 0) throw tooManyRequests("ConcurrentInvocationLimitExceeded");
    };
    world.durable("f", done);
    const { key } = await server.start("f");
    await world.turn();
    await world.advance(1000);
    assert.deepEqual(await types(key), ["ExecutionStarted", "InvocationCompleted", "ExecutionSucceeded"]);
  });

  it("has lost its token, and a later one's is not its own", async () => {
    const tokens: Inside[] = [];
    world.durable("f", (inside) => {
      tokens.push(inside);
      if (tokens.length === 1) throw new Error("crash");
      return PENDING;
    });
    await server.start("f");
    await world.turn();
    await world.advance(1000);
    for (const inside of tokens)
      await assert.rejects(inside.checkpoint(), { message: "Invalid Checkpoint Token" });
  });

  it("ends its execution when the function or its version is gone", async () => {
    world.durable("f", awaiting(wait("w", 10)));
    const { key } = await server.start("f");
    await world.turn();
    world.functions.gone.add("f:$LATEST");
    await world.advance(10_000);
    const [status, error] = (await result(key)) as [string, { ErrorType: string }];
    assert.deepEqual([status, error.ErrorType], ["FAILED", "ResourceNotFoundException"]);
  });

  it("with an answer that is none ends its execution, and with PENDING for nothing after the third", async () => {
    const answers: [unknown, RegExp][] = [
      [1, /no Status/],
      [{ Status: "DONE" }, /none of them/],
      [{ Status: "SUCCEEDED", Error: {} }, /Cannot provide an Error/],
      [{ Status: "FAILED", Result: "1" }, /Cannot provide a Result/],
      [PENDING, /no pending operations/],
    ];
    for (const [answer, message] of answers) {
      world.durable("f", () => answer);
      const { key } = await server.start("f");
      await world.turn();
      if (answer === PENDING) for (const waited of [1000, 2000]) await world.advance(waited);
      const [status, error] = (await result(key)) as [string, { ErrorMessage: string }];
      assert.equal(status, "FAILED");
      assert.match(error.ErrorMessage, message);
    }
  });
});

describe("an end", () => {
  it("comes with the execution's timeout, whether the function runs or not", async () => {
    let finish = () => {};
    world.durable("slow", () => new Promise((resolve) => (finish = () => resolve(SUCCEEDED("late")))), {
      executionTimeoutMs: 30_000,
    });
    world.durable("f", awaiting(wait("w", 3600)), { executionTimeoutMs: 30_000 });
    for (const name of ["slow", "f"]) {
      const called = server.call(name);
      await world.turn();
      await world.advance(30_000);
      const { record } = await called;
      assert.equal(record.status, "TIMED_OUT");
      finish();
      await world.turn();
      const { record: after } = await server.executions.ended(`${name}/${record.id}`);
      assert.equal(after.status, "TIMED_OUT");
    }
  });

  it("may come with a checkpoint: what the function answers afterwards changes nothing", async () => {
    world.durable("f", async (inside) => {
      await inside.checkpoint({ Id: "e", Type: "EXECUTION", Action: "SUCCEED", Payload: '"large"' });
      await assert.rejects(inside.checkpoint(), { message: "Invalid Checkpoint Token" });
      return { Status: "FAILED" };
    });
    const { record, root } = await server.call("f");
    await world.turn();
    assert.deepEqual([record.status, root.result], ["SUCCEEDED", '"large"']);
    const told = await types(`f/${record.id}`);
    assert.deepEqual(
      told.filter((type) => type.startsWith("Execution")),
      ["ExecutionStarted", "ExecutionSucceeded"],
    );
  });

  it("is counted as AWS counts it", async () => {
    world.durable("f", done);
    await server.call("f", 1);
    const told = world.counted.map(({ name, value, functionName }) => [functionName, name, value]);
    assert.deepEqual(told, [
      ["f", "DurableExecutionStarted", 1],
      ["f", "DurableExecutionSucceeded", 1],
      ["f", "DurableExecutionDuration", 0],
      ["f", "DurableExecutionOperations", 1],
      ["f", "DurableExecutionStorageWrittenBytes", 1],
    ]);
    assert.equal(server.executions.gauge().value, 0);
  });

  it("comes from StopDurableExecution at once, and once", async () => {
    world.durable("f", awaiting(wait("w", 3600)));
    const called = server.call("f");
    await world.turn();
    const [open] = await server.executions.disk
      .page("f", "oldest", undefined, 1)
      .then(({ records }) => records);
    const arn = `${arnOf("f")}:$LATEST/durable-execution/${open?.name}/${open?.id}`;
    const stoppedMs = await server.requests.stopExecution(arn, { ErrorMessage: "enough" });
    await world.advance(1000);
    assert.equal(await server.requests.stopExecution(arn, { ErrorMessage: "more" }), stoppedMs);
    const { record, root } = await called;
    assert.deepEqual([record.status, root.error], ["STOPPED", { ErrorMessage: "enough" }]);
  });

  it("is forgotten after the retention period, the name too", async () => {
    world.durable("f", done, { retentionMs: 2 * DAY_MS });
    const named = { durableExecutionName: "one" };
    const first = await server.call("f", 1, named);
    await world.turn();
    for (let hours = 0; hours < 47; hours += 1) await world.advance(60 * 60_000);
    assert.equal((await server.call("f", 1, named)).arn, first.arn);
    for (let hours = 0; hours < 2; hours += 1) await world.advance(60 * 60_000);
    await world.turn(40);
    assert.deepEqual(await world.kept(), {});
    assert.notEqual((await server.call("f", 2, named)).arn, first.arn);
  });

  it("comes with the function's deletion, and nothing of it stays for the next of that name", async () => {
    world.durable("f", done);
    await server.call("f", 1, { durableExecutionName: "ended" });
    world.handlers.set("f", awaiting(wait("w", 3600)));
    const waiting = server.call("f", 1, { durableExecutionName: "open" });
    await world.turn();
    world.functions.delete("f");
    world.durable("f", done);
    const later = await server.call("f", 2, { durableExecutionName: "open" });
    assert.equal((await waiting).record.status, "STOPPED");
    await world.turn(40);
    assert.equal(later.record.status, "SUCCEEDED");
    const { execution, open } = await world.kept();
    assert.deepEqual([execution, open], [1, undefined]);
  });
});

describe("a stop of the server", () => {
  it("refuses who waits, lets what runs end, and takes nothing new", async () => {
    let finish = () => {};
    world.durable("f", () => new Promise((resolve) => (finish = () => resolve(SUCCEEDED("late")))));
    const called = assert.rejects(server.call("f"), { code: "ServiceException" });
    await world.turn();
    server.executions.stop();
    await called;
    finish();
    await server.executions.close();
    await assert.rejects(server.start("f"), { code: "ServiceException" });
    assert.equal((await world.kept())["open"], undefined, "it ended all the same");
  });

  it("is no failure of a function that fails because of it", async () => {
    let fail = () => {};
    world.durable("f", () => new Promise((_, reject) => (fail = () => reject(new Error("stopping")))));
    const { key } = await server.start("f");
    await world.turn();
    server.executions.stop();
    fail();
    await server.executions.close();
    world.handlers.set("f", done);
    server = await world.start();
    await world.advance(0);
    assert.deepEqual(await types(key), ["ExecutionStarted", "InvocationCompleted", "ExecutionSucceeded"]);
  });
});

describe("what was acknowledged before a kill", () => {
  it("is an execution that has started", async () => {
    world.durable("f", done);
    const { key } = await server.start("f", 1);
    server.kill();
    server = await world.start();
    await world.advance(0);
    assert.equal(await result(key), "1");
  });

  it("is a callback's answer, a heartbeat and a stop", async () => {
    world.durable("f", awaiting(callback({ HeartbeatTimeoutSeconds: 10 })));
    const started = await Promise.all([1, 2, 3].map(() => server.start("f")));
    await world.turn();
    const ids = await Promise.all(
      started.map(async ({ key }) => (await server.executions.disk.operation(key, 1))?.callbackId ?? ""),
    );
    const [answered = "", beaten = ""] = ids;
    await world.advance(9000);
    await Promise.all([
      server.requests.completeCallback(answered, "SUCCEEDED", { result: '"yes"' }),
      server.requests.heartbeat(beaten),
      server.requests.stopExecution(started[2]?.arn ?? "", undefined),
    ]);
    server.kill();
    server = await world.start();
    await world.advance(2000);
    const [first, second, third] = started;
    assert.deepEqual(await result(first?.key ?? ""), [
      "SUCCEEDED",
      { CallbackId: answered, Result: '"yes"' },
    ]);
    assert.equal((await server.executions.ended(second?.key ?? "")).record.status, "RUNNING");
    assert.equal((await server.executions.ended(third?.key ?? "")).record.status, "STOPPED");
    await world.advance(8000);
    assert.equal((await server.executions.ended(second?.key ?? "")).record.status, "SUCCEEDED");
  });

  it("is a checkpoint: a step that has succeeded does not run again", async () => {
    let runs = 0;
    world.durable("f", async (inside) => {
      if (operationIn(inside, "s")) return SUCCEEDED("went on");
      runs += 1;
      await inside.checkpoint({ Id: "s", Type: "STEP", Action: "SUCCEED", Payload: "1" });
      return new Promise(() => {});
    });
    const { key } = await server.start("f");
    await world.turn();
    server.kill();
    server = await world.start();
    await world.advance(0);
    assert.deepEqual([runs, await result(key)], [1, "went on"]);
  });
});

describe("a fault of the store", () => {
  it("keeps no parent from hearing of its child's end, later", async () => {
    const write = world.store.write.bind(world.store);
    let isBroken = false;
    world.store.write = (changes) => {
      const isParents = changes.some((change) => change.op === "put" && change.key.startsWith("f/"));
      return isBroken && isParents ? Promise.reject(new Error("disk full")) : write(changes);
    };
    world.durable("f", awaiting(chain("child:$LATEST")));
    world.durable("child", awaiting(wait("w", 5)));
    const { key } = await server.start("f");
    await world.turn(20);
    isBroken = true;
    await world.advance(5000);
    isBroken = false;
    assert.equal((await server.executions.ended(key)).record.status, "RUNNING");
    await world.advance(1000);
    await world.turn(20);
    const [status] = (await result(key)) as [string];
    assert.equal(status, "SUCCEEDED");
  });

  it("leaves what the disk has: a checkpoint that was not written has not been", async () => {
    const write = world.store.write.bind(world.store);
    let isBroken = false;
    world.store.write = (changes) => (isBroken ? Promise.reject(new Error("disk full")) : write(changes));
    const told: string[] = [];
    world.durable("f", async (inside) => {
      if (inside.event.InitialExecutionState.Operations.length === 1) {
        isBroken = true;
        await assert.rejects(inside.checkpoint(wait("w", 10)), { code: "ServiceException" });
        isBroken = false;
        told.push(...(await inside.checkpoint(wait("v", 20))).map(({ Id }) => Id ?? ""));
        return PENDING;
      }
      return SUCCEEDED(inside.event.InitialExecutionState.Operations.map(({ Type }) => Type));
    });
    const { key } = await server.start("f");
    await world.turn();
    await world.advance(20_000);
    assert.deepEqual([told, await result(key)], [["v"], ["EXECUTION", "WAIT"]]);
  });
});
