// Goal: IAM's operations answer as AWS's do, each documented error included, and what they say holds afterwards.
// Method: the real SDK client against a server with the real wire and access control.
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import * as sdk from "@aws-sdk/client-iam";
import {
  ACCOUNT_ID,
  addRole,
  addUser,
  allowing,
  denying,
  openAccount,
  startAccountServer,
  type AccountServer,
} from "../../iam/fixture.ts";
import { systemClock } from "../../kernel/clock.ts";
import { trustPolicy } from "../../iam/first-start.ts";
import { createIam } from "./iam.ts";

const IAM = `arn:aws:iam::${ACCOUNT_ID}`;
const BASIC = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole";
const TRUST = trustPolicy("lambda.amazonaws.com");
const POLICY = allowing("s3:GetObject");

describe("Identity and Access Management", () => {
  let server: AccountServer;
  let client: sdk.IAMClient;
  before(async () => {
    server = await startAccountServer((account) => [createIam(account)]);
    client = new sdk.IAMClient(server.client());
  });
  after(() => server[Symbol.asyncDispose]());

  const refused = (call: Promise<unknown>, name: string, message: string | RegExp) =>
    assert.rejects(call, { name, message });

  it("keeps users: create, get, list, rename, delete", async () => {
    const { User } = await client.send(
      new sdk.CreateUserCommand({ UserName: "Ann", Path: "/team/", Tags: [{ Key: "a", Value: "b" }] }),
    );
    assert.equal(User?.Arn, `${IAM}:user/team/Ann`);
    assert.match(User.UserId ?? "", /^AIDA[A-Z2-7]{16}$/);
    assert.equal(User.CreateDate?.getUTCMilliseconds(), 0, "told to the second");
    await refused(
      client.send(new sdk.CreateUserCommand({ UserName: "ann" })),
      "EntityAlreadyExistsException",
      "User with name ann already exists.",
    );
    assert.deepEqual((await client.send(new sdk.GetUserCommand({ UserName: "Ann" }))).User, User);
    await refused(
      client.send(new sdk.GetUserCommand({ UserName: "bob" })),
      "NoSuchEntityException",
      "The user with name bob cannot be found.",
    );
    await client.send(new sdk.UpdateUserCommand({ UserName: "Ann", NewUserName: "Anna", NewPath: "/" }));
    const { Users } = await client.send(new sdk.ListUsersCommand({ PathPrefix: "/" }));
    assert.deepEqual(
      Users?.map(({ Arn }) => Arn),
      [`${IAM}:user/Anna`],
    );
    await client.send(new sdk.DeleteUserCommand({ UserName: "Anna" }));
    await refused(
      client.send(new sdk.DeleteUserCommand({ UserName: "Anna" })),
      "NoSuchEntityException",
      /Anna/,
    );
    assert.equal((await client.send(new sdk.GetUserCommand())).User?.Arn, `${IAM}:root`);
  });

  it("checks what the model says", () =>
    assert.rejects(client.send(new sdk.CreateUserCommand({ UserName: "no spaces" })), {
      name: "ValidationError",
    }));

  it("gives users two access keys, which work, and tells when they were used", async () => {
    const user = await addUser(server, "keys", { inline: { p: allowing("iam:*") } });
    const UserName = user.userName;
    const { AccessKey } = await client.send(new sdk.CreateAccessKeyCommand({ UserName }));
    const mine = new sdk.IAMClient(
      server.client({
        accessKeyId: AccessKey?.AccessKeyId ?? "",
        secretAccessKey: AccessKey?.SecretAccessKey ?? "",
      }),
    );
    const AccessKeyId = AccessKey?.AccessKeyId ?? "";
    const before = await client.send(new sdk.GetAccessKeyLastUsedCommand({ AccessKeyId }));
    assert.equal(before.AccessKeyLastUsed?.ServiceName, "N/A");
    assert.equal((await mine.send(new sdk.GetUserCommand())).User?.UserName, UserName);
    const used = await client.send(new sdk.GetAccessKeyLastUsedCommand({ AccessKeyId }));
    assert.deepEqual([used.UserName, used.AccessKeyLastUsed?.ServiceName], [UserName, "iam"]);
    await mine.send(new sdk.CreateAccessKeyCommand());
    await refused(
      client.send(new sdk.CreateAccessKeyCommand({ UserName })),
      "LimitExceededException",
      "Cannot exceed quota for AccessKeysPerUser: 2",
    );
    await refused(
      client.send(new sdk.DeleteUserCommand({ UserName })),
      "DeleteConflictException",
      "Cannot delete entity, must delete access keys first.",
    );
    await client.send(new sdk.UpdateAccessKeyCommand({ UserName, AccessKeyId, Status: "Inactive" }));
    await refused(mine.send(new sdk.GetUserCommand()), "InvalidClientTokenId", /security token/);
    const { AccessKeyMetadata = [] } = await client.send(new sdk.ListAccessKeysCommand({ UserName }));
    assert.equal(AccessKeyMetadata.find((key) => key.AccessKeyId === AccessKeyId)?.Status, "Inactive");
    for (const key of AccessKeyMetadata)
      await client.send(new sdk.DeleteAccessKeyCommand({ UserName, AccessKeyId: key.AccessKeyId ?? "" }));
    await refused(
      client.send(new sdk.DeleteAccessKeyCommand({ UserName, AccessKeyId })),
      "NoSuchEntityException",
      /cannot be found/,
    );
    const last = { AccessKeyId: server.accessKeyId };
    await refused(
      client.send(new sdk.DeleteAccessKeyCommand(last)),
      "DeleteConflictException",
      /last active access key/,
    );
  });

  it("takes a renamed user's keys along", async () => {
    const user = await addUser(server, "before", { inline: { p: allowing("iam:GetUser") } });
    const mine = new sdk.IAMClient(await server.clientOf(user));
    await client.send(new sdk.UpdateUserCommand({ UserName: "before", NewUserName: "after" }));
    assert.equal((await mine.send(new sdk.GetUserCommand())).User?.UserName, "after");
  });

  it("keeps groups and their members, and gives members their policies", async () => {
    const GroupName = "readers";
    const user = await addUser(server, "member");
    const mine = new sdk.IAMClient(await server.clientOf(user));
    await client.send(new sdk.CreateGroupCommand({ GroupName }));
    await refused(
      client.send(new sdk.CreateGroupCommand({ GroupName })),
      "EntityAlreadyExistsException",
      "Group with name readers already exists.",
    );
    const PolicyArn = "arn:aws:iam::aws:policy/IAMReadOnlyAccess";
    await client.send(new sdk.AttachGroupPolicyCommand({ GroupName, PolicyArn }));
    await assert.rejects(mine.send(new sdk.ListUsersCommand()), { name: "AccessDenied" });
    await client.send(new sdk.AddUserToGroupCommand({ GroupName, UserName: "member" }));
    await mine.send(new sdk.ListUsersCommand());
    assert.deepEqual(
      (await client.send(new sdk.GetGroupCommand({ GroupName }))).Users?.map(({ UserName }) => UserName),
      ["member"],
    );
    assert.equal(
      (await client.send(new sdk.ListGroupsForUserCommand({ UserName: "member" }))).Groups?.length,
      1,
    );
    await refused(
      client.send(new sdk.DeleteGroupCommand({ GroupName })),
      "DeleteConflictException",
      "Cannot delete entity, must remove users from group first.",
    );
    await client.send(new sdk.UpdateGroupCommand({ GroupName, NewGroupName: "watchers" }));
    await mine.send(new sdk.ListUsersCommand());
    await client.send(new sdk.RemoveUserFromGroupCommand({ GroupName: "watchers", UserName: "member" }));
    await refused(
      client.send(new sdk.DeleteGroupCommand({ GroupName: "watchers" })),
      "DeleteConflictException",
      "Cannot delete entity, must detach all policies first.",
    );
    await client.send(new sdk.DetachGroupPolicyCommand({ GroupName: "watchers", PolicyArn }));
    await client.send(new sdk.DeleteGroupCommand({ GroupName: "watchers" }));
  });

  it("keeps roles and their trust", async () => {
    const RoleName = "worker";
    const create = { RoleName, AssumeRolePolicyDocument: TRUST, Description: "d" };
    const { Role } = await client.send(new sdk.CreateRoleCommand(create));
    assert.equal(Role?.Arn, `${IAM}:role/worker`);
    assert.equal(decodeURIComponent(Role.AssumeRolePolicyDocument ?? ""), TRUST);
    assert.equal(Role.MaxSessionDuration, 3600);
    await refused(
      client.send(new sdk.CreateRoleCommand(create)),
      "EntityAlreadyExistsException",
      "Role with name worker already exists.",
    );
    const malformed = (document: string) =>
      client.send(new sdk.CreateRoleCommand({ RoleName: "x", AssumeRolePolicyDocument: document }));
    await refused(malformed("{"), "MalformedPolicyDocumentException", "This policy contains invalid Json");
    await refused(malformed(POLICY), "MalformedPolicyDocumentException", /./);
    const nobody = TRUST.replace('{"Service":"lambda.amazonaws.com"}', `{"AWS":"${IAM}:user/nobody"}`);
    await refused(
      malformed(nobody),
      "MalformedPolicyDocumentException",
      `Invalid principal in policy: "AWS":"${IAM}:user/nobody"`,
    );
    await client.send(new sdk.UpdateRoleCommand({ RoleName, MaxSessionDuration: 7200, Description: "e" }));
    const trust = trustPolicy("events.amazonaws.com");
    await client.send(new sdk.UpdateAssumeRolePolicyCommand({ RoleName, PolicyDocument: trust }));
    const changed = (await client.send(new sdk.GetRoleCommand({ RoleName }))).Role;
    assert.deepEqual([changed?.MaxSessionDuration, changed?.Description], [7200, "e"]);
    assert.equal(decodeURIComponent(changed?.AssumeRolePolicyDocument ?? ""), trust);
    assert.equal(
      (await client.send(new sdk.ListRolesCommand())).Roles?.some((role) => role.RoleName === RoleName),
      true,
    );
    await client.send(new sdk.AttachRolePolicyCommand({ RoleName, PolicyArn: BASIC }));
    await refused(
      client.send(new sdk.DeleteRoleCommand({ RoleName })),
      "DeleteConflictException",
      "Cannot delete entity, must detach all policies first.",
    );
    await client.send(new sdk.DetachRolePolicyCommand({ RoleName, PolicyArn: BASIC }));
    await refused(
      client.send(new sdk.DetachRolePolicyCommand({ RoleName, PolicyArn: BASIC })),
      "NoSuchEntityException",
      `Policy ${BASIC} was not found.`,
    );
    await client.send(new sdk.DeleteRoleCommand({ RoleName }));
    await refused(
      client.send(new sdk.GetRoleCommand({ RoleName })),
      "NoSuchEntityException",
      "The role with name worker cannot be found.",
    );
    await sdk.waitUntilUserExists(
      { client, maxWaitTime: 5 },
      { UserName: (await addUser(server, "waited")).userName },
    );
  });

  it("keeps inline policies", async () => {
    const user = await addUser(server, "inline");
    const name = { UserName: "inline", PolicyName: "p" };
    await client.send(new sdk.PutUserPolicyCommand({ ...name, PolicyDocument: POLICY }));
    assert.deepEqual((await client.send(new sdk.ListUserPoliciesCommand(name))).PolicyNames, ["p"]);
    const { PolicyDocument } = await client.send(new sdk.GetUserPolicyCommand(name));
    assert.equal(decodeURIComponent(PolicyDocument ?? ""), POLICY);
    await refused(
      client.send(new sdk.DeleteUserCommand(name)),
      "DeleteConflictException",
      "Cannot delete entity, must delete policies first.",
    );
    const put = (document: string) =>
      client.send(new sdk.PutUserPolicyCommand({ ...name, PolicyDocument: document }));
    await refused(put("{}"), "MalformedPolicyDocumentException", "Syntax errors in policy.");
    await refused(
      put(allowing("s3:Get*", `arn:aws:s3:::${"x".repeat(2048)}`)),
      "LimitExceededException",
      `Maximum policy size of 2048 bytes exceeded for user ${user.userName}`,
    );
    await client.send(new sdk.DeleteUserPolicyCommand(name));
    await refused(
      client.send(new sdk.GetUserPolicyCommand(name)),
      "NoSuchEntityException",
      "The user policy with name p cannot be found.",
    );
    await refused(
      client.send(new sdk.DeleteUserPolicyCommand(name)),
      "NoSuchEntityException",
      "The user policy with name p cannot be found.",
    );
  });

  it("keeps managed policies and their versions", async () => {
    const { Policy } = await client.send(
      new sdk.CreatePolicyCommand({ PolicyName: "mine", PolicyDocument: POLICY, Path: "/p/" }),
    );
    const PolicyArn = Policy?.Arn ?? "";
    assert.equal(PolicyArn, `${IAM}:policy/p/mine`);
    await refused(
      client.send(new sdk.CreatePolicyCommand({ PolicyName: "Mine", PolicyDocument: POLICY })),
      "EntityAlreadyExistsException",
      "A policy called Mine already exists. Duplicate names are not allowed.",
    );
    await addUser(server, "holder");
    await client.send(new sdk.AttachUserPolicyCommand({ UserName: "holder", PolicyArn }));
    assert.equal((await client.send(new sdk.GetPolicyCommand({ PolicyArn }))).Policy?.AttachmentCount, 1);
    const { PolicyUsers } = await client.send(new sdk.ListEntitiesForPolicyCommand({ PolicyArn }));
    assert.deepEqual(
      PolicyUsers?.map(({ UserName }) => UserName),
      ["holder"],
    );
    const version = { PolicyArn, PolicyDocument: denying("s3:GetObject") };
    for (let count = 2; count <= 5; count += 1) {
      const { PolicyVersion } = await client.send(
        new sdk.CreatePolicyVersionCommand({ ...version, SetAsDefault: count === 3 }),
      );
      assert.equal(PolicyVersion?.VersionId, `v${count}`);
    }
    await refused(
      client.send(new sdk.CreatePolicyVersionCommand(version)),
      "LimitExceededException",
      /up to 5 versions/,
    );
    await refused(
      client.send(new sdk.DeletePolicyVersionCommand({ PolicyArn, VersionId: "v3" })),
      "DeleteConflictException",
      "Cannot delete the default version of a policy.",
    );
    await client.send(new sdk.SetDefaultPolicyVersionCommand({ PolicyArn, VersionId: "v1" }));
    const { PolicyVersion } = await client.send(
      new sdk.GetPolicyVersionCommand({ PolicyArn, VersionId: "v1" }),
    );
    assert.deepEqual(
      [decodeURIComponent(PolicyVersion?.Document ?? ""), PolicyVersion?.IsDefaultVersion],
      [POLICY, true],
    );
    await refused(
      client.send(new sdk.DeletePolicyCommand({ PolicyArn })),
      "DeleteConflictException",
      "Cannot delete a policy attached to entities.",
    );
    await client.send(new sdk.DetachUserPolicyCommand({ UserName: "holder", PolicyArn }));
    await refused(
      client.send(new sdk.DeletePolicyCommand({ PolicyArn })),
      "DeleteConflictException",
      /more than one version/,
    );
    const { Versions = [] } = await client.send(new sdk.ListPolicyVersionsCommand({ PolicyArn }));
    assert.deepEqual(
      Versions.map(({ VersionId }) => VersionId),
      ["v5", "v4", "v3", "v2", "v1"],
    );
    for (const { VersionId, IsDefaultVersion } of Versions)
      if (!IsDefaultVersion)
        await client.send(new sdk.DeletePolicyVersionCommand({ PolicyArn, VersionId: VersionId ?? "" }));
    await client.send(new sdk.DeletePolicyCommand({ PolicyArn }));
    await refused(
      client.send(new sdk.GetPolicyCommand({ PolicyArn })),
      "NoSuchEntityException",
      `Policy ${PolicyArn} was not found.`,
    );
    await refused(
      client.send(new sdk.AttachUserPolicyCommand({ UserName: "holder", PolicyArn })),
      "NoSuchEntityException",
      `Policy ${PolicyArn} does not exist or is not attachable.`,
    );
    assert.ok((await client.send(new sdk.GetPolicyCommand({ PolicyArn: BASIC }))).Policy);
    await refused(
      client.send(new sdk.DeletePolicyCommand({ PolicyArn: BASIC })),
      "AccessDenied",
      "Policy is outside your own account.",
    );
  });

  it("answers lists in pages", async () => {
    const names: string[] = [];
    const input = { Scope: "AWS", MaxItems: 7 } as const;
    for await (const page of sdk.paginateListPolicies({ client }, input))
      names.push(...(page.Policies ?? []).map(({ Arn = "" }) => Arn));
    assert.ok(names.length > 30);
    assert.equal(new Set(names).size, names.length);
    await assert.rejects(client.send(new sdk.ListPoliciesCommand({ Marker: "!!" })), {
      name: "ValidationError",
    });
  });

  it("bounds users and roles", async () => {
    const PermissionsBoundary = "arn:aws:iam::aws:policy/AWSLambda_ReadOnlyAccess";
    const user = await addUser(server, "bounded", { inline: { p: allowing("iam:*") } });
    const mine = new sdk.IAMClient(await server.clientOf(user));
    await mine.send(new sdk.ListUsersCommand());
    await client.send(
      new sdk.PutUserPermissionsBoundaryCommand({ UserName: "bounded", PermissionsBoundary }),
    );
    await refused(
      mine.send(new sdk.ListUsersCommand()),
      "AccessDenied",
      /because no permissions boundary allows the iam:ListUsers action$/,
    );
    await client.send(new sdk.DeleteUserPermissionsBoundaryCommand({ UserName: "bounded" }));
    await mine.send(new sdk.ListUsersCommand());
    await refused(
      client.send(
        new sdk.PutUserPermissionsBoundaryCommand({ UserName: "bounded", PermissionsBoundary: `${BASIC}x` }),
      ),
      "NoSuchEntityException",
      /is not attachable/,
    );
  });

  it("tags users, roles and policies", async () => {
    await addRole(server, "tagged");
    const RoleName = "tagged";
    await client.send(
      new sdk.TagRoleCommand({
        RoleName,
        Tags: [
          { Key: "A", Value: "1" },
          { Key: "b", Value: "2" },
        ],
      }),
    );
    await client.send(new sdk.TagRoleCommand({ RoleName, Tags: [{ Key: "a", Value: "3" }] }));
    assert.deepEqual((await client.send(new sdk.ListRoleTagsCommand({ RoleName }))).Tags, [
      { Key: "a", Value: "3" },
      { Key: "b", Value: "2" },
    ]);
    await client.send(new sdk.UntagRoleCommand({ RoleName, TagKeys: ["b"] }));
    assert.deepEqual((await client.send(new sdk.GetRoleCommand({ RoleName }))).Role?.Tags, [
      { Key: "a", Value: "3" },
    ]);
    const twice = [
      { Key: "a", Value: "1" },
      { Key: "A", Value: "1" },
    ];
    await assert.rejects(client.send(new sdk.TagRoleCommand({ RoleName, Tags: twice })), {
      name: "ValidationError",
    });
  });

  it("keeps instance profiles, service-linked roles and identity providers", async () => {
    const InstanceProfileName = "profile";
    const RoleName = (await addRole(server, "ec2")).roleName;
    await client.send(new sdk.CreateInstanceProfileCommand({ InstanceProfileName }));
    await client.send(new sdk.AddRoleToInstanceProfileCommand({ InstanceProfileName, RoleName }));
    await refused(
      client.send(new sdk.AddRoleToInstanceProfileCommand({ InstanceProfileName, RoleName })),
      "LimitExceededException",
      "Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1",
    );
    await refused(
      client.send(new sdk.DeleteRoleCommand({ RoleName })),
      "DeleteConflictException",
      /instance profile/,
    );
    const { InstanceProfile } = await client.send(new sdk.GetInstanceProfileCommand({ InstanceProfileName }));
    assert.equal(InstanceProfile?.Roles?.[0]?.RoleName, RoleName);
    await client.send(new sdk.RemoveRoleFromInstanceProfileCommand({ InstanceProfileName, RoleName }));
    await client.send(new sdk.DeleteInstanceProfileCommand({ InstanceProfileName }));
    const AWSServiceName = "ops.apigateway.amazonaws.com";
    await assert.rejects(
      client.send(new sdk.CreateServiceLinkedRoleCommand({ AWSServiceName, CustomSuffix: "x".repeat(64) })),
      { name: "InvalidInputException" },
    );
    const { Role } = await client.send(new sdk.CreateServiceLinkedRoleCommand({ AWSServiceName }));
    assert.equal(Role?.Path, `/aws-service-role/${AWSServiceName}/`);
    const { DeletionTaskId } = await client.send(
      new sdk.DeleteServiceLinkedRoleCommand({ RoleName: Role.RoleName ?? "" }),
    );
    assert.ok(DeletionTaskId);
    const Url = "https://token.example.com/x";
    const { OpenIDConnectProviderArn } = await client.send(
      new sdk.CreateOpenIDConnectProviderCommand({ Url, ClientIDList: ["app"] }),
    );
    assert.equal(OpenIDConnectProviderArn, `${IAM}:oidc-provider/token.example.com/x`);
    await refused(
      client.send(new sdk.CreateOpenIDConnectProviderCommand({ Url })),
      "EntityAlreadyExistsException",
      /already exists/,
    );
    await client.send(
      new sdk.AddClientIDToOpenIDConnectProviderCommand({ OpenIDConnectProviderArn, ClientID: "b" }),
    );
    const provider = await client.send(new sdk.GetOpenIDConnectProviderCommand({ OpenIDConnectProviderArn }));
    assert.deepEqual([provider.Url, provider.ClientIDList], ["token.example.com/x", ["app", "b"]]);
    await client.send(new sdk.DeleteOpenIDConnectProviderCommand({ OpenIDConnectProviderArn }));
  });

  it("counts and shows the whole account", async () => {
    await addUser(server, "shown", { inline: { p: POLICY }, attached: [BASIC] });
    const { SummaryMap = {} } = await client.send(new sdk.GetAccountSummaryCommand());
    assert.ok((SummaryMap["Users"] ?? 0) > 0);
    assert.equal(SummaryMap["UsersQuota"], 5000);
    const details = await client.send(new sdk.GetAccountAuthorizationDetailsCommand({ Filter: ["User"] }));
    const shown = details.UserDetailList?.find(({ UserName }) => UserName === "shown");
    assert.deepEqual(shown?.AttachedManagedPolicies, [
      { PolicyName: "AWSLambdaBasicExecutionRole", PolicyArn: BASIC },
    ]);
    assert.equal(decodeURIComponent(shown.UserPolicyList?.[0]?.PolicyDocument ?? ""), POLICY);
    assert.equal(details.RoleDetailList?.length ?? 0, 0);
  });

  it("simulates", async () => {
    await addUser(server, "simulated", {
      inline: { p: allowing(["s3:*", "sqs:*"]), d: denying("s3:DeleteBucket") },
    });
    const PolicySourceArn = `${IAM}:user/simulated`;
    const ActionNames = ["s3:GetObject", "s3:DeleteBucket", "sns:Publish"];
    const { EvaluationResults = [] } = await client.send(
      new sdk.SimulatePrincipalPolicyCommand({ PolicySourceArn, ActionNames }),
    );
    assert.deepEqual(
      EvaluationResults.map(({ EvalDecision }) => EvalDecision),
      ["allowed", "explicitDeny", "implicitDeny"],
    );
    assert.equal(EvaluationResults[0]?.MatchedStatements?.[0]?.SourcePolicyType, "user");
    const conditional = allowing("s3:*", "*", { Condition: { Bool: { "aws:SecureTransport": "true" } } });
    const custom = (ContextEntries: sdk.ContextEntry[], policy = conditional) =>
      client.send(
        new sdk.SimulateCustomPolicyCommand({
          PolicyInputList: [policy],
          ActionNames: ["s3:GetObject"],
          ContextEntries,
        }),
      );
    const [without] = (await custom([])).EvaluationResults ?? [];
    assert.deepEqual(
      [without?.EvalDecision, without?.MissingContextValues],
      ["implicitDeny", ["aws:SecureTransport"]],
    );
    const [given] =
      (
        await custom([
          { ContextKeyName: "aws:SecureTransport", ContextKeyValues: ["true"], ContextKeyType: "boolean" },
        ])
      ).EvaluationResults ?? [];
    assert.equal(given?.EvalDecision, "allowed");
    await assert.rejects(custom([], "{"), {
      name: "InvalidInputException",
      message: "This policy contains invalid Json",
    });
  });

  it("remembers everything after a restart", async () => {
    await client.send(new sdk.CreateRoleCommand({ RoleName: "kept", AssumeRolePolicyDocument: TRUST }));
    await addUser(server, "gone");
    await client.send(new sdk.DeleteUserCommand({ UserName: "gone" }));
    using again = await openAccount(systemClock, server.store);
    assert.equal(again.directory.roles.get("kept")?.trust, TRUST);
    assert.equal(again.directory.users.get("gone"), undefined);
  });

  it("makes a name once, whoever asks at the same time", async () => {
    const made = await Promise.allSettled(
      Array.from({ length: 8 }, () => client.send(new sdk.CreateUserCommand({ UserName: "raced" }))),
    );
    assert.equal(made.filter(({ status }) => status === "fulfilled").length, 1);
  });
});
