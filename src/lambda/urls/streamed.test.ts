/**
 * Goal: a function's stream reaches an HTTP client as it is made, with the head that its prelude sets; it is held back by a
 * client that is slow, freed by one that goes, and never taken for whole when it is not.
 * Method: the reader over streams that the test writes; then the route in a real server, read with a real client, over a
 * runner that is the test's own.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import http from "node:http";
import { after, before, beforeEach, describe, it } from "node:test";
import { tooManyRequests } from "../../errors.ts";
import { systemClock } from "../../kernel/clock.ts";
import { deferred } from "../../kernel/deferred.ts";
import { STREAMED_RESPONSE_WAITING_BYTES_MAX } from "../../limits.ts";
import { silentLogger } from "../../telemetry/logger.ts";
import { openAccount, type Account } from "../../iam/fixture.ts";
import { Dispatcher } from "../../wire/dispatch.ts";
import { fakeProtocols } from "../../wire/fakes.ts";
import { Listener } from "../../wire/listener.ts";
import { BodyReader } from "../../wire/read-body.ts";
import { SignatureVerifier } from "../../wire/sigv4.ts";
import { FakeInside, outcomeOf } from "../invoke/fakes.ts";
import { StreamedAnswer } from "../invoke/streamed-answer.ts";
import type { Invocation, InvocationOutcome, ResponseSink } from "../model.ts";
import { sendTo } from "./fakes.ts";
import { BrokenStream, readStreamed } from "./streamed.ts";
import { createUrlRoute } from "./url-route.ts";

const INTEGRATION = "application/vnd.awslambda.http-integration-response";
const END = "\0".repeat(8);
const FAILED = { functionError: "Unhandled" } as const;

/** The response to a stream of these pieces, with all of its body. */
async function streamed(pieces: readonly string[], contentType: string, overrides = {}) {
  const answer = new StreamedAnswer();
  const reading = readStreamed(answer);
  for (const piece of pieces) {
    answer.write(Buffer.from(piece), contentType);
    await new Promise((resolve) => setImmediate(resolve));
  }
  answer.end(outcomeOf("", { contentType, ...overrides }));
  const read = await reading;
  if (!read) return undefined;
  const chunks: Buffer[] = [];
  for await (const chunk of read.body as AsyncIterable<Buffer>) chunks.push(chunk);
  return { ...read, body: Buffer.concat(chunks).toString() };
}

describe("the response to a stream", () => {
  it("is the stream, of its own type; what is written is not interpreted", async () => {
    const read = await streamed(['{"statusCode"', ":404}"], "application/octet-stream");
    const headers = { "content-type": "application/octet-stream" };
    assert.deepEqual(read, { status: 200, headers, cookies: [], body: '{"statusCode":404}' });
  });

  it("has the prelude's status, headers and cookies, however it is cut", async () => {
    const prelude = JSON.stringify({ statusCode: 202, headers: { "X-A": "1" }, cookies: ["c=1"] });
    const whole = `${prelude}${END}tail\0`;
    const headers = { "content-type": "application/octet-stream", "x-a": "1" };
    for (const size of [1, 5, prelude.length, prelude.length + 4, prelude.length + 8, whole.length]) {
      const pieces = whole.match(new RegExp(`[^]{1,${size}}`, "g")) ?? [];
      const read = await streamed(pieces, INTEGRATION);
      assert.deepEqual(read, { status: 202, headers, cookies: ["c=1"], body: "tail\0" }, `${size}`);
    }
  });

  it("is none when the prelude has no end, is too long or no JSON", async () => {
    for (const pieces of [[], ['{"statusCode":202}'], [`nothing${END}`], [" ".repeat(300_000), END]])
      assert.equal(await streamed(pieces, INTEGRATION), undefined);
  });

  it("is none when the prelude is too long, and the function goes on", async () => {
    const answer = new StreamedAnswer();
    const reading = readStreamed(answer);
    answer.write(Buffer.alloc(300_000, " "), INTEGRATION);
    assert.equal(await reading, undefined, "nobody waits for the function's end");
    assert.equal(answer.write(Buffer.alloc(STREAMED_RESPONSE_WAITING_BYTES_MAX), INTEGRATION), true);
  });

  it("is none when the function fails before its first byte, and broken afterwards", async () => {
    assert.equal(await streamed([], "text/plain", FAILED), undefined);
    assert.equal(await streamed(['{"stat'], INTEGRATION, FAILED), undefined);
    await assert.rejects(streamed(["one"], "text/plain", FAILED), BrokenStream);
    await assert.rejects(streamed([`{}${END}`], INTEGRATION, FAILED), BrokenStream);
  });

  it("is empty when the function wrote nothing", async () => {
    assert.equal((await streamed([], "text/plain"))?.body, "");
    assert.equal((await streamed([`{"statusCode":204}${END}`], INTEGRATION))?.status, 204);
  });
});

describe("through a server", () => {
  const ARN = "arn:aws:lambda:us-east-1:000000000000:function:f";
  const ID = "c".repeat(32);
  const host = `${ID}.lambda-url.us-east-1.localhost`;
  let account: Account;
  let listener: Listener;
  let port: number;
  let inside: FakeInside;
  let counted: Map<string, number>;

  before(async () => {
    account = await openAccount();
    const { credentials, access } = account;
    const verifier = new SignatureVerifier({ credentials, clock: systemClock });
    const bodies = new BodyReader();
    const route = createUrlRoute({
      urls: {
        find: () => ({
          id: ID,
          functionName: "f",
          qualifier: undefined,
          functionArn: ARN,
          authType: "AWS_IAM",
          invokeMode: "RESPONSE_STREAM",
          cors: undefined,
        }),
      },
      directory: { resolve: (name, qualifier) => inside.directory.resolve(name, qualifier) },
      runner: { run: (version, invocation) => inside.run(version, invocation) },
      meter: { record: (usage) => inside.meter.record(usage) },
      metrics: { count: (name, _, value) => void counted.set(name, (counted.get(name) ?? 0) + value) },
      access,
      verifier,
      bodies,
      clock: systemClock,
      auth: "none",
    });
    const dispatcher = new Dispatcher({
      protocols: fakeProtocols(),
      services: [],
      verifier,
      authorizer: access,
      logger: silentLogger,
      region: "us-east-1",
      accountId: "000000000000",
      auth: "none",
      bodies,
      routes: [route],
    });
    listener = new Listener({ handle: dispatcher.handle, clock: systemClock, logger: silentLogger });
    ({ port } = await listener.listen(0, "127.0.0.1"));
  });
  after(async () => {
    await listener.close(0);
    account[Symbol.dispose]();
  });
  beforeEach(() => {
    inside = new FakeInside();
    counted = new Map();
  });

  /** A function whose writes and end are the test's. */
  function held() {
    const started = deferred<ResponseSink>();
    const ended = deferred<InvocationOutcome>();
    inside.act = ({ sink }: Invocation) => {
      assert(sink);
      started.resolve(sink);
      return ended.promise;
    };
    return { started: started.promise, end: (overrides = {}) => ended.resolve(outcomeOf("", overrides)) };
  }

  async function request(): Promise<{ response: http.IncomingMessage; sent: http.ClientRequest }> {
    const sent = http.get({ port, host: "127.0.0.1", headers: { host }, agent: false });
    const [response] = (await once(sent, "response")) as [http.IncomingMessage];
    return { response, sent };
  }

  const until = async (condition: () => boolean) => {
    while (!condition()) await new Promise((resolve) => setImmediate(resolve));
  };

  it("chunks arrive while the function runs", async () => {
    const { started, end } = held();
    const asked = request();
    const sink = await started;
    sink.write(Buffer.from(`{"statusCode":201,"cookies":["a=1","b=2"]}${END}one`), INTEGRATION);
    const { response } = await asked;
    assert.equal(response.statusCode, 201);
    assert.deepEqual(response.headers["set-cookie"], ["a=1", "b=2"]);
    const [first] = (await once(response, "data")) as [Buffer];
    assert.equal(first.toString(), "one");
    assert.deepEqual(inside.usages, [], "it still runs");
    sink.write(Buffer.from("two"), INTEGRATION);
    const [second] = (await once(response, "data")) as [Buffer];
    assert.equal(second.toString(), "two");
    end();
    await once(response, "end");
    assert.equal(response.complete, true);
    assert.equal(inside.usages.length, 1);
    await until(() => counted.get("UrlRequestCount") === 1);
    assert.deepEqual([counted.get("Url4xxCount"), counted.get("Url5xxCount")], [0, 0]);
  });

  it("a client that does not read holds the function back, and a client that goes frees it", async () => {
    const { started, end } = held();
    const asked = request();
    const sink = await started;
    const chunk = Buffer.alloc(STREAMED_RESPONSE_WAITING_BYTES_MAX);
    sink.write(chunk, "text/plain");
    const { response, sent } = await asked;
    response.pause();
    // What the sockets take between the two is the machine's to say.
    let isHeld = false;
    for (let written = 0; written < 256 && !isHeld; written += 1) {
      if (sink.write(chunk, "text/plain")) continue;
      const drained = sink.drained().then(() => true);
      isHeld = !(await Promise.race([drained, settled().then(() => false)]));
    }
    assert.equal(isHeld, true);
    sent.destroy();
    await sink.drained();
    assert.equal(sink.write(chunk, "text/plain"), true, "thrown away");
    end();
    await until(() => inside.usages.length === 1);
  });

  /** After so many turns of the event loop everything that could go on has. */
  async function settled(): Promise<void> {
    for (let turn = 0; turn < 200; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  }

  it("a function that fails before its first byte is a bad gateway", async () => {
    inside.act = async () => outcomeOf('{"errorType":"E"}', FAILED);
    const { status, body } = await sendTo(port, host);
    assert.deepEqual([status, body], [502, "Internal Server Error"]);
    await until(() => counted.get("Url5xxCount") === 1);
  });

  it("one that fails later cuts the response off, and counts as a server's error", async () => {
    const { started, end } = held();
    const asked = request();
    (await started).write(Buffer.from("half"), "text/plain");
    const { response } = await asked;
    assert.equal(response.statusCode, 200);
    response.on("error", () => undefined).resume();
    const closed = new Promise((resolve) => response.once("close", resolve));
    end(FAILED);
    await closed;
    assert.equal(response.complete, false);
    await until(() => counted.get("Url5xxCount") === 1);
    assert.equal(inside.usages.length, 1);
  });

  it("what is refused is refused with its status", async () => {
    inside.act = async () => {
      throw tooManyRequests("ConcurrentInvocationLimitExceeded");
    };
    assert.equal((await sendTo(port, host)).status, 429);
    await until(() => counted.get("Url4xxCount") === 1);
  });

  it("a function that does not stream answers as it is", async () => {
    inside.act = async () => outcomeOf('{"statusCode":404}');
    const { status, body, headers } = await sendTo(port, host);
    assert.deepEqual(
      [status, body, headers["content-type"]],
      [200, '{"statusCode":404}', "application/json"],
    );
  });
});
