// Goal: the compiled evaluator decides as the policy language is documented, for whatever policies come together.
// Method: random policies and requests of a small world, so that they meet; decisions compared with those of a slow evaluator
// that was written separately (reference-fixture.ts).
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  array,
  assert as checkProperty,
  constantFrom,
  option,
  property,
  record,
  type Arbitrary,
  uniqueArray,
  dictionary,
} from "fast-check";
import { parsePolicy, type DocumentKind } from "./document.ts";
import { evaluate, type NamedPolicy } from "./evaluate.ts";
import {
  referenceDecision,
  type RawPolicy,
  type RawRequest,
  type RawStatement,
} from "./reference-fixture.ts";

const HERE = "111111111111";
const THERE = "222222222222";
const ROLE = `arn:aws:iam::${HERE}:role/worker`;
const SESSION = `arn:aws:sts::${HERE}:assumed-role/worker/ann`;
const USER = `arn:aws:iam::${HERE}:user/ann`;

const actions = constantFrom("lambda:InvokeFunction", "lambda:GetFunction", "s3:GetObject", "s3:PutObject");
const actionPatterns = constantFrom(
  "*",
  "lambda:*",
  "LAMBDA:invoke*",
  "s3:GetObject",
  "s3:?etObject",
  "*:Get*",
  "lambda:GetFunction",
);
const resources = constantFrom(
  `arn:aws:lambda:us-east-1:${HERE}:function:f`,
  `arn:aws:lambda:us-east-1:${HERE}:function:f:live`,
  `arn:aws:lambda:eu-west-1:${THERE}:function:ann`,
  "arn:aws:s3:::ann/a:b/c*",
  "*",
);
const resourcePatterns = constantFrom(
  "*",
  "arn:aws:lambda:*",
  "arn:aws:lambda:*:function:f",
  `arn:aws:lambda:us-east-1:${HERE}:function:f`,
  `arn:aws:lambda:*:${HERE}:function:f*`,
  "arn:aws:lambda:*:*:function:${aws:username}",
  "arn:aws:s3:::${aws:username}/*",
  "arn:aws:s3:::${aws:missing, 'ann'}/a:b/c${*}",
  "arn:aws:*:*:*:f*n:?",
);
const operators = constantFrom(
  "StringEquals",
  "StringNotEquals",
  "StringLike",
  "StringNotLike",
  "StringEqualsIfExists",
  "StringNotLikeIfExists",
  "ForAnyValue:StringEquals",
  "ForAllValues:StringLike",
  "ForAllValues:StringNotEquals",
  "ForAnyValue:StringNotLike",
  "ForAnyValue:StringLikeIfExists",
  "NumericEquals",
  "NumericLessThan",
  "NumericNotEqualsIfExists",
  "ArnLike",
  "ArnNotLike",
);
const keys = constantFrom("aws:username", "AWS:PrincipalArn", "aws:TagKeys", "s3:max-keys", "aws:missing");
const texts = constantFrom(
  "ann",
  "a*",
  "${aws:username}",
  "${aws:missing}",
  "${aws:missing, 'b'}",
  "a?n",
  "b",
  "?",
  "${?}",
  USER,
);
const numbers = constantFrom("1", "2", "10", "2.5");
const few = <T>(one: Arbitrary<T>) => array(one, { minLength: 1, maxLength: 3 });

const conditions = option(
  uniqueArray(operators, { minLength: 1, maxLength: 2 }).chain((names) =>
    record(
      Object.fromEntries(
        names.map((name) => {
          const values = name.startsWith("Numeric") ? numbers : texts;
          return [name, dictionary(keys, few(values), { minKeys: 1, maxKeys: 2 })];
        }),
      ),
    ),
  ),
  { nil: undefined, freq: 2 },
);
const nulls = option(
  record({ Null: dictionary(keys, constantFrom("true", "false"), { minKeys: 1, maxKeys: 1 }) }),
  {
    nil: undefined,
    freq: 1,
  },
);
const principals = constantFrom<unknown>(
  "*",
  { AWS: "*" },
  { AWS: HERE },
  { AWS: [`arn:aws:iam::${HERE}:root`] },
  { AWS: ROLE },
  { AWS: [SESSION, THERE] },
  { AWS: USER },
  { AWS: `arn:aws:iam::${THERE}:user/eve` },
);

function statements(kind: DocumentKind): Arbitrary<RawStatement> {
  return record({
    Effect: constantFrom("Allow", "Allow", "Allow", "Deny"),
    not: constantFrom("", "", "", "Action", "Resource", "Principal"),
    action: few(actionPatterns),
    resource: few(resourcePatterns),
    principal: principals,
    condition: conditions,
    nil: nulls,
  }).map(({ Effect, not, action, resource, principal, condition, nil }) => {
    const block = { ...condition, ...nil };
    return {
      Effect,
      [not === "Action" ? "NotAction" : "Action"]: action,
      [not === "Resource" ? "NotResource" : "Resource"]: resource,
      ...(kind === "resource" && {
        [not === "Principal" && Effect === "Deny" ? "NotPrincipal" : "Principal"]: principal,
      }),
      ...(Object.keys(block).length > 0 && { Condition: block }),
    };
  });
}

const policies = (kind: DocumentKind): Arbitrary<RawPolicy> =>
  record({ Version: constantFrom("2012-10-17"), Statement: array(statements(kind), { maxLength: 3 }) });
const sometimes = <T>(one: Arbitrary<T>) => option(one, { nil: undefined, freq: 1 });

const requests = record({
  who: constantFrom("user", "session"),
  action: actions,
  resource: resources,
  resourceAccountId: constantFrom(HERE, HERE, THERE),
  tagKeys: sometimes(array(constantFrom("ann", "b", "?"), { maxLength: 2 })),
  maxKeys: sometimes(numbers),
  identity: array(policies("identity"), { maxLength: 2 }),
  boundary: sometimes(policies("identity")),
  session: sometimes(array(policies("identity"), { maxLength: 2 })),
  resourcePolicy: sometimes(policies("resource")),
}).map(({ who, tagKeys, maxKeys, boundary, session, resourcePolicy, ...rest }): RawRequest => {
  const arn = who === "user" ? USER : SESSION;
  return {
    ...rest,
    arn,
    accountId: HERE,
    ...(who === "session" && { roleArn: ROLE }),
    ...(boundary && { boundary }),
    ...(session && { session }),
    ...(resourcePolicy && { resourcePolicy }),
    context: {
      ...(who === "user" && { "aws:username": ["ann"] }),
      "aws:principalarn": [who === "user" ? USER : ROLE],
      ...(tagKeys && { "aws:tagkeys": tagKeys }),
      ...(maxKeys !== undefined && { "s3:max-keys": [maxKeys] }),
    },
  };
});

function decide(request: RawRequest): boolean {
  const named = (policy: RawPolicy, kind: DocumentKind): NamedPolicy => ({
    name: "policy",
    document: parsePolicy(JSON.stringify(policy), kind),
  });
  const { arn, roleArn, accountId, boundary, session, resourcePolicy, context, ...rest } = request;
  return evaluate(
    {
      ...rest,
      caller: { type: "AWS", name: arn, accountId, roleArn },
      context: { get: (key) => context[key] },
    },
    {
      identity: request.identity.map((policy) => named(policy, "identity")),
      ...(boundary && { boundary: named(boundary, "identity") }),
      ...(session && { session: session.map((policy) => named(policy, "identity")) }),
      ...(resourcePolicy && { resource: named(resourcePolicy, "resource") }),
    },
  ).allowed;
}

describe("the evaluator", () => {
  it("decides as the reference does", () => {
    const seen = { true: 0, false: 0 };
    checkProperty(
      property(requests, (request) => {
        const wanted = referenceDecision(request);
        seen[`${wanted}`] += 1;
        assert.equal(decide(request), wanted);
      }),
      { numRuns: 3000 },
    );
    // A world in which nothing is ever allowed would prove little.
    assert.ok(seen.true > 200 && seen.false > 200, JSON.stringify(seen));
  });
});
