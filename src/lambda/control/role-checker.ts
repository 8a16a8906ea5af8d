/** Whether Lambda may assume a role, and what it may do then, asked of IAM. */
import { invalidParameterValue } from "../../errors.ts";
import type { AccessControl } from "../../iam/access-control.ts";
import type { RoleChecker } from "./ports.ts";

const LAMBDA = "lambda.amazonaws.com";

export function createRoleChecker(access: Pick<AccessControl, "serviceMayAssume" | "roleMay">): RoleChecker {
  return {
    roleMay: (roleArn, asked) => access.roleMay(roleArn, asked),
    async check(roleArn) {
      if (!access.serviceMayAssume(LAMBDA, roleArn))
        throw invalidParameterValue("The role defined for the function cannot be assumed by Lambda.");
    },
  };
}
