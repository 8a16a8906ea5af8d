/**
 * Goal: a registered profile is found by its ARN, what is revoked is so for the next look, and no name leads out of the folder.
 * Method: folders of the test's own; certificates made here; trust asked for each reason that there is to withhold it.
 */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import { newProfileArn, ProfileError, readCertificates, SigningProfiles } from "./profiles.ts";
import type { CodeSignature } from "./signature.ts";
import { fingerprintOf } from "./signature.ts";
import { DAY_MS, JOB_ARN, newIdentity, PROFILE_ARN } from "./testing.ts";
import { distrust } from "./trust.ts";

const NOW_MS = Date.UTC(2026, 10, 23, 18);
const { certificate } = newIdentity("signer", { validFromMs: 0, validToMs: NOW_MS + DAY_MS });
const isProfileError = (error: unknown) => error instanceof ProfileError;

describe("signing profiles", () => {
  let folder: string;
  let profiles: SigningProfiles;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "hornero-profiles-"));
    profiles = new SigningProfiles(join(folder, "signing-profiles"));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  test("are found by ARN and by name, listed oldest first, and readable for the server's user", async () => {
    assert.deepEqual(await profiles.list(), []);
    assert.equal(await profiles.find(PROFILE_ARN), undefined);
    const where = { partition: "aws", region: "us-east-1", accountId: "000000000000" };
    const newer = newProfileArn(where, "acme");
    assert.match(newer, /^arn:aws:signer:us-east-1:000000000000:\/signing-profiles\/acme\/[a-zA-Z0-9]{10}$/);
    await profiles.add(newer, [certificate], 2);
    const added = await profiles.add(PROFILE_ARN, [certificate], 1);
    assert.deepEqual(await profiles.find(PROFILE_ARN), added);
    assert.deepEqual(
      (await profiles.list()).map(({ arn }) => arn),
      [PROFILE_ARN, newer],
    );
    assert.equal((await profiles.require("acme")).arn, newer);
    assert.equal((await profiles.require(PROFILE_ARN)).arn, PROFILE_ARN);
    const [file = ""] = readdirSync(join(folder, "signing-profiles"));
    assert.equal(statSync(join(folder, "signing-profiles", file)).mode & 0o777, 0o644);
  });

  test("a version is added once, and its ARN is one", async () => {
    await profiles.add(PROFILE_ARN, [certificate], 1);
    await assert.rejects(profiles.add(PROFILE_ARN, [certificate], 2), isProfileError);
    for (const arn of [
      "acme",
      "arn:aws:signer:us-east-1:000000000000:/signing-profiles/acme",
      "arn:aws:signer:us-east-1:000000000000:/signing-profiles/../Abcdefgh01",
      "arn:aws:signer:us-east-1:000000000000:/signing-profiles/acme/../../etc1",
      "arn:aws:iam:us-east-1:000000000000:/signing-profiles/acme/Abcdefgh01",
    ]) {
      await assert.rejects(profiles.add(arn, [certificate], 2), isProfileError, arn);
      assert.equal(await profiles.find(arn), undefined, arn);
    }
    assert.equal(readdirSync(join(folder, "signing-profiles")).length, 1);
  });

  test("another account's of the same name and version is another", async () => {
    await profiles.add(PROFILE_ARN, [certificate], 1);
    const other = PROFILE_ARN.replace("000000000000", "111111111111");
    assert.equal(await profiles.find(other), undefined);
    await assert.rejects(profiles.revoke(other), isProfileError);
  });

  test("nothing is written through a link in the folder's place, and a damaged file is no answer", async () => {
    mkdirSync(join(folder, "elsewhere"));
    symlinkSync(join(folder, "elsewhere"), join(folder, "signing-profiles"));
    await assert.rejects(profiles.add(PROFILE_ARN, [certificate], 1), isProfileError);
    assert.deepEqual(readdirSync(join(folder, "elsewhere")), []);
    writeFileSync(join(folder, "elsewhere", "acme.Abcdefgh01.json"), '{"arn":1}');
    await assert.rejects(profiles.find(PROFILE_ARN), /damaged/);
  });

  test("revoking moves only back in time, and is there for the next look", async () => {
    await profiles.add(PROFILE_ARN, [certificate], 1);
    await profiles.revoke(PROFILE_ARN, 1000);
    await profiles.revoke(PROFILE_ARN, 2000);
    assert.equal((await profiles.find(PROFILE_ARN))?.revokedSinceMs, 1000);
    await profiles.revoke(PROFILE_ARN);
    assert.equal((await profiles.find(PROFILE_ARN))?.revokedSinceMs, 0);
    await profiles.revokeJob(PROFILE_ARN, JOB_ARN);
    await profiles.revokeJob(PROFILE_ARN, JOB_ARN);
    assert.deepEqual((await profiles.find(PROFILE_ARN))?.revokedJobArns, [JOB_ARN]);
    await assert.rejects(profiles.revokeJob(PROFILE_ARN, PROFILE_ARN), isProfileError);
  });

  test("what several commands revoke at a time is all revoked", async () => {
    await profiles.add(PROFILE_ARN, [certificate], 1);
    const jobs = Array.from({ length: 8 }, (_, index) => `${JOB_ARN}${index}`);
    // Each as a process of its own would: they share nothing but the folder.
    const commands = jobs.map((job) =>
      new SigningProfiles(join(folder, "signing-profiles")).revokeJob(PROFILE_ARN, job),
    );
    await Promise.all([...commands, profiles.revoke(PROFILE_ARN, 1000)]);
    const profile = await profiles.find(PROFILE_ARN);
    assert.deepEqual(profile?.revokedJobArns.toSorted(), jobs);
    assert.equal(profile?.revokedSinceMs, 1000);
    assert.equal(readdirSync(join(folder, "signing-profiles")).length, 1);
  });

  test("certificates are read from PEM, or the caller is told why not", () => {
    assert.equal(readCertificates(`${certificate.toString()}\n${certificate.toString()}`).length, 2);
    for (const text of ["", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"]) {
      assert.throws(() => readCertificates(text), isProfileError);
    }
  });
});

describe("trust", () => {
  const signature: CodeSignature = {
    profileVersionArn: PROFILE_ARN,
    jobArn: JOB_ARN,
    signedMs: NOW_MS - 1000,
    expiresMs: NOW_MS + 1000,
    chain: ["00", fingerprintOf(certificate)],
  };
  const profile = {
    arn: PROFILE_ARN,
    certificates: [certificate.toString()],
    addedMs: 0,
    revokedJobArns: [],
  };
  const policy = { allowedProfileVersionArns: [PROFILE_ARN], profile, nowMs: NOW_MS };

  test("is given to who is allowed, registered and vouched for", () => {
    assert.equal(distrust(signature, policy), undefined);
    const since = { ...profile, revokedSinceMs: signature.signedMs + 1 };
    assert.equal(distrust(signature, { ...policy, profile: since }), undefined);
  });

  const rows: [RegExp, CodeSignature | undefined, Partial<typeof policy> | { profile: undefined }][] = [
    [/not signed/, undefined, {}],
    [/none of the allowed/, signature, { allowedProfileVersionArns: [`${PROFILE_ARN}2`] }],
    [/not registered/, signature, { profile: undefined }],
    [/no certificate/, { ...signature, chain: ["00"] }, {}],
    [/not come yet/, { ...signature, signedMs: NOW_MS + DAY_MS }, {}],
    [/expired/, { ...signature, expiresMs: NOW_MS }, {}],
  ];
  for (const [reason, given, changed] of rows) {
    test(`is withheld: ${reason.source}`, () => {
      assert.match(distrust(given, { ...policy, ...changed }) ?? "trusted", reason);
    });
  }

  test("is withheld from what was revoked", () => {
    const revoked = (changed: object) =>
      distrust(signature, { ...policy, profile: { ...profile, ...changed } });
    assert.match(revoked({ revokedSinceMs: signature.signedMs }) ?? "", /profile.* was revoked/);
    assert.match(revoked({ revokedJobArns: [JOB_ARN] }) ?? "", /signature.* was revoked/);
  });
});
