/**
 * Goal: resource-based policies through AWS's SDK for JavaScript: statements, whole documents, and the SDK's own exceptions.
 * Method: the SDK's client against a real server; every form of a statement is in src/lambda/control/policies.test.ts.
 */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import * as L from "@aws-sdk/client-lambda";
import { deploy } from "../support/functions.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

const ARN = "arn:aws:lambda:us-east-1:000000000000:function:guarded";
const FunctionName = "guarded";

let server: TestServer;
let lambda: L.LambdaClient;
before(async () => {
  server = await startTestServer();
  lambda = server.lambda();
  await deploy(lambda, FunctionName, { files: { "index.js": "exports.handler = async () => 1;" } });
});
after(() => server.stop());

test("a statement is added, shown, not added twice, and removed", async () => {
  const statement = {
    FunctionName,
    StatementId: "bucket",
    Action: "lambda:InvokeFunction",
    Principal: "s3.amazonaws.com",
    SourceArn: "arn:aws:s3:::bucket",
    SourceAccount: "000000000000",
  };
  const added = await lambda.send(new L.AddPermissionCommand(statement));
  assert.equal(added.$metadata.httpStatusCode, 201);
  const shown = await lambda.send(new L.GetPolicyCommand({ FunctionName }));
  assert.deepEqual(JSON.parse(shown.Policy ?? "").Statement, [JSON.parse(added.Statement ?? "")]);
  await assert.rejects(lambda.send(new L.AddPermissionCommand(statement)), L.ResourceConflictException);
  await assert.rejects(
    lambda.send(new L.AddPermissionCommand({ ...statement, StatementId: "two", RevisionId: "another" })),
    L.PreconditionFailedException,
  );
  await assert.rejects(
    lambda.send(new L.AddPermissionCommand({ ...statement, StatementId: "no spaces" })),
    /'statementId' failed to satisfy constraint/,
  );
  const removed = await lambda.send(
    new L.RemovePermissionCommand({
      FunctionName,
      StatementId: "bucket",
      ...(shown.RevisionId !== undefined && { RevisionId: shown.RevisionId }),
    }),
  );
  assert.equal(removed.$metadata.httpStatusCode, 204);
  await assert.rejects(lambda.send(new L.GetPolicyCommand({ FunctionName })), L.ResourceNotFoundException);
  await assert.rejects(
    lambda.send(new L.RemovePermissionCommand({ FunctionName, StatementId: "bucket" })),
    L.ResourceNotFoundException,
  );
});

test("a whole document is put, got and deleted", async () => {
  const Policy = JSON.stringify({
    Version: "2012-10-17",
    Statement: [{ Effect: "Allow", Principal: "*", Action: "lambda:InvokeFunction", Resource: ARN }],
  });
  const put = await lambda.send(new L.PutResourcePolicyCommand({ ResourceArn: ARN, Policy }));
  assert.equal(put.Policy, Policy);
  const got = await lambda.send(new L.GetResourcePolicyCommand({ ResourceArn: ARN }));
  assert.deepEqual([got.Policy, got.RevisionId], [put.Policy, put.RevisionId]);
  await assert.rejects(
    lambda.send(new L.PutResourcePolicyCommand({ ResourceArn: ARN, Policy: "{" })),
    L.InvalidParameterValueException,
  );
  await assert.rejects(
    lambda.send(
      new L.PutResourcePolicyCommand({ ResourceArn: ARN, Policy: Policy.replace("*", "x".repeat(20_480)) }),
    ),
    /PolicyLengthExceeded|Member must have length less than or equal to 20480/,
  );
  const deleted = await lambda.send(new L.DeleteResourcePolicyCommand({ ResourceArn: ARN }));
  assert.equal(deleted.$metadata.httpStatusCode, 204);
  await assert.rejects(
    lambda.send(new L.GetResourcePolicyCommand({ ResourceArn: ARN })),
    L.ResourceNotFoundException,
  );
});
