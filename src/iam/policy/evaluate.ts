/**
 * The evaluation of policies in AWS's order: an explicit deny anywhere decides; then the resource's policy may grant by
 * itself; then the identity's policies must allow, and within them the permissions boundary and the session's policies.
 * Pure: no store, no clock. What it answers tells which statement decided, or which kind of policy allowed nothing.
 */
import type { PolicyDocument, Statement } from "./document.ts";
import { SplitArn, type ConditionContext } from "./pattern.ts";
import type { Caller, NamedAs } from "./principal-element.ts";

/** A compiled policy and what to call it in explanations. */
export interface NamedPolicy {
  /** `arn:aws:iam::…:policy/NAME`, `inline policy NAME of role ROLE`, … */
  readonly name: string;
  readonly document: PolicyDocument;
}

export interface AccessRequest {
  readonly caller: Caller;
  /** `lambda:InvokeFunction`; compared without regard to case. */
  readonly action: string;
  /** An ARN, or `*` for actions that know no resources. */
  readonly resource: string;
  readonly resourceAccountId: string;
  readonly context: ConditionContext;
}

/** The policies that have a say. */
export interface ApplicablePolicies {
  /** "all": the account's root, which no identity policy holds. */
  readonly identity: readonly NamedPolicy[] | "all";
  readonly boundary?: NamedPolicy;
  /** Absent: the session has none and is not limited by any. Present and empty: it may do nothing. */
  readonly session?: readonly NamedPolicy[];
  readonly resource?: NamedPolicy;
  /** The resource's policy must allow, also within the account: roles, whose trust policy it is. */
  readonly resourceMustAllow?: boolean;
}

export type PolicyType = "identity" | "boundary" | "session" | "resource";

/** A statement that took part in the decision. */
export interface MatchedStatement {
  readonly type: PolicyType;
  readonly policy: string;
  readonly sid: string | undefined;
  /** Counted from 0. */
  readonly index: number;
  readonly effect: "Allow" | "Deny";
}

export interface Decision {
  readonly allowed: boolean;
  /** The statement that denied; undefined: nobody denied. */
  readonly deniedBy?: MatchedStatement;
  /** The kind of policy that should have allowed and did not; undefined when allowed, or explicitly denied. */
  readonly missing?: PolicyType;
  /** The statements that allow, one for each kind of policy. */
  readonly allowedBy: readonly MatchedStatement[];
}

export function evaluate(request: AccessRequest, policies: ApplicablePolicies): Decision {
  return new Evaluation(request).decide(policies);
}

class Evaluation {
  readonly #request: AccessRequest;
  readonly #action: string;
  readonly #resource: SplitArn;

  constructor(request: AccessRequest) {
    this.#request = request;
    this.#action = request.action.toLowerCase();
    this.#resource = new SplitArn(request.resource);
  }

  decide(policies: ApplicablePolicies): Decision {
    const { identity, boundary, session, resource } = policies;
    const own = identity === "all" ? [] : identity;
    const deniedBy =
      this.#find("Deny", "identity", own) ??
      (boundary && this.#find("Deny", "boundary", [boundary])) ??
      (session && this.#find("Deny", "session", session)) ??
      (resource && this.#find("Deny", "resource", [resource]));
    if (deniedBy) return { allowed: false, deniedBy, allowedBy: [] };
    const grant = resource && this.#resourceGrant(resource);
    const { caller, resourceAccountId } = this.#request;
    // Services and anonymous callers have no policies of their own.
    if (caller.type !== "AWS") return grant ? allow([grant.by]) : missing("resource", []);
    const isForeign = caller.accountId !== resourceAccountId;
    if (!grant && (isForeign || policies.resourceMustAllow)) return missing("resource", []);
    if (grant && !isForeign && (grant.as === "self" || grant.as === "everybody")) return allow([grant.by]);
    return this.#decideWithin(policies, grant, isForeign);
  }

  /** The grant of the resource's policy, if any, is not enough by itself. */
  #decideWithin(policies: ApplicablePolicies, grant: Grant | undefined, isForeign: boolean): Decision {
    const { identity, boundary, session } = policies;
    const by: MatchedStatement[] = grant ? [grant.by] : [];
    if (identity !== "all") {
      const allowed = this.#find("Allow", "identity", identity);
      // A grant to the role's ARN stands in for the role's policies, within the account.
      if (!allowed && (isForeign || grant?.as !== "role")) return missing("identity", by);
      if (allowed) by.push(allowed);
    }
    if (boundary) {
      const allowed = this.#find("Allow", "boundary", [boundary]);
      if (!allowed) return missing("boundary", by);
      by.push(allowed);
    }
    if (session) {
      const allowed = this.#find("Allow", "session", session);
      if (!allowed) return missing("session", by);
      by.push(allowed);
    }
    return allow(by);
  }

  #find(
    effect: Statement["effect"],
    type: PolicyType,
    policies: readonly NamedPolicy[],
  ): MatchedStatement | undefined {
    for (const policy of policies) {
      for (const statement of policy.document.statements) {
        if (statement.effect !== effect || !this.#applies(statement)) continue;
        if (statement.principals && !statement.principals.match(this.#request.caller)) continue;
        return matched(type, policy, statement);
      }
    }
    return undefined;
  }

  /** The most direct grant that the resource's policy makes. */
  #resourceGrant(policy: NamedPolicy): Grant | undefined {
    let best: Grant | undefined;
    for (const statement of policy.document.statements) {
      if (statement.effect !== "Allow") continue;
      const as = statement.principals?.match(this.#request.caller);
      if (as === undefined || (best && RANK[best.as] <= RANK[as]) || !this.#applies(statement)) continue;
      best = { as, by: matched("resource", policy, statement) };
    }
    return best;
  }

  #applies(statement: Statement): boolean {
    const { context } = this.#request;
    if (!statement.covers(this.#action, this.#resource, context)) return false;
    for (const condition of statement.conditions) if (!condition.holds(context)) return false;
    return true;
  }
}

interface Grant {
  readonly as: NamedAs;
  readonly by: MatchedStatement;
}

const RANK: Readonly<Record<NamedAs, number>> = { self: 0, everybody: 1, role: 2, account: 3 };

function matched(
  type: PolicyType,
  { name }: NamedPolicy,
  { sid, index, effect }: Statement,
): MatchedStatement {
  return { type, policy: name, sid, index, effect };
}

function allow(allowedBy: readonly MatchedStatement[]): Decision {
  return { allowed: true, allowedBy };
}

function missing(type: PolicyType, allowedBy: readonly MatchedStatement[]): Decision {
  return { allowed: false, missing: type, allowedBy };
}
