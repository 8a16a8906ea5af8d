// Goal: what the service model lets pass and Lambda does not is refused, in Lambda's words; what is taken is shown again.
// Method: CreateFunction and UpdateFunctionConfiguration with one member off at a time.
import { createHash } from "node:crypto";
import assert from "node:assert/strict";
import { test } from "node:test";
import { awsError, createInput, openFixture, type Fixture } from "./fixture.ts";

const UNABLE =
  "Lambda was unable to configure your environment variables because the environment variables you have provided";
const LAYER = "arn:aws:lambda:us-east-1:000000000000:layer:tools";

interface Case {
  readonly what: string;
  readonly members: Record<string, unknown>;
  readonly code: string;
  readonly message: string | RegExp;
  readonly status?: number;
}

const VALIDATION = "1 validation error detected: Value";
const cases: Case[] = [
  {
    what: "little memory",
    members: { MemorySize: 64 },
    code: "ValidationException",
    message: `${VALIDATION} '64' at 'memorySize' failed to satisfy constraint: Member must have value greater than or equal to 128`,
  },
  {
    what: "much memory",
    members: { MemorySize: 10_241 },
    code: "ValidationException",
    message:
      "'MemorySize' value failed to satisfy constraint: Member must have value less than or equal to 10240",
  },
  {
    what: "a timeout of nothing",
    members: { Timeout: 0 },
    code: "ValidationException",
    message: `${VALIDATION} '0' at 'timeout' failed to satisfy constraint: Member must have value greater than or equal to 1`,
  },
  {
    what: "a long timeout",
    members: { Timeout: 901 },
    code: "ValidationException",
    message: `${VALIDATION} '901' at 'timeout' failed to satisfy constraint: Member must have value less than or equal to 900`,
  },
  {
    what: "a small /tmp",
    members: { EphemeralStorage: { Size: 511 } },
    code: "ValidationException",
    message: `${VALIDATION} '511' at 'ephemeralStorage.size' failed to satisfy constraint: Member must have value greater than or equal to 512`,
  },
  {
    what: "a reserved variable",
    members: { Environment: { Variables: { AWS_REGION: "x", MINE: "y", LAMBDA_TASK_ROOT: "z" } } },
    code: "InvalidParameterValueException",
    message: `${UNABLE} contains reserved keys that are currently not supported for modification. Reserved keys used in this request: AWS_REGION, LAMBDA_TASK_ROOT`,
  },
  {
    what: "a variable name with a dash",
    members: { Environment: { Variables: { "A-B": "x" } } },
    code: "ValidationException",
    message: `${VALIDATION} at 'environment.variables' failed to satisfy constraint: Map keys must satisfy constraint: [Member must satisfy regular expression pattern: [a-zA-Z]([a-zA-Z0-9_])+]`,
  },
  {
    what: "5 KB of variables",
    members: { Environment: { Variables: { BIG: "x".repeat(5000) } } },
    code: "InvalidParameterValueException",
    message: `${UNABLE} exceeded the 4KB limit. String measured: {"BIG":"${"x".repeat(5000)}"}`,
  },
  {
    what: "a role that is no ARN",
    members: { Role: "worker" },
    code: "ValidationException",
    message: `${VALIDATION} 'worker' at 'role' failed to satisfy constraint: Member must satisfy regular expression pattern: arn:(aws[a-zA-Z-]*)?:iam::\\d{12}:role/?[a-zA-Z_0-9+=,.@\\-_/]+`,
  },
  {
    what: "a runtime that is no more",
    members: { Runtime: "nodejs12.x" },
    code: "InvalidParameterValueException",
    message:
      "The runtime parameter of nodejs12.x is no longer supported for creating or updating AWS Lambda functions. We recommend you use a supported runtime while creating or updating functions.",
  },
  {
    what: "a runtime that never was",
    members: { Runtime: "cobol60" },
    code: "InvalidParameterValueException",
    message:
      /^Value cobol60 at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: \[nodejs26\.x, .*\] or be a valid ARN$/,
  },
  {
    what: "SnapStart of a runtime without it",
    members: { Runtime: "provided.al2023", SnapStart: { ApplyOn: "PublishedVersions" } },
    code: "InvalidParameterValueException",
    message: "provided.al2023 is not supported for SnapStart enabled functions.",
  },
  {
    what: "a log level with Text logs",
    members: { LoggingConfig: { LogFormat: "Text", SystemLogLevel: "DEBUG" } },
    code: "InvalidParameterValueException",
    message: /^LogLevel is not supported when LogFormat is set to "Text"\./,
  },
  {
    what: "six layers",
    members: { Layers: [1, 2, 3, 4, 5, 6].map((n) => `${LAYER}:${n}`) },
    code: "InvalidParameterValueException",
    message: "Cannot reference more than 5 layers.",
  },
  {
    what: "a layer that is not there",
    members: { Layers: [`${LAYER}:9`] },
    code: "InvalidParameterValueException",
    message: `Layer version ${LAYER}:9 does not exist.`,
  },
  {
    what: "a layer of another Region",
    members: { Layers: ["arn:aws:lambda:eu-west-1:000000000000:layer:tools:1"] },
    code: "InvalidParameterValueException",
    message:
      "Layers are not in the same region as the function. Layers are expected to be in region us-east-1.",
  },
  {
    what: "another account's layer",
    members: { Layers: ["arn:aws:lambda:us-east-1:111111111111:layer:tools:1"] },
    code: "AccessDeniedException",
    message: /lambda:GetLayerVersion/,
  },
  {
    what: "two versions of a layer",
    members: { Layers: [`${LAYER}:1`, `${LAYER}:2`] },
    code: "InvalidParameterValueException",
    message: `Two different versions of the same layer are not allowed to be referenced in the same function. ${LAYER}:1 and ${LAYER}:2 are versions of the same layer.`,
  },
  {
    what: "a layer without its version",
    members: { Layers: [LAYER] },
    code: "ValidationException",
    message:
      /^1 validation error detected: Value '\[arn:aws:lambda:us-east-1:000000000000:layer:tools\]' at 'layers'/,
  },
  {
    what: "a file system",
    members: {
      FileSystemConfigs: [
        { Arn: "arn:aws:elasticfilesystem:us-east-1:0:access-point/x", LocalMountPath: "/mnt/x" },
      ],
    },
    code: "InvalidParameterValueException",
    message: "FileSystemConfigs is not supported by Hornero yet.",
  },
  {
    what: "an image's configuration",
    members: { ImageConfig: { Command: ["x"] } },
    code: "InvalidParameterValueException",
    message: /^Container images are not supported by Hornero yet/,
  },
];

const createOnly: Case[] = [
  {
    what: "two architectures",
    members: { Architectures: ["x86_64", "arm64"] },
    code: "ValidationException",
    message: `${VALIDATION} '[x86_64, arm64]' at 'architectures' failed to satisfy constraint: Member must have length less than or equal to 1`,
  },
  {
    what: "an unknown architecture",
    members: { Architectures: ["riscv"] },
    code: "ValidationException",
    message: `${VALIDATION} '[riscv]' at 'architectures' failed to satisfy constraint: Member must satisfy constraint: [Member must satisfy enum value set: [x86_64, arm64], Member must not be null]`,
  },
  {
    what: "no handler",
    members: { Handler: undefined },
    code: "InvalidParameterValueException",
    message: "Runtime and Handler are mandatory parameters for functions created with deployment packages.",
  },
  {
    what: "no runtime",
    members: { Runtime: undefined },
    code: "InvalidParameterValueException",
    message: "Runtime and Handler are mandatory parameters for functions created with deployment packages.",
  },
  {
    what: "no role",
    members: { Role: undefined },
    code: "ValidationException",
    message: `${VALIDATION} null at 'role' failed to satisfy constraint: Member must not be null`,
  },
  {
    what: "an image",
    members: { PackageType: "Image", Code: { ImageUri: "repository:tag" } },
    code: "InvalidParameterValueException",
    message: /^Container images are not supported by Hornero yet/,
  },
  {
    what: "a signature nobody configured",
    members: { CodeSigningConfigArn: "arn:aws:lambda:us-east-1:000000000000:code-signing-config:csc-1" },
    code: "CodeSigningConfigNotFoundException",
    message: /^The code signing configuration cannot be found/,
    status: 404,
  },
  {
    what: "no code",
    members: { Code: {} },
    code: "InvalidParameterValueException",
    message: "Please provide a source for function code.",
  },
  {
    what: "code from two places",
    members: { Code: { ZipFile: Buffer.from("z"), S3Bucket: "b", S3Key: "k" } },
    code: "InvalidParameterValueException",
    message: "Please do not provide other FunctionCode parameters when providing a ZipFile.",
  },
  {
    what: "an empty zip",
    members: { Code: { ZipFile: Buffer.alloc(0) } },
    code: "InvalidParameterValueException",
    message: "Uploaded file must be a non-empty zip",
  },
  {
    what: "a zip of more than 50 MB",
    members: { Code: { ZipFile: Buffer.alloc(52_428_801) } },
    code: "RequestEntityTooLargeException",
    message: "Zipped size must be smaller than 52428800 bytes",
    status: 413,
  },
  {
    what: "a broken zip",
    members: { Code: { ZipFile: Buffer.from("broken") } },
    code: "InvalidParameterValueException",
    message: "Could not unzip uploaded file. Please check your file, then try to upload again.",
  },
  {
    what: "a bucket that is not there",
    members: { Code: { S3Bucket: "b", S3Key: "k" } },
    code: "InvalidParameterValueException",
    message:
      "Error occurred while GetObject. S3 Error Code: NoSuchBucket. S3 Error Message: The specified bucket does not exist",
  },
  {
    what: "a system tag",
    members: { Tags: { "aws:mine": "x" } },
    code: "InvalidParameterValueException",
    message: "Tag keys starting with 'aws:' are reserved for system use.",
  },
  {
    what: "51 tags",
    members: { Tags: Object.fromEntries(Array.from({ length: 51 }, (_, n) => [`t${n}`, ""])) },
    code: "InvalidParameterValueException",
    message: "Number of tags exceeds resource tag limit.",
  },
];

/** The content of each version of the layer. */
const LAYER_ZIP = Buffer.alloc(77, "layer");

/** A control room where versions 1 to 6 of one layer exist. */
async function openWithLayer(): Promise<Fixture> {
  const fixture = await openFixture();
  for (let version = 1; version <= 6; version += 1) {
    await fixture.call("PublishLayerVersion", { LayerName: "tools", Content: { ZipFile: LAYER_ZIP } });
  }
  return fixture;
}

for (const { what, members, code, message, status } of [...cases, ...createOnly]) {
  test(`CreateFunction refuses ${what}`, async () => {
    const { call } = await openWithLayer();
    await assert.rejects(
      call("CreateFunction", { ...createInput("f"), ...members }),
      awsError(code, message, status),
    );
    await assert.rejects(
      call("GetFunction", { FunctionName: "f" }),
      awsError("ResourceNotFoundException", /./),
    );
  });
}

for (const { what, members, code, message, status } of cases) {
  test(`UpdateFunctionConfiguration refuses ${what}, and changes nothing`, async () => {
    const { call, create, settled } = await openWithLayer();
    const before = await create("f");
    await assert.rejects(
      call("UpdateFunctionConfiguration", { FunctionName: "f", ...members }),
      awsError(code, message, status),
    );
    assert.deepEqual(await settled("f"), before);
  });
}

test("what can be kept is shown again, and reaches invocation", async () => {
  const { create, control } = await openWithLayer();
  const shown = await create("f", {
    Description: "a function",
    MemorySize: 10_240,
    Timeout: 900,
    EphemeralStorage: { Size: 10_240 },
    Environment: { Variables: { KEY: "value" } },
    Layers: [`${LAYER}:1`],
    LoggingConfig: { LogFormat: "JSON", ApplicationLogLevel: "WARN", LogGroup: "/mine" },
    TracingConfig: { Mode: "Active" },
    DeadLetterConfig: { TargetArn: "arn:aws:sqs:us-east-1:000000000000:dead" },
    KMSKeyArn: "arn:aws:kms:us-east-1:000000000000:key/1",
    VpcConfig: { SubnetIds: ["subnet-1"], SecurityGroupIds: ["sg-1"] },
  });
  assert.equal(shown.Description, "a function");
  assert.deepEqual(shown.Environment, { Variables: { KEY: "value" } });
  assert.deepEqual(shown.Layers, [{ Arn: `${LAYER}:1`, CodeSize: 77 }]);
  assert.deepEqual(shown.LoggingConfig, {
    LogFormat: "JSON",
    ApplicationLogLevel: "WARN",
    SystemLogLevel: "INFO",
    LogGroup: "/mine",
  });
  assert.deepEqual(shown.DeadLetterConfig, { TargetArn: "arn:aws:sqs:us-east-1:000000000000:dead" });
  assert.equal(shown.KMSKeyArn, "arn:aws:kms:us-east-1:000000000000:key/1");
  assert.deepEqual(shown.VpcConfig, {
    VpcId: "",
    SubnetIds: ["subnet-1"],
    SecurityGroupIds: ["sg-1"],
    Ipv6AllowedForDualStack: false,
  });
  const version = control.directory.resolve("f", undefined);
  assert.equal(version.memoryMb, 10_240);
  assert.equal(version.timeoutMs, 900_000);
  assert.equal(version.ephemeralStorageMb, 10_240);
  assert.equal(version.tracingMode, "Active");
  assert.deepEqual(version.layerSha256Hex, [createHash("sha256").update(LAYER_ZIP).digest("hex")]);
  assert.deepEqual(version.logging, {
    format: "JSON",
    applicationLevel: "WARN",
    systemLevel: "INFO",
    group: "/mine",
  });
});

test("an update keeps what it leaves out and removes what it empties", async () => {
  const { call, create, settled } = await openWithLayer();
  await create("f", {
    Layers: [`${LAYER}:1`],
    Environment: { Variables: { KEY: "value" } },
    DeadLetterConfig: { TargetArn: "arn:aws:sqs:us-east-1:000000000000:dead" },
    VpcConfig: { SubnetIds: ["subnet-1"], SecurityGroupIds: ["sg-1"] },
    LoggingConfig: { LogFormat: "JSON" },
  });
  await call("UpdateFunctionConfiguration", { FunctionName: "f", Timeout: 7 });
  const kept = await settled("f");
  assert.equal(kept.Timeout, 7);
  assert.equal(kept.Layers?.length, 1);
  assert.deepEqual(kept.Environment, { Variables: { KEY: "value" } });
  await call("UpdateFunctionConfiguration", {
    FunctionName: "f",
    Layers: [],
    Environment: { Variables: {} },
    DeadLetterConfig: { TargetArn: "" },
    VpcConfig: { SubnetIds: [], SecurityGroupIds: [] },
    LoggingConfig: { LogFormat: "Text" },
  });
  const emptied = await settled("f");
  for (const member of ["Layers", "Environment", "DeadLetterConfig", "VpcConfig"] as const) {
    assert.equal(emptied[member], undefined, member);
  }
  assert.equal(emptied.LoggingConfig?.ApplicationLogLevel, undefined);
});

test("a role that cannot be assumed is refused by the role checker", async () => {
  const { call } = await openFixture({
    roles: { check: (arn) => Promise.reject(new RangeError(arn)), roleMay: () => true },
  });
  await assert.rejects(call("CreateFunction", createInput("f")), RangeError);
});

test("another architecture than the host's is taken, and marked", async () => {
  const { create } = await openFixture();
  const foreign = process.arch === "arm64" ? "x86_64" : "arm64";
  const shown = await create("f", { Architectures: [foreign] });
  assert.equal(shown.State, "Active");
  assert.deepEqual(shown.Architectures, [foreign]);
  assert.match(shown.StateReason ?? "", new RegExp(`asks for ${foreign}; this host runs it on `));
});
