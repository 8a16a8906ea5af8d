/** Plain HTTP beside the AWS protocols: the server's own answers below /_hornero/. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { accessDenied, AwsError } from "../errors.ts";
import type { Route } from "./dispatch.ts";
import { isLoopback } from "./listener.ts";
import type { Match, WireResponse } from "./protocol.ts";
import { SignatureParts } from "./sigv4-parts.ts";
import type { SignatureVerifier } from "./sigv4.ts";

/** Is the server up? 200 and a word. */
export const healthRoute: Route = {
  prefix: "/_hornero/health",
  handle(_request, response) {
    sendJson(response, 200, { status: "ok" });
  },
};

/** GET and HEAD of everything below `prefix`, answered whole from a function of path and query. */
export function wireRoute(
  prefix: string,
  answer: (path: string, query: string) => Promise<WireResponse>,
): Route {
  return {
    prefix,
    async handle(request: IncomingMessage, response: ServerResponse) {
      if (request.method !== "GET" && request.method !== "HEAD")
        return sendJson(response, 405, { message: "Method not allowed" });
      const [path = "", query = ""] = (request.url ?? "").split("?", 2);
      const { status, headers, body } = await answer(path, query);
      response.writeHead(status, headers);
      if (request.method === "HEAD") return void response.end();
      if (Buffer.isBuffer(body)) return void response.end(body);
      for await (const chunk of body) {
        if (response.destroyed) return;
        if (!response.write(chunk))
          await new Promise((resolve) => void response.once("drain", resolve).once("close", resolve));
      }
      response.end();
    },
  };
}

/** The operation that signatures of the server's own routes are judged as. */
const OWN_MATCH: Match = {
  service: "lambda",
  operation: "",
  protocol: "restJson1",
  labels: {},
  bodyBytesMax: 0,
};

export interface RootRouteOptions {
  readonly prefix: string;
  readonly verifier: SignatureVerifier;
  readonly auth: "sigv4" | "none";
  /** The JSON answer to a GET; text in the format `contentType` when there is one. */
  readonly answer: (query: URLSearchParams) => Promise<object | string>;
  readonly contentType?: string;
}

/** GET for the account's root alone: signed as Lambda requests are, or from loopback where nothing is signed. */
export function rootRoute({ prefix, verifier, auth, answer, contentType }: RootRouteOptions): Route {
  return {
    prefix,
    async handle(request, response) {
      const [path = "", query = ""] = (request.url ?? "").split("?", 2);
      try {
        if (auth !== "none" || !isLoopback(request.socket.localAddress)) {
          const headers = request.headers as Record<string, string>;
          const head = {
            method: request.method ?? "GET",
            path,
            query,
            headers,
            rawHeaders: request.rawHeaders,
          };
          const signed = verifier.begin(SignatureParts.find(headers, query), head, OWN_MATCH);
          signed.verify(Buffer.alloc(0), false);
          if (signed.credential.principal.kind !== "root")
            throw accessDenied("Only the account's root may do this.");
        }
        const answered = await answer(new URLSearchParams(query));
        if (typeof answered === "string") send(response, 200, answered, contentType ?? "text/plain");
        else sendJson(response, 200, answered);
      } catch (error) {
        if (!(error instanceof AwsError)) throw error;
        response.setHeader("x-amzn-errortype", error.code);
        sendJson(response, error.status, { message: error.message });
      }
    },
  };
}

function sendJson(response: ServerResponse, status: number, value: object): void {
  send(response, status, JSON.stringify(value), "application/json");
}

function send(response: ServerResponse, status: number, body: string, contentType: string): void {
  response.writeHead(status, {
    "Content-Type": contentType,
    "Content-Length": Buffer.byteLength(body),
  });
  response.end(body);
}
