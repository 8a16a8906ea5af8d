// Goal: the fine rules of evaluation, and the words in which decisions are told.
// Method: the documented cases one by one: what a resource's policy grants to whom, what limits it, across accounts too.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parsePolicy } from "./document.ts";
import { evaluate, type AccessRequest, type ApplicablePolicies, type NamedPolicy } from "./evaluate.ts";
import { accessDeniedMessage, explanation } from "./explain.ts";
import type { Caller } from "./principal-element.ts";

const HERE = "111111111111";
const THERE = "222222222222";
const ROLE = `arn:aws:iam::${HERE}:role/worker`;
const SESSION = `arn:aws:sts::${HERE}:assumed-role/worker/ann`;
const USER = `arn:aws:iam::${HERE}:user/ann`;
const ACTION = "s3:GetObject";
const RESOURCE = "arn:aws:s3:::b/k";

const user: Caller = { type: "AWS", name: USER, accountId: HERE, roleArn: undefined };
const session: Caller = { type: "AWS", name: SESSION, accountId: HERE, roleArn: ROLE };
const service: Caller = {
  type: "Service",
  name: "sns.amazonaws.com",
  accountId: undefined,
  roleArn: undefined,
};
const anonymous: Caller = { type: "Anonymous", name: "*", accountId: undefined, roleArn: undefined };

function policy(name: string, statement: object, kind: "identity" | "resource" = "identity"): NamedPolicy {
  const source = JSON.stringify({ Version: "2012-10-17", Statement: statement });
  return { name, document: parsePolicy(source, kind) };
}
const ALLOWING = policy("allowing", { Effect: "Allow", Action: "s3:*", Resource: "*" });
const DENYING = policy("denying", [{ Sid: "No", Effect: "Deny", Action: ACTION, Resource: "*" }]);
const SILENT = policy("silent", { Effect: "Allow", Action: "sqs:*", Resource: "*" });
const grantTo = (principal: unknown, extra: object = {}) =>
  policy(
    "granting",
    { Effect: "Allow", Principal: principal, Action: ACTION, Resource: "*", ...extra },
    "resource",
  );

function decide(
  caller: Caller,
  policies: Partial<ApplicablePolicies>,
  overrides: Partial<AccessRequest> = {},
) {
  const request = {
    caller,
    action: ACTION,
    resource: RESOURCE,
    resourceAccountId: HERE,
    context: { get: () => undefined },
  };
  return evaluate({ ...request, ...overrides }, { identity: [], ...policies });
}
const message = (caller: Caller, policies: Partial<ApplicablePolicies>, overrides?: Partial<AccessRequest>) =>
  accessDeniedMessage(caller.name, ACTION, RESOURCE, decide(caller, policies, overrides));
const HEAD = `is not authorized to perform: ${ACTION} on resource: ${RESOURCE}`;

describe("an evaluation", () => {
  it("denies what nobody allows, and says which kind of policy is missing", () => {
    assert.equal(
      message(user, {}),
      `User: ${USER} ${HEAD} because no identity-based policy allows the ${ACTION} action`,
    );
    assert.equal(
      message(user, { identity: [ALLOWING], boundary: SILENT }),
      `User: ${USER} ${HEAD} because no permissions boundary allows the ${ACTION} action`,
    );
    assert.equal(
      message(session, { identity: [ALLOWING], session: [SILENT] }),
      `User: ${SESSION} ${HEAD} because no session policy allows the ${ACTION} action`,
    );
    assert.equal(
      message(user, { identity: [ALLOWING] }, { resourceAccountId: THERE }),
      `User: ${USER} ${HEAD} because no resource-based policy allows the ${ACTION} action`,
    );
  });

  it("denies what one policy of any kind denies, whatever others allow", () => {
    const denied = policy("r", { Effect: "Deny", Principal: "*", Action: "*", Resource: "*" }, "resource");
    const cases: [Partial<ApplicablePolicies>, string][] = [
      [{ identity: [ALLOWING, DENYING] }, "an identity-based policy"],
      [{ identity: [ALLOWING], boundary: DENYING }, "a permissions boundary"],
      [{ identity: [ALLOWING], session: [DENYING] }, "a session policy"],
      [{ identity: "all", resource: denied }, "a resource-based policy"],
    ];
    for (const [policies, words] of cases)
      assert.equal(message(session, policies), `User: ${SESSION} ${HEAD} with an explicit deny in ${words}`);
  });

  it("lets the root do everything in its account that no policy denies", () => {
    const root: Caller = {
      type: "AWS",
      name: `arn:aws:iam::${HERE}:root`,
      accountId: HERE,
      roleArn: undefined,
    };
    assert.equal(decide(root, { identity: "all" }).allowed, true);
    assert.equal(decide(root, { identity: "all" }, { resourceAccountId: THERE }).allowed, false);
    assert.deepEqual(explanation(decide(root, { identity: "all" }), ACTION), [
      "allowed: the account's root needs no policy",
    ]);
  });

  it("takes a resource's grant to a user, a session or everybody as enough, beyond boundary and session policies", () => {
    const limits = { boundary: SILENT, session: [SILENT] };
    for (const principal of [{ AWS: USER }, "*", { AWS: "*" }])
      assert.equal(decide(user, { ...limits, resource: grantTo(principal) }).allowed, true);
    for (const principal of [{ AWS: SESSION }, "*"])
      assert.equal(decide(session, { ...limits, resource: grantTo(principal) }).allowed, true);
  });

  it("holds a grant to a role within its boundary and session policies", () => {
    const resource = grantTo({ AWS: ROLE });
    assert.equal(decide(session, { resource }).allowed, true);
    assert.equal(decide(session, { resource, boundary: SILENT }).missing, "boundary");
    assert.equal(decide(session, { resource, session: [SILENT] }).missing, "session");
    assert.equal(decide(session, { resource, session: [ALLOWING], boundary: ALLOWING }).allowed, true);
  });

  it("takes a grant to the account as leave to decide, not as a decision", () => {
    const resource = grantTo({ AWS: HERE });
    assert.equal(decide(user, { resource }).missing, "identity");
    assert.equal(decide(user, { resource, identity: [ALLOWING] }).allowed, true);
  });

  it("wants both sides across accounts", () => {
    const overrides = { resourceAccountId: THERE };
    assert.equal(decide(user, { resource: grantTo({ AWS: USER }) }, overrides).missing, "identity");
    assert.equal(decide(session, { resource: grantTo({ AWS: ROLE }) }, overrides).missing, "identity");
    assert.equal(
      decide(user, { identity: [ALLOWING], resource: grantTo({ AWS: HERE }) }, overrides).allowed,
      true,
    );
    assert.equal(
      decide(user, { identity: [ALLOWING], resource: grantTo({ AWS: THERE }) }, overrides).missing,
      "resource",
    );
  });

  it("wants a role's trust also within the account", () => {
    const trusting = { resourceMustAllow: true, identity: [ALLOWING] };
    assert.equal(decide(user, trusting).missing, "resource");
    assert.equal(decide(user, { ...trusting, resource: grantTo({ AWS: HERE }) }).allowed, true);
    assert.equal(
      decide(user, { ...trusting, identity: [], resource: grantTo({ AWS: HERE }) }).missing,
      "identity",
    );
    assert.equal(decide(user, { ...trusting, identity: [], resource: grantTo({ AWS: USER }) }).allowed, true);
  });

  it("lets services and strangers do what a resource's policy says of them, and nothing else", () => {
    const toService = grantTo(
      { Service: "sns.amazonaws.com" },
      { Condition: { ArnLike: { "aws:SourceArn": `arn:aws:sns:*:${HERE}:t` } } },
    );
    const context = {
      get: (key: string) => (key === "aws:sourcearn" ? [`arn:aws:sns:us-east-1:${HERE}:t`] : undefined),
    };
    assert.equal(decide(service, { resource: toService }, { context }).allowed, true);
    assert.equal(decide(service, { resource: toService }).allowed, false);
    assert.equal(
      decide({ ...service, name: "sqs.amazonaws.com" }, { resource: toService }, { context }).allowed,
      false,
    );
    assert.equal(decide(anonymous, { resource: toService }, { context }).allowed, false);
    assert.equal(decide(anonymous, { resource: grantTo("*") }).allowed, true);
    assert.equal(decide(anonymous, { resource: grantTo({ AWS: HERE }) }).allowed, false);
    assert.equal(decide(service, {}).missing, "resource");
  });

  it("spares whom NotPrincipal names", () => {
    const resource = policy(
      "all but one",
      { Effect: "Deny", NotPrincipal: { AWS: [ROLE, SESSION] }, Action: "*", Resource: "*" },
      "resource",
    );
    assert.equal(decide(session, { identity: [ALLOWING], resource }).allowed, true);
    assert.equal(decide(user, { identity: [ALLOWING], resource }).deniedBy?.policy, "all but one");
  });

  it("compares actions without regard to case, and resources with it", () => {
    const lower = policy("p", { Effect: "Allow", Action: "S3:getobject", Resource: "arn:aws:s3:::b/*" });
    assert.equal(decide(user, { identity: [lower] }).allowed, true);
    assert.equal(decide(user, { identity: [lower] }, { resource: "arn:aws:s3:::B/k" }).allowed, false);
  });

  it("tells which statement decided", () => {
    assert.deepEqual(explanation(decide(user, { identity: [DENYING] }), ACTION), [
      'denied by statement "No" of denying (identity-based policy)',
    ]);
    assert.deepEqual(explanation(decide(user, { identity: [ALLOWING], boundary: SILENT }), ACTION), [
      "allowed by statement 1 of allowing (identity-based policy)",
      `denied: no permissions boundary allows ${ACTION}`,
    ]);
  });
});
