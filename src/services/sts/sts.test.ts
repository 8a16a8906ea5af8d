// Goal: whoever signs is told who it is, and gets credentials for a while that work and do not last longer than allowed.
// Method: the real SDK client against a server with the real protocols and credentials.
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import {
  GetCallerIdentityCommand,
  GetSessionTokenCommand,
  STSClient,
  type Credentials,
} from "@aws-sdk/client-sts";
import { ACCOUNT_ID as ACCOUNT, addUser, startAccountServer, type AccountServer } from "../../iam/fixture.ts";
import { systemClock } from "../../kernel/clock.ts";
import { createSts } from "./sts.ts";

const MINUTE_MS = 60_000;

describe("the Security Token Service", () => {
  let server: AccountServer;
  before(async () => {
    const keySets = { fetch: () => Promise.reject(new Error("nobody is asked")) };
    server = await startAccountServer((account) => [
      createSts({ ...account, clock: systemClock, accountId: ACCOUNT, keySets }),
    ]);
    await addUser(server, "ann", { userId: "AIDAANN" });
  });
  after(() => server[Symbol.asyncDispose]());

  function client(credentials: {
    accessKeyId: string;
    secretAccessKey: string;
    sessionToken?: string;
  }): STSClient {
    return new STSClient({ endpoint: server.endpoint, region: "us-east-1", maxAttempts: 1, credentials });
  }
  const ofSession = ({
    AccessKeyId = "",
    SecretAccessKey = "",
    SessionToken = "",
  }: Partial<Credentials> = {}) =>
    client({ accessKeyId: AccessKeyId, secretAccessKey: SecretAccessKey, sessionToken: SessionToken });

  async function user(): Promise<STSClient> {
    const arn = `arn:aws:iam::${ACCOUNT}:user/ann`;
    return client(
      await server.credentials.createAccessKey({ kind: "user", arn, accountId: ACCOUNT, userId: "AIDAANN" }),
    );
  }

  /** How long credentials last from now on, in whole minutes. */
  const minutesOf = (credentials: Credentials | undefined) =>
    Math.round(((credentials?.Expiration?.getTime() ?? 0) - Date.now()) / MINUTE_MS);

  it("tells the root who it is", async () => {
    const { Account, Arn, UserId } = await client(server).send(new GetCallerIdentityCommand());
    assert.deepEqual([Account, Arn, UserId], [ACCOUNT, `arn:aws:iam::${ACCOUNT}:root`, ACCOUNT]);
  });

  it("tells a function's session who it is", async () => {
    const minted = server.credentials.mintForRole(`arn:aws:iam::${ACCOUNT}:role/path/worker`, "f", MINUTE_MS);
    const { Arn, UserId } = await client(minted).send(new GetCallerIdentityCommand());
    assert.equal(Arn, `arn:aws:sts::${ACCOUNT}:assumed-role/worker/f`);
    assert.match(UserId ?? "", /^AROA[A-Z0-9]+:f$/);
  });

  it("gives a user credentials that prove the same user", async () => {
    const ann = await user();
    const { Credentials } = await ann.send(new GetSessionTokenCommand());
    assert.match(Credentials?.AccessKeyId ?? "", /^ASIA/);
    assert.equal(minutesOf(Credentials), 12 * 60);
    assert.equal(Credentials?.Expiration?.getUTCMilliseconds(), 0, "told to the second");
    const { Arn, UserId } = await ofSession(Credentials).send(new GetCallerIdentityCommand());
    assert.deepEqual([Arn, UserId], [`arn:aws:iam::${ACCOUNT}:user/ann`, "AIDAANN"]);
    const short = await ann.send(new GetSessionTokenCommand({ DurationSeconds: 900 }));
    assert.equal(minutesOf(short.Credentials), 15);
  });

  it("gives the root an hour at the most", async () => {
    for (const [DurationSeconds, minutes] of [
      [undefined, 60],
      [7200, 60],
      [1800, 30],
    ] as const) {
      const input = DurationSeconds === undefined ? {} : { DurationSeconds };
      const { Credentials } = await client(server).send(new GetSessionTokenCommand(input));
      assert.equal(minutesOf(Credentials), minutes);
    }
  });

  it("refuses durations that the model does not allow", async () => {
    for (const DurationSeconds of [899, 129_601])
      await assert.rejects(client(server).send(new GetSessionTokenCommand({ DurationSeconds })), {
        name: "ValidationError",
      });
  });

  it("gives sessions no further sessions: they would outlive themselves", async () => {
    const role = server.credentials.mintForRole(`arn:aws:iam::${ACCOUNT}:role/worker`, "f", MINUTE_MS);
    const { Credentials } = await (await user()).send(new GetSessionTokenCommand());
    for (const session of [client(role), ofSession(Credentials)])
      await assert.rejects(session.send(new GetSessionTokenCommand()), {
        name: "AccessDenied",
        message: "Cannot call GetSessionToken with session credentials",
      });
  });
});
