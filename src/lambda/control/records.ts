/**
 * What the control room keeps in the store. Everything of a function that can change lies in one record, so that one
 * compare-and-set orders all its updates; published versions, of which there may be hundreds, have records of their own.
 * Types only, and their keys.
 */
import type { StoredRecord } from "../../store/store.ts";
import type { CodeSignature } from "../signing/signature.ts";
import type { CorsRules } from "../urls/function-url.ts";

/** FunctionRecord by function name. */
export const FUNCTION_KIND = "lambda/function";
/** VersionRecord of each published version, by `versionKey`. */
export const VERSION_KIND = "lambda/version";
/** RetiredRecord by name of a deleted function that had published: AWS never gives a version number twice. */
export const RETIRED_KIND = "lambda/retired-function";

export interface FunctionRecord {
  readonly name: string;
  /** A UUID given at creation: a later function of the same name has another. Missing in records of older servers. */
  readonly identity?: string;
  readonly tags: Readonly<Record<string, string>>;
  /** In ascending order of their names. */
  readonly aliases: readonly AliasRecord[];
  /** The published versions that there are, numbers ascending, `$LATEST.PUBLISHED` first: aliases are checked against them. */
  readonly versions: readonly string[];
  /** The number that the next published version gets. */
  readonly nextVersion: number;
  readonly latest: VersionRecord;
  /** Options of asynchronous invocation, one per qualifier that has any, in ascending order of qualifiers. */
  readonly eventInvoke?: readonly EventInvokeRecord[];
  /** Resource-based policies, one per qualifier that has any. */
  readonly policies?: readonly PolicyRecord[];
  /** When a version's runtime is updated, one per qualifier for which it is not Auto. */
  readonly runtimeManagement?: readonly RuntimeManagementRecord[];
  /** Concurrency that only this function has, and all that it has; missing: none is reserved. */
  readonly reservedConcurrency?: number;
  /** Provisioned concurrency, one per version or alias that has any, in ascending order of qualifiers. */
  readonly provisioned?: readonly ProvisionedRecord[];
  /** Bounds of the environments of versions on Managed Instances, one per version for which they are configured. */
  readonly scaling?: readonly ScalingRecord[];
  /** Function URLs: of $LATEST and of aliases, in ascending order of qualifiers. */
  readonly urls?: readonly FunctionUrlRecord[];
  /** Whose signatures new code and layers must have. */
  readonly codeSigningConfigArn?: string;
  /** Missing: recursive loops are stopped. */
  readonly recursiveLoop?: "Allow";
  /** What invocations of $LATEST run while an update of it is in progress or has failed. */
  readonly serving?: Build;
}

/** Code and settings: what an execution environment is made from. A new one for each change. */
export interface Build {
  /** A UUID that changes with code or settings and with nothing else (RevisionId changes with each state as well). */
  readonly buildId: string;
  readonly settings: FunctionSettings;
  readonly code: CodeReference;
}

export interface VersionRecord extends Build {
  /** `$LATEST`, `$LATEST.PUBLISHED` or a number. */
  readonly version: string;
  /** The wire's RevisionId. */
  readonly revisionId: string;
  readonly lastModifiedMs: number;
  readonly state: FunctionState;
  /** Its environments start from a snapshot: SnapStart's OptimizationStatus On. Never of $LATEST. */
  readonly snapshot?: boolean;
  /** Of $LATEST only, and only after its creation. */
  readonly lastUpdate?: UpdateState;
}

export interface FunctionState {
  /** ActiveNonInvocable: `$LATEST` of a function on Managed Instances. Deactivated: scaled to no environment at all. */
  readonly state: "Pending" | "Active" | "Failed" | "ActiveNonInvocable" | "Deactivated";
  readonly reason?: string;
  readonly reasonCode?: "Creating" | "InvalidRuntime" | "InternalError";
}

export interface UpdateState {
  readonly status: "InProgress" | "Successful" | "Failed";
  readonly reason?: string;
  readonly reasonCode?: "Creating" | "InvalidRuntime" | "InternalError";
}

export interface CodeReference {
  readonly sha256Hex: string;
  readonly sha256Base64: string;
  readonly sizeBytes: number;
  /** Missing: the zip is not signed. */
  readonly signature?: SignatureRecord;
}

export type SignatureRecord =
  | (CodeSignature & {
      /** A profile that was registered when the code came in vouched for it. */
      readonly isVerified: boolean;
    })
  | {
      /** Why it is not intact: for the log. */
      readonly broken: string;
    };

export interface FunctionSettings {
  readonly runtime: string;
  readonly handler: string;
  readonly role: string;
  readonly description: string;
  readonly timeoutS: number;
  readonly memoryMb: number;
  readonly ephemeralStorageMb: number;
  readonly environment: Readonly<Record<string, string>>;
  readonly layers: readonly LayerReference[];
  readonly logging: LoggingRecord;
  readonly tracingMode: "Active" | "PassThrough";
  readonly architecture: "x86_64" | "arm64";
  readonly snapStartApplyOn: "PublishedVersions" | "None";
  readonly deadLetterTargetArn?: string;
  readonly vpc?: VpcRecord;
  readonly kmsKeyArn?: string;
  /** Set at creation or never. */
  readonly durable?: DurableRecord;
  /** The function runs on Managed Instances, for its whole life. */
  readonly managed?: ManagedRecord;
}

export interface DurableRecord {
  readonly executionTimeoutS: number;
  readonly retentionDays: number;
}

export interface ManagedRecord {
  /** Name of the capacity provider. */
  readonly provider: string;
  /** Invocations at once in one environment; missing: by runtime and vCPUs. */
  readonly concurrencyMax?: number;
  readonly memoryGibPerVcpu: number;
}

export interface LayerReference {
  readonly arn: string;
  readonly sha256Hex: string;
  readonly sizeBytes: number;
  /** Missing: the layer's zip is not signed. */
  readonly signature?: SignatureRecord;
}

export interface LoggingRecord {
  readonly format: "Text" | "JSON";
  /** Only with JSON. */
  readonly applicationLevel?: "TRACE" | "DEBUG" | "INFO" | "WARN" | "ERROR" | "FATAL";
  readonly systemLevel?: "DEBUG" | "INFO" | "WARN";
  readonly group: string;
}

export interface VpcRecord {
  readonly subnetIds: readonly string[];
  readonly securityGroupIds: readonly string[];
  readonly ipv6AllowedForDualStack: boolean;
}

export interface RuntimeManagementRecord {
  /** `$LATEST` or a version. */
  readonly qualifier: string;
  readonly mode: "Auto" | "Manual" | "FunctionUpdate";
  /** With Manual. */
  readonly runtimeVersionArn?: string;
}

export interface ProvisionedRecord {
  /** A version's number or an alias. */
  readonly qualifier: string;
  /** At least 1. */
  readonly count: number;
  readonly lastModifiedMs: number;
}

export interface ScalingRecord {
  /** A version's number or `$LATEST.PUBLISHED`. */
  readonly qualifier: string;
  /** Environments; at least one of the two is given. */
  readonly min?: number;
  readonly max?: number;
}

export interface FunctionUrlRecord {
  /** `$LATEST` or an alias. */
  readonly qualifier: string;
  readonly id: string;
  readonly authType: "NONE" | "AWS_IAM";
  readonly invokeMode: "BUFFERED" | "RESPONSE_STREAM";
  readonly cors?: CorsRules;
  readonly createdMs: number;
  readonly lastModifiedMs: number;
}

export interface PolicyRecord {
  /** `$LATEST` for the unqualified function's. */
  readonly qualifier: string;
  /** The JSON document, as it is shown. */
  readonly text: string;
}

export interface AliasRecord {
  readonly name: string;
  readonly functionVersion: string;
  readonly description: string;
  readonly revisionId: string;
  /** The second version of a weighted alias, and the share of invocations it gets: 0–1. */
  readonly routing?: { readonly version: string; readonly weight: number };
}

export interface EventInvokeRecord {
  /** `$LATEST`, a version's number or an alias. */
  readonly qualifier: string;
  readonly lastModifiedMs: number;
  readonly retryAttemptsMax?: number;
  readonly eventAgeSMax?: number;
  readonly onSuccessArn?: string;
  readonly onFailureArn?: string;
}

export interface RetiredRecord {
  readonly nextVersion: number;
}

export type StoredFunction = StoredRecord<FunctionRecord>;

const VERSION_DIGITS = 10;

/** Versions of one function lie together: `$LATEST.PUBLISHED`, then in numeric order. No function name has a colon. */
export function versionKey(name: string, version: string): string {
  return `${name}:${version.padStart(VERSION_DIGITS, "0")}`;
}

export function parseVersionKey(key: string): { name: string; version: string } {
  const colon = key.indexOf(":");
  const version = key.slice(colon + 1);
  return { name: key.slice(0, colon), version: version.startsWith("$") ? version : String(Number(version)) };
}
