/**
 * Put- and GetRuntimeManagementConfig. The interpreter is the host's: whatever mode is asked for is kept and shown, and which
 * patch of the runtime a function gets is up to who maintains the host.
 */
import type {
  GetRuntimeManagementConfigRequest,
  GetRuntimeManagementConfigResponse,
  PutRuntimeManagementConfigRequest,
} from "@aws-sdk/client-lambda";
import { invalidParameterValue } from "../../errors.ts";
import { functionArn } from "../../kernel/arn.ts";
import type { OperationHandler } from "../../wire/service.ts";
import { isVersionNumber, LATEST } from "./function-name.ts";
import type { FunctionStore } from "./function-store.ts";
import { locate } from "./locate.ts";
import type { RuntimeManagementRecord } from "./records.ts";
import { withoutQualified } from "./qualified.ts";

export function runtimeManagementOperations(functions: FunctionStore): Record<string, OperationHandler> {
  const { region, accountId } = functions;
  const show = (
    name: string,
    qualifier: string,
    { mode, runtimeVersionArn }: Omit<RuntimeManagementRecord, "qualifier">,
  ) => ({
    UpdateRuntimeOn: mode,
    FunctionArn: functionArn(region, accountId, name, qualifier),
    ...(runtimeVersionArn !== undefined && { RuntimeVersionArn: runtimeVersionArn }),
  });
  return {
    async PutRuntimeManagementConfig(
      input: PutRuntimeManagementConfigRequest,
      context,
    ): Promise<GetRuntimeManagementConfigResponse> {
      const { name, qualifier } = target(functions, input, context, "PutRuntimeManagementConfig");
      const { UpdateRuntimeOn: mode = "Auto", RuntimeVersionArn: runtimeVersionArn } = input;
      if ((mode === "Manual") !== (runtimeVersionArn !== undefined)) {
        throw invalidParameterValue(
          mode === "Manual"
            ? "RuntimeVersionArn is required when UpdateRuntimeOn is set to Manual."
            : `RuntimeVersionArn must be null when UpdateRuntimeOn is set to ${mode}.`,
        );
      }
      const config: RuntimeManagementRecord = {
        qualifier,
        mode,
        ...(runtimeVersionArn !== undefined && { runtimeVersionArn }),
      };
      await functions.change(name, (before) => {
        const without = withoutQualified(before, "runtimeManagement", qualifier);
        return {
          record:
            mode === "Auto"
              ? without
              : { ...without, runtimeManagement: [...(without.runtimeManagement ?? []), config] },
        };
      });
      return show(name, qualifier, config);
    },

    GetRuntimeManagementConfig(
      input: GetRuntimeManagementConfigRequest,
      context,
    ): GetRuntimeManagementConfigResponse {
      const { name, qualifier } = target(functions, input, context, "GetRuntimeManagementConfig");
      const record = functions.require(name).value;
      const config = record.runtimeManagement?.find((candidate) => candidate.qualifier === qualifier);
      return show(name, qualifier, config ?? { mode: "Auto" });
    },
  };
}

/** $LATEST or a version that there is; an alias has no runtime of its own. */
function target(
  functions: FunctionStore,
  input: GetRuntimeManagementConfigRequest,
  context: Parameters<OperationHandler>[1],
  action: string,
): { name: string; qualifier: string } {
  const { name, qualifier = LATEST } = locate(input.FunctionName, input.Qualifier, context, action);
  if (qualifier !== LATEST && !isVersionNumber(qualifier)) {
    throw invalidParameterValue(
      `Qualifier must be $LATEST or a published version: an alias has no runtime management configuration.`,
    );
  }
  functions.requireVersion(name, qualifier);
  return { name, qualifier };
}
