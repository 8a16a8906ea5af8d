/**
 * Goal: URLs of functions and aliases are made, shown, changed, listed and deleted as on AWS, and found by their ids.
 * Method: the operations over a memory store, the second one opened on the first one's state.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { FunctionUrlConfig, ListFunctionUrlConfigsResponse } from "@aws-sdk/client-lambda";
import { urlIdOf } from "../urls/function-url.ts";
import { arnOf, awsError, openFixture, type Fixture } from "./fixture.ts";

const NO_FUNCTION = awsError("ResourceNotFoundException", "Function does not exist", 404);
const NO_URL = awsError("ResourceNotFoundException", "The resource you requested does not exist.", 404);

const create = ({ call }: Fixture, input: Record<string, unknown> = {}) =>
  call<FunctionUrlConfig>("CreateFunctionUrlConfig", { FunctionName: "f", AuthType: "NONE", ...input });
const get = ({ call }: Fixture, input: Record<string, unknown> = {}) =>
  call<FunctionUrlConfig>("GetFunctionUrlConfig", { FunctionName: "f", ...input });
const update = ({ call }: Fixture, input: Record<string, unknown> = {}) =>
  call<FunctionUrlConfig>("UpdateFunctionUrlConfig", { FunctionName: "f", ...input });
const idOf = ({ FunctionUrl = "" }: FunctionUrlConfig) => urlIdOf(new URL(FunctionUrl).host) ?? "";

/** A function with version 1 and the alias `live` on it. */
async function withAlias(): Promise<Fixture> {
  const fixture = await openFixture();
  await fixture.create("f");
  await fixture.call("PublishVersion", { FunctionName: "f" });
  await fixture.settled("f", "1");
  await fixture.call("CreateAlias", { FunctionName: "f", Name: "live", FunctionVersion: "1" });
  return fixture;
}

test("a URL is made with AWS's defaults, shown, and found by its id", async () => {
  const fixture = await withAlias();
  const made = await create(fixture);
  assert.match(made.FunctionUrl ?? "", /^http:\/\/[a-z0-9]{32}\.lambda-url\.us-east-1\.localhost:4566\/$/);
  const { FunctionUrl: _, ...rest } = made;
  assert.deepEqual(rest, {
    FunctionArn: arnOf("f"),
    AuthType: "NONE",
    InvokeMode: "BUFFERED",
    Cors: undefined,
    CreationTime: "2026-11-23T18:00:00.000+0000",
    LastModifiedTime: "2026-11-23T18:00:00.000+0000",
  });
  assert.deepEqual(await get(fixture), made);
  assert.deepEqual(fixture.control.urls.find(idOf(made)), {
    id: idOf(made),
    functionName: "f",
    qualifier: undefined,
    functionArn: arnOf("f"),
    authType: "NONE",
    invokeMode: "BUFFERED",
    cors: undefined,
  });
  assert.equal(fixture.control.urls.find("other"), undefined);
});

test("function and alias have URLs of their own, one each; versions have none", async () => {
  const fixture = await withAlias();
  const own = await create(fixture);
  const alias = await create(fixture, { Qualifier: "live" });
  assert.equal(alias.FunctionArn, `${arnOf("f")}:live`);
  assert.notEqual(own.FunctionUrl, alias.FunctionUrl);
  assert.equal(fixture.control.urls.find(idOf(alias))?.qualifier, "live");
  await assert.rejects(
    create(fixture, { FunctionName: "f:live" }),
    awsError(
      "ResourceConflictException",
      `Failed to create function url config for [functionArn = ${arnOf("f")}:live]. Error message:  FunctionUrlConfig exists for this Lambda function`,
      409,
    ),
  );
  await assert.rejects(
    create(fixture, { Qualifier: "1" }),
    awsError("ValidationException", /^1 validation error detected: Value '1' at 'qualifier'/, 400),
  );
});

test("what is not there is said in AWS's words", async () => {
  const fixture = await withAlias();
  await assert.rejects(create(fixture, { FunctionName: "g" }), NO_FUNCTION);
  await assert.rejects(create(fixture, { Qualifier: "dead" }), NO_FUNCTION);
  await assert.rejects(update(fixture, { FunctionName: "g" }), NO_FUNCTION);
  await assert.rejects(fixture.call("ListFunctionUrlConfigs", { FunctionName: "g" }), NO_FUNCTION);
  await assert.rejects(get(fixture), NO_URL);
  await assert.rejects(get(fixture, { FunctionName: "g" }), NO_URL);
  await assert.rejects(update(fixture), NO_URL);
  for (const FunctionName of ["f", "g"])
    await assert.rejects(fixture.call("DeleteFunctionUrlConfig", { FunctionName }), NO_URL);
});

test("an update changes what it names; CORS rules are replaced as a whole", async () => {
  const fixture = await withAlias();
  const Cors = { AllowOrigins: ["*"], AllowMethods: ["GET", "PUT"], MaxAge: 10, AllowCredentials: false };
  const made = await create(fixture, { Cors, InvokeMode: "RESPONSE_STREAM" });
  assert.deepEqual(JSON.parse(JSON.stringify(made.Cors)), Cors);
  fixture.clock.advance(1000);
  const changed = await update(fixture, { AuthType: "AWS_IAM" });
  assert.deepEqual(changed, {
    ...made,
    AuthType: "AWS_IAM",
    LastModifiedTime: "2026-11-23T18:00:01.000+0000",
  });
  const replaced = await update(fixture, { Cors: { ExposeHeaders: ["X-A"] }, InvokeMode: "BUFFERED" });
  assert.deepEqual(JSON.parse(JSON.stringify(replaced.Cors)), { ExposeHeaders: ["X-A"] });
  assert.deepEqual(fixture.control.urls.find(idOf(made))?.cors, { exposeHeaders: ["X-A"] });
  assert.equal((await update(fixture, { Cors: {} })).Cors, undefined);
  await assert.rejects(
    update(fixture, { Cors: { AllowMethods: ["OPTION"] } }),
    awsError("InvalidParameterValueException", /^Invalid CORS method OPTION/, 400),
  );
});

test("lists come in pages", async () => {
  const fixture = await withAlias();
  await create(fixture);
  await create(fixture, { Qualifier: "live" });
  const list = (input: object = {}) =>
    fixture.call<ListFunctionUrlConfigsResponse>("ListFunctionUrlConfigs", { FunctionName: "f", ...input });
  const all = await list();
  assert.deepEqual(
    all.FunctionUrlConfigs?.map(({ FunctionArn }) => FunctionArn),
    [arnOf("f"), `${arnOf("f")}:live`],
  );
  assert.equal(all.NextMarker, undefined);
  const first = await list({ MaxItems: 1 });
  const second = await list({ MaxItems: 1, Marker: first.NextMarker });
  assert.deepEqual(
    [...(first.FunctionUrlConfigs ?? []), ...(second.FunctionUrlConfigs ?? [])],
    all.FunctionUrlConfigs,
  );
});

test("a deleted URL is gone, with its alias or its function too; a new one has another id", async () => {
  const fixture = await withAlias();
  const { urls } = fixture.control;
  const first = await create(fixture);
  await fixture.call("DeleteFunctionUrlConfig", { FunctionName: "f" });
  assert.equal(urls.find(idOf(first)), undefined);
  const second = await create(fixture);
  assert.notEqual(idOf(second), idOf(first));
  const alias = await create(fixture, { Qualifier: "live" });
  await fixture.call("DeleteAlias", { FunctionName: "f", Name: "live" });
  assert.equal(urls.find(idOf(alias)), undefined);
  assert.notEqual(urls.find(idOf(second)), undefined);
  await fixture.call("DeleteFunction", { FunctionName: "f" });
  assert.equal(urls.find(idOf(second)), undefined);
});

test("URLs survive a restart", async () => {
  const fixture = await withAlias();
  const made = await create(fixture, { Qualifier: "live" });
  const { store, blobs, clock } = fixture;
  await fixture.control.close();
  const again = await openFixture({ store, blobs, clock });
  assert.equal(again.control.urls.find(idOf(made))?.functionArn, `${arnOf("f")}:live`);
  assert.deepEqual(await get(again, { Qualifier: "live" }), made);
  await again.control.close();
});
