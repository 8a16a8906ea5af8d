/**
 * Where invocation finds functions. The control room implements it (invoke never imports control): everything is in
 * memory, kept current by the store's change feed, so a lookup is synchronous and costs about a microsecond.
 */
import type { FunctionVersion } from "../model.ts";

export interface FunctionDirectory {
  /**
   * The version that an invocation of `nameOrArn` (name, partial or full ARN, each with or without a qualifier) runs now.
   * Aliases are followed; a weighted alias picks by its weights, so two calls may differ. The same version is the same
   * object until its code or configuration changes.
   *
   * Throws AwsError in Lambda's words: ValidationException (not a function name), InvalidParameterValueException (two
   * qualifiers that differ), ResourceNotFoundException, AccessDeniedException (another account's function),
   * NoPublishedVersionException (on Managed Instances), ResourceConflictException (state Pending, Failed, …), InvalidRuntimeException (this host lacks the runtime).
   */
  resolve(nameOrArn: string, qualifier: string | undefined): FunctionVersion;

  /** Calls back after each change of what `resolve` answers for a version. A listener must not throw. The answer unsubscribes. */
  subscribe(listener: (event: FunctionEvent) => void): () => void;
}

export interface FunctionEvent {
  /** "changed": environments of this version with another revisionId take no further invocation. "deleted": none at all do. */
  readonly kind: "changed" | "deleted";
  /** Unqualified. */
  readonly functionArn: string;
  /** `$LATEST`, a number, or `$LATEST.PUBLISHED`. */
  readonly version: string;
  /** FunctionVersion.revisionId: the new one when changed, the last one when deleted. */
  readonly revisionId: string;
}
