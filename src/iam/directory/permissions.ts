/** Principals and the compiled policies that hold for them: made once for each change of the directory. */
import type { Principal } from "../principal.ts";
import { parsePolicy, type DocumentKind, type PolicyDocument } from "../policy/document.ts";
import type { ApplicablePolicies, NamedPolicy } from "../policy/evaluate.ts";
import type { Caller } from "../policy/principal-element.ts";
import type { Directory } from "./directory.ts";
import type { Policies, Tags, UserRecord } from "./records.ts";

/** What the policies of a principal are, and what is known of it beside. */
export interface Grants {
  readonly caller: Caller;
  readonly identity: NamedPolicy[] | "all";
  readonly boundary?: NamedPolicy;
  readonly session?: NamedPolicy[];
  readonly user: UserRecord | undefined;
  /** Of the user or role, and over them the session's. */
  readonly tags: Tags;
}

/** Compiled documents that are remembered, by their texts: policies of resources and sessions are not the directory's. */
const DOCUMENTS_MAX = 4096;
const NOTHING: PolicyDocument = { version: "2012-10-17", statements: [] };

export class Permissions {
  readonly #directory: Directory;
  readonly #documents = new Map<string, PolicyDocument>();
  #grants = new WeakMap<Principal, Grants>();
  #generation = -1;

  constructor(directory: Directory) {
    this.#directory = directory;
  }

  /** Principals are the same objects as long as their credentials are: what holds for one is found again by it. */
  of(principal: Principal): Grants {
    if (this.#generation !== this.#directory.generation) {
      this.#grants = new WeakMap();
      this.#generation = this.#directory.generation;
    }
    let grants = this.#grants.get(principal);
    if (!grants) {
      grants = this.#compile(principal);
      this.#grants.set(principal, grants);
    }
    return grants;
  }

  /** A document that was accepted before; compiled once. Throws MalformedPolicy. */
  document(text: string, kind: DocumentKind): PolicyDocument {
    const key = `${kind} ${text}`;
    let document = this.#documents.get(key);
    if (document) return document;
    document = parsePolicy(text, kind);
    if (this.#documents.size >= DOCUMENTS_MAX) {
      const [oldest] = this.#documents.keys();
      if (oldest !== undefined) this.#documents.delete(oldest);
    }
    this.#documents.set(key, document);
    return document;
  }

  /** The policies of the user or role behind an ARN, as they are now. */
  ofEntity(
    entity: Policies & { boundaryArn?: string },
    owner: string,
  ): Pick<ApplicablePolicies, "identity" | "boundary"> {
    const identity = this.#identity(entity, owner);
    return entity.boundaryArn === undefined
      ? { identity }
      : { identity, boundary: this.#managed(entity.boundaryArn) };
  }

  ofUser(user: UserRecord): Pick<ApplicablePolicies, "identity" | "boundary"> {
    const own = this.ofEntity(user, `user ${user.userName}`);
    const ofGroups = user.groups.flatMap((name) => {
      const group = this.#directory.groups.get(name);
      return group ? this.#identity(group, `group ${name}`) : [];
    });
    return { ...own, identity: [...(own.identity === "all" ? [] : own.identity), ...ofGroups] };
  }

  #compile(principal: Principal): Grants {
    const { kind, arn, accountId, session } = principal;
    const caller = callerOf(principal);
    const base = { caller, user: undefined, tags: session?.tags ?? {} };
    if (kind === "root") return { ...base, identity: "all" };
    if (accountId !== this.#directory.accountId || kind === "service" || kind === "anonymous")
      return { ...base, identity: [] };
    const limits = this.#sessionPolicies(principal);
    if (kind === "user") {
      const user = this.#directory.userByArn(arn);
      if (!user || user.userId !== principal.userId) return { ...base, ...limits, identity: [] };
      return this.#with({ ...base, ...limits, user, tags: user.tags }, this.ofUser(user));
    }
    if (kind === "federated-user") return this.#federated({ ...base, ...limits }, session?.federatedBy ?? "");
    const role = session?.roleArn === undefined ? undefined : this.#directory.roleByArn(session.roleArn);
    // A role that was deleted and made again under its name is another role: sessions of the old one may do nothing.
    if (!role || !principal.userId.startsWith(`${role.roleId}:`)) return { ...base, ...limits, identity: [] };
    const tags = { ...role.tags, ...base.tags };
    return this.#with({ ...base, ...limits, tags }, this.ofEntity(role, `role ${role.roleName}`));
  }

  /** What the user may do who made the session, within the session's policies. */
  #federated(grants: Omit<Grants, "identity">, madeBy: string): Grants {
    if (madeBy.endsWith(":root")) return { ...grants, identity: "all" };
    const user = this.#directory.userByArn(madeBy);
    return user ? this.#with(grants, this.ofUser(user)) : { ...grants, identity: [] };
  }

  #with(
    grants: Omit<Grants, "identity" | "boundary">,
    { identity, boundary }: Pick<ApplicablePolicies, "identity" | "boundary">,
  ): Grants {
    const policies = identity === "all" ? identity : [...identity];
    return { ...grants, identity: policies, ...(boundary && { boundary }) };
  }

  #sessionPolicies({ session }: Principal): { session?: NamedPolicy[] } {
    if (!session || (session.policies === undefined && session.policyArns === undefined)) return {};
    const inline = (session.policies ?? []).map((text) => ({
      name: "the session's policy",
      document: this.document(text, "identity"),
    }));
    return { session: [...inline, ...(session.policyArns ?? []).map((arn) => this.#managed(arn))] };
  }

  #identity({ inline, attached }: Policies, owner: string): NamedPolicy[] {
    const own = Object.entries(inline).map(([name, text]) => ({
      name: `the inline policy ${name} of ${owner}`,
      document: this.document(text, "identity"),
    }));
    return [...own, ...attached.map((arn) => this.#managed(arn))];
  }

  /** A policy that is not there (any more) allows nothing. */
  #managed(arn: string): NamedPolicy {
    const record = this.#directory.managedPolicy(arn)?.record;
    const text = record?.versions.find(({ versionId }) => versionId === record.defaultVersionId)?.document;
    return { name: arn, document: text === undefined ? NOTHING : this.document(text, "identity") };
  }
}

export function callerOf({ kind, arn, accountId, session }: Principal): Caller {
  if (kind === "service") return { type: "Service", name: arn, accountId: undefined, roleArn: undefined };
  if (kind === "anonymous") return { type: "Anonymous", name: arn, accountId: undefined, roleArn: undefined };
  return { type: "AWS", name: arn, accountId, roleArn: session?.roleArn };
}
