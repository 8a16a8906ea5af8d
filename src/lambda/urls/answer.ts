/** What a function answered, as an HTTP response: payload format 2.0, or a stream's own prelude. Pure. */
import { validateHeaderName, validateHeaderValue } from "node:http";
import type { InvocationOutcome } from "../model.ts";

export interface UrlAnswer {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  /** Values of Set-Cookie. */
  readonly cookies: readonly string[];
  /** A stream's is sent as it comes. */
  readonly body: Buffer | AsyncIterable<Buffer>;
}

export interface WholeAnswer extends UrlAnswer {
  readonly body: Buffer;
}

/** Status, headers and cookies ahead of the body, in a stream of this type. */
const INTEGRATION_RESPONSE = "application/vnd.awslambda.http-integration-response";
/** They belong to the connection or to its framing, which are the server's. */
const CONNECTION_HEADERS = new Set([
  "connection",
  "content-length",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);
const STATUS_MIN = 200;
const STATUS_MAX = 599;

/** A whole answer. Undefined when it is no response: the function failed, or what it answered is malformed. */
export function answerOf({ payload, functionError }: InvocationOutcome): WholeAnswer | undefined {
  return functionError === undefined ? bufferedAnswer(payload) : undefined;
}

function bufferedAnswer(payload: Buffer): WholeAnswer | undefined {
  const value = parse(payload);
  if (value === undefined) return undefined;
  // Without a status code the whole answer is the body.
  if (!isObject(value) || value["statusCode"] === undefined) {
    const body = typeof value === "string" ? Buffer.from(value) : payload;
    return { status: 200, headers: { "content-type": "application/json" }, cookies: [], body };
  }
  const head = headOf(value, "application/json");
  return head && { ...head, body: bodyOf(value["body"], value["isBase64Encoded"] === true) };
}

export function isStreamWithPrelude(contentType: string): boolean {
  return contentType.toLowerCase().startsWith(INTEGRATION_RESPONSE);
}

/** What a stream's response begins with; undefined when the prelude is malformed. */
export function streamHead(
  prelude: Buffer | undefined,
  contentType: string,
): Omit<UrlAnswer, "body"> | undefined {
  if (!prelude) return headOf({}, contentType);
  const value = parse(prelude);
  return isObject(value) ? headOf(value, "application/octet-stream") : undefined;
}

function headOf(
  { statusCode = 200, headers = {}, cookies = [] }: Readonly<Record<string, unknown>>,
  contentTypeDefault: string,
): Omit<UrlAnswer, "body"> | undefined {
  const status = Number(statusCode);
  if (!Number.isInteger(status) || status < STATUS_MIN || status > STATUS_MAX) return undefined;
  const own = headersOf(headers ?? {});
  const set = cookies ?? [];
  if (!own || !Array.isArray(set)) return undefined;
  const values = (set as unknown[]).map(String);
  if (!values.every((cookie) => isHeader("set-cookie", cookie))) return undefined;
  return { status, headers: { "content-type": contentTypeDefault, ...own }, cookies: values };
}

/** Names and values that HTTP can carry; undefined when one cannot be. */
function headersOf(value: unknown): Record<string, string> | undefined {
  if (!isObject(value)) return undefined;
  const headers: Record<string, string> = {};
  for (const [name, content] of Object.entries(value)) {
    const lower = name.toLowerCase();
    if (content === null || CONNECTION_HEADERS.has(lower)) continue;
    const text = textOf(content);
    if (text === undefined) return undefined;
    if (!isHeader(lower, text)) return undefined;
    headers[lower] = text;
  }
  return headers;
}

function textOf(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  return typeof value === "number" || typeof value === "boolean" ? String(value) : undefined;
}

function isHeader(name: string, value: string): boolean {
  try {
    validateHeaderName(name);
    validateHeaderValue(name, value);
    return true;
  } catch {
    return false;
  }
}

function bodyOf(body: unknown, isBase64: boolean): Buffer {
  if (body === undefined || body === null) return Buffer.alloc(0);
  if (typeof body !== "string") return Buffer.from(JSON.stringify(body));
  return Buffer.from(body, isBase64 ? "base64" : "utf8");
}

function parse(json: Buffer): unknown {
  try {
    return JSON.parse(json.toString("utf8"));
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
