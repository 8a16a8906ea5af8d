/**
 * Create-, Get-, Update-, Delete- and ListCodeSigningConfig(s), ListFunctionsByCodeSigningConfig; Put-, Get- and
 * DeleteFunctionCodeSigningConfig. See docs/compat/code-signing.md.
 */
import type {
  CodeSigningConfig,
  CreateCodeSigningConfigRequest,
  CreateCodeSigningConfigResponse,
  DeleteCodeSigningConfigRequest,
  DeleteFunctionCodeSigningConfigRequest,
  GetCodeSigningConfigRequest,
  GetCodeSigningConfigResponse,
  GetFunctionCodeSigningConfigRequest,
  GetFunctionCodeSigningConfigResponse,
  ListCodeSigningConfigsRequest,
  ListCodeSigningConfigsResponse,
  ListFunctionsByCodeSigningConfigRequest,
  ListFunctionsByCodeSigningConfigResponse,
  PutFunctionCodeSigningConfigRequest,
  PutFunctionCodeSigningConfigResponse,
  UpdateCodeSigningConfigRequest,
  UpdateCodeSigningConfigResponse,
} from "@aws-sdk/client-lambda";
import { functionArn } from "../../kernel/arn.ts";
import { newHexId } from "../../kernel/ids.ts";
import type { OperationHandler, RequestContext } from "../../wire/service.ts";
import type { CodeSigningConfigRecord, CodeSigningStore } from "./code-signing-store.ts";
import type { FunctionStore } from "./function-store.ts";
import { locateUnqualified } from "./locate.ts";
import { formatLambdaTime } from "./output.ts";
import { page } from "./paging.ts";
import { checkTags } from "./tags.ts";

const ID_DIGITS = 17;

export function codeSigningOperations(
  configs: CodeSigningStore,
  functions: FunctionStore,
): Record<string, OperationHandler> {
  return { ...configOperations(configs, functions), ...functionConfigOperations(configs, functions) };
}

function configOperations(
  configs: CodeSigningStore,
  functions: FunctionStore,
): Record<string, OperationHandler> {
  const { clock, region, accountId } = functions;
  return {
    async CreateCodeSigningConfig(
      input: CreateCodeSigningConfigRequest,
    ): Promise<CreateCodeSigningConfigResponse> {
      const tags = input.Tags ?? {};
      checkTags(tags);
      const record: CodeSigningConfigRecord = {
        id: `csc-${newHexId(Math.ceil(ID_DIGITS / 2)).slice(0, ID_DIGITS)}`,
        description: input.Description ?? "",
        allowedProfileVersionArns: input.AllowedPublishers?.SigningProfileVersionArns ?? [],
        untrusted: input.CodeSigningPolicies?.UntrustedArtifactOnDeployment ?? "Warn",
        tags,
        lastModifiedMs: clock.nowMs(),
      };
      await configs.insert(record);
      return { CodeSigningConfig: show(configs, record) };
    },

    async GetCodeSigningConfig(input: GetCodeSigningConfigRequest): Promise<GetCodeSigningConfigResponse> {
      const { value } = await configs.require(input.CodeSigningConfigArn ?? "");
      return { CodeSigningConfig: show(configs, value) };
    },

    async UpdateCodeSigningConfig(
      input: UpdateCodeSigningConfigRequest,
    ): Promise<UpdateCodeSigningConfigResponse> {
      const record = await configs.change(input.CodeSigningConfigArn ?? "", (before) => ({
        ...before,
        description: input.Description ?? before.description,
        allowedProfileVersionArns:
          input.AllowedPublishers?.SigningProfileVersionArns ?? before.allowedProfileVersionArns,
        untrusted: input.CodeSigningPolicies?.UntrustedArtifactOnDeployment ?? before.untrusted,
        lastModifiedMs: clock.nowMs(),
      }));
      return { CodeSigningConfig: show(configs, record) };
    },

    async DeleteCodeSigningConfig(input: DeleteCodeSigningConfigRequest): Promise<Record<string, never>> {
      await configs.remove(input.CodeSigningConfigArn ?? "");
      return {};
    },

    async ListCodeSigningConfigs(
      input: ListCodeSigningConfigsRequest,
    ): Promise<ListCodeSigningConfigsResponse> {
      const { items, nextMarker } = page(await configs.list(), ({ key }) => key, input);
      return {
        CodeSigningConfigs: items.map(({ value }) => show(configs, value)),
        ...(nextMarker !== undefined && { NextMarker: nextMarker }),
      };
    },

    async ListFunctionsByCodeSigningConfig(
      input: ListFunctionsByCodeSigningConfigRequest,
    ): Promise<ListFunctionsByCodeSigningConfigResponse> {
      const arn = input.CodeSigningConfigArn ?? "";
      await configs.require(arn);
      const { items, nextMarker } = page(configs.functionsWith(arn), (name) => name, input);
      return {
        FunctionArns: items.map((name) => functionArn(region, accountId, name)),
        ...(nextMarker !== undefined && { NextMarker: nextMarker }),
      };
    },
  };
}

function functionConfigOperations(
  configs: CodeSigningStore,
  functions: FunctionStore,
): Record<string, OperationHandler> {
  return {
    PutFunctionCodeSigningConfig(
      input: PutFunctionCodeSigningConfigRequest,
      context: RequestContext,
    ): Promise<PutFunctionCodeSigningConfigResponse> {
      const name = locateUnqualified(input.FunctionName, context, "PutFunctionCodeSigningConfig");
      const arn = input.CodeSigningConfigArn ?? "";
      return configs.attaching(arn, async () => {
        // What runs already goes on running: the configuration is for the next deployment.
        await functions.change(name, (before) => ({ record: { ...before, codeSigningConfigArn: arn } }));
        return { CodeSigningConfigArn: arn, FunctionName: name };
      });
    },

    GetFunctionCodeSigningConfig(
      input: GetFunctionCodeSigningConfigRequest,
      context: RequestContext,
    ): Partial<GetFunctionCodeSigningConfigResponse> {
      const name = locateUnqualified(input.FunctionName, context, "GetFunctionCodeSigningConfig");
      const { codeSigningConfigArn: arn } = functions.require(name).value;
      return arn === undefined ? {} : { CodeSigningConfigArn: arn, FunctionName: name };
    },

    async DeleteFunctionCodeSigningConfig(
      input: DeleteFunctionCodeSigningConfigRequest,
      context: RequestContext,
    ): Promise<Record<string, never>> {
      const name = locateUnqualified(input.FunctionName, context, "DeleteFunctionCodeSigningConfig");
      await functions.change(name, (before) => {
        const { codeSigningConfigArn: _, ...record } = before;
        return { record };
      });
      return {};
    },
  };
}

function show(configs: CodeSigningStore, record: CodeSigningConfigRecord): CodeSigningConfig {
  return {
    CodeSigningConfigId: record.id,
    CodeSigningConfigArn: configs.arnOf(record.id),
    Description: record.description,
    AllowedPublishers: { SigningProfileVersionArns: [...record.allowedProfileVersionArns] },
    CodeSigningPolicies: { UntrustedArtifactOnDeployment: record.untrusted },
    LastModified: formatLambdaTime(record.lastModifiedMs),
  };
}
