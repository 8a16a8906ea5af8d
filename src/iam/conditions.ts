/** The condition keys of one request: computed when a policy asks for them, because most policies ask for none. */
import type { RequestContext } from "../wire/service.ts";
import { isObject, textOf, type Access, type Input } from "./actions/access.ts";
import type { Grants } from "./directory/permissions.ts";
import type { Tags } from "./directory/records.ts";
import type { ConditionContext } from "./policy/pattern.ts";
import type { Principal } from "./principal.ts";

export interface ConditionSources {
  readonly principal: Principal;
  readonly grants: Pick<Grants, "tags" | "user">;
  readonly access: Access;
  readonly input: Input;
  readonly nowMs: number;
  readonly resourceAccountId: string;
  /** Tags of the resource, asked for once. */
  readonly resourceTags: () => Tags | undefined;
  /** Undefined: no request of a client, but the platform on behalf of a service. */
  readonly request: Pick<RequestContext, "sourceIp" | "endpoint" | "region" | "header"> | undefined;
}

const PRINCIPAL_TYPES: Readonly<Record<Principal["kind"], string>> = {
  root: "Account",
  user: "User",
  "assumed-role": "AssumedRole",
  "federated-user": "FederatedUser",
  service: "Service",
  anonymous: "Anonymous",
};

type Values = readonly string[] | undefined;

/** Keys by name in lower case. What is not here, in the access or a tag is not in the request's context. */
const KEYS: Readonly<Record<string, (sources: ConditionSources) => Values>> = {
  "aws:currenttime": ({ nowMs }) => [new Date(nowMs).toISOString()],
  "aws:epochtime": ({ nowMs }) => [String(Math.floor(nowMs / 1000))],
  "aws:sourceip": ({ request }) => request && [request.sourceIp],
  "aws:securetransport": ({ request }) => request && [String(request.endpoint.startsWith("https:"))],
  "aws:requestedregion": ({ request }) => request && [request.region],
  "aws:useragent": ({ request }) => one(request?.header("user-agent")),
  "aws:referer": ({ request }) => one(request?.header("referer")),
  "aws:viaawsservice": () => ["false"],
  "aws:principalisawsservice": ({ principal }) => [String(principal.kind === "service")],
  "aws:principalservicename": ({ principal }) => (principal.kind === "service" ? [principal.arn] : undefined),
  "aws:principalarn": ({ principal }) =>
    isOfAccount(principal) ? [principal.session?.roleArn ?? principal.arn] : undefined,
  "aws:principalaccount": ({ principal }) => (isOfAccount(principal) ? [principal.accountId] : undefined),
  "aws:principaltype": ({ principal }) => [PRINCIPAL_TYPES[principal.kind]],
  "aws:userid": ({ principal }) => (isOfAccount(principal) ? [principal.userId] : undefined),
  "aws:username": ({ grants }) => one(grants.user?.userName),
  "aws:tokenissuetime": ({ principal: { session } }) =>
    session && [new Date(session.issuedAtMs).toISOString()],
  "aws:sourceidentity": ({ principal }) => one(principal.session?.sourceIdentity),
  "aws:resourceaccount": ({ resourceAccountId }) => [resourceAccountId],
  "aws:tagkeys": ({ input }) => {
    const tags = requestTags(input);
    const removed = input["TagKeys"] ?? input["tagKeys"];
    if (Array.isArray(removed)) return removed.map(String);
    return tags && Object.keys(tags);
  },
};

const TAG_KEY = /^(aws:principaltag|aws:requesttag|aws:resourcetag|iam:resourcetag|s3:buckettag)\/(.*)$/s;

export class RequestConditions implements ConditionContext {
  readonly #sources: ConditionSources;

  constructor(sources: ConditionSources) {
    this.#sources = sources;
  }

  get(key: string): Values {
    const special = this.#sources.access.keys?.[key];
    if (special) return special;
    if (Object.hasOwn(KEYS, key)) return KEYS[key]?.(this.#sources);
    const [, family, name = ""] = TAG_KEY.exec(key) ?? [];
    if (family === undefined) return undefined;
    return one(findTag(this.#tags(family), name));
  }

  #tags(family: string): Tags | undefined {
    const { grants, input, resourceTags } = this.#sources;
    if (family === "aws:principaltag") return grants.tags;
    return family === "aws:requesttag" ? requestTags(input) : resourceTags();
  }
}

function isOfAccount({ kind }: Principal): boolean {
  return kind !== "service" && kind !== "anonymous";
}

function one(value: string | undefined): Values {
  return value === undefined ? undefined : [value];
}

/** Keys of conditions are compared without regard to case, and so are the tags' keys in them. */
function findTag(tags: Tags | undefined, lowerName: string): string | undefined {
  if (!tags) return undefined;
  for (const [name, value] of Object.entries(tags)) if (name.toLowerCase() === lowerName) return value;
  return undefined;
}

/** A request's tags in the forms that services have: a map, or a list of keys and values. */
function requestTags(input: Input): Tags | undefined {
  const found = input["Tags"] ?? input["tags"];
  if (isObject(found)) {
    return Object.fromEntries(Object.entries(found).map(([name, value]) => [name, String(value)]));
  }
  if (!Array.isArray(found)) return undefined;
  const tags: Record<string, string> = {};
  for (const tag of (found as unknown[]).filter(isObject)) {
    const name = tag["Key"] ?? tag["key"] ?? tag["TagKey"];
    const value = textOf(tag, "Value", "value", "TagValue") ?? "";
    if (typeof name === "string") tags[name] = value;
  }
  return tags;
}
