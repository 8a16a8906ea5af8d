/**
 * Goal: layers through AWS's SDK for JavaScript: published, listed, downloaded, shared, deleted; and what functions see of them.
 * Method: the SDK's client against a real server; functions of Node.js and Python load modules from layers at /opt.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, before, describe, test } from "node:test";
import * as L from "@aws-sdk/client-lambda";
import { call, deploy, runtimesAtHand, sharedRuntimes } from "../support/functions.ts";
import { startTestServer, zipOf, type TestServer } from "../support/server.ts";

const LAYER = "arn:aws:lambda:us-east-1:000000000000:layer";

let server: TestServer;
let lambda: L.LambdaClient;
before(async () => {
  server = await startTestServer({ args: [...sharedRuntimes] });
  lambda = server.lambda();
});
after(() => server.stop());

async function publish(name: string, files: Record<string, string>): Promise<string> {
  const { LayerVersionArn: arn } = await lambda.send(
    new L.PublishLayerVersionCommand({ LayerName: name, Content: { ZipFile: zipOf(files) } }),
  );
  assert.ok(arn);
  return arn;
}

describe("layer versions", () => {
  test("a version is published, got, listed, downloaded and deleted", async () => {
    const zip = zipOf({ "nodejs/node_modules/greet/index.js": "module.exports = () => 'hello';" });
    const published = await lambda.send(
      new L.PublishLayerVersionCommand({
        LayerName: "greetings",
        Description: "says hello",
        Content: { ZipFile: zip },
        CompatibleRuntimes: ["nodejs24.x"],
        CompatibleArchitectures: ["x86_64"],
        LicenseInfo: "Apache-2.0",
      }),
    );
    assert.equal(published.$metadata.httpStatusCode, 201);
    assert.equal(published.LayerVersionArn, `${LAYER}:greetings:1`);
    assert.equal(published.Content?.CodeSha256, createHash("sha256").update(zip).digest("base64"));

    const got = await lambda.send(new L.GetLayerVersionCommand({ LayerName: "greetings", VersionNumber: 1 }));
    assert.deepEqual(
      { ...got, $metadata: undefined, Content: undefined },
      {
        ...published,
        $metadata: undefined,
        Content: undefined,
      },
    );
    const byArn = await lambda.send(new L.GetLayerVersionByArnCommand({ Arn: `${LAYER}:greetings:1` }));
    assert.equal(byArn.Description, "says hello");
    const download = await fetch(got.Content?.Location ?? "");
    assert.deepEqual(Buffer.from(await download.arrayBuffer()), Buffer.from(zip));

    const { Layers: layers } = await lambda.send(new L.ListLayersCommand({}));
    assert.equal(layers?.find((each) => each.LayerName === "greetings")?.LatestMatchingVersion?.Version, 1);
    const versions: (number | undefined)[] = [];
    for await (const page of L.paginateListLayerVersions({ client: lambda }, { LayerName: "greetings" })) {
      versions.push(...(page.LayerVersions ?? []).map(({ Version }) => Version));
    }
    assert.deepEqual(versions, [1]);

    await lambda.send(new L.DeleteLayerVersionCommand({ LayerName: "greetings", VersionNumber: 1 }));
    await assert.rejects(
      lambda.send(new L.GetLayerVersionCommand({ LayerName: "greetings", VersionNumber: 1 })),
      (error: unknown) =>
        error instanceof L.ResourceNotFoundException &&
        error.message === "The resource you requested does not exist.",
    );
  });

  test("permissions are added, shown and removed; what the service model forbids is refused", async () => {
    await publish("shared", { "file.txt": "shared" });
    const version = { LayerName: "shared", VersionNumber: 1 };
    const added = await lambda.send(
      new L.AddLayerVersionPermissionCommand({
        ...version,
        StatementId: "everybody",
        Action: "lambda:GetLayerVersion",
        Principal: "*",
      }),
    );
    assert.equal(added.$metadata.httpStatusCode, 201);
    const shown = await lambda.send(new L.GetLayerVersionPolicyCommand(version));
    assert.equal(shown.RevisionId, added.RevisionId);
    assert.deepEqual(JSON.parse(shown.Policy ?? "").Statement, [JSON.parse(added.Statement ?? "")]);
    await lambda.send(new L.RemoveLayerVersionPermissionCommand({ ...version, StatementId: "everybody" }));
    await assert.rejects(
      lambda.send(new L.GetLayerVersionPolicyCommand(version)),
      L.ResourceNotFoundException,
    );
    await assert.rejects(
      lambda.send(
        new L.AddLayerVersionPermissionCommand({
          ...version,
          StatementId: "wrong",
          Action: "lambda:InvokeFunction",
          Principal: "*",
        }),
      ),
      /'action' failed to satisfy constraint: Member must satisfy regular expression pattern: lambda:GetLayerVersion/,
    );
  });
});

describe("functions with layers", () => {
  test("Node.js finds modules of layers, later layers win, and a deleted version goes on working", async () => {
    const older = await publish("lower", {
      "nodejs/node_modules/greet/index.js": "module.exports = 'from the lower layer';",
      "lower.txt": "only in the lower layer",
    });
    const newer = await publish("upper", {
      "nodejs/node_modules/greet/index.js": "module.exports = 'from the upper layer';",
    });
    const source = `const { readFileSync } = require("node:fs");
      exports.handler = async () => [require("greet"), readFileSync("/opt/lower.txt", "utf8")];`;
    await deploy(lambda, "layered", { files: { "index.js": source }, Layers: [older, newer] });
    const { Configuration: shown } = await lambda.send(new L.GetFunctionCommand({ FunctionName: "layered" }));
    assert.deepEqual(
      shown?.Layers?.map(({ Arn }) => Arn),
      [older, newer],
    );
    assert.deepEqual((await call(lambda, "layered")).body, [
      "from the upper layer",
      "only in the lower layer",
    ]);

    await lambda.send(new L.DeleteLayerVersionCommand({ LayerName: "upper", VersionNumber: 1 }));
    // A new environment: nothing of the one before answers.
    await lambda.send(
      new L.UpdateFunctionConfigurationCommand({ FunctionName: "layered", Description: "again" }),
    );
    await L.waitUntilFunctionUpdatedV2(
      { client: lambda, maxWaitTime: 60, minDelay: 0.05, maxDelay: 0.2 },
      { FunctionName: "layered" },
    );
    assert.deepEqual((await call(lambda, "layered")).body, [
      "from the upper layer",
      "only in the lower layer",
    ]);
  });

  test("Python finds modules of layers; a function may not name a layer that is not there", async (t) => {
    const [runtime] = await runtimesAtHand("python");
    if (runtime === undefined) return t.skip("no Python on this machine");
    const layer = await publish("snake", { "python/greet.py": "WORDS = 'from the layer'\n" });
    await deploy(lambda, "snaky", {
      files: { "app.py": "import greet\ndef handler(event, context):\n    return greet.WORDS\n" },
      Runtime: runtime,
      Handler: "app.handler",
      Layers: [layer],
    });
    assert.equal((await call(lambda, "snaky")).body, "from the layer");
    await assert.rejects(
      lambda.send(
        new L.UpdateFunctionConfigurationCommand({ FunctionName: "snaky", Layers: [`${LAYER}:snake:2`] }),
      ),
      (error: unknown) =>
        error instanceof L.InvalidParameterValueException &&
        error.message === `Layer version ${LAYER}:snake:2 does not exist.`,
    );
  });
});
