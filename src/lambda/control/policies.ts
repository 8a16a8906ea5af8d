/**
 * AddPermission, RemovePermission, GetPolicy; PutResourcePolicy, GetResourcePolicy, DeleteResourcePolicy: who else may use
 * a function, a version or an alias. Each has a policy of its own, and none inherits another's.
 *
 * A policy is kept as the text that is shown. Its RevisionId is that of what it belongs to: a changed policy is a changed
 * function, as on AWS.
 */
import type {
  AddPermissionRequest,
  AddPermissionResponse,
  DeleteResourcePolicyRequest,
  GetPolicyRequest,
  GetPolicyResponse,
  GetResourcePolicyRequest,
  PutResourcePolicyRequest,
  RemovePermissionRequest,
} from "@aws-sdk/client-lambda";
import {
  AwsError,
  invalidParameterValue,
  preconditionFailed,
  resourceConflict,
  resourceNotFound,
} from "../../errors.ts";
import { MalformedPolicy, parsePolicy } from "../../iam/policy/document.ts";
import { functionArn, partitionOf } from "../../kernel/arn.ts";
import { newUuid } from "../../kernel/ids.ts";
import { RESOURCE_POLICY_BYTES_MAX } from "../../limits.ts";
import type { OperationHandler } from "../../wire/service.ts";
import { putVersion, type FunctionStore, type Mutation } from "./function-store.ts";
import { isPublishedVersion, LATEST } from "./function-name.ts";
import { locate } from "./locate.ts";
import type { FunctionRecord } from "./records.ts";
import { withoutQualified } from "./qualified.ts";

interface Document {
  readonly Version: string;
  readonly Id?: string;
  readonly Statement: readonly { readonly Sid?: string }[];
}

/** Statement and revision of an empty policy: what there is before the first AddPermission. */
const EMPTY: Document = { Version: "2012-10-17", Id: "default", Statement: [] };
const SERVICE_PATTERN = /^[a-z0-9-]+(\.[a-z0-9-]+)*\.amazon(aws)?\.com(\.cn)?$/;

export function policyOperations(functions: FunctionStore): Record<string, OperationHandler> {
  return {
    async AddPermission(input: AddPermissionRequest, context): Promise<AddPermissionResponse> {
      const { name, qualifier } = locate(input.FunctionName, input.Qualifier, context, "AddPermission");
      if (qualifier === LATEST) {
        throw invalidParameterValue("We currently do not support adding policies for $LATEST.");
      }
      const statement = newStatement(functions, name, qualifier, input);
      await change(functions, name, qualifier, input.RevisionId, (text) => {
        const document = text === undefined ? EMPTY : parse(text);
        if (document.Statement.some(({ Sid }) => Sid === statement.Sid)) {
          throw resourceConflict(
            `The statement id (${statement.Sid}) provided already exists. Please provide a new statement id, or remove the existing statement.`,
          );
        }
        return JSON.stringify({ ...document, Statement: [...document.Statement, statement] });
      });
      return { Statement: JSON.stringify(statement) };
    },

    async RemovePermission(input: RemovePermissionRequest, context): Promise<Record<string, never>> {
      const { name, qualifier } = locate(input.FunctionName, input.Qualifier, context, "RemovePermission");
      await change(functions, name, qualifier, input.RevisionId, (text) => {
        if (text === undefined) throw resourceNotFound("No policy is associated with the given resource.");
        const document = parse(text);
        const kept = document.Statement.filter(({ Sid }) => Sid !== input.StatementId);
        if (kept.length === document.Statement.length) {
          throw resourceNotFound(`Statement ${input.StatementId} is not found in resource policy.`);
        }
        return kept.length === 0 ? undefined : JSON.stringify({ ...document, Statement: kept });
      });
      return {};
    },

    GetPolicy(input: GetPolicyRequest, context): GetPolicyResponse {
      const { name, qualifier } = locate(input.FunctionName, input.Qualifier, context, "GetPolicy");
      return show(functions, name, qualifier);
    },

    async PutResourcePolicy(input: PutResourcePolicyRequest, context): Promise<GetPolicyResponse> {
      const { name, qualifier } = locate(input.ResourceArn, undefined, context, "PutResourcePolicy");
      const text = wholeDocument(input.Policy ?? "");
      await change(functions, name, qualifier, input.RevisionId, () => text);
      return show(functions, name, qualifier);
    },

    GetResourcePolicy(input: GetResourcePolicyRequest, context): GetPolicyResponse {
      const { name, qualifier } = locate(input.ResourceArn, undefined, context, "GetResourcePolicy");
      return show(functions, name, qualifier);
    },

    async DeleteResourcePolicy(input: DeleteResourcePolicyRequest, context): Promise<Record<string, never>> {
      const { name, qualifier } = locate(input.ResourceArn, undefined, context, "DeleteResourcePolicy");
      await change(functions, name, qualifier, input.RevisionId, (text) => {
        if (text === undefined) throw resourceNotFound("The resource you requested does not exist.");
        return undefined;
      });
      return {};
    },
  };
}

/** The policy of a function (no qualifier), a version or an alias, as text. */
export function policyText(record: FunctionRecord, qualifier: string | undefined): string | undefined {
  return record.policies?.find((policy) => policy.qualifier === (qualifier ?? LATEST))?.text;
}

function show(functions: FunctionStore, name: string, qualifier: string | undefined): GetPolicyResponse {
  const record = functions.require(name, qualifier).value;
  const RevisionId = revisionOf(functions, record, qualifier);
  const Policy = policyText(record, qualifier);
  if (Policy === undefined) throw resourceNotFound("The resource you requested does not exist.");
  return { Policy, RevisionId };
}

/** Replaces the text of a policy; `decide` answers undefined when none is left. It may throw AwsError. */
async function change(
  functions: FunctionStore,
  name: string,
  qualifier: string | undefined,
  expectedRevisionId: string | undefined,
  decide: (text: string | undefined) => string | undefined,
): Promise<void> {
  await functions.change(name, (before) => {
    const revisionId = revisionOf(functions, before, qualifier);
    if (expectedRevisionId !== undefined && expectedRevisionId !== revisionId) {
      throw preconditionFailed(
        "The Revision Id provided does not match the latest Revision Id. Call the GetPolicy API to retrieve the latest Revision Id",
      );
    }
    const text = decide(policyText(before, qualifier));
    if (text !== undefined && Buffer.byteLength(text) > RESOURCE_POLICY_BYTES_MAX) {
      throw policyTooLong(Buffer.byteLength(text));
    }
    const without = withoutQualified(before, "policies", qualifier ?? LATEST);
    const record =
      text === undefined
        ? without
        : { ...without, policies: [...(without.policies ?? []), { qualifier: qualifier ?? LATEST, text }] };
    return withNewRevision(functions, record, qualifier);
  });
}

/** RevisionId of what the qualifier names. Throws ResourceNotFoundException when that is nothing. */
function revisionOf(functions: FunctionStore, record: FunctionRecord, qualifier: string | undefined): string {
  const alias = record.aliases.find((candidate) => candidate.name === qualifier);
  return alias ? alias.revisionId : functions.requireVersion(record.name, qualifier).revisionId;
}

function withNewRevision(
  functions: FunctionStore,
  record: FunctionRecord,
  qualifier: string | undefined,
): Mutation {
  if (qualifier === undefined || qualifier === LATEST) return functions.touched(record);
  if (isPublishedVersion(qualifier)) {
    const stored = functions.index.version(record.name, qualifier);
    return {
      record,
      also: stored
        ? [putVersion(record.name, { ...stored.value, revisionId: newUuid() }, stored.revision)]
        : [],
    };
  }
  const aliases = record.aliases.map((alias) =>
    alias.name === qualifier ? { ...alias, revisionId: newUuid() } : alias,
  );
  return { record: { ...record, aliases } };
}

/** As AWS renders it: conditions by operator, keys in AWS's spelling. */
function newStatement(
  { region, accountId }: FunctionStore,
  name: string,
  qualifier: string | undefined,
  input: AddPermissionRequest,
) {
  const { StatementId = "", Action = "", FunctionUrlAuthType, InvokedViaFunctionUrl } = input;
  if (FunctionUrlAuthType !== undefined && Action !== "lambda:InvokeFunctionUrl") {
    throw invalidParameterValue("FunctionUrlAuthType is only supported for lambda:InvokeFunctionUrl action");
  }
  const equals = {
    ...(input.SourceAccount !== undefined && { "AWS:SourceAccount": input.SourceAccount }),
    ...(input.EventSourceToken !== undefined && { "lambda:EventSourceToken": input.EventSourceToken }),
    ...(input.PrincipalOrgID !== undefined && { "aws:PrincipalOrgID": input.PrincipalOrgID }),
    ...(FunctionUrlAuthType !== undefined && { "lambda:FunctionUrlAuthType": FunctionUrlAuthType }),
  };
  const condition = {
    ...(Object.keys(equals).length > 0 && { StringEquals: equals }),
    ...(InvokedViaFunctionUrl !== undefined && {
      Bool: { "lambda:InvokedViaFunctionUrl": String(InvokedViaFunctionUrl) },
    }),
    ...(input.SourceArn !== undefined && { ArnLike: { "AWS:SourceArn": input.SourceArn } }),
  };
  return {
    Sid: StatementId,
    Effect: "Allow",
    Principal: principalElement(region, input.Principal ?? ""),
    Action,
    Resource: functionArn(region, accountId, name, qualifier),
    ...(Object.keys(condition).length > 0 && { Condition: condition }),
  };
}

/** Whether a user or role of that ARN exists is not asked: it may be another account's. */
function principalElement(region: string, principal: string) {
  if (principal === "*") return "*";
  if (/^\d{12}$/.test(principal)) return { AWS: `arn:${partitionOf(region)}:iam::${principal}:root` };
  if (/^arn:aws[a-z-]*:(iam|sts)::\d{12}:.+$/.test(principal)) return { AWS: principal };
  if (SERVICE_PATTERN.test(principal)) return { Service: principal };
  throw invalidParameterValue(
    "The provided principal was invalid. Please check the principal and try again.",
  );
}

/** The text as it is kept: compact, its statements always a list. */
function wholeDocument(text: string): string {
  if (Buffer.byteLength(text) > RESOURCE_POLICY_BYTES_MAX) throw policyTooLong(Buffer.byteLength(text));
  try {
    parsePolicy(text, "resource");
  } catch (error) {
    if (error instanceof MalformedPolicy) throw invalidParameterValue(error.message);
    throw error;
  }
  const document = JSON.parse(text) as Record<string, unknown>;
  const { Statement: statements } = document;
  return JSON.stringify({ ...document, Statement: Array.isArray(statements) ? statements : [statements] });
}

function parse(text: string): Document {
  return JSON.parse(text) as Document;
}

export function policyTooLong(bytes: number): AwsError {
  return new AwsError(
    "PolicyLengthExceededException",
    `The final policy size (${bytes}) is bigger than the limit (${RESOURCE_POLICY_BYTES_MAX}).`,
    { status: 400 },
  );
}
