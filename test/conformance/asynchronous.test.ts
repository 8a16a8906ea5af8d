/**
 * Goal: AWS's SDK for JavaScript and the AWS CLI configure asynchronous invocation against Hornero as against AWS.
 * Method: the real clients against a real server, each operation's success and each of its documented errors.
 */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import {
  CreateAliasCommand,
  CreateFunctionCommand,
  DeleteFunctionEventInvokeConfigCommand,
  GetFunctionConfigurationCommand,
  GetFunctionEventInvokeConfigCommand,
  GetFunctionRecursionConfigCommand,
  InvokeAsyncCommand,
  InvokeCommand,
  paginateListFunctionEventInvokeConfigs,
  PutFunctionEventInvokeConfigCommand,
  PutFunctionRecursionConfigCommand,
  UpdateFunctionConfigurationCommand,
  UpdateFunctionEventInvokeConfigCommand,
  type LambdaClient,
  type LambdaServiceException,
} from "@aws-sdk/client-lambda";
import { deploy } from "../support/functions.ts";
import { awsTools, createRole, ROLE, startTestServer, zipOf, type TestServer } from "../support/server.ts";

const tools = awsTools();
const ARN = "arn:aws:lambda:us-east-1:000000000000:function";
const QUEUE = "arn:aws:sqs:us-east-1:000000000000:letters";
const FILES = { "index.js": "exports.handler = async () => 1;" };

let server: TestServer;
let lambda: LambdaClient;
before(async () => {
  server = await startTestServer();
  lambda = server.lambda();
  const Action = ["sqs:SendMessage", "lambda:InvokeFunction"];
  const statement = { Effect: "Allow", Action, Resource: [QUEUE, `${ARN}:g`] };
  const Role = await createRole(server, "sender", { Version: "2012-10-17", Statement: [statement] });
  for (const name of ["f", "g"]) await deploy(lambda, name, { files: FILES, Role });
});
after(() => server.stop());

async function refused(sent: Promise<unknown>, name: string, status: number, message: RegExp): Promise<void> {
  const error = await sent.then(
    () => assert.fail("it succeeded"),
    (thrown: unknown) => thrown as LambdaServiceException,
  );
  assert.equal(error.name, name);
  assert.equal(error.$metadata.httpStatusCode, status);
  assert.match(error.message, message);
}

describe("the SDK for JavaScript", () => {
  it("puts, gets, updates and deletes the options of a function", async () => {
    const FunctionName = "f";
    const made = await lambda.send(
      new PutFunctionEventInvokeConfigCommand({
        FunctionName,
        MaximumRetryAttempts: 0,
        MaximumEventAgeInSeconds: 60,
        DestinationConfig: { OnSuccess: { Destination: `${ARN}:g` } },
      }),
    );
    assert(made.LastModified instanceof Date && Math.abs(made.LastModified.getTime() - Date.now()) < 60_000);
    assert.equal(made.FunctionArn, `${ARN}:f:$LATEST`);
    const got = await lambda.send(new GetFunctionEventInvokeConfigCommand({ FunctionName }));
    const bare = (output: object) => ({ ...output, $metadata: undefined });
    assert.deepEqual(bare(got), bare(made));
    const updated = await lambda.send(
      new UpdateFunctionEventInvokeConfigCommand({
        FunctionName,
        MaximumRetryAttempts: 2,
        DestinationConfig: { OnFailure: { Destination: QUEUE } },
      }),
    );
    assert.equal(updated.MaximumRetryAttempts, 2);
    assert.equal(updated.MaximumEventAgeInSeconds, 60);
    assert.deepEqual(updated.DestinationConfig, { OnSuccess: {}, OnFailure: { Destination: QUEUE } });
    const { $metadata } = await lambda.send(new DeleteFunctionEventInvokeConfigCommand({ FunctionName }));
    assert.equal($metadata.httpStatusCode, 204);
  });

  it("lists the options of aliases page by page", async () => {
    const names = ["a", "b", "c"];
    for (const Name of names) {
      await lambda.send(new CreateAliasCommand({ FunctionName: "g", Name, FunctionVersion: "$LATEST" }));
      await lambda.send(
        new PutFunctionEventInvokeConfigCommand({
          FunctionName: "g",
          Qualifier: Name,
          MaximumRetryAttempts: 1,
        }),
      );
    }
    const pages: string[][] = [];
    const paginator = paginateListFunctionEventInvokeConfigs(
      { client: lambda, pageSize: 2 },
      { FunctionName: "g" },
    );
    for await (const { FunctionEventInvokeConfigs = [] } of paginator)
      pages.push(FunctionEventInvokeConfigs.map(({ FunctionArn = "" }) => FunctionArn));
    assert.deepEqual(pages, [[`${ARN}:g:a`, `${ARN}:g:b`], [`${ARN}:g:c`]]);
  });

  it("is refused as on AWS", async () => {
    const put = (input: object) =>
      lambda.send(new PutFunctionEventInvokeConfigCommand({ FunctionName: "f", ...input }));
    const invalid = "InvalidParameterValueException";
    const notFound = "ResourceNotFoundException";
    const FunctionName = "nobody";
    await refused(put({}), invalid, 400, /^You must specify at least one of error handling/);
    await refused(
      put({ FunctionName, MaximumRetryAttempts: 1 }),
      notFound,
      404,
      /^The function doesn't exist/,
    );
    await refused(
      put({ MaximumRetryAttempts: 3 }),
      "ValidationException",
      400,
      /^1 validation error detected: Value '3' at 'maximumRetryAttempts' failed to satisfy constraint: Member must have value less than or equal to 2$/,
    );
    await refused(
      put({ MaximumEventAgeInSeconds: 59 }),
      "ValidationException",
      400,
      /'maximumEventAgeInSeconds'.*greater than or equal to 60$/,
    );
    await refused(
      put({ DestinationConfig: { OnFailure: { Destination: "letters" } } }),
      "ValidationException",
      400,
      /'destinationConfig.onFailure.destination'.*regular expression pattern/,
    );
    await refused(
      put({ DestinationConfig: { OnFailure: { Destination: `${ARN}:f` } } }),
      invalid,
      400,
      /^You can't specify the function as a destination for itself\.$/,
    );
    await refused(
      put({ DestinationConfig: { OnFailure: { Destination: `${ARN}:nobody` } } }),
      invalid,
      400,
      /^The destination ARN .*:nobody is invalid\.$/,
    );
    await refused(
      put({ DestinationConfig: { OnFailure: { Destination: `${QUEUE}-2` } } }),
      invalid,
      400,
      /^The function's execution role does not have permissions to call SendMessage on .*:letters-2$/,
    );
    const update = new UpdateFunctionEventInvokeConfigCommand({ FunctionName: "f", MaximumRetryAttempts: 1 });
    const noConfig = /^The function .*:f:\$LATEST doesn't have an EventInvokeConfig$/;
    await refused(lambda.send(update), notFound, 404, noConfig);
    for (const command of [
      new GetFunctionEventInvokeConfigCommand({ FunctionName: "f" }),
      new DeleteFunctionEventInvokeConfigCommand({ FunctionName: "f" }),
    ])
      await refused(lambda.send(command), notFound, 404, noConfig);
  });

  it("configures recursion", async () => {
    const get = () => lambda.send(new GetFunctionRecursionConfigCommand({ FunctionName: "f" }));
    assert.equal((await get()).RecursiveLoop, "Terminate");
    await lambda.send(new PutFunctionRecursionConfigCommand({ FunctionName: "f", RecursiveLoop: "Allow" }));
    assert.equal((await get()).RecursiveLoop, "Allow");
    const FunctionName = "nobody";
    const message = /^Function not found: .*:nobody$/;
    const asked = new GetFunctionRecursionConfigCommand({ FunctionName });
    await refused(lambda.send(asked), "ResourceNotFoundException", 404, message);
    const put = new PutFunctionRecursionConfigCommand({ FunctionName, RecursiveLoop: "Allow" });
    await refused(lambda.send(put), "ResourceNotFoundException", 404, message);
    const wrong = new PutFunctionRecursionConfigCommand({
      FunctionName: "f",
      RecursiveLoop: "Never" as "Allow",
    });
    await refused(lambda.send(wrong), "ValidationException", 400, /'recursiveLoop'.*enum value set/);
  });

  it("sets a dead-letter queue, and only one that can be", async () => {
    const FunctionName = "g";
    const set = (TargetArn: string) =>
      lambda.send(new UpdateFunctionConfigurationCommand({ FunctionName, DeadLetterConfig: { TargetArn } }));
    await refused(
      set(`${QUEUE}-2`),
      "InvalidParameterValueException",
      400,
      /^The provided execution role does not have permissions to call SendMessage on SQS$/,
    );
    assert.deepEqual((await set(QUEUE)).DeadLetterConfig, { TargetArn: QUEUE });
    const shown = await lambda.send(new GetFunctionConfigurationCommand({ FunctionName }));
    assert.deepEqual(shown.DeadLetterConfig, { TargetArn: QUEUE });
    const create = new CreateFunctionCommand({
      FunctionName: "h",
      Role: ROLE,
      Runtime: "nodejs24.x",
      Handler: "index.handler",
      Code: { ZipFile: zipOf(FILES) },
      DeadLetterConfig: { TargetArn: `${ARN}:f` },
    });
    const message = /^Invalid dead letter queue ARN: The service specified/;
    await refused(lambda.send(create), "InvalidParameterValueException", 400, message);
  });

  it("invokes asynchronously, in the new way and in the old", async () => {
    const event = new InvokeCommand({ FunctionName: "f", InvocationType: "Event", Payload: "{}" });
    const { StatusCode, Payload } = await lambda.send(event);
    assert.equal(StatusCode, 202);
    assert.equal(Payload?.length ?? 0, 0);
    const { Status } = await lambda.send(new InvokeAsyncCommand({ FunctionName: "f", InvokeArgs: "{}" }));
    assert.equal(Status, 202);
  });
});

describe("the AWS CLI", { skip: "reason" in tools ? tools.reason : false }, () => {
  function aws(...args: readonly string[]): Promise<{ code: number; stdout: string; stderr: string }> {
    const program = join("folder" in tools ? tools.folder : "", "aws");
    const env = { ...server.environment(), PATH: process.env["PATH"], AWS_PAGER: "" };
    return new Promise((resolve) => {
      execFile(program, ["lambda", ...args, "--output", "json"], { env }, (error, stdout, stderr) =>
        resolve({ code: typeof error?.code === "number" ? error.code : 0, stdout, stderr }),
      );
    });
  }
  const answered = async (...args: readonly string[]): Promise<Record<string, unknown>> => {
    const { code, stdout, stderr } = await aws(...args);
    assert.equal(code, 0, stderr);
    return stdout === "" ? {} : (JSON.parse(stdout) as Record<string, unknown>);
  };
  const NAME = ["--function-name", "f"];

  it("puts, lists, updates, gets and deletes options", async () => {
    await answered("put-function-event-invoke-config", ...NAME, "--maximum-retry-attempts", "1");
    const list = await answered("list-function-event-invoke-configs", ...NAME);
    const [listed] = list["FunctionEventInvokeConfigs"] as Record<string, unknown>[];
    assert.equal(listed?.["FunctionArn"], `${ARN}:f:$LATEST`);
    const config = JSON.stringify({ OnFailure: { Destination: QUEUE } });
    await answered("update-function-event-invoke-config", ...NAME, "--destination-config", config);
    const got = await answered("get-function-event-invoke-config", ...NAME);
    assert.equal(got["MaximumRetryAttempts"], 1);
    assert.deepEqual(got["DestinationConfig"], { OnSuccess: {}, OnFailure: { Destination: QUEUE } });
    await answered("delete-function-event-invoke-config", ...NAME);
    const { code, stderr } = await aws("get-function-event-invoke-config", ...NAME);
    assert.ok([254, 255].includes(code), `${code}`);
    assert.match(
      stderr,
      /An error occurred \(ResourceNotFoundException\) when calling the GetFunctionEventInvokeConfig operation: The function .* doesn't have an EventInvokeConfig/,
    );
  });

  it("configures recursion", async () => {
    const put = ["put-function-recursion-config", ...NAME, "--recursive-loop", "Terminate"];
    assert.deepEqual(await answered(...put), { RecursiveLoop: "Terminate" });
    assert.deepEqual(await answered("get-function-recursion-config", ...NAME), {
      RecursiveLoop: "Terminate",
    });
  });
});
