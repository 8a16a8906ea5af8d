/** ListTags, TagResource, UntagResource; and what may be a tag. */
import type {
  ListTagsRequest,
  ListTagsResponse,
  TagResourceRequest,
  UntagResourceRequest,
} from "@aws-sdk/client-lambda";
import { invalidParameterValue, validationError } from "../../errors.ts";
import { parseArn } from "../../kernel/arn.ts";
import { unreachable } from "../../kernel/assert.ts";
import { TAGS_MAX } from "../../limits.ts";
import type { Store } from "../../store/store.ts";
import type { OperationHandler, RequestContext } from "../../wire/service.ts";
import type { CodeSigningStore } from "./code-signing-store.ts";
import { agreeOnQualifier, parseFunctionReference } from "./function-name.ts";
import type { CapacityProviders } from "./capacity-provider-store.ts";
import type { FunctionStore } from "./function-store.ts";
import { changeMapping, requireMapping } from "./mapping-store.ts";
import { unsupported } from "./settings.ts";

export function checkTags(tags: Readonly<Record<string, string>>): void {
  for (const key of Object.keys(tags)) {
    if (key.toLowerCase().startsWith("aws:")) {
      throw invalidParameterValue("Tag keys starting with 'aws:' are reserved for system use.");
    }
  }
  if (Object.keys(tags).length > TAGS_MAX) {
    throw invalidParameterValue("Number of tags exceeds resource tag limit.");
  }
}

export function tagOperations(
  functions: FunctionStore,
  store: Store,
  codeSigningConfigs: CodeSigningStore,
  providers: CapacityProviders,
): Record<string, OperationHandler> {
  const change = async (
    resource: Tagged,
    decide: (tags: Readonly<Record<string, string>>) => Record<string, string>,
  ): Promise<void> => {
    if (resource.type === "mapping") {
      await changeMapping(store, resource.uuid, (before) => ({ ...before, tags: decide(before.tags) }));
    } else if (resource.type === "code-signing-config") {
      await codeSigningConfigs.change(resource.arn, (before) => ({ ...before, tags: decide(before.tags) }));
    } else if (resource.type === "provider") {
      await providers.change(resource.name, (before) => ({ ...before, tags: decide(before.tags) }));
    } else {
      await functions.change(resource.name, (before) =>
        functions.touched({ ...before, tags: decide(before.tags) }),
      );
    }
  };
  const tagsOf = async (resource: Tagged): Promise<Readonly<Record<string, string>>> => {
    switch (resource.type) {
      case "function":
        return functions.require(resource.name).value.tags;
      case "mapping":
        return (await requireMapping(store, resource.uuid)).value.tags;
      case "provider":
        return providers.require(resource.name).value.tags;
      case "code-signing-config":
        return (await codeSigningConfigs.require(resource.arn)).value.tags;
      default:
        return unreachable(resource, "resource");
    }
  };
  return {
    async ListTags(input: ListTagsRequest, context): Promise<ListTagsResponse> {
      const resource = taggedResource(input.Resource, context, "ListTags", providers);
      return { Tags: { ...(await tagsOf(resource)) } };
    },

    async TagResource(input: TagResourceRequest, context): Promise<Record<string, never>> {
      const resource = taggedResource(input.Resource, context, "TagResource", providers);
      const added = input.Tags ?? {};
      if (Object.keys(added).length === 0) {
        throw invalidParameterValue("An error occurred and the request cannot be processed.");
      }
      await change(resource, (before) => {
        const tags = { ...before, ...added };
        checkTags(tags);
        return tags;
      });
      return {};
    },

    async UntagResource(input: UntagResourceRequest, context): Promise<Record<string, never>> {
      const resource = taggedResource(input.Resource, context, "UntagResource", providers);
      const removed = new Set(input.TagKeys ?? []);
      if (removed.size === 0) {
        throw validationError(
          "1 validation error detected: Value null at 'tagKeys' failed to satisfy constraint: Member must not be null",
        );
      }
      await change(resource, (before) =>
        Object.fromEntries(Object.entries(before).filter(([key]) => !removed.has(key))),
      );
      return {};
    },
  };
}

type Tagged =
  | { readonly type: "function"; readonly name: string }
  | { readonly type: "mapping"; readonly uuid: string }
  | { readonly type: "provider"; readonly name: string }
  | { readonly type: "code-signing-config"; readonly arn: string };

/** What a tag operation's ARN means. */
function taggedResource(
  resource: string | undefined,
  context: RequestContext,
  action: string,
  providers: CapacityProviders,
): Tagged {
  const arn = resource === undefined ? undefined : parseArn(resource);
  if (resource === undefined || arn?.service !== "lambda") {
    throw validationError(
      `1 validation error detected: Value '${resource}' at 'resource' failed to satisfy constraint: Member must satisfy regular expression pattern: arn:(aws[a-zA-Z-]*):lambda:[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1}:\\d{12}:(function:[a-zA-Z0-9-_]+(:(\\$LATEST|[a-zA-Z0-9-_]+))?|layer:([a-zA-Z0-9-_]+)|code-signing-config:csc-[a-z0-9]{17}|event-source-mapping:[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12})`,
    );
  }
  const [type, id] = arn.resource.split(":");
  if (type === "code-signing-config") return { type, arn: resource };
  if (type === "event-source-mapping") return { type: "mapping", uuid: id ?? "" };
  if (type === "capacity-provider") return { type: "provider", name: providers.nameOf(resource) };
  if (type !== "function") throw unsupported(`Tagging a resource of type ${type}`);
  const reference = parseFunctionReference(resource);
  const { region, accountId, principal } = context;
  if (
    agreeOnQualifier(reference, undefined, { region, accountId, action, principalArn: principal.arn }) !==
    undefined
  ) {
    throw invalidParameterValue(
      "Tags on function aliases and versions are not supported. Please specify a function ARN.",
    );
  }
  return { type: "function", name: reference.name };
}
