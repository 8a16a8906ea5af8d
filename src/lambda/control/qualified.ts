/**
 * What a function's versions and aliases have of their own lies in the function's record, in lists by qualifier. Whoever
 * deletes a version or an alias forgets all of it here; a new list belongs into QUALIFIED.
 */
import type { FunctionRecord } from "./records.ts";

const QUALIFIED = ["eventInvoke", "policies", "runtimeManagement", "provisioned", "scaling", "urls"] as const;

export type QualifiedMember = (typeof QUALIFIED)[number];

/** The record without what `member` has for the qualifier; a list that is empty then goes. */
export function withoutQualified(
  record: FunctionRecord,
  member: QualifiedMember,
  qualifier: string,
): FunctionRecord {
  const { [member]: list, ...rest } = record;
  const others = list?.filter((entry) => entry.qualifier !== qualifier) ?? [];
  return others.length === 0 ? rest : { ...rest, [member]: others };
}

/** The record without anything of the qualifier's own. */
export function forgetQualifier(record: FunctionRecord, qualifier: string): FunctionRecord {
  return QUALIFIED.reduce((rest, member) => withoutQualified(rest, member, qualifier), record);
}
