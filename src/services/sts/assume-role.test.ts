// Goal: roles are assumed by those whom they trust, for as long and with as much as they and their sessions allow.
// Method: the real SDK client against a server with the real wire and access control; a local issuer signs web identities.
import assert from "node:assert/strict";
import { generateKeyPairSync, sign, type JsonWebKey } from "node:crypto";
import { after, before, describe, it } from "node:test";
import {
  AssumeRoleCommand,
  AssumeRoleWithWebIdentityCommand,
  DecodeAuthorizationMessageCommand,
  GetAccessKeyInfoCommand,
  GetCallerIdentityCommand,
  GetFederationTokenCommand,
  STSClient,
  type AssumeRoleCommandInput,
  type Credentials,
} from "@aws-sdk/client-sts";
import {
  ACCOUNT_ID,
  addRole,
  addUser,
  allowing,
  startAccountServer,
  type AccountServer,
} from "../../iam/fixture.ts";
import { systemClock } from "../../kernel/clock.ts";
import { createSts } from "./sts.ts";

const ROLE = `arn:aws:iam::${ACCOUNT_ID}:role/worker`;
const HOUR_S = 3600;
const ISSUER = "token.example.com";
const issuer = generateKeyPairSync("rsa", { modulusLength: 2048 });
const stranger = generateKeyPairSync("rsa", { modulusLength: 2048 });

function trusting(
  principal: object,
  action: string | string[] = "sts:AssumeRole",
  extra: object = {},
): string {
  const statement = { Effect: "Allow", Principal: principal, Action: action, ...extra };
  return JSON.stringify({ Version: "2012-10-17", Statement: [statement] });
}

describe("assuming a role", () => {
  let server: AccountServer;
  let root: STSClient;
  let ann: STSClient;
  let fetched = 0;
  before(async () => {
    const jwk: JsonWebKey = { ...issuer.publicKey.export({ format: "jwk" }), kid: "1" };
    const keySets = {
      fetch: (url: string) => {
        fetched += 1;
        assert.equal(url, ISSUER);
        return Promise.resolve({ keys: [jwk] });
      },
    };
    server = await startAccountServer((account) => [
      createSts({ ...account, clock: systemClock, accountId: ACCOUNT_ID, keySets }),
    ]);
    root = new STSClient(server.client());
    const user = await addUser(server, "ann");
    ann = new STSClient(await server.clientOf(user));
    const trust = trusting({ AWS: [ACCOUNT_ID, server.directory.userArn(user)] }, [
      "sts:AssumeRole",
      "sts:TagSession",
    ]);
    await addRole(server, "worker", { trust, maxSessionS: 2 * HOUR_S, inline: { p: allowing("sts:*") } });
    await addRole(server, "closed");
  });
  after(() => server[Symbol.asyncDispose]());

  const as = ({ AccessKeyId = "", SecretAccessKey = "", SessionToken = "" }: Partial<Credentials> = {}) =>
    new STSClient(
      server.client({
        accessKeyId: AccessKeyId,
        secretAccessKey: SecretAccessKey,
        sessionToken: SessionToken,
      }),
    );
  const assume = (client: STSClient, input: Partial<AssumeRoleCommandInput> = {}) =>
    client.send(new AssumeRoleCommand({ RoleArn: ROLE, RoleSessionName: "me", ...input }));

  it("gives credentials that are the role's session", async () => {
    const { Credentials: given, AssumedRoleUser } = await assume(ann);
    const arn = `arn:aws:sts::${ACCOUNT_ID}:assumed-role/worker/me`;
    assert.deepEqual(AssumedRoleUser, { Arn: arn, AssumedRoleId: "AROAWORKER:me" });
    const me = await as(given).send(new GetCallerIdentityCommand());
    assert.deepEqual([me.Arn, me.UserId, me.Account], [arn, "AROAWORKER:me", ACCOUNT_ID]);
  });

  it("is refused where the role does not trust, or is not there", async () => {
    for (const name of ["closed", "nobody"]) {
      const RoleArn = `arn:aws:iam::${ACCOUNT_ID}:role/${name}`;
      await assert.rejects(assume(ann, { RoleArn }), {
        name: "AccessDenied",
        message: `User: arn:aws:iam::${ACCOUNT_ID}:user/ann is not authorized to perform: sts:AssumeRole on resource: ${RoleArn}`,
      });
    }
  });

  it("lasts as long as the role allows, and an hour when one role assumes another", async () => {
    await assume(root, { DurationSeconds: 2 * HOUR_S });
    await assert.rejects(assume(root, { DurationSeconds: 2 * HOUR_S + 1 }), {
      name: "ValidationError",
      message: "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
    });
    const { Credentials: given } = await assume(ann);
    await assume(as(given));
    await assert.rejects(assume(as(given), { DurationSeconds: HOUR_S + 1 }), {
      message:
        "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining",
    });
  });

  it("is limited by session policies, which must be policies", async () => {
    const nothing = await assume(ann, { Policy: allowing("s3:GetObject") });
    assert.ok((nothing.PackedPolicySize ?? 0) > 0);
    await assert.rejects(assume(as(nothing.Credentials)), { name: "AccessDenied" });
    const byArn = await assume(ann, {
      PolicyArns: [{ arn: "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess" }],
    });
    await assert.rejects(assume(as(byArn.Credentials)), { name: "AccessDenied" });
    await assert.rejects(assume(ann, { Policy: "{}" }), { name: "MalformedPolicyDocumentException" });
    await assert.rejects(assume(ann, { PolicyArns: [{ arn: "arn:aws:iam::aws:policy/Nothing" }] }), {
      name: "MalformedPolicyDocumentException",
    });
    await assert.rejects(
      assume(ann, { PolicyArns: Array.from({ length: 11 }, () => ({ arn: `${ROLE}x` })) }),
    );
  });

  it("carries tags once each", async () => {
    await assume(ann, { Tags: [{ Key: "Team", Value: "red" }] });
    await assert.rejects(
      assume(ann, {
        Tags: [
          { Key: "a", Value: "1" },
          { Key: "A", Value: "2" },
        ],
      }),
      {
        name: "InvalidParameterValue",
        message: "Duplicate tag keys found. Please note that Tag keys are case insensitive.",
      },
    );
    await assert.rejects(
      assume(ann, {
        Tags: [{ Key: "a", Value: "v".repeat(256) }],
        Policy: allowing("a:b", `arn:aws:s3:::${"b".repeat(6000)}`),
      }),
    );
  });

  it("tells whose a key is, and that no message is one of its own", async () => {
    const { Account } = await root.send(new GetAccessKeyInfoCommand({ AccessKeyId: server.accessKeyId }));
    assert.equal(Account, ACCOUNT_ID);
    await assert.rejects(root.send(new GetAccessKeyInfoCommand({ AccessKeyId: "AKIA0000000000000000" })));
    await assert.rejects(root.send(new DecodeAuthorizationMessageCommand({ EncodedMessage: "x" })), {
      name: "InvalidAuthorizationMessageException",
    });
  });

  it("gives federated users what their policy allows of what their maker may", async () => {
    const limited = await root.send(
      new GetFederationTokenCommand({ Name: "guest", Policy: allowing("sts:AssumeRole") }),
    );
    assert.equal(limited.FederatedUser?.Arn, `arn:aws:sts::${ACCOUNT_ID}:federated-user/guest`);
    await assume(as(limited.Credentials));
    const none = await root.send(new GetFederationTokenCommand({ Name: "guest" }));
    await assert.rejects(assume(as(none.Credentials)), { name: "AccessDenied" });
    await assert.rejects(ann.send(new GetFederationTokenCommand({ Name: "guest" })), {
      name: "AccessDenied",
    });
  });

  describe("with a web identity", () => {
    const provider = `arn:aws:iam::${ACCOUNT_ID}:oidc-provider/${ISSUER}`;
    const webRole = `arn:aws:iam::${ACCOUNT_ID}:role/web`;
    before(async () => {
      const { directory } = server;
      const record = { url: ISSUER, clientIds: ["app"], thumbprints: [], createdAtMs: 0, tags: {} };
      await directory.write(() => ({ changes: [directory.oidcProviders.adding(record)], result: 0 }));
      const extra = { Condition: { StringEquals: { [`${ISSUER}:sub`]: "ann", [`${ISSUER}:aud`]: "app" } } };
      await addRole(server, "web", {
        trust: trusting({ Federated: provider }, "sts:AssumeRoleWithWebIdentity", extra),
      });
    });

    const nowS = () => Math.floor(Date.now() / 1000);
    function token(claims: object = {}, { key = issuer.privateKey, header = {} } = {}): string {
      const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
      const head = part({ alg: "RS256", kid: "1", ...header });
      const body = part({
        iss: `https://${ISSUER}`,
        sub: "ann",
        aud: "app",
        exp: nowS() + HOUR_S,
        ...claims,
      });
      return `${head}.${body}.${sign("sha256", Buffer.from(`${head}.${body}`), key).toString("base64url")}`;
    }
    const send = (WebIdentityToken: string, RoleArn = webRole) =>
      root.send(new AssumeRoleWithWebIdentityCommand({ RoleArn, RoleSessionName: "web", WebIdentityToken }));

    it("takes a token that the provider signed for this audience and subject", async () => {
      const answer = await send(token());
      assert.equal(answer.SubjectFromWebIdentityToken, "ann");
      assert.equal(answer.Audience, "app");
      assert.equal(answer.Provider, provider);
      const { Arn } = await as(answer.Credentials).send(new GetCallerIdentityCommand());
      assert.equal(Arn, `arn:aws:sts::${ACCOUNT_ID}:assumed-role/web/web`);
      await send(token());
      assert.equal(fetched, 1);
    });

    it("takes no other token", async () => {
      const invalid = { name: "InvalidIdentityTokenException" };
      await assert.rejects(send(token({}, { key: stranger.privateKey })), invalid);
      await assert.rejects(send(token({}, { header: { alg: "none" } })), invalid);
      await assert.rejects(send(token({}, { header: { alg: "HS256" } })), invalid);
      await assert.rejects(send(token({}, { header: { kid: "2" } })), invalid);
      await assert.rejects(send(token({ aud: "other" })), invalid);
      await assert.rejects(send(token({ iss: "https://other.example.com" })), invalid);
      await assert.rejects(send(token({ nbf: nowS() + HOUR_S })), invalid);
      await assert.rejects(send("no.token.here"), invalid);
      await assert.rejects(send(`${token()}x`), invalid);
      await assert.rejects(send(token({ exp: nowS() - HOUR_S })), { name: "ExpiredTokenException" });
    });

    it("is refused by roles that do not trust it", async () => {
      const denied = {
        name: "AccessDenied",
        message: "Not authorized to perform sts:AssumeRoleWithWebIdentity",
      };
      await assert.rejects(send(token({ sub: "bob" })), denied);
      await assert.rejects(send(token(), ROLE), denied);
      await assert.rejects(send(token(), `${webRole}x`), denied);
    });
  });
});
