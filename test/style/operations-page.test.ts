// Goal: the page of Lambda's operations tells the truth, and no operation is there without a test that an AWS client runs.
// Method: make it anew and compare, spaces aside: the formatter aligns the table.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { operationRows, PAGE, renderPage } from "./operations-page.ts";

const plain = (text: string) => text.replaceAll(/[ -]+/g, " ");

test("docs/compat/operations.md is what the code and the tests say", () => {
  assert.equal(plain(readFileSync(PAGE, "utf8")), plain(renderPage(operationRows())));
});

test("every operation that is there is called by a test with AWS's own clients", () => {
  const untested = operationRows().filter(({ isThere, tests }) => isThere && tests.length === 0);
  assert.deepEqual(
    untested.map(({ name }) => name),
    [],
  );
});
