// Goal: reserved and provisioned concurrency as resources: what is refused and in which words, what the account has left,
// what goes with versions and aliases, and what placement is told. Method: operations on a control room over a memory store.
import assert from "node:assert/strict";
import { test } from "node:test";
import type {
  GetAccountSettingsResponse,
  GetFunctionResponse,
  GetProvisionedConcurrencyConfigResponse,
  ListProvisionedConcurrencyConfigsResponse,
} from "@aws-sdk/client-lambda";
import type { FunctionConcurrency, ProvisionedState } from "../placement/concurrency.ts";
import { arnOf, awsError, openFixture } from "./fixture.ts";

const NONE: ProvisionedState = { allocated: 0, available: 0 };

async function setUp(accountConcurrency = 1000) {
  const states = new Map<string, ProvisionedState>();
  const fixture = await openFixture({
    accountConcurrency,
    provisioning: { provisioned: (_arn, version) => states.get(version) ?? NONE },
  });
  const { call, create } = fixture;
  const reserve = (FunctionName: string, ReservedConcurrentExecutions: number) =>
    call("PutFunctionConcurrency", { FunctionName, ReservedConcurrentExecutions });
  const provision = (Qualifier: string, ProvisionedConcurrentExecutions: number) =>
    call<GetProvisionedConcurrencyConfigResponse>("PutProvisionedConcurrencyConfig", {
      FunctionName: "f",
      Qualifier,
      ProvisionedConcurrentExecutions,
    });
  const provisioned = (Qualifier: string) =>
    call<GetProvisionedConcurrencyConfigResponse>("GetProvisionedConcurrencyConfig", {
      FunctionName: "f",
      Qualifier,
    });
  const unreserved = async () =>
    (await call<GetAccountSettingsResponse>("GetAccountSettings")).AccountLimit
      ?.UnreservedConcurrentExecutions;
  /** Makes a new version of `f`: each is another build. */
  let memory = 128;
  const publish = async () => {
    memory += 1;
    await call("UpdateFunctionConfiguration", { FunctionName: "f", MemorySize: memory });
    await fixture.settled("f");
    const { Version = "" } = await call("PublishVersion", { FunctionName: "f" });
    await fixture.settled("f", Version);
    return Version;
  };
  const alias = (Name: string, FunctionVersion: string, weights?: Record<string, number>) =>
    call("CreateAlias", {
      FunctionName: "f",
      Name,
      FunctionVersion,
      ...(weights && { RoutingConfig: { AdditionalVersionWeights: weights } }),
    });
  await create("f");
  return { ...fixture, states, reserve, provision, provisioned, unreserved, publish, alias };
}

test("reserved concurrency is put, got, shown and deleted", async () => {
  const { call, reserve, unreserved } = await setUp();
  const get = () => call("GetFunctionConcurrency", { FunctionName: "f" });
  assert.deepEqual(await get(), {});
  assert.deepEqual(await reserve("f", 300), { ReservedConcurrentExecutions: 300 });
  assert.deepEqual(await get(), { ReservedConcurrentExecutions: 300 });
  assert.equal(await unreserved(), 700);
  const shown = await call<GetFunctionResponse>("GetFunction", { FunctionName: "f" });
  assert.deepEqual(shown.Concurrency, { ReservedConcurrentExecutions: 300 });
  await call("DeleteFunctionConcurrency", { FunctionName: "f" });
  assert.deepEqual(await get(), {});
  assert.equal(await unreserved(), 1000);
  await reserve("f", 300);
  await call("DeleteFunction", { FunctionName: "f" });
  assert.equal(await unreserved(), 1000, "a deleted function claims nothing");
});

test("reserved concurrency is of functions, and of those that there are", async () => {
  const { call, reserve, publish } = await setUp();
  await publish();
  await assert.rejects(
    reserve("f:1", 1),
    awsError(
      "InvalidParameterValueException",
      "This operation is permitted on Lambda functions only. Aliases and versions do not support this operation. Please specify either a function name or an unqualified function ARN.",
    ),
  );
  const missing = awsError("ResourceNotFoundException", `Function not found: ${arnOf("g")}`, 404);
  await assert.rejects(reserve("g", 1), missing);
  await assert.rejects(call("DeleteFunctionConcurrency", { FunctionName: "g" }), missing);
  await assert.rejects(call("GetFunctionConcurrency", { FunctionName: "g" }), missing);
});

test("a hundred stay unreserved, whoever claims at once", async () => {
  const { create, reserve, unreserved } = await setUp();
  await create("g");
  const refused = awsError(
    "InvalidParameterValueException",
    "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its minimum value of [100].",
    400,
  );
  await assert.rejects(reserve("f", 901), refused);
  const claims = await Promise.allSettled([reserve("f", 500), reserve("g", 500)]);
  assert.deepEqual(claims.map(({ status }) => status).sort(), ["fulfilled", "rejected"]);
  assert.equal(await unreserved(), 500);
  await reserve("f", 0);
  await reserve("g", 900);
  await reserve("g", 900);
  assert.equal(await unreserved(), 100);
  await assert.rejects(reserve("f", 1), refused);
});

test("a small account keeps all that it has", async () => {
  const { reserve } = await setUp(10);
  await assert.rejects(
    reserve("f", 1),
    awsError("InvalidParameterValueException", /minimum value of \[10\]/),
  );
  await reserve("f", 0);
});

test("provisioned concurrency goes from IN_PROGRESS to READY or FAILED", async () => {
  const { call, clock, states, provision, provisioned, publish } = await setUp();
  await publish();
  clock.advance(1500);
  const put = await provision("1", 3);
  assert.deepEqual(put, {
    RequestedProvisionedConcurrentExecutions: 3,
    AvailableProvisionedConcurrentExecutions: 0,
    AllocatedProvisionedConcurrentExecutions: 0,
    Status: "IN_PROGRESS",
    LastModified: "2026-11-23T18:00:01.500+0000",
  });
  states.set("1", { allocated: 3, available: 2 });
  assert.deepEqual(await provisioned("1"), {
    ...put,
    AllocatedProvisionedConcurrentExecutions: 3,
    AvailableProvisionedConcurrentExecutions: 2,
  });
  states.set("1", { allocated: 2, available: 2, failure: "FUNCTION_ERROR_INIT_FAILURE" });
  assert.deepEqual(await provisioned("1"), {
    ...put,
    AllocatedProvisionedConcurrentExecutions: 2,
    AvailableProvisionedConcurrentExecutions: 2,
    Status: "FAILED",
    StatusReason: "FUNCTION_ERROR_INIT_FAILURE",
  });
  states.set("1", { allocated: 3, available: 3 });
  assert.equal((await provisioned("1")).Status, "READY");
  await call("DeleteProvisionedConcurrencyConfig", { FunctionName: "f", Qualifier: "1" });
  await call("DeleteProvisionedConcurrencyConfig", { FunctionName: "f", Qualifier: "1" });
  await assert.rejects(
    provisioned("1"),
    awsError(
      "ProvisionedConcurrencyConfigNotFoundException",
      "No Provisioned Concurrency Config found for this function",
      404,
    ),
  );
});

test("provisioned concurrency is of published versions and of aliases that lead to them", async () => {
  const { call, provision, provisioned, publish, alias } = await setUp();
  await publish();
  const unpublished = awsError(
    "InvalidParameterValueException",
    "Provisioned Concurrency Configs cannot be applied to unpublished function versions.",
  );
  await assert.rejects(provision("$LATEST", 1), unpublished);
  await alias("dev", "$LATEST");
  await assert.rejects(provision("dev", 1), unpublished);
  await assert.rejects(
    provisioned("$LATEST"),
    awsError(
      "InvalidParameterValueException",
      "The function resource provided must be an alias or a published version.",
    ),
  );
  await assert.rejects(
    provision("7", 1),
    awsError("ResourceNotFoundException", `Function not found: ${arnOf("f")}:7`),
  );
  await assert.rejects(
    provision("gone", 1),
    awsError("ResourceNotFoundException", `Cannot find alias arn: ${arnOf("f")}:gone`),
  );
  await alias("live", "1");
  await provision("live", 1);
  await assert.rejects(
    provision("1", 1),
    awsError("ResourceConflictException", "Version is pointed by a Provisioned Concurrency alias", 409),
  );
  await assert.rejects(
    call("UpdateAlias", { FunctionName: "f", Name: "live", FunctionVersion: "$LATEST" }),
    unpublished,
  );
  const second = await publish();
  await provision(second, 1);
  const provisionedAlready = awsError(
    "ResourceConflictException",
    "Alias can't be used for Provisioned Concurrency configuration on an already Provisioned version",
    409,
  );
  await assert.rejects(
    call("UpdateAlias", { FunctionName: "f", Name: "live", FunctionVersion: second }),
    provisionedAlready,
  );
  await alias("other", second);
  await assert.rejects(provision("other", 1), provisionedAlready);
});

test("provisioned concurrency is a claim, of the function's reserved concurrency or of the account's", async () => {
  const { reserve, provision, unreserved, publish } = await setUp();
  const [first, second] = [await publish(), await publish()];
  await provision(first, 200);
  assert.equal(await unreserved(), 800);
  await assert.rejects(
    provision(second, 701),
    awsError(
      "InvalidParameterValueException",
      "Specified ConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its minimum value of [100].",
    ),
  );
  await assert.rejects(
    provision(second, 1001),
    awsError(
      "InvalidParameterValueException",
      "Specified ConcurrentExecutions for function is greater than account's unreserved concurrency [1000].",
    ),
  );
  await assert.rejects(
    reserve("f", 199),
    awsError(
      "InvalidParameterValueException",
      "ReservedConcurrentExecutions  199 should not be lower than function's total provisioned concurrency [200].",
    ),
  );
  await reserve("f", 250);
  assert.equal(await unreserved(), 750);
  await assert.rejects(
    provision(second, 51),
    awsError(
      "InvalidParameterValueException",
      "Requested Provisioned Concurrency should not be greater than the reservedConcurrentExecution for function",
    ),
  );
  await provision(second, 50);
  assert.equal(await unreserved(), 750);
});

test("configurations are listed, and go with the version or alias that they are of", async () => {
  const { call, provision, publish, alias, unreserved } = await setUp();
  const [first, second] = [await publish(), await publish()];
  await alias("live", first);
  await provision("live", 2);
  await provision(second, 3);
  const list = async () => {
    const { ProvisionedConcurrencyConfigs = [] } = await call<ListProvisionedConcurrencyConfigsResponse>(
      "ListProvisionedConcurrencyConfigs",
      {
        FunctionName: "f",
      },
    );
    return ProvisionedConcurrencyConfigs.map((config) => [
      config.FunctionArn,
      config.RequestedProvisionedConcurrentExecutions,
    ]);
  };
  assert.deepEqual(await list(), [
    [`${arnOf("f")}:2`, 3],
    [`${arnOf("f")}:live`, 2],
  ]);
  await call("DeleteAlias", { FunctionName: "f", Name: "live" });
  await call("DeleteFunction", { FunctionName: "f", Qualifier: second });
  assert.deepEqual(await list(), []);
  assert.equal(await unreserved(), 1000);
});

test("placement is told what runs where, after each change and after a restart", async () => {
  const { call, control, store, blobs, clock, reserve, provision, publish, alias, states, provisioned } =
    await setUp();
  const tell = (into: Map<string, unknown>) => (concurrency: FunctionConcurrency) =>
    void into.set(concurrency.functionArn, {
      reserved: concurrency.reserved,
      provisioned: concurrency.provisioned.map(({ version, count }) => `${version.version}×${count}`),
    });
  const told = new Map<string, unknown>();
  control.concurrency.subscribe(tell(told));
  const [first, second] = [await publish(), await publish()];
  assert.equal(told.size, 0, "functions without settings are not told of");
  await reserve("f", 20);
  await alias("live", first, { [second]: 0.3 });
  await provision("live", 10);
  const expected = { reserved: 20, provisioned: ["1×7", "2×3"] };
  assert.deepEqual(told.get(arnOf("f")), expected);
  states.set(first, { allocated: 7, available: 7 });
  states.set(second, { allocated: 3, available: 2 });
  assert.equal((await provisioned("live")).AvailableProvisionedConcurrentExecutions, 9);

  await control.close();
  const again = await openFixture({ store, blobs, clock });
  const toldAgain = new Map<string, unknown>();
  again.control.concurrency.subscribe(tell(toldAgain));
  assert.deepEqual(toldAgain.get(arnOf("f")), expected);
  await again.call("UpdateAlias", {
    FunctionName: "f",
    Name: "live",
    RoutingConfig: { AdditionalVersionWeights: {} },
  });
  assert.deepEqual(toldAgain.get(arnOf("f")), { reserved: 20, provisioned: ["1×10"] });
  await again.call("DeleteFunction", { FunctionName: "f" });
  assert.deepEqual(toldAgain.get(arnOf("f")), { reserved: undefined, provisioned: [] });
  await again.control.close();
  await assert.rejects(call("GetFunction", { FunctionName: "gone" }));
});
