/**
 * Goal: constraints are told in the words of AWS's services, so that tools that read them work.
 * Method: a table of inputs with the messages that AWS gives for them, through the real models.
 */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { AwsError } from "../errors.ts";
import type { ServiceModel } from "./models/shapes.ts";
import { loadModel } from "./models/load.ts";
import { compileValidation } from "./validate.ts";

function errorOf(
  model: ServiceModel,
  operation: string,
  input: Record<string, unknown>,
): AwsError | undefined {
  const found = model.operation(operation);
  assert(found);
  try {
    compileValidation(found)(input);
  } catch (error) {
    assert(error instanceof AwsError);
    return error;
  }
  return undefined;
}

const function1 = { FunctionName: "f", Role: "arn:aws:iam::000000000000:role/r", Code: {} };
const LAYER =
  "((arn:(aws[a-zA-Z-]*)?:lambda:(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1}:\\d{12}:layer:[a-zA-Z0-9-_]+:[0-9]+)|(arn:[a-zA-Z0-9-]+:lambda:::awslayer:[a-zA-Z0-9-_]+))";

/** Service, operation, input, and what stands behind `N validation errors detected: `. */
const ROWS: [service: string, operation: string, input: Record<string, unknown>, issues: string[]][] = [
  [
    "lambda",
    "CreateFunction",
    { ...function1, Role: undefined },
    ["Value null at 'role' failed to satisfy constraint: Member must not be null"],
  ],
  [
    "lambda",
    "GetFunction",
    { FunctionName: "a".repeat(257) },
    [
      `Value '${"a".repeat(257)}' at 'functionName' failed to satisfy constraint: Member must have length less than or equal to 256`,
    ],
  ],
  [
    "dynamodb",
    "ExportTableToPointInTime",
    { TableArn: "", S3Bucket: "bucket" },
    [
      "Value '' at 'tableArn' failed to satisfy constraint: Member must have length greater than or equal to 1",
    ],
  ],
  [
    "lambda",
    "Invoke",
    { FunctionName: "f", InvocationType: "Sometimes" },
    [
      "Value 'Sometimes' at 'invocationType' failed to satisfy constraint: Member must satisfy enum value set: [Event, RequestResponse, DryRun]",
    ],
  ],
  [
    "lambda",
    "CreateFunction",
    { ...function1, MemorySize: 127 },
    [
      "Value '127' at 'memorySize' failed to satisfy constraint: Member must have value greater than or equal to 128",
    ],
  ],
  [
    "lambda",
    "CreateFunction",
    { ...function1, EphemeralStorage: { Size: 99_999 } },
    [
      "Value '99999' at 'ephemeralStorage.size' failed to satisfy constraint: Member must have value less than or equal to 32768",
    ],
  ],
  [
    "lambda",
    "CreateFunction",
    { ...function1, Environment: { Variables: { "1": "x" } } },
    [
      "Value at 'environment.variables' failed to satisfy constraint: Map keys must satisfy constraint: [Member must satisfy regular expression pattern: [a-zA-Z]([a-zA-Z0-9_])+]",
    ],
  ],
  [
    "lambda",
    "CreateFunction",
    { ...function1, Environment: { Variables: { abc: null } } },
    [
      "Value at 'environment.variables' failed to satisfy constraint: Map value must satisfy constraint: [Member must not be null]",
    ],
  ],
  [
    "lambda",
    "CreateFunction",
    { ...function1, Architectures: ["foo"] },
    [
      "Value '[foo]' at 'architectures' failed to satisfy constraint: Member must satisfy constraint: [Member must satisfy enum value set: [x86_64, arm64], Member must not be null]",
    ],
  ],
  [
    "lambda",
    "CreateFunction",
    { ...function1, Architectures: ["x86_64", "arm64"] },
    [
      "Value '[x86_64, arm64]' at 'architectures' failed to satisfy constraint: Member must have length less than or equal to 1",
    ],
  ],
  [
    "lambda",
    "CreateFunction",
    { ...function1, Layers: ["foo"] },
    [
      `Value '[foo]' at 'layers' failed to satisfy constraint: Member must satisfy constraint: [Member must have length less than or equal to 2048, Member must have length greater than or equal to 1, Member must satisfy regular expression pattern: ${LAYER}, Member must not be null]`,
    ],
  ],
  [
    "lambda",
    "CreateAlias",
    {
      FunctionName: "f",
      Name: "a",
      FunctionVersion: "1",
      RoutingConfig: { AdditionalVersionWeights: { x: 0.5 } },
    },
    [
      "Value '{x=0.5}' at 'routingConfig.additionalVersionWeights' failed to satisfy constraint: Map keys must satisfy constraint: [Member must have length less than or equal to 1024, Member must have length greater than or equal to 1, Member must satisfy regular expression pattern: [0-9]+]",
    ],
  ],
  [
    "iam",
    "CreateUser",
    {
      UserName: "u",
      Tags: [
        { Key: "ok", Value: "v" },
        { Key: "a#", Value: "v" },
      ],
    },
    [
      "Value 'a#' at 'tags.2.member.key' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]+",
    ],
  ],
  [
    "kinesis",
    "PutRecord",
    { StreamName: "s", PartitionKey: "", Data: Buffer.from("x") },
    [
      "Value '' at 'partitionKey' failed to satisfy constraint: Member must have length greater than or equal to 1",
    ],
  ],
  [
    "logs",
    "CreateLogStream",
    { logGroupName: "a b", logStreamName: "" },
    [
      "Value 'a b' at 'logGroupName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\.\\-_/#A-Za-z0-9]+",
      "Value '' at 'logStreamName' failed to satisfy constraint: Member must have length greater than or equal to 1",
    ],
  ],
];

describe("constraints in AWS's words", () => {
  for (const [service, operation, input, issues] of ROWS) {
    it(`${service} ${operation}: ${issues[0]?.slice(0, 90)}`, () => {
      const error = errorOf(loadModel(service), operation, input);
      const noun = issues.length === 1 ? "validation error" : "validation errors";
      assert.equal(error?.message, `${issues.length} ${noun} detected: ${issues.join("; ")}`);
      assert.equal(error.code, service === "logs" ? "InvalidParameterException" : "ValidationException");
      assert.equal(error.status, 400);
    });
  }

  it("a blob is told as Java prints it", () => {
    const error = errorOf(loadModel("kinesis"), "PutRecord", {
      StreamName: "s",
      PartitionKey: "k",
      Data: Buffer.alloc(10_485_761),
    });
    assert.match(
      error?.message ?? "",
      /Value 'java\.nio\.HeapByteBuffer\[pos=0 lim=10485761 cap=10485761\]' at 'data' failed to satisfy constraint: Member must have length less than or equal to 10485760$/,
    );
  });

  it("an unknown runtime has words and a code of its own, and comes after the model's constraints", () => {
    const lambda = loadModel("lambda");
    const error = errorOf(lambda, "CreateFunction", { ...function1, Runtime: "cobol85" });
    assert.equal(error?.code, "InvalidParameterValueException");
    assert.match(
      error.message,
      /^Value cobol85 at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: \[nodejs, .*\] or be a valid ARN$/,
    );
    const both = errorOf(lambda, "CreateFunction", { ...function1, Runtime: "cobol85", MemorySize: 1 });
    assert.equal(both?.code, "ValidationException");
    assert.match(both.message, /^1 validation error detected: Value '1' at 'memorySize'/);
  });

  it("counts every issue and lists ten", () => {
    const tags = Array.from({ length: 12 }, () => ({ Key: "#", Value: "v" }));
    const error = errorOf(loadModel("iam"), "CreateUser", { UserName: "u", Tags: tags });
    assert.match(error?.message ?? "", /^12 validation errors detected: /);
    assert.equal(error?.message.split("; ").length, 10);
  });

  it("cuts a long value", () => {
    const error = errorOf(loadModel("lambda"), "GetFunction", { FunctionName: "a".repeat(1_000_000) });
    assert((error?.message.length ?? 0) < 10_000);
  });

  it("takes what the model allows", () => {
    const lambda = loadModel("lambda");
    const full = {
      ...function1,
      FunctionName: "arn:aws:lambda:us-east-1:000000000000:function:f",
      Runtime: "nodejs24.x",
      MemorySize: 10_240,
      Environment: { Variables: { NAME: "" } },
      Layers: ["arn:aws:lambda:us-east-1:000000000000:layer:l:1"],
      Architectures: ["arm64"],
    };
    assert.equal(errorOf(lambda, "CreateFunction", full), undefined);
    for (const name of ["f", "f:1", "f:$LATEST", "000000000000:function:f", "function:f"]) {
      assert.equal(errorOf(lambda, "Invoke", { FunctionName: name }), undefined, name);
    }
  });
});
