/** Identity and Access Management: the service over the account's directory. docs/iam.md tells what is there. */
import type { Service } from "../../wire/service.ts";
import { accountOperations } from "./account.ts";
import { attachmentOperations } from "./attachments.ts";
import { boundaryOperations } from "./boundaries.ts";
import type { IamContext } from "./context.ts";
import { instanceProfileOperations } from "./instance-profiles.ts";
import { oidcProviderOperations } from "./oidc-providers.ts";
import { policyOperations } from "./policies.ts";
import { roleOperations } from "./roles.ts";
import { simulationOperations } from "./simulate.ts";
import { tagOperations } from "./tags.ts";
import { accessKeyOperations, groupOperations, userOperations } from "./users.ts";

export function createIam(iam: IamContext): Service {
  return {
    model: "iam",
    operations: {
      ...userOperations(iam),
      ...groupOperations(iam),
      ...accessKeyOperations(iam),
      ...roleOperations(iam),
      ...policyOperations(iam),
      ...attachmentOperations(iam),
      ...boundaryOperations(iam),
      ...tagOperations(iam),
      ...instanceProfileOperations(iam),
      ...oidcProviderOperations(iam),
      ...accountOperations(iam),
      ...simulationOperations(iam),
    },
  };
}
