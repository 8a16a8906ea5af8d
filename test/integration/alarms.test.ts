/**
 * Goal: an alarm on a function's errors goes off and invokes a function that lets CloudWatch do that, and no other; so does
 * a composite alarm that looks at it.
 * Method: a real server and AWS's SDK; the invoked function tells in its log what it was told.
 */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import {
  CloudWatchClient,
  DescribeAlarmHistoryCommand,
  DescribeAlarmsCommand,
  PutCompositeAlarmCommand,
  PutMetricAlarmCommand,
} from "@aws-sdk/client-cloudwatch";
import { FilterLogEventsCommand } from "@aws-sdk/client-cloudwatch-logs";
import { AddPermissionCommand, type LambdaClient } from "@aws-sdk/client-lambda";
import { call, deploy, eventually } from "../support/functions.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

const FUNCTION = "arn:aws:lambda:us-east-1:000000000000:function";
const ALARM = "arn:aws:cloudwatch:us-east-1:000000000000:alarm";
const FAILS = `exports.handler = async () => { throw new Error("no"); };`;
const SEES = `exports.handler = async (event) => { console.log("seen " + JSON.stringify(event)); };`;

interface Seen {
  readonly alarmArn: string;
  readonly alarmData: {
    readonly alarmName: string;
    readonly state: { readonly value: string; readonly reason: string };
  };
}

let server: TestServer;
let lambda: LambdaClient;
let cloudwatch: CloudWatchClient;
before(async () => {
  server = await startTestServer();
  lambda = server.lambda();
  const { endpoint, file } = server;
  cloudwatch = new CloudWatchClient({ endpoint, region: file.region, credentials: file, maxAttempts: 1 });
});
after(async () => {
  cloudwatch.destroy();
  await server.stop();
});

async function seen(name: string): Promise<Seen[]> {
  const { events = [] } = await server
    .logs()
    .send(new FilterLogEventsCommand({ logGroupName: `/aws/lambda/${name}`, filterPattern: '"seen "' }));
  return events.map(
    ({ message = "" }) => JSON.parse(message.slice(message.indexOf("seen ") + "seen ".length)) as Seen,
  );
}

test("errors set an alarm off, and it invokes who lets it", async () => {
  await deploy(lambda, "failing", { files: { "index.js": FAILS } });
  for (const name of ["told", "closed"]) await deploy(lambda, name, { files: { "index.js": SEES } });
  await lambda.send(
    new AddPermissionCommand({
      FunctionName: "told",
      StatementId: "alarms",
      Action: "lambda:InvokeFunction",
      Principal: "lambda.alarms.cloudwatch.amazonaws.com",
      SourceAccount: "000000000000",
    }),
  );
  await call(lambda, "failing");
  await call(lambda, "failing");
  // The whole minute's errors are found at its beginning: short periods need not wait for its end.
  await cloudwatch.send(
    new PutMetricAlarmCommand({
      AlarmName: "failing",
      Metrics: [
        {
          Id: "errors",
          ReturnData: false,
          MetricStat: {
            Metric: {
              Namespace: "AWS/Lambda",
              MetricName: "Errors",
              Dimensions: [{ Name: "FunctionName", Value: "failing" }],
            },
            Period: 10,
            Stat: "Sum",
          },
        },
        { Id: "some", Expression: "IF(errors > 0, errors)" },
      ],
      EvaluationPeriods: 6,
      DatapointsToAlarm: 1,
      Threshold: 0,
      ComparisonOperator: "GreaterThanThreshold",
      TreatMissingData: "notBreaching",
      AlarmActions: [`${FUNCTION}:told`, `${FUNCTION}:closed`],
    }),
  );
  await cloudwatch.send(
    new PutCompositeAlarmCommand({
      AlarmName: "anything",
      AlarmRule: "ALARM(failing)",
      AlarmActions: [`${FUNCTION}:told`],
    }),
  );
  await eventually("the alarm goes off", async () => {
    const { MetricAlarms = [] } = await cloudwatch.send(new DescribeAlarmsCommand({ StateValue: "ALARM" }));
    return MetricAlarms.length === 1;
  });
  const told = await eventually("both alarms tell the function", async () => {
    const events = await seen("told").catch(() => []);
    return events.length === 2 && events;
  });
  const of = (name: string) => told.find(({ alarmData }) => alarmData.alarmName === name);
  const errors = of("failing");
  assert.equal(errors?.alarmArn, `${ALARM}:failing`);
  assert.equal(errors.alarmData.state.value, "ALARM");
  assert.match(errors.alarmData.state.reason, /^Threshold Crossed: 1 out of the last \d datapoints/);
  assert.match(of("anything")?.alarmData.state.reason ?? "", /:alarm:failing transitioned to ALARM at /);
  const { AlarmHistoryItems = [] } = await eventually("both actions are in the history", async () => {
    const input = { AlarmName: "failing", HistoryItemType: "Action" } as const;
    const history = await cloudwatch.send(new DescribeAlarmHistoryCommand(input));
    return history.AlarmHistoryItems?.length === 2 && history;
  });
  const summaries = AlarmHistoryItems.map(({ HistorySummary }) => HistorySummary).sort();
  assert.match(summaries[0] ?? "", /^Failed to execute action .*:closed\. .*not authorized to perform/);
  assert.equal(summaries[1], `Successfully executed action ${FUNCTION}:told`);
});
