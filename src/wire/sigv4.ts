/**
 * Verification of AWS Signature Version 4, as header and as presigned query.
 *
 * Two steps, so that nothing a stranger sends is collected: `begin` judges the head (complete? in time? known key?) before
 * the body is read, `Signed.verify` computes the signature with it. The checks come in the order of AWS's own servers.
 * On the hot path: the cost of one verification is two canonical strings, two hashes and one MAC; see signing-key.ts.
 */
import { hash, timingSafeEqual } from "node:crypto";
import type { Credential, CredentialSource } from "../iam/credentials.ts";
import type { Clock } from "../kernel/clock.ts";
import { S3_SIGNATURE_SKEW_MS_MAX, SIGNATURE_SKEW_MS_MAX } from "../limits.ts";
import type { ChunkSigner } from "./aws-chunked.ts";
import type { Match, WireRequest } from "./protocol.ts";
import { deriveSigningKey, type SigningKey } from "./signing-key.ts";
import { canonicalHeaders, canonicalPath, canonicalQuery } from "./sigv4-canonical.ts";
import { signatureDialect, signatureError, type SignatureDialect } from "./sigv4-errors.ts";
import { parseCredential, parseDate, SignatureParts, type CredentialScope } from "./sigv4-parts.ts";

const ALGORITHM = "AWS4-HMAC-SHA256";
const UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD";
const EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const SHA256_HEX = /^[0-9a-f]{64}$/;
/** S3's longest life of a presigned URL: a week [S3: authenticating requests, query parameters]. */
const PRESIGN_SECONDS_MAX = 604_800;
/** Scopes whose signing key is remembered: keys × days × services that are in use. */
const SIGNING_KEYS_MAX = 4096;
/** Lists of signed headers that are remembered in parsed form: one for each kind of client and operation. */
const HEADER_LISTS_MAX = 1024;

/** A request's head as it came, with the raw header list when repeated headers must be told apart. */
export interface SignedHead extends Omit<WireRequest, "body"> {
  /** Names and values in turn, as node:http has them. */
  readonly rawHeaders?: readonly string[];
}

export class SignatureVerifier {
  readonly clock: Clock;
  readonly #credentials: CredentialSource;
  readonly #signingKeys = new Map<
    string,
    { scope: CredentialScope; secretAccessKey: string; key: SigningKey }
  >();
  /** Requests of one second carry the same date. */
  #lastDate = { text: "", ms: 0 };
  readonly #headerLists = new Map<string, readonly string[]>();

  constructor(options: { credentials: CredentialSource; clock: Clock }) {
    this.#credentials = options.credentials;
    this.clock = options.clock;
  }

  /**
   * Judges what can be judged without the body. `parts` is undefined when the request is not signed.
   * Throws AwsError in the dialect of the operation's service.
   */
  begin(parts: SignatureParts | undefined, head: SignedHead, match: Match): Signed {
    const dialect = signatureDialect(match);
    if (!parts) throw signatureError(dialect, "missing");
    assertComplete(parts, dialect);
    assertCurrent(parts, this.#dateMs(parts.date, dialect), this.clock.nowMs(), dialect);
    const headerNames = this.#headerNames(parts.signedHeaders);
    if (!headerNames.includes("host") && !headerNames.includes(":authority")) {
      const detail = "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.";
      throw signatureError(dialect, "misscoped", detail);
    }
    if (dialect === "s3") assertAmzHeadersSigned(head.headers, headerNames);
    const known = this.#signingKeys.get(parts.credential)?.scope;
    const scope = known && parts.date.startsWith(known.date) ? known : parseCredential(parts, dialect);
    const credential = this.#credentials.lookup(scope.accessKeyId, parts.sessionToken);
    if (credential === "unknown") throw signatureError(dialect, "unknown-key");
    if (credential === "invalid-token") throw signatureError(dialect, "invalid-token");
    if (credential === "expired") throw signatureError(dialect, "expired-token");
    return new Signed(this, parts, head, headerNames, scope, credential, dialect);
  }

  /** The key for a credential scope; remembered only once a signature held, so that strangers cannot push others out. */
  signingKey(credential: Credential, scope: CredentialScope): SigningKey {
    const known = this.#signingKeys.get(scope.text);
    if (known && known.secretAccessKey === credential.secretAccessKey) return known.key;
    return deriveSigningKey(credential.secretAccessKey, scope);
  }

  rememberSigningKey(credential: Credential, scope: CredentialScope, key: SigningKey): void {
    if (this.#signingKeys.get(scope.text)?.key === key) return;
    if (this.#signingKeys.size >= SIGNING_KEYS_MAX) {
      const [oldest] = this.#signingKeys.keys();
      if (oldest !== undefined) this.#signingKeys.delete(oldest);
    }
    this.#signingKeys.set(scope.text, { scope, secretAccessKey: credential.secretAccessKey, key });
  }

  #dateMs(text: string, dialect: SignatureDialect): number {
    if (text === this.#lastDate.text) return this.#lastDate.ms;
    const ms = parseDate(text);
    if (ms === undefined) {
      const detail = `Date must be in ISO-8601 'basic format'. Got '${text}'. See http://en.wikipedia.org/wiki/ISO_8601`;
      throw signatureError(dialect, "incomplete", detail);
    }
    this.#lastDate = { text, ms };
    return ms;
  }

  #headerNames(signedHeaders: string): readonly string[] {
    let names = this.#headerLists.get(signedHeaders);
    if (!names) {
      names = signedHeaders.toLowerCase().split(";");
      if (this.#headerLists.size >= HEADER_LISTS_MAX) this.#headerLists.clear();
      this.#headerLists.set(signedHeaders, names);
    }
    return names;
  }
}

/** A request whose head was accepted; its signature is not checked yet. */
export class Signed {
  readonly credential: Credential;
  readonly scope: CredentialScope;
  readonly #verifier: SignatureVerifier;
  readonly #parts: SignatureParts;
  readonly #head: SignedHead;
  readonly #headerNames: readonly string[];
  readonly #dialect: SignatureDialect;

  constructor(
    verifier: SignatureVerifier,
    parts: SignatureParts,
    head: SignedHead,
    headerNames: readonly string[],
    scope: CredentialScope,
    credential: Credential,
    dialect: SignatureDialect,
  ) {
    this.#verifier = verifier;
    this.#parts = parts;
    this.#head = head;
    this.#headerNames = headerNames;
    this.scope = scope;
    this.credential = credential;
    this.#dialect = dialect;
  }

  /** Checks signature and body; throws AwsError. Afterwards `credential.principal` is who speaks. */
  verify(body: Buffer, unsignedBodyAllowed: boolean): void {
    const contentHash = this.#contentHash(body, unsignedBodyAllowed);
    const key = this.#verifier.signingKey(this.credential, this.scope);
    const isS3 = this.#dialect === "s3";
    const path = canonicalPath(this.#head.path, { isS3, normalise: true });
    const headers = canonicalHeaders(this.#headerNames, this.#head.headers);
    if (!this.#matches(key, path, headers, contentHash) && !this.#matchesOtherwise(key, contentHash)) {
      throw signatureError(this.#dialect, "mismatch");
    }
    this.#verifier.rememberSigningKey(this.credential, this.scope, key);
  }

  /** What the chunks of an aws-chunked body are signed with. */
  chunkSigner(): ChunkSigner {
    const { date, signature } = this.#parts;
    const key = this.#verifier.signingKey(this.credential, this.scope);
    const fail = () => signatureError(this.#dialect, "mismatch");
    return { key, date, scope: this.scope.scope, seed: signature, fail };
  }

  #matches(key: SigningKey, path: string, headers: string, contentHash: string, latin1 = false): boolean {
    const parts = this.#parts;
    const query = canonicalQuery(this.#head.query);
    const names = parts.signedHeaders;
    const canonical = `${this.#head.method}\n${path}\n${query}\n${headers}\n${names}\n${contentHash}`;
    const digest = hash("sha256", latin1 ? Buffer.from(canonical, "latin1") : canonical, "hex");
    const signature = key.sign(`${ALGORITHM}\n${parts.date}\n${this.scope.scope}\n${digest}`);
    return equalConstantTime(signature, parts.signature);
  }

  /**
   * The forms that correct clients differ in: redundant segments of the path kept, repeated headers joined without a
   * space, header bytes taken as they are (UTF-8) where node:http shows them as Latin-1. Each is tried where it applies.
   */
  #matchesOtherwise(key: SigningKey, contentHash: string): boolean {
    const { path, headers, rawHeaders = [] } = this.#head;
    const isS3 = this.#dialect === "s3";
    const paths = new Set([true, false].map((normalise) => canonicalPath(path, { isS3, normalise })));
    const joined = joinRepeated(this.#headerNames, headers, rawHeaders);
    const blocks = new Set([headers, joined].map((values) => canonicalHeaders(this.#headerNames, values)));
    for (const otherPath of paths) {
      for (const block of blocks) {
        if (this.#matches(key, otherPath, block, contentHash)) return true;
        if (this.#matches(key, otherPath, block, contentHash, true)) return true;
      }
    }
    return false;
  }

  /** The last line of the canonical request. */
  #contentHash(body: Buffer, unsignedBodyAllowed: boolean): string {
    const declared = this.#parts.contentSha256 ?? this.#head.headers["x-amz-content-sha256"];
    const isS3 = this.#dialect === "s3";
    if (declared === undefined) return this.#parts.presigned && isS3 ? UNSIGNED_PAYLOAD : sha256Hex(body);
    if (SHA256_HEX.test(declared)) {
      if (declared !== sha256Hex(body)) throw signatureError(this.#dialect, "content-mismatch");
      return declared;
    }
    const unsigned = declared === UNSIGNED_PAYLOAD || declared.startsWith("STREAMING-");
    if (unsigned && (isS3 || unsignedBodyAllowed)) return declared;
    throw signatureError(this.#dialect, "content-mismatch");
  }
}

function sha256Hex(body: Buffer): string {
  return body.length === 0 ? EMPTY_SHA256 : hash("sha256", body, "hex");
}

function assertComplete(parts: SignatureParts, dialect: SignatureDialect): void {
  if (parts.twofold) {
    const detail = "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header.";
    throw signatureError(dialect, "misscoped", detail);
  }
  const problem = parts.problem();
  if (problem !== undefined) throw signatureError(dialect, "incomplete", problem);
  if (parts.algorithm === ALGORITHM) return;
  const detail = `Unsupported AWS 'algorithm': '${parts.algorithm}' (only ${ALGORITHM} for now). `;
  throw signatureError(dialect, "incomplete", detail);
}

/** A header's signature holds for some minutes around its date, a presigned one for as long as it says. */
function assertCurrent(
  parts: SignatureParts,
  dateMs: number,
  nowMs: number,
  dialect: SignatureDialect,
): void {
  const skewMs = dialect === "s3" ? S3_SIGNATURE_SKEW_MS_MAX : SIGNATURE_SKEW_MS_MAX;
  const margin = `${skewMs / 60_000} min.`;
  if (dateMs > nowMs + skewMs) {
    const latest = `${basicFormat(nowMs + skewMs)} (${basicFormat(nowMs)} + ${margin})`;
    const detail = `Signature not yet current: ${parts.date} is still later than ${latest}`;
    throw signatureError(dialect, "skewed", detail);
  }
  if (parts.expires !== undefined) {
    assertPresignCurrent(parts.expires, dateMs, nowMs, dialect);
  } else if (dateMs < nowMs - skewMs) {
    const earliest = `${basicFormat(nowMs - skewMs)} (${basicFormat(nowMs)} - ${margin})`;
    const detail = `Signature expired: ${parts.date} is now earlier than ${earliest}`;
    throw signatureError(dialect, "skewed", detail);
  }
}

function assertPresignCurrent(
  expires: string,
  dateMs: number,
  nowMs: number,
  dialect: SignatureDialect,
): void {
  const seconds = /^\d{1,7}$/.test(expires) ? Number(expires) : Number.POSITIVE_INFINITY;
  if (seconds > PRESIGN_SECONDS_MAX) {
    const detail = `X-Amz-Expires must be a number of seconds that is not more than ${PRESIGN_SECONDS_MAX}`;
    throw signatureError(dialect, "incomplete", detail);
  }
  const endMs = dateMs + seconds * 1000;
  if (endMs >= nowMs) return;
  const detail = `Signature expired: ${basicFormat(endMs)} is now earlier than ${basicFormat(nowMs)}`;
  throw signatureError(dialect, "presign-expired", detail);
}

/** S3 alone insists, so that nobody adds meaning to a request that somebody else signed. */
function assertAmzHeadersSigned(headers: Readonly<Record<string, string>>, signed: readonly string[]): void {
  for (const name of Object.keys(headers)) {
    // The content hash is checked against the body, the token against the key: neither needs to be signed.
    if (!name.startsWith("x-amz-") || name === "x-amz-content-sha256" || signed.includes(name)) continue;
    throw signatureError("s3", "unsigned-headers");
  }
}

function joinRepeated(
  names: readonly string[],
  headers: Readonly<Record<string, string>>,
  rawHeaders: readonly string[],
): Record<string, string | undefined> {
  const values: Record<string, string | undefined> = {};
  for (const name of names) {
    const all: string[] = [];
    for (let at = 0; at < rawHeaders.length; at += 2) {
      if (rawHeaders[at]?.toLowerCase() === name) all.push(rawHeaders[at + 1] ?? "");
    }
    values[name] = all.length > 1 ? all.join(",") : headers[name];
  }
  return values;
}

/** `20261123T190208Z` */
function basicFormat(ms: number): string {
  return new Date(ms).toISOString().replace(/[-:]|\.\d{3}/g, "");
}

function equalConstantTime(a: string, b: string): boolean {
  return a.length === b.length && timingSafeEqual(Buffer.from(a, "latin1"), Buffer.from(b, "latin1"));
}
