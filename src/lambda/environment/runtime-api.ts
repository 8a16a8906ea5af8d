/**
 * The Runtime API over HTTP, as custom runtimes and AWS's own runtime interface clients speak it:
 * docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html. One RuntimeApiSession is one environment's runtime.
 *
 * States of a session, and what may come in each (everything else is 403 InvalidStateTransition):
 *   STARTED    init/error, invocation/next
 *   READY      invocation/next (again: a client that lost its connection)
 *   RUNNING    invocation/ID/response, invocation/ID/error
 *   ANSWERED   invocation/next
 *   INIT_ERROR nothing: the process is expected to exit
 */
import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import { createServer, type Server } from "node:http";
import type { AddressInfo, Server as NetServer } from "node:net";
import {
  INVOKE_RESPONSE_BYTES_MAX,
  RUNTIME_API_CONNECTIONS_MAX,
  RUNTIME_ERROR_BYTES_MAX,
  STREAMED_RESPONSE_BYTES_MAX,
} from "../../limits.ts";
import { AddressQuota } from "../../wire/address-quota.ts";
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
  type Waiting,
} from "./runtime-api-messages.ts";
import type { InvokeHead, RuntimeConnection, RuntimeEvents } from "./runtime-connection.ts";

type SessionState = "STARTED" | "READY" | "RUNNING" | "ANSWERED" | "INIT_ERROR";

/** Requests that may wait for their environment to be registered: one for each, and no more environments than that at once. */
const EARLY_REQUESTS_MAX = 1024;

/** One environment's runtime. */
export interface Session extends RuntimeConnection {
  /** Answers one request of this environment's runtime. */
  handle(request: IncomingMessage, response: ServerResponse): void;
}

export class RuntimeApiSession implements Session {
  #state: SessionState = "STARTED";
  readonly #events: RuntimeEvents;
  #poll: ServerResponse | undefined;
  #waiting: Waiting | undefined;
  #runningId: string | undefined;
  /** Of the running invocation: its streamed answer is passed on as it comes. */
  #streams = false;
  /** The streamed answer that is being read. */
  #streaming: IncomingMessage | undefined;
  #reading = true;
  #closed = false;

  constructor(events: RuntimeEvents) {
    this.#events = events;
  }

  invoke(head: InvokeHead, payload: Buffer, streams = false): void {
    this.#waiting = { head, payload, streams };
    if (this.#poll) this.#deliver();
  }

  /** Every request is answered when it is read: nothing is under way that the process's end could overtake by much. */
  readonly ended = Promise.resolve();

  /** Logs come by the output pipe alone here: all that can wait is a streamed answer. */
  setReading(reading: boolean): void {
    this.#reading = reading;
    if (reading) this.#streaming?.resume();
    else this.#streaming?.pause();
  }

  holdAnswer(_requestId: string, hold: boolean): void {
    this.setReading(!hold);
  }

  close(): void {
    this.#closed = true;
    this.#poll?.destroy();
    this.#poll = undefined;
  }

  /** Answers one request of this environment's runtime. */
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
    if (this.#state === "RUNNING" || this.#state === "INIT_ERROR")
      return this.#refuse(request, response, "Ready");
    this.#state = "READY";
    // A client that asks again has given up its connection from before, whether or not that is known here.
    this.#poll?.destroy();
    this.#poll = response;
    response.on("close", () => {
      if (this.#poll === response) this.#poll = undefined;
    });
    if (this.#waiting) this.#deliver();
    else this.#events.ready();
  }

  #deliver(): void {
    const [poll, waiting] = [this.#poll, this.#waiting];
    if (!poll || !waiting) return;
    this.#poll = undefined;
    this.#waiting = undefined;
    this.#state = "RUNNING";
    this.#runningId = waiting.head.requestId;
    this.#streams = waiting.streams;
    poll.writeHead(200, nextHeaders(waiting));
    poll.end(waiting.payload);
  }

  #initError(request: IncomingMessage, response: ServerResponse): void {
    if (this.#state !== "STARTED") return this.#refuse(request, response, "InitError");
    this.#state = "INIT_ERROR";
    readBody(request, RUNTIME_ERROR_BYTES_MAX, {
      onEnd: (body) => {
        reply(response, 202, STATUS_OK);
        this.#events.initError(withErrorType(body ?? Buffer.alloc(0), request));
      },
    });
  }

  #respond(request: IncomingMessage, response: ServerResponse, id: string): void {
    if (!this.#mayAnswer(request, response, id, "InvocationResponse")) return;
    const mode = request.headers[RESPONSE_MODE_HEADER];
    if (mode !== undefined && mode !== "streaming") return this.#refuseMode(request, response, id);
    const streamed = mode === "streaming" && this.#streams;
    const limitBytes = streamed ? STREAMED_RESPONSE_BYTES_MAX : INVOKE_RESPONSE_BYTES_MAX;
    const contentType = request.headers["content-type"] ?? "application/octet-stream";
    readBody(request, limitBytes, {
      ...(streamed ? this.#chunkReceiver(request, id, contentType, limitBytes) : {}),
      onEnd: (body) => {
        if (streamed) this.#streaming = undefined;
        if (body === "aborted") return this.#truncated(id);
        if (body === undefined) return this.#tooLarge(response, id, limitBytes);
        reply(response, 202, STATUS_OK);
        const error = mode === "streaming" ? trailingError(request) : undefined;
        if (error) return this.#events.error(id, error);
        // A runtime is taken at its word before it asks for more, so that the caller's next invocation finds this environment.
        this.#events.response(id, body, contentType);
        this.#events.ready();
      },
    });
  }

  #chunkReceiver(request: IncomingMessage, id: string, contentType: string, limitBytes: number) {
    this.#streaming = request;
    if (!this.#reading) request.pause();
    return {
      onChunk: (chunk: Buffer) => this.#events.chunk(id, chunk, contentType),
      onTooLarge: () => this.#events.responseTooLarge(id, limitBytes),
    };
  }

  /** A runtime that reports an error may exit after it: it is ready when it asks for more. */
  #fail(request: IncomingMessage, response: ServerResponse, id: string): void {
    if (!this.#mayAnswer(request, response, id, "InvocationErrorResponse")) return;
    readBody(request, RUNTIME_ERROR_BYTES_MAX, {
      onEnd: (body) => {
        if (body === "aborted") return this.#truncated(id);
        if (body === undefined) return this.#tooLarge(response, id, RUNTIME_ERROR_BYTES_MAX);
        reply(response, 202, STATUS_OK);
        this.#events.error(id, withErrorType(body, request));
      },
    });
  }

  /** From here on a second answer is out of order, even while this one is still being read. */
  #mayAnswer(request: IncomingMessage, response: ServerResponse, id: string, to: string): boolean {
    if (this.#state !== "RUNNING") {
      this.#refuse(request, response, to);
      return false;
    }
    if (id !== this.#runningId) {
      request.resume();
      reply(response, 400, errorBody("Invalid request ID", "InvalidRequestID"));
      return false;
    }
    this.#state = "ANSWERED";
    return true;
  }

  #tooLarge(response: ServerResponse, id: string, limitBytes: number): void {
    const message = `Exceeded maximum allowed payload size (${limitBytes} bytes).`;
    reply(response, 413, errorBody(message, "RequestEntityTooLarge"));
    this.#events.responseTooLarge(id, limitBytes);
  }

  #refuseMode(request: IncomingMessage, response: ServerResponse, id: string): void {
    request.resume();
    reply(response, 400, errorBody("Invalid function response mode", "InvalidFunctionResponseMode"));
    const errorType = "Runtime.InvalidResponseModeHeader";
    this.#events.error(id, Buffer.from(errorBody("Invalid function response mode", errorType)));
  }

  #truncated(id: string): void {
    const text = { errorMessage: "The response was cut off.", errorType: "Runtime.TruncatedResponse" };
    this.#events.error(id, Buffer.from(JSON.stringify(text)));
  }

  #refuse(request: IncomingMessage, response: ServerResponse, to: string): void {
    request.resume();
    const message = `State transition from ${stateWords(this.#state)} to ${to} failed for runtime. Error: State transition is not allowed`;
    reply(response, 403, errorBody(message, "InvalidStateTransition"));
  }
}

function stateWords(state: SessionState): string {
  const words = {
    STARTED: "Started",
    READY: "Ready",
    RUNNING: "Running",
    ANSWERED: "ResponseSent",
    INIT_ERROR: "InitError",
  };
  return words[state];
}

/**
 * The servers behind 169.254.100.1:9001: one for the whole environment network, where the caller's address tells which
 * environment speaks; or, without such a network, one on the loopback interface for each environment.
 */
export class RuntimeApi {
  readonly #sessions = new Map<string, Session>();
  /** Requests of environments whose process was faster than the news of its start, by address. */
  readonly #early = new Map<string, { request: IncomingMessage; response: ServerResponse }>();
  #shared: Server | undefined;

  /** Serves the environment network through a listening handle inside it; a newer handle replaces the old. */
  attach(handle: NetServer): void {
    this.#shared?.close();
    this.#shared?.closeAllConnections();
    this.#shared = newServer((request, response) => {
      const address = request.socket.remoteAddress ?? "";
      const session = this.#sessions.get(address);
      if (session) return session.handle(request, response);
      if (this.#early.has(address) || this.#early.size >= EARLY_REQUESTS_MAX)
        return notFound(request, response);
      this.#early.set(address, { request, response });
      response.on("close", () => {
        if (this.#early.get(address)?.response === response) this.#early.delete(address);
      });
    });
    const quota = new AddressQuota(RUNTIME_API_CONNECTIONS_MAX);
    this.#shared.on("connection", (socket) => quota.admit(socket));
    this.#shared.listen(handle);
  }

  /** Routes what comes from `address` to the session until `unregister`. */
  register(address: string, session: Session): void {
    this.#sessions.set(address, session);
    const early = this.#early.get(address);
    if (!early) return;
    this.#early.delete(address);
    session.handle(early.request, early.response);
  }

  /** Harmless when the address has been given to another session since. */
  unregister(address: string, session: Session): void {
    if (this.#sessions.get(address) === session) this.#sessions.delete(address);
  }

  /** A listener of its own for one environment. `close` ends it and every connection. */
  static async openLoopback(listener: RequestListener): Promise<{ address: string; close: () => void }> {
    const server = newServer(listener);
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(0, "127.0.0.1", resolve);
    });
    const { port } = server.address() as AddressInfo;
    const close = () => {
      server.close();
      server.closeAllConnections();
    };
    return { address: `127.0.0.1:${port}`, close };
  }

  close(): void {
    this.#shared?.close();
    this.#shared?.closeAllConnections();
  }
}

/** Runtimes poll for hours: no timeouts of the HTTP server's own. */
function newServer(listener: RequestListener): Server {
  const server = createServer(
    { keepAliveTimeout: 0, requestTimeout: 0, headersTimeout: 0, noDelay: true },
    listener,
  );
  server.timeout = 0;
  server.on("clientError", (_error, socket) => socket.destroy());
  return server;
}
