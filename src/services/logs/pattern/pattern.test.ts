/**
 * Goal: filter patterns let through what AWS's guide says they let through.
 * Method: a table of patterns with messages that pass and messages that do not; the regular expressions are also
 * compared with JavaScript's own on random input.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { compilePattern } from "./pattern.ts";
import { compileRegex } from "./regex.ts";

const json = (value: unknown) => JSON.stringify(value);
const ACCESS = '127.0.0.1 Prod frank [10/Oct/2000:13:25:15 -0700] "GET /index.html HTTP/1.0" 404 1534';

const TABLE: readonly (readonly [pattern: string, pass: readonly string[], fail: readonly string[]])[] = [
  ["ERROR", ["[ERROR 400] BAD REQUEST", "ERROR"], ["[error 400]", "WARN"]],
  ["ERROR ARGUMENTS", ["[ERROR 419] MISSING ARGUMENTS", "ARGUMENTS: ERROR"], ["[ERROR 401] UNAUTHORIZED"]],
  ['"INTERNAL SERVER ERROR"', ["[ERROR 500] INTERNAL SERVER ERROR"], ["INTERNAL ERROR SERVER"]],
  ['"say \\"hi\\""', ['he did say "hi"'], ["he did say hi"]],
  ["?ERROR ?ARGUMENTS", ["[ERROR 401]", "[WARN 420] INVALID ARGUMENTS"], ["[INFO 200]"]],
  ["ERROR -ARGUMENTS", ["[ERROR 400] BAD REQUEST"], ["[ERROR 419] MISSING ARGUMENTS", "INFO"]],
  ['ERROR -"BAD REQUEST"', ["[ERROR 401] UNAUTHORIZED"], ["[ERROR 400] BAD REQUEST"]],
  ["-ERROR", ["INFO"], ["ERROR"]],
  ["?WARN ERROR", ["ERROR alone"], ["WARN alone"]],
  ["%AUTHORIZED%", ["[ERROR 401] UNAUTHORIZED REQUEST", "[SUCCESS 200] AUTHORIZED REQUEST"], ["authorized"]],
  ["ERROR %4[0-9]{2}%", ["ERROR 404"], ["ERROR 500", "404"]],
  [
    '{ $.eventType = "UpdateTrail" }',
    [json({ eventType: "UpdateTrail" })],
    [json({ eventType: "x" }), "UpdateTrail"],
  ],
  ["{ $.eventType = UpdateTrail }", [json({ eventType: "UpdateTrail" })], [json({ event: "UpdateTrail" })]],
  ["{ $.ip != 123.123.* }", [json({ ip: "111.111.1.1" })], [json({ ip: "123.123.1.1" }), json({})]],
  [
    '{ $.arr[0] = "value" }',
    [json({ arr: ["value"] })],
    [json({ arr: ["x", "value"] }), json({ arr: "value" })],
  ],
  ['{ $.arr[*] = "value" }', [json({ arr: ["x", "value"] })], [json({ arr: ["x"] })]],
  ["{ $.objects[1].id = 2 }", [json({ objects: [{ id: 1 }, { id: 2 }] })], [json({ objects: [{ id: 2 }] })]],
  ["{ $['a b'] = 1 }", [json({ "a b": 1 })], [json({ a: 1 })]],
  ["{ $.some IS NULL }", [json({ some: null })], [json({ some: 0 }), json({})]],
  ["{ $.some NOT EXISTS }", [json({ other: 1 })], [json({ some: null })]],
  ["{ $.ok IS FALSE }", [json({ ok: false })], [json({ ok: true }), json({ ok: "false" })]],
  [
    "{ $.ok IS TRUE && $.n >= 3 }",
    [json({ ok: true, n: 3 })],
    [json({ ok: true, n: 2 }), json({ ok: false, n: 3 })],
  ],
  ["{ $.took > 1.5e2 }", [json({ took: 151 })], [json({ took: 150 }), json({ took: true }), json({})]],
  ["{ $.code = 400 }", [json({ code: 400 }), json({ code: "400" })], [json({ code: 4000 })]],
  ["{ $.a = 1 || $.b = 2 && $.c = 3 }", [json({ a: 1 }), json({ b: 2, c: 3 })], [json({ b: 2 })]],
  ["{ ($.a = 1 || $.b = 2) && $.c = 3 }", [json({ a: 1, c: 3 })], [json({ a: 1 })]],
  ['{ $.name = "*Error" }', [json({ name: "TypeError" })], [json({ name: "Errors" })]],
  ["{ $.name = %^Type|^Range% }", [json({ name: "RangeError" })], [json({ name: "SyntaxError" })]],
  [
    '{ $.level = "ERROR" && $.n > 3 }',
    [json({ level: "ERROR", n: 4 })],
    [json({ level: "ERROR", n: 3 }), "{"],
  ],
  ["[ip, user, username, timestamp, request, status_code, bytes]", [ACCESS], [`${ACCESS} more`, "one two"]],
  ["[ip, user, username, timestamp, request = *.html*, status_code = 4*, bytes > 1000]", [ACCESS], []],
  ["[..., status_code = 404, bytes]", [ACCESS], [ACCESS.replace("404", "200")]],
  ["[ip, ..., bytes < 1000]", [ACCESS.replace("1534", "15")], [ACCESS]],
  ["[w1 = ERROR || w1 = WARN, w2]", ["ERROR x", "WARN x"], ["INFO x", "ERROR"]],
  ['[time, level != "INFO" && level != DEBUG, ...]', ["12:00 ERROR a b"], ["12:00 INFO a", "12:00 DEBUG"]],
  ["[a = %^[a-z]+,[0-9]$%]", ["abc,1"], ["abc,12"]],
];

for (const [pattern, pass, fail] of TABLE)
  test(`pattern ${pattern}`, () => {
    const matches = compilePattern(pattern);
    assert.ok(matches);
    for (const message of pass) assert.equal(matches(message), true, `passes: ${message}`);
    for (const message of fail) assert.equal(matches(message), false, `does not pass: ${message}`);
  });

test("an empty pattern lets everything through", () => {
  assert.equal(compilePattern(""), undefined);
  assert.equal(compilePattern("  "), undefined);
  assert.equal(compilePattern(undefined), undefined);
});

for (const pattern of [
  "{ $.a }",
  "{ a = 1 }",
  "{ $.a = }",
  "{ $.a = 1",
  "{ ($.a = 1 }",
  "{ $.a > x }",
  "[a, ..., b, ...]",
])
  test(`pattern ${pattern} is refused`, () => {
    assert.throws(() => compilePattern(pattern), { code: "InvalidParameterException" });
  });

for (const pattern of ["%(a)%", "%[a%", "%a{2,1}%", "%a{999}{999}%", "%\\q%", '"open'])
  test(`pattern ${pattern} is refused`, () => {
    assert.throws(() => compilePattern(pattern), { code: "InvalidParameterException" });
  });

test("regular expressions agree with JavaScript's", () => {
  const atom = fc.constantFrom("a", "b", "c", ".", "[ab]", "[^a]", "\\d", "\\w", "[a-c]", "1", "\\.");
  const repeat = fc.constantFrom("", "", "*", "+", "?", "{2}", "{1,3}", "{0,}");
  const sequence = fc.array(
    fc.tuple(atom, repeat).map((parts) => parts.join("")),
    { minLength: 1, maxLength: 5 },
  );
  const anchored = fc
    .tuple(fc.constantFrom("", "^"), sequence, fc.constantFrom("", "$"))
    .map(([start, parts, end]) => start + parts.join("") + end);
  const source = fc.array(anchored, { minLength: 1, maxLength: 3 }).map((parts) => parts.join("|"));
  const message = fc.string({ unit: fc.constantFrom("a", "b", "c", "1", "."), maxLength: 12 });
  fc.assert(
    fc.property(source, message, (source, message) => {
      assert.equal(compileRegex(source)(message), new RegExp(source, "s").test(message));
    }),
    { numRuns: 2000 },
  );
});

test("an expression that would take a back-tracking engine for ever does not", () => {
  const matches = compileRegex(`${"a*".repeat(30)}b`);
  assert.equal(matches("a".repeat(20_000)), false);
  assert.equal(matches(`${"a".repeat(20_000)}b`), true);
});
