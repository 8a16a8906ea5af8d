/** CreateFunction, GetFunction, GetFunctionConfiguration, Update…, DeleteFunction, ListFunctions, GetAccountSettings. */
import type {
  CreateFunctionRequest,
  DeleteFunctionRequest,
  DeleteFunctionResponse,
  FunctionConfiguration,
  GetAccountSettingsResponse,
  GetFunctionConfigurationRequest,
  GetFunctionRequest,
  GetFunctionResponse,
  ListFunctionsRequest,
  ListFunctionsResponse,
  UpdateFunctionCodeRequest,
  UpdateFunctionConfigurationRequest,
} from "@aws-sdk/client-lambda";
import { invalidParameterValue, resourceConflict } from "../../errors.ts";
import { newUuid } from "../../kernel/ids.ts";
import {
  CODE_STORAGE_BYTES_MAX,
  CODE_UNZIPPED_BYTES_MAX,
  FUNCTION_NAME_CHARS_MAX,
  ZIP_UPLOAD_BYTES_MAX,
} from "../../limits.ts";
import type { OperationHandler, RequestContext } from "../../wire/service.ts";
import { PENDING, UPDATING } from "./activation.ts";
import type { AccountConcurrency } from "./concurrency.ts";
import type { CodeSigning, SignedFunction } from "./code-signing.ts";
import type { CodeSigningStore } from "./code-signing-store.ts";
import type { CodeUrls } from "./code-url.ts";
import type { FunctionCode } from "./code.ts";
import { invalidFunctionName, isPublishedVersion, LATEST } from "./function-name.ts";
import { alreadyExists, deleteVersion, type FunctionStore, type Mutation } from "./function-store.ts";
import { locate, locateUnqualified, show } from "./locate.ts";
import { page } from "./paging.ts";
import { forgetQualifier } from "./qualified.ts";
import { type Build, type FunctionRecord, type VersionRecord } from "./records.ts";
import { applySettings, checkArchitectures, settingsForCreate, type SettingsChecks } from "./settings.ts";
import { claimOn } from "./managed.ts";
import { checkTags } from "./tags.ts";
import { publish, publishesTo, type Publication } from "./versions.ts";

export interface FunctionOperationsOptions {
  readonly functions: FunctionStore;
  readonly code: FunctionCode;
  readonly codeUrls: CodeUrls;
  readonly signing: CodeSigning;
  readonly codeSigningConfigs: CodeSigningStore;
  readonly checks: SettingsChecks;
  readonly account: AccountConcurrency;
}

export function functionOperations(options: FunctionOperationsOptions): Record<string, OperationHandler> {
  return {
    CreateFunction: (input: CreateFunctionRequest, context) => createFunction(options, input, context),
    GetFunction: (input: GetFunctionRequest, context) => getFunction(options, input, context),
    GetFunctionConfiguration: (input: GetFunctionConfigurationRequest, context) => {
      const { name, qualifier } = locate(
        input.FunctionName,
        input.Qualifier,
        context,
        "GetFunctionConfiguration",
      );
      return show(options.functions, name, options.functions.requireVersion(name, qualifier), qualifier);
    },
    UpdateFunctionCode: (input: UpdateFunctionCodeRequest, context) => updateCode(options, input, context),
    UpdateFunctionConfiguration: (input: UpdateFunctionConfigurationRequest, context) =>
      updateConfiguration(options, input, context),
    DeleteFunction: (input: DeleteFunctionRequest, context) => deleteFunction(options, input, context),
    ListFunctions: (input: ListFunctionsRequest, context) => listFunctions(options, input, context),
    GetAccountSettings: () => accountSettings(options),
  };
}

async function createFunction(
  { functions, code, checks, signing, codeSigningConfigs }: FunctionOperationsOptions,
  input: CreateFunctionRequest,
  context: RequestContext,
): Promise<FunctionConfiguration> {
  const name = newFunctionName(input.FunctionName ?? "", context);
  const settings = await settingsForCreate(input, name, checks);
  const tags = input.Tags ?? {};
  checkTags(tags);
  if (functions.index.get(name)) throw alreadyExists(name);
  const configArn = input.CodeSigningConfigArn;
  const target: SignedFunction = { name, shown: input.FunctionName ?? name, configArn };
  await signing.checkLayers(target, settings.layers);
  const to = publishesTo(input);
  using pinned = await code.bringIn(input.Code ?? {}, { copies: to ? 2 : 1, replacedBytes: 0 }, (signature) =>
    signing.checkCode(target, signature),
  );
  await code.checkUnzippedSize(pinned.code, settings.layers);
  const latest: VersionRecord = {
    version: LATEST,
    revisionId: newUuid(),
    buildId: newUuid(),
    lastModifiedMs: functions.clock.nowMs(),
    settings,
    code: pinned.code,
    state: PENDING,
  };
  const make = (nextVersion: number): Mutation => {
    const record: FunctionRecord = {
      name,
      identity: newUuid(),
      tags,
      aliases: [],
      versions: [],
      nextVersion,
      latest,
      ...(configArn !== undefined && { codeSigningConfigArn: configArn }),
    };
    if (to)
      return publish({ functions, providers: checks.providers, to }, record, latest, settings.description);
    return { record, also: claimOn(settings, false, checks.providers, functions.index) };
  };
  const create = () => functions.create(name, make);
  const { nextVersion } = await (configArn === undefined
    ? create()
    : codeSigningConfigs.attaching(configArn, create));
  if (!to) return show(functions, name, latest, undefined);
  const published = functions.requireVersion(name, publishedBy(to, nextVersion));
  return show(functions, name, published, to === "number" ? undefined : to);
}

/** The version that a request has published, after which the next number is `nextVersion`. */
function publishedBy(to: Publication["to"], nextVersion: number): string {
  return to === "number" ? String(nextVersion - 1) : to;
}

function newFunctionName(nameOrArn: string, context: RequestContext): string {
  const { name, qualifier } = locate(nameOrArn, undefined, context, "CreateFunction");
  if (qualifier !== undefined || name.includes(".")) throw invalidFunctionName(nameOrArn);
  if (name.length > FUNCTION_NAME_CHARS_MAX) {
    throw invalidParameterValue(
      `1 validation error detected: Value '${name}' at 'functionName' failed to satisfy constraint: Member must have length less than or equal to ${FUNCTION_NAME_CHARS_MAX}`,
    );
  }
  return name;
}

function getFunction(
  { functions, codeUrls }: FunctionOperationsOptions,
  input: GetFunctionRequest,
  context: RequestContext,
): GetFunctionResponse {
  const { name, qualifier } = locate(input.FunctionName, input.Qualifier, context, "GetFunction");
  const version = functions.requireVersion(name, qualifier);
  const { tags, reservedConcurrency } = functions.require(name).value;
  return {
    Configuration: show(functions, name, version, qualifier),
    Code: { RepositoryType: "S3", Location: codeUrls.make(context.endpoint, version.code.sha256Hex) },
    ...(Object.keys(tags).length > 0 && { Tags: { ...tags } }),
    ...(reservedConcurrency !== undefined && {
      Concurrency: { ReservedConcurrentExecutions: reservedConcurrency },
    }),
  };
}

async function updateCode(
  { functions, code, checks, signing }: FunctionOperationsOptions,
  input: UpdateFunctionCodeRequest,
  context: RequestContext,
): Promise<FunctionConfiguration> {
  const name = locateUnqualified(input.FunctionName, context, "UpdateFunctionCode");
  const current = functions.require(name).value;
  // Checked again below, against what the store has then; here so that a hopeless request stores no code.
  functions.checkChangeable(current, input.RevisionId);
  if (input.ImageUri !== undefined) {
    throw invalidParameterValue(
      "Please don't provide ImageUri when updating a function with packageType Zip.",
    );
  }
  const architecture = checkArchitectures(input.Architectures);
  const target = signedFunction(current, input.FunctionName);
  const to = publishesTo(input);
  using pinned = await code.bringIn(
    input,
    { copies: to ? 2 : 1, replacedBytes: current.latest.code.sizeBytes },
    (signature) => signing.checkCode(target, signature),
  );
  await code.checkUnzippedSize(pinned.code, current.latest.settings.layers);
  const build = ({ settings }: Build): Build => ({
    buildId: newUuid(),
    settings: architecture ? { ...settings, architecture } : settings,
    code: pinned.code,
  });
  if (input.DryRun) return show(functions, name, { ...current.latest, ...build(current.latest) }, undefined);
  const record = await functions.change(name, (before) => {
    functions.checkChangeable(before, input.RevisionId);
    // What has been checked was checked for the configuration of then.
    if (before.codeSigningConfigArn !== target.configArn) throw functions.updateInProgress(name);
    const updated = rebuilt(before, build(before.latest), functions.clock.nowMs());
    const { description } = updated.latest.settings;
    return to
      ? publish({ functions, providers: checks.providers, to }, updated, updated.latest, description)
      : { record: updated };
  });
  if (!to) return show(functions, name, record.latest, undefined);
  const published = publishedBy(to, record.nextVersion);
  return show(functions, name, functions.requireVersion(name, published), published);
}

function signedFunction(
  { name, codeSigningConfigArn }: FunctionRecord,
  shown: string | undefined,
): SignedFunction {
  return { name, shown: shown ?? name, configArn: codeSigningConfigArn };
}

async function updateConfiguration(
  { functions, code, checks, signing }: FunctionOperationsOptions,
  input: UpdateFunctionConfigurationRequest,
  context: RequestContext,
): Promise<FunctionConfiguration> {
  const name = locateUnqualified(input.FunctionName, context, "UpdateFunctionConfiguration");
  const current = functions.require(name).value;
  functions.checkChangeable(current, input.RevisionId);
  const settings = await applySettings(current.latest.settings, input, checks);
  await code.checkUnzippedSize(current.latest.code, settings.layers);
  const target = signedFunction(current, input.FunctionName);
  if (input.Layers) await signing.checkLayers(target, settings.layers);
  const record = await functions.change(name, (before) => {
    functions.checkChangeable(before, input.RevisionId);
    const isSigned = before.codeSigningConfigArn === target.configArn;
    if (before.latest.buildId !== current.latest.buildId || !isSigned) {
      // Somebody else's update came and went while layers and role were looked up: these settings are based on older ones.
      throw functions.updateInProgress(name);
    }
    const build: Build = { buildId: newUuid(), settings, code: before.latest.code };
    return {
      record: rebuilt(before, build, functions.clock.nowMs()),
      also: claimOn(settings, false, checks.providers, functions.index),
    };
  });
  return show(functions, name, record.latest, undefined);
}

/** The function with a new build of $LATEST, waiting for its verdict; what ran until now keeps running. */
function rebuilt(before: FunctionRecord, build: Build, nowMs: number): FunctionRecord {
  const { latest } = before;
  const { buildId, settings, code } = latest;
  const serving =
    before.serving ?? (latest.state.state === "Active" ? { buildId, settings, code } : undefined);
  return {
    ...before,
    ...(serving && { serving }),
    latest: { ...latest, ...build, revisionId: newUuid(), lastModifiedMs: nowMs, lastUpdate: UPDATING },
  };
}

async function deleteFunction(
  { functions }: FunctionOperationsOptions,
  input: DeleteFunctionRequest,
  context: RequestContext,
): Promise<DeleteFunctionResponse> {
  const { name, qualifier } = locate(input.FunctionName, input.Qualifier, context, "DeleteFunction");
  if (qualifier === LATEST) {
    throw invalidParameterValue("$LATEST version cannot be deleted without deleting the function.");
  }
  if (qualifier === undefined) {
    await functions.remove(name);
    return { StatusCode: 204 };
  }
  if (!isPublishedVersion(qualifier)) {
    throw invalidParameterValue("Deletion of aliases is not currently supported.");
  }
  await functions.change(name, (before) => {
    const referring = before.aliases
      .filter(
        ({ functionVersion, routing }) => functionVersion === qualifier || routing?.version === qualifier,
      )
      .map((alias) => alias.name);
    if (referring.length > 0) {
      throw resourceConflict(
        `Unable to delete version because the following aliases reference it: [${referring.join(", ")}]`,
      );
    }
    const versions = before.versions.filter((version) => version !== qualifier);
    // A number that is not there is deleted already: no error, as on AWS.
    const gone = versions.length === before.versions.length;
    return {
      record: forgetQualifier({ ...before, versions }, qualifier),
      also: gone ? [] : [deleteVersion(name, qualifier)],
    };
  });
  return { StatusCode: 204 };
}

function listFunctions(
  { functions }: FunctionOperationsOptions,
  input: ListFunctionsRequest,
  context: RequestContext,
): ListFunctionsResponse {
  const { index } = functions;
  const all = input.FunctionVersion === "ALL";
  if (input.MasterRegion !== undefined && !all) {
    throw invalidParameterValue("FunctionVersion must be set to ALL if MasterRegion is specified.");
  }
  // No function here is a replica of one in another Region.
  const elsewhere =
    input.MasterRegion !== undefined && input.MasterRegion !== "ALL" && input.MasterRegion !== context.region;
  const names = elsewhere ? [] : index.names();
  if (!all) {
    const { items, nextMarker } = page(names, (name) => name, input);
    const found = items.map((name) =>
      show(functions, name, functions.requireVersion(name, LATEST), undefined, true),
    );
    return { Functions: found, ...(nextMarker !== undefined && { NextMarker: nextMarker }) };
  }
  // NUL sorts before all that a name can hold: the keys are in the order of the names, as paging needs them.
  const keys = names.flatMap((name) => [
    { key: `${name}\0`, name, version: LATEST },
    ...index
      .versionsOf(name)
      .map(({ key, value: { version } }) => ({ key: `${name}\0${key}`, name, version })),
  ]);
  const { items, nextMarker } = page(keys, ({ key }) => key, input);
  const found = items.map(({ name, version }) =>
    show(functions, name, functions.requireVersion(name, version), version, true),
  );
  return { Functions: found, ...(nextMarker !== undefined && { NextMarker: nextMarker }) };
}

function accountSettings({ functions, account }: FunctionOperationsOptions): GetAccountSettingsResponse {
  return {
    AccountLimit: {
      TotalCodeSize: CODE_STORAGE_BYTES_MAX,
      CodeSizeUnzipped: CODE_UNZIPPED_BYTES_MAX,
      CodeSizeZipped: ZIP_UPLOAD_BYTES_MAX,
      ConcurrentExecutions: account.limit,
      UnreservedConcurrentExecutions: account.unreserved,
    },
    AccountUsage: {
      TotalCodeSize: functions.index.codeBytes(),
      FunctionCount: functions.index.names().length,
    },
  };
}
