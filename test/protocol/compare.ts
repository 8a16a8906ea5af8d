/** Bodies compared by what they mean, not by their bytes. */
import assert from "node:assert/strict";
import { parseXml, XmlElement, XmlText } from "@rgrove/parse-xml";
import { decodeCbor } from "../../src/wire/codecs/cbor.ts";
import type { WireResponse } from "../../src/wire/protocol.ts";

interface XmlTree {
  readonly name: string;
  readonly attributes: Record<string, string>;
  /** The order of elements with different names does not matter, and cannot in Smithy's structures. */
  readonly content: string | XmlTree[];
}

function xmlTree(element: XmlElement): XmlTree {
  const elements = element.children.filter((child): child is XmlElement => child instanceof XmlElement);
  const texts = element.children.filter((child): child is XmlText => child instanceof XmlText);
  return {
    name: element.name,
    attributes: { ...element.attributes },
    content:
      elements.length === 0
        ? texts.map((text) => text.text).join("")
        : elements.map(xmlTree).toSorted((a, b) => a.name.localeCompare(b.name)),
  };
}

function xmlOf(text: string): XmlTree | undefined {
  const { root } = parseXml(text);
  return root === null ? undefined : xmlTree(root);
}

export function assertSameBody(
  actual: WireResponse["body"],
  expected: string,
  mediaType: string | undefined,
): void {
  assert(Buffer.isBuffer(actual), "the body is bytes, not a stream");
  const text = actual.toString("utf8");
  if (mediaType === "application/cbor") {
    const wanted = Buffer.from(expected, "base64");
    assert.deepEqual(actual.length && decodeCbor(actual), wanted.length && decodeCbor(wanted));
  } else if (expected === "" || mediaType === undefined) {
    assert.equal(text, expected);
  } else if (mediaType === "application/json") {
    assert.deepEqual(JSON.parse(text), JSON.parse(expected));
  } else if (mediaType.endsWith("/xml")) {
    assert.deepEqual(xmlOf(text), xmlOf(expected));
  } else {
    assert.equal(text, expected);
  }
}
