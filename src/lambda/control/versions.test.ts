// Goal: versions, aliases and tags behave as on AWS, and the directory finds what they name. Method: the handlers and the
// directory called directly, with chance in the test's hands.
import assert from "node:assert/strict";
import { test } from "node:test";
import type {
  AliasConfiguration,
  ListAliasesResponse,
  ListFunctionsResponse,
  ListTagsResponse,
  ListVersionsByFunctionResponse,
} from "@aws-sdk/client-lambda";
import type { FunctionEvent } from "../invoke/directory.ts";
import { arnOf, awsError, createInput, openFixture, type Fixture } from "./fixture.ts";

/** A function with versions 1 (description one) and 2 (description two). */
async function withTwoVersions(fixture: Fixture): Promise<void> {
  const { call, create, settled } = fixture;
  await create("f", { Description: "one" });
  await call("PublishVersion", { FunctionName: "f" });
  await call("UpdateFunctionConfiguration", { FunctionName: "f", Description: "two", MemorySize: 256 });
  await settled("f");
  await call("PublishVersion", { FunctionName: "f" });
  await settled("f", "1");
  await settled("f", "2");
}

test("a published version keeps what $LATEST was", async () => {
  const fixture = await openFixture();
  await withTwoVersions(fixture);
  const one = await fixture.settled("f", "1");
  assert.equal(one.FunctionArn, `${arnOf("f")}:1`);
  assert.equal(one.Version, "1");
  assert.equal(one.State, "Active");
  assert.equal(one.MemorySize, 128);
  assert.equal(one.LastUpdateStatus, undefined);
  const { directory } = fixture.control;
  assert.equal(directory.resolve("f:1", undefined).memoryMb, 128);
  assert.equal(directory.resolve("f", "2").memoryMb, 256);
  assert.equal(directory.resolve(arnOf("f"), "$LATEST").version, "$LATEST");
});

test("publishing what has not changed answers the version that is there", async () => {
  const { call, create, settled } = await openFixture();
  await create("f");
  const first = await call("PublishVersion", { FunctionName: "f", Description: "mine" });
  assert.equal(first.Version, "1");
  assert.equal(first.Description, "mine");
  await settled("f", "1");
  assert.equal((await call("PublishVersion", { FunctionName: "f" })).Version, "1");
  const { CodeSha256 } = await settled("f");
  await assert.rejects(
    call("PublishVersion", { FunctionName: "f", CodeSha256: "other" }),
    awsError(
      "InvalidParameterValueException",
      `CodeSHA256 (other) is different from current CodeSHA256 in $LATEST (${CodeSha256}). Please try again with the CodeSHA256 in $LATEST.`,
    ),
  );
});

test("Publish publishes with the creation and with new code", async () => {
  const { call, settled } = await openFixture();
  const created = await call("CreateFunction", { ...createInput("f"), Publish: true });
  assert.equal(created.Version, "1");
  await settled("f");
  const updated = await call("UpdateFunctionCode", {
    FunctionName: "f",
    ZipFile: Buffer.from("new"),
    Publish: true,
  });
  assert.equal(updated.Version, "2");
  assert.equal(updated.FunctionArn, `${arnOf("f")}:2`);
  assert.equal((await settled("f", "2")).State, "Active");
  assert.equal((await settled("f")).CodeSha256, updated.CodeSha256);
});

test("a version number is never given twice, not even after the function was deleted", async () => {
  const fixture = await openFixture();
  const { call, create, settled } = fixture;
  await withTwoVersions(fixture);
  await call("DeleteFunction", { FunctionName: "f", Qualifier: "2" });
  await call("DeleteFunction", { FunctionName: "f", Qualifier: "99" });
  await call("UpdateFunctionConfiguration", { FunctionName: "f", Description: "three" });
  await settled("f");
  assert.equal((await call("PublishVersion", { FunctionName: "f" })).Version, "3");
  await call("DeleteFunction", { FunctionName: "f" });
  await create("f");
  assert.equal((await call("PublishVersion", { FunctionName: "f" })).Version, "4");
});

test("ListVersionsByFunction tells $LATEST first, then the versions in order, by pages", async () => {
  const fixture = await openFixture();
  await withTwoVersions(fixture);
  const list = (input: object) =>
    fixture.call<ListVersionsByFunctionResponse>("ListVersionsByFunction", { FunctionName: "f", ...input });
  const first = await list({ MaxItems: 2 });
  const second = await list({ Marker: first.NextMarker });
  const told = [...(first.Versions ?? []), ...(second.Versions ?? [])];
  assert.deepEqual(
    told.map(({ FunctionArn }) => FunctionArn),
    [`${arnOf("f")}:$LATEST`, `${arnOf("f")}:1`, `${arnOf("f")}:2`],
  );
  assert.equal(told[1]?.State, undefined);
  const all = await fixture.call<{ Functions: unknown[] }>("ListFunctions", { FunctionVersion: "ALL" });
  assert.equal(all.Functions.length, 3);
});

test("an alias points to a version and follows its update", async () => {
  const fixture = await openFixture();
  const { call, control } = fixture;
  await withTwoVersions(fixture);
  const alias = { FunctionName: "f", Name: "live" };
  const created = await call<AliasConfiguration>("CreateAlias", { ...alias, FunctionVersion: "1" });
  const { RevisionId, ...rest } = created;
  assert.deepEqual(rest, {
    AliasArn: `${arnOf("f")}:live`,
    Name: "live",
    FunctionVersion: "1",
    Description: "",
  });
  assert.deepEqual(await call("GetAlias", alias), created);
  assert.equal(control.directory.resolve("f:live", undefined).version, "1");
  const shown = await fixture.settled("f", "live");
  assert.equal(shown.FunctionArn, `${arnOf("f")}:live`);
  assert.equal(shown.Version, "1");
  await call("UpdateAlias", { ...alias, FunctionVersion: "2", RevisionId });
  assert.equal(control.directory.resolve("f", "live").version, "2");
  await assert.rejects(
    call("UpdateAlias", { ...alias, RevisionId }),
    awsError("PreconditionFailedException", /^The Revision Id provided does not match/, 412),
  );
  await assert.rejects(
    call("DeleteFunction", { FunctionName: "f", Qualifier: "2" }),
    awsError(
      "ResourceConflictException",
      "Unable to delete version because the following aliases reference it: [live]",
      409,
    ),
  );
  await call("DeleteAlias", alias);
  await call("DeleteAlias", alias);
  await assert.rejects(
    call("GetAlias", alias),
    awsError("ResourceNotFoundException", `Cannot find alias arn: ${arnOf("f")}:live`, 404),
  );
  assert.throws(
    () => control.directory.resolve("f:live", undefined),
    awsError("ResourceNotFoundException", `Function not found: ${arnOf("f")}:live`),
  );
});

test("a weighted alias divides invocations by its weights", async () => {
  let chance = 0;
  const fixture = await openFixture({ random: () => chance });
  const { call, control } = fixture;
  await withTwoVersions(fixture);
  const RoutingConfig = { AdditionalVersionWeights: { "2": 0.25 } };
  await call("CreateAlias", { FunctionName: "f", Name: "live", FunctionVersion: "1", RoutingConfig });
  chance = 0.2499;
  assert.equal(control.directory.resolve("f", "live").version, "2");
  chance = 0.25;
  assert.equal(control.directory.resolve("f", "live").version, "1");
  const updated = await call<AliasConfiguration>("UpdateAlias", {
    FunctionName: "f",
    Name: "live",
    RoutingConfig: { AdditionalVersionWeights: {} },
  });
  assert.equal(updated.RoutingConfig, undefined);
  chance = 0;
  assert.equal(control.directory.resolve("f", "live").version, "1");
});

test("aliases that make no sense are refused", async () => {
  const fixture = await openFixture();
  const { call } = fixture;
  await withTwoVersions(fixture);
  const create = (members: object) =>
    call("CreateAlias", { FunctionName: "f", Name: "a", FunctionVersion: "1", ...members });
  const weights = (AdditionalVersionWeights: object) => ({ RoutingConfig: { AdditionalVersionWeights } });
  await assert.rejects(
    create({ Name: "12" }),
    awsError("ValidationException", /at 'name' failed to satisfy constraint/),
  );
  await assert.rejects(
    create({ FunctionVersion: "9" }),
    awsError("ResourceNotFoundException", `Function not found: ${arnOf("f")}:9`),
  );
  await assert.rejects(
    create(weights({ "1": 0.5 })),
    awsError(
      "InvalidParameterValueException",
      "Invalid function version 1. Function version 1 is already included in routing configuration.",
    ),
  );
  await assert.rejects(
    create(weights({ "1": 0.1, "2": 0.2 })),
    awsError(
      "InvalidParameterValueException",
      "Number of items in AdditionalVersionWeights cannot be greater than 1",
    ),
  );
  await assert.rejects(
    create(weights({ "2": 1.5 })),
    awsError("ValidationException", /^1 validation error detected: Value '\{2=1\.5\}'/),
  );
  await assert.rejects(
    create({ FunctionVersion: "$LATEST", ...weights({ "2": 0.5 }) }),
    awsError(
      "InvalidParameterValueException",
      "$LATEST is not supported for an alias pointing to more than 1 version",
    ),
  );
  await create({});
  await assert.rejects(create({}), awsError("ResourceConflictException", /^Alias already exists: /, 409));
  await create({ Name: "b", FunctionVersion: "2" });
  const list = (input: object) => call<ListAliasesResponse>("ListAliases", { FunctionName: "f", ...input });
  assert.deepEqual(
    (await list({})).Aliases?.map(({ Name }) => Name),
    ["a", "b"],
  );
  assert.deepEqual(
    (await list({ FunctionVersion: "2" })).Aliases?.map(({ Name }) => Name),
    ["b"],
  );
  assert.ok((await list({ MaxItems: 1 })).NextMarker);
});

test("operations on whole functions refuse a qualifier", async () => {
  const { call, create } = await openFixture();
  await create("f");
  await assert.rejects(
    call("UpdateFunctionConfiguration", { FunctionName: "f:1" }),
    awsError("InvalidParameterValueException", /^This operation is permitted on Lambda functions only\./),
  );
});

test("tags are added, replaced, removed and limited", async () => {
  const { call, create } = await openFixture();
  await create("f", { Tags: { a: "1", b: "2" } });
  const Resource = arnOf("f");
  const tags = async () => (await call<ListTagsResponse>("ListTags", { Resource })).Tags;
  await Promise.all([
    call("TagResource", { Resource, Tags: { b: "3" } }),
    call("TagResource", { Resource, Tags: { c: "4" } }),
  ]);
  assert.deepEqual(await tags(), { a: "1", b: "3", c: "4" });
  await call("UntagResource", { Resource, TagKeys: ["a", "unknown"] });
  assert.deepEqual(await tags(), { b: "3", c: "4" });
  const many = Object.fromEntries(Array.from({ length: 49 }, (_, n) => [`t${n}`, ""]));
  await assert.rejects(
    call("TagResource", { Resource, Tags: many }),
    awsError("InvalidParameterValueException", "Number of tags exceeds resource tag limit."),
  );
  await assert.rejects(
    call("TagResource", { Resource, Tags: {} }),
    awsError("InvalidParameterValueException", "An error occurred and the request cannot be processed."),
  );
  await assert.rejects(
    call("UntagResource", { Resource, TagKeys: [] }),
    awsError("ValidationException", /'tagKeys' failed to satisfy constraint: Member must not be null$/),
  );
  await assert.rejects(
    call("ListTags", { Resource: `${Resource}:1` }),
    awsError(
      "InvalidParameterValueException",
      "Tags on function aliases and versions are not supported. Please specify a function ARN.",
    ),
  );
  await assert.rejects(
    call("ListTags", { Resource: "f" }),
    awsError("ValidationException", /^1 validation error detected: Value 'f' at 'resource'/),
  );
  await assert.rejects(
    call("ListTags", { Resource: arnOf("x") }),
    awsError("ResourceNotFoundException", `Function not found: ${arnOf("x")}`),
  );
});

test("the directory tells placement which builds to retire, and answers one object per build", async () => {
  const { call, create, settled, control } = await openFixture();
  const events: FunctionEvent[] = [];
  const unsubscribe = control.directory.subscribe((event) => events.push(event));
  await create("f");
  const first = control.directory.resolve("f", undefined);
  await call("TagResource", { Resource: arnOf("f"), Tags: { a: "b" } });
  assert.equal(control.directory.resolve(arnOf("f"), undefined), first);
  await call("UpdateFunctionConfiguration", { FunctionName: "f", MemorySize: 200 });
  await settled("f");
  const second = control.directory.resolve("f", "$LATEST");
  await call("DeleteFunction", { FunctionName: "f" });
  const of = { functionArn: arnOf("f"), version: "$LATEST" };
  assert.deepEqual(events, [
    { kind: "changed", ...of, revisionId: first.revisionId },
    { kind: "changed", ...of, revisionId: second.revisionId },
    { kind: "deleted", ...of, revisionId: second.revisionId },
  ]);
  unsubscribe();
  await create("g");
  assert.equal(events.length, 3);
  assert.throws(
    () => control.directory.resolve("g:1", "2"),
    awsError("InvalidParameterValueException", /^The derived qualifier from the function name/),
  );
  assert.throws(
    () => control.directory.resolve("f", undefined),
    awsError("ResourceNotFoundException", `Function not found: ${arnOf("f")}`, 404),
  );
});

test("names that JavaScript's objects know are ordinary names here", async () => {
  const { call, create, control } = await openFixture();
  await create("constructor");
  assert.throws(
    () => control.directory.resolve("__proto__", undefined),
    awsError("ResourceNotFoundException", /./),
  );
  assert.throws(
    () => control.directory.resolve("constructor:toString", undefined),
    awsError("ResourceNotFoundException", /./),
  );
  await call("CreateAlias", { FunctionName: "constructor", Name: "__proto__", FunctionVersion: "$LATEST" });
  assert.equal(control.directory.resolve("constructor", "__proto__").version, "$LATEST");
});

test("ListFunctions tells every version of every function once, whatever their names, by pages", async () => {
  const { call, create, settled } = await openFixture();
  const names = ["a", "a-b", "a1", "a_", "b"];
  for (const name of names) {
    await create(name);
    await call("PublishVersion", { FunctionName: name });
    await settled(name, "1");
  }
  const told: (string | undefined)[] = [];
  let Marker: string | undefined;
  do {
    const page = await call<ListFunctionsResponse>("ListFunctions", {
      FunctionVersion: "ALL",
      MaxItems: 1,
      Marker,
    });
    told.push(...(page.Functions ?? []).map(({ FunctionArn }) => FunctionArn));
    Marker = page.NextMarker;
  } while (Marker !== undefined && told.length <= 10);
  assert.deepEqual(
    told,
    names.flatMap((name) => [`${arnOf(name)}:$LATEST`, `${arnOf(name)}:1`]),
  );
});
