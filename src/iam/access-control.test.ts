// Goal: what records of IAM say is what principals may do: users by their groups, sessions by their roles, everybody by resources.
// Method: accounts in memory; requests as the wire hands them over, and the platform's own questions.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { AwsError } from "../errors.ts";
import { ManualClock } from "../kernel/clock.ts";
import type { Match } from "../wire/protocol.ts";
import type { RequestContext } from "../wire/service.ts";
import { rootPrincipal } from "./credentials.ts";
import {
  ACCOUNT_ID,
  addGroup,
  addRole,
  addUser,
  allowing,
  denying,
  openAccount,
  REGION,
  type Account,
} from "./fixture.ts";
import type { RoleRecord, UserRecord } from "./directory/records.ts";
import type { Principal, PrincipalSession } from "./principal.ts";

const FUNCTION = `arn:aws:lambda:${REGION}:${ACCOUNT_ID}:function:f`;
const OTHER = `arn:aws:lambda:${REGION}:999999999999:function:f`;

function asUser({ directory }: Account, user: UserRecord): Principal {
  return { kind: "user", arn: directory.userArn(user), accountId: ACCOUNT_ID, userId: user.userId };
}

function asRole(
  { directory }: Account,
  role: RoleRecord,
  session: Partial<PrincipalSession> = {},
): Principal {
  return {
    kind: "assumed-role",
    arn: `arn:aws:sts::${ACCOUNT_ID}:assumed-role/${role.roleName}/s`,
    accountId: ACCOUNT_ID,
    userId: `${role.roleId}:s`,
    session: { roleArn: directory.roleArn(role), issuedAtMs: 0, expiresAtMs: 1, ...session },
  };
}

const context = (
  principal: Principal,
  headers: Record<string, string> = {},
  endpoint = "http://h",
): RequestContext => ({
  requestId: "r",
  principal,
  region: REGION,
  accountId: ACCOUNT_ID,
  sourceIp: "10.1.2.3",
  endpoint,
  signal: new AbortController().signal,
  header: (name) => headers[name],
});

/** Undefined when it may; the refusal when not. */
function refusal(
  { access }: Account,
  principal: Principal,
  call: string,
  input: Record<string, unknown> = {},
  request = context(principal),
): AwsError | undefined {
  const [service = "", operation = ""] = call.split(".");
  const match: Match = { service, operation, protocol: "restJson1", labels: {}, bodyBytesMax: 1 };
  try {
    access.authorize(principal, match, input, request);
    return undefined;
  } catch (error) {
    assert.ok(error instanceof AwsError, String(error));
    return error;
  }
}

const may = (...args: Parameters<typeof refusal>) => refusal(...args) === undefined;
const invoke = { FunctionName: "f" };

describe("access control", () => {
  it("lets the root do everything, and a user without policies nothing", async () => {
    using account = await openAccount();
    assert.ok(may(account, rootPrincipal(ACCOUNT_ID), "lambda.Invoke", invoke));
    const ann = asUser(account, await addUser(account, "ann"));
    const error = refusal(account, ann, "lambda.Invoke", invoke);
    assert.deepEqual(
      [error?.code, error?.status, error?.message],
      [
        "AccessDeniedException",
        403,
        `User: ${ann.arn} is not authorized to perform: lambda:InvokeFunction on resource: ${FUNCTION} because no identity-based policy allows the lambda:InvokeFunction action`,
      ],
    );
    assert.ok(may(account, ann, "sts.GetCallerIdentity"));
    assert.ok(may(account, ann, "sts.GetSessionToken"));
  });

  it("answers with each service's own code", async () => {
    using account = await openAccount();
    const ann = asUser(account, await addUser(account, "ann"));
    const codes = [
      "s3.ListBuckets",
      "sns.ListTopics",
      "logs.DescribeLogGroups",
      "iam.ListUsers",
      "sqs.ListQueues",
    ].map((call) => refusal(account, ann, call)?.code);
    assert.deepEqual(codes, [
      "AccessDenied",
      "AuthorizationError",
      "AccessDeniedException",
      "AccessDenied",
      "AccessDenied",
    ]);
  });

  it("adds a user's own, attached and groups' policies up, and follows their changes", async () => {
    using account = await openAccount();
    await addGroup(account, "readers", { inline: { p: allowing("lambda:GetFunction") } });
    const user = await addUser(account, "ann", {
      groups: ["readers"],
      inline: { mine: allowing("lambda:InvokeFunction", FUNCTION) },
      attached: ["arn:aws:iam::aws:policy/CloudWatchLogsReadOnlyAccess", "arn:aws:iam::aws:policy/Gone"],
    });
    const ann = asUser(account, user);
    assert.ok(may(account, ann, "lambda.Invoke", invoke));
    assert.ok(may(account, ann, "lambda.GetFunction", invoke));
    assert.ok(may(account, ann, "logs.DescribeLogGroups"));
    assert.ok(!may(account, ann, "lambda.DeleteFunction", invoke));
    const { directory } = account;
    const inline = { mine: denying("lambda:*") };
    await directory.write(() => ({ changes: [directory.users.replacing({ ...user, inline })], result: 0 }));
    assert.match(
      refusal(account, ann, "lambda.Invoke", invoke)?.message ?? "",
      /with an explicit deny in an identity-based policy$/,
    );
    assert.ok(!may(account, ann, "lambda.GetFunction", invoke));
  });

  it("holds a user within its boundary", async () => {
    using account = await openAccount();
    const boundaryArn = "arn:aws:iam::aws:policy/AWSLambda_ReadOnlyAccess";
    const user = await addUser(account, "ann", { inline: { all: allowing("*") }, boundaryArn });
    const ann = asUser(account, user);
    assert.ok(may(account, ann, "lambda.GetFunction", invoke));
    assert.match(
      refusal(account, ann, "lambda.Invoke", invoke)?.message ?? "",
      /because no permissions boundary allows/,
    );
  });

  it("holds sessions to their role and their own policies", async () => {
    using account = await openAccount();
    const role = await addRole(account, "worker", { inline: { p: allowing("lambda:*") } });
    assert.ok(may(account, asRole(account, role), "lambda.Invoke", invoke));
    assert.ok(!may(account, asRole(account, role), "sqs.ListQueues"));
    const limited = asRole(account, role, { policies: [allowing("lambda:GetFunction")] });
    assert.ok(may(account, limited, "lambda.GetFunction", invoke));
    assert.match(
      refusal(account, limited, "lambda.Invoke", invoke)?.message ?? "",
      /because no session policy allows/,
    );
    const byArn = asRole(account, role, { policyArns: ["arn:aws:iam::aws:policy/AWSLambda_ReadOnlyAccess"] });
    assert.ok(may(account, byArn, "lambda.GetFunction", invoke));
    assert.ok(!may(account, byArn, "lambda.Invoke", invoke));
  });

  it("gives nothing to sessions of a role that was deleted and made again", async () => {
    using account = await openAccount();
    const { directory } = account;
    const role = await addRole(account, "worker", { inline: { p: allowing("*") } });
    const session = asRole(account, role);
    assert.ok(may(account, session, "lambda.Invoke", invoke));
    await directory.write(() => ({ changes: [directory.roles.deleting("worker")], result: 0 }));
    assert.ok(!may(account, session, "lambda.Invoke", invoke));
    await addRole(account, "worker", { inline: { p: allowing("*") }, roleId: "AROANEW" });
    assert.ok(!may(account, session, "lambda.Invoke", invoke));
  });

  it("asks for leave to pass the role that a function gets", async () => {
    using account = await openAccount();
    const create = { FunctionName: "f", Role: `arn:aws:iam::${ACCOUNT_ID}:role/worker` };
    const user = await addUser(account, "ann", { inline: { p: allowing("lambda:*") } });
    const ann = asUser(account, user);
    assert.equal(
      refusal(account, ann, "lambda.CreateFunction", create)?.message,
      `User: ${ann.arn} is not authorized to perform: iam:PassRole on resource: ${create.Role} because no identity-based policy allows the iam:PassRole action`,
    );
    const { directory } = account;
    const passing = (service: string) =>
      allowing("iam:PassRole", create.Role, {
        Condition: { StringEquals: { "iam:PassedToService": service } },
      });
    for (const [service, expected] of [
      ["ec2.amazonaws.com", false],
      ["lambda.amazonaws.com", true],
    ] as const) {
      const inline = { p: allowing("lambda:*"), pass: passing(service) };
      await directory.write(() => ({ changes: [directory.users.replacing({ ...user, inline })], result: 0 }));
      assert.equal(may(account, ann, "lambda.CreateFunction", create), expected, service);
    }
    const foreign = { ...create, Role: "arn:aws:iam::999999999999:role/x" };
    assert.equal(
      refusal(account, ann, "lambda.CreateFunction", foreign)?.message,
      "Cross-account pass role is not allowed.",
    );
  });

  it("knows a request's circumstances", async () => {
    const clock = new ManualClock(Date.UTC(2026, 0, 15));
    using account = await openAccount(clock);
    const user = await addUser(account, "ann", { tags: { Team: "red" } });
    const { directory } = account;
    account.access.register({
      service: "lambda",
      tags: { tagsOf: (arn) => (arn === FUNCTION ? { Team: "red", Stage: "test" } : undefined) },
    });
    const conditions: [object, boolean][] = [
      [{ IpAddress: { "aws:SourceIp": "10.0.0.0/8" } }, true],
      [{ NotIpAddress: { "aws:SourceIp": "10.0.0.0/8" } }, false],
      [{ Bool: { "aws:SecureTransport": "false" } }, true],
      [{ DateGreaterThan: { "aws:CurrentTime": "2026-01-01T00:00:00Z" } }, true],
      [{ DateLessThan: { "aws:CurrentTime": "2026-01-01T00:00:00Z" } }, false],
      [{ NumericGreaterThan: { "aws:EpochTime": "1700000000" } }, true],
      [{ StringLike: { "aws:UserAgent": "aws-cli*" } }, true],
      [
        { StringEquals: { "aws:username": "ann", "aws:PrincipalType": "User", "aws:userid": user.userId } },
        true,
      ],
      [{ StringEquals: { "aws:PrincipalAccount": ACCOUNT_ID, "aws:ResourceAccount": ACCOUNT_ID } }, true],
      [{ ArnLike: { "aws:PrincipalArn": "arn:aws:iam::*:user/a*" } }, true],
      [{ StringEquals: { "aws:RequestedRegion": REGION } }, true],
      [{ StringEquals: { "aws:ResourceTag/stage": "test" } }, true],
      [{ StringEquals: { "aws:ResourceTag/Team": "${aws:PrincipalTag/team}" } }, true],
      [{ StringEquals: { "aws:RequestTag/Stage": "prod" } }, true],
      [{ "ForAllValues:StringEquals": { "aws:TagKeys": ["Stage"] } }, true],
      [{ Null: { "aws:TokenIssueTime": "true", "aws:MultiFactorAuthPresent": "true" } }, true],
    ];
    for (const [Condition, expected] of conditions) {
      const inline = { p: allowing("lambda:*", "*", { Condition }) };
      await directory.write(() => ({ changes: [directory.users.replacing({ ...user, inline })], result: 0 }));
      const ann = asUser(account, user);
      const request = context(ann, { "user-agent": "aws-cli/2" });
      const input = { ...invoke, Tags: { Stage: "prod" } };
      assert.equal(may(account, ann, "lambda.Invoke", input, request), expected, JSON.stringify(Condition));
    }
  });

  it("asks resources for their policies: of this account's they are enough, of another's they are needed", async () => {
    using account = await openAccount();
    const ann = asUser(account, await addUser(account, "ann"));
    const bob = asUser(account, await addUser(account, "bob", { inline: { p: allowing("lambda:*") } }));
    const policy = JSON.stringify({
      Version: "2012-10-17",
      Statement: [
        { Effect: "Allow", Principal: { AWS: ann.arn }, Action: "lambda:InvokeFunction", Resource: FUNCTION },
        {
          Effect: "Allow",
          Principal: { Service: "sns.amazonaws.com" },
          Action: "lambda:InvokeFunction",
          Resource: FUNCTION,
          Condition: {
            ArnLike: { "aws:SourceArn": "arn:aws:sns:*:*:t" },
            StringEquals: { "aws:SourceAccount": ACCOUNT_ID },
          },
        },
      ],
    });
    account.access.register({
      service: "lambda",
      policies: { policyOf: (arn) => (arn === FUNCTION ? policy : undefined) },
    });
    assert.ok(may(account, ann, "lambda.Invoke", invoke));
    assert.ok(!may(account, ann, "lambda.GetFunction", invoke));
    assert.match(
      refusal(account, bob, "lambda.Invoke", { FunctionName: OTHER })?.message ?? "",
      /no resource-based policy/,
    );
    const asked = { action: "lambda:InvokeFunction", resource: FUNCTION };
    const source = { sourceArn: `arn:aws:sns:${REGION}:${ACCOUNT_ID}:t`, sourceAccount: ACCOUNT_ID };
    assert.equal(account.access.serviceMay("sns.amazonaws.com", asked, source).allowed, true);
    assert.equal(
      account.access.serviceMay("sns.amazonaws.com", asked, { ...source, sourceArn: "arn:x" }).allowed,
      false,
    );
    assert.equal(account.access.serviceMay("s3.amazonaws.com", asked, source).allowed, false);
  });

  it("lets who a trust policy names assume a role, and tells others nothing", async () => {
    using account = await openAccount();
    const { directory, access } = account;
    const ann = asUser(account, await addUser(account, "ann"));
    const admin = asUser(account, await addUser(account, "admin", { inline: { p: allowing("*") } }));
    const trusting = (principal: object, extra: object = {}) =>
      JSON.stringify({
        Version: "2012-10-17",
        Statement: [{ Effect: "Allow", Principal: principal, Action: ["sts:AssumeRole"], ...extra }],
      });
    const role = await addRole(account, "r", { trust: trusting({ AWS: ann.arn }) });
    const RoleArn = directory.roleArn(role);
    const assume = { RoleArn, RoleSessionName: "s" };
    assert.ok(may(account, ann, "sts.AssumeRole", assume));
    assert.equal(
      refusal(account, admin, "sts.AssumeRole", assume)?.message,
      `User: ${admin.arn} is not authorized to perform: sts:AssumeRole on resource: ${RoleArn}`,
    );
    assert.ok(!may(account, admin, "sts.AssumeRole", { ...assume, RoleArn: `${RoleArn}x` }));
    assert.ok(!may(account, ann, "sts.AssumeRole", { ...assume, Tags: [{ Key: "a", Value: "b" }] }));
    const external = { Condition: { StringEquals: { "sts:ExternalId": "secret" } } };
    const trust = trusting({ AWS: ACCOUNT_ID }, external);
    await directory.write(() => ({ changes: [directory.roles.replacing({ ...role, trust })], result: 0 }));
    assert.ok(!may(account, admin, "sts.AssumeRole", assume));
    assert.ok(may(account, admin, "sts.AssumeRole", { ...assume, ExternalId: "secret" }));
    assert.ok(!may(account, ann, "sts.AssumeRole", { ...assume, ExternalId: "secret" }));
    const byLambda = await addRole(account, "f");
    assert.equal(access.serviceMayAssume("lambda.amazonaws.com", directory.roleArn(byLambda)), true);
    assert.equal(access.serviceMayAssume("lambda.amazonaws.com", RoleArn), false);
    assert.equal(access.serviceMayAssume("lambda.amazonaws.com", `${RoleArn}x`), false);
  });

  it("tells what a role may do without a request", async () => {
    using account = await openAccount();
    const role = await addRole(account, "f", {
      inline: { p: allowing("logs:*", "arn:aws:logs:*:*:log-group:a:*") },
    });
    const arn = account.directory.roleArn(role);
    const write = (group: string) => ({
      action: "logs:PutLogEvents",
      resource: `arn:aws:logs:${REGION}:${ACCOUNT_ID}:log-group:${group}:log-stream:s`,
    });
    assert.equal(account.access.roleMay(arn, write("a")), true);
    assert.equal(account.access.roleMay(arn, write("b")), false);
    assert.equal(account.access.roleMay(`${arn}x`, write("a")), false);
  });

  it("notes when a long-term key was used", async () => {
    const clock = new ManualClock();
    using account = await openAccount(clock);
    const root = { ...rootPrincipal(ACCOUNT_ID), accessKeyId: "AKIAROOT" };
    assert.ok(may(account, root, "lambda.ListFunctions"));
    const use = { atMs: clock.nowMs(), service: "lambda", region: REGION };
    assert.deepEqual(account.keyUsage.lastUse("AKIAROOT"), use);
    await account.keyUsage.close();
    using again = await openAccount(clock, account.store);
    assert.deepEqual(again.keyUsage.lastUse("AKIAROOT"), use);
  });
});
