/** The Principal and NotPrincipal elements of resource and trust policies: whom a statement speaks of, and how directly. */

/** Who asks, as far as Principal elements can name it. */
export interface Caller {
  /** `AWS`: everything with an account. The other types have nothing but their name. */
  readonly type: "AWS" | "Service" | "Federated" | "Anonymous";
  /** User, session or root ARN; service name; provider's ARN or name. */
  readonly name: string;
  readonly accountId: string | undefined;
  /** Of a role session: the role's ARN. */
  readonly roleArn: string | undefined;
}

/**
 * How a statement names the caller, the most direct way first: the session or user itself, its role, everybody, or its
 * account. What a grant is worth depends on it.
 */
export type NamedAs = "self" | "role" | "everybody" | "account";

export interface PrincipalElement {
  /** Undefined when the statement does not speak of the caller. */
  match(caller: Caller): NamedAs | undefined;
  /** ARNs of users and roles that are named, for those who check that they exist. */
  readonly arns: readonly string[];
  /** Whether an anonymous caller is meant too. */
  readonly isPublic: boolean;
}

const TYPES = new Set(["AWS", "Service", "Federated", "CanonicalUser"]);
const ACCOUNT_ROOT = /^(?:arn:aws[a-z-]*:iam::)?(\d{12})(?::root)?$/;
const PRINCIPAL_ARN = /^arn:aws[a-z-]*:(iam|sts)::\d{12}:(user|role|assumed-role|federated-user)\/.+$/;

/** `element` is the JSON value; a text that comes back is the reason why it is none. */
export function compilePrincipals(element: unknown, negated: boolean): PrincipalElement | string {
  if (element === "*") return compiled(new Names([["AWS", "*"]]), negated);
  if (typeof element !== "object" || element === null || Array.isArray(element))
    return `Invalid principal in policy: ${JSON.stringify(element)}`;
  const pairs: [string, string][] = [];
  for (const [type, value] of Object.entries(element as Record<string, unknown>)) {
    if (!TYPES.has(type)) return `Invalid principal in policy: "${type}"`;
    for (const name of Array.isArray(value) ? (value as unknown[]) : [value]) {
      if (typeof name !== "string" || !isValid(type, name))
        return `Invalid principal in policy: "${type}":${JSON.stringify(name)}`;
      pairs.push([type, name]);
    }
  }
  if (pairs.length === 0) return "Missing required field Principal cannot be empty!";
  return compiled(new Names(pairs), negated);
}

function isValid(type: string, name: string): boolean {
  if (type === "AWS")
    return name === "*" || ACCOUNT_ROOT.test(name) || PRINCIPAL_ARN.test(name) || isUniqueId(name);
  if (type === "Service")
    return name === "*" || /^[a-z0-9.-]+\.(amazonaws\.com(\.cn)?|amazon\.com|aws\.internal)$/.test(name);
  return name !== "";
}

/** What AWS shows in place of an ARN whose user or role was deleted: it names nobody any more. */
function isUniqueId(name: string): boolean {
  return /^A(IDA|ROA)[A-Z0-9]{12,}$/.test(name);
}

class Names {
  readonly #everybody: boolean;
  readonly #everyService: boolean;
  readonly #everyFederated: boolean;
  readonly #accounts = new Set<string>();
  readonly #arns = new Set<string>();
  readonly #services = new Set<string>();
  readonly #federated = new Set<string>();

  constructor(pairs: readonly (readonly [string, string])[]) {
    for (const [type, name] of pairs) {
      const account = type === "AWS" ? ACCOUNT_ROOT.exec(name)?.[1] : undefined;
      if (account !== undefined) this.#accounts.add(account);
      else if (type === "AWS") this.#arns.add(name);
      else if (type === "Service") this.#services.add(name);
      else if (type === "Federated") this.#federated.add(name);
    }
    this.#everybody = this.#arns.delete("*");
    this.#everyService = this.#services.has("*");
    this.#everyFederated = this.#federated.has("*");
  }

  get arns(): string[] {
    return [...this.#arns];
  }

  get isPublic(): boolean {
    return this.#everybody;
  }

  match({ type, name, accountId, roleArn }: Caller): NamedAs | undefined {
    if (type === "Service")
      return this.#services.has(name) || this.#everyService || this.#everybody ? "self" : undefined;
    if (type === "Federated")
      return this.#federated.has(name) || this.#everyFederated || this.#everybody ? "self" : undefined;
    if (this.#arns.has(name)) return "self";
    if (roleArn !== undefined && this.#arns.has(roleArn)) return "role";
    if (this.#everybody) return "everybody";
    return accountId !== undefined && this.#accounts.has(accountId) ? "account" : undefined;
  }
}

function compiled(names: Names, negated: boolean): PrincipalElement {
  const { arns } = names;
  if (!negated) return { arns, isPublic: names.isPublic, match: (caller) => names.match(caller) };
  return {
    arns,
    isPublic: !names.isPublic,
    // Deny statements only: who is named in whichever way is spared.
    match: (caller) => (names.match(caller) === undefined ? "everybody" : undefined),
  };
}
