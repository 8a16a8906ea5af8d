// Goal: ARNs are taken apart and put together without loss. Method: examples of every form, and a property over random parts.
import assert from "node:assert/strict";
import { test } from "node:test";
import { assert as checkProperty, property, stringMatching } from "fast-check";
import { formatArn, functionArn, parseArn, partitionOf } from "./arn.ts";

test("takes an ARN apart, colons of the resource included", () => {
  assert.deepEqual(parseArn("arn:aws:lambda:us-east-1:000000000000:function:x:live"), {
    partition: "aws",
    service: "lambda",
    region: "us-east-1",
    accountId: "000000000000",
    resource: "function:x:live",
  });
  assert.equal(parseArn("arn:aws:iam::000000000000:role/path/name")?.resource, "role/path/name");
  assert.equal(parseArn("arn:aws:s3:::bucket/key")?.accountId, "");
});

test("refuses what is not an ARN", () => {
  for (const text of [
    "",
    "arn",
    "arn:",
    "arn:aws:lambda",
    "arn:aws:lambda:::",
    "xarn:aws:s3:::b",
    "arn::s3:::b",
  ]) {
    assert.equal(parseArn(text), undefined, text);
  }
});

test("formatting is the inverse of parsing", () => {
  const part = stringMatching(/^[a-z0-9-]{1,12}$/);
  const optional = stringMatching(/^[a-z0-9-]{0,12}$/);
  checkProperty(
    property(part, part, optional, optional, stringMatching(/^[a-z0-9:/$-]{1,30}$/), (...parts) => {
      const [partition, service, region, accountId, resource] = parts;
      const arn = { partition, service, region, accountId, resource };
      assert.deepEqual(parseArn(formatArn(arn)), arn);
    }),
  );
});

test("names functions in the partition of their Region", () => {
  assert.equal(
    functionArn("eu-west-1", "123456789012", "f"),
    "arn:aws:lambda:eu-west-1:123456789012:function:f",
  );
  assert.equal(
    functionArn("cn-north-1", "123456789012", "f", "$LATEST"),
    "arn:aws-cn:lambda:cn-north-1:123456789012:function:f:$LATEST",
  );
  assert.equal(partitionOf("us-gov-west-1"), "aws-us-gov");
});
