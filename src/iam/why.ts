/** The answer to `hornero iam why`: a question as a query, the decision with its reasons as JSON. */
import { AwsError } from "../errors.ts";
import type { AccessControl } from "./access-control.ts";

export interface WhyAnswer {
  readonly allowed: boolean;
  /** AWS's words when it is not allowed. */
  readonly message: string;
  /** Which statements decided, or which kind of policy allowed nothing. */
  readonly lines: readonly string[];
}

/** `principal`, `action` and `resource` (default `*`). Throws AwsError: NoSuchEntity when nobody has that ARN. */
export function answerWhy(access: AccessControl, query: URLSearchParams): WhyAnswer {
  const principal = query.get("principal") ?? "";
  const action = query.get("action") ?? "";
  if (!/^[\w-]+:\w+$/.test(action)) throw new AwsError("ValidationException", `${action} is no action.`);
  const answer = access.why(principal, { action, resource: query.get("resource") ?? "*" });
  if (!answer)
    throw new AwsError("NoSuchEntity", `The entity with ARN ${principal} cannot be found.`, { status: 404 });
  return answer;
}
