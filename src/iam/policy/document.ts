/**
 * Policy documents: from JSON text to statements that can be matched. What is refused is refused with the words of AWS's
 * MalformedPolicyDocument; what was accepted is compiled once and matched many times.
 */
import { compileCondition, type Condition } from "./condition.ts";
import { ArnPattern, Pattern, RESERVED_CHARACTERS, type ConditionContext, type SplitArn } from "./pattern.ts";
import { compilePrincipals, type PrincipalElement } from "./principal-element.ts";

/** Why a document is no policy; the message is AWS's. */
export class MalformedPolicy extends Error {
  override readonly name = "MalformedPolicy";
}

/**
 * Where a document may stand: on an identity (also boundaries, session policies), on a resource, or as a role's trust
 * policy. It decides which elements it must and must not have.
 */
export type DocumentKind = "identity" | "resource" | "trust";

export interface Statement {
  readonly effect: "Allow" | "Deny";
  readonly sid: string | undefined;
  /** Counted from 0. */
  readonly index: number;
  /** Undefined in identity policies: whose policy it is says it. */
  readonly principals: PrincipalElement | undefined;
  readonly conditions: readonly Condition[];
  /** Actions as written: for those who show or search them. */
  readonly actions: readonly string[];
  /** `action` in lower case: `lambda:invokefunction`. */
  covers(action: string, resource: SplitArn, context: ConditionContext): boolean;
}

export interface PolicyDocument {
  readonly version: "2008-10-17" | "2012-10-17";
  readonly statements: readonly Statement[];
}

type Json = string | number | boolean | null | Json[] | { [key: string]: Json };
type JsonObject = { [key: string]: Json };

const SYNTAX = "Syntax errors in policy.";
const LEGACY = "The policy failed legacy parsing";
const DOCUMENT_ELEMENTS = new Set(["Version", "Id", "Statement"]);
const STATEMENT_ELEMENTS = new Set([
  "Sid",
  "Effect",
  "Principal",
  "NotPrincipal",
  "Action",
  "NotAction",
  "Resource",
  "NotResource",
  "Condition",
]);
const TRUST_ACTIONS = new Set([
  "sts:AssumeRole",
  "sts:AssumeRoleWithSAML",
  "sts:AssumeRoleWithWebIdentity",
  "sts:SetSourceIdentity",
  "sts:SetContext",
  "sts:TagSession",
]);

/** Throws MalformedPolicy. */
export function parsePolicy(source: string, kind: DocumentKind): PolicyDocument {
  let json: Json;
  try {
    json = JSON.parse(source) as Json;
  } catch {
    // The parser's own complaint names positions; AWS's answer is this one.
    throw new MalformedPolicy("This policy contains invalid Json");
  }
  if (!isObject(json) || RESERVED_CHARACTERS.test(source)) throw new MalformedPolicy(SYNTAX);
  for (const name of Object.keys(json)) if (!DOCUMENT_ELEMENTS.has(name)) throw new MalformedPolicy(SYNTAX);
  const { Version: version = "2008-10-17", Statement: found, Id: id = "" } = json;
  if (version !== "2008-10-17" && version !== "2012-10-17") throw new MalformedPolicy(SYNTAX);
  if (found === undefined || typeof id !== "string") throw new MalformedPolicy(SYNTAX);
  const statements = (Array.isArray(found) ? found : [found]).map((statement, index) => {
    if (!isObject(statement)) throw new MalformedPolicy(SYNTAX);
    return compileStatement(statement, index, kind, version);
  });
  if (kind === "identity" && version !== "2012-10-17")
    throw new MalformedPolicy("Policy document must be version 2012-10-17 or greater.");
  // SNS and SQS hand out policies whose statements share an id; IAM does not take them.
  const sids = statements.flatMap(({ sid }) => (sid === undefined || sid === "" ? [] : [sid]));
  if (kind !== "resource" && new Set(sids).size < sids.length)
    throw new MalformedPolicy("Statement IDs (SID) in a single policy must be unique.");
  return { version, statements };
}

function compileStatement(
  json: JsonObject,
  index: number,
  kind: DocumentKind,
  version: PolicyDocument["version"],
): Statement {
  for (const name of Object.keys(json)) if (!STATEMENT_ELEMENTS.has(name)) throw new MalformedPolicy(SYNTAX);
  const { Effect: effect, Sid: sid } = json;
  if (typeof effect !== "string" || (sid !== undefined && typeof sid !== "string"))
    throw new MalformedPolicy(SYNTAX);
  if (effect !== "Allow" && effect !== "Deny")
    throw new MalformedPolicy(/^(allow|deny)$/i.test(effect) ? LEGACY : SYNTAX);
  if (kind !== "resource" && sid !== undefined && !/^[A-Za-z0-9]*$/.test(sid))
    throw new MalformedPolicy(
      `Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression [0-9A-Za-z]*`,
    );
  const variables = version === "2012-10-17";
  const principals = principalsOf(json, effect, kind);
  const action = actionMatcher(json, kind);
  const resource = resourceMatcher(json, kind, variables);
  return {
    effect,
    sid,
    index,
    principals,
    conditions: conditionsOf(json["Condition"], variables),
    actions: action.written,
    covers: (name, arn, context) => action.matches(name, context) && resource(arn, context),
  };
}

function principalsOf(
  json: JsonObject,
  effect: "Allow" | "Deny",
  kind: DocumentKind,
): PrincipalElement | undefined {
  const { Principal: principal, NotPrincipal: notPrincipal } = json;
  if (kind === "identity") {
    if (principal !== undefined || notPrincipal !== undefined)
      throw new MalformedPolicy("Policy document should not specify a principal.");
    return undefined;
  }
  if (principal !== undefined && notPrincipal !== undefined) throw new MalformedPolicy(SYNTAX);
  if (notPrincipal !== undefined && (kind === "trust" || effect === "Allow"))
    throw new MalformedPolicy(
      kind === "trust" ? "AssumeRolepolicy contained unsupported element NotPrincipal" : SYNTAX,
    );
  const element = principal ?? notPrincipal;
  if (element === undefined) throw new MalformedPolicy("Missing required field Principal");
  const compiled = compilePrincipals(element, notPrincipal !== undefined);
  if (typeof compiled === "string") throw new MalformedPolicy(compiled);
  return compiled;
}

interface ActionMatcher {
  readonly written: readonly string[];
  matches(action: string, context: ConditionContext): boolean;
}

function actionMatcher(json: JsonObject, kind: DocumentKind): ActionMatcher {
  const { Action: action, NotAction: notAction } = json;
  if (action !== undefined && notAction !== undefined) throw new MalformedPolicy(SYNTAX);
  const element = action ?? notAction;
  const written = element === undefined ? [] : texts(element, SYNTAX);
  if (written.length === 0) throw new MalformedPolicy("Policy statement must contain actions.");
  for (const name of written) checkAction(name, kind);
  const patterns = written.map((name) =>
    Pattern.compile(name, { variables: false, wildcards: true, ignoreCase: true }),
  );
  const negated = notAction !== undefined;
  return {
    written,
    matches: (name, context) => patterns.some((pattern) => pattern.matches(name, context)) !== negated,
  };
}

function checkAction(name: string, kind: DocumentKind): void {
  if (kind === "trust") {
    if (!TRUST_ACTIONS.has(name) && name !== "sts:*" && name !== "*")
      throw new MalformedPolicy(
        "Trust Policy statement actions can only be sts:AssumeRole, sts:AssumeRoleWithSAML,  and sts:AssumeRoleWithWebIdentity",
      );
    return;
  }
  if (name === "*") return;
  const [vendor = "", ...rest] = name.split(":");
  if (rest.length === 0)
    throw new MalformedPolicy("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.");
  if (rest.length > 1) throw new MalformedPolicy("Actions/Condition can contain only one colon.");
  if (!/^([A-Za-z0-9.-]+|\*)$/.test(vendor)) throw new MalformedPolicy(`Vendor ${vendor} is not valid`);
}

type ResourceMatcher = (arn: SplitArn, context: ConditionContext) => boolean;

function resourceMatcher(json: JsonObject, kind: DocumentKind, variables: boolean): ResourceMatcher {
  const { Resource: resource, NotResource: notResource } = json;
  const element = resource ?? notResource;
  if (kind === "trust") {
    if (element !== undefined) throw new MalformedPolicy("Has prohibited field Resource");
    return () => true;
  }
  if (resource !== undefined && notResource !== undefined) throw new MalformedPolicy(SYNTAX);
  // Some services' resource policies speak of the resource that they are attached to without naming it.
  if (element === undefined && kind === "resource") return () => true;
  const written = element === undefined ? [] : texts(element, SYNTAX);
  if (written.length === 0) throw new MalformedPolicy("Policy statement must contain resources.");
  for (const name of written) checkResource(name);
  const patterns = written.map((name) => new ArnPattern(name, variables));
  const negated = notResource !== undefined;
  return (arn, context) => patterns.some((pattern) => pattern.matches(arn, context)) !== negated;
}

const PARTITION = /^(aws|aws-cn|aws-us-gov|aws-iso[a-z-]*|\*|aws\*|\$\{aws:Partition\})$/i;

function checkResource(name: string): void {
  if (/^\*+$/.test(name)) return;
  if (!name.includes(":")) throw new MalformedPolicy(`Resource ${name} must be in ARN format or "*".`);
  const [prefix, partition = "", service] = name.split(":");
  if (prefix !== "arn" && prefix !== "*")
    throw new MalformedPolicy(`Resource ${name} must be in ARN format or "*".`);
  if (!PARTITION.test(partition)) {
    const [, , ...rest] = name.split(":");
    const [vendor = "*", region = "*", account = "*", ...resource] = rest;
    const tail = resource.length === 0 ? "*" : resource.join(":");
    throw new MalformedPolicy(
      `Partition "${partition}" is not valid for resource "arn:${partition}:${vendor}:${region}:${account}:${tail}".`,
    );
  }
  if (service === undefined)
    throw new MalformedPolicy("Resource vendor must be fully qualified and cannot contain regexes.");
  if (service === "") throw new MalformedPolicy(LEGACY);
}

function conditionsOf(block: Json | undefined, variables: boolean): Condition[] {
  if (block === undefined) return [];
  if (!isObject(block)) throw new MalformedPolicy(SYNTAX);
  const conditions: Condition[] = [];
  for (const [operator, keys] of Object.entries(block)) {
    if (!isObject(keys)) throw new MalformedPolicy(SYNTAX);
    for (const [key, value] of Object.entries(keys)) {
      const wanted = scalars(value);
      const condition = compileCondition(operator, key, wanted, variables);
      if (!condition) throw new MalformedPolicy(SYNTAX);
      conditions.push(condition);
    }
  }
  return conditions;
}

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** One text or a list of texts. */
function texts(value: Json, complaint: string): string[] {
  return (Array.isArray(value) ? value : [value]).map((text) => {
    if (typeof text !== "string") throw new MalformedPolicy(complaint);
    return text;
  });
}

/** Condition values: booleans and numbers stand for their texts. */
function scalars(value: Json): string[] {
  return (Array.isArray(value) ? value : [value]).map((item) => {
    if (item === null || typeof item === "object") throw new MalformedPolicy(SYNTAX);
    return String(item);
  });
}
