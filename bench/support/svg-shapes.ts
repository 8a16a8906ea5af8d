/** What every picture is drawn with. */

export const WIDTH = 900;
export const LEFT = 70;
export const RIGHT = 30;
export const PLOT_WIDTH = WIDTH - LEFT - RIGHT;
export const PLOT_HEIGHT = 260;
/** Okabe and Ito's palette: told apart without colour vision too. */
export const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];

/** A line of a grid. */
export function line(x1: number, y1: number, x2: number, y2: number): string {
  return `<line x1="${x1.toFixed(1)}" y1="${y1.toFixed(1)}" x2="${x2.toFixed(1)}" y2="${y2.toFixed(1)}" stroke="#dddddd"/>`;
}

export function text(x: number, y: number, content: string, size = 12, fill = "#222222"): string {
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" font-size="${size}" fill="${fill}">${escape(content)}</text>`;
}

export function escape(content: string): string {
  return content.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
