/**
 * The log of one execution environment: what the function and the platform say, in order, on its way to the log stream.
 * Events are handed to the sink once per turn of the event loop; when the sink is full, the environment's outputs are
 * paused until it has drained, so that a chatty function waits on its own pipe and the server's memory does not grow.
 */
import { ByteCollector } from "../../kernel/byte-collector.ts";
import type { Clock } from "../../kernel/clock.ts";
import { LOG_EVENT_BYTES_MAX, LOG_TAIL_BYTES_MAX } from "../../limits.ts";
import type { LogSink } from "../../telemetry/log-sink.ts";

export interface LogTarget {
  readonly group: string;
  readonly stream: string;
}

const NEWLINE = 10;

export class EnvironmentLog {
  readonly #clock: Clock;
  readonly #sink: LogSink;
  readonly #target: LogTarget;
  /** Pauses (true) or resumes (false) what feeds this log. */
  readonly #onPressure: (pause: boolean) => void;
  #events: { timestampMs: number; message: string }[] = [];
  #flushScheduled = false;
  #pressed = false;
  /** Bytes of a raw line whose newline has not come yet. */
  readonly #partial = new ByteCollector();
  /** The last LOG_TAIL_BYTES_MAX of the running invocation's log; undefined when nobody asked for it. */
  #tail: string[] | undefined;
  #tailChars = 0;

  constructor(options: {
    clock: Clock;
    sink: LogSink;
    target: LogTarget;
    onPressure: (pause: boolean) => void;
  }) {
    this.#clock = options.clock;
    this.#sink = options.sink;
    this.#target = options.target;
    this.#onPressure = options.onPressure;
  }

  /** One event, newlines and all. */
  event(message: string, timestampMs: number = this.#clock.nowMs()): void {
    this.#events.push({ timestampMs, message });
    if (this.#tail) this.#addToTail(message);
    if (this.#flushScheduled || this.#pressed) return;
    this.#flushScheduled = true;
    setImmediate(this.#flush);
  }

  /** Raw bytes from stdout or stderr: every line is an event. */
  raw(chunk: Buffer): void {
    let from = 0;
    for (let at = chunk.indexOf(NEWLINE); at >= 0; at = chunk.indexOf(NEWLINE, from)) {
      this.#line(chunk.subarray(from, at));
      from = at + 1;
    }
    if (from < chunk.length) this.#keepPartial(chunk.subarray(from));
  }

  /** Ends a raw line that has no newline yet, at the end of an invocation or of the environment. */
  endPartialLine(): void {
    if (this.#partial.length > 0) this.#line(Buffer.alloc(0));
  }

  startTail(): void {
    this.#tail = [];
    this.#tailChars = 0;
  }

  /** The tail since startTail, at most 4 KB of UTF-8, and stops keeping it. */
  takeTail(): Buffer {
    const text = Buffer.from((this.#tail ?? []).join(""));
    this.#tail = undefined;
    return text.length > LOG_TAIL_BYTES_MAX ? text.subarray(text.length - LOG_TAIL_BYTES_MAX) : text;
  }

  #keepPartial(bytes: Buffer): void {
    this.#partial.append(bytes);
    if (this.#partial.length <= LOG_EVENT_BYTES_MAX) return;
    const line = this.#partial.take();
    const end = characterStart(line, LOG_EVENT_BYTES_MAX);
    this.event(line.toString("utf8", 0, end));
    this.#keepPartial(line.subarray(end));
  }

  #line(end: Buffer): void {
    let line = end;
    if (this.#partial.length > 0) {
      this.#partial.append(end);
      line = this.#partial.take();
    }
    if (line.length > 0) this.event(line.toString("utf8"));
  }

  #addToTail(message: string): void {
    const tail = this.#tail ?? [];
    const line = message.endsWith("\n") ? message : `${message}\n`;
    tail.push(line);
    this.#tailChars += line.length;
    while (tail.length > 1 && this.#tailChars - (tail[0]?.length ?? 0) >= LOG_TAIL_BYTES_MAX)
      this.#tailChars -= tail.shift()?.length ?? 0;
  }

  readonly #flush = (): void => {
    this.#flushScheduled = false;
    if (this.#events.length === 0) return;
    const events = this.#events;
    if (this.#sink.append(this.#target.group, this.#target.stream, events)) {
      this.#events = [];
      return;
    }
    this.#pressed = true;
    this.#onPressure(true);
    // In a turn of its own: a sink that is half empty may refuse a large batch again and again, and must get to write.
    void this.#sink.drained().then(() => setImmediate(this.#retry));
  };

  readonly #retry = (): void => {
    this.#pressed = false;
    this.#flush();
    if (!this.#pressed) this.#onPressure(false);
  };
}

/** Where the character begins that the byte at `at` belongs to; `at` itself when it is not UTF-8. */
function characterStart(text: Buffer, at: number): number {
  for (let start = at; start > at - 4; start -= 1) {
    if (((text[start] ?? 0) & 0xc0) !== 0x80) return start;
  }
  return at;
}
