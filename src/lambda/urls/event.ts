/** An HTTP request as the event of an invocation: payload format 2.0 [docs: urls-invocation]. */
import { isUtf8 } from "node:buffer";
import type { Principal } from "../../iam/principal.ts";
import { parseEndpoint, type FunctionUrl } from "./function-url.ts";

export interface UrlRequest {
  readonly requestId: string;
  readonly method: string;
  /** As received: percent-encoded, without the query. */
  readonly path: string;
  readonly query: string;
  readonly protocol: string;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
  readonly sourceIp: string;
  /** `scheme://host:port` */
  readonly endpoint: string;
  readonly traceHeader: string;
  readonly receivedMs: number;
}

/** Everything else may be binary. The form of a web page is: AWS encodes it. */
const TEXT_TYPES = /^(text\/|application\/(json|xml|javascript)\b|[^;]*\+(json|xml)\b)/i;
const DEFAULT_PORTS: Readonly<Record<string, string>> = { "http:": "80", "https:": "443" };
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** `caller` signed the request; undefined where nobody had to. */
export function eventOf(url: FunctionUrl, request: UrlRequest, caller: Principal | undefined): Buffer {
  const { method, path, query, headers, body } = request;
  const host = headers["host"] ?? "";
  const isText = TEXT_TYPES.test(headers["content-type"] ?? "") && isUtf8(body);
  const cookies = cookiesOf(headers["cookie"]);
  const event = {
    version: "2.0",
    routeKey: "$default",
    rawPath: path,
    rawQueryString: query,
    ...(cookies.length > 0 && { cookies }),
    headers: eventHeaders(request, caller),
    ...(query !== "" && { queryStringParameters: parametersOf(query) }),
    requestContext: {
      accountId: caller?.accountId ?? "anonymous",
      apiId: url.id,
      ...(caller && { authorizer: { iam: iamOf(caller) } }),
      domainName: host.replace(/:\d+$/, ""),
      domainPrefix: url.id,
      http: {
        method,
        path,
        protocol: request.protocol,
        sourceIp: request.sourceIp,
        userAgent: headers["user-agent"] ?? null,
      },
      requestId: request.requestId,
      routeKey: "$default",
      stage: "$default",
      time: logTime(request.receivedMs),
      timeEpoch: request.receivedMs,
    },
    ...(body.length > 0 && { body: body.toString(isText ? "utf8" : "base64") }),
    isBase64Encoded: body.length > 0 && !isText,
  };
  return Buffer.from(JSON.stringify(event));
}

function eventHeaders(
  { headers, sourceIp, endpoint, traceHeader }: UrlRequest,
  caller: Principal | undefined,
): Record<string, string> {
  const { connection: _, cookie: __, authorization, ...rest } = headers;
  const { protocol, port } = parseEndpoint(endpoint);
  const forwarded = headers["x-forwarded-for"];
  return {
    ...rest,
    // A signature is for the platform alone: whoever has it could send the request again.
    ...(authorization !== undefined && !caller && { authorization }),
    "x-forwarded-for": forwarded === undefined ? sourceIp : `${forwarded}, ${sourceIp}`,
    "x-forwarded-proto": protocol.slice(0, -1),
    "x-forwarded-port": port === "" ? (DEFAULT_PORTS[protocol] ?? "") : port,
    "x-amzn-trace-id": traceHeader,
  };
}

function cookiesOf(header: string | undefined): string[] {
  return (header ?? "")
    .split(";")
    .map((cookie) => cookie.trim())
    .filter((cookie) => cookie !== "");
}

/** Decoded; the values of a repeated name joined by commas. */
function parametersOf(query: string): Record<string, string> {
  const values = new Map<string, string>();
  for (const [name, value] of new URLSearchParams(query)) {
    const before = values.get(name);
    values.set(name, before === undefined ? value : `${before},${value}`);
  }
  return Object.fromEntries(values);
}

function iamOf({ accessKeyId, accountId, userId, arn }: Principal): object {
  return {
    accessKey: accessKeyId ?? null,
    accountId,
    callerId: userId,
    cognitoIdentity: null,
    principalOrgId: null,
    userArn: arn,
    userId,
  };
}

/** `12/Mar/2020:19:03:58 +0000` */
function logTime(ms: number): string {
  const iso = new Date(ms).toISOString();
  const month = MONTHS[Number(iso.slice(5, 7)) - 1] ?? "";
  return `${iso.slice(8, 10)}/${month}/${iso.slice(0, 4)}:${iso.slice(11, 19)} +0000`;
}
