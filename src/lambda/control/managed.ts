/**
 * Functions on Managed Instances: what CapacityProviderConfig says, and what such a function may not be. A function is of one
 * kind for its whole life.
 */
import type { CapacityProviderConfig, CreateFunctionRequest } from "@aws-sdk/client-lambda";
import { AwsError, invalidParameterValue, validationError } from "../../errors.ts";
import {
  ENVIRONMENT_CONCURRENCY_MAX,
  FUNCTION_VERSIONS_PER_CAPACITY_PROVIDER_MAX,
  MANAGED_MEMORY_MB_MIN,
  MEMORY_GIB_PER_VCPU_DEFAULT,
} from "../../limits.ts";
import type { Change } from "../../store/store.ts";
import type { CapacityProviders } from "./capacity-provider-store.ts";
import { LATEST } from "./function-name.ts";
import type { FunctionIndex } from "./function-index.ts";
import type { FunctionRecord, FunctionSettings, ManagedRecord, VersionRecord } from "./records.ts";

const MIB_PER_GIB = 1024;
/** Invocations at once for each vCPU, where the function does not say [docs: lambda-managed-instances-*-runtime]. */
const CONCURRENCY_PER_VCPU: readonly (readonly [RegExp, number])[] = [
  [/^nodejs/, 64],
  [/^python/, 16],
];
const CONCURRENCY_PER_VCPU_OTHERS = 32;
/** What AWS runs there [docs: lambda-managed-instances-runtimes], and which of it is run here. */
const AWS_RUNTIMES = /^(nodejs2[2-9]\.x|python3\.1[3-9]|java(21|25)|dotnet(8|9|10)|provided\.al2023)$/;
const OUR_RUNTIMES = /^(nodejs2[2-9]\.x|provided\.al2023)$/;

type Members = Pick<CreateFunctionRequest, "VpcConfig" | "TenancyConfig"> & {
  readonly CapacityProviderConfig?: CapacityProviderConfig | undefined;
};

/** The member after the request. `before` is undefined for a new function. Throws AwsError. */
export function applyManaged(
  before: { readonly managed?: ManagedRecord } | undefined,
  input: Members,
  providers: Pick<CapacityProviders, "nameOf" | "require">,
): ManagedRecord | undefined {
  const config = input.CapacityProviderConfig;
  if (!config) return before?.managed;
  if (before && !before.managed)
    throw invalidParameterValue("CapacityProviderConfig isn't supported for Lambda Default functions.");
  const given = config.LambdaManagedInstancesCapacityProviderConfig;
  if (!given) {
    throw validationError(
      "1 validation error detected: Value null at 'capacityProviderConfig.lambdaManagedInstancesCapacityProviderConfig' failed to satisfy constraint: Member must not be null",
    );
  }
  const provider = providers.nameOf(given.CapacityProviderArn ?? "");
  providers.require(provider);
  const concurrencyMax = given.PerExecutionEnvironmentMaxConcurrency ?? before?.managed?.concurrencyMax;
  return {
    provider,
    memoryGibPerVcpu:
      given.ExecutionEnvironmentMemoryGiBPerVCpu ??
      before?.managed?.memoryGibPerVcpu ??
      MEMORY_GIB_PER_VCPU_DEFAULT,
    ...(concurrencyMax !== undefined && { concurrencyMax }),
  };
}

/** Throws AwsError when the settings do not go together for a function on Managed Instances. */
export function checkManaged(
  settings: FunctionSettings,
  managed: ManagedRecord,
  providers: Pick<CapacityProviders, "require">,
): void {
  const { runtime, memoryMb, architecture, logging } = settings;
  if (!AWS_RUNTIMES.test(runtime))
    throw invalidParameterValue(
      `The runtime ${runtime} isn't supported for Lambda Managed Instance functions.`,
    );
  if (!OUR_RUNTIMES.test(runtime)) {
    throw invalidParameterValue(
      `Hornero does not run ${runtime} on Managed Instances yet: use nodejs22.x or later, or provided.al2023.`,
    );
  }
  if (memoryMb < MANAGED_MEMORY_MB_MIN) {
    throw validationError(
      `Lambda Managed Instance functions must have memory size greater than or equal to ${MANAGED_MEMORY_MB_MIN}`,
    );
  }
  if (vcpusOf(memoryMb, managed) < 1) {
    throw invalidParameterValue(
      `With ${memoryMb} MB of memory and ${managed.memoryGibPerVcpu} GiB per vCPU an execution environment has less than 1 vCPU.`,
    );
  }
  if (settings.vpc)
    throw invalidParameterValue("You can't use Lambda Managed Instance functions with VPC configurations.");
  if (settings.durable)
    throw invalidParameterValue("Hornero does not run durable functions on Managed Instances yet.");
  if (settings.snapStartApplyOn !== "None")
    throw invalidParameterValue("SnapStart isn't supported for Lambda Managed Instance functions.");
  if (logging.format !== "JSON")
    throw invalidParameterValue("Lambda Managed Instance functions support the log format JSON only.");
  const { architecture: offered } = providers.require(managed.provider).value;
  if (architecture !== offered) {
    throw invalidParameterValue(
      `The function's architecture ${architecture} is not that of its capacity provider, ${offered}.`,
    );
  }
}

/** Of one environment. */
export function vcpusOf(memoryMb: number, { memoryGibPerVcpu }: ManagedRecord): number {
  return memoryMb / MIB_PER_GIB / memoryGibPerVcpu;
}

/** Invocations at once in one environment. */
export function concurrencyMaxOf(settings: FunctionSettings, managed: ManagedRecord): number {
  if (managed.concurrencyMax !== undefined) return managed.concurrencyMax;
  const [, perVcpu] = CONCURRENCY_PER_VCPU.find(([runtimes]) => runtimes.test(settings.runtime)) ?? [];
  const concurrency = (perVcpu ?? CONCURRENCY_PER_VCPU_OTHERS) * vcpusOf(settings.memoryMb, managed);
  return Math.min(ENVIRONMENT_CONCURRENCY_MAX, Math.floor(concurrency));
}

/** Throws InvalidParameterValueException for a function on Managed Instances, which `feature` is not for. */
export function refuseManaged({ latest }: FunctionRecord, feature: string): void {
  if (latest.settings.managed)
    throw invalidParameterValue(`${feature} isn't supported for Lambda Managed Instance functions.`);
}

/** A version of which function, on which provider. */
export interface ManagedVersion {
  readonly name: string;
  readonly version: VersionRecord;
}

/** The versions that a capacity provider has, `$LATEST` of each function included, in the order of their ARNs. */
export function versionsOn(index: FunctionIndex, provider: string): ManagedVersion[] {
  return index.names().flatMap((name) => {
    const latest = index.get(name)?.value.latest;
    const versions = [...(latest ? [latest] : []), ...index.versionsOf(name).map(({ value }) => value)];
    return versions
      .filter(({ settings }) => settings.managed?.provider === provider)
      .map((version) => ({ name, version }));
  });
}

/**
 * To be part of each transaction by which a provider gets a function or a version: a deletion of the provider at the same time,
 * or the hundredth version of somebody else, makes one of the two lose the race. Throws AwsError.
 */
export function claimOn(
  { managed }: FunctionSettings,
  published: boolean,
  providers: CapacityProviders,
  index: FunctionIndex,
): Change[] {
  if (!managed) return [];
  const provider = providers.require(managed.provider);
  const count = versionsOn(index, managed.provider).filter(
    ({ version }) => version.version !== LATEST,
  ).length;
  if (published && count >= FUNCTION_VERSIONS_PER_CAPACITY_PROVIDER_MAX) {
    throw new AwsError(
      "FunctionVersionsPerCapacityProviderLimitExceededException",
      `The capacity provider ${managed.provider} has ${count} function versions already: no more than ${FUNCTION_VERSIONS_PER_CAPACITY_PROVIDER_MAX} are possible.`,
    );
  }
  return [providers.unchanged(provider)];
}
