import { createPrivateKey, type KeyObject, type X509Certificate } from "node:crypto";
import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { formatArn } from "../../kernel/arn.ts";
import { coerceError } from "../../kernel/deferred.ts";
import { systemClock } from "../../kernel/clock.ts";
import { newUuid } from "../../kernel/ids.ts";
import {
  parseProfileArn,
  ProfileError,
  readCertificates,
  type SigningProfile,
} from "../../lambda/signing/profiles.ts";
import { fingerprintOf, readSignature, SIGNATURE_FILE } from "../../lambda/signing/signature.ts";
import { signZip } from "../../lambda/signing/sign-zip.ts";
import { isFromProfile } from "../../lambda/signing/trust.ts";
import { CODE_UNZIPPED_BYTES_MAX, ZIP_ENTRIES_MAX } from "../../limits.ts";
import { digestZip } from "../../store/blobs/zip-digest.ts";
import type { Options } from "../configuration.ts";
import { CliError, EXIT } from "../errors.ts";
import { signingProfiles } from "./signing-profile.ts";

const DAY_MS = 24 * 60 * 60_000;
const LIMITS = { unzippedBytesMax: CODE_UNZIPPED_BYTES_MAX, entriesMax: ZIP_ENTRIES_MAX };

/** Puts a signature into a zip. */
export async function sign(file: string, options: Options, write: (text: string) => void): Promise<void> {
  const key = readKey(required(options, "key"));
  const { arn, profile } = await namedProfile(required(options, "profile"), options);
  const certificates = signersCertificates(key, options["certificate"], profile);
  const parsed = parseProfileArn(arn);
  if (!parsed) throw new CliError(`not the ARN of a signing profile's version: ${arn}`);
  const signedMs = systemClock.nowMs();
  const jobArn = formatArn({ ...parsed.arn, resource: `/signing-jobs/${newUuid()}` });
  const expiresMs = expiry(options["days"], signedMs, certificates[0]);
  const signed = await signZip(readFileSync(file), {
    key,
    certificates,
    profileVersionArn: arn,
    jobArn,
    signedMs,
    expiresMs,
    limits: LIMITS,
  });
  await check(signed, profile);
  const out = options["out"];
  const target = typeof out === "string" ? out : file;
  replace(target, signed);
  const result = { file: target, profileVersionArn: arn, jobArn, expires: new Date(expiresMs).toISOString() };
  write(
    options["json"] === true
      ? `${JSON.stringify(result, undefined, 2)}\n`
      : `Signed ${target} until ${result.expires}: ${jobArn}\n`,
  );
}

function required(options: Options, name: string): string {
  const value = options[name];
  if (typeof value === "string") return value;
  throw new CliError(`--${name} is missing`, { exitCode: EXIT.usage });
}

function readKey(file: string): KeyObject {
  try {
    return createPrivateKey(readFileSync(file));
  } catch (error) {
    throw new CliError(`cannot read a private key from ${file}: ${coerceError(error).message}`, {
      cause: error,
    });
  }
}

/** An ARN need not be registered here: code is signed on other machines than it runs on. */
async function namedProfile(
  nameOrArn: string,
  options: Options,
): Promise<{ arn: string; profile: SigningProfile | undefined }> {
  const profiles = signingProfiles(options);
  if (!parseProfileArn(nameOrArn)) {
    const profile = await profiles.require(nameOrArn);
    return { arn: profile.arn, profile };
  }
  return { arn: nameOrArn, profile: await profiles.find(nameOrArn) };
}

/** The certificate that belongs to the key, and all others that may lead to one of the profile's. */
function signersCertificates(
  key: KeyObject,
  file: unknown,
  profile: SigningProfile | undefined,
): [X509Certificate, ...X509Certificate[]] {
  const given = typeof file === "string" ? readCertificates(readFileSync(file, "utf8")) : [];
  const known = (profile?.certificates ?? []).flatMap((pem) => readCertificates(pem));
  const all = new Map([...given, ...known].map((each) => [fingerprintOf(each), each]));
  const signer = [...all.values()].find((each) => each.checkPrivateKey(key));
  if (!signer) {
    throw new CliError("no certificate belongs to the private key", {
      hint: "Name the file that holds it, and those that lead to the profile's: --certificate FILE",
    });
  }
  all.delete(fingerprintOf(signer));
  return [signer, ...all.values()];
}

function expiry(days: unknown, signedMs: number, signer: X509Certificate): number {
  if (days === undefined) return Date.parse(signer.validTo);
  const count = typeof days === "string" ? Number(days) : NaN;
  if (!Number.isInteger(count) || count < 1 || count > 36_500) {
    throw new CliError(`--days takes a whole number from 1 to 36500`, {
      exitCode: EXIT.usage,
    });
  }
  return signedMs + count * DAY_MS;
}

/** What a server will say, as far as it can be known here. */
async function check(signed: Buffer, profile: SigningProfile | undefined): Promise<void> {
  const digest = await digestZip(signed, SIGNATURE_FILE, LIMITS);
  const signature = digest && readSignature(digest);
  if (signature?.chain.length === 0) throw new CliError("the signer's certificate is not valid now");
  if (profile && !(signature && isFromProfile(signature, profile))) {
    throw new ProfileError(
      "no certificate of the profile vouches for the signer: it must be the signer's own, or of an authority that made the signer's for code signing",
    );
  }
}

function replace(path: string, content: Buffer): void {
  const temporary = `${path}.${newUuid()}`;
  try {
    writeFileSync(temporary, content, { flag: "wx" });
    renameSync(temporary, path);
  } finally {
    rmSync(temporary, { force: true });
  }
}
