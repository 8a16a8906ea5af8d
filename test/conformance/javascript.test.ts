/**
 * Goal: AWS's SDK for JavaScript cannot tell Hornero from Lambda's control plane.
 * Method: the SDK's own client against a real server: every operation that docs/compat/functions.md lists, its errors as
 * the SDK's own exception classes with AWS's messages, paginators, waiters. Invocation is in javascript-invoke.test.ts.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, before, describe, test } from "node:test";
import * as L from "@aws-sdk/client-lambda";
import { deploy } from "../support/functions.ts";
import { ROLE, startTestServer, zipOf, type TestServer } from "../support/server.ts";

const HELLO = { "index.mjs": "export const handler = async () => 'hello';" };
const ARN = "arn:aws:lambda:us-east-1:000000000000:function";
const WAIT = { maxWaitTime: 60, minDelay: 0.05, maxDelay: 0.2 };

let server: TestServer;
let lambda: L.LambdaClient;
before(async () => {
  server = await startTestServer();
  lambda = server.lambda();
});
after(() => server.stop());

type Shape = new (...args: never[]) => Error;

/** Asserts that the operation fails with this class of the SDK, this message and this status. */
async function refused(answer: Promise<unknown>, shape: Shape, message: string | RegExp, status: number) {
  const error = await answer.then(
    () => assert.fail("it succeeded"),
    (thrown: unknown) => thrown as L.LambdaServiceException,
  );
  assert(error instanceof shape, `${error.name}: ${error.message}`);
  if (typeof message === "string") assert.equal(error.message, message);
  else assert.match(error.message, message);
  assert.equal(error.$metadata.httpStatusCode, status);
  assert.match(error.$metadata.requestId ?? "", /^[0-9a-f-]{36}$/);
}

const notFound = (answer: Promise<unknown>, name: string) =>
  refused(answer, L.ResourceNotFoundException, `Function not found: ${ARN}:${name}`, 404);
const updated = (name: string) =>
  L.waitUntilFunctionUpdatedV2({ client: lambda, ...WAIT }, { FunctionName: name });
const create = (input: Partial<L.CreateFunctionCommandInput>) =>
  lambda.send(
    new L.CreateFunctionCommand({
      FunctionName: "other",
      Role: ROLE,
      Runtime: "nodejs24.x",
      Handler: "index.handler",
      Code: { ZipFile: zipOf(HELLO) },
      ...input,
    }),
  );

describe("functions", () => {
  test("CreateFunction answers the whole configuration; the waiter sees it become Active", async () => {
    const zip = zipOf(HELLO);
    const made = await create({
      FunctionName: "whole",
      Description: "what it does",
      Timeout: 7,
      MemorySize: 256,
      Code: { ZipFile: zip },
      Environment: { Variables: { STAGE: "test" } },
      EphemeralStorage: { Size: 1024 },
      Tags: { team: "birds" },
    });
    assert.equal(made.$metadata.httpStatusCode, 201);
    const { $metadata: _metadata, LastModified, RevisionId, RuntimeVersionConfig, ...rest } = made;
    assert.match(LastModified ?? "", /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+0000$/);
    assert.match(RevisionId ?? "", /^[0-9a-f-]{36}$/);
    assert.match(RuntimeVersionConfig?.RuntimeVersionArn ?? "", /^arn:aws:lambda:us-east-1::runtime:/);
    assert.deepEqual(rest, {
      FunctionName: "whole",
      FunctionArn: `${ARN}:whole`,
      Runtime: "nodejs24.x",
      Role: ROLE,
      Handler: "index.handler",
      CodeSize: zip.length,
      CodeSha256: createHash("sha256").update(zip).digest("base64"),
      Description: "what it does",
      Timeout: 7,
      MemorySize: 256,
      Version: "$LATEST",
      Environment: { Variables: { STAGE: "test" } },
      TracingConfig: { Mode: "PassThrough" },
      State: "Pending",
      StateReason: "The function is being created.",
      StateReasonCode: "Creating",
      PackageType: "Zip",
      Architectures: ["x86_64"],
      EphemeralStorage: { Size: 1024 },
      SnapStart: { ApplyOn: "None", OptimizationStatus: "Off" },
      LoggingConfig: { LogFormat: "Text", LogGroup: "/aws/lambda/whole" },
    });
    await L.waitUntilFunctionActiveV2({ client: lambda, ...WAIT }, { FunctionName: "whole" });
    const { Configuration, Code, Tags } = await lambda.send(
      new L.GetFunctionCommand({ FunctionName: "whole" }),
    );
    assert.deepEqual([Configuration?.State, Configuration?.LastUpdateStatus], ["Active", "Successful"]);
    assert.deepEqual(Tags, { team: "birds" });
    const downloaded = await fetch(Code?.Location ?? "");
    assert.deepEqual(new Uint8Array(await downloaded.arrayBuffer()), new Uint8Array(zip));
  });

  test("CreateFunction refuses in AWS's words", async () => {
    await refused(
      create({ FunctionName: "whole" }),
      L.ResourceConflictException,
      "Function already exist: whole",
      409,
    );
    const invalid = (input: Partial<L.CreateFunctionCommandInput>, message: string | RegExp) =>
      refused(create(input), L.InvalidParameterValueException, message, 400);
    await invalid(
      { Code: { ZipFile: Buffer.from("no zip") } },
      "Could not unzip uploaded file. Please check your file, then try to upload again.",
    );
    await invalid(
      { Environment: { Variables: { AWS_REGION: "x" } } },
      /Reserved keys used in this request: AWS_REGION$/,
    );
    await invalid(
      { Handler: undefined },
      "Runtime and Handler are mandatory parameters for functions created with deployment packages.",
    );
    await invalid(
      { Runtime: "nodejs16.x" },
      /^The runtime parameter of nodejs16\.x is no longer supported for creating or updating AWS Lambda functions\./,
    );
    await invalid({ Code: {} }, "Please provide a source for function code.");
    await invalid({ Environment: { Variables: { BIG: "x".repeat(4096) } } }, /exceeded the 4KB limit/);
    const validation = (input: Partial<L.CreateFunctionCommandInput>, message: RegExp) =>
      refused(create(input), L.LambdaServiceException, message, 400);
    await validation(
      { Timeout: 901 },
      /^1 validation error detected: Value '901' at 'timeout' failed to satisfy constraint: Member must have value less than or equal to 900$/,
    );
    await validation(
      { MemorySize: 64 },
      /^1 validation error detected: Value '64' at 'memorySize' failed to satisfy constraint: Member must have value greater than or equal to 128$/,
    );
    await validation(
      { Role: "nobody" },
      /^1 validation error detected: Value 'nobody' at 'role' failed to satisfy constraint: Member must satisfy regular expression pattern: arn:/,
    );
    await validation(
      { FunctionName: "a b" },
      /^1 validation error detected: Value 'a b' at 'functionName' failed to satisfy constraint: Member must satisfy regular expression pattern: /,
    );
    await validation({ Timeout: 0, MemorySize: 1 }, /^2 validation errors detected: /);
  });

  test("a function is named in every way that AWS takes", async () => {
    await deploy(lambda, "named", { files: HELLO, Publish: true });
    const names = ["named", "000000000000:function:named", `${ARN}:named`];
    for (const FunctionName of names) {
      const { FunctionArn } = await lambda.send(new L.GetFunctionConfigurationCommand({ FunctionName }));
      assert.equal(FunctionArn, `${ARN}:named`);
      const one = await lambda.send(
        new L.GetFunctionConfigurationCommand({ FunctionName: `${FunctionName}:1` }),
      );
      assert.deepEqual([one.FunctionArn, one.Version], [`${ARN}:named:1`, "1"]);
      const qualified = new L.GetFunctionConfigurationCommand({ FunctionName, Qualifier: "$LATEST" });
      assert.equal((await lambda.send(qualified)).FunctionArn, `${ARN}:named:$LATEST`);
    }
    const get = (FunctionName: string, Qualifier?: string) =>
      lambda.send(new L.GetFunctionCommand({ FunctionName, Qualifier }));
    await notFound(get("nobody"), "nobody");
    await notFound(get("named", "7"), "named:7");
    await notFound(get("named", "live"), "named:live");
    await refused(
      get("named:1", "2"),
      L.InvalidParameterValueException,
      "The derived qualifier from the function name does not match the specified qualifier.",
      400,
    );
    const foreign = get("arn:aws:lambda:us-east-1:111111111111:function:named");
    await refused(
      foreign,
      L.LambdaServiceException,
      /is not authorized to perform: lambda:GetFunction on resource: arn:aws:lambda:us-east-1:111111111111:function:named because no resource-based policy allows/,
      403,
    );
    const abroad = get("arn:aws:lambda:eu-west-1:000000000000:function:named");
    await refused(
      abroad,
      L.ResourceNotFoundException,
      "Functions from 'eu-west-1' are not reachable in this region ('us-east-1')",
      404,
    );
  });

  test("UpdateFunctionCode and UpdateFunctionConfiguration, with their preconditions", async () => {
    await deploy(lambda, "changing", { files: HELLO });
    const zip = zipOf({ "index.mjs": "export const handler = async () => 'changed';" });
    const dry = await lambda.send(
      new L.UpdateFunctionCodeCommand({ FunctionName: "changing", ZipFile: zip, DryRun: true }),
    );
    assert.equal(dry.CodeSize, zip.length);
    const code = await lambda.send(
      new L.UpdateFunctionCodeCommand({ FunctionName: "changing", ZipFile: zip }),
    );
    assert.deepEqual([code.LastUpdateStatus, code.LastUpdateStatusReasonCode], ["InProgress", "Creating"]);
    await updated("changing");
    const settings = await lambda.send(
      new L.UpdateFunctionConfigurationCommand({
        FunctionName: "changing",
        MemorySize: 512,
        Environment: { Variables: { A1: "b" } },
      }),
    );
    assert.deepEqual([settings.MemorySize, settings.CodeSize], [512, zip.length]);
    await updated("changing");
    const now = await lambda.send(new L.GetFunctionConfigurationCommand({ FunctionName: "changing" }));
    assert.deepEqual(now.Environment, { Variables: { A1: "b" } });
    const stale = { FunctionName: "changing", RevisionId: settings.RevisionId, Description: "too late" };
    await refused(
      lambda.send(new L.UpdateFunctionConfigurationCommand(stale)),
      L.PreconditionFailedException,
      "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to retrieve the latest Revision Id",
      412,
    );
    await lambda.send(new L.UpdateFunctionConfigurationCommand({ ...stale, RevisionId: now.RevisionId }));
    await updated("changing");
    await notFound(
      lambda.send(new L.UpdateFunctionCodeCommand({ FunctionName: "nobody", ZipFile: zip })),
      "nobody",
    );
    await notFound(
      lambda.send(new L.UpdateFunctionConfigurationCommand({ FunctionName: "nobody" })),
      "nobody",
    );
  });

  test("ListFunctions pages with its paginator", async () => {
    const { FunctionName } = await create({ FunctionName: "aaa-first" });
    const [names, sizes]: [string[], number[]] = [[], []];
    for await (const page of L.paginateListFunctions({ client: lambda, pageSize: 2 }, {})) {
      sizes.push(page.Functions?.length ?? 0);
      names.push(...(page.Functions ?? []).map((one) => one.FunctionName ?? ""));
    }
    assert.equal(names[0], FunctionName);
    assert.deepEqual(names, names.toSorted());
    assert(sizes.length >= 2 && sizes.slice(0, -1).every((size) => size === 2), String(sizes));
    const all = await lambda.send(new L.ListFunctionsCommand({ FunctionVersion: "ALL" }));
    assert(all.Functions?.some(({ FunctionArn }) => FunctionArn === `${ARN}:named:1`));
  });

  test("DeleteFunction deletes a version, then the function", async () => {
    await deploy(lambda, "doomed", { files: HELLO, Publish: true });
    const remove = (FunctionName: string, Qualifier?: string) =>
      lambda.send(new L.DeleteFunctionCommand({ FunctionName, Qualifier }));
    await refused(
      remove("doomed", "$LATEST"),
      L.InvalidParameterValueException,
      "$LATEST version cannot be deleted without deleting the function.",
      400,
    );
    await remove("doomed", "1");
    const versions = await lambda.send(new L.ListVersionsByFunctionCommand({ FunctionName: "doomed" }));
    assert.deepEqual(
      versions.Versions?.map(({ Version }) => Version),
      ["$LATEST"],
    );
    await remove("doomed");
    await notFound(remove("doomed"), "doomed");
    await notFound(lambda.send(new L.GetFunctionCommand({ FunctionName: "doomed" })), "doomed");
  });

  test("GetAccountSettings", async () => {
    const { AccountLimit, AccountUsage } = await lambda.send(new L.GetAccountSettingsCommand({}));
    assert.deepEqual(AccountLimit, {
      TotalCodeSize: 80_530_636_800,
      CodeSizeUnzipped: 262_144_000,
      CodeSizeZipped: 52_428_800,
      ConcurrentExecutions: 1000,
      UnreservedConcurrentExecutions: 1000,
    });
    const { Functions } = await lambda.send(new L.ListFunctionsCommand({}));
    assert.equal(AccountUsage?.FunctionCount, Functions?.length);
  });
});

describe("versions, aliases and tags", () => {
  before(() => deploy(lambda, "released", { files: HELLO, Description: "of $LATEST" }));
  const publish = (more: Partial<L.PublishVersionCommandInput> = {}) =>
    lambda.send(new L.PublishVersionCommand({ FunctionName: "released", ...more }));

  test("PublishVersion gives numbers, and none for nothing new", async () => {
    const first = await publish({ Description: "the first" });
    assert.deepEqual(
      [first.Version, first.FunctionArn, first.Description],
      ["1", `${ARN}:released:1`, "the first"],
    );
    assert.equal((await publish()).Version, "1");
    await refused(
      publish({ CodeSha256: "other" }),
      L.InvalidParameterValueException,
      /^CodeSHA256 \(other\) is different from current CodeSHA256 in \$LATEST/,
      400,
    );
    await lambda.send(new L.UpdateFunctionConfigurationCommand({ FunctionName: "released", Timeout: 9 }));
    await updated("released");
    assert.equal((await publish()).Version, "2");
    const found: (string | undefined)[] = [];
    const pages = L.paginateListVersionsByFunction(
      { client: lambda, pageSize: 1 },
      { FunctionName: "released" },
    );
    for await (const { Versions } of pages) found.push(...(Versions ?? []).map(({ Version }) => Version));
    assert.deepEqual(found, ["$LATEST", "1", "2"]);
    await notFound(lambda.send(new L.PublishVersionCommand({ FunctionName: "nobody" })), "nobody");
  });

  test("aliases: create, get, update with weights, list, delete", async () => {
    const name = { FunctionName: "released", Name: "live" };
    const made = await lambda.send(new L.CreateAliasCommand({ ...name, FunctionVersion: "1" }));
    assert.deepEqual(
      [made.AliasArn, made.FunctionVersion, made.Description],
      [`${ARN}:released:live`, "1", ""],
    );
    await refused(
      lambda.send(new L.CreateAliasCommand({ ...name, FunctionVersion: "1" })),
      L.ResourceConflictException,
      `Alias already exists: ${ARN}:released:live, please update or delete the existing alias`,
      409,
    );
    const RoutingConfig = { AdditionalVersionWeights: { "2": 0.25 } };
    const moved = await lambda.send(
      new L.UpdateAliasCommand({ ...name, Description: "canary", RoutingConfig }),
    );
    assert.deepEqual(moved.RoutingConfig, RoutingConfig);
    const { $metadata: _metadata, ...got } = await lambda.send(new L.GetAliasCommand(name));
    const { $metadata: _other, ...answered } = moved;
    assert.deepEqual(got, answered);
    await refused(
      lambda.send(new L.DeleteFunctionCommand({ FunctionName: "released", Qualifier: "1" })),
      L.ResourceConflictException,
      /^Unable to delete version because the following aliases reference it: \[live\]$/,
      409,
    );
    await lambda.send(
      new L.CreateAliasCommand({ FunctionName: "released", Name: "next", FunctionVersion: "$LATEST" }),
    );
    const listed: (string | undefined)[] = [];
    for await (const { Aliases } of L.paginateListAliases(
      { client: lambda, pageSize: 1 },
      { FunctionName: "released" },
    ))
      listed.push(...(Aliases ?? []).map(({ Name }) => Name));
    assert.deepEqual(listed, ["live", "next"]);
    const live = await lambda.send(
      new L.GetFunctionConfigurationCommand({ FunctionName: "released", Qualifier: "next" }),
    );
    assert.equal(live.FunctionArn, `${ARN}:released:next`);
    await lambda.send(new L.DeleteAliasCommand(name));
    await lambda.send(new L.DeleteAliasCommand(name));
    await refused(
      lambda.send(new L.GetAliasCommand(name)),
      L.ResourceNotFoundException,
      `Cannot find alias arn: ${ARN}:released:live`,
      404,
    );
    const missing = new L.CreateAliasCommand({ ...name, FunctionVersion: "99" });
    await refused(
      lambda.send(missing),
      L.ResourceNotFoundException,
      `Function not found: ${ARN}:released:99`,
      404,
    );
  });

  test("tags: add, list, remove", async () => {
    const Resource = `${ARN}:released`;
    await lambda.send(new L.TagResourceCommand({ Resource, Tags: { a: "1", b: "2" } }));
    await lambda.send(new L.UntagResourceCommand({ Resource, TagKeys: ["a"] }));
    assert.deepEqual((await lambda.send(new L.ListTagsCommand({ Resource }))).Tags, { b: "2" });
    await notFound(lambda.send(new L.ListTagsCommand({ Resource: `${ARN}:nobody` })), "nobody");
    const reserved = new L.TagResourceCommand({ Resource, Tags: { "aws:x": "1" } });
    await refused(
      lambda.send(reserved),
      L.InvalidParameterValueException,
      /^Tag keys starting with 'aws:' are reserved/,
      400,
    );
  });
});
