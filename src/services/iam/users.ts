/** Users, their groups and their access keys. */
import type {
  AddUserToGroupRequest,
  CreateGroupRequest,
  CreateUserRequest,
  DeleteAccessKeyRequest,
  GetAccessKeyLastUsedRequest,
  GetGroupRequest,
  ListAccessKeysRequest,
  ListGroupsForUserRequest,
  ListUsersRequest,
  UpdateAccessKeyRequest,
  UpdateGroupRequest,
  UpdateUserRequest,
} from "@aws-sdk/client-iam";
import type { UserRecord } from "../../iam/directory/records.ts";
import { wholeSeconds } from "../../iam/whole-seconds.ts";
import { newIamId } from "../../kernel/ids.ts";
import type { OperationHandler, RequestContext } from "../../wire/service.ts";
import { boundaryOf } from "./boundaries.ts";
import {
  ACCESS_KEYS_PER_USER_MAX,
  findGroup,
  findUser,
  GROUPS_MAX,
  GROUPS_PER_USER_MAX,
  pageOf,
  tagsOf,
  userNameOf,
  USERS_MAX,
  type IamContext,
} from "./context.ts";
import { alreadyExists, deleteConflict, limitExceeded, noSuchEntity } from "./errors.ts";
import { groupShape, userShape } from "./shapes.ts";

export function userOperations(iam: IamContext): Record<string, OperationHandler> {
  const { directory, credentials } = iam;
  const { users } = directory;
  return {
    CreateUser: ({
      UserName: userName = "",
      Path: path = "/",
      PermissionsBoundary,
      Tags,
    }: CreateUserRequest) =>
      directory.write(() => {
        if (users.get(userName)) throw alreadyExists(`User with name ${userName} already exists.`);
        if (users.size >= USERS_MAX)
          throw limitExceeded(`Cannot exceed quota for UsersPerAccount: ${USERS_MAX}`);
        const user: UserRecord = {
          userName,
          userId: newIamId("AIDA"),
          path,
          createdAtMs: directory.clock.nowMs(),
          tags: tagsOf(Tags),
          groups: [],
          inline: {},
          attached: [],
          ...boundaryOf(iam, PermissionsBoundary),
        };
        return { changes: [users.adding(user)], result: { User: userShape(directory, user, true) } };
      }),
    GetUser: (input: { UserName?: string }, context: RequestContext) => {
      if (input.UserName === undefined && context.principal.kind === "root")
        return { User: rootUser(iam, context) };
      return { User: userShape(directory, findUser(iam, userNameOf(input, context)), true) };
    },
    ListUsers: (input: ListUsersRequest) => {
      const found = users.values().filter(({ path }) => path.startsWith(input.PathPrefix ?? "/"));
      const { items, ...page } = pageOf(found, ({ userName }) => userName.toLowerCase(), input);
      return { Users: items.map((user) => userShape(directory, user, false)), ...page };
    },
    UpdateUser: (input: UpdateUserRequest) => updateUser(iam, input),
    DeleteUser: ({ UserName: name = "" }: { UserName?: string }) =>
      directory.write(() => {
        const user = findUser(iam, name);
        if (credentials.listAccessKeys(directory.userArn(user)).length > 0)
          throw deleteConflict("Cannot delete entity, must delete access keys first.");
        if (user.attached.length > 0)
          throw deleteConflict("Cannot delete entity, must detach all policies first.");
        if (Object.keys(user.inline).length > 0)
          throw deleteConflict("Cannot delete entity, must delete policies first.");
        if (user.groups.length > 0)
          throw deleteConflict("Cannot delete entity, must remove user from all groups first.");
        return { changes: [users.deleting(user.userName)], result: {} };
      }),
    ListGroupsForUser: (input: ListGroupsForUserRequest) => {
      const groups = findUser(iam, input.UserName ?? "").groups.map((name) => findGroup(iam, name));
      const { items, ...page } = pageOf(groups, ({ groupName }) => groupName.toLowerCase(), input);
      return { Groups: items.map((group) => groupShape(directory, group)), ...page };
    },
    // Nobody has a password, a certificate or a device here: consoles and tools ask before they delete a user.
    ListMFADevices: () => ({ MFADevices: [], IsTruncated: false }),
    ListSigningCertificates: () => ({ Certificates: [], IsTruncated: false }),
    ListSSHPublicKeys: () => ({ SSHPublicKeys: [], IsTruncated: false }),
    ListServiceSpecificCredentials: () => ({ ServiceSpecificCredentials: [] }),
    GetLoginProfile: ({ UserName: name = "" }: { UserName?: string }) => {
      findUser(iam, name);
      throw noSuchEntity(`Login Profile for User ${name} cannot be found.`);
    },
    DeleteLoginProfile: ({ UserName: name = "" }: { UserName?: string }) => {
      findUser(iam, name);
      throw noSuchEntity(`Login Profile for User ${name} cannot be found.`);
    },
  };
}

function rootUser({ directory, credentials }: IamContext, { principal }: RequestContext) {
  const createdAtMs = credentials.rootAccessKey().createdAtMs;
  return {
    Path: "/",
    UserName: "root",
    UserId: principal.accountId,
    Arn: `arn:${directory.partition}:iam::${principal.accountId}:root`,
    CreateDate: wholeSeconds(createdAtMs),
  };
}

async function updateUser(
  { directory, credentials, ...rest }: IamContext,
  { UserName = "", NewUserName, NewPath }: UpdateUserRequest,
): Promise<object> {
  const iam = { directory, credentials, ...rest };
  const { users } = directory;
  return directory
    .write(() => {
      const user = findUser(iam, UserName);
      const changed = { ...user, userName: NewUserName ?? user.userName, path: NewPath ?? user.path };
      const renamed = changed.userName.toLowerCase() !== user.userName.toLowerCase();
      if (renamed && users.get(changed.userName))
        throw alreadyExists(`User with name ${changed.userName} already exists.`);
      const changes = renamed
        ? [users.deleting(user.userName), users.adding(changed)]
        : [users.replacing(changed)];
      return { changes, result: { from: directory.userArn(user), to: changed } };
    })
    .then(async ({ from, to }) => {
      const { accountId } = directory;
      await credentials.reassignAccessKeys(from, {
        kind: "user",
        arn: directory.userArn(to),
        accountId,
        userId: to.userId,
      });
      return {};
    });
}

export function groupOperations(iam: IamContext): Record<string, OperationHandler> {
  const { directory } = iam;
  const { groups, users } = directory;
  const members = (groupName: string) => users.values().filter((user) => user.groups.includes(groupName));
  return {
    CreateGroup: ({ GroupName: groupName = "", Path: path = "/" }: CreateGroupRequest) =>
      directory.write(() => {
        if (groups.get(groupName)) throw alreadyExists(`Group with name ${groupName} already exists.`);
        if (groups.size >= GROUPS_MAX)
          throw limitExceeded(`Cannot exceed quota for GroupsPerAccount: ${GROUPS_MAX}`);
        const createdAtMs = directory.clock.nowMs();
        const group = { groupName, groupId: newIamId("AGPA"), path, createdAtMs, inline: {}, attached: [] };
        return { changes: [groups.adding(group)], result: { Group: groupShape(directory, group) } };
      }),
    GetGroup: (input: GetGroupRequest) => {
      const group = findGroup(iam, input.GroupName ?? "");
      const { items, ...page } = pageOf(
        members(group.groupName),
        ({ userName }) => userName.toLowerCase(),
        input,
      );
      const Users = items.map((user) => userShape(directory, user, false));
      return { Group: groupShape(directory, group), Users, ...page };
    },
    ListGroups: (input: { PathPrefix?: string; Marker?: string; MaxItems?: number }) => {
      const found = groups.values().filter(({ path }) => path.startsWith(input.PathPrefix ?? "/"));
      const { items, ...page } = pageOf(found, ({ groupName }) => groupName.toLowerCase(), input);
      return { Groups: items.map((group) => groupShape(directory, group)), ...page };
    },
    UpdateGroup: ({ GroupName = "", NewGroupName, NewPath }: UpdateGroupRequest) =>
      directory.write(() => {
        const group = findGroup(iam, GroupName);
        const changed = { ...group, groupName: NewGroupName ?? group.groupName, path: NewPath ?? group.path };
        if (changed.groupName.toLowerCase() === group.groupName.toLowerCase())
          return { changes: [groups.replacing(changed)], result: {} };
        if (groups.get(changed.groupName))
          throw alreadyExists(`Group with name ${changed.groupName} already exists.`);
        const moved = members(group.groupName).map((user) =>
          users.replacing({
            ...user,
            groups: user.groups.map((name) => (name === group.groupName ? changed.groupName : name)),
          }),
        );
        return { changes: [groups.deleting(group.groupName), groups.adding(changed), ...moved], result: {} };
      }),
    DeleteGroup: ({ GroupName = "" }: { GroupName?: string }) =>
      directory.write(() => {
        const group = findGroup(iam, GroupName);
        if (members(group.groupName).length > 0)
          throw deleteConflict("Cannot delete entity, must remove users from group first.");
        if (group.attached.length > 0)
          throw deleteConflict("Cannot delete entity, must detach all policies first.");
        if (Object.keys(group.inline).length > 0)
          throw deleteConflict("Cannot delete entity, must delete policies first.");
        return { changes: [groups.deleting(group.groupName)], result: {} };
      }),
    AddUserToGroup: ({ GroupName = "", UserName = "" }: AddUserToGroupRequest) =>
      directory.write(() => {
        const { groupName } = findGroup(iam, GroupName);
        const user = findUser(iam, UserName);
        if (user.groups.includes(groupName)) return { changes: [], result: {} };
        if (user.groups.length >= GROUPS_PER_USER_MAX)
          throw limitExceeded(`Cannot exceed quota for GroupsPerUser: ${GROUPS_PER_USER_MAX}`);
        return { changes: [users.replacing({ ...user, groups: [...user.groups, groupName] })], result: {} };
      }),
    RemoveUserFromGroup: ({ GroupName = "", UserName = "" }: AddUserToGroupRequest) =>
      directory.write(() => {
        const { groupName } = findGroup(iam, GroupName);
        const user = findUser(iam, UserName);
        if (!user.groups.includes(groupName))
          throw noSuchEntity(`User ${user.userName} is not in group ${groupName}.`);
        const groupsLeft = user.groups.filter((name) => name !== groupName);
        return { changes: [users.replacing({ ...user, groups: groupsLeft })], result: {} };
      }),
  };
}

export function accessKeyOperations(iam: IamContext): Record<string, OperationHandler> {
  const { directory, credentials, keyUsage } = iam;
  /** The owner that a request means; the root manages its own keys by naming nobody. */
  const ownerOf = (input: { UserName?: string | undefined }, context: RequestContext) => {
    const { accountId } = directory;
    if (input.UserName === undefined && context.principal.kind === "root") {
      const { kind, arn, userId } = context.principal;
      return { name: "root", owner: { kind, arn, accountId, userId } };
    }
    const user = findUser(iam, userNameOf(input, context));
    const owner = { kind: "user", arn: directory.userArn(user), accountId, userId: user.userId } as const;
    return { name: user.userName, owner };
  };
  const find = (arn: string, accessKeyId: string) => {
    const key = credentials.listAccessKeys(arn).find((one) => one.accessKeyId === accessKeyId);
    if (!key) throw noSuchEntity(`The Access Key with id ${accessKeyId} cannot be found.`);
    return key;
  };
  /** Without a key of the root nobody could ever get in again: there is no console with a password. */
  const keepsRoot = (accessKeyId: string) => {
    const owner = credentials.accessKeyOwner(accessKeyId);
    if (owner?.kind !== "root") return;
    const active = credentials.listAccessKeys(owner.arn).filter(({ status }) => status === "Active");
    if (active.every((key) => key.accessKeyId === accessKeyId))
      throw deleteConflict("Cannot delete entity, it is the last active access key of the account's root.");
  };
  return {
    CreateAccessKey: (input: { UserName?: string }, context: RequestContext) =>
      directory.inTurn(async () => {
        const { name, owner } = ownerOf(input, context);
        if (credentials.listAccessKeys(owner.arn).length >= ACCESS_KEYS_PER_USER_MAX)
          throw limitExceeded(`Cannot exceed quota for AccessKeysPerUser: ${ACCESS_KEYS_PER_USER_MAX}`);
        const key = await credentials.createAccessKey(owner);
        return {
          AccessKey: {
            UserName: name,
            AccessKeyId: key.accessKeyId,
            Status: key.status,
            SecretAccessKey: key.secretAccessKey,
            CreateDate: wholeSeconds(key.createdAtMs),
          },
        };
      }),
    ListAccessKeys: (input: ListAccessKeysRequest, context: RequestContext) => {
      const { name, owner } = ownerOf(input, context);
      const keys = credentials.listAccessKeys(owner.arn);
      const { items, ...page } = pageOf(keys, ({ accessKeyId }) => accessKeyId, input);
      const AccessKeyMetadata = items.map(({ accessKeyId, status, createdAtMs }) => ({
        UserName: name,
        AccessKeyId: accessKeyId,
        Status: status,
        CreateDate: wholeSeconds(createdAtMs),
      }));
      return { AccessKeyMetadata, ...page };
    },
    UpdateAccessKey: (input: UpdateAccessKeyRequest, context: RequestContext) =>
      directory.inTurn(async () => {
        const { accessKeyId } = find(ownerOf(input, context).owner.arn, input.AccessKeyId ?? "");
        if (input.Status === "Inactive") keepsRoot(accessKeyId);
        await credentials.updateAccessKey(accessKeyId, input.Status === "Active" ? "Active" : "Inactive");
        return {};
      }),
    DeleteAccessKey: (input: DeleteAccessKeyRequest, context: RequestContext) =>
      directory.inTurn(async () => {
        const { accessKeyId } = find(ownerOf(input, context).owner.arn, input.AccessKeyId ?? "");
        keepsRoot(accessKeyId);
        await credentials.deleteAccessKey(accessKeyId);
        await keyUsage.forget(accessKeyId);
        return {};
      }),
    GetAccessKeyLastUsed: ({ AccessKeyId: accessKeyId = "" }: GetAccessKeyLastUsedRequest) => {
      const owner = credentials.accessKeyOwner(accessKeyId);
      if (!owner) throw noSuchEntity(`The Access Key with id ${accessKeyId} cannot be found.`);
      const use = keyUsage.lastUse(accessKeyId);
      return {
        UserName: owner.kind === "user" ? owner.arn.slice(owner.arn.lastIndexOf("/") + 1) : "root",
        AccessKeyLastUsed: use
          ? { LastUsedDate: wholeSeconds(use.atMs), ServiceName: use.service, Region: use.region }
          : { ServiceName: "N/A", Region: "N/A" },
      };
    },
  };
}
