/** AWS's managed policies as records: they exist in every account and nobody can change them. */
import { createHash } from "node:crypto";
import { managedPolicies } from "../data.ts";
import type { PolicyRecord } from "./records.ts";

const PREFIX = "arn:aws:iam::aws:policy";
let byArn: ReadonlyMap<string, PolicyRecord> | undefined;

function all(): ReadonlyMap<string, PolicyRecord> {
  if (byArn) return byArn;
  const records = new Map<string, PolicyRecord>();
  for (const [policyName, { path, createdAt, updatedAt, versionId, document }] of Object.entries(
    managedPolicies(),
  )) {
    const updatedAtMs = Date.parse(updatedAt);
    const version = { versionId, document: JSON.stringify(document, undefined, 4), createdAtMs: updatedAtMs };
    records.set(`${PREFIX}${path}${policyName}`, {
      policyName,
      policyId: `ANPA${createHash("sha256").update(policyName).digest("hex").slice(0, 17).toUpperCase()}`,
      path,
      createdAtMs: Date.parse(createdAt),
      updatedAtMs,
      versions: [version],
      defaultVersionId: versionId,
      nextVersion: Number(versionId.slice(1)) + 1,
      tags: {},
    });
  }
  byArn = records;
  return records;
}

export function awsManagedPolicy(arn: string): PolicyRecord | undefined {
  return arn.startsWith(PREFIX) ? all().get(arn) : undefined;
}

export function awsManagedPolicies(): { arn: string; record: PolicyRecord }[] {
  return [...all()].map(([arn, record]) => ({ arn, record }));
}
