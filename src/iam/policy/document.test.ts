// Goal: what AWS takes is taken, and what it refuses is refused in its words.
// Method: one small document for each rule.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { MalformedPolicy, parsePolicy, type DocumentKind } from "./document.ts";

const ALLOW = { Effect: "Allow", Action: "s3:GetObject", Resource: "*" };
const TRUST = { Effect: "Allow", Principal: { Service: "lambda.amazonaws.com" }, Action: "sts:AssumeRole" };

function parse(statement: unknown, kind: DocumentKind = "identity", rest: object = {}) {
  return parsePolicy(JSON.stringify({ Version: "2012-10-17", ...rest, Statement: statement }), kind);
}

function refused(statement: unknown, message: string, kind?: DocumentKind, rest?: object): void {
  assert.throws(
    () => parse(statement, kind, rest),
    (error) => {
      assert.ok(error instanceof MalformedPolicy, String(error));
      assert.equal(error.message, message);
      return true;
    },
  );
}

const SYNTAX = "Syntax errors in policy.";

describe("a policy document", () => {
  it("may have one statement, many, or none, with or without ids", () => {
    assert.equal(parse(ALLOW).statements.length, 1);
    assert.deepEqual(
      parse([{ ...ALLOW, Sid: "a" }, { ...ALLOW, Sid: "" }, ALLOW]).statements.map(({ sid }) => sid),
      ["a", "", undefined],
    );
    assert.equal(parse([]).statements.length, 0);
    assert.equal(parse(ALLOW, "identity", { Id: "x" }).version, "2012-10-17");
  });

  it("is JSON with a policy's elements and no others", () => {
    assert.throws(
      () => parsePolicy("{", "identity"),
      new MalformedPolicy("This policy contains invalid Json"),
    );
    assert.throws(() => parsePolicy("[]", "identity"), new MalformedPolicy(SYNTAX));
    assert.throws(() => parsePolicy("{}", "identity"), new MalformedPolicy(SYNTAX));
    refused(ALLOW, SYNTAX, "identity", { Foo: 1 });
    refused(ALLOW, SYNTAX, "identity", { Version: "2013-10-17" });
    refused({ ...ALLOW, Extra: 1 }, SYNTAX);
    refused("x", SYNTAX);
    refused({ ...ALLOW, Effect: "Maybe" }, SYNTAX);
    refused({ ...ALLOW, Effect: undefined }, SYNTAX);
    refused({ ...ALLOW, NotAction: "s3:*" }, SYNTAX);
    refused({ ...ALLOW, NotResource: "*" }, SYNTAX);
    refused({ ...ALLOW, Action: [1] }, SYNTAX);
    refused({ ...ALLOW, Resource: "arn:aws:s3:::\uE000" }, SYNTAX);
    refused({ ...ALLOW, Effect: "allow" }, "The policy failed legacy parsing");
  });

  it("of an identity has the newer version and no principal", () => {
    const message = "Policy document must be version 2012-10-17 or greater.";
    refused(ALLOW, message, "identity", { Version: undefined });
    refused(ALLOW, message, "identity", { Version: "2008-10-17" });
    refused({ ...ALLOW, Principal: "*" }, "Policy document should not specify a principal.");
  });

  it("has ids that differ", () => {
    refused(
      [
        { ...ALLOW, Sid: "a" },
        { ...ALLOW, Sid: "a" },
      ],
      "Statement IDs (SID) in a single policy must be unique.",
    );
    refused(
      { ...ALLOW, Sid: "not allowed" },
      "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression [0-9A-Za-z]*",
    );
  });

  it("names actions with their service", () => {
    refused({ ...ALLOW, Action: undefined }, "Policy statement must contain actions.");
    refused({ ...ALLOW, Action: [] }, "Policy statement must contain actions.");
    refused(
      { ...ALLOW, Action: "GetObject" },
      "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.",
    );
    refused({ ...ALLOW, Action: "s3:a:b" }, "Actions/Condition can contain only one colon.");
    refused({ ...ALLOW, Action: "s_3:a" }, "Vendor s_3 is not valid");
  });

  it("names resources by their ARNs", () => {
    refused({ ...ALLOW, Resource: undefined }, "Policy statement must contain resources.");
    refused({ ...ALLOW, Resource: "bucket" }, `Resource bucket must be in ARN format or "*".`);
    refused(
      { ...ALLOW, Resource: "arn:moon:s3:::b" },
      `Partition "moon" is not valid for resource "arn:moon:s3:::b".`,
    );
    refused(
      { ...ALLOW, Resource: "arn:aws" },
      "Resource vendor must be fully qualified and cannot contain regexes.",
    );
    refused({ ...ALLOW, Resource: "arn:aws::::b" }, "The policy failed legacy parsing");
  });

  it("has conditions of known operators with values of their types", () => {
    const conditions: unknown[] = [
      { StringEquals: "x" },
      { Equals: { a: "b" } },
      { NullIfExists: { a: "true" } },
      { "ForSomeValues:StringLike": { a: "b" } },
      { NumericEquals: { a: "one" } },
      { DateLessThan: { a: "tomorrow" } },
      { Bool: { a: "yes" } },
      { Null: { a: "maybe" } },
      { IpAddress: { a: "10.0.0.0/33" } },
      { IpAddress: { a: "localhost" } },
      { StringEquals: { a: [null] } },
    ];
    for (const Condition of conditions) refused({ ...ALLOW, Condition }, SYNTAX);
    parse({ ...ALLOW, Condition: { Bool: { a: true }, NumericLessThan: { b: [1, "2.5"] } } });
  });

  it("of a role says who may assume it, and nothing else", () => {
    const kind = "trust";
    parse(TRUST, kind);
    parse({ ...TRUST, Action: ["sts:AssumeRole", "sts:TagSession"] }, kind, { Version: "2008-10-17" });
    refused({ ...TRUST, Resource: "*" }, "Has prohibited field Resource", kind);
    refused({ ...TRUST, Principal: undefined }, "Missing required field Principal", kind);
    refused(
      { ...TRUST, Action: "s3:GetObject" },
      "Trust Policy statement actions can only be sts:AssumeRole, sts:AssumeRoleWithSAML,  and sts:AssumeRoleWithWebIdentity",
      kind,
    );
    refused({ ...TRUST, Principal: {} }, "Missing required field Principal cannot be empty!", kind);
    refused({ ...TRUST, Principal: { AWS: "ann" } }, `Invalid principal in policy: "AWS":"ann"`, kind);
    refused(
      { ...TRUST, Principal: { Service: "lambda" } },
      `Invalid principal in policy: "Service":"lambda"`,
      kind,
    );
    refused({ ...TRUST, Principal: { Who: "ann" } }, `Invalid principal in policy: "Who"`, kind);
    refused({ ...TRUST, Principal: "ann" }, `Invalid principal in policy: "ann"`, kind);
  });

  it("of a resource needs a principal; the older version will do", () => {
    const grant = { ...ALLOW, Principal: { AWS: "*" } };
    parse(grant, "resource", { Version: undefined });
    parse({ ...grant, Resource: undefined }, "resource");
    refused(ALLOW, "Missing required field Principal", "resource");
    refused({ ...ALLOW, NotPrincipal: { AWS: "*" } }, SYNTAX, "resource");
    const [statement] = parse(
      { ...ALLOW, Effect: "Deny", NotPrincipal: { AWS: "111111111111" } },
      "resource",
    ).statements;
    const caller = { type: "AWS", name: "arn:aws:iam::222222222222:user/a", roleArn: undefined } as const;
    assert.equal(statement?.principals?.match({ ...caller, accountId: "222222222222" }), "everybody");
    assert.equal(statement?.principals?.match({ ...caller, accountId: "111111111111" }), undefined);
  });
});
