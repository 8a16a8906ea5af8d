/** The generated files of models/iam-data, each read once and only when it is needed. `models/iam.ts` writes them. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { PACKAGE_FOLDER } from "../kernel/package-folder.ts";

/** What a service lets policies speak of; named by the prefix of its actions. */
export interface ServiceActions {
  readonly actions: Readonly<
    Record<
      string,
      {
        /** `List`, `Read`, `Write`, `Permissions management`, `Tagging`. */
        readonly level: string;
        /** Names of entries in `resources`; none: the action knows no resources, policies say `*`. */
        readonly resources: readonly string[];
        readonly keys: readonly string[];
      }
    >
  >;
  /** ARN templates: `arn:${Partition}:lambda:${Region}:${Account}:function:${FunctionName}`. */
  readonly resources: Readonly<Record<string, string>>;
}

/** One of AWS's managed policies. */
export interface ManagedPolicyData {
  readonly path: string;
  /** ISO 8601. */
  readonly createdAt: string;
  readonly updatedAt: string;
  readonly versionId: string;
  readonly document: { readonly Version: string; readonly Statement: unknown };
}

const DATA = join(PACKAGE_FOLDER, "models", "iam-data");
let services: Readonly<Record<string, ServiceActions>> | undefined;
let managed: Readonly<Record<string, ManagedPolicyData>> | undefined;

/** By the prefix of their actions: `lambda`, `execute-api`. */
export function serviceActions(): Readonly<Record<string, ServiceActions>> {
  services ??= read("services.json") as Readonly<Record<string, ServiceActions>>;
  return services;
}

/** By name: `AWSLambdaBasicExecutionRole`. */
export function managedPolicies(): Readonly<Record<string, ManagedPolicyData>> {
  managed ??= read("managed-policies.json") as Readonly<Record<string, ManagedPolicyData>>;
  return managed;
}

function read(name: string): unknown {
  return JSON.parse(readFileSync(join(DATA, name), "utf8"));
}
