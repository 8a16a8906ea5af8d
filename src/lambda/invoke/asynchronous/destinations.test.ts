// Goal: what becomes of an event is told to whom its configuration names, as AWS tells it, once, and never in a circle.
// Method: events that end in each way, over targets that are the test's own; records are compared byte by byte.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { tooManyRequests } from "../../../errors.ts";
import type { Delivery } from "../destinations.ts";
import { outcomeOf } from "../fakes.ts";
import { LINEAGE_HOPS_MAX, withHop } from "../lineage.ts";
import { arnOf, failing, TRACE, World } from "./fixture.ts";

const QUEUE = "arn:aws:sqs:us-east-1:000000000000:records";
const LETTERS = "arn:aws:sqs:us-east-1:000000000000:letters";
const TOPIC = "arn:aws:sns:us-east-1:000000000000:records";
const MIB = 1024 * 1024;

const textOf = (delivery: Delivery | undefined) => delivery?.body.toString("utf8") ?? "";

async function ended(world: World, overrides = {}): Promise<void> {
  const server = await world.start();
  await server.accept("f", overrides);
  await world.turn();
  for (let second = 0; second < 200; second += 1) await world.advance(1000);
  assert.equal(await world.stored(), 0);
}

/** A header that the function's next invocation takes over the limit. */
function longLineage(...names: string[]): string {
  let header = TRACE;
  for (const name of names)
    for (let count = 0; count < LINEAGE_HOPS_MAX; count += 1) header = withHop(header, arnOf(name));
  return header;
}

describe("destinations", () => {
  it("get the record of a success", async () => {
    const world = new World();
    world.functions.configured.set("f:$LATEST", { onSuccessArn: QUEUE, onFailureArn: TOPIC });
    world.inside.act = async () => outcomeOf('{"answer":42}');
    await ended(world, { payload: Buffer.from(' {"a": "é"} ') });
    assert.equal(world.deliveries.length, 1);
    const [delivery] = world.deliveries;
    assert.equal(
      textOf(delivery),
      '{"version":"1.0","timestamp":"2023-11-14T22:13:20.000Z","requestContext":{"requestId":"request-of-f",' +
        `"functionArn":"${arnOf("f")}:$LATEST","condition":"Success","approximateInvokeCount":1},` +
        '"requestPayload": {"a": "é"} ,"responseContext":{"statusCode":200,"executedVersion":"$LATEST"},' +
        '"responsePayload":{"answer":42}}',
    );
    assert.equal(delivery?.targetArn, QUEUE);
    assert.equal(delivery.reason, "OnSuccess");
    assert.equal(delivery.functionArn, `${arnOf("f")}:$LATEST`);
    assert.equal(delivery.role, "arn:aws:iam::000000000000:role/worker");
    assert.deepEqual(delivery.attributes, {});
    assert.ok(delivery.traceHeader.startsWith(TRACE));
  });

  it("get the record of a failure after its last attempt, with the last answer", async () => {
    const world = new World();
    world.functions.configured.set("f:live", { onSuccessArn: QUEUE, onFailureArn: TOPIC });
    world.inside.act = failing;
    await ended(world, { invokedFunctionArn: `${arnOf("f")}:live` });
    assert.equal(world.deliveries.length, 1);
    const [delivery] = world.deliveries;
    assert.equal(delivery?.reason, "OnFailure");
    assert.deepEqual(JSON.parse(textOf(delivery)), {
      version: "1.0",
      timestamp: "2023-11-14T22:16:20.000Z",
      requestContext: {
        requestId: "request-of-f",
        functionArn: `${arnOf("f")}:live`,
        condition: "RetriesExhausted",
        approximateInvokeCount: 3,
      },
      requestPayload: {},
      responseContext: { statusCode: 200, executedVersion: "$LATEST", functionError: "Unhandled" },
      responsePayload: { errorType: "Error", errorMessage: "it broke" },
    });
  });

  it("get no response where there was none", async () => {
    const world = new World();
    world.functions.configured.set("f:$LATEST", { onFailureArn: QUEUE, eventAgeMsMax: 60_000 });
    world.inside.act = async () => {
      throw tooManyRequests("ConcurrentInvocationLimitExceeded");
    };
    await ended(world);
    const record = JSON.parse(textOf(world.deliveries[0])) as Record<string, unknown>;
    assert.deepEqual(Object.keys(record), ["version", "timestamp", "requestContext", "requestPayload"]);
    assert.deepEqual(record["requestContext"], {
      requestId: "request-of-f",
      functionArn: `${arnOf("f")}:$LATEST`,
      condition: "EventAgeExceeded",
      approximateInvokeCount: 6,
    });
  });

  it("get JSON, whatever the payloads are", async () => {
    const world = new World();
    world.functions.configured.set("f:$LATEST", { onSuccessArn: QUEUE });
    world.inside.act = async () => outcomeOf("");
    await ended(world, { payload: Buffer.from("{no json") });
    const record = JSON.parse(textOf(world.deliveries[0])) as Record<string, unknown>;
    assert.equal(record["requestPayload"], "{no json");
    assert.equal(record["responsePayload"], null);
  });

  it("that cannot be delivered to are counted and logged, once", async () => {
    const world = new World();
    const unknown = "arn:aws:kinesis:us-east-1:000000000000:stream/x";
    world.functions.configured.set("f:$LATEST", {
      onFailureArn: unknown,
      deadLetterTargetArn: LETTERS,
      retryAttemptsMax: 0,
    });
    let asked = 0;
    world.receive = async () => {
      asked += 1;
      throw new Error("no such queue");
    };
    world.inside.act = failing;
    await ended(world);
    assert.equal(asked, 1);
    assert.equal(world.counts("DestinationDeliveryFailures"), 1);
    assert.equal(world.counts("DeadLetterErrors"), 1);
    assert.match(world.lines.join(""), /could not be delivered.*nothing here serves arn:aws:kinesis/);
    assert.match(world.lines.join(""), /could not be delivered.*no such queue/);
  });

  it("that take less than a record fail; SNS takes a failure's record without its payloads", async () => {
    const big = Buffer.from(`"${"a".repeat(MIB - 2)}"`);
    for (const { target, act, whole } of [
      { target: QUEUE, act: failing, whole: undefined },
      { target: TOPIC, act: failing, whole: false },
      { target: TOPIC, act: async () => outcomeOf("1"), whole: undefined },
    ]) {
      const world = new World();
      const config = { onSuccessArn: target, onFailureArn: target, retryAttemptsMax: 0 };
      world.functions.configured.set("f:$LATEST", config);
      world.inside.act = act;
      await ended(world, { payload: big });
      assert.equal(world.counts("DestinationDeliveryFailures"), whole === undefined ? 1 : 0);
      if (whole === undefined) continue;
      const record = JSON.parse(textOf(world.deliveries[0])) as Record<string, unknown>;
      assert.deepEqual(Object.keys(record), ["version", "timestamp", "requestContext", "responseContext"]);
    }
  });
});

describe("a dead-letter queue", () => {
  it("gets the event as it came, with three attributes, beside the destination", async () => {
    const world = new World();
    const message = `${"é".repeat(600)}!`;
    world.functions.configured.set("f:$LATEST", {
      deadLetterTargetArn: LETTERS,
      onFailureArn: QUEUE,
      retryAttemptsMax: 0,
    });
    world.inside.act = async () =>
      outcomeOf(JSON.stringify({ errorMessage: message }), { functionError: "Unhandled" });
    await ended(world, { payload: Buffer.from("[1, 2]") });
    assert.deepEqual(world.deliveries.map(({ targetArn }) => targetArn).sort(), [LETTERS, QUEUE]);
    const letter = world.deliveries.find(({ reason }) => reason === "DeadLetter");
    assert.equal(textOf(letter), "[1, 2]");
    assert.deepEqual(letter?.attributes, {
      RequestID: { type: "String", value: "request-of-f" },
      ErrorCode: { type: "Number", value: "200" },
      ErrorMessage: { type: "String", value: "é".repeat(512) },
    });
  });

  it("is told the status of what could not run, also when the server that saw it is gone", async () => {
    const world = new World();
    world.functions.configured.set("f:$LATEST", { deadLetterTargetArn: LETTERS, eventAgeMsMax: 60_000 });
    const first = await world.start();
    world.inside.act = async () => {
      throw tooManyRequests("ConcurrentInvocationLimitExceeded");
    };
    await first.accept();
    await world.turn();
    first.kill();
    world.clock.advance(100_000);
    await world.start();
    await world.turn();
    assert.equal(world.inside.runs.length, 1);
    const attributes = world.deliveries[0]?.attributes;
    assert.deepEqual(
      [attributes?.["ErrorCode"]?.value, attributes?.["ErrorMessage"]?.value],
      ["429", "Rate Exceeded."],
    );
  });
});

describe("a function as a destination", () => {
  it("is invoked asynchronously with the record, as a request of its own in the same trace", async () => {
    const world = new World();
    world.functions.create("g");
    world.functions.configured.set("f:$LATEST", { onSuccessArn: arnOf("g") });
    await ended(world);
    const [, run] = world.inside.runs;
    assert.equal(run?.version.name, "g");
    assert.notEqual(run.invocation.requestId, "request-of-f");
    assert.equal(run.invocation.invokedFunctionArn, arnOf("g"));
    assert.match(run.invocation.traceHeader, new RegExp(`^${TRACE};Lineage=[0-9a-f]{8}:0\\|[0-9a-f]{8}:0$`));
    const record = JSON.parse(run.invocation.payload.toString()) as { requestContext: { condition: string } };
    assert.equal(record.requestContext.condition, "Success");
  });

  it("that is not there, or gets more than an event may have, fails the delivery", async () => {
    for (const payload of ["{}", `"${"a".repeat(MIB - 2)}"`]) {
      const world = new World();
      const target = payload === "{}" ? "nobody" : "g";
      world.functions.create("g");
      world.functions.configured.set("f:$LATEST", { onSuccessArn: arnOf(target) });
      await ended(world, { payload: Buffer.from(payload) });
      assert.equal(world.counts("DestinationDeliveryFailures"), 1, target);
      assert.equal(world.inside.runs.length, 1);
    }
  });
});

describe("recursive loops", () => {
  it("are dropped before the function runs, with a record and a letter", async () => {
    const world = new World();
    world.functions.configured.set("f:$LATEST", { deadLetterTargetArn: LETTERS, onFailureArn: QUEUE });
    await ended(world, { traceHeader: longLineage("f") });
    assert.equal(world.inside.runs.length, 0);
    assert.equal(world.counts("RecursiveInvocationsDropped"), 1);
    assert.equal(world.counts("AsyncEventsDropped"), 1);
    assert.deepEqual(world.deliveries.map(({ reason }) => reason).sort(), ["DeadLetter", "OnFailure"]);
    const record = world.deliveries.find(({ reason }) => reason === "OnFailure");
    assert.match(textOf(record), /"condition":"RecursiveInvocationDetected","approximateInvokeCount":0/);
  });

  it("run on when the function allows them", async () => {
    const world = new World();
    world.functions.configured.set("f:$LATEST", { recursiveLoop: "Allow" });
    await ended(world, { traceHeader: longLineage("f") });
    assert.equal(world.inside.runs.length, 1);
  });

  it("of two functions that are each other's destination end, and so do their dropped events", async () => {
    const world = new World();
    world.functions.create("g");
    world.functions.configured.set("f:$LATEST", { onSuccessArn: arnOf("g"), onFailureArn: arnOf("g") });
    world.functions.configured.set("g:$LATEST", { onSuccessArn: arnOf("f"), onFailureArn: arnOf("f") });
    await ended(world);
    assert.equal(world.inside.runs.length, 2 * LINEAGE_HOPS_MAX);
    assert.equal(world.counts("DestinationDeliveryFailures"), 1);
  });

  it("do not count attempts of one event", async () => {
    const world = new World();
    let refusals = 0;
    world.inside.act = async () => {
      refusals += 1;
      if (refusals <= LINEAGE_HOPS_MAX + 4) throw tooManyRequests("ConcurrentInvocationLimitExceeded");
      return outcomeOf("1");
    };
    const server = await world.start();
    await server.accept();
    for (let minutes = 0; minutes < 80; minutes += 1) await world.advance(60_000);
    assert.equal(world.counts("RecursiveInvocationsDropped"), 0);
    assert.equal(await world.stored(), 0);
  });
});

describe("a function whose reserved concurrency is 0", () => {
  it("is not run: its events go to the destination and the dead-letter queue at once", async () => {
    const world = new World();
    world.functions.configured.set("f:$LATEST", {
      deadLetterTargetArn: LETTERS,
      onFailureArn: QUEUE,
      isSuspended: true,
    });
    const server = await world.start();
    await server.accept();
    await world.turn();
    assert.equal(world.inside.runs.length, 0);
    assert.equal(world.counts("AsyncEventsDropped"), 1);
    const [letter, record] = world.deliveries.toSorted((a, b) => (a.reason < b.reason ? -1 : 1));
    assert.deepEqual(JSON.parse(textOf(record)), {
      version: "1.0",
      timestamp: "2023-11-14T22:13:20.000Z",
      requestContext: {
        requestId: "request-of-f",
        functionArn: `${arnOf("f")}:$LATEST`,
        condition: "ZeroReservedConcurrency",
        approximateInvokeCount: 0,
      },
      requestPayload: {},
    });
    assert.deepEqual([letter?.reason, letter?.attributes["ErrorCode"]?.value], ["DeadLetter", "429"]);
  });

  it("gives up what it has failed at before", async () => {
    const world = new World();
    world.functions.configured.set("f:$LATEST", { onFailureArn: QUEUE });
    world.inside.act = failing;
    const server = await world.start();
    await server.accept();
    await world.turn();
    world.functions.configured.set("f:$LATEST", { onFailureArn: QUEUE, isSuspended: true });
    await world.advance(60_000);
    assert.equal(world.inside.runs.length, 1);
    assert.match(textOf(world.deliveries[0]), /"ZeroReservedConcurrency","approximateInvokeCount":1/);
  });
});

it("a role that may not deliver fails the delivery, which is not tried again", async () => {
  const world = new World();
  world.functions.configured.set("f:$LATEST", { onFailureArn: QUEUE, retryAttemptsMax: 0 });
  world.inside.act = failing;
  world.denied.add(`sqs:SendMessage ${QUEUE}`);
  await ended(world);
  assert.equal(world.deliveries.length, 0);
  assert.equal(world.counts("DestinationDeliveryFailures"), 1);
  assert.match(world.lines.join(""), /does not have permissions to call SendMessage on arn:aws:sqs/);
});
