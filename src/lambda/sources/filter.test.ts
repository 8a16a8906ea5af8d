/**
 * Goal: filter patterns mean what Lambda's documentation of event filtering says, and what is no pattern is refused.
 * Method: each kind of rule with a record that it wants and records that it does not.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { anyOf, InvalidFilterPattern, parseFilter } from "./filter.ts";

const cases: readonly {
  rule: string;
  pattern: unknown;
  wants: readonly unknown[];
  refuses: readonly unknown[];
}[] = [
  {
    rule: "equal text",
    pattern: { a: ["x", "y"] },
    wants: [{ a: "x" }, { a: "y", b: 1 }, { a: ["z", "x"] }],
    refuses: [{ a: "X" }, { a: "z" }, {}, { a: null }, { a: { x: 1 } }, { a: [] }],
  },
  {
    rule: "equal number, boolean and null",
    pattern: { a: [1, true, null] },
    wants: [{ a: 1.0 }, { a: true }, { a: null }],
    refuses: [{ a: "1" }, { a: false }, {}, { a: 0 }],
  },
  {
    rule: "paths that must all match",
    pattern: { a: { b: ["x"] }, c: ["y"] },
    wants: [
      { a: { b: "x" }, c: "y" },
      { a: [{ b: "z" }, { b: "x" }], c: "y" },
    ],
    refuses: [{ a: { b: "x" } }, { c: "y" }, { a: "x", c: "y" }],
  },
  {
    rule: "prefix",
    pattern: { a: [{ prefix: "us-" }] },
    wants: [{ a: "us-east-1" }],
    refuses: [{ a: "US-east-1" }, { a: 1 }, {}],
  },
  {
    rule: "suffix without case",
    pattern: { a: [{ suffix: { "equals-ignore-case": ".PNG" } }] },
    wants: [{ a: "cat.png" }, { a: "cat.PnG" }],
    refuses: [{ a: "cat.jpg" }],
  },
  {
    rule: "equals-ignore-case",
    pattern: { a: [{ "equals-ignore-case": "Alice" }] },
    wants: [{ a: "aLICE" }],
    refuses: [{ a: "alic" }],
  },
  {
    rule: "wildcard",
    pattern: { a: [{ wildcard: "dir/*.p\\*ng*" }] },
    wants: [{ a: "dir/.p*ng" }, { a: "dir/cat.p*ngs" }],
    refuses: [{ a: "dir/cat.png" }, { a: "other/cat.p*ng" }],
  },
  {
    rule: "wildcard whose ends may not overlap",
    pattern: { a: [{ wildcard: "ab*ba" }] },
    wants: [{ a: "abba" }, { a: "ab-ba" }],
    refuses: [{ a: "aba" }],
  },
  {
    rule: "numeric range",
    pattern: { a: [{ numeric: [">", 0, "<=", 5] }] },
    wants: [{ a: 5 }, { a: 0.1 }],
    refuses: [{ a: 0 }, { a: 5.1 }, { a: "3" }, {}],
  },
  {
    rule: "numeric equality",
    pattern: { a: [{ numeric: ["=", 301.8] }] },
    wants: [{ a: 301.8 }],
    refuses: [{ a: 301 }],
  },
  {
    rule: "exists",
    pattern: { a: [{ exists: true }], b: [{ exists: false }] },
    wants: [{ a: null }, { a: 0, c: 1 }, { a: [] }],
    refuses: [{}, { a: 1, b: null }],
  },
  {
    rule: "anything-but",
    pattern: { a: [{ "anything-but": ["x", 1] }] },
    wants: [{ a: "y" }, { a: 2 }, { a: null }],
    refuses: [{ a: "x" }, { a: 1 }, {}],
  },
  {
    rule: "anything-but with a prefix",
    pattern: { a: [{ "anything-but": { prefix: "tmp" } }] },
    wants: [{ a: "file" }],
    refuses: [{ a: "tmp-file" }, {}],
  },
  {
    rule: "$or",
    pattern: { a: ["x"], $or: [{ b: [1] }, { c: { d: [2] } }] },
    wants: [
      { a: "x", b: 1 },
      { a: "x", c: { d: 2 } },
    ],
    refuses: [{ a: "x" }, { a: "y", b: 1 }, { b: 1 }],
  },
  {
    rule: "members that objects inherit",
    pattern: { constructor: [{ exists: true }] },
    wants: [{ constructor: 1 }],
    refuses: [{}],
  },
];

for (const { rule, pattern, wants, refuses } of cases) {
  test(rule, () => {
    const filter = parseFilter(JSON.stringify(pattern));
    for (const record of wants) assert.equal(filter(record), true, JSON.stringify(record));
    for (const record of refuses) assert.equal(filter(record), false, JSON.stringify(record));
  });
}

test("one of several filters is enough, and no filters want all", () => {
  const filters = [parseFilter('{"a":[1]}'), parseFilter('{"b":[2]}')];
  assert.equal(anyOf(filters)({ b: 2 }), true);
  assert.equal(anyOf(filters)({ c: 3 }), false);
  assert.equal(anyOf([])("anything"), true);
});

test("a record that is no object matches no path", () => {
  for (const record of ["text", 1, null, undefined, [1]]) {
    assert.equal(parseFilter('{"a":[{"exists":true}]}')(record), false);
  }
});

for (const pattern of [
  "",
  "{",
  "[]",
  '"a"',
  "{}",
  '{"a":"x"}',
  '{"a":[]}',
  '{"a":{}}',
  '{"a":[["x"]]}',
  '{"a":[{}]}',
  '{"a":[{"prefix":"x","suffix":"y"}]}',
  '{"a":[{"prefix":1}]}',
  '{"a":[{"unknown":"x"}]}',
  '{"a":[{"exists":"yes"}]}',
  '{"a":[{"numeric":[">"]}]}',
  '{"a":[{"numeric":["!",1]}]}',
  '{"a":[{"numeric":[">","1"]}]}',
  '{"a":[{"anything-but":[]}]}',
  '{"a":[{"wildcard":"x**y"}]}',
  '{"$or":[{"a":[1]}]}',
  '{"$or":[1,2]}',
]) {
  test(`refuses ${pattern || "nothing"}`, () => {
    assert.throws(() => parseFilter(pattern), InvalidFilterPattern);
  });
}

test("alternatives are bounded", () => {
  const or = Array.from({ length: 40 }, (_, number) => ({ a: [number] }));
  const pattern = { x: { $or: or }, y: { $or: or } };
  assert.throws(() => parseFilter(JSON.stringify(pattern)), InvalidFilterPattern);
});
