// Goal: create, read, update, delete and list answer as AWS does, successes and errors. Method: the handlers are called
// directly, over a memory store, with time and runtimes in the test's hands.
import assert from "node:assert/strict";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import type {
  FunctionConfiguration,
  GetAccountSettingsResponse,
  GetFunctionResponse,
  ListFunctionsResponse,
} from "@aws-sdk/client-lambda";
import { ManualClock } from "../../kernel/clock.ts";
import { MemoryStore } from "../../store/memory.ts";
import { RevisionConflict, StoreFailure, type Change, type ChangeEvent } from "../../store/store.ts";
import { arnOf, awsError, context, createInput, openFixture, ROLE } from "./fixture.ts";

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

test("a created function is Pending, then Active, with everything that AWS shows", async () => {
  const { call, settled, runtimes, control } = await openFixture();
  runtimes.hold();
  const created = await call("CreateFunction", createInput("hello"));
  const { RevisionId: firstRevision, RuntimeVersionConfig: runtimeVersion, ...rest } = created;
  assert.match(firstRevision ?? "", UUID);
  assert.match(runtimeVersion?.RuntimeVersionArn ?? "", /^arn:aws:lambda:us-east-1::runtime:[0-9a-f]{64}$/);
  assert.deepEqual(JSON.parse(JSON.stringify(rest)), {
    FunctionName: "hello",
    FunctionArn: arnOf("hello"),
    Runtime: "nodejs24.x",
    Role: ROLE,
    Handler: "index.handler",
    CodeSize: 12,
    Description: "",
    Timeout: 3,
    MemorySize: 128,
    LastModified: "2026-11-23T18:00:00.000+0000",
    CodeSha256: rest.CodeSha256,
    Version: "$LATEST",
    TracingConfig: { Mode: "PassThrough" },
    PackageType: "Zip",
    Architectures: ["x86_64"],
    EphemeralStorage: { Size: 512 },
    SnapStart: { ApplyOn: "None", OptimizationStatus: "Off" },
    LoggingConfig: { LogFormat: "Text", LogGroup: "/aws/lambda/hello" },
    State: "Pending",
    StateReason: "The function is being created.",
    StateReasonCode: "Creating",
  });
  assert.match(rest.CodeSha256 ?? "", /^[A-Za-z0-9+/]{43}=$/);
  runtimes.release();
  const active = await settled("hello");
  assert.equal(active.State, "Active");
  assert.equal(active.StateReason, undefined);
  assert.equal(active.LastUpdateStatus, "Successful");
  assert.notEqual(active.RevisionId, firstRevision);
  await control.close();
});

test("CreateFunction refuses a name that is taken, at once and under a race", async () => {
  const { call, create } = await openFixture();
  await create("taken");
  const taken = awsError("ResourceConflictException", "Function already exist: taken", 409);
  await assert.rejects(call("CreateFunction", createInput("taken")), taken);
  const race = await Promise.allSettled([
    call("CreateFunction", createInput("raced")),
    call("CreateFunction", createInput("raced")),
  ]);
  assert.deepEqual(race.map(({ status }) => status).sort(), ["fulfilled", "rejected"]);
  const lost = race.find((outcome) => outcome.status === "rejected");
  assert.ok(awsError("ResourceConflictException", "Function already exist: raced")(lost?.reason));
});

test("CreateFunction takes names, partial ARNs and ARNs, and refuses the rest", async () => {
  const { call } = await openFixture();
  const asArn = await call("CreateFunction", { ...createInput("x"), FunctionName: arnOf("by-arn") });
  assert.equal(asArn.FunctionName, "by-arn");
  const partial = await call("CreateFunction", {
    ...createInput("x"),
    FunctionName: "000000000000:function:partial",
  });
  assert.equal(partial.FunctionArn, arnOf("partial"));
  const named = (name: string) => call("CreateFunction", { ...createInput("x"), FunctionName: name });
  await assert.rejects(named("x:live"), awsError("ValidationException", /regular expression pattern/));
  await assert.rejects(named("a.b"), awsError("ValidationException", /regular expression pattern/));
  const long = "n".repeat(65);
  await assert.rejects(
    named(long),
    awsError(
      "InvalidParameterValueException",
      `1 validation error detected: Value '${long}' at 'functionName' failed to satisfy constraint: Member must have length less than or equal to 64`,
    ),
  );
});

test("a function whose runtime is not on this host becomes Failed and says what would help", async () => {
  const { runtimes, create, control } = await openFixture();
  runtimes.missing.add("ruby3.4");
  const failed = await create("gem", { Runtime: "ruby3.4" });
  assert.equal(failed.State, "Failed");
  assert.equal(failed.StateReasonCode, "InvalidRuntime");
  assert.equal(failed.StateReason, "ruby3.4 was not found. Install it.");
  assert.throws(
    () => control.directory.resolve("gem", undefined),
    awsError("InvalidRuntimeException", "ruby3.4 was not found. Install it.", 502),
  );
});

test("GetFunction answers configuration, tags and a URL from which the code can be loaded for ten minutes", async () => {
  const { call, create, control, clock } = await openFixture();
  await create("hello", { Tags: { team: "birds" } });
  const got = await call<GetFunctionResponse>("GetFunction", { FunctionName: "hello" });
  assert.equal(got.Configuration?.State, "Active");
  assert.deepEqual(got.Tags, { team: "birds" });
  assert.equal(got.Code?.RepositoryType, "S3");
  const url = new URL(got.Code?.Location ?? "");
  assert.equal(url.origin, context.endpoint);
  const load = (path: string, query: string) => control.downloadCode(path, query);
  const loaded = await load(url.pathname, url.search.slice(1));
  assert.equal(loaded.status, 200);
  assert.ok(!Buffer.isBuffer(loaded.body));
  assert.equal(await text(loaded.body), "zip of hello");
  const forged = await load(url.pathname, url.search.slice(1).replace(/expires=\d+/, "expires=9999999999"));
  assert.equal(forged.status, 403);
  const other = await load(`/_hornero/code/${"0".repeat(64)}.zip`, url.search.slice(1));
  assert.equal(other.status, 403);
  assert.equal((await load("/_hornero/code/../../etc/passwd", "")).status, 404);
  clock.advance(10 * 60_000 + 1000);
  assert.equal((await load(url.pathname, url.search.slice(1))).status, 403);
});

test("what is not there is not found, by the ARN that was asked for", async () => {
  const { call, create } = await openFixture();
  await create("hello");
  const missing = (operation: string, input: unknown, arn: string) =>
    assert.rejects(
      call(operation, input),
      awsError("ResourceNotFoundException", `Function not found: ${arn}`, 404),
    );
  await missing("GetFunction", { FunctionName: "x" }, arnOf("x"));
  await missing("GetFunction", { FunctionName: "x", Qualifier: "1" }, `${arnOf("x")}:1`);
  await missing("GetFunction", { FunctionName: "hello", Qualifier: "7" }, `${arnOf("hello")}:7`);
  await missing("GetFunctionConfiguration", { FunctionName: "hello:live" }, `${arnOf("hello")}:live`);
  await missing("DeleteFunction", { FunctionName: "x" }, arnOf("x"));
  await missing("UpdateFunctionConfiguration", { FunctionName: "x" }, arnOf("x"));
  await missing("UpdateFunctionCode", { FunctionName: "x", ZipFile: Buffer.from("z") }, arnOf("x"));
  await missing("ListVersionsByFunction", { FunctionName: "x" }, arnOf("x"));
  await missing("PublishVersion", { FunctionName: "x" }, arnOf("x"));
});

test("an update is InProgress, then Successful, and invocations run the old build until then", async () => {
  const { call, create, settled, runtimes, control } = await openFixture();
  await create("hello", { Environment: { Variables: { KEY: "1" } } });
  const old = control.directory.resolve("hello", undefined);
  runtimes.hold();
  const updating = await call("UpdateFunctionConfiguration", {
    FunctionName: "hello",
    MemorySize: 512,
    Timeout: 60,
  });
  assert.equal(updating.State, "Active");
  assert.equal(updating.LastUpdateStatus, "InProgress");
  assert.equal(updating.LastUpdateStatusReasonCode, "Creating");
  assert.equal(control.directory.resolve("hello", undefined), old);
  const inProgress = awsError(
    "ResourceConflictException",
    `The operation cannot be performed at this time. An update is in progress for resource: ${arnOf("hello")}`,
    409,
  );
  await assert.rejects(call("UpdateFunctionConfiguration", { FunctionName: "hello" }), inProgress);
  await assert.rejects(
    call("UpdateFunctionCode", { FunctionName: "hello", ZipFile: Buffer.from("z") }),
    inProgress,
  );
  await assert.rejects(call("PublishVersion", { FunctionName: "hello" }), inProgress);
  runtimes.release();
  const updated = await settled("hello");
  assert.equal(updated.LastUpdateStatus, "Successful");
  const fresh = control.directory.resolve("hello", undefined);
  assert.equal(fresh.memoryMb, 512);
  assert.equal(fresh.timeoutMs, 60_000);
  assert.deepEqual(fresh.environment, { KEY: "1" });
  assert.notEqual(fresh.revisionId, old.revisionId);
});

test("a failed update leaves the function running what it ran, and can be mended", async () => {
  const { call, create, settled, runtimes, control } = await openFixture();
  await create("hello");
  runtimes.missing.add("java25");
  await call("UpdateFunctionConfiguration", { FunctionName: "hello", Runtime: "java25" });
  const failed = await settled("hello");
  assert.equal(failed.State, "Active");
  assert.equal(failed.LastUpdateStatus, "Failed");
  assert.equal(failed.LastUpdateStatusReasonCode, "InvalidRuntime");
  assert.equal(failed.Runtime, "java25");
  assert.equal(control.directory.resolve("hello", undefined).runtime, "nodejs24.x");
  await call("UpdateFunctionConfiguration", { FunctionName: "hello", Runtime: "python3.14" });
  assert.equal((await settled("hello")).LastUpdateStatus, "Successful");
  assert.equal(control.directory.resolve("hello", undefined).runtime, "python3.14");
});

test("UpdateFunctionCode replaces the code; DryRun does not", async () => {
  const { call, create, settled, clock } = await openFixture();
  const before = await create("hello");
  const zip = Buffer.from("another zip");
  const dry = await call("UpdateFunctionCode", { FunctionName: "hello", ZipFile: zip, DryRun: true });
  assert.notEqual(dry.CodeSha256, before.CodeSha256);
  assert.deepEqual(await settled("hello"), before);
  clock.advance(1500);
  await call("UpdateFunctionCode", { FunctionName: "hello", ZipFile: zip, Architectures: ["arm64"] });
  const after = await settled("hello");
  assert.equal(after.CodeSha256, dry.CodeSha256);
  assert.equal(after.CodeSize, zip.length);
  assert.equal(after.LastModified, "2026-11-23T18:00:01.500+0000");
  assert.deepEqual(after.Architectures, ["arm64"]);
  await assert.rejects(
    call("UpdateFunctionCode", { FunctionName: "hello", ImageUri: "repository:tag" }),
    awsError(
      "InvalidParameterValueException",
      "Please don't provide ImageUri when updating a function with packageType Zip.",
    ),
  );
});

test("a RevisionId that is not the latest fails the update", async () => {
  const { call, create, settled } = await openFixture();
  const { RevisionId } = await create("hello");
  const stale = awsError(
    "PreconditionFailedException",
    "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to retrieve the latest Revision Id",
    412,
  );
  await call("UpdateFunctionConfiguration", { FunctionName: "hello", Description: "one", RevisionId });
  await settled("hello");
  const ZipFile = Buffer.from("z");
  await assert.rejects(call("UpdateFunctionConfiguration", { FunctionName: "hello", RevisionId }), stale);
  await assert.rejects(call("UpdateFunctionCode", { FunctionName: "hello", ZipFile, RevisionId }), stale);
  await assert.rejects(call("PublishVersion", { FunctionName: "hello", RevisionId }), stale);
});

test("of updates at the same time one wins, and the others are told of it", async () => {
  const { call, create, runtimes, settled } = await openFixture();
  await create("hello");
  runtimes.hold();
  const updates = [1, 2, 3, 4].map((n) =>
    call("UpdateFunctionConfiguration", { FunctionName: "hello", Description: `update ${n}` }),
  );
  const outcomes = await Promise.allSettled(updates);
  const won = outcomes.filter((outcome) => outcome.status === "fulfilled");
  assert.equal(won.length, 1);
  for (const outcome of outcomes) {
    if (outcome.status === "fulfilled") continue;
    assert.ok(awsError("ResourceConflictException", /An update is in progress for resource/)(outcome.reason));
  }
  runtimes.release();
  assert.equal((await settled("hello")).Description, won[0]?.value.Description);
});

test("a store in which somebody else always wins is given up on", async () => {
  const { call, create, store } = await openFixture();
  await create("hello");
  let lost = 0;
  store.write = async (changes: readonly Change[]) => {
    lost += 1;
    throw new RevisionConflict("lambda/function", changes.length === 0 ? "" : "hello");
  };
  await assert.rejects(
    call("TagResource", { Resource: arnOf("hello"), Tags: { a: "b" } }),
    awsError("ResourceConflictException", /An update is in progress for resource/),
  );
  assert.ok(lost > 1 && lost <= 32, `${lost} attempts`);
});

test("DeleteFunction removes the function, also while it is Pending", async () => {
  const { call, create, runtimes, faults, control } = await openFixture();
  await create("done");
  await call("DeleteFunction", { FunctionName: "done" });
  await assert.rejects(
    call("GetFunction", { FunctionName: "done" }),
    awsError("ResourceNotFoundException", /./),
  );
  runtimes.hold();
  await call("CreateFunction", createInput("pending"));
  const pending = awsError(
    "ResourceConflictException",
    "The operation cannot be performed at this time. The function is currently in the following state: Pending",
    409,
  );
  assert.throws(() => control.directory.resolve("pending", undefined), pending);
  await assert.rejects(call("UpdateFunctionConfiguration", { FunctionName: "pending" }), pending);
  await call("DeleteFunction", { FunctionName: "pending" });
  runtimes.release();
  await control.close();
  assert.deepEqual(faults, []);
  const left = await call<ListFunctionsResponse>("ListFunctions");
  assert.deepEqual(left.Functions, []);
});

test("DeleteFunction refuses $LATEST and aliases", async () => {
  const { call, create } = await openFixture();
  await create("hello");
  await assert.rejects(
    call("DeleteFunction", { FunctionName: "hello", Qualifier: "$LATEST" }),
    awsError(
      "InvalidParameterValueException",
      "$LATEST version cannot be deleted without deleting the function.",
    ),
  );
  await assert.rejects(
    call("DeleteFunction", { FunctionName: "hello", Qualifier: "live" }),
    awsError("InvalidParameterValueException", "Deletion of aliases is not currently supported."),
  );
});

test("ListFunctions pages through all functions in order, at most 50 a page, without states", async () => {
  const { call, create } = await openFixture();
  const names = Array.from({ length: 53 }, (_, n) => `f${String(n).padStart(2, "0")}`);
  for (const name of names) await create(name);
  const list = (input: unknown) => call<ListFunctionsResponse>("ListFunctions", input);
  const first = await list({ MaxItems: 10_000 });
  assert.equal(first.Functions?.length, 50);
  assert.equal(first.Functions?.[0]?.State, undefined);
  assert.equal(first.Functions?.[0]?.LastUpdateStatus, undefined);
  assert.equal(first.Functions?.[0]?.RuntimeVersionConfig, undefined);
  const second = await list({ Marker: first.NextMarker });
  assert.equal(second.NextMarker, undefined);
  const told = [...(first.Functions ?? []), ...(second.Functions ?? [])];
  assert.deepEqual(
    told.map((found) => found.FunctionName),
    names,
  );
  await call("DeleteFunction", { FunctionName: "f49" });
  const after = await list({ Marker: first.NextMarker, MaxItems: 2 });
  assert.deepEqual(
    after.Functions?.map((found: FunctionConfiguration) => found.FunctionName),
    ["f50", "f51"],
  );
  await assert.rejects(list({ Marker: "?" }), awsError("InvalidParameterValueException", /marker/));
  await assert.rejects(
    list({ MasterRegion: "ALL" }),
    awsError("InvalidParameterValueException", /MasterRegion/),
  );
  assert.deepEqual((await list({ MasterRegion: "eu-west-1", FunctionVersion: "ALL" })).Functions, []);
});

test("GetAccountSettings answers limits and true usage", async () => {
  const { call, create } = await openFixture({ accountConcurrency: 400 });
  await create("a", { Code: { ZipFile: Buffer.alloc(100, 1) } });
  await create("b", { Code: { ZipFile: Buffer.alloc(20, 2) } });
  await call("PublishVersion", { FunctionName: "a" });
  const settings = await call<GetAccountSettingsResponse>("GetAccountSettings");
  assert.deepEqual(settings, {
    AccountLimit: {
      TotalCodeSize: 80_530_636_800,
      CodeSizeUnzipped: 262_144_000,
      CodeSizeZipped: 52_428_800,
      ConcurrentExecutions: 400,
      UnreservedConcurrentExecutions: 400,
    },
    AccountUsage: { TotalCodeSize: 220, FunctionCount: 2 },
  });
});

test("everything acknowledged is there after a restart, and what was under way is taken up again", async () => {
  const first = await openFixture();
  await first.create("ready", { Environment: { Variables: { KEY: "value" } }, Tags: { a: "b" } });
  await first.create("updating");
  first.runtimes.hold();
  await first.call("CreateFunction", createInput("pending"));
  await first.call("UpdateFunctionConfiguration", { FunctionName: "updating", MemorySize: 256 });
  const ready = await first.settled("ready");
  // Its look-ups never come back: closing must not wait for them.
  await first.control.close();
  const { store, blobs, clock } = first;
  const second = await openFixture({ store, blobs, clock });
  assert.deepEqual(await second.settled("ready"), ready);
  assert.equal((await second.settled("pending")).State, "Active");
  const updated = await second.settled("updating");
  assert.equal(updated.LastUpdateStatus, "Successful");
  assert.equal(second.control.directory.resolve("updating", undefined).memoryMb, 256);
  await second.control.close();
});

test("a catalogue that breaks fails the function and is reported, not swallowed", async () => {
  const { call, settled, faults } = await openFixture({
    runtimes: {
      find: () => Promise.reject(new Error("the catalogue is broken")),
    } as never,
  });
  await call("CreateFunction", createInput("hello"));
  const failed = await settled("hello");
  assert.equal(failed.StateReasonCode, "InternalError");
  assert.deepEqual(
    faults.map((fault) => fault.message),
    ["the catalogue is broken"],
  );
});

test("whoever was told of a change sees it, even when the store's feed is late", async () => {
  const clock = new ManualClock();
  const store = new MemoryStore(clock);
  const watch = store.watch.bind(store);
  // As a feed over a network would: every event some turns of the event loop after its commit, in order.
  store.watch = <T>(kind: string, listener: (event: ChangeEvent<T>) => void) =>
    watch<T>(kind, (event) => void setImmediate(() => setImmediate(() => listener(event))));
  const { call, settled, control } = await openFixture({ store, clock });
  await call("CreateFunction", createInput("late"));
  assert.equal((await call("GetFunctionConfiguration", { FunctionName: "late" })).FunctionName, "late");
  await settled("late");
  await call("TagResource", { Resource: arnOf("late"), Tags: { a: "b" } });
  assert.deepEqual(await call("ListTags", { Resource: arnOf("late") }), { Tags: { a: "b" } });
  await call("PublishVersion", { FunctionName: "late" });
  await settled("late", "1");
  await call("DeleteFunction", { FunctionName: "late" });
  assert.throws(
    () => control.directory.resolve("late", undefined),
    awsError("ResourceNotFoundException", /./),
  );
  await control.close();
});

test("a verdict that the store does not take is reported, and given again later", async () => {
  const { call, settled, store, clock, faults, runtimes } = await openFixture();
  const write = store.write.bind(store);
  runtimes.hold();
  await call("CreateFunction", createInput("f"));
  store.write = () => Promise.reject(new StoreFailure("the disk is full"));
  runtimes.release();
  while (faults.length === 0) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(faults[0]?.message, "the disk is full");
  assert.equal((await call("GetFunctionConfiguration", { FunctionName: "f" })).State, "Pending");
  store.write = write;
  clock.advance(10_000);
  assert.equal((await settled("f")).State, "Active");
});
