/** What both kinds of sessions of the Runtime API (runtime-api.ts, concurrent-session.ts) read and write. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { ByteCollector } from "../../kernel/byte-collector.ts";
import type { InvokeHead } from "./runtime-connection.ts";

const PREFIX = "/2018-06-01/runtime/";
export const RESPONSE_MODE_HEADER = "lambda-runtime-function-response-mode";
export const STATUS_OK = JSON.stringify({ status: "OK" });

export interface Waiting {
  readonly head: InvokeHead;
  readonly payload: Buffer;
  readonly streams: boolean;
}

export function nextHeaders({ head, payload }: Waiting): Record<string, string | number> {
  const headers: Record<string, string | number> = {
    "Content-Type": "application/json",
    "Content-Length": payload.length,
    "Lambda-Runtime-Aws-Request-Id": head.requestId,
    "Lambda-Runtime-Deadline-Ms": head.deadlineMs,
    "Lambda-Runtime-Invoked-Function-Arn": head.invokedFunctionArn,
    "Lambda-Runtime-Trace-Id": head.traceHeader,
  };
  if (head.clientContext !== undefined) headers["Lambda-Runtime-Client-Context"] = head.clientContext;
  if (head.cognitoIdentity !== undefined) headers["Lambda-Runtime-Cognito-Identity"] = head.cognitoIdentity;
  if (head.tenantId !== undefined) headers["Lambda-Runtime-Aws-Tenant-Id"] = head.tenantId;
  return headers;
}

/** A runtime may name the error's type in a header alone; a body that is not JSON is passed on as it is. */
export function withErrorType(body: Buffer | "aborted", request: IncomingMessage): Buffer {
  const type = request.headers["lambda-runtime-function-error-type"];
  if (body !== "aborted" && body.length > 0) return body;
  return Buffer.from(
    JSON.stringify({ errorType: typeof type === "string" ? type : "Runtime.Unknown", errorMessage: "" }),
  );
}

export function errorBody(errorMessage: string, errorType: string): string {
  return JSON.stringify({ errorMessage, errorType });
}

export function reply(response: ServerResponse, status: number, body: string): void {
  response.writeHead(status, {
    "Content-Type": "application/json",
    "Content-Length": Buffer.byteLength(body),
  });
  response.end(body);
}

/** A request that is one of the Runtime API's. */
export type RuntimeCall =
  | { readonly name: "next" }
  | { readonly name: "initError" }
  | { readonly name: "response" | "error"; readonly requestId: string };

/** Undefined when the Runtime API knows no such request. */
export function runtimeCall({ method, url = "" }: IncomingMessage): RuntimeCall | undefined {
  if (!url.startsWith(PREFIX)) return undefined;
  const [area, id, action] = url.slice(PREFIX.length).split("?", 1)[0]?.split("/") ?? [];
  if (method === "GET" && area === "invocation" && id === "next" && action === undefined)
    return { name: "next" };
  if (method !== "POST") return undefined;
  if (area === "init" && id === "error") return { name: "initError" };
  const isAnswer = area === "invocation" && id !== undefined && (action === "response" || action === "error");
  return isAnswer ? { name: action, requestId: id } : undefined;
}

export function notFound(request: IncomingMessage, response: ServerResponse): void {
  request.resume();
  response.writeHead(404, { "Content-Type": "text/plain; charset=utf-8" });
  response.end("404 page not found\n");
}

export interface BodyListener {
  /** Takes each piece instead of its being collected; none that is over the limit. */
  onChunk?(chunk: Buffer): void;
  /** The limit was passed just now. */
  onTooLarge?(): void;
  /** Once: the body as far as it was collected, undefined when it was over the limit (the rest is read and dropped), or "aborted". */
  onEnd(body: Buffer | "aborted" | undefined): void;
}

export function readBody(request: IncomingMessage, limitBytes: number, listener: BodyListener): void {
  const body = new ByteCollector();
  let bytes = 0;
  let finished = false;
  const finish = (result: Buffer | "aborted" | undefined) => {
    if (finished) return;
    finished = true;
    listener.onEnd(result);
  };
  request.on("data", (chunk: Buffer) => {
    const wasWithin = bytes <= limitBytes;
    bytes += chunk.length;
    if (bytes > limitBytes) {
      body.clear();
      if (wasWithin) listener.onTooLarge?.();
    } else if (listener.onChunk) listener.onChunk(chunk);
    else body.append(chunk);
  });
  request.on("end", () => finish(bytes > limitBytes ? undefined : body.take()));
  request.on("close", () => finish("aborted"));
}

/** What a runtime tells behind an answer that it could not finish: {errorMessage, errorType, stackTrace} in base64. */
export function trailingError(request: IncomingMessage): Buffer | undefined {
  const type = request.trailers["lambda-runtime-function-error-type"];
  const body = request.trailers["lambda-runtime-function-error-body"];
  if (type === undefined && body === undefined) return undefined;
  if (body !== undefined && body !== "") return Buffer.from(body, "base64");
  return Buffer.from(errorBody("", type ?? "Runtime.Unknown"));
}
