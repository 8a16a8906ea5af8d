/** For tests: an account with its directory and access control, and a server whose services are held to them. */
import type { AddressInfo } from "node:net";
import { systemClock, type Clock } from "../kernel/clock.ts";
import { MemoryStore } from "../store/memory.ts";
import { silentLogger } from "../telemetry/logger.ts";
import { Dispatcher } from "../wire/dispatch.ts";
import { Listener } from "../wire/listener.ts";
import { createProtocols } from "../wire/protocols.ts";
import type { Service } from "../wire/service.ts";
import { SignatureVerifier } from "../wire/sigv4.ts";
import { AccessControl } from "./access-control.ts";
import { CredentialStore } from "./credentials.ts";
import { Directory } from "./directory/directory.ts";
import type { GroupRecord, Policies, RoleRecord, UserRecord } from "./directory/records.ts";
import { trustPolicy } from "./first-start.ts";
import { KeyUsage } from "./key-usage.ts";

export const ACCOUNT_ID = "000000000000";
export const REGION = "us-east-1";

export interface Account extends Disposable {
  readonly store: MemoryStore;
  readonly credentials: CredentialStore;
  readonly directory: Directory;
  readonly keyUsage: KeyUsage;
  readonly access: AccessControl;
}

export async function openAccount(
  clock: Clock = systemClock,
  store = new MemoryStore(clock),
): Promise<Account> {
  const { credentials } = await CredentialStore.open(store, { accountId: ACCOUNT_ID, clock });
  const directory = await Directory.open(store, { accountId: ACCOUNT_ID, clock });
  const keyUsage = await KeyUsage.open(store, clock, (error) => {
    throw error;
  });
  const access = new AccessControl({ directory, clock, region: REGION, keyUsage });
  return {
    store,
    credentials,
    directory,
    keyUsage,
    access,
    [Symbol.dispose]: () => {
      credentials.close();
      directory.close();
    },
  };
}

/** A policy's text: one statement that allows `action` on `resource`. */
export function allowing(
  action: string | string[],
  resource: string | string[] = "*",
  extra: object = {},
): string {
  const statement = { Effect: "Allow", Action: action, Resource: resource, ...extra };
  return JSON.stringify({ Version: "2012-10-17", Statement: [statement] });
}

export function denying(
  action: string | string[],
  resource: string | string[] = "*",
  extra: object = {},
): string {
  const statement = { Effect: "Deny", Action: action, Resource: resource, ...extra };
  return JSON.stringify({ Version: "2012-10-17", Statement: [statement] });
}

const NO_POLICIES: Policies = { inline: {}, attached: [] };

export async function addUser(
  { directory }: Account,
  userName: string,
  members: Partial<UserRecord> = {},
): Promise<UserRecord> {
  const userId = `AIDA${userName.toUpperCase()}`;
  const base = { path: "/", createdAtMs: 0, groups: [], tags: {}, ...NO_POLICIES };
  const user = { ...base, userName, userId, ...members };
  await directory.write(() => ({ changes: [directory.users.adding(user)], result: undefined }));
  return user;
}

export async function addGroup(
  { directory }: Account,
  groupName: string,
  members: Partial<GroupRecord> = {},
): Promise<GroupRecord> {
  const group = {
    path: "/",
    createdAtMs: 0,
    groupName,
    groupId: `AGPA${groupName}`,
    ...NO_POLICIES,
    ...members,
  };
  await directory.write(() => ({ changes: [directory.groups.adding(group)], result: undefined }));
  return group;
}

export async function addRole(
  { directory }: Account,
  roleName: string,
  members: Partial<RoleRecord> = {},
): Promise<RoleRecord> {
  const base = {
    path: "/",
    createdAtMs: 0,
    tags: {},
    maxSessionS: 3600,
    trust: trustPolicy("lambda.amazonaws.com"),
  };
  const role = { ...base, roleName, roleId: `AROA${roleName.toUpperCase()}`, ...NO_POLICIES, ...members };
  await directory.write(() => ({ changes: [directory.roles.adding(role)], result: undefined }));
  return role;
}

export interface AccountServer extends Account, AsyncDisposable {
  readonly endpoint: string;
  /** Of the root. */
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** What an SDK client needs to speak to the server as somebody. */
  client(credentials?: { accessKeyId: string; secretAccessKey: string; sessionToken?: string }): {
    endpoint: string;
    region: string;
    maxAttempts: number;
    credentials: { accessKeyId: string; secretAccessKey: string; sessionToken?: string };
  };
  /** The same as a user that exists, with a new access key. */
  clientOf(user: UserRecord): Promise<ReturnType<AccountServer["client"]>>;
}

/** A server on a free loopback port with the real wire and the services given. */
export async function startAccountServer(make: (account: Account) => Service[]): Promise<AccountServer> {
  const account = await openAccount();
  const services = make(account);
  const { credentials, directory, access } = account;
  const dispatcher = new Dispatcher({
    protocols: createProtocols(services.map(({ model }) => model)),
    services,
    verifier: new SignatureVerifier({ credentials, clock: systemClock }),
    authorizer: access,
    logger: silentLogger,
    region: REGION,
    accountId: ACCOUNT_ID,
    auth: "sigv4",
  });
  const listener = new Listener({ handle: dispatcher.handle, clock: systemClock, logger: silentLogger });
  const { port }: AddressInfo = await listener.listen(0, "127.0.0.1");
  const endpoint = `http://127.0.0.1:${port}`;
  const root = credentials.rootAccessKey();
  const client: AccountServer["client"] = (given = root) => {
    const { accessKeyId, secretAccessKey, sessionToken } = { sessionToken: undefined, ...given };
    const token = sessionToken === undefined ? {} : { sessionToken };
    return {
      endpoint,
      region: REGION,
      maxAttempts: 1,
      credentials: { accessKeyId, secretAccessKey, ...token },
    };
  };
  return {
    ...account,
    endpoint,
    accessKeyId: root.accessKeyId,
    secretAccessKey: root.secretAccessKey,
    client,
    async clientOf(user) {
      const arn = directory.userArn(user);
      const owner = { kind: "user", arn, accountId: ACCOUNT_ID, userId: user.userId } as const;
      return client(await credentials.createAccessKey(owner));
    },
    async [Symbol.asyncDispose]() {
      await listener.close(1000);
      account[Symbol.dispose]();
    },
  };
}
