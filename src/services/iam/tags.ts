/** Tags of users, roles, policies, instance profiles and identity providers. The same for all. */
import type { Change } from "../../store/store.ts";
import type { Tags } from "../../iam/directory/records.ts";
import type { OperationHandler } from "../../wire/service.ts";
import {
  findRole,
  findUser,
  pageOf,
  tagList,
  tagsOf,
  withoutTags,
  type IamContext,
  type TagInput,
} from "./context.ts";
import { findInstanceProfile } from "./instance-profiles.ts";
import { findOidcProvider } from "./oidc-providers.ts";
import { findPolicy, ownPolicy } from "./policies.ts";

interface Tagged {
  readonly tags: Tags;
  change(tags: Tags): Change;
}

interface Input {
  readonly Tags?: readonly TagInput[];
  readonly TagKeys?: readonly string[];
  readonly Marker?: string;
  readonly MaxItems?: number;
}

export function tagOperations(iam: IamContext): Record<string, OperationHandler> {
  const { users, roles, policies, instanceProfiles, oidcProviders } = iam.directory;
  return {
    ...operationsOf(iam, "User", "UserName", (name) => {
      const user = findUser(iam, name);
      return { tags: user.tags, change: (tags) => users.replacing({ ...user, tags }) };
    }),
    ...operationsOf(iam, "Role", "RoleName", (name) => {
      const role = findRole(iam, name);
      return { tags: role.tags, change: (tags) => roles.replacing({ ...role, tags }) };
    }),
    ...operationsOf(iam, "Policy", "PolicyArn", (arn) => ({
      tags: findPolicy(iam, arn).record.tags,
      change: (tags) => policies.replacing({ ...ownPolicy(iam, arn), tags }),
    })),
    ...operationsOf(iam, "InstanceProfile", "InstanceProfileName", (name) => {
      const profile = findInstanceProfile(iam, name);
      return { tags: profile.tags, change: (tags) => instanceProfiles.replacing({ ...profile, tags }) };
    }),
    ...operationsOf(iam, "OpenIDConnectProvider", "OpenIDConnectProviderArn", (arn) => {
      const provider = findOidcProvider(iam, arn);
      return { tags: provider.tags, change: (tags) => oidcProviders.replacing({ ...provider, tags }) };
    }),
  };
}

function operationsOf(
  { directory }: IamContext,
  kind: string,
  nameKey: string,
  find: (name: string) => Tagged,
): Record<string, OperationHandler> {
  const nameOf = (input: Input) => String((input as Record<string, unknown>)[nameKey]);
  return {
    [`Tag${kind}`]: (input: Input) =>
      directory.write(() => {
        const entity = find(nameOf(input));
        return { changes: [entity.change(tagsOf(input.Tags, entity.tags))], result: {} };
      }),
    [`Untag${kind}`]: (input: Input) =>
      directory.write(() => {
        const entity = find(nameOf(input));
        return { changes: [entity.change(withoutTags(entity.tags, input.TagKeys))], result: {} };
      }),
    [`List${kind}Tags`]: (input: Input) => {
      const { items, ...page } = pageOf(tagList(find(nameOf(input)).tags), ({ Key }) => Key, input);
      return { Tags: items, ...page };
    },
  };
}
