/** What authorisation asks about functions, layers, capacity providers and code signing: their policies and tags, from memory. */
import type { ResourceFacts } from "../../iam/ports.ts";
import { functionArn } from "../../kernel/arn.ts";
import type { CapacityProviders } from "./capacity-provider-store.ts";
import type { CodeSigningStore } from "./code-signing-store.ts";
import type { FunctionIndex } from "./function-index.ts";
import type { LayerStore } from "./layer-store.ts";
import { policyText } from "./policies.ts";

export function lambdaFacts(
  index: FunctionIndex,
  layers: LayerStore,
  codeSigningConfigs: CodeSigningStore,
  providers: CapacityProviders,
  { region, accountId }: { readonly region: string; readonly accountId: string },
): ResourceFacts {
  const functions = functionArn(region, accountId, "");
  const providersPrefix = providers.arnOf("");
  const layersPrefix = layers.layerArn("");
  /** A function's name and qualifier. */
  const split = (arn: string) => {
    const at = arn.indexOf(":", functions.length);
    return at < 0
      ? { name: arn.slice(functions.length), qualifier: undefined }
      : { name: arn.slice(functions.length, at), qualifier: arn.slice(at + 1) };
  };
  return {
    service: "lambda",
    policies: {
      policyOf(arn) {
        if (arn.startsWith(layersPrefix)) return layers.policyOf(arn);
        if (!arn.startsWith(functions)) return undefined;
        const { name, qualifier } = split(arn);
        const stored = index.get(name);
        return stored && policyText(stored.value, qualifier);
      },
    },
    tags: {
      tagsOf(arn) {
        if (arn.startsWith(providersPrefix)) return providers.get(providers.nameOf(arn))?.value.tags;
        // Versions and aliases have their function's.
        return arn.startsWith(functions)
          ? index.get(split(arn).name)?.value.tags
          : codeSigningConfigs.tagsOf(arn);
      },
    },
  };
}
