/**
 * Goal: layer versions as AWS's control plane shows them: numbering, lists and their filters, policies, sizes.
 * Method: the operations over a memory store; what real functions see of a layer is in test/conformance.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type {
  AddLayerVersionPermissionResponse,
  GetAccountSettingsResponse,
  GetLayerVersionPolicyResponse,
  GetLayerVersionResponse,
  ListLayersResponse,
  ListLayerVersionsResponse,
} from "@aws-sdk/client-lambda";
import { CODE_UNZIPPED_BYTES_MAX } from "../../limits.ts";
import { awsError, createInput, FakeBlobs, openFixture, type Fixture } from "./fixture.ts";

const LAYER = "arn:aws:lambda:us-east-1:000000000000:layer";

function publish(
  { call }: Fixture,
  name: string,
  members: Record<string, unknown> = {},
): Promise<GetLayerVersionResponse> {
  return call("PublishLayerVersion", {
    LayerName: name,
    Content: { ZipFile: Buffer.from(`zip of ${name}`) },
    ...members,
  });
}

test("a published version answers everything, and is got by name, by ARN and by version ARN", async () => {
  const fixture = await openFixture();
  const published = await publish(fixture, "tools", {
    Description: "what we need",
    CompatibleRuntimes: ["nodejs24.x", "python3.13"],
    CompatibleArchitectures: ["x86_64"],
    LicenseInfo: "MIT",
  });
  const { Content: content, ...rest } = published;
  assert.deepEqual(rest, {
    LayerArn: `${LAYER}:tools`,
    LayerVersionArn: `${LAYER}:tools:1`,
    Version: 1,
    Description: "what we need",
    CreatedDate: "2026-11-23T18:00:00.000+0000",
    CompatibleRuntimes: ["nodejs24.x", "python3.13"],
    CompatibleArchitectures: ["x86_64"],
    LicenseInfo: "MIT",
  });
  assert.equal(content?.CodeSize, "zip of tools".length);
  const { pathname, search } = new URL(content?.Location ?? "");
  const download = await fixture.control.downloadCode(pathname, search.slice(1));
  assert.equal(download.status, 200);
  for (const [operation, input] of [
    ["GetLayerVersion", { LayerName: "tools", VersionNumber: 1 }],
    ["GetLayerVersion", { LayerName: `${LAYER}:tools`, VersionNumber: 1 }],
    ["GetLayerVersionByArn", { Arn: `${LAYER}:tools:1` }],
  ] as const) {
    assert.deepEqual(await fixture.call(operation, input), published);
  }
});

test("numbers go up, and are not given twice when a version or all of them are deleted", async () => {
  const fixture = await openFixture();
  const versions = [await publish(fixture, "tools"), await publish(fixture, "tools")];
  for (const { Version: VersionNumber } of versions) {
    await fixture.call("DeleteLayerVersion", { LayerName: "tools", VersionNumber });
    // As on AWS, deleting what is not there is no error.
    await fixture.call("DeleteLayerVersion", { LayerName: "tools", VersionNumber });
  }
  assert.deepEqual(await fixture.call("ListLayers"), { Layers: [] });
  assert.equal((await publish(fixture, "tools")).Version, 3);
});

test("versions that are published at once have numbers of their own", async () => {
  const fixture = await openFixture();
  const made = await Promise.all(Array.from({ length: 10 }, () => publish(fixture, "tools")));
  const numbers = made.map(({ Version }) => Version ?? 0).toSorted((a, b) => a - b);
  assert.deepEqual(numbers, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
});

test("lists show the newest version first, page by page, and only what fits the filters", async () => {
  const fixture = await openFixture();
  const { call } = fixture;
  await publish(fixture, "a", { CompatibleRuntimes: ["python3.13"] });
  await publish(fixture, "a", { CompatibleRuntimes: ["nodejs24.x"], CompatibleArchitectures: ["arm64"] });
  await publish(fixture, "a");
  await publish(fixture, "b", { CompatibleRuntimes: ["nodejs24.x"] });

  const numbers = async (input: Record<string, unknown>) => {
    const seen: (number | undefined)[] = [];
    for (let marker: string | undefined, pages = 0; pages === 0 || marker; pages += 1) {
      const listed: ListLayerVersionsResponse = await call("ListLayerVersions", {
        LayerName: "a",
        Marker: marker,
        ...input,
      });
      seen.push(...(listed.LayerVersions ?? []).map(({ Version }) => Version));
      marker = listed.NextMarker;
    }
    return seen;
  };
  assert.deepEqual(await numbers({}), [3, 2, 1]);
  assert.deepEqual(await numbers({ MaxItems: 1 }), [3, 2, 1]);
  assert.deepEqual(await numbers({ CompatibleRuntime: "nodejs24.x" }), [2]);
  assert.deepEqual(await numbers({ CompatibleArchitecture: "x86_64" }), []);

  const layers = async (input: Record<string, unknown>) => {
    const { Layers: listed } = await call<ListLayersResponse>("ListLayers", input);
    return listed?.map((layer) => [
      layer.LayerName,
      layer.LayerArn,
      layer.LatestMatchingVersion?.LayerVersionArn,
    ]);
  };
  assert.deepEqual(await layers({}), [
    ["a", `${LAYER}:a`, `${LAYER}:a:3`],
    ["b", `${LAYER}:b`, `${LAYER}:b:1`],
  ]);
  assert.deepEqual(await layers({ CompatibleRuntime: "nodejs24.x", MaxItems: 1 }), [
    ["a", `${LAYER}:a`, `${LAYER}:a:2`],
  ]);
});

test("what is not there, or no version at all, is refused", async () => {
  const fixture = await openFixture();
  await publish(fixture, "tools");
  const absent = awsError("ResourceNotFoundException", "The resource you requested does not exist.", 404);
  const elsewhere = "arn:aws:lambda:us-east-1:111111111111:layer:tools";
  for (const [operation, input] of [
    ["GetLayerVersion", { LayerName: "tools", VersionNumber: 2 }],
    ["GetLayerVersion", { LayerName: "others", VersionNumber: 1 }],
    ["GetLayerVersion", { LayerName: elsewhere, VersionNumber: 1 }],
    ["GetLayerVersionByArn", { Arn: `${LAYER}:others:1` }],
  ] as const) {
    await assert.rejects(fixture.call(operation, input), absent);
  }
  await assert.rejects(
    fixture.call("GetLayerVersion", { LayerName: "tools", VersionNumber: 0 }),
    awsError("InvalidParameterValueException", "Layer Version Cannot be less than 1.", 400),
  );
  await assert.rejects(
    fixture.call("PublishLayerVersion", { LayerName: "tools", Content: {} }),
    awsError("InvalidParameterValueException", "Please provide a source for function code.", 400),
  );
  for (const LayerName of ["arn::lambda:us-east-1:000000000000:layer:tools", "to:ols"])
    await assert.rejects(
      fixture.call("PublishLayerVersion", { LayerName, Content: {} }),
      awsError(
        "ValidationException",
        new RegExp(`Value '${LayerName}' at 'layerName' failed to satisfy`),
        400,
      ),
    );
});

test("statements are added and removed under the policy's revision", async () => {
  const fixture = await openFixture();
  const { call } = fixture;
  await publish(fixture, "tools");
  const version = { LayerName: "tools", VersionNumber: 1 };
  const statement = { Action: "lambda:GetLayerVersion", Principal: "123456789012", StatementId: "one" };
  const absent = awsError(
    "ResourceNotFoundException",
    "No policy is associated with the given resource.",
    404,
  );
  await assert.rejects(call("GetLayerVersionPolicy", version), absent);

  const added = await call<AddLayerVersionPermissionResponse>("AddLayerVersionPermission", {
    ...version,
    ...statement,
  });
  const first = {
    Sid: "one",
    Effect: "Allow",
    Principal: { AWS: "arn:aws:iam::123456789012:root" },
    Action: "lambda:GetLayerVersion",
    Resource: `${LAYER}:tools:1`,
  };
  assert.deepEqual(JSON.parse(added.Statement ?? ""), first);
  await assert.rejects(
    call("AddLayerVersionPermission", { ...version, ...statement }),
    awsError("ResourceConflictException", /The statement id \(one\) provided already exists/, 409),
  );
  const organization = { ...statement, StatementId: "two", Principal: "*", OrganizationId: "o-a1b2c3d4e5" };
  await assert.rejects(
    call("AddLayerVersionPermission", { ...version, ...organization, RevisionId: "another" }),
    awsError("PreconditionFailedException", /GetLayerPolicy/, 412),
  );
  await call("AddLayerVersionPermission", { ...version, ...organization, RevisionId: added.RevisionId });

  const shown = await call<GetLayerVersionPolicyResponse>("GetLayerVersionPolicy", version);
  assert.deepEqual(JSON.parse(shown.Policy ?? ""), {
    Version: "2012-10-17",
    Id: "default",
    Statement: [
      first,
      {
        ...first,
        Sid: "two",
        Principal: "*",
        Condition: { StringEquals: { "aws:PrincipalOrgID": "o-a1b2c3d4e5" } },
      },
    ],
  });
  for (const StatementId of ["one", "two"]) {
    await call("RemoveLayerVersionPermission", { ...version, StatementId });
  }
  await assert.rejects(call("GetLayerVersionPolicy", version), absent);
  await assert.rejects(
    call("RemoveLayerVersionPermission", { ...version, StatementId: "one" }),
    awsError("ResourceNotFoundException", "Statement one is not found in resource policy.", 404),
  );
  await assert.rejects(
    call("AddLayerVersionPermission", { LayerName: "tools", VersionNumber: 7, ...statement }),
    awsError("ResourceNotFoundException", `Layer version ${LAYER}:tools:7 does not exist.`, 404),
  );
});

test("a policy has a greatest length", async () => {
  const fixture = await openFixture();
  await publish(fixture, "tools");
  const add = (number: number) =>
    fixture.call("AddLayerVersionPermission", {
      LayerName: "tools",
      VersionNumber: 1,
      Action: "lambda:GetLayerVersion",
      Principal: "123456789012",
      StatementId: `${"s".repeat(90)}${number}`,
    });
  let added = 0;
  const full = awsError(
    "PolicyLengthExceededException",
    /^The final policy size \(\d+\) is bigger than the limit \(20480\)\.$/,
    400,
  );
  await assert.rejects(async () => {
    for (; added < 100; added += 1) await add(added);
  }, full);
  assert.ok(added > 50, `${added} statements fit`);
});

test("layers and code are measured together, and count as the account's storage", async () => {
  class GrownBlobs extends FakeBlobs {
    override async unzippedBytes(): Promise<number> {
      return CODE_UNZIPPED_BYTES_MAX / 2;
    }
  }
  const fixture = await openFixture({ blobs: new GrownBlobs() });
  const { call, create } = fixture;
  const { LayerVersionArn: one } = await publish(fixture, "one");
  const { LayerVersionArn: two } = await publish(fixture, "two");
  const { LayerVersionArn: three } = await publish(fixture, "three");
  await create("fits", { Layers: [one] });
  await assert.rejects(
    call("CreateFunction", { ...createInput("f"), Layers: [one, two] }),
    awsError(
      "InvalidParameterValueException",
      "Function code combined with layers exceeds the maximum allowed size of 262144000 bytes. The actual size is 393216000 bytes.",
      400,
    ),
  );
  await assert.rejects(
    call("UpdateFunctionConfiguration", { FunctionName: "fits", Layers: [one, two, three] }),
    awsError(
      "InvalidParameterValueException",
      "Layers consume more than the available size of 262144000 bytes",
      400,
    ),
  );
  const { AccountUsage: usage } = await call<GetAccountSettingsResponse>("GetAccountSettings");
  const zips = ["zip of one", "zip of two", "zip of three", "zip of fits"];
  assert.equal(usage?.TotalCodeSize, zips.join("").length);
});
