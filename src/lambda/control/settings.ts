/**
 * A request's members, checked beyond what the service model says and in AWS's words, as the settings of a build.
 * Members that the request leaves out keep their values; a new function starts from Lambda's defaults.
 */
import type {
  CreateFunctionRequest,
  DurableConfig,
  LoggingConfig,
  UpdateFunctionConfigurationRequest,
  VpcConfig,
} from "@aws-sdk/client-lambda";
import { AwsError, invalidParameterValue, validationError } from "../../errors.ts";
import { parseArn } from "../../kernel/arn.ts";
import {
  DURABLE_EXECUTION_TIMEOUT_S_DEFAULT,
  DURABLE_RETENTION_DAYS_DEFAULT,
  ENVIRONMENT_VARIABLES_BYTES_MAX,
  EPHEMERAL_STORAGE_MB_MAX,
  EPHEMERAL_STORAGE_MB_MIN,
  MANAGED_MEMORY_MB_MAX,
  MANAGED_MEMORY_MB_MIN,
  MEMORY_MB_DEFAULT,
  MEMORY_MB_MAX,
  MEMORY_MB_MIN,
  TIMEOUT_S_DEFAULT,
  TIMEOUT_S_MAX,
  TIMEOUT_S_MIN,
} from "../../limits.ts";
import { missingPermission } from "../invoke/destination-permissions.ts";
import type { CapacityProviders } from "./capacity-provider-store.ts";
import { resolveLayers } from "./layers.ts";
import { applyManaged, checkManaged } from "./managed.ts";
import type { LayerResolver, RoleChecker } from "./ports.ts";
import type { DurableRecord, FunctionSettings, LoggingRecord, VpcRecord } from "./records.ts";
import { RESERVED_VARIABLES } from "../runtimes/environment-variables.ts";
import { checkRuntime, checkSnapStart } from "./runtime-ids.ts";

export interface SettingsChecks {
  readonly roles: RoleChecker;
  readonly layers: LayerResolver;
  readonly providers: CapacityProviders;
  readonly region: string;
  readonly accountId: string;
}

/** Members that CreateFunction and UpdateFunctionConfiguration have in common. */
type Members = Omit<UpdateFunctionConfigurationRequest, "FunctionName" | "RevisionId"> &
  Pick<CreateFunctionRequest, "Architectures">;

const ROLE_PATTERN = /^arn:(aws[a-zA-Z-]*)?:iam::\d{12}:role\/?[a-zA-Z_0-9+=,.@\-_/]+$/;
const VARIABLE_NAME_PATTERN = /^[a-zA-Z]([a-zA-Z0-9_])+$/;

/** Throws AwsError. `name` is the function's, for its log group. */
export async function settingsForCreate(
  input: CreateFunctionRequest,
  name: string,
  checks: SettingsChecks,
): Promise<FunctionSettings> {
  const { Runtime: runtime, Handler: handler, Role: role } = input;
  if (role === undefined) {
    throw validationError(
      "1 validation error detected: Value null at 'role' failed to satisfy constraint: Member must not be null",
    );
  }
  if (runtime === undefined || handler === undefined || handler === "") {
    throw invalidParameterValue(
      "Runtime and Handler are mandatory parameters for functions created with deployment packages.",
    );
  }
  const defaults: FunctionSettings = {
    runtime,
    handler,
    role,
    description: "",
    timeoutS: TIMEOUT_S_DEFAULT,
    memoryMb: input.CapacityProviderConfig ? MANAGED_MEMORY_MB_MIN : MEMORY_MB_DEFAULT,
    ephemeralStorageMb: EPHEMERAL_STORAGE_MB_MIN,
    environment: {},
    layers: [],
    logging: {
      ...(input.CapacityProviderConfig
        ? { format: "JSON", applicationLevel: "INFO", systemLevel: "INFO" }
        : { format: "Text" }),
      group: `/aws/lambda/${name}`,
    },
    tracingMode: "PassThrough",
    architecture: "x86_64",
    snapStartApplyOn: "None",
  };
  const managed = applyManaged(undefined, input, checks.providers);
  const durable = input.DurableConfig && {
    executionTimeoutS: DURABLE_EXECUTION_TIMEOUT_S_DEFAULT,
    retentionDays: DURABLE_RETENTION_DAYS_DEFAULT,
  };
  return applySettings(
    { ...defaults, ...(durable && { durable }), ...(managed && { managed }) },
    input,
    checks,
  );
}

/** The settings after the request. Throws AwsError. */
export async function applySettings(
  before: FunctionSettings,
  input: Members,
  checks: SettingsChecks,
): Promise<FunctionSettings> {
  refuseUnsupported(input);
  const managed = applyManaged(before, input, checks.providers);
  if (input.MemorySize !== undefined)
    checkMemory(input.MemorySize, managed ? MANAGED_MEMORY_MB_MAX : MEMORY_MB_MAX);
  checkRange("timeout", input.Timeout, TIMEOUT_S_MIN, TIMEOUT_S_MAX);
  checkRange(
    "ephemeralStorage.size",
    input.EphemeralStorage?.Size,
    EPHEMERAL_STORAGE_MB_MIN,
    EPHEMERAL_STORAGE_MB_MAX,
  );
  const architecture = checkArchitectures(input.Architectures) ?? before.architecture;
  if (input.DeadLetterConfig?.TargetArn) checkDeadLetterTarget(input.DeadLetterConfig.TargetArn);
  const environment = input.Environment ? (input.Environment.Variables ?? {}) : before.environment;
  checkEnvironment(environment);
  const durable = input.DurableConfig && applyDurable(before.durable, input.DurableConfig);
  const layers = input.Layers ? await resolveLayers(input.Layers, checks) : before.layers;
  if (input.Role !== undefined) await checkRole(input.Role, checks.roles);
  if (input.Role !== undefined || input.DeadLetterConfig)
    checkDeadLetterRole(
      input.Role ?? before.role,
      input.DeadLetterConfig?.TargetArn ?? before.deadLetterTargetArn,
      checks.roles,
    );
  const runtime = input.Runtime ?? before.runtime;
  if (input.Runtime !== undefined) checkRuntime(runtime);
  const snapStartApplyOn = input.SnapStart?.ApplyOn ?? before.snapStartApplyOn;
  if (snapStartApplyOn === "PublishedVersions") checkSnapStart(runtime);
  const after: FunctionSettings = {
    runtime,
    handler: input.Handler ?? before.handler,
    role: input.Role ?? before.role,
    description: input.Description ?? before.description,
    timeoutS: input.Timeout ?? before.timeoutS,
    memoryMb: input.MemorySize ?? before.memoryMb,
    ephemeralStorageMb: input.EphemeralStorage?.Size ?? before.ephemeralStorageMb,
    environment,
    layers,
    logging: applyLogging(before.logging, input.LoggingConfig),
    tracingMode: input.TracingConfig?.Mode ?? before.tracingMode,
    architecture,
    snapStartApplyOn,
    ...optional(
      "deadLetterTargetArn",
      input.DeadLetterConfig && (input.DeadLetterConfig.TargetArn ?? ""),
      before,
    ),
    ...optional("kmsKeyArn", input.KMSKeyArn, before),
    ...applyVpc(before.vpc, input.VpcConfig),
    ...((durable ?? before.durable) && { durable: durable ?? before.durable }),
    ...(managed && { managed }),
  };
  if (managed) checkManaged(after, managed, checks.providers);
  return after;
}

/** The member after the request: the empty string removes it. */
function optional<K extends "deadLetterTargetArn" | "kmsKeyArn">(
  member: K,
  given: string | undefined,
  before: FunctionSettings,
): { [P in K]?: string } {
  const value = given ?? before[member];
  return value === undefined || value === "" ? {} : ({ [member]: value } as { [P in K]: string });
}

function checkMemory(memoryMb: number, memoryMbMax: number): void {
  if (memoryMb < MEMORY_MB_MIN) checkRange("memorySize", memoryMb, MEMORY_MB_MIN, memoryMbMax);
  if (memoryMb > memoryMbMax) {
    // The model's maximum is that of Managed Instances; Lambda checks its own afterwards and in other words.
    throw validationError(
      `'MemorySize' value failed to satisfy constraint: Member must have value less than or equal to ${memoryMbMax}`,
    );
  }
}

function checkRange(member: string, value: number | undefined, min: number, max: number): void {
  if (value === undefined || (value >= min && value <= max)) return;
  const bound = value < min ? `greater than or equal to ${min}` : `less than or equal to ${max}`;
  throw validationError(
    `1 validation error detected: Value '${value}' at '${member}' failed to satisfy constraint: Member must have value ${bound}`,
  );
}

export function checkArchitectures(
  architectures: readonly string[] | undefined,
): "x86_64" | "arm64" | undefined {
  if (architectures === undefined) return undefined;
  const shown = `[${architectures.join(", ")}]`;
  const [architecture] = architectures;
  if (architectures.length !== 1) {
    throw validationError(
      `1 validation error detected: Value '${shown}' at 'architectures' failed to satisfy constraint: Member must have length ${architectures.length > 1 ? "less" : "greater"} than or equal to 1`,
    );
  }
  if (architecture !== "x86_64" && architecture !== "arm64") {
    throw validationError(
      `1 validation error detected: Value '${shown}' at 'architectures' failed to satisfy constraint: Member must satisfy constraint: [Member must satisfy enum value set: [x86_64, arm64], Member must not be null]`,
    );
  }
  return architecture;
}

const UNABLE_TO_CONFIGURE =
  "Lambda was unable to configure your environment variables because the environment variables you have provided";

function checkEnvironment(variables: Readonly<Record<string, string>>): void {
  const names = Object.keys(variables);
  if (!names.every((name) => VARIABLE_NAME_PATTERN.test(name))) {
    // The model marks the variables as sensitive: AWS does not print them.
    throw validationError(
      "1 validation error detected: Value at 'environment.variables' failed to satisfy constraint: Map keys must satisfy constraint: [Member must satisfy regular expression pattern: [a-zA-Z]([a-zA-Z0-9_])+]",
    );
  }
  const reserved = names.filter((name) => RESERVED_VARIABLES.has(name));
  if (reserved.length > 0) {
    throw invalidParameterValue(
      `${UNABLE_TO_CONFIGURE} contains reserved keys that are currently not supported for modification. Reserved keys used in this request: ${reserved.join(", ")}`,
    );
  }
  const measured = JSON.stringify(variables);
  if (Buffer.byteLength(measured) > ENVIRONMENT_VARIABLES_BYTES_MAX) {
    throw invalidParameterValue(
      `${UNABLE_TO_CONFIGURE} exceeded the 4KB limit. String measured: ${measured}`,
    );
  }
}

/** A standard queue or topic; whether it is there shows at delivery. */
function checkDeadLetterTarget(targetArn: string): void {
  const { service = "", resource = "" } = parseArn(targetArn) ?? {};
  if (service !== "sqs" && service !== "sns") {
    throw invalidParameterValue(
      "Invalid dead letter queue ARN: The service specified by the TargetArn is not supported for dead letter configuration.",
    );
  }
  if (resource.endsWith(".fifo")) {
    const kind = service === "sqs" ? "SQS queue" : "SNS topic";
    throw invalidParameterValue(
      `Invalid dead letter queue ARN: FIFO ${kind} is not supported for dead letter configuration`,
    );
  }
}

/** The role may send to the dead-letter queue, whichever of both the request brings. */
function checkDeadLetterRole(role: string, targetArn: string | undefined, roles: RoleChecker): void {
  const missing = targetArn ? missingPermission(roles, role, targetArn) : undefined;
  if (missing)
    throw invalidParameterValue(
      `The provided execution role does not have permissions to call ${missing.operation} on ${missing.service}`,
    );
}

async function checkRole(role: string, roles: RoleChecker): Promise<void> {
  if (!ROLE_PATTERN.test(role)) {
    throw validationError(
      `1 validation error detected: Value '${role}' at 'role' failed to satisfy constraint: Member must satisfy regular expression pattern: arn:(aws[a-zA-Z-]*)?:iam::\\d{12}:role/?[a-zA-Z_0-9+=,.@\\-_/]+`,
    );
  }
  await roles.check(role);
}

function applyLogging(before: LoggingRecord, input: LoggingConfig | undefined): LoggingRecord {
  if (input === undefined) return before;
  const format = input.LogFormat ?? before.format;
  const group = input.LogGroup ?? before.group;
  if (format === "Text") {
    if (input.ApplicationLogLevel !== undefined || input.SystemLogLevel !== undefined) {
      throw invalidParameterValue(
        'LogLevel is not supported when LogFormat is set to "Text". Remove LogLevel from your request or change the LogFormat to "JSON" and try again.',
      );
    }
    return { format, group };
  }
  return {
    format,
    applicationLevel: input.ApplicationLogLevel ?? before.applicationLevel ?? "INFO",
    systemLevel: input.SystemLogLevel ?? before.systemLevel ?? "INFO",
    group,
  };
}

/** A function is durable from its creation on, or never: its code is written for one or the other. */
function applyDurable(before: DurableRecord | undefined, input: DurableConfig): DurableRecord {
  if (!before) {
    throw invalidParameterValue(
      "You cannot enable durable execution on an existing function. Create a new function with DurableConfig.",
    );
  }
  if (input.KMSKeyArn) throw unsupported("DurableConfig.KMSKeyArn");
  return {
    executionTimeoutS: input.ExecutionTimeout ?? before.executionTimeoutS,
    retentionDays: input.RetentionPeriodInDays ?? before.retentionDays,
  };
}

/** An empty list of subnets takes the function out of its VPC, as on AWS. */
function applyVpc(before: VpcRecord | undefined, input: VpcConfig | undefined): { vpc?: VpcRecord } {
  if (input === undefined) return before ? { vpc: before } : {};
  const subnetIds = input.SubnetIds ?? before?.subnetIds ?? [];
  const securityGroupIds = input.SecurityGroupIds ?? before?.securityGroupIds ?? [];
  if (subnetIds.length === 0) return {};
  return {
    vpc: { subnetIds, securityGroupIds, ipv6AllowedForDualStack: input.Ipv6AllowedForDualStack ?? false },
  };
}

/** What would change how a function runs and is not there: better refused than silently left out. */
function refuseUnsupported(input: Partial<CreateFunctionRequest>): void {
  if (input.FileSystemConfigs && input.FileSystemConfigs.length > 0) throw unsupported("FileSystemConfigs");
  if (input.TenancyConfig) throw unsupported("TenancyConfig");
  if (input.PackageType === "Image" && input.CodeSigningConfigArn !== undefined) {
    throw invalidParameterValue("Code signing is not supported for functions created with container images.");
  }
  if (input.PackageType === "Image" || input.ImageConfig || input.Code?.ImageUri !== undefined) {
    throw imagesUnsupported();
  }
}

export function unsupported(member: string): AwsError {
  return invalidParameterValue(`${member} is not supported by Hornero yet.`);
}

export function imagesUnsupported(): AwsError {
  return invalidParameterValue(
    "Container images are not supported by Hornero yet: use a .zip file archive (PackageType Zip).",
  );
}
