/** ListTags, TagResource, UntagResource; and what may be a tag. */
import type {
  ListTagsRequest,
  ListTagsResponse,
  TagResourceRequest,
  UntagResourceRequest,
} from "@aws-sdk/client-lambda";
import { invalidParameterValue, resourceNotFound, validationError } from "../../errors.ts";
import { parseArn } from "../../kernel/arn.ts";
import { TAGS_MAX } from "../../limits.ts";
import type { OperationHandler, RequestContext } from "../../wire/service.ts";
import { agreeOnQualifier, parseFunctionReference } from "./function-name.ts";
import type { FunctionStore } from "./function-store.ts";
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

export function tagOperations(functions: FunctionStore): Record<string, OperationHandler> {
  return {
    ListTags(input: ListTagsRequest, context): ListTagsResponse {
      const name = taggedFunction(input.Resource, context, "ListTags");
      return { Tags: { ...functions.require(name).value.tags } };
    },

    async TagResource(input: TagResourceRequest, context): Promise<Record<string, never>> {
      const name = taggedFunction(input.Resource, context, "TagResource");
      const added = input.Tags ?? {};
      if (Object.keys(added).length === 0) {
        throw invalidParameterValue("An error occurred and the request cannot be processed.");
      }
      await functions.change(name, (before) => {
        const tags = { ...before.tags, ...added };
        checkTags(tags);
        return functions.touched({ ...before, tags });
      });
      return {};
    },

    async UntagResource(input: UntagResourceRequest, context): Promise<Record<string, never>> {
      const name = taggedFunction(input.Resource, context, "UntagResource");
      const removed = new Set(input.TagKeys ?? []);
      if (removed.size === 0) {
        throw validationError(
          "1 validation error detected: Value null at 'tagKeys' failed to satisfy constraint: Member must not be null",
        );
      }
      await functions.change(name, (before) => {
        const kept = Object.entries(before.tags).filter(([key]) => !removed.has(key));
        return functions.touched({ ...before, tags: Object.fromEntries(kept) });
      });
      return {};
    },
  };
}

/** The name of the function that a tag operation's ARN means. */
function taggedFunction(resource: string | undefined, context: RequestContext, action: string): string {
  const arn = resource === undefined ? undefined : parseArn(resource);
  if (resource === undefined || arn?.service !== "lambda") {
    throw validationError(
      `1 validation error detected: Value '${resource}' at 'resource' failed to satisfy constraint: Member must satisfy regular expression pattern: arn:(aws[a-zA-Z-]*):lambda:[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1}:\\d{12}:(function:[a-zA-Z0-9-_]+(:(\\$LATEST|[a-zA-Z0-9-_]+))?|layer:([a-zA-Z0-9-_]+)|code-signing-config:csc-[a-z0-9]{17}|event-source-mapping:[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12})`,
    );
  }
  const [type, id] = arn.resource.split(":");
  if (type === "code-signing-config") throw resourceNotFound(`Code signing configuration not found: ${id}`);
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
  return reference.name;
}
