/** What IAM keeps of an account: the records of the store, as plain values. Documents are kept as the texts that were sent. */

export type Tags = Readonly<Record<string, string>>;

interface Entity {
  /** Begins and ends with `/`. */
  readonly path: string;
  readonly createdAtMs: number;
}

/** Policies that hang on a user, group or role: inline ones by name, managed ones by ARN in the order of attachment. */
export interface Policies {
  readonly inline: Readonly<Record<string, string>>;
  readonly attached: readonly string[];
}

export interface UserRecord extends Entity, Policies {
  readonly userName: string;
  /** `AIDA…` */
  readonly userId: string;
  /** Names of groups. */
  readonly groups: readonly string[];
  readonly tags: Tags;
  /** ARN of the managed policy that bounds the user's permissions. */
  readonly boundaryArn?: string;
}

export interface GroupRecord extends Entity, Policies {
  readonly groupName: string;
  /** `AGPA…` */
  readonly groupId: string;
}

export interface RoleRecord extends Entity, Policies {
  readonly roleName: string;
  /** `AROA…`: another role of the same name has another. */
  readonly roleId: string;
  readonly description?: string;
  readonly trust: string;
  readonly maxSessionS: number;
  readonly tags: Tags;
  readonly boundaryArn?: string;
}

export interface PolicyVersion {
  /** `v1` */
  readonly versionId: string;
  readonly document: string;
  readonly createdAtMs: number;
}

export interface PolicyRecord extends Entity {
  readonly policyName: string;
  /** `ANPA…` */
  readonly policyId: string;
  readonly description?: string;
  readonly updatedAtMs: number;
  /** Oldest first; at most five. */
  readonly versions: readonly PolicyVersion[];
  readonly defaultVersionId: string;
  /** The number of the next version: numbers are not given twice. */
  readonly nextVersion: number;
  readonly tags: Tags;
}

export interface InstanceProfileRecord extends Entity {
  readonly instanceProfileName: string;
  /** `AIPA…` */
  readonly instanceProfileId: string;
  /** Name of its role, when it has one. */
  readonly roleName?: string;
  readonly tags: Tags;
}

export interface OidcProviderRecord {
  /** Without scheme: `token.example.com/path`. */
  readonly url: string;
  readonly clientIds: readonly string[];
  readonly thumbprints: readonly string[];
  readonly createdAtMs: number;
  readonly tags: Tags;
}
