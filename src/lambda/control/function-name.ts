/**
 * The ways to name a function: `NAME`, `ACCOUNT:function:NAME`, `arn:aws:lambda:REGION:ACCOUNT:function:NAME`, each with
 * `:QUALIFIER` or without. The grammar is the service model's own pattern, with groups.
 */
import { accessDenied, invalidParameterValue, resourceNotFound, validationError } from "../../errors.ts";
import { functionArn } from "../../kernel/arn.ts";

export interface FunctionReference {
  readonly name: string;
  readonly qualifier: string | undefined;
  readonly accountId: string | undefined;
  readonly region: string | undefined;
}

export const LATEST = "$LATEST";
/** The version of a function on Managed Instances that is published again and again, without a number. */
export const LATEST_PUBLISHED = "$LATEST.PUBLISHED";

/** As AWS prints it in its validation errors. */
const NAME_PATTERN_TEXT =
  "(arn:(aws[a-zA-Z-]*)?:lambda:)?([a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1}:)?(\\d{12}:)?(function:)?([a-zA-Z0-9-_\\.]+)(:(\\$LATEST(\\.PUBLISHED)?|[a-zA-Z0-9-_]+))?";
const NAME_PATTERN =
  /^(?:arn:(?:aws[a-zA-Z-]*)?:lambda:)?(?:([a-z]{2}(?:-gov|-iso[a-z]?)?-[a-z]+-\d):)?(?:(\d{12}):)?(?:function:)?([a-zA-Z0-9-_.]+)(?::(\$LATEST(?:\.PUBLISHED)?|[a-zA-Z0-9-_]+))?$/;
/** The model's longest: NamespacedFunctionName. */
const NAME_OR_ARN_CHARS_MAX = 256;

/** Throws ValidationException when `nameOrArn` is none of the forms. */
export function parseFunctionReference(nameOrArn: string): FunctionReference {
  if (nameOrArn.length > NAME_OR_ARN_CHARS_MAX) {
    throw validationError(
      `1 validation error detected: Value '${nameOrArn}' at 'functionName' failed to satisfy constraint: Member must have length less than or equal to ${NAME_OR_ARN_CHARS_MAX}`,
    );
  }
  const [matched, region, accountId, name, qualifier] = NAME_PATTERN.exec(nameOrArn) ?? [];
  if (matched === undefined || name === undefined) throw invalidFunctionName(nameOrArn);
  return { name, qualifier, accountId, region };
}

export function invalidFunctionName(nameOrArn: string) {
  return validationError(
    `1 validation error detected: Value '${nameOrArn}' at 'functionName' failed to satisfy constraint: Member must satisfy regular expression pattern: ${NAME_PATTERN_TEXT}`,
  );
}

/** Whose functions these are, and who asks for what: for the errors. */
export interface Here {
  readonly region: string;
  readonly accountId: string;
  /** The operation's action in IAM: `GetFunction`, `InvokeFunction`. */
  readonly action: string;
  /** ARN of the caller; undefined where it is not known. */
  readonly principalArn?: string;
}

/**
 * The one qualifier that reference and request agree on. Throws when the reference is of another Region or account, or
 * when both name a qualifier and they differ.
 */
export function agreeOnQualifier(
  reference: FunctionReference,
  specified: string | undefined,
  here: Here,
): string | undefined {
  if (reference.accountId !== undefined && reference.accountId !== here.accountId) {
    const arn = functionArn(reference.region ?? here.region, reference.accountId, reference.name);
    const who = here.principalArn === undefined ? "Not" : `User: ${here.principalArn} is not`;
    throw accessDenied(
      `${who} authorized to perform: lambda:${here.action} on resource: ${arn} because no resource-based policy allows the lambda:${here.action} action`,
    );
  }
  if (reference.region !== undefined && reference.region !== here.region) {
    throw resourceNotFound(
      `Functions from '${reference.region}' are not reachable in this region ('${here.region}')`,
    );
  }
  if (specified !== undefined && reference.qualifier !== undefined && reference.qualifier !== specified) {
    throw invalidParameterValue(
      "The derived qualifier from the function name does not match the specified qualifier.",
    );
  }
  return specified ?? reference.qualifier;
}

/** A version's number, as opposed to `$LATEST` or an alias. */
export function isVersionNumber(qualifier: string): boolean {
  return /^[0-9]+$/.test(qualifier);
}

/** A version of its own record: a number, or `$LATEST.PUBLISHED`. */
export function isPublishedVersion(qualifier: string): boolean {
  return qualifier === LATEST_PUBLISHED || isVersionNumber(qualifier);
}

export function isAliasName(qualifier: string): boolean {
  return /^(?![0-9]+$)[a-zA-Z0-9-_]+$/.test(qualifier);
}
