/**
 * Goal: the AWS SDK cannot tell this server from AWS by how requests are authenticated, answered and refused.
 * Method: the real SDK clients against a real socket, a made-up service behind it (fakes.ts).
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import http from "node:http";
import { describe, it } from "node:test";
import {
  GetAccountSettingsCommand,
  InvokeCommand,
  LambdaClient,
  ListFunctionsCommand,
  ResourceNotFoundException,
  TooManyRequestsException,
} from "@aws-sdk/client-lambda";
import { AssumeRoleWithWebIdentityCommand, GetCallerIdentityCommand, STSClient } from "@aws-sdk/client-sts";
import { resourceNotFound, tooManyRequests } from "../errors.ts";
import { ManualClock, systemClock } from "../kernel/clock.ts";
import { deferred } from "../kernel/deferred.ts";
import { createLogger } from "../telemetry/logger.ts";
import { fakeProtocols, startFakeServer, type FakeServer } from "./fakes.ts";
import type { RequestContext, Service } from "./service.ts";

interface InvokeInput {
  FunctionName: string;
  Payload: Buffer;
}

const echo: Service["operations"] = {
  Invoke: async ({ Payload }: InvokeInput) => ({ Payload }),
};

function client(
  server: FakeServer,
  credentials: { accessKeyId?: string; secretAccessKey?: string; sessionToken?: string } = {},
) {
  const { accessKeyId, secretAccessKey, endpoint } = server;
  const lambda = new LambdaClient({
    endpoint,
    region: "us-east-1",
    maxAttempts: 1,
    credentials: { accessKeyId, secretAccessKey, ...credentials },
  });
  return Object.assign(lambda, { [Symbol.dispose]: () => lambda.destroy() });
}

const invoke = (payload = "{}") =>
  new InvokeCommand({ FunctionName: "a b/ü", Payload: Buffer.from(payload) });

/** The error that a call of the SDK ended with. */
async function failure(call: Promise<unknown>) {
  const error: unknown = await call.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  assert(error instanceof Error, "the call was refused");
  return error as Error & { $metadata: { httpStatusCode: number; requestId: string } };
}

async function send(server: FakeServer, options: http.RequestOptions, body = "") {
  const request = http.request({ host: "127.0.0.1", port: server.port, agent: false, ...options });
  request.end(body);
  const [response] = (await once(request, "response")) as [http.IncomingMessage];
  let text = "";
  for await (const chunk of response.setEncoding("utf8")) text += String(chunk);
  return { status: response.statusCode, headers: response.headers, text };
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

describe("the AWS SDK against the server", () => {
  it("is served: payloads of every size, under a name that needs encoding", async () => {
    await using server = await startFakeServer(echo);
    using lambda = client(server);
    for (const length of [0, 1, 100, 70_000, 900_000]) {
      const sent = JSON.stringify("x".repeat(length));
      const { Payload, $metadata } = await lambda.send(invoke(sent));
      assert.equal(Payload?.transformToString(), sent);
      assert.match($metadata.requestId ?? "", UUID);
    }
  });

  it("is told who speaks and where: root, temporary credentials, region, endpoint, address", async () => {
    const contexts: RequestContext[] = [];
    const addresses: string[] = [];
    const operations: Service["operations"] = {
      GetAccountSettings: (_input, context) => {
        contexts.push(context);
        addresses.push(context.sourceIp);
        return {};
      },
    };
    await using server = await startFakeServer(operations);
    const session = server.credentials.mint({
      principalArn: "arn:aws:sts::000000000000:assumed-role/r/s",
      roleId: "AROAX",
      sessionName: "s",
      expiresAtMs: Date.now() + 60_000,
    });
    for (const credentials of [{}, session]) {
      using lambda = client(server, credentials);
      await lambda.send(new GetAccountSettingsCommand());
    }
    assert.deepEqual(
      contexts.map(({ principal }) => principal.arn),
      ["arn:aws:iam::000000000000:root", "arn:aws:sts::000000000000:assumed-role/r/s"],
    );
    const [context] = contexts;
    assert.equal(context?.endpoint, server.endpoint);
    assert.deepEqual(addresses, ["127.0.0.1", "127.0.0.1"]);
    assert.equal(context?.region, "us-east-1");
    assert.match(context?.header("user-agent") ?? "", /aws-sdk-js/);
    assert.equal(context?.signal.aborted, false);
  });

  it("gets the model's own error classes", async () => {
    const errors = [resourceNotFound("Function not found: f"), tooManyRequests("CallerRateLimitExceeded")];
    const operations: Service["operations"] = {
      Invoke: () => {
        throw errors[0] ?? new Error("none");
      },
      GetAccountSettings: async () => Promise.reject(errors[1]),
    };
    await using server = await startFakeServer(operations);
    using lambda = client(server);
    const absent = await failure(lambda.send(invoke()));
    assert(absent instanceof ResourceNotFoundException);
    assert.equal(absent.message, "Function not found: f");
    assert.equal(absent.$metadata.httpStatusCode, 404);
    assert.match(absent.$metadata.requestId ?? "", UUID);
    const throttled = await failure(lambda.send(new GetAccountSettingsCommand()));
    assert(throttled instanceof TooManyRequestsException);
    assert.equal(throttled.Reason, "CallerRateLimitExceeded");
  });

  it("is refused with a wrong secret, an unknown key, a foreign token, an expired one", async () => {
    await using server = await startFakeServer(echo);
    const expired = server.credentials.mint({ principalArn: "arn", roleId: "AROAX", expiresAtMs: 0 });
    const attempts = [
      { secretAccessKey: "wrong" },
      { accessKeyId: "AKIAUNKNOWN" },
      { sessionToken: "foreign" },
      expired,
    ];
    const names: string[] = [];
    for (const credentials of attempts) {
      using lambda = client(server, credentials);
      names.push((await failure(lambda.send(invoke()))).name);
    }
    assert.deepEqual(names, [
      "InvalidSignatureException",
      "UnrecognizedClientException",
      "UnrecognizedClientException",
      "ExpiredTokenException",
    ]);
  });

  it("is refused when the clocks differ by more than five minutes", async () => {
    const clock = new ManualClock(Date.now() + 6 * 60_000);
    await using server = await startFakeServer(echo, { clock });
    using lambda = client(server);
    const { name, message } = await failure(lambda.send(invoke()));
    assert.equal(name, "InvalidSignatureException");
    assert.match(
      message,
      /^Signature expired: \d{8}T\d{6}Z is now earlier than \d{8}T\d{6}Z \(.* - 5 min\.\)$/,
    );
  });

  it("hears of operations without a handler, by name", async () => {
    await using server = await startFakeServer(echo);
    using lambda = client(server);
    const { name, message, $metadata } = await failure(lambda.send(new ListFunctionsCommand()));
    assert.equal(name, "UnsupportedOperation");
    assert.match(message, /ListFunctions of lambda/);
    assert.equal($metadata.httpStatusCode, 501);
  });

  it("hears nothing of what broke inside, but the log does", async () => {
    const lines: string[] = [];
    const sink = (line: string) => void lines.push(line);
    const logger = createLogger({ level: "error", format: "json", clock: systemClock, sink });
    const operations: Service["operations"] = {
      Invoke: () => {
        throw new TypeError("the secret of the house");
      },
      GetAccountSettings: async () => Promise.reject(new Error("the secret of the house")),
    };
    await using server = await startFakeServer(operations, { logger });
    using lambda = client(server);
    for (const call of [() => lambda.send(invoke()), () => lambda.send(new GetAccountSettingsCommand())]) {
      const { name, message, $metadata } = await failure(call());
      assert.equal(name, "ServiceException");
      assert.equal($metadata.httpStatusCode, 500);
      assert.doesNotMatch(message, /secret/);
      const line = lines.find((candidate) => candidate.includes($metadata.requestId));
      assert.match(line ?? "", /the secret of the house[^]*dispatch\.test\.ts/);
    }
  });
});

describe("services whose operation is named in a form", () => {
  const operations: Service["operations"] = {
    GetCallerIdentity: (_input, { principal }) => ({ xml: `<Arn>${principal.arn}</Arn>` }),
    AssumeRoleWithWebIdentity: (_input, { principal }) => ({ xml: `<Audience>${principal.kind}</Audience>` }),
  };
  const stsClient = (server: FakeServer, overrides: object = {}) => {
    const { endpoint, accessKeyId, secretAccessKey } = server;
    const credentials = { accessKeyId, secretAccessKey, ...overrides };
    return new STSClient({ endpoint, region: "us-east-1", maxAttempts: 1, credentials });
  };

  it("are served, signed and (where the model says so) not", async () => {
    await using server = await startFakeServer(operations);
    const sts = stsClient(server);
    const { Arn } = await sts.send(new GetCallerIdentityCommand());
    assert.equal(Arn, "arn:aws:iam::000000000000:root");
    const federated = { RoleArn: "r".repeat(20), RoleSessionName: "me", WebIdentityToken: "token" };
    const { Audience } = await sts.send(new AssumeRoleWithWebIdentityCommand(federated));
    assert.equal(Audience, "anonymous");
    sts.destroy();
  });

  it("refuse in their own words", async () => {
    await using server = await startFakeServer(operations);
    const names: string[] = [];
    for (const overrides of [
      { secretAccessKey: "wrong" },
      { accessKeyId: "AKIAX" },
      { sessionToken: "foreign" },
    ]) {
      const sts = stsClient(server, overrides);
      names.push((await failure(sts.send(new GetCallerIdentityCommand()))).name);
      sts.destroy();
    }
    assert.deepEqual(names, ["SignatureDoesNotMatch", "InvalidClientTokenId", "InvalidClientTokenId"]);
    const headers = { "content-type": "application/x-www-form-urlencoded" };
    const post = async (form: string) => send(server, { method: "POST", path: "/", headers }, form);
    const unsigned = await post("Action=GetCallerIdentity&Version=2011-06-15");
    assert.equal(unsigned.status, 403);
    assert.match(unsigned.text, /<Code>MissingAuthenticationToken<.*Request is missing Authentication Token/);
    const unknown = await post("Action=Nothing&Version=2011-06-15");
    assert.equal(unknown.status, 400);
    assert.match(
      unknown.text,
      /<Code>InvalidAction<.*Could not find operation Nothing for version 2011-06-15/,
    );
  });
});

describe("plain HTTP", () => {
  it("gets AWS's words for paths that no model knows, and a request id", async () => {
    await using server = await startFakeServer(echo);
    const { status, headers, text } = await send(server, { path: "/nothing/here" });
    assert.equal(status, 404);
    assert.equal(text, "<UnknownOperationException/>\n");
    assert.match(String(headers["x-amzn-requestid"]), UUID);
    const target = await send(server, { method: "POST", path: "/", headers: { "x-amz-target": "No.Thing" } });
    assert.equal(target.status, 400);
    assert.equal(target.headers["x-amzn-errortype"], "UnknownOperationException");
    assert.match(String(target.headers["x-amzn-requestid"]), UUID);
  });

  it("gets nothing without a signature, except where the model says so", async () => {
    await using server = await startFakeServer({ ...echo, Open: () => ({ open: true }) });
    const path = "/2015-03-31/functions/f/invocations";
    const refused = await send(server, { method: "POST", path }, "{}");
    assert.equal(refused.status, 403);
    assert.equal(refused.headers["x-amzn-errortype"], "MissingAuthenticationTokenException");
    const open = await send(server, { path: "/open" });
    assert.deepEqual([open.status, open.text], [200, '{"open":true}']);
  });

  it("is the root with authentication switched off, on loopback", async () => {
    const arns: string[] = [];
    const operations: Service["operations"] = {
      Invoke: ({ Payload }: InvokeInput, context) => {
        arns.push(context.principal.arn);
        return { Payload };
      },
    };
    await using server = await startFakeServer(operations, { auth: "none" });
    const path = "/2015-03-31/functions/f/invocations";
    const { status, text } = await send(server, { method: "POST", path }, '{"a":1}');
    assert.deepEqual([status, text], [200, '{"a":1}']);
    assert.deepEqual(arns, ["arn:aws:iam::000000000000:root"]);
  });

  it("is nobody with authentication switched off, when a page from elsewhere sent it", async () => {
    await using server = await startFakeServer(echo, { auth: "none" });
    const path = "/2015-03-31/functions/f/invocations";
    const attempt = async (headers: http.OutgoingHttpHeaders) =>
      (await send(server, { method: "POST", path, headers }, "{}")).status;
    assert.equal(await attempt({ host: "localhost:1", origin: "http://localhost:4566" }), 200);
    assert.equal(await attempt({ host: "bucket.s3.localhost:4566" }), 200);
    assert.equal(await attempt({ host: "[::1]:4566", origin: "https://[::1]" }), 200);
    assert.equal(await attempt({ origin: "https://example.com" }), 403);
    assert.equal(await attempt({ origin: "null" }), 403);
    assert.equal(await attempt({ host: "rebound.example.com:4566" }), 403);
    assert.equal(await attempt({ host: "localhost.example.com" }), 403);
  });

  it("reaches routes before the models, and their faults are answered too", async () => {
    const routes = [
      {
        prefix: "/_hornero/health",
        handle: (_request: http.IncomingMessage, response: http.ServerResponse) => void response.end("ok"),
      },
      { prefix: "/_hornero/broken", handle: async () => Promise.reject(new Error("broken")) },
    ];
    await using server = await startFakeServer(echo, { routes });
    const health = await send(server, { path: "/_hornero/health?x" });
    assert.deepEqual([health.status, health.text], [200, "ok"]);
    assert.match(String(health.headers["x-amzn-requestid"]), UUID);
    assert.equal((await send(server, { path: "/_hornero/broken" })).status, 500);
  });

  it("is told of a body that is too large, declared or not, and may go on with the connection", async () => {
    await using server = await startFakeServer(echo, { auth: "none", protocols: fakeProtocols(1000) });
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    const path = "/2015-03-31/functions/f/invocations";
    const declared = { "content-length": "100000" };
    const chunked = { "transfer-encoding": "chunked" };
    for (const headers of [declared, chunked]) {
      const answer = await send(server, { method: "POST", path, headers, agent }, "x".repeat(100_000));
      assert.equal(answer.status, 413);
      assert.equal(answer.headers["x-amzn-errortype"], "RequestEntityTooLargeException");
      assert.match(answer.text, /Request must be smaller than 1000 bytes for the InvokeFunction operation/);
    }
    const next = await send(server, { method: "POST", path, agent }, "x".repeat(1000));
    assert.equal(next.text.length, 1000);
    agent.destroy();
  });

  it("may wait for 100 Continue, and is spared the upload when the answer is no", async () => {
    await using server = await startFakeServer(echo, { auth: "none", protocols: fakeProtocols(1000) });
    const path = "/2015-03-31/functions/f/invocations";
    const ask = async (length: number) => {
      const headers = { expect: "100-continue", "content-length": String(length) };
      const request = http.request({ host: "127.0.0.1", port: server.port, path, method: "POST", headers });
      request.flushHeaders();
      let continued = false;
      request.on("continue", () => {
        continued = true;
        request.end("x".repeat(length));
      });
      const [response] = (await once(request, "response")) as [http.IncomingMessage];
      response.resume();
      await once(response, "close");
      request.destroy();
      return [continued, response.statusCode];
    };
    assert.deepEqual(await ask(1000), [true, 200]);
    assert.deepEqual(await ask(1001), [false, 413]);
  });
});

describe("streams and clients that leave", () => {
  it("sends a streamed body, every byte", async () => {
    const chunk = Buffer.alloc(64 * 1024, "x");
    async function* body() {
      for (let count = 0; count < 100; count += 1) yield chunk;
    }
    await using server = await startFakeServer({ Invoke: () => ({ Payload: body() }) }, { auth: "none" });
    const path = "/2015-03-31/functions/f/invocations";
    const { headers, text } = await send(server, { method: "POST", path });
    assert.equal(text.length, 100 * chunk.length);
    assert.equal(headers["content-length"], undefined);
  });

  it("stops a streamed body and aborts its signal when the client leaves", async () => {
    const [started, aborted, returned] = [deferred(), deferred(), deferred()];
    const operations: Service["operations"] = {
      Invoke: (_input, context: RequestContext) => {
        context.signal.addEventListener("abort", () => aborted.resolve());
        async function* body() {
          try {
            yield Buffer.from("first");
            started.resolve();
            await aborted.promise;
            yield Buffer.from("never sent");
          } finally {
            returned.resolve();
          }
        }
        return { Payload: body() };
      },
    };
    await using server = await startFakeServer(operations, { auth: "none" });
    const path = "/2015-03-31/functions/f/invocations";
    const request = http.request({ host: "127.0.0.1", port: server.port, path, method: "POST" });
    request.on("error", () => undefined);
    request.end();
    await once(request, "response");
    await started.promise;
    request.destroy();
    await aborted.promise;
    await returned.promise;
  });

  it("cuts the answer when a streamed body breaks, so that nobody takes it for whole", async () => {
    async function* body() {
      yield Buffer.from("first");
      throw new Error("broken");
    }
    await using server = await startFakeServer({ Invoke: () => ({ Payload: body() }) }, { auth: "none" });
    const path = "/2015-03-31/functions/f/invocations";
    await assert.rejects(send(server, { method: "POST", path }), /aborted/);
  });

  it("aborts the signal of a buffered call when the client leaves before the answer", async () => {
    const [running, aborted] = [deferred(), deferred()];
    const operations: Service["operations"] = {
      Invoke: async (_input, context: RequestContext) => {
        context.signal.addEventListener("abort", () => aborted.resolve());
        running.resolve();
        await aborted.promise;
        return {};
      },
    };
    await using server = await startFakeServer(operations, { auth: "none" });
    const path = "/2015-03-31/functions/f/invocations";
    const request = http.request({ host: "127.0.0.1", port: server.port, path, method: "POST" });
    request.on("error", () => undefined);
    request.end("{}");
    await running.promise;
    request.destroy();
    await aborted.promise;
  });
});
