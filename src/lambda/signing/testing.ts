/** For tests: certificates and signed zips of any time and kind, made without a program of the machine's. */
import { createPublicKey, generateKeyPairSync, sign, X509Certificate, type KeyObject } from "node:crypto";
import { unreachable } from "../../kernel/assert.ts";
import { CODE_UNZIPPED_BYTES_MAX, ZIP_ENTRIES_MAX } from "../../limits.ts";
import { encode, encodeGeneralizedTime, encodeOid, encodeSet, TAG } from "./der.ts";
import { signZip, type SigningOptions } from "./sign-zip.ts";

export const LIMITS = { unzippedBytesMax: CODE_UNZIPPED_BYTES_MAX, entriesMax: ZIP_ENTRIES_MAX };
export const DAY_MS = 24 * 60 * 60_000;
export const PROFILE_ARN = "arn:aws:signer:us-east-1:000000000000:/signing-profiles/acme/Abcdefgh01";
export const JOB_ARN =
  "arn:aws:signer:us-east-1:000000000000:/signing-jobs/11111111-1111-4111-8111-111111111111";

export interface Identity {
  readonly name: string;
  readonly key: KeyObject;
  readonly certificate: X509Certificate;
}

export interface IdentityOptions {
  readonly issuer?: Identity;
  readonly validFromMs: number;
  readonly validToMs: number;
  /** An authority: it may vouch for others. */
  readonly ca?: boolean;
  /** Default: true, unless it is an authority. */
  readonly forCodeSigning?: boolean;
  readonly key?: KeyObject;
  /** SHA-1, which nobody should trust, instead of SHA-384. */
  readonly weakHash?: boolean;
}

let serial = 0;

export function newKey(kind: "ec" | "rsa" | "weak" | "unusual" = "ec"): KeyObject {
  switch (kind) {
    case "ec":
      return generateKeyPairSync("ec", { namedCurve: "P-384" }).privateKey;
    case "rsa":
      return generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey;
    case "weak":
      return generateKeyPairSync("rsa", { modulusLength: 1024 }).privateKey;
    case "unusual":
      return generateKeyPairSync("ec", { namedCurve: "secp256k1" }).privateKey;
    default:
      return unreachable(kind, "kind");
  }
}

/** Self-signed unless an issuer is given. */
export function newIdentity(name: string, options: IdentityOptions): Identity {
  const key = options.key ?? newKey();
  const issuer = options.issuer ?? { name, key };
  const [ecdsa, rsa] = options.weakHash
    ? ["1.2.840.10045.4.1", "1.2.840.113549.1.1.5"]
    : ["1.2.840.10045.4.3.3", "1.2.840.113549.1.1.12"];
  const algorithm = encode(
    TAG.sequence,
    encodeOid(issuer.key.asymmetricKeyType === "ec" ? ecdsa : rsa),
    ...(issuer.key.asymmetricKeyType === "ec" ? [] : [encode(0x05)]),
  );
  serial += 1;
  const toBeSigned = encode(
    TAG.sequence,
    encode(TAG.context0, encode(TAG.integer, Buffer.from([2]))),
    encode(TAG.integer, Buffer.from([1, serial >> 8, serial & 0xff])),
    algorithm,
    nameOf(issuer.name),
    encode(
      TAG.sequence,
      encodeGeneralizedTime(options.validFromMs),
      encodeGeneralizedTime(options.validToMs),
    ),
    nameOf(name),
    createPublicKey(key).export({ type: "spki", format: "der" }),
    encode(0xa3, encode(TAG.sequence, ...extensions(options))),
  );
  const signature = sign(options.weakHash ? "sha1" : "sha384", toBeSigned, issuer.key);
  const whole = encode(TAG.sequence, toBeSigned, algorithm, encode(0x03, Buffer.from([0]), signature));
  return { name, key, certificate: new X509Certificate(whole) };
}

function nameOf(commonName: string): Buffer {
  const attribute = encode(
    TAG.sequence,
    encodeOid("2.5.4.3"),
    encode(TAG.utf8String, Buffer.from(commonName)),
  );
  return encode(TAG.sequence, encodeSet(TAG.set, [attribute]));
}

function extensions({ ca = false, forCodeSigning = !ca }: IdentityOptions): Buffer[] {
  const TRUE = encode(0x01, Buffer.from([0xff]));
  const extension = (oid: string, value: Buffer) =>
    encode(TAG.sequence, encodeOid(oid), TRUE, encode(TAG.octetString, value));
  const basicConstraints = extension("2.5.29.19", encode(TAG.sequence, ...(ca ? [TRUE] : [])));
  if (!forCodeSigning) return [basicConstraints];
  const usage = encode(TAG.sequence, encodeOid("1.3.6.1.5.5.7.3.3"));
  return [basicConstraints, extension("2.5.29.37", usage)];
}

/** The zip signed by the first of `signers`, with the certificates of all. */
export function signedBy(
  zip: Uint8Array,
  signers: readonly [Identity, ...Identity[]],
  options: Partial<SigningOptions> & { readonly signedMs: number },
): Promise<Buffer> {
  const [signer, ...others] = signers;
  return signZip(Buffer.from(zip), {
    key: signer.key,
    certificates: [signer.certificate, ...others.map(({ certificate }) => certificate)],
    profileVersionArn: PROFILE_ARN,
    jobArn: JOB_ARN,
    expiresMs: options.signedMs + 30 * DAY_MS,
    limits: LIMITS,
    ...options,
  });
}
