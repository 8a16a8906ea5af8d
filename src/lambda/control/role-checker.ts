/** Whether Lambda may assume a role, asked of IAM. */
import { invalidParameterValue } from "../../errors.ts";
import type { AccessControl } from "../../iam/access-control.ts";
import type { RoleChecker } from "./ports.ts";

const LAMBDA = "lambda.amazonaws.com";

export function createRoleChecker(access: Pick<AccessControl, "serviceMayAssume">): RoleChecker {
  return {
    async check(roleArn) {
      if (!access.serviceMayAssume(LAMBDA, roleArn))
        throw invalidParameterValue("The role defined for the function cannot be assumed by Lambda.");
    },
  };
}
