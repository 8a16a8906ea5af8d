/** Permissions boundaries of users and roles. */
import type {
  PutRolePermissionsBoundaryRequest,
  PutUserPermissionsBoundaryRequest,
} from "@aws-sdk/client-iam";
import type { OperationHandler } from "../../wire/service.ts";
import { findRole, findUser, type IamContext } from "./context.ts";
import { noSuchEntity } from "./errors.ts";

/** Throws NoSuchEntity when there is no such managed policy. */
export function boundaryOf({ directory }: IamContext, arn: string | undefined): { boundaryArn?: string } {
  if (arn === undefined) return {};
  if (!directory.managedPolicy(arn))
    throw noSuchEntity(`Scope ARN: ${arn} does not exist or is not attachable.`);
  return { boundaryArn: arn };
}

export function boundaryOperations(iam: IamContext): Record<string, OperationHandler> {
  const { directory } = iam;
  const { users, roles } = directory;
  return {
    PutUserPermissionsBoundary: ({ UserName = "", PermissionsBoundary }: PutUserPermissionsBoundaryRequest) =>
      directory.write(() => {
        const user = { ...findUser(iam, UserName), ...boundaryOf(iam, PermissionsBoundary) };
        return { changes: [users.replacing(user)], result: {} };
      }),
    DeleteUserPermissionsBoundary: ({ UserName = "" }: { UserName?: string }) =>
      directory.write(() => {
        const { boundaryArn, ...user } = findUser(iam, UserName);
        if (boundaryArn === undefined) throw noSuchEntity(`No permissions boundary is set for ${UserName}.`);
        return { changes: [users.replacing(user)], result: {} };
      }),
    PutRolePermissionsBoundary: ({ RoleName = "", PermissionsBoundary }: PutRolePermissionsBoundaryRequest) =>
      directory.write(() => {
        const role = { ...findRole(iam, RoleName), ...boundaryOf(iam, PermissionsBoundary) };
        return { changes: [roles.replacing(role)], result: {} };
      }),
    DeleteRolePermissionsBoundary: ({ RoleName = "" }: { RoleName?: string }) =>
      directory.write(() => {
        const { boundaryArn, ...role } = findRole(iam, RoleName);
        if (boundaryArn === undefined) throw noSuchEntity(`No permissions boundary is set for ${RoleName}.`);
        return { changes: [roles.replacing(role)], result: {} };
      }),
  };
}
