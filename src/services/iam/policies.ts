/** Managed policies: AWS's, which nobody changes, and the account's own with their versions. */
import type {
  CreatePolicyRequest,
  CreatePolicyVersionRequest,
  DeletePolicyVersionRequest,
  ListEntitiesForPolicyRequest,
  ListPoliciesRequest,
  ListPolicyVersionsRequest,
} from "@aws-sdk/client-iam";
import type { ManagedPolicy } from "../../iam/directory/directory.ts";
import type { PolicyRecord, PolicyVersion } from "../../iam/directory/records.ts";
import { newIamId } from "../../kernel/ids.ts";
import type { OperationHandler } from "../../wire/service.ts";
import {
  CUSTOMER_POLICIES_MAX,
  MANAGED_POLICY_CHARS_MAX,
  pageOf,
  POLICY_VERSIONS_MAX,
  policyChars,
  tagsOf,
  type IamContext,
} from "./context.ts";
import {
  accessDenied,
  alreadyExists,
  checkDocument,
  deleteConflict,
  limitExceeded,
  noSuchEntity,
} from "./errors.ts";
import { policyShape, versionShape } from "./shapes.ts";

export function policyOperations(iam: IamContext): Record<string, OperationHandler> {
  const { directory } = iam;
  const { policies } = directory;
  return {
    CreatePolicy: (input: CreatePolicyRequest) => createPolicy(iam, input),
    GetPolicy: ({ PolicyArn = "" }: { PolicyArn?: string }) => ({
      Policy: policyShape(directory, findPolicy(iam, PolicyArn), true),
    }),
    ListPolicies: (input: ListPoliciesRequest) => {
      const scope = input.Scope ?? "All";
      const boundaries = new Set(
        [...directory.users.values(), ...directory.roles.values()].map(({ boundaryArn }) => boundaryArn),
      );
      const attached = new Set(directory.holders().flatMap((holder) => holder.attached));
      const found = directory.managedPolicies().filter(({ arn, record, isAws }) => {
        if (!record.path.startsWith(input.PathPrefix ?? "/")) return false;
        if (scope !== "All" && isAws !== (scope === "AWS")) return false;
        if (input.PolicyUsageFilter === "PermissionsBoundary" && !boundaries.has(arn)) return false;
        return input.OnlyAttached !== true || attached.has(arn);
      });
      const { items, ...page } = pageOf(found, ({ arn }) => arn, input);
      return { Policies: items.map((policy) => policyShape(directory, policy, false)), ...page };
    },
    DeletePolicy: ({ PolicyArn = "" }: { PolicyArn?: string }) =>
      directory.write(() => {
        const record = ownPolicy(iam, PolicyArn);
        const bounds = [...directory.users.values(), ...directory.roles.values()];
        if (
          directory.holders().some(({ attached }) => attached.includes(PolicyArn)) ||
          bounds.some(({ boundaryArn }) => boundaryArn === PolicyArn)
        )
          throw deleteConflict("Cannot delete a policy attached to entities.");
        if (record.versions.length > 1)
          throw deleteConflict(
            "This policy has more than one version. Before you delete a policy, you must delete the policy's versions. The default version is deleted with the policy.",
          );
        return { changes: [policies.deleting(record.policyName)], result: {} };
      }),
    ...versionOperations(iam),
    ListEntitiesForPolicy: (input: ListEntitiesForPolicyRequest) => listEntities(iam, input),
  };
}

function createPolicy(iam: IamContext, input: CreatePolicyRequest) {
  const { directory } = iam;
  const { policies } = directory;
  const { PolicyName: policyName = "", Path: path = "/", PolicyDocument: document = "", Description } = input;
  return directory.write(() => {
    checkManaged(iam, document);
    if (policies.get(policyName))
      throw alreadyExists(`A policy called ${policyName} already exists. Duplicate names are not allowed.`);
    if (policies.size >= CUSTOMER_POLICIES_MAX)
      throw limitExceeded(`Cannot exceed quota for PoliciesPerAccount: ${CUSTOMER_POLICIES_MAX}`);
    const createdAtMs = directory.clock.nowMs();
    const record: PolicyRecord = {
      policyName,
      policyId: newIamId("ANPA"),
      path,
      createdAtMs,
      updatedAtMs: createdAtMs,
      versions: [{ versionId: "v1", document, createdAtMs }],
      defaultVersionId: "v1",
      nextVersion: 2,
      tags: tagsOf(input.Tags),
      ...(Description !== undefined && { description: Description }),
    };
    const policy = { arn: directory.policyArn(record), record, isAws: false };
    return { changes: [policies.adding(record)], result: { Policy: policyShape(directory, policy, true) } };
  });
}

function versionOperations(iam: IamContext): Record<string, OperationHandler> {
  const { directory } = iam;
  const { policies } = directory;
  return {
    CreatePolicyVersion: (input: CreatePolicyVersionRequest) =>
      directory.write(() => {
        const { PolicyArn = "", PolicyDocument: document = "", SetAsDefault } = input;
        const record = ownPolicy(iam, PolicyArn);
        checkManaged(iam, document);
        if (record.versions.length >= POLICY_VERSIONS_MAX)
          throw limitExceeded(
            `A managed policy can have up to ${POLICY_VERSIONS_MAX} versions. Before you create a new version, you must delete an existing version.`,
          );
        const createdAtMs = directory.clock.nowMs();
        const version = { versionId: `v${record.nextVersion}`, document, createdAtMs };
        const changed: PolicyRecord = {
          ...record,
          versions: [...record.versions, version],
          nextVersion: record.nextVersion + 1,
          updatedAtMs: createdAtMs,
          ...(SetAsDefault === true && { defaultVersionId: version.versionId }),
        };
        const PolicyVersion = versionShape(version, changed.defaultVersionId, false);
        return { changes: [policies.replacing(changed)], result: { PolicyVersion } };
      }),
    GetPolicyVersion: ({ PolicyArn = "", VersionId = "" }: { PolicyArn?: string; VersionId?: string }) => {
      const { record } = findPolicy(iam, PolicyArn);
      return {
        PolicyVersion: versionShape(findVersion(record, PolicyArn, VersionId), record.defaultVersionId, true),
      };
    },
    ListPolicyVersions: (input: ListPolicyVersionsRequest) => {
      const { record } = findPolicy(iam, input.PolicyArn ?? "");
      const newestFirst = record.versions.toReversed();
      const place = (version: PolicyVersion) => String(newestFirst.indexOf(version));
      const { items, ...page } = pageOf(newestFirst, place, input);
      return {
        Versions: items.map((version) => versionShape(version, record.defaultVersionId, false)),
        ...page,
      };
    },
    DeletePolicyVersion: ({ PolicyArn = "", VersionId = "" }: DeletePolicyVersionRequest) =>
      directory.write(() => {
        const record = ownPolicy(iam, PolicyArn);
        const { versionId } = findVersion(record, PolicyArn, VersionId);
        if (versionId === record.defaultVersionId)
          throw deleteConflict("Cannot delete the default version of a policy.");
        const versions = record.versions.filter((version) => version.versionId !== versionId);
        return { changes: [policies.replacing({ ...record, versions })], result: {} };
      }),
    SetDefaultPolicyVersion: ({ PolicyArn = "", VersionId = "" }: DeletePolicyVersionRequest) =>
      directory.write(() => {
        const record = ownPolicy(iam, PolicyArn);
        const { versionId } = findVersion(record, PolicyArn, VersionId);
        const changed = { ...record, defaultVersionId: versionId, updatedAtMs: directory.clock.nowMs() };
        return { changes: [policies.replacing(changed)], result: {} };
      }),
  };
}

function listEntities(iam: IamContext, input: ListEntitiesForPolicyRequest) {
  const { directory } = iam;
  const arn = findPolicy(iam, input.PolicyArn ?? "").arn;
  const bounding = input.PolicyUsageFilter === "PermissionsBoundary";
  const holds = (holder: { attached: readonly string[]; boundaryArn?: string; path: string }) =>
    holder.path.startsWith(input.PathPrefix ?? "/") &&
    (bounding ? holder.boundaryArn === arn : holder.attached.includes(arn));
  const wanted = (kind: string) => input.EntityFilter === undefined || input.EntityFilter === kind;
  const users = wanted("User") ? directory.users.values().filter(holds) : [];
  const groups = wanted("Group") ? directory.groups.values().filter(holds) : [];
  const roles = wanted("Role") ? directory.roles.values().filter(holds) : [];
  const all = [
    ...groups.map((group) => ({ key: `group/${group.groupName}`, group })),
    ...roles.map((role) => ({ key: `role/${role.roleName}`, role })),
    ...users.map((user) => ({ key: `user/${user.userName}`, user })),
  ];
  const { items, ...page } = pageOf(all, ({ key }) => key, input);
  return {
    PolicyGroups: items.flatMap((item) =>
      "group" in item ? [{ GroupName: item.group.groupName, GroupId: item.group.groupId }] : [],
    ),
    PolicyRoles: items.flatMap((item) =>
      "role" in item ? [{ RoleName: item.role.roleName, RoleId: item.role.roleId }] : [],
    ),
    PolicyUsers: items.flatMap((item) =>
      "user" in item ? [{ UserName: item.user.userName, UserId: item.user.userId }] : [],
    ),
    ...page,
  };
}

export function findPolicy({ directory }: IamContext, arn: string): ManagedPolicy {
  const policy = directory.managedPolicy(arn);
  if (!policy) throw noSuchEntity(`Policy ${arn} was not found.`);
  return policy;
}

/** A policy that the account may change. */
export function ownPolicy(iam: IamContext, arn: string): PolicyRecord {
  const { record, isAws } = findPolicy(iam, arn);
  if (isAws) throw accessDenied("Policy is outside your own account.");
  return record;
}

function findVersion(record: PolicyRecord, arn: string, versionId: string): PolicyVersion {
  const version = record.versions.find((one) => one.versionId === versionId);
  if (!version) throw noSuchEntity(`Policy ${arn} version ${versionId} does not exist or is not attachable.`);
  return version;
}

function checkManaged({ access }: IamContext, document: string): void {
  checkDocument(access.permissions, document, "identity");
  if (policyChars(document) > MANAGED_POLICY_CHARS_MAX)
    throw limitExceeded(`Cannot exceed quota for PolicySize: ${MANAGED_POLICY_CHARS_MAX}`);
}
