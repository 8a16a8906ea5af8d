/** CreateAlias, GetAlias, UpdateAlias, DeleteAlias, ListAliases. */
import type {
  AliasConfiguration,
  AliasRoutingConfiguration,
  CreateAliasRequest,
  DeleteAliasRequest,
  GetAliasRequest,
  ListAliasesRequest,
  ListAliasesResponse,
  UpdateAliasRequest,
} from "@aws-sdk/client-lambda";
import { invalidParameterValue, resourceConflict, resourceNotFound, validationError } from "../../errors.ts";
import { functionArn } from "../../kernel/arn.ts";
import { newUuid } from "../../kernel/ids.ts";
import type { OperationHandler } from "../../wire/service.ts";
import { checkRevision, type FunctionStore } from "./function-store.ts";
import { isAliasName, isVersionNumber, LATEST } from "./function-name.ts";
import { locateUnqualified } from "./locate.ts";
import { toAlias } from "./output.ts";
import { page } from "./paging.ts";
import { checkProvisionable } from "./provisioned-concurrency.ts";
import { forgetQualifier } from "./qualified.ts";
import type { AliasRecord, FunctionRecord } from "./records.ts";

export function aliasOperations(functions: FunctionStore): Record<string, OperationHandler> {
  const { region, accountId } = functions;
  const show = (name: string, alias: AliasRecord) => toAlias(region, accountId, name, alias);
  return {
    async CreateAlias(input: CreateAliasRequest, context): Promise<AliasConfiguration> {
      const name = locateUnqualified(input.FunctionName, context, "CreateAlias");
      const alias = newAlias(input);
      await functions.change(name, (before) => {
        checkAlias(functions, before, alias, input.RoutingConfig);
        if (before.aliases.some((other) => other.name === alias.name)) {
          throw resourceConflict(
            `Alias already exists: ${functionArn(region, accountId, name, alias.name)}, please update or delete the existing alias`,
          );
        }
        return { record: withAlias(before, alias) };
      });
      return show(name, alias);
    },

    GetAlias(input: GetAliasRequest, context): AliasConfiguration {
      const name = locateUnqualified(input.FunctionName, context, "GetAlias");
      return show(name, requireAlias(functions, functions.require(name).value, input.Name));
    },

    async UpdateAlias(input: UpdateAliasRequest, context): Promise<AliasConfiguration> {
      const name = locateUnqualified(input.FunctionName, context, "UpdateAlias");
      const record = await functions.change(name, (before) => {
        const current = requireAlias(functions, before, input.Name);
        checkRevision(current.revisionId, input.RevisionId);
        const alias = updatedAlias(current, input);
        checkAlias(functions, before, alias, input.RoutingConfig);
        const after = withAlias(before, alias);
        checkProvisionable(functions, after, alias.name);
        return { record: after };
      });
      return show(name, requireAlias(functions, record, input.Name));
    },

    async DeleteAlias(input: DeleteAliasRequest, context): Promise<Record<string, never>> {
      const name = locateUnqualified(input.FunctionName, context, "DeleteAlias");
      await functions.change(name, (before) => ({ record: withoutAlias(before, input.Name) }));
      return {};
    },

    ListAliases(input: ListAliasesRequest, context): ListAliasesResponse {
      const name = locateUnqualified(input.FunctionName, context, "ListAliases");
      const { aliases } = functions.require(name).value;
      const wanted = aliases.filter(
        ({ functionVersion }) =>
          input.FunctionVersion === undefined || functionVersion === input.FunctionVersion,
      );
      const { items, nextMarker } = page(wanted, (alias) => alias.name, input);
      return {
        Aliases: items.map((alias) => show(name, alias)),
        ...(nextMarker !== undefined && { NextMarker: nextMarker }),
      };
    },
  };
}

function newAlias(input: CreateAliasRequest): AliasRecord {
  const { Name: name = "", FunctionVersion: functionVersion = "", Description: description = "" } = input;
  if (!isAliasName(name)) {
    throw validationError(
      `1 validation error detected: Value '${name}' at 'name' failed to satisfy constraint: Member must satisfy regular expression pattern: (?!^[0-9]+$)([a-zA-Z0-9-_]+)`,
    );
  }
  const routing = routingOf(input.RoutingConfig);
  return { name, functionVersion, description, revisionId: newUuid(), ...(routing && { routing }) };
}

/** A RoutingConfig without weights removes the routing; none at all keeps it. */
function updatedAlias(current: AliasRecord, input: UpdateAliasRequest): AliasRecord {
  const { routing: kept, ...rest } = current;
  const routing = input.RoutingConfig ? routingOf(input.RoutingConfig) : kept;
  return {
    ...rest,
    functionVersion: input.FunctionVersion ?? current.functionVersion,
    description: input.Description ?? current.description,
    revisionId: newUuid(),
    ...(routing && { routing }),
  };
}

function routingOf(config: AliasRoutingConfiguration | undefined): AliasRecord["routing"] {
  const weights = Object.entries(config?.AdditionalVersionWeights ?? {});
  if (weights.length > 1) {
    throw invalidParameterValue("Number of items in AdditionalVersionWeights cannot be greater than 1");
  }
  const [first] = weights;
  return first && { version: first[0], weight: first[1] };
}

/** The versions that an alias points to exist, and its weights make sense. */
function checkAlias(
  functions: FunctionStore,
  record: FunctionRecord,
  { functionVersion, routing }: AliasRecord,
  config: AliasRoutingConfiguration | undefined,
): void {
  if (functionVersion !== LATEST) requireNumber(functions, record, functionVersion);
  if (!routing) return;
  const { version, weight } = routing;
  const shown = `1 validation error detected: Value '{${version}=${weight}}' at 'routingConfig.additionalVersionWeights' failed to satisfy constraint:`;
  if (config && (weight < 0 || weight > 1)) {
    throw validationError(
      `${shown} Map value must satisfy constraint: [Member must have value less than or equal to 1.0, Member must have value greater than or equal to 0.0, Member must not be null]`,
    );
  }
  if (version === functionVersion) {
    throw invalidParameterValue(
      `Invalid function version ${version}. Function version ${version} is already included in routing configuration.`,
    );
  }
  if (functionVersion === LATEST) {
    throw invalidParameterValue("$LATEST is not supported for an alias pointing to more than 1 version");
  }
  if (!isVersionNumber(version)) {
    throw validationError(
      `${shown} Map keys must satisfy constraint: [Member must have length less than or equal to 1024, Member must have length greater than or equal to 1, Member must satisfy regular expression pattern: [0-9]+, Member must not be null]`,
    );
  }
  requireNumber(functions, record, version);
}

/** Only versions, not other aliases. */
function requireNumber(
  { region, accountId }: FunctionStore,
  { name, versions }: FunctionRecord,
  number: string,
): void {
  if (versions.includes(number)) return;
  throw resourceNotFound(`Function not found: ${functionArn(region, accountId, name, number)}`);
}

function requireAlias(
  { region, accountId }: FunctionStore,
  { name, aliases }: FunctionRecord,
  aliasName: string | undefined,
): AliasRecord {
  const alias = aliases.find((candidate) => candidate.name === aliasName);
  if (alias) return alias;
  throw resourceNotFound(`Cannot find alias arn: ${functionArn(region, accountId, name, aliasName)}`);
}

function withAlias(record: FunctionRecord, alias: AliasRecord): FunctionRecord {
  const others = record.aliases.filter((other) => other.name !== alias.name);
  return { ...record, aliases: [...others, alias].sort((a, b) => (a.name < b.name ? -1 : 1)) };
}

/** Deleting an alias that is not there succeeds, as on AWS. */
function withoutAlias(record: FunctionRecord, aliasName: string | undefined): FunctionRecord {
  const aliases = record.aliases.filter((alias) => alias.name !== aliasName);
  return forgetQualifier({ ...record, aliases }, aliasName ?? "");
}
