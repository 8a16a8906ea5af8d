// Goal: the table says what was measured and whether targets are met. Method: rows with known figures.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { formatFigure, formatTable, isMet, type Row } from "./report.ts";
import { summarise } from "./statistics.ts";

const row: Row = {
  id: "warm-p50",
  group: "warm invocations",
  what: "1 client, p50",
  unit: "ms",
  value: summarise([0.3, 0.4, 0.5]),
  floor: { what: "echo", value: summarise([0.1, 0.1, 0.1]) },
  ratio: summarise([3, 4, 5]),
  target: { of: "ratio", limit: 4, want: "at most" },
  also: { of: "ratio", limit: 2, want: "at most" },
};

describe("targets", () => {
  it("are about the ratio or about the value", () => {
    assert.equal(isMet(row, row.target), true);
    assert.equal(isMet(row, row.also), false);
    assert.equal(isMet(row, { of: "value", limit: 0.39, want: "at most" }), false);
    assert.equal(isMet(row, { of: "value", limit: 0.4, want: "at least" }), true);
  });

  it("are undecided without the figure that they are about", () => {
    const { ratio: _, ...alone } = row;
    assert.equal(isMet(alone, row.target), undefined);
    assert.equal(isMet(row, undefined), undefined);
  });
});

describe("the table", () => {
  it("has a row's figures, its floor, its range and its targets", () => {
    const lines = formatTable({ rows: [row] }).split("\n");
    assert.match(lines[0] ?? "", /median.*floor.*against its floor.*target.*and/);
    assert.equal(lines[2], "WARM INVOCATIONS");
    assert.match(
      lines[3] ?? "",
      /^1 client, p50 +0\.40 ms \(0\.30 ms – 0\.50 ms\) +0\.10 ms echo +4\.00× \(3\.00× – 5\.00×\) +≤ 4\.00× met +≤ 2\.00× MISSED$/,
    );
  });

  it("says it when a target is not met", () => {
    const missed = formatTable({ rows: [{ ...row, target: { of: "value", limit: 0.2, want: "at most" } }] });
    assert.match(missed, /≤ 0\.20 ms MISSED/);
  });

  it("names a group once, and has notes below their rows", () => {
    const text = formatTable({ rows: [row, { ...row, note: "of a busy machine" }] });
    assert.equal(text.split("WARM INVOCATIONS").length, 2);
    assert.ok(text.endsWith("\n    of a busy machine"));
  });

  it("leaves out the range of a single figure", () =>
    assert.doesNotMatch(
      formatTable({ rows: [{ ...row, value: summarise([1]), ratio: summarise([10]) }] }),
      /\d.* – /,
    ));
});

describe("figures", () => {
  it("have three digits that count", () => {
    assert.equal(formatFigure(0.1234, "ms"), "0.12 ms");
    assert.equal(formatFigure(12.34, "MB"), "12.3 MB");
    assert.equal(formatFigure(12345, "/s"), "12,345/s");
    assert.equal(formatFigure(2.5, "×"), "2.50×");
  });
});
