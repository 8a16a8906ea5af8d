/** AddLayerVersionPermission, RemoveLayerVersionPermission, GetLayerVersionPolicy. */
import type {
  AddLayerVersionPermissionRequest,
  AddLayerVersionPermissionResponse,
  GetLayerVersionPolicyRequest,
  GetLayerVersionPolicyResponse,
  RemoveLayerVersionPermissionRequest,
} from "@aws-sdk/client-lambda";
import {
  invalidParameterValue,
  preconditionFailed,
  resourceConflict,
  resourceNotFound,
} from "../../errors.ts";
import { partitionOf } from "../../kernel/arn.ts";
import { newUuid } from "../../kernel/ids.ts";
import { RESOURCE_POLICY_BYTES_MAX } from "../../limits.ts";
import type { OperationHandler } from "../../wire/service.ts";
import { renderPolicy, type LayerPolicy, type LayerStatement, type LayerStore } from "./layer-store.ts";
import { layerName, versionNumber } from "./layer-versions.ts";
import { policyTooLong } from "./policies.ts";

export function layerPermissionOperations(layers: LayerStore): Record<string, OperationHandler> {
  return {
    async AddLayerVersionPermission(
      input: AddLayerVersionPermissionRequest,
    ): Promise<AddLayerVersionPermissionResponse> {
      const name = layerName(layers, input.LayerName);
      const version = versionNumber(input.VersionNumber);
      const statement = newStatement(layers, layers.versionArn(name, version), input);
      const { policy } = await layers.change(name, version, (before) => {
        checkPolicyRevision(before.policy, input.RevisionId);
        const statements = before.policy?.statements ?? [];
        if (statements.some(({ Sid }) => Sid === statement.Sid)) {
          throw resourceConflict(
            `The statement id (${statement.Sid}) provided already exists. Please provide a new statement id, or remove the existing statement.`,
          );
        }
        const after: LayerPolicy = { revisionId: newUuid(), statements: [...statements, statement] };
        const bytes = Buffer.byteLength(renderPolicy(after));
        if (bytes > RESOURCE_POLICY_BYTES_MAX) throw policyTooLong(bytes);
        return { ...before, policy: after };
      });
      return {
        Statement: JSON.stringify(statement),
        ...(policy !== undefined && { RevisionId: policy.revisionId }),
      };
    },

    async RemoveLayerVersionPermission(
      input: RemoveLayerVersionPermissionRequest,
    ): Promise<Record<string, never>> {
      const name = layerName(layers, input.LayerName);
      await layers.change(name, versionNumber(input.VersionNumber), (before) => {
        checkPolicyRevision(before.policy, input.RevisionId);
        const statements = before.policy?.statements ?? [];
        const kept = statements.filter(({ Sid }) => Sid !== input.StatementId);
        if (kept.length === statements.length) {
          throw resourceNotFound(`Statement ${input.StatementId} is not found in resource policy.`);
        }
        const { policy: _former, ...rest } = before;
        return kept.length === 0 ? rest : { ...rest, policy: { revisionId: newUuid(), statements: kept } };
      });
      return {};
    },

    async GetLayerVersionPolicy(input: GetLayerVersionPolicyRequest): Promise<GetLayerVersionPolicyResponse> {
      const name = layerName(layers, input.LayerName);
      const version = versionNumber(input.VersionNumber);
      const stored = await layers.find(name, version);
      if (!stored) {
        throw resourceNotFound(`Layer version ${layers.versionArn(name, version)} does not exist.`);
      }
      const { policy } = stored.value;
      if (!policy) throw resourceNotFound("No policy is associated with the given resource.");
      return { Policy: renderPolicy(policy), RevisionId: policy.revisionId };
    },
  };
}

function newStatement(
  { region }: LayerStore,
  versionArn: string,
  input: AddLayerVersionPermissionRequest,
): LayerStatement {
  const { StatementId: sid = "", Action: action = "", Principal: principal = "" } = input;
  const { OrganizationId: organization } = input;
  if (organization !== undefined && principal !== "*") {
    throw invalidParameterValue("OrganizationId can only be specified with a Principal of *.");
  }
  const account = /^\d{12}$/.test(principal)
    ? `arn:${partitionOf(region)}:iam::${principal}:root`
    : principal;
  return {
    Sid: sid,
    Effect: "Allow",
    Principal: account === "*" ? account : { AWS: account },
    Action: action,
    Resource: versionArn,
    ...(organization !== undefined && {
      Condition: { StringEquals: { "aws:PrincipalOrgID": organization } },
    }),
  };
}

function checkPolicyRevision(policy: LayerPolicy | undefined, expected: string | undefined): void {
  if (expected === undefined || expected === policy?.revisionId) return;
  throw preconditionFailed(
    "The Revision Id provided does not match the latest Revision Id. Call the GetLayerPolicy API to retrieve the latest Revision Id",
  );
}
