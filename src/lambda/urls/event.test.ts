/**
 * Goal: the event of a function URL is payload format 2.0, to the member; a signature is not passed on.
 * Method: a whole event against its expected text, then tables for bodies, cookies and queries.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Principal } from "../../iam/principal.ts";
import { eventOf, type UrlRequest } from "./event.ts";
import type { FunctionUrl } from "./function-url.ts";

const ID = "a".repeat(32);
const HOST = `${ID}.lambda-url.us-east-1.localhost`;
const URL_: FunctionUrl = {
  id: ID,
  functionName: "f",
  qualifier: undefined,
  functionArn: "arn:aws:lambda:us-east-1:000000000000:function:f",
  authType: "NONE",
  invokeMode: "BUFFERED",
  cors: undefined,
};
const USER: Principal = {
  kind: "user",
  arn: "arn:aws:iam::000000000000:user/alice",
  accountId: "000000000000",
  userId: "AIDAALICE",
  accessKeyId: "AKIAALICE",
};

function eventFor(request: Partial<UrlRequest>, caller?: Principal): Record<string, unknown> {
  const whole: UrlRequest = {
    requestId: "11111111-1111-4111-8111-111111111111",
    method: "GET",
    path: "/",
    query: "",
    protocol: "HTTP/1.1",
    headers: {},
    body: Buffer.alloc(0),
    sourceIp: "192.0.2.7",
    endpoint: `http://${HOST}:4566`,
    traceHeader: "Root=1-0-0",
    receivedMs: Date.UTC(2026, 2, 5, 7, 8, 9),
    ...request,
  };
  return JSON.parse(eventOf(URL_, whole, caller).toString()) as Record<string, unknown>;
}

test("an event has every member of the format", () => {
  const event = eventFor({
    method: "POST",
    path: "/my%20path",
    query: "a=1&a=2&b=%C3%BC",
    headers: {
      host: `${HOST}:4566`,
      "content-type": "application/json",
      cookie: "c=1; d=2",
      "user-agent": "test",
      connection: "keep-alive",
    },
    body: Buffer.from('{"ü":1}'),
  });
  assert.deepEqual(event, {
    version: "2.0",
    routeKey: "$default",
    rawPath: "/my%20path",
    rawQueryString: "a=1&a=2&b=%C3%BC",
    cookies: ["c=1", "d=2"],
    headers: {
      host: `${HOST}:4566`,
      "content-type": "application/json",
      "user-agent": "test",
      "x-forwarded-for": "192.0.2.7",
      "x-forwarded-proto": "http",
      "x-forwarded-port": "4566",
      "x-amzn-trace-id": "Root=1-0-0",
    },
    queryStringParameters: { a: "1,2", b: "ü" },
    requestContext: {
      accountId: "anonymous",
      apiId: ID,
      domainName: HOST,
      domainPrefix: ID,
      http: {
        method: "POST",
        path: "/my%20path",
        protocol: "HTTP/1.1",
        sourceIp: "192.0.2.7",
        userAgent: "test",
      },
      requestId: "11111111-1111-4111-8111-111111111111",
      routeKey: "$default",
      stage: "$default",
      time: "05/Mar/2026:07:08:09 +0000",
      timeEpoch: 1772694489000,
    },
    body: '{"ü":1}',
    isBase64Encoded: false,
  });
});

test("without query, cookies and body their members are absent", () => {
  const event = eventFor({});
  for (const name of ["queryStringParameters", "cookies", "body"]) assert(!(name in event), name);
  assert.equal(event["rawQueryString"], "");
  assert.equal(event["isBase64Encoded"], false);
});

const bodies: readonly [type: string | undefined, body: Buffer, isBase64: boolean][] = [
  ["text/plain", Buffer.from("ü"), false],
  ["TEXT/HTML; charset=utf-8", Buffer.from("<p>"), false],
  ["application/json; charset=utf-8", Buffer.from("{}"), false],
  ["application/problem+json", Buffer.from("{}"), false],
  ["application/xml", Buffer.from("<a/>"), false],
  ["image/svg+xml", Buffer.from("<svg/>"), false],
  ["application/javascript", Buffer.from("1"), false],
  ["application/x-www-form-urlencoded", Buffer.from("a=1"), true],
  ["application/octet-stream", Buffer.from("text"), true],
  [undefined, Buffer.from("text"), true],
  ["text/plain", Buffer.from([0xff, 0xfe]), true],
];
for (const [type, body, isBase64] of bodies) {
  test(`a body of ${type ?? "no type"} (${body.toString("hex")}) is ${isBase64 ? "Base64" : "text"}`, () => {
    const event = eventFor({ headers: type === undefined ? {} : { "content-type": type }, body });
    assert.equal(event["isBase64Encoded"], isBase64);
    assert.deepEqual(Buffer.from(String(event["body"]), isBase64 ? "base64" : "utf8"), body);
  });
}

test("who signed is told, and the signature is not", () => {
  const headers = { authorization: "AWS4-HMAC-SHA256 …", "x-forwarded-for": "198.51.100.1" };
  const event = eventFor({ headers }, USER);
  const { authorizer, accountId } = event["requestContext"] as Record<string, unknown>;
  assert.equal(accountId, "000000000000");
  assert.deepEqual(authorizer, {
    iam: {
      accessKey: "AKIAALICE",
      accountId: "000000000000",
      callerId: "AIDAALICE",
      cognitoIdentity: null,
      principalOrgId: null,
      userArn: USER.arn,
      userId: "AIDAALICE",
    },
  });
  const shown = event["headers"] as Record<string, string>;
  assert.equal("authorization" in shown, false);
  assert.equal(shown["x-forwarded-for"], "198.51.100.1, 192.0.2.7");
  const unsigned = eventFor({ headers: { authorization: "Bearer token" } })["headers"] as object;
  assert.equal("authorization" in unsigned, true, "where nobody signs it is the function's own");
});

test("a host that makes no URL does no harm", () => {
  const event = eventFor({ endpoint: "http://a b", headers: { host: "a b" } });
  assert.equal((event["headers"] as Record<string, string>)["x-forwarded-port"], "80");
});
