/**
 * AssumeRoleWithWebIdentity: a JSON Web Token of an OpenID Connect provider in exchange for a role's credentials. The
 * provider must be registered with IAM, its key set must verify the token, and the role's trust policy must name it.
 */
import { createPublicKey, verify, type JsonWebKey, type KeyObject } from "node:crypto";
import type {
  AssumeRoleWithWebIdentityRequest,
  AssumeRoleWithWebIdentityResponse,
} from "@aws-sdk/client-sts";
import { AwsError } from "../../errors.ts";
import type { AccessControl } from "../../iam/access-control.ts";
import type { CredentialStore } from "../../iam/credentials.ts";
import type { Directory } from "../../iam/directory/directory.ts";
import type { OidcProviderRecord } from "../../iam/directory/records.ts";
import type { Clock } from "../../kernel/clock.ts";
import { checkDuration, roleSession } from "./role-session.ts";
import { sessionPolicies } from "./session-policies.ts";

/** Where identity providers publish their keys. */
export interface KeySetFetcher {
  /** The JSON Web Key Set of the provider; rejects when it cannot be had. */
  fetch(providerUrl: string): Promise<{ keys: readonly JsonWebKey[] }>;
}

interface Options {
  readonly credentials: CredentialStore;
  readonly directory: Directory;
  readonly access: AccessControl;
  readonly clock: Clock;
  readonly keySets: KeySetFetcher;
}

type Claims = Readonly<Record<string, unknown>>;

const SESSION_S_DEFAULT = 3600;
/** Key sets are fetched again after this long, or when a token names a key that is not among them, at most once a minute. */
const KEY_SET_AGE_MS_MAX = 60 * 60_000;
const KEY_SET_AGE_MS_MIN = 60_000;
/** Clocks differ. */
const SKEW_S = 60;

const ALGORITHMS: Readonly<Record<string, { hash: string; type: string; dsaEncoding?: "ieee-p1363" }>> = {
  RS256: { hash: "sha256", type: "rsa" },
  RS384: { hash: "sha384", type: "rsa" },
  RS512: { hash: "sha512", type: "rsa" },
  ES256: { hash: "sha256", type: "ec", dsaEncoding: "ieee-p1363" },
  ES384: { hash: "sha384", type: "ec", dsaEncoding: "ieee-p1363" },
};

export function webIdentityOperation(options: Options) {
  const keySets = new KeySets(options.keySets, options.clock);
  return async (input: AssumeRoleWithWebIdentityRequest): Promise<AssumeRoleWithWebIdentityResponse> => {
    const { directory, access, clock, credentials } = options;
    const { RoleArn: roleArn = "", WebIdentityToken: token = "", RoleSessionName: sessionName = "" } = input;
    const { header, claims, signed, signature } = parseToken(token);
    const provider = providerOf(directory, claims);
    checkClaims(claims, provider, clock.nowMs());
    const key = await keySets.find(provider.url, header);
    const algorithm = ALGORITHMS[String(header["alg"])];
    if (
      !algorithm ||
      key.asymmetricKeyType !== algorithm.type ||
      !isSigned(signed, signature, key, algorithm)
    )
      throw invalidToken(
        "Couldn't retrieve verification key from your identity provider,  please reference AssumeRoleWithWebIdentity documentation for requirements",
      );
    const providerArn = directory.oidcProviderArn(provider.url);
    const role = directory.roleByArn(roleArn);
    if (
      !role ||
      !access.webIdentityMayAssume(providerArn, roleArn, claimKeys(provider.url, claims, sessionName))
    )
      throw new AwsError("AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity", {
        status: 403,
      });
    const durationS = input.DurationSeconds ?? SESSION_S_DEFAULT;
    checkDuration(role, durationS);
    const session = { roleArn, sessionName, durationS, ...sessionPolicies({ directory, access }, input) };
    return {
      ...roleSession({ credentials, clock }, role, session),
      SubjectFromWebIdentityToken: String(claims["sub"]),
      Audience: audiencesOf(claims)[0],
      Provider: providerArn,
    };
  };
}

function invalidToken(message: string): AwsError {
  return new AwsError("InvalidIdentityTokenException", message);
}

interface Token {
  readonly header: Claims;
  readonly claims: Claims;
  readonly signed: Buffer;
  readonly signature: Buffer;
}

function parseToken(token: string): Token {
  const [head = "", body = "", tail = "", ...more] = token.split(".");
  const header = objectOf(head);
  const claims = objectOf(body);
  if (!header || !claims || more.length > 0)
    throw invalidToken(
      "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)",
    );
  return {
    header,
    claims,
    signed: Buffer.from(`${head}.${body}`),
    signature: Buffer.from(tail, "base64url"),
  };
}

function objectOf(part: string): Claims | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(part, "base64url").toString("utf8"));
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as Claims)
      : undefined;
  } catch {
    // Anybody can send anything here: what is no JSON is no token.
    return undefined;
  }
}

function providerOf(directory: Directory, claims: Claims): OidcProviderRecord {
  const issuer = typeof claims["iss"] === "string" ? claims["iss"] : "";
  const provider = directory.oidcProviders.get(issuer.replace(/^https?:\/\//, "").replace(/\/$/, ""));
  if (!provider) throw invalidToken("No OpenIDConnect provider found in your account for " + issuer);
  return provider;
}

function audiencesOf(claims: Claims): string[] {
  const { aud: audience } = claims as { aud?: unknown };
  return (Array.isArray(audience) ? (audience as unknown[]) : [audience]).filter(
    (one) => typeof one === "string",
  );
}

function checkClaims(claims: Claims, { clientIds }: OidcProviderRecord, nowMs: number): void {
  const nowS = nowMs / 1000;
  const { exp, nbf, sub } = claims as { exp?: unknown; nbf?: unknown; sub?: unknown };
  if (typeof exp !== "number" || typeof sub !== "string")
    throw invalidToken("Missing a required claim: exp, sub");
  if (exp + SKEW_S <= nowS)
    throw new AwsError(
      "ExpiredTokenException",
      `Token expired: current date/time ${Math.floor(nowS)} must be before the expiration date/time ${exp}`,
    );
  if (typeof nbf === "number" && nbf - SKEW_S > nowS) throw invalidToken("The token is not valid yet");
  if (!audiencesOf(claims).some((audience) => clientIds.includes(audience)))
    throw invalidToken("Incorrect token audience");
}

function isSigned(
  signed: Buffer,
  signature: Buffer,
  key: KeyObject,
  { hash, dsaEncoding }: { hash: string; dsaEncoding?: "ieee-p1363" },
): boolean {
  return verify(hash, signed, dsaEncoding ? { key, dsaEncoding } : key, signature);
}

/** The provider's own condition keys: `token.example.com:sub`, `…:aud`. */
function claimKeys(url: string, claims: Claims, sessionName: string): Record<string, readonly string[]> {
  const keys: Record<string, readonly string[]> = { "sts:rolesessionname": [sessionName] };
  for (const [name, value] of Object.entries(claims)) {
    const values = Array.isArray(value) ? (value as unknown[]) : [value];
    const texts = values.filter((one) => ["string", "number", "boolean"].includes(typeof one)).map(String);
    if (texts.length > 0) keys[`${url}:${name}`.toLowerCase()] = texts;
  }
  return keys;
}

/** Key sets by provider, fetched when they are needed and kept for a while. */
class KeySets {
  readonly #fetcher: KeySetFetcher;
  readonly #clock: Clock;
  readonly #sets = new Map<string, { keys: readonly JsonWebKey[]; fetchedAtMs: number }>();

  constructor(fetcher: KeySetFetcher, clock: Clock) {
    this.#fetcher = fetcher;
    this.#clock = clock;
  }

  /** Throws IDPCommunicationError when the keys cannot be had, InvalidIdentityToken when none of them fits. */
  async find(url: string, { kid }: Claims): Promise<KeyObject> {
    const known = this.#sets.get(url);
    const ageMs = known ? this.#clock.nowMs() - known.fetchedAtMs : Infinity;
    const found = known && ageMs <= KEY_SET_AGE_MS_MAX ? keyOf(known.keys, kid) : undefined;
    if (found) return found;
    const keys = ageMs < KEY_SET_AGE_MS_MIN ? (known?.keys ?? []) : await this.#fetch(url);
    const key = keyOf(keys, kid);
    if (!key) throw invalidToken("The key that signed the token is not among those of its provider.");
    return key;
  }

  async #fetch(url: string): Promise<readonly JsonWebKey[]> {
    // Whatever comes of it: a provider is not asked more than once a minute because somebody sends bad tokens.
    this.#sets.set(url, { keys: this.#sets.get(url)?.keys ?? [], fetchedAtMs: this.#clock.nowMs() });
    try {
      const { keys } = await this.#fetcher.fetch(url);
      this.#sets.set(url, { keys, fetchedAtMs: this.#clock.nowMs() });
      return keys;
    } catch (error) {
      throw new AwsError(
        "IDPCommunicationErrorException",
        "Couldn't retrieve verification key from your identity provider",
        { cause: error },
      );
    }
  }
}

function keyOf(keys: readonly JsonWebKey[], kid: unknown): KeyObject | undefined {
  const jwk = kid === undefined && keys.length === 1 ? keys[0] : keys.find((key) => key["kid"] === kid);
  if (!jwk) return undefined;
  try {
    return createPublicKey({ key: jwk, format: "jwk" });
  } catch {
    // A key of a kind that is not known here verifies nothing.
    return undefined;
  }
}
