/**
 * The Security Token Service: who am I, and credentials for a while. Whether a role may be assumed was decided before a
 * handler here runs (its trust policy is part of every such request's authorisation), but for web identities, which prove
 * themselves here.
 */
import type {
  AssumeRoleRequest,
  AssumeRoleResponse,
  GetAccessKeyInfoRequest,
  GetCallerIdentityResponse,
  GetFederationTokenRequest,
  GetFederationTokenResponse,
  GetSessionTokenRequest,
  GetSessionTokenResponse,
} from "@aws-sdk/client-sts";
import { AwsError } from "../../errors.ts";
import type { AccessControl } from "../../iam/access-control.ts";
import type { CredentialStore } from "../../iam/credentials.ts";
import type { Directory } from "../../iam/directory/directory.ts";
import type { Clock } from "../../kernel/clock.ts";
import type { RequestContext, Service } from "../../wire/service.ts";
import { checkDuration, credentialsShape, roleSession } from "./role-session.ts";
import { sessionPolicies } from "./session-policies.ts";
import { webIdentityOperation, type KeySetFetcher } from "./web-identity.ts";

export interface StsOptions {
  readonly credentials: CredentialStore;
  readonly directory: Directory;
  readonly access: AccessControl;
  readonly clock: Clock;
  readonly accountId: string;
  /** Fetches the keys of identity providers. */
  readonly keySets: KeySetFetcher;
}

/** GetSessionToken's default lifetime [API]: 12 hours; the root's sessions last one hour at the most. */
const SESSION_S_DEFAULT = 43_200;
const ROOT_SESSION_S_MAX = 3600;
const ROLE_SESSION_S_DEFAULT = 3600;
/** A role that was assumed with a role's credentials [API]. */
const CHAINED_SESSION_S_MAX = 3600;

export function createSts(options: StsOptions): Service {
  const { credentials, clock, accountId } = options;
  return {
    model: "sts",
    operations: {
      GetCallerIdentity: (_input: object, { principal }: RequestContext): GetCallerIdentityResponse => ({
        UserId: principal.userId,
        Account: principal.accountId,
        Arn: principal.arn,
      }),
      GetSessionToken: (
        input: GetSessionTokenRequest,
        { principal }: RequestContext,
      ): GetSessionTokenResponse => {
        // A session would outlive itself by it, and leave its session policies behind.
        if (principal.session) throw accessDenied("Cannot call GetSessionToken with session credentials");
        const wantedS = input.DurationSeconds ?? SESSION_S_DEFAULT;
        const durationS = principal.kind === "root" ? Math.min(wantedS, ROOT_SESSION_S_MAX) : wantedS;
        const expiresAtMs = clock.nowMs() + durationS * 1000;
        const spec = { principalArn: principal.arn, roleId: principal.userId, expiresAtMs };
        return { Credentials: credentialsShape(credentials.mint(spec)) };
      },
      GetAccessKeyInfo: ({ AccessKeyId: accessKeyId = "" }: GetAccessKeyInfoRequest) => {
        const owner = credentials.accessKeyOwner(accessKeyId);
        // Temporary keys are nowhere written down; all that could be of this server are of its one account.
        if (!owner && !accessKeyId.startsWith("ASIA"))
          throw new AwsError("ValidationException", `Invalid AccessKeyId: ${accessKeyId}`);
        return { Account: owner?.accountId ?? accountId };
      },
      // Hornero's refusals say in plain text why: none of its messages is encoded.
      DecodeAuthorizationMessage: () => {
        throw new AwsError("InvalidAuthorizationMessageException", "Message not valid");
      },
      AssumeRole: (input: AssumeRoleRequest, context: RequestContext) => assumeRole(options, input, context),
      AssumeRoleWithWebIdentity: webIdentityOperation(options),
      GetFederationToken: (input: GetFederationTokenRequest, context: RequestContext) =>
        getFederationToken(options, input, context),
    },
  };
}

function assumeRole(
  { credentials, directory, access, clock }: StsOptions,
  input: AssumeRoleRequest,
  { principal }: RequestContext,
): AssumeRoleResponse {
  const { RoleArn: roleArn = "", SourceIdentity: sourceIdentity = principal.session?.sourceIdentity } = input;
  const role = directory.roleByArn(roleArn);
  // Authorisation has told those who may not; between then and now nothing can have changed.
  if (!role)
    throw accessDenied(
      `User: ${principal.arn} is not authorized to perform: sts:AssumeRole on resource: ${roleArn}`,
    );
  const durationS = input.DurationSeconds ?? ROLE_SESSION_S_DEFAULT;
  if (principal.kind === "assumed-role" && durationS > CHAINED_SESSION_S_MAX)
    throw new AwsError(
      "ValidationException",
      "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining",
    );
  checkDuration(role, durationS);
  const tags = sessionTags(input.Tags);
  return roleSession({ credentials, clock }, role, {
    roleArn,
    sessionName: input.RoleSessionName ?? "",
    durationS,
    ...sessionPolicies({ directory, access }, input),
    ...(tags && { tags }),
    ...(sourceIdentity !== undefined && { sourceIdentity }),
  });
}

function getFederationToken(
  { credentials, directory, access, clock, accountId }: StsOptions,
  input: GetFederationTokenRequest,
  { principal }: RequestContext,
): GetFederationTokenResponse {
  if (principal.session) throw accessDenied("Cannot call GetFederationToken with session credentials");
  const name = input.Name ?? "";
  const arn = `arn:aws:sts::${accountId}:federated-user/${name}`;
  const tags = sessionTags(input.Tags);
  const expiresAtMs = clock.nowMs() + (input.DurationSeconds ?? SESSION_S_DEFAULT) * 1000;
  // Without policies of its own a federated session may do nothing but what resources grant to it.
  const limits = sessionPolicies({ directory, access }, input);
  const minted = credentials.mint({
    principalArn: arn,
    roleId: accountId,
    sessionName: name,
    expiresAtMs,
    federatedBy: principal.arn,
    policies: [],
    ...limits,
    ...(tags && { tags }),
  });
  return {
    Credentials: credentialsShape(minted),
    FederatedUser: { FederatedUserId: `${accountId}:${name}`, Arn: arn },
    PackedPolicySize: 0,
  };
}

function sessionTags(
  list: readonly { Key?: string | undefined; Value?: string | undefined }[] | undefined,
): Record<string, string> | undefined {
  if (list === undefined || list.length === 0) return undefined;
  const seen = new Set(list.map(({ Key = "" }) => Key.toLowerCase()));
  if (seen.size < list.length)
    throw new AwsError(
      "InvalidParameterValue",
      "Duplicate tag keys found. Please note that Tag keys are case insensitive.",
    );
  return Object.fromEntries(list.map(({ Key = "", Value = "" }) => [Key, Value]));
}

function accessDenied(message: string): AwsError {
  return new AwsError("AccessDenied", message, { status: 403 });
}
