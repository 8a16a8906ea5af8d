/** What a policy gains for what it costs, as curves over its one knob. */
import type { Curve } from "./report.ts";
import { COLOURS, LEFT, line, PLOT_HEIGHT, PLOT_WIDTH, text } from "./svg-shapes.ts";

/** Height of the whole drawing. */
export const CURVES_HEIGHT = PLOT_HEIGHT + 130;

/** From `top` downwards; nothing without curves. Costs are on a logarithmic scale. */
export function drawCurves(curves: readonly Curve[], top: number): string[] {
  const points = curves.flatMap((curve) => curve.points);
  if (points.length === 0) return [];
  const costs = points.map(({ cost }) => Math.log2(cost));
  const [from, to] = [Math.floor(Math.min(...costs)), Math.ceil(Math.max(...costs) + 0.01)];
  const highest = Math.max(...points.map(({ coldPercent }) => coldPercent), 1);
  const plotTop = top + 50;
  const x = (cost: number) => LEFT + ((Math.log2(cost) - from) / (to - from)) * PLOT_WIDTH;
  const y = (percent: number) => plotTop + PLOT_HEIGHT * (1 - percent / highest);
  const lines = [
    text(
      LEFT,
      top + 24,
      "Cold starts, % of invocations, for the memory-time of idle environments (× ten minutes for all)",
      15,
    ),
  ];
  for (let power = from; power <= to; power += 1)
    lines.push(
      line(x(2 ** power), plotTop, x(2 ** power), plotTop + PLOT_HEIGHT),
      text(x(2 ** power) - 10, plotTop + PLOT_HEIGHT + 18, `${2 ** power}×`),
    );
  for (const share of [0, 0.25, 0.5, 0.75, 1])
    lines.push(
      line(LEFT, y(share * highest), LEFT + PLOT_WIDTH, y(share * highest)),
      text(LEFT - 48, y(share * highest) + 4, `${(share * highest).toFixed(1)} %`),
    );
  for (const [index, { name, isFloor, points: own }] of curves.entries()) {
    const colour = COLOURS[index % COLOURS.length] ?? "black";
    const dash = isFloor ? ' stroke-dasharray="5 4"' : "";
    const places = own.map(({ cost, coldPercent }) => `${x(cost).toFixed(1)},${y(coldPercent).toFixed(1)}`);
    lines.push(
      `<polyline fill="none" stroke="${colour}" stroke-width="2"${dash} points="${places.join(" ")}"/>`,
      ...own.map(({ cost, coldPercent }) => {
        const centre = `cx="${x(cost).toFixed(1)}" cy="${y(coldPercent).toFixed(1)}"`;
        return `<circle ${centre} r="3" fill="${colour}"/>`;
      }),
      text(
        LEFT + 20 + index * 380,
        plotTop + PLOT_HEIGHT + 44,
        `${isFloor ? "- -" : "—"} ${name}`,
        12,
        colour,
      ),
    );
  }
  return lines;
}
