import type { Duplex } from "node:stream";
import { ByteCollector } from "../../kernel/byte-collector.ts";
import { coerceError } from "../../kernel/deferred.ts";
import { INVOKE_RESPONSE_BYTES_MAX, STREAMED_RESPONSE_BYTES_MAX } from "../../limits.ts";
import { FRAME, FrameReader, LinkError, REQUEST_ID_BYTES, writeFrame } from "./link.ts";
import type { InvokeHead, RuntimeConnection, RuntimeEvents } from "./runtime-connection.ts";

const LOG_HEAD_BYTES = 9;
const STREAM_TYPE_DEFAULT = "application/octet-stream";

/** What SPECIALISE tells a generic runtime. */
export interface LinkSpecialisation {
  readonly environment: Readonly<Record<string, string>>;
  readonly handler: string;
  readonly taskRoot: string;
  /** Where the layers are; absent: /opt. */
  readonly layersRoot?: string;
  /** The folder with what was made of the code at publish, as the runtime sees it. */
  readonly artefacts?: string;
}

/**
 * The platform's end of a fast link, from the runtime's boot on. It exists before the environment does (a waiting
 * sandbox has one), so its listener is set when a function takes it over.
 */
export class LinkConnection implements RuntimeConnection {
  readonly #link: Duplex;
  readonly #booted = Promise.withResolvers<void>();
  readonly #ended = Promise.withResolvers<void>();
  #events: RuntimeEvents | undefined;
  #closed = false;
  /** Streamed answers as far as they have come, by request id; their content only when it is collected. */
  readonly #streams = new Map<
    string,
    { readonly content: ByteCollector; bytes: number; contentType: string }
  >();
  /** Running invocations whose streamed answer is passed on as it comes. */
  readonly #passedOn = new Set<string>();

  constructor(link: Duplex) {
    this.#link = link;
    this.#booted.promise.catch(() => undefined);
    const reader = new FrameReader((type, body) => this.#frame(type, body));
    link.on("data", (chunk: Buffer) => {
      if (this.#closed) return;
      try {
        reader.push(chunk);
      } catch (error) {
        this.#break(coerceError(error));
      }
    });
    // The end of a link is the end of its process, which the sandbox reports with its reason; an error is the same.
    link.on("error", () => undefined);
    const ended = () => {
      this.#booted.reject(new LinkError("the runtime ended before it had booted"));
      this.#ended.resolve();
    };
    link.on("end", ended);
    link.on("close", ended);
  }

  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  /** Resolves when the generic runtime waits for its function; rejects when it ended before. */
  get booted(): Promise<void> {
    return this.#booted.promise;
  }

  /** Gives the waiting runtime its function and from now on tells `events`. Once. */
  specialise(specialisation: LinkSpecialisation, events: RuntimeEvents): void {
    this.#events = events;
    writeFrame(this.#link, FRAME.SPECIALISE, Buffer.from(JSON.stringify(specialisation)));
  }

  invoke(head: InvokeHead, payload: Buffer, streams = false): void {
    if (streams) this.#passedOn.add(head.requestId);
    const headBytes = Buffer.from(JSON.stringify(head));
    const length = Buffer.allocUnsafe(4);
    length.writeUInt32LE(headBytes.length, 0);
    writeFrame(this.#link, FRAME.INVOKE, length, headBytes, payload);
  }

  setReading(reading: boolean): void {
    if (reading) this.#link.resume();
    else this.#link.pause();
  }

  holdAnswer(requestId: string, hold: boolean): void {
    writeFrame(this.#link, hold ? FRAME.HOLD : FRAME.RELEASE, Buffer.from(requestId, "latin1"));
  }

  close(): void {
    this.#closed = true;
    this.#link.destroy();
  }

  #break(error: Error): void {
    this.#events?.broken(error);
    this.close();
  }

  #frame(type: number, body: Buffer): void {
    if (this.#closed) return;
    if (type === FRAME.BOOTED) return this.#booted.resolve();
    const events = this.#events;
    if (!events) throw new LinkError(`a frame of type ${type} before SPECIALISE`);
    switch (type) {
      case FRAME.RESPONSE:
        if (this.#passedOn.size > 0) this.#forget(requestId(body));
        if (body.length - REQUEST_ID_BYTES > INVOKE_RESPONSE_BYTES_MAX)
          events.responseTooLarge(requestId(body), INVOKE_RESPONSE_BYTES_MAX);
        else events.response(requestId(body), body.subarray(REQUEST_ID_BYTES), "application/json");
        events.ready();
        return;
      case FRAME.LOG:
        if (body.length < LOG_HEAD_BYTES) throw new LinkError("a log frame without its head");
        events.log(body.readDoubleLE(0), body.toString("utf8", LOG_HEAD_BYTES));
        return;
      case FRAME.READY:
        events.ready(Infinity);
        return;
      case FRAME.INIT_ERROR:
        events.initError(body);
        return;
      case FRAME.ERROR:
        if (this.#passedOn.size > 0) this.#forget(requestId(body));
        events.error(requestId(body), body.subarray(REQUEST_ID_BYTES));
        events.ready();
        return;
      case FRAME.FATAL:
        this.#forget(requestId(body));
        events.error(requestId(body), body.subarray(REQUEST_ID_BYTES));
        return;
      case FRAME.STREAM_TYPE:
      case FRAME.STREAM:
      case FRAME.STREAM_END:
        this.#streamFrame(type, body, events);
        return;
      default:
        throw new LinkError(`a frame of unknown type ${type}`);
    }
  }

  /** Invoke answers a streaming function with its whole stream, as AWS does; its limit is the buffered one. */
  #streamFrame(type: number, body: Buffer, events: RuntimeEvents): void {
    const id = requestId(body);
    let stream = this.#streams.get(id);
    if (!stream) {
      stream = { content: new ByteCollector(), bytes: 0, contentType: STREAM_TYPE_DEFAULT };
      this.#streams.set(id, stream);
    }
    const content = body.subarray(REQUEST_ID_BYTES);
    if (type === FRAME.STREAM_TYPE) {
      stream.contentType = content.toString("utf8");
      return;
    }
    const streams = this.#passedOn.has(id);
    const limitBytes = streams ? STREAMED_RESPONSE_BYTES_MAX : INVOKE_RESPONSE_BYTES_MAX;
    if (type === FRAME.STREAM) {
      stream.bytes += content.length;
      if (stream.bytes > limitBytes) stream.content.clear();
      else if (streams) events.chunk(id, content, stream.contentType);
      else stream.content.append(content);
      // Whoever reads along hears it at once; what the function still sends is read and dropped.
      if (streams && stream.bytes > limitBytes) events.responseTooLarge(id, limitBytes);
      return;
    }
    this.#forget(id);
    if (content.length > 0) events.error(id, content);
    else if (stream.bytes > limitBytes) events.responseTooLarge(id, limitBytes);
    else events.response(id, stream.content.take(), stream.contentType);
    events.ready();
  }

  #forget(id: string): void {
    if (this.#streams.size > 0) this.#streams.delete(id);
    if (this.#passedOn.size > 0) this.#passedOn.delete(id);
  }
}

function requestId(body: Buffer): string {
  if (body.length < REQUEST_ID_BYTES) throw new LinkError("a frame without its request id");
  return body.toString("latin1", 0, REQUEST_ID_BYTES);
}
