/**
 * Goal: the real SDK cannot tell: values that it puts come back as statistics, its paginators end, errors are the modelled ones.
 * Method: AWS's client against the real listener, protocol layer and service on a free port of loopback.
 */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import {
  CloudWatchClient,
  DeleteAlarmsCommand,
  DescribeAlarmHistoryCommand,
  DescribeAlarmsCommand,
  DisableAlarmActionsCommand,
  GetMetricDataCommand,
  GetMetricStatisticsCommand,
  InvalidParameterCombinationException,
  InvalidParameterValueException,
  ListMetricsCommand,
  ListTagsForResourceCommand,
  paginateGetMetricData,
  paginateListMetrics,
  PutCompositeAlarmCommand,
  PutMetricAlarmCommand,
  PutMetricDataCommand,
  ResourceNotFound,
  SetAlarmStateCommand,
  TagResourceCommand,
  type AlarmType,
  type MetricDataQuery,
  type MetricDatum,
  type PutMetricAlarmInput,
} from "@aws-sdk/client-cloudwatch";
import { systemClock } from "../../kernel/clock.ts";
import { MemoryStore } from "../../store/memory.ts";
import { silentLogger } from "../../telemetry/logger.ts";
import { startFakeServer } from "../../wire/fakes.ts";
import { createProtocols } from "../../wire/protocols.ts";
import { createCloudWatch } from "./cloudwatch.ts";

const clock = systemClock;

async function start(t: TestContext): Promise<CloudWatchClient> {
  const region = "eu-central-1";
  const accountId = "000000000000";
  const store = new MemoryStore(clock);
  const cloudwatch = await createCloudWatch({ store, clock, logger: silentLogger, region, accountId });
  const server = await startFakeServer(
    {},
    {
      protocols: createProtocols(["cloudwatch"]),
      services: [cloudwatch.service],
      auth: "none",
      region,
      listener: { loopbackOnly: true },
    },
  );
  const client = new CloudWatchClient({
    endpoint: server.endpoint,
    region,
    credentials: { accessKeyId: "AKIAIOSFODNN7EXAMPLE", secretAccessKey: "secret" },
    maxAttempts: 1,
  });
  t.after(async () => {
    client.destroy();
    await server[Symbol.asyncDispose]();
    await cloudwatch.close();
  });
  return client;
}

const Namespace = "app";
/** Ten minutes ago, at the beginning of a minute. */
const firstMs = clock.nowMs() - (clock.nowMs() % 60_000) - 600_000;
const at = (minute: number) => new Date(firstMs + minute * 60_000);
const put = (client: CloudWatchClient, ...MetricData: MetricDatum[]) =>
  client.send(new PutMetricDataCommand({ Namespace, MetricData }));

test("values, value arrays and statistic sets become statistics", async (t) => {
  const client = await start(t);
  const Dimensions = [
    { Name: "page", Value: "home" },
    { Name: "browser", Value: "lynx" },
  ];
  await put(
    client,
    { MetricName: "latency", Dimensions, Timestamp: at(0), Value: 10, Unit: "Milliseconds" },
    {
      MetricName: "latency",
      Dimensions,
      Timestamp: at(0),
      Values: [20, 30],
      Counts: [2, 1],
      Unit: "Milliseconds",
    },
    {
      MetricName: "latency",
      Dimensions: Dimensions.toReversed(),
      Timestamp: at(1),
      StatisticValues: { SampleCount: 4, Sum: 40, Minimum: 5, Maximum: 20 },
      Unit: "Milliseconds",
    },
  );
  const { Datapoints = [], Label } = await client.send(
    new GetMetricStatisticsCommand({
      Namespace,
      MetricName: "latency",
      Dimensions,
      StartTime: at(0),
      EndTime: at(5),
      Period: 60,
      Statistics: ["SampleCount", "Sum", "Average", "Minimum", "Maximum"],
    }),
  );
  assert.equal(Label, "latency");
  const sorted = Datapoints.toSorted((a, b) => Number(a.Timestamp) - Number(b.Timestamp));
  assert.deepEqual(sorted, [
    {
      Timestamp: at(0),
      SampleCount: 4,
      Sum: 80,
      Average: 20,
      Minimum: 10,
      Maximum: 30,
      Unit: "Milliseconds",
    },
    { Timestamp: at(1), SampleCount: 4, Sum: 40, Average: 10, Minimum: 5, Maximum: 20, Unit: "Milliseconds" },
  ]);
  const percentiles = await client.send(
    new GetMetricStatisticsCommand({
      Namespace,
      MetricName: "latency",
      Dimensions,
      StartTime: at(0),
      EndTime: at(1),
      Period: 60,
      ExtendedStatistics: ["p100", "p0"],
    }),
  );
  assert.deepEqual(percentiles.Datapoints?.[0]?.ExtendedStatistics, { p100: 30, p0: 10 });
});

test("a large body comes compressed", async (t) => {
  const client = await start(t);
  const data = Array.from({ length: 500 }, (_, minute) => ({
    MetricName: "requests",
    Dimensions: [{ Name: "shard", Value: `${minute % 10}` }],
    Timestamp: at(0),
    Value: 1,
  }));
  let encoding: unknown;
  client.middlewareStack.add(
    (next) => (args) => {
      encoding = (args.request as { headers: Record<string, string> }).headers["content-encoding"];
      return next(args);
    },
    { step: "finalizeRequest", priority: "low" },
  );
  await put(client, ...data);
  assert.equal(encoding, "gzip");
  const listed = await client.send(new ListMetricsCommand({ Namespace, RecentlyActive: "PT3H" }));
  assert.equal(listed.Metrics?.length, 10);
});

test("several metrics come in pages, in the order asked for", async (t) => {
  const client = await start(t);
  const minutes = Array.from({ length: 6 }, (_, minute) => minute);
  await put(
    client,
    ...minutes.map((minute) => ({ MetricName: "a", Timestamp: at(minute), Value: minute })),
    ...minutes.map((minute) => ({ MetricName: "b", Timestamp: at(minute), Value: 10 * minute })),
  );
  const query = (Id: string, ReturnData = true) => ({
    Id,
    ReturnData,
    MetricStat: { Metric: { Namespace, MetricName: Id }, Period: 60, Stat: "Sum" },
  });
  const input = { MetricDataQueries: [query("a"), query("b")], StartTime: at(0), EndTime: at(6) };
  const whole = await client.send(new GetMetricDataCommand(input));
  assert.deepEqual(
    whole.MetricDataResults?.map(({ Id, Label, Values, StatusCode }) => ({ Id, Label, Values, StatusCode })),
    [
      { Id: "a", Label: "a", Values: [5, 4, 3, 2, 1, 0], StatusCode: "Complete" },
      { Id: "b", Label: "b", Values: [50, 40, 30, 20, 10, 0], StatusCode: "Complete" },
    ],
  );
  const paged: Record<string, number[]> = {};
  let pages = 0;
  for await (const page of paginateGetMetricData(
    { client },
    { ...input, ScanBy: "TimestampAscending", MaxDatapoints: 4 },
  )) {
    pages += 1;
    for (const { Id = "", Values = [] } of page.MetricDataResults ?? []) (paged[Id] ??= []).push(...Values);
  }
  assert.deepEqual(paged, { a: [0, 1, 2, 3, 4, 5], b: [0, 10, 20, 30, 40, 50] });
  assert.equal(pages, 3);
});

test("metrics are listed by namespace, name and dimensions, in pages", async (t) => {
  const client = await start(t);
  const metrics = Array.from({ length: 700 }, (_, number) => ({
    MetricName: number % 2 === 0 ? "even" : "odd",
    Dimensions: [{ Name: "number", Value: `${number}` }],
    Value: 1,
  }));
  await put(client, ...metrics);
  const listed: string[] = [];
  for await (const page of paginateListMetrics({ client }, { Namespace }))
    for (const { Dimensions = [] } of page.Metrics ?? []) listed.push(Dimensions[0]?.Value ?? "");
  assert.equal(new Set(listed).size, 700);
  assert.equal(listed.length, 700);
  const count = async (filter: object) =>
    (await client.send(new ListMetricsCommand({ Namespace, ...filter }))).Metrics?.length;
  assert.equal(await count({ MetricName: "odd" }), 350);
  assert.equal(await count({ Dimensions: [{ Name: "number", Value: "7" }] }), 1);
  assert.equal(await count({ Dimensions: [{ Name: "none" }] }), 0);
});

test("mistakes are told in the model's exceptions", async (t) => {
  const client = await start(t);
  await assert.rejects(
    put(client, { MetricName: "m", Value: 1, Values: [1] }),
    InvalidParameterCombinationException,
  );
  const wrong: [MetricDatum, RegExp][] = [
    [{ MetricName: "m", Value: Number.NaN }, /NaN/],
    [{ MetricName: "m", Value: 2 ** 361 }, /is invalid/],
    [{ MetricName: "m", Value: 1, Timestamp: new Date(clock.nowMs() - 15 * 86_400_000) }, /two weeks/],
    [{ MetricName: "m", Values: [1, 2], Counts: [1] }, /same size/],
    [{ MetricName: "m", Value: 1, StorageResolution: 30 }, /1 or 60/],
  ];
  for (const [datum, message] of wrong)
    await assert.rejects(put(client, datum), (error: Error) => {
      assert.ok(error instanceof InvalidParameterValueException, String(error));
      assert.match(error.message, message);
      return true;
    });
  const statistics = {
    Namespace,
    MetricName: "m",
    StartTime: at(0),
    EndTime: at(1),
    Statistics: ["Sum" as const],
  };
  await assert.rejects(
    client.send(new GetMetricStatisticsCommand({ ...statistics, Period: 61 })),
    InvalidParameterValueException,
  );
  await assert.rejects(
    client.send(new GetMetricStatisticsCommand({ ...statistics, StartTime: at(-3000), Period: 60 })),
    /exceeds the limit of 1440/,
  );
});

test("metric math and searches are evaluated, labelled and paged", async (t) => {
  const client = await start(t);
  const Dimensions = (Value: string) => [{ Name: "FunctionName", Value }];
  await put(
    client,
    ...["f", "g"].flatMap((name, index) => [
      { MetricName: "calls", Dimensions: Dimensions(name), Timestamp: at(0), Value: 8 },
      { MetricName: "errors", Dimensions: Dimensions(name), Timestamp: at(0), Value: index + 1 },
    ]),
  );
  const metric = (Id: string, MetricName: string, name: string) => ({
    Id,
    ReturnData: false,
    MetricStat: {
      Metric: { Namespace, MetricName, Dimensions: Dimensions(name) },
      Period: 60,
      Stat: "Sum",
    },
  });
  const ask = (...MetricDataQueries: MetricDataQuery[]) =>
    client.send(new GetMetricDataCommand({ MetricDataQueries, StartTime: at(0), EndTime: at(2) }));
  const { MetricDataResults } = await ask(
    metric("calls", "calls", "f"),
    metric("errors", "errors", "f"),
    { Id: "rate", Expression: "100 * errors / calls", Label: "${LABEL}: ${MAX} %" },
    { Id: "filled", Expression: "FILL(errors, 0)" },
    {
      Id: "found",
      Expression: `SEARCH('{${Namespace},FunctionName} MetricName="errors"', 'Sum', 60)`,
      Label: "of",
    },
    { Id: "total", Expression: "SUM(found)" },
  );
  assert.deepEqual(
    MetricDataResults?.map(({ Id, Label, Values, StatusCode }) => [Id, Label, Values, StatusCode]),
    [
      ["rate", "rate: 12.5 %", [12.5], "Complete"],
      ["filled", "filled", [0, 1], "Complete"],
      ["found", "of f", [1], "Complete"],
      ["found", "of g", [2], "Complete"],
      ["total", "total", [3], "Complete"],
    ],
  );
  for (const [Expression, message] of [
    ["1 +", /^Error in expression 'e' \[Unexpected end of the expression\]$/],
    ["AVG(errors)", /must be a time series or an array/],
    ["ANOMALY_DETECTION_BAND(errors)", /ANOMALY_DETECTION_BAND is not supported/],
  ] as const)
    await assert.rejects(ask(metric("errors", "errors", "f"), { Id: "e", Expression }), (error: Error) => {
      assert.equal(error.name, "ValidationException");
      assert.match(error.message, message);
      return true;
    });
});

test("searches of one request find 500 time series, and the answer says that there are more", async (t) => {
  const client = await start(t);
  const metric = (number: number) => ({
    MetricName: "many",
    Dimensions: [{ Name: "number", Value: `${number}` }],
    Timestamp: at(0),
    Value: 1,
  });
  await put(client, ...Array.from({ length: 600 }, (_, number) => metric(number)));
  const search = (Id: string, Stat: string) => ({ Id, Expression: `SUM(SEARCH('many', '${Stat}', 60))` });
  const input = { StartTime: at(0), EndTime: at(1) };
  const answer = await client.send(
    new GetMetricDataCommand({ ...input, MetricDataQueries: [search("a", "Sum"), search("b", "Average")] }),
  );
  assert.deepEqual(
    answer.MetricDataResults?.map(({ Values }) => Values),
    [[500], []],
  );
  assert.equal(answer.Messages?.[0]?.Code, "MaxMetricsExceeded");
  const MetricDataQueries = Array.from({ length: 101 }, (_, number) => ({
    Id: `s${number}`,
    Expression: `SEARCH('none${number}', 'Sum', 60)`,
  }));
  await assert.rejects(
    client.send(new GetMetricDataCommand({ ...input, MetricDataQueries })),
    /at most 100 searches/,
  );
});

test("alarms look at metric math, and at other alarms", async (t) => {
  const client = await start(t);
  const stat = (MetricName: string) => ({ Metric: { Namespace, MetricName }, Period: 60, Stat: "Sum" });
  const Metrics = [
    { Id: "calls", MetricStat: stat("calls"), ReturnData: false },
    { Id: "errors", MetricStat: stat("errors"), ReturnData: false },
    { Id: "rate", Expression: "errors / calls", Label: "rate" },
  ];
  const base = { EvaluationPeriods: 1, Threshold: 0.5, ComparisonOperator: "GreaterThanThreshold" as const };
  const put = (more: Partial<PutMetricAlarmInput>) =>
    client.send(new PutMetricAlarmCommand({ AlarmName: "rate", ...base, ...more }));
  await put({ Metrics });
  const described = await client.send(new DescribeAlarmsCommand({ AlarmNames: ["rate"] }));
  assert.deepEqual(described.MetricAlarms?.[0]?.Metrics, Metrics);
  for (const [more, message] of [
    [{ Metrics, Period: 60 }, /mutually exclusive/],
    [{ Metrics: Metrics.map((query) => ({ ...query, ReturnData: true })) }, /Exactly one element/],
    [{ Metrics: [{ Id: "e", Expression: "SEARCH('a', 'Sum', 60)" }] }, /SEARCH is not supported/],
    [{ Metrics: [...Metrics.slice(0, 2), { Id: "e", Expression: "METRICS()" }] }, /single time series/],
    [{ Metrics, ThresholdMetricId: "rate" }, /anomaly detection/],
  ] as const)
    await assert.rejects(put(more as Partial<PutMetricAlarmInput>), message);

  const composite = { AlarmName: "both", AlarmRule: "ALARM(rate)", Tags: [{ Key: "team", Value: "a" }] };
  await client.send(new PutCompositeAlarmCommand(composite));
  await assert.rejects(
    client.send(new PutCompositeAlarmCommand({ AlarmName: "none", AlarmRule: "ALARM(nobody)" })),
    /alarms \[nobody\] in the alarm rule do not exist/,
  );
  await client.send(
    new SetAlarmStateCommand({ AlarmName: "rate", StateValue: "ALARM", StateReason: "test" }),
  );
  await client.send(new SetAlarmStateCommand({ AlarmName: "both", StateValue: "OK", StateReason: "test" }));
  const AlarmTypes: AlarmType[] = ["CompositeAlarm"];
  const { CompositeAlarms, MetricAlarms } = await client.send(new DescribeAlarmsCommand({ AlarmTypes }));
  assert.deepEqual(MetricAlarms, []);
  const [shown] = CompositeAlarms ?? [];
  assert.deepEqual([shown?.AlarmName, shown?.AlarmRule], ["both", "ALARM(rate)"]);
  const children = await client.send(new DescribeAlarmsCommand({ ChildrenOfAlarmName: "both" }));
  assert.deepEqual(
    children.MetricAlarms?.map(({ AlarmName }) => AlarmName),
    ["rate"],
  );
  const parents = await client.send(new DescribeAlarmsCommand({ ParentsOfAlarmName: "rate" }));
  assert.deepEqual(
    parents.CompositeAlarms?.map(({ AlarmName }) => AlarmName),
    ["both"],
  );
  await assert.rejects(
    client.send(new DeleteAlarmsCommand({ AlarmNames: ["rate"] })),
    /cannot be deleted as there are composite alarms depending on it/,
  );
  await client.send(new DeleteAlarmsCommand({ AlarmNames: ["both"] }));
  await client.send(new DeleteAlarmsCommand({ AlarmNames: ["rate"] }));
});

test("alarms are put, described, set, tagged and deleted", async (t) => {
  const client = await start(t);
  const AlarmName = "too slow";
  const settings = {
    AlarmName,
    Namespace,
    MetricName: "latency",
    ExtendedStatistic: "p99",
    Period: 60,
    EvaluationPeriods: 3,
    DatapointsToAlarm: 2,
    Threshold: 100,
    ComparisonOperator: "GreaterThanThreshold" as const,
  };
  await client.send(new PutMetricAlarmCommand({ ...settings, Tags: [{ Key: "team", Value: "a" }] }));
  await client.send(new DisableAlarmActionsCommand({ AlarmNames: [AlarmName] }));
  await client.send(
    new SetAlarmStateCommand({
      AlarmName,
      StateValue: "ALARM",
      StateReason: "a test",
      StateReasonData: "{}",
    }),
  );
  const describe = () =>
    client.send(new DescribeAlarmsCommand({ AlarmNamePrefix: "too", StateValue: "ALARM" }));
  const [alarm] = (await describe()).MetricAlarms ?? [];
  const { StateReason, ActionsEnabled, AlarmArn: ResourceARN = "" } = alarm ?? {};
  assert.deepEqual(
    { ...alarm, ...settings, StateReason, ActionsEnabled },
    { ...alarm, StateReason: "a test", ActionsEnabled: false },
  );
  await client.send(new TagResourceCommand({ ResourceARN, Tags: [{ Key: "tier", Value: "1" }] }));
  const { Tags } = await client.send(new ListTagsForResourceCommand({ ResourceARN }));
  assert.deepEqual(Tags, [
    { Key: "team", Value: "a" },
    { Key: "tier", Value: "1" },
  ]);
  const { AlarmHistoryItems = [] } = await client.send(
    new DescribeAlarmHistoryCommand({ AlarmName, HistoryItemType: "StateUpdate" }),
  );
  assert.equal(AlarmHistoryItems[0]?.HistorySummary, "Alarm updated from INSUFFICIENT_DATA to ALARM");
  await client.send(new DeleteAlarmsCommand({ AlarmNames: [AlarmName] }));
  assert.deepEqual((await describe()).MetricAlarms, []);
  await assert.rejects(
    client.send(new SetAlarmStateCommand({ AlarmName, StateValue: "OK", StateReason: "x" })),
    ResourceNotFound,
  );
  await assert.rejects(
    client.send(new PutMetricAlarmCommand({ ...settings, DatapointsToAlarm: 4 })),
    /DatapointsToAlarm/,
  );
});
