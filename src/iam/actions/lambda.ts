/** Lambda: function names in all their forms, layers, mappings; whose role is passed. */
import {
  arnOrName,
  isObject,
  localArn,
  textOf,
  textsOf,
  type Access,
  type Input,
  type Place,
} from "./access.ts";

/** Operations whose resource is the version or alias that the request names. Others act on the function as a whole. */
const QUALIFIED = new Set([
  "Invoke",
  "InvokeWithResponseStream",
  "GetFunction",
  "GetFunctionConfiguration",
  "DeleteFunction",
  "PutProvisionedConcurrencyConfig",
  "GetProvisionedConcurrencyConfig",
  "DeleteProvisionedConcurrencyConfig",
]);

/** `name`, `name:qualifier`, `account:function:name…` or an ARN, completed; `$LATEST` named explicitly stays. */
export function functionArnOf(place: Place, text: string, qualifier: string | undefined): string {
  let arn = text;
  if (!text.startsWith("arn:")) {
    const [first = "", second, ...rest] = text.split(":");
    if (second === "function" && /^\d{12}$/.test(first)) {
      arn = `arn:${place.partition}:lambda:${place.region}:${text}`;
    } else if (first === "function") {
      arn = localArn(place, "lambda", text);
    } else {
      arn = localArn(
        place,
        "lambda",
        `function:${[first, second, ...rest].filter((part) => part !== undefined).join(":")}`,
      );
    }
  }
  return qualifier === undefined || qualifierOf(arn) !== undefined ? arn : `${arn}:${qualifier}`;
}

const UNQUALIFIED_SEGMENTS = 7;

function qualifierOf(arn: string): string | undefined {
  return arn.split(":")[UNQUALIFIED_SEGMENTS];
}

export function lambdaResources(operation: string, input: Input, place: Place): readonly string[] {
  const callbackId = textOf(input, "CallbackId");
  if (callbackId !== undefined) return [executionArnOfCallback(callbackId) ?? "*"];
  const named = textOf(input, "FunctionName");
  if (operation.endsWith("EventSourceMapping")) {
    const id = textOf(input, "UUID");
    return id === undefined ? ["*"] : [localArn(place, "lambda", `event-source-mapping:${id}`)];
  }
  if (named !== undefined) {
    if (QUALIFIED.has(operation)) return [functionArnOf(place, named, textOf(input, "Qualifier"))];
    const arn = functionArnOf(place, named, undefined);
    return [arn.split(":").slice(0, UNQUALIFIED_SEGMENTS).join(":")];
  }
  const layer = textOf(input, "LayerName");
  if (layer !== undefined) {
    const version = input["VersionNumber"];
    const arn = arnOrName(place, "lambda", "layer:", layer);
    return [typeof version === "number" ? `${arn}:${version}` : arn];
  }
  const provider = textOf(input, "CapacityProviderName");
  if (provider !== undefined) return [arnOrName(place, "lambda", "capacity-provider:", provider)];
  return [
    textOf(input, "Arn", "Resource", "ResourceArn", "CodeSigningConfigArn", "DurableExecutionArn") ?? "*",
  ];
}

/** The durable execution that a callback belongs to: its id begins with the ARN. Undefined when it is no callback's id. */
export function executionArnOfCallback(callbackId: string): string | undefined {
  const [arn = ""] = Buffer.from(callbackId, "base64").toString("utf8").split(" ");
  return arn.startsWith("arn:") && arn.includes("/durable-execution/") ? arn : undefined;
}

/** What creating and changing functions needs beside its own action. */
export function lambdaExtras(operation: string, input: Input): readonly Access[] {
  if (operation === "CreateCapacityProvider") {
    const permissions = input["PermissionsConfig"];
    const operator = isObject(permissions)
      ? textOf(permissions, "CapacityProviderOperatorRoleArn")
      : undefined;
    return operator === undefined ? [] : [passRole(operator, "lambda.amazonaws.com")];
  }
  if (operation !== "CreateFunction" && operation !== "UpdateFunctionConfiguration") return [];
  const role = textOf(input, "Role");
  const extras: Access[] = textsOf(input, "Layers").map((resource) => ({
    action: "lambda:GetLayerVersion",
    resource,
  }));
  if (role !== undefined) extras.push(passRole(role, "lambda.amazonaws.com"));
  const provider = capacityProviderOf(input);
  if (provider !== undefined) extras.push({ action: "lambda:PassCapacityProvider", resource: provider });
  return extras;
}

function capacityProviderOf(input: Input): string | undefined {
  const config = input["CapacityProviderConfig"];
  const managed = isObject(config) ? config["LambdaManagedInstancesCapacityProviderConfig"] : undefined;
  return isObject(managed) ? textOf(managed, "CapacityProviderArn") : undefined;
}

export function passRole(resource: string, service: string): Access {
  return { action: "iam:PassRole", resource, keys: { "iam:passedtoservice": [service] } };
}

export function lambdaKeys(operation: string, input: Input, place: Place): Record<string, readonly string[]> {
  const keys: Record<string, readonly string[]> = {};
  const set = (key: string, value: string | undefined) => {
    if (value !== undefined) keys[key] = [value];
  };
  const named = textOf(input, "FunctionName");
  if (named !== undefined && (operation.endsWith("EventSourceMapping") || operation.includes("FunctionUrl")))
    set("lambda:functionarn", functionArnOf(place, named, undefined));
  set("lambda:principal", textOf(input, "Principal"));
  set("lambda:functionurlauthtype", textOf(input, "FunctionUrlAuthType", "AuthType"));
  set("lambda:codesigningconfigarn", textOf(input, "CodeSigningConfigArn"));
  set("lambda:eventsourcetoken", textOf(input, "EventSourceToken"));
  if (Array.isArray(input["Layers"])) keys["lambda:layer"] = textsOf(input, "Layers");
  const vpc = input["VpcConfig"];
  if (isObject(vpc)) {
    keys["lambda:subnetids"] = textsOf(vpc, "SubnetIds");
    keys["lambda:securitygroupids"] = textsOf(vpc, "SecurityGroupIds");
  }
  return keys;
}
