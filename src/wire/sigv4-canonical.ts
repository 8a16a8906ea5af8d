/**
 * The canonical forms of Signature Version 4: one spelling for all requests that mean the same. Text that needs no
 * rewriting, which is nearly all of it, is recognised by one regular expression and used as it is.
 */

/** Path or query text in which every byte stands for itself in the canonical form. */
const PLAIN_PATH = /^[A-Za-z0-9\-._~/]*$/;
const PLAIN_TEXT = /^[A-Za-z0-9\-._~]*$/;
/** Segments that normalising removes. */
const REDUNDANT_SEGMENTS = /\/\/|\/\.{1,2}(?:\/|$)/;
/** White space in a header's value that folding changes. ASCII only: 0xA0 is part of a letter in UTF-8. */
const UNFOLDED_SPACE = /^ | $| {2}|[\t\n\v\f\r]/;
const HEX_PAIR = /^[0-9A-Fa-f]{2}$/;

/**
 * The path as it is signed. S3 signs it as it came. All others sign the path with redundant segments removed
 * (`normalise`, which some signers leave out) and encoded once more.
 */
export function canonicalPath(path: string, options: { isS3: boolean; normalise: boolean }): string {
  if (options.isS3) return path;
  const normal = options.normalise && REDUNDANT_SEGMENTS.test(path) ? normalisePath(path) : path;
  return PLAIN_PATH.test(normal) ? normal : encodeBytes(normal, "/");
}

/** Parameters decoded, encoded by RFC 3986 and sorted by name, then value; `X-Amz-Signature` itself is not signed. */
export function canonicalQuery(query: string): string {
  if (query === "") return "";
  const pairs: [name: string, value: string][] = [];
  for (const part of query.split("&")) {
    if (part === "") continue;
    const equals = part.indexOf("=");
    const name = canonicalText(equals < 0 ? part : part.slice(0, equals));
    if (name === "X-Amz-Signature") continue;
    pairs.push([name, equals < 0 ? "" : canonicalText(part.slice(equals + 1))]);
  }
  // Not the joined text: "=" sorts after "-" and ".", which may stand in names.
  pairs.sort(([nameA, valueA], [nameB, valueB]) => compare(nameA, nameB) || compare(valueA, valueB));
  return pairs.map(([name, value]) => `${name}=${value}`).join("&");
}

/** `name:value` lines of the signed headers, in the order in which the signature lists them. */
export function canonicalHeaders(
  names: readonly string[],
  headers: Readonly<Record<string, string | undefined>>,
): string {
  let lines = "";
  for (const name of names) {
    const value = (name === ":authority" ? headers["host"] : headers[name]) ?? "";
    lines += `${name}:${UNFOLDED_SPACE.test(value) ? foldSpace(value) : value}\n`;
  }
  return lines;
}

function foldSpace(value: string): string {
  return value.replace(/[ \t\n\v\f\r]+/g, " ").replace(/^ | $/g, "");
}

/** Percent-decodes and encodes again, byte by byte; text that is not valid encoding stands for itself. */
function canonicalText(text: string): string {
  if (PLAIN_TEXT.test(text)) return text;
  let decoded = "";
  for (let at = 0; at < text.length; at += 1) {
    const char = text.charAt(at);
    const pair = char === "%" ? text.slice(at + 1, at + 3) : "";
    if (HEX_PAIR.test(pair)) {
      decoded += String.fromCharCode(Number.parseInt(pair, 16));
      at += 2;
    } else {
      decoded += char === "+" ? " " : char;
    }
  }
  return encodeBytes(decoded, "");
}

/** Every character is one byte here: Node reads the request line as Latin-1. */
function encodeBytes(bytes: string, keep: string): string {
  let encoded = "";
  for (const char of bytes) {
    if (char === keep || PLAIN_TEXT.test(char)) encoded += char;
    else encoded += `%${char.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return encoded;
}

/** RFC 3986 section 5.2.4, and empty segments go too. */
function normalisePath(path: string): string {
  const kept: string[] = [];
  for (const segment of path.split("/")) {
    if (segment === "" || segment === ".") continue;
    if (segment === "..") kept.pop();
    else kept.push(segment);
  }
  return `/${kept.join("/")}${kept.length > 0 && path.endsWith("/") ? "/" : ""}`;
}

function compare(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
