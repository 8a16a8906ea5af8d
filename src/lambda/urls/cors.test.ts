/**
 * Goal: cross-origin headers let in the origins that the rules name, and no other.
 * Method: tables of rules and origins; the headers of preflight requests and of plain answers.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { corsHeaders, isPreflight, preflightHeaders } from "./cors.ts";
import { formatUrl, newUrlId, urlIdOf, type CorsRules } from "./function-url.ts";

const PAGE = "https://www.example.com";
const ASKED = {
  origin: PAGE,
  "access-control-request-method": "PUT",
  "access-control-request-headers": "x-a,content-type",
};

test("a preflight request is OPTIONS with an origin and a method", () => {
  assert.equal(isPreflight("OPTIONS", ASKED), true);
  assert.equal(isPreflight("GET", ASKED), false);
  assert.equal(isPreflight("OPTIONS", { origin: PAGE }), false);
  assert.equal(isPreflight("OPTIONS", { "access-control-request-method": "PUT" }), false);
});

test("an allowed origin is told everything", () => {
  const rules: CorsRules = {
    allowCredentials: true,
    allowHeaders: ["X-A", "Content-Type"],
    allowMethods: ["GET", "PUT"],
    allowOrigins: ["https://other.example", PAGE],
    exposeHeaders: ["X-B"],
    maxAgeS: 60,
  };
  const origin = {
    vary: "Origin",
    "access-control-allow-origin": PAGE,
    "access-control-allow-credentials": "true",
  };
  assert.deepEqual(preflightHeaders(rules, ASKED), {
    ...origin,
    "access-control-allow-methods": "GET,PUT",
    "access-control-allow-headers": "X-A,Content-Type",
    "access-control-max-age": "60",
  });
  assert.deepEqual(corsHeaders(rules, { origin: PAGE }), {
    ...origin,
    "access-control-expose-headers": "X-B",
  });
});

test("wildcards are told as what was asked for", () => {
  const rules: CorsRules = { allowHeaders: ["*"], allowMethods: ["*"], allowOrigins: ["*"] };
  assert.deepEqual(preflightHeaders(rules, ASKED), {
    vary: "Origin",
    "access-control-allow-origin": PAGE,
    "access-control-allow-methods": "PUT",
    "access-control-allow-headers": "x-a,content-type",
  });
});

for (const origin of ["https://www.example.com.evil.example", "http://www.example.com", "null"]) {
  test(`another origin is told nothing: ${origin}`, () => {
    const rules: CorsRules = { allowCredentials: true, allowMethods: ["*"], allowOrigins: [PAGE] };
    assert.deepEqual(corsHeaders(rules, { origin }), { vary: "Origin" });
    assert.deepEqual(preflightHeaders(rules, { ...ASKED, origin }), { vary: "Origin" });
  });
}

test("without an origin there is nothing to say", () => {
  assert.deepEqual(corsHeaders({ allowOrigins: ["*"] }, {}), {});
});

const ID = "abcdefghijklmnopqrstuvwxyz234567";
const endpoints: readonly [endpoint: string, url: string][] = [
  ["http://127.0.0.1:4566", `http://${ID}.lambda-url.us-east-1.localhost:4566/`],
  ["http://[::1]:4566", `http://${ID}.lambda-url.us-east-1.localhost:4566/`],
  ["http://localhost:4566", `http://${ID}.lambda-url.us-east-1.localhost:4566/`],
  ["https://lambda.example.com", `https://${ID}.lambda-url.us-east-1.lambda.example.com/`],
  ["http://not a host", `http://${ID}.lambda-url.us-east-1.localhost/`],
];
for (const [endpoint, url] of endpoints) {
  test(`a URL below ${endpoint}, and back`, () => {
    assert.equal(formatUrl(ID, "us-east-1", endpoint), url);
    assert.equal(urlIdOf(new URL(url).host.toUpperCase()), ID);
    assert.equal(urlIdOf(new URL(url).host), ID);
  });
}

test("other hosts are no function URLs", () => {
  for (const host of [
    "",
    "localhost:4566",
    "lambda-url.us-east-1.localhost",
    `${ID}.localhost`,
    `a.${ID}.lambda-url.x.y`,
  ])
    assert.equal(urlIdOf(host), undefined, host);
});

test("ids are as AWS's, and no two are the same", () => {
  const ids = new Set(Array.from({ length: 1000 }, newUrlId));
  assert.equal(ids.size, 1000);
  for (const id of ids) assert.match(id, /^[a-z0-9]{32}$/);
});
