/** From a request's names to a function, and from a version to what is shown of it. */
import type { FunctionConfiguration } from "@aws-sdk/client-lambda";
import { invalidParameterValue } from "../../errors.ts";
import type { RequestContext } from "../../wire/service.ts";
import { agreeOnQualifier, LATEST, parseFunctionReference } from "./function-name.ts";
import type { FunctionStore } from "./function-store.ts";
import { toConfiguration } from "./output.ts";
import type { VersionRecord } from "./records.ts";

/** The function and the qualifier that a request names. Throws AwsError. */
export function locate(
  nameOrArn: string | undefined,
  specified: string | undefined,
  context: RequestContext,
  action: string,
): { name: string; qualifier: string | undefined } {
  const reference = parseFunctionReference(nameOrArn ?? "");
  const { region, accountId, principal } = context;
  const here = { region, accountId, action, principalArn: principal.arn };
  return { name: reference.name, qualifier: agreeOnQualifier(reference, specified, here) };
}

/** As `locate`, for operations that act on whole functions. */
export function locateUnqualified(
  nameOrArn: string | undefined,
  context: RequestContext,
  action: string,
): string {
  const { name, qualifier } = locate(nameOrArn, undefined, context, action);
  if (qualifier !== undefined && qualifier !== LATEST) {
    throw invalidParameterValue(
      "This operation is permitted on Lambda functions only. Aliases and versions do not support this operation. Please specify either a function name or an unqualified function ARN.",
    );
  }
  return name;
}

export function show(
  { region, accountId }: FunctionStore,
  name: string,
  version: VersionRecord,
  qualifier: string | undefined,
  list = false,
): FunctionConfiguration {
  return toConfiguration({
    region,
    accountId,
    name,
    version,
    list,
    ...(qualifier !== undefined && { qualifier }),
  });
}
