/** Decisions in AWS's words. */
import type { Decision, MatchedStatement, PolicyType } from "./evaluate.ts";

const DENY_WORDS: Readonly<Record<PolicyType, string>> = {
  identity: "an identity-based policy",
  boundary: "a permissions boundary",
  session: "a session policy",
  resource: "a resource-based policy",
};
const MISSING_WORDS: Readonly<Record<PolicyType, string>> = {
  identity: "identity-based policy",
  boundary: "permissions boundary",
  session: "session policy",
  resource: "resource-based policy",
};

/**
 * `User: ARN is not authorized to perform: ACTION on resource: ARN because no identity-based policy allows the ACTION
 * action`, or `… with an explicit deny in a permissions boundary`.
 */
export function accessDeniedMessage(
  userArn: string,
  action: string,
  resource: string,
  decision: Decision,
): string {
  const head = `User: ${userArn} is not authorized to perform: ${action} on resource: ${resource}`;
  if (decision.deniedBy) return `${head} with an explicit deny in ${DENY_WORDS[decision.deniedBy.type]}`;
  return `${head} because no ${MISSING_WORDS[decision.missing ?? "identity"]} allows the ${action} action`;
}

/** Which statements decided, one line each: for `hornero iam why`. */
export function explanation(decision: Decision, action: string): string[] {
  if (decision.deniedBy) return [`denied by ${statementWords(decision.deniedBy)}`];
  const lines = decision.allowedBy.map((by) => `allowed by ${statementWords(by)}`);
  if (decision.missing) lines.push(`denied: no ${MISSING_WORDS[decision.missing]} allows ${action}`);
  else if (lines.length === 0) lines.push("allowed: the account's root needs no policy");
  return lines;
}

function statementWords({ type, policy, sid, index }: MatchedStatement): string {
  const statement = sid === undefined || sid === "" ? `statement ${index + 1}` : `statement "${sid}"`;
  return `${statement} of ${policy} (${MISSING_WORDS[type]})`;
}
