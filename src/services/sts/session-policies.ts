/** Session policies: what a session may do at most, given by who makes it. */
import { AwsError } from "../../errors.ts";
import type { AccessControl } from "../../iam/access-control.ts";
import type { Directory } from "../../iam/directory/directory.ts";
import { MalformedPolicy } from "../../iam/policy/document.ts";

interface SessionPolicyInput {
  readonly Policy?: string | undefined;
  readonly PolicyArns?: readonly { readonly arn?: string | undefined }[] | undefined;
}

/** [API] */
const POLICY_ARNS_MAX = 10;

/** Throws MalformedPolicyDocument for a text that is no policy and an ARN that names none. */
export function sessionPolicies(
  { directory, access }: { directory: Directory; access: AccessControl },
  { Policy: policy, PolicyArns: descriptors = [] }: SessionPolicyInput,
): { policies?: readonly string[]; policyArns?: readonly string[] } {
  if (policy !== undefined) {
    try {
      access.permissions.document(policy, "identity");
    } catch (error) {
      if (!(error instanceof MalformedPolicy)) throw error;
      throw new AwsError("MalformedPolicyDocumentException", error.message, { cause: error });
    }
  }
  if (descriptors.length > POLICY_ARNS_MAX)
    throw new AwsError("ValidationException", `PolicyArns must have at most ${POLICY_ARNS_MAX} members.`);
  const policyArns = descriptors.flatMap(({ arn }) => (arn === undefined ? [] : [arn]));
  for (const arn of policyArns) {
    if (!directory.managedPolicy(arn))
      throw new AwsError(
        "MalformedPolicyDocumentException",
        `Policy ${arn} does not exist or is not attachable.`,
      );
  }
  return {
    ...(policy !== undefined && { policies: [policy] }),
    ...(policyArns.length > 0 && { policyArns }),
  };
}
