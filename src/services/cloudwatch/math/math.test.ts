/**
 * Goal: metric math gives what its documentation says, refuses what is malformed, and stays within its bounds whatever it is fed.
 * Method: the documented examples and small series whose results are reckoned by hand; random expressions and series, against
 * the same operators of JavaScript and the laws that each function must keep.
 */
import assert from "node:assert/strict";
import { describe, it, test } from "node:test";
import * as fc from "fast-check";
import { Evaluation } from "./evaluate.ts";
import { parseMath } from "./parse.ts";
import { MathError } from "./syntax.ts";
import { Budget, type Series, type Value } from "./values.ts";

const PERIOD_S = 60;
/** Monday, 2023-11-13 at 00:00 UTC. */
const START_S = 1_699_833_600;

/** Values of consecutive minutes; null where there is none. */
type Row = readonly (number | null)[];

function seriesOf(row: Row, label = ""): Series {
  const points = row.flatMap((value, at) =>
    value === null ? [] : [[START_S + at * PERIOD_S, value] as const],
  );
  return { kind: "series", label, periodS: PERIOD_S, points: new Map(points) };
}

function evaluate(text: string, metrics: Readonly<Record<string, Row>> = {}, points = 1e6): Value {
  const length = Math.max(0, ...Object.values(metrics).map((row) => row.length));
  const evaluation = new Evaluation({
    grid: () => ({ startS: START_S, endS: START_S + length * PERIOD_S }),
    metrics: new Map(Object.entries(metrics).map(([id, row]) => [id, seriesOf(row, id)])),
    expressions: new Map([["e", { expression: parseMath(text), periodS: PERIOD_S }]]),
    search: () => [],
    budget: new Budget(points),
  });
  return evaluation.of("e");
}

const rowOf = ({ points }: Series, length: number): Row =>
  Array.from({ length }, (_, at) => points.get(START_S + at * PERIOD_S) ?? null);

/** A number, a row of each minute, or rows. */
function result(text: string, metrics: Readonly<Record<string, Row>> = {}): number | Row | Row[] {
  const value = evaluate(text, metrics);
  const length = Math.max(0, ...Object.values(metrics).map((row) => row.length));
  if (value.kind === "scalar") return value.value;
  return value.kind === "series" ? rowOf(value, length) : value.series.map((series) => rowOf(series, length));
}

const A: Row = [30, 20, 0, 0];
const B: Row = [20, null, 20, null];

test("expressions that need each other in a long chain are refused, and a long one is not", () => {
  const chain = (count: number, text: (before: string) => string) =>
    new Evaluation({
      grid: () => ({ startS: 0, endS: 0 }),
      metrics: new Map([["e0", seriesOf(A)]]),
      expressions: new Map(
        Array.from({ length: count }, (_, at) => [
          `e${at + 1}`,
          { expression: parseMath(text(`e${at}`)), periodS: PERIOD_S },
        ]),
      ),
      search: () => [],
      budget: new Budget(1e6),
    }).of(`e${count}`);
  for (const text of [
    (before: string) => `${before}${"+1".repeat(500)}`,
    (before: string) => `${"ABS(".repeat(60)}${before}${")".repeat(60)}`,
  ]) {
    assert.equal(chain(1, text).kind, "series");
    assert.throws(
      () => chain(500, text),
      (error) => error instanceof MathError && /nested too deeply/.test(error.message),
    );
  }
  assert.equal(chain(400, (before) => `${before} + 1`).kind, "series");
});

describe("operators", () => {
  for (const [text, expected] of [
    // The table of the user's guide.
    ["a < b", [0, 0, 1, 0]],
    ["a >= 30", [1, 0, 0, 0]],
    ["a > 15 AND b > 15", [1, 0, 0, 0]],
    ["a > 15 && b > 15 || b == 20", [1, 0, 1, 0]],
    ["a + b", [50, 20, 20, 0]],
    ["b - a", [-10, -20, 20, 0]],
    ["a / b", [1.5, null, 0, null]],
    ["-a * 2", [-60, -40, -0, -0]],
    ["100 / a", [100 / 30, 5, null, null]],
    [
      "[a, b] * 2",
      [
        [60, 40, 0, 0],
        [40, null, 40, null],
      ],
    ],
    [
      "[a, b] / a",
      [
        [1, 1, null, null],
        [20 / 30, 0, null, null],
      ],
    ],
    ["2 - [a]", [[-28, -18, 2, 2]]],
    ["2 ^ 3 ^ 2", 512],
    ["-2 ^ 2", -4],
    ["2 ^ -1", 0.5],
    ["2 + 3 * 4 - 6 / 2", 11],
    ["(2 + 3) * 4", 20],
    ["1 < 2 == 1", 1],
    [".5e1 + 1.", 6],
  ] as const)
    it(text, () => assert.deepEqual(result(text, { a: A, b: B }), expected));
});

describe("functions", () => {
  const c: Row = [1, null, 3, null, null, 9];
  const d: Row = [4, 5, null, null, -8, 0.5];
  for (const [text, expected] of [
    ["ABS(d)", [4, 5, null, null, 8, 0.5]],
    ["CEIL(d)", [4, 5, null, null, -8, 1]],
    ["FLOOR([d])", [[4, 5, null, null, -8, 0]]],
    ["LOG10(d * 10 - 30)", [1, Math.log10(20), null, null, null, null]],
    ["LOG(EXP(c))", [1, null, 3, null, null, 9]],
    ["AVG(c)", 13 / 3],
    ["SUM(c)", 13],
    ["MIN(d)", -8],
    ["MAX(d)", 5],
    ["STDDEV(c - c + 4)", 0],
    ["DATAPOINT_COUNT(c)", 3],
    ["SUM([c, d])", [5, 5, 3, null, -8, 9.5]],
    ["AVG([c, d])", [2.5, 2.5, 1.5, null, -4, 4.75]],
    ["MIN([c, d])", [1, 5, 3, null, -8, 0.5]],
    ["DATAPOINT_COUNT([c, d])", [2, 1, 1, null, 1, 2]],
    ["STDDEV([c, d])", [1.5, 0, 0, null, 0, 4.25]],
    ["c - AVG(c)", [1 - 13 / 3, null, 3 - 13 / 3, null, null, 9 - 13 / 3]],
    ["DIFF(c)", [null, null, 2, null, null, 6]],
    ["DIFF_TIME(c)", [null, null, 120, null, null, 180]],
    ["RATE(c) * 60", [null, null, 1, null, null, 2]],
    ["RUNNING_SUM(c)", [1, null, 4, null, null, 13]],
    ["FILL(c, 0)", [1, 0, 3, 0, 0, 9]],
    ["FILL(c, MIN(c))", [1, 1, 3, 1, 1, 9]],
    ["FILL(c, REPEAT)", [1, 1, 3, 3, 3, 9]],
    ["FILL(c, LINEAR)", [1, 2, 3, 5, 7, 9]],
    ["FILL(c, d)", [1, 5, 3, null, -8, 9]],
    ["FILL(DIFF(c), LINEAR)", [null, null, 2, 2 + 4 / 3, 2 + 8 / 3, 6]],
    ["FILL([c], 7)", [[1, 7, 3, 7, 7, 9]]],
    ["METRIC_COUNT(METRICS())", 2],
    ['METRICS("c")', [[1, null, 3, null, null, 9]]],
    ["SUM([METRICS('c'), METRICS('d')])", [5, 5, 3, null, -8, 9.5]],
    ["PERIOD(c)", 60],
    ["TIME_SERIES(5)", [5, 5, 5, 5, 5, 5]],
    ["MINUTE(c)", [0, 1, 2, 3, 4, 5]],
    ["DAY(c) * 100 + DATE(c)", [113, 113, 113, 113, 113, 113]],
    ["YEAR(c) * 100 + MONTH(c) + HOUR(c)", [202311, 202311, 202311, 202311, 202311, 202311]],
    ["EPOCH(c) - 1699833600", [0, 60, 120, 180, 240, 300]],
    ["FIRST(SORT([c, d], AVG, ASC))", [4, 5, null, null, -8, 0.5]],
    ["LAST(SORT([c, d], SUM, ASC))", [1, null, 3, null, null, 9]],
    ["SORT([c, d, c * 2], MAX, DESC, 1)", [[2, null, 6, null, null, 18]]],
    ["SLICE(SORT([c, d, c * 2], MAX, DESC), 1)", [c, d]],
    ["SLICE([c, d, c], 1, 2)", [d]],
    ["METRIC_COUNT(REMOVE_EMPTY([c, c / 0]))", 1],
  ] as const)
    it(text, () => assert.deepEqual(result(text, { c, d }), expected));
});

test("IF does as the tables of the user's guide", () => {
  const one: Row = [1, 1, 0, 0, null];
  const two: Row = [30, null, 0, 0, 30];
  const three: Row = [0, 0, 20, null, 20];
  const metrics = { one, two, three };
  assert.deepEqual(result("IF(one, two, three)", metrics), [30, 0, 20, null, null]);
  assert.deepEqual(result("IF(one, 5, three)", metrics), [5, 5, 20, null, null]);
  assert.deepEqual(result("IF(one, two, 5)", metrics), [30, 0, 5, 5, null]);
  assert.deepEqual(result("IF(one > 0, 10, 2)", metrics), [10, 10, 2, 2, null]);
  assert.deepEqual(result("IF(three < 10, three)", metrics), [0, 0, null, null, null]);
  assert.deepEqual(result("IF(1, two, three)", metrics), two);
  assert.deepEqual(result("IF(0, two, three)", metrics), three);
  assert.deepEqual(result("IF(0, two)", metrics), [null, null, null, null, null]);
});

test("mistakes are told", () => {
  const metrics = { a: A, b: B };
  for (const [text, message] of [
    ["", /Unexpected end/],
    ["a +", /Unexpected end/],
    ["a b", /Unexpected 'b' at position 3/],
    ["a constructor b", /Unexpected 'constructor' at position 3/],
    ["(a", /Unexpected end/],
    ["a # b", /Unexpected character '#' at position 3/],
    ["a + 'b", /Unexpected character/],
    ["unknown", /Unknown identifier unknown/],
    ["NONSENSE(a)", /Unknown function NONSENSE/],
    ["ANOMALY_DETECTION_BAND(a)", /ANOMALY_DETECTION_BAND is not supported/],
    ["constructor(a)", /Unexpected '\('/],
    ["TO_STRING", /Unknown word TO_STRING/],
    ["[a] + [b]", /Unsupported operand type\(s\) for \+: '\[Array\[TimeSeries\], Array\[TimeSeries\]\]'/],
    ["[a] < 1", /for <: '\[Array\[TimeSeries\], Scalar\]'/],
    ["[1, a]", /for \[\]/],
    ["ABS(1)", /for ABS: '\[Scalar\]'/],
    ["ABS(a, b)", /for ABS/],
    ["SUM()", /for SUM: '\[\]'/],
    ["SORT([a], MEDIAN, ASC)", /cannot sort by MEDIAN/],
    ["SORT([a], AVG, UP)", /ASC or DESC/],
    ["SLICE([a], 0.5)", /whole numbers/],
    ["FILL(a, SOMEHOW)", /for FILL/],
    ["PERIOD(a + b)", /for PERIOD/],
    ["METRICS(a)", /METRICS takes/],
    ["SEARCH(a, 'Sum', 60)", /SEARCH takes/],
    ["'text'", /has no place/],
    ["IF([a], 1, 2)", /for IF/],
    [`${"(".repeat(100)}1${")".repeat(100)}`, /nested too deeply/],
    [`1${"-".repeat(100)}1`, /nested too deeply/],
    ["1".repeat(2049), /longer than 2048/],
  ] as const)
    assert.throws(
      () => evaluate(text, metrics),
      (error) => error instanceof MathError && message.test(error.message),
      text,
    );
});

test("expressions that need each other are refused", () => {
  const evaluation = new Evaluation({
    grid: () => ({ startS: 0, endS: 0 }),
    metrics: new Map(),
    expressions: new Map(
      [
        ["x", "y + 1"],
        ["y", "-x"],
      ].map(([id = "", text = ""]) => [id, { expression: parseMath(text), periodS: 60 }] as const),
    ),
    search: () => [],
    budget: new Budget(100),
  });
  assert.throws(() => evaluation.of("x"), /The expressions x, y need each other/);
});

test("what an expression costs is bounded: points, and series of an array", () => {
  const row = Array.from({ length: 100 }, (_, at) => at);
  assert.throws(() => evaluate("a + a + a + a + a + a", { a: row }, 900), /too many data points/);
  // What is reckoned up costs too, although it makes nothing.
  for (const text of ["MAX(a)", "METRIC_COUNT(SORT([a], MAX, ASC))"])
    assert.throws(() => evaluate(Array(10).fill(text).join(" + "), { a: row }, 900), /too many data points/);
  const many = `[${Array.from({ length: 251 }, () => "[a,a]").join(",")}]`;
  assert.throws(() => evaluate(many, { a: [1] }), /more than 500 time series/);
});

describe("laws", () => {
  const value = fc.option(fc.integer({ min: -1000, max: 1000 }), { freq: 3 });
  const row = fc.array(value, { minLength: 1, maxLength: 30 });

  it("arithmetic on numbers is that of the numbers", () => {
    type Sum = { readonly text: string; readonly value: number };
    const calculate: Record<string, (a: number, b: number) => number> = {
      "+": (x, y) => x + y,
      "-": (x, y) => x - y,
      "*": (x, y) => x * y,
      "/": (x, y) => x / y,
      "<": (x, y) => Number(x < y),
      ">=": (x, y) => Number(x >= y),
    };
    const { sum } = fc.letrec<{ sum: Sum }>((tie) => ({
      sum: fc.oneof(
        { maxDepth: 5 },
        fc.integer({ min: 0, max: 99 }).map((value) => ({ text: String(value), value })),
        fc
          .tuple(tie("sum"), fc.constantFrom(...Object.keys(calculate)), tie("sum"))
          .map(([left, operator, right]) => ({
            text: `(${left.text} ${operator} ${right.text})`,
            // Of what is no number nothing can be told, not even that it is not less.
            value: Number.isNaN(left.value + right.value)
              ? Number.NaN
              : (calculate[operator]?.(left.value, right.value) ?? Number.NaN),
          })),
        tie("sum").map(({ text, value }) => ({ text: `(-${text})`, value: -value })),
      ),
    }));
    fc.assert(
      fc.property(sum, ({ text, value }) => {
        // Infinity - Infinity on the way is left out.
        fc.pre(Number.isFinite(value));
        assert.equal(result(text), value);
      }),
    );
  });

  it("functions keep what they must", () => {
    fc.assert(
      fc.property(row, row, (a, b) => {
        const metrics = { a, b };
        assert.deepEqual(result("a + b", metrics), result("SUM([b, a])", metrics));
        assert.deepEqual(result("SUM(DIFF(a))", metrics), (last(a) ?? 0) - (a.find((x) => x !== null) ?? 0));
        assert.deepEqual(result("FILL(FILL(a, 3), 4)", metrics), result("FILL(a, 3)", metrics));
        assert.deepEqual(
          result("REMOVE_EMPTY([a, b])", metrics),
          (result("[a, b]", metrics) as Row[]).filter((found) => found.some((x) => x !== null)),
        );
        assert.deepEqual(result("-(-a)", metrics), result("a + 0", metrics));
        const running = result("RUNNING_SUM(a)", metrics) as Row;
        assert.equal(last(running) ?? 0, result("SUM(a)", metrics));
      }),
    );
  });

  it("whatever the text is, it is parsed or refused with a MathError", () => {
    const soup = fc
      .array(
        fc.constantFrom(
          "a",
          "1",
          "(",
          ")",
          "[",
          "]",
          ",",
          "+",
          "-",
          "^",
          "AND",
          "SUM",
          "'x'",
          "<",
          " ",
          "IF",
          "é",
        ),
      )
      .map((parts) => parts.join(""));
    fc.assert(
      fc.property(fc.oneof(soup, fc.string()), (text) => {
        try {
          evaluate(text, { a: A });
        } catch (error) {
          assert.ok(error instanceof MathError, String(error));
        }
      }),
    );
  });
});

function last(row: Row): number | null | undefined {
  return row.findLast((value) => value !== null);
}
