// Goal: the picture is a well-formed document that shows what it was given. Method: parse it, and look for its lines and bars.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseXml, XmlElement } from "@rgrove/parse-xml";
import { drawSvg } from "./svg.ts";

const percentilesMs = Array.from({ length: 101 }, (_, percent) => 0.1 + percent / 100);

function elements(svg: string, name: string): XmlElement[] {
  const { root } = parseXml(svg);
  assert.equal(root?.name, "svg");
  return root?.children.filter((child) => child instanceof XmlElement && child.name === name) as XmlElement[];
}

describe("the picture", () => {
  it("has a line for each distribution, dashed for a floor", () => {
    const svg = drawSvg(
      [
        { name: "1 client", isFloor: false, percentilesMs },
        { name: "1 client: echo", isFloor: true, percentilesMs },
      ],
      [],
    );
    const lines = elements(svg, "polyline");
    assert.equal(lines.length, 2);
    assert.deepEqual(
      lines.map(({ attributes }) => "stroke-dasharray" in attributes),
      [false, true],
    );
    for (const { attributes } of lines) assert.doesNotMatch(attributes["points"] ?? "", /NaN|Infinity/);
  });

  it("has bars as long as the parts of a start", () => {
    const parts = [
      { name: "sandbox", endMs: 30 },
      { name: "load", endMs: 40 },
    ];
    const bars = elements(drawSvg([], [{ name: "Node.js", parts }]), "rect").slice(1);
    const widths = bars.map(({ attributes }) => Number(attributes["width"]));
    assert.equal(widths.length, 2);
    assert.ok(Math.abs((widths[0] ?? 0) / (widths[1] ?? 0) - 3) < 0.01, `30 to 10 is ${widths.join(" to ")}`);
  });

  it("has a point for each setting of a policy, and those that cost the same below each other", () => {
    const curve = (name: string, isFloor: boolean, colds: readonly number[]) => ({
      ...{ name, isFloor },
      points: colds.map((coldPercent, index) => ({ cost: 2 ** (index - 1), coldPercent })),
    });
    const svg = drawSvg([], [], [curve("fixed", true, [20, 14, 9]), curve("auto", false, [8, 4, 3])]);
    const circles = elements(svg, "circle").map(({ attributes }) => attributes);
    assert.equal(circles.length, 6);
    for (let index = 0; index < 3; index += 1) {
      assert.equal(circles[index]?.["cx"], circles[index + 3]?.["cx"]);
      assert.ok(Number(circles[index]?.["cy"]) < Number(circles[index + 3]?.["cy"]));
    }
    assert.equal(elements(svg, "polyline").length, 2);
    assert.doesNotMatch(svg, /NaN|Infinity/);
  });

  it("is a document of text that needs no trust", () => {
    const svg = drawSvg([{ name: "<script>&", isFloor: false, percentilesMs }], []);
    assert.equal(elements(svg, "script").length, 0);
    assert.match(svg, /&lt;script&gt;&amp;/);
  });

  it("is whole without anything to show", () => assert.equal(elements(drawSvg([], []), "rect").length, 1));
});
