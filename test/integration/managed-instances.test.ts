/**
 * Goal: a function on Managed Instances runs several invocations at a time in one environment, each with its own context, log lines,
 * time-out and answer; its environments are there before the first call; custom runtimes do it by several outstanding requests.
 * Method: a real server and real functions that meet each other inside one process: an invocation that waits for another one
 * ends only if they overlap.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { FilterLogEventsCommand } from "@aws-sdk/client-cloudwatch-logs";
import * as L from "@aws-sdk/client-lambda";
import { eventually } from "../support/functions.ts";
import { ROLE, startTestServer, zipOf, type TestServer } from "../support/server.ts";

/** `{meet: n}` answers when n invocations of this process have met; `{never}` never does. */
const SOURCE = `
const environment = require("node:crypto").randomUUID();
console.log("made", environment);
const waiting = [];
exports.handler = async ({ meet = 0, ms, never, fail }, context) => {
  console.log("begins");
  if (fail) throw new Error("on purpose");
  if (ms) await new Promise((resolve) => setTimeout(resolve, ms));
  if (never) await new Promise(() => {});
  if (meet) await new Promise((resolve) => {
    waiting.push(resolve);
    if (waiting.length >= meet) waiting.splice(0).forEach((go) => go());
  });
  await null;
  console.log("ends");
  return {
    environment,
    requestId: context.awsRequestId,
    stored: globalThis.awslambda.InvokeStore.getRequestId(),
    type: process.env.AWS_LAMBDA_INITIALIZATION_TYPE,
    max: process.env.AWS_LAMBDA_MAX_CONCURRENCY,
    left: context.getRemainingTimeInMillis() > 0,
  };
};`;

/** A custom runtime in shell: two workers, each with a request outstanding; they meet by files in /tmp. */
const BOOTSTRAP = `#!/bin/bash
api="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation"
work() {
  while true; do
    id=$(curl -sS -D - -o /tmp/event-$1 "$api/next" | tr -d '\\r' | sed -n 's/^Lambda-Runtime-Aws-Request-Id: //Ip')
    [ -n "$id" ] || exit 1
    touch /tmp/here-$1
    while [ ! -e /tmp/here-1 ] || [ ! -e /tmp/here-2 ]; do sleep 0.02; done
    curl -sS -o /dev/null -X POST -d "\\"worker $1\\"" "$api/$id/response"
  done
}
work 1 &
work 2
`;

let server: TestServer;
let lambda: L.LambdaClient;
before(async () => {
  server = await startTestServer();
  lambda = server.lambda();
  await lambda.send(
    new L.CreateCapacityProviderCommand({
      CapacityProviderName: "p",
      VpcConfig: { SubnetIds: ["subnet-1"], SecurityGroupIds: [] },
      PermissionsConfig: { CapacityProviderOperatorRoleArn: ROLE },
    }),
  );
});
after(() => server.stop());

async function make(
  FunctionName: string,
  PerExecutionEnvironmentMaxConcurrency: number,
  max: number,
  members: Partial<L.CreateFunctionCommandInput> = {},
): Promise<void> {
  await lambda.send(
    new L.CreateFunctionCommand({
      FunctionName,
      Role: ROLE,
      Runtime: "nodejs24.x",
      Handler: "index.handler",
      Timeout: 20,
      Code: { ZipFile: zipOf({ "index.js": SOURCE }) },
      CapacityProviderConfig: {
        LambdaManagedInstancesCapacityProviderConfig: {
          CapacityProviderArn: "arn:aws:lambda:us-east-1:000000000000:capacity-provider:p",
          PerExecutionEnvironmentMaxConcurrency,
        },
      },
      PublishTo: "LATEST_PUBLISHED",
      ...members,
    }),
  );
  const qualified = { FunctionName, Qualifier: "$LATEST.PUBLISHED" };
  await eventually(`${FunctionName} is published`, async () => {
    const { State } = await lambda.send(new L.GetFunctionConfigurationCommand(qualified));
    return State === "Active";
  });
  await lambda.send(
    new L.PutFunctionScalingConfigCommand({
      ...qualified,
      FunctionScalingConfig: { MinExecutionEnvironments: 1, MaxExecutionEnvironments: max },
    }),
  );
}

async function invoke(FunctionName: string, event: object = {}) {
  const answer = await lambda.send(
    new L.InvokeCommand({ FunctionName, Payload: JSON.stringify(event), LogType: "Tail" }),
  );
  const text = answer.Payload?.transformToString() ?? "";
  return {
    requestId: answer.$metadata.requestId,
    error: answer.FunctionError,
    body: JSON.parse(text) as Record<string, unknown>,
    tail: answer.LogResult,
  };
}

async function lines(name: string): Promise<Record<string, unknown>[]> {
  const filter = { logGroupName: `/aws/lambda/${name}` };
  const { events = [] } = await server
    .logs()
    .send(new FilterLogEventsCommand(filter))
    .catch(() => ({ events: [] }));
  return events.flatMap(({ message = "" }) => (message.startsWith("{") ? [JSON.parse(message)] : []));
}

describe("one environment", () => {
  test("is there before the first call", async () => {
    await make("shared", 8, 1);
    const made = await eventually("it has been initialised", async () => {
      const found = (await lines("shared")).filter(({ message }) => String(message).startsWith("made"));
      return found.length === 1 && found;
    });
    const { body } = await invoke("shared");
    assert.equal(`made ${String(body["environment"])}`, made[0]?.["message"]);
    assert.deepEqual([body["type"], body["max"]], ["lambda-managed-instances", "8"]);
  });

  test("answers all that meet in it", async () => {
    await make("meeting", 8, 1);
    const eight = await Promise.all(Array.from({ length: 8 }, () => invoke("meeting", { meet: 8 })));
    assert.equal(new Set(eight.map(({ body }) => body["environment"])).size, 1);
    for (const { requestId, body, tail } of eight) {
      assert.deepEqual([body["requestId"], body["stored"], tail], [requestId, requestId, undefined]);
    }
    const own = await eventually("all lines are in", async () => {
      const found = (await lines("meeting")).filter(({ message }) => message === "ends");
      return found.length === 8 && found;
    });
    assert.deepEqual(
      own.map(({ requestId }) => requestId).sort(),
      eight.map(({ requestId }) => requestId).sort(),
      "each line carries its own request id",
    );
  });

  test("goes on when one of its invocations fails or times out", async () => {
    await make("patient", 3, 1, { Timeout: 2 });
    const first = await invoke("patient");
    const never = invoke("patient", { never: true });
    const failed = await invoke("patient", { fail: true });
    assert.equal(failed.body["errorMessage"], "on purpose");
    // Heard of while the other one waits: the environment lives.
    for (let isOver = false; !isOver;) {
      isOver = await Promise.race([never.then(() => true), invoke("patient").then(() => false)]);
    }
    const { error, body } = await never;
    assert.equal(error, "Unhandled");
    assert.match(String(body["errorMessage"]), /Task timed out after 2\.00 seconds/);
    assert.equal((await invoke("patient")).body["environment"], first.body["environment"]);
  });

  test("refuses what it has no room for, and is replaced when nothing in it moves", async () => {
    await make("narrow", 2, 1, { Timeout: 2 });
    const { environment } = (await invoke("narrow")).body;
    const stuck = [1, 2].map(() => invoke("narrow", { never: true }));
    await eventually("both have begun", async () => {
      const begun = (await lines("narrow")).filter(({ message }) => message === "begins");
      return begun.length === 3;
    });
    await assert.rejects(invoke("narrow"), (error) => {
      assert.ok(error instanceof L.TooManyRequestsException);
      return error.Reason === "ConcurrentInvocationLimitExceeded";
    });
    for (const { error } of await Promise.all(stuck)) assert.equal(error, "Unhandled");
    const next = await eventually("another one has taken its place", () =>
      invoke("narrow").catch(() => false),
    );
    assert.ok(typeof next === "object");
    assert.notEqual(next.body["environment"], environment);
  });
});

describe("more than one environment", () => {
  test("is started when all places are taken, up to the ceiling", async () => {
    await make("wide", 2, 2);
    const four = await Promise.all(Array.from({ length: 4 }, () => invoke("wide", { ms: 1500 })));
    assert.equal(new Set(four.map(({ body }) => body["environment"])).size, 2);
  });
});

test("a custom runtime has as many requests outstanding as it takes invocations", async () => {
  await make("custom", 2, 1, {
    Runtime: "provided.al2023",
    Handler: "none",
    Code: { ZipFile: zipOf({ bootstrap: BOOTSTRAP }) },
  });
  const both = await Promise.all([invoke("custom"), invoke("custom")]);
  assert.deepEqual(both.map(({ body }) => JSON.stringify(body)).sort(), ['"worker 1"', '"worker 2"']);
});
