/**
 * Put- and GetFunctionScalingConfig: between how many environments a version on Managed Instances scales. No environment at all
 * deactivates it.
 */
import type {
  GetFunctionScalingConfigRequest,
  GetFunctionScalingConfigResponse,
  PutFunctionScalingConfigRequest,
  PutFunctionScalingConfigResponse,
} from "@aws-sdk/client-lambda";
import { invalidParameterValue, resourceConflict } from "../../errors.ts";
import { functionArn } from "../../kernel/arn.ts";
import { newUuid } from "../../kernel/ids.ts";
import { MANAGED_ENVIRONMENTS_MIN_DEFAULT } from "../../limits.ts";
import type { OperationHandler, RequestContext } from "../../wire/service.ts";
import type { CapacityProviders } from "./capacity-provider-store.ts";
import { putVersion, type FunctionStore } from "./function-store.ts";
import { locate } from "./locate.ts";
import { vcpusOf } from "./managed.ts";
import { withoutQualified } from "./qualified.ts";
import type { FunctionRecord, FunctionState, ScalingRecord, VersionRecord } from "./records.ts";

export function scalingConfigOperations(
  functions: FunctionStore,
  providers: CapacityProviders,
): Record<string, OperationHandler> {
  const { region, accountId, index } = functions;
  return {
    async PutFunctionScalingConfig(
      input: PutFunctionScalingConfigRequest,
      context,
    ): Promise<PutFunctionScalingConfigResponse> {
      const { name, qualifier } = target(functions, input, context, "PutFunctionScalingConfig");
      const scaling = scalingOf(qualifier, input);
      let answer: PutFunctionScalingConfigResponse = {};
      await functions.change(name, (before) => {
        functions.requireVersion(name, qualifier);
        const stored = index.version(name, qualifier);
        const record = withScaling(before, qualifier, scaling);
        if (!stored) return { record };
        const { state, passing } = stateAfter(stored.value, scaling);
        answer = { FunctionState: passing };
        if (state.state === stored.value.state.state) return { record };
        const changed = { ...stored.value, state, revisionId: newUuid() };
        return { record, also: [putVersion(name, changed, stored.revision)] };
      });
      return answer;
    },

    GetFunctionScalingConfig(
      input: GetFunctionScalingConfigRequest,
      context,
    ): GetFunctionScalingConfigResponse {
      const { name, qualifier, version } = target(functions, input, context, "GetFunctionScalingConfig");
      const requested = functions.require(name).value.scaling?.find((one) => one.qualifier === qualifier);
      const { min, max } = boundsOf(version, requested, providers);
      return {
        FunctionArn: functionArn(region, accountId, name, qualifier),
        AppliedFunctionScalingConfig: { MinExecutionEnvironments: min, MaxExecutionEnvironments: max },
        ...(requested && {
          RequestedFunctionScalingConfig: {
            ...(requested.min !== undefined && { MinExecutionEnvironments: requested.min }),
            ...(requested.max !== undefined && { MaxExecutionEnvironments: requested.max }),
          },
        }),
      };
    },
  };
}

/** Between how many environments a version scales: as configured, and as far as its provider's vCPUs go. */
export function boundsOf(
  { settings }: VersionRecord,
  requested: ScalingRecord | undefined,
  providers: Pick<CapacityProviders, "get">,
): { readonly min: number; readonly max: number } {
  const { managed, memoryMb } = settings;
  if (!managed) return { min: 0, max: 0 };
  const vcpusMax = providers.get(managed.provider)?.value.vcpusMax ?? 0;
  const affordable = Math.floor(vcpusMax / vcpusOf(memoryMb, managed));
  const max = Math.min(requested?.max ?? Infinity, affordable);
  return { min: Math.min(requested?.min ?? MANAGED_ENVIRONMENTS_MIN_DEFAULT, max), max };
}

/** Undefined: as if nothing had been configured. */
function scalingOf(qualifier: string, input: PutFunctionScalingConfigRequest): ScalingRecord | undefined {
  const { MinExecutionEnvironments: min, MaxExecutionEnvironments: max } = input.FunctionScalingConfig ?? {};
  if (min === undefined && max === undefined) return undefined;
  const lowest = min ?? (max === 0 ? 0 : MANAGED_ENVIRONMENTS_MIN_DEFAULT);
  if (max !== undefined && lowest > max) {
    throw invalidParameterValue(
      `MinExecutionEnvironments ${lowest} should not be greater than MaxExecutionEnvironments ${max}.`,
    );
  }
  return { qualifier, ...(min !== undefined && { min }), ...(max !== undefined && { max }) };
}

function withScaling(
  before: FunctionRecord,
  qualifier: string,
  scaling: ScalingRecord | undefined,
): FunctionRecord {
  const without = withoutQualified(before, "scaling", qualifier);
  return scaling ? { ...without, scaling: [...(without.scaling ?? []), scaling] } : without;
}

/** The state that is kept, and the one that AWS would be passing through. Throws while the version is Pending or has Failed. */
function stateAfter(
  { state }: VersionRecord,
  scaling: ScalingRecord | undefined,
): { state: FunctionState; passing: "Active" | "Pending" | "Deactivating" | "Deactivated" } {
  if (state.state !== "Active" && state.state !== "Deactivated") {
    throw resourceConflict(
      `The operation cannot be performed at this time. The function is currently in the following state: ${state.state}`,
    );
  }
  const wasActive = state.state === "Active";
  if (scaling?.max === 0) {
    return { state: { state: "Deactivated" }, passing: wasActive ? "Deactivating" : "Deactivated" };
  }
  return { state: wasActive ? state : { state: "Active" }, passing: wasActive ? "Active" : "Pending" };
}

function target(
  functions: FunctionStore,
  input: GetFunctionScalingConfigRequest,
  context: RequestContext,
  action: string,
): { name: string; qualifier: string; version: VersionRecord } {
  const { name, qualifier = "" } = locate(input.FunctionName, input.Qualifier, context, action);
  const version = functions.requireVersion(name, qualifier);
  if (!version.settings.managed)
    throw invalidParameterValue("FunctionScalingConfig isn't supported for Lambda Default functions.");
  return { name, qualifier, version };
}
