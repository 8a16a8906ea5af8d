/**
 * Goal: resource-based policies of functions, versions and aliases as AWS renders, guards and removes them, and as
 * authorisation is told of them.
 * Method: the operations over a memory store.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { AddPermissionResponse, AliasConfiguration, GetPolicyResponse } from "@aws-sdk/client-lambda";
import { arnOf, awsError, openFixture, type Fixture } from "./fixture.ts";

const INVOKE = { StatementId: "one", Action: "lambda:InvokeFunction", Principal: "s3.amazonaws.com" };
const NO_POLICY = awsError("ResourceNotFoundException", "The resource you requested does not exist.", 404);

async function add({ call }: Fixture, input: Record<string, unknown>): Promise<Record<string, unknown>> {
  const { Statement: text = "" } = await call<AddPermissionResponse>("AddPermission", {
    FunctionName: "f",
    ...INVOKE,
    ...input,
  });
  return JSON.parse(text) as Record<string, unknown>;
}

const policyOf = ({ call }: Fixture, input: Record<string, unknown> = {}) =>
  call<GetPolicyResponse>("GetPolicy", { FunctionName: "f", ...input });

/** A function with version 1 and the alias `live` on it. */
async function withAlias(): Promise<Fixture> {
  const fixture = await openFixture();
  await fixture.create("f");
  await fixture.call("PublishVersion", { FunctionName: "f" });
  await fixture.settled("f", "1");
  await fixture.call("CreateAlias", { FunctionName: "f", Name: "live", FunctionVersion: "1" });
  return fixture;
}

const rendered: readonly { what: string; input: Record<string, unknown>; shown: Record<string, unknown> }[] =
  [
    { what: "a service", input: {}, shown: { Principal: { Service: "s3.amazonaws.com" } } },
    {
      what: "an account",
      input: { Principal: "123456789012" },
      shown: { Principal: { AWS: "arn:aws:iam::123456789012:root" } },
    },
    {
      what: "a role",
      input: { Principal: "arn:aws:iam::123456789012:role/r" },
      shown: { Principal: { AWS: "arn:aws:iam::123456789012:role/r" } },
    },
    { what: "everybody", input: { Principal: "*" }, shown: { Principal: "*" } },
    {
      what: "a source",
      input: { SourceArn: "arn:aws:s3:::bucket", SourceAccount: "123456789012" },
      shown: {
        Condition: {
          StringEquals: { "AWS:SourceAccount": "123456789012" },
          ArnLike: { "AWS:SourceArn": "arn:aws:s3:::bucket" },
        },
      },
    },
    {
      what: "a token",
      input: { Principal: "alexa-appkit.amazon.com", EventSourceToken: "skill" },
      shown: {
        Principal: { Service: "alexa-appkit.amazon.com" },
        Condition: { StringEquals: { "lambda:EventSourceToken": "skill" } },
      },
    },
    {
      what: "an organisation",
      input: { Principal: "*", PrincipalOrgID: "o-a1b2c3d4e5" },
      shown: { Principal: "*", Condition: { StringEquals: { "aws:PrincipalOrgID": "o-a1b2c3d4e5" } } },
    },
    {
      what: "a function URL",
      input: { Action: "lambda:InvokeFunctionUrl", Principal: "*", FunctionUrlAuthType: "NONE" },
      shown: {
        Action: "lambda:InvokeFunctionUrl",
        Principal: "*",
        Condition: { StringEquals: { "lambda:FunctionUrlAuthType": "NONE" } },
      },
    },
    {
      what: "invocation by a function URL",
      input: { Principal: "*", InvokedViaFunctionUrl: true },
      shown: { Principal: "*", Condition: { Bool: { "lambda:InvokedViaFunctionUrl": "true" } } },
    },
  ];

for (const { what, input, shown } of rendered) {
  test(`AddPermission for ${what}`, async () => {
    const fixture = await openFixture();
    await fixture.create("f");
    const statement = await add(fixture, input);
    assert.deepEqual(statement, {
      Sid: "one",
      Effect: "Allow",
      Action: "lambda:InvokeFunction",
      Resource: arnOf("f"),
      Principal: { Service: "s3.amazonaws.com" },
      ...shown,
    });
    const { Policy: text = "" } = await policyOf(fixture);
    assert.deepEqual(JSON.parse(text), { Version: "2012-10-17", Id: "default", Statement: [statement] });
    assert.equal(fixture.control.facts.policies?.policyOf(arnOf("f")), text);
  });
}

test("a function, its versions and its aliases have policies of their own", async () => {
  const fixture = await withAlias();
  await add(fixture, { Qualifier: "live", StatementId: "alias" });
  await add(fixture, { Qualifier: "1", StatementId: "version" });
  await assert.rejects(policyOf(fixture), NO_POLICY);
  const { policies } = fixture.control.facts;
  for (const [qualifier, sid] of [
    ["live", "alias"],
    ["1", "version"],
  ] as const) {
    const { Policy: text = "" } = await policyOf(fixture, { Qualifier: qualifier });
    const [statement] = (JSON.parse(text) as { Statement: { Sid: string; Resource: string }[] }).Statement;
    assert.deepEqual([statement?.Sid, statement?.Resource], [sid, `${arnOf("f")}:${qualifier}`]);
    assert.equal(policies?.policyOf(`${arnOf("f")}:${qualifier}`), text);
  }
  await fixture.call("DeleteAlias", { FunctionName: "f", Name: "live" });
  await fixture.call("DeleteFunction", { FunctionName: "f", Qualifier: "1" });
  assert.equal(policies?.policyOf(`${arnOf("f")}:live`), undefined);
  assert.equal(policies?.policyOf(`${arnOf("f")}:1`), undefined);
});

test("a changed policy is a changed revision, of what it belongs to and of nothing else", async () => {
  const fixture = await withAlias();
  const { call } = fixture;
  const revisions = async () => ({
    function: (await call("GetFunctionConfiguration", { FunctionName: "f" })).RevisionId,
    alias: (await call<AliasConfiguration>("GetAlias", { FunctionName: "f", Name: "live" })).RevisionId,
    version: (
      await call("GetFunctionConfiguration", {
        FunctionName: "f",
        Qualifier: "1",
      })
    ).RevisionId,
  });
  for (const [part, input] of [
    ["function", {}],
    ["alias", { Qualifier: "live" }],
    ["version", { Qualifier: "1" }],
  ] as const) {
    const before = await revisions();
    await assert.rejects(
      add(fixture, { ...input, RevisionId: "another" }),
      awsError(
        "PreconditionFailedException",
        /Call the GetPolicy API to retrieve the latest Revision Id$/,
        412,
      ),
    );
    await add(fixture, { ...input, RevisionId: before[part] });
    const after = await revisions();
    assert.notEqual(after[part], before[part]);
    assert.deepEqual({ ...after, [part]: "" }, { ...before, [part]: "" });
    assert.equal((await policyOf(fixture, input)).RevisionId, after[part]);
  }
});

test("what cannot be a permission is refused, and changes nothing", async () => {
  const fixture = await withAlias();
  await add(fixture, {});
  const before = await policyOf(fixture);
  for (const [input, code, message, status] of [
    [{}, "ResourceConflictException", /The statement id \(one\) provided already exists/, 409],
    [
      { Qualifier: "$LATEST" },
      "InvalidParameterValueException",
      "We currently do not support adding policies for $LATEST.",
      400,
    ],
    [
      { StatementId: "two", Principal: "nobody" },
      "InvalidParameterValueException",
      "The provided principal was invalid. Please check the principal and try again.",
      400,
    ],
    [
      { StatementId: "two", FunctionUrlAuthType: "NONE" },
      "InvalidParameterValueException",
      "FunctionUrlAuthType is only supported for lambda:InvokeFunctionUrl action",
      400,
    ],
    [
      { StatementId: "two", FunctionName: "absent" },
      "ResourceNotFoundException",
      `Function not found: ${arnOf("absent")}`,
      404,
    ],
    [
      { StatementId: "two", Qualifier: "7" },
      "ResourceNotFoundException",
      `Function not found: ${arnOf("f")}:7`,
      404,
    ],
  ] as const) {
    await assert.rejects(add(fixture, input), awsError(code, message, status));
  }
  assert.deepEqual(await policyOf(fixture), before);
});

test("statements are removed one by one; with the last one the policy goes", async () => {
  const fixture = await openFixture();
  const { call, create } = fixture;
  await create("f");
  await add(fixture, {});
  await add(fixture, { StatementId: "two" });
  const remove = (StatementId: string) => call("RemovePermission", { FunctionName: "f", StatementId });
  await assert.rejects(
    remove("three"),
    awsError("ResourceNotFoundException", "Statement three is not found in resource policy.", 404),
  );
  await remove("one");
  await remove("two");
  await assert.rejects(policyOf(fixture), NO_POLICY);
  await assert.rejects(
    remove("one"),
    awsError("ResourceNotFoundException", "No policy is associated with the given resource.", 404),
  );
});

test("permissions that are added at once are all there", async () => {
  const fixture = await openFixture();
  await fixture.create("f");
  const ids = Array.from({ length: 10 }, (_, number) => `s${number}`);
  await Promise.all(ids.map((StatementId) => add(fixture, { StatementId })));
  const { Policy: text = "" } = await policyOf(fixture);
  const { Statement: statements } = JSON.parse(text) as { Statement: { Sid: string }[] };
  assert.deepEqual(statements.map(({ Sid }) => Sid).toSorted(), ids);
});

test("a policy has a greatest length", async () => {
  const fixture = await openFixture();
  await fixture.create("f");
  let added = 0;
  await assert.rejects(
    async () => {
      for (; added < 200; added += 1) await add(fixture, { StatementId: `${"s".repeat(90)}${added}` });
    },
    awsError(
      "PolicyLengthExceededException",
      /^The final policy size \(20[4-9]\d\d\) is bigger than the limit \(20480\)\.$/,
      400,
    ),
  );
  assert.ok(added > 50, `${added} statements fit`);
});

test("a whole document replaces what was there, under its revision, and is deleted", async () => {
  const fixture = await withAlias();
  const { call } = fixture;
  await add(fixture, {});
  const document = {
    Version: "2012-10-17",
    Statement: {
      Sid: "own",
      Effect: "Allow",
      Principal: { AWS: "arn:aws:iam::123456789012:root" },
      Action: "lambda:InvokeFunction",
      Resource: arnOf("f"),
    },
  };
  const put = (ResourceArn: string, Policy: unknown, more = {}) =>
    call<GetPolicyResponse>("PutResourcePolicy", { ResourceArn, Policy: JSON.stringify(Policy), ...more });
  const answered = await put(arnOf("f"), document);
  assert.deepEqual(JSON.parse(answered.Policy ?? ""), { ...document, Statement: [document.Statement] });
  assert.deepEqual(await call("GetResourcePolicy", { ResourceArn: arnOf("f") }), answered);
  assert.deepEqual(await policyOf(fixture), answered);

  const stale = { RevisionId: "another" };
  await assert.rejects(put(arnOf("f"), document, stale), awsError("PreconditionFailedException", /./, 412));
  await assert.rejects(
    put(arnOf("f"), { Version: "2012-10-17", Statement: [{ Effect: "Perhaps" }] }),
    awsError("InvalidParameterValueException", /./, 400),
  );
  // Statements can be added to it and taken from it.
  await add(fixture, {});
  await call("RemovePermission", { FunctionName: "f", StatementId: "own" });

  const alias = `${arnOf("f")}:live`;
  await assert.rejects(call("GetResourcePolicy", { ResourceArn: alias }), NO_POLICY);
  await put(alias, document);
  await call("DeleteResourcePolicy", { ResourceArn: alias });
  await assert.rejects(call("DeleteResourcePolicy", { ResourceArn: alias }), NO_POLICY);
  assert.notEqual(fixture.control.facts.policies?.policyOf(arnOf("f")), undefined);
});

test("authorisation is told of layer versions' policies and of functions' tags", async () => {
  const { call, create, control } = await openFixture();
  await create("f", { Tags: { team: "blue" } });
  assert.deepEqual(control.facts.tags?.tagsOf(`${arnOf("f")}:1`), { team: "blue" });
  assert.equal(control.facts.tags?.tagsOf(arnOf("g")), undefined);
  const version = { LayerName: "tools", VersionNumber: 1 };
  await call("PublishLayerVersion", { ...version, Content: { ZipFile: Buffer.from("zip") } });
  const arn = "arn:aws:lambda:us-east-1:000000000000:layer:tools:1";
  assert.equal(control.facts.policies?.policyOf(arn), undefined);
  await call("AddLayerVersionPermission", {
    ...version,
    StatementId: "s",
    Action: "lambda:GetLayerVersion",
    Principal: "*",
  });
  const { Policy: text } = await call<GetPolicyResponse>("GetLayerVersionPolicy", version);
  assert.equal(control.facts.policies?.policyOf(arn), text);
  await call("DeleteLayerVersion", version);
  assert.equal(control.facts.policies?.policyOf(arn), undefined);
});
