/** Records as AWS shows them. */
import { createHash } from "node:crypto";
import type {
  AliasConfiguration,
  FunctionConfiguration,
  LastUpdateStatusReasonCode,
  Runtime,
} from "@aws-sdk/client-lambda";
import { capacityProviderArn, functionArn } from "../../kernel/arn.ts";
import { showSignature } from "./code-signing.ts";
import { concurrencyMaxOf } from "./managed.ts";
import type { AliasRecord, VersionRecord } from "./records.ts";

export interface ConfigurationView {
  readonly region: string;
  readonly accountId: string;
  readonly name: string;
  readonly version: VersionRecord;
  /** What the ARN ends in: as the caller named the version; undefined for an unqualified ARN. */
  readonly qualifier?: string;
  /** Lists leave out the members that tell of states. */
  readonly list?: boolean;
}

export function toConfiguration(view: ConfigurationView): FunctionConfiguration {
  const { region, accountId, name, version, qualifier } = view;
  const { settings, code } = version;
  return {
    FunctionName: name,
    FunctionArn: functionArn(region, accountId, name, qualifier),
    Runtime: settings.runtime as Runtime,
    Role: settings.role,
    Handler: settings.handler,
    CodeSize: code.sizeBytes,
    Description: settings.description,
    Timeout: settings.timeoutS,
    MemorySize: settings.memoryMb,
    LastModified: formatLambdaTime(version.lastModifiedMs),
    CodeSha256: code.sha256Base64,
    Version: version.version,
    ...showSignature(code.signature),
    ...optionalSettings(view),
    TracingConfig: { Mode: settings.tracingMode },
    RevisionId: version.revisionId,
    PackageType: "Zip",
    Architectures: [settings.architecture],
    EphemeralStorage: { Size: settings.ephemeralStorageMb },
    SnapStart: { ApplyOn: settings.snapStartApplyOn, OptimizationStatus: version.snapshot ? "On" : "Off" },
    LoggingConfig: {
      LogFormat: settings.logging.format,
      ApplicationLogLevel: settings.logging.applicationLevel,
      SystemLogLevel: settings.logging.systemLevel,
      LogGroup: settings.logging.group,
    },
    ...(view.list ? {} : states(version)),
    ...(view.list
      ? {}
      : { RuntimeVersionConfig: { RuntimeVersionArn: runtimeVersionArn(region, settings.runtime) } }),
  };
}

function optionalSettings({ region, accountId, version }: ConfigurationView): Partial<FunctionConfiguration> {
  const { settings } = version;
  const { environment, layers, vpc, deadLetterTargetArn, kmsKeyArn, durable, managed } = settings;
  return {
    ...(Object.keys(environment).length > 0 && { Environment: { Variables: { ...environment } } }),
    ...(layers.length > 0 && {
      Layers: layers.map(({ arn, sizeBytes, signature }) => ({
        Arn: arn,
        CodeSize: sizeBytes,
        ...showSignature(signature),
      })),
    }),
    ...(deadLetterTargetArn !== undefined && { DeadLetterConfig: { TargetArn: deadLetterTargetArn } }),
    ...(kmsKeyArn !== undefined && { KMSKeyArn: kmsKeyArn }),
    ...(durable && {
      DurableConfig: {
        ExecutionTimeout: durable.executionTimeoutS,
        RetentionPeriodInDays: durable.retentionDays,
      },
    }),
    ...(managed && {
      CapacityProviderConfig: {
        LambdaManagedInstancesCapacityProviderConfig: {
          CapacityProviderArn: capacityProviderArn(region, accountId, managed.provider),
          PerExecutionEnvironmentMaxConcurrency: concurrencyMaxOf(settings, managed),
          ExecutionEnvironmentMemoryGiBPerVCpu: managed.memoryGibPerVcpu,
        },
      },
    }),
    ...(vpc && {
      VpcConfig: {
        VpcId: "",
        SubnetIds: [...vpc.subnetIds],
        SecurityGroupIds: [...vpc.securityGroupIds],
        Ipv6AllowedForDualStack: vpc.ipv6AllowedForDualStack,
      },
    }),
  };
}

function states({ state, lastUpdate }: VersionRecord): Partial<FunctionConfiguration> {
  return {
    State: state.state,
    StateReason: state.reason,
    StateReasonCode: state.reasonCode,
    LastUpdateStatus: lastUpdate?.status,
    LastUpdateStatusReason: lastUpdate?.reason,
    // AWS answers "Creating" here as well, which its own model does not list.
    LastUpdateStatusReasonCode: lastUpdate?.reasonCode as LastUpdateStatusReasonCode | undefined,
  };
}

/** AWS names each patch of a runtime by a hash; here the interpreter is the host's, so the hash is of the runtime's id. */
function runtimeVersionArn(region: string, runtime: string): string {
  return `arn:aws:lambda:${region}::runtime:${createHash("sha256").update(runtime).digest("hex")}`;
}

/** `2026-11-23T18:00:00.000+0000` */
export function formatLambdaTime(ms: number): string {
  return new Date(ms).toISOString().replace("Z", "+0000");
}

export function toAlias(
  region: string,
  accountId: string,
  name: string,
  alias: AliasRecord,
): AliasConfiguration {
  const { routing } = alias;
  return {
    AliasArn: functionArn(region, accountId, name, alias.name),
    Name: alias.name,
    FunctionVersion: alias.functionVersion,
    Description: alias.description,
    RevisionId: alias.revisionId,
    ...(routing && { RoutingConfig: { AdditionalVersionWeights: { [routing.version]: routing.weight } } }),
  };
}
