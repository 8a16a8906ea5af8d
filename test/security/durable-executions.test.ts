/**
 * Goal: who may do something to one durable execution can do nothing to another: neither with a policy for its ARN, nor with a
 * callback's id of their own making, nor as a function with a checkpoint token of its own.
 * Method: two executions that wait, a user whose policy names one of them, and a function that may checkpoint all of them.
 */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import {
  CreateAccessKeyCommand,
  CreateUserCommand,
  IAMClient,
  PutUserPolicyCommand,
} from "@aws-sdk/client-iam";
import * as L from "@aws-sdk/client-lambda";
import { bundle } from "../support/bundles.ts";
import { durableBundle, durableRole } from "../support/durable.ts";
import { deploy, eventually } from "../support/functions.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

/** Tries to checkpoint another execution with the token of its own. */
const INTRUDER = bundle(
  `import { CheckpointDurableExecutionCommand as Checkpoint, GetDurableExecutionStateCommand as State, LambdaClient } from "@aws-sdk/client-lambda";
   const client = new LambdaClient({ maxAttempts: 1 });
   export const handler = async ({ CheckpointToken, InitialExecutionState: { Operations: [{ ExecutionDetails }] } }) => {
     const { DurableExecutionArn } = JSON.parse(ExecutionDetails.InputPayload);
     const Updates = [{ Id: "e", Type: "EXECUTION", Action: "SUCCEED", Payload: '"taken over"' }];
     const tries = [new Checkpoint({ DurableExecutionArn, CheckpointToken, Updates }), new State({ DurableExecutionArn, CheckpointToken })];
     const heard = await Promise.all(tries.map((one) => client.send(one).catch(({ message }) => message)));
     return { Status: "SUCCEEDED", Result: JSON.stringify(heard) };
   };`,
  "cjs",
);

let server: TestServer;
let root: L.LambdaClient;
let user: L.LambdaClient;
const arns: Record<string, string> = {};
const ids: Record<string, string> = {};

before(async () => {
  server = await startTestServer();
  root = server.lambda();
  const common = {
    Role: await durableRole(server, "durable"),
    DurableConfig: { ExecutionTimeout: 600 },
    Timeout: 20,
  };
  const asks = durableBundle(`return context.waitForCallback("ask", async () => {});`);
  await deploy(root, "asks", { files: { "index.js": asks }, ...common });
  await deploy(root, "intruder", { files: { "index.js": INTRUDER }, ...common });
  for (const name of ["mine", "theirs"]) {
    const { DurableExecutionArn = "" } = await root.send(
      new L.InvokeCommand({
        FunctionName: "asks",
        Qualifier: "$LATEST",
        InvocationType: "Event",
        DurableExecutionName: name,
      }),
    );
    arns[name] = DurableExecutionArn;
    ids[name] = await eventually("the callback is there", async () => {
      const { Events = [] } = await root.send(
        new L.GetDurableExecutionHistoryCommand({ DurableExecutionArn }),
      );
      return Events.find(({ EventType }) => EventType === "CallbackStarted")?.CallbackStartedDetails
        ?.CallbackId;
    });
  }
  user = await userWith([
    {
      Effect: "Allow",
      Action: [
        "lambda:SendDurableExecutionCallback*",
        "lambda:GetDurableExecution*",
        "lambda:StopDurableExecution",
      ],
      Resource: "arn:aws:lambda:*:*:function:asks:$LATEST/durable-execution/mine/*",
    },
  ]);
});
after(async () => {
  user.destroy();
  await server.stop();
});

async function userWith(Statement: object[]): Promise<L.LambdaClient> {
  const { endpoint, file } = server;
  const iam = new IAMClient({ endpoint, region: file.region, credentials: file, maxAttempts: 1 });
  const UserName = "responder";
  await iam.send(new CreateUserCommand({ UserName }));
  const PolicyDocument = JSON.stringify({ Version: "2012-10-17", Statement });
  await iam.send(new PutUserPolicyCommand({ UserName, PolicyName: "inline", PolicyDocument }));
  const { AccessKey } = await iam.send(new CreateAccessKeyCommand({ UserName }));
  iam.destroy();
  const credentials = {
    accessKeyId: AccessKey?.AccessKeyId ?? "",
    secretAccessKey: AccessKey?.SecretAccessKey ?? "",
  };
  return new L.LambdaClient({ endpoint, region: file.region, credentials, maxAttempts: 1 });
}

const heartbeat = (CallbackId: string | undefined) =>
  user.send(new L.SendDurableExecutionCallbackHeartbeatCommand({ CallbackId }));

test("a policy for one execution's ARN is none for another's", async () => {
  await heartbeat(ids["mine"]);
  const DurableExecutionArn = arns["mine"];
  const shown = await user.send(new L.GetDurableExecutionCommand({ DurableExecutionArn }));
  assert.equal(shown.DurableExecutionName, "mine");
  const denied = { name: "AccessDeniedException" };
  const theirs = { DurableExecutionArn: arns["theirs"] };
  await assert.rejects(heartbeat(ids["theirs"]), denied);
  await assert.rejects(user.send(new L.GetDurableExecutionCommand(theirs)), denied);
  await assert.rejects(user.send(new L.GetDurableExecutionHistoryCommand(theirs)), denied);
  await assert.rejects(user.send(new L.StopDurableExecutionCommand(theirs)), denied);
  await assert.rejects(
    user.send(new L.ListDurableExecutionsByFunctionCommand({ FunctionName: "asks" })),
    denied,
  );
});

test("an ARN with another's id, and a callback's id with an ARN that is allowed, find nothing", async () => {
  const id = arns["theirs"]?.split("/").at(-1) ?? "";
  const DurableExecutionArn = arns["mine"]?.replace(/[^/]+$/, id);
  const nothing = { name: "ResourceNotFoundException" };
  await assert.rejects(user.send(new L.GetDurableExecutionCommand({ DurableExecutionArn })), nothing);
  const [, ...rest] = Buffer.from(ids["theirs"] ?? "", "base64")
    .toString()
    .split(" ");
  const forge = (arn: string | undefined) => Buffer.from([arn, ...rest].join(" ")).toString("base64");
  for (const arn of [arns["mine"], DurableExecutionArn]) await assert.rejects(heartbeat(forge(arn)), nothing);
});

test("a function's token is for its own execution, whatever its role may do", async () => {
  const Payload = Buffer.from(JSON.stringify({ DurableExecutionArn: arns["theirs"] }));
  const answer = await root.send(
    new L.InvokeCommand({ FunctionName: "intruder", Qualifier: "$LATEST", Payload }),
  );
  const heard = JSON.parse(Buffer.from(answer.Payload ?? []).toString()) as unknown;
  assert.deepEqual(heard, ["Invalid Checkpoint Token", "Invalid Checkpoint Token"]);
  const shown = await root.send(new L.GetDurableExecutionCommand({ DurableExecutionArn: arns["theirs"] }));
  assert.equal(shown.Status, "RUNNING");
});
