/**
 * Create-, Get-, Update-, Delete- and ListCapacityProvider(s), ListFunctionVersionsByCapacityProvider. There is one machine: a
 * provider is a bound of vCPUs and a name to put functions under. A change is one transaction, and its answer tells the state that AWS
 * would be passing through.
 */
import type {
  CapacityProvider,
  CapacityProviderScalingConfig,
  CreateCapacityProviderRequest,
  CreateCapacityProviderResponse,
  GetCapacityProviderRequest,
  ListCapacityProvidersRequest,
  ListCapacityProvidersResponse,
  ListFunctionVersionsByCapacityProviderRequest,
  ListFunctionVersionsByCapacityProviderResponse,
  PropagateTags,
  CapacityProviderTelemetryConfig,
  UpdateCapacityProviderRequest,
} from "@aws-sdk/client-lambda";
import { invalidParameterValue, validationError } from "../../errors.ts";
import { functionArn } from "../../kernel/arn.ts";
import { CAPACITY_PROVIDER_ARN_CHARS_MAX, CAPACITY_PROVIDER_VCPUS_DEFAULT } from "../../limits.ts";
import type { OperationHandler } from "../../wire/service.ts";
import type { CapacityProviderRecord, CapacityProviders } from "./capacity-provider-store.ts";
import type { FunctionStore } from "./function-store.ts";
import { versionsOn } from "./managed.ts";
import { formatLambdaTime } from "./output.ts";
import { page } from "./paging.ts";
import type { RoleChecker } from "./ports.ts";
import { checkTags } from "./tags.ts";

export interface CapacityProviderOptions {
  readonly providers: CapacityProviders;
  readonly functions: FunctionStore;
  readonly roles: RoleChecker;
}

export function capacityProviderOperations(
  options: CapacityProviderOptions,
): Record<string, OperationHandler> {
  const { providers, functions } = options;
  const { clock, region, accountId, index } = functions;
  return {
    CreateCapacityProvider: (input: CreateCapacityProviderRequest) => create(options, input),

    GetCapacityProvider(input: GetCapacityProviderRequest): CreateCapacityProviderResponse {
      const name = providers.nameOf(input.CapacityProviderName ?? "");
      return { CapacityProvider: show(providers, providers.require(name).value) };
    },

    async UpdateCapacityProvider(
      input: UpdateCapacityProviderRequest,
    ): Promise<CreateCapacityProviderResponse> {
      const name = providers.nameOf(input.CapacityProviderName ?? "");
      const record = await providers.change(name, (before) => ({
        ...before,
        ...changedMembers(name, input, before),
        lastModifiedMs: clock.nowMs(),
      }));
      return { CapacityProvider: show(providers, record) };
    },

    async DeleteCapacityProvider(input: GetCapacityProviderRequest): Promise<CreateCapacityProviderResponse> {
      const record = await providers.remove(providers.nameOf(input.CapacityProviderName ?? ""));
      return { CapacityProvider: show(providers, record, "Deleting") };
    },

    ListCapacityProviders(input: ListCapacityProvidersRequest): ListCapacityProvidersResponse {
      // One that shows is Active: the other states are those of answers.
      const wanted = input.State === undefined || input.State === "Active" ? providers.all() : [];
      const { items, nextMarker } = page(wanted, ({ key }) => key, input);
      return {
        CapacityProviders: items.map(({ value }) => show(providers, value)),
        ...(nextMarker !== undefined && { NextMarker: nextMarker }),
      };
    },

    ListFunctionVersionsByCapacityProvider(
      input: ListFunctionVersionsByCapacityProviderRequest,
    ): ListFunctionVersionsByCapacityProviderResponse {
      const name = providers.nameOf(input.CapacityProviderName ?? "");
      providers.require(name);
      const versions = versionsOn(index, name).map((found) => ({
        // NUL sorts before all that a name can hold; numbers in their order.
        key: `${found.name}\0${found.version.version.padStart(20, " ")}`,
        ...found,
      }));
      versions.sort((a, b) => (a.key < b.key ? -1 : 1));
      const { items, nextMarker } = page(versions, ({ key }) => key, input);
      return {
        CapacityProviderArn: providers.arnOf(name),
        FunctionVersions: items.map(({ name: function_, version }) => ({
          FunctionArn: functionArn(region, accountId, function_, version.version),
          State: version.state.state,
        })),
        ...(nextMarker !== undefined && { NextMarker: nextMarker }),
      };
    },
  };
}

async function create(
  { providers, functions, roles }: CapacityProviderOptions,
  input: CreateCapacityProviderRequest,
): Promise<CreateCapacityProviderResponse> {
  const name = providers.nameOf(input.CapacityProviderName ?? "");
  const charsMax = CAPACITY_PROVIDER_ARN_CHARS_MAX - providers.arnOf("").length;
  if (name.length > charsMax) {
    throw validationError(
      `1 validation error detected: Value '${name}' at 'capacityProviderName' failed to satisfy constraint: Member must have length less than or equal to ${charsMax}`,
    );
  }
  const { VpcConfig, PermissionsConfig, InstanceRequirements = {}, KmsKeyArn, Tags: tags = {} } = input;
  const { AllowedInstanceTypes: allowed = [], ExcludedInstanceTypes: excluded = [] } = InstanceRequirements;
  if (allowed.length > 0 && excluded.length > 0) {
    throw invalidParameterValue(
      "AllowedInstanceTypes and ExcludedInstanceTypes can't be specified at the same time.",
    );
  }
  checkTags(tags);
  await roles.check(PermissionsConfig?.CapacityProviderOperatorRoleArn ?? "");
  const architecture = InstanceRequirements.Architectures?.[0] ?? "x86_64";
  const members = changedMembers(name, input, undefined);
  const record: CapacityProviderRecord = {
    name,
    lastModifiedMs: functions.clock.nowMs(),
    tags,
    architecture,
    vcpusMax: members.vcpusMax,
    asGiven: {
      VpcConfig,
      PermissionsConfig,
      InstanceRequirements: { ...InstanceRequirements, Architectures: [architecture] },
      ...(KmsKeyArn !== undefined && { KmsKeyArn }),
      ...members.asGiven,
    },
  };
  await providers.create(record);
  return { CapacityProvider: show(providers, record, "Pending") };
}

/** The members that an update can change, after the request; what it leaves out stays. Throws InvalidParameterValueException. */
function changedMembers(
  name: string,
  input: {
    readonly CapacityProviderScalingConfig?: CapacityProviderScalingConfig | undefined;
    readonly PropagateTags?: PropagateTags | undefined;
    readonly TelemetryConfig?: CapacityProviderTelemetryConfig | undefined;
  },
  before: CapacityProviderRecord | undefined,
): Pick<CapacityProviderRecord, "vcpusMax" | "asGiven"> {
  const { PropagateTags: propagated, TelemetryConfig: telemetry } = input;
  const scaling = before && !input.CapacityProviderScalingConfig ? undefined : scalingOf(input);
  if (propagated) checkPropagation(propagated);
  const logging = telemetry?.LoggingConfig;
  return {
    vcpusMax: scaling?.MaxVCpuCount ?? before?.vcpusMax ?? CAPACITY_PROVIDER_VCPUS_DEFAULT,
    asGiven: {
      ...before?.asGiven,
      ...(scaling && { CapacityProviderScalingConfig: scaling }),
      ...(propagated && { PropagateTags: propagated }),
      ...((telemetry ?? !before) && {
        TelemetryConfig: {
          LoggingConfig: {
            SystemLogLevel: logging?.SystemLogLevel ?? "INFO",
            LogGroup: logging?.LogGroup ?? `/aws/lambda/capacity-provider/${name}`,
          },
        },
      }),
    },
  };
}

function scalingOf({
  CapacityProviderScalingConfig: given = {},
}: Pick<CreateCapacityProviderRequest, "CapacityProviderScalingConfig">) {
  const mode = given.ScalingMode ?? "Auto";
  if (mode === "Auto" && given.ScalingPolicies)
    throw invalidParameterValue("A scaling policy can't be specified when the scalingMode is set to Auto");
  if (mode === "Manual" && !given.ScalingPolicies)
    throw invalidParameterValue("A scaling policy must be specified when the scalingMode is set to Manual");
  return {
    MaxVCpuCount: given.MaxVCpuCount ?? CAPACITY_PROVIDER_VCPUS_DEFAULT,
    ScalingMode: mode,
    ...(given.ScalingPolicies && { ScalingPolicies: given.ScalingPolicies }),
  };
}

function checkPropagation({ Mode: mode, ExplicitTags: tags = {} }: PropagateTags): void {
  const isExplicit = mode === "Explicit";
  if (isExplicit !== Object.keys(tags).length > 0) {
    throw invalidParameterValue(
      isExplicit
        ? "ExplicitTags must be specified when the mode of PropagateTags is Explicit."
        : "ExplicitTags can only be specified when the mode of PropagateTags is Explicit.",
    );
  }
  checkTags(tags);
}

function show(
  providers: CapacityProviders,
  { name, lastModifiedMs, asGiven }: CapacityProviderRecord,
  state: CapacityProvider["State"] = "Active",
): CapacityProvider {
  return {
    ...(asGiven as Pick<CapacityProvider, "VpcConfig" | "PermissionsConfig">),
    CapacityProviderArn: providers.arnOf(name),
    State: state,
    LastModified: formatLambdaTime(lastModifiedMs),
  };
}
