/** Policies on users, groups and roles: inline ones, and managed ones that are attached. The same for all three. */
import type { Change } from "../../store/store.ts";
import type { Collection } from "../../iam/directory/collection.ts";
import type { Policies } from "../../iam/directory/records.ts";
import type { OperationHandler } from "../../wire/service.ts";
import {
  ATTACHED_POLICIES_MAX,
  encoded,
  findGroup,
  findRole,
  findUser,
  pageOf,
  policyChars,
  type IamContext,
} from "./context.ts";
import { checkDocument, limitExceeded, noSuchEntity } from "./errors.ts";

interface Holder {
  readonly kind: "User" | "Group" | "Role";
  /** Of all inline policies together, white space aside [IAM quotas]. */
  readonly inlineCharsMax: number;
  find(name: string): Policies;
  /** The change that gives the holder other policies. */
  change(name: string, policies: Partial<Policies>): Change;
}

interface Input {
  readonly PolicyName?: string;
  readonly PolicyArn?: string;
  readonly PolicyDocument?: string;
  readonly PathPrefix?: string;
  readonly Marker?: string;
  readonly MaxItems?: number;
}

export function attachmentOperations(iam: IamContext): Record<string, OperationHandler> {
  const { users, groups, roles } = iam.directory;
  const changer =
    <T extends Policies>(collection: Collection<T>, find: (name: string) => T) =>
    (name: string, policies: Partial<Policies>) =>
      collection.replacing({ ...find(name), ...policies });
  const user = (name: string) => findUser(iam, name);
  const group = (name: string) => findGroup(iam, name);
  const role = (name: string) => findRole(iam, name);
  return {
    ...operationsOf(iam, { kind: "User", inlineCharsMax: 2048, find: user, change: changer(users, user) }),
    ...operationsOf(iam, {
      kind: "Group",
      inlineCharsMax: 5120,
      find: group,
      change: changer(groups, group),
    }),
    ...operationsOf(iam, { kind: "Role", inlineCharsMax: 10_240, find: role, change: changer(roles, role) }),
  };
}

function operationsOf(iam: IamContext, holder: Holder): Record<string, OperationHandler> {
  const { kind } = holder;
  const nameKey = `${kind}Name`;
  const nameOf = (input: Input) => String((input as Record<string, unknown>)[nameKey]);
  return { ...inlineOperations(iam, holder, nameOf), ...managedOperations(iam, holder, nameOf) };
}

function inlineOperations(
  iam: IamContext,
  holder: Holder,
  nameOf: (input: Input) => string,
): Record<string, OperationHandler> {
  const { directory, access } = iam;
  const { kind } = holder;
  const missing = (policy: string) =>
    noSuchEntity(`The ${kind.toLowerCase()} policy with name ${policy} cannot be found.`);
  return {
    [`Put${kind}Policy`]: (input: Input) =>
      directory.write(() => {
        const { PolicyName: policyName = "", PolicyDocument: document = "" } = input;
        const name = nameOf(input);
        const { inline } = holder.find(name);
        checkDocument(access.permissions, document, "identity");
        const changed = { ...inline, [policyName]: document };
        const chars = Object.values(changed).reduce((sum, text) => sum + policyChars(text), 0);
        if (chars > holder.inlineCharsMax)
          throw limitExceeded(
            `Maximum policy size of ${holder.inlineCharsMax} bytes exceeded for ${kind.toLowerCase()} ${name}`,
          );
        return { changes: [holder.change(name, { inline: changed })], result: {} };
      }),
    [`Get${kind}Policy`]: (input: Input) => {
      const { PolicyName: policyName = "" } = input;
      const name = nameOf(input);
      const { inline } = holder.find(name);
      const document = Object.hasOwn(inline, policyName) ? inline[policyName] : undefined;
      if (document === undefined) throw missing(policyName);
      return { [`${kind}Name`]: name, PolicyName: policyName, PolicyDocument: encoded(document) };
    },
    [`Delete${kind}Policy`]: (input: Input) =>
      directory.write(() => {
        const { PolicyName: policyName = "" } = input;
        const { inline } = holder.find(nameOf(input));
        if (!Object.hasOwn(inline, policyName)) throw missing(policyName);
        const { [policyName]: _gone, ...rest } = inline;
        return { changes: [holder.change(nameOf(input), { inline: rest })], result: {} };
      }),
    [`List${kind}Policies`]: (input: Input) => {
      const names = Object.keys(holder.find(nameOf(input)).inline);
      const { items, ...page } = pageOf(names, (name) => name, input);
      return { PolicyNames: items, ...page };
    },
  };
}

function managedOperations(
  { directory }: IamContext,
  holder: Holder,
  nameOf: (input: Input) => string,
): Record<string, OperationHandler> {
  const { kind } = holder;
  return {
    [`Attach${kind}Policy`]: (input: Input) =>
      directory.write(() => {
        const { PolicyArn: arn = "" } = input;
        const { attached } = holder.find(nameOf(input));
        if (!directory.managedPolicy(arn))
          throw noSuchEntity(`Policy ${arn} does not exist or is not attachable.`);
        if (attached.includes(arn)) return { changes: [], result: {} };
        if (attached.length >= ATTACHED_POLICIES_MAX)
          throw limitExceeded(`Cannot exceed quota for PoliciesPer${kind}: ${ATTACHED_POLICIES_MAX}`);
        return { changes: [holder.change(nameOf(input), { attached: [...attached, arn] })], result: {} };
      }),
    [`Detach${kind}Policy`]: (input: Input) =>
      directory.write(() => {
        const { PolicyArn: arn = "" } = input;
        const { attached } = holder.find(nameOf(input));
        if (!attached.includes(arn)) throw noSuchEntity(`Policy ${arn} was not found.`);
        const rest = attached.filter((other) => other !== arn);
        return { changes: [holder.change(nameOf(input), { attached: rest })], result: {} };
      }),
    [`ListAttached${kind}Policies`]: (input: Input) => {
      const policies = holder.find(nameOf(input)).attached.map((PolicyArn) => {
        const record = directory.managedPolicy(PolicyArn)?.record;
        return { PolicyArn, PolicyName: record?.policyName ?? "", path: record?.path ?? "/" };
      });
      const under = policies.filter(({ path }) => path.startsWith(input.PathPrefix ?? "/"));
      const { items, ...page } = pageOf(under, ({ PolicyArn }) => PolicyArn, input);
      const AttachedPolicies = items.map(({ PolicyName, PolicyArn }) => ({ PolicyName, PolicyArn }));
      return { AttachedPolicies, ...page };
    },
  };
}
