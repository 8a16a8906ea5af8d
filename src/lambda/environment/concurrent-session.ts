/**
 * The Runtime API for an environment that takes several invocations at a time: as many invocation/next may be outstanding, and each
 * is room for one invocation. Answers come in any order. What is out of order is refused as AWS's runtime interface emulator does:
 *   more invocation/next than there is room for   500 Runtime.TooManyIdleRuntimes
 *   an answer to what is not running              400 InvalidRequestID
 * An answer to what has timed out is taken and goes nowhere: its worker asks for the next one then.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import {
  INVOKE_RESPONSE_BYTES_MAX,
  RUNTIME_ERROR_BYTES_MAX,
  STREAMED_RESPONSE_BYTES_MAX,
} from "../../limits.ts";
import {
  errorBody,
  nextHeaders,
  notFound,
  readBody,
  reply,
  RESPONSE_MODE_HEADER,
  runtimeCall,
  STATUS_OK,
  trailingError,
  withErrorType,
} from "./runtime-api-messages.ts";
import type { Session } from "./runtime-api.ts";
import type { InvokeHead, RuntimeEvents } from "./runtime-connection.ts";

interface Open {
  readonly streams: boolean;
  /** Of a streamed answer. */
  request?: IncomingMessage;
  isHeld: boolean;
}

export class ConcurrentSession implements Session {
  readonly #events: RuntimeEvents;
  readonly #slots: number;
  /** Outstanding requests for an invocation, the oldest first. */
  readonly #polls = new Set<ServerResponse>();
  /** Handed over, not answered by the runtime. */
  readonly #open = new Map<string, Open>();
  #hasFailed = false;
  #closed = false;

  constructor(events: RuntimeEvents, slots: number) {
    this.#events = events;
    this.#slots = slots;
  }

  invoke(head: InvokeHead, payload: Buffer, streams = false): void {
    this.#open.set(head.requestId, { streams, isHeld: false });
    const [poll] = this.#polls;
    // The client has given up its connection just now: nobody has the event, and its time runs.
    if (!poll) return;
    this.#polls.delete(poll);
    poll.writeHead(200, nextHeaders({ head, payload, streams }));
    poll.end(payload);
  }

  readonly ended = Promise.resolve();

  /** Logs come by the output pipe alone; streamed answers are held one by one. */
  setReading(): void {}

  holdAnswer(requestId: string, hold: boolean): void {
    const open = this.#open.get(requestId);
    if (!open) return;
    open.isHeld = hold;
    if (hold) open.request?.pause();
    else open.request?.resume();
  }

  close(): void {
    this.#closed = true;
    for (const poll of this.#polls) poll.destroy();
    this.#polls.clear();
  }

  handle(request: IncomingMessage, response: ServerResponse): void {
    if (this.#closed) return void response.destroy();
    const call = runtimeCall(request);
    if (!call) return notFound(request, response);
    if (call.name === "next") return this.#next(request, response);
    if (call.name === "initError") return this.#initError(request, response);
    if (call.name === "response") return this.#respond(request, response, call.requestId);
    this.#fail(request, response, call.requestId);
  }

  #next(request: IncomingMessage, response: ServerResponse): void {
    request.resume();
    if (this.#hasFailed)
      return refuse(response, 403, "State transition is not allowed", "InvalidStateTransition");
    if (this.#polls.size >= this.#slots) return this.#refuseTooMany(response);
    this.#polls.add(response);
    response.on("close", () => {
      if (this.#polls.delete(response)) this.#events.ready(-1);
    });
    this.#events.ready();
  }

  #refuseTooMany(response: ServerResponse): void {
    const message = `No more than ${this.#slots} runtimes may wait at a time.`;
    refuse(response, 500, message, "Runtime.TooManyIdleRuntimes");
  }

  #initError(request: IncomingMessage, response: ServerResponse): void {
    this.#hasFailed = true;
    readBody(request, RUNTIME_ERROR_BYTES_MAX, {
      onEnd: (body) => {
        reply(response, 202, STATUS_OK);
        this.#events.initError(withErrorType(body ?? Buffer.alloc(0), request));
      },
    });
  }

  #respond(request: IncomingMessage, response: ServerResponse, id: string): void {
    const open = this.#take(request, response, id);
    if (!open) return;
    const mode = request.headers[RESPONSE_MODE_HEADER];
    if (mode !== undefined && mode !== "streaming") {
      request.resume();
      this.#open.delete(id);
      refuse(response, 400, "Invalid function response mode", "InvalidFunctionResponseMode");
      const error = errorBody("Invalid function response mode", "Runtime.InvalidResponseModeHeader");
      return this.#events.error(id, Buffer.from(error));
    }
    const streamed = mode === "streaming" && open.streams;
    const limitBytes = streamed ? STREAMED_RESPONSE_BYTES_MAX : INVOKE_RESPONSE_BYTES_MAX;
    const contentType = request.headers["content-type"] ?? "application/octet-stream";
    readBody(request, limitBytes, {
      ...(streamed && {
        onChunk: (chunk: Buffer) => this.#events.chunk(id, chunk, contentType),
        onTooLarge: () => this.#events.responseTooLarge(id, limitBytes),
      }),
      onEnd: (body) => {
        this.#open.delete(id);
        if (body === "aborted") return this.#truncated(id);
        if (body === undefined) return this.#tooLarge(response, id, limitBytes);
        reply(response, 202, STATUS_OK);
        const error = mode === "streaming" ? trailingError(request) : undefined;
        if (error) this.#events.error(id, error);
        else this.#events.response(id, body, contentType);
      },
    });
  }

  #fail(request: IncomingMessage, response: ServerResponse, id: string): void {
    if (!this.#take(request, response, id)) return;
    readBody(request, RUNTIME_ERROR_BYTES_MAX, {
      onEnd: (body) => {
        this.#open.delete(id);
        if (body === "aborted") return this.#truncated(id);
        if (body === undefined) return this.#tooLarge(response, id, RUNTIME_ERROR_BYTES_MAX);
        reply(response, 202, STATUS_OK);
        this.#events.error(id, withErrorType(body, request));
      },
    });
  }

  /** What `request` answers, when it is the first that does. */
  #take(request: IncomingMessage, response: ServerResponse, id: string): Open | undefined {
    const open = this.#open.get(id);
    if (open && !open.request) {
      open.request = request;
      return open;
    }
    request.resume();
    refuse(response, 400, "Invalid request ID", "InvalidRequestID");
    return undefined;
  }

  #tooLarge(response: ServerResponse, id: string, limitBytes: number): void {
    const message = `Exceeded maximum allowed payload size (${limitBytes} bytes).`;
    refuse(response, 413, message, "RequestEntityTooLarge");
    this.#events.responseTooLarge(id, limitBytes);
  }

  #truncated(id: string): void {
    const error = errorBody("The response was cut off.", "Runtime.TruncatedResponse");
    this.#events.error(id, Buffer.from(error));
  }
}

function refuse(response: ServerResponse, status: number, message: string, type: string): void {
  reply(response, status, errorBody(message, type));
}
