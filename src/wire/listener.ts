/**
 * The one port: HTTP/1.1 and HTTP/2 with prior knowledge told apart by their first bytes, by ALPN under TLS. Turns
 * sockets into requests, bounds what a stranger can hold open, and knows how to stop; what a request means is `handle`'s.
 */
import { once } from "node:events";
import http from "node:http";
import type http2 from "node:http2";
import net from "node:net";
import type { Clock } from "../kernel/clock.ts";
import { deferred } from "../kernel/deferred.ts";
import { newUuid } from "../kernel/ids.ts";
import { CONNECTIONS_MAX, ENVIRONMENT_CONNECTIONS_MAX, REQUEST_HEADERS_BYTES_MAX } from "../limits.ts";
import type { Logger } from "../telemetry/logger.ts";
import { AddressQuota } from "./address-quota.ts";

/**
 * One request. HTTP/2 requests come through node:http2's compatibility API, which has the members of node:http's.
 * `expectsContinue`: the client waits for `response.writeContinue()` before it sends the body.
 */
export type RequestListener = (
  request: http.IncomingMessage,
  response: http.ServerResponse,
  expectsContinue: boolean,
) => void;

export interface ListenerOptions {
  readonly handle: RequestListener;
  readonly clock: Clock;
  readonly logger: Logger;
  /** With it, `listen` speaks TLS only. PEM texts. */
  readonly tls?: { readonly cert: string | Buffer; readonly key: string | Buffer };
  /** Refuses to listen where other machines could reach it: for `--auth none`. */
  readonly loopbackOnly?: boolean;
  /** From a connection's start, or a request's first byte, to the end of its head. */
  readonly headersTimeoutMs?: number;
  /** From a request's first byte to the end of its body. */
  readonly requestTimeoutMs?: number;
  /** How long a connection may wait for its next request; longer than the SDKs keep theirs, so that they close first. */
  readonly keepAliveTimeoutMs?: number;
}

const HEADERS_TIMEOUT_MS = 20_000;
const REQUEST_TIMEOUT_MS = 300_000;
const KEEP_ALIVE_TIMEOUT_MS = 75_000;
const STREAMS_PER_CONNECTION_MAX = 256;
/** How often a closing listener looks for connections that have become idle. */
const DRAIN_INTERVAL_MS = 25;
const HTTP2_PREFACE = "PRI";

export class Listener {
  readonly #options: ListenerOptions;
  readonly #http1: http.Server;
  #http2: http2.Http2Server | undefined;
  readonly #servers = new Set<net.Server>();
  readonly #sockets = new Set<net.Socket>();
  readonly #sessions = new Set<http2.ServerHttp2Session>();
  /** Settles when the last connection has gone; made by `close`. */
  #emptied: { resolve(): void } | undefined;
  #closing: Promise<void> | undefined;

  constructor(options: ListenerOptions) {
    this.#options = options;
    this.#http1 = this.#createHttp1();
  }

  /** Starts to listen; may be called for several addresses. Port 0 takes a free one. Rejects with the system's error. */
  async listen(port: number, host: string): Promise<net.AddressInfo> {
    if (this.#options.loopbackOnly && !isLoopback(host)) {
      throw new Error(
        `requests are not authenticated, so the server may listen on loopback only, not on ${host}: ` +
          "listen on 127.0.0.1, or switch authentication on",
      );
    }
    const accept = (socket: net.Socket) => this.#accept(socket);
    const secure = this.#options.tls;
    const server = secure ? this.#createTls(secure) : net.createServer({ noDelay: true }, accept);
    server.maxConnections = CONNECTIONS_MAX;
    server.listen(port, host);
    await once(server, "listening");
    server.on("error", (error) => this.#options.logger.error("the listener failed", { error }));
    this.#servers.add(server);
    return server.address() as net.AddressInfo;
  }

  /** Serves the connections of a handle that somebody else bound: the environments' network. Closed with this listener. */
  attach(server: net.Server): void {
    server.maxConnections = CONNECTIONS_MAX;
    const quota = new AddressQuota(ENVIRONMENT_CONNECTIONS_MAX);
    server.on("connection", (socket: net.Socket) => {
      if (quota.admit(socket)) this.#accept(socket.setNoDelay(true));
    });
    this.#servers.add(server);
  }

  /** Stops accepting, lets running requests finish for `drainMs`, then cuts. Idempotent; never rejects. */
  close(drainMs: number): Promise<void> {
    this.#closing ??= this.#drain(drainMs);
    return this.#closing;
  }

  async #drain(drainMs: number): Promise<void> {
    for (const server of this.#servers) server.close();
    const { clock } = this.#options;
    const emptied = deferred();
    this.#emptied = emptied;
    for (const session of this.#sessions) session.close();
    for (const socket of this.#sockets) if (socket.bytesRead === 0) socket.destroy();
    let cancelSweep: () => void = () => undefined;
    const sweep = (): void => {
      // Idle ones only: a connection whose request has just been answered becomes idle without telling anybody.
      this.#http1.closeIdleConnections();
      cancelSweep = clock.after(DRAIN_INTERVAL_MS, sweep);
    };
    sweep();
    const cancelCut = clock.after(drainMs, () => {
      for (const socket of this.#sockets) socket.destroy();
    });
    if (this.#sockets.size > 0) await emptied.promise;
    cancelSweep();
    cancelCut();
    this.#http1.close();
    this.#http2?.close();
  }

  #createHttp1(): http.Server {
    const serve: RequestListener = (request, response, expectsContinue) => {
      // Whoever keeps asking on its connection while the server stops would never let it go.
      if (this.#closing) response.shouldKeepAlive = false;
      this.#options.handle(request, response, expectsContinue);
    };
    const headersTimeout = this.#options.headersTimeoutMs ?? HEADERS_TIMEOUT_MS;
    const server = http.createServer(
      {
        headersTimeout,
        requestTimeout: this.#options.requestTimeoutMs ?? REQUEST_TIMEOUT_MS,
        keepAliveTimeout: this.#options.keepAliveTimeoutMs ?? KEEP_ALIVE_TIMEOUT_MS,
        connectionsCheckingInterval: Math.ceil(headersTimeout / 4),
        maxHeaderSize: REQUEST_HEADERS_BYTES_MAX,
        joinDuplicateHeaders: true,
        // A missing host fails the signature; here it would be answered without a request id.
        requireHostHeader: false,
      },
      (request, response) => serve(request, response, false),
    );
    server.on("checkContinue", (request, response) => serve(request, response, true));
    server.on("checkExpectation", (request, response) => serve(request, response, false));
    server.on("clientError", answerClientError);
    // This server never listens itself; its watch over slow requests starts with this event.
    server.emit("listening");
    return server;
  }

  #http2Server(): http2.Http2Server {
    return (this.#http2 ??= this.#createHttp2());
  }

  #createHttp2(): http2.Http2Server {
    const { handle, logger } = this.#options;
    // Loaded by the first connection that speaks it: most servers never see one.
    const server = process.getBuiltinModule("node:http2").createServer({
      settings: {
        maxConcurrentStreams: STREAMS_PER_CONNECTION_MAX,
        maxHeaderListSize: REQUEST_HEADERS_BYTES_MAX,
      },
    });
    const serve = (request: unknown, response: unknown, expectsContinue: boolean): void =>
      handle(request as http.IncomingMessage, response as http.ServerResponse, expectsContinue);
    server.on("request", (request, response) => serve(request, response, false));
    server.on("checkContinue", (request, response) => serve(request, response, true));
    server.on("session", (session) => {
      this.#sessions.add(session);
      session.once("close", () => this.#sessions.delete(session));
      session.on("error", (error) => logger.debug("an HTTP/2 connection failed", { error }));
      // Graceful: streams that are open still finish.
      session.setTimeout(this.#options.keepAliveTimeoutMs ?? KEEP_ALIVE_TIMEOUT_MS, () => session.close());
    });
    server.on("sessionError", (error) => logger.debug("an HTTP/2 connection failed", { error }));
    return server;
  }

  #createTls(secure: { readonly cert: string | Buffer; readonly key: string | Buffer }): net.Server {
    const handshakeTimeout = this.#options.headersTimeoutMs ?? HEADERS_TIMEOUT_MS;
    const ALPNProtocols = ["h2", "http/1.1"];
    const tls = process.getBuiltinModule("node:tls");
    const server = tls.createServer({ ...secure, ALPNProtocols, handshakeTimeout, noDelay: true });
    // The plain socket below is not of interest; a handshake that fails is its client's affair.
    server.on("tlsClientError", (error) => this.#options.logger.debug("a TLS handshake failed", { error }));
    server.on("secureConnection", (socket) => {
      if (!this.#track(socket)) return;
      (socket.alpnProtocol === "h2" ? this.#http2Server() : this.#http1).emit("connection", socket);
    });
    return server;
  }

  /** False when the listener is closing. */
  #track(socket: net.Socket): boolean {
    if (this.#closing) {
      socket.destroy();
      return false;
    }
    this.#sockets.add(socket);
    socket.once("close", () => {
      this.#sockets.delete(socket);
      if (this.#sockets.size === 0) this.#emptied?.resolve();
    });
    // A reset is no fault of ours, and the protocol servers see it too.
    socket.on("error", (error) => this.#options.logger.debug("a connection failed", { error }));
    return true;
  }

  /** Waits for as many bytes as tell the protocol, and hands the socket on with all of them unread. */
  #accept(socket: net.Socket): void {
    if (!this.#track(socket)) return;
    const timeoutMs = this.#options.headersTimeoutMs ?? HEADERS_TIMEOUT_MS;
    const cancel = this.#options.clock.after(timeoutMs, () => socket.destroy());
    socket.once("close", cancel);
    let head: Buffer = Buffer.alloc(0);
    const sniff = (): void => {
      const chunk = socket.read() as Buffer | null;
      if (chunk === null) return;
      head = Buffer.concat([head, chunk]);
      const start = head.toString("latin1", 0, HTTP2_PREFACE.length);
      if (start.length < HTTP2_PREFACE.length && HTTP2_PREFACE.startsWith(start)) return;
      socket.off("readable", sniff);
      cancel();
      // Only now: what is put back is "readable" at once.
      socket.unshift(head);
      (start === HTTP2_PREFACE ? this.#http2Server() : this.#http1).emit("connection", socket);
    };
    socket.on("readable", sniff);
  }
}

/** Whether an address can be reached from this machine only. */
export function isLoopback(host: string | undefined): boolean {
  if (host === undefined) return false;
  const plain = host.toLowerCase().replace(/^::ffff:/, "");
  return plain === "localhost" || plain === "::1" || (net.isIPv4(plain) && plain.startsWith("127."));
}

/** What is no request at all is answered like one where that is still possible, and the connection ends. */
function answerClientError(error: NodeJS.ErrnoException, socket: NodeJS.WritableStream & net.Socket): void {
  // node:http's own answer to such errors looks at this member too: an answer that has begun must not be mixed with another.
  const running = (socket as { _httpMessage?: { headersSent: boolean } })._httpMessage;
  if (error.code === "ECONNRESET" || !socket.writable || running?.headersSent) {
    socket.destroy();
    return;
  }
  const status =
    error.code === "HPE_HEADER_OVERFLOW"
      ? "431 Request Header Fields Too Large"
      : error.code === "ERR_HTTP_REQUEST_TIMEOUT"
        ? "408 Request Timeout"
        : "400 Bad Request";
  const requestId = newUuid();
  socket.end(
    `HTTP/1.1 ${status}\r\nx-amzn-RequestId: ${requestId}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`,
    () => socket.destroy(),
  );
}
