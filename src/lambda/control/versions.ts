/** PublishVersion and ListVersionsByFunction. */
import type {
  FunctionConfiguration,
  ListVersionsByFunctionRequest,
  ListVersionsByFunctionResponse,
  PublishVersionRequest,
} from "@aws-sdk/client-lambda";
import { invalidParameterValue, resourceConflict } from "../../errors.ts";
import { newUuid } from "../../kernel/ids.ts";
import type { OperationHandler } from "../../wire/service.ts";
import { PENDING } from "./activation.ts";
import { checkCodeStorage } from "./code.ts";
import { putVersion, type FunctionStore, type Mutation } from "./function-store.ts";
import type { CapacityProviders } from "./capacity-provider-store.ts";
import { LATEST, LATEST_PUBLISHED } from "./function-name.ts";
import { locateUnqualified, show } from "./locate.ts";
import { claimOn } from "./managed.ts";
import { page } from "./paging.ts";
import type { FunctionRecord, VersionRecord } from "./records.ts";

export interface Publication {
  readonly functions: FunctionStore;
  readonly providers: CapacityProviders;
  /** The next number, or `$LATEST.PUBLISHED` anew. */
  readonly to: "number" | typeof LATEST_PUBLISHED;
}

/** Where a request publishes to; undefined: nowhere. */
export function publishesTo(input: {
  readonly Publish?: boolean | undefined;
  readonly PublishTo?: string | undefined;
}): Publication["to"] | undefined {
  if (input.PublishTo !== undefined) return LATEST_PUBLISHED;
  return input.Publish ? "number" : undefined;
}

/** The version of a function that is made from a build of $LATEST. Throws AwsError. */
export function publish(
  { functions, providers, to }: Publication,
  record: FunctionRecord,
  from: VersionRecord,
  description: string,
): Mutation {
  const { lastUpdate: _ofLatestOnly, ...build } = from;
  const { name, nextVersion } = record;
  const version: VersionRecord = {
    ...build,
    version: to === "number" ? String(nextVersion) : to,
    revisionId: newUuid(),
    settings: { ...build.settings, description },
    state: PENDING,
  };
  if (to === "number") {
    return {
      record: {
        ...record,
        versions: [...record.versions, version.version],
        nextVersion: nextVersion + 1,
      },
      also: [
        putVersion(name, version, "absent"),
        ...claimOn(build.settings, true, providers, functions.index),
      ],
    };
  }
  if (!build.settings.managed)
    throw invalidParameterValue("PublishTo LATEST_PUBLISHED isn't supported for Lambda Default functions.");
  const before = functions.index.version(name, to);
  if (before) {
    // Its environments change over when the new build is known to run: the runtime that it has already is.
    const { state } = before.value;
    const runs = state.state === "Active" && before.value.settings.runtime === build.settings.runtime;
    const isOff = state.state === "Deactivated";
    const moves = before.value.settings.managed?.provider !== build.settings.managed.provider;
    return {
      record,
      also: [
        putVersion(name, runs || isOff ? { ...version, state } : version, before.revision),
        ...(moves ? claimOn(build.settings, true, providers, functions.index) : []),
      ],
    };
  }
  return {
    record: { ...record, versions: [to, ...record.versions] },
    also: [putVersion(name, version, "absent"), ...claimOn(build.settings, true, providers, functions.index)],
  };
}

export function versionOperations(
  functions: FunctionStore,
  providers: CapacityProviders,
): Record<string, OperationHandler> {
  return {
    async PublishVersion(input: PublishVersionRequest, context): Promise<FunctionConfiguration> {
      const name = locateUnqualified(input.FunctionName, context, "PublishVersion");
      let number = "";
      await functions.change(name, (before) => {
        const { latest, nextVersion } = before;
        checkPublishable(functions, before, input);
        const to = publishesTo({ Publish: true, PublishTo: input.PublishTo }) ?? "number";
        const last = to === "number" ? String(nextVersion - 1) : to;
        const previous = functions.index.version(name, last)?.value;
        if (previous?.buildId === latest.buildId) {
          // Nothing changed since the last version: it is that one again [PublishVersion API].
          number = previous.version;
          return { record: before };
        }
        checkCodeStorage(functions.index, latest.code.sizeBytes);
        number = to === "number" ? String(nextVersion) : to;
        const description = input.Description ?? latest.settings.description;
        const { record, also } = publish({ functions, providers, to }, before, latest, description);
        return functions.touched(record, also);
      });
      return show(functions, name, functions.requireVersion(name, number), number);
    },

    ListVersionsByFunction(input: ListVersionsByFunctionRequest, context): ListVersionsByFunctionResponse {
      const name = locateUnqualified(input.FunctionName, context, "ListVersionsByFunction");
      const { latest } = functions.require(name).value;
      const versions = [{ key: "", value: latest }, ...functions.index.versionsOf(name)];
      const { items, nextMarker } = page(versions, ({ key }) => key, input);
      const shown = items.map(({ value }) => show(functions, name, value, value.version, true));
      return { Versions: shown, ...(nextMarker !== undefined && { NextMarker: nextMarker }) };
    },
  };
}

function checkPublishable(
  functions: FunctionStore,
  before: FunctionRecord,
  input: PublishVersionRequest,
): void {
  functions.checkChangeable(before, input.RevisionId);
  const { code, state } = before.latest;
  if (state.state === "Failed") {
    throw resourceConflict(
      "The operation cannot be performed at this time. The function is currently in the following state: Failed",
    );
  }
  if (input.CodeSha256 !== undefined && input.CodeSha256 !== "" && input.CodeSha256 !== code.sha256Base64) {
    throw invalidParameterValue(
      `CodeSHA256 (${input.CodeSha256}) is different from current CodeSHA256 in ${LATEST} (${code.sha256Base64}). Please try again with the CodeSHA256 in ${LATEST}.`,
    );
  }
}
