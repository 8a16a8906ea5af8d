/** PutFunctionRecursionConfig, GetFunctionRecursionConfig: whether a function may be part of a recursive loop. */
import type {
  GetFunctionRecursionConfigRequest,
  GetFunctionRecursionConfigResponse,
  PutFunctionRecursionConfigRequest,
  PutFunctionRecursionConfigResponse,
} from "@aws-sdk/client-lambda";
import type { OperationHandler } from "../../wire/service.ts";
import type { FunctionStore } from "./function-store.ts";
import { locateUnqualified } from "./locate.ts";

export function recursionOperations(functions: FunctionStore): Record<string, OperationHandler> {
  return {
    async PutFunctionRecursionConfig(
      input: PutFunctionRecursionConfigRequest,
      context,
    ): Promise<PutFunctionRecursionConfigResponse> {
      const name = locateUnqualified(input.FunctionName, context, "PutFunctionRecursionConfig");
      const record = await functions.change(name, (before) => {
        if (input.RecursiveLoop === "Allow") return { record: { ...before, recursiveLoop: "Allow" } };
        const { recursiveLoop: _, ...record } = before;
        return { record };
      });
      return { RecursiveLoop: record.recursiveLoop ?? "Terminate" };
    },

    GetFunctionRecursionConfig(
      input: GetFunctionRecursionConfigRequest,
      context,
    ): GetFunctionRecursionConfigResponse {
      const name = locateUnqualified(input.FunctionName, context, "GetFunctionRecursionConfig");
      return { RecursiveLoop: functions.require(name).value.recursiveLoop ?? "Terminate" };
    },
  };
}
