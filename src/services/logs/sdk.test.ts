/**
 * Goal: the real SDK cannot tell: its paginators end, its event stream reads, its exceptions are the modelled ones.
 * Method: AWS's client against the real listener, protocol layer and service on a free port of loopback.
 */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import {
  CloudWatchLogsClient,
  CreateLogGroupCommand,
  CreateLogStreamCommand,
  GetLogEventsCommand,
  paginateDescribeLogGroups,
  paginateDescribeLogStreams,
  paginateFilterLogEvents,
  paginateGetLogEvents,
  PutLogEventsCommand,
  PutRetentionPolicyCommand,
  ResourceNotFoundException,
  StartLiveTailCommand,
} from "@aws-sdk/client-cloudwatch-logs";
import { systemClock } from "../../kernel/clock.ts";
import { MemoryStore } from "../../store/memory.ts";
import { startFakeServer } from "../../wire/fakes.ts";
import { createProtocols } from "../../wire/protocols.ts";
import { createLogs, type Logs } from "./logs.ts";

const logGroupName = "/aws/lambda/sdk";
const clock = systemClock;

async function start(
  t: TestContext,
): Promise<{ client: CloudWatchLogsClient; logs: Logs; endpoint: string }> {
  const directory = await mkdtemp(join(tmpdir(), "hornero-logs-"));
  const region = "eu-central-1";
  const accountId = "000000000000";
  const store = new MemoryStore(clock);
  const logs = await createLogs({ directory, store, clock, region, accountId });
  const server = await startFakeServer(
    {},
    {
      protocols: createProtocols(["logs"]),
      services: [logs.service],
      auth: "none",
      region,
      listener: { loopbackOnly: true },
    },
  );
  const { endpoint } = server;
  const client = new CloudWatchLogsClient({
    endpoint,
    region,
    credentials: { accessKeyId: "AKIAIOSFODNN7EXAMPLE", secretAccessKey: "secret" },
    disableHostPrefix: true,
    maxAttempts: 1,
  });
  t.after(async () => {
    client.destroy();
    await server[Symbol.asyncDispose]();
    await logs.close();
    await rm(directory, { recursive: true });
  });
  return { client, logs, endpoint };
}

test("paginators of the SDK see everything once, and end", async (t) => {
  const { client } = await start(t);
  const logStreamName = "2026/11/30/[$LATEST]0123456789abcdef";
  for (const name of [logGroupName, "/other/1", "/other/2"])
    await client.send(new CreateLogGroupCommand({ logGroupName: name }));
  for (const name of [logStreamName, "second"])
    await client.send(new CreateLogStreamCommand({ logGroupName, logStreamName: name }));
  const now = Date.now();
  const logEvents = Array.from({ length: 25 }, (_, i) => ({
    timestamp: now - 25 + i,
    message: `{"n":${i},"ü":"✓"}`,
  }));
  await client.send(new PutLogEventsCommand({ logGroupName, logStreamName, logEvents }));

  const sizes = { client, pageSize: 2 };
  let groups = 0;
  for await (const page of paginateDescribeLogGroups(sizes, {})) groups += page.logGroups?.length ?? 0;
  assert.equal(groups, 3);
  const streams: (string | undefined)[] = [];
  for await (const page of paginateDescribeLogStreams({ client, pageSize: 1 }, { logGroupName }))
    streams.push(...(page.logStreams ?? []).map((stream) => stream.logStreamName));
  assert.deepEqual(streams, [logStreamName, "second"]);
  const filtered: (string | undefined)[] = [];
  const query = { logGroupName, filterPattern: "{ $.n >= 10 }" };
  for await (const page of paginateFilterLogEvents({ client, pageSize: 4 }, query))
    filtered.push(...(page.events ?? []).map((event) => event.message));
  assert.deepEqual(
    filtered,
    logEvents.slice(10).map((event) => event.message),
  );
  const got: (string | undefined)[] = [];
  const head = { logGroupName, logStreamName, startFromHead: true };
  for await (const page of paginateGetLogEvents({ client, pageSize: 7, stopOnSameToken: true }, head))
    got.push(...(page.events ?? []).map((event) => event.message));
  assert.deepEqual(
    got,
    logEvents.map((event) => event.message),
  );
});

test("exceptions are the modelled ones", async (t) => {
  const { client } = await start(t);
  const missing = client.send(new GetLogEventsCommand({ logGroupName, logStreamName: "s" }));
  await assert.rejects(missing, (error: unknown) => {
    assert.ok(error instanceof ResourceNotFoundException);
    assert.equal(error.message, "The specified log group does not exist.");
    assert.equal(error.$metadata.httpStatusCode, 400);
    return true;
  });
  await client.send(new CreateLogGroupCommand({ logGroupName }));
  await assert.rejects(client.send(new PutRetentionPolicyCommand({ logGroupName, retentionInDays: 2 })), {
    name: "InvalidParameterException",
  });
});

test("a live tail is an event stream that the SDK reads", async (t) => {
  const { client, logs } = await start(t);
  await client.send(new CreateLogGroupCommand({ logGroupName }));
  const { responseStream } = await client.send(
    new StartLiveTailCommand({
      logGroupIdentifiers: [`arn:aws:logs:eu-central-1:000000000000:log-group:${logGroupName}`],
    }),
  );
  assert.ok(responseStream);
  for await (const event of responseStream) {
    if (event.sessionStart) {
      assert.ok(event.sessionStart.sessionId);
      logs.sink.append(logGroupName, "s", [{ timestampMs: Date.now(), message: "alive" }]);
    }
    const [result] = event.sessionUpdate?.sessionResults ?? [];
    if (!result) continue;
    assert.deepEqual([result.logStreamName, result.message], ["s", "alive"]);
    break;
  }
});
