/** Roles and their trust policies. */
import type {
  CreateRoleRequest,
  CreateServiceLinkedRoleRequest,
  ListRolesRequest,
  UpdateAssumeRolePolicyRequest,
  UpdateRoleDescriptionRequest,
  UpdateRoleRequest,
} from "@aws-sdk/client-iam";
import type { RoleRecord } from "../../iam/directory/records.ts";
import { AwsError } from "../../errors.ts";
import { newIamId, newUuid } from "../../kernel/ids.ts";
import type { OperationHandler } from "../../wire/service.ts";
import { boundaryOf } from "./boundaries.ts";
import {
  findRole,
  pageOf,
  policyChars,
  ROLES_MAX,
  tagsOf,
  TRUST_POLICY_CHARS_MAX,
  type IamContext,
} from "./context.ts";
import {
  alreadyExists,
  checkDocument,
  deleteConflict,
  invalidInput,
  limitExceeded,
  noSuchEntity,
} from "./errors.ts";
import { roleShape } from "./shapes.ts";

/** [API] */
const SESSION_S_DEFAULT = 3600;
const SERVICE_LINKED_PATH = "/aws-service-role/";

export function roleOperations(iam: IamContext): Record<string, OperationHandler> {
  const { directory } = iam;
  const { roles } = directory;
  const change = (name: string | undefined, edit: (role: RoleRecord) => RoleRecord) =>
    directory.write(() => {
      const role = edit(findRole(iam, name ?? ""));
      return { changes: [roles.replacing(role)], result: role };
    });
  return {
    CreateRole: (input: CreateRoleRequest) => createRole(iam, input),
    CreateServiceLinkedRole: (input: CreateServiceLinkedRoleRequest) => createServiceLinkedRole(iam, input),
    GetRole: ({ RoleName = "" }: { RoleName?: string }) => ({
      Role: roleShape(directory, findRole(iam, RoleName), true),
    }),
    ListRoles: (input: ListRolesRequest) => {
      const found = roles.values().filter(({ path }) => path.startsWith(input.PathPrefix ?? "/"));
      const { items, ...page } = pageOf(found, ({ roleName }) => roleName.toLowerCase(), input);
      return { Roles: items.map((role) => roleShape(directory, role, false)), ...page };
    },
    UpdateRole: async ({ RoleName, Description, MaxSessionDuration }: UpdateRoleRequest) => {
      await change(RoleName, (role) => ({
        ...role,
        ...(Description !== undefined && { description: Description }),
        ...(MaxSessionDuration !== undefined && { maxSessionS: MaxSessionDuration }),
      }));
      return {};
    },
    UpdateRoleDescription: async ({ RoleName, Description = "" }: UpdateRoleDescriptionRequest) => {
      const role = await change(RoleName, (found) => ({ ...found, description: Description }));
      return { Role: roleShape(directory, role, true) };
    },
    UpdateAssumeRolePolicy: async ({ RoleName, PolicyDocument = "" }: UpdateAssumeRolePolicyRequest) => {
      await change(RoleName, (role) => {
        checkTrust(iam, role.roleName, PolicyDocument);
        return { ...role, trust: PolicyDocument };
      });
      return {};
    },
    DeleteRole: ({ RoleName = "" }: { RoleName?: string }) =>
      directory.write(() => {
        const role = findRole(iam, RoleName);
        if (directory.instanceProfiles.values().some(({ roleName }) => roleName === role.roleName))
          throw deleteConflict("Cannot delete entity, must remove roles from instance profile first.");
        if (role.attached.length > 0)
          throw deleteConflict("Cannot delete entity, must detach all policies first.");
        if (Object.keys(role.inline).length > 0)
          throw deleteConflict("Cannot delete entity, must delete policies first.");
        return { changes: [roles.deleting(role.roleName)], result: {} };
      }),
    DeleteServiceLinkedRole: ({ RoleName = "" }: { RoleName?: string }) =>
      directory.write(() => {
        const { roleName, path } = findRole(iam, RoleName);
        if (!path.startsWith(SERVICE_LINKED_PATH))
          throw noSuchEntity(`The role with name ${roleName} cannot be found.`);
        const DeletionTaskId = `task${path}${roleName}/${newUuid()}`;
        return { changes: [roles.deleting(roleName)], result: { DeletionTaskId } };
      }),
    GetServiceLinkedRoleDeletionStatus: () => ({ Status: "SUCCEEDED" }),
  };
}

/** The trust policy must be well-formed, and users and roles of this account that it names must exist. */
function checkTrust({ access, directory }: IamContext, roleName: string, document: string): void {
  checkDocument(access.permissions, document, "trust");
  if (policyChars(document) > TRUST_POLICY_CHARS_MAX)
    throw limitExceeded(`Cannot exceed quota for ACLSizePerRole: ${TRUST_POLICY_CHARS_MAX}`);
  const { statements } = access.permissions.document(document, "trust");
  for (const arn of statements.flatMap(({ principals }) => principals?.arns ?? [])) {
    const isOurs = arn.startsWith(`arn:${directory.partition}:iam::${directory.accountId}:`);
    const isItself = arn.endsWith(`/${roleName}`) && arn.includes(":role/");
    if (isOurs && !isItself && !directory.userByArn(arn) && !directory.roleByArn(arn))
      throw new AwsError("MalformedPolicyDocumentException", `Invalid principal in policy: "AWS":"${arn}"`);
  }
}

function createRole(iam: IamContext, input: CreateRoleRequest) {
  const { directory } = iam;
  const { roles } = directory;
  const {
    RoleName: roleName = "",
    Path: path = "/",
    AssumeRolePolicyDocument: trust = "",
    Description,
  } = input;
  return directory.write(() => {
    if (roles.get(roleName)) throw alreadyExists(`Role with name ${roleName} already exists.`);
    checkTrust(iam, roleName, trust);
    if (roles.size >= ROLES_MAX) throw limitExceeded(`Cannot exceed quota for RolesPerAccount: ${ROLES_MAX}`);
    const role: RoleRecord = {
      roleName,
      roleId: newIamId("AROA"),
      path,
      createdAtMs: directory.clock.nowMs(),
      trust,
      maxSessionS: input.MaxSessionDuration ?? SESSION_S_DEFAULT,
      tags: tagsOf(input.Tags),
      inline: {},
      attached: [],
      ...(Description !== undefined && { description: Description }),
      ...boundaryOf(iam, input.PermissionsBoundary),
    };
    return { changes: [roles.adding(role)], result: { Role: roleShape(directory, role, true) } };
  });
}

/** [IAM's model: roleNameType] */
const ROLE_NAME_CHARS_MAX = 64;

function createServiceLinkedRole(
  iam: IamContext,
  { AWSServiceName: service = "", Description, CustomSuffix }: CreateServiceLinkedRoleRequest,
) {
  const { directory } = iam;
  const { roles } = directory;
  const [name = ""] = service.split(".");
  if (!service.endsWith(".amazonaws.com") || name === "")
    throw invalidInput(`${service} is not a valid service principal for a service-linked role.`);
  const words = name.split("-").map((word) => `${word.charAt(0).toUpperCase()}${word.slice(1)}`);
  const roleName = `AWSServiceRoleFor${words.join("")}${CustomSuffix === undefined ? "" : `_${CustomSuffix}`}`;
  if (roleName.length > ROLE_NAME_CHARS_MAX)
    throw invalidInput(`The role name ${roleName} is longer than ${ROLE_NAME_CHARS_MAX} characters.`);
  const trust = JSON.stringify({
    Version: "2012-10-17",
    Statement: [{ Effect: "Allow", Principal: { Service: service }, Action: "sts:AssumeRole" }],
  });
  return directory.write(() => {
    if (roles.get(roleName))
      throw invalidInput(
        `Service role name ${roleName} has been taken in this account, please try a different suffix.`,
      );
    const role: RoleRecord = {
      roleName,
      roleId: newIamId("AROA"),
      path: `${SERVICE_LINKED_PATH}${service}/`,
      createdAtMs: directory.clock.nowMs(),
      trust,
      maxSessionS: SESSION_S_DEFAULT,
      tags: {},
      inline: {},
      attached: [],
      ...(Description !== undefined && { description: Description }),
    };
    return { changes: [roles.adding(role)], result: { Role: roleShape(directory, role, true) } };
  });
}
