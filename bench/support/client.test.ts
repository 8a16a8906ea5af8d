// Goal: the client reads answers whole and signs as the server verifies. Method: bytes cut in every place; the real verifier's server.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { startFakeServer } from "../../src/wire/fakes.ts";
import { createProtocols } from "../../src/wire/protocols.ts";
import { Connection, invokeTarget, parseAnswer, SignedRequests } from "./client.ts";

describe("answers", () => {
  it("are whole when their length has come", () => {
    const text = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabcd";
    for (let length = 0; length < text.length; length += 1)
      assert.equal(parseAnswer(text.slice(0, length)), undefined, `after ${length}`);
    assert.equal(parseAnswer(text)?.body, "abcd");
    assert.equal(parseAnswer(text)?.status, 200);
  });

  it("are whole when their last chunk has come", () => {
    const text = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    for (let length = 0; length < text.length; length += 1)
      assert.equal(parseAnswer(text.slice(0, length)), undefined, `after ${length}`);
    assert.equal(parseAnswer(text)?.body, "abcde");
  });
});

describe("requests", () => {
  it("carry signatures that the server accepts, each for its own body", async () => {
    const operations = { Invoke: async ({ Payload }: { Payload: Buffer }) => ({ StatusCode: 200, Payload }) };
    await using server = await startFakeServer(operations, { protocols: createProtocols(["lambda"]) });
    const { port, accessKeyId, secretAccessKey } = server;
    const endpoint = { host: "127.0.0.1", port, region: "us-east-1", accessKeyId, secretAccessKey };
    const requests = new SignedRequests(endpoint, "POST", invokeTarget("echo"));
    const connection = await Connection.open(endpoint);
    try {
      for (const body of ['{"n":1}', '{"n":2}'])
        assert.deepEqual(
          await connection.exchange(requests.make(body)).then((answer) => [answer.status, answer.body]),
          [200, body],
        );
      const tampered = requests.make('{"n":3}').replace('{"n":3}', '{"n":4}');
      assert.equal((await connection.exchange(tampered)).status, 403);
    } finally {
      connection.close();
    }
  });
});
