/** Values that a model cannot tell: a zip, a policy, a role that is there. Without them most calls would end at the door. */
import type { Random } from "../../bench/trace/random.ts";
import type { Member } from "../../src/wire/models/shapes.ts";
import { ROLE, zipOf } from "../support/server.ts";
import type { Memory } from "./memory.ts";

const ZIP = Buffer.from(zipOf({ "index.mjs": "export const handler = async (event) => event;" }));
const LAYER_ZIP = Buffer.from(zipOf({ "nodejs/node_modules/greet/index.js": "module.exports = 1;" }));

/** Undefined: what was seen before, or what the model says. */
type Make = (random: Random, memory: Memory) => unknown;

const among =
  (...values: readonly unknown[]): Make =>
  (random) =>
    values[Math.floor(random.next() * values.length)];
const whole =
  (min: number, max: number): Make =>
  (random) =>
    Math.floor(random.between(min, max + 1));

const statement = (random: Random) => ({
  Effect: random.next() < 0.8 ? "Allow" : "Deny",
  Action: [["*"], ["lambda:*"], ["logs:PutLogEvents", "s3:Get*"], "iam:GetUser"][
    Math.floor(random.next() * 4)
  ],
  Resource: "*",
  ...(random.next() < 0.3
    ? { Condition: { StringLike: { "aws:PrincipalTag/team": ["a*", "${aws:username}"] } } }
    : {}),
});
const policy: Make = (random) => JSON.stringify({ Version: "2012-10-17", Statement: [statement(random)] });
const trust: Make = () =>
  JSON.stringify({
    Version: "2012-10-17",
    Statement: [
      { Effect: "Allow", Principal: { Service: "lambda.amazonaws.com" }, Action: "sts:AssumeRole" },
    ],
  });

/** Keyed by service, then by member, or by operation and member. */
const SENSIBLE: Readonly<Record<string, Readonly<Record<string, Make>>>> = {
  lambda: {
    Role: among(ROLE, ROLE, ROLE, "arn:aws:iam::000000000000:role/nobody"),
    Code: () => ({ ZipFile: ZIP }),
    Content: () => ({ ZipFile: LAYER_ZIP }),
    ZipFile: () => ZIP,
    Runtime: among("nodejs24.x", "nodejs24.x", "nodejs22.x", "python3.11", "provided.al2023"),
    Handler: among("index.handler", "index.handler", "index.other", "nothing"),
    PackageType: among("Zip"),
    Timeout: whole(1, 3),
    MemorySize: whole(128, 256),
    // Environments that really start: the machine is not what is tested here.
    ProvisionedConcurrentExecutions: whole(1, 2),
    MinExecutionEnvironments: whole(0, 1),
    "Invoke.Payload": among(
      Buffer.from("{}"),
      Buffer.from('{"a":[1,"é"]}'),
      Buffer.from("not JSON"),
      Buffer.alloc(0),
    ),
    "InvokeWithResponseStream.Payload": among(Buffer.from("{}"), Buffer.alloc(0)),
    InvokeArgs: among(Buffer.from("{}")),
    FunctionName: (random, memory) =>
      random.next() < 0.5 ? among("alpha", "beta", "gamma", "delta")(random, memory) : undefined,
    LayerName: among("first", "second", "arn:aws:lambda:us-east-1:000000000000:layer:first"),
    "CreateAlias.FunctionVersion": among("$LATEST", "1", "2"),
    "UpdateAlias.FunctionVersion": among("$LATEST", "1", "2"),
    "PutResourcePolicy.Policy": policy,
  },
  iam: {
    RoleName: among("worker", "builder"),
    UserName: among("ann", "bob"),
    GroupName: among("developers", "testers"),
    PolicyName: among("one", "two"),
    InstanceProfileName: among("profile"),
    PermissionsBoundary: among("arn:aws:iam::aws:policy/AdministratorAccess"),
    PolicyArn: (random, memory) =>
      random.next() < 0.5
        ? "arn:aws:iam::aws:policy/ReadOnlyAccess"
        : memory.recall("PolicyArn", { type: "string" }),
    Path: among("/", "/teams/"),
    VersionId: among("v1", "v2", "v3"),
    ActionNames: among(["lambda:InvokeFunction"], ["s3:GetObject", "iam:GetUser"]),
    AWSServiceName: among("lambda.amazonaws.com"),
    PolicyDocument: policy,
    AssumeRolePolicyDocument: trust,
    PolicyInputList: (random, memory) => [policy(random, memory)],
  },
  sts: { Policy: policy, DurationSeconds: whole(900, 3600), RoleArn: among(ROLE) },
  logs: {
    logGroupName: (random, memory) =>
      random.next() < 0.5 ? among("/aws/lambda/alpha", "app")(random, memory) : undefined,
    retentionInDays: among(1, 7, 30, 400),
    "PutLogEvents.logEvents": (random) => {
      const nowMs = Date.now();
      const length = Math.ceil(random.between(0, 4));
      return Array.from({ length }, (_, index) => ({ timestamp: nowMs + index, message: `line ${index}` }));
    },
  },
  cloudwatch: {
    AlarmName: among("a", "b", "c"),
    AlarmNames: among(["a"], ["a", "b"]),
    Namespace: among("App", "AWS/Lambda"),
    MetricName: among("Errors", "Latency"),
    "ListTagsForResource.ResourceARN": among("arn:aws:cloudwatch:us-east-1:000000000000:alarm:a"),
    "TagResource.ResourceARN": among("arn:aws:cloudwatch:us-east-1:000000000000:alarm:a"),
    "UntagResource.ResourceARN": among("arn:aws:cloudwatch:us-east-1:000000000000:alarm:a"),
    Period: among(60, 300),
    StartTime: () => new Date(Date.now() - 600_000),
    EndTime: () => new Date(),
    Timestamp: () => new Date(),
    StorageResolution: among(1, 60),
    EvaluationPeriods: whole(1, 5),
    TreatMissingData: among("missing", "ignore", "breaching", "notBreaching"),
    "PutMetricAlarm.ComparisonOperator": among("GreaterThanThreshold", "LessThanOrEqualToThreshold"),
    AlarmRule: among('ALARM("a")', "TRUE AND NOT FALSE", "nonsense ("),
    Expression: among("m1 * 2", "SUM(METRICS())", "SEARCH('{AWS/Lambda} Errors', 'Sum', 60)", "1 +"),
  },
};

/**
 * How often optional members are given without which, or with which, a call ends at the door. By operation and member, of
 * structures in structures too; the others are as often as their structure is full.
 */
const CHANCES: Readonly<Record<string, number>> = {
  "CreateFunction.Runtime": 0.95,
  "CreateFunction.Handler": 0.95,
  "CreateFunction.CapacityProviderConfig": 0.03,
  "CreateFunction.TenancyConfig": 0.03,
  "CreateFunction.Layers": 0.1,
  "CreateFunction.PublishTo": 0.1,
  "PutMetricData.MetricData": 0.95,
  "PutMetricData.EntityMetricData": 0.1,
  "PutMetricData.Value": 0.9,
  "PutMetricData.Values": 0.05,
  "PutMetricData.Counts": 0.05,
  "PutMetricData.StatisticValues": 0.05,
  "PutMetricAlarm.MetricName": 0.95,
  "PutMetricAlarm.Namespace": 0.95,
  "PutMetricAlarm.Period": 0.95,
  "PutMetricAlarm.Statistic": 0.95,
  "PutMetricAlarm.Threshold": 0.95,
  "PutMetricAlarm.DatapointsToAlarm": 0.1,
  "PutMetricAlarm.ExtendedStatistic": 0.05,
  "PutMetricAlarm.Metrics": 0.05,
  "PutMetricAlarm.ThresholdMetricId": 0.05,
};

/** Undefined: as the others. */
export function chanceOf(operation: string, { name }: Member): number | undefined {
  return CHANCES[`${operation}.${name}`];
}

/** How often a sensible value is taken; otherwise the model's, which is mostly refused. */
const SHARE = 0.95;

/** Undefined: there is nothing better than the model. */
export function madeFor(
  service: string,
  operation: string,
  { name }: Member,
  random: Random,
  memory: Memory,
): { readonly value: unknown } | undefined {
  const table = SENSIBLE[service];
  const make = table?.[`${operation}.${name}`] ?? table?.[name];
  if (!make) return undefined;
  const isBound = name === "ProvisionedConcurrentExecutions" || name === "MinExecutionEnvironments";
  if (!isBound && random.next() >= SHARE) return undefined;
  const value = make(random, memory);
  return value === undefined ? undefined : { value };
}
