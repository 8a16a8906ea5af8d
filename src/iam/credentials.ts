/**
 * Access keys. Long-term keys are records of the store, held in memory; temporary ones are stateless: the session token
 * is everything about the session, sealed with a key that only the store has. Temporary credentials therefore cost no
 * durable write, survive a restart and hold on every node of a cluster. What a sealed token says is final: a session
 * is revoked by policy (aws:TokenIssueTime), as on AWS.
 */
import { createCipheriv, createDecipheriv, createHash, randomBytes } from "node:crypto";
import { AwsError } from "../errors.ts";
import type { Clock } from "../kernel/clock.ts";
import { newIamId } from "../kernel/ids.ts";
import { RevisionConflict, type Store, type StoredRecord } from "../store/store.ts";
import type { Principal, PrincipalSession } from "./principal.ts";

/** A long-term access key as IAM shows it. */
export interface AccessKey {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly status: "Active" | "Inactive";
  /** Whose key it is: the root of the account, or a user. */
  readonly owner: Pick<Principal, "kind" | "arn" | "accountId" | "userId">;
  readonly createdAtMs: number;
}

export interface TemporaryCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken: string;
  readonly expiresAtMs: number;
}

/** A session to make credentials for. */
export interface SessionSpec extends Omit<PrincipalSession, "issuedAtMs"> {
  /** `arn:aws:sts::ACCOUNT:assumed-role/NAME/SESSION`, or the root's or user's own ARN (GetSessionToken). */
  readonly principalArn: string;
  /** AROA…, AIDA… or the account id: the first half of the UserId. */
  readonly roleId: string;
  /** The second half of the UserId; none for GetSessionToken. */
  readonly sessionName?: string;
}

/** What a signature is checked with, and whom it then proves. */
export interface Credential {
  readonly secretAccessKey: string;
  readonly principal: Principal;
}

/** Why there is no credential: the key does not exist (or is inactive), the token is not ours, or its time is over. */
export type CredentialFailure = "unknown" | "invalid-token" | "expired";

/** What the signature check needs to know; see CredentialStore. */
export interface CredentialSource {
  lookup(accessKeyId: string, sessionToken: string | undefined): Credential | CredentialFailure;
}

const ACCESS_KEY_KIND = "iam/access-key";
const SECRET_KIND = "iam/secret";
const SESSION_KEY = "session-token";
/** Names the root's key: makes "first start" true for exactly one of several nodes that start at once. */
const ROOT_KEY = "root-access-key";

const CIPHER = "aes-256-gcm";
const IV_BYTES = 12;
const TAG_BYTES = 16;
/** Format of a sealed token, so that a later one can be told apart. */
const TOKEN_VERSION = 1;
/** Longest token that is made or looked at: it travels in a header. */
const TOKEN_CHARS_MAX = 8192;
/** Opened tokens that are remembered: about one for each environment that is calling back. */
const OPENED_TOKENS_MAX = 4096;

interface OpenedToken {
  readonly accessKeyId: string;
  readonly expiresAtMs: number;
  readonly credential: Credential;
}

/** What a token seals. */
interface TokenContent {
  readonly secretAccessKey: string;
  readonly principal: Principal;
}

export class CredentialStore implements CredentialSource {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #accountId: string;
  readonly #sessionKey: Buffer;
  /** `credential` is undefined while the key is inactive. */
  readonly #keys = new Map<string, { record: StoredRecord<AccessKey>; credential: Credential | undefined }>();
  readonly #opened = new Map<string, OpenedToken>();
  #unwatch: () => void = () => undefined;

  private constructor(store: Store, clock: Clock, accountId: string, sessionKey: Buffer) {
    this.#store = store;
    this.#clock = clock;
    this.#accountId = accountId;
    this.#sessionKey = sessionKey;
  }

  /**
   * Loads the keys and follows their changes. The first start with a store makes the root's access key and answers it as
   * `created`: it is not told again.
   */
  static async open(
    store: Store,
    options: { accountId: string; clock: Clock },
  ): Promise<{ credentials: CredentialStore; created: AccessKey | undefined }> {
    const { accountId, clock } = options;
    const sessionKey = await loadSessionKey(store);
    const created = await createRootKey(store, accountId, clock);
    const credentials = new CredentialStore(store, clock, accountId, sessionKey);
    credentials.#unwatch = await store.watch<AccessKey>(ACCESS_KEY_KIND, (event) => {
      if (event.op === "put") credentials.#remember(event.record);
      else credentials.#keys.delete(event.key);
    });
    return { credentials, created };
  }

  /** Stops following the store. */
  close(): void {
    this.#unwatch();
  }

  /** A new long-term key. On disk, and known to `lookup`, when the promise resolves. */
  async createAccessKey(owner: AccessKey["owner"]): Promise<AccessKey> {
    const key = newAccessKey(owner, this.#clock.nowMs());
    await this.#put(key, "absent");
    return key;
  }

  /** False when there is no such key. */
  async updateAccessKey(accessKeyId: string, status: AccessKey["status"]): Promise<boolean> {
    const record = this.#keys.get(accessKeyId)?.record;
    if (!record) return false;
    await this.#put({ ...record.value, status }, record.revision);
    return true;
  }

  /** False when there is no such key. */
  async deleteAccessKey(accessKeyId: string): Promise<boolean> {
    if (!this.#keys.has(accessKeyId)) return false;
    await this.#store.write([{ op: "delete", kind: ACCESS_KEY_KIND, key: accessKeyId }]);
    this.#keys.delete(accessKeyId);
    return true;
  }

  /** Keys follow their user to its new name. */
  async reassignAccessKeys(fromArn: string, owner: AccessKey["owner"]): Promise<void> {
    const mine = [...this.#keys.values()].filter(({ record }) => record.value.owner.arn === fromArn);
    for (const { record } of mine) await this.#put({ ...record.value, owner }, record.revision);
  }

  /** The owner of a long-term key; undefined when there is no such key. */
  accessKeyOwner(accessKeyId: string): AccessKey["owner"] | undefined {
    return this.#keys.get(accessKeyId)?.record.value.owner;
  }

  /** The keys of an owner, oldest first. */
  listAccessKeys(ownerArn: string): AccessKey[] {
    const keys = [...this.#keys.values()].map(({ record }) => record.value);
    return keys.filter(({ owner }) => owner.arn === ownerArn).sort((a, b) => a.createdAtMs - b.createdAtMs);
  }

  /** The oldest active key of the account's root; the first start made one. */
  rootAccessKey(): AccessKey {
    const root = this.listAccessKeys(rootPrincipal(this.#accountId).arn).find(
      ({ status }) => status === "Active",
    );
    if (!root) throw new Error("the account's root has no active access key");
    return root;
  }

  /**
   * What a function gets: a session of its execution role. `roleArn` is well-formed; whether it exists is not asked. Without
   * the role's own id the session is nobody's that policies know: it may do nothing.
   */
  mintForRole(
    roleArn: string,
    sessionName: string,
    lifetimeMs: number,
    roleId: string = roleIdOf(roleArn),
  ): TemporaryCredentials {
    const roleName = roleArn.slice(roleArn.lastIndexOf("/") + 1);
    return this.mint({
      principalArn: `arn:aws:sts::${this.#accountId}:assumed-role/${roleName}/${sessionName}`,
      roleId,
      sessionName,
      roleArn,
      expiresAtMs: this.#clock.nowMs() + lifetimeMs,
    });
  }

  /**
   * Temporary credentials for a session. No write: the token is all there is of them.
   * Throws AwsError PackedPolicyTooLarge when policies and tags do not fit into a token.
   */
  mint(spec: SessionSpec): TemporaryCredentials {
    const { principalArn, roleId, sessionName, ...session } = spec;
    const accessKeyId = newIamId("ASIA");
    const secretAccessKey = newSecretAccessKey();
    const principal: Principal = {
      kind: principalKind(principalArn),
      arn: principalArn,
      accountId: this.#accountId,
      userId: sessionName === undefined ? roleId : `${roleId}:${sessionName}`,
      accessKeyId,
      session: { ...session, issuedAtMs: this.#clock.nowMs() },
    };
    const sessionToken = this.#seal(accessKeyId, { secretAccessKey, principal });
    if (sessionToken.length > TOKEN_CHARS_MAX) {
      const percent = Math.ceil((100 * sessionToken.length) / TOKEN_CHARS_MAX);
      throw new AwsError(
        "PackedPolicyTooLargeException",
        `Packed size of session tags and session policies consumes ${percent}% of allotted space.`,
      );
    }
    return { accessKeyId, secretAccessKey, sessionToken, expiresAtMs: spec.expiresAtMs };
  }

  lookup(accessKeyId: string, sessionToken: string | undefined): Credential | CredentialFailure {
    if (sessionToken === undefined || sessionToken === "") {
      return this.#keys.get(accessKeyId)?.credential ?? "unknown";
    }
    let opened = this.#opened.get(sessionToken);
    if (!opened) {
      opened = this.#open(accessKeyId, sessionToken);
      if (!opened) return "invalid-token";
      this.#rememberOpened(sessionToken, opened);
    }
    if (opened.accessKeyId !== accessKeyId) return "invalid-token";
    return opened.expiresAtMs <= this.#clock.nowMs() ? "expired" : opened.credential;
  }

  async #put(key: AccessKey, expect: number | "absent"): Promise<void> {
    const change = { op: "put", kind: ACCESS_KEY_KIND, key: key.accessKeyId, value: key, expect } as const;
    const revision = await this.#store.write([change]);
    this.#remember({ key: key.accessKeyId, value: key, revision });
  }

  /** Takes a record in, unless a newer one is there: the feed may tell of our own writes late. */
  #remember(record: StoredRecord<AccessKey>): void {
    const known = this.#keys.get(record.key);
    if (known && known.record.revision > record.revision) return;
    const { accessKeyId, secretAccessKey, owner, status } = record.value;
    const credential = { secretAccessKey, principal: { ...owner, accessKeyId } };
    this.#keys.set(record.key, { record, credential: status === "Active" ? credential : undefined });
  }

  #rememberOpened(sessionToken: string, opened: OpenedToken): void {
    if (this.#opened.size >= OPENED_TOKENS_MAX) {
      const [oldest] = this.#opened.keys();
      if (oldest !== undefined) this.#opened.delete(oldest);
    }
    this.#opened.set(sessionToken, opened);
  }

  /** Version, initialisation vector, ciphertext, tag; the access key id is authenticated too: the two belong together. */
  #seal(accessKeyId: string, content: TokenContent): string {
    const iv = randomBytes(IV_BYTES);
    const cipher = createCipheriv(CIPHER, this.#sessionKey, iv, { authTagLength: TAG_BYTES });
    cipher.setAAD(Buffer.from(accessKeyId));
    const sealed = [cipher.update(JSON.stringify(content)), cipher.final()];
    return Buffer.concat([Buffer.of(TOKEN_VERSION), iv, ...sealed, cipher.getAuthTag()]).toString("base64");
  }

  #open(accessKeyId: string, sessionToken: string): OpenedToken | undefined {
    if (sessionToken.length > TOKEN_CHARS_MAX) return undefined;
    const bytes = Buffer.from(sessionToken, "base64");
    if (bytes.length < 1 + IV_BYTES + TAG_BYTES || bytes[0] !== TOKEN_VERSION) return undefined;
    const iv = bytes.subarray(1, 1 + IV_BYTES);
    const decipher = createDecipheriv(CIPHER, this.#sessionKey, iv, { authTagLength: TAG_BYTES });
    decipher.setAAD(Buffer.from(accessKeyId));
    decipher.setAuthTag(bytes.subarray(-TAG_BYTES));
    let text: string;
    try {
      text =
        decipher.update(bytes.subarray(1 + IV_BYTES, -TAG_BYTES), undefined, "utf8") + decipher.final("utf8");
    } catch {
      // Not sealed by us, or not for this access key: the one thing that `final` throws for.
      return undefined;
    }
    const credential = JSON.parse(text) as TokenContent;
    return { accessKeyId, credential, expiresAtMs: credential.principal.session?.expiresAtMs ?? 0 };
  }
}

/** The root of the account: who `--auth none` says everybody is. */
export function rootPrincipal(accountId: string): Principal {
  return { kind: "root", arn: `arn:aws:iam::${accountId}:root`, accountId, userId: accountId };
}

/** A stable id for a role that is known by its ARN alone. */
function roleIdOf(roleArn: string): string {
  return `AROA${createHash("sha256").update(roleArn).digest("hex").slice(0, 17).toUpperCase()}`;
}

function principalKind(arn: string): Principal["kind"] {
  if (arn.includes(":assumed-role/")) return "assumed-role";
  if (arn.includes(":federated-user/")) return "federated-user";
  return arn.endsWith(":root") ? "root" : "user";
}

function newAccessKey(owner: AccessKey["owner"], createdAtMs: number): AccessKey {
  const accessKeyId = newIamId("AKIA");
  return { accessKeyId, secretAccessKey: newSecretAccessKey(), status: "Active", owner, createdAtMs };
}

/** 40 characters of base64, as AWS's are. */
function newSecretAccessKey(): string {
  return randomBytes(30).toString("base64");
}

async function createRootKey(store: Store, accountId: string, clock: Clock): Promise<AccessKey | undefined> {
  const { kind, arn, userId } = rootPrincipal(accountId);
  const key = newAccessKey({ kind, arn, accountId, userId }, clock.nowMs());
  const value = { accessKeyId: key.accessKeyId };
  try {
    await store.write([
      { op: "put", kind: SECRET_KIND, key: ROOT_KEY, value, expect: "absent" },
      { op: "put", kind: ACCESS_KEY_KIND, key: key.accessKeyId, value: key, expect: "absent" },
    ]);
    return key;
  } catch (error) {
    if (error instanceof RevisionConflict) return undefined;
    throw error;
  }
}

async function loadSessionKey(store: Store): Promise<Buffer> {
  const value = { keyBase64: randomBytes(32).toString("base64") };
  try {
    await store.write([{ op: "put", kind: SECRET_KIND, key: SESSION_KEY, value, expect: "absent" }]);
  } catch (error) {
    if (!(error instanceof RevisionConflict)) throw error;
  }
  const record = await store.get<typeof value>(SECRET_KIND, SESSION_KEY);
  if (!record) throw new Error("the store lost the key that seals session tokens");
  return Buffer.from(record.value.keyBase64, "base64");
}
