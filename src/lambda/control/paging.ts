/** Pages of a list: Marker and NextMarker, MaxItems. */
import { invalidParameterValue } from "../../errors.ts";

/** Most items of a page; a larger MaxItems is taken and answered with this many, as on AWS [ListFunctions API]. */
const PAGE_ITEMS_MAX = 50;

/**
 * The page after `Marker`. `items` are in ascending order of `keyOf`; a marker names the last key that was told, so that
 * items which come or go between two pages neither repeat nor hide others.
 */
export function page<T>(
  items: readonly T[],
  keyOf: (item: T) => string,
  input: { readonly Marker?: string | undefined; readonly MaxItems?: number | undefined },
): { items: T[]; nextMarker: string | undefined } {
  const start = input.Marker === undefined ? 0 : firstAfter(items, keyOf, decodeMarker(input.Marker));
  const end = start + Math.min(input.MaxItems ?? PAGE_ITEMS_MAX, PAGE_ITEMS_MAX);
  const last = items[end - 1];
  const more = end < items.length && last !== undefined;
  return { items: items.slice(start, end), nextMarker: more ? encodeMarker(keyOf(last)) : undefined };
}

function firstAfter<T>(items: readonly T[], keyOf: (item: T) => string, key: string): number {
  let low = 0;
  let high = items.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const item = items[middle];
    if (item !== undefined && keyOf(item) <= key) low = middle + 1;
    else high = middle;
  }
  return low;
}

function encodeMarker(key: string): string {
  return Buffer.from(JSON.stringify({ after: key })).toString("base64url");
}

function decodeMarker(marker: string): string {
  try {
    const { after } = JSON.parse(Buffer.from(marker, "base64url").toString()) as { after?: unknown };
    if (typeof after === "string") return after;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  throw invalidParameterValue("The provided marker is invalid.");
}
