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
import { LATEST } from "./function-name.ts";
import { locateUnqualified, show } from "./locate.ts";
import { page } from "./paging.ts";
import type { FunctionRecord, VersionRecord } from "./records.ts";

/** The next version of a function, made from a build of $LATEST. */
export function publish(record: FunctionRecord, from: VersionRecord, description: string): Mutation {
  const { lastUpdate: _ofLatestOnly, ...build } = from;
  const version: VersionRecord = {
    ...build,
    version: String(record.nextVersion),
    revisionId: newUuid(),
    settings: { ...build.settings, description },
    state: PENDING,
  };
  return {
    record: {
      ...record,
      versions: [...record.versions, version.version],
      nextVersion: record.nextVersion + 1,
    },
    also: [putVersion(record.name, version, "absent")],
  };
}

export function versionOperations(functions: FunctionStore): Record<string, OperationHandler> {
  return {
    async PublishVersion(input: PublishVersionRequest, context): Promise<FunctionConfiguration> {
      const name = locateUnqualified(input.FunctionName, context, "PublishVersion");
      let number = "";
      await functions.change(name, (before) => {
        const { latest, nextVersion } = before;
        checkPublishable(functions, before, input);
        const previous = functions.index.version(name, String(nextVersion - 1))?.value;
        if (previous?.buildId === latest.buildId) {
          // Nothing changed since the last version: it is that one again [PublishVersion API].
          number = previous.version;
          return { record: before };
        }
        checkCodeStorage(functions.index, latest.code.sizeBytes);
        number = String(nextVersion);
        const { record, also } = publish(before, latest, input.Description ?? latest.settings.description);
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
