/**
 * The client of the benchmarks: HTTP/1.1 over keep-alive sockets, signed with SigV4, cheap enough that what is measured
 * is the server. Signing costs four one-shot hashes a request; the rest of a request is made once a second.
 */
import { hash } from "node:crypto";
import net from "node:net";
import { deriveSigningKey, type SigningKey } from "../../src/wire/signing-key.ts";
import { canonicalHeaders, canonicalPath, canonicalQuery } from "../../src/wire/sigv4-canonical.ts";

export interface Endpoint {
  readonly host: string;
  readonly port: number;
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

export interface Answer {
  readonly status: number;
  /** Status line and headers as they came. */
  readonly head: string;
  /** One character a byte. */
  readonly body: string;
}

const ANSWER_CHARS_MAX = 8 * 1024 * 1024;
const ANSWER_TIMEOUT_MS = 60_000;

/** Requests of one method and path, each with a body of its own. */
export class SignedRequests {
  readonly #endpoint: Endpoint;
  readonly #method: string;
  readonly #target: string;
  readonly #invocationType: string | undefined;
  #second = 0;
  #key: SigningKey | undefined;
  /** What the second decides. */
  #parts = { canonicalStart: "", canonicalEnd: "", toSignStart: "", headStart: "", credential: "" };

  /** `target`: path and query, encoded. */
  constructor(endpoint: Endpoint, method: string, target: string, invocationType?: "Event") {
    this.#invocationType = invocationType;
    this.#endpoint = endpoint;
    this.#method = method;
    this.#target = target;
  }

  /** A whole request as bytes, one character each. The body is ASCII. */
  make(body: string): string {
    const second = Math.floor(Date.now() / 1000);
    if (second !== this.#second) this.#renew(second);
    const { canonicalStart, canonicalEnd, toSignStart, headStart, credential } = this.#parts;
    const payloadHash = hash("sha256", body, "hex");
    const canonical = `${canonicalStart}x-amz-content-sha256:${payloadHash}\n${canonicalEnd}${payloadHash}`;
    const signature = this.#key?.sign(toSignStart + hash("sha256", canonical, "hex"));
    return (
      `${headStart}x-amz-content-sha256: ${payloadHash}\r\ncontent-length: ${body.length}\r\n` +
      `authorization: ${credential}${signature}\r\n\r\n${body}`
    );
  }

  #renew(second: number): void {
    const { host, port, region, accessKeyId, secretAccessKey, sessionToken } = this.#endpoint;
    this.#second = second;
    const time = new Date(second * 1000).toISOString().replace(/[-:]|\.\d{3}/g, "");
    const date = time.slice(0, 8);
    const scope = `${date}/${region}/lambda/aws4_request`;
    this.#key = deriveSigningKey(secretAccessKey, { date, region, service: "lambda" });
    const headers: Record<string, string> = {
      "content-type": "application/json",
      host: `${host}:${port}`,
      "x-amz-date": time,
      ...(this.#invocationType === undefined ? {} : { "x-amz-invocation-type": this.#invocationType }),
      ...(sessionToken === undefined ? {} : { "x-amz-security-token": sessionToken }),
    };
    // In the order of their names; x-amz-content-sha256 has its place between host and x-amz-date.
    const names = Object.keys(headers);
    const before = names.slice(0, 2);
    const after = names.slice(2);
    const signed = [...before, "x-amz-content-sha256", ...after].join(";");
    const [path = "/", query = ""] = this.#target.split("?", 2);
    const canonical = canonicalPath(path, { isS3: false, normalise: true });
    this.#parts = {
      canonicalStart: `${this.#method}\n${canonical}\n${canonicalQuery(query)}\n${canonicalHeaders(before, headers)}`,
      canonicalEnd: `${canonicalHeaders(after, headers)}\n${signed}\n`,
      toSignStart: `AWS4-HMAC-SHA256\n${time}\n${scope}\n`,
      headStart:
        `${this.#method} ${this.#target} HTTP/1.1\r\n` +
        names.map((name) => `${name}: ${headers[name]}\r\n`).join(""),
      credential: `AWS4-HMAC-SHA256 Credential=${accessKeyId}/${scope}, SignedHeaders=${signed}, Signature=`,
    };
  }
}

/** One keep-alive connection, one request at a time. */
export class Connection {
  readonly #socket: net.Socket;
  #received = "";
  #waiting: { resolve(answer: Answer): void; reject(error: Error): void } | undefined;

  private constructor(socket: net.Socket) {
    this.#socket = socket;
    socket.setNoDelay(true).setEncoding("latin1");
    socket.on("data", (text: string) => this.#onData(text));
    socket.on("error", (error) => this.#fail(error));
    socket.on("close", () => this.#fail(new Error("the server closed the connection")));
    socket.on("timeout", () => this.#fail(new Error(`no answer in ${ANSWER_TIMEOUT_MS / 1000} s`)));
  }

  /** Rejects with the system's error. */
  static open({ host, port }: Pick<Endpoint, "host" | "port">): Promise<Connection> {
    return new Promise((resolve, reject) => {
      const socket = net.connect(port, host);
      socket.setTimeout(ANSWER_TIMEOUT_MS);
      socket.once("error", reject);
      socket.once("connect", () => resolve(new Connection(socket.off("error", reject))));
    });
  }

  /** Sends a whole request. Rejects when the connection breaks or the answer is too long. */
  exchange(request: string): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
      this.#received = "";
      if (this.#socket.destroyed) this.#fail(new Error("the connection is closed"));
      else this.#socket.write(request, "latin1");
    });
  }

  close(): void {
    this.#waiting = undefined;
    this.#socket.destroy();
  }

  #onData(text: string): void {
    this.#received += text;
    if (this.#received.length > ANSWER_CHARS_MAX) return this.#fail(new Error("the answer is too long"));
    const answer = parseAnswer(this.#received);
    if (!answer) return;
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.resolve(answer);
  }

  #fail(error: Error): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    this.#socket.destroy();
    waiting?.reject(error);
  }
}

/** The answer when it has come whole. Bodies end by content-length or by chunks. */
export function parseAnswer(received: string): Answer | undefined {
  const headEnd = received.indexOf("\r\n\r\n");
  if (headEnd < 0) return undefined;
  const head = received.slice(0, headEnd);
  const status = Number(head.slice(9, 12));
  const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1];
  const bodyAt = headEnd + 4;
  if (length !== undefined) {
    const end = bodyAt + Number(length);
    return received.length < end ? undefined : { status, head, body: received.slice(bodyAt, end) };
  }
  if (!/\r\ntransfer-encoding: *chunked/i.test(head)) return { status, head, body: "" };
  let body = "";
  for (let at = bodyAt; ;) {
    const lineEnd = received.indexOf("\r\n", at);
    if (lineEnd < 0) return undefined;
    const bytes = Number.parseInt(received.slice(at, lineEnd), 16);
    if (received.length < lineEnd + 4 + bytes) return undefined;
    if (bytes === 0) return { status, head, body };
    body += received.slice(lineEnd + 2, lineEnd + 2 + bytes);
    at = lineEnd + 4 + bytes;
  }
}

/** One request on a connection of its own. Rejects unless the answer is 2xx. */
export async function call(
  endpoint: Endpoint,
  method: string,
  target: string,
  body?: object,
): Promise<Record<string, unknown>> {
  const connection = await Connection.open(endpoint);
  try {
    const request = new SignedRequests(endpoint, method, target);
    const answer = await connection.exchange(request.make(body === undefined ? "" : JSON.stringify(body)));
    if (answer.status >= 300) throw new Error(`${method} ${target}: ${answer.status} ${answer.body}`);
    return answer.body === "" ? {} : (JSON.parse(answer.body) as Record<string, unknown>);
  } finally {
    connection.close();
  }
}

export const invokeTarget = (functionName: string): string =>
  `/2015-03-31/functions/${encodeURIComponent(functionName)}/invocations`;
