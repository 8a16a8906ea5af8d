// Goal: each request asks leave for the right action on the right resource, and every operation of every model for one that
// AWS's reference knows, or for one that is known to be missing there.
// Method: a table of requests; then all operations of all models.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { loadModel } from "../../wire/models/load.ts";
import { serviceActions } from "../data.ts";
import type { Place } from "./access.ts";
import { accessesOf } from "./actions.ts";

const PLACE: Place = {
  partition: "aws",
  region: "us-east-1",
  accountId: "111111111111",
  callerArn: "arn:aws:iam::111111111111:user/me",
  entities: { arnOf: (kind, name) => `arn:aws:iam::111111111111:${kind}/path/${name}` },
};
const HERE = "us-east-1:111111111111";
const FUNCTION = `arn:aws:lambda:${HERE}:function:f`;

function accesses(
  call: string,
  input: Record<string, unknown>,
  labels: Record<string, string> = {},
): string[] {
  const [service = "", operation = ""] = call.split(".");
  return accessesOf({ service, operation, labels }, input, PLACE).map(
    ({ action, resource }) => `${action} ${resource}`,
  );
}

const TABLE: readonly (readonly [string, Record<string, unknown>, readonly string[]])[] = [
  ["lambda.Invoke", { FunctionName: "f" }, [`lambda:InvokeFunction ${FUNCTION}`]],
  ["lambda.Invoke", { FunctionName: "f", Qualifier: "live" }, [`lambda:InvokeFunction ${FUNCTION}:live`]],
  ["lambda.Invoke", { FunctionName: "f:live" }, [`lambda:InvokeFunction ${FUNCTION}:live`]],
  ["lambda.Invoke", { FunctionName: "111111111111:function:f" }, [`lambda:InvokeFunction ${FUNCTION}`]],
  ["lambda.Invoke", { FunctionName: "function:f" }, [`lambda:InvokeFunction ${FUNCTION}`]],
  [
    "lambda.Invoke",
    { FunctionName: `${FUNCTION}:1`, Qualifier: "1" },
    [`lambda:InvokeFunction ${FUNCTION}:1`],
  ],
  [
    "lambda.CheckpointDurableExecution",
    { DurableExecutionArn: `${FUNCTION}:1/durable-execution/one/id` },
    [`lambda:CheckpointDurableExecution ${FUNCTION}:1/durable-execution/one/id`],
  ],
  [
    "lambda.SendDurableExecutionCallbackSuccess",
    { CallbackId: Buffer.from(`${FUNCTION}:1/durable-execution/one/id step 0f`).toString("base64") },
    [`lambda:SendDurableExecutionCallbackSuccess ${FUNCTION}:1/durable-execution/one/id`],
  ],
  [
    "lambda.SendDurableExecutionCallbackHeartbeat",
    { CallbackId: "bm9uZQ==" },
    ["lambda:SendDurableExecutionCallbackHeartbeat *"],
  ],
  [
    "lambda.ListDurableExecutionsByFunction",
    { FunctionName: "f", Qualifier: "1" },
    [`lambda:ListDurableExecutionsByFunction ${FUNCTION}`],
  ],
  ["lambda.InvokeAsync", { FunctionName: "f" }, [`lambda:InvokeFunction ${FUNCTION}`]],
  ["lambda.InvokeWithResponseStream", { FunctionName: "f" }, [`lambda:InvokeFunction ${FUNCTION}`]],
  [
    "lambda.UpdateFunctionCode",
    { FunctionName: `${FUNCTION}:live` },
    [`lambda:UpdateFunctionCode ${FUNCTION}`],
  ],
  [
    "lambda.CreateFunction",
    { FunctionName: "f", Role: "arn:aws:iam::111111111111:role/r", Layers: ["arn:l:1"] },
    [
      `lambda:CreateFunction ${FUNCTION}`,
      "lambda:GetLayerVersion arn:l:1",
      "iam:PassRole arn:aws:iam::111111111111:role/r",
    ],
  ],
  [
    "lambda.UpdateFunctionConfiguration",
    { FunctionName: "f" },
    [`lambda:UpdateFunctionConfiguration ${FUNCTION}`],
  ],
  ["lambda.ListFunctions", {}, ["lambda:ListFunctions *"]],
  ["lambda.ListCapacityProviders", {}, ["lambda:ListCapacityProviders *"]],
  [
    "lambda.GetCapacityProvider",
    { CapacityProviderName: "p" },
    [`lambda:GetCapacityProvider arn:aws:lambda:${HERE}:capacity-provider:p`],
  ],
  [
    "lambda.CreateCapacityProvider",
    {
      CapacityProviderName: "p",
      PermissionsConfig: { CapacityProviderOperatorRoleArn: "arn:aws:iam::000000000000:role/o" },
    },
    [
      `lambda:CreateCapacityProvider arn:aws:lambda:${HERE}:capacity-provider:p`,
      "iam:PassRole arn:aws:iam::000000000000:role/o",
    ],
  ],
  [
    "lambda.UpdateFunctionConfiguration",
    {
      FunctionName: "f",
      CapacityProviderConfig: {
        LambdaManagedInstancesCapacityProviderConfig: { CapacityProviderArn: "arn:p" },
      },
    },
    [`lambda:UpdateFunctionConfiguration ${FUNCTION}`, "lambda:PassCapacityProvider arn:p"],
  ],
  ["lambda.ListTags", { Resource: FUNCTION }, [`lambda:ListTags ${FUNCTION}`]],
  [
    "lambda.GetLayerVersion",
    { LayerName: "l", VersionNumber: 2 },
    [`lambda:GetLayerVersion arn:aws:lambda:${HERE}:layer:l:2`],
  ],
  ["lambda.GetLayerVersionByArn", { Arn: "arn:l:2" }, ["lambda:GetLayerVersion arn:l:2"]],
  ["lambda.CreateEventSourceMapping", { FunctionName: "f" }, ["lambda:CreateEventSourceMapping *"]],
  [
    "lambda.DeleteEventSourceMapping",
    { UUID: "u" },
    [`lambda:DeleteEventSourceMapping arn:aws:lambda:${HERE}:event-source-mapping:u`],
  ],
  [
    "logs.PutLogEvents",
    { logGroupName: "g", logStreamName: "s" },
    [`logs:PutLogEvents arn:aws:logs:${HERE}:log-group:g:log-stream:s`],
  ],
  [
    "logs.CreateLogGroup",
    { logGroupName: "g" },
    [`logs:CreateLogGroup arn:aws:logs:${HERE}:log-group:g:log-stream:`],
  ],
  [
    "logs.FilterLogEvents",
    { logGroupIdentifier: `arn:aws:logs:${HERE}:log-group:g:*` },
    [`logs:FilterLogEvents arn:aws:logs:${HERE}:log-group:g:log-stream:`],
  ],
  [
    "logs.TagResource",
    { resourceArn: `arn:aws:logs:${HERE}:log-group:g` },
    [`logs:TagResource arn:aws:logs:${HERE}:log-group:g`],
  ],
  [
    "sqs.SendMessageBatch",
    { QueueUrl: "http://x/111111111111/q" },
    [`sqs:SendMessage arn:aws:sqs:${HERE}:q`],
  ],
  [
    "sqs.ReceiveMessage",
    { QueueUrl: "http://x/222222222222/q" },
    ["sqs:ReceiveMessage arn:aws:sqs:us-east-1:222222222222:q"],
  ],
  ["sqs.CreateQueue", { QueueName: "q" }, [`sqs:CreateQueue arn:aws:sqs:${HERE}:q`]],
  ["sqs.ListQueues", {}, ["sqs:ListQueues *"]],
  ["sns.PublishBatch", { TopicArn: "arn:t" }, ["sns:Publish arn:t"]],
  [
    "sns.Unsubscribe",
    { SubscriptionArn: `arn:aws:sns:${HERE}:t:id` },
    [`sns:Unsubscribe arn:aws:sns:${HERE}:t`],
  ],
  ["s3.GetObject", { Bucket: "b", Key: "k/x" }, ["s3:GetObject arn:aws:s3:::b/k/x"]],
  ["s3.GetObject", { Bucket: "b", Key: "k", VersionId: "v" }, ["s3:GetObjectVersion arn:aws:s3:::b/k"]],
  ["s3.HeadBucket", { Bucket: "b" }, ["s3:ListBucket arn:aws:s3:::b"]],
  ["s3.ListBuckets", {}, ["s3:ListAllMyBuckets *"]],
  [
    "s3.DeleteObjects",
    { Bucket: "b", Delete: { Objects: [{ Key: "1" }, { Key: "2" }] } },
    ["s3:DeleteObject arn:aws:s3:::b/1", "s3:DeleteObject arn:aws:s3:::b/2"],
  ],
  [
    "s3.CopyObject",
    { Bucket: "b", Key: "k", CopySource: "/c/a%20b?versionId=1" },
    ["s3:PutObject arn:aws:s3:::b/k", "s3:GetObjectVersion arn:aws:s3:::c/a b"],
  ],
  ["s3.ListBucketMetricsConfigurations", { Bucket: "b" }, ["s3:GetMetricsConfiguration arn:aws:s3:::b"]],
  [
    "dynamodb.Query",
    { TableName: "t", IndexName: "i" },
    [`dynamodb:Query arn:aws:dynamodb:${HERE}:table/t/index/i`],
  ],
  [
    "dynamodb.BatchGetItem",
    { RequestItems: { a: {}, b: {} } },
    [
      `dynamodb:BatchGetItem arn:aws:dynamodb:${HERE}:table/a`,
      `dynamodb:BatchGetItem arn:aws:dynamodb:${HERE}:table/b`,
    ],
  ],
  [
    "dynamodb.TransactWriteItems",
    { TransactItems: [{ Put: { TableName: "a" } }, { ConditionCheck: { TableName: "b" } }] },
    [
      `dynamodb:PutItem arn:aws:dynamodb:${HERE}:table/a`,
      `dynamodb:ConditionCheckItem arn:aws:dynamodb:${HERE}:table/b`,
    ],
  ],
  [
    "dynamodb.ExecuteStatement",
    { Statement: `select * from "t"."i" where a = 1` },
    [`dynamodb:PartiQLSelect arn:aws:dynamodb:${HERE}:table/t/index/i`],
  ],
  ["dynamodbstreams.GetRecords", { ShardIterator: "arn:aws:s|1|x" }, ["dynamodb:GetRecords arn:aws:s"]],
  ["kinesis.PutRecord", { StreamName: "s" }, [`kinesis:PutRecord arn:aws:kinesis:${HERE}:stream/s`]],
  [
    "events.PutEvents",
    { Entries: [{}, { EventBusName: "b" }] },
    [
      `events:PutEvents arn:aws:events:${HERE}:event-bus/default`,
      `events:PutEvents arn:aws:events:${HERE}:event-bus/b`,
    ],
  ],
  [
    "events.PutTargets",
    { Rule: "r", EventBusName: "b", Targets: [{ RoleArn: "arn:r" }] },
    [`events:PutTargets arn:aws:events:${HERE}:rule/b/r`, "iam:PassRole arn:r"],
  ],
  [
    "scheduler.CreateSchedule",
    { Name: "s", Target: { RoleArn: "arn:r" } },
    [`scheduler:CreateSchedule arn:aws:scheduler:${HERE}:schedule/default/s`, "iam:PassRole arn:r"],
  ],
  ["cloudwatch.PutMetricData", { Namespace: "n" }, ["cloudwatch:PutMetricData *"]],
  ["iot-data.Publish", { topic: "a/b" }, [`iot:Publish arn:aws:iot:${HERE}:topic/a/b`]],
  ["iam.GetRole", { RoleName: "r" }, ["iam:GetRole arn:aws:iam::111111111111:role/path/r"]],
  ["iam.CreateRole", { RoleName: "r", Path: "/a/" }, ["iam:CreateRole arn:aws:iam::111111111111:role/a/r"]],
  [
    "iam.AttachRolePolicy",
    { RoleName: "r", PolicyArn: "arn:p" },
    ["iam:AttachRolePolicy arn:aws:iam::111111111111:role/path/r"],
  ],
  [
    "iam.AddUserToGroup",
    { GroupName: "g", UserName: "u" },
    ["iam:AddUserToGroup arn:aws:iam::111111111111:group/path/g"],
  ],
  ["iam.GetPolicy", { PolicyArn: "arn:p" }, ["iam:GetPolicy arn:p"]],
  ["iam.GetUser", {}, [`iam:GetUser ${PLACE.callerArn}`]],
  [
    "iam.AddRoleToInstanceProfile",
    { InstanceProfileName: "i", RoleName: "r" },
    [
      "iam:AddRoleToInstanceProfile arn:aws:iam::111111111111:instance-profile/path/i",
      "iam:PassRole arn:aws:iam::111111111111:role/path/r",
    ],
  ],
  ["sts.AssumeRole", { RoleArn: "arn:r" }, ["sts:AssumeRole arn:r"]],
];

/** Operations of the models that AWS's reference of actions does not have: new ones, and ones that need no leave. */
const UNKNOWN = new Set([
  // Transactions are what their parts are; without parts there is nothing to name.
  "dynamodb:BatchExecuteStatement",
  "dynamodb:ExecuteTransaction",
  "dynamodb:TransactGetItems",
  "dynamodb:TransactWriteItems",
  "logs:GetLogObject",
  "iam:AcquireRole",
  "iam:UpdateDelegationRequest",
  "s3:CreateBucketMetadataConfiguration",
  "s3:DeleteBucketMetadataConfiguration",
  "s3:GetBucketMetadataConfiguration",
  "s3:ListDirectoryBuckets",
  "s3:CreateSession",
  "s3:WriteGetObjectResponse",
  "cloudwatch:AssociateDatasetKmsKey",
  "cloudwatch:CreateResourceMetricsConfiguration",
  "cloudwatch:DeleteResourceMetricsConfiguration",
  "cloudwatch:DescribeAlarmContributors",
  "cloudwatch:DisassociateDatasetKmsKey",
  "cloudwatch:GetResourceMetricsConfiguration",
  "cloudwatch:UpdateOTelEnrichment",
  "cloudwatch:UpdateResourceMetricsConfiguration",
]);
const MODELS = [
  "lambda",
  "logs",
  "sts",
  "iam",
  "sqs",
  "sns",
  "s3",
  "dynamodb",
  "dynamodbstreams",
  "kinesis",
  "events",
  "scheduler",
  "cloudwatch",
  "iot-data",
];

describe("accesses", () => {
  for (const [call, input, expected] of TABLE) {
    it(`of ${call} ${JSON.stringify(input)}`, () => assert.deepEqual(accesses(call, input), expected));
  }

  it("of API Gateway are methods on paths", () => {
    assert.deepEqual(
      accesses("apigateway.PutMethod", {}, { restapi_id: "a", resource_id: "b", http_method: "GET" }),
      ["apigateway:PUT arn:aws:apigateway:us-east-1::/restapis/a/resources/b/methods/GET"],
    );
    assert.deepEqual(accesses("apigatewayv2.CreateApi", {}), [
      "apigateway:POST arn:aws:apigateway:us-east-1::/apis",
    ]);
  });

  it("are actions that AWS knows, for every operation of every model", () => {
    const unknown: string[] = [];
    for (const service of MODELS) {
      for (const operation of loadModel(service).operationNames) {
        for (const { action } of accessesOf({ service, operation, labels: {} }, {}, PLACE)) {
          const [prefix = "", name = ""] = action.split(":");
          if (!serviceActions()[prefix]?.actions[name] && !UNKNOWN.has(action)) unknown.push(action);
        }
      }
    }
    assert.deepEqual(unknown, []);
  });
});
