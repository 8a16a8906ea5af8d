/**
 * Goal: event source mappings and runtime management through AWS's SDK for JavaScript, with the SDK's own exceptions.
 * Method: the SDK's client against a real server; every kind of source is in src/lambda/control/event-source-mappings.test.ts.
 */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import * as L from "@aws-sdk/client-lambda";
import { deploy } from "../support/functions.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

const FunctionName = "fed";
const QUEUE = "arn:aws:sqs:us-east-1:000000000000:orders";

let server: TestServer;
let lambda: L.LambdaClient;
before(async () => {
  server = await startTestServer();
  lambda = server.lambda();
  await deploy(lambda, FunctionName, { files: { "index.js": "exports.handler = async () => 1;" } });
});
after(() => server.stop());

test("a mapping is created, got, updated, listed and deleted", async () => {
  const created = await lambda.send(
    new L.CreateEventSourceMappingCommand({
      FunctionName,
      EventSourceArn: QUEUE,
      BatchSize: 3,
      FilterCriteria: { Filters: [{ Pattern: '{"body":{"kind":["order"]}}' }] },
      FunctionResponseTypes: ["ReportBatchItemFailures"],
    }),
  );
  assert.equal(created.$metadata.httpStatusCode, 202);
  assert.equal(created.State, "Creating");
  const { UUID } = created;
  const got = await lambda.send(new L.GetEventSourceMappingCommand({ UUID }));
  assert.equal(got.State, "Enabled");
  assert.deepEqual(got.FunctionResponseTypes, ["ReportBatchItemFailures"]);
  assert.ok(got.LastModified instanceof Date);
  const updated = await lambda.send(new L.UpdateEventSourceMappingCommand({ UUID, Enabled: false }));
  assert.deepEqual([updated.$metadata.httpStatusCode, updated.State], [202, "Disabling"]);
  const listed: (string | undefined)[] = [];
  for await (const page of L.paginateListEventSourceMappings({ client: lambda }, { FunctionName })) {
    listed.push(...(page.EventSourceMappings ?? []).map((mapping) => mapping.UUID));
  }
  assert.deepEqual(listed, [UUID]);
  const deleted = await lambda.send(new L.DeleteEventSourceMappingCommand({ UUID }));
  assert.deepEqual([deleted.$metadata.httpStatusCode, deleted.State], [202, "Deleting"]);
  await assert.rejects(
    lambda.send(new L.GetEventSourceMappingCommand({ UUID })),
    L.ResourceNotFoundException,
  );
});

test("a time to start at comes back as it went in", async () => {
  const StartingPositionTimestamp = new Date("2026-11-23T18:00:00Z");
  const { UUID } = await lambda.send(
    new L.CreateEventSourceMappingCommand({
      FunctionName,
      EventSourceArn: "arn:aws:kinesis:us-east-1:000000000000:stream/clicks",
      StartingPosition: "AT_TIMESTAMP",
      StartingPositionTimestamp,
    }),
  );
  const got = await lambda.send(new L.GetEventSourceMappingCommand({ UUID }));
  assert.deepEqual(got.StartingPositionTimestamp, StartingPositionTimestamp);
});

test("what cannot be mapped is refused with the SDK's exceptions", async () => {
  const create = (input: Partial<L.CreateEventSourceMappingCommandInput>) =>
    lambda.send(new L.CreateEventSourceMappingCommand({ FunctionName, EventSourceArn: QUEUE, ...input }));
  await create({});
  await assert.rejects(create({}), L.ResourceConflictException);
  await assert.rejects(create({ FunctionName: "absent" }), L.ResourceNotFoundException);
  await assert.rejects(create({ BatchSize: 100 }), L.InvalidParameterValueException);
  await assert.rejects(create({ BatchSize: 10_001 }), /'batchSize' failed to satisfy constraint/);
});

test("runtime management is put and got", async () => {
  const put = await lambda.send(
    new L.PutRuntimeManagementConfigCommand({ FunctionName, UpdateRuntimeOn: "FunctionUpdate" }),
  );
  assert.equal(put.UpdateRuntimeOn, "FunctionUpdate");
  const got = await lambda.send(new L.GetRuntimeManagementConfigCommand({ FunctionName }));
  assert.equal(got.UpdateRuntimeOn, "FunctionUpdate");
  await assert.rejects(
    lambda.send(new L.PutRuntimeManagementConfigCommand({ FunctionName, UpdateRuntimeOn: "Manual" })),
    L.InvalidParameterValueException,
  );
});
