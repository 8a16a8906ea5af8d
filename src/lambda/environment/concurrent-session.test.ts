// Goal: the Runtime API for several invocations at a time hands each outstanding request one, and refuses what is out of order.
// Method: a session behind a real HTTP server on the loopback interface, and a client that plays the runtime's workers.
import assert from "node:assert/strict";
import { request } from "node:http";
import { after, describe, it } from "node:test";
import { ConcurrentSession } from "./concurrent-session.ts";
import { RuntimeApi } from "./runtime-api.ts";
import type { InvokeHead, RuntimeEvents } from "./runtime-connection.ts";

const closers: (() => void)[] = [];
after(() => closers.forEach((close) => close()));

const head = (requestId: string): InvokeHead => ({
  requestId,
  deadlineMs: 5,
  invokedFunctionArn: "arn",
  traceHeader: "Root=1",
});
const until = async (holds: () => boolean) => {
  for (let turns = 0; !holds(); turns += 1) {
    assert.ok(turns < 100_000, "waited in vain");
    await new Promise<void>((resolve) => void setImmediate(resolve));
  }
};

async function start(slots: number) {
  const told: string[] = [];
  let ready = 0;
  const events: RuntimeEvents = {
    ready: (count = 1) => void (ready += count),
    initError: (error) => void told.push(`initError ${error.toString()}`),
    chunk: (id, content) => void told.push(`chunk ${id} ${content.toString()}`),
    response: (id, payload) => void told.push(`response ${id} ${payload.toString()}`),
    error: (id, error) => void told.push(`error ${id} ${error.toString()}`),
    responseTooLarge: (id) => void told.push(`tooLarge ${id}`),
    log: () => undefined,
    broken: (error) => assert.fail(error),
  };
  const session = new ConcurrentSession(events, slots);
  const { address, close } = await RuntimeApi.openLoopback((incoming, response) =>
    session.handle(incoming, response),
  );
  closers.push(close);
  const begin = (method: string, path: string, headers: Record<string, string> = {}) => {
    const sent = request(`http://${address}/2018-06-01/runtime/${path}`, { method, headers, agent: false });
    const answer = new Promise<{ status: number; id: string; text: string }>((resolve, reject) => {
      sent.on("error", reject);
      sent.on("response", (response) => {
        let text = "";
        response.setEncoding("utf8");
        response.on("data", (chunk: string) => (text += chunk));
        response.on("end", () => {
          const id = String(response.headers["lambda-runtime-aws-request-id"] ?? "");
          resolve({ status: response.statusCode ?? 0, id, text });
        });
      });
    });
    return { sent, answer };
  };
  const next = () => {
    const { sent, answer } = begin("GET", "invocation/next");
    sent.end();
    return { sent, answer };
  };
  const post = (path: string, body: string, headers: Record<string, string> = {}) => {
    const { sent, answer } = begin("POST", path, headers);
    sent.end(body);
    return answer;
  };
  return { session, told, next, post, begin, ready: () => ready };
}

describe("a session of several invocations", () => {
  it("hands each outstanding request one, and takes the answers in any order", async () => {
    const { session, told, next, post, ready } = await start(2);
    const polls = [next(), next()];
    await until(() => ready() === 2);
    session.invoke(head("a"), Buffer.from("1"));
    session.invoke(head("b"), Buffer.from("2"));
    const handed = await Promise.all(polls.map(({ answer }) => answer));
    assert.deepEqual(handed.map(({ id, text }) => `${id} ${text}`).sort(), ["a 1", "b 2"]);
    assert.equal((await post("invocation/b/response", '"second"')).status, 202);
    assert.equal((await post("invocation/a/error", '{"errorType":"E"}')).status, 202);
    assert.deepEqual(told, ['response b "second"', 'error a {"errorType":"E"}']);
    session.close();
  });

  it("refuses one request too many, unknown ids and second answers", async () => {
    const { session, next, post, ready } = await start(1);
    const poll = next();
    await until(() => ready() === 1);
    const tooMany = await next().answer;
    assert.equal(tooMany.status, 500);
    assert.match(tooMany.text, /Runtime\.TooManyIdleRuntimes/);
    assert.equal((await post("invocation/none/response", "1")).status, 400);
    session.invoke(head("a"), Buffer.from("1"));
    await poll.answer;
    assert.equal((await post("invocation/a/response", "1")).status, 202);
    const second = await post("invocation/a/response", "1");
    assert.equal(second.status, 400);
    assert.match(second.text, /InvalidRequestID/);
    session.close();
  });

  it("counts a request that is given up as one fewer", async () => {
    const { session, next, ready } = await start(2);
    const { sent, answer } = next();
    await until(() => ready() === 1);
    sent.destroy();
    await assert.rejects(answer);
    await until(() => ready() === 0);
    session.close();
  });

  it("holds back one streamed answer and not the others", async () => {
    const { session, told, next, post, begin, ready } = await start(2);
    const polls = [next(), next()];
    await until(() => ready() === 2);
    for (const id of ["a", "b"]) session.invoke(head(id), Buffer.from("1"), true);
    await Promise.all(polls.map(({ answer }) => answer));
    const streaming = { "Lambda-Runtime-Function-Response-Mode": "streaming" };
    const held = begin("POST", "invocation/a/response", streaming);
    held.sent.write("one");
    await until(() => told.includes("chunk a one"));
    session.holdAnswer("a", true);
    held.sent.end("two");
    await post("invocation/b/response", "other", streaming);
    assert.deepEqual(told, ["chunk a one", "chunk b other", "response b "]);
    session.holdAnswer("a", false);
    assert.equal((await held.answer).status, 202);
    assert.deepEqual(told.slice(3), ["chunk a two", "response a "]);
    session.close();
  });

  it("tells a failed init, after which nobody may ask for more", async () => {
    const { session, told, next, post } = await start(2);
    assert.equal((await post("init/error", '{"errorType":"E"}')).status, 202);
    assert.deepEqual(told, ['initError {"errorType":"E"}']);
    assert.equal((await next().answer).status, 403);
    session.close();
  });
});
