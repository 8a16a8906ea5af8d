/**
 * Who may do what: brings a request, the policies that apply to it and the facts about its resources together, and asks the
 * evaluator. Everything is in memory; nothing here waits. Requests come through `authorize`, the platform's own acts (a
 * service that invokes a function, a function that writes its log) through the methods below it.
 */
import { AwsError } from "../errors.ts";
import { parseArn } from "../kernel/arn.ts";
import type { Clock } from "../kernel/clock.ts";
import type { Match } from "../wire/protocol.ts";
import type { RequestContext } from "../wire/service.ts";
import type { Access, Input, Place } from "./actions/access.ts";
import { accessesOf } from "./actions/actions.ts";
import type { Authorizer } from "./authorizer.ts";
import { rootPrincipal } from "./credentials.ts";
import { RequestConditions } from "./conditions.ts";
import type { Directory } from "./directory/directory.ts";
import type { RoleRecord } from "./directory/records.ts";
import { Permissions, type Grants } from "./directory/permissions.ts";
import type { KeyUsage } from "./key-usage.ts";
import { evaluate, type Decision, type NamedPolicy } from "./policy/evaluate.ts";
import { accessDeniedMessage, explanation } from "./policy/explain.ts";
import type { ResourceFacts } from "./ports.ts";
import type { Principal } from "./principal.ts";

export interface AccessControlOptions {
  readonly directory: Directory;
  readonly clock: Clock;
  readonly region: string;
  readonly keyUsage?: KeyUsage;
}

/** One access and what was decided about it: what explanations are made of. */
export interface Ruling {
  readonly access: Access;
  readonly decision: Decision;
}

/** STS's answers to these are for everybody who can sign [API]. */
const FREE = new Set(["GetCallerIdentity", "GetSessionToken"]);

export class AccessControl implements Authorizer {
  readonly permissions: Permissions;
  readonly #directory: Directory;
  readonly #clock: Clock;
  readonly #region: string;
  readonly #keyUsage: KeyUsage | undefined;
  readonly #facts = new Map<string, ResourceFacts>();

  constructor({ directory, clock, region, keyUsage }: AccessControlOptions) {
    this.#directory = directory;
    this.#clock = clock;
    this.#region = region;
    this.#keyUsage = keyUsage;
    this.permissions = new Permissions(directory);
  }

  /** A service tells of its resources' policies and tags. Once for each service, before requests come. */
  register(facts: ResourceFacts): void {
    this.#facts.set(facts.service, facts);
  }

  authorize(principal: Principal, match: Match, input: Input, context: RequestContext): void {
    const { service, operation } = match;
    if (principal.accessKeyId !== undefined)
      this.#keyUsage?.note(principal.accessKeyId, service, context.region);
    if (service === "sts" && FREE.has(operation)) return;
    const grants = this.permissions.of(principal);
    for (const access of this.#accesses(principal, match, input)) {
      const decision = this.#decide(principal, grants, access, input, context);
      if (!decision.allowed) throw this.#refusal(service, principal, access, decision);
    }
  }

  /** What `authorize` would decide, access by access, without refusing anything. */
  rule(principal: Principal, match: Pick<Match, "service" | "operation" | "labels">, input: Input): Ruling[] {
    const grants = this.permissions.of(principal);
    return this.#accesses(principal, match, input).map((access) => ({
      access,
      decision: this.#decide(principal, grants, access, input, undefined),
    }));
  }

  /** One action on one resource by a principal; `request` gives the conditions their values when it is a client's act. */
  may(principal: Principal, access: Access, request?: RequestContext): Decision {
    return this.#decide(principal, this.permissions.of(principal), access, {}, request);
  }

  /**
   * Whether a service may act on a resource: its policy must name the service. `sourceArn` and `sourceAccount` say for whose
   * sake: the bucket, topic or rule that an event came from.
   */
  serviceMay(
    service: string,
    access: Pick<Access, "action" | "resource">,
    source: { sourceArn?: string; sourceAccount?: string } = {},
  ): Decision {
    const keys: Record<string, readonly string[]> = {};
    if (source.sourceArn !== undefined) keys["aws:sourcearn"] = [source.sourceArn];
    if (source.sourceAccount !== undefined) keys["aws:sourceaccount"] = [source.sourceAccount];
    return this.may(servicePrincipal(service), { ...access, keys });
  }

  /** Whether a role's trust policy lets a service assume it. */
  serviceMayAssume(service: string, roleArn: string): boolean {
    if (!this.#directory.roleByArn(roleArn)) return false;
    return this.serviceMay(service, { action: "sts:AssumeRole", resource: roleArn }).allowed;
  }

  /** Whether a role's trust policy takes a web identity of that provider; `keys` are the claims, as condition keys. */
  webIdentityMayAssume(
    providerArn: string,
    roleArn: string,
    keys: Readonly<Record<string, readonly string[]>>,
  ): boolean {
    const trust = this.#directory.roleByArn(roleArn)?.trust;
    if (trust === undefined) return false;
    const caller = {
      type: "Federated",
      name: providerArn,
      accountId: undefined,
      roleArn: undefined,
    } as const;
    const request = {
      caller,
      action: "sts:AssumeRoleWithWebIdentity",
      resource: roleArn,
      resourceAccountId: this.#directory.accountId,
      context: { get: (key: string) => keys[key] },
    };
    return evaluate(request, { identity: [], resource: this.#named(trust, roleArn, true) }).allowed;
  }

  /** What a role may do by its own policies, as Lambda's service asks for a function's role. */
  roleMay(roleArn: string, access: Access): boolean {
    const role = this.#directory.roleByArn(roleArn);
    return role !== undefined && this.may(this.#sessionOf(role, "lambda"), access).allowed;
  }

  /** Why a user or role may do something or not, one fact a line; undefined when nobody has that ARN. */
  why(
    principalArn: string,
    access: Access,
  ): { allowed: boolean; message: string; lines: string[] } | undefined {
    const principal = this.#principalOf(principalArn);
    if (!principal) return undefined;
    const decision = this.may(principal, access);
    const { action, resource } = access;
    const message = decision.allowed
      ? `${principalArn} may perform ${action} on ${resource}`
      : accessDeniedMessage(principal.arn, action, resource, decision);
    return { allowed: decision.allowed, message, lines: explanation(decision, action) };
  }

  #principalOf(arn: string): Principal | undefined {
    const { accountId } = this.#directory;
    if (arn === `arn:${this.#directory.partition}:iam::${accountId}:root`) return rootPrincipal(accountId);
    const user = this.#directory.userByArn(arn);
    if (user) return { kind: "user", arn, accountId, userId: user.userId };
    const [, roleName = "", sessionName] = /:assumed-role\/([^/]+)\/(.+)$/.exec(arn) ?? [];
    const role =
      sessionName === undefined ? this.#directory.roleByArn(arn) : this.#directory.roles.get(roleName);
    return role && this.#sessionOf(role, sessionName ?? "session");
  }

  #sessionOf(role: RoleRecord, sessionName: string): Principal {
    const { accountId } = this.#directory;
    const nowMs = this.#clock.nowMs();
    return {
      kind: "assumed-role",
      arn: `arn:aws:sts::${accountId}:assumed-role/${role.roleName}/${sessionName}`,
      accountId,
      userId: `${role.roleId}:${sessionName}`,
      session: { roleArn: this.#directory.roleArn(role), issuedAtMs: nowMs, expiresAtMs: nowMs },
    };
  }

  /** Whether a function's role lets it write log events, which the platform does for it. */
  roleMayLog(roleArn: string, group: string, stream: string): boolean {
    const { partition, accountId } = this.#directory;
    const resource = `arn:${partition}:logs:${this.#region}:${accountId}:log-group:${group}:log-stream:${stream}`;
    return ["logs:CreateLogStream", "logs:PutLogEvents"].every((action) =>
      this.roleMay(roleArn, { action, resource }),
    );
  }

  #accesses(
    principal: Principal,
    match: Pick<Match, "service" | "operation" | "labels">,
    input: Input,
  ): readonly Access[] {
    const { accountId, partition } = this.#directory;
    const place: Place = {
      partition,
      region: this.#region,
      accountId,
      entities: this.#directory,
      callerArn: principal.arn,
    };
    const accesses = accessesOf(match, input, place);
    if (match.service !== "sts" || !match.operation.startsWith("AssumeRole")) return accesses;
    const first = accesses[0];
    if (!first) return accesses;
    // What goes along with a session needs leave of its own.
    const more = [];
    if (Array.isArray(input["Tags"]) && input["Tags"].length > 0) more.push("sts:TagSession");
    if (input["SourceIdentity"] !== undefined) more.push("sts:SetSourceIdentity");
    return [...accesses, ...more.map((action) => ({ ...first, action }))];
  }

  #decide(
    principal: Principal,
    grants: Grants,
    access: Access,
    input: Input,
    request: RequestContext | undefined,
  ): Decision {
    const { action, resource } = access;
    const resourceAccountId = accountOf(resource) ?? this.#directory.accountId;
    const facts = resource === "*" ? undefined : this.#facts.get(serviceOf(resource));
    const trust = action.startsWith("sts:") ? this.#directory.roleByArn(resource)?.trust : undefined;
    const policy = trust ?? facts?.policies?.policyOf(resource);
    const isAssuming = action.startsWith("sts:") && resource.includes(":role/");
    const context = new RequestConditions({
      principal,
      grants,
      access,
      input,
      nowMs: this.#clock.nowMs(),
      resourceAccountId,
      resourceTags: () => this.#resourceTags(resource, facts),
      request,
    });
    return evaluate(
      { caller: grants.caller, action, resource, resourceAccountId, context },
      {
        identity: grants.identity,
        ...(grants.boundary && { boundary: grants.boundary }),
        ...(grants.session && { session: grants.session }),
        ...(policy !== undefined && { resource: this.#named(policy, resource, trust !== undefined) }),
        resourceMustAllow: isAssuming,
      },
    );
  }

  #named(text: string, resource: string, isTrust: boolean): NamedPolicy {
    return {
      name: isTrust ? `the trust policy of ${resource}` : `the policy of ${resource}`,
      document: this.permissions.document(text, isTrust ? "trust" : "resource"),
    };
  }

  #resourceTags(resource: string, facts: ResourceFacts | undefined) {
    if (!resource.includes(":iam:")) return facts?.tags?.tagsOf(resource);
    const { roles, users, policies } = this.#directory;
    const name = resource.slice(resource.lastIndexOf("/") + 1);
    if (resource.includes(":role/")) return roles.get(name)?.tags;
    return resource.includes(":user/") ? users.get(name)?.tags : policies.get(name)?.tags;
  }

  #refusal(service: string, principal: Principal, access: Access, decision: Decision): AwsError {
    const { action, resource } = access;
    const account = accountOf(resource);
    if (action === "iam:PassRole" && account !== undefined && account !== this.#directory.accountId)
      return denied(service, "Cross-account pass role is not allowed.");
    // Of roles to assume AWS does not tell whether they are there or what is missing.
    if (action.startsWith("sts:"))
      return denied(
        service,
        `User: ${principal.arn} is not authorized to perform: ${action} on resource: ${resource}`,
      );
    const shown = service === "s3" ? `"${resource}"` : resource;
    return denied(service, accessDeniedMessage(principal.arn, action, shown, decision));
  }
}

/** A service as the one who acts: `sns.amazonaws.com`. */
export function servicePrincipal(service: string): Principal {
  return { kind: "service", arn: service, accountId: service, userId: service };
}

/** Codes and statuses differ between AWS's services. */
const DENIALS: Readonly<Record<string, readonly [code: string, status: number]>> = {
  s3: ["AccessDenied", 403],
  iam: ["AccessDenied", 403],
  sts: ["AccessDenied", 403],
  sqs: ["AccessDenied", 403],
  cloudwatch: ["AccessDenied", 403],
  sns: ["AuthorizationError", 403],
  "iot-data": ["ForbiddenException", 403],
  lambda: ["AccessDeniedException", 403],
  apigateway: ["AccessDeniedException", 403],
  apigatewayv2: ["AccessDeniedException", 403],
  scheduler: ["AccessDeniedException", 403],
};

function denied(service: string, message: string): AwsError {
  const [code, status] = DENIALS[service] ?? ["AccessDeniedException", 400];
  return new AwsError(code, message, { status });
}

const SERVICE_SEGMENT = 2;

function serviceOf(arn: string): string {
  return arn.split(":")[SERVICE_SEGMENT] ?? "";
}

/** The account in an ARN; undefined for ARNs without one (buckets) or with AWS's own. */
function accountOf(arn: string): string | undefined {
  const accountId = parseArn(arn)?.accountId;
  return accountId !== undefined && /^\d{12}$/.test(accountId) ? accountId : undefined;
}
