/**
 * Goal: function URLs through AWS's SDK for JavaScript: configuration with the SDK's own exceptions, and real HTTP requests
 * to real functions, for everybody and for who signs.
 * Method: the SDK's clients against a real server; requests name the host, so no resolver is needed. Every form of event
 * and answer is in src/lambda/urls.
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
import { sendTo, signFor, type UrlRequest } from "../../src/lambda/urls/fakes.ts";
import { deploy } from "../support/functions.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

const ARN = "arn:aws:lambda:us-east-1:000000000000:function:web";
const FunctionName = "web";
const SOURCE = `
exports.handler = async (event) => {
  switch (event.rawPath) {
    case "/throw": throw new Error("no");
    case "/text": return "plain";
    case "/binary": return { statusCode: 200, headers: { "content-type": "text/plain" }, body: "w7w=", isBase64Encoded: true };
    default: return { statusCode: 201, headers: { "X-Path": event.rawPath }, cookies: ["a=1", "b=2"], body: JSON.stringify(event) };
  }
};
exports.stream = awslambda.streamifyResponse(async (event, stream) => {
  if (event.rawPath === "/broken") {
    stream.write("half");
    await new Promise((resolve) => setImmediate(resolve));
    throw new Error("no");
  }
  const http = awslambda.HttpResponseStream.from(stream, { statusCode: 202, headers: { "x-kind": "stream" }, cookies: ["s=1"] });
  http.write("one,");
  http.end("two");
});`;

let server: TestServer;
let lambda: L.LambdaClient;
let iam: IAMClient;
before(async () => {
  server = await startTestServer();
  lambda = server.lambda();
  const { endpoint, file } = server;
  iam = new IAMClient({ endpoint, region: file.region, credentials: file, maxAttempts: 1 });
  await deploy(lambda, FunctionName, { files: { "index.js": SOURCE } });
});
after(async () => {
  iam.destroy();
  await server.stop();
});

const hostOf = (url: string | undefined) => new URL(url ?? "").host;
const send = (host: string, request?: UrlRequest) => sendTo(server.port, host, request);

/** What AWS's own console adds for a public URL. */
async function letEverybodyIn(name: string, Qualifier?: string): Promise<void> {
  const base = { FunctionName: name, Principal: "*", ...(Qualifier !== undefined && { Qualifier }) };
  const url = {
    StatementId: "url",
    Action: "lambda:InvokeFunctionUrl",
    FunctionUrlAuthType: "NONE",
  } as const;
  const invoke = { StatementId: "invoke", Action: "lambda:InvokeFunction", InvokedViaFunctionUrl: true };
  for (const statement of [url, invoke])
    await lambda.send(new L.AddPermissionCommand({ ...base, ...statement }));
}

test("a URL is configured, and refused where AWS refuses it", async () => {
  await lambda.send(new L.PublishVersionCommand({ FunctionName }));
  await lambda.send(new L.CreateAliasCommand({ FunctionName, Name: "live", FunctionVersion: "1" }));
  const input = { FunctionName, Qualifier: "live", AuthType: "NONE" } as const;
  const Cors = { AllowOrigins: ["https://www.example.com"], AllowMethods: ["GET"], MaxAge: 5 };
  const made = await lambda.send(new L.CreateFunctionUrlConfigCommand({ ...input, Cors }));
  assert.equal(made.$metadata.httpStatusCode, 201);
  assert.match(made.FunctionUrl ?? "", /^http:\/\/[a-z0-9]{32}\.lambda-url\.us-east-1\.localhost:\d+\/$/);
  assert.deepEqual(
    [made.FunctionArn, made.AuthType, made.InvokeMode, made.Cors],
    [`${ARN}:live`, "NONE", "BUFFERED", Cors],
  );
  await assert.rejects(lambda.send(new L.CreateFunctionUrlConfigCommand(input)), L.ResourceConflictException);
  for (const Qualifier of ["1", "$LATEST"]) {
    await assert.rejects(
      lambda.send(new L.CreateFunctionUrlConfigCommand({ ...input, Qualifier })),
      /'qualifier' failed to satisfy constraint: Member must satisfy regular expression pattern/,
    );
  }
  await assert.rejects(
    lambda.send(new L.CreateFunctionUrlConfigCommand({ ...input, Qualifier: "dead" })),
    L.ResourceNotFoundException,
  );
  const bounds: [L.Cors, RegExp][] = [
    [{ MaxAge: 86_401 }, /less than or equal to 86400/],
    [{ AllowMethods: ["OPTIONS"] }, /less than or equal to 6/],
    [{ AllowMethods: ["SEND"] }, /Invalid CORS method SEND/],
    [{ AllowOrigins: Array.from({ length: 101 }, (_, at) => `https://${at}`) }, /less than or equal to 100/],
    [{ AllowHeaders: ["x".repeat(1025)] }, /less than or equal to 1024/],
  ];
  for (const [Cors, message] of bounds)
    await assert.rejects(lambda.send(new L.UpdateFunctionUrlConfigCommand({ ...input, Cors })), message);
  const { FunctionUrlConfigs } = await lambda.send(new L.ListFunctionUrlConfigsCommand({ FunctionName }));
  const got = await lambda.send(new L.GetFunctionUrlConfigCommand({ FunctionName, Qualifier: "live" }));
  assert.equal(FunctionUrlConfigs?.length, 1);
  assert.equal(FunctionUrlConfigs?.[0]?.FunctionUrl, got.FunctionUrl);
  const deleted = await lambda.send(
    new L.DeleteFunctionUrlConfigCommand({ FunctionName, Qualifier: "live" }),
  );
  assert.equal(deleted.$metadata.httpStatusCode, 204);
  await assert.rejects(
    lambda.send(new L.GetFunctionUrlConfigCommand({ FunctionName, Qualifier: "live" })),
    L.ResourceNotFoundException,
  );
  const gone = await send(hostOf(made.FunctionUrl));
  assert.deepEqual([gone.status, gone.body], [403, '{"Message":null}']);
});

test("everybody may call a URL without authentication once its policy says so", async () => {
  const Cors = { AllowOrigins: ["https://www.example.com"] };
  const { FunctionUrl } = await lambda.send(
    new L.CreateFunctionUrlConfigCommand({ FunctionName, AuthType: "NONE", Cors }),
  );
  const host = hostOf(FunctionUrl);
  const closed = await send(host);
  assert.deepEqual([closed.status, closed.body], [403, '{"Message":"Forbidden"}']);
  await letEverybodyIn(FunctionName);
  const headers = { "content-type": "application/json", cookie: "c=1", origin: "https://www.example.com" };
  const answer = await send(host, { method: "POST", path: "/a/b?q=1&q=2", headers, body: '{"ü":1}' });
  assert.equal(answer.status, 201);
  assert.equal(answer.headers["x-path"], "/a/b");
  assert.deepEqual(answer.headers["set-cookie"], ["a=1", "b=2"]);
  assert.equal(answer.headers["access-control-allow-origin"], "https://www.example.com");
  const event = JSON.parse(answer.body) as Record<string, unknown>;
  assert.deepEqual(
    [event["version"], event["body"], event["cookies"], event["queryStringParameters"]],
    ["2.0", '{"ü":1}', ["c=1"], { q: "1,2" }],
  );
  assert.deepEqual((await send(host, { path: "/text" })).body, "plain");
  assert.deepEqual((await send(host, { path: "/binary" })).body, "ü");
  const failed = await send(host, { path: "/throw" });
  assert.deepEqual([failed.status, failed.body], [502, "Internal Server Error"]);
  const large = await send(host, { method: "POST", body: Buffer.alloc(6 * 1024 * 1024 + 1) });
  assert.equal(large.status, 413);
});

test("reserved concurrency of none turns a URL off", async () => {
  const { FunctionUrl } = await lambda.send(new L.GetFunctionUrlConfigCommand({ FunctionName }));
  await lambda.send(new L.PutFunctionConcurrencyCommand({ FunctionName, ReservedConcurrentExecutions: 0 }));
  const throttled = await send(hostOf(FunctionUrl));
  assert.deepEqual(
    [throttled.status, throttled.headers["x-amzn-errortype"]],
    [429, "TooManyRequestsException"],
  );
  await lambda.send(new L.DeleteFunctionConcurrencyCommand({ FunctionName }));
  assert.equal((await send(hostOf(FunctionUrl))).status, 201);
});

test("who signs may call a URL with AWS_IAM when policies say so", async () => {
  const { FunctionUrl } = await lambda.send(
    new L.UpdateFunctionUrlConfigCommand({ FunctionName, AuthType: "AWS_IAM" }),
  );
  const host = hostOf(FunctionUrl);
  assert.equal((await send(host)).status, 403);
  await iam.send(new CreateUserCommand({ UserName: "ann" }));
  const { AccessKey } = await iam.send(new CreateAccessKeyCommand({ UserName: "ann" }));
  const key = {
    accessKeyId: AccessKey?.AccessKeyId ?? "",
    secretAccessKey: AccessKey?.SecretAccessKey ?? "",
  };
  assert.equal((await send(host, await signFor(host, {}, key))).status, 403);
  const Action = ["lambda:InvokeFunctionUrl", "lambda:InvokeFunction"];
  const Statement = [{ Effect: "Allow", Action, Resource: ARN }];
  const PolicyDocument = JSON.stringify({ Version: "2012-10-17", Statement });
  await iam.send(new PutUserPolicyCommand({ UserName: "ann", PolicyName: "url", PolicyDocument }));
  const answer = await send(host, await signFor(host, { method: "POST", body: "x" }, key));
  assert.equal(answer.status, 201);
  const { requestContext } = JSON.parse(answer.body) as {
    requestContext: { authorizer: { iam: { userArn: string } } };
  };
  assert.equal(requestContext.authorizer.iam.userArn, "arn:aws:iam::000000000000:user/ann");
});

test("a stream's prelude sets status, headers and cookies", async () => {
  await deploy(lambda, "stream", { files: { "index.js": SOURCE }, Handler: "index.stream" });
  const { FunctionUrl, InvokeMode } = await lambda.send(
    new L.CreateFunctionUrlConfigCommand({
      FunctionName: "stream",
      AuthType: "NONE",
      InvokeMode: "RESPONSE_STREAM",
    }),
  );
  assert.equal(InvokeMode, "RESPONSE_STREAM");
  await letEverybodyIn("stream");
  const answer = await send(hostOf(FunctionUrl));
  assert.deepEqual([answer.status, answer.body], [202, "one,two"]);
  assert.equal(answer.headers["x-kind"], "stream");
  assert.deepEqual(answer.headers["set-cookie"], ["s=1"]);
  assert.equal(answer.headers["transfer-encoding"], "chunked");
  await assert.rejects(send(hostOf(FunctionUrl), { path: "/broken" }), /aborted/);
});
