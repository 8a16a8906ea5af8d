/** Records as the API shows them. */
import type {
  AttachedPermissionsBoundary,
  Group,
  InstanceProfile,
  Policy,
  PolicyVersion as PolicyVersionShape,
  Role,
  User,
} from "@aws-sdk/client-iam";
import type { Directory, ManagedPolicy } from "../../iam/directory/directory.ts";
import type {
  GroupRecord,
  InstanceProfileRecord,
  PolicyVersion,
  RoleRecord,
  UserRecord,
} from "../../iam/directory/records.ts";
import { wholeSeconds } from "../../iam/whole-seconds.ts";
import { encoded, tagList } from "./context.ts";

function boundaryShape(arn: string | undefined): { PermissionsBoundary?: AttachedPermissionsBoundary } {
  if (arn === undefined) return {};
  return {
    PermissionsBoundary: {
      PermissionsBoundaryType: "PermissionsBoundaryPolicy",
      PermissionsBoundaryArn: arn,
    },
  };
}

/** Lists leave tags and boundaries out [API]. */
export function userShape(directory: Directory, user: UserRecord, detail: boolean): User {
  return {
    Path: user.path,
    UserName: user.userName,
    UserId: user.userId,
    Arn: directory.userArn(user),
    CreateDate: wholeSeconds(user.createdAtMs),
    ...(detail && boundaryShape(user.boundaryArn)),
    ...(detail && Object.keys(user.tags).length > 0 && { Tags: tagList(user.tags) }),
  };
}

export function groupShape(directory: Directory, group: GroupRecord): Group {
  return {
    Path: group.path,
    GroupName: group.groupName,
    GroupId: group.groupId,
    Arn: directory.groupArn(group),
    CreateDate: wholeSeconds(group.createdAtMs),
  };
}

export function roleShape(directory: Directory, role: RoleRecord, detail: boolean): Role {
  return {
    Path: role.path,
    RoleName: role.roleName,
    RoleId: role.roleId,
    Arn: directory.roleArn(role),
    CreateDate: wholeSeconds(role.createdAtMs),
    AssumeRolePolicyDocument: encoded(role.trust),
    MaxSessionDuration: role.maxSessionS,
    ...(role.description !== undefined && { Description: role.description }),
    ...(detail && boundaryShape(role.boundaryArn)),
    ...(detail && Object.keys(role.tags).length > 0 && { Tags: tagList(role.tags) }),
    ...(detail && { RoleLastUsed: {} }),
  };
}

export function instanceProfileShape(directory: Directory, profile: InstanceProfileRecord): InstanceProfile {
  const role = profile.roleName === undefined ? undefined : directory.roles.get(profile.roleName);
  return {
    Path: profile.path,
    InstanceProfileName: profile.instanceProfileName,
    InstanceProfileId: profile.instanceProfileId,
    Arn: directory.instanceProfileArn(profile),
    CreateDate: wholeSeconds(profile.createdAtMs),
    Roles: role ? [roleShape(directory, role, false)] : [],
    ...(Object.keys(profile.tags).length > 0 && { Tags: tagList(profile.tags) }),
  };
}

export function policyShape(directory: Directory, { arn, record }: ManagedPolicy, detail: boolean): Policy {
  const boundaries = [...directory.users.values(), ...directory.roles.values()];
  return {
    PolicyName: record.policyName,
    PolicyId: record.policyId,
    Arn: arn,
    Path: record.path,
    DefaultVersionId: record.defaultVersionId,
    AttachmentCount: directory.holders().filter(({ attached }) => attached.includes(arn)).length,
    PermissionsBoundaryUsageCount: boundaries.filter(({ boundaryArn }) => boundaryArn === arn).length,
    IsAttachable: true,
    CreateDate: wholeSeconds(record.createdAtMs),
    UpdateDate: wholeSeconds(record.updatedAtMs),
    ...(detail && record.description !== undefined && { Description: record.description }),
    ...(detail && Object.keys(record.tags).length > 0 && { Tags: tagList(record.tags) }),
  };
}

export function versionShape(
  { versionId, document, createdAtMs }: PolicyVersion,
  defaultVersionId: string,
  detail: boolean,
): PolicyVersionShape {
  return {
    ...(detail && { Document: encoded(document) }),
    VersionId: versionId,
    IsDefaultVersion: versionId === defaultVersionId,
    CreateDate: wholeSeconds(createdAtMs),
  };
}
