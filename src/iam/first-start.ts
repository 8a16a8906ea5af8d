/** What a new account has: a role for functions, so that the first one can be created without knowing IAM. */
import { newIamId } from "../kernel/ids.ts";
import { RevisionConflict, type Store } from "../store/store.ts";
import type { Directory } from "./directory/directory.ts";
import type { RoleRecord } from "./directory/records.ts";

export const DEFAULT_ROLE_NAME = "lambda";
const MARK = { kind: "iam/secret", key: "default-role" } as const;
const SESSION_S_DEFAULT = 3600;

/** Makes the role `lambda` once in an account's life: who deletes it does not find it again. */
export async function createDefaultRole(store: Store, directory: Directory): Promise<void> {
  const role: RoleRecord = {
    roleName: DEFAULT_ROLE_NAME,
    roleId: newIamId("AROA"),
    path: "/",
    description: "Allows Lambda functions to write their logs.",
    createdAtMs: directory.clock.nowMs(),
    trust: trustPolicy("lambda.amazonaws.com"),
    maxSessionS: SESSION_S_DEFAULT,
    tags: {},
    inline: {},
    attached: ["arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"],
  };
  try {
    const mark = { op: "put", ...MARK, value: { roleId: role.roleId }, expect: "absent" } as const;
    const adding = directory.roles.adding(role);
    const revision = await store.write([mark, adding]);
    directory.roles.apply(adding, revision);
  } catch (error) {
    // Made before, by this node or another.
    if (!(error instanceof RevisionConflict)) throw error;
  }
}

/** The trust policy of a role that a service may assume. */
export function trustPolicy(service: string): string {
  return JSON.stringify({
    Version: "2012-10-17",
    Statement: [{ Effect: "Allow", Principal: { Service: service }, Action: "sts:AssumeRole" }],
  });
}
