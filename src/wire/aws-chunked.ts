/**
 * The aws-chunked content coding: a body in pieces, each with a signature that chains to the one before, and trailers
 * (checksums) at the end. `x-amz-content-sha256` says which kind:
 *
 *   STREAMING-AWS4-HMAC-SHA256-PAYLOAD           hex-size;chunk-signature=HEX CRLF data CRLF … 0;chunk-signature=HEX CRLF CRLF
 *   STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER   the same; then name:value lines and x-amz-trailer-signature:HEX
 *   STREAMING-UNSIGNED-PAYLOAD-TRAILER           hex-size CRLF data CRLF … 0 CRLF, then name:value lines
 */
import { hash } from "node:crypto";
import { AwsError } from "../errors.ts";
import type { SigningKey } from "./signing-key.ts";

const SIGNED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";
const SIGNED_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER";
const UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";
const EMPTY_SHA256 = hash("sha256", "", "hex");
/** A chunk's first line: 16 digits of size and a signature are far below it. */
const CHUNK_LINE_BYTES_MAX = 256;
const CHUNK_LINE = /^([0-9A-Fa-f]{1,15})(?:;chunk-signature=([0-9a-f]{64}))?$/;

export interface ChunkSigner {
  readonly key: SigningKey;
  /** The request's date, in ISO 8601's basic format. */
  readonly date: string;
  /** `20261123/us-east-1/s3/aws4_request` */
  readonly scope: string;
  /** The signature of the head: the first link of the chain. */
  readonly seed: string;
  /** The error of a signature that does not match. */
  readonly fail: () => AwsError;
}

export interface DecodedContent {
  readonly body: Buffer;
  /** The headers that the request would have had without the coding, announced trailers included. */
  readonly headers: Record<string, string>;
}

/** Whether a body is coded so. */
export function isAwsChunked(headers: Readonly<Record<string, string>>): boolean {
  return headers["x-amz-content-sha256"]?.startsWith("STREAMING-") ?? false;
}

/**
 * Decodes a whole body. Without a signer (`--auth none`, anonymous requests) signatures are passed over.
 * Throws AwsError: IncompleteBody for what is cut or malformed, NotImplemented for other kinds, `signer.fail()`.
 */
export function decodeAwsChunked(
  headers: Readonly<Record<string, string>>,
  body: Buffer,
  signer: ChunkSigner | undefined,
): DecodedContent {
  const kind = headers["x-amz-content-sha256"];
  if (kind !== SIGNED && kind !== SIGNED_TRAILER && kind !== UNSIGNED_TRAILER) {
    throw new AwsError("NotImplemented", `The content coding ${kind} is not supported.`, { status: 501 });
  }
  const chain = signer && kind !== UNSIGNED_TRAILER ? new SignatureChain(signer) : undefined;
  const { chunks, end } = readChunks(body, chain);
  const decoded = chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks);
  const declared = headers["x-amz-decoded-content-length"];
  if (declared !== undefined && Number(declared) !== decoded.length) throw incompleteBody();
  const trailers =
    kind === SIGNED ? {} : readTrailers(body.toString("latin1", end), chain, kind === SIGNED_TRAILER);
  return { body: decoded, headers: plainHeaders(headers, trailers, decoded.length) };
}

/** Each signature covers the one before it, so that chunks cannot be left out, repeated or moved. */
class SignatureChain {
  readonly #signer: ChunkSigner;
  #previous: string;

  constructor(signer: ChunkSigner) {
    this.#signer = signer;
    this.#previous = signer.seed;
  }

  check(algorithm: string, digests: string, signature: string | undefined): void {
    const { key, date, scope } = this.#signer;
    const expected = key.sign(`${algorithm}\n${date}\n${scope}\n${this.#previous}\n${digests}`);
    // Whoever can time this comparison has a head with a valid signature already: it gives nothing away.
    if (signature !== expected) throw this.#signer.fail();
    this.#previous = expected;
  }
}

function readChunks(body: Buffer, chain: SignatureChain | undefined): { chunks: Buffer[]; end: number } {
  const chunks: Buffer[] = [];
  let at = 0;
  for (;;) {
    const lineEnd = body.indexOf("\r\n", at);
    if (lineEnd < 0 || lineEnd - at > CHUNK_LINE_BYTES_MAX) throw incompleteBody();
    const line = CHUNK_LINE.exec(body.toString("latin1", at, lineEnd));
    if (!line) throw incompleteBody();
    const size = Number.parseInt(line[1] ?? "", 16);
    at = lineEnd + 2;
    const chunk = body.subarray(at, at + size);
    if (chunk.length < size) throw incompleteBody();
    chain?.check("AWS4-HMAC-SHA256-PAYLOAD", `${EMPTY_SHA256}\n${hash("sha256", chunk, "hex")}`, line[2]);
    if (size === 0) return { chunks, end: at };
    chunks.push(chunk);
    at += size;
    if (body[at] !== 0x0d || body[at + 1] !== 0x0a) throw incompleteBody();
    at += 2;
  }
}

function readTrailers(
  text: string,
  chain: SignatureChain | undefined,
  signed: boolean,
): Record<string, string> {
  const trailers: Record<string, string> = {};
  let canonical = "";
  let signature: string | undefined;
  for (const line of text.split(/\r?\n/)) {
    if (line === "") continue;
    const colon = line.indexOf(":");
    if (colon < 0) throw incompleteBody();
    const name = line.slice(0, colon).trim().toLowerCase();
    const value = line.slice(colon + 1).trim();
    if (name === "x-amz-trailer-signature") {
      signature = value;
      continue;
    }
    trailers[name] = value;
    canonical += `${name}:${value}\n`;
  }
  if (signed) chain?.check("AWS4-HMAC-SHA256-TRAILER", hash("sha256", canonical, "hex"), signature);
  return trailers;
}

function plainHeaders(
  headers: Readonly<Record<string, string>>,
  trailers: Readonly<Record<string, string>>,
  length: number,
): Record<string, string> {
  const plain: Record<string, string> = { ...headers, "content-length": String(length) };
  const codings = (headers["content-encoding"] ?? "").split(",").map((coding) => coding.trim());
  const others = codings.filter((coding) => coding !== "" && coding !== "aws-chunked").join(",");
  if (others === "") delete plain["content-encoding"];
  else plain["content-encoding"] = others;
  // Only what the head announced, and so signed: a trailer must not be able to set any other header.
  for (const announced of (headers["x-amz-trailer"] ?? "").toLowerCase().split(",")) {
    const value = trailers[announced.trim()];
    if (value !== undefined) plain[announced.trim()] = value;
  }
  return plain;
}

function incompleteBody(): AwsError {
  return new AwsError(
    "IncompleteBody",
    "The request body terminated unexpectedly or its chunks are malformed.",
  );
}
