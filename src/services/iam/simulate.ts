/** The policy simulator: decisions without acts. */
import type {
  ContextEntry,
  EvaluationResult,
  PolicySourceType,
  SimulateCustomPolicyRequest,
  SimulatePrincipalPolicyRequest,
  Statement,
} from "@aws-sdk/client-iam";
import type { NamedPolicy } from "../../iam/policy/evaluate.ts";
import { evaluate, type ApplicablePolicies, type MatchedStatement } from "../../iam/policy/evaluate.ts";
import type { Caller } from "../../iam/policy/principal-element.ts";
import type { OperationHandler } from "../../wire/service.ts";
import { findGroup, type IamContext } from "./context.ts";
import { checkDocument, invalidInput, noSuchEntity } from "./errors.ts";

/** What both simulations have in common. */
/** The simulators know no MalformedPolicyDocument [model]. */
const MALFORMED = "InvalidInputException";

type Simulation = Omit<SimulateCustomPolicyRequest, "PolicyInputList">;
type Subject = Pick<ApplicablePolicies, "identity" | "boundary"> & { readonly arn: string };

export function simulationOperations(iam: IamContext): Record<string, OperationHandler> {
  return {
    SimulateCustomPolicy: (input: SimulateCustomPolicyRequest) => {
      const identity = named(iam, input.PolicyInputList, "PolicyInputList");
      const arn = `arn:${iam.directory.partition}:iam::${iam.directory.accountId}:user/simulated`;
      return { EvaluationResults: simulate(iam, input, { identity, arn }), IsTruncated: false };
    },
    SimulatePrincipalPolicy: (input: SimulatePrincipalPolicyRequest) => {
      const subject = subjectOf(iam, input.PolicySourceArn ?? "");
      const more = named(iam, input.PolicyInputList, "PolicyInputList");
      const identity = [...(subject.identity === "all" ? [] : subject.identity), ...more];
      return { EvaluationResults: simulate(iam, input, { ...subject, identity }), IsTruncated: false };
    },
    GetContextKeysForCustomPolicy: ({ PolicyInputList }: { PolicyInputList?: string[] }) => ({
      ContextKeyNames: contextKeys(named(iam, PolicyInputList, "PolicyInputList")),
    }),
    GetContextKeysForPrincipalPolicy: (input: { PolicySourceArn?: string; PolicyInputList?: string[] }) => {
      const { identity } = subjectOf(iam, input.PolicySourceArn ?? "");
      const more = named(iam, input.PolicyInputList, "PolicyInputList");
      return { ContextKeyNames: contextKeys([...(identity === "all" ? [] : identity), ...more]) };
    },
  };
}

function contextKeys(policies: readonly NamedPolicy[]): string[] {
  const conditions = policies.flatMap(({ document }) => document.statements.flatMap((one) => one.conditions));
  return [...new Set(conditions.map(({ key }) => key))].sort();
}

function subjectOf(iam: IamContext, arn: string): Subject {
  const { directory, access } = iam;
  const user = directory.userByArn(arn);
  if (user) return { arn, ...access.permissions.ofUser(user) };
  const role = directory.roleByArn(arn);
  if (role) return { arn, ...access.permissions.ofEntity(role, `role ${role.roleName}`) };
  if (arn.includes(":group/")) {
    const group = findGroup(iam, arn.slice(arn.lastIndexOf("/") + 1));
    return { arn, ...access.permissions.ofEntity(group, `group ${group.groupName}`) };
  }
  throw noSuchEntity(`The entity with ARN ${arn} cannot be found.`);
}

function named(
  { access }: IamContext,
  documents: readonly string[] | undefined,
  list: string,
): NamedPolicy[] {
  return (documents ?? []).map((text, index) => {
    checkDocument(access.permissions, text, "identity", MALFORMED);
    return { name: `${list}.${index + 1}`, document: access.permissions.document(text, "identity") };
  });
}

function simulate(iam: IamContext, input: Simulation, subject: Subject): EvaluationResult[] {
  const { directory, access } = iam;
  const [boundary = subject.boundary] = named(
    iam,
    input.PermissionsBoundaryPolicyInputList,
    "PermissionsBoundaryPolicyInputList",
  );
  const callerArn = input.CallerArn ?? subject.arn;
  const caller: Caller = { type: "AWS", name: callerArn, accountId: directory.accountId, roleArn: undefined };
  const context = contextOf(input.ContextEntries);
  const { ResourcePolicy: resourcePolicy } = input;
  if (resourcePolicy !== undefined) checkDocument(access.permissions, resourcePolicy, "resource", MALFORMED);
  const policies: ApplicablePolicies = {
    identity: subject.identity,
    ...(boundary && { boundary }),
    ...(resourcePolicy !== undefined && {
      resource: { name: "ResourcePolicy", document: access.permissions.document(resourcePolicy, "resource") },
    }),
  };
  const missing = contextKeys([
    ...(subject.identity === "all" ? [] : subject.identity),
    ...(boundary ? [boundary] : []),
  ]).filter((key) => context.get(key.toLowerCase()) === undefined);
  return (input.ActionNames ?? []).flatMap((action) =>
    (input.ResourceArns ?? ["*"]).map((resource): EvaluationResult => {
      const resourceAccountId = /^arn:[^:]*:[^:]*:[^:]*:(\d{12}):/.exec(resource)?.[1] ?? directory.accountId;
      const request = { caller, action, resource, resourceAccountId, context };
      const decision = evaluate(request, policies);
      const by = decision.deniedBy ? [decision.deniedBy] : decision.allowedBy;
      return {
        EvalActionName: action,
        EvalResourceName: resource,
        EvalDecision: decision.allowed ? "allowed" : decision.deniedBy ? "explicitDeny" : "implicitDeny",
        MatchedStatements: by.map(statementShape),
        MissingContextValues: missing,
        ...(boundary && {
          PermissionsBoundaryDecisionDetail: {
            AllowedByPermissionsBoundary:
              decision.missing !== "boundary" && decision.deniedBy?.type !== "boundary",
          },
        }),
      };
    }),
  );
}

function statementShape({ type, policy }: MatchedStatement): Statement {
  if (type === "resource") return { SourcePolicyId: policy, SourcePolicyType: "resource" };
  if (!policy.startsWith("arn:")) {
    const owner = /^the inline policy \S+ of (user|group|role) /.exec(policy)?.[1];
    return { SourcePolicyId: policy, SourcePolicyType: OWNERS[owner ?? ""] ?? "none" };
  }
  return {
    SourcePolicyId: policy.slice(policy.lastIndexOf("/") + 1),
    SourcePolicyType: policy.includes(":iam::aws:") ? "aws-managed" : "user-managed",
  };
}

const OWNERS: Readonly<Record<string, PolicySourceType>> = { user: "user", group: "group", role: "role" };

function contextOf(entries: readonly ContextEntry[] | undefined) {
  const values = new Map<string, readonly string[]>();
  for (const { ContextKeyName: name, ContextKeyValues: given = [] } of entries ?? []) {
    if (name === undefined) throw invalidInput("A context entry has no name.");
    values.set(name.toLowerCase(), given);
  }
  return { get: (key: string) => values.get(key) };
}
