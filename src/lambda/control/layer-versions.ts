/** PublishLayerVersion, GetLayerVersion, GetLayerVersionByArn, DeleteLayerVersion, ListLayers, ListLayerVersions. */
import type {
  DeleteLayerVersionRequest,
  GetLayerVersionByArnRequest,
  GetLayerVersionRequest,
  GetLayerVersionResponse,
  LayersListItem,
  LayerVersionsListItem,
  ListLayersRequest,
  ListLayersResponse,
  ListLayerVersionsRequest,
  ListLayerVersionsResponse,
  PublishLayerVersionRequest,
} from "@aws-sdk/client-lambda";
import { invalidParameterValue, resourceNotFound, validationError } from "../../errors.ts";
import type { Clock } from "../../kernel/clock.ts";
import { parseArn } from "../../kernel/arn.ts";
import type { OperationHandler } from "../../wire/service.ts";
import type { CodeUrls } from "./code-url.ts";
import { showSignature } from "./code-signing.ts";
import type { FunctionCode } from "./code.ts";
import type { LayerStore, LayerVersionRecord, StoredLayerVersion } from "./layer-store.ts";
import { formatLambdaTime } from "./output.ts";
import { page } from "./paging.ts";

export interface LayerOperationsOptions {
  readonly layers: LayerStore;
  readonly code: FunctionCode;
  readonly codeUrls: CodeUrls;
  readonly clock: Clock;
}

export function layerOperations(options: LayerOperationsOptions): Record<string, OperationHandler> {
  const { layers, code, codeUrls, clock } = options;
  const found = async (name: string, version: number, endpoint: string): Promise<GetLayerVersionResponse> => {
    const stored = await layers.find(name, version);
    if (!stored) throw resourceNotFound("The resource you requested does not exist.");
    return showWhole(options, stored.value, endpoint);
  };
  return {
    async PublishLayerVersion(input: PublishLayerVersionRequest, context): Promise<GetLayerVersionResponse> {
      const layer = layerName(layers, input.LayerName);
      using pinned = await code.bringIn(input.Content ?? {}, { copies: 1, replacedBytes: 0 });
      const record = await layers.publish({
        layer,
        createdMs: clock.nowMs(),
        description: input.Description ?? "",
        code: pinned.code,
        compatibleRuntimes: input.CompatibleRuntimes ?? [],
        compatibleArchitectures: input.CompatibleArchitectures ?? [],
        ...(input.LicenseInfo !== undefined && { licenseInfo: input.LicenseInfo }),
      });
      return showWhole({ layers, codeUrls }, record, context.endpoint);
    },

    GetLayerVersion: (input: GetLayerVersionRequest, context) =>
      found(layerName(layers, input.LayerName), versionNumber(input.VersionNumber), context.endpoint),

    GetLayerVersionByArn(input: GetLayerVersionByArnRequest, context) {
      const arn = input.Arn ?? "";
      const at = arn.lastIndexOf(":");
      return found(layerName(layers, arn.slice(0, at)), Number(arn.slice(at + 1)), context.endpoint);
    },

    async DeleteLayerVersion(input: DeleteLayerVersionRequest): Promise<Record<string, never>> {
      await layers.remove(layerName(layers, input.LayerName), versionNumber(input.VersionNumber));
      return {};
    },

    async ListLayers(input: ListLayersRequest): Promise<ListLayersResponse> {
      // Versions come oldest first, so that the last one that matches is the layer's latest.
      const latest = new Map<string, LayerVersionRecord>();
      for (const { value } of (await layers.all()).filter(matching(input))) latest.set(value.layer, value);
      const { items, nextMarker } = page([...latest.values()], ({ layer }) => layer, input);
      return {
        Layers: items.map((record): LayersListItem => ({
          LayerName: record.layer,
          LayerArn: layers.layerArn(record.layer),
          LatestMatchingVersion: showListed(layers, record),
        })),
        ...(nextMarker !== undefined && { NextMarker: nextMarker }),
      };
    },

    async ListLayerVersions(input: ListLayerVersionsRequest): Promise<ListLayerVersionsResponse> {
      const versions = (await layers.versionsOf(layerName(layers, input.LayerName))).filter(matching(input));
      const newestFirst = versions.toReversed().map(({ value }) => value);
      const { items, nextMarker } = page(newestFirst, descending, input);
      return {
        LayerVersions: items.map((record) => showListed(layers, record)),
        ...(nextMarker !== undefined && { NextMarker: nextMarker }),
      };
    },
  };
}

const LAYER_NAME = /^[a-zA-Z0-9-_]+$/;

/** The name that a name or an ARN means. A layer of another account or Region is none that is here. */
export function layerName(layers: LayerStore, nameOrArn = ""): string {
  if (LAYER_NAME.test(nameOrArn)) return nameOrArn;
  const arn = parseArn(nameOrArn);
  // The model's pattern also takes ARNs without a partition.
  if (!arn)
    throw validationError(
      `1 validation error detected: Value '${nameOrArn}' at 'layerName' failed to satisfy constraint: Member must satisfy regular expression pattern: (arn:[a-zA-Z0-9-]+:lambda:[a-zA-Z0-9-]+:\\d{12}:layer:[a-zA-Z0-9-_]+)|[a-zA-Z0-9-_]+`,
    );
  const name = arn.resource.slice("layer:".length);
  if (nameOrArn !== layers.layerArn(name)) {
    throw resourceNotFound("The resource you requested does not exist.");
  }
  return name;
}

export function versionNumber(version: number | undefined): number {
  if (version === undefined || version < 1) {
    throw invalidParameterValue("Layer Version Cannot be less than 1.");
  }
  return version;
}

/** A key that sorts the newest version first. */
function descending({ version }: LayerVersionRecord): string {
  return String(Number.MAX_SAFE_INTEGER - version).padStart(16, "0");
}

/** A version that names no runtimes or architectures at all is not listed when one is asked for, as on AWS. */
function matching(filter: {
  readonly CompatibleRuntime?: string | undefined;
  readonly CompatibleArchitecture?: string | undefined;
}): (stored: StoredLayerVersion) => boolean {
  const { CompatibleRuntime: runtime, CompatibleArchitecture: architecture } = filter;
  return ({ value }) =>
    (runtime === undefined || value.compatibleRuntimes.includes(runtime)) &&
    (architecture === undefined || value.compatibleArchitectures.includes(architecture));
}

function showWhole(
  { layers, codeUrls }: Pick<LayerOperationsOptions, "layers" | "codeUrls">,
  record: LayerVersionRecord,
  endpoint: string,
): GetLayerVersionResponse {
  const { sha256Hex, sha256Base64, sizeBytes, signature } = record.code;
  return {
    ...showListed(layers, record),
    LayerArn: layers.layerArn(record.layer),
    Content: {
      Location: codeUrls.make(endpoint, sha256Hex),
      CodeSha256: sha256Base64,
      CodeSize: sizeBytes,
      ...showSignature(signature),
    },
  };
}

function showListed(layers: LayerStore, record: LayerVersionRecord): LayerVersionsListItem {
  const { compatibleRuntimes, compatibleArchitectures, licenseInfo } = record;
  // The model's enums grow with each release; what came in through the model goes out.
  return {
    LayerVersionArn: layers.versionArn(record.layer, record.version),
    Version: record.version,
    Description: record.description,
    CreatedDate: formatLambdaTime(record.createdMs),
    ...(compatibleRuntimes.length > 0 && { CompatibleRuntimes: [...compatibleRuntimes] }),
    ...(compatibleArchitectures.length > 0 && { CompatibleArchitectures: [...compatibleArchitectures] }),
    ...(licenseInfo !== undefined && { LicenseInfo: licenseInfo }),
  } as LayerVersionsListItem;
}
