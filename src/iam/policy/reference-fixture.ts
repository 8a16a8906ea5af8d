/**
 * For tests: the policy language evaluated the slow and plain way, straight from the JSON, with regular expressions and
 * sets of all that matches, written from AWS's documentation and not from the evaluator beside it.
 */
export interface RawStatement {
  readonly Effect: string;
  readonly Principal?: unknown;
  readonly NotPrincipal?: unknown;
  readonly Action?: string | readonly string[];
  readonly NotAction?: string | readonly string[];
  readonly Resource?: string | readonly string[];
  readonly NotResource?: string | readonly string[];
  readonly Condition?: Readonly<Record<string, Readonly<Record<string, string | readonly string[]>>>>;
}

export interface RawPolicy {
  readonly Version: string;
  readonly Statement: readonly RawStatement[];
}

export interface RawRequest {
  readonly arn: string;
  readonly roleArn?: string;
  readonly accountId: string;
  readonly action: string;
  readonly resource: string;
  readonly resourceAccountId: string;
  readonly context: Readonly<Record<string, readonly string[]>>;
  readonly identity: readonly RawPolicy[];
  readonly boundary?: RawPolicy;
  readonly session?: readonly RawPolicy[];
  readonly resourcePolicy?: RawPolicy;
}

const list = (value: string | readonly string[]): readonly string[] =>
  typeof value === "string" ? [value] : value;

/** The regular expression of a pattern, or undefined when a variable of it has no value. */
function expression(
  pattern: string,
  request: RawRequest,
  anyCharacter: string,
  like = true,
): RegExp | undefined {
  let source = "";
  for (const [token, inner] of pattern.matchAll(/\$\{([^}]*)\}|[^]/g)) {
    const quote = (text: string) => text.replaceAll(/[\\^$.*+?()[\]{}|/-]/g, "\\$&");
    if (inner !== undefined) {
      if (["*", "?", "$"].includes(inner)) source += quote(inner);
      else {
        const [name = "", fallback] = inner.split(",").map((text) => text.trim());
        const values = request.context[name.toLowerCase()];
        const value = values?.length === 1 ? values[0] : fallback?.slice(1, -1);
        if (value === undefined) return undefined;
        source += quote(value);
      }
    } else if (like && token === "*") source += `${anyCharacter}*`;
    else if (like && token === "?") source += anyCharacter;
    else source += quote(token);
  }
  return new RegExp(`^${source}$`, "s");
}

function matchesArn(pattern: string, arn: string, request: RawRequest): boolean {
  if (pattern === "*") return true;
  if (arn.split(":").length < 6) return expression(pattern, request, "[^]")?.test(arn) ?? false;
  // Colons of variables' names are no separators.
  const parts = pattern.replaceAll(/\$\{[^}]*\}/g, (variable) => variable.replaceAll(":", "\0")).split(":");
  const pieces = parts.length > 6 ? [...parts.slice(0, 5), parts.slice(5).join(":")] : parts;
  if (pieces.length < 6 && !pieces.at(-1)?.endsWith("*")) return false;
  const texts = arn.split(":");
  const cut = [...texts.slice(0, pieces.length - 1), texts.slice(pieces.length - 1).join(":")];
  return pieces.every((piece, index) => {
    return expression(piece.replaceAll("\0", ":"), request, "[^]")?.test(cut[index] ?? "") ?? false;
  });
}

function conditionHolds(
  operator: string,
  key: string,
  wanted: readonly string[],
  request: RawRequest,
): boolean {
  const values = request.context[key.toLowerCase()] ?? [];
  let base = operator.replace(/^For\w+:/, "");
  const optional = base.endsWith("IfExists");
  base = base.replace(/IfExists$/, "");
  if (base === "Null") return wanted.includes(values.length === 0 ? "true" : "false");
  const negated = base.includes("Not");
  base = base.replace("Not", "");
  const one = (value: string): boolean =>
    wanted.some((want) => {
      if (base === "StringEquals") return expression(want, request, "", false)?.test(value) ?? false;
      if (base === "StringLike") return expression(want, request, "[^]")?.test(value) ?? false;
      if (base === "NumericEquals") return Number(want) === Number(value);
      if (base === "NumericLessThan") return Number(value) < Number(want);
      if (base === "Bool") return want.toLowerCase() === value.toLowerCase();
      if (base === "ArnLike") return matchesArn(want, value, request);
      throw new Error(`no such operator here: ${base}`);
    });
  if (values.length === 0) {
    if (operator.startsWith("ForAllValues:")) return true;
    if (optional) return true;
    return operator.startsWith("ForAnyValue:") ? false : negated;
  }
  const holds = (value: string) => (negated ? !one(value) : one(value));
  if (operator.startsWith("ForAllValues:")) return values.every(holds);
  if (operator.startsWith("ForAnyValue:")) return values.some(holds);
  return negated ? values.every(holds) : values.some(holds);
}

function applies(statement: RawStatement, request: RawRequest): boolean {
  const actionIs = (pattern: string) =>
    new RegExp(`^${pattern.replaceAll("*", ".*").replaceAll("?", ".")}$`, "i").test(request.action);
  if (statement.Action !== undefined && !list(statement.Action).some(actionIs)) return false;
  if (statement.NotAction !== undefined && list(statement.NotAction).some(actionIs)) return false;
  const resourceIs = (pattern: string) => matchesArn(pattern, request.resource, request);
  if (statement.Resource !== undefined && !list(statement.Resource).some(resourceIs)) return false;
  if (statement.NotResource !== undefined && list(statement.NotResource).some(resourceIs)) return false;
  return Object.entries(statement.Condition ?? {}).every(([operator, keys]) =>
    Object.entries(keys).every(([key, wanted]) => conditionHolds(operator, key, list(wanted), request)),
  );
}

/** All the ways in which a Principal element names the caller. */
function namings(element: unknown, request: RawRequest): Set<string> {
  const names = element === "*" ? ["*"] : list((element as { AWS: string | string[] }).AWS);
  const found = new Set<string>();
  for (const name of names) {
    if (name === "*") found.add("everybody");
    if (name === request.arn) found.add("self");
    if (name === request.roleArn) found.add("role");
    if (name === request.accountId || name === `arn:aws:iam::${request.accountId}:root`) found.add("account");
  }
  return found;
}

/** Whether the request is allowed. */
export function referenceDecision(request: RawRequest): boolean {
  const { identity, boundary, session, resourcePolicy } = request;
  const ofResource = (resourcePolicy?.Statement ?? []).filter((statement) => applies(statement, request));
  const denials = [...identity, ...(boundary ? [boundary] : []), ...(session ?? [])]
    .flatMap((policy) => policy.Statement)
    .filter((statement) => statement.Effect === "Deny" && applies(statement, request));
  if (denials.length > 0) return false;
  for (const statement of ofResource.filter(({ Effect }) => Effect === "Deny")) {
    if (statement.Principal !== undefined && namings(statement.Principal, request).size > 0) return false;
    if (statement.NotPrincipal !== undefined && namings(statement.NotPrincipal, request).size === 0)
      return false;
  }
  const granted = new Set(
    ofResource
      .filter(({ Effect }) => Effect === "Allow")
      .flatMap((statement) => [...namings(statement.Principal, request)]),
  );
  const allows = (policies: readonly RawPolicy[]) =>
    policies
      .flatMap((policy) => policy.Statement)
      .some((statement) => statement.Effect === "Allow" && applies(statement, request));
  const bounded = (!boundary || allows([boundary])) && (!session || allows(session));
  if (request.accountId !== request.resourceAccountId) return granted.size > 0 && allows(identity) && bounded;
  if (granted.has("self") || granted.has("everybody")) return true;
  return (granted.has("role") || allows(identity)) && bounded;
}
