// Goal: the page of the APIs' operations tells the truth, and no operation is there without a test that an AWS client runs.
// Method: make it anew and compare, spaces aside: the formatter aligns the tables and breaks no lines.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { CLIENTS } from "./client-calls.ts";
import { operationRows, PAGE, renderPage } from "./operations-page.ts";

const plain = (text: string) => text.replaceAll(/[ -]+/g, " ");
const apis = await operationRows();
const there = apis.flatMap(({ api, rows }) =>
  rows.filter(({ isThere }) => isThere).map((row) => ({ ...row, name: `${api.model}:${row.name}` })),
);

test("docs/compat/operations.md is what the code and the tests say", () => {
  assert.equal(plain(readFileSync(PAGE, "utf8")), plain(renderPage(apis)));
});

test("every operation that is there is called by a test with AWS's own clients", () => {
  const untested = there.filter(({ tests }) => CLIENTS.every((client) => tests[client].length === 0));
  assert.deepEqual(
    untested.map(({ name }) => name),
    [],
  );
});
