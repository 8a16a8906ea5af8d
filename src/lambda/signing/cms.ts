/**
 * Detached CMS signatures [RFC 5652] of the one shape that signed deployment packages have: SignedData with one signer, who
 * is named by issuer and serial number, signed attributes, SHA-384, and RSA (PKCS #1) or ECDSA.
 */
import { createHash, sign, verify, X509Certificate, type KeyObject } from "node:crypto";
import {
  childrenOf,
  DerError,
  encode,
  encodeOid,
  encodeSet,
  expectTag,
  readElement,
  TAG,
  type Element,
} from "./der.ts";

const HASH = "sha384";
const CERTIFICATES_MAX = 10;
/** Weaker keys are refused [NIST SP 800-131A]; curves without a name cost what their maker likes. */
const RSA_BITS_MIN = 2048;
const CURVES: readonly (string | undefined)[] = ["prime256v1", "secp384r1", "secp521r1"];

const OID = {
  data: encodeOid("1.2.840.113549.1.7.1"),
  signedData: encodeOid("1.2.840.113549.1.7.2"),
  contentType: encodeOid("1.2.840.113549.1.9.3"),
  messageDigest: encodeOid("1.2.840.113549.1.9.4"),
  sha384: encodeOid("2.16.840.1.101.3.4.2.2"),
  rsaEncryption: encodeOid("1.2.840.113549.1.1.1"),
  sha384WithRsa: encodeOid("1.2.840.113549.1.1.12"),
  ecdsaWithSha384: encodeOid("1.2.840.10045.4.3.3"),
} as const;
const NULL = encode(0x05);
/** With SHA-256, SHA-384 and SHA-512, of RSA and of ECDSA. */
const SOUND_SIGNATURES = [
  "1.2.840.113549.1.1.11",
  "1.2.840.113549.1.1.12",
  "1.2.840.113549.1.1.13",
  "1.2.840.10045.4.3.2",
  "1.2.840.10045.4.3.3",
  "1.2.840.10045.4.3.4",
].map(encodeOid);

/** The signature is not what its content and certificate make of it, or cannot be read. */
export class InvalidSignature extends Error {
  override readonly name = "InvalidSignature";
}

export interface SignedContent {
  readonly signer: X509Certificate;
  /** All that the signature carries, the signer's included, in no order. */
  readonly certificates: readonly X509Certificate[];
  /** The value of the attribute of that object identifier, in DER; undefined when it was not signed. */
  attribute(oid: Buffer): Element | undefined;
}

/** What `pem` says of `content`. Throws InvalidSignature unless the signer's key has signed exactly that. */
export function verifyCms(pem: string, content: Uint8Array): SignedContent {
  try {
    return verifyElements(decodePem(pem), content);
  } catch (error) {
    // Whatever does not parse: elements, certificates, keys.
    if (error instanceof InvalidSignature) throw error;
    throw new InvalidSignature(error instanceof Error ? error.message : String(error), { cause: error });
  }
}

function verifyElements(cms: Uint8Array, content: Uint8Array): SignedContent {
  const [type, wrapped] = childrenOf(expectTag(readElement(cms), TAG.sequence));
  expectOid(type, OID.signedData);
  const [, , contentInfo, certificateSet, ...more] = childrenOf(
    expectTag(only(childrenOf(expectTag(wrapped, TAG.context0))), TAG.sequence),
  );
  const [contentType, embedded] = childrenOf(expectTag(contentInfo, TAG.sequence));
  expectOid(contentType, OID.data);
  if (embedded) throw new InvalidSignature("the content is not detached");
  const encoded = childrenOf(expectTag(certificateSet, TAG.context0));
  if (encoded.length > CERTIFICATES_MAX) throw new InvalidSignature("there are too many certificates");
  const certificates = encoded.map(({ whole }) => new X509Certificate(whole));
  // A set of revocation lists may stand in between: it is not looked at.
  const signerInfo = expectTag(only(childrenOf(expectTag(more.at(-1), TAG.set))), TAG.sequence);
  const [, id, digestAlgorithm, attributeSet, signatureAlgorithm, signature] = childrenOf(signerInfo);
  expectOid(childrenOf(expectTag(digestAlgorithm, TAG.sequence))[0], OID.sha384);
  const attributes = readAttributes(expectTag(attributeSet, TAG.context0));
  const signer = certificates.find((_, index) => isNamedBy(encoded[index], id));
  if (!signer) throw new InvalidSignature("the signer's certificate is not there");
  expectOid(attributes.get(keyOf(OID.contentType)), OID.data);
  const digest = expectTag(attributes.get(keyOf(OID.messageDigest)), TAG.octetString).content;
  if (!createHash(HASH).update(content).digest().equals(digest)) {
    throw new InvalidSignature("the content is not what was signed");
  }
  const key = signer.publicKey;
  checkKey(key, expectTag(signatureAlgorithm, TAG.sequence));
  const { whole } = expectTag(attributeSet, TAG.context0);
  // The attributes are signed as the SET that they are, not with the tag that they have here [RFC 5652, 5.4].
  const signed = Buffer.concat([Buffer.from([TAG.set]), whole.subarray(1)]);
  if (!verify(HASH, signed, key, expectTag(signature, TAG.octetString).content)) {
    throw new InvalidSignature("the signature is not the signer's");
  }
  return { signer, certificates, attribute: (oid) => attributes.get(keyOf(oid)) };
}

function decodePem(pem: string): Uint8Array {
  const text = pem.trim();
  for (const label of ["PKCS7", "CMS"]) {
    const [begin, end] = [`-----BEGIN ${label}-----`, `-----END ${label}-----`];
    if (!text.startsWith(begin) || !text.endsWith(end)) continue;
    const base64 = text.slice(begin.length, -end.length);
    // Node.js passes over what is not base64: of two texts one signature would come.
    if (/^[A-Za-z0-9+/=\s]*$/.test(base64)) return Buffer.from(base64, "base64");
  }
  throw new InvalidSignature("not a CMS signature in PEM");
}

function readAttributes(set: Element): Map<string, Element> {
  const attributes = new Map<string, Element>();
  for (const attribute of childrenOf(set)) {
    const [type, values] = childrenOf(expectTag(attribute, TAG.sequence));
    const key = keyOf(expectTag(type, TAG.oid).whole);
    if (attributes.has(key)) throw new InvalidSignature("an attribute is there twice");
    attributes.set(key, only(childrenOf(expectTag(values, TAG.set))));
  }
  return attributes;
}

/** Whether a signer's id, SEQUENCE { issuer, serialNumber }, means the certificate. */
function isNamedBy(certificate: Element | undefined, id: Element | undefined): boolean {
  const [issuer, serial] = childrenOf(expectTag(id, TAG.sequence));
  const names = certificate && issuerAndSerial(certificate);
  if (!issuer || !serial || !names) return false;
  return Buffer.compare(names.issuer, issuer.whole) === 0 && Buffer.compare(names.serial, serial.whole) === 0;
}

/** Both encoded. TBSCertificate begins with [0] version (of version 1: nothing), serialNumber, signature, issuer. */
function issuerAndSerial(certificate: Element): { issuer: Uint8Array; serial: Uint8Array } {
  const [toBeSigned] = childrenOf(expectTag(certificate, TAG.sequence));
  const fields = childrenOf(expectTag(toBeSigned, TAG.sequence));
  const [serial, , issuer] = fields[0]?.tag === TAG.context0 ? fields.slice(1) : fields;
  return {
    serial: expectTag(serial, TAG.integer).whole,
    issuer: expectTag(issuer, TAG.sequence).whole,
  };
}

function checkKey(key: KeyObject, algorithm: Element): void {
  const [oid] = childrenOf(algorithm);
  checkStrength(key);
  if (key.asymmetricKeyType === "ec") {
    expectOid(oid, OID.ecdsaWithSha384);
    return;
  }
  if (oid && Buffer.compare(oid.whole, OID.rsaEncryption) === 0) return;
  expectOid(oid, OID.sha384WithRsa);
}

function checkStrength(key: KeyObject): void {
  if (isStrong(key)) return;
  throw new InvalidSignature(
    `the key is neither of a curve of NIST's nor RSA with at least ${RSA_BITS_MIN} bits`,
  );
}

function isStrong({ asymmetricKeyType: type, asymmetricKeyDetails: details }: KeyObject): boolean {
  if (type === "ec") return CURVES.includes(details?.namedCurve);
  return type === "rsa" && (details?.modulusLength ?? 0) >= RSA_BITS_MIN;
}

/** Whether the issuer's key made the subject's certificate, in a way that nobody else could have. */
export function isIssuedBy(subject: X509Certificate, issuer: X509Certificate): boolean {
  const [, algorithm] = childrenOf(readElement(subject.raw));
  const [oid] = childrenOf(expectTag(algorithm, TAG.sequence));
  return (
    SOUND_SIGNATURES.some((sound) => oid !== undefined && Buffer.compare(oid.whole, sound) === 0) &&
    isStrong(issuer.publicKey) &&
    subject.checkIssued(issuer) &&
    subject.verify(issuer.publicKey)
  );
}

function expectOid(element: Element | undefined, oid: Buffer): void {
  if (Buffer.compare(expectTag(element, TAG.oid).whole, oid) === 0) return;
  throw new DerError("an unexpected object identifier");
}

function only(elements: readonly Element[]): Element {
  const [element] = elements;
  if (elements.length !== 1 || !element) throw new DerError(`${elements.length} elements instead of one`);
  return element;
}

function keyOf(oid: Uint8Array): string {
  return Buffer.from(oid).toString("hex");
}

/**
 * A detached signature of `content` in PEM. `certificates` begin with the signer's, whose private key `key` is; `attributes` are values in DER
 * by the object identifier in DER, beside content type and digest. Throws InvalidSignature for a weak key.
 */
export function signCms(
  content: Uint8Array,
  options: {
    readonly key: KeyObject;
    readonly certificates: readonly [X509Certificate, ...X509Certificate[]];
    readonly attributes: readonly (readonly [oid: Buffer, value: Buffer])[];
  },
): string {
  const { key, certificates } = options;
  checkStrength(key);
  const attributes = [
    [OID.contentType, OID.data] as const,
    [OID.messageDigest, encode(TAG.octetString, createHash(HASH).update(content).digest())] as const,
    ...options.attributes,
  ].map(([oid, value]) => encode(TAG.sequence, oid, encode(TAG.set, value)));
  const signature = sign(HASH, encodeSet(TAG.set, attributes), key);
  const { issuer, serial } = issuerAndSerial(readElement(certificates[0].raw));
  const version = encode(TAG.integer, Buffer.from([1]));
  const digestAlgorithm = encode(TAG.sequence, OID.sha384);
  const signatureAlgorithm =
    key.asymmetricKeyType === "ec"
      ? encode(TAG.sequence, OID.ecdsaWithSha384)
      : encode(TAG.sequence, OID.sha384WithRsa, NULL);
  const signerInfo = encode(
    TAG.sequence,
    version,
    encode(TAG.sequence, issuer, serial),
    digestAlgorithm,
    encodeSet(TAG.context0, attributes),
    signatureAlgorithm,
    encode(TAG.octetString, signature),
  );
  const signedData = encode(
    TAG.sequence,
    version,
    encode(TAG.set, digestAlgorithm),
    encode(TAG.sequence, OID.data),
    encodeSet(
      TAG.context0,
      certificates.map(({ raw }) => raw),
    ),
    encode(TAG.set, signerInfo),
  );
  const cms = encode(TAG.sequence, OID.signedData, encode(TAG.context0, signedData));
  const lines = cms.toString("base64").match(/.{1,64}/g) ?? [];
  return `-----BEGIN PKCS7-----\n${lines.join("\n")}\n-----END PKCS7-----\n`;
}
