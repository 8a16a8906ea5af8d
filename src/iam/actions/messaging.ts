/** SQS, SNS, EventBridge, the Scheduler, CloudWatch Logs, CloudWatch and IoT: what their requests name. */
import {
  arnOrName,
  localArn,
  structuresOf,
  textOf,
  textsOf,
  type Access,
  type Input,
  type Place,
} from "./access.ts";
import { passRole } from "./lambda.ts";

export function sqsResources(_operation: string, input: Input, place: Place): readonly string[] {
  const url = textOf(input, "QueueUrl");
  const name = url === undefined ? textOf(input, "QueueName") : url.slice(url.lastIndexOf("/") + 1);
  if (name !== undefined) {
    const owner = textOf(input, "QueueOwnerAWSAccountId") ?? ownerOf(url) ?? place.accountId;
    return [localArn({ ...place, accountId: owner }, "sqs", name)];
  }
  const task = textOf(input, "SourceArn");
  return [task ?? "*"];
}

function ownerOf(url: string | undefined): string | undefined {
  return url === undefined ? undefined : /\/(\d{12})\/[^/]+$/.exec(url)?.[1];
}

const SUBSCRIPTION_SEGMENTS = 7;

export function snsResources(_operation: string, input: Input, place: Place): readonly string[] {
  const arn = textOf(input, "TopicArn", "TargetArn", "ResourceArn");
  if (arn !== undefined) return [arn];
  const name = textOf(input, "Name");
  if (name !== undefined) return [localArn(place, "sns", name)];
  const subscription = textOf(input, "SubscriptionArn");
  // A subscription is its topic's: `arn:…:TOPIC:UUID`.
  if (subscription !== undefined)
    return [
      subscription
        .split(":")
        .slice(0, SUBSCRIPTION_SEGMENTS - 1)
        .join(":"),
    ];
  return ["*"];
}

export function snsKeys(input: Input): Record<string, readonly string[]> {
  const keys: Record<string, readonly string[]> = {};
  const [protocol, endpoint] = [textOf(input, "Protocol"), textOf(input, "Endpoint")];
  if (protocol !== undefined) keys["sns:protocol"] = [protocol];
  if (endpoint !== undefined) keys["sns:endpoint"] = [endpoint];
  return keys;
}

const RULE_OPERATIONS =
  /^(Put|Delete|Describe|Disable|Enable)Rule$|^(Put|Remove)Targets$|^ListTargetsByRule$/;
const BUS_PREFIX = "event-bus/";

export function eventsResources(operation: string, input: Input, place: Place): readonly string[] {
  const bus = textOf(input, "EventBusName");
  if (operation === "PutEvents") {
    const buses = structuresOf(input, "Entries").map((entry) => textOf(entry, "EventBusName") ?? "default");
    return [...new Set(buses)].map((name) => arnOrName(place, "events", BUS_PREFIX, name));
  }
  if (RULE_OPERATIONS.test(operation)) {
    const name = textOf(input, "Rule", "Name") ?? "";
    const busName = bus?.startsWith("arn:") ? bus.slice(bus.indexOf(BUS_PREFIX) + BUS_PREFIX.length) : bus;
    const owned = busName === undefined || busName === "default" ? name : `${busName}/${name}`;
    return [localArn(place, "events", `rule/${owned}`)];
  }
  const arn = textOf(input, "ResourceARN");
  if (arn !== undefined) return [arn];
  const prefixes: readonly (readonly [string, string, string])[] = [
    ["EventBus", "Name", BUS_PREFIX],
    ["ApiDestination", "Name", "api-destination/"],
    ["Connection", "Name", "connection/"],
    ["Archive", "ArchiveName", "archive/"],
    ["Replay", "ReplayName", "replay/"],
    ["Endpoint", "Name", "endpoint/"],
  ];
  for (const [noun, member, prefix] of prefixes) {
    const name = operation.endsWith(noun) ? textOf(input, member) : undefined;
    if (name !== undefined) return [arnOrName(place, "events", prefix, name)];
  }
  return ["*"];
}

export function eventsExtras(operation: string, input: Input): readonly Access[] {
  if (operation !== "PutTargets" && operation !== "PutRule") return [];
  const roles = [input, ...structuresOf(input, "Targets")].map((from) => textOf(from, "RoleArn"));
  return roles.flatMap((role) => (role === undefined ? [] : [passRole(role, "events.amazonaws.com")]));
}

export function schedulerResources(operation: string, input: Input, place: Place): readonly string[] {
  const arn = textOf(input, "ResourceArn");
  if (arn !== undefined) return [arn];
  const name = textOf(input, "Name");
  if (name === undefined) return ["*"];
  if (operation.endsWith("ScheduleGroup")) return [localArn(place, "scheduler", `schedule-group/${name}`)];
  return [localArn(place, "scheduler", `schedule/${textOf(input, "GroupName") ?? "default"}/${name}`)];
}

export function schedulerExtras(operation: string, input: Input): readonly Access[] {
  if (operation !== "CreateSchedule" && operation !== "UpdateSchedule") return [];
  const target = input["Target"];
  const role = typeof target === "object" && target !== null ? textOf(target as Input, "RoleArn") : undefined;
  return role === undefined ? [] : [passRole(role, "scheduler.amazonaws.com")];
}

/** Groups are compared as `log-group:NAME:log-stream:STREAM`, so that policies end with `:*`, as AWS's do. */
export function logsResources(operation: string, input: Input, place: Place): readonly string[] {
  const tagged = textOf(input, "resourceArn");
  if (tagged !== undefined) return [tagged];
  const groups = [
    textOf(input, "logGroupName", "logGroupIdentifier"),
    ...textsOf(input, "logGroupNames"),
    ...textsOf(input, "logGroupIdentifiers"),
  ].filter((group) => group !== undefined);
  if (groups.length > 0) {
    const stream = textOf(input, "logStreamName") ?? "";
    return groups.map((group) => {
      const arn = arnOrName(place, "logs", "log-group:", group).replace(/:\*$/, "");
      return `${arn}:log-stream:${stream}`;
    });
  }
  if (operation === "DescribeLogGroups") return [localArn(place, "logs", "log-group::log-stream:")];
  const destination = textOf(input, "destinationName");
  return [destination === undefined ? "*" : localArn(place, "logs", `destination:${destination}`)];
}

export function logsExtras(operation: string, input: Input): readonly Access[] {
  const role = operation === "PutSubscriptionFilter" ? textOf(input, "roleArn") : undefined;
  return role === undefined ? [] : [passRole(role, "logs.amazonaws.com")];
}

export function cloudwatchResources(_operation: string, input: Input, place: Place): readonly string[] {
  const tagged = textOf(input, "ResourceARN");
  if (tagged !== undefined) return [tagged];
  const alarms = [textOf(input, "AlarmName"), ...textsOf(input, "AlarmNames")].filter(
    (name) => name !== undefined,
  );
  if (alarms.length > 0) return alarms.map((name) => localArn(place, "cloudwatch", `alarm:${name}`));
  const dashboards = [textOf(input, "DashboardName"), ...textsOf(input, "DashboardNames")].filter(
    (name) => name !== undefined,
  );
  if (dashboards.length > 0)
    return dashboards.map(
      (name) => `arn:${place.partition}:cloudwatch::${place.accountId}:dashboard/${name}`,
    );
  return ["*"];
}

export function cloudwatchKeys(input: Input): Record<string, readonly string[]> {
  const namespace = textOf(input, "Namespace");
  return namespace === undefined ? {} : { "cloudwatch:namespace": [namespace] };
}

export function iotResources(_operation: string, input: Input, place: Place): readonly string[] {
  const topic = textOf(input, "topic");
  if (topic !== undefined) return [localArn(place, "iot", `topic/${topic}`)];
  const thing = textOf(input, "thingName");
  if (thing !== undefined) return [localArn(place, "iot", `thing/${thing}`)];
  const client = textOf(input, "clientId");
  return [client === undefined ? "*" : localArn(place, "iot", `client/${client}`)];
}
