/** IAM's errors in IAM's words. */
import { AwsError } from "../../errors.ts";
import { MalformedPolicy, type DocumentKind } from "../../iam/policy/document.ts";
import type { Permissions } from "../../iam/directory/permissions.ts";

export const noSuchEntity = (message: string) =>
  new AwsError("NoSuchEntityException", message, { status: 404 });
export const alreadyExists = (message: string) =>
  new AwsError("EntityAlreadyExistsException", message, { status: 409 });
/** The query protocol's own code: without `Exception`. */
export const accessDenied = (message: string) => new AwsError("AccessDenied", message, { status: 403 });
export const limitExceeded = (message: string) =>
  new AwsError("LimitExceededException", message, { status: 409 });
export const deleteConflict = (message: string) =>
  new AwsError("DeleteConflictException", message, { status: 409 });
export const invalidInput = (message: string) => new AwsError("InvalidInputException", message);
export const validation = (message: string) => new AwsError("ValidationException", message);
export const unmodifiable = (message: string) => new AwsError("UnmodifiableEntityException", message);

/** Throws MalformedPolicyDocument, or what the operation has in its place, when the text is no policy of that kind. */
export function checkDocument(
  permissions: Permissions,
  text: string,
  kind: DocumentKind,
  code = "MalformedPolicyDocumentException",
): void {
  try {
    permissions.document(text, kind);
  } catch (error) {
    if (!(error instanceof MalformedPolicy)) throw error;
    throw new AwsError(code, error.message, { cause: error });
  }
}
