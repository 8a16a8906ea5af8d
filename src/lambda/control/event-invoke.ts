/**
 * Put-, Update-, Get-, Delete- and ListFunctionEventInvokeConfig(s): how asynchronous events of a function, a version or an
 * alias are retried and where their records go. Each qualifier has its own; none inherits another's.
 */
import type {
  DeleteFunctionEventInvokeConfigRequest,
  DestinationConfig,
  FunctionEventInvokeConfig,
  GetFunctionEventInvokeConfigRequest,
  ListFunctionEventInvokeConfigsRequest,
  ListFunctionEventInvokeConfigsResponse,
  PutFunctionEventInvokeConfigRequest,
} from "@aws-sdk/client-lambda";
import { invalidParameterValue, resourceNotFound } from "../../errors.ts";
import { functionArn, parseArn } from "../../kernel/arn.ts";
import { EVENT_AGE_S_MAX, EVENT_RETRY_ATTEMPTS_MAX } from "../../limits.ts";
import type { OperationHandler, RequestContext } from "../../wire/service.ts";
import type { AsynchronousSettings } from "../invoke/asynchronous/settings.ts";
import { missingPermission } from "../invoke/destination-permissions.ts";
import { notPermitted } from "../invoke/destinations.ts";
import { LATEST, LATEST_PUBLISHED } from "./function-name.ts";
import type { FunctionIndex } from "./function-index.ts";
import type { FunctionStore } from "./function-store.ts";
import { locate, locateUnqualified } from "./locate.ts";
import { page } from "./paging.ts";
import type { RoleChecker } from "./ports.ts";
import type { EventInvokeRecord, FunctionRecord } from "./records.ts";
import { withoutQualified } from "./qualified.ts";

/** What a function has whose record is older than identities. */
const NO_IDENTITY = "0";

/** What invocation is told, from the index. */
export function asynchronousSettings(index: FunctionIndex): AsynchronousSettings {
  return {
    identity(functionName) {
      const stored = index.get(functionName);
      return stored && (stored.value.identity ?? NO_IDENTITY);
    },
    eventSettings(functionName, qualifier) {
      const record = index.get(functionName)?.value;
      const unqualified = record?.latest.settings.managed ? LATEST_PUBLISHED : LATEST;
      const own = record && eventInvokeOf(record, qualifier ?? unqualified);
      // Versions share the dead-letter queue of $LATEST [docs: invocation-async-retain-records].
      const { deadLetterTargetArn, role = "" } = record?.latest.settings ?? {};
      return {
        retryAttemptsMax: own?.retryAttemptsMax ?? EVENT_RETRY_ATTEMPTS_MAX,
        eventAgeMsMax: (own?.eventAgeSMax ?? EVENT_AGE_S_MAX) * 1000,
        ...(own?.onSuccessArn !== undefined && { onSuccessArn: own.onSuccessArn }),
        ...(own?.onFailureArn !== undefined && { onFailureArn: own.onFailureArn }),
        ...(deadLetterTargetArn !== undefined && { deadLetterTargetArn }),
        recursiveLoop: record?.recursiveLoop ?? "Terminate",
        isSuspended: record?.reservedConcurrency === 0,
        role,
      };
    },
  };
}

export function eventInvokeOperations(
  functions: FunctionStore,
  roles: RoleChecker,
): Record<string, OperationHandler> {
  return {
    PutFunctionEventInvokeConfig: (input: PutFunctionEventInvokeConfigRequest, context) =>
      put(functions, roles, input, context, "PutFunctionEventInvokeConfig"),

    UpdateFunctionEventInvokeConfig: (input: PutFunctionEventInvokeConfigRequest, context) =>
      put(functions, roles, input, context, "UpdateFunctionEventInvokeConfig"),

    GetFunctionEventInvokeConfig(
      input: GetFunctionEventInvokeConfigRequest,
      context,
    ): FunctionEventInvokeConfig {
      const { name, qualifier = LATEST } = locate(
        input.FunctionName,
        input.Qualifier,
        context,
        "GetFunctionEventInvokeConfig",
      );
      const record = functions.index.get(name)?.value;
      const found = record && eventInvokeOf(record, qualifier);
      if (!found) throw noConfig(functions, name, qualifier);
      return show(functions, name, found);
    },

    async DeleteFunctionEventInvokeConfig(
      input: DeleteFunctionEventInvokeConfigRequest,
      context,
    ): Promise<Record<string, never>> {
      const { name, qualifier = LATEST } = locate(
        input.FunctionName,
        input.Qualifier,
        context,
        "DeleteFunctionEventInvokeConfig",
      );
      if (!functions.index.get(name)) throw noConfig(functions, name, qualifier);
      await functions.change(name, (before) => {
        if (!eventInvokeOf(before, qualifier)) throw noConfig(functions, name, qualifier);
        return { record: withoutQualified(before, "eventInvoke", qualifier) };
      });
      return {};
    },

    ListFunctionEventInvokeConfigs(
      input: ListFunctionEventInvokeConfigsRequest,
      context,
    ): ListFunctionEventInvokeConfigsResponse {
      const name = locateUnqualified(input.FunctionName, context, "ListFunctionEventInvokeConfigs");
      const record = functions.index.get(name)?.value;
      if (!record) throw noFunction();
      const { items, nextMarker } = page(record.eventInvoke ?? [], ({ qualifier }) => qualifier, input);
      return {
        FunctionEventInvokeConfigs: items.map((item) => show(functions, name, item)),
        ...(nextMarker !== undefined && { NextMarker: nextMarker }),
      };
    },
  };
}

function eventInvokeOf(record: FunctionRecord, qualifier: string): EventInvokeRecord | undefined {
  return record.eventInvoke?.find((one) => one.qualifier === qualifier);
}

/** Put replaces, Update changes what is there and needs something to be there. */
async function put(
  functions: FunctionStore,
  roles: RoleChecker,
  input: PutFunctionEventInvokeConfigRequest,
  context: RequestContext,
  action: "PutFunctionEventInvokeConfig" | "UpdateFunctionEventInvokeConfig",
): Promise<FunctionEventInvokeConfig> {
  const { MaximumRetryAttempts, MaximumEventAgeInSeconds, DestinationConfig: destinations } = input;
  if (MaximumRetryAttempts === undefined && MaximumEventAgeInSeconds === undefined && !destinations)
    throw invalidParameterValue("You must specify at least one of error handling or destination setting.");
  const { name, qualifier = LATEST } = locate(input.FunctionName, input.Qualifier, context, action);
  const stored = functions.index.get(name);
  if (!stored) throw noFunction();
  if (destinations) {
    checkDestinations(functions, name, destinations);
    checkRole(roles, stored.value.latest.settings.role, destinations);
  }
  const record = await functions.change(name, (before) => {
    if (!has(before, qualifier)) throw noFunction();
    const existing = eventInvokeOf(before, qualifier);
    const isUpdate = action === "UpdateFunctionEventInvokeConfig";
    if (isUpdate && !existing) throw noConfig(functions, name, qualifier);
    const base = { qualifier, lastModifiedMs: functions.clock.nowMs() };
    const changed: EventInvokeRecord = {
      ...(isUpdate ? existing : {}),
      ...base,
      ...(MaximumRetryAttempts !== undefined && { retryAttemptsMax: MaximumRetryAttempts }),
      ...(MaximumEventAgeInSeconds !== undefined && { eventAgeSMax: MaximumEventAgeInSeconds }),
    };
    return {
      record: withEventInvoke(before, destinations ? withDestinations(changed, destinations) : changed),
    };
  });
  const changed = eventInvokeOf(record, qualifier);
  if (!changed) throw noConfig(functions, name, qualifier);
  return show(functions, name, changed);
}

function has({ versions, aliases }: FunctionRecord, qualifier: string): boolean {
  return (
    qualifier === LATEST || versions.includes(qualifier) || aliases.some((alias) => alias.name === qualifier)
  );
}

function withEventInvoke(record: FunctionRecord, changed: EventInvokeRecord): FunctionRecord {
  const others = (record.eventInvoke ?? []).filter(({ qualifier }) => qualifier !== changed.qualifier);
  const eventInvoke = [...others, changed].sort((a, b) => (a.qualifier < b.qualifier ? -1 : 1));
  return { ...record, eventInvoke };
}

/** A DestinationConfig replaces both destinations; an empty ARN means none. */
function withDestinations(record: EventInvokeRecord, config: DestinationConfig): EventInvokeRecord {
  const { onSuccessArn: _, onFailureArn: __, ...rest } = record;
  const onSuccessArn = config.OnSuccess?.Destination;
  const onFailureArn = config.OnFailure?.Destination;
  return { ...rest, ...(onSuccessArn && { onSuccessArn }), ...(onFailureArn && { onFailureArn }) };
}

/** The role may deliver to both [docs: invocation-async-retain-records]. */
function checkRole(roles: RoleChecker, role: string, { OnSuccess, OnFailure }: DestinationConfig): void {
  for (const arn of [OnFailure?.Destination, OnSuccess?.Destination]) {
    const missing = arn ? missingPermission(roles, role, arn) : undefined;
    if (arn && missing) throw invalidParameterValue(notPermitted(missing.operation, arn));
  }
}

/** Which services may be destinations; whether the queue or topic is there shows at delivery. */
function checkDestinations(functions: FunctionStore, name: string, config: DestinationConfig): void {
  const onSuccess = config.OnSuccess?.Destination;
  const onFailure = config.OnFailure?.Destination;
  const fits = [onFailure, onSuccess].every(
    (arn) => !arn || checkDestination(functions, name, arn, arn === onSuccess),
  );
  if (fits) return;
  const part = (title: string, arn: string | undefined) => (arn ? `${title}(destination=${arn})` : "null");
  throw invalidParameterValue(
    `The provided destination config DestinationConfig(onSuccess=${part("OnSuccess", onSuccess)}, onFailure=${part("OnFailure", onFailure)}) is invalid.`,
  );
}

/** False when it is no kind of destination. Throws for a function that cannot be one. */
function checkDestination(functions: FunctionStore, name: string, arn: string, onSuccess: boolean): boolean {
  const { service = "", resource = "" } = parseArn(arn) ?? {};
  switch (service) {
    case "sqs":
    case "sns":
      return !resource.endsWith(".fifo");
    case "events":
      return resource.startsWith("event-bus/");
    case "s3":
      return !onSuccess;
    case "lambda":
      return checkFunctionDestination(functions, name, arn, resource);
    default:
      return false;
  }
}

function checkFunctionDestination(
  { index, region, accountId }: FunctionStore,
  name: string,
  arn: string,
  resource: string,
): boolean {
  const [kind, target = "", qualifier] = resource.split(":");
  if (kind !== "function") return false;
  const isHere = arn === functionArn(region, accountId, target, qualifier);
  if (!isHere || !index.get(target)) throw invalidParameterValue(`The destination ARN ${arn} is invalid.`);
  if (target === name)
    throw invalidParameterValue("You can't specify the function as a destination for itself.");
  return true;
}

function show(
  { region, accountId }: FunctionStore,
  name: string,
  {
    qualifier,
    lastModifiedMs,
    retryAttemptsMax,
    eventAgeSMax,
    onSuccessArn,
    onFailureArn,
  }: EventInvokeRecord,
): FunctionEventInvokeConfig {
  return {
    LastModified: new Date(lastModifiedMs),
    FunctionArn: functionArn(region, accountId, name, qualifier),
    MaximumRetryAttempts: retryAttemptsMax,
    MaximumEventAgeInSeconds: eventAgeSMax,
    DestinationConfig: {
      OnSuccess: onSuccessArn === undefined ? {} : { Destination: onSuccessArn },
      OnFailure: onFailureArn === undefined ? {} : { Destination: onFailureArn },
    },
  };
}

function noFunction() {
  return resourceNotFound("The function doesn't exist.");
}

function noConfig({ region, accountId }: FunctionStore, name: string, qualifier: string) {
  const arn = functionArn(region, accountId, name, qualifier);
  return resourceNotFound(`The function ${arn} doesn't have an EventInvokeConfig`);
}
