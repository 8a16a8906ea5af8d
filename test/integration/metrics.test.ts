/**
 * Goal: what functions do is seen in CloudWatch and by Prometheus, and is there after kill -9.
 * Method: a real server, AWS's SDK; invocations that succeed and fail, by name and by alias.
 */
import assert from "node:assert/strict";
import { mkdtempSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { CloudWatchClient, GetMetricStatisticsCommand, ListMetricsCommand } from "@aws-sdk/client-cloudwatch";
import {
  CreateLogGroupCommand,
  CreateLogStreamCommand,
  PutLogEventsCommand,
} from "@aws-sdk/client-cloudwatch-logs";
import { CreateAliasCommand, InvokeCommand, PublishVersionCommand } from "@aws-sdk/client-lambda";
import { deploy, eventually } from "../support/functions.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

const SOURCE = `exports.handler = async (event) => { if (event.fail) throw new Error("no"); return 1; };`;
const args = ["--auth", "none"];

function client(server: TestServer): CloudWatchClient {
  return new CloudWatchClient({
    endpoint: server.endpoint,
    region: "us-east-1",
    credentials: { accessKeyId: "AKIAIOSFODNN7EXAMPLE", secretAccessKey: "none" },
  });
}

async function statistics(
  server: TestServer,
  MetricName: string,
  dimensions: Record<string, string>,
  Namespace = "AWS/Lambda",
) {
  const cloudwatch = client(server);
  try {
    const now = Date.now();
    const { Datapoints = [] } = await cloudwatch.send(
      new GetMetricStatisticsCommand({
        Namespace,
        MetricName,
        Dimensions: Object.entries(dimensions).map(([Name, Value]) => ({ Name, Value })),
        StartTime: new Date(now - 3_600_000),
        EndTime: new Date(now + 60_000),
        Period: 60,
        Statistics: ["Sum", "SampleCount"],
      }),
    );
    const total = (member: "Sum" | "SampleCount") =>
      Datapoints.reduce((sum, point) => sum + (point[member] ?? 0), 0);
    return { sum: total("Sum"), count: total("SampleCount") };
  } finally {
    cloudwatch.destroy();
  }
}

describe("metrics of functions", () => {
  const dataDirectory = mkdtempSync(join(tmpdir(), "hornero-metrics-"));
  let server: TestServer;

  before(async () => {
    server = await startTestServer({ args, dataDirectory });
    const lambda = server.lambda();
    await deploy(lambda, "counted", { files: { "index.js": SOURCE } });
    await lambda.send(new PublishVersionCommand({ FunctionName: "counted" }));
    await lambda.send(
      new CreateAliasCommand({ FunctionName: "counted", Name: "live", FunctionVersion: "1" }),
    );
    for (const fail of [false, true, false])
      await lambda.send(
        new InvokeCommand({ FunctionName: "counted", Payload: Buffer.from(JSON.stringify({ fail })) }),
      );
    await lambda.send(new InvokeCommand({ FunctionName: "counted", Qualifier: "live" }));
  });

  after(async () => {
    await server.stop();
    await rm(dataDirectory, { recursive: true });
  });

  const ofFunction = { FunctionName: "counted" };

  it("are counted by function, by alias and by the version that ran", async () => {
    await eventually("the invocations are counted", async () => {
      const { sum } = await statistics(server, "Invocations", ofFunction);
      return sum === 4 ? sum : undefined;
    });
    assert.deepEqual(await statistics(server, "Errors", ofFunction), { sum: 1, count: 4 });
    assert.deepEqual(await statistics(server, "Throttles", {}), { sum: 0, count: 4 });
    const live = { ...ofFunction, Resource: "counted:live" };
    assert.deepEqual(await statistics(server, "Invocations", live), { sum: 1, count: 1 });
    assert.deepEqual(await statistics(server, "Invocations", { ...live, ExecutedVersion: "1" }), {
      sum: 1,
      count: 1,
    });
    assert.equal((await statistics(server, "Duration", ofFunction)).count, 4);
    const { sum } = await statistics(server, "ConcurrentExecutions", ofFunction);
    assert.ok(sum >= 1);
    const cloudwatch = client(server);
    const { Metrics = [] } = await cloudwatch.send(new ListMetricsCommand({ Namespace: "AWS/Lambda" }));
    cloudwatch.destroy();
    const names = new Set(Metrics.map(({ MetricName }) => MetricName));
    for (const name of ["Invocations", "Errors", "Throttles", "Duration", "ConcurrentExecutions"])
      assert.ok(names.has(name), name);
  });

  it("are told to Prometheus", async () => {
    const response = await fetch(`${server.endpoint}/_hornero/metrics`);
    assert.match(response.headers.get("content-type") ?? "", /^text\/plain; version=0\.0\.4/);
    const text = await response.text();
    assert.match(text, /^hornero_function_invocations_total\{function="counted"\} 4$/m);
    assert.match(text, /^hornero_function_errors_total\{function="counted"\} 1$/m);
    assert.match(text, /^hornero_function_duration_seconds_count\{function="counted"\} 4$/m);
    assert.match(text, /^hornero_environments\{state="\w+"\} \d+$/m);
    assert.match(text, /^process_resident_memory_bytes \d+$/m);
  });

  it("are taken out of what functions and others log in the embedded metric format", async () => {
    const line = (value: number) =>
      JSON.stringify({
        _aws: {
          Timestamp: Date.now(),
          CloudWatchMetrics: [
            { Namespace: "shop", Dimensions: [["page"]], Metrics: [{ Name: "sold", Unit: "Count" }] },
          ],
        },
        page: "home",
        sold: value,
      });
    const source = `exports.handler = async (event) => { console.log(event.line); process.stdout.write(event.line + "\\n"); };`;
    const lambda = server.lambda();
    await deploy(lambda, "shop", { files: { "index.js": source } });
    const Payload = Buffer.from(JSON.stringify({ line: line(5) }));
    await lambda.send(new InvokeCommand({ FunctionName: "shop", Payload }));
    const logs = server.logs();
    const names = { logGroupName: "own", logStreamName: "own" };
    await logs.send(new CreateLogGroupCommand(names));
    await logs.send(new CreateLogStreamCommand(names));
    const logEvents = [line(7), '{"_aws":{"CloudWatchMetrics":[}'].map((message) => ({
      timestamp: Date.now(),
      message,
    }));
    await logs.send(new PutLogEventsCommand({ ...names, logEvents }));
    await eventually("all three are counted", async () => {
      const { sum, count } = await statistics(server, "sold", { page: "home" }, "shop");
      return sum === 17 && count === 3;
    });
    const group = { LogGroupName: "own" };
    assert.deepEqual(await statistics(server, "EMFParsingErrors", group, "AWS/Logs"), { sum: 1, count: 1 });
  });

  it("survive kill -9", async () => {
    await server.kill("SIGKILL");
    server = await startTestServer({ args, dataDirectory });
    assert.deepEqual(await statistics(server, "Invocations", ofFunction), { sum: 4, count: 4 });
  });
});
