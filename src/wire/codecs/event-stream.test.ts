/**
 * Goal: a response stream is what AWS's clients can read, and says how it ended.
 * Method: InvokeWithResponseStream's and SubscribeToShard's answers, taken apart by the format's own definition.
 */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { crc32 } from "node:zlib";
import { AwsError } from "../../errors.ts";
import type { Match } from "../protocol.ts";
import { createProtocols } from "../protocols.ts";

const protocols = createProtocols(["lambda", "kinesis"]);

const MATCH: Match = {
  service: "lambda",
  operation: "InvokeWithResponseStream",
  protocol: "restJson1",
  labels: {},
  bodyBytesMax: 0,
};

interface Message {
  readonly headers: Record<string, string>;
  readonly payload: string;
}

/** Reads one message that holds string headers only. */
function parseMessage(bytes: Buffer): Message {
  assert.equal(bytes.readUInt32BE(0), bytes.length);
  assert.equal(bytes.readUInt32BE(8), crc32(bytes.subarray(0, 8)));
  assert.equal(bytes.readUInt32BE(bytes.length - 4), crc32(bytes.subarray(0, -4)));
  const headersEnd = 12 + bytes.readUInt32BE(4);
  const headers: Record<string, string> = {};
  for (let at = 12; at < headersEnd;) {
    const nameEnd = at + 1 + bytes.readUInt8(at);
    assert.equal(bytes.readUInt8(nameEnd), 7);
    const valueEnd = nameEnd + 3 + bytes.readUInt16BE(nameEnd + 1);
    headers[bytes.toString("utf8", at + 1, nameEnd)] = bytes.toString("utf8", nameEnd + 3, valueEnd);
    at = valueEnd;
  }
  return { headers, payload: bytes.toString("utf8", headersEnd, bytes.length - 4) };
}

async function messagesOf(body: Buffer | AsyncIterable<Buffer>): Promise<Message[]> {
  assert(!Buffer.isBuffer(body));
  const messages: Message[] = [];
  for await (const bytes of body) messages.push(parseMessage(bytes));
  return messages;
}

async function* events(...items: (object | Error)[]): AsyncGenerator<object> {
  for (const item of items) {
    await Promise.resolve();
    if (item instanceof Error) throw item;
    yield item;
  }
}

describe("event streams", () => {
  it("frames each event of the union", async () => {
    const response = protocols.encode(
      MATCH,
      {
        StatusCode: 200,
        ExecutedVersion: "$LATEST",
        EventStream: events(
          { PayloadChunk: { Payload: Buffer.from("hello") } },
          { InvokeComplete: { ErrorCode: "Unhandled", ErrorDetails: "{}" } },
        ),
      },
      "request-1",
    );
    assert.equal(response.status, 200);
    assert.equal(response.headers["Content-Type"], "application/vnd.amazon.eventstream");
    assert.equal(response.headers["X-Amz-Executed-Version"], "$LATEST");
    assert.deepEqual(await messagesOf(response.body), [
      {
        headers: {
          ":message-type": "event",
          ":event-type": "PayloadChunk",
          ":content-type": "application/octet-stream",
        },
        payload: "hello",
      },
      {
        headers: {
          ":message-type": "event",
          ":event-type": "InvokeComplete",
          ":content-type": "application/json",
        },
        payload: '{"ErrorCode":"Unhandled","ErrorDetails":"{}"}',
      },
    ]);
  });

  it("RPC: the output's other members come first, a modelled error last", async () => {
    const match: Match = {
      ...MATCH,
      service: "kinesis",
      operation: "SubscribeToShard",
      protocol: "awsJson1_1",
    };
    const output = {
      EventStream: events(
        { SubscribeToShardEvent: { Records: [], ContinuationSequenceNumber: "1", MillisBehindLatest: 0 } },
        new AwsError("ResourceInUseException", "taken"),
      ),
    };
    const messages = await messagesOf(protocols.encode(match, output, "request-1").body);
    assert.deepEqual(
      messages.map(({ headers }) => headers[":event-type"] ?? headers[":exception-type"]),
      ["initial-response", "SubscribeToShardEvent", "ResourceInUseException"],
    );
    assert.deepEqual(messages[2], {
      headers: {
        ":message-type": "exception",
        ":exception-type": "ResourceInUseException",
        ":content-type": "application/json",
      },
      payload: '{"message":"taken"}',
    });
  });

  it("ends with an error message for an error that the stream's model does not have", async () => {
    const output = { EventStream: events(new AwsError("ServiceException", "oh", { status: 500 })) };
    assert.deepEqual(await messagesOf(protocols.encode(MATCH, output, "request-1").body), [
      {
        headers: { ":message-type": "error", ":error-code": "ServiceException", ":error-message": "oh" },
        payload: "",
      },
    ]);
  });

  it("is torn down by an error of ours", async () => {
    const output = { EventStream: events(new TypeError("a fault")) };
    await assert.rejects(messagesOf(protocols.encode(MATCH, output, "request-1").body), TypeError);
  });
});
