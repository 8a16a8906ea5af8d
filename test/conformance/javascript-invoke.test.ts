/**
 * Goal: AWS's SDK for JavaScript invokes, reads logs and signs against Hornero as against AWS.
 * Method: the SDK's own clients against a real server; payloads at their limits; signatures that do not hold, each in its
 * own way; a second server that asks for no signatures.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import {
  CloudWatchLogsClient,
  DescribeLogGroupsCommand,
  FilterLogEventsCommand,
  paginateFilterLogEvents,
} from "@aws-sdk/client-cloudwatch-logs";
import * as L from "@aws-sdk/client-lambda";
import { GetCallerIdentityCommand, GetSessionTokenCommand, STSClient } from "@aws-sdk/client-sts";
import { INVOKE_EVENT_BYTES_MAX, INVOKE_REQUEST_BYTES_MAX } from "../../src/limits.ts";
import { deploy, eventually } from "../support/functions.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

const ARN = "arn:aws:lambda:us-east-1:000000000000:function:echo";
const SOURCE = `
exports.handler = async (event, context) => {
  if (event.print) for (const line of event.print) console.log(line);
  if (event.fail) throw new Error(event.fail);
  if (event.big) return { length: event.big.length };
  return { event, clientContext: context.clientContext ?? null, arn: context.invokedFunctionArn };
};`;

let server: TestServer;
let lambda: L.LambdaClient;
let logs: CloudWatchLogsClient;
before(async () => {
  server = await startTestServer();
  lambda = server.lambda();
  logs = server.logs();
  await deploy(lambda, "echo", {
    files: { "index.js": SOURCE },
    MemorySize: 512,
    Timeout: 20,
    Publish: true,
  });
});
after(() => server.stop());

const invoke = (input: Partial<L.InvokeCommandInput> = {}) =>
  lambda.send(new L.InvokeCommand({ FunctionName: "echo", ...input }));
const json = (value: unknown) => Buffer.from(JSON.stringify(value));
const answer = ({ Payload }: L.InvokeCommandOutput): unknown =>
  JSON.parse(Payload?.transformToString() ?? "");
/** A JSON object of exactly so many bytes. */
const eventOf = (bytes: number) => Buffer.from(`{"big":"${"x".repeat(bytes - 10)}"}`);

async function thrown(sent: Promise<unknown>): Promise<L.LambdaServiceException> {
  return await sent.then(
    () => assert.fail("it succeeded"),
    (error: unknown) => error as L.LambdaServiceException,
  );
}

describe("Invoke", () => {
  test("answers with the payload, the version and the log's tail", async () => {
    const output = await invoke({ Payload: json({ a: 1, print: ["one", "two"] }), LogType: "Tail" });
    assert.deepEqual(
      [output.StatusCode, output.ExecutedVersion, output.FunctionError],
      [200, "$LATEST", undefined],
    );
    assert.deepEqual(answer(output), {
      event: { a: 1, print: ["one", "two"] },
      clientContext: null,
      arn: ARN,
    });
    const id = output.$metadata.requestId;
    const tail = Buffer.from(output.LogResult ?? "", "base64").toString();
    const time = "\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{3}Z";
    assert.match(
      tail,
      new RegExp(
        `^START RequestId: ${id} Version: \\$LATEST\\n${time}\\t${id}\\tINFO\\tone\\n${time}\\t${id}\\tINFO\\ttwo\\n` +
          `END RequestId: ${id}\\nREPORT RequestId: ${id}\\tDuration: [\\d.]+ ms\\tBilled Duration: \\d+ ms\\tMemory Size: 512 MB\\t` +
          `Max Memory Used: \\d+ MB\\t(Init Duration: [\\d.]+ ms\\t)?\\n$`,
      ),
    );
    assert.equal((await invoke({ Payload: json({ print: ["x"] }) })).LogResult, undefined);
  });

  test("keeps the last 4 KB of the log", async () => {
    const print = Array.from({ length: 200 }, (_, index) => `line ${index} ${"z".repeat(60)}`);
    const { LogResult } = await invoke({ Payload: json({ print }), LogType: "Tail" });
    const tail = Buffer.from(LogResult ?? "", "base64").toString();
    assert.equal(tail.length, 4096);
    assert.match(tail, /line 199 z+\nEND /);
  });

  test("no payload is an empty event", async () => {
    assert.deepEqual(answer(await invoke()), { event: {}, clientContext: null, arn: ARN });
  });

  test("names, versions and client context", async () => {
    const first = await invoke({ FunctionName: `${ARN}:1` });
    assert.deepEqual(
      [first.ExecutedVersion, answer(first)],
      ["1", { event: {}, clientContext: null, arn: `${ARN}:1` }],
    );
    assert.equal((await invoke({ Qualifier: "1" })).ExecutedVersion, "1");
    assert.equal((await invoke({ FunctionName: "000000000000:function:echo" })).ExecutedVersion, "$LATEST");
    const context = { client: { app_title: "nest" }, custom: { a: "b" }, env: {} };
    const output = await invoke({ ClientContext: json(context).toString("base64") });
    assert.deepEqual((answer(output) as { clientContext: unknown }).clientContext, context);
    const bad = await thrown(invoke({ ClientContext: "no base64 of json" }));
    assert(bad instanceof L.InvalidRequestContentException);
  });

  test("a function's error is an answer", async () => {
    const failed = await invoke({ Payload: json({ fail: "on purpose" }) });
    assert.deepEqual([failed.StatusCode, failed.FunctionError], [200, "Unhandled"]);
    const { trace, ...told } = answer(failed) as { trace: string[] };
    assert.deepEqual(told, { errorType: "Error", errorMessage: "on purpose" });
    assert.equal(trace[0], "Error: on purpose");
  });

  test("DryRun and Event answer without a payload; the event is run", async () => {
    const dry = await invoke({ InvocationType: "DryRun" });
    assert.deepEqual([dry.StatusCode, dry.Payload?.length ?? 0], [204, 0]);
    const accepted = await invoke({ InvocationType: "Event", Payload: json({ print: ["by event"] }) });
    assert.deepEqual([accepted.StatusCode, accepted.ExecutedVersion], [202, undefined]);
    const id = accepted.$metadata.requestId;
    await eventually("the event's log line", async () => {
      const { events } = await logs.send(
        new FilterLogEventsCommand({ logGroupName: "/aws/lambda/echo", filterPattern: '"by event"' }),
      );
      return events?.some(({ message }) => message?.includes(`${id}\tINFO\tby event`));
    });
  });

  test("payloads of the largest size, and one byte more", async () => {
    const largest = await invoke({ Payload: eventOf(INVOKE_REQUEST_BYTES_MAX) });
    assert.deepEqual(answer(largest), { length: INVOKE_REQUEST_BYTES_MAX - 10 });
    // Lambda's front refuses it, with a code that the SDK has no class for.
    const over = await thrown(invoke({ Payload: eventOf(INVOKE_REQUEST_BYTES_MAX + 1) }));
    assert.equal(over.name, "RequestEntityTooLargeException");
    assert.equal(over.$metadata.httpStatusCode, 413);
    assert.equal(over.message, "Request must be smaller than 6291456 bytes for the InvokeFunction operation");
    const event = { InvocationType: "Event" as const };
    assert.equal((await invoke({ ...event, Payload: eventOf(INVOKE_EVENT_BYTES_MAX) })).StatusCode, 202);
    const large = await thrown(invoke({ ...event, Payload: eventOf(INVOKE_EVENT_BYTES_MAX + 1) }));
    assert(large instanceof L.RequestTooLargeException, large.name);
    assert.match(large.message, /for the Event invocation type \(limit 1048576 bytes\)$/);
  });

  test("refusals", async () => {
    const unknown = await thrown(invoke({ FunctionName: "nobody" }));
    assert(unknown instanceof L.ResourceNotFoundException);
    assert.equal(
      unknown.message,
      "Function not found: arn:aws:lambda:us-east-1:000000000000:function:nobody",
    );
    assert.equal((unknown as { Type?: string }).Type, "User");
    const content = await thrown(invoke({ Payload: Buffer.from("{no json") }));
    assert(content instanceof L.InvalidRequestContentException);
    assert.match(content.message, /^Could not parse request body into json: /);
    const type = await thrown(invoke({ InvocationType: "Sometimes" as L.InvocationType }));
    assert.match(
      type.message,
      /^1 validation error detected: Value 'Sometimes' at 'invocationType' failed to satisfy constraint: Member must satisfy enum value set: \[/,
    );
  });
});

test("the log can be read page by page", async () => {
  const print = Array.from({ length: 5 }, (_, index) => `page ${index}`);
  await invoke({ Payload: json({ print }) });
  const pages = () =>
    paginateFilterLogEvents(
      { client: logs, pageSize: 2 },
      { logGroupName: "/aws/lambda/echo", filterPattern: '"page"' },
    );
  const messages = await eventually("all lines", async () => {
    const found: string[] = [];
    for await (const { events } of pages())
      found.push(...(events ?? []).map(({ message }) => message?.split("\t")[3] ?? ""));
    return found.length === print.length && found;
  });
  assert.deepEqual(messages, print);
  const { logGroups } = await logs.send(
    new DescribeLogGroupsCommand({ logGroupNamePrefix: "/aws/lambda/echo" }),
  );
  assert.equal(logGroups?.[0]?.arn, "arn:aws:logs:us-east-1:000000000000:log-group:/aws/lambda/echo:*");
});

describe("signatures", () => {
  const client = (more: Partial<L.LambdaClientConfig>) => {
    const { accessKeyId, secretAccessKey, region } = server.file;
    return new L.LambdaClient({
      endpoint: server.endpoint,
      region,
      credentials: { accessKeyId, secretAccessKey },
      maxAttempts: 1,
      ...more,
    });
  };
  async function refusedBy(config: Partial<L.LambdaClientConfig>) {
    const one = client(config);
    const error = await thrown(one.send(new L.ListFunctionsCommand({})));
    one.destroy();
    return [error.name, error.message, error.$metadata.httpStatusCode] as const;
  }

  test("an unknown key, a wrong secret, a wrong token", async () => {
    const { accessKeyId, secretAccessKey } = server.file;
    const invalid = "The security token included in the request is invalid.";
    const unknown = { accessKeyId: "AKIAIOSFODNN7EXAMPLE", secretAccessKey };
    assert.deepEqual(await refusedBy({ credentials: unknown }), [
      "UnrecognizedClientException",
      invalid,
      403,
    ]);
    const [name, message, status] = await refusedBy({
      credentials: { accessKeyId, secretAccessKey: "wrong" },
    });
    assert.deepEqual([name, status], ["InvalidSignatureException", 403]);
    assert.match(message, /^The request signature we calculated does not match the signature you provided\./);
    const sessionToken = "not-a-token";
    assert.deepEqual(await refusedBy({ credentials: { accessKeyId, secretAccessKey, sessionToken } }), [
      "UnrecognizedClientException",
      invalid,
      403,
    ]);
  });

  test("a clock that is wrong by more than five minutes, either way", async () => {
    for (const minutes of [-6, 6]) {
      const [name, message, status] = await refusedBy({ systemClockOffset: minutes * 60_000 });
      assert.deepEqual([name, status], ["InvalidSignatureException", 403]);
      assert.match(message, minutes < 0 ? /^Signature expired: / : /^Signature not yet current: /);
    }
    const one = client({ systemClockOffset: 4 * 60_000 });
    await one.send(new L.ListFunctionsCommand({}));
    one.destroy();
  });

  test("one server stands behind every Region that a client signs for", async () => {
    const one = client({ region: "eu-west-1" });
    const { FunctionArn } = await one.send(new L.GetFunctionConfigurationCommand({ FunctionName: "echo" }));
    one.destroy();
    assert.equal(FunctionArn, ARN);
  });

  test("STS says who is asking, and lends credentials that work", async () => {
    const { accessKeyId, secretAccessKey, region } = server.file;
    const sts = new STSClient({
      endpoint: server.endpoint,
      region,
      credentials: { accessKeyId, secretAccessKey },
    });
    const { Account, Arn, UserId } = await sts.send(new GetCallerIdentityCommand({}));
    assert.deepEqual(
      [Account, Arn, UserId],
      ["000000000000", "arn:aws:iam::000000000000:root", "000000000000"],
    );
    const { Credentials } = await sts.send(new GetSessionTokenCommand({ DurationSeconds: 900 }));
    sts.destroy();
    const { AccessKeyId = "", SecretAccessKey = "", SessionToken = "" } = Credentials ?? {};
    const session = {
      accessKeyId: AccessKeyId,
      secretAccessKey: SecretAccessKey,
      sessionToken: SessionToken,
    };
    const one = client({ credentials: session });
    assert.equal((await one.send(new L.InvokeCommand({ FunctionName: "echo" }))).StatusCode, 200);
    one.destroy();
    const stolen = await refusedBy({ credentials: { ...session, accessKeyId } });
    assert.equal(stolen[0], "UnrecognizedClientException");
  });

  test("without signatures where the server asks for none", async () => {
    const open = await startTestServer({ args: ["--auth", "none"] });
    const one = new L.LambdaClient({
      endpoint: open.endpoint,
      region: "us-east-1",
      credentials: { accessKeyId: "anything", secretAccessKey: "at all" },
    });
    await deploy(one, "free", { files: { "index.js": SOURCE } });
    assert.equal((await one.send(new L.InvokeCommand({ FunctionName: "free" }))).StatusCode, 200);
    const unsigned = await fetch(`${open.endpoint}/2015-03-31/functions/free/invocations`, {
      method: "POST",
      body: "{}",
    });
    assert.equal(unsigned.status, 200);
    one.destroy();
    await open.stop();
    const denied = await fetch(`${server.endpoint}/2015-03-31/functions/echo/invocations`, {
      method: "POST",
      body: "{}",
    });
    assert.equal(denied.status, 403);
    assert.deepEqual(await denied.json(), { message: "Missing Authentication Token" });
  });
});
