/**
 * Goal: a function URL lets in whom the policies let in and nobody else, answers errors as AWS does, and leaves every other
 * host to the API.
 * Method: the route in a real dispatcher and listener with real signatures and policies, over a runner that is the test's own.
 */
import assert from "node:assert/strict";
import { after, before, beforeEach, describe, it } from "node:test";
import { AwsError, tooManyRequests } from "../../errors.ts";
import { addUser, allowing, openAccount, type Account } from "../../iam/fixture.ts";
import { systemClock } from "../../kernel/clock.ts";
import { INVOKE_REQUEST_BYTES_MAX } from "../../limits.ts";
import { silentLogger } from "../../telemetry/logger.ts";
import { Dispatcher } from "../../wire/dispatch.ts";
import { fakeProtocols } from "../../wire/fakes.ts";
import { Listener } from "../../wire/listener.ts";
import { BodyReader } from "../../wire/read-body.ts";
import { healthRoute } from "../../wire/routes.ts";
import { SignatureVerifier } from "../../wire/sigv4.ts";
import { FakeInside, outcomeOf } from "../invoke/fakes.ts";
import { sendTo, signFor, type AccessKeyPair, type UrlAnswer, type UrlRequest } from "./fakes.ts";
import type { FunctionUrl } from "./function-url.ts";
import { createUrlRoute } from "./url-route.ts";

const ARN = "arn:aws:lambda:us-east-1:000000000000:function:f";
const ID = "b".repeat(32);
const HOST = `${ID}.lambda-url.us-east-1.localhost`;
const FORBIDDEN = { status: 403, body: '{"Message":"Forbidden"}', type: "AccessDeniedException" };
const BAD_GATEWAY = { status: 502, body: "Internal Server Error", type: undefined };

type Sent = UrlRequest & { readonly host?: string };

let account: Account;
let alice: AccessKeyPair;
let root: AccessKeyPair;
let inside: FakeInside;
let url: FunctionUrl;
let policy: string | undefined;
let counted: { name: string; dimensions: object; value: number }[];
const closers: (() => Promise<void> | void)[] = [];
const ports = { sigv4: 0, none: 0 };

/** Everybody, as a statement of AddPermission has it; what a URL without authentication needs. */
const PUBLIC = JSON.stringify({
  Version: "2012-10-17",
  Statement: [
    {
      Effect: "Allow",
      Principal: "*",
      Action: "lambda:InvokeFunctionUrl",
      Resource: ARN,
      Condition: { StringEquals: { "lambda:FunctionUrlAuthType": "NONE" } },
    },
    {
      Effect: "Allow",
      Principal: "*",
      Action: "lambda:InvokeFunction",
      Resource: ARN,
      Condition: { Bool: { "lambda:InvokedViaFunctionUrl": "true" } },
    },
  ],
});

async function listen(auth: "sigv4" | "none"): Promise<number> {
  const { credentials, access } = account;
  const verifier = new SignatureVerifier({ credentials, clock: systemClock });
  const bodies = new BodyReader();
  const route = createUrlRoute({
    urls: { find: (id) => (id === url.id ? url : undefined) },
    directory: { resolve: (name, qualifier) => inside.directory.resolve(name, qualifier) },
    runner: { run: (version, invocation) => inside.run(version, invocation) },
    meter: { record: (usage) => inside.meter.record(usage) },
    metrics: { count: (name, dimensions, value) => void counted.push({ name, dimensions, value }) },
    access,
    verifier,
    bodies,
    clock: systemClock,
    auth,
  });
  const dispatcher = new Dispatcher({
    protocols: fakeProtocols(),
    services: [],
    verifier,
    authorizer: access,
    logger: silentLogger,
    region: "us-east-1",
    accountId: "000000000000",
    auth,
    bodies,
    routes: [route, healthRoute],
  });
  const listener = new Listener({ handle: dispatcher.handle, clock: systemClock, logger: silentLogger });
  closers.push(() => listener.close(0));
  return (await listener.listen(0, "127.0.0.1")).port;
}

const send = ({ host = HOST, ...sent }: Sent = {}, port = ports.sigv4) => sendTo(port, host, sent);
const signed = (sent: UrlRequest, key: AccessKeyPair, service?: string) => signFor(HOST, sent, key, service);

function assertRefused(
  { status, body, headers }: UrlAnswer,
  expected: { status: number; body: string; type: string | undefined },
): void {
  assert.deepEqual({ status, body, type: headers["x-amzn-errortype"] }, expected);
  assert.equal(headers["content-type"], "application/json");
  assert.equal(inside.runs.length, 0, "the function was not invoked");
}

before(async () => {
  account = await openAccount();
  const user = await addUser(account, "alice");
  const arn = account.directory.userArn(user);
  const owner = { kind: "user", arn, accountId: "000000000000", userId: user.userId } as const;
  alice = await account.credentials.createAccessKey(owner);
  root = account.credentials.rootAccessKey();
  account.access.register({
    service: "lambda",
    policies: { policyOf: (name) => (name === ARN ? policy : undefined) },
  });
  ports.sigv4 = await listen("sigv4");
  ports.none = await listen("none");
});
after(async () => {
  for (const close of closers) await close();
  account[Symbol.dispose]();
});
beforeEach(() => {
  inside = new FakeInside();
  policy = PUBLIC;
  counted = [];
  url = {
    id: ID,
    functionName: "f",
    qualifier: undefined,
    functionArn: ARN,
    authType: "NONE",
    invokeMode: "BUFFERED",
    cors: undefined,
  };
});

describe("a URL without authentication", () => {
  it("invokes the function with the request as its event, meters it, and answers what it answered", async () => {
    inside.act = async () =>
      outcomeOf(
        JSON.stringify({ statusCode: 201, headers: { "X-A": "1" }, cookies: ["a=1", "b=2"], body: "made" }),
      );
    const answer = await send({
      method: "POST",
      path: "/p?x=1",
      headers: { "content-type": "text/plain" },
      body: "hello",
    });
    assert.deepEqual([answer.status, answer.body], [201, "made"]);
    assert.equal(answer.headers["x-a"], "1");
    assert.deepEqual(answer.headers["set-cookie"], ["a=1", "b=2"]);
    assert.deepEqual(inside.log, ["resolve f -", "run", "record"]);
    const invocation = inside.runs[0]?.invocation;
    assert.equal(invocation?.invokedFunctionArn, ARN);
    assert.equal(answer.headers["x-amzn-requestid"], invocation?.requestId);
    assert.equal(answer.headers["x-amzn-trace-id"], invocation?.traceHeader);
    const event = JSON.parse(String(invocation?.payload)) as Record<string, unknown>;
    assert.deepEqual([event["rawPath"], event["rawQueryString"], event["body"]], ["/p", "x=1", "hello"]);
  });

  it("needs a policy that lets everybody in, and both actions in it", async () => {
    policy = undefined;
    assertRefused(await send(), FORBIDDEN);
    const both = (JSON.parse(PUBLIC) as { Statement: unknown[] }).Statement;
    for (const statement of both) {
      policy = JSON.stringify({ Version: "2012-10-17", Statement: [statement] });
      assertRefused(await send(), FORBIDDEN);
    }
    policy = PUBLIC.replace('"NONE"', '"AWS_IAM"');
    assertRefused(await send(), FORBIDDEN);
    policy = PUBLIC.replaceAll('"*"', '{"AWS":"arn:aws:iam::000000000000:user/alice"}');
    assertRefused(await send(), FORBIDDEN);
  });

  it("is held to the conditions of the policy: the client's address", async () => {
    const condition = (address: string) =>
      PUBLIC.replace('"Condition":{', `"Condition":{"IpAddress":{"aws:SourceIp":"${address}"},`);
    policy = condition("192.0.2.0/24");
    assertRefused(await send(), FORBIDDEN);
    policy = condition("127.0.0.1/32");
    assert.equal((await send()).status, 200);
  });

  it("is held to its policy with --auth none as well", async () => {
    policy = undefined;
    assertRefused(await send({}, ports.none), FORBIDDEN);
  });

  it("owns every path of its host, the server's own too", async () => {
    assert.equal((await send({ path: "/_hornero/health" })).body, "done");
    assert.match((await send({ path: "/_hornero/health", host: "localhost" })).body, /"ok"/);
    assert.equal((await send({ path: "/open", host: "localhost" })).status, 501, "the API's");
  });

  it("that nobody has is refused without a word", async () => {
    const host = `${"c".repeat(32)}.lambda-url.us-east-1.localhost`;
    assertRefused(await send({ host }), {
      status: 403,
      body: '{"Message":null}',
      type: "AccessDeniedException",
    });
  });
});

describe("a URL with AWS_IAM", () => {
  beforeEach(() => {
    url = { ...url, authType: "AWS_IAM" };
    policy = undefined;
  });
  const BOTH = ["lambda:InvokeFunctionUrl", "lambda:InvokeFunction"];
  const allowingAlice = (action: string | string[], extra: object = {}) =>
    allowing(action, ARN, { Principal: { AWS: "arn:aws:iam::000000000000:user/alice" }, ...extra });

  it("lets in who signed and may, and tells the function who it was", async () => {
    policy = allowingAlice(BOTH);
    const answer = await send(
      await signed(
        { method: "POST", path: "/x", body: "{}", headers: { "content-type": "text/plain" } },
        alice,
      ),
    );
    assert.equal(answer.status, 200);
    const event = JSON.parse(String(inside.runs[0]?.invocation.payload)) as {
      requestContext: { accountId: string; authorizer: { iam: { userArn: string; accessKey: string } } };
    };
    assert.equal(event.requestContext.accountId, "000000000000");
    assert.equal(event.requestContext.authorizer.iam.userArn, "arn:aws:iam::000000000000:user/alice");
    assert.equal(event.requestContext.authorizer.iam.accessKey, alice.accessKeyId);
  });

  it("lets the root in without a policy", async () => {
    assert.equal((await send(await signed({}, root))).status, 200);
  });

  it("refuses who did not sign, whatever the policy says", async () => {
    policy = PUBLIC;
    assertRefused(await send(), FORBIDDEN);
  });

  it("refuses who may not: nothing, one action only, another type of authentication", async () => {
    assertRefused(await send(await signed({}, alice)), FORBIDDEN);
    for (const action of BOTH) {
      policy = allowingAlice(action);
      assertRefused(await send(await signed({}, alice)), FORBIDDEN);
    }
    policy = allowingAlice(BOTH, { Condition: { StringEquals: { "lambda:FunctionUrlAuthType": "NONE" } } });
    assertRefused(await send(await signed({}, alice)), FORBIDDEN);
  });

  it("refuses signatures that do not hold: another secret, body or service", async () => {
    policy = allowingAlice(BOTH);
    const forged = await signed({}, { ...alice, secretAccessKey: root.secretAccessKey });
    const other = await signed({ method: "POST", body: "a" }, alice);
    for (const sent of [forged, { ...other, body: "b" }, await signed({}, alice, "s3")]) {
      const answer = await send(sent);
      assert.equal(answer.status, 403);
      assert.equal(answer.headers["x-amzn-errortype"], "InvalidSignatureException");
    }
    assert.equal(inside.runs.length, 0);
  });

  it("takes whoever is on this machine for the root with --auth none, but no page from elsewhere", async () => {
    assert.equal((await send({}, ports.none)).status, 200);
    assert.equal((await send({ headers: { origin: "https://evil.example" } }, ports.none)).status, 403);
    assert.equal(inside.runs.length, 1);
  });
});

describe("errors", () => {
  it("of the function and of its answer are bad gateways, metered", async () => {
    for (const outcome of [
      outcomeOf('{"errorType":"E"}', { functionError: "Unhandled" }),
      outcomeOf('{"statusCode":"x"}'),
      outcomeOf("<p>"),
    ]) {
      inside.act = async () => outcome;
      const { status, body } = await send();
      assert.deepEqual({ status, body, type: undefined }, BAD_GATEWAY);
    }
    assert.equal(inside.usages.length, 3);
  });

  it("of admission are told as they are, those of the platform are not", async () => {
    inside.act = async () => {
      throw tooManyRequests("ReservedFunctionConcurrentInvocationLimitExceeded");
    };
    const throttled = await send();
    assert.equal(throttled.status, 429);
    assert.equal(throttled.headers["x-amzn-errortype"], "TooManyRequestsException");
    assert.deepEqual(JSON.parse(throttled.body), {
      Message: "Rate Exceeded.",
      Reason: "ReservedFunctionConcurrentInvocationLimitExceeded",
    });
    inside.act = async () => {
      throw new AwsError("InvalidRuntimeException", "The host lacks it.", { status: 502 });
    };
    const { status, body } = await send();
    assert.deepEqual({ status, body, type: undefined }, BAD_GATEWAY);
  });

  it("a body of more than 6 MB is too large, and so is one that its event makes so", async () => {
    const post = { method: "POST", headers: { "content-type": "application/octet-stream" } };
    for (const bytes of [INVOKE_REQUEST_BYTES_MAX + 1, INVOKE_REQUEST_BYTES_MAX * 0.9]) {
      const answer = await send({ ...post, body: Buffer.alloc(bytes) });
      assert.equal(answer.headers["x-amzn-errortype"], "RequestTooLargeException");
      assert.equal(answer.status, 413);
    }
    assert.equal(inside.runs.length, 0);
    assert.equal((await send({ ...post, body: Buffer.alloc(INVOKE_REQUEST_BYTES_MAX * 0.7) })).status, 200);
  });
});

describe("CORS", () => {
  const origin = "https://www.example.com";
  const asked = { origin, "access-control-request-method": "PUT" };

  it("preflight requests are answered by the rules, without leave and without the function", async () => {
    policy = undefined;
    url = { ...url, authType: "AWS_IAM", cors: { allowOrigins: [origin], allowMethods: ["PUT"] } };
    const { status, headers, body } = await send({ method: "OPTIONS", headers: asked });
    assert.deepEqual([status, body], [200, ""]);
    assert.equal(headers["access-control-allow-origin"], origin);
    assert.equal(headers["access-control-allow-methods"], "PUT");
    assert.equal(inside.runs.length, 0);
  });

  it("without rules they are the function's, as every request", async () => {
    assert.equal((await send({ method: "OPTIONS", headers: asked })).body, "done");
  });

  it("headers are added to answers and to errors, beside the function's own", async () => {
    url = { ...url, cors: { allowOrigins: ["*"] } };
    inside.act = async () =>
      outcomeOf(JSON.stringify({ statusCode: 200, headers: { "access-control-allow-origin": "*" } }));
    const both = await send({ headers: { origin } });
    assert.equal(both.headers["access-control-allow-origin"], `*, ${origin}`);
    policy = undefined;
    const refused = await send({ headers: { origin } });
    assert.deepEqual([refused.status, refused.headers["access-control-allow-origin"]], [403, origin]);
  });
});

it("an alias's URL invokes the alias, by the alias's policy", async () => {
  url = { ...url, qualifier: "live", functionArn: `${ARN}:live` };
  assertRefused(await send(), FORBIDDEN);
  url = { ...url, functionArn: ARN };
  assert.equal((await send()).status, 200);
  assert.equal(inside.log[0], "resolve f live");
});

describe("metrics", () => {
  const sums = () => {
    const sum = (wanted: string) =>
      counted.filter(({ name }) => name === wanted).reduce((total, { value }) => total + value, 0);
    return [sum("UrlRequestCount"), sum("Url4xxCount"), sum("Url5xxCount")];
  };

  it("count requests, and what went wrong by whose fault", async () => {
    await send();
    inside.act = async () => outcomeOf('{"errorType":"E"}', { functionError: "Unhandled" });
    await send();
    inside.act = async () => outcomeOf('{"statusCode":404}');
    await send();
    policy = undefined;
    await send();
    assert.deepEqual(sums(), [4, 2, 1]);
    assert.equal(counted.filter(({ name }) => name === "UrlRequestLatency").length, 4);
    assert.deepEqual(counted[0]?.dimensions, { functionName: "f" });
  });

  it("are an alias's where the URL is", async () => {
    url = { ...url, qualifier: "live" };
    await send();
    assert.deepEqual(counted[0]?.dimensions, { functionName: "f", resource: "f:live" });
  });
});
