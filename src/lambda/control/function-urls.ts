/**
 * Create-, Get-, Update-, Delete- and ListFunctionUrlConfig(s): the URLs of $LATEST and of aliases; versions have none.
 * They are served by ../urls. What is shown as FunctionUrl is below the host name by which the caller reached this server.
 */
import type {
  Cors,
  CreateFunctionUrlConfigRequest,
  DeleteFunctionUrlConfigRequest,
  FunctionUrlConfig,
  GetFunctionUrlConfigRequest,
  ListFunctionUrlConfigsRequest,
  ListFunctionUrlConfigsResponse,
  UpdateFunctionUrlConfigRequest,
} from "@aws-sdk/client-lambda";
import { invalidParameterValue, resourceConflict, resourceNotFound, validationError } from "../../errors.ts";
import { functionArn } from "../../kernel/arn.ts";
import type { OperationHandler, RequestContext } from "../../wire/service.ts";
import { formatUrl, newUrlId, type CorsRules } from "../urls/function-url.ts";
import { isVersionNumber, LATEST } from "./function-name.ts";
import type { FunctionStore } from "./function-store.ts";
import { locate, locateUnqualified } from "./locate.ts";
import { formatLambdaTime } from "./output.ts";
import { page } from "./paging.ts";
import type { FunctionRecord, FunctionUrlRecord } from "./records.ts";
import { withoutQualified } from "./qualified.ts";

/** OPTIONS is the browser's own question: it needs no leave. */
const CORS_METHODS = new Set(["GET", "PUT", "POST", "DELETE", "HEAD", "PATCH", "*"]);

export function functionUrlOperations(functions: FunctionStore): Record<string, OperationHandler> {
  const { clock } = functions;
  return {
    async CreateFunctionUrlConfig(
      input: CreateFunctionUrlConfigRequest,
      context,
    ): Promise<FunctionUrlConfig> {
      const { name, qualifier } = find(input, context, "CreateFunctionUrlConfig");
      const cors = rulesOf(input.Cors);
      if (!functions.index.get(name)) throw noFunction();
      const nowMs = clock.nowMs();
      const made: FunctionUrlRecord = {
        qualifier,
        id: newUrlId(),
        authType: input.AuthType ?? "AWS_IAM",
        invokeMode: input.InvokeMode ?? "BUFFERED",
        ...(cors && { cors }),
        createdMs: nowMs,
        lastModifiedMs: nowMs,
      };
      await functions.change(name, (before) => {
        if (qualifier !== LATEST && !before.aliases.some((alias) => alias.name === qualifier))
          throw noFunction();
        if (urlOf(before, qualifier)) throw alreadyThere(arnOf(functions, name, qualifier));
        return { record: withUrl(before, made) };
      });
      return show(functions, name, made, context);
    },

    GetFunctionUrlConfig(input: GetFunctionUrlConfigRequest, context): FunctionUrlConfig {
      const { name, qualifier } = find(input, context, "GetFunctionUrlConfig");
      const record = functions.index.get(name)?.value;
      return show(functions, name, requireUrl(record, qualifier), context);
    },

    async UpdateFunctionUrlConfig(
      input: UpdateFunctionUrlConfigRequest,
      context,
    ): Promise<FunctionUrlConfig> {
      const { name, qualifier } = find(input, context, "UpdateFunctionUrlConfig");
      if (!functions.index.get(name)) throw noFunction();
      const record = await functions.change(name, (before) => {
        const { cors: kept, ...rest } = requireUrl(before, qualifier);
        const cors = input.Cors ? rulesOf(input.Cors) : kept;
        const changed: FunctionUrlRecord = {
          ...rest,
          authType: input.AuthType ?? rest.authType,
          invokeMode: input.InvokeMode ?? rest.invokeMode,
          ...(cors && { cors }),
          lastModifiedMs: clock.nowMs(),
        };
        return { record: withUrl(before, changed) };
      });
      return show(functions, name, requireUrl(record, qualifier), context);
    },

    async DeleteFunctionUrlConfig(
      input: DeleteFunctionUrlConfigRequest,
      context,
    ): Promise<Record<string, never>> {
      const { name, qualifier } = find(input, context, "DeleteFunctionUrlConfig");
      if (!functions.index.get(name)) throw noUrl();
      await functions.change(name, (before) => {
        requireUrl(before, qualifier);
        return { record: withoutQualified(before, "urls", qualifier) };
      });
      return {};
    },

    ListFunctionUrlConfigs(input: ListFunctionUrlConfigsRequest, context): ListFunctionUrlConfigsResponse {
      const name = locateUnqualified(input.FunctionName, context, "ListFunctionUrlConfigs");
      const record = functions.index.get(name)?.value;
      if (!record) throw noFunction();
      const { items, nextMarker } = page(record.urls ?? [], ({ qualifier }) => qualifier, input);
      return {
        FunctionUrlConfigs: items.map((item) => show(functions, name, item, context)),
        ...(nextMarker !== undefined && { NextMarker: nextMarker }),
      };
    },
  };
}

function withUrl(record: FunctionRecord, changed: FunctionUrlRecord): FunctionRecord {
  const others = (record.urls ?? []).filter(({ qualifier }) => qualifier !== changed.qualifier);
  return { ...record, urls: [...others, changed].sort((a, b) => (a.qualifier < b.qualifier ? -1 : 1)) };
}

function urlOf(record: FunctionRecord | undefined, qualifier: string): FunctionUrlRecord | undefined {
  return record?.urls?.find((url) => url.qualifier === qualifier);
}

function requireUrl(record: FunctionRecord | undefined, qualifier: string): FunctionUrlRecord {
  const url = urlOf(record, qualifier);
  if (!url) throw noUrl();
  return url;
}

function find(
  input: { readonly FunctionName: string | undefined; readonly Qualifier?: string | undefined },
  context: RequestContext,
  action: string,
): { name: string; qualifier: string } {
  const { name, qualifier = LATEST } = locate(input.FunctionName, input.Qualifier, context, action);
  if (isVersionNumber(qualifier)) {
    throw validationError(
      `1 validation error detected: Value '${qualifier}' at 'qualifier' failed to satisfy constraint: Member must satisfy regular expression pattern: ((?!^\\d+$)^[0-9a-zA-Z-_]+$)`,
    );
  }
  return { name, qualifier };
}

/** Undefined when nothing is set. Lengths and counts are the model's to check. */
function rulesOf(cors: Cors | undefined): CorsRules | undefined {
  const { AllowCredentials, AllowHeaders, AllowMethods, AllowOrigins, ExposeHeaders, MaxAge } = cors ?? {};
  const unknown = AllowMethods?.find((method) => !CORS_METHODS.has(method));
  if (unknown !== undefined) {
    throw invalidParameterValue(
      `Invalid CORS method ${unknown}: use GET, PUT, POST, DELETE, HEAD, PATCH, and the wildcard character (*).`,
    );
  }
  const rules: CorsRules = {
    ...(AllowCredentials !== undefined && { allowCredentials: AllowCredentials }),
    ...(AllowHeaders && { allowHeaders: AllowHeaders }),
    ...(AllowMethods && { allowMethods: AllowMethods }),
    ...(AllowOrigins && { allowOrigins: AllowOrigins }),
    ...(ExposeHeaders && { exposeHeaders: ExposeHeaders }),
    ...(MaxAge !== undefined && { maxAgeS: MaxAge }),
  };
  return Object.keys(rules).length === 0 ? undefined : rules;
}

function show(
  functions: FunctionStore,
  name: string,
  { qualifier, id, authType, invokeMode, cors, createdMs, lastModifiedMs }: FunctionUrlRecord,
  context: RequestContext,
): FunctionUrlConfig {
  return {
    FunctionUrl: formatUrl(id, functions.region, context.endpoint),
    FunctionArn: arnOf(functions, name, qualifier),
    AuthType: authType,
    InvokeMode: invokeMode,
    Cors: cors && {
      AllowCredentials: cors.allowCredentials,
      AllowHeaders: cors.allowHeaders && [...cors.allowHeaders],
      AllowMethods: cors.allowMethods && [...cors.allowMethods],
      AllowOrigins: cors.allowOrigins && [...cors.allowOrigins],
      ExposeHeaders: cors.exposeHeaders && [...cors.exposeHeaders],
      MaxAge: cors.maxAgeS,
    },
    CreationTime: formatLambdaTime(createdMs),
    LastModifiedTime: formatLambdaTime(lastModifiedMs),
  };
}

function arnOf({ region, accountId }: FunctionStore, name: string, qualifier: string): string {
  return functionArn(region, accountId, name, qualifier === LATEST ? undefined : qualifier);
}

function noFunction() {
  return resourceNotFound("Function does not exist");
}

function noUrl() {
  return resourceNotFound("The resource you requested does not exist.");
}

function alreadyThere(arn: string) {
  return resourceConflict(
    `Failed to create function url config for [functionArn = ${arn}]. Error message:  FunctionUrlConfig exists for this Lambda function`,
  );
}
