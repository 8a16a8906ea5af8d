// Goal: every frame of a runtime becomes its event, and whatever a broken or hostile runtime sends ends in `broken`.
// Method: a LinkConnection over a pair of streams; the test is the runtime.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { INVOKE_RESPONSE_BYTES_MAX, STREAMED_RESPONSE_BYTES_MAX } from "../../limits.ts";
import { FakeSandbox } from "./fakes.ts";
import { FRAME, LinkError } from "./link.ts";
import { LinkConnection } from "./link-connection.ts";
import type { RuntimeEvents } from "./runtime-connection.ts";

const ID = "8476a536-e9f4-11e8-9739-2dfe598c3fcd";
const id = Buffer.from(ID);

/** An event as one list: its name, then what it was told. Payloads as text up to a length. */
type Told = (string | number)[];

function setUp() {
  const sandbox = new FakeSandbox();
  const connection = new LinkConnection(sandbox.link);
  const told: Told[] = [];
  const text = (bytes: Buffer) => (bytes.length > 100 ? bytes.length : bytes.toString());
  const events: RuntimeEvents = {
    ready: () => void told.push(["ready"]),
    initError: (error) => void told.push(["initError", text(error)]),
    chunk: (requestId, content, type) => void told.push(["chunk", requestId, text(content), type]),
    response: (requestId, payload, type) => void told.push(["response", requestId, text(payload), type]),
    error: (requestId, error) => void told.push(["error", requestId, text(error)]),
    responseTooLarge: (requestId) => void told.push(["responseTooLarge", requestId]),
    log: (timestampMs, line) => void told.push(["log", timestampMs, line]),
    broken: (error) => void told.push(["broken", error.message]),
  };
  const specialise = () =>
    connection.specialise(
      { environment: { A: "b" }, handler: "index.handler", taskRoot: "/var/task" },
      events,
    );
  return { sandbox, connection, told, specialise };
}

function specialised() {
  const parts = setUp();
  parts.specialise();
  return parts;
}

const turn = () =>
  new Promise<void>((resolve) => void setImmediate(() => setImmediate(() => setImmediate(resolve))));

describe("a fast link's connection", () => {
  it("tells that the generic runtime has booted, and gives it its function", async () => {
    const { sandbox, connection, specialise } = setUp();
    sandbox.send(FRAME.BOOTED, Buffer.from('{"version":"24.0.0"}'));
    await connection.booted;
    specialise();
    await turn();
    assert.deepEqual(
      sandbox.frames.map(({ type, body }) => [type, JSON.parse(body.toString()) as unknown]),
      [[FRAME.SPECIALISE, { environment: { A: "b" }, handler: "index.handler", taskRoot: "/var/task" }]],
    );
  });

  it("rejects `booted` when the runtime ends before, and nobody need be listening", async () => {
    const { sandbox, connection } = setUp();
    sandbox.exit({ code: 1 });
    await turn();
    await assert.rejects(connection.booted, LinkError);
    await connection.ended;
  });

  const frames: [string, number, Buffer[], Told[]][] = [
    ["READY", FRAME.READY, [], [["ready"]]],
    ["INIT_ERROR", FRAME.INIT_ERROR, [Buffer.from("{}")], [["initError", "{}"]]],
    [
      "RESPONSE",
      FRAME.RESPONSE,
      [id, Buffer.from('{"a":1}')],
      [["response", ID, '{"a":1}', "application/json"], ["ready"]],
    ],
    ["an empty RESPONSE", FRAME.RESPONSE, [id], [["response", ID, "", "application/json"], ["ready"]]],
    ["ERROR", FRAME.ERROR, [id, Buffer.from("{}")], [["error", ID, "{}"], ["ready"]]],
    ["FATAL", FRAME.FATAL, [id, Buffer.from("{}")], [["error", ID, "{}"]]],
    [
      "an empty STREAM_END",
      FRAME.STREAM_END,
      [id],
      [["response", ID, "", "application/octet-stream"], ["ready"]],
    ],
    ["BOOTED once more", FRAME.BOOTED, [Buffer.from("{}")], []],
  ];
  for (const [name, type, parts, expected] of frames) {
    it(`tells ${name}`, async () => {
      const { sandbox, told } = specialised();
      sandbox.send(type, ...parts);
      await turn();
      assert.deepEqual(told, expected);
    });
  }

  it("tells log lines with their time, newlines and all", async () => {
    const { sandbox, told } = specialised();
    sandbox.log("zwei\nZeilen ✓", 1_700_000_000_123.5);
    sandbox.log("", 1);
    await turn();
    assert.deepEqual(told, [
      ["log", 1_700_000_000_123.5, "zwei\nZeilen ✓"],
      ["log", 1, ""],
    ]);
  });

  it("hands over an invocation: length of the head, head, the event's bytes", async () => {
    const { sandbox, connection } = specialised();
    const head = { requestId: ID, deadlineMs: 5, invokedFunctionArn: "arn", traceHeader: "Root=1" };
    const payload = Buffer.alloc(100_000, "p");
    connection.invoke(head, payload);
    await turn();
    const body = sandbox.frames.at(-1)?.body ?? Buffer.alloc(4);
    const length = body.readUInt32LE(0);
    assert.deepEqual(JSON.parse(body.toString("utf8", 4, 4 + length)), head);
    assert.ok(body.subarray(4 + length).equals(payload));
  });

  it("takes an answer of exactly the greatest size and refuses one byte more", async () => {
    const { sandbox, told } = specialised();
    sandbox.send(FRAME.RESPONSE, id, Buffer.alloc(INVOKE_RESPONSE_BYTES_MAX));
    sandbox.send(FRAME.RESPONSE, id, Buffer.alloc(INVOKE_RESPONSE_BYTES_MAX + 1));
    while (told.length < 4) await turn();
    assert.deepEqual(told, [
      ["response", ID, INVOKE_RESPONSE_BYTES_MAX, "application/json"],
      ["ready"],
      ["responseTooLarge", ID],
      ["ready"],
    ]);
  });

  it("puts a streamed answer together, with its type", async () => {
    const { sandbox, told } = specialised();
    sandbox.send(FRAME.STREAM_TYPE, id, Buffer.from("text/html"));
    for (const chunk of ["", "<p>", "", "ü</p>"]) sandbox.send(FRAME.STREAM, id, Buffer.from(chunk));
    assert.deepEqual(told, []);
    sandbox.send(FRAME.STREAM_END, id);
    await turn();
    assert.deepEqual(told, [["response", ID, "<p>ü</p>", "text/html"], ["ready"]]);
  });

  it("passes a streamed answer on as it comes where that is wanted, and collects the next one where not", async () => {
    const { sandbox, connection, told } = specialised();
    const head = { requestId: ID, deadlineMs: 5, invokedFunctionArn: "arn", traceHeader: "Root=1" };
    connection.invoke(head, Buffer.from("{}"), true);
    sandbox.send(FRAME.STREAM_TYPE, id, Buffer.from("text/html"));
    sandbox.send(FRAME.STREAM, id, Buffer.from("a"));
    await turn();
    assert.deepEqual(told, [["chunk", ID, "a", "text/html"]]);
    sandbox.send(FRAME.STREAM, id, Buffer.from("b"));
    sandbox.send(FRAME.STREAM_END, id);
    await turn();
    assert.deepEqual(told.splice(0), [
      ["chunk", ID, "a", "text/html"],
      ["chunk", ID, "b", "text/html"],
      ["response", ID, "", "text/html"],
      ["ready"],
    ]);
    connection.invoke(head, Buffer.from("{}"));
    sandbox.send(FRAME.STREAM, id, Buffer.from("c"));
    sandbox.send(FRAME.STREAM_END, id);
    await turn();
    assert.deepEqual(told, [["response", ID, "c", "application/octet-stream"], ["ready"]]);
  });

  it("bounds what is passed on to the byte, and says so before its end", async () => {
    const { sandbox, connection, told } = specialised();
    const head = { requestId: ID, deadlineMs: 5, invokedFunctionArn: "arn", traceHeader: "Root=1" };
    connection.invoke(head, Buffer.from("{}"), true);
    const block = Buffer.alloc(STREAMED_RESPONSE_BYTES_MAX / 25);
    for (let count = 1; count <= 25; count += 1) {
      sandbox.send(FRAME.STREAM, id, block);
      while (told.length < count) await turn();
    }
    assert.ok(told.every(([name]) => name === "chunk"));
    sandbox.send(FRAME.STREAM, id, Buffer.from("x"));
    await turn();
    assert.deepEqual(told.slice(25), [["responseTooLarge", ID]]);
    sandbox.send(FRAME.STREAM_END, id);
    await turn();
    assert.deepEqual(told.at(-1), ["ready"]);
    assert.ok(!told.some(([name]) => name === "response"));
  });

  it("tells a stream that broke as an error, and begins the next one from nothing", async () => {
    const { sandbox, told } = specialised();
    sandbox.send(FRAME.STREAM_TYPE, id, Buffer.from("text/html"));
    sandbox.send(FRAME.STREAM, id, Buffer.from("lost"));
    sandbox.send(FRAME.STREAM_END, id, Buffer.from('{"errorType":"E"}'));
    sandbox.send(FRAME.STREAM, id, Buffer.from("kept"));
    sandbox.send(FRAME.STREAM_END, id);
    await turn();
    assert.deepEqual(told, [
      ["error", ID, '{"errorType":"E"}'],
      ["ready"],
      ["response", ID, "kept", "application/octet-stream"],
      ["ready"],
    ]);
  });

  it("bounds a streamed answer to the byte", async () => {
    for (const [extra, name] of [
      [0, "response"],
      [1, "responseTooLarge"],
    ] as const) {
      const { sandbox, told } = specialised();
      sandbox.send(FRAME.STREAM, id, Buffer.alloc(INVOKE_RESPONSE_BYTES_MAX - 10));
      sandbox.send(FRAME.STREAM, id, Buffer.alloc(10 + extra));
      sandbox.send(FRAME.STREAM_END, id);
      while (told.length < 2) await turn();
      assert.equal(told[0]?.[0], name);
    }
  });

  const garbage: [string, (sandbox: FakeSandbox) => void][] = [
    ["an unknown type", (sandbox) => sandbox.send(99)],
    ["a platform's frame", (sandbox) => sandbox.send(FRAME.INVOKE, Buffer.from("x"))],
    ["an impossible length", (sandbox) => void sandbox.inside.write(Buffer.alloc(8, 0xff))],
    ["an HTTP request", (sandbox) => void sandbox.inside.write("GET / HTTP/1.1\r\n\r\n")],
    ["a response without its id", (sandbox) => sandbox.send(FRAME.RESPONSE, Buffer.from("short"))],
    ["an error without its id", (sandbox) => sandbox.send(FRAME.ERROR)],
    ["a piece of a stream without its id", (sandbox) => sandbox.send(FRAME.STREAM, Buffer.from("short"))],
    ["a log line without its head", (sandbox) => sandbox.send(FRAME.LOG, Buffer.alloc(8))],
  ];
  for (const [name, send] of garbage) {
    it(`is broken by ${name}, once, and tells nothing more`, async () => {
      const { sandbox, connection, told } = specialised();
      send(sandbox);
      sandbox.send(FRAME.READY);
      send(sandbox);
      await turn();
      assert.deepEqual(
        told.map(([event]) => event),
        ["broken"],
      );
      await connection.ended;
    });
  }

  it("closes the link of a waiting runtime that talks before its function came", async () => {
    const { sandbox, connection, told } = setUp();
    sandbox.send(FRAME.READY);
    await assert.rejects(connection.booted, LinkError);
    await turn();
    assert.deepEqual(told, []);
    assert.equal(sandbox.link.destroyed, true);
  });

  it("tells everything that came before the end, then `ended`", async () => {
    const { sandbox, connection, told } = specialised();
    sandbox.send(FRAME.RESPONSE, id, Buffer.from("1"));
    sandbox.exit({ code: 0 });
    await connection.ended;
    assert.equal(told[0]?.[0], "response");
  });

  it("tells nothing after close, and takes no harm from a hand-over to a dead runtime", async () => {
    const { sandbox, connection, told } = specialised();
    connection.close();
    connection.close();
    sandbox.send(FRAME.READY);
    connection.invoke(
      { requestId: ID, deadlineMs: 1, invokedFunctionArn: "arn", traceHeader: "" },
      Buffer.from("{}"),
    );
    await turn();
    assert.deepEqual(told, []);
  });

  it("tells nothing while reading is stopped", async () => {
    const { sandbox, connection, told } = specialised();
    connection.setReading(false);
    sandbox.send(FRAME.READY);
    await turn();
    assert.deepEqual(told, []);
    connection.setReading(true);
    await turn();
    assert.deepEqual(told, [["ready"]]);
  });
});
