/** Signs a deployment package: the same zip, with one more entry. */
import type { KeyObject, X509Certificate } from "node:crypto";
import { crc32 } from "node:zlib";
import type { ZipLimits } from "../../store/blobs/plan.ts";
import { digestZip } from "../../store/blobs/zip-digest.ts";
import { signCms } from "./cms.ts";
import { encode, encodeGeneralizedTime, TAG } from "./der.ts";
import { ATTRIBUTE, SIGNATURE_FILE } from "./signature.ts";

export interface SigningOptions {
  readonly key: KeyObject;
  /** The signer's certificate, and those that lead from it to one of the profile's, in any order. */
  readonly certificates: readonly [X509Certificate, ...X509Certificate[]];
  readonly profileVersionArn: string;
  /** Names the signature, so that it can be revoked. */
  readonly jobArn: string;
  readonly signedMs: number;
  readonly expiresMs: number;
  readonly limits: ZipLimits;
}

/** The zip cannot be signed. */
export class SigningError extends Error {
  override readonly name = "SigningError";
}

/** Throws SigningError for a zip that is signed already or has a form that cannot be added to, and ZipRefused for one that cannot be code. */
export async function signZip(zip: Buffer, options: SigningOptions): Promise<Buffer> {
  if (await digestZip(zip, SIGNATURE_FILE, options.limits))
    throw new SigningError("the zip is signed already");
  // Digests are of all entries but the signature's, so that its content does not matter yet.
  const digest = await digestZip(
    withEntry(zip, SIGNATURE_FILE, Buffer.alloc(0)),
    SIGNATURE_FILE,
    options.limits,
  );
  if (!digest) throw new SigningError("the zip's directory cannot be added to");
  const text = (value: string) => encode(TAG.utf8String, Buffer.from(value));
  const pem = signCms(digest.contentSha384, {
    key: options.key,
    certificates: options.certificates,
    attributes: [
      [ATTRIBUTE.signingTime, encodeGeneralizedTime(options.signedMs)],
      [ATTRIBUTE.expiry, encodeGeneralizedTime(options.expiresMs)],
      [ATTRIBUTE.jobArn, text(options.jobArn)],
      [ATTRIBUTE.profileVersionArn, text(options.profileVersionArn)],
      [ATTRIBUTE.directory, encode(TAG.octetString, digest.directorySha384)],
    ],
  });
  return withEntry(zip, SIGNATURE_FILE, Buffer.from(pem));
}

// The parts of a zip [PKWARE's APPNOTE, 4.3].
const LOCAL_SIGNATURE = 0x04034b50;
const CENTRAL_SIGNATURE = 0x02014b50;
const END_SIGNATURE = 0x06054b50;
const LOCAL_BYTES = 30;
const CENTRAL_BYTES = 46;
const END_BYTES = 22;
const COMMENT_BYTES_MAX = 0xffff;
const VERSION = 20;
const MADE_BY_UNIX = (3 << 8) | VERSION;
/** 1 January 1980, as in every zip of ours: the same content makes the same zip. */
const DATE = 0x21;
const MODE = 0o100644;

/** The zip with one more entry, uncompressed, where its directory was; the directory, longer by one, behind it. */
function withEntry(zip: Buffer, name: string, content: Buffer): Buffer {
  const end = findEnd(zip);
  const entries = zip.readUInt16LE(end + 10);
  const [directoryBytes, directoryStart] = [zip.readUInt32LE(end + 12), zip.readUInt32LE(end + 16)];
  if (entries >= 0xfffe || directoryStart + directoryBytes !== end) {
    throw new SigningError(
      "the zip is in several parts, or in the format for more than 65,534 files or 4 GB",
    );
  }
  const nameBytes = Buffer.from(name);
  // What local and central header have in common: version needed, flags, method, time, date, checksum, sizes, length of the name.
  const common = Buffer.alloc(26);
  common.writeUInt16LE(VERSION, 0);
  common.writeUInt16LE(DATE, 8);
  common.writeUInt32LE(crc32(content), 10);
  common.writeUInt32LE(content.length, 14);
  common.writeUInt32LE(content.length, 18);
  common.writeUInt16LE(nameBytes.length, 22);
  const local = Buffer.alloc(LOCAL_BYTES);
  local.writeUInt32LE(LOCAL_SIGNATURE, 0);
  common.copy(local, 4);
  const central = Buffer.alloc(CENTRAL_BYTES);
  central.writeUInt32LE(CENTRAL_SIGNATURE, 0);
  central.writeUInt16LE(MADE_BY_UNIX, 4);
  common.copy(central, 6);
  central.writeUInt32LE((MODE << 16) >>> 0, 38);
  central.writeUInt32LE(directoryStart, 42);
  const tail = Buffer.from(zip.subarray(end));
  tail.writeUInt16LE(entries + 1, 8);
  tail.writeUInt16LE(entries + 1, 10);
  tail.writeUInt32LE(directoryBytes + central.length + nameBytes.length, 12);
  tail.writeUInt32LE(directoryStart + local.length + nameBytes.length + content.length, 16);
  return Buffer.concat([
    zip.subarray(0, directoryStart),
    local,
    nameBytes,
    content,
    zip.subarray(directoryStart, end),
    central,
    nameBytes,
    tail,
  ]);
}

/** Where the end record begins. */
function findEnd(zip: Buffer): number {
  const first = Math.max(0, zip.length - END_BYTES - COMMENT_BYTES_MAX);
  for (let at = zip.length - END_BYTES; at >= first; at -= 1) {
    const isEnd = zip.readUInt32LE(at) === END_SIGNATURE;
    if (isEnd && at + END_BYTES + zip.readUInt16LE(at + 20) === zip.length) return at;
  }
  throw new SigningError("this is not a zip");
}
