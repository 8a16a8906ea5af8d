/** The part of the Security Token Service that needs no roles of its own: who am I, and credentials for a while. */
import type {
  GetCallerIdentityResponse,
  GetSessionTokenRequest,
  GetSessionTokenResponse,
} from "@aws-sdk/client-sts";
import type { CredentialStore } from "../../iam/credentials.ts";
import type { Clock } from "../../kernel/clock.ts";
import type { RequestContext, Service } from "../../wire/service.ts";

/** GetSessionToken's default lifetime [API]: 12 hours. */
const SESSION_S_DEFAULT = 43_200;

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
        const expiresAtMs = clock.nowMs() + (input.DurationSeconds ?? SESSION_S_DEFAULT) * 1000;
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
