/**
 * Goal: what a function answers becomes the HTTP response that AWS makes of it, and nothing that HTTP cannot carry gets out.
 * Method: tables of answers in payload format 2.0, inferred ones, and malformed ones.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { outcomeOf } from "../invoke/fakes.ts";
import { answerOf } from "./answer.ts";

const buffered = (value: unknown) => answerOf(outcomeOf(JSON.stringify(value)));
const JSON_TYPE = { "content-type": "application/json" };

const inferred: readonly [value: unknown, body: string][] = [
  ["Hello", "Hello"],
  [{ a: 1 }, '{"a":1}'],
  [[1, 2], "[1,2]"],
  [7, "7"],
  [null, "null"],
];
for (const [value, body] of inferred) {
  test(`without a status code the answer is the body: ${body}`, () => {
    const answer = buffered(value);
    assert.deepEqual(answer, { status: 200, headers: JSON_TYPE, cookies: [], body: Buffer.from(body) });
  });
}

test("status, headers, cookies and body are the function's", () => {
  const headers = { "Content-Type": "text/html", "X-Count": 2, "X-None": null };
  const answer = buffered({ statusCode: 201, headers, cookies: ["a=1; Path=/", "b=2"], body: "<p>" });
  assert.deepEqual(answer, {
    status: 201,
    headers: { "content-type": "text/html", "x-count": "2" },
    cookies: ["a=1; Path=/", "b=2"],
    body: Buffer.from("<p>"),
  });
});

test("a body may be binary, absent, or JSON that nobody made a text of", () => {
  const bytes = Buffer.from([0, 255, 128]);
  const body = bytes.toString("base64");
  assert.deepEqual(buffered({ statusCode: 200, body, isBase64Encoded: true })?.body, bytes);
  assert.equal(buffered({ statusCode: 204 })?.body.length, 0);
  assert.equal(buffered({ statusCode: 200, body: null })?.body.length, 0);
  assert.equal(String(buffered({ statusCode: 200, body: { a: 1 } })?.body), '{"a":1}');
  assert.equal(buffered({ statusCode: "404", body: "" })?.status, 404);
});

test("headers of the connection stay the server's", () => {
  const headers = { "Transfer-Encoding": "chunked", Connection: "close", "Content-Length": "999", kept: "1" };
  assert.deepEqual(buffered({ statusCode: 200, headers })?.headers, { ...JSON_TYPE, kept: "1" });
});

const malformed: readonly [what: string, value: unknown][] = [
  ["a status that is no number", { statusCode: "ok" }],
  ["an interim status", { statusCode: 101 }],
  ["a status beyond 599", { statusCode: 600 }],
  ["a fraction of a status", { statusCode: 200.5 }],
  ["headers that are a list", { statusCode: 200, headers: ["a"] }],
  ["a header that is a structure", { statusCode: 200, headers: { a: {} } }],
  ["a header's name that is none", { statusCode: 200, headers: { "a b": "1" } }],
  ["a header that would begin another one", { statusCode: 200, headers: { a: "1\r\nb: 2" } }],
  ["a cookie that would begin another header", { statusCode: 200, cookies: ["a=1\r\nb: 2"] }],
  ["cookies that are a text", { statusCode: 200, cookies: "a=1" }],
];
for (const [what, value] of malformed) {
  test(`no response: ${what}`, () => assert.equal(buffered(value), undefined));
}

test("no response: what is no JSON, and what failed", () => {
  assert.equal(answerOf(outcomeOf("<p>")), undefined);
  assert.equal(answerOf(outcomeOf("{}", { functionError: "Unhandled" })), undefined);
});
