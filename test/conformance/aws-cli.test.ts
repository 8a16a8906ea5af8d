/**
 * Goal: the AWS CLI works against Hornero as against AWS: output, errors and exit codes.
 * Method: the real `aws` of HORNERO_TEST_AWS_TOOLS, one process for each command, against a real server. Nothing but the
 * environment variables that `hornero env` prints points it there.
 */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { DAY_MS, newIdentity } from "../../src/lambda/signing/testing.ts";
import { AwsCli, EXIT } from "../support/aws-cli.ts";
import { hornero } from "../support/cli.ts";
import { eventually } from "../support/functions.ts";
import { awsTools, ROLE, startTestServer, zipOf, type TestServer } from "../support/server.ts";

const tools = awsTools();
const skip = "reason" in tools ? tools.reason : false;
const ARN = "arn:aws:lambda:us-east-1:000000000000:function";
const SOURCE = `exports.handler = async (event) => { console.log("seen", event.name); return { hello: event.name } };`;
describe("the AWS CLI", { skip }, () => {
  let server: TestServer;
  let cli: AwsCli;
  before(async () => {
    server = await startTestServer();
    cli = new AwsCli(server);
  });
  after(async () => {
    await server.stop();
    await cli[Symbol.asyncDispose]();
  });
  const path = (name: string) => cli.path(name);
  const aws = (...words: readonly string[]) => cli.run(...words);
  const answered = (...words: readonly string[]) => cli.json(...words);
  const refused = (codes: number | readonly number[], stderr: string | RegExp, ...words: readonly string[]) =>
    cli.refused(codes, stderr, ...words);
  const CREATE = ["--runtime", "nodejs24.x", "--handler", "index.handler", "--role", ROLE];

  test("create, wait, invoke, read the log, update, delete", async () => {
    writeFileSync(path("one.zip"), zipOf({ "index.js": SOURCE }));
    const made = await answered(
      "lambda",
      "create-function",
      "--function-name",
      "cli",
      ...CREATE,
      "--zip-file",
      "fileb://one.zip",
      "--tags",
      "team=birds",
    );
    assert.deepEqual(
      [made["FunctionArn"], made["State"], made["Timeout"], made["MemorySize"]],
      [`${ARN}:cli`, "Pending", 3, 128],
    );
    await answered("lambda", "wait", "function-active-v2", "--function-name", "cli");

    writeFileSync(path("event.json"), '{"name": "hornero"}');
    const invoked = await answered(
      "lambda",
      "invoke",
      "--function-name",
      "cli",
      "--payload",
      "file://event.json",
      "--log-type",
      "Tail",
      "out.json",
    );
    assert.deepEqual([invoked["StatusCode"], invoked["ExecutedVersion"]], [200, "$LATEST"]);
    assert.match(
      Buffer.from(String(invoked["LogResult"]), "base64").toString(),
      /\tINFO\tseen hornero\nEND RequestId: /,
    );
    assert.equal(readFileSync(path("out.json"), "utf8"), '{"hello":"hornero"}');

    await eventually("the log line", async () => {
      const { events } = await answered(
        "logs",
        "filter-log-events",
        "--log-group-name",
        "/aws/lambda/cli",
        "--filter-pattern",
        "seen",
      );
      return (events as { message: string }[])[0]?.message.endsWith("\tINFO\tseen hornero");
    });
    const { logStreams } = await answered(
      "logs",
      "describe-log-streams",
      "--log-group-name",
      "/aws/lambda/cli",
    );
    const [stream] = logStreams as { logStreamName: string }[];
    const read = await answered(
      "logs",
      "get-log-events",
      "--log-group-name",
      "/aws/lambda/cli",
      "--log-stream-name",
      stream?.logStreamName ?? "",
      "--start-from-head",
    );
    assert.match((read["events"] as { message: string }[])[0]?.message ?? "", /^INIT_START /);

    writeFileSync(path("two.zip"), zipOf({ "index.js": SOURCE.replace("hello", "goodbye") }));
    const code = await answered(
      "lambda",
      "update-function-code",
      "--function-name",
      "cli",
      "--zip-file",
      "fileb://two.zip",
      "--publish",
    );
    assert.equal(code["Version"], "1");
    await answered("lambda", "wait", "function-updated-v2", "--function-name", "cli");
    const settings = await answered(
      "lambda",
      "update-function-configuration",
      "--function-name",
      "cli",
      "--memory-size",
      "256",
      "--environment",
      "Variables={A1=b,C1=d}",
    );
    assert.deepEqual(
      [settings["MemorySize"], settings["Environment"]],
      [256, { Variables: { A1: "b", C1: "d" } }],
    );
    await answered("lambda", "wait", "function-updated", "--function-name", "cli");
    await answered(
      "lambda",
      "invoke",
      "--function-name",
      "cli:1",
      "--payload",
      "file://event.json",
      "out.json",
    );
    assert.equal(readFileSync(path("out.json"), "utf8"), '{"goodbye":"hornero"}');

    await answered("lambda", "tag-resource", "--resource", `${ARN}:cli`, "--tags", "a=1,b=2");
    await answered("lambda", "untag-resource", "--resource", `${ARN}:cli`, "--tag-keys", "a");
    assert.deepEqual(await answered("lambda", "list-tags", "--resource", `${ARN}:cli`), {
      Tags: { b: "2", team: "birds" },
    });

    const deleted = await aws("lambda", "delete-function", "--function-name", "cli");
    assert.equal(deleted.code, 0, deleted.stderr);
    await refused(
      EXIT.service,
      /An error occurred \(ResourceNotFoundException\) when calling the GetFunction operation: Function not found: arn:aws:lambda:us-east-1:000000000000:function:cli$/,
      ...["lambda", "get-function", "--function-name", "cli"],
    );
  });

  test("lists page by page", async () => {
    writeFileSync(path("page.zip"), zipOf({ "index.js": SOURCE }));
    for (const name of ["page-a", "page-b", "page-c"])
      await answered(
        "lambda",
        "create-function",
        "--function-name",
        name,
        ...CREATE,
        "--zip-file",
        "fileb://page.zip",
      );
    const { stdout } = await aws(
      "lambda",
      "list-functions",
      "--page-size",
      "1",
      "--query",
      "Functions[?starts_with(FunctionName, 'page-')].FunctionName",
      "--output",
      "text",
    );
    assert.deepEqual(
      stdout.split(/\s+/).filter((word) => word !== ""),
      ["page-a", "page-b", "page-c"],
    );
    const first = await answered("lambda", "list-functions", "--max-items", "1", "--page-size", "1");
    const rest = await answered("lambda", "list-functions", "--starting-token", String(first["NextToken"]));
    const names = (page: Record<string, unknown>) =>
      (page["Functions"] as { FunctionName: string }[]).map(({ FunctionName }) => FunctionName);
    assert.equal(names(first).length, 1);
    assert(!names(rest).includes(names(first)[0] ?? "") && names(rest).includes("page-c"));
  });

  test("a function's failure is an answer; refusals have their codes", async () => {
    writeFileSync(
      path("throws.zip"),
      zipOf({ "index.js": "exports.handler = async () => { throw new TypeError('bad') }" }),
    );
    await answered(
      "lambda",
      "create-function",
      "--function-name",
      "throws",
      ...CREATE,
      "--zip-file",
      "fileb://throws.zip",
    );
    await answered("lambda", "wait", "function-active", "--function-name", "throws");
    const failed = await answered("lambda", "invoke", "--function-name", "throws", "out.json");
    assert.equal(failed["FunctionError"], "Unhandled");
    assert.equal(
      (JSON.parse(readFileSync(path("out.json"), "utf8")) as { errorType: string }).errorType,
      "TypeError",
    );

    const create = [
      "lambda",
      "create-function",
      "--function-name",
      "throws",
      ...CREATE,
      "--zip-file",
      "fileb://throws.zip",
    ];
    await refused(
      EXIT.service,
      /\(ResourceConflictException\) when calling the CreateFunction operation: Function already exist: throws$/,
      ...create,
    );
    await refused(
      EXIT.service,
      /\(InvalidRequestContentException\) when calling the Invoke operation: Could not parse request body into json: /,
      ...["lambda", "invoke", "--function-name", "throws", "--payload", "{no json", "out.json"],
    );
    await refused(
      EXIT.waiter,
      /Waiter FunctionActiveV2 failed: An error occurred \(ResourceNotFoundException\)/,
      ...["lambda", "wait", "function-active-v2", "--function-name", "nobody"],
    );
    await refused(
      EXIT.service,
      /An error occurred \(ResourceNotFoundException\) when calling the FilterLogEvents operation: The specified log group does not exist\.$/,
      ...["logs", "filter-log-events", "--log-group-name", "/aws/lambda/nobody"],
    );
  });

  test("function URLs: create, update, list, refuse, delete", async () => {
    writeFileSync(path("url.zip"), zipOf({ "index.js": SOURCE }));
    const name = ["--function-name", "url"];
    await answered("lambda", "create-function", ...name, ...CREATE, "--zip-file", "fileb://url.zip");
    await answered("lambda", "wait", "function-active-v2", ...name);
    const create = ["lambda", "create-function-url-config", ...name, "--auth-type", "NONE"];
    const made = await answered(...create, "--cors", "AllowOrigins=*,AllowMethods=GET,MaxAge=5");
    assert.match(
      String(made["FunctionUrl"]),
      /^http:\/\/[a-z0-9]{32}\.lambda-url\.us-east-1\.localhost:\d+\/$/,
    );
    assert.deepEqual(made["Cors"], { AllowMethods: ["GET"], AllowOrigins: ["*"], MaxAge: 5 });
    await refused(
      EXIT.service,
      /\(ResourceConflictException\) when calling the CreateFunctionUrlConfig operation: Failed to create function url config for \[functionArn = \S+:url\]\. Error message: {2}FunctionUrlConfig exists for this Lambda function$/,
      ...create,
    );
    const changed = await answered("lambda", "update-function-url-config", ...name, "--auth-type", "AWS_IAM");
    assert.deepEqual([changed["AuthType"], changed["FunctionUrl"]], ["AWS_IAM", made["FunctionUrl"]]);
    const { FunctionUrlConfigs } = await answered("lambda", "list-function-url-configs", ...name);
    assert.deepEqual(FunctionUrlConfigs, [await answered("lambda", "get-function-url-config", ...name)]);
    await answered("lambda", "delete-function-url-config", ...name);
    await refused(
      EXIT.service,
      /\(ResourceNotFoundException\) when calling the GetFunctionUrlConfig operation: The resource you requested does not exist\.$/,
      ...["lambda", "get-function-url-config", ...name],
    );
  });

  test("code signing: unsigned code is refused, signed code deployed", async () => {
    const validity = { validFromMs: Date.now() - DAY_MS, validToMs: Date.now() + DAY_MS };
    const { key, certificate } = newIdentity("acme", validity);
    writeFileSync(path("acme.key"), key.export({ type: "pkcs8", format: "pem" }));
    writeFileSync(path("acme.pem"), certificate.toString());
    const data = server.dataDirectory;
    const added = await hornero(["signing-profile", "add", "acme", path("acme.pem")], { data });
    assert.equal(added.code, 0, added.stderr);
    const profile = added.stdout.trim();
    const { CodeSigningConfig: config } = await answered(
      ...["lambda", "create-code-signing-config"],
      ...["--allowed-publishers", `SigningProfileVersionArns=${profile}`],
      ...["--code-signing-policies", "UntrustedArtifactOnDeployment=Enforce"],
    );
    const { CodeSigningConfigArn: arn } = config as { CodeSigningConfigArn: string };
    writeFileSync(path("signed.zip"), zipOf({ "index.js": SOURCE }));
    const name = ["--function-name", "signed"];
    const create = ["lambda", "create-function", ...name, ...CREATE, "--code-signing-config-arn", arn];
    await refused(
      EXIT.service,
      /\(CodeVerificationFailedException\) when calling the CreateFunction operation: Lambda cannot deploy the function\. The function or layer might be signed using a signature that the client is not configured to accept\. Check the provided signature for signed\.$/,
      ...[...create, "--zip-file", "fileb://signed.zip"],
    );
    const sign = ["sign", path("signed.zip"), "--profile", "acme", "--key", path("acme.key")];
    const signed = await hornero(sign, { data });
    assert.equal(signed.code, 0, signed.stderr);
    const made = await answered(...create, "--zip-file", "fileb://signed.zip");
    assert.equal(made["SigningProfileVersionArn"], profile);
    await answered("lambda", "wait", "function-active-v2", ...name);
    const { FunctionArns: users } = await answered(
      ...["lambda", "list-functions-by-code-signing-config", "--code-signing-config-arn", arn],
    );
    assert.deepEqual(users, [`${ARN}:signed`]);
    await refused(
      EXIT.service,
      /\(ResourceConflictException\) when calling the DeleteCodeSigningConfig operation/,
      ...["lambda", "delete-code-signing-config", "--code-signing-config-arn", arn],
    );
  });

  test("sts get-caller-identity", async () => {
    assert.deepEqual(await answered("sts", "get-caller-identity"), {
      UserId: "000000000000",
      Account: "000000000000",
      Arn: "arn:aws:iam::000000000000:root",
    });
  });
});
