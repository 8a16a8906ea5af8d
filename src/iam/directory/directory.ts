/**
 * The account's users, groups, roles, policies, instance profiles and identity providers. Reads come from memory; writes are
 * made one after the other, so that what a write looked at is still so when it is committed.
 */
import { AwsError } from "../../errors.ts";
import type { Clock } from "../../kernel/clock.ts";
import { RevisionConflict, type Change, type Store } from "../../store/store.ts";
import type { EntityArns } from "../actions/access.ts";
import { Collection } from "./collection.ts";
import { awsManagedPolicy, awsManagedPolicies } from "./managed.ts";
import type {
  GroupRecord,
  InstanceProfileRecord,
  OidcProviderRecord,
  Policies,
  PolicyRecord,
  RoleRecord,
  UserRecord,
} from "./records.ts";

/** A managed policy: the account's own, or AWS's. */
export interface ManagedPolicy {
  readonly arn: string;
  readonly record: PolicyRecord;
  readonly isAws: boolean;
}

/** Writes that wait for their turn; beyond it the caller is told to slow down. Ours. */
const WAITING_MAX = 1000;

export class Directory implements EntityArns {
  readonly accountId: string;
  readonly partition = "aws";
  readonly users: Collection<UserRecord>;
  readonly groups: Collection<GroupRecord>;
  readonly roles: Collection<RoleRecord>;
  readonly policies: Collection<PolicyRecord>;
  readonly instanceProfiles: Collection<InstanceProfileRecord>;
  readonly oidcProviders: Collection<OidcProviderRecord>;
  readonly clock: Clock;
  readonly #store: Store;
  #generation = 0;
  #turn: Promise<unknown> = Promise.resolve();
  #waiting = 0;

  private constructor(store: Store, clock: Clock, accountId: string) {
    this.#store = store;
    this.clock = clock;
    this.accountId = accountId;
    const changed = () => {
      this.#generation += 1;
    };
    this.users = new Collection(store, "iam/user", ({ userName }) => userName, changed);
    this.groups = new Collection(store, "iam/group", ({ groupName }) => groupName, changed);
    this.roles = new Collection(store, "iam/role", ({ roleName }) => roleName, changed);
    this.policies = new Collection(store, "iam/policy", ({ policyName }) => policyName, changed);
    this.instanceProfiles = new Collection(
      store,
      "iam/instance-profile",
      ({ instanceProfileName }) => instanceProfileName,
      changed,
    );
    this.oidcProviders = new Collection(store, "iam/oidc-provider", ({ url }) => url, changed);
  }

  static async open(store: Store, options: { clock: Clock; accountId: string }): Promise<Directory> {
    const directory = new Directory(store, options.clock, options.accountId);
    for (const collection of directory.#collections()) await collection.open();
    return directory;
  }

  close(): void {
    for (const collection of this.#collections()) collection.close();
  }

  /** Grows with every change: what was derived from the directory is good as long as it is the same. */
  get generation(): number {
    return this.#generation;
  }

  /**
   * Plans a write and commits it: all its changes or none. `plan` reads the directory as no other write of this node changes
   * it meanwhile, and may throw; a change by another node makes it plan again, twice at most.
   */
  write<T>(plan: () => { changes: readonly Change[]; result: T }): Promise<T> {
    return this.inTurn(() => this.#commit(plan));
  }

  /** Does something that is not to happen while the directory is written. */
  inTurn<T>(work: () => Promise<T>): Promise<T> {
    if (this.#waiting >= WAITING_MAX)
      return Promise.reject(new AwsError("Throttling", "Rate exceeded", { status: 400 }));
    this.#waiting += 1;
    const turn = this.#turn.then(work).finally(() => (this.#waiting -= 1));
    // The next in line does not care how this one ended.
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  async #commit<T>(plan: () => { changes: readonly Change[]; result: T }): Promise<T> {
    for (let attempt = 1; ; attempt += 1) {
      const { changes, result } = plan();
      if (changes.length === 0) return result;
      try {
        const revision = await this.#store.write(changes);
        for (const collection of this.#collections())
          for (const change of changes)
            if ("kind" in change && change.kind === collection.kind) collection.apply(change, revision);
        return result;
      } catch (error) {
        if (!(error instanceof RevisionConflict) || attempt === ATTEMPTS_MAX) throw conflictOf(error);
        // The feed tells what the other node wrote; it is a turn of the loop away.
        await new Promise<void>((resolve) => setImmediate(resolve));
      }
    }
  }

  userArn({ path, userName }: Pick<UserRecord, "path" | "userName">): string {
    return this.#iam(`user${path}${userName}`);
  }

  groupArn({ path, groupName }: Pick<GroupRecord, "path" | "groupName">): string {
    return this.#iam(`group${path}${groupName}`);
  }

  roleArn({ path, roleName }: Pick<RoleRecord, "path" | "roleName">): string {
    return this.#iam(`role${path}${roleName}`);
  }

  policyArn({ path, policyName }: Pick<PolicyRecord, "path" | "policyName">): string {
    return this.#iam(`policy${path}${policyName}`);
  }

  instanceProfileArn({ path, instanceProfileName }: InstanceProfileRecord): string {
    return this.#iam(`instance-profile${path}${instanceProfileName}`);
  }

  oidcProviderArn(url: string): string {
    return this.#iam(`oidc-provider/${url}`);
  }

  arnOf(kind: "user" | "role" | "group" | "instance-profile", name: string): string {
    const path = {
      user: () => this.users.get(name)?.path,
      role: () => this.roles.get(name)?.path,
      group: () => this.groups.get(name)?.path,
      "instance-profile": () => this.instanceProfiles.get(name)?.path,
    }[kind]();
    return this.#iam(`${kind}${path ?? "/"}${name}`);
  }

  /** The user, role or provider that exactly this ARN names. */
  userByArn(arn: string): UserRecord | undefined {
    const user = this.users.get(lastPart(arn));
    return user && this.userArn(user) === arn ? user : undefined;
  }

  roleByArn(arn: string): RoleRecord | undefined {
    const role = this.roles.get(lastPart(arn));
    return role && this.roleArn(role) === arn ? role : undefined;
  }

  managedPolicy(arn: string): ManagedPolicy | undefined {
    const aws = awsManagedPolicy(arn);
    if (aws) return { arn, record: aws, isAws: true };
    const record = this.policies.get(lastPart(arn));
    return record && this.policyArn(record) === arn ? { arn, record, isAws: false } : undefined;
  }

  /** The account's own policies and AWS's. */
  managedPolicies(): ManagedPolicy[] {
    const own = this.policies
      .values()
      .map((record) => ({ arn: this.policyArn(record), record, isAws: false }));
    return [...own, ...awsManagedPolicies().map(({ arn, record }) => ({ arn, record, isAws: true }))];
  }

  /** Users, groups and roles that a managed policy is attached to. */
  holders(): readonly Policies[] {
    return [...this.users.values(), ...this.groups.values(), ...this.roles.values()];
  }

  #iam(resource: string): string {
    return `arn:${this.partition}:iam::${this.accountId}:${resource}`;
  }

  #collections() {
    const { users, groups, roles, policies, instanceProfiles, oidcProviders } = this;
    return [users, groups, roles, policies, instanceProfiles, oidcProviders];
  }
}

const ATTEMPTS_MAX = 3;

function conflictOf(error: unknown): unknown {
  if (!(error instanceof RevisionConflict)) return error;
  return new AwsError(
    "ConcurrentModification",
    "The request was rejected because multiple requests to change this object were submitted simultaneously. Wait a few minutes and submit your request again.",
    { status: 409, cause: error },
  );
}

function lastPart(arn: string): string {
  return arn.slice(arn.lastIndexOf("/") + 1);
}
