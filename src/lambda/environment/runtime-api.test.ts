// Goal: custom runtimes and AWS's own runtime clients find the Runtime API as on AWS, and a runtime that breaks its rules
// harms only itself. Method: real HTTP over loopback, by node:http and, where bytes matter, by raw sockets.
import assert from "node:assert/strict";
import { Agent, request as httpRequest, type IncomingHttpHeaders, type OutgoingHttpHeaders } from "node:http";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { once } from "node:events";
import { afterEach, describe, it } from "node:test";
import { INVOKE_RESPONSE_BYTES_MAX, RUNTIME_ERROR_BYTES_MAX } from "../../limits.ts";
import { RuntimeApi, RuntimeApiSession } from "./runtime-api.ts";
import type { InvokeHead, RuntimeEvents } from "./runtime-connection.ts";

const ID = "8476a536-e9f4-11e8-9739-2dfe598c3fcd";
const ROOT = "/2018-06-01/runtime";
const HEAD: InvokeHead = {
  requestId: ID,
  deadlineMs: 1_700_000_003_000,
  invokedFunctionArn: "arn:aws:lambda:us-east-1:000000000000:function:f",
  traceHeader: "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=0",
};

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}
type Told = (string | number)[];

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

/** A session behind a listener of its own. `until` resolves when so many events have been told. */
async function setUp() {
  const { session, told, until } = recorded();
  const { address, close } = await RuntimeApi.openLoopback((request, response) =>
    session.handle(request, response),
  );
  closers.push(close);
  return { session, told, until, ...client(Number(address.split(":")[1])) };
}

function recorded() {
  const told: Told[] = [];
  let wake: () => void = () => undefined;
  const tell = (...event: Told) => {
    told.push(event);
    wake();
  };
  const text = (bytes: Buffer) => (bytes.length > 200 ? bytes.length : bytes.toString());
  const events: RuntimeEvents = {
    ready: () => tell("ready"),
    initError: (error) => tell("initError", text(error)),
    chunk: (id, content, type) => tell("chunk", id, text(content), type),
    response: (id, payload, type) => tell("response", id, text(payload), type),
    error: (id, error) => tell("error", id, text(error)),
    responseTooLarge: (id) => tell("responseTooLarge", id),
    log: () => tell("log"),
    broken: (error) => tell("broken", error.message),
  };
  const until = async (count: number): Promise<void> => {
    while (told.length < count) await new Promise<void>((resolve) => (wake = resolve));
  };
  return { session: new RuntimeApiSession(events), told, until };
}

function client(port: number) {
  const agent = new Agent({ keepAlive: true, maxSockets: 8 });
  closers.push(() => agent.destroy());
  const call = (method: string, path: string, body?: Buffer | string, headers: OutgoingHttpHeaders = {}) =>
    new Promise<Answer>((resolve, reject) => {
      const options = { host: "127.0.0.1", port, method, path, agent, headers };
      const request = httpRequest(options, (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("error", reject);
        response.on("end", () =>
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            body: Buffer.concat(chunks),
          }),
        );
      });
      request.on("error", reject);
      request.end(body);
    });
  const raw = async (text: string): Promise<Socket> => {
    const socket = connect(port, "127.0.0.1");
    closers.push(() => socket.destroy());
    socket.on("error", () => undefined);
    await once(socket, "connect");
    socket.write(text);
    return socket;
  };
  return {
    port,
    raw,
    next: () => call("GET", `${ROOT}/invocation/next`),
    post: (path: string, body: Buffer | string = "", headers: OutgoingHttpHeaders = {}) =>
      call("POST", `${ROOT}/${path}`, body, headers),
    call,
  };
}

/** The runtime has polled and was given the invocation. */
async function running(streams = false) {
  const parts = await setUp();
  const polled = parts.next();
  await parts.until(1);
  parts.session.invoke(HEAD, Buffer.from('{"a":1}'), streams);
  return { ...parts, invocation: await polled };
}

function refused(answer: Answer, status: number, type: string): void {
  assert.equal(answer.status, status);
  const body = JSON.parse(answer.body.toString()) as { errorType: string; errorMessage: string };
  assert.equal(body.errorType, type);
  assert.equal(answer.headers["content-type"], "application/json");
}

describe("the Runtime API", () => {
  it("hands out an invocation with its headers, and takes the answer", async () => {
    const { invocation, post, told } = await running();
    assert.equal(invocation.status, 200);
    assert.equal(invocation.body.toString(), '{"a":1}');
    const { headers } = invocation;
    assert.equal(headers["content-type"], "application/json");
    assert.equal(headers["content-length"], "7");
    assert.equal(headers["lambda-runtime-aws-request-id"], ID);
    assert.equal(headers["lambda-runtime-deadline-ms"], "1700000003000");
    assert.equal(headers["lambda-runtime-invoked-function-arn"], HEAD.invokedFunctionArn);
    assert.equal(headers["lambda-runtime-trace-id"], HEAD.traceHeader);
    assert.equal(headers["lambda-runtime-client-context"], undefined);
    assert.equal(headers["lambda-runtime-aws-tenant-id"], undefined);

    const answer = await post(`invocation/${ID}/response`, '{"ok":true}', { "content-type": "text/x" });
    assert.equal(answer.status, 202);
    assert.deepEqual(JSON.parse(answer.body.toString()), { status: "OK" });
    assert.deepEqual(told, [["ready"], ["response", ID, '{"ok":true}', "text/x"], ["ready"]]);
  });

  it("passes on the client context, the identity and the tenant", async () => {
    const { session, next, until } = await setUp();
    const polled = next();
    await until(1);
    session.invoke(
      { ...HEAD, clientContext: "e30=", cognitoIdentity: "{}", tenantId: "blue" },
      Buffer.alloc(0),
    );
    const { headers } = await polled;
    assert.equal(headers["lambda-runtime-client-context"], "e30=");
    assert.equal(headers["lambda-runtime-cognito-identity"], "{}");
    assert.equal(headers["lambda-runtime-aws-tenant-id"], "blue");
  });

  it("gives an invocation that came before the poll at the poll", async () => {
    const { session, next, post } = await setUp();
    for (const number of [1, 2, 3]) {
      const requestId = `${ID.slice(0, -1)}${number}`;
      session.invoke({ ...HEAD, requestId }, Buffer.from(String(number)));
      assert.equal((await next()).body.toString(), String(number));
      assert.equal((await post(`invocation/${requestId}/response`, "1")).status, 202);
    }
  });

  it("waits with its word that a runtime which failed is ready until it asks for more", async () => {
    const { post, next, told, until } = await running();
    const error = '{"errorType":"TypeError","errorMessage":"no"}';
    assert.equal((await post(`invocation/${ID}/error`, error)).status, 202);
    assert.deepEqual(told.slice(1), [["error", ID, error]]);
    const polled = next().catch(() => undefined);
    await until(3);
    assert.deepEqual(told.at(-1), ["ready"]);
    for (const close of closers.splice(0)) close();
    await polled;
  });

  it("makes an error body of the error type's header when there is none", async () => {
    const { post, told } = await running();
    await post(`invocation/${ID}/error`, "", { "lambda-runtime-function-error-type": "Runtime.Oops" });
    assert.deepEqual(told.at(-1), ["error", ID, '{"errorType":"Runtime.Oops","errorMessage":""}']);
  });

  it("takes an init error once, and nothing after it", async () => {
    const { post, next, told } = await setUp();
    const error = '{"errorType":"Runtime.ImportModuleError"}';
    assert.equal((await post("init/error", error)).status, 202);
    assert.deepEqual(told, [["initError", error]]);
    refused(await post("init/error", error), 403, "InvalidStateTransition");
    refused(await next(), 403, "InvalidStateTransition");
  });

  it("refuses what comes out of order", async () => {
    const { session, next, post, until, told } = await setUp();
    refused(await post(`invocation/${ID}/response`, "1"), 403, "InvalidStateTransition");
    const polled = next();
    await until(1);
    refused(await post(`invocation/${ID}/error`, "{}"), 403, "InvalidStateTransition");
    refused(await post("init/error", "{}"), 403, "InvalidStateTransition");
    session.invoke(HEAD, Buffer.from("{}"));
    await polled;
    refused(await next(), 403, "InvalidStateTransition");
    assert.equal((await post(`invocation/${ID}/response`, "1")).status, 202);
    const second = await post(`invocation/${ID}/response`, "2");
    refused(second, 403, "InvalidStateTransition");
    assert.match(second.body.toString(), /State transition from ResponseSent to InvocationResponse failed/);
    assert.equal(told.filter(([event]) => event === "response").length, 1);
  });

  it("refuses another invocation's id, and still takes the right one", async () => {
    const { post } = await running();
    refused(await post("invocation/other/response", "1"), 400, "InvalidRequestID");
    refused(await post("invocation/other/error", "{}"), 400, "InvalidRequestID");
    assert.equal((await post(`invocation/${ID}/response`, "1")).status, 202);
  });

  it("takes an answer of exactly 6 MB and 100 bytes", async () => {
    const { post, told } = await running();
    const answer = await post(`invocation/${ID}/response`, Buffer.alloc(INVOKE_RESPONSE_BYTES_MAX));
    assert.equal(answer.status, 202);
    assert.deepEqual(told[1], ["response", ID, 6_291_556, "application/octet-stream"]);
  });

  it("refuses one byte more, tells the caller, and goes on", async () => {
    const { post, next, told, session } = await running();
    const answer = await post(`invocation/${ID}/response`, Buffer.alloc(INVOKE_RESPONSE_BYTES_MAX + 1));
    refused(answer, 413, "RequestEntityTooLarge");
    assert.match(answer.body.toString(), /Exceeded maximum allowed payload size \(6291556 bytes\)\./);
    assert.deepEqual(told[1], ["responseTooLarge", ID]);
    session.invoke({ ...HEAD, requestId: "second" }, Buffer.from("2"));
    assert.equal((await next()).body.toString(), "2");
  });

  it("bounds error bodies, too", async () => {
    const { post } = await running();
    const answer = await post(`invocation/${ID}/error`, Buffer.alloc(RUNTIME_ERROR_BYTES_MAX + 1));
    refused(answer, 413, "RequestEntityTooLarge");
  });

  it("tells an answer that was cut off", async () => {
    const { raw, until, told } = await running();
    const head = `POST ${ROOT}/invocation/${ID}/response HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n`;
    const socket = await raw(`${head}only this`);
    await new Promise<void>((resolve) => void socket.write(" much", () => resolve()));
    socket.destroy();
    await until(2);
    const [event, id, error] = told[1] ?? [];
    assert.deepEqual([event, id], ["error", ID]);
    assert.match(String(error), /Runtime\.TruncatedResponse/);
  });

  it("takes a chunked answer", async () => {
    const { raw, until, told } = await running();
    await raw(
      `POST ${ROOT}/invocation/${ID}/response HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n` +
        "4\r\nfirs\r\n1\r\nt\r\n0\r\n\r\n",
    );
    await until(3);
    assert.deepEqual(told[1], ["response", ID, "first", "application/octet-stream"]);
  });

  const STREAM_HEAD =
    `POST ${ROOT}/invocation/${ID}/response HTTP/1.1\r\nHost: a\r\nContent-Type: text/x\r\n` +
    "Lambda-Runtime-Function-Response-Mode: streaming\r\nTransfer-Encoding: chunked\r\n" +
    "Trailer: Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body\r\n\r\n";
  const ERROR = '{"errorMessage":"broke","errorType":"Broke"}';
  const TRAILERS =
    "0\r\nLambda-Runtime-Function-Error-Type: Broke\r\n" +
    `Lambda-Runtime-Function-Error-Body: ${Buffer.from(ERROR).toString("base64")}\r\n\r\n`;

  it("passes a streamed answer on as it comes, and waits when told to", async () => {
    const { raw, until, told, session } = await running(true);
    const socket = await raw(`${STREAM_HEAD}4\r\nfirs\r\n`);
    await until(2);
    assert.deepEqual(told[1], ["chunk", ID, "firs", "text/x"]);
    session.setReading(false);
    await new Promise<void>((resolve) => void socket.write("1\r\nt\r\n0\r\n\r\n", () => resolve()));
    for (let turns = 0; turns < 50; turns += 1) await new Promise(setImmediate);
    assert.equal(told.length, 2);
    session.setReading(true);
    await until(5);
    assert.deepEqual(told.slice(2), [
      ["chunk", ID, "t", "text/x"],
      ["response", ID, "", "text/x"],
      ["ready"],
    ]);
  });

  it("tells the error in the trailers of an answer, streamed or collected", async () => {
    const streamed = await running(true);
    await streamed.raw(`${STREAM_HEAD}4\r\nhalf\r\n${TRAILERS}`);
    await streamed.until(3);
    assert.deepEqual(streamed.told.slice(1), [
      ["chunk", ID, "half", "text/x"],
      ["error", ID, ERROR],
    ]);
    const collected = await running();
    await collected.raw(`${STREAM_HEAD}4\r\nhalf\r\n${TRAILERS}`);
    await collected.until(2);
    assert.deepEqual(collected.told[1], ["error", ID, ERROR]);
  });

  it("takes an answer that is not streamed whole, whoever asks", async () => {
    const { post, told } = await running(true);
    assert.equal((await post(`invocation/${ID}/response`, "whole")).status, 202);
    assert.deepEqual(told[1], ["response", ID, "whole", "application/octet-stream"]);
  });

  it("knows one response mode", async () => {
    const { post, told } = await running();
    const headers = { "lambda-runtime-function-response-mode": "drizzling" };
    refused(await post(`invocation/${ID}/response`, "1", headers), 400, "InvalidFunctionResponseMode");
    assert.match(String(told[1]), /^error,.*Runtime\.InvalidResponseModeHeader/);
  });

  it("gives the invocation to the poll that is still there when one was lost", async () => {
    const { raw, next, until, session } = await setUp();
    const lost = await raw(`GET ${ROOT}/invocation/next HTTP/1.1\r\nHost: a\r\n\r\n`);
    await until(1);
    lost.destroy();
    const polled = next();
    await until(2);
    session.invoke(HEAD, Buffer.from("kept"));
    assert.equal((await polled).body.toString(), "kept");
  });

  it("ends the poll from before when the runtime asks again", async () => {
    const { raw, next, until, session } = await setUp();
    const first = await raw(`GET ${ROOT}/invocation/next HTTP/1.1\r\nHost: a\r\n\r\n`);
    await until(1);
    const closed = once(first, "close");
    const polled = next();
    await closed;
    await until(2);
    session.invoke(HEAD, Buffer.from("second"));
    assert.equal((await polled).body.toString(), "second");
  });

  it("serves a whole conversation over one connection", async () => {
    const { session, told } = recorded();
    const ports = new Set<number | undefined>();
    const { address, close } = await RuntimeApi.openLoopback((request, response) => {
      ports.add(request.socket.remotePort);
      session.handle(request, response);
    });
    closers.push(close);
    const { next, post } = client(Number(address.split(":")[1]));
    for (let number = 0; number < 5; number += 1) {
      session.invoke(HEAD, Buffer.from("{}"));
      await next();
      await post(`invocation/${ID}/response`, String(number));
    }
    assert.equal(ports.size, 1);
    assert.equal(told.filter(([event]) => event === "response").length, 5);
  });

  it("knows no other paths and methods", async () => {
    const { call, told } = await setUp();
    const unknown: [string, string][] = [
      ["GET", "/"],
      ["GET", "/2018-06-01/runtime"],
      ["GET", `${ROOT}/invocation/next/more`],
      ["POST", `${ROOT}/invocation/next`],
      ["POST", `${ROOT}/invocation/${ID}/other`],
      ["GET", `${ROOT}/invocation/${ID}/response`],
      ["GET", `${ROOT}/init/error`],
      ["GET", "/2019-01-01/runtime/invocation/next"],
    ];
    for (const [method, path] of unknown)
      assert.equal((await call(method, path)).status, 404, `${method} ${path}`);
    assert.deepEqual(told, []);
  });

  it("hangs up on what is not HTTP", async () => {
    const { raw } = await setUp();
    const socket = await raw("hello\r\n\r\n");
    socket.resume();
    await once(socket, "close");
  });

  it("answers nothing more once the session is closed, and ends its poll", async () => {
    const { session, next, until } = await setUp();
    const polled = next();
    await until(1);
    session.close();
    await assert.rejects(polled);
    await assert.rejects(next());
  });
});

async function alwaysNotFound(): Promise<number> {
  const { session } = recorded();
  const { address, close } = await RuntimeApi.openLoopback((request, response) => {
    request.url = "/";
    session.handle(request, response);
  });
  closers.push(close);
  return Number(address.split(":")[1]);
}

describe("the Runtime API of the environment network", () => {
  async function shared() {
    const api = new RuntimeApi();
    const handle = createServer();
    await new Promise<void>((resolve) => handle.listen(0, "127.0.0.1", resolve));
    const { port } = handle.address() as AddressInfo;
    api.attach(handle);
    closers.push(() => {
      api.close();
      handle.close();
    });
    return { api, ...client(port) };
  }

  it("knows an environment by its address", async () => {
    const { api, next, call } = await shared();
    const { session, until } = recorded();
    api.register("127.0.0.1", session);
    const polled = next();
    await until(1);
    session.invoke(HEAD, Buffer.from("mine"));
    assert.equal((await polled).body.toString(), "mine");
    api.register("10.1.2.3", recorded().session);
    assert.equal((await call("GET", "/other")).status, 404);
  });

  it("keeps one request of a runtime that is faster than the news of its start", async () => {
    const { api, next } = await shared();
    const { session, until } = recorded();
    const early = next();
    // The second one of the same address is refused: that shows that the first has arrived.
    assert.equal((await next()).status, 404);
    api.register("127.0.0.1", session);
    await until(1);
    session.invoke(HEAD, Buffer.from("early"));
    assert.equal((await early).body.toString(), "early");
  });

  it("forgets an early request whose client went away", async () => {
    const { api, next, raw } = await shared();
    const early = await raw(`GET ${ROOT}/invocation/next HTTP/1.1\r\nHost: a\r\n\r\n`);
    assert.equal((await next()).status, 404);
    early.destroy();
    await once(early, "close");
    // Loopback delivers the hang-up before a request that is sent later: it is the one that waits now.
    const other = client(await alwaysNotFound());
    await other.next();
    const polled = next();
    await other.next();
    const { session, until } = recorded();
    api.register("127.0.0.1", session);
    await until(1);
    session.invoke(HEAD, Buffer.from("alive"));
    assert.equal((await polled).body.toString(), "alive");
  });

  it("routes an address to whoever has it now", async () => {
    const { api, next } = await shared();
    const [before, after] = [recorded(), recorded()];
    api.register("127.0.0.1", before.session);
    api.register("127.0.0.1", after.session);
    api.unregister("127.0.0.1", before.session);
    const polled = next();
    await after.until(1);
    after.session.invoke(HEAD, Buffer.from("new"));
    assert.equal((await polled).body.toString(), "new");
    assert.deepEqual(before.told, []);
  });

  it("moves to a newer handle, and hangs up on the old one", async () => {
    const { api, next } = await shared();
    const { session, until } = recorded();
    api.register("127.0.0.1", session);
    const polled = next();
    await until(1);
    const handle = createServer();
    await new Promise<void>((resolve) => handle.listen(0, "127.0.0.1", resolve));
    closers.push(() => handle.close());
    api.attach(handle);
    await assert.rejects(polled);
    const newer = client((handle.address() as AddressInfo).port);
    const again = newer.next();
    await until(2);
    session.invoke(HEAD, Buffer.from("moved"));
    assert.equal((await again).body.toString(), "moved");
  });
});
