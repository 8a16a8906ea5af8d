/** What the operations of this folder share. */
import type { AccessControl } from "../../iam/access-control.ts";
import type { CredentialStore } from "../../iam/credentials.ts";
import type { Directory } from "../../iam/directory/directory.ts";
import type { GroupRecord, RoleRecord, Tags, UserRecord } from "../../iam/directory/records.ts";
import type { KeyUsage } from "../../iam/key-usage.ts";
import type { RequestContext } from "../../wire/service.ts";
import { noSuchEntity, validation } from "./errors.ts";

export interface IamContext {
  readonly directory: Directory;
  readonly credentials: CredentialStore;
  readonly keyUsage: KeyUsage;
  readonly access: AccessControl;
}

/** Quotas of an account [IAM and STS quotas]. */
export const USERS_MAX = 5000;
export const GROUPS_MAX = 300;
export const ROLES_MAX = 1000;
export const CUSTOMER_POLICIES_MAX = 1500;
export const INSTANCE_PROFILES_MAX = 1000;
export const OIDC_PROVIDERS_MAX = 100;
export const GROUPS_PER_USER_MAX = 10;
export const ATTACHED_POLICIES_MAX = 10;
export const ACCESS_KEYS_PER_USER_MAX = 2;
export const POLICY_VERSIONS_MAX = 5;
export const MANAGED_POLICY_CHARS_MAX = 6144;
export const TRUST_POLICY_CHARS_MAX = 2048;
export const TAGS_PER_ENTITY_MAX = 50;

export interface TagInput {
  readonly Key?: string | undefined;
  readonly Value?: string | undefined;
}

export function findUser({ directory }: IamContext, name: string): UserRecord {
  const user = directory.users.get(name);
  if (!user) throw noSuchEntity(`The user with name ${name} cannot be found.`);
  return user;
}

export function findGroup({ directory }: IamContext, name: string): GroupRecord {
  const group = directory.groups.get(name);
  if (!group) throw noSuchEntity(`The group with name ${name} cannot be found.`);
  return group;
}

export function findRole({ directory }: IamContext, name: string): RoleRecord {
  const role = directory.roles.get(name);
  if (!role) throw noSuchEntity(`The role with name ${name} cannot be found.`);
  return role;
}

/** The user that a request means: the one it names, or the caller. */
export function userNameOf(input: { UserName?: string | undefined }, { principal }: RequestContext): string {
  if (input.UserName !== undefined) return input.UserName;
  if (principal.kind === "user") return principal.arn.slice(principal.arn.lastIndexOf("/") + 1);
  throw validation("Must specify userName when calling with non-User credentials");
}

/** Throws InvalidInput for a key that is there twice, or more tags than an entity may have. */
export function tagsOf(list: readonly TagInput[] | undefined, existing: Tags = {}): Tags {
  const tags: Record<string, string> = { ...existing };
  const seen = new Set<string>();
  for (const { Key: key = "", Value: value = "" } of list ?? []) {
    const lower = key.toLowerCase();
    if (seen.has(lower))
      throw validation("Duplicate tag keys found. Please note that Tag keys are case insensitive.");
    seen.add(lower);
    // The new spelling of a key takes the place of the old one.
    for (const name of Object.keys(tags)) if (name.toLowerCase() === lower) delete tags[name];
    tags[key] = value;
  }
  if (Object.keys(tags).length > TAGS_PER_ENTITY_MAX)
    throw validation(
      `1 validation error detected: Value '${JSON.stringify(list)}' at 'tags' failed to satisfy constraint: Member must have length less than or equal to ${TAGS_PER_ENTITY_MAX}`,
    );
  return tags;
}

export function withoutTags(tags: Tags, keys: readonly string[] | undefined): Tags {
  const gone = new Set((keys ?? []).map((key) => key.toLowerCase()));
  return Object.fromEntries(Object.entries(tags).filter(([key]) => !gone.has(key.toLowerCase())));
}

export function tagList(tags: Tags): { Key: string; Value: string }[] {
  return Object.entries(tags).map(([Key, Value]) => ({ Key, Value }));
}

/** Documents travel percent-encoded, as RFC 3986 has it. */
export function encoded(document: string): string {
  return encodeURIComponent(document).replaceAll(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

/** White space does not count against a policy's size. */
export function policyChars(document: string): number {
  return document.replaceAll(/\s/g, "").length;
}

interface PageInput {
  readonly Marker?: string | undefined;
  readonly MaxItems?: number | undefined;
}

const PAGE_DEFAULT = 100;

/** A page of a list that is ordered by `keyOf`; the marker is the last key of the page before. */
export function pageOf<T>(
  items: readonly T[],
  keyOf: (item: T) => string,
  { Marker, MaxItems = PAGE_DEFAULT }: PageInput,
): { items: T[]; IsTruncated: boolean; Marker?: string } {
  const after = Marker === undefined ? undefined : Buffer.from(Marker, "base64url").toString("utf8");
  if (after !== undefined && Buffer.from(after).toString("base64url") !== Marker)
    throw validation(`Invalid Marker.`);
  const sorted = items.toSorted((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
  const rest = after === undefined ? sorted : sorted.filter((item) => keyOf(item) > after);
  const page = rest.slice(0, MaxItems);
  const last = page.at(-1);
  if (rest.length <= MaxItems || last === undefined) return { items: page, IsTruncated: false };
  return { items: page, IsTruncated: true, Marker: Buffer.from(keyOf(last)).toString("base64url") };
}
