/** The account as a whole: what there is of everything, and how much of the quotas it takes. */
import type { GetAccountAuthorizationDetailsRequest } from "@aws-sdk/client-iam";
import type { Policies } from "../../iam/directory/records.ts";
import type { OperationHandler } from "../../wire/service.ts";
import * as quotas from "./context.ts";
import { encoded, pageOf, type IamContext } from "./context.ts";
import { noSuchEntity } from "./errors.ts";
import {
  groupShape,
  instanceProfileShape,
  policyShape,
  roleShape,
  userShape,
  versionShape,
} from "./shapes.ts";

export function accountOperations(iam: IamContext): Record<string, OperationHandler> {
  return {
    GetAccountSummary: () => ({ SummaryMap: summary(iam) }),
    GetAccountAuthorizationDetails: (input: GetAccountAuthorizationDetailsRequest) => details(iam, input),
    // An account without an alias, a password policy or certificates: tools ask for them when they look around.
    ListAccountAliases: () => ({ AccountAliases: [], IsTruncated: false }),
    ListSAMLProviders: () => ({ SAMLProviderList: [] }),
    ListServerCertificates: () => ({ ServerCertificateMetadataList: [], IsTruncated: false }),
    ListVirtualMFADevices: () => ({ VirtualMFADevices: [], IsTruncated: false }),
    GetAccountPasswordPolicy: () => {
      throw noSuchEntity(`The Password Policy with domain name ${iam.directory.accountId} cannot be found.`);
    },
  };
}

function summary({ directory, credentials }: IamContext): Record<string, number> {
  const { users, groups, roles, policies, instanceProfiles, oidcProviders } = directory;
  const versions = policies.values().reduce((sum, policy) => sum + policy.versions.length, 0);
  const root = `arn:${directory.partition}:iam::${directory.accountId}:root`;
  return {
    Users: users.size,
    UsersQuota: quotas.USERS_MAX,
    Groups: groups.size,
    GroupsQuota: quotas.GROUPS_MAX,
    GroupsPerUserQuota: quotas.GROUPS_PER_USER_MAX,
    Roles: roles.size,
    RolesQuota: quotas.ROLES_MAX,
    Policies: policies.size,
    PoliciesQuota: quotas.CUSTOMER_POLICIES_MAX,
    PolicySizeQuota: quotas.MANAGED_POLICY_CHARS_MAX,
    PolicyVersionsInUse: versions,
    VersionsPerPolicyQuota: quotas.POLICY_VERSIONS_MAX,
    AttachedPoliciesPerUserQuota: quotas.ATTACHED_POLICIES_MAX,
    AttachedPoliciesPerGroupQuota: quotas.ATTACHED_POLICIES_MAX,
    AttachedPoliciesPerRoleQuota: quotas.ATTACHED_POLICIES_MAX,
    AssumeRolePolicySizeQuota: quotas.TRUST_POLICY_CHARS_MAX,
    AccessKeysPerUserQuota: quotas.ACCESS_KEYS_PER_USER_MAX,
    InstanceProfiles: instanceProfiles.size,
    InstanceProfilesQuota: quotas.INSTANCE_PROFILES_MAX,
    Providers: oidcProviders.size,
    AccountAccessKeysPresent: credentials.listAccessKeys(root).length > 0 ? 1 : 0,
    AccountMFAEnabled: 0,
    AccountPasswordPresent: 0,
    MFADevices: 0,
    MFADevicesInUse: 0,
    ServerCertificates: 0,
  };
}

/** Everything in one list, so that one marker can lead through it. */
function details({ directory }: IamContext, input: GetAccountAuthorizationDetailsRequest) {
  const filter = new Set<string>(input.Filter ?? []);
  const wanted = (kind: string) => filter.size === 0 || filter.has(kind);
  const attached = ({ attached: arns }: Policies) =>
    arns.map((PolicyArn) => ({
      PolicyArn,
      PolicyName: directory.managedPolicy(PolicyArn)?.record.policyName,
    }));
  const inline = (holder: Policies) =>
    Object.entries(holder.inline).map(([PolicyName, text]) => ({
      PolicyName,
      PolicyDocument: encoded(text),
    }));
  const held = new Set(directory.holders().flatMap((holder) => holder.attached));
  const all = [
    ...(wanted("User") ? directory.users.values() : []).map((user) => {
      const UserDetail = {
        ...userShape(directory, user, true),
        UserPolicyList: inline(user),
        GroupList: user.groups,
        AttachedManagedPolicies: attached(user),
      };
      return { key: `1${user.userName}`, UserDetail };
    }),
    ...(wanted("Group") ? directory.groups.values() : []).map((group) => {
      const GroupDetail = {
        ...groupShape(directory, group),
        GroupPolicyList: inline(group),
        AttachedManagedPolicies: attached(group),
      };
      return { key: `2${group.groupName}`, GroupDetail };
    }),
    ...(wanted("Role") ? directory.roles.values() : []).map((role) => {
      const RoleDetail = {
        ...roleShape(directory, role, true),
        RolePolicyList: inline(role),
        AttachedManagedPolicies: attached(role),
        InstanceProfileList: directory.instanceProfiles
          .values()
          .filter(({ roleName }) => roleName === role.roleName)
          .map((profile) => instanceProfileShape(directory, profile)),
      };
      return { key: `3${role.roleName}`, RoleDetail };
    }),
    ...directory
      .managedPolicies()
      .filter(({ arn, isAws }) =>
        isAws ? wanted("AWSManagedPolicy") && held.has(arn) : wanted("LocalManagedPolicy"),
      )
      .map((policy) => {
        const { versions, defaultVersionId } = policy.record;
        const PolicyVersionList = versions.map((version) => versionShape(version, defaultVersionId, true));
        return {
          key: `4${policy.arn}`,
          Policy: { ...policyShape(directory, policy, true), PolicyVersionList },
        };
      }),
  ];
  const { items, ...page } = pageOf(all, ({ key }) => key, input);
  return {
    UserDetailList: items.flatMap((item) => ("UserDetail" in item ? [item.UserDetail] : [])),
    GroupDetailList: items.flatMap((item) => ("GroupDetail" in item ? [item.GroupDetail] : [])),
    RoleDetailList: items.flatMap((item) => ("RoleDetail" in item ? [item.RoleDetail] : [])),
    Policies: items.flatMap((item) => ("Policy" in item ? [item.Policy] : [])),
    ...page,
  };
}
