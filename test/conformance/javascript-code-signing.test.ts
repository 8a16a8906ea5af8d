/**
 * Goal: code signing through AWS's SDK for JavaScript: the nine operations, and what signed and unsigned code meets with each policy.
 * Method: the SDK's client against a real server; profiles registered and zips signed by the command line, as an operator does it.
 */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { CloudWatchClient, GetMetricStatisticsCommand } from "@aws-sdk/client-cloudwatch";
import * as L from "@aws-sdk/client-lambda";
import { DAY_MS, newIdentity, type Identity } from "../../src/lambda/signing/testing.ts";
import { hornero } from "../support/cli.ts";
import { call, eventually, sharedRuntimes } from "../support/functions.ts";
import { ROLE, startTestServer, zipOf, type TestServer } from "../support/server.ts";

const GONE = "arn:aws:lambda:us-east-1:000000000000:code-signing-config:csc-00000000000000000";
const FUNCTION = "arn:aws:lambda:us-east-1:000000000000:function";
const REFUSED =
  /^Lambda cannot deploy the function\. The function or layer might be signed using a signature/;

let server: TestServer;
let lambda: L.LambdaClient;
let folder: string;
let profile: string;
const path = (name: string) => join(folder, name);
before(async () => {
  folder = mkdtempSync(join(tmpdir(), "hornero-signing-"));
  server = await startTestServer({ args: [...sharedRuntimes] });
  lambda = server.lambda();
  const validity = { validFromMs: Date.now() - DAY_MS, validToMs: Date.now() + DAY_MS };
  write("acme", newIdentity("acme", validity));
  write("stranger", newIdentity("stranger", validity));
  profile = (await cli("signing-profile", "add", "acme", path("acme.pem"))).trim();
});
after(async () => {
  await server.stop();
  rmSync(folder, { recursive: true });
});

function write(name: string, { key, certificate }: Identity): void {
  writeFileSync(path(`${name}.key`), key.export({ type: "pkcs8", format: "pem" }));
  writeFileSync(path(`${name}.pem`), certificate.toString());
}

async function cli(...args: string[]): Promise<string> {
  const ran = await hornero(args, { data: server.dataDirectory });
  assert.equal(ran.code, 0, ran.stderr);
  return ran.stdout;
}

const code = (answer: number) => zipOf({ "index.js": `exports.handler = async () => ${answer};` });

interface Signed {
  readonly zip: Uint8Array;
  readonly jobArn: string;
}

async function signed(zip: Uint8Array, ...more: string[]): Promise<Signed> {
  writeFileSync(path("code.zip"), zip);
  const args = ["--profile", "acme", "--key", path("acme.key"), "--json", ...more];
  const { jobArn } = JSON.parse(await cli("sign", path("code.zip"), ...args)) as { jobArn: string };
  return { zip: readFileSync(path("code.zip")), jobArn };
}

async function config(policy: L.CodeSigningPolicy, publishers = [profile]): Promise<string> {
  const { CodeSigningConfig: made } = await lambda.send(
    new L.CreateCodeSigningConfigCommand({
      AllowedPublishers: { SigningProfileVersionArns: publishers },
      CodeSigningPolicies: { UntrustedArtifactOnDeployment: policy },
    }),
  );
  assert.ok(made?.CodeSigningConfigArn);
  return made.CodeSigningConfigArn;
}

async function create(name: string, zip: Uint8Array, arn: string): Promise<L.FunctionConfiguration> {
  const made = await lambda.send(
    new L.CreateFunctionCommand({
      FunctionName: name,
      Runtime: "nodejs24.x",
      Handler: "index.handler",
      Role: ROLE,
      Code: { ZipFile: zip },
      CodeSigningConfigArn: arn,
    }),
  );
  await L.waitUntilFunctionActiveV2({ client: lambda, maxWaitTime: 30, minDelay: 1 }, { FunctionName: name });
  return made;
}

function is(type: new (options: never) => Error, message: RegExp): (error: unknown) => boolean {
  return (error) => {
    if (!(error instanceof type)) throw error;
    assert.match(error.message, message);
    return true;
  };
}

describe("code signing configurations", () => {
  test("are created, got, updated, tagged, listed and deleted", async () => {
    const made = await lambda.send(
      new L.CreateCodeSigningConfigCommand({
        Description: "ours",
        AllowedPublishers: { SigningProfileVersionArns: [profile] },
        Tags: { team: "a" },
      }),
    );
    assert.equal(made.$metadata.httpStatusCode, 201);
    const arn = made.CodeSigningConfig?.CodeSigningConfigArn;
    assert.match(made.CodeSigningConfig?.CodeSigningConfigId ?? "", /^csc-[0-9a-f]{17}$/);
    const names = { CodeSigningConfigArn: arn };
    const got = await lambda.send(new L.GetCodeSigningConfigCommand(names));
    assert.deepEqual(got.CodeSigningConfig, made.CodeSigningConfig);
    assert.deepEqual(got.CodeSigningConfig?.CodeSigningPolicies, { UntrustedArtifactOnDeployment: "Warn" });
    const updated = await lambda.send(
      new L.UpdateCodeSigningConfigCommand({
        ...names,
        CodeSigningPolicies: { UntrustedArtifactOnDeployment: "Enforce" },
      }),
    );
    assert.equal(updated.CodeSigningConfig?.Description, "ours");
    assert.deepEqual(updated.CodeSigningConfig?.CodeSigningPolicies, {
      UntrustedArtifactOnDeployment: "Enforce",
    });
    await lambda.send(new L.TagResourceCommand({ Resource: arn, Tags: { stage: "test" } }));
    await lambda.send(new L.UntagResourceCommand({ Resource: arn, TagKeys: ["team"] }));
    const { Tags: tags } = await lambda.send(new L.ListTagsCommand({ Resource: arn }));
    assert.deepEqual(tags, { stage: "test" });
    const listed: (string | undefined)[] = [];
    await config("Warn");
    const pages = L.paginateListCodeSigningConfigs({ client: lambda, pageSize: 1 }, {});
    for await (const page of pages)
      listed.push(...(page.CodeSigningConfigs ?? []).map((each) => each.CodeSigningConfigArn));
    assert.ok(listed.includes(arn) && listed.length >= 2);
    const deleted = await lambda.send(new L.DeleteCodeSigningConfigCommand(names));
    assert.equal(deleted.$metadata.httpStatusCode, 204);
    const missing = is(
      L.ResourceNotFoundException,
      /^The Lambda code signing configuration .* can not be found\.$/,
    );
    await assert.rejects(lambda.send(new L.GetCodeSigningConfigCommand(names)), missing);
    await assert.rejects(lambda.send(new L.UpdateCodeSigningConfigCommand(names)), missing);
    await assert.rejects(lambda.send(new L.DeleteCodeSigningConfigCommand(names)), missing);
    await assert.rejects(lambda.send(new L.ListFunctionsByCodeSigningConfigCommand(names)), missing);
  });

  test("what the service model forbids is refused", async () => {
    const make = (...SigningProfileVersionArns: string[]) =>
      lambda.send(new L.CreateCodeSigningConfigCommand({ AllowedPublishers: { SigningProfileVersionArns } }));
    const invalid = (error: unknown) => error instanceof Error && /validation error/.test(error.message);
    await assert.rejects(make(), invalid);
    await assert.rejects(make(...Array.from({ length: 21 }, () => profile)), invalid);
    await assert.rejects(make("no ARN"), invalid);
    const arn = GONE.replace("csc-", "nope-");
    await assert.rejects(
      lambda.send(new L.GetCodeSigningConfigCommand({ CodeSigningConfigArn: arn })),
      invalid,
    );
  });

  test("are put to functions, shown, and kept while a function has them", async () => {
    const arn = await config("Warn");
    await create("kept", code(1), arn);
    const names = { FunctionName: "kept" };
    const shown = { FunctionName: "kept", CodeSigningConfigArn: arn };
    const get = async () => {
      const { $metadata: _, ...rest } = await lambda.send(new L.GetFunctionCodeSigningConfigCommand(names));
      return rest;
    };
    assert.deepEqual(await get(), shown);
    const users = await lambda.send(
      new L.ListFunctionsByCodeSigningConfigCommand({ CodeSigningConfigArn: arn }),
    );
    assert.deepEqual(users.FunctionArns, [`${FUNCTION}:kept`]);
    const remove = () => lambda.send(new L.DeleteCodeSigningConfigCommand({ CodeSigningConfigArn: arn }));
    await assert.rejects(remove(), is(L.ResourceConflictException, /functions use it/));
    const taken = await lambda.send(new L.DeleteFunctionCodeSigningConfigCommand(names));
    assert.equal(taken.$metadata.httpStatusCode, 204);
    assert.deepEqual(await get(), {});
    const { $metadata: metadata, ...put } = await lambda.send(
      new L.PutFunctionCodeSigningConfigCommand({ ...names, CodeSigningConfigArn: arn }),
    );
    assert.equal(metadata.httpStatusCode, 200);
    assert.deepEqual(put, shown);
    await lambda.send(new L.DeleteFunctionCommand(names));
    await remove();
    const missing = is(L.ResourceNotFoundException, /^Function not found/);
    await assert.rejects(get(), missing);
    await assert.rejects(lambda.send(new L.DeleteFunctionCodeSigningConfigCommand(names)), missing);
    const again = new L.PutFunctionCodeSigningConfigCommand({ ...names, CodeSigningConfigArn: arn });
    await assert.rejects(
      lambda.send(again),
      is(L.CodeSigningConfigNotFoundException, /^The code signing configuration cannot be found/),
    );
    await assert.rejects(
      create("none", code(1), GONE),
      is(L.CodeSigningConfigNotFoundException, /cannot be found/),
    );
  });
});

describe("code", () => {
  test("that is signed is deployed under Enforce and runs; what is not, or was changed, is not", async () => {
    const arn = await config("Enforce");
    const { zip, jobArn } = await signed(code(1));
    const made = await create("enforced", zip, arn);
    assert.equal(made.SigningProfileVersionArn, profile);
    assert.equal(made.SigningJobArn, jobArn);
    assert.deepEqual((await call(lambda, "enforced")).body, 1);
    const update = (ZipFile: Uint8Array) =>
      lambda.send(new L.UpdateFunctionCodeCommand({ FunctionName: "enforced", ZipFile }));
    await assert.rejects(update(code(2)), is(L.CodeVerificationFailedException, REFUSED));
    const changed = Buffer.from(zip);
    // The name of the file, in its two places.
    changed[changed.indexOf("index.js")] = "I".charCodeAt(0);
    changed[changed.lastIndexOf("index.js")] = "I".charCodeAt(0);
    await assert.rejects(update(changed), is(L.InvalidCodeSignatureException, /failed the integrity check/));
    const other = await signed(code(3));
    assert.equal((await update(other.zip)).SigningJobArn, other.jobArn);
    await L.waitUntilFunctionUpdatedV2(
      { client: lambda, maxWaitTime: 30, minDelay: 1 },
      { FunctionName: "enforced" },
    );
    assert.deepEqual((await call(lambda, "enforced")).body, 3);
  });

  test("that is not signed is deployed under Warn, with a metric and a line in the server's log", async () => {
    await create("warned", code(1), await config("Warn"));
    assert.match(server.stderr(), /code was deployed despite its signature.*warned.*not signed/s);
    const { endpoint, region, accessKeyId, secretAccessKey } = server.file;
    const cloudwatch = new CloudWatchClient({
      endpoint,
      region,
      credentials: { accessKeyId, secretAccessKey },
    });
    try {
      const sum = await eventually("the metric", async () => {
        const { Datapoints: points } = await cloudwatch.send(
          new GetMetricStatisticsCommand({
            Namespace: "AWS/Lambda",
            MetricName: "SignatureValidationErrors",
            Dimensions: [{ Name: "FunctionName", Value: "warned" }],
            StartTime: new Date(Date.now() - DAY_MS),
            EndTime: new Date(Date.now() + DAY_MS),
            Period: 86_400,
            Statistics: ["Sum"],
          }),
        );
        return points?.[0]?.Sum;
      });
      assert.equal(sum, 1);
    } finally {
      cloudwatch.destroy();
    }
  });

  test("of a profile that is not allowed, expired or revoked is refused under Enforce", async () => {
    const { zip, jobArn } = await signed(code(1));
    const others = await config("Enforce", [profile.replace("/acme/", "/other/")]);
    const refused = is(L.CodeVerificationFailedException, REFUSED);
    await assert.rejects(create("mismatched", zip, others), refused);
    const arn = await config("Enforce");
    await cli("signing-profile", "revoke", "acme", "--job", jobArn);
    await assert.rejects(create("revoked", zip, arn), refused);
    const next = await signed(code(1));
    await create("fine", next.zip, arn);
    const later = (await cli("signing-profile", "add", "later", path("acme.pem"))).trim();
    const strict = await config("Enforce", [later]);
    const { zip: byLater } = await signed(code(1), "--profile", "later");
    await create("later", byLater, strict);
    await cli("signing-profile", "revoke", later);
    await assert.rejects(create("no-more", byLater, strict), refused);
  });

  test("in layers is held to the configuration of the function", async () => {
    const { zip, jobArn } = await signed(
      zipOf({ "nodejs/node_modules/one/index.js": "module.exports = 1;" }),
    );
    const publish = (ZipFile: Uint8Array) =>
      lambda.send(new L.PublishLayerVersionCommand({ LayerName: "signed", Content: { ZipFile } }));
    const good = await publish(zip);
    assert.equal(good.Content?.SigningProfileVersionArn, profile);
    assert.equal(good.Content?.SigningJobArn, jobArn);
    const plain = await publish(code(1));
    await create("layered", (await signed(code(1))).zip, await config("Enforce"));
    const give = (Layers: (string | undefined)[]) =>
      lambda.send(
        new L.UpdateFunctionConfigurationCommand({
          FunctionName: "layered",
          Layers: Layers.filter((arn) => arn !== undefined),
        }),
      );
    await assert.rejects(give([plain.LayerVersionArn]), is(L.CodeVerificationFailedException, REFUSED));
    const { Layers: layers } = await give([good.LayerVersionArn]);
    assert.equal(layers?.[0]?.SigningJobArn, jobArn);
  });
});

describe("hornero sign", () => {
  test("says what it cannot sign with", async () => {
    const zip = Buffer.from(code(1));
    writeFileSync(path("code.zip"), zip);
    const sign = (...args: string[]) =>
      hornero(["sign", path("code.zip"), ...args], { data: server.dataDirectory });
    const rows: [number, RegExp, ...string[]][] = [
      [1, /no certificate belongs to the private key/, "--profile", "acme", "--key", path("stranger.key")],
      [
        1,
        /no certificate of the profile vouches/,
        "--profile",
        "acme",
        "--key",
        path("stranger.key"),
        "--certificate",
        path("stranger.pem"),
      ],
      [1, /there is no signing profile nobody/, "--profile", "nobody", "--key", path("acme.key")],
      [1, /cannot read a private key/, "--profile", "acme", "--key", path("acme.pem")],
      [2, /whole number/, "--profile", "acme", "--key", path("acme.key"), "--days", "x"],
    ];
    for (const [status, message, ...args] of rows) {
      const ran = await sign(...args);
      assert.match(ran.stderr, message);
      assert.equal(ran.code, status);
    }
    assert.deepEqual(readFileSync(path("code.zip")), zip);
  });

  test("a profile that is listed tells what was revoked of it", async () => {
    const arn = (await cli("signing-profile", "add", "listed", path("acme.pem"))).trim();
    await cli("signing-profile", "revoke", arn, "--since", "2026-01-01T00:00:00Z");
    assert.match(await cli("signing-profile", "ls"), new RegExp(`${arn} .* since 2026-01-01 00:00:00`));
    const listed = JSON.parse(await cli("signing-profile", "ls", "--json")) as { arn: string }[];
    assert.ok(listed.some((each) => each.arn === arn));
  });
});
