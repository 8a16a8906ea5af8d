/**
 * The signature of a deployment package, as AWS Signer writes it for Lambda and `hornero sign` as well: a file inside of the
 * zip that holds a detached CMS signature over everything else in the zip. docs/compat/code-signing.md has the format.
 */
import type { X509Certificate } from "node:crypto";
import type { ZipDigest } from "../../store/blobs/zip-digest.ts";
import { InvalidSignature, isIssuedBy, verifyCms, type SignedContent } from "./cms.ts";
import { encodeOid, expectTag, readTime, TAG, type Element } from "./der.ts";

/** Its name in the zip. */
export const SIGNATURE_FILE = "META_INF/aws_signer_signature_v1.0.SF";

/** Signed attributes. The first is PKCS #9's, the last ours, the others AWS Signer's. */
export const ATTRIBUTE = {
  signingTime: encodeOid("1.2.840.113549.1.9.5"),
  jobArn: encodeOid("1.3.187.137.1.2"),
  expiry: encodeOid("1.3.187.137.1.3"),
  profileVersionArn: encodeOid("1.3.187.137.1.4"),
  /**
   * An OCTET STRING: the digest of the zip's directory. What AWS Signer signs, names and contents one after the other, does not tell where one
   * ends, nor which file is executable or a link. Below 2.25 lie UUIDs, which need no registration [X.667].
   */
  directory: encodeOid("2.25.295373673391980412294511170077051986040"),
} as const;

const CODE_SIGNING = "1.3.6.1.5.5.7.3.3";
const ARN_CHARS_MAX = 1024;

/** What an intact signature says. Whether who says so is to be believed is another question: trust.ts. */
export interface CodeSignature {
  readonly profileVersionArn: string;
  readonly jobArn: string;
  readonly signedMs: number;
  readonly expiresMs: number;
  /**
   * SHA-256 fingerprints of the signer's certificate and of those that vouch for it, directly or by others of them, as far
   * as each was valid when the code was signed. Empty when the signer's own was not.
   */
  readonly chain: readonly string[];
}

/** The signature of a zip, once it is proven that its key has signed exactly this zip. Throws InvalidSignature. */
export function readSignature(digest: ZipDigest): CodeSignature {
  const signed = verifyCms(Buffer.from(digest.apart).toString("latin1"), digest.contentSha384);
  try {
    checkDirectory(signed.attribute(ATTRIBUTE.directory), digest.directorySha384);
    const signedMs = readTime(present(signed.attribute(ATTRIBUTE.signingTime)));
    return {
      profileVersionArn: readText(signed.attribute(ATTRIBUTE.profileVersionArn)),
      jobArn: readText(signed.attribute(ATTRIBUTE.jobArn)),
      signedMs,
      expiresMs: readTime(present(signed.attribute(ATTRIBUTE.expiry))),
      chain: chainOf(signed, signedMs),
    };
  } catch (error) {
    if (error instanceof InvalidSignature) throw error;
    throw new InvalidSignature(error instanceof Error ? error.message : String(error), { cause: error });
  }
}

function checkDirectory(attribute: Element | undefined, directorySha384: Uint8Array): void {
  // AWS Signer's signatures have none.
  if (!attribute) return;
  if (Buffer.compare(expectTag(attribute, TAG.octetString).content, directorySha384) !== 0) {
    throw new InvalidSignature("the names, sizes or modes of the entries are not those that were signed");
  }
}

function present(attribute: Element | undefined): Element {
  if (!attribute) throw new InvalidSignature("a signed attribute is missing");
  return attribute;
}

function readText(attribute: Element | undefined): string {
  const { content } = expectTag(attribute, TAG.utf8String);
  if (content.length > ARN_CHARS_MAX) throw new InvalidSignature("an ARN is too long");
  return Buffer.from(content).toString("utf8");
}

/** The fingerprint under which a certificate is named in `CodeSignature.chain`. */
export function fingerprintOf(certificate: X509Certificate): string {
  return certificate.fingerprint256.replaceAll(":", "").toLowerCase();
}

function chainOf({ signer, certificates }: SignedContent, signedMs: number): string[] {
  const isValid = (certificate: X509Certificate) =>
    Date.parse(certificate.validFrom) <= signedMs && signedMs <= Date.parse(certificate.validTo);
  if (!isValid(signer)) return [];
  const chain = [signer];
  // A certificate that is trusted itself may sign; one that an authority made may if the authority made it for that.
  const subjects = signer.keyUsage?.includes(CODE_SIGNING) ? chain : [];
  // Grows meanwhile: an authority may have several certificates, each of another authority's.
  for (const subject of subjects) {
    const issuers = certificates.filter(
      (issuer) => issuer.ca && !chain.includes(issuer) && isValid(issuer) && isIssuedBy(subject, issuer),
    );
    chain.push(...issuers);
  }
  return chain.map(fingerprintOf);
}
