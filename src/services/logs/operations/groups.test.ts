/**
 * Goal: groups, streams and tags are answered as CloudWatch Logs does, with its pages, and its errors in its words.
 * Method: the handlers, called as the wire calls them.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { FilterLogEventsResponse } from "@aws-sdk/client-cloudwatch-logs";
import { ARN, bench, GROUP } from "./fakes.ts";

test("groups are made, described, listed and deleted", async (t) => {
  const { call, clock } = await bench(t);
  await call("CreateLogGroup", { logGroupName: GROUP, tags: { team: "red" } });
  await assert.rejects(call("CreateLogGroup", { logGroupName: GROUP }), {
    code: "ResourceAlreadyExistsException",
    message: "The specified log group already exists",
    status: 400,
  });
  assert.deepEqual(await call("DescribeLogGroups", {}), {
    logGroups: [
      {
        logGroupName: GROUP,
        creationTime: clock.nowMs(),
        retentionInDays: undefined,
        metricFilterCount: 0,
        arn: `${ARN}:*`,
        logGroupArn: ARN,
        logGroupClass: "STANDARD",
        storedBytes: 0,
        kmsKeyId: undefined,
        deletionProtectionEnabled: false,
      },
    ],
    nextToken: undefined,
  });
  await call("PutLogGroupDeletionProtection", { logGroupIdentifier: ARN, deletionProtectionEnabled: true });
  await assert.rejects(call("DeleteLogGroup", { logGroupName: GROUP }), { code: "ValidationException" });
  await call("PutLogGroupDeletionProtection", {
    logGroupIdentifier: GROUP,
    deletionProtectionEnabled: false,
  });
  await call("DeleteLogGroup", { logGroupName: GROUP });
  await assert.rejects(call("DeleteLogGroup", { logGroupName: GROUP }), {
    code: "ResourceNotFoundException",
    message: "The specified log group does not exist.",
  });
});

test("pages of groups follow each other by name", async (t) => {
  const { call } = await bench(t);
  const names = Array.from({ length: 7 }, (_, i) => `/g/${i}`);
  for (const logGroupName of ["/other", ...names.toReversed()])
    await call("CreateLogGroup", { logGroupName });
  const seen: (string | undefined)[] = [];
  let nextToken: string | undefined;
  do {
    const page: { logGroups: { logGroupName?: string }[]; nextToken?: string } = await call(
      "DescribeLogGroups",
      {
        logGroupNamePrefix: "/g/",
        limit: 3,
        nextToken,
      },
    );
    seen.push(...page.logGroups.map((group) => group.logGroupName));
    nextToken = page.nextToken;
  } while (nextToken !== undefined);
  assert.deepEqual(seen, names);
  const listed = await call<{ logGroups: object[] }>("ListLogGroups", { logGroupNamePattern: "^/oth|/g/3" });
  assert.deepEqual(listed.logGroups, [
    { logGroupName: "/g/3", logGroupArn: ARN.replace(GROUP, "/g/3"), logGroupClass: "STANDARD" },
    { logGroupName: "/other", logGroupArn: ARN.replace(GROUP, "/other"), logGroupClass: "STANDARD" },
  ]);
  assert.deepEqual(await call("DescribeLogGroups", { logGroupIdentifiers: ["nobody"] }), {
    logGroups: [],
    nextToken: undefined,
  });
  await assert.rejects(call("DescribeLogGroups", { nextToken: "nonsense" }), {
    code: "InvalidParameterException",
  });
  await assert.rejects(call("DescribeLogGroups", { logGroupNamePrefix: "a", logGroupNamePattern: "b" }), {
    message: "LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.",
  });
});

test("streams are made, described in both orders, and deleted with their events", async (t) => {
  const { call, logs, clock } = await bench(t);
  await call("CreateLogGroup", { logGroupName: GROUP });
  await call("CreateLogStream", { logGroupName: GROUP, logStreamName: "b" });
  await assert.rejects(call("CreateLogStream", { logGroupName: GROUP, logStreamName: "b" }), {
    code: "ResourceAlreadyExistsException",
    message: "The specified log stream already exists",
  });
  logs.sink.append(GROUP, "a", [{ timestampMs: clock.nowMs(), message: "x" }]);
  logs.sink.append(GROUP, "c", [{ timestampMs: clock.nowMs() - 5, message: "x" }]);
  await call("FilterLogEvents", { logGroupName: GROUP });
  const describe = async (input: object) => {
    const { logStreams } = await call<{ logStreams: { logStreamName: string }[] }>("DescribeLogStreams", {
      logGroupIdentifier: `${ARN}:*`,
      ...input,
    });
    return logStreams.map((stream) => stream.logStreamName);
  };
  assert.deepEqual(await describe({}), ["a", "b", "c"]);
  assert.deepEqual(await describe({ descending: true, limit: 2 }), ["c", "b"]);
  assert.deepEqual(await describe({ orderBy: "LastEventTime", descending: true }), ["a", "c", "b"]);
  assert.deepEqual(await describe({ logStreamNamePrefix: "c" }), ["c"]);
  const first = await call<{ logStreams: object[]; nextToken: string }>("DescribeLogStreams", {
    logGroupName: GROUP,
    orderBy: "LastEventTime",
    limit: 2,
  });
  assert.deepEqual(await describe({ orderBy: "LastEventTime", nextToken: first.nextToken }), ["a"]);
  await assert.rejects(describe({ orderBy: "LastEventTime", logStreamNamePrefix: "c" }), {
    message: "Cannot order by LastEventTime with a logStreamNamePrefix.",
  });
  await assert.rejects(call("DescribeLogStreams", { logGroupName: GROUP, logGroupIdentifier: GROUP }), {
    code: "ValidationException",
    message: "LogGroup name and LogGroup ARN are mutually exclusive parameters.",
  });
  await call("DeleteLogStream", { logGroupName: GROUP, logStreamName: "a" });
  assert.deepEqual(await describe({}), ["b", "c"]);
  const left = await call<FilterLogEventsResponse>("FilterLogEvents", { logGroupName: GROUP });
  assert.deepEqual(
    left.events?.map((event) => event.logStreamName),
    ["c"],
  );
});

test("tags, by ARN and by name", async (t) => {
  const { call } = await bench(t);
  await call("CreateLogGroup", { logGroupName: GROUP, tags: { a: "1" } });
  await call("TagResource", { resourceArn: ARN, tags: { b: "2" } });
  await call("TagLogGroup", { logGroupName: GROUP, tags: { c: "3" } });
  await call("UntagResource", { resourceArn: `${ARN}:*`, tagKeys: ["a"] });
  assert.deepEqual(await call("ListTagsForResource", { resourceArn: ARN }), { tags: { b: "2", c: "3" } });
  await call("UntagLogGroup", { logGroupName: GROUP, tags: ["b"] });
  assert.deepEqual(await call("ListTagsLogGroup", { logGroupName: GROUP }), { tags: { c: "3" } });
  const many = Object.fromEntries(Array.from({ length: 50 }, (_, i) => [`k${i}`, ""]));
  await assert.rejects(call("TagResource", { resourceArn: ARN, tags: many }), {
    code: "TooManyTagsException",
  });
  await assert.rejects(
    call("ListTagsForResource", { resourceArn: ARN.replace("eu-central-1", "us-east-1") }),
    {
      code: "ResourceNotFoundException",
    },
  );
});
