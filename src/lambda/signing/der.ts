/** ASN.1 as signatures need it: reads BER with definite and indefinite lengths, writes DER. [X.690] */

/** One element. `content` of a constructed one is its children, encoded. */
export interface Element {
  /** The identifier octet: class, constructed bit and a number below 31. */
  readonly tag: number;
  readonly content: Uint8Array;
  /** Header, content and end, as they were read. */
  readonly whole: Uint8Array;
}

export const TAG = {
  integer: 0x02,
  octetString: 0x04,
  oid: 0x06,
  utf8String: 0x0c,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
  /** Constructed, context-specific 0. */
  context0: 0xa0,
} as const;

const CONSTRUCTED = 0x20;
const INDEFINITE = 0x80;
/** Deeper than any signature; an element without end marks nests once per level. */
const DEPTH_MAX = 16;

export class DerError extends Error {
  override readonly name = "DerError";
}

/** The one element that `bytes` are. Throws DerError. */
export function readElement(bytes: Uint8Array): Element {
  const { element, end } = readAt(bytes, 0, 0);
  if (end !== bytes.length) throw new DerError("there are bytes behind the element");
  return element;
}

/** The elements inside of a constructed one. Throws DerError. */
export function childrenOf(parent: Element): Element[] {
  if ((parent.tag & CONSTRUCTED) === 0) throw new DerError("a primitive element has no children");
  const children: Element[] = [];
  for (let at = 0; at < parent.content.length;) {
    const { element, end } = readAt(parent.content, at, 0);
    children.push(element);
    at = end;
  }
  return children;
}

/** Throws DerError when the element is missing or of another kind. */
export function expectTag(element: Element | undefined, tag: number): Element {
  if (element?.tag === tag) return element;
  throw new DerError(`expected tag ${tag.toString(16)}, got ${element?.tag.toString(16) ?? "nothing"}`);
}

function readAt(bytes: Uint8Array, start: number, depth: number): { element: Element; end: number } {
  const [tag, first] = [bytes[start], bytes[start + 1]];
  if (tag === undefined || first === undefined) throw new DerError("the bytes end inside of a header");
  if ((tag & 0x1f) === 0x1f) throw new DerError("tags of several bytes are not used here");
  if (first === INDEFINITE) return readIndefinite(bytes, start, tag, depth);
  let [length, begin] = [first, start + 2];
  if (first > INDEFINITE) {
    const digits = first & 0x7f;
    // Six bytes are more than memory has.
    if (digits > 6) throw new DerError("the length is too long");
    length = 0;
    for (let index = 0; index < digits; index += 1) length = length * 256 + (bytes[begin + index] ?? 0);
    begin += digits;
  }
  const end = begin + length;
  if (end > bytes.length) throw new DerError("the element is longer than its bytes");
  return {
    element: { tag, content: bytes.subarray(begin, end), whole: bytes.subarray(start, end) },
    end,
  };
}

/** Children until two zero bytes. */
function readIndefinite(
  bytes: Uint8Array,
  start: number,
  tag: number,
  depth: number,
): { element: Element; end: number } {
  if ((tag & CONSTRUCTED) === 0) throw new DerError("a primitive element has no indefinite length");
  if (depth === DEPTH_MAX) throw new DerError("elements nest too deeply");
  let at = start + 2;
  while (bytes[at] !== 0 || bytes[at + 1] !== 0) at = readAt(bytes, at, depth + 1).end;
  const end = at + 2;
  return {
    element: { tag, content: bytes.subarray(start + 2, at), whole: bytes.subarray(start, end) },
    end,
  };
}

/** An element of these parts, in DER. */
export function encode(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(parts);
  return Buffer.concat([Buffer.from([tag]), encodeLength(content.length), content]);
}

/** A SET OF: DER orders its elements by their encoding. */
export function encodeSet(tag: number, elements: readonly Uint8Array[]): Buffer {
  return encode(tag, ...elements.toSorted((one, other) => Buffer.compare(one, other)));
}

/** `encodeOid("1.2.840.113549")`. */
export function encodeOid(dotted: string): Buffer {
  const [first = 0n, second = 0n, ...rest] = dotted.split(".").map(BigInt);
  const octets: number[] = [];
  for (const arc of [first * 40n + second, ...rest]) {
    const digits = [Number(arc & 0x7fn)];
    for (let left = arc >> 7n; left > 0n; left >>= 7n) digits.unshift(Number(left & 0x7fn) | 0x80);
    octets.push(...digits);
  }
  return encode(TAG.oid, Buffer.from(octets));
}

function encodeLength(length: number): Buffer {
  if (length < 128) return Buffer.from([length]);
  const digits: number[] = [];
  for (let left = length; left > 0; left = Math.floor(left / 256)) digits.unshift(left % 256);
  return Buffer.from([0x80 | digits.length, ...digits]);
}

export function encodeGeneralizedTime(ms: number): Buffer {
  const text = `${new Date(ms).toISOString().slice(0, 19).replaceAll(/[-:T]/g, "")}Z`;
  return encode(TAG.generalizedTime, Buffer.from(text));
}

/** Milliseconds since the epoch of a UTCTime or GeneralizedTime in UTC, with or without a fraction. Throws DerError. */
export function readTime(element: Element): number {
  const text = Buffer.from(element.content).toString("latin1");
  const pattern = element.tag === TAG.utcTime ? /^(\d\d)(\d{10})()Z$/ : /^(\d{4})(\d{10})(\.\d{1,9})?Z$/;
  const isTime = element.tag === TAG.utcTime || element.tag === TAG.generalizedTime;
  const [, digits = "", rest = "", fraction = ""] = (isTime && pattern.exec(text)) || [];
  // Two digits: 1950 to 2049 [RFC 5652, 11.3].
  const year = digits.length === 2 ? `${Number(digits) < 50 ? "20" : "19"}${digits}` : digits;
  const [month, day, hour, minute, second] = rest.match(/\d\d/g) ?? [];
  const ms = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
  if (Number.isNaN(ms)) throw new DerError("not a time in UTC");
  return ms + Math.floor(Number(`0${fraction}`) * 1000);
}
