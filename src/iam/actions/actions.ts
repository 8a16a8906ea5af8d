/**
 * From an operation and its input to the accesses that it needs: the one place that knows how requests read in the policy
 * language. Names come from AWS's service authorization reference (models/iam-data); what deviates from "the action is
 * called like the operation" is written down here and in the files beside.
 */
import { loadModel } from "../../wire/models/load.ts";
import type { Match } from "../../wire/protocol.ts";
import { serviceActions } from "../data.ts";
import type { Access, Input, Place, ResourceFinder } from "./access.ts";
import { iamExtras, iamKeys, iamResources, stsKeys, stsResources } from "./identity.ts";
import { lambdaExtras, lambdaKeys, lambdaResources } from "./lambda.ts";
import {
  cloudwatchKeys,
  cloudwatchResources,
  eventsExtras,
  eventsResources,
  iotResources,
  logsExtras,
  logsResources,
  schedulerExtras,
  schedulerResources,
  snsKeys,
  snsResources,
  sqsResources,
} from "./messaging.ts";
import {
  dynamodbAccesses,
  dynamodbResources,
  kinesisResources,
  s3Action,
  s3Extras,
  s3Keys,
  s3Resources,
} from "./storage.ts";

interface ServiceMap {
  /** Of the actions; the folder name of the model when left out. */
  readonly prefix?: string;
  /** Actions that are not called like their operation. */
  readonly actions?: Readonly<Record<string, string>>;
  readonly action?: (operation: string, input: Input) => string;
  readonly resources: ResourceFinder;
  readonly keys?: (operation: string, input: Input, place: Place) => Record<string, readonly string[]>;
  readonly extras?: (operation: string, input: Input, place: Place) => readonly Access[];
  /** Answers for operations that are several actions by nature; undefined for the others. */
  readonly accesses?: (operation: string, input: Input, place: Place) => Access[] | undefined;
}

const SERVICES: Readonly<Record<string, ServiceMap>> = {
  lambda: {
    actions: {
      Invoke: "InvokeFunction",
      InvokeAsync: "InvokeFunction",
      InvokeWithResponseStream: "InvokeFunction",
      GetLayerVersionByArn: "GetLayerVersion",
    },
    resources: lambdaResources,
    keys: lambdaKeys,
    extras: lambdaExtras,
  },
  logs: { resources: logsResources, extras: logsExtras },
  iam: { resources: iamResources, keys: (_operation, input) => iamKeys(input), extras: iamExtras },
  sts: { resources: stsResources, keys: (_operation, input) => stsKeys(input) },
  sqs: {
    actions: {
      SendMessageBatch: "SendMessage",
      DeleteMessageBatch: "DeleteMessage",
      ChangeMessageVisibilityBatch: "ChangeMessageVisibility",
    },
    resources: sqsResources,
  },
  sns: {
    actions: { PublishBatch: "Publish" },
    resources: snsResources,
    keys: (_operation, input) => snsKeys(input),
  },
  s3: {
    action: s3Action,
    resources: s3Resources,
    keys: (_operation, input) => s3Keys(input),
    extras: s3Extras,
  },
  dynamodb: { resources: dynamodbResources, accesses: dynamodbAccesses },
  dynamodbstreams: { prefix: "dynamodb", resources: dynamodbResources },
  kinesis: { resources: kinesisResources },
  events: { resources: eventsResources, extras: eventsExtras },
  scheduler: { resources: schedulerResources, extras: schedulerExtras },
  cloudwatch: { resources: cloudwatchResources, keys: (_operation, input) => cloudwatchKeys(input) },
  "iot-data": { prefix: "iot", resources: iotResources },
};

/** Everything that `match` with this input asks leave for; at least one access. */
export function accessesOf(
  match: Pick<Match, "service" | "operation" | "labels">,
  input: Input,
  place: Place,
): readonly Access[] {
  const { service, operation } = match;
  if (service === "apigateway" || service === "apigatewayv2") return [apiGatewayAccess(match, place)];
  const map = SERVICES[service];
  // A service that nothing is known of here: its operations by their own names, on everything.
  if (!map) return [{ action: `${service}:${operation}`, resource: "*" }];
  const several = map.accesses?.(operation, input, place);
  if (several) return several.length > 0 ? several : [{ action: `${service}:${operation}`, resource: "*" }];
  const name = map.action?.(operation, input) ?? map.actions?.[operation] ?? operation;
  const prefix = map.prefix ?? service;
  const action = `${prefix}:${name}`;
  const keys = map.keys?.(operation, input, place);
  const known = serviceActions()[prefix]?.actions[name];
  const resources = known && known.resources.length === 0 ? ["*"] : map.resources(operation, input, place);
  const accesses: Access[] = (resources.length === 0 ? ["*"] : resources).map((resource) =>
    keys ? { action, resource, keys } : { action, resource },
  );
  const extras = map.extras?.(operation, input, place);
  return extras && extras.length > 0 ? [...accesses, ...extras] : accesses;
}

/** API Gateway's actions are HTTP methods, and its resources the paths of its own API. */
function apiGatewayAccess(
  { service, operation, labels }: Pick<Match, "service" | "operation" | "labels">,
  place: Place,
): Access {
  const { method, requestUri } = loadModel(service).operationData(operation)?.http ?? {
    method: "GET",
    requestUri: "/",
  };
  const path = (requestUri.split("?")[0] ?? "")
    .replace(/^\/v2/, "")
    .replaceAll(/\{([^}+]+)\+?\}/g, (_whole, name: string) => labels[name] ?? "");
  return {
    action: `apigateway:${method}`,
    resource: `arn:${place.partition}:apigateway:${place.region}::${path}`,
  };
}
