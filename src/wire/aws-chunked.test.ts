/**
 * Goal: bodies in aws-chunked coding are decoded byte for byte, their chain of signatures is checked, and no cut,
 * reordered or forged piece passes.
 * Method: an encoder written after AWS's description (signature-v4-streaming), with AWS's worked example as anchor for
 * both; properties over arbitrary bodies, splits and damages.
 */
import assert from "node:assert/strict";
import { hash } from "node:crypto";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import { AwsError } from "../errors.ts";
import { decodeAwsChunked, type ChunkSigner } from "./aws-chunked.ts";
import { deriveSigningKey } from "./signing-key.ts";

const SCOPE = { date: "20130524", region: "us-east-1", service: "s3" };
const SIGNER: ChunkSigner = {
  key: deriveSigningKey("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", SCOPE),
  date: "20130524T000000Z",
  scope: "20130524/us-east-1/s3/aws4_request",
  seed: "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
  fail: () => new AwsError("SignatureDoesNotMatch", "", { status: 403 }),
};
const SIGNED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";
const SIGNED_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER";
const UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";

function encode(
  pieces: readonly Buffer[],
  kind: string,
  trailers: Readonly<Record<string, string>> = {},
): Buffer[] {
  const signed = kind !== UNSIGNED_TRAILER;
  let previous = SIGNER.seed;
  const sign = (algorithm: string, digests: string) => {
    previous = SIGNER.key.sign(`${algorithm}\n${SIGNER.date}\n${SIGNER.scope}\n${previous}\n${digests}`);
    return previous;
  };
  const frames = [...pieces, Buffer.alloc(0)].map((piece) => {
    const digests = `${hash("sha256", "")}\n${hash("sha256", piece)}`;
    const extension = signed ? `;chunk-signature=${sign("AWS4-HMAC-SHA256-PAYLOAD", digests)}` : "";
    const line = Buffer.from(`${piece.length.toString(16)}${extension}\r\n`);
    return Buffer.concat(piece.length > 0 ? [line, piece, Buffer.from("\r\n")] : [line]);
  });
  const lines = Object.entries(trailers).map(([name, value]) => `${name}:${value}\n`);
  let tail = lines.map((line) => line.replace("\n", "\r\n")).join("");
  if (kind === SIGNED_TRAILER) {
    tail += `x-amz-trailer-signature:${sign("AWS4-HMAC-SHA256-TRAILER", hash("sha256", lines.join("")))}\r\n`;
  }
  return [...frames, Buffer.from(`${tail}\r\n`)];
}

function headersOf(
  kind: string,
  body: Buffer,
  trailers: Readonly<Record<string, string>> = {},
): Record<string, string> {
  return {
    "x-amz-content-sha256": kind,
    "x-amz-decoded-content-length": String(body.length),
    "x-amz-trailer": Object.keys(trailers).join(","),
    "content-encoding": "aws-chunked,gzip",
  };
}

const code = (act: () => unknown): string => {
  try {
    act();
    return "accepted";
  } catch (error) {
    assert(error instanceof AwsError, String(error));
    return error.code;
  }
};

/** No empty piece: that one ends the body. */
const anyPieces = fc
  .array(fc.uint8Array({ minLength: 1, maxLength: 40 }), { maxLength: 6 })
  .map((pieces) => pieces.map((piece) => Buffer.from(piece)));

describe("aws-chunked", () => {
  it("agrees with AWS's worked example: 65 KiB of the letter a in two chunks", () => {
    const pieces = [Buffer.alloc(65_536, "a"), Buffer.alloc(1024, "a")];
    const encoded = Buffer.concat(encode(pieces, SIGNED));
    const text = encoded.toString("latin1");
    assert.ok(text.includes("ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648"));
    assert.ok(text.includes("0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497"));
    assert.ok(text.includes("b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"));
    const { body } = decodeAwsChunked(headersOf(SIGNED, Buffer.concat(pieces)), encoded, SIGNER);
    assert.deepEqual(body, Buffer.concat(pieces));
  });

  for (const kind of [SIGNED, SIGNED_TRAILER, UNSIGNED_TRAILER]) {
    it(`gives back every body of ${kind}, with its headers as they were before the coding`, () => {
      const trailers: Record<string, string> = kind === SIGNED ? {} : { "x-amz-checksum-crc32": "AAAAAA==" };
      fc.assert(
        fc.property(anyPieces, fc.boolean(), (pieces, checked) => {
          const whole = Buffer.concat(pieces);
          const encoded = Buffer.concat(encode(pieces, kind, trailers));
          const decoded = decodeAwsChunked(
            headersOf(kind, whole, trailers),
            encoded,
            checked ? SIGNER : undefined,
          );
          assert.deepEqual(decoded.body, whole);
          assert.equal(decoded.headers["content-encoding"], "gzip");
          assert.equal(decoded.headers["content-length"], String(whole.length));
          assert.equal(decoded.headers["x-amz-checksum-crc32"], trailers["x-amz-checksum-crc32"]);
        }),
      );
    });

    it(`refuses ${kind} when it is cut anywhere before its last line`, () => {
      const pieces = [Buffer.from("hello"), Buffer.from("world")];
      const encoded = Buffer.concat(encode(pieces, kind));
      const end = encoded.lastIndexOf("\r\n0") + 3;
      for (let length = 0; length < end; length += 1) {
        const headers = headersOf(kind, Buffer.from("helloworld"));
        assert.notEqual(
          code(() => decodeAwsChunked(headers, encoded.subarray(0, length), SIGNER)),
          "accepted",
        );
      }
    });
  }

  it("refuses changed, repeated, dropped and swapped chunks", () => {
    const pieces = [Buffer.from("one"), Buffer.from("two"), Buffer.from("six")];
    const frames = encode(pieces, SIGNED);
    const [one, two, six, end, tail] = frames as [Buffer, Buffer, Buffer, Buffer, Buffer];
    const changed = Buffer.from(one);
    changed.write("ONE", changed.length - 5);
    const headers = headersOf(SIGNED, Buffer.alloc(9));
    delete headers["x-amz-decoded-content-length"];
    const attempt = (...parts: Buffer[]) =>
      code(() => decodeAwsChunked(headers, Buffer.concat(parts), SIGNER));
    assert.equal(attempt(one, two, six, end, tail), "accepted");
    assert.equal(attempt(changed, two, six, end, tail), "SignatureDoesNotMatch");
    assert.equal(attempt(one, one, two, six, end, tail), "SignatureDoesNotMatch");
    assert.equal(attempt(one, six, end, tail), "SignatureDoesNotMatch");
    assert.equal(attempt(two, one, six, end, tail), "SignatureDoesNotMatch");
    assert.equal(attempt(one, two, end, tail), "SignatureDoesNotMatch");
  });

  it("refuses changed trailers, and takes none that the head did not announce", () => {
    const trailers = { "x-amz-checksum-crc32": "AAAAAA==" };
    const whole = Buffer.from("data");
    const encoded = Buffer.concat(encode([whole], SIGNED_TRAILER, trailers)).toString("latin1");
    const forged = Buffer.from(encoded.replace("AAAAAA==", "BBBBBB=="), "latin1");
    const headers = headersOf(SIGNED_TRAILER, whole, trailers);
    assert.equal(
      code(() => decodeAwsChunked(headers, forged, SIGNER)),
      "SignatureDoesNotMatch",
    );
    const silent = { ...headers, "x-amz-trailer": "" };
    const decoded = decodeAwsChunked(silent, Buffer.from(encoded, "latin1"), SIGNER);
    assert.equal(decoded.headers["x-amz-checksum-crc32"], undefined);
  });

  it("refuses another length than declared, and kinds it does not know", () => {
    const encoded = Buffer.concat(encode([Buffer.from("data")], SIGNED));
    assert.equal(
      code(() => decodeAwsChunked(headersOf(SIGNED, Buffer.alloc(5)), encoded, SIGNER)),
      "IncompleteBody",
    );
    const headers = headersOf("STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", Buffer.alloc(4));
    assert.equal(
      code(() => decodeAwsChunked(headers, encoded, SIGNER)),
      "NotImplemented",
    );
  });
});
