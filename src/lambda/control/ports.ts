/** What the control room needs from other rooms. */
import type { RolePermissions } from "../invoke/destination-permissions.ts";
import type { FunctionVersion } from "../model.ts";
import type { ProvisionedState } from "../placement/concurrency.ts";
import type { SigningProfile } from "../signing/profiles.ts";
import type { LayerReference } from "./records.ts";

export interface RuntimeFinder {
  /** Whether this host can run `runtimeId`. `reason` says why not; `fix` what an operator can do, empty when nothing. */
  find(
    runtimeId: string,
  ): Promise<
    | { readonly available: true }
    | { readonly available: false; readonly reason: string; readonly fix: string }
  >;
}

export interface CodePreparer {
  /**
   * Makes what lets environments of `version` start faster. Resolves when it is there, or is not waited for; with whether
   * they start from a snapshot. Never rejects.
   */
  prepare(version: FunctionVersion, zipBytes: number): Promise<{ readonly snapshot: boolean }>;
  /** Removes what was made of code that is about to be removed. */
  forget(codeSha256Hex: string): Promise<void>;
}

export interface Provisioning {
  /** What there is of a version's provisioned concurrency. `functionArn` is unqualified. */
  provisioned(functionArn: string, version: string): ProvisionedState;
}

export interface RoleChecker extends RolePermissions {
  /** Throws AwsError (InvalidParameterValueException) when Lambda cannot assume the role. Called with well-formed ARNs. */
  check(roleArn: string): Promise<void>;
}

export interface LayerResolver {
  /** The layer version of that ARN; undefined when there is none. */
  resolve(layerVersionArn: string): Promise<LayerReference | undefined>;
}

export interface ProfileFinder {
  /** The signing profile's version of that ARN; undefined when none is registered. */
  find(arn: string): Promise<SigningProfile | undefined>;
}

export interface CodeFetcher {
  /** The object's bytes. Throws AwsError: `Error occurred while GetObject. S3 Error Code: …`. */
  fetch(object: { bucket: string; key: string; versionId?: string }): Promise<Uint8Array>;
}
