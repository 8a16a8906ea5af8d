// Goal: capacity providers and functions on Managed Instances behave as AWS documents them: states, refusals, $LATEST.PUBLISHED,
// scaling configurations; and no race leaves a function without its provider.
// Method: the operations over a memory store, and the real one where it is about many at once; the feed and the directory as placement and invocation see them.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import type {
  FunctionConfiguration,
  GetFunctionScalingConfigResponse,
  ListCapacityProvidersResponse,
  ListFunctionVersionsByCapacityProviderResponse,
} from "@aws-sdk/client-lambda";
import { systemClock } from "../../kernel/clock.ts";
import { openSqliteStore } from "../../store/sqlite/sqlite-store.ts";
import type { FunctionConcurrency } from "../placement/concurrency.ts";
import {
  ACCOUNT_ID,
  arnOf,
  awsError,
  createInput,
  openFixture,
  REGION,
  ROLE,
  type Fixture,
} from "./fixture.ts";

const PROVIDER_ARN = `arn:aws:lambda:${REGION}:${ACCOUNT_ID}:capacity-provider:p`;
const PROVIDER = {
  CapacityProviderName: "p",
  VpcConfig: { SubnetIds: ["subnet-1"], SecurityGroupIds: ["sg-1"] },
  PermissionsConfig: { CapacityProviderOperatorRoleArn: ROLE },
};
const managed = (members: object = {}) => ({
  CapacityProviderConfig: {
    LambdaManagedInstancesCapacityProviderConfig: { CapacityProviderArn: PROVIDER_ARN, ...members },
  },
});
const invalid = (message: string | RegExp) => awsError("InvalidParameterValueException", message, 400);
const conflict = (message: string | RegExp) => awsError("ResourceConflictException", message, 409);
const missing = awsError(
  "ResourceNotFoundException",
  /capacity provider could not be found|Function not found/,
  404,
);

type Shown = { CapacityProvider: Record<string, unknown> };

async function withProvider(): Promise<Fixture> {
  const fixture = await openFixture();
  await fixture.call("CreateCapacityProvider", PROVIDER);
  return fixture;
}
async function withPublished(name = "f", members: Record<string, unknown> = {}): Promise<Fixture> {
  const fixture = await withProvider();
  await fixture.create(name, { ...managed(), ...members });
  await fixture.call("PublishVersion", { FunctionName: name, PublishTo: "LATEST_PUBLISHED" });
  await fixture.settled(name, "$LATEST.PUBLISHED");
  return fixture;
}

describe("a capacity provider", () => {
  it("is made with AWS's defaults, found by name and ARN, changed and deleted", async () => {
    const { call, control } = await openFixture();
    const made = await call<Shown>("CreateCapacityProvider", { ...PROVIDER, Tags: { team: "a" } });
    assert.deepEqual(made.CapacityProvider, {
      VpcConfig: PROVIDER.VpcConfig,
      PermissionsConfig: PROVIDER.PermissionsConfig,
      InstanceRequirements: { Architectures: ["x86_64"] },
      CapacityProviderScalingConfig: { MaxVCpuCount: 400, ScalingMode: "Auto" },
      TelemetryConfig: {
        LoggingConfig: { SystemLogLevel: "INFO", LogGroup: "/aws/lambda/capacity-provider/p" },
      },
      CapacityProviderArn: PROVIDER_ARN,
      State: "Pending",
      LastModified: "2026-11-23T18:00:00.000+0000",
    });
    for (const CapacityProviderName of ["p", PROVIDER_ARN]) {
      const got = await call<Shown>("GetCapacityProvider", { CapacityProviderName });
      assert.equal(got.CapacityProvider["State"], "Active");
    }
    assert.deepEqual(control.facts.tags?.tagsOf(PROVIDER_ARN), { team: "a" });
    await call("TagResource", { Resource: PROVIDER_ARN, Tags: { stage: "b" } });
    await call("UntagResource", { Resource: PROVIDER_ARN, TagKeys: ["team"] });
    assert.deepEqual(await call("ListTags", { Resource: PROVIDER_ARN }), { Tags: { stage: "b" } });
    const updated = await call<Shown>("UpdateCapacityProvider", {
      CapacityProviderName: "p",
      CapacityProviderScalingConfig: { MaxVCpuCount: 8 },
    });
    assert.deepEqual(updated.CapacityProvider["CapacityProviderScalingConfig"], {
      MaxVCpuCount: 8,
      ScalingMode: "Auto",
    });
    const deleted = await call<Shown>("DeleteCapacityProvider", { CapacityProviderName: "p" });
    assert.equal(deleted.CapacityProvider["State"], "Deleting");
    for (const operation of ["GetCapacityProvider", "DeleteCapacityProvider", "UpdateCapacityProvider"])
      await assert.rejects(call(operation, { CapacityProviderName: "p" }), missing);
    await assert.rejects(
      call("GetCapacityProvider", { CapacityProviderName: PROVIDER_ARN.replace("us-east-1", "eu-west-1") }),
      missing,
    );
    await control.close();
  });

  it("refuses what does not go together", async () => {
    const { call, control } = await withProvider();
    const policy = [{ PredefinedMetricType: "LambdaCapacityProviderAverageCPUUtilization", TargetValue: 50 }];
    const refused: [object, RegExp | string][] = [
      [
        { CapacityProviderScalingConfig: { ScalingMode: "Auto", ScalingPolicies: policy } },
        "A scaling policy can't be specified when the scalingMode is set to Auto",
      ],
      [{ CapacityProviderScalingConfig: { ScalingMode: "Manual" } }, /must be specified/],
      [
        { InstanceRequirements: { AllowedInstanceTypes: ["a"], ExcludedInstanceTypes: ["b"] } },
        /at the same time/,
      ],
      [{ PropagateTags: { Mode: "Explicit" } }, /ExplicitTags must/],
      [{ PropagateTags: { Mode: "None", ExplicitTags: { a: "b" } } }, /ExplicitTags can only/],
      [{ Tags: { "aws:a": "b" } }, /reserved/],
    ];
    for (const [members, message] of refused) {
      const input = { ...PROVIDER, CapacityProviderName: "q", ...members };
      await assert.rejects(call("CreateCapacityProvider", input), invalid(message));
    }
    await assert.rejects(call("CreateCapacityProvider", PROVIDER), conflict(/already exists/));
    const long = { ...PROVIDER, CapacityProviderName: "q".repeat(140 - PROVIDER_ARN.length + 2) };
    await assert.rejects(call("CreateCapacityProvider", long), /length less than or equal to/);
    await call("CreateCapacityProvider", {
      ...long,
      CapacityProviderName: long.CapacityProviderName.slice(1),
    });
    await control.close();
  });

  it("is listed in pages, with its functions' versions", async () => {
    const { call, create, control } = await withProvider();
    await call("CreateCapacityProvider", { ...PROVIDER, CapacityProviderName: "q" });
    const first = await call<ListCapacityProvidersResponse>("ListCapacityProviders", { MaxItems: 1 });
    const rest = await call<ListCapacityProvidersResponse>("ListCapacityProviders", {
      Marker: first.NextMarker,
    });
    const arns = [...(first.CapacityProviders ?? []), ...(rest.CapacityProviders ?? [])].map(
      ({ CapacityProviderArn }) => CapacityProviderArn,
    );
    assert.deepEqual(arns, [PROVIDER_ARN, PROVIDER_ARN.replace(/p$/, "q")]);
    const pending = await call<ListCapacityProvidersResponse>("ListCapacityProviders", { State: "Pending" });
    assert.deepEqual(pending.CapacityProviders, []);
    await create("plain");
    await create("f", { ...managed(), Publish: true });
    await call("PublishVersion", { FunctionName: "f", PublishTo: "LATEST_PUBLISHED" });
    const listed: [string | undefined, string | undefined][] = [];
    let Marker: string | undefined;
    do {
      const found = await call<ListFunctionVersionsByCapacityProviderResponse>(
        "ListFunctionVersionsByCapacityProvider",
        { CapacityProviderName: "p", MaxItems: 2, Marker },
      );
      for (const { FunctionArn, State } of found.FunctionVersions ?? []) listed.push([FunctionArn, State]);
      Marker = found.NextMarker;
    } while (Marker !== undefined);
    assert.deepEqual(
      listed.map(([arn]) => arn).sort(),
      [`${arnOf("f")}:$LATEST`, `${arnOf("f")}:$LATEST.PUBLISHED`, `${arnOf("f")}:1`].sort(),
    );
    assert.ok(listed.some(([, state]) => state === "ActiveNonInvocable"));
    const none = { CapacityProviderName: "gone" };
    await assert.rejects(call("ListFunctionVersionsByCapacityProvider", none), missing);
    await control.close();
  });

  it("is not deleted while a function uses it, whoever comes first", async () => {
    for (let round = 0; round < 20; round += 1) {
      const { call, control } = await withProvider();
      const settled = await Promise.allSettled([
        call("CreateFunction", { ...createInput("f"), ...managed() }),
        call("DeleteCapacityProvider", { CapacityProviderName: "p" }),
      ]);
      const [created, deleted] = settled.map(({ status }) => status === "fulfilled");
      assert.notEqual(created, deleted, "one of the two");
      if (created) {
        await call("DeleteFunction", { FunctionName: "f" });
        await call("DeleteCapacityProvider", { CapacityProviderName: "p" });
      }
      await control.close();
    }
  });

  it("gets more functions at the same time than a change tries again", async (t) => {
    const folder = mkdtempSync(join(tmpdir(), "hornero-managed-"));
    // The real store: in memory a write is done before the next one is asked for.
    const store = await openSqliteStore({ directory: folder, clock: systemClock });
    const { call, control } = await openFixture({ store });
    t.after(async () => {
      await control.close();
      await store.close();
      rmSync(folder, { recursive: true });
    });
    await call("CreateCapacityProvider", PROVIDER);
    const names = Array.from({ length: 40 }, (_, index) => `f${index}`);
    const made = await Promise.allSettled(
      names.map((name) => call("CreateFunction", { ...createInput(name), ...managed() })),
    );
    const refused = made.flatMap((one) => (one.status === "rejected" ? [String(one.reason)] : []));
    assert.deepEqual(refused, []);
  });

  it("has a hundred versions at the most", async () => {
    const { call, create, settled, control } = await withProvider();
    await create("f", managed());
    for (let number = 1; number <= 100; number += 1) {
      await call("UpdateFunctionConfiguration", { FunctionName: "f", Description: String(number) });
      await waitUpdated(call);
      await call("PublishVersion", { FunctionName: "f" });
    }
    const limit = awsError("FunctionVersionsPerCapacityProviderLimitExceededException", /100/, 400);
    await assert.rejects(call("PublishVersion", { FunctionName: "f", PublishTo: "LATEST_PUBLISHED" }), limit);
    const another = { ...createInput("g"), ...managed(), Publish: true };
    await assert.rejects(call("CreateFunction", another), limit);
    // One that was published on another provider is a new one here.
    await call("CreateCapacityProvider", { ...PROVIDER, CapacityProviderName: "q" });
    await create("h", { ...managed({ CapacityProviderArn: `${PROVIDER_ARN.slice(0, -1)}q` }) });
    const publishing = { FunctionName: "h", PublishTo: "LATEST_PUBLISHED" };
    await call("PublishVersion", publishing);
    await call("UpdateFunctionConfiguration", { FunctionName: "h", ...managed() });
    await settled("h");
    await assert.rejects(call("PublishVersion", publishing), limit);
    await call("DeleteFunction", { FunctionName: "f", Qualifier: "7" });
    await call("CreateFunction", another);
    await control.close();
  });
});

async function waitUpdated(call: Fixture["call"]): Promise<void> {
  for (let rounds = 0; rounds < 1000; rounds += 1) {
    const { LastUpdateStatus } = await call("GetFunctionConfiguration", { FunctionName: "f" });
    if (LastUpdateStatus === "Successful") return;
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.fail("the update does not end");
}

describe("a function on Managed Instances", () => {
  it("shows its configuration; $LATEST cannot be invoked", async () => {
    const { create, control } = await withProvider();
    const made = await create("f", managed({ PerExecutionEnvironmentMaxConcurrency: 7 }));
    assert.equal(made.State, "ActiveNonInvocable");
    assert.equal(made.MemorySize, 2048);
    assert.equal(made.LoggingConfig?.LogFormat, "JSON");
    assert.deepEqual(made.CapacityProviderConfig?.LambdaManagedInstancesCapacityProviderConfig, {
      CapacityProviderArn: PROVIDER_ARN,
      PerExecutionEnvironmentMaxConcurrency: 7,
      ExecutionEnvironmentMemoryGiBPerVCpu: 2,
    });
    assert.throws(
      () => control.directory.resolve("f", "$LATEST"),
      conflict(/in the following state: ActiveNonInvocable$/),
    );
    assert.throws(
      () => control.directory.resolve("f", undefined),
      awsError("NoPublishedVersionException", /publish/, 400),
    );
    await control.close();
  });

  it("has as many invocations for each vCPU as its runtime takes, unless it says how many", async () => {
    const { create, control } = await withProvider();
    const shown = async (name: string, members: object) => {
      const { CapacityProviderConfig: config } = await create(name, { ...managed(), ...members });
      return config?.LambdaManagedInstancesCapacityProviderConfig?.PerExecutionEnvironmentMaxConcurrency;
    };
    assert.equal(await shown("node", { MemorySize: 4096 }), 128);
    assert.equal(await shown("custom", { Runtime: "provided.al2023" }), 32);
    assert.equal(await shown("huge", { MemorySize: 32_768 }), 1024);
    await control.close();
  });

  it("is refused what AWS refuses, and stays of its kind", async () => {
    const { call, create, control } = await withProvider();
    const validation = (message: RegExp) => awsError("ValidationException", message, 400);
    const refused: [object, ReturnType<typeof awsError>][] = [
      [{ MemorySize: 2047 }, validation(/memory size greater than or equal to 2048$/)],
      [{ MemorySize: 32_769 }, validation(/less than or equal to 32768$/)],
      [managed({ ExecutionEnvironmentMemoryGiBPerVCpu: 4 }), invalid(/less than 1 vCPU/)],
      [
        { VpcConfig: { SubnetIds: ["subnet-1"], SecurityGroupIds: ["sg-1"] } },
        invalid(/with VPC configurations\.$/),
      ],
      [{ SnapStart: { ApplyOn: "PublishedVersions" } }, invalid(/SnapStart isn't supported/)],
      [{ LoggingConfig: { LogFormat: "Text" } }, invalid(/JSON only/)],
      [{ Architectures: ["arm64"] }, invalid(/architecture arm64/)],
      [{ Runtime: "nodejs20.x" }, invalid(/isn't supported for Lambda Managed Instance/)],
      [{ Runtime: "python3.13" }, invalid(/Hornero does not run python3\.13/)],
      [
        managed({ CapacityProviderArn: PROVIDER_ARN.replace(/p$/, "gone") }),
        awsError("ResourceNotFoundException", /:gone$/, 404),
      ],
    ];
    for (const [members, error] of refused)
      await assert.rejects(call("CreateFunction", { ...createInput("f"), ...managed(), ...members }), error);
    await create("plain");
    await assert.rejects(
      call("UpdateFunctionConfiguration", { FunctionName: "plain", ...managed() }),
      invalid("CapacityProviderConfig isn't supported for Lambda Default functions."),
    );
    await assert.rejects(
      call("PublishVersion", { FunctionName: "plain", PublishTo: "LATEST_PUBLISHED" }),
      invalid(/PublishTo LATEST_PUBLISHED isn't supported/),
    );
    await create("f", { ...managed(), Publish: true });
    await assert.rejects(
      call("PutFunctionConcurrency", { FunctionName: "f", ReservedConcurrentExecutions: 1 }),
      invalid(/^Reserved concurrency isn't supported/),
    );
    const provisioned = { FunctionName: "f", Qualifier: "1", ProvisionedConcurrentExecutions: 1 };
    await assert.rejects(
      call("PutProvisionedConcurrencyConfig", provisioned),
      invalid(/^Provisioned concurrency isn't supported/),
    );
    await control.close();
  });
});

describe("$LATEST.PUBLISHED", () => {
  it("is what the function without a qualifier runs, and is published anew", async () => {
    const { call, control, settled } = await withPublished();
    const before = control.directory.resolve("f", undefined);
    assert.equal(before.version, "$LATEST.PUBLISHED");
    assert.equal(before.concurrencyMax, 64);
    assert.equal(control.directory.resolve(`${arnOf("f")}:$LATEST.PUBLISHED`, undefined), before);
    await call("UpdateFunctionConfiguration", { FunctionName: "f", Timeout: 9 });
    await waitUpdated(call);
    assert.equal(control.directory.resolve("f", undefined), before, "not yet");
    const shown = await call("PublishVersion", { FunctionName: "f", PublishTo: "LATEST_PUBLISHED" });
    assert.equal(shown.FunctionArn, `${arnOf("f")}:$LATEST.PUBLISHED`);
    assert.equal(shown.State, "Active", "it serves while it changes over");
    assert.equal(control.directory.resolve("f", undefined).timeoutMs, 9000);
    const again = await call("PublishVersion", { FunctionName: "f", PublishTo: "LATEST_PUBLISHED" });
    assert.equal(again.RevisionId, shown.RevisionId, "nothing has changed");
    const code = { FunctionName: "f", ZipFile: Buffer.from("other"), PublishTo: "LATEST_PUBLISHED" };
    const published = await call("UpdateFunctionCode", code);
    assert.equal(published.Version, "$LATEST.PUBLISHED");
    await settled("f");
    const number = await call("PublishVersion", { FunctionName: "f" });
    assert.equal(number.Version, "1");
    const { Versions } = await call<{ Versions: FunctionConfiguration[] }>("ListVersionsByFunction", {
      FunctionName: "f",
    });
    assert.deepEqual(
      Versions.map(({ Version }) => Version),
      ["$LATEST", "$LATEST.PUBLISHED", "1"],
    );
    await control.close();
  });

  it("can be made with the function, and goes with all that it has", async () => {
    const { call, control, settled } = await withProvider();
    const made = await call("CreateFunction", {
      ...createInput("f"),
      ...managed(),
      PublishTo: "LATEST_PUBLISHED",
    });
    assert.equal(made.FunctionArn, `${arnOf("f")}:$LATEST.PUBLISHED`);
    const qualified = { FunctionName: "f", Qualifier: "$LATEST.PUBLISHED" };
    await settled("f", "$LATEST.PUBLISHED");
    await call("CreateAlias", { FunctionName: "f", Name: "live", FunctionVersion: "$LATEST.PUBLISHED" });
    assert.equal(control.directory.resolve("f", "live").version, "$LATEST.PUBLISHED");
    await call("PutFunctionEventInvokeConfig", { ...qualified, MaximumRetryAttempts: 1 });
    assert.equal(control.asynchronousSettings.eventSettings("f", undefined).retryAttemptsMax, 1);
    await call("AddPermission", {
      ...qualified,
      StatementId: "s",
      Action: "lambda:InvokeFunction",
      Principal: "s3.amazonaws.com",
    });
    await assert.rejects(call("DeleteFunction", qualified), conflict(/aliases reference it: \[live\]/));
    await call("DeleteAlias", { FunctionName: "f", Name: "live" });
    await call("DeleteFunction", qualified);
    await assert.rejects(call("GetFunction", qualified), missing);
    await assert.rejects(call("GetPolicy", qualified), missing);
    await control.close();
  });

  it("is there again after a restart", async () => {
    const { control, store, blobs } = await withPublished();
    await control.close();
    const { control: next } = await openFixture({ store, blobs });
    assert.equal(next.directory.resolve("f", undefined).version, "$LATEST.PUBLISHED");
    await next.close();
  });
});

describe("a scaling configuration", () => {
  const qualified = { FunctionName: "f", Qualifier: "$LATEST.PUBLISHED" };
  const put = (call: Fixture["call"], min?: number, max?: number) =>
    call<{ FunctionState: string }>("PutFunctionScalingConfig", {
      ...qualified,
      FunctionScalingConfig: { MinExecutionEnvironments: min, MaxExecutionEnvironments: max },
    });

  it("holds for placement, within its provider's vCPUs", async () => {
    const { call, control } = await withPublished();
    const told: FunctionConcurrency[] = [];
    const stop = control.concurrency.subscribe((concurrency) => told.push(concurrency));
    const bounds = () => told.at(-1)?.managed?.map(({ version, min, max }) => [version.version, min, max]);
    assert.deepEqual(bounds(), [["$LATEST.PUBLISHED", 1, 400]]);
    assert.deepEqual(await put(call, 2, 5), { FunctionState: "Active" });
    assert.deepEqual(bounds(), [["$LATEST.PUBLISHED", 2, 5]]);
    const scaling = { MaxVCpuCount: 3 };
    await call("UpdateCapacityProvider", {
      CapacityProviderName: "p",
      CapacityProviderScalingConfig: scaling,
    });
    assert.deepEqual(bounds(), [["$LATEST.PUBLISHED", 2, 3]]);
    const got = await call<GetFunctionScalingConfigResponse>("GetFunctionScalingConfig", qualified);
    assert.deepEqual(got, {
      FunctionArn: `${arnOf("f")}:$LATEST.PUBLISHED`,
      AppliedFunctionScalingConfig: { MinExecutionEnvironments: 2, MaxExecutionEnvironments: 3 },
      RequestedFunctionScalingConfig: { MinExecutionEnvironments: 2, MaxExecutionEnvironments: 5 },
    });
    await call("PutFunctionScalingConfig", qualified);
    assert.deepEqual(bounds(), [["$LATEST.PUBLISHED", 1, 3]], "as if none had been");
    stop();
    await control.close();
  });

  it("of no environment deactivates the version, until there are some again", async () => {
    const { call, control } = await withPublished();
    assert.deepEqual(await put(call, 0, 0), { FunctionState: "Deactivating" });
    assert.equal((await call("GetFunctionConfiguration", qualified)).State, "Deactivated");
    assert.throws(() => control.directory.resolve("f", undefined), conflict(/state: Deactivated$/));
    assert.deepEqual(await put(call, 0, 0), { FunctionState: "Deactivated" });
    assert.deepEqual(await put(call, 0, 2), { FunctionState: "Pending" });
    assert.equal((await call("GetFunctionConfiguration", qualified)).State, "Active");
    control.directory.resolve("f", undefined);
    await control.close();
  });

  it("is refused when it cannot be", async () => {
    const { call, create, control } = await withPublished();
    await assert.rejects(put(call, 3, 2), invalid(/should not be greater/));
    await create("plain", { Publish: true });
    const plain = { FunctionName: "plain", Qualifier: "1" };
    for (const operation of ["PutFunctionScalingConfig", "GetFunctionScalingConfig"]) {
      await assert.rejects(call(operation, plain), invalid(/Lambda Default functions/));
      await assert.rejects(call(operation, { FunctionName: "f", Qualifier: "9" }), missing);
    }
    await control.close();
  });
});
