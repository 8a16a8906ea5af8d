/**
 * Goal: listener, signatures, dispatch and the protocols of the real models fit together: every protocol that the SDKs
 * speak gets in and out, streams and errors included.
 * Method: real SDK clients of four services against one server with made-up handlers.
 */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import {
  CloudWatchLogsClient,
  CreateLogGroupCommand,
  DescribeLogGroupsCommand,
  ResourceAlreadyExistsException,
} from "@aws-sdk/client-cloudwatch-logs";
import { GetRoleCommand, IAMClient, NoSuchEntityException } from "@aws-sdk/client-iam";
import {
  InvokeCommand,
  InvokeWithResponseStreamCommand,
  LambdaClient,
  ListFunctionsCommand,
  TooManyRequestsException,
} from "@aws-sdk/client-lambda";
import { AssumeRoleCommand, GetCallerIdentityCommand, STSClient } from "@aws-sdk/client-sts";
import { AwsError, tooManyRequests } from "../errors.ts";
import { startFakeServer, type FakeServer } from "./fakes.ts";
import { createProtocols } from "./protocols.ts";
import type { RequestContext, Service } from "./service.ts";

const EXPIRES = new Date("2027-01-01T00:00:00Z");

async function* chunks(payload: Buffer) {
  for (const byte of payload) yield { PayloadChunk: { Payload: Buffer.of(byte) } };
  yield { InvokeComplete: {} };
}

const services: Service[] = [
  {
    model: "lambda",
    operations: {
      Invoke: ({ FunctionName, Payload }: { FunctionName: string; Payload: Buffer }) => {
        if (FunctionName === "busy") throw tooManyRequests("CallerRateLimitExceeded");
        return { StatusCode: 200, ExecutedVersion: "$LATEST", Payload };
      },
      InvokeWithResponseStream: ({ Payload }: { Payload: Buffer }) => ({
        StatusCode: 200,
        EventStream: chunks(Payload),
      }),
    },
  },
  {
    model: "logs",
    operations: {
      CreateLogGroup: () => {
        throw new AwsError("ResourceAlreadyExistsException", "The specified log group already exists");
      },
      DescribeLogGroups: ({ logGroupNamePrefix }: { logGroupNamePrefix: string }) => ({
        logGroups: [{ logGroupName: logGroupNamePrefix }],
      }),
    },
  },
  {
    model: "sts",
    operations: {
      GetCallerIdentity: (_input, { principal }: RequestContext) => ({
        Arn: principal.arn,
        UserId: principal.userId,
        Account: principal.accountId,
      }),
      AssumeRole: ({ RoleArn }: { RoleArn: string }) => ({
        Credentials: {
          AccessKeyId: "ASIAAAAAAAAAAAAAAAAA",
          SecretAccessKey: RoleArn,
          SessionToken: "t",
          Expiration: EXPIRES,
        },
      }),
    },
  },
  {
    model: "iam",
    operations: {
      GetRole: ({ RoleName }: { RoleName: string }) => {
        const message = `The role with name ${RoleName} cannot be found.`;
        throw new AwsError("NoSuchEntity", message, { status: 404 });
      },
    },
  },
];

describe("the wire with the real models", () => {
  let server: FakeServer;
  let config: { endpoint: string; region: string; maxAttempts: number; credentials: FakeServer };

  before(async () => {
    const protocols = createProtocols(services.map(({ model }) => model));
    server = await startFakeServer({}, { services, protocols });
    config = { endpoint: server.endpoint, region: "us-east-1", maxAttempts: 1, credentials: server };
  });
  after(() => server[Symbol.asyncDispose]());

  it("serves Lambda: buffered, streamed, and refused", async () => {
    const lambda = new LambdaClient(config);
    const Payload = Buffer.from('{"a":1}');
    const answer = await lambda.send(new InvokeCommand({ FunctionName: "f:$LATEST", Payload }));
    assert.deepEqual([answer.Payload?.transformToString(), answer.ExecutedVersion], ['{"a":1}', "$LATEST"]);
    const { EventStream } = await lambda.send(
      new InvokeWithResponseStreamCommand({ FunctionName: "f", Payload }),
    );
    let streamed = "";
    for await (const event of EventStream ?? []) {
      streamed += event.InvokeComplete ? "|" : Buffer.from(event.PayloadChunk?.Payload ?? []).toString();
    }
    assert.equal(streamed, '{"a":1}|');
    await assert.rejects(
      lambda.send(new InvokeCommand({ FunctionName: "busy" })),
      (error) => error instanceof TooManyRequestsException && error.Reason === "CallerRateLimitExceeded",
    );
    await assert.rejects(lambda.send(new ListFunctionsCommand()), { name: "UnsupportedOperation" });
    lambda.destroy();
  });

  it("refuses an Invoke that is too large, and the client hears why", async () => {
    const lambda = new LambdaClient(config);
    const Payload = Buffer.alloc(6 * 1024 * 1024 + 1, "1");
    await assert.rejects(lambda.send(new InvokeCommand({ FunctionName: "f", Payload })), {
      name: "RequestEntityTooLargeException",
      message: "Request must be smaller than 6291456 bytes for the InvokeFunction operation",
    });
    lambda.destroy();
  });

  it("serves CloudWatch Logs, by target", async () => {
    const logs = new CloudWatchLogsClient(config);
    const { logGroups } = await logs.send(
      new DescribeLogGroupsCommand({ logGroupNamePrefix: "/aws/lambda" }),
    );
    assert.equal(logGroups?.[0]?.logGroupName, "/aws/lambda");
    await assert.rejects(
      logs.send(new CreateLogGroupCommand({ logGroupName: "g" })),
      (error) => error instanceof ResourceAlreadyExistsException,
    );
    const wrong = new CloudWatchLogsClient({
      ...config,
      credentials: { ...server, secretAccessKey: "wrong" },
    });
    await assert.rejects(wrong.send(new DescribeLogGroupsCommand()), {
      name: "InvalidSignatureException",
      $fault: "client",
    });
    logs.destroy();
    wrong.destroy();
  });

  it("serves STS and IAM, by form", async () => {
    const sts = new STSClient(config);
    const { Arn, Account } = await sts.send(new GetCallerIdentityCommand());
    assert.deepEqual([Arn, Account], ["arn:aws:iam::000000000000:root", "000000000000"]);
    const role = { RoleArn: "arn:aws:iam::000000000000:role/r", RoleSessionName: "me" };
    const { Credentials } = await sts.send(new AssumeRoleCommand(role));
    assert.deepEqual(Credentials?.Expiration, EXPIRES);
    sts.destroy();
    const iam = new IAMClient(config);
    await assert.rejects(
      iam.send(new GetRoleCommand({ RoleName: "r" })),
      (error) => error instanceof NoSuchEntityException && error.$metadata.httpStatusCode === 404,
    );
    iam.destroy();
    const unknown = new STSClient({ ...config, credentials: { accessKeyId: "AKIAX", secretAccessKey: "x" } });
    await assert.rejects(unknown.send(new GetCallerIdentityCommand()), { name: "InvalidClientTokenId" });
    unknown.destroy();
  });
});
