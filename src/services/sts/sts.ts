/** The part of the Security Token Service that needs no roles of its own: who am I, and credentials for a while. */
import type {
  GetCallerIdentityResponse,
  GetSessionTokenRequest,
  GetSessionTokenResponse,
} from "@aws-sdk/client-sts";
import { AwsError } from "../../errors.ts";
import type { CredentialStore } from "../../iam/credentials.ts";
import type { Clock } from "../../kernel/clock.ts";
import type { RequestContext, Service } from "../../wire/service.ts";

/** GetSessionToken's default lifetime [API]: 12 hours; the root's sessions last one hour at the most. */
const SESSION_S_DEFAULT = 43_200;
const ROOT_SESSION_S_MAX = 3600;

export function createSts({ credentials, clock }: { credentials: CredentialStore; clock: Clock }): Service {
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
        if (principal.session)
          throw new AwsError("AccessDenied", "Cannot call GetSessionToken with session credentials", {
            status: 403,
          });
        const wantedS = input.DurationSeconds ?? SESSION_S_DEFAULT;
        const durationS = principal.kind === "root" ? Math.min(wantedS, ROOT_SESSION_S_MAX) : wantedS;
        const expiresAtMs = clock.nowMs() + durationS * 1000;
        const minted = credentials.mint({
          principalArn: principal.arn,
          roleId: principal.userId,
          expiresAtMs,
        });
        return {
          Credentials: {
            AccessKeyId: minted.accessKeyId,
            SecretAccessKey: minted.secretAccessKey,
            SessionToken: minted.sessionToken,
            Expiration: new Date(expiresAtMs),
          },
        };
      },
    },
  };
}
