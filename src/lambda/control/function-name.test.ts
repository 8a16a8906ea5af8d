// Goal: every form that Lambda takes for a function's name means what it means on AWS. Method: a property over all forms
// built from random parts, and the errors by example.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  assert as checkProperty,
  constant,
  constantFrom,
  oneof,
  property,
  string,
  stringMatching,
} from "fast-check";
import { awsError } from "./fixture.ts";
import { agreeOnQualifier, isAliasName, isVersionNumber, parseFunctionReference } from "./function-name.ts";

const HERE = {
  region: "us-east-1",
  accountId: "000000000000",
  action: "GetFunction",
  principalArn: "arn:aws:iam::1:root",
};

// What reads as an account, a Region or `function` in front of a qualifier is taken for that, on AWS as well.
const name = stringMatching(/^[a-zA-Z0-9-_]{1,64}$/).filter(
  (text) => !/^(\d{12}|function|[a-z]{2}(-gov|-iso[a-z]?)?-[a-z]+-\d)$/.test(text),
);
const qualifier = oneof(constant(undefined), constant("$LATEST"), stringMatching(/^[a-zA-Z0-9-_]{1,128}$/));
const accountId = stringMatching(/^[0-9]{12}$/);
const region = constantFrom("us-east-1", "eu-central-1", "us-gov-west-1", "us-iso-east-1", "ap-southeast-4");

test("reads names, partial ARNs and ARNs, with and without qualifiers", () => {
  checkProperty(
    property(name, qualifier, accountId, region, (name, qualifier, accountId, region) => {
      const tail = qualifier === undefined ? name : `${name}:${qualifier}`;
      const none = { accountId: undefined, region: undefined };
      assert.deepEqual(parseFunctionReference(tail), { name, qualifier, ...none });
      assert.deepEqual(parseFunctionReference(`function:${tail}`), { name, qualifier, ...none });
      const partial = { name, qualifier, accountId, region: undefined };
      assert.deepEqual(parseFunctionReference(`${accountId}:function:${tail}`), partial);
      const full = `arn:aws:lambda:${region}:${accountId}:function:${tail}`;
      if (full.length <= 256) {
        assert.deepEqual(parseFunctionReference(full), { name, qualifier, accountId, region });
      }
    }),
  );
});

test("whatever is read is well formed, and whatever is not is refused with a ValidationException", () => {
  checkProperty(
    property(string({ maxLength: 300 }), (text) => {
      try {
        assert.match(parseFunctionReference(text).name, /^[a-zA-Z0-9-_.]+$/);
      } catch (error) {
        assert.ok(awsError("ValidationException", /^1 validation error detected: Value '/)(error));
      }
    }),
  );
});

test("refuses what is no name, in AWS's words", () => {
  for (const text of ["", "a b", "x:", "x:y:z", "arn:aws:s3:::x", "x:$OTHER", "x:$LATEST:1", "x\n"]) {
    assert.throws(
      () => parseFunctionReference(text),
      awsError(
        "ValidationException",
        /' at 'functionName' failed to satisfy constraint: Member must satisfy regular expression pattern: \(arn:/,
      ),
      text,
    );
  }
  assert.throws(
    () => parseFunctionReference("x".repeat(257)),
    awsError("ValidationException", /Member must have length less than or equal to 256$/),
  );
});

test("the two places that can name a qualifier must agree", () => {
  const reference = parseFunctionReference("x:1");
  assert.equal(agreeOnQualifier(reference, undefined, HERE), "1");
  assert.equal(agreeOnQualifier(reference, "1", HERE), "1");
  assert.equal(agreeOnQualifier(parseFunctionReference("x"), "live", HERE), "live");
  assert.throws(
    () => agreeOnQualifier(reference, "2", HERE),
    awsError(
      "InvalidParameterValueException",
      "The derived qualifier from the function name does not match the specified qualifier.",
    ),
  );
});

test("functions of other Regions and accounts are refused", () => {
  assert.throws(
    () =>
      agreeOnQualifier(
        parseFunctionReference("arn:aws:lambda:eu-west-1:000000000000:function:x"),
        undefined,
        HERE,
      ),
    awsError(
      "ResourceNotFoundException",
      "Functions from 'eu-west-1' are not reachable in this region ('us-east-1')",
      404,
    ),
  );
  assert.throws(
    () => agreeOnQualifier(parseFunctionReference("111111111111:function:x"), undefined, HERE),
    awsError(
      "AccessDeniedException",
      "User: arn:aws:iam::1:root is not authorized to perform: lambda:GetFunction on resource: arn:aws:lambda:us-east-1:111111111111:function:x because no resource-based policy allows the lambda:GetFunction action",
      403,
    ),
  );
});

test("tells version numbers from aliases", () => {
  assert.equal(isVersionNumber("12"), true);
  assert.equal(isVersionNumber("1a"), false);
  assert.equal(isAliasName("12"), false);
  assert.equal(isAliasName("live-1"), true);
  assert.equal(isAliasName("$LATEST"), false);
});
