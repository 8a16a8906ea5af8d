/**
 * Goal: the eight operations of capacity providers and function scaling through AWS's SDK for JavaScript, each with its success and
 * the errors that its model names.
 * Method: the SDK's client against a real server; states, answers and exceptions as the SDK's types have them.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import * as L from "@aws-sdk/client-lambda";
import { eventually } from "../support/functions.ts";
import { ROLE, startTestServer, zipOf, type TestServer } from "../support/server.ts";

const PREFIX = "arn:aws:lambda:us-east-1:000000000000";
const NAMED = { CapacityProviderName: "p" };
const NOWHERE = { CapacityProviderName: "nowhere" };
const QUALIFIED = { FunctionName: "f", Qualifier: "$LATEST.PUBLISHED" };
const provider = (CapacityProviderName: string): L.CreateCapacityProviderCommandInput => ({
  CapacityProviderName,
  VpcConfig: { SubnetIds: ["subnet-1"], SecurityGroupIds: [] },
  PermissionsConfig: { CapacityProviderOperatorRoleArn: ROLE },
});
const MANAGED: Omit<L.CreateFunctionCommandInput, "FunctionName"> = {
  Role: ROLE,
  Runtime: "nodejs24.x",
  Handler: "index.handler",
  Code: { ZipFile: zipOf({ "index.js": "exports.handler = async (event) => event;" }) },
  CapacityProviderConfig: {
    LambdaManagedInstancesCapacityProviderConfig: {
      CapacityProviderArn: `${PREFIX}:capacity-provider:p`,
      PerExecutionEnvironmentMaxConcurrency: 4,
    },
  },
};

/** Made and, when it is to be, published; resolves when the version is there to be used. */
async function make(FunctionName: string, Qualifier: "$LATEST" | "$LATEST.PUBLISHED"): Promise<void> {
  const publishing = Qualifier === "$LATEST" ? {} : ({ PublishTo: "LATEST_PUBLISHED" } as const);
  await lambda.send(new L.CreateFunctionCommand({ FunctionName, ...MANAGED, ...publishing }));
  await eventually(`${FunctionName} is made`, async () => {
    const config = new L.GetFunctionConfigurationCommand({ FunctionName, Qualifier });
    return (await lambda.send(config)).State?.startsWith("Active");
  });
}

let server: TestServer;
let lambda: L.LambdaClient;
before(async () => {
  server = await startTestServer();
  lambda = server.lambda();
});
after(() => server.stop());

describe("capacity providers", () => {
  test("CreateCapacityProvider", async () => {
    const { CapacityProvider, $metadata } = await lambda.send(
      new L.CreateCapacityProviderCommand(provider("p")),
    );
    assert.equal($metadata.httpStatusCode, 202);
    assert.deepEqual(
      [CapacityProvider?.State, CapacityProvider?.CapacityProviderArn],
      ["Pending", `${PREFIX}:capacity-provider:p`],
    );
    await assert.rejects(
      lambda.send(new L.CreateCapacityProviderCommand(provider("p"))),
      L.ResourceConflictException,
    );
    await assert.rejects(
      lambda.send(
        new L.CreateCapacityProviderCommand({
          ...provider("q"),
          CapacityProviderScalingConfig: { ScalingMode: "Manual" },
        }),
      ),
      L.InvalidParameterValueException,
    );
    await assert.rejects(
      lambda.send(
        new L.CreateCapacityProviderCommand({
          ...provider("q"),
          CapacityProviderScalingConfig: { MaxVCpuCount: 1 },
        }),
      ),
      (error) => error instanceof L.LambdaServiceException && error.name === "ValidationException",
    );
  });

  test("GetCapacityProvider", async () => {
    const { CapacityProvider } = await lambda.send(new L.GetCapacityProviderCommand(NAMED));
    assert.equal(CapacityProvider?.State, "Active");
    assert.deepEqual(CapacityProvider.CapacityProviderScalingConfig, {
      MaxVCpuCount: 400,
      ScalingMode: "Auto",
    });
    await assert.rejects(lambda.send(new L.GetCapacityProviderCommand(NOWHERE)), L.ResourceNotFoundException);
  });

  test("UpdateCapacityProvider", async () => {
    const update = { CapacityProviderScalingConfig: { MaxVCpuCount: 12 } };
    const { CapacityProvider, $metadata } = await lambda.send(
      new L.UpdateCapacityProviderCommand({ ...NAMED, ...update }),
    );
    assert.equal($metadata.httpStatusCode, 202);
    assert.equal(CapacityProvider?.CapacityProviderScalingConfig?.MaxVCpuCount, 12);
    await assert.rejects(
      lambda.send(new L.UpdateCapacityProviderCommand({ ...NOWHERE, ...update })),
      L.ResourceNotFoundException,
    );
    await assert.rejects(
      lambda.send(new L.UpdateCapacityProviderCommand({ ...NAMED, PropagateTags: { Mode: "Explicit" } })),
      L.InvalidParameterValueException,
    );
  });

  test("ListCapacityProviders", async () => {
    await lambda.send(new L.CreateCapacityProviderCommand(provider("q")));
    const names: (string | undefined)[] = [];
    for await (const page of L.paginateListCapacityProviders({ client: lambda, pageSize: 1 }, {}))
      names.push(...(page.CapacityProviders ?? []).map(({ CapacityProviderArn: arn }) => arn?.at(-1)));
    assert.deepEqual(names, ["p", "q"]);
    await assert.rejects(
      lambda.send(new L.ListCapacityProvidersCommand({ Marker: "none of ours" })),
      L.InvalidParameterValueException,
    );
  });

  test("ListFunctionVersionsByCapacityProvider, and DeleteCapacityProvider", async () => {
    await make("f", "$LATEST.PUBLISHED");
    const { FunctionVersions: versions } = await lambda.send(
      new L.ListFunctionVersionsByCapacityProviderCommand(NAMED),
    );
    assert.deepEqual(
      versions?.map(({ FunctionArn }) => FunctionArn).sort(),
      ["$LATEST", "$LATEST.PUBLISHED"].map((version) => `${PREFIX}:function:f:${version}`),
    );
    await assert.rejects(
      lambda.send(new L.ListFunctionVersionsByCapacityProviderCommand(NOWHERE)),
      L.ResourceNotFoundException,
    );
    await assert.rejects(
      lambda.send(new L.DeleteCapacityProviderCommand(NAMED)),
      L.ResourceConflictException,
    );
    await assert.rejects(
      lambda.send(new L.DeleteCapacityProviderCommand(NOWHERE)),
      L.ResourceNotFoundException,
    );
    const { CapacityProvider, $metadata } = await lambda.send(
      new L.DeleteCapacityProviderCommand({ CapacityProviderName: "q" }),
    );
    assert.deepEqual([$metadata.httpStatusCode, CapacityProvider?.State], [202, "Deleting"]);
  });
});

describe("function scaling", () => {
  const put = (FunctionScalingConfig: L.FunctionScalingConfig, target = QUALIFIED) =>
    lambda.send(new L.PutFunctionScalingConfigCommand({ ...target, FunctionScalingConfig }));

  test("PutFunctionScalingConfig and GetFunctionScalingConfig", async () => {
    const answer = await put({ MinExecutionEnvironments: 1, MaxExecutionEnvironments: 2 });
    assert.deepEqual([answer.$metadata.httpStatusCode, answer.FunctionState], [202, "Active"]);
    const found = await lambda.send(new L.GetFunctionScalingConfigCommand(QUALIFIED));
    const bounds = { MinExecutionEnvironments: 1, MaxExecutionEnvironments: 2 };
    assert.deepEqual(found.AppliedFunctionScalingConfig, bounds);
    assert.deepEqual(found.RequestedFunctionScalingConfig, bounds);
    await assert.rejects(
      put({ MinExecutionEnvironments: 3, MaxExecutionEnvironments: 2 }),
      L.InvalidParameterValueException,
    );
    const gone = { FunctionName: "f", Qualifier: "9" };
    await assert.rejects(put({ MaxExecutionEnvironments: 1 }, gone), L.ResourceNotFoundException);
    await assert.rejects(
      lambda.send(new L.GetFunctionScalingConfigCommand(gone)),
      L.ResourceNotFoundException,
    );
  });

  test("no environment deactivates a version; $LATEST is never invocable", async () => {
    const invoke = (Qualifier?: string) =>
      lambda.send(new L.InvokeCommand({ FunctionName: "f", Payload: "7", ...(Qualifier && { Qualifier }) }));
    const answer = await invoke();
    assert.deepEqual(
      [answer.ExecutedVersion, answer.Payload?.transformToString()],
      ["$LATEST.PUBLISHED", "7"],
    );
    await assert.rejects(invoke("$LATEST"), L.ResourceConflictException);
    assert.equal(
      (await put({ MinExecutionEnvironments: 0, MaxExecutionEnvironments: 0 })).FunctionState,
      "Deactivating",
    );
    const { State } = await lambda.send(new L.GetFunctionConfigurationCommand(QUALIFIED));
    assert.equal(State, "Deactivated");
    await assert.rejects(invoke(), L.ResourceConflictException);
    await put({ MaxExecutionEnvironments: 1 });
    assert.equal((await invoke()).StatusCode, 200);
    await make("unpublished", "$LATEST");
    await assert.rejects(
      lambda.send(new L.InvokeCommand({ FunctionName: "unpublished" })),
      L.NoPublishedVersionException,
    );
  });
});
