// Goal: what a function prints arrives whole, in order and bounded, however the pipe cuts it.
// Method: an EnvironmentLog over a sink in memory; the same bytes cut at every place.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ManualClock } from "../../kernel/clock.ts";
import { LOG_EVENT_BYTES_MAX, LOG_TAIL_BYTES_MAX } from "../../limits.ts";
import type { LogSink } from "../../telemetry/log-sink.ts";
import { EnvironmentLog } from "./environment-log.ts";
import { MemoryLogSink } from "./fakes.ts";

function setUp(sink: LogSink & { messages?: string[] } = new MemoryLogSink()) {
  const pressure: boolean[] = [];
  const log = new EnvironmentLog({
    clock: new ManualClock(),
    sink,
    target: { group: "/aws/lambda/f", stream: "s" },
    onPressure: (pause) => pressure.push(pause),
  });
  return { log, sink, pressure };
}

const turn = () =>
  new Promise<void>((resolve) => void setImmediate(() => setImmediate(() => setImmediate(resolve))));

describe("the log of an environment", () => {
  it("makes an event of each line, wherever the chunks are cut", async () => {
    const text = Buffer.from("first\n\nzweite Zeile: äöü\n三行目 🦜🦜\nlast");
    for (let cut = 0; cut <= text.length; cut += 1) {
      const sink = new MemoryLogSink();
      const { log } = setUp(sink);
      log.raw(text.subarray(0, cut));
      log.raw(text.subarray(cut));
      log.endPartialLine();
      await turn();
      assert.deepEqual(sink.messages, ["first", "zweite Zeile: äöü", "三行目 🦜🦜", "last"], `cut at ${cut}`);
    }
  });

  it("puts lines together that come byte by byte", async () => {
    const sink = new MemoryLogSink();
    const { log } = setUp(sink);
    for (const byte of Buffer.from("é\n🦜\n")) log.raw(Buffer.from([byte]));
    await turn();
    assert.deepEqual(sink.messages, ["é", "🦜"]);
  });

  it("keeps a line of exactly the greatest length whole", async () => {
    const sink = new MemoryLogSink();
    const { log } = setUp(sink);
    const line = Buffer.alloc(LOG_EVENT_BYTES_MAX, "x");
    log.raw(line.subarray(0, 1000));
    log.raw(line.subarray(1000));
    log.raw(Buffer.from("\nnext\n"));
    await turn();
    assert.deepEqual(
      sink.messages.map((message) => message.length),
      [LOG_EVENT_BYTES_MAX, 4],
    );
  });

  it("cuts a longer line into events, between characters and without loss", async () => {
    const sink = new MemoryLogSink();
    const { log } = setUp(sink);
    // Three bytes each: the limit lies inside one of them.
    const text = "語".repeat(Math.ceil((2.5 * LOG_EVENT_BYTES_MAX) / 3));
    const bytes = Buffer.from(text);
    for (let at = 0; at < bytes.length; at += 65_536) log.raw(bytes.subarray(at, at + 65_536));
    log.endPartialLine();
    await turn();
    assert.equal(sink.messages.length, 3);
    for (const message of sink.messages) assert.ok(Buffer.byteLength(message) <= LOG_EVENT_BYTES_MAX);
    assert.equal(sink.messages.join(""), text);
  });

  it("cuts what is no text at all, too", async () => {
    const sink = new MemoryLogSink();
    const { log } = setUp(sink);
    log.raw(Buffer.alloc(LOG_EVENT_BYTES_MAX + 10, 0x80));
    log.endPartialLine();
    await turn();
    assert.deepEqual(
      sink.messages.map((message) => message.length),
      [LOG_EVENT_BYTES_MAX, 10],
    );
  });

  it("says nothing for an empty end", async () => {
    const sink = new MemoryLogSink();
    const { log } = setUp(sink);
    log.endPartialLine();
    log.raw(Buffer.from("\n\n"));
    log.endPartialLine();
    await turn();
    assert.deepEqual(sink.messages, []);
  });

  it("hands over one batch a turn, in order, with the time of each event", async () => {
    const batches: { timestampMs: number; message: string }[][] = [];
    const { log } = setUp({
      append: (group, stream, events) => {
        assert.deepEqual([group, stream], ["/aws/lambda/f", "s"]);
        batches.push([...events]);
        return true;
      },
      drained: () => Promise.resolve(),
    });
    log.event("START");
    log.event("by the function", 5);
    log.raw(Buffer.from("raw\n"));
    await turn();
    log.event("later", 7);
    await turn();
    assert.deepEqual(batches, [
      [
        { timestampMs: 1_700_000_000_000, message: "START" },
        { timestampMs: 5, message: "by the function" },
        { timestampMs: 1_700_000_000_000, message: "raw" },
      ],
      [{ timestampMs: 7, message: "later" }],
    ]);
  });

  it("keeps the last 4 KB of UTF-8 as the tail, to the byte", () => {
    const { log } = setUp();
    log.event("before the tail");
    log.startTail();
    const lines = Array.from({ length: 500 }, (_, index) => `line ${index} ${"é".repeat(index % 40)}`);
    for (const line of lines) log.event(line);
    const all = Buffer.from(lines.map((line) => `${line}\n`).join(""));
    const tail = log.takeTail();
    assert.equal(tail.length, LOG_TAIL_BYTES_MAX);
    assert.deepEqual(tail, all.subarray(-LOG_TAIL_BYTES_MAX));
  });

  it("keeps a short tail whole, the end of one long event, and nothing between two tails", () => {
    const { log } = setUp();
    log.startTail();
    log.event("one");
    log.event("two\n");
    assert.equal(log.takeTail().toString(), "one\ntwo\n");
    log.event("between");
    assert.equal(log.takeTail().length, 0);
    log.startTail();
    log.event("a".repeat(LOG_TAIL_BYTES_MAX - 1));
    assert.equal(log.takeTail().length, LOG_TAIL_BYTES_MAX);
    log.startTail();
    log.event(`${"b".repeat(10_000)}end`);
    assert.match(log.takeTail().toString(), /^b{4092}end\n$/);
  });

  it("presses once while the sink is full, keeps order, and lets go when it has drained", async () => {
    const sink = new MemoryLogSink();
    const { log, pressure } = setUp(sink);
    sink.full = true;
    log.event("a");
    await turn();
    log.event("b");
    log.event("c");
    await turn();
    assert.deepEqual([pressure, sink.messages], [[true], []]);
    sink.drain();
    await turn();
    assert.deepEqual(
      [pressure, sink.messages],
      [
        [true, false],
        ["a", "b", "c"],
      ],
    );
    log.event("d");
    await turn();
    assert.deepEqual(sink.messages, ["a", "b", "c", "d"]);
  });

  it("leaves the event loop its turns while a sink that is half empty refuses a large batch", async () => {
    let [refusals, taken] = [0, 0];
    let room = false;
    const { log, pressure } = setUp({
      append: (_group, _stream, events) => {
        if (room) taken += events.length;
        else refusals += 1;
        return room;
      },
      drained: () => Promise.resolve(),
    });
    log.event("large");
    await turn();
    await turn();
    assert.ok(refusals > 1, "it asks again");
    room = true;
    await turn();
    assert.equal(taken, 1);
    assert.equal(pressure.at(-1), false);
  });
});
