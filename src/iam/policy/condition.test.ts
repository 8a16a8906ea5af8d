// Goal: each operator compares as AWS documents it: types, case, wildcards, sets, absent keys, variables.
// Method: a table of conditions and values for each.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { compileCondition } from "./condition.ts";

const KEY = "aws:Key";
const NAME = { "aws:username": ["ann"], "aws:two": ["a", "b"] };

function holds(
  operator: string,
  wanted: string | readonly string[],
  values: readonly string[] | undefined,
  variables = true,
): boolean {
  const list = typeof wanted === "string" ? [wanted] : wanted;
  const condition = compileCondition(operator, KEY, list, variables);
  assert.ok(condition, `${operator} ${list.join()} compiles`);
  const context: Record<string, readonly string[]> = {
    ...NAME,
    ...(values && { [KEY.toLowerCase()]: values }),
  };
  return condition.holds({ get: (key) => context[key] });
}

/** Operator, policy's values, request's value, whether it holds. */
type Row = readonly [string, string | readonly string[], string, boolean];
function table(name: string, rows: readonly Row[]): void {
  it(name, () => {
    for (const [operator, wanted, value, expected] of rows)
      assert.equal(holds(operator, wanted, [value]), expected, `${operator} ${String(wanted)} ${value}`);
  });
}

describe("conditions", () => {
  table("compare texts", [
    ["StringEquals", "a", "a", true],
    ["StringEquals", "a", "A", false],
    ["StringEquals", ["a", "b"], "b", true],
    ["StringEquals", "a*", "ab", false],
    ["StringEquals", "a*", "a*", true],
    ["StringEqualsIgnoreCase", "aB", "Ab", true],
    ["StringNotEquals", ["a", "b"], "b", false],
    ["StringNotEquals", ["a", "b"], "c", true],
    ["StringNotEqualsIgnoreCase", "A", "a", false],
    ["StringLike", "a*c?", "abbcd", true],
    ["StringLike", "a*c?", "abbc", false],
    ["StringLike", "*a*a*a*", "aa", false],
    ["StringLike", "", "", true],
    ["StringNotLike", "a*", "b", true],
  ]);
  table("put values in for variables", [
    ["StringEquals", "${aws:username}", "ann", true],
    ["StringEquals", "${AWS:UserName}", "ann", true],
    ["StringEquals", "home/${aws:username}/x", "home/ann/x", true],
    ["StringEquals", "${aws:none}", "", false],
    ["StringEquals", "${aws:none, 'bob'}", "bob", true],
    ["StringEquals", "${aws:username, 'bob'}", "bob", false],
    ["StringEquals", "${aws:two}", "a", false],
    ["StringNotEquals", "${aws:none}", "x", true],
    ["StringLike", "${*}x*", "*xy", true],
    ["StringLike", "${*}x*", "axy", false],
    ["StringLike", "${?}${$}", "?$", true],
    ["StringEquals", "${unclosed", "${unclosed", true],
  ]);
  table("compare numbers", [
    ["NumericEquals", "10", "1e1", true],
    ["NumericEquals", "10", "ten", false],
    ["NumericNotEquals", "10", "11", true],
    ["NumericLessThan", "10", "9.5", true],
    ["NumericLessThan", "10", "10", false],
    ["NumericLessThanEquals", "10", "10", true],
    ["NumericGreaterThan", "10", "9", false],
    ["NumericGreaterThanEquals", "-1", "0", true],
  ]);
  table("compare dates, written either way", [
    ["DateEquals", "2026-11-23T10:00:00Z", "2026-11-23T11:00:00+01:00", true],
    ["DateLessThan", "2026-11-23T10:00:00Z", "2026-11-23T09:59:59Z", true],
    ["DateLessThan", "2026-11-23", "2026-11-23T00:00:00Z", false],
    ["DateLessThanEquals", "2026-11-23", "2026-11-23T00:00:00Z", true],
    ["DateGreaterThan", "1700000000", "2026-11-23T00:00:00Z", true],
    ["DateGreaterThanEquals", "2026", "2025-12-31T23:59:59Z", false],
    ["DateNotEquals", "2026-01-01", "never", true],
  ]);
  table("compare truth, bytes and addresses", [
    ["Bool", "true", "TRUE", true],
    ["Bool", "false", "true", false],
    ["BinaryEquals", "QmluYXJ5", "QmluYXJ5", true],
    ["BinaryEquals", "QmluYXJ5", "QmluYXJ6", false],
    ["IpAddress", "10.0.0.0/8", "10.255.0.1", true],
    ["IpAddress", "10.0.0.0/8", "11.0.0.1", false],
    ["IpAddress", "10.0.0.1", "10.0.0.1", true],
    ["IpAddress", "2001:db8::/32", "2001:db8:1::1", true],
    ["IpAddress", "2001:db8::/32", "10.0.0.1", false],
    ["IpAddress", ["10.0.0.0/8", "::1"], "::1", true],
    ["NotIpAddress", "10.0.0.0/8", "11.0.0.1", true],
    ["NotIpAddress", "10.0.0.0/8", "10.0.0.1", false],
    ["IpAddress", "0.0.0.0/0", "not an address", false],
  ]);
  table("compare ARNs by segments", [
    ["ArnEquals", "arn:aws:s3:::a*", "arn:aws:s3:::abc", true],
    ["ArnLike", "arn:aws:lambda:*:1:function:f", "arn:aws:lambda:us-east-1:1:function:f", true],
    ["ArnLike", "arn:aws:lambda:*:function:f", "arn:aws:lambda:us-east-1:1:function:f", false],
    ["ArnLike", "arn:aws:events:us-east-1:1:rule/*", "arn:aws:events:us-east-1:1:rule/a:b/c", true],
    ["ArnNotEquals", "arn:aws:s3:::a", "arn:aws:s3:::b", true],
    ["ArnNotLike", "arn:aws:s3:::*", "arn:aws:s3:::b", false],
    ["ArnLike", "arn:aws:iam::1:user/${aws:username}", "arn:aws:iam::1:user/ann", true],
  ]);

  it("know what an absent key means", () => {
    const absent: Readonly<Record<string, boolean>> = {
      StringEquals: false,
      StringNotEquals: true,
      StringEqualsIfExists: true,
      StringNotLikeIfExists: true,
      "ForAllValues:StringEquals": true,
      "ForAllValues:StringNotEquals": true,
      "ForAnyValue:StringEquals": false,
      "ForAnyValue:StringNotEquals": false,
      "ForAnyValue:StringEqualsIfExists": true,
    };
    for (const [operator, expected] of Object.entries(absent)) {
      assert.equal(holds(operator, "a", undefined), expected, operator);
      assert.equal(holds(operator, "a", []), expected, operator);
    }
    assert.equal(holds("Null", "true", undefined), true);
    assert.equal(holds("Null", "true", ["x"]), false);
    assert.equal(holds("Null", "false", ["x"]), true);
    assert.equal(holds("NumericLessThan", "1", undefined), false);
    assert.equal(holds("BoolIfExists", "true", undefined), true);
  });

  it("compare sets", () => {
    assert.equal(holds("ForAllValues:StringEquals", ["a", "b"], ["a", "b", "a"]), true);
    assert.equal(holds("ForAllValues:StringEquals", ["a", "b"], ["a", "c"]), false);
    assert.equal(holds("ForAnyValue:StringEquals", ["a", "b"], ["c", "b"]), true);
    assert.equal(holds("ForAnyValue:StringEquals", ["a", "b"], ["c"]), false);
    assert.equal(holds("ForAllValues:StringNotEquals", "a", ["b", "c"]), true);
    assert.equal(holds("ForAllValues:StringNotEquals", "a", ["b", "a"]), false);
    assert.equal(holds("ForAnyValue:StringNotEquals", "a", ["b", "a"]), true);
    assert.equal(holds("StringNotEquals", "a", ["b", "a"]), false);
  });

  it("take variables for plain text in documents of the older version", () => {
    assert.equal(holds("StringEquals", "${aws:username}", ["ann"], false), false);
    assert.equal(holds("StringEquals", "${aws:username}", ["${aws:username}"], false), true);
  });

  it("never take a value of the request for a pattern", () => {
    const condition = compileCondition("StringLike", KEY, ["${aws:username}x"], true);
    const context = (user: string): Record<string, readonly string[]> => ({
      "aws:username": [user],
      [KEY.toLowerCase()]: ["annx"],
    });
    for (const [user, expected] of [
      ["ann", true],
      ["*", false],
      ["a?n", false],
      ["\uE000", false],
    ] as const)
      assert.equal(condition?.holds({ get: (key) => context(user)[key] }), expected, user);
  });

  it("match hostile patterns in a time that is not exponential", () => {
    assert.equal(holds("StringLike", `${"a*".repeat(500)}b`, ["a".repeat(5000)]), false);
  });
});
