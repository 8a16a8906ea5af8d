/** Whether a signature is to be believed: the checks beside integrity, which a policy of Warn lets pass. */
import { X509Certificate } from "node:crypto";
import { SIGNATURE_SKEW_MS_MAX } from "../../limits.ts";
import type { SigningProfile } from "./profiles.ts";
import { fingerprintOf, type CodeSignature } from "./signature.ts";

/** Whether it was made by who may use the profile that it names, whatever has become of it since. */
export function isFromProfile(signature: CodeSignature, profile: SigningProfile | undefined): boolean {
  if (profile?.arn !== signature.profileVersionArn) return false;
  return profile.certificates.some((pem) =>
    signature.chain.includes(fingerprintOf(new X509Certificate(pem))),
  );
}

/** Why the code is not to be trusted, for the log; undefined when it is. `profile` is the one that the signature names. */
export function distrust(
  signature: CodeSignature | undefined,
  policy: {
    readonly allowedProfileVersionArns: readonly string[];
    readonly profile: SigningProfile | undefined;
    readonly nowMs: number;
  },
): string | undefined {
  const { profile, nowMs } = policy;
  if (!signature) return "it is not signed";
  const { profileVersionArn, jobArn, signedMs, expiresMs } = signature;
  if (!policy.allowedProfileVersionArns.includes(profileVersionArn)) {
    return `its signing profile, ${profileVersionArn}, is none of the allowed publishers`;
  }
  if (!profile) return `its signing profile, ${profileVersionArn}, is not registered here`;
  if (!isFromProfile(signature, profile)) {
    return `no certificate of its signing profile, ${profileVersionArn}, vouches for its signer`;
  }
  if (signedMs > nowMs + SIGNATURE_SKEW_MS_MAX) return "it was signed at a time that has not come yet";
  if (expiresMs <= nowMs) return `its signature expired at ${new Date(expiresMs).toISOString()}`;
  if (profile.revokedSinceMs !== undefined && signedMs >= profile.revokedSinceMs) {
    return `its signing profile, ${profileVersionArn}, was revoked`;
  }
  if (profile.revokedJobArns.includes(jobArn)) return `its signature, ${jobArn}, was revoked`;
  return undefined;
}
