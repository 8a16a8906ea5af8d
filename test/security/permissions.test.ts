/**
 * Goal: a function may do what its role allows and nothing else, users what their policies allow, and nobody gives a function a
 * role that they may not pass.
 * Method: a real server; AWS's SDK as root and as users, and functions that call back with the credentials they find.
 */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { GetLogEventsCommand, DescribeLogStreamsCommand } from "@aws-sdk/client-cloudwatch-logs";
import {
  CreateAccessKeyCommand,
  CreateUserCommand,
  DeleteRoleCommand,
  DeleteRolePolicyCommand,
  IAMClient,
  PutUserPolicyCommand,
} from "@aws-sdk/client-iam";
import {
  CreateFunctionCommand,
  InvokeCommand,
  LambdaClient,
  ListFunctionsCommand,
  UpdateFunctionConfigurationCommand,
} from "@aws-sdk/client-lambda";
import { hornero } from "../support/cli.ts";
import { call, deploy, eventually } from "../support/functions.ts";
import { createRole, ROLE, startTestServer, zipOf, type TestServer } from "../support/server.ts";

const ACCOUNT = "arn:aws:lambda:us-east-1:000000000000:function";
/** Signs a GET of Lambda's API with the function's own credentials, without any library. */
const CALLER = `const { createHash, createHmac } = require("node:crypto");
const hash = (text) => createHash("sha256").update(text).digest("hex");
const mac = (key, text) => createHmac("sha256", key).update(text).digest();
exports.handler = async ({ path }) => {
  console.log("called", path);
  const { AWS_ACCESS_KEY_ID: id, AWS_SECRET_ACCESS_KEY: secret, AWS_SESSION_TOKEN: token } = process.env;
  const url = new URL(path, process.env.AWS_ENDPOINT_URL);
  const date = new Date().toISOString().replace(/[-:]|\\.\\d{3}/g, "");
  const headers = { host: url.host, "x-amz-date": date, "x-amz-security-token": token };
  const names = Object.keys(headers).sort();
  const canonical = ["GET", url.pathname, "", ...names.map((name) => name + ":" + headers[name]), "", names.join(";"), hash("")].join("\\n");
  const scope = date.slice(0, 8) + "/us-east-1/lambda/aws4_request";
  const key = ["us-east-1", "lambda", "aws4_request"].reduce(mac, mac("AWS4" + secret, date.slice(0, 8)));
  const signature = mac(key, ["AWS4-HMAC-SHA256", date, scope, hash(canonical)].join("\\n")).toString("hex");
  const authorization = "AWS4-HMAC-SHA256 Credential=" + id + "/" + scope + ", SignedHeaders=" + names.join(";") + ", Signature=" + signature;
  const answer = await fetch(url, { headers: { ...headers, authorization } });
  return { status: answer.status, body: await answer.json() };
};`;

let server: TestServer;
let root: LambdaClient;
let iam: IAMClient;
before(async () => {
  server = await startTestServer();
  root = server.lambda();
  const { endpoint, file } = server;
  iam = new IAMClient({ endpoint, region: file.region, credentials: file, maxAttempts: 1 });
});
after(async () => {
  iam.destroy();
  await server.stop();
});

const allowing = (Action: string | string[], Resource: string | string[] = "*") => ({
  Version: "2012-10-17",
  Statement: [{ Effect: "Allow", Action, Resource }],
});

const LOGS = ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"];
interface Answer {
  readonly status: number;
  readonly body: { readonly Message?: string; readonly message?: string };
}

async function ask(name: string, path: string): Promise<Answer> {
  const { body, text } = await call(root, name, { path });
  assert.ok(body, text);
  return body as Answer;
}

test("a function may do what its role allows, and nothing else", async () => {
  const role = await createRole(server, "reader", allowing([...LOGS, "lambda:GetFunction"]));
  await deploy(root, "reader", { files: { "index.js": CALLER }, Timeout: 20, Role: role });
  assert.equal((await ask("reader", "/2015-03-31/functions/reader")).status, 200);
  const refused = await ask("reader", "/2015-03-31/functions/");
  assert.equal(refused.status, 403);
  assert.equal(
    refused.body.Message ?? refused.body.message,
    "User: arn:aws:sts::000000000000:assumed-role/reader/reader is not authorized to perform: lambda:ListFunctions on resource: * because no identity-based policy allows the lambda:ListFunctions action",
  );
  // Running environments are held to the role as it is now, and to nothing when it is gone.
  await iam.send(new DeleteRolePolicyCommand({ RoleName: "reader", PolicyName: "inline" }));
  assert.equal((await ask("reader", "/2015-03-31/functions/reader")).status, 403);
  await iam.send(new DeleteRoleCommand({ RoleName: "reader" }));
  await createRole(server, "reader", allowing("*"));
  assert.equal((await ask("reader", "/2015-03-31/functions/reader")).status, 403);
});

test("a function whose role may not write logs has none", async () => {
  const role = await createRole(server, "silent", allowing("lambda:*"));
  await deploy(root, "silent", { files: { "index.js": CALLER }, Timeout: 20, Role: role });
  await deploy(root, "spoken", { files: { "index.js": CALLER }, Timeout: 20 });
  assert.equal((await ask("silent", "/2015-03-31/functions/silent")).status, 200);
  assert.equal((await ask("spoken", "/2015-03-31/functions/spoken")).status, 403);
  const logs = server.logs();
  await eventually("the log of the function that may", async () => {
    const logGroupName = "/aws/lambda/spoken";
    const { logStreams = [] } = await logs
      .send(new DescribeLogStreamsCommand({ logGroupName }))
      .catch(() => ({}) as never);
    const [stream] = logStreams as { logStreamName?: string }[];
    if (!stream) return false;
    const { logStreamName } = stream;
    const { events = [] } = await logs.send(new GetLogEventsCommand({ logGroupName, logStreamName }));
    return events.some(({ message }) => message?.includes("called"));
  });
  await assert.rejects(logs.send(new DescribeLogStreamsCommand({ logGroupName: "/aws/lambda/silent" })), {
    name: "ResourceNotFoundException",
  });
});

test("hornero iam why names what decided", async () => {
  const options = { data: server.dataDirectory };
  const allowed = await hornero(["iam", "why", "role/lambda", "logs:PutLogEvents"], options);
  assert.equal(allowed.code, 0, allowed.stderr);
  assert.match(allowed.stdout, /allowed by statement 1 of \S+AWSLambdaBasicExecutionRole/);
  const denied = await hornero(["iam", "why", "role/lambda", "lambda:InvokeFunction", "--json"], options);
  assert.equal(denied.code, 1);
  assert.deepEqual((JSON.parse(denied.stdout) as { lines: string[] }).lines, [
    "denied: no identity-based policy allows lambda:InvokeFunction",
  ]);
  const nobody = await hornero(["iam", "why", "user/nobody", "lambda:InvokeFunction"], options);
  assert.match(nobody.stderr, /cannot be found/);
});

test("Lambda must be able to assume a function's role", async () => {
  const message = "The role defined for the function cannot be assumed by Lambda.";
  const refusal = { name: "InvalidParameterValueException", message };
  const Role = `${ROLE}-that-is-not-there`;
  const create = {
    FunctionName: "x",
    Runtime: "nodejs24.x",
    Handler: "index.handler",
    Code: { ZipFile: zipOf({}) },
  } as const;
  await assert.rejects(root.send(new CreateFunctionCommand({ ...create, Role })), refusal);
  await assert.rejects(
    root.send(new UpdateFunctionConfigurationCommand({ FunctionName: "silent", Role })),
    refusal,
  );
});

test("a user may do what its policies allow, and pass the roles that they name", async () => {
  await iam.send(new CreateUserCommand({ UserName: "ann" }));
  const { AccessKey } = await iam.send(new CreateAccessKeyCommand({ UserName: "ann" }));
  const { AccessKeyId: accessKeyId = "", SecretAccessKey: secretAccessKey = "" } = AccessKey ?? {};
  const { endpoint, file } = server;
  const credentials = { accessKeyId, secretAccessKey };
  const ann = new LambdaClient({ endpoint, region: file.region, credentials, maxAttempts: 1 });
  const grant = (document: object) =>
    iam.send(
      new PutUserPolicyCommand({
        UserName: "ann",
        PolicyName: "p",
        PolicyDocument: JSON.stringify(document),
      }),
    );
  try {
    await assert.rejects(ann.send(new ListFunctionsCommand()), { name: "AccessDeniedException" });
    await grant(
      allowing(["lambda:CreateFunction", "lambda:GetFunction*", "lambda:InvokeFunction"], `${ACCOUNT}:hers*`),
    );
    const source = { files: { "index.js": "exports.handler = async () => 1;" } };
    await assert.rejects(
      deploy(ann, "hers", source),
      /is not authorized to perform: iam:PassRole on resource/,
    );
    const both = allowing(
      ["lambda:CreateFunction", "lambda:GetFunction*", "lambda:InvokeFunction"],
      `${ACCOUNT}:hers*`,
    );
    await grant({ ...both, Statement: [...both.Statement, ...allowing("iam:PassRole", ROLE).Statement] });
    await deploy(ann, "hers", source);
    assert.equal((await call(ann, "hers")).body, 1);
    await assert.rejects(deploy(ann, "his", source), { name: "AccessDeniedException" });
    await assert.rejects(ann.send(new InvokeCommand({ FunctionName: "silent" })), {
      name: "AccessDeniedException",
      message: `User: arn:aws:iam::000000000000:user/ann is not authorized to perform: lambda:InvokeFunction on resource: ${ACCOUNT}:silent because no identity-based policy allows the lambda:InvokeFunction action`,
    });
  } finally {
    ann.destroy();
  }
});
