/**
 * One request and its answer: what the protocol layer reads (WireRequest), what a handler is told (RequestContext) and
 * what is written back, in one object, because one object is what a request on the hot path can afford. Anything that
 * only some requests need (signal, endpoint, source address) is made when it is asked for.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Principal } from "../iam/principal.ts";
import { newUuid } from "../kernel/ids.ts";
import type { Signed, SignedHead } from "./sigv4.ts";
import type { Match, WireRequest, WireResponse } from "./protocol.ts";
import type { RequestContext } from "./service.ts";
import { writeStream } from "./write-stream.ts";

/** Who speaks before anybody was verified, and where no signature is wanted. */
export const ANONYMOUS: Principal = {
  kind: "anonymous",
  arn: "*",
  accountId: "anonymous",
  userId: "anonymous",
};

/**
 * Up to here a body is cheaper sent as Latin-1 text, each character a byte: node:http joins texts with the head and writes
 * once, where a Buffer takes a vectored write.
 */
const ONE_WRITE_BYTES_MAX = 8 * 1024;

const NO_BODY = Buffer.alloc(0);
/** What is read and thrown away of a body that was refused, so that its client comes to read the answer. */
const DISCARD_BYTES_MAX = 8 * 1024 * 1024;

export class Exchange implements WireRequest, RequestContext, SignedHead {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly requestId = newUuid();
  readonly region: string;
  readonly accountId: string;
  readonly method: string;
  readonly path: string;
  readonly query: string;
  headers: Readonly<Record<string, string>>;
  body: Buffer = NO_BODY;
  principal: Principal = ANONYMOUS;
  match: Match | undefined;
  signed: Signed | undefined;
  /** Whether the body was read to its end (or there is none): if not, an answer comes early. */
  received = false;
  #abort: AbortController | undefined;

  constructor(request: IncomingMessage, response: ServerResponse, region: string, accountId: string) {
    this.request = request;
    this.response = response;
    this.region = region;
    this.accountId = accountId;
    this.method = request.method ?? "GET";
    const target = request.url ?? "/";
    const mark = target.indexOf("?");
    this.path = mark < 0 ? target : target.slice(0, mark);
    this.query = mark < 0 ? "" : target.slice(mark + 1);
    // Values are texts: with joinDuplicateHeaders only set-cookie is a list, which is no request header.
    const headers = request.headers as Record<string, string>;
    this.headers = request.httpVersionMajor === 2 ? withHost(headers) : headers;
  }

  get rawHeaders(): readonly string[] {
    return this.request.rawHeaders;
  }

  get sourceIp(): string {
    const address = this.request.socket.remoteAddress ?? "";
    return address.startsWith("::ffff:") ? address.slice("::ffff:".length) : address;
  }

  get endpoint(): string {
    const { socket } = this.request;
    const scheme = "encrypted" in socket && socket.encrypted === true ? "https" : "http";
    return `${scheme}://${this.headers["host"] ?? `${socket.localAddress}:${socket.localPort}`}`;
  }

  get signal(): AbortSignal {
    if (!this.#abort) {
      const abort = new AbortController();
      this.#abort = abort;
      const { response } = this;
      if (response.destroyed && !response.writableEnded) abort.abort();
      else response.once("close", () => response.writableEnded || abort.abort());
    }
    return this.#abort.signal;
  }

  header(name: string): string | undefined {
    return this.headers[name];
  }

  /** Writes the answer. Nothing happens when the client has gone. Rejects with what a streamed body threw. */
  send(answer: WireResponse): Promise<void> | undefined {
    const { response } = this;
    if (response.destroyed) return undefined;
    const { status, headers, body } = answer;
    if (this.match?.service === "s3") headers["x-amz-request-id"] = this.requestId;
    if (!this.received) this.#discardBody(headers);
    if (!Buffer.isBuffer(body)) {
      response.writeHead(status, headers);
      return writeStream(body, response);
    }
    if (status !== 204 && status !== 304 && headers["Content-Length"] === undefined) {
      headers["content-length"] ??= String(body.length);
    }
    response.writeHead(status, headers);
    if (body.length > ONE_WRITE_BYTES_MAX || this.request.httpVersionMajor === 2) response.end(body);
    else response.end(body.toString("latin1"), "latin1");
    return undefined;
  }

  /**
   * An answer before the end of the body: what still comes is thrown away, for a while. A client that was never told to
   * go on may send its body or not: nobody can say where the next request would start.
   */
  #discardBody(headers: Record<string, string>): void {
    const { request } = this;
    if (request.httpVersionMajor === 2) return;
    if (this.headers["expect"] !== undefined) headers["connection"] = "close";
    let discardedBytes = 0;
    request.on("data", (chunk: Buffer) => {
      discardedBytes += chunk.length;
      if (discardedBytes > DISCARD_BYTES_MAX) request.destroy();
    });
  }
}

/** HTTP/2's pseudo headers are no headers, and `:authority` is its name for the host. */
function withHost(headers: Record<string, string>): Record<string, string> {
  const plain: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) if (!name.startsWith(":")) plain[name] = value;
  const authority = headers[":authority"];
  if (authority !== undefined) plain["host"] ??= authority;
  return plain;
}
