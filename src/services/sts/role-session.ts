/** Sessions of roles, however they were asked for. */
import type { AssumedRoleUser, Credentials } from "@aws-sdk/client-sts";
import { AwsError } from "../../errors.ts";
import type { CredentialStore, SessionSpec, TemporaryCredentials } from "../../iam/credentials.ts";
import type { RoleRecord } from "../../iam/directory/records.ts";
import type { PrincipalSession } from "../../iam/principal.ts";
import { wholeSeconds } from "../../iam/whole-seconds.ts";
import type { Clock } from "../../kernel/clock.ts";

export function checkDuration({ maxSessionS }: RoleRecord, durationS: number): void {
  if (durationS > maxSessionS)
    throw new AwsError(
      "ValidationException",
      "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
    );
}

interface RoleSession extends Omit<PrincipalSession, "issuedAtMs" | "expiresAtMs"> {
  readonly roleArn: string;
  readonly sessionName: string;
  readonly durationS: number;
}

/** Credentials of a session of the role, and how the API shows them. */
export function roleSession(
  { credentials, clock }: { credentials: CredentialStore; clock: Clock },
  { roleId, roleName }: RoleRecord,
  { durationS, ...session }: RoleSession,
): {
  Credentials: Credentials;
  AssumedRoleUser: AssumedRoleUser;
  PackedPolicySize?: number;
  SourceIdentity?: string;
} {
  const accountId = session.roleArn.split(":")[4] ?? "";
  const arn = `arn:aws:sts::${accountId}:assumed-role/${roleName}/${session.sessionName}`;
  const spec: SessionSpec = {
    ...session,
    principalArn: arn,
    roleId,
    expiresAtMs: clock.nowMs() + durationS * 1000,
  };
  const { sourceIdentity, policies, tags } = session;
  const packedChars = JSON.stringify([policies, session.policyArns, tags]).length;
  const isPacked = policies !== undefined || session.policyArns !== undefined || tags !== undefined;
  return {
    Credentials: credentialsShape(credentials.mint(spec)),
    AssumedRoleUser: { AssumedRoleId: `${roleId}:${session.sessionName}`, Arn: arn },
    ...(isPacked && { PackedPolicySize: Math.ceil((100 * packedChars) / PACKED_CHARS_MAX) }),
    ...(sourceIdentity !== undefined && { SourceIdentity: sourceIdentity }),
  };
}

/** Of which PackedPolicySize tells the part that is taken, in percent: about what a token has room for. */
const PACKED_CHARS_MAX = 4096;

export function credentialsShape(minted: TemporaryCredentials): Credentials {
  return {
    AccessKeyId: minted.accessKeyId,
    SecretAccessKey: minted.secretAccessKey,
    SessionToken: minted.sessionToken,
    Expiration: wholeSeconds(minted.expiresAtMs),
  };
}
