/** What a function's execution role needs for its records to be delivered [docs: invocation-async-retain-records]. */
import { parseArn } from "../../kernel/arn.ts";

/** Whether a role's policies, or the resource's, allow an action: IAM. */
export interface RolePermissions {
  roleMay(roleArn: string, access: { readonly action: string; readonly resource: string }): boolean;
}

export interface MissingPermission {
  /** As the service names it: `SendMessage`. */
  readonly operation: string;
  /** As AWS writes it: `SQS`. */
  readonly service: string;
}

interface Need {
  readonly action: string;
  /** After the target's ARN. */
  readonly suffix?: string;
}

const NEEDS: Readonly<Record<string, { readonly title: string; readonly needs: readonly Need[] }>> = {
  sqs: { title: "SQS", needs: [{ action: "sqs:SendMessage" }] },
  sns: { title: "SNS", needs: [{ action: "sns:Publish" }] },
  lambda: { title: "Lambda", needs: [{ action: "lambda:InvokeFunction" }] },
  events: { title: "EventBridge", needs: [{ action: "events:PutEvents" }] },
  s3: { title: "S3", needs: [{ action: "s3:PutObject", suffix: "/*" }, { action: "s3:ListBucket" }] },
};

/** The first thing that the role may not do and a delivery to the target needs; undefined when nothing is missing. */
export function missingPermission(
  permissions: RolePermissions,
  roleArn: string,
  targetArn: string,
): MissingPermission | undefined {
  const known = NEEDS[parseArn(targetArn)?.service ?? ""];
  const missing = known?.needs.find(
    ({ action, suffix = "" }) => !permissions.roleMay(roleArn, { action, resource: `${targetArn}${suffix}` }),
  );
  if (!known || !missing) return undefined;
  return { operation: missing.action.slice(missing.action.indexOf(":") + 1), service: known.title };
}
