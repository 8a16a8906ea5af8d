/**
 * Goal: event source mappings as AWS's control plane shows them: what each kind of source takes, defaults, states, conflicts.
 * Method: the operations over a memory store. Nothing polls here.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type {
  EventSourceMappingConfiguration,
  ListEventSourceMappingsResponse,
  ListTagsResponse,
} from "@aws-sdk/client-lambda";
import { arnOf, awsError, openFixture, type Fixture } from "./fixture.ts";

const QUEUE = "arn:aws:sqs:us-east-1:000000000000:orders";
const STREAM = "arn:aws:kinesis:us-east-1:000000000000:stream/clicks";
const TABLE = "arn:aws:dynamodb:us-east-1:000000000000:table/t/stream/2026-11-23T18:00:00.000";
const CLUSTER = "arn:aws:kafka:us-east-1:000000000000:cluster/c/1-2";
const BROKER = "arn:aws:mq:us-east-1:000000000000:broker:b:b-1";
const DOCUMENTS = "arn:aws:rds:us-east-1:000000000000:cluster:docs";
const ACCESS = [{ Type: "BASIC_AUTH", URI: "arn:aws:secretsmanager:us-east-1:000000000000:secret:s" }];
const POSITION = { StartingPosition: "TRIM_HORIZON" };

const create = ({ call }: Fixture, input: Record<string, unknown>) =>
  call<EventSourceMappingConfiguration>("CreateEventSourceMapping", { FunctionName: "f", ...input });
const get = ({ call }: Fixture, UUID: string | undefined) =>
  call<EventSourceMappingConfiguration>("GetEventSourceMapping", { UUID });

async function withFunction(): Promise<Fixture> {
  const fixture = await openFixture();
  await fixture.create("f");
  return fixture;
}

const streamDefaults = {
  BatchSize: 100,
  BisectBatchOnFunctionError: false,
  MaximumRetryAttempts: -1,
  MaximumRecordAgeInSeconds: -1,
  DestinationConfig: { OnFailure: {} },
  FunctionResponseTypes: [],
  LastProcessingResult: "No records processed",
};
const shardDefaults = {
  ...streamDefaults,
  MaximumBatchingWindowInSeconds: 0,
  ParallelizationFactor: 1,
  TumblingWindowInSeconds: 0,
};

const defaults: readonly {
  source: string;
  input: Record<string, unknown>;
  shown: Record<string, unknown>;
}[] = [
  {
    source: "a queue",
    input: { EventSourceArn: QUEUE },
    shown: { BatchSize: 10, MaximumBatchingWindowInSeconds: 0, FunctionResponseTypes: [] },
  },
  { source: "a stream", input: { EventSourceArn: STREAM, ...POSITION }, shown: shardDefaults },
  { source: "a table's stream", input: { EventSourceArn: TABLE, ...POSITION }, shown: shardDefaults },
  {
    source: "a managed Kafka cluster",
    input: { EventSourceArn: CLUSTER, Topics: ["t"], ...POSITION },
    shown: streamDefaults,
  },
  {
    source: "a Kafka cluster of one's own",
    input: {
      SelfManagedEventSource: { Endpoints: { KAFKA_BOOTSTRAP_SERVERS: ["kafka:9092"] } },
      Topics: ["t"],
      SourceAccessConfigurations: ACCESS,
      ...POSITION,
    },
    shown: streamDefaults,
  },
  {
    source: "a broker",
    input: { EventSourceArn: BROKER, Queues: ["q"], SourceAccessConfigurations: ACCESS },
    shown: { BatchSize: 100 },
  },
  {
    source: "a document database",
    input: {
      EventSourceArn: DOCUMENTS,
      DocumentDBEventSourceConfig: { DatabaseName: "d" },
      SourceAccessConfigurations: ACCESS,
      ...POSITION,
    },
    shown: { BatchSize: 100 },
  },
];

for (const { source, input, shown } of defaults) {
  test(`a mapping of ${source} has the defaults of its kind`, async () => {
    const fixture = await withFunction();
    const created = await create(fixture, input);
    assert.match(created.UUID ?? "", /^[0-9a-f-]{36}$/);
    assert.deepEqual(created, {
      UUID: created.UUID,
      EventSourceMappingArn: `arn:aws:lambda:us-east-1:000000000000:event-source-mapping:${created.UUID}`,
      FunctionArn: arnOf("f"),
      State: "Creating",
      StateTransitionReason: "USER_INITIATED",
      LastModified: new Date(Date.UTC(2026, 10, 23, 18)),
      ...input,
      ...shown,
    });
    assert.deepEqual(await get(fixture, created.UUID), { ...created, State: "Enabled" });
  });
}

const invalid = "InvalidParameterValueException";
const refused: readonly { what: string; input: Record<string, unknown>; message: string | RegExp }[] = [
  { what: "no source", input: {}, message: "Unrecognized event source." },
  {
    what: "something that is no source",
    input: { EventSourceArn: "arn:aws:s3:::bucket" },
    message: "Unrecognized event source.",
  },
  {
    what: "a stream without a position",
    input: { EventSourceArn: STREAM },
    message:
      "1 validation error detected: Value null at 'startingPosition' failed to satisfy constraint: Member must not be null.",
  },
  {
    what: "a position in time for a table",
    input: {
      EventSourceArn: TABLE,
      StartingPosition: "AT_TIMESTAMP",
      StartingPositionTimestamp: new Date(0),
    },
    message: `Unsupported starting position for arn type: ${TABLE}`,
  },
  {
    what: "a position in time without the time",
    input: { EventSourceArn: STREAM, StartingPosition: "AT_TIMESTAMP" },
    message: /^StartingPositionTimestamp is required/,
  },
  {
    what: "a stream's member for a queue",
    input: { EventSourceArn: QUEUE, ParallelizationFactor: 2 },
    message: "ParallelizationFactor is not supported for this type of event source.",
  },
  {
    what: "a large batch without a window",
    input: { EventSourceArn: QUEUE, BatchSize: 11 },
    message:
      "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10",
  },
  {
    what: "a window for a FIFO queue",
    input: { EventSourceArn: `${QUEUE}.fifo`, MaximumBatchingWindowInSeconds: 1 },
    message: "Batching window is not supported for FIFO queues.",
  },
  {
    what: "a pattern that is none",
    input: { EventSourceArn: QUEUE, FilterCriteria: { Filters: [{ Pattern: '{"a":1}' }] } },
    message: /^Invalid filter pattern definition\./,
  },
  {
    what: "a record's age below a minute",
    input: { EventSourceArn: STREAM, ...POSITION, MaximumRecordAgeInSeconds: 59 },
    message: /^MaximumRecordAgeInSeconds must be/,
  },
  {
    what: "Kafka without credentials",
    input: {
      SelfManagedEventSource: { Endpoints: { KAFKA_BOOTSTRAP_SERVERS: ["kafka:9092"] } },
      Topics: ["t"],
      ...POSITION,
    },
    message: "Required 'sourceAccessConfigurations' parameter is missing.",
  },
];

for (const { what, input, message } of refused) {
  test(`CreateEventSourceMapping refuses ${what}`, async () => {
    const fixture = await withFunction();
    await assert.rejects(create(fixture, input), awsError(invalid, message, 400));
    assert.deepEqual(await fixture.call("ListEventSourceMappings"), { EventSourceMappings: [] });
  });
}

test("a mapping of a function that is not there is refused", async () => {
  const fixture = await openFixture();
  await assert.rejects(
    create(fixture, { EventSourceArn: QUEUE }),
    awsError("ResourceNotFoundException", `Function not found: ${arnOf("f")}`, 404),
  );
});

test("one mapping for each pair of source and function, also when two come at once", async () => {
  const fixture = await withFunction();
  const outcomes = await Promise.allSettled([
    create(fixture, { EventSourceArn: QUEUE }),
    create(fixture, { EventSourceArn: QUEUE }),
  ]);
  const [made] = outcomes.filter((outcome) => outcome.status === "fulfilled");
  assert.deepEqual(outcomes.map(({ status }) => status).toSorted(), ["fulfilled", "rejected"]);
  await assert.rejects(
    create(fixture, { EventSourceArn: QUEUE }),
    awsError(
      "ResourceConflictException",
      `An event source mapping with SQS arn (" ${QUEUE} ") and function (" f ") already exists. Please update or delete the existing mapping with UUID ${made?.value.UUID}`,
      409,
    ),
  );
  await create(fixture, { EventSourceArn: STREAM, ...POSITION });
  await assert.rejects(
    create(fixture, { EventSourceArn: STREAM, ...POSITION }),
    awsError(
      "ResourceConflictException",
      /^The event source arn \(" .* "\) and function \(" f "\) provided/,
      409,
    ),
  );
  await fixture.call("DeleteEventSourceMapping", { UUID: made?.value.UUID });
  await create(fixture, { EventSourceArn: QUEUE });
});

test("an update keeps what it leaves out, and tells the state it passes through", async () => {
  const fixture = await withFunction();
  await fixture.create("g");
  const { call } = fixture;
  const { UUID } = await create(fixture, {
    EventSourceArn: QUEUE,
    BatchSize: 5,
    ScalingConfig: { MaximumConcurrency: 2 },
    FilterCriteria: { Filters: [{ Pattern: '{"body":{"a":[1]}}' }] },
  });
  const update = (input: Record<string, unknown>) =>
    call<EventSourceMappingConfiguration>("UpdateEventSourceMapping", { UUID, ...input });
  assert.equal((await update({ Enabled: false })).State, "Disabling");
  assert.equal((await get(fixture, UUID)).State, "Disabled");
  assert.equal((await update({ BatchSize: 6 })).State, "Updating");
  assert.equal((await update({ Enabled: true, FunctionName: "g" })).State, "Enabling");
  const changed = await get(fixture, UUID);
  assert.equal(changed.FunctionArn, arnOf("g"));
  assert.equal(changed.BatchSize, 6);
  assert.deepEqual(changed.ScalingConfig, { MaximumConcurrency: 2 });
  assert.equal(changed.FilterCriteria?.Filters?.length, 1);
  await update({ ScalingConfig: {}, FilterCriteria: {} });
  const emptied = await get(fixture, UUID);
  assert.equal(emptied.ScalingConfig, undefined);
  assert.equal(emptied.FilterCriteria, undefined);
  // The pair moved with the function.
  await create(fixture, { EventSourceArn: QUEUE });
  await assert.rejects(
    update({ FunctionName: "f" }),
    awsError("ResourceConflictException", /already exists/, 409),
  );
  await assert.rejects(update({ BatchSize: 11 }), awsError(invalid, /batch window/, 400));
});

test("mappings are listed by source and function, page by page, and go when deleted", async () => {
  const fixture = await withFunction();
  await fixture.create("g");
  const { call } = fixture;
  const list = async (input: Record<string, unknown>) => {
    const answer = await call<ListEventSourceMappingsResponse>("ListEventSourceMappings", input);
    return (answer.EventSourceMappings ?? []).map(({ UUID }) => UUID);
  };
  const one = await create(fixture, { EventSourceArn: QUEUE });
  const two = await create(fixture, { EventSourceArn: QUEUE, FunctionName: "g" });
  const three = await create(fixture, { EventSourceArn: STREAM, ...POSITION });
  assert.deepEqual((await list({})).toSorted(), [one.UUID, two.UUID, three.UUID].toSorted());
  assert.deepEqual((await list({ EventSourceArn: QUEUE })).toSorted(), [one.UUID, two.UUID].toSorted());
  assert.deepEqual(await list({ EventSourceArn: QUEUE, FunctionName: "g" }), [two.UUID]);
  assert.deepEqual(await list({ FunctionName: arnOf("g") }), [two.UUID]);
  const first = await call<ListEventSourceMappingsResponse>("ListEventSourceMappings", { MaxItems: 2 });
  assert.equal(first.EventSourceMappings?.length, 2);
  assert.equal((await list({ Marker: first.NextMarker })).length, 1);
  const gone = await call<EventSourceMappingConfiguration>("DeleteEventSourceMapping", { UUID: one.UUID });
  assert.equal(gone.State, "Deleting");
  const absent = awsError("ResourceNotFoundException", "The resource you requested does not exist.", 404);
  await assert.rejects(get(fixture, one.UUID), absent);
  await assert.rejects(call("DeleteEventSourceMapping", { UUID: one.UUID }), absent);
});

test("a mapping that is deleted while it moves leaves no pair taken", async () => {
  const fixture = await withFunction();
  await fixture.create("g");
  const { call } = fixture;
  const { UUID } = await create(fixture, { EventSourceArn: QUEUE });
  await Promise.allSettled([
    call("UpdateEventSourceMapping", { UUID, FunctionName: "g" }),
    call("DeleteEventSourceMapping", { UUID }),
  ]);
  for (const FunctionName of ["f", "g"]) await create(fixture, { EventSourceArn: QUEUE, FunctionName });
});

test("a mapping has tags", async () => {
  const fixture = await withFunction();
  const { call } = fixture;
  const { EventSourceMappingArn: Resource } = await create(fixture, {
    EventSourceArn: QUEUE,
    Tags: { team: "blue", stage: "test" },
  });
  await call("TagResource", { Resource, Tags: { team: "green" } });
  await call("UntagResource", { Resource, TagKeys: ["stage"] });
  assert.deepEqual((await call<ListTagsResponse>("ListTags", { Resource })).Tags, { team: "green" });
  await assert.rejects(
    call("TagResource", { Resource, Tags: { "aws:x": "y" } }),
    awsError(invalid, /reserved for system use/, 400),
  );
});
