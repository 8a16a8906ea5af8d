/**
 * Signing profiles: whose signatures count as whose. A folder of one JSON file for each version of a profile, written by the
 * operator's commands and read whenever signed code is deployed: what was revoked a moment ago counts.
 */
import { randomInt, X509Certificate } from "node:crypto";
import { chmod, link, lstat, mkdir, open, readdir, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { formatArn, parseArn, type Arn } from "../../kernel/arn.ts";
import { isMissing, syncFolder } from "../../kernel/files.ts";
import { newUuid } from "../../kernel/ids.ts";

export interface SigningProfile {
  /** `arn:aws:signer:REGION:ACCOUNT:/signing-profiles/NAME/VERSION`: what AllowedPublishers lists. */
  readonly arn: string;
  /** PEM, one certificate each: the signer's own, or of an authority that vouches for signers. */
  readonly certificates: readonly string[];
  readonly addedMs: number;
  /** Signatures made at this time or later do not count. */
  readonly revokedSinceMs?: number;
  /** Single signatures that do not count. */
  readonly revokedJobArns: readonly string[];
}

/** The caller's mistake, in words for the caller. */
export class ProfileError extends Error {
  override readonly name = "ProfileError";
}

const RESOURCE_PATTERN = /^\/signing-profiles\/([a-zA-Z0-9_]{2,64})\/([a-zA-Z0-9]{10})$/;
const NAME_PATTERN = /^[a-zA-Z0-9_]{2,64}$/;
const JOB_PATTERN = /^\/signing-jobs\/[a-zA-Z0-9-]{1,64}$/;
const VERSION_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
const VERSION_CHARS = 10;
const PEM_PATTERN = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;
const CERTIFICATES_MAX = 10;
const REVOKED_JOBS_MAX = 10_000;
/** How long a command waits for another one, which takes milliseconds. Ours. */
const LOCK_ATTEMPTS_MAX = 150;
const LOCK_PAUSE_MS = 20;

/** Where a data folder keeps them. */
export function signingProfilesFolder(dataDirectory: string): string {
  return join(dataDirectory, "signing-profiles");
}

/** Name and version of a profile's ARN; undefined when it is none. */
export function parseProfileArn(text: string): { arn: Arn; name: string; version: string } | undefined {
  const arn = parseArn(text);
  const [, name, version] = RESOURCE_PATTERN.exec(arn?.resource ?? "") ?? [];
  if (arn?.service !== "signer" || name === undefined || version === undefined) return undefined;
  return { arn, name, version };
}

export function newProfileArn(where: Omit<Arn, "service" | "resource">, name: string): string {
  if (!NAME_PATTERN.test(name)) {
    throw new ProfileError(`a profile's name has 2 to 64 letters, digits and underscores, unlike '${name}'`);
  }
  let version = "";
  while (version.length < VERSION_CHARS) version += VERSION_ALPHABET[randomInt(VERSION_ALPHABET.length)];
  return formatArn({ ...where, service: "signer", resource: `/signing-profiles/${name}/${version}` });
}

/** The certificates in a text of PEM. Throws ProfileError when there is none, or one cannot be read. */
export function readCertificates(pem: string): [X509Certificate, ...X509Certificate[]] {
  const [first, ...others] = (pem.match(PEM_PATTERN) ?? []).map((text) => {
    try {
      return new X509Certificate(text);
    } catch (cause) {
      throw new ProfileError("a certificate cannot be read", { cause });
    }
  });
  if (!first) throw new ProfileError("there is no certificate in PEM (-----BEGIN CERTIFICATE-----)");
  if (others.length >= CERTIFICATES_MAX) {
    throw new ProfileError(`there are more than ${CERTIFICATES_MAX} certificates`);
  }
  return [first, ...others];
}

export class SigningProfiles {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** The profile's version of that ARN. Rejects when its file is damaged: that nobody vouches for code is another thing. */
  async find(arn: string): Promise<SigningProfile | undefined> {
    const path = this.#pathOf(arn);
    const profile = path === undefined ? undefined : await readProfile(path);
    // Two accounts may have profiles of one name, and of one version by the remotest chance.
    return profile?.arn === arn ? profile : undefined;
  }

  /** All versions, the oldest first. */
  async list(): Promise<SigningProfile[]> {
    const names = (await ignoringMissing(readdir(this.#folder))) ?? [];
    const files = names.filter((name) => name.endsWith(".json"));
    const profiles = await Promise.all(files.map((name) => readProfile(join(this.#folder, name))));
    return profiles
      .filter((profile) => profile !== undefined)
      .sort((one, other) => one.addedMs - other.addedMs);
  }

  /** The newest version of that name, or the one of that ARN. Throws ProfileError. */
  async require(nameOrArn: string): Promise<SigningProfile> {
    const profiles = await this.list();
    const found = profiles.findLast(
      ({ arn }) => arn === nameOrArn || parseProfileArn(arn)?.name === nameOrArn,
    );
    if (!found) throw new ProfileError(`there is no signing profile ${nameOrArn}`);
    return found;
  }

  /** Throws ProfileError when the ARN is none of a profile's version, or is there already. */
  async add(arn: string, certificates: readonly X509Certificate[], addedMs: number): Promise<SigningProfile> {
    const path = this.#pathOf(arn);
    if (path === undefined) {
      throw new ProfileError(
        `not the ARN of a signing profile's version (arn:aws:signer:REGION:ACCOUNT:/signing-profiles/NAME/VERSION): ${arn}`,
      );
    }
    const profile = { arn, certificates: certificates.map(String), addedMs, revokedJobArns: [] };
    // The data folder, when no server has made it yet, is as private as a server makes it.
    await mkdir(dirname(this.#folder), { recursive: true, mode: 0o700 });
    await mkdir(this.#folder, { recursive: true });
    await checkFolder(this.#folder);
    // Whatever the umask of who calls: the server, which may be another user, reads it.
    await chmod(this.#folder, 0o755);
    await writeProfile(path, profile, "new");
    return profile;
  }

  /** Signatures of the profile made since then do not count any more; without a time none does. */
  async revoke(arn: string, sinceMs = 0): Promise<SigningProfile> {
    return this.#change(arn, (before) => ({
      ...before,
      revokedSinceMs: Math.min(sinceMs, before.revokedSinceMs ?? sinceMs),
    }));
  }

  /** One signature does not count any more. */
  async revokeJob(arn: string, jobArn: string): Promise<SigningProfile> {
    const job = parseArn(jobArn);
    if (job?.service !== "signer" || !JOB_PATTERN.test(job.resource)) {
      throw new ProfileError(`not the ARN of a signing job: ${jobArn}`);
    }
    return this.#change(arn, (before) => {
      const revokedJobArns = [...new Set([...before.revokedJobArns, jobArn])];
      if (revokedJobArns.length > REVOKED_JOBS_MAX) {
        throw new ProfileError(`more than ${REVOKED_JOBS_MAX} signatures are revoked: revoke the profile`);
      }
      return { ...before, revokedJobArns };
    });
  }

  async #change(arn: string, decide: (before: SigningProfile) => SigningProfile): Promise<SigningProfile> {
    const path = this.#pathOf(arn);
    if (path === undefined || !(await this.find(arn))) {
      throw new ProfileError(`there is no signing profile ${arn}`);
    }
    return exclusively(path, async () => {
      const before = await this.find(arn);
      if (!before) throw new ProfileError(`there is no signing profile ${arn} any more`);
      const after = decide(before);
      await writeProfile(path, after, "replaced");
      return after;
    });
  }

  #pathOf(arn: string): string | undefined {
    const parsed = parseProfileArn(arn);
    return parsed && join(this.#folder, `${parsed.name}.${parsed.version}.json`);
  }
}

async function readProfile(path: string): Promise<SigningProfile | undefined> {
  const file = await ignoringMissing(open(path, "r"));
  if (!file) return undefined;
  try {
    return checkedProfile(JSON.parse(await file.readFile("utf8")), path);
  } finally {
    await file.close();
  }
}

function checkedProfile(value: unknown, path: string): SigningProfile {
  const profile = value as Partial<SigningProfile> | null;
  const { arn, certificates, addedMs, revokedSinceMs, revokedJobArns } = profile ?? {};
  const areTexts = (list: unknown): list is string[] =>
    Array.isArray(list) && list.every((each) => typeof each === "string");
  if (
    typeof arn !== "string" ||
    !areTexts(certificates) ||
    typeof addedMs !== "number" ||
    (revokedSinceMs !== undefined && typeof revokedSinceMs !== "number") ||
    !areTexts(revokedJobArns)
  ) {
    throw new Error(`the signing profile in ${path} is damaged`);
  }
  return {
    arn,
    certificates,
    addedMs,
    revokedJobArns,
    ...(revokedSinceMs !== undefined && { revokedSinceMs }),
  };
}

/** Runs `work` while no other command changes the profile: what two revoke at a time must both be revoked. */
async function exclusively<T>(path: string, work: () => Promise<T>): Promise<T> {
  const lockPath = `${path}.lock`;
  await checkFolder(dirname(path));
  for (let attempt = 1; !(await createFile(lockPath)); attempt += 1) {
    if (attempt === LOCK_ATTEMPTS_MAX) {
      throw new ProfileError(
        `another command is changing the profile; if there is none, one was cut short: remove ${lockPath}`,
      );
    }
    await pause(LOCK_PAUSE_MS);
  }
  try {
    return await work();
  } finally {
    await rm(lockPath, { force: true });
  }
}

/** False when it is there. */
async function createFile(path: string): Promise<boolean> {
  try {
    await (await open(path, "wx", 0o600)).close();
    return true;
  } catch (error) {
    if (isExisting(error)) return false;
    throw error;
  }
}

function isExisting(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "EEXIST";
}

/** Whole or not at all, and on disk: written beside and put in place. */
async function writeProfile(path: string, profile: SigningProfile, how: "new" | "replaced"): Promise<void> {
  const folder = dirname(path);
  await checkFolder(folder);
  const temporary = join(folder, `${newUuid()}.new`);
  try {
    const file = await open(temporary, "wx", 0o644);
    try {
      await file.chmod(0o644);
      await file.writeFile(`${JSON.stringify(profile, undefined, 2)}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
    if (how === "new") await link(temporary, path);
    else await rename(temporary, path);
    await syncFolder(folder);
  } catch (error) {
    if (isExisting(error)) {
      throw new ProfileError(`there is a signing profile ${profile.arn} already`);
    }
    throw error;
  } finally {
    await rm(temporary, { force: true });
  }
}

/** It may be another user's than the one who writes: it must not lead elsewhere. */
async function checkFolder(folder: string): Promise<void> {
  if (!(await lstat(folder)).isDirectory()) throw new ProfileError(`${folder} is not a folder`);
}

async function ignoringMissing<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}
