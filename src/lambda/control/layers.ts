/** The layers that a function names, checked in AWS's words and order. */
import { accessDenied, invalidParameterValue, validationError } from "../../errors.ts";
import { CODE_UNZIPPED_BYTES_MAX, LAYERS_MAX } from "../../limits.ts";
import type { BlobStore } from "../../store/blobs/blobs.ts";
import type { LayerResolver } from "./ports.ts";
import type { CodeReference, LayerReference } from "./records.ts";

const LAYER_VERSION_ARN_PATTERN =
  /^(arn:[a-zA-Z0-9-]+:lambda:([a-z]{2}(?:-gov|-iso[a-z]?)?-[a-z]+-\d):(\d{12}):layer:[a-zA-Z0-9-_]+):[0-9]+$/;

export async function resolveLayers(
  arns: readonly string[],
  checks: { readonly layers: LayerResolver; readonly region: string; readonly accountId: string },
): Promise<LayerReference[]> {
  if (arns.length > LAYERS_MAX)
    throw invalidParameterValue(`Cannot reference more than ${LAYERS_MAX} layers.`);
  const resolved: LayerReference[] = [];
  const versions = new Map<string, string>();
  for (const arn of arns) {
    const [, layerArn = "", region, accountId] = LAYER_VERSION_ARN_PATTERN.exec(arn) ?? [];
    if (layerArn === "") throw invalidLayerArn(arn);
    if (accountId === checks.accountId && region !== checks.region) {
      throw invalidParameterValue(
        `Layers are not in the same region as the function. Layers are expected to be in region ${checks.region}.`,
      );
    }
    const layer = await checks.layers.resolve(arn);
    if (!layer) throw missingLayer(arn, accountId === checks.accountId);
    const other = versions.get(layerArn);
    if (other !== undefined) {
      throw invalidParameterValue(
        `Two different versions of the same layer are not allowed to be referenced in the same function. ${other} and ${arn} are versions of the same layer.`,
      );
    }
    versions.set(layerArn, arn);
    resolved.push(layer);
  }
  return resolved;
}

/** Throws InvalidParameterValueException when the code and its layers are too large together. */
export async function checkUnzippedSize(
  blobs: Pick<BlobStore, "unzippedBytes">,
  code: CodeReference,
  layers: readonly LayerReference[],
): Promise<void> {
  // A zip alone has been checked while it was unpacked.
  if (layers.length === 0) return;
  const sizes = await Promise.all(layers.map(({ sha256Hex }) => blobs.unzippedBytes(sha256Hex)));
  const layersBytes = sizes.reduce((sum, bytes) => sum + bytes, 0);
  if (layersBytes > CODE_UNZIPPED_BYTES_MAX) {
    throw invalidParameterValue(
      `Layers consume more than the available size of ${CODE_UNZIPPED_BYTES_MAX} bytes`,
    );
  }
  const bytes = layersBytes + (await blobs.unzippedBytes(code.sha256Hex));
  if (bytes > CODE_UNZIPPED_BYTES_MAX) {
    throw invalidParameterValue(
      `Function code combined with layers exceeds the maximum allowed size of ${CODE_UNZIPPED_BYTES_MAX} bytes. The actual size is ${bytes} bytes.`,
    );
  }
}

function missingLayer(arn: string, own: boolean) {
  if (own) return invalidParameterValue(`Layer version ${arn} does not exist.`);
  return accessDenied(
    `Not authorized to perform: lambda:GetLayerVersion on resource: ${arn} because no resource-based policy allows the lambda:GetLayerVersion action`,
  );
}

function invalidLayerArn(arn: string) {
  return validationError(
    `1 validation error detected: Value '[${arn}]' at 'layers' failed to satisfy constraint: Member must satisfy constraint: [Member must have length less than or equal to 140, Member must have length greater than or equal to 1, Member must satisfy regular expression pattern: (arn:[a-zA-Z0-9-]+:lambda:[a-z]{2}((-gov)|(-iso(b?)))?-[a-z]+-\\d{1}:\\d{12}:layer:[a-zA-Z0-9-_]+:[0-9]+)|(arn:[a-zA-Z0-9-]+:lambda:::awslayer:[a-zA-Z0-9-_]+), Member must not be null]`,
  );
}
