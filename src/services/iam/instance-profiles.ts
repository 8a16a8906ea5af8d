/** Instance profiles: nothing here runs on EC2, but templates make them together with roles. */
import type {
  AddRoleToInstanceProfileRequest,
  CreateInstanceProfileRequest,
  ListInstanceProfilesForRoleRequest,
  ListInstanceProfilesRequest,
} from "@aws-sdk/client-iam";
import type { InstanceProfileRecord } from "../../iam/directory/records.ts";
import { newIamId } from "../../kernel/ids.ts";
import type { OperationHandler } from "../../wire/service.ts";
import { findRole, INSTANCE_PROFILES_MAX, pageOf, tagsOf, type IamContext } from "./context.ts";
import { alreadyExists, deleteConflict, limitExceeded, noSuchEntity } from "./errors.ts";
import { instanceProfileShape } from "./shapes.ts";

export function findInstanceProfile({ directory }: IamContext, name: string): InstanceProfileRecord {
  const profile = directory.instanceProfiles.get(name);
  if (!profile) throw noSuchEntity(`Instance Profile ${name} cannot be found.`);
  return profile;
}

export function instanceProfileOperations(iam: IamContext): Record<string, OperationHandler> {
  const { directory } = iam;
  const { instanceProfiles } = directory;
  const page = (
    found: InstanceProfileRecord[],
    input: { Marker?: string | undefined; MaxItems?: number | undefined },
  ) => {
    const { items, ...rest } = pageOf(found, (profile) => profile.instanceProfileName.toLowerCase(), input);
    return { InstanceProfiles: items.map((profile) => instanceProfileShape(directory, profile)), ...rest };
  };
  return {
    CreateInstanceProfile: ({
      InstanceProfileName: name = "",
      Path: path = "/",
      Tags,
    }: CreateInstanceProfileRequest) =>
      directory.write(() => {
        if (instanceProfiles.get(name)) throw alreadyExists(`Instance Profile ${name} already exists.`);
        if (instanceProfiles.size >= INSTANCE_PROFILES_MAX)
          throw limitExceeded(`Cannot exceed quota for InstanceProfilesPerAccount: ${INSTANCE_PROFILES_MAX}`);
        const profile: InstanceProfileRecord = {
          instanceProfileName: name,
          instanceProfileId: newIamId("AIPA"),
          path,
          createdAtMs: directory.clock.nowMs(),
          tags: tagsOf(Tags),
        };
        const result = { InstanceProfile: instanceProfileShape(directory, profile) };
        return { changes: [instanceProfiles.adding(profile)], result };
      }),
    GetInstanceProfile: ({ InstanceProfileName = "" }: { InstanceProfileName?: string }) => ({
      InstanceProfile: instanceProfileShape(directory, findInstanceProfile(iam, InstanceProfileName)),
    }),
    ListInstanceProfiles: (input: ListInstanceProfilesRequest) =>
      page(
        instanceProfiles.values().filter(({ path }) => path.startsWith(input.PathPrefix ?? "/")),
        input,
      ),
    ListInstanceProfilesForRole: (input: ListInstanceProfilesForRoleRequest) => {
      const role = findRole(iam, input.RoleName ?? "");
      return page(
        instanceProfiles.values().filter(({ roleName }) => roleName === role.roleName),
        input,
      );
    },
    AddRoleToInstanceProfile: ({
      InstanceProfileName = "",
      RoleName = "",
    }: AddRoleToInstanceProfileRequest) =>
      directory.write(() => {
        const profile = findInstanceProfile(iam, InstanceProfileName);
        const { roleName } = findRole(iam, RoleName);
        if (profile.roleName !== undefined)
          throw limitExceeded("Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1");
        return { changes: [instanceProfiles.replacing({ ...profile, roleName })], result: {} };
      }),
    RemoveRoleFromInstanceProfile: ({
      InstanceProfileName = "",
      RoleName = "",
    }: AddRoleToInstanceProfileRequest) =>
      directory.write(() => {
        const { roleName, ...profile } = findInstanceProfile(iam, InstanceProfileName);
        if (roleName?.toLowerCase() !== RoleName.toLowerCase())
          throw noSuchEntity(`Role ${RoleName} in instance profile ${InstanceProfileName} cannot be found.`);
        return { changes: [instanceProfiles.replacing(profile)], result: {} };
      }),
    DeleteInstanceProfile: ({ InstanceProfileName = "" }: { InstanceProfileName?: string }) =>
      directory.write(() => {
        const profile = findInstanceProfile(iam, InstanceProfileName);
        if (profile.roleName !== undefined)
          throw deleteConflict("Cannot delete entity, must remove roles from instance profile first.");
        return { changes: [instanceProfiles.deleting(profile.instanceProfileName)], result: {} };
      }),
  };
}
