/** Put-, Get-, Delete- and ListProvisionedConcurrencyConfig(s): environments that are kept ready for a version or an alias. */
import type {
  DeleteProvisionedConcurrencyConfigRequest,
  GetProvisionedConcurrencyConfigRequest,
  GetProvisionedConcurrencyConfigResponse,
  ListProvisionedConcurrencyConfigsRequest,
  ListProvisionedConcurrencyConfigsResponse,
  PutProvisionedConcurrencyConfigRequest,
  PutProvisionedConcurrencyConfigResponse,
} from "@aws-sdk/client-lambda";
import { AwsError, invalidParameterValue, resourceConflict, resourceNotFound } from "../../errors.ts";
import { functionArn } from "../../kernel/arn.ts";
import type { OperationHandler, RequestContext } from "../../wire/service.ts";
import { provisionedOf, type AccountConcurrency } from "./concurrency.ts";
import { sharesOf } from "./concurrency-feed.ts";
import type { FunctionStore } from "./function-store.ts";
import { isVersionNumber, LATEST } from "./function-name.ts";
import { locate, locateUnqualified } from "./locate.ts";
import { refuseManaged } from "./managed.ts";
import { formatLambdaTime } from "./output.ts";
import { page } from "./paging.ts";
import type { Provisioning } from "./ports.ts";
import type { FunctionRecord, ProvisionedRecord } from "./records.ts";
import { withoutQualified } from "./qualified.ts";

export interface ProvisionedOptions {
  readonly functions: FunctionStore;
  readonly account: AccountConcurrency;
  readonly provisioning: Provisioning;
}

export function provisionedOperations(options: ProvisionedOptions): Record<string, OperationHandler> {
  const { functions, account } = options;
  const { region, accountId } = functions;
  return {
    PutProvisionedConcurrencyConfig(
      input: PutProvisionedConcurrencyConfigRequest,
      context,
    ): Promise<PutProvisionedConcurrencyConfigResponse> {
      const { name, qualifier } = target(input, context, "PutProvisionedConcurrencyConfig");
      if (qualifier === LATEST) throw unpublished();
      const config: ProvisionedRecord = {
        qualifier,
        count: input.ProvisionedConcurrentExecutions ?? 0,
        lastModifiedMs: functions.clock.nowMs(),
      };
      return account.oneAtATime(async () => {
        const record = await functions.change(name, (before) => {
          refuseManaged(before, "Provisioned concurrency");
          const record = withProvisioned(before, config);
          checkTarget(functions, before, qualifier);
          checkProvisionable(functions, record, qualifier);
          checkCount(account, before, record);
          return { record };
        });
        return show(options, record, config);
      });
    },

    GetProvisionedConcurrencyConfig(
      input: GetProvisionedConcurrencyConfigRequest,
      context,
    ): GetProvisionedConcurrencyConfigResponse {
      const { name, qualifier } = target(input, context, "GetProvisionedConcurrencyConfig");
      const record = functions.require(name, qualifier).value;
      checkNotLatest(qualifier);
      checkTarget(functions, record, qualifier);
      const config = record.provisioned?.find((candidate) => candidate.qualifier === qualifier);
      if (config) return show(options, record, config);
      throw new AwsError(
        "ProvisionedConcurrencyConfigNotFoundException",
        "No Provisioned Concurrency Config found for this function",
        { status: 404 },
      );
    },

    async DeleteProvisionedConcurrencyConfig(
      input: DeleteProvisionedConcurrencyConfigRequest,
      context,
    ): Promise<Record<string, never>> {
      const { name, qualifier } = target(input, context, "DeleteProvisionedConcurrencyConfig");
      checkNotLatest(qualifier);
      return account.oneAtATime(async () => {
        await functions.change(name, (before) => {
          checkTarget(functions, before, qualifier);
          return { record: withoutQualified(before, "provisioned", qualifier) };
        });
        return {};
      });
    },

    ListProvisionedConcurrencyConfigs(
      input: ListProvisionedConcurrencyConfigsRequest,
      context,
    ): ListProvisionedConcurrencyConfigsResponse {
      const name = locateUnqualified(input.FunctionName, context, "ListProvisionedConcurrencyConfigs");
      const record = functions.require(name).value;
      const { items, nextMarker } = page(record.provisioned ?? [], ({ qualifier }) => qualifier, input);
      return {
        ProvisionedConcurrencyConfigs: items.map((config) => ({
          FunctionArn: functionArn(region, accountId, name, config.qualifier),
          ...show(options, record, config),
        })),
        ...(nextMarker !== undefined && { NextMarker: nextMarker }),
      };
    },
  };
}

/** In ascending order of qualifiers. */
function withProvisioned(before: FunctionRecord, config: ProvisionedRecord): FunctionRecord {
  const others = withoutQualified(before, "provisioned", config.qualifier).provisioned ?? [];
  const provisioned = [...others, config].sort((a, b) => (a.qualifier < b.qualifier ? -1 : 1));
  return { ...before, provisioned };
}

/**
 * Throws AwsError when the configuration of `qualifier`, if it has one, cannot be kept: for whoever changes an alias, too.
 * A version has environments of its own or those of aliases that lead to it.
 */
export function checkProvisionable(
  functions: FunctionStore,
  record: FunctionRecord,
  qualifier: string,
): void {
  const configs = record.provisioned ?? [];
  const config = configs.find((candidate) => candidate.qualifier === qualifier);
  if (!config) return;
  const shares = sharesOf(record, config);
  if (shares.length === 0) throw unpublished();
  const isAlias = record.aliases.some((alias) => alias.name === qualifier);
  for (const { version } of shares) {
    checkVersion(functions, record, version);
    for (const other of configs) {
      if (isAlias && other.qualifier === version) {
        throw resourceConflict(
          "Alias can't be used for Provisioned Concurrency configuration on an already Provisioned version",
        );
      }
      const leadsHere = sharesOf(record, other).some((share) => share.version === version);
      if (!isAlias && other !== config && leadsHere)
        throw resourceConflict("Version is pointed by a Provisioned Concurrency alias");
    }
  }
}

function checkVersion({ index }: FunctionStore, { name }: FunctionRecord, version: string): void {
  const { state, settings } = index.version(name, version)?.value ?? {};
  if (settings?.snapStartApplyOn === "PublishedVersions") {
    throw invalidParameterValue(
      "Provisioned Concurrency is not supported for function versions with SnapStart enabled.",
    );
  }
  if (state && state.state !== "Active") {
    throw resourceConflict(
      `The operation cannot be performed at this time. The function is currently in the following state: ${state.state}`,
    );
  }
}

function checkCount(account: AccountConcurrency, before: FunctionRecord, after: FunctionRecord): void {
  const sum = provisionedOf(after);
  const { reservedConcurrency: reserved } = after;
  if (reserved !== undefined) {
    if (sum <= reserved) return;
    throw invalidParameterValue(
      "Requested Provisioned Concurrency should not be greater than the reservedConcurrentExecution for function",
    );
  }
  if (sum > account.limit) {
    throw invalidParameterValue(
      `Specified ConcurrentExecutions for function is greater than account's unreserved concurrency [${account.limit}].`,
    );
  }
  account.checkClaim(before, after, "ConcurrentExecutions");
}

function target(
  input: { readonly FunctionName?: string | undefined; readonly Qualifier?: string | undefined },
  context: RequestContext,
  action: string,
): { name: string; qualifier: string } {
  const { name, qualifier = LATEST } = locate(input.FunctionName, input.Qualifier, context, action);
  return { name, qualifier };
}

/** Throws ResourceNotFoundException unless there is such a version or alias. */
function checkTarget(
  { region, accountId }: FunctionStore,
  { name, aliases, versions }: FunctionRecord,
  qualifier: string,
): void {
  const arn = functionArn(region, accountId, name, qualifier);
  if (isVersionNumber(qualifier)) {
    if (!versions.includes(qualifier)) throw resourceNotFound(`Function not found: ${arn}`);
  } else if (!aliases.some((alias) => alias.name === qualifier)) {
    throw resourceNotFound(`Cannot find alias arn: ${arn}`);
  }
}

function checkNotLatest(qualifier: string): void {
  if (qualifier === LATEST)
    throw invalidParameterValue("The function resource provided must be an alias or a published version.");
}

function unpublished(): AwsError {
  return invalidParameterValue(
    "Provisioned Concurrency Configs cannot be applied to unpublished function versions.",
  );
}

function show(
  { functions: { region, accountId }, provisioning }: ProvisionedOptions,
  record: FunctionRecord,
  config: ProvisionedRecord,
): GetProvisionedConcurrencyConfigResponse {
  const arn = functionArn(region, accountId, record.name);
  let [allocated, available] = [0, 0];
  let failure: string | undefined;
  for (const { version, count } of sharesOf(record, config)) {
    const state = provisioning.provisioned(arn, version);
    const before = claimedBefore(record, config, version);
    const share = (total: number) => Math.max(0, Math.min(count, total - before));
    allocated += share(state.allocated);
    available += share(state.available);
    failure ??= state.failure;
  }
  const isReady = available >= config.count;
  return {
    RequestedProvisionedConcurrentExecutions: config.count,
    AvailableProvisionedConcurrentExecutions: available,
    AllocatedProvisionedConcurrentExecutions: allocated,
    Status: isReady ? "READY" : failure === undefined ? "IN_PROGRESS" : "FAILED",
    ...(!isReady && failure !== undefined && { StatusReason: failure }),
    LastModified: formatLambdaTime(config.lastModifiedMs),
  };
}

/** Several aliases may lead to one version: its environments are theirs in the order of their names. */
function claimedBefore(record: FunctionRecord, config: ProvisionedRecord, version: string): number {
  let claimed = 0;
  for (const other of record.provisioned ?? []) {
    if (other.qualifier === config.qualifier) break;
    for (const share of sharesOf(record, other)) if (share.version === version) claimed += share.count;
  }
  return claimed;
}
