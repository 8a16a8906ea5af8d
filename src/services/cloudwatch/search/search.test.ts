/**
 * Goal: SEARCH finds what its documentation says it finds.
 * Method: the examples of the user's guide, over metrics of the same names.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { MathError } from "../math/syntax.ts";
import type { Metric } from "../metrics/series.ts";
import { tokensOf } from "./names.ts";
import { parseSearch } from "./search.ts";

const metric = (namespace: string, name: string, dimensions: Record<string, string> = {}): Metric => ({
  namespace,
  name,
  dimensions: Object.entries(dimensions),
});

test("names are cut at case, digits and punctuation", () => {
  for (const [name, tokens] of [
    ["CustomCount1", ["Custom", "Count", "1"]],
    ["SDBFailure", ["SDB", "Failure"]],
    ["Project2-trial333", ["Project", "2", "trial", "333"]],
    ["couNT", ["cou", "NT"]],
  ] as const)
    assert.deepEqual(tokensOf(name), tokens);
});

test("terms are found in part or exactly", () => {
  const found = (term: string, name: string) => parseSearch(term)(metric("MyNamespace", name));
  for (const term of ["count", "Count", "COUNT", "CustomCount", "Count1", "customcount1", '"CustomCount1"'])
    assert.equal(found(term, "CustomCount1"), true, term);
  for (const term of ["couNT", "customcount", "count1", '"customcount1"', '"Custom"'])
    assert.equal(found(term, "CustomCount1"), false, term);
  for (const term of ["network/errors", "network+errors", "network-errors", "Network_Errors"])
    for (const name of ["Network-Errors-2", "NetworkErrors2"]) assert.equal(found(term, name), true, term);
  assert.equal(found('"Network_Errors_2"', "Network-Errors-2"), false);
  assert.equal(found('"Europe\\\\France Traffic\\(Network\\)"', "Europe\\France Traffic(Network)"), true);
});

test("schemas, properties and operators narrow a search", () => {
  const cpu = metric("AWS/EC2", "CPUUtilization", { InstanceId: "i-1234567890123456", Project: "ProjectA" });
  const other = metric("AWS/EC2", "CPUUtilization", { InstanceId: "i-99" });
  const errors = metric("AWS/Lambda", "Errors", { FunctionName: "f" });
  const calls = metric("AWS/Lambda", "Invocations", { FunctionName: "ProjectA-worker" });
  const own = metric("My Namespace", "Custom:Name[Special", { "Dimension@Name": "micro", Type: "t2.micro" });
  const all = [cpu, other, errors, calls, own];
  for (const [text, expected] of [
    ["{AWS/EC2,InstanceId} ", [other]],
    ["{AWS/EC2, InstanceId, Project}", [cpu]],
    [' {AWS/EC2,InstanceId} MetricName="CPUUtilization" ', [other]],
    ["NOT Namespace=AWS", [own]],
    ['MetricName="CPUUtilization" NOT i-1234567890123456', [other]],
    ['MetricName="CPUUtilization" NOT "ProjectA"', [other]],
    [
      '{AWS/Lambda,FunctionName} MetricName="Errors" OR (MetricName="Invocations" AND (ProjectA OR ProjectB))',
      [errors, calls],
    ],
    ["(EC2 OR Lambda) AND MetricName=Errors", [errors]],
    ["(EC2 OR Lambda) MetricName=Errors", [errors]],
    ["Type=micro", [own]],
    ['Type="t2.micro" Namespace="My Namespace"', [own]],
    ['{"My Namespace", "Dimension@Name", Type}, "Custom:Name[Special" ', [own]],
    ['MetricName=("Errors" OR "Invocations")', [errors, calls]],
    ['"CPUUtilization"', [cpu, other]],
  ] as const)
    assert.deepEqual(all.filter(parseSearch(text)), expected, text);
});

test("malformed searches are refused", () => {
  for (const text of [
    "",
    "  ",
    "{}",
    "{AWS/EC2",
    "(a",
    "a)",
    "NOT",
    "a OR",
    "=",
    "a=",
    '"open',
    "--",
    "x".repeat(1025),
  ])
    assert.throws(() => parseSearch(text), MathError, text);
  assert.throws(() => parseSearch(`${"(".repeat(50)}a${")".repeat(50)}`), /nested too deeply/);
  const parts = fc.constantFrom("a", "AND", "OR", "NOT", "(", ")", "=", '"', "{", "}", ",", " ", "\\");
  fc.assert(
    fc.property(fc.array(parts), (soup) => {
      try {
        parseSearch(soup.join(" "))(metric("n", "m"));
      } catch (error) {
        assert.ok(error instanceof MathError, String(error));
      }
    }),
  );
});
