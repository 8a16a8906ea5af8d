/** The picture of a run: how latencies are distributed beside their floors, and where a cold start spends its time. */
import type { Curve, Distribution, Waterfall } from "./report.ts";
import { CURVES_HEIGHT, drawCurves } from "./svg-curves.ts";
import { COLOURS, escape, LEFT, line, PLOT_HEIGHT, PLOT_WIDTH, RIGHT, text, WIDTH } from "./svg-shapes.ts";

const TOP = 50;
const BAR_HEIGHT = 22;
const BAR_GAP = 26;

/** A whole SVG document. */
export function drawSvg(
  distributions: readonly Distribution[],
  waterfalls: readonly Waterfall[],
  curves: readonly Curve[] = [],
): string {
  const waterfallTop = TOP + PLOT_HEIGHT + 60 + 20 * Math.ceil(distributions.length / 2);
  const curvesTop = waterfallTop + 50 + waterfalls.length * (BAR_HEIGHT + BAR_GAP) + 30;
  const height = curvesTop + (curves.length > 0 ? CURVES_HEIGHT : 0);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="12">`,
    `<rect width="${WIDTH}" height="${height}" fill="white"/>`,
    ...(distributions.length > 0 ? drawDistributions(distributions) : []),
    ...(waterfalls.length > 0 ? drawWaterfalls(waterfalls, waterfallTop) : []),
    ...drawCurves(curves, curvesTop),
    "</svg>",
    "",
  ].join("\n");
}

function drawDistributions(distributions: readonly Distribution[]): string[] {
  const all = distributions
    .flatMap(({ percentilesMs }) => percentilesMs.slice(0, 100))
    .filter((ms) => ms > 0);
  const from = Math.floor(Math.log10(Math.min(...all)));
  const to = Math.max(from + 1, Math.ceil(Math.log10(Math.max(...all))));
  const x = (ms: number) => LEFT + ((Math.log10(Math.max(ms, 10 ** from)) - from) / (to - from)) * PLOT_WIDTH;
  const y = (percent: number) => TOP + PLOT_HEIGHT * (1 - percent / 100);
  const lines = [text(LEFT, 24, "Share of requests answered within a time (dashed: the floor)", 15)];
  for (let power = from; power <= to; power += 1) {
    const at = x(10 ** power);
    lines.push(
      line(at, TOP, at, TOP + PLOT_HEIGHT),
      text(power === to ? at - 44 : at - 14, TOP + PLOT_HEIGHT + 18, `${10 ** power} ms`),
    );
  }
  for (const percent of [0, 50, 90, 99])
    lines.push(
      line(LEFT, y(percent), WIDTH - RIGHT, y(percent)),
      text(LEFT - 42, y(percent) + (percent === 99 ? -2 : 4), `${percent} %`),
    );
  for (const [index, { name, isFloor, percentilesMs }] of distributions.entries()) {
    const colour = COLOURS[Math.floor(index / 2) % COLOURS.length] ?? "black";
    const dash = isFloor ? ' stroke-dasharray="5 4"' : "";
    // The slowest of all is left out: one hiccup of the machine would be the whole picture.
    const points = percentilesMs
      .slice(0, 100)
      .map((ms, percent) => `${x(ms).toFixed(1)},${y(percent).toFixed(1)}`);
    lines.push(
      `<polyline fill="none" stroke="${colour}" stroke-width="2"${dash} points="${points.join(" ")}"/>`,
    );
    const [left, top] = [LEFT + (index % 2) * 420, TOP + PLOT_HEIGHT + 44 + 20 * Math.floor(index / 2)];
    lines.push(
      `<line x1="${left}" y1="${top - 4}" x2="${left + 26}" y2="${top - 4}" stroke="${colour}" stroke-width="2"${dash}/>`,
      text(left + 32, top, name),
    );
  }
  return lines;
}

function drawWaterfalls(waterfalls: readonly Waterfall[], top: number): string[] {
  const endMs = Math.max(...waterfalls.flatMap(({ parts }) => parts.map((part) => part.endMs)), 1);
  const x = (ms: number) => LEFT + (Math.max(0, ms) / endMs) * PLOT_WIDTH;
  const lines = [
    text(LEFT, top + 20, "Where a cold start spends its time (medians, milliseconds from the request)", 15),
  ];
  for (const [index, { name, parts }] of waterfalls.entries()) {
    const barTop = top + 50 + index * (BAR_HEIGHT + BAR_GAP);
    const total = Math.max(0, ...parts.map((part) => part.endMs));
    const told: string[] = [];
    let fromMs = 0;
    for (const [at, part] of parts.entries()) {
      const [left, right] = [x(fromMs), x(part.endMs)];
      const colour = COLOURS[at % COLOURS.length] ?? "black";
      const label = `${part.name} ${Math.max(0, part.endMs - fromMs).toFixed(1)}`;
      lines.push(
        `<rect x="${left.toFixed(1)}" y="${barTop}" width="${Math.max(0, right - left).toFixed(1)}" height="${BAR_HEIGHT}" fill="${colour}">` +
          `<title>${escape(`${label} ms`)}</title></rect>`,
      );
      told.push(`<tspan fill="${colour}">${escape(label)}</tspan>`);
      fromMs = Math.max(fromMs, part.endMs);
    }
    // Short parts have no room for words of their own: all of them stand above the bar, in its colours.
    lines.push(
      `<text x="${LEFT}" y="${barTop - 5}"><tspan font-weight="bold">${escape(name)}</tspan> ${total.toFixed(1)} ms: ${told.join(" · ")}</text>`,
    );
  }
  return lines;
}
